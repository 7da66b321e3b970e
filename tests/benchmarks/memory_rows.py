"""Peak memory of one load or save, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from attrs import frozen
from format_cases import picture
from measuring import Row

from polystore import DiskConfig, Item, JpegOptions, TiffOptions, save
from polystore.discover import default_registry

PEAK = """
import {libraries}
from polystore import DiskConfig, Item, load, save
def peak():  # of this program alone: getrusage's would begin with its parent's
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
disk = DiskConfig(root={root!r})
"""

LOAD = """
load(disk)("warm{suffix}").unwrap()
before = peak()
load(disk)("large{suffix}").unwrap()
print(peak() - before)
"""

SAVE = """
def payload(length):
    return {payload}
large = payload(64)
save(disk)(Item("first{suffix}", payload(1))).unwrap()
before = peak()
save(disk)(Item("second{suffix}", large)).unwrap()
print(peak() - before)
"""

BOUND_OF_LOAD, BOUND_OF_SAVE = 1.10, 0.10  # of the array


@frozen
class Peak:
    """A format whose peak is measured: `libraries` are imported before, `payload` is Python."""

    format: str
    suffix: str
    libraries: str = "numpy"
    payload: str = "numpy.full((length, 1024, 1024), 7, numpy.uint16)"


MAPPING = "dict(a=numpy.full((length, 1024, 1024), 7, numpy.uint16))"
TENSOR = "torch.full((length, 1024, 1024), 7, dtype=torch.int16)"

PEAKS = (
    Peak("npy", ".npy"),
    Peak("npz", ".npz", payload=MAPPING),
    Peak("pt", ".pt", "torch", TENSOR),
    Peak("safetensors", ".safetensors", "numpy, safetensors.numpy", MAPPING),
    Peak(
        "tf", ".tf", "tensorflow, numpy", "tensorflow.fill((length, 1024, 1024), numpy.uint16(7))"
    ),
    Peak("tiff", ".tif", "tifffile, numpy"),
    Peak("ome-tiff", ".ome.tif", "tifffile, numpy"),
    Peak("bmp", ".bmp", payload="numpy.full((length * 1024, 2048), 7, numpy.uint8)"),
)
"""What is stored as it is: 128 MB of it, saved and loaded."""


def memory_rows(folder: Path) -> Iterator[Row]:
    """Give the peak of each format's save and load, and of the loads of compressed images."""
    known = {entry.key.name for entry in default_registry().entries().formats}
    for case in PEAKS:
        if case.format not in known:
            print(f"left out: memory of {case.format}", file=sys.stderr)
            continue
        root = folder / "memory" / case.format
        over = measured(SAVE, root, case)
        yield row(f"peak memory of save above the array, 128 MB {case.suffix}", over, BOUND_OF_SAVE)
        for name, saved in (("warm", "first"), ("large", "second")):
            (root / f"{saved}{case.suffix}").rename(root / f"{name}{case.suffix}")
        yield row(
            f"peak memory of load, 128 MB {case.suffix}", measured(LOAD, root, case), BOUND_OF_LOAD
        )
        (root / f"large{case.suffix}").unlink()
    yield from compressed(folder / "memory" / "compressed")


def compressed(root: Path) -> Iterator[Row]:
    image = picture(6688, 6688)
    noise = np.random.default_rng(0).integers(0, 256, image.shape, np.uint8)
    stack = np.random.default_rng(0).integers(0, 64, (64, 1024, 1024), np.uint16)
    for name, suffix, large, options in (
        ("deflated TIFF", ".tif", stack, TiffOptions(compression="deflate")),
        ("JPEG", ".jpg", image, JpegOptions(quality=95)),
        ("PNG", ".png", image, None),
        ("PNG of noise", ".png", noise, None),
    ):
        disk = DiskConfig(root=root / name)
        for key, part in ((f"warm{suffix}", large[:8, :64]), (f"large{suffix}", large)):
            saved = save(disk, options=options)(Item(key, part)).unwrap()
        libraries = "tifffile, imagecodecs" if suffix == ".tif" else "imagecodecs"
        over = measured(LOAD, root / name, Peak("", suffix, libraries))
        stored = f"{saved.nbytes / large.nbytes:.2f}x on disk"
        yield row(f"peak memory of load, 128 MB {name}, {stored}", over, BOUND_OF_LOAD)


def measured(program: str, root: Path, case: Peak) -> float:
    """Run the program; give what its peak grew by, as a multiple of the array of 128 MB."""
    code = PEAK + program
    words = {"libraries": case.libraries, "payload": case.payload, "suffix": case.suffix}
    filled = code.format(root=str(root), **words)
    command = [sys.executable, "-W", "ignore", "-c", filled]
    output = subprocess.check_output(command, text=True, stderr=subprocess.PIPE)
    return int(output) / 2**27


def row(what: str, over: float, bound: float) -> Row:
    ours, words = f"{over:.2f}x the array", f"at most {bound:.2f}x"
    return Row(what, ours, "", f"{over:.2f}x", words, over <= bound)
