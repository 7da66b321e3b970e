"""Every other format of large arrays, against the library that one would call for it.

A format that is not registered, or whose library is not installed, is left out, and said so on
stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from attrs import evolve
from format_cases import Case, image_file, npz, picture, pt, safetensors, tf, tiff
from measuring import Fresh, Rounds, Row, fastest, ratio
from table_cases import with_csv, with_pandas

from polystore import DiskConfig, Item, JpegOptions, load, save
from polystore.discover import default_registry

ROUNDS = 9
"""Of the slow formats: the fastest of them is what counts."""


def cases() -> tuple[tuple[str, Callable[[], Case]], ...]:
    """Give each case by the name under which it is left out, to be made when its turn comes."""
    large, jpeg = partial(picture, 6688, 6688), JpegOptions(quality=95)
    small = partial(picture, 1024, 1360)
    return (
        ("npz", npz),
        ("pt", pt),
        ("safetensors", safetensors),
        ("tf", tf),
        ("OME-TIFF", lambda: tiff("ome")),
        ("ImageJ TIFF", lambda: tiff("imagej")),
        ("TIFF, deflate", lambda: tiff("plain", "deflate")),
        ("TIFF, zstd", lambda: tiff("plain", "zstd")),
        ("JPEG", lambda: image_file("jpeg", "128 MB", large(), jpeg, alone=True)),
        ("PNG", lambda: image_file("png", "32 MB", picture(3344, 3344), None)),
        ("BMP", lambda: image_file("bmp", "128 MB", large(), None)),
        ("small JPEG", lambda: image_file("jpeg", "4 MB", small(), jpeg, 2)),
        ("small PNG", lambda: image_file("png", "4 MB", small(), None, 2)),
        ("CSV, csv", with_csv),
        ("CSV, pandas", with_pandas),
    )


def format_rows(folder: Path, how: Rounds) -> Iterator[Row]:
    """Load and save each case in turns with its library."""
    known = {entry.key.name for entry in default_registry().entries().formats}
    rounds = min(how.rounds, ROUNDS)
    for name, make in cases():
        case = made(make)
        if case is None or case.format not in known:
            print(f"left out: {name}", file=sys.stderr)
            continue
        yield from loads(folder, case, Rounds(rounds, case.calls))
        yield from saves(folder, case, Rounds(rounds, case.calls))


def made(make: Callable[[], Case]) -> Case | None:
    """Give the case, or `None` if its library is not installed."""
    try:
        return make()
    except ImportError:
        return None


def loads(folder: Path, case: Case, how: Rounds) -> Iterator[Row]:
    path = folder / f"load{case.suffix}"
    case.write(path)
    step = load(DiskConfig(root=folder))

    def ours() -> object:
        return step(path.name).unwrap()

    theirs = partial(case.read, path)
    if case.noise:
        times = fastest(theirs, theirs, how)
        yield ratio(f"{case.reader} {case.size}, against itself", times, None)
    times = fastest(ours, theirs, how)
    yield compared(f"load {case.size} {case.name} / {case.reader}", times, case)
    path.unlink()


def saves(folder: Path, case: Case, how: Rounds) -> Iterator[Row]:
    mine, other = Fresh(folder / "ours", case.suffix), Fresh(folder / "theirs", case.suffix)
    step = save(DiskConfig(root=folder / "ours"), options=case.options)

    def ours() -> object:
        return step(Item(mine().name, case.payload, case.metadata)).unwrap()

    def theirs() -> object:
        return case.write(other())

    times = fastest(ours, theirs, how)
    yield compared(f"save {case.size} {case.name} / {case.writer}", times, case)
    mine()
    other()


def compared(what: str, times: tuple[float, float], case: Case) -> Row:
    row = ratio(what, times, case.bound)
    return row if case.bound is not None else evolve(row, bound="none: for the record")
