"""Writing a lazy array takes little memory, however large the array."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, resource, sys
import numpy as np
import numcodecs.blosc, google_crc32c
from polystore import LazyArray, Success, ZarrConfig
from polystore.backends.zarr.elements.plan import array_plan
from polystore.backends.zarr.elements.writing import write_elements
from polystore.backends.zarr.folder.files import new_files
from polystore.core.payload import ArraySpec

folder, blocks, axes = sys.argv[1], tuple(map(int, sys.argv[2].split(","))), sys.argv[3]
shape = tuple(map(int, sys.argv[4].split(",")))
spec = ArraySpec(shape, "uint16", tuple(axes), blocks)

def read(region):
    lengths = [len(range(*each.indices(length))) for each, length in zip(region, shape)]
    return Success(np.full(lengths, region[0].start, "u2"))

plan = array_plan(spec, np.dtype("u2"), ZarrConfig(root="/data"), {}).unwrap()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fd = os.open(folder, os.O_RDONLY)
with new_files(fd) as files:
    write_elements(files, plan.meta, LazyArray(spec, read)).unwrap()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""

MOST = 250 * 2**10
"""KiB: what the issue of a whole conversion allows, less what reading a file takes."""


@pytest.mark.parametrize(
    ("shape", "blocks", "axes"),
    [
        ((24000, 24000), (16, 24000), "yx"),  # a large image in strips as wide as it is
        ((2, 16384, 16384), (1, 16384, 16384), "cyx"),  # planes that are read whole, if at all
    ],
)
def test_a_gigabyte_is_written_in_little_memory(
    tmp_path: Path, shape: tuple[int, ...], blocks: tuple[int, ...], axes: str
) -> None:
    lengths = [",".join(map(str, each)) for each in (blocks, shape)]
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), lengths[0], axes, lengths[1]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < MOST
