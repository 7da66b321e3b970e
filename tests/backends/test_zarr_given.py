"""Lazy arrays that do not do as they say, arrays that nobody can write, and masks: all are said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice, product
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from polystore import (
    ArraySpec,
    Corrupt,
    Failure,
    FunctionFailed,
    HostArray,
    Item,
    LazyArray,
    Lossy,
    MapBlocks,
    Outcome,
    Region,
    Saved,
    StorageError,
    Success,
    TooLarge,
    UnsupportedPayload,
    ZarrConfig,
    ZarrLayout,
    compose,
    copy,
    exists,
    load,
    map_blocks,
    save,
)
from polystore.backends.zarr.elements.grid import covered
from polystore.backends.zarr.ome.tiling import Tiling

ARRAY = np.arange(64 * 64, dtype="u2").reshape(64, 64)
SPEC = ArraySpec((64, 64), "uint16", ("y", "x"), (16, 16))

Read = Callable[[Region], Outcome[HostArray]]


@pytest.fixture(params=[ZarrLayout.ARRAY, ZarrLayout.IMAGE])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> ZarrConfig:
    layout = cast("ZarrLayout", request.param)
    return ZarrConfig(root=str(tmp_path / "store"), layout=layout)


def saved(config: ZarrConfig, spec: ArraySpec, read: Read) -> Outcome[Saved]:
    return save(config)(Item("a", LazyArray(spec, read)))


def broken(_region: Region) -> Outcome[HostArray]:
    raise ZeroDivisionError("division by zero")


def giving(made: Callable[[HostArray], object]) -> Read:
    """Give a read of what is made of the region."""
    return lambda region: Success(cast("HostArray", made(ARRAY[region])))


def answering(given: object) -> Read:
    return lambda region: cast("Outcome[HostArray]", given)


good = giving(np.copy)


@pytest.mark.parametrize("axes", [("y", "x"), ("x", "y")])
@pytest.mark.parametrize(
    ("read", "kind", "words"),
    [
        (broken, FunctionFailed, "ZeroDivisionError: division by zero"),
        (answering("text"), Corrupt, "gave a str, and no Success or Failure"),
        (answering(None), Corrupt, "gave a NoneType"),
        (answering(Failure("text")), Corrupt, "a Failure of a str"),
        (giving(lambda part: [[1]]), Corrupt, "gave a list"),
        (giving(lambda part: part[:3]), Corrupt, "one of the shape (3, 64)"),
        (giving(lambda part: part.astype("f4")), Corrupt, "dtype float32"),
        (giving(lambda part: np.ma.masked_array(part, part < 3)), Lossy, "its mask"),
    ],
)
def test_what_a_lazy_array_does_wrong_is_said_of_it(
    config: ZarrConfig, axes: tuple[str, ...], read: Read, kind: type[StorageError], words: str
) -> None:
    error = saved(config, evolve(SPEC, axes=axes), read).failure()
    assert isinstance(error, kind)
    assert words in error.message
    assert error.key == "a"
    assert not exists(config, "a").unwrap()


@pytest.mark.parametrize(
    "read", [giving(lambda part: part.astype(">u2")), giving(np.ma.masked_array)]
)
def test_another_byte_order_and_a_mask_of_nothing_are_taken(config: ZarrConfig, read: Read) -> None:
    saved(config, SPEC, read).unwrap()
    found = load(config)("a").unwrap().payload
    assert type(found) is np.ndarray
    assert found.dtype == ARRAY.dtype
    assert np.array_equal(found, ARRAY)


@pytest.mark.parametrize(
    "spec",
    [
        evolve(SPEC, blocks=(1,)),
        evolve(SPEC, blocks=(0, 16)),
        evolve(SPEC, shape=(-1, 64)),
        evolve(SPEC, shape=cast("tuple[int, ...]", (64.0, 64))),
        evolve(SPEC, dtype=cast("str", None)),
        evolve(SPEC, dtype="u2,,"),
    ],
)
def test_a_spec_that_is_none_is_refused(config: ZarrConfig, spec: ArraySpec) -> None:
    error = saved(config, spec, good).failure()
    assert isinstance(error, UnsupportedPayload)


def test_the_numbers_of_a_spec_may_be_those_of_numpy(config: ZarrConfig) -> None:
    lengths = cast("tuple[int, ...]", tuple(np.array(ARRAY.shape)))
    spec = evolve(SPEC, shape=lengths, blocks=lengths)
    saved(config, spec, good).unwrap()
    assert np.array_equal(np.asarray(load(config)("a").unwrap().payload), ARRAY)


def test_a_mask_that_a_function_of_blocks_makes_is_not_lost(
    config: ZarrConfig, tmp_path: Path
) -> None:
    source = ZarrConfig(root=str(tmp_path / "source"))
    save(source)(Item("a", ARRAY)).unwrap()

    def masked(block: HostArray) -> HostArray:
        return np.ma.masked_array(block, block < 3)

    step: MapBlocks = map_blocks(masked)
    error = compose(load(source, lazy=True), step, save(config))("a").failure()
    assert isinstance(error, Lossy)
    assert "its mask would be lost" in error.message
    assert not exists(config, "a").unwrap()


HUGE_2 = {
    "zarr_format": 2,
    "shape": [2**40, 2**40],
    "chunks": [16, 16],
    "dtype": "<u2",
    "compressor": None,
    "fill_value": 0,
    "order": "C",
    "filters": None,
}
HUGE_3 = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [2**40, 2**40],
    "data_type": "uint16",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [16, 16]}},
    "chunk_key_encoding": {"name": "default"},
    "fill_value": 0,
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
}


@pytest.mark.parametrize(("name", "document"), [(".zarray", HUGE_2), ("zarr.json", HUGE_3)])
def test_what_would_be_written_for_ever_is_refused(
    config: ZarrConfig, tmp_path: Path, name: str, document: dict[str, object]
) -> None:
    source = ZarrConfig(root=str(tmp_path / "theirs"))
    (tmp_path / "theirs" / "huge").mkdir(parents=True)
    (tmp_path / "theirs" / "huge" / name).write_text(json.dumps(document))
    error = compose(load(source, lazy=True), save(config))("huge").failure()
    assert isinstance(error, TooLarge)
    if name == ".zarray":  # the files of others, where they suit, are copied as they are
        assert isinstance(copy(source, "huge", "a", to=config).failure(), TooLarge)


def test_the_cells_and_tiles_of_any_array_come_one_by_one() -> None:
    first: Iterator[object] = covered((range(2**60), range(2**60)), (16, 16))
    assert list(islice(first, 2)) == [(0, 0), (0, 1)]
    tiles = Tiling((2**60, 2**60), (16, 16), 0, 0).boxes()
    assert next(tiles) == (range(16), range(16))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 4)), max_size=4))
def test_the_cells_of_a_box_are_in_their_order(axes: list[tuple[int, int, int]]) -> None:
    box = tuple(range(start, start + length) for start, length, _ in axes)
    steps = tuple(step for _, _, step in axes)
    touched = (sorted({n // step for n in part}) for part, step in zip(box, steps, strict=True))
    assert list(covered(box, steps)) == list(product(*touched))
