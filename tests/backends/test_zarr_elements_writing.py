"""The elements of new Zarr arrays: others read what we write, by whichever thread and way."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from itertools import product
from typing import Literal, cast

import numpy as np
import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zarr_files import memory_files
from zarr_written import (
    LIMIT,
    STRINGS,
    TILED,
    arrays_and_configs,
    by_zarr_python,
    counted,
    lazily,
    loaded,
    planned,
    same,
    stored,
)

from polystore import (
    Corrupt,
    FunctionFailed,
    HostArray,
    LazyArray,
    Outcome,
    Region,
    Success,
    Unavailable,
    ZarrConfig,
)
from polystore.backends.zarr.elements.reading import read_elements
from polystore.backends.zarr.elements.writing import array_writer, write_elements
from polystore.backends.zarr.tree import Files, Growing
from polystore.core.outcome import Failure
from polystore.core.payload import ArraySpec
from polystore.core.records import Buffer
from polystore.core.region import whole


@given(arrays_and_configs())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_what_we_write_zarr_python_reads(made: tuple[HostArray, ZarrConfig]) -> None:
    array, config = made
    _, content = stored(array, config)
    read = by_zarr_python(content)
    assert read.shape == array.shape
    # It gives the machine's byte order.
    assert read.astype(array.dtype).tobytes() == array.tobytes()


@given(arrays_and_configs())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_what_we_write_as_version_2_zarr_python_reads(made: tuple[HostArray, ZarrConfig]) -> None:
    array, config = made
    if config.shards == () or config.chunks is None or config.shards is None:
        _, content = stored(array, config, 2)
        read = by_zarr_python(content)
        assert read.shape == array.shape
        assert read.astype(array.dtype).tobytes() == array.tobytes()


@given(arrays_and_configs(), st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_lazy_equals_eager(made: tuple[HostArray, ZarrConfig], data: st.DataObject) -> None:
    array, config = made
    blocks = tuple(data.draw(st.integers(1, length + 1)) for length in array.shape)
    plan = planned(array, config)
    content: dict[str, bytes] = {}
    write_elements(memory_files(content), plan.meta, lazily(array, blocks)).unwrap()
    eager = stored(array, config)[1]
    assert {**content, **plan.documents}.keys() == eager.keys()
    assert same(loaded(plan, content), array)


def giving_way(files: Files) -> Files:
    """Let other threads go on after each write, so that what they share shows."""

    def create(path: str) -> Growing:
        growing = files.create(path)

        def append(buffers: Sequence[Buffer]) -> None:
            growing.append(buffers)
            time.sleep(1e-5)

        return Growing(append, growing.finish)

    return evolve(files, create=create)


@pytest.mark.parametrize("shards", [(4, 64, 64), ()])
@pytest.mark.parametrize("seed", range(3))
def test_threads_may_write_blocks_in_any_order(shards: tuple[int, ...], seed: int) -> None:
    array = counted((5, 60, 70))
    plan = planned(array, ZarrConfig(root="/data", chunks=(2, 4, 8), shards=shards))
    content: dict[str, bytes] = {}
    writer = array_writer(giving_way(memory_files(content)), plan.meta)
    blocks = product(range(0, 5, 2), range(0, 60, 8), range(0, 70, 16))
    starts = sorted(blocks, key=lambda start: hash((seed, start)))
    begin = threading.Barrier(4)

    def work(mine: list[tuple[int, int, int]]) -> None:
        begin.wait()
        for z, y, x in mine:
            writer.write((z, y, x), array[z : z + 2, y : y + 8, x : x + 16])

    threads = [threading.Thread(target=work, args=(starts[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.finish()
    assert same(loaded(plan, content), array)


def test_a_block_that_is_no_chunks_is_refused() -> None:
    array = counted((5, 40, 50))
    plan = planned(array, TILED)
    writer = array_writer(memory_files({}), plan.meta)
    for start, block in [
        ((1, 0, 0), array[:2]),  # begins inside a chunk
        ((0, 0, 0), array[:1]),  # ends inside one
        ((4, 0, 0), array[:2]),  # ends beyond the array
        ((0, 0, 0), array[:2].astype("u4")),
    ]:
        with pytest.raises(ValueError, match=r"block"):
            writer.write(start, block)


def test_a_file_that_lacks_chunks_is_ended_and_its_reader_told() -> None:
    array = counted((5, 40, 50))
    plan = planned(array, TILED)
    content: dict[str, bytes] = {}
    writer = array_writer(memory_files(content), plan.meta)
    writer.write((0, 0, 0), array[:2, :16, :16])
    assert not content
    writer.finish()
    assert list(content) == ["c/0/0/0"]
    found = read_elements(memory_files(content), plan.meta, whole(array.shape), LIMIT).outcome
    assert isinstance(found.failure(), Corrupt)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_strings_of_any_length_are_written(zarr_format: Literal[2, 3]) -> None:
    plan, content = stored(STRINGS, ZarrConfig(root="/data", chunks=(1, 2)), zarr_format)
    assert by_zarr_python(content).tolist() == STRINGS.tolist()
    lazy: dict[str, bytes] = {}
    write_elements(memory_files(lazy), plan.meta, lazily(STRINGS, (1, 1))).unwrap()
    assert loaded(plan, lazy).tolist() == STRINGS.tolist()


@pytest.mark.parametrize(
    "name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "int4"]
)
def test_dtypes_of_ml_dtypes_come_back(name: str) -> None:
    import ml_dtypes

    dtype = np.dtype(cast("str", getattr(ml_dtypes, name)))
    array = np.arange(6).reshape(2, 3).astype(dtype)
    plan, content = stored(array, ZarrConfig(root="/data"))
    assert same(loaded(plan, content), array)


def test_what_a_read_says_comes_back_as_it_is() -> None:
    error = Unavailable("a", None, "The disk is gone.", "Put it back.")
    array = counted((5, 40, 50))
    plan = planned(array, TILED)
    asked: list[Region] = []

    def read(region: Region) -> Outcome[HostArray]:
        asked.append(region)
        return Failure(error)

    lazy = LazyArray(ArraySpec(array.shape, "uint16", (), (1, 40, 50)), read)
    found = write_elements(memory_files({}), plan.meta, lazy)
    assert found.failure() is error
    assert len(asked) == 1


def written(raised: type[BaseException]) -> Outcome[None]:
    """Write a lazy array whose read raises in its second half."""
    array = np.zeros((64, 512, 512), "u2")  # large enough for threads
    plan = planned(array, ZarrConfig(root="/data"))

    def read(region: Region) -> Outcome[HostArray]:
        if region[0].start:
            raise raised
        return Success(array[region].copy())

    lazy = LazyArray(ArraySpec(array.shape, "uint16", (), (1, 512, 512)), read)
    return write_elements(memory_files({}), plan.meta, lazy)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ModuleNotFoundError])
def test_an_interrupt_of_a_read_and_a_package_that_it_lacks_are_raised(
    raised: type[BaseException],
) -> None:
    with pytest.raises(raised):
        written(raised)


@pytest.mark.parametrize("raised", [ZeroDivisionError, OSError, MemoryError])
def test_what_else_a_read_raises_is_a_value(raised: type[BaseException]) -> None:
    error = written(raised).failure()
    assert isinstance(error, FunctionFailed)
    assert raised.__name__ in error.message
    assert "in read" in error.traceback


@pytest.mark.parametrize("answer", [np.zeros((5, 40, 49), "u2"), np.zeros((5, 40, 50), "u4"), [1]])
def test_a_read_of_other_elements_than_it_says_is_corrupt(answer: object) -> None:
    array = counted((5, 40, 50))
    plan = planned(array, TILED)
    lazy = LazyArray(
        ArraySpec(array.shape, "uint16", (), (1, 40, 50)),
        lambda _: Success(cast("HostArray", answer)),
    )
    found = write_elements(memory_files({}), plan.meta, lazy)
    assert isinstance(found.failure(), Corrupt)
    assert "read([0:5, 0:40, 0:50])" in found.failure().message


def test_a_full_disk_is_raised_and_ends_the_writing() -> None:
    array = np.zeros((64, 512, 512), "u2")
    plan = planned(array, ZarrConfig(root="/data", shards=()))

    def no_room(_path: str) -> Growing:
        raise OSError(28, "No space left on device")

    files = evolve(memory_files({}), create=no_room)
    for source in (array, lazily(array, (1, 512, 512))):
        with pytest.raises(OSError, match="No space"):
            write_elements(files, plan.meta, source)


def test_each_block_of_strips_is_read_but_once() -> None:
    array = counted((3, 3000, 700))
    plan = planned(array, ZarrConfig(root="/data", chunks=(1, 256, 256)))
    rows: list[tuple[int, int]] = []

    def read(region: Region) -> Outcome[HostArray]:
        z, y, x = region
        assert (x.start, x.stop) == (0, 700)
        rows.extend(
            (plane, strip)
            for plane in range(z.start, z.stop)
            for strip in range(y.start // 16, -(-y.stop // 16))
        )
        return Success(array[region].copy())

    lazy = LazyArray(ArraySpec(array.shape, "uint16", (), (1, 16, 700)), read)
    content: dict[str, bytes] = {}
    write_elements(memory_files(content), plan.meta, lazy).unwrap()
    assert sorted(rows) == list(product(range(3), range(188)))
    assert same(loaded(plan, content), array)
