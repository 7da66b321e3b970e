"""Commands as they are typed, in this process, and the images that they are typed about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from attrs import frozen

from polystore import HostArray, Metadata, is_host_array, read, write
from polystore.cli.main import main

__all__ = ["NAMES", "STACK", "Said", "here", "pixels", "typed", "write_planes", "write_stack"]

NAMES = "{row}{column:02}_s{field}_w{channel}.tif"

STACK = np.arange(2 * 3 * 300 * 200, dtype=np.uint16).reshape(2, 3, 300, 200)

KNOWN = Metadata(
    axes=("c", "z", "y", "x"),
    scale=(1.0, 2.0, 0.5, 0.5),
    unit=("", "micrometer", "micrometer", "micrometer"),
    channel_names=("DAPI", "GFP"),
)


@frozen
class Said:
    """What a command ended with."""

    status: int
    out: str
    err: str


def typed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Said:
    """Type a command; give what it said and how it ended."""
    capsys.readouterr()
    status = main(arguments)
    said = capsys.readouterr()
    return Said(status, said.out, said.err)


def pixels(path: str) -> HostArray:
    """Give the array that is at a path."""
    payload = read(path).unwrap().payload
    assert is_host_array(payload)
    return payload


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_stack(path: str = "stack.ome.tif") -> HostArray:
    """Write an image of two channels and three planes."""
    write(path, STACK, metadata=KNOWN).unwrap()
    return STACK


def write_planes(folder: str = "tiffs", side: int = 32) -> dict[str, HostArray]:
    """Write the planes of two rows, two columns, two fields and two channels."""
    planes: dict[str, HostArray] = {}
    for number in range(16):
        row, column, field, channel = (number >> bit & 1 for bit in range(4))
        name = f"{'AB'[row]}{column + 1:02}_s{field + 1}_w{channel + 1}.tif"
        planes[name] = np.full((side, side), number, np.uint16)
        write(f"{folder}/{name}", planes[name]).unwrap()
    return planes
