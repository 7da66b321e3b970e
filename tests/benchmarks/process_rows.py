"""What a hand-over to JAX and PyTorch takes, and an import in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from attrs import evolve
from measuring import Rounds, Row, in_words, ratio, seconds

from polystore import DiskConfig, convert, load


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
