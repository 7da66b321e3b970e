"""A TIFF to OME-Zarr with all its resolutions, against ngff-zarr: time and peak memory.

Each conversion runs in a process of its own, after one of a small image, so that imports are not in
its time. The bound is on what ngff-zarr does unless it is told otherwise, as its pages do it; for
the record it is told to halve by the mean too, as polystore does.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import tifffile
from attrs import evolve
from measuring import MB, Rounds, Row, ratio

PEAK = """
import json, sys, time
def peak():  # of this program alone: getrusage's would begin with its parent's
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
folder, side = sys.argv[1:]
"""

OURS = """
from polystore import DiskConfig, ZarrConfig, ZarrLayout, compose, load, rename, save
disk = DiskConfig(root=folder)
zarr = ZarrConfig(root=side, layout=ZarrLayout.IMAGE)
def convert(name):
    compose(load(disk, lazy=True), rename(suffix=""), save(zarr))(name + ".tif").unwrap()
"""

THEIRS = """
import ngff_zarr
from ngff_zarr.cli_input_to_ngff_image import cli_input_to_ngff_image
def convert(name):
    image = cli_input_to_ngff_image(
        ngff_zarr.ConversionBackend.TIFFFILE, [folder + "/" + name + ".tif"]
    )
    scales = ngff_zarr.to_multiscales(image, **options)
    ngff_zarr.to_ngff_zarr(side + "/" + name, scales, version="0.5")
"""

DEFAULT = (
    THEIRS
    + """
options = {}
"""
)

BY_MEAN = (
    THEIRS
    + """
options = {"method": ngff_zarr.Methods.DASK_BIN_SHRINK}
"""
)

MEASURE = """
convert("small")
before = peak()
start = time.perf_counter()
convert("large")
print(json.dumps([time.perf_counter() - start, peak() - before]))
"""

FASTER, LEANER = 0.10, 1.0  # of their time, and of their memory


def image_rows(folder: Path, how: Rounds) -> Iterator[Row]:
    """Give the rows of 128 MB and of 1 GB; none where ngff-zarr is not installed."""
    if find_spec("ngff_zarr") is None:
        print("left out: TIFF to OME-Zarr, ngff-zarr is not installed", file=sys.stderr)
        return
    for count, name in ((64, "128 MB"), (512, "1 GB")):
        root = folder / f"images-{count}"
        root.mkdir()
        written(root / "small.tif", 2)
        written(root / "large.tif", count)
        # The longer, the less it matters what else the machine did: a round of theirs is minutes.
        rounds = range(min(3, how.rounds) if count == 64 else 1)
        found = [[measured(root, it) for it in (OURS, DEFAULT, BY_MEAN)] for _ in rounds]
        ours, default, by_mean = (min(times) for times in zip(*found, strict=True))
        what = f"{name} ImageJ TIFF to OME-Zarr 0.5, all resolutions / ngff-zarr"
        yield ratio(what, (ours[0], default[0]), FASTER)
        row = ratio(f"{what}, by the mean", (ours[0], by_mean[0]), None)
        yield evolve(row, bound="none: for the record")
        peaks = (max(each[0][1] for each in found), min(each[1][1] for each in found))
        mine, theirs = (f"{peak / MB:.0f} MB" for peak in peaks)
        shown = f"{peaks[0] / peaks[1]:.2f}x"
        bound = f"at most {LEANER:.2f}x"
        is_met = peaks[0] <= LEANER * peaks[1]
        yield Row(f"peak memory of that, {name}", mine, theirs, shown, bound, is_met)


def written(path: Path, count: int) -> None:
    """Write a stack as of a microscope: cells with the noise of a camera, of 12 bits."""
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[:1024, :1024]
    stack = np.empty((count, 1024, 1024), np.uint16)
    for number, plane in enumerate(stack):
        cells = 400 + 300 * np.sin(columns / 90 + number / 9) * np.cos(rows / 70)
        noise = rng.standard_normal(plane.shape, np.float32) * 20
        plane[...] = np.clip(cells + noise, 0, 4095)
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "ZYX"})


def measured(root: Path, program: str) -> tuple[float, float]:
    """Give the seconds and the peak of a conversion, into a folder that is new."""
    target = root / "target"
    target.mkdir()
    code = PEAK + program + MEASURE
    command = [sys.executable, "-W", "ignore", "-c", code, str(root), str(target)]
    output = subprocess.check_output(command, text=True, stderr=subprocess.PIPE)
    seconds, peak = json.loads(output.splitlines()[-1])
    shutil.rmtree(target)
    return seconds, peak
