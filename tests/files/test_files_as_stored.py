"""Copies and moves between Zarr stores: the files themselves, where they would be the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from polystore import (
    AlreadyExists,
    Item,
    Metadata,
    NotFound,
    ZarrConfig,
    copy,
    exists,
    load,
    move,
    save,
)
from polystore.configs import Zstd

ARRAY = np.arange(3 * 50 * 60, dtype="u2").reshape(3, 50, 60)
KNOWN = Metadata(axes=("z", "y", "x"), scale=(2.0, 0.5, 0.5))


@pytest.fixture
def raw(tmp_path: Path) -> ZarrConfig:
    raw = ZarrConfig(root=tmp_path / "raw.zarr", chunks=(1, 16, 16), shards=())
    save(raw)(Item("p/a", ARRAY, KNOWN)).unwrap()
    return raw


def files_of(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("within", [True, False])
def test_a_copy_is_the_same_files(raw: ZarrConfig, tmp_path: Path, within: bool) -> None:
    other = raw if within else ZarrConfig(root=tmp_path / "b.zarr")
    saved = copy(raw, "p/a", "q/b", to=other).unwrap()
    assert (saved.key, saved.config, saved.status) == ("q/b", other, "written")
    assert saved.nbytes == ARRAY.nbytes
    assert files_of(Path(other.root) / "q/b") == files_of(Path(raw.root) / "p/a")
    assert isinstance(copy(raw, "p/a", "q/b", to=other).failure(), AlreadyExists)
    assert copy(raw, "p/a", "q/b", to=other, if_exists="skip").unwrap().status == "skipped"
    assert isinstance(copy(raw, "p/c", "q/c", to=other).failure(), NotFound)


def test_other_codecs_are_written_anew(raw: ZarrConfig, tmp_path: Path) -> None:
    small = ZarrConfig(root=tmp_path / "b.zarr", compressor=Zstd(19))
    assert copy(raw, "p/a", to=small).unwrap().status == "written"
    assert files_of(Path(small.root) / "p/a") != files_of(Path(raw.root) / "p/a")
    item = load(small)("p/a").unwrap()
    assert np.array_equal(item.payload, ARRAY)
    assert item.metadata == KNOWN


def test_a_damaged_array_is_copied_as_it_is(raw: ZarrConfig, tmp_path: Path) -> None:
    """Nothing is decoded: so a copy of an array takes no longer than that of its files."""
    chunk = next(path for path in (Path(raw.root) / "p/a/c").rglob("*") if path.is_file())
    chunk.write_bytes(b"damaged")
    other = ZarrConfig(root=tmp_path / "b.zarr")
    copy(raw, "p/a", to=other).unwrap()
    assert files_of(Path(other.root) / "p/a") == files_of(Path(raw.root) / "p/a")


def test_a_move_to_another_store_leaves_nothing(raw: ZarrConfig, tmp_path: Path) -> None:
    other = ZarrConfig(root=tmp_path / "b.zarr")
    before = files_of(Path(raw.root) / "p/a")
    assert move(raw, "p/a", "c", to=other).unwrap().status == "written"
    assert files_of(Path(other.root) / "c") == before
    assert exists(raw, "p/a").unwrap() is False
