"""An array of any framework in a file of any format: the same bits come back, or it was refused."""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path

import jax
import numpy as np
import pytest
from everything import FORMATS, FRAMEWORKS, HostArray, Kind, bits, has_cuda, passed_through
from hypothesis import example, given, seed, settings
from numpy.typing import NDArray

from polystore import NPY, DiskConfig, Item, Lossy, is_successful, load, save
from polystore.testing.arrays import EVERY_DTYPE, arrays, filled

OLD = b"what was there before"
SHAPES = ((4, 5), (3, 4, 3))

needs_cuda = pytest.mark.skipif(not has_cuda(), reason="needs CuPy and a CUDA device")


def marked(name: str) -> list[pytest.MarkDecorator]:
    return [needs_cuda] if name == "cupy" else []


of_every_framework = pytest.mark.parametrize(
    "framework", [pytest.param(name, marks=marked(name)) for name in FRAMEWORKS]
)
of_every_kind = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=marked(kind.name), id=kind.name) for kind in FORMATS]
)


def comes_back_or_nothing_was_written(kind: Kind, framework: str, array: HostArray) -> None:
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


@of_every_framework
@of_every_kind
def test_the_same_bits_come_back_or_nothing_was_written(kind: Kind, framework: str) -> None:
    @settings(max_examples=max(10, settings().max_examples // 2))
    @given(array=arrays())
    @example(array=np.array([2**40 + 5]))
    @example(array=np.array([np.nan, -0.0, 5e-324, np.inf]).reshape(2, 2))
    @example(array=np.zeros((0, 3), np.uint8))
    @example(array=np.zeros((), np.float32))
    @example(array=np.arange(12, dtype=np.uint8).reshape(2, 2, 3)[::-1, ::-1])
    @example(array=np.arange(12, dtype=">u2").reshape(3, 4).T)
    def each(array: NDArray[np.generic]) -> None:
        comes_back_or_nothing_was_written(kind, framework, array)

    if settings().derandomize:  # by the function alone, and so to the same arrays in every case
        each = seed(zlib.crc32(f"{kind} {framework}".encode()))(each)
    each()


@of_every_framework
@of_every_kind
def test_every_dtype_in_every_order(kind: Kind, framework: str) -> None:
    for number, dtype in enumerate(EVERY_DTYPE):
        for shape in SHAPES:
            array = filled(number, dtype, shape)
            strided = np.repeat(array, 2, axis=-1)[::-1, ..., ::2]
            for laid_out in (array, np.asfortranarray(array), strided):
                comes_back_or_nothing_was_written(kind, framework, laid_out)


@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_without_x64_jax_refuses_the_load_and_the_file_is_whole(tmp_path: Path, dtype: str) -> None:
    disk = DiskConfig(root=tmp_path)
    array = filled(7, np.dtype(dtype), (4, 5))
    with jax.enable_x64(False):
        save(disk)(Item("a.jax", array)).unwrap()
        assert isinstance(load(disk)("a.jax").failure(), Lossy)
        assert bits(load(disk, format=NPY)("a.jax").unwrap().payload) == bits(array)
