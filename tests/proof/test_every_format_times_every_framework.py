"""An array of any framework in a file of any format: the same bits come back, or it was refused."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from everything import FORMATS, FRAMEWORKS, Kind, bits, has_cuda, passed_through
from hypothesis import example, given, settings
from numpy.typing import NDArray

from polystore import DiskConfig, is_successful
from strategies import arrays

OLD = b"what was there before"

needs_cuda = pytest.mark.skipif(not has_cuda(), reason="needs CuPy and a CUDA device")


def marked(name: str) -> list[pytest.MarkDecorator]:
    return [needs_cuda] if name == "cupy" else []


@pytest.mark.parametrize("framework", [pytest.param(n, marks=marked(n)) for n in FRAMEWORKS])
@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=marked(k.name), id=k.name) for k in FORMATS]
)
@settings(max_examples=max(10, settings().max_examples // 2))
@given(array=arrays())
@example(array=np.array([2**40 + 5]))
@example(array=np.array([np.nan, -0.0, 5e-324, np.inf]).reshape(2, 2))
@example(array=np.zeros((0, 3), np.uint8))
@example(array=np.zeros((), np.float32))
@example(array=np.arange(12, dtype=np.uint8).reshape(2, 2, 3)[::-1, ::-1])
@example(array=np.arange(12, dtype=">u2").reshape(3, 4).T)
def test_the_same_bits_come_back_or_nothing_was_written(
    kind: Kind, framework: str, array: NDArray[np.generic]
) -> None:
    before = array.tobytes() if not array.dtype.hasobject else None
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"a{kind.suffix}"
        path.write_bytes(OLD)
        outcome = passed_through(array, framework, kind, DiskConfig(root=name))
        assert [entry.name for entry in Path(name).iterdir()] == [path.name]
        if is_successful(outcome):
            assert bits(outcome.unwrap()) == bits(np.asarray(array))
        else:
            assert path.read_bytes() == OLD
            assert type(outcome.failure()).__name__ in {"UnsupportedPayload", "Lossy"}
    assert before is None or array.tobytes() == before
