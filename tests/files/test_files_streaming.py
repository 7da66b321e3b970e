"""Copies of bytes: in pieces, as they are, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from attrs import evolve
from file_stores import SHELF, Shelf, ShelfConfig, Site, error_of, site_of

from polystore import (
    DiskConfig,
    Dispatcher,
    Encoded,
    IfExists,
    Key,
    Outcome,
    Readable,
    Success,
    Unavailable,
    copy,
    default_registry,
    move,
)
from polystore.files.streaming import PIECE


def test_bytes_move_and_are_never_decoded(tmp_path: Path) -> None:
    """Damaged files and files of no format are copied as they are; of any other format, not."""
    disk, other = DiskConfig(root=tmp_path / "a"), DiskConfig(root=tmp_path / "b")
    (tmp_path / "a").mkdir()
    content = os.urandom(2 * PIECE + 17)
    for name in ("broken.TIF", "what.bin", "none"):
        (tmp_path / "a" / name).write_bytes(content)
    (tmp_path / "a" / "empty.npy").touch()
    for key, new_key in (
        ("broken.TIF", "x/new.tiff"),
        ("what.bin", "what.dat"),
        ("none", "none"),
        ("empty.npy", "empty.npy"),
    ):
        copied = copy(disk, key, new_key, to=other).unwrap()
        assert (tmp_path / "b" / new_key).read_bytes() == (tmp_path / "a" / key).read_bytes()
        assert copied.nbytes == (tmp_path / "a" / key).stat().st_size
    assert error_of(copy(disk, "broken.TIF", "new.npy", to=other)) == "Corrupt"
    assert error_of(copy(disk, "what.bin", "new.npy", to=other)) == "UnknownFormat"
    assert error_of(copy(disk, "broken.TIF", "new.bin", to=other)) in {"Corrupt", "UnknownFormat"}
    assert error_of(move(disk, "broken.TIF", "new.npy")) == "UnsupportedOperation"
    assert (tmp_path / "a" / "broken.TIF").exists()
    assert not (tmp_path / "b" / "new.npy").exists()


def broken_source(size: int, gives: int, closed: list[bool]) -> Site:
    """Give a store whose content ends, or fails, before its size."""

    def read_into(offset: int, buffer: memoryview) -> int:
        if offset >= gives:
            return 0
        if gives == 1:
            raise OSError(5, "Input/output error")
        count = min(len(buffer), gives - offset, 1000)
        buffer[:count] = b"x" * count
        return count

    def get(_shelf: Shelf, _key: Key, /) -> Outcome[Readable]:
        return Success(Readable(size, read_into, lambda: closed.append(True)))

    run = Dispatcher(default_registry().extended(evolve(SHELF, get=get)).unwrap())
    return site_of("shelf", Path(), run)


@pytest.mark.parametrize("gives", [0, 1, 4000, PIECE + 1])
def test_a_source_that_breaks_leaves_nothing(tmp_path: Path, gives: int) -> None:
    closed: list[bool] = []
    disk, source = DiskConfig(root=tmp_path), broken_source(2 * PIECE, gives, closed)
    (tmp_path / "old.bin").write_bytes(b"old")
    for key in ("new.bin", "old.bin"):
        outcome = copy(
            source.config, "a.bin", key, to=disk, if_exists="replace", dispatcher=source.dispatcher
        )
        error = outcome.failure()
        assert isinstance(error, Unavailable)
        assert (error.key, error.config) == ("a.bin", source.config)
    assert [path.name for path in tmp_path.iterdir()] == ["old.bin"]
    assert (tmp_path / "old.bin").read_bytes() == b"old"
    assert closed == [True, True]


def test_short_reads_are_read_on(tmp_path: Path) -> None:
    source = broken_source(10_000, 10_000, [])
    disk = DiskConfig(root=tmp_path)
    copy(source.config, "a.bin", to=disk, dispatcher=source.dispatcher).unwrap()
    assert (tmp_path / "a.bin").read_bytes() == b"x" * 10_000


def test_a_copy_holds_a_piece_and_not_the_file(tmp_path: Path) -> None:
    held: list[int] = []

    def put(_shelf: Shelf, _key: Key, encoded: Encoded, _how: IfExists, /) -> Outcome[bool]:
        buffers = cast("Iterator[bytearray]", iter(encoded.buffers))
        held.extend(len(buffer) for buffer in buffers)
        return Success(True)

    run = Dispatcher(default_registry().extended(evolve(SHELF, put=put)).unwrap())
    with (tmp_path / "a.bin").open("wb") as file:
        file.truncate(5 * PIECE + 1)
    copied = copy(DiskConfig(root=tmp_path), "a.bin", to=ShelfConfig(), dispatcher=run).unwrap()
    assert (sum(held), max(held)) == (copied.nbytes, PIECE)


def test_a_skip_asks_before_anything_is_read(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    (tmp_path / "b.npy").touch()
    (tmp_path / "a.tif").write_bytes(b"no TIFF")
    assert copy(disk, "a.tif", "b.npy", if_exists="skip").unwrap().status == "skipped"
