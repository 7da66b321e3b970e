"""Measure polystore against the libraries underneath, and print the table of `docs/benchmarks.md`.

    python tests/benchmarks/run.py [--output docs/benchmarks.md] [--quick]

Each row is a ratio within one run: the two sides take turns, each writes to a file that is new for
it, and the fastest of the rounds counts. The first rows are a library against itself: what the
machine's noise alone makes of a ratio.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
from attrs import evolve, frozen

from polystore import DiskConfig, HostArray, Item, TiffOptions, convert, load, save, write

HERE = Path(__file__).parent
MB = 2**20
LARGE = (64, 1024, 1024)  # uint16: 128 MB
SMALL = (16, 32)  # float64: 4 KB


@frozen
class Row:
    """One line of the table."""

    what: str
    ours: str
    theirs: str
    result: str
    bound: str
    met: bool


@frozen
class Rounds:
    """How often each side of a comparison runs, and how many calls one time is taken over."""

    rounds: int
    calls: int = 1


def seconds(action: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        action()
    return (time.perf_counter() - start) / calls


def fastest(
    ours: Callable[[], object], theirs: Callable[[], object], how: Rounds
) -> tuple[float, float]:
    """Give the fastest time of each side, measured in turns."""
    ours()
    theirs()
    times = [(seconds(ours, how.calls), seconds(theirs, how.calls)) for _ in range(how.rounds)]
    return min(a for a, _ in times), min(b for _, b in times)


def in_words(value: float) -> str:
    return f"{value * 1e6:.1f} µs" if value < 1e-3 else f"{value * 1e3:.1f} ms"


def ratio(what: str, times: tuple[float, float], bound: float | None) -> Row:
    a, b = times
    words = "noise" if bound is None else f"at most {bound:.2f}x"
    return Row(
        what, in_words(a), in_words(b), f"{a / b:.2f}x", words, bound is None or a <= bound * b
    )


def extra(what: str, times: tuple[float, float], bound: float) -> Row:
    a, b = times
    over = (a - b) * 1e6
    return Row(
        what,
        in_words(a),
        in_words(b),
        f"{over:+.1f} µs",
        f"at most +{bound * 1e6:.0f} µs",
        a <= b + bound,
    )


class Fresh:
    """Names of files that are new for each call; the one before is removed."""

    def __init__(self, folder: Path, suffix: str) -> None:
        """Begin at zero."""
        self.folder, self.suffix, self.count = folder, suffix, 0

    def __call__(self) -> Path:
        """Give the next name."""
        (self.folder / f"{self.count}{self.suffix}").unlink(missing_ok=True)
        self.count += 1
        return self.folder / f"{self.count}{self.suffix}"


def large_files(folder: Path, how: Rounds) -> Iterator[Row]:
    image = np.random.default_rng(0).integers(0, 4096, LARGE, np.uint16)
    np.save(folder / "a.npy", image)
    tifffile.imwrite(folder / "a.tif", image)
    disk = DiskConfig(root=folder)

    def np_load() -> object:
        return np.load(folder / "a.npy")

    def tiff_read() -> object:
        return tifffile.imread(folder / "a.tif")

    yield ratio("np.load 128 MB, against itself", fastest(np_load, np_load, how), None)
    yield ratio(
        "load 128 MB .npy / np.load",
        fastest(lambda: load(disk)("a.npy").unwrap(), np_load, how),
        1.10,
    )
    yield ratio(
        "load 128 MB TIFF / imread",
        fastest(lambda: load(disk)("a.tif").unwrap(), tiff_read, how),
        1.10,
    )
    (folder / "a.npy").unlink()
    (folder / "a.tif").unlink()
    for suffix, name, library in savers(image):
        ours, theirs = Fresh(folder / "ours", suffix), Fresh(folder / "theirs", suffix)
        if suffix == ".npy":
            times = fastest(partial(library, ours), partial(library, theirs), how)
            yield ratio("np.save 128 MB, against itself", times, None)
        times = fastest(partial(save_ours, ours, image), partial(library, theirs), how)
        yield ratio(f"save 128 MB {suffix} / {name}", times, 1.10)
        ours()
        theirs()


def savers(image: HostArray) -> tuple[tuple[str, str, Callable[[Fresh], object]], ...]:
    return (
        (".npy", "np.save", lambda fresh: np.save(fresh(), image)),
        (".tif", "imwrite", lambda fresh: tifffile.imwrite(fresh(), image)),
    )


def save_ours(fresh: Fresh, image: HostArray) -> None:
    write(fresh(), image).unwrap()


def small_files(folder: Path, how: Rounds) -> Iterator[Row]:
    array = np.random.default_rng(0).random(SMALL)
    np.save(folder / "a.npy", array)
    disk = DiskConfig(root=folder / "ours")
    step, reader = save(disk), load(DiskConfig(root=folder))
    ours, theirs = (f"{i}.npy" for i in range(10**9)), Fresh(folder / "theirs", ".npy")

    def np_load() -> object:
        return np.load(folder / "a.npy")

    def np_save() -> None:
        theirs.count += 1
        np.save(f"{folder}/theirs/{theirs.count}.npy", array)

    yield ratio("np.load 4 KB, against itself", fastest(np_load, np_load, how), None)
    yield ratio(
        "load 4 KB .npy / np.load", fastest(lambda: reader("a.npy").unwrap(), np_load, how), 1.00
    )
    yield extra("np.save 4 KB, against itself", fastest(np_save, np_save, how), 15e-6)
    yield extra(
        "save 4 KB .npy, atomically / np.save",
        fastest(lambda: step(Item(next(ours), array)).unwrap(), np_save, how),
        15e-6,
    )


def shared(folder: Path, how: Rounds) -> Iterator[Row]:
    """256 MB from `.npy` to JAX and PyTorch: the same address, and what the hand-over costs."""
    import torch

    array = np.zeros((64, 1024, 1024), np.float32)
    np.save(folder / "b.npy", array)
    disk = DiskConfig(root=folder)
    for to in ("jax", "torch"):
        step = convert(to="jax") if to == "jax" else convert(to="torch")
        item = load(disk)("b.npy").unwrap()
        host = item.payload
        assert isinstance(host, np.ndarray)
        given = step(item).unwrap().payload
        address = (
            given.data_ptr() if isinstance(given, torch.Tensor) else given.unsafe_buffer_pointer()
        )
        same = address == host.ctypes.data
        best = min(seconds(partial(step, item), 1) for _ in range(how.rounds))
        yield Row(
            f"load, convert(to={to!r}) of 256 MB: shared?",
            "same address" if same else "copied",
            "",
            in_words(best),
            "shared, under 1 ms",
            same and best < 1e-3,
        )


MEMORY = """
from polystore import DiskConfig, load
import {library}, numpy
def peak():  # of this program alone: getrusage's would begin with its parent's
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
disk = DiskConfig(root={root!r})
load(disk)("warm{suffix}").unwrap()
before = peak()
item = load(disk)({key!r}).unwrap()
print((peak() - before) * 1024 / item.payload.nbytes)
"""


def memory(folder: Path) -> Iterator[Row]:
    """Peak memory of one load in a process of its own, as a multiple of the array."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 64, LARGE, np.uint16)
    small = image[0, :8]
    disk = DiskConfig(root=folder / "memory")
    packed = TiffOptions(compression="deflate")
    for key, suffix, options in (
        ("a.npy", ".npy", None),
        ("a.tif", ".tif", None),
        ("packed.tif", ".tif", packed),
    ):
        save(disk, "replace", options)(Item(f"warm{suffix}", small)).unwrap()
        save(disk, "replace", options)(Item(key, image)).unwrap()
        library = "tifffile" if suffix == ".tif" else "numpy"
        code = MEMORY.format(library=library, root=disk.root, suffix=suffix, key=key)
        peak = float(subprocess.check_output([sys.executable, "-c", code], text=True))
        what = f"peak memory of load, 128 MB {key}"
        yield Row(what, f"{peak:.2f}x the array", "", f"{peak:.2f}x", "at most 1.10x", peak <= 1.10)


IMPORT = """
import time
start = time.perf_counter()
{code}
print(time.perf_counter() - start)
"""


def imports(how: Rounds) -> Iterator[Row]:
    """What an import takes in a process of its own."""

    def taken(code: str) -> float:
        program = [sys.executable, "-c", IMPORT.format(code=code)]
        return float(subprocess.check_output(program, text=True))

    names = "DiskConfig, ZarrConfig, collect, compose, convert, list_files, load, save"
    for what, code, bound in (
        ("import polystore", "import polystore", 1.3),
        # The bound is on `import polystore`; this is what a program pays that uses all of it.
        ("import of the main job's names", f"from polystore import {names}", None),
    ):
        pairs = [(taken(code), taken("import attrs, returns.result")) for _ in range(how.rounds)]
        best = min(ours for ours, _ in pairs), min(theirs for _, theirs in pairs)
        row = ratio(f"{what} / import attrs, returns.result", best, bound)
        yield row if bound is not None else evolve(row, bound="none: for the record")


def table(rows: list[Row]) -> str:
    lines = [
        "| what | polystore | library | result | bound | met |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        met = "yes" if row.met else "**no**"
        met = met if row.bound.startswith(("at most", "shared")) else ""
        lines.append(
            f"| {row.what} | {row.ours} | {row.theirs} | {row.result} | {row.bound} | {met} |"
        )
    return "\n".join(lines)


PAGE = """# Benchmarks

Made by `python tests/benchmarks/run.py --output docs/benchmarks.md`; not edited by hand.

Each row compares with the library underneath, in one run: the sides take turns, each writes to
files that are new for it, the fastest of {rounds} rounds counts. "Against itself" is what noise
alone makes of a ratio. Files were in the page cache.

{table}

{machine}
"""


def machine() -> str:
    from importlib.metadata import version

    packages = ", ".join(
        f"{name} {version(name)}" for name in ("numpy", "tifffile", "torch", "jax")
    )
    python = f"Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {platform.system()}, {python}, {packages}."


def main() -> int:
    """Run everything; give 1 if a bound was missed."""
    parser = argparse.ArgumentParser(
        description="Measure polystore against the libraries underneath."
    )
    parser.add_argument("--output", type=Path, help="write the page here")
    parser.add_argument("--quick", action="store_true", help="three rounds only: to try the script")
    parser.add_argument("--folder", type=Path, default=HERE, help="the file system to measure on")
    arguments = parser.parse_args()
    rounds = 3 if arguments.quick else 11
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix=".run-") as name:
        folder = Path(name)
        for side in ("ours", "theirs"):
            (folder / side).mkdir()
        for group in (
            large_files(folder, Rounds(rounds)),
            small_files(folder, Rounds(5 * rounds, 100)),
            shared(folder, Rounds(rounds)),
            memory(folder),
            imports(Rounds(rounds)),
        ):
            for row in group:
                rows.append(row)
                print(
                    f"{row.what}: {row.ours} / {row.theirs}: {row.result} ({row.bound})", flush=True
                )
    page = PAGE.format(rounds=rounds, table=table(rows), machine=machine())
    print(page)
    if arguments.output is not None:
        arguments.output.write_text(page)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
