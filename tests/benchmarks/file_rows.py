"""Listings, questions, copies and batches of small files, against the calls underneath."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from attrs import evolve, frozen
from format_cases import picture
from measuring import Fresh, Rounds, Row, extra, fastest, in_words, ratio

from polystore import (
    DiskConfig,
    HostArray,
    Item,
    MemoryConfig,
    Outcome,
    TiffOptions,
    collect,
    compose,
    copy,
    delete,
    exists,
    iter_files,
    list_files,
    load,
    save,
    stat,
)

FOLDERS, IN_EACH = 100, 1000
RECORD = "none: for the record"


def listings(folder: Path, how: Rounds) -> Iterator[Row]:
    """Give the rows of 100,000 empty files, listed and asked about."""
    root = folder / "many"
    for name in map(str, range(FOLDERS)):
        (root / name).mkdir(parents=True)
        for number in range(IN_EACH):
            (root / name / f"f{number}.tif").touch()
    disk = DiskConfig(root=root)

    def one_by_one() -> int:
        return sum(1 for key in iter_files(disk) if key.unwrap())

    def unsorted() -> int:
        return len(list_files(disk, ordered=False).unwrap())

    def in_order() -> int:
        return len(list_files(disk).unwrap())

    assert one_by_one() == unsorted() == in_order() == walked(str(root)) == FOLDERS * IN_EACH
    walk = partial(walked, str(root))
    count = f"{FOLDERS * IN_EACH // 1000},000 files"
    words = f"list_files unsorted, {count} / os.scandir"
    yield ratio(words, fastest(unsorted, walk, how), 2.0)
    # It makes an outcome of each key, which takes as long as the walk.
    row = ratio(f"iter_files, {count} / os.scandir", fastest(one_by_one, walk, how), None)
    yield evolve(row, bound=RECORD)
    yield ratio(f"list_files, {count} / os.scandir", fastest(in_order, walk, how), 10.0)
    few = Rounds(how.rounds, 1000)
    (root / "flat.tif").touch()
    (root / "7" / "deep").mkdir()
    (root / "7" / "deep" / "f1.tif").touch()
    for key, words in (("flat.tif", "a file"), ("7/deep/f1.tif", "a file two folders down")):
        theirs = partial(os.stat, f"{root}/{key}")
        yield extra(
            f"exists, {words} / os.stat",
            fastest(partial(asked, exists, disk, key), theirs, few),
            20e-6,
        )
        yield extra(
            f"stat, {words} / os.stat",
            fastest(partial(asked, stat, disk, key), theirs, few),
            20e-6,
        )
    shutil.rmtree(root)


def asked(
    question: Callable[[DiskConfig, str], Outcome[object]], disk: DiskConfig, key: str
) -> object:
    return question(disk, key).unwrap()


def walked(folder: str) -> int:
    """Count the files below a folder."""
    count, folders = 0, [folder]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    count += 1
    return count


@frozen
class Batch:
    """Many files of one array, converted one by one to a folder of their own."""

    what: str
    suffix: str
    count: int
    array: HostArray
    library: Callable[[Path, Path], object]
    options: object = None
    bound: float = 1.3


def npy(source: Path, target: Path) -> None:
    np.save(target, np.load(source))


def tiff(source: Path, target: Path) -> None:
    tifffile.imwrite(target, tifffile.imread(source))


def deflated(source: Path, target: Path) -> None:
    tifffile.imwrite(target, tifffile.imread(source), compression="zlib")


def png(source: Path, target: Path) -> None:
    image = imagecodecs.png_decode(source.read_bytes())
    target.write_bytes(imagecodecs.png_encode(image, level=1))


def cases() -> tuple[Batch, ...]:
    image = picture(256, 256)
    small = np.ascontiguousarray(image[:16, :64, 0])
    deflate = TiffOptions(compression="deflate")
    return (
        Batch("1 KB .npy", ".npy", 10_000, small, npy),
        Batch("1 KB TIFF", ".tif", 2_000, small, tiff),
        Batch(f"{image.nbytes >> 10} KB PNG", ".png", 200, image, png, bound=1.0),
        Batch(f"{image.nbytes >> 10} KB TIFF, deflate", ".tif", 200, image, deflated, deflate, 1.0),
    )


def batches(folder: Path, how: Rounds) -> Iterator[Row]:
    """Give the rows of `pipeline.map` against a plain loop over the libraries."""
    for case in cases():
        root = folder / "batch"
        source = DiskConfig(root=root / "source")
        keys = [f"{i}{case.suffix}" for i in range(case.count)]
        pipeline = compose(save(source, options=case.options))
        assert not collect(pipeline.map(Item(key, case.array) for key in keys)).errors
        times = [
            (mapped(case, root, keys), looped(case, root, keys)) for _ in range(1 + how.rounds)
        ][1:]
        best = min(ours for ours, _ in times), min(theirs for _, theirs in times)
        yield ratio(f"map, {case.count:,} of {case.what} / a loop", best, case.bound)
        shutil.rmtree(root)


def mapped(case: Batch, root: Path, keys: list[str]) -> float:
    source, sink = DiskConfig(root=root / "source"), DiskConfig(root=root / "ours")
    pipeline = compose(load(source), save(sink, options=case.options))
    start = time.perf_counter()
    report = collect(pipeline.map(keys))
    taken = time.perf_counter() - start
    assert len(report.saved) == case.count
    shutil.rmtree(root / "ours")
    return taken / case.count


def looped(case: Batch, root: Path, keys: list[str]) -> float:
    (root / "theirs").mkdir()
    start = time.perf_counter()
    for key in keys:
        case.library(root / "source" / key, root / "theirs" / key)
    taken = time.perf_counter() - start
    shutil.rmtree(root / "theirs")
    return taken / case.count


def moves(folder: Path, how: Rounds) -> Iterator[Row]:
    """Give the rows of a large copy, and of the memory store."""
    np.save(folder / "large.npy", np.zeros((64, 1024, 1024), np.uint16))
    source, sink = DiskConfig(root=folder), DiskConfig(root=folder / "ours")
    ours, theirs = (f"copy{i}.npy" for i in range(10**9)), Fresh(folder / "theirs", ".npy")

    def copied() -> None:
        key = next(ours)
        copy(source, "large.npy", key, to=sink).unwrap()
        delete(sink, key).unwrap()

    def library() -> None:
        path = theirs()
        shutil.copyfile(folder / "large.npy", path)
        path.unlink()

    row = ratio("copy and delete 128 MB / shutil.copyfile", fastest(copied, library, how), None)
    yield evolve(row, bound=RECORD)
    (folder / "large.npy").unlink()
    array, memory = np.zeros((16, 32)), MemoryConfig(name="benchmark")
    put, get, held = save(memory, if_exists="replace"), load(memory), dict[str, HostArray]()

    def in_memory() -> None:
        put(Item("a.npy", array)).unwrap()
        get("a.npy").unwrap()

    def in_a_dict() -> None:
        held["a"] = array.copy()
        held["a"].copy()

    row = extra(
        "save and load 4 KB, memory / a dict of copies",
        fastest(in_memory, in_a_dict, Rounds(how.rounds, 1000)),
        0,
    )
    yield evolve(row, bound=RECORD, met=True)


def laws() -> Iterator[Row]:
    """Give what the laws of one store take."""
    from polystore.backends.memory import MEMORY
    from polystore.testing import laws_for

    names = (MemoryConfig(name=f"law {i}") for i in range(10**9))
    every = laws_for(MEMORY)
    start = time.perf_counter()
    for law in every:
        law.check(MEMORY, lambda: next(names))
    taken = time.perf_counter() - start
    yield Row(f"{len(every)} laws, memory store", in_words(taken), "", "", RECORD, True)


def file_rows(folder: Path, how: Rounds) -> Iterator[Row]:
    """Give every row of this module."""
    yield from listings(folder, how)
    yield from batches(folder, Rounds(3))
    yield from moves(folder, how)
    yield from laws()
