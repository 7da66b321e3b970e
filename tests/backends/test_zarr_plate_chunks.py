"""What one file of a plate's elements holds, by the strategy of the config."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from polystore import ChunkStrategy, Item, Metadata, OmeOptions, ZarrConfig, ZarrLayout, load, save

PIXELS = np.random.default_rng(0).integers(0, 60000, (2, 3, 4, 96, 70)).astype("u2")
TCZYX = Metadata(axes=("t", "c", "z", "y", "x"))
LEVELS = 2


@pytest.mark.parametrize(
    ("strategy", "files_of_a_level"), [(ChunkStrategy.WELL, 1), (ChunkStrategy.FIELD, 2 * 3 * 4)]
)
def test_a_file_holds_a_plane_or_all_of_a_field(
    strategy: ChunkStrategy, files_of_a_level: int, tmp_path: Path
) -> None:
    plate = ZarrConfig(
        root=tmp_path,
        layout=ZarrLayout.PLATE,
        chunk_strategy=strategy,
        ome=OmeOptions(levels=LEVELS),
    )
    for key in ("A/1/0", "B/2/0"):
        save(plate)(Item(key, PIXELS, TCZYX)).unwrap()
        for level in range(LEVELS):
            elements = (tmp_path / key / str(level) / "c").rglob("*")
            assert len([path for path in elements if path.is_file()]) == files_of_a_level
        assert np.array_equal(load(plate)(key).unwrap().payload, PIXELS)
        part = np.s_[1:, 2:3, 1:3, 5:90, :9]
        assert np.array_equal(load(plate, region=part)(key).unwrap().payload, PIXELS[part])
