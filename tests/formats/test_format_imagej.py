"""ImageJ itself opens what is written for it, and what it saves is read: with `imagej -b`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from bytes_source import joined, source_of
from numpy.typing import NDArray

from polystore.configs import TiffOptions
from polystore.core.item import Item, Metadata
from polystore.core.records import Limits
from polystore.formats.tiff import OME_TIFF_CODEC, TIFF_CODEC

MISSING = [tool for tool in ("imagej", "xvfb-run") if shutil.which(tool) is None]

needs_imagej = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

REPORT = """
function report(name) {
    open(folder + name);
    getVoxelSize(width, height, depth, unit);
    Stack.getDimensions(columns, rows, channels, slices, frames);
    print("file", name, bitDepth());
    print("voxel", width, height, depth, unit, Stack.getFrameInterval());
    print("dimensions", columns, rows, channels, slices, frames);
    for (plane = 1; plane <= nSlices; plane++) {
        setSlice(plane);
        print("plane", getPixel(1, 2), getInfo("slice.label"));
    }
}
"""


def macro(folder: Path, lines: str) -> list[str]:
    """Run a macro in ImageJ, without a screen, and give what it prints."""
    path = folder / "macro.ijm"
    path.write_text(f'folder = "{folder}/";\n{REPORT}\nprint("begin");\n{lines}\nprint("end");\n')
    done = subprocess.run(  # `timeout` ends Java, too; the launcher's exit status is always 1
        ["timeout", "-k", "5", "100", "xvfb-run", "-a", "imagej", "-b", str(path)],
        env={**os.environ, "HOME": str(folder), "JAVA_TOOL_OPTIONS": "-Dfile.encoding=UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    printed = done.stdout.splitlines()
    assert printed[-1:] == ["end"], (done.stdout, done.stderr)
    return printed[printed.index("begin") + 1 : -1]


STACK: NDArray[Any] = np.arange(3 * 4 * 2 * 5 * 6).reshape(3, 4, 2, 5, 6)
KNOWN = Metadata(
    axes=("t", "z", "c", "y", "x"),
    scale=(2.5, 0.7, 1.0, 0.325, 0.65),
    unit=("second", "micrometer", "", "micrometer", "micrometer"),
    channel_names=("DAPI", "Größe"),
    attributes={"well": "A01", "gain": [1, 2.5, None]},
)
RGB: NDArray[Any] = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
Compression = Literal["none", "deflate", "lzw", "packbits"]

WRITTEN: dict[str, tuple[NDArray[Any], Compression]] = {
    "16.tif": (STACK.astype(np.uint16), "none"),
    "big.tif": (STACK.astype(">u2"), "none"),
    "8.tif": (STACK.astype(np.uint8), "packbits"),
    "32.tif": (STACK.astype(np.float32), "lzw"),
    "zip.tif": (STACK.astype(np.uint16), "deflate"),
}


@needs_imagej
def test_imagej_sees_what_is_known(tmp_path: Path) -> None:
    for name, (array, compression) in WRITTEN.items():
        options = TiffOptions(compression=compression, kind="imagej")
        encoded = TIFF_CODEC.encode(Item(name, array, KNOWN), options).unwrap()
        (tmp_path / name).write_bytes(joined(encoded))
    lines = macro(tmp_path, "\n".join(f'report("{name}");' for name in WRITTEN))
    assert len(lines) == len(WRITTEN) * (3 + 24), lines
    for number, (name, (array, compression)) in enumerate(WRITTEN.items()):
        file, voxel, dimensions, *planes = lines[27 * number : 27 * (number + 1)]
        assert file == f"file {name} {8 * array.itemsize}"
        assert voxel == "voxel 0.65 0.325 0.7 microns 2.5"
        assert dimensions == "dimensions 6 5 2 4 3"
        values = [float(line.split()[1]) for line in planes]
        assert values == array[..., 2, 1].ravel().tolist()
        # Of compressed stacks, ImageJ reads the label of no plane.
        names = ["DAPI", "Größe"] if compression == "none" else ["", ""]
        assert [line.split(" ", 2)[2] for line in planes] == names * 12


@needs_imagej
def test_what_imagej_saves_is_read(tmp_path: Path) -> None:
    array = STACK.astype(np.uint16)
    encoded = TIFF_CODEC.encode(Item("x", array, KNOWN), None).unwrap()
    (tmp_path / "ours.tif").write_bytes(joined(encoded))
    (tmp_path / "rgb.tif").write_bytes(
        joined(TIFF_CODEC.encode(Item("x", RGB), TiffOptions(kind="imagej")).unwrap())
    )
    (tmp_path / "ours.ome.tif").write_bytes(
        joined(OME_TIFF_CODEC.encode(Item("x", array, KNOWN), None).unwrap())
    )
    lines = """
        open(folder + "ours.tif");
        run("Add...", "value=3 stack");
        setVoxelSize(0.5, 0.25, 2, "nm");
        Stack.setFrameInterval(0.125);
        saveAs("Tiff", folder + "saved.tif");
        open(folder + "rgb.tif");
        saveAs("Tiff", folder + "saved-rgb.tif");
        open(folder + "ours.ome.tif");
        print("planes", nSlices);
    """
    assert macro(tmp_path, lines) == ["planes 24"]
    got = TIFF_CODEC.decode(source_of((tmp_path / "saved.tif").read_bytes()), Limits()).unwrap()
    assert np.array_equal(got.payload, array + 3)
    assert got.metadata == Metadata(
        axes=("t", "z", "c", "y", "x"),
        scale=(0.125, 2.0, 1.0, 0.25, 0.5),
        unit=("second", "nanometer", "", "nanometer", "nanometer"),
        channel_names=("DAPI", "Größe"),
    )
    rgb = TIFF_CODEC.decode(source_of((tmp_path / "saved-rgb.tif").read_bytes()), Limits()).unwrap()
    assert np.array_equal(rgb.payload, RGB)
    assert rgb.metadata.axes == ("y", "x", "c")
