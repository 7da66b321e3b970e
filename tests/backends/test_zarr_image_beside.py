"""Readers of OME-Zarr images beside their writers see one generation, at every resolution."""

from __future__ import annotations

import shutil
import threading
from itertools import count
from pathlib import Path

import pytest
from image_processes import (
    READERS,
    Version,
    images_at,
    left_after_sweep,
    save_value,
    writer_at_work,
)
from zarr_access import hidden_in

from polystore import ZarrConfig, list_files, stat
from polystore.backends import beneath
from polystore.backends.zarr.folder import files

READS = 500


def _stat(store: ZarrConfig) -> int:
    assert stat(store, "img").unwrap().kind == "file"
    return 0


LOOKS = {**READERS, "stat": _stat}


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_a_reader_beside_a_writer_sees_one_image(tmp_path: Path, version: Version) -> None:
    store = images_at(tmp_path, version)
    seen: dict[str, list[int]] = {name: [] for name in LOOKS}
    with writer_at_work(store):
        for _ in range(READS // len(LOOKS)):
            for name, look in LOOKS.items():
                seen[name].append(look(store))
            assert list_files(store).unwrap() == ("img",)
    for values in seen.values():
        assert values == sorted(values), "it went back"
    assert len(set(seen["whole"])) > 10, "nobody wrote"
    assert left_after_sweep(store) == []


def _swept(store: ZarrConfig) -> None:
    """Replace the image that is being read, and do not spare its reader."""
    save_value(store, 2)
    for path in hidden_in(store):
        shutil.rmtree(path)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("name", ["whole", "a level", "stat"])
def test_a_reader_sees_one_image_whenever_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: Version, name: str
) -> None:
    opened = beneath.open_beneath
    number = 0
    while True:
        number += 1
        store = images_at(tmp_path / str(number), version)
        save_value(store, 1)
        replaced, reads = threading.Event(), count(1)

        def stopping(
            folder: int,
            path: str,
            flags: int,
            number: int = number,
            store: ZarrConfig = store,
            replaced: threading.Event = replaced,
            reads: count[int] = reads,
        ) -> int:
            if next(reads) == number:
                replaced.set()
                _swept(store)
            return opened(folder, path, flags)

        with monkeypatch.context() as patch:
            patch.setattr(files, "open_beneath", stopping)
            assert LOOKS[name](store) in (0, 1, 2)
        if not replaced.is_set():
            break
    assert number > 2
