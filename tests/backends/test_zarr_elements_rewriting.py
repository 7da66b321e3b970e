"""Parts of Zarr arrays that are there, written anew."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
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
    filled,
    loaded,
    planned,
    same,
    stored,
)

from polystore import Corrupt, HostArray, ZarrConfig, is_successful
from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.interpret import array_meta
from polystore.backends.zarr.elements.plan import ArrayPlan
from polystore.backends.zarr.elements.reading import read_elements
from polystore.backends.zarr.elements.writing import rewrite, write_elements
from polystore.core.region import region_of, whole


@given(arrays_and_configs(), st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_part_that_is_written_equals_numpys(
    made: tuple[HostArray, ZarrConfig], data: st.DataObject
) -> None:
    array, config = made
    zarr_format: Literal[2, 3] = 2 if not config.shards and data.draw(st.booleans()) else 3
    plan, content = stored(array, config, zarr_format)
    starts = [data.draw(st.integers(0, length)) for length in array.shape]
    box = tuple(
        range(start, data.draw(st.integers(start, length)))
        for start, length in zip(starts, array.shape, strict=True)
    )
    part = filled(tuple(map(len, box)), array.dtype, 1000)
    changed: dict[str, bytes] = {}
    rewrite(memory_files(content), memory_files(changed), plan.meta, box, part).unwrap()
    expected = array.copy()
    expected[region_of(box) if box else ...] = part
    assert changed.keys() == {plan.meta.file_name(place) for place in plan.meta.grid.files_in(box)}
    assert same(loaded(plan, {**content, **changed}), expected)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_part_of_strings_is_rewritten(zarr_format: Literal[2, 3]) -> None:
    plan, content = stored(STRINGS, ZarrConfig(root="/data", chunks=(1, 2)), zarr_format)
    changed: dict[str, bytes] = {}
    part = np.array([["new"]], np.dtypes.StringDType())
    box = (range(1, 2), range(1))
    rewrite(memory_files(content), memory_files(changed), plan.meta, box, part).unwrap()
    assert len(changed) == 1
    assert loaded(plan, {**content, **changed}).tolist() == [["a", ""], ["new", "\U0001f600"]]


def part_of_tiled() -> tuple[ArrayPlan, dict[str, bytes], HostArray]:
    array = counted((5, 40, 50))
    return *stored(array, TILED), array


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_chunks_that_stay_are_copied_as_they_are() -> None:
    plan, content, array = part_of_tiled()
    part = array[:2, :16, :16] + np.uint16(1)
    # What is damaged outside of the part does not matter to it, and is not mended by it either.
    before = {**content, "c/0/0/0": flipped(content["c/0/0/0"], -300)}
    box = (range(2), range(16), range(16))
    for old in (content, before):
        changed: dict[str, bytes] = {}
        rewrite(memory_files(old), memory_files(changed), plan.meta, box, part).unwrap()
        assert list(changed) == ["c/0/0/0"]
        files = memory_files({**old, **changed})
        assert same(read_elements(files, plan.meta, box, LIMIT).outcome.unwrap(), part)
        rest = (range(2, 4), range(32), range(48))
        found = read_elements(files, plan.meta, rest, LIMIT).outcome
        assert is_successful(found) == (old is content)


def test_what_was_there_before_takes_no_room() -> None:
    plan, content, array = part_of_tiled()
    box = (range(1, 3), range(5, 40), range(50))
    changed: dict[str, bytes] = {}
    part = array[1:3, 5:]
    rewrite(memory_files(content), memory_files(changed), plan.meta, box, part).unwrap()
    assert changed
    assert all(len(each) == len(content[name]) for name, each in changed.items())


def test_what_must_be_read_and_is_damaged_is_corrupt() -> None:
    plan, content, array = part_of_tiled()
    box = (range(1), range(40), range(50))  # half of each of its chunks
    damaged = [flipped(content["c/0/0/0"], 20), flipped(content["c/0/0/0"], -6), b"", None]
    for each in damaged:
        old = {name: it for name, it in content.items() if name != "c/0/0/0"}
        if each is not None:
            old["c/0/0/0"] = each
        found = rewrite(memory_files(old), memory_files({}), plan.meta, box, array[:1])
        assert isinstance(found.failure(), Corrupt)
        assert "c/0/0/0" in found.failure().message


def test_files_that_are_wholly_new_are_not_read() -> None:
    plan, content, array = part_of_tiled()
    changed: dict[str, bytes] = {}
    box = whole(array.shape)
    rewrite(memory_files({}), memory_files(changed), plan.meta, box, array).unwrap()
    assert same(loaded(plan, {**content, **changed}), array)


def test_an_index_at_the_start_stays_there() -> None:
    array = counted((5, 40, 50))
    text = planned(array, TILED).documents["zarr.json"].decode()
    document = text.replace('"index_location": "end"', '"index_location": "start"').encode()
    found = documents_in(memory_files({"zarr.json": document})).unwrap()
    assert found is not None
    meta = array_meta(found).unwrap()
    content: dict[str, bytes] = {"zarr.json": document}
    write_elements(memory_files(content), meta, array).unwrap()
    assert by_zarr_python(content).tolist() == array.tolist()
    changed: dict[str, bytes] = {}
    box = (range(1, 3), range(5, 40), range(7))
    part = array[1:3, 5:, :7] + np.uint16(1)
    rewrite(memory_files(content), memory_files(changed), meta, box, part).unwrap()
    array[1:3, 5:, :7] = part
    assert by_zarr_python({**content, **changed}).tolist() == array.tolist()
