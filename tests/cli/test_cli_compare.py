"""`polystore verify`: it finds every bit that differs, and nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from commands_typed import NAMES, STACK, here, typed, write_planes, write_stack
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from polystore import (
    HostArray,
    Item,
    Metadata,
    ZarrConfig,
    ZarrLayout,
    delete,
    save,
    write,
)
from polystore.cli.comparing import BLOCK_BYTES, BLOCK_MAX, blocks, compared, paired

__all__ = ["here"]

pytestmark = pytest.mark.usefixtures("here")

Capsys = pytest.CaptureFixture[str]

numbers = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(),
    npst.floating_dtypes(sizes=(32, 64)),
    npst.complex_number_dtypes(),
)
arrays = npst.arrays(numbers, npst.array_shapes(min_dims=1, max_dims=4, max_side=5))


def difference(one: str, other: str) -> str:
    pairing = paired(one, other, None).unwrap()
    assert len(pairing.pairs) == 1
    found = compared(pairing, pairing.pairs[0], lambda: False, lambda _: None)
    return found.unwrap().difference


@settings(max_examples=30, deadline=None)
@given(arrays, st.data())
def test_the_first_bit_that_differs_is_found_where_it_is(
    array: HostArray, data: st.DataObject
) -> None:
    assume(array.size)
    with tempfile.TemporaryDirectory() as folder:
        write(f"{folder}/a.npy", array).unwrap()
        write(f"{folder}/a.zarr", array).unwrap()
        assert difference(f"{folder}/a.npy", f"{folder}/a.zarr") == ""
        place = data.draw(st.integers(0, array.nbytes - 1))
        other = array.copy()
        other.reshape(-1).view("u1")[place] ^= 1 << data.draw(st.integers(0, 7))
        assume(array.dtype != np.bool_)  # which has no other bits
        write(f"{folder}/b.zarr", other).unwrap()
        index = tuple(map(int, np.unravel_index(place // array.itemsize, array.shape)))
        found = difference(f"{folder}/a.npy", f"{folder}/b.zarr")
        assert found.startswith(f"the first difference is at {index}: ")


@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=4),
    st.lists(st.integers(1, 3000), min_size=4, max_size=4),
    st.sampled_from([1, 2, 8]),
)
def test_blocks_cover_everything_once_in_bounded_memory(
    shape: list[int], natural: list[int], itemsize: int
) -> None:
    cut = tuple(min(a, b) for a, b in zip(natural, shape, strict=False))
    total = int(np.prod(shape, dtype=object))
    count = 0
    for region in blocks(tuple(shape), cut, itemsize):
        lengths = [part.stop - part.start for part in region]
        size = int(np.prod(lengths, dtype=object))
        assert size * itemsize <= max(BLOCK_BYTES, BLOCK_MAX)
        count += size
        if total // size > 1000:  # many small blocks: those looked at are as large as allowed
            return
    assert count == total


def test_equal_whatever_they_are_stored_as(capsys: Capsys) -> None:
    write_stack()
    typed(capsys, "copy", "stack.ome.tif", "i.zarr", "--layout", "image")
    said = typed(capsys, "verify", "stack.ome.tif", "i.zarr")
    assert (said.status, said.err) == (0, "")
    assert said.out == "stack.ome.tif and i.zarr are equal, bit for bit.\n"


def test_one_element_and_both_values_are_named(capsys: Capsys) -> None:
    write_stack()
    other = STACK.copy()
    other[1, 2, 250, 7] ^= 1
    other[1, 2, 299, 7] ^= 1
    write("b.zarr", other, metadata=Metadata(axes=("c", "z", "y", "x"))).unwrap()
    said = typed(capsys, "verify", "stack.ome.tif", "b.zarr")
    assert said.status == 1
    was = STACK[1, 2, 250, 7]
    assert f"the first difference is at (1, 2, 250, 7): {was} and {was ^ 1}" in said.out
    assert "metadata: scale differs in 1 item" in said.out


def test_nan_is_itself_and_zero_has_a_sign(capsys: Capsys) -> None:
    np.save("a.npy", np.array([np.nan, 0.0]))
    write("a.zarr", np.array([np.nan, 0.0])).unwrap()
    write("b.zarr", np.array([np.nan, -0.0])).unwrap()
    assert typed(capsys, "verify", "a.npy", "a.zarr").status == 0
    said = typed(capsys, "verify", "a.npy", "b.zarr")
    assert (said.status, "at (1,): 0.0 and -0.0" in said.out) == (1, True)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (np.zeros((2, 3), "u1"), "the dtype is uint16 and uint8"),
        (np.zeros((3, 2), "u2"), "the shape is (2, 3) and (3, 2)"),
        (np.zeros(6, "u2"), "the shape is (2, 3) and (6,)"),
    ],
)
def test_another_dtype_or_shape(capsys: Capsys, other: HostArray, sentence: str) -> None:
    np.save("a.npy", np.zeros((2, 3), "u2"))
    np.save("b.npy", other)
    said = typed(capsys, "verify", "a.npy", "b.npy")
    assert (said.status, sentence in said.out) == (1, True)


def test_folders_item_by_item(capsys: Capsys) -> None:
    planes = write_planes()
    typed(capsys, "copy", "tiffs", "s.zarr")
    typed(capsys, "copy", "tiffs", "p.zarr", "--layout", "plate", "--names", NAMES)
    assert typed(capsys, "verify", "tiffs", "s.zarr").status == 0
    assert typed(capsys, "verify", "p.zarr", "tiffs", "--names", NAMES).status == 0
    assert typed(capsys, "verify", "p.zarr", "s.zarr", "--names", NAMES).status == 0
    one, two, *_ = planes
    Path("tiffs", one).unlink()
    write(f"tiffs/{two}", planes[two] + 1, if_exists="replace").unwrap()
    said = typed(capsys, "verify", "tiffs", "s.zarr")
    assert said.status == 1
    assert f"{one}: only in s.zarr" in said.out
    assert f"{two}: the first difference is at (0, 0)" in said.out
    assert said.out.endswith("tiffs and s.zarr differ.\n")
    Path("tiffs/notes.txt").write_text("seen")
    said = typed(capsys, "verify", "p.zarr", "tiffs", "--names", NAMES)
    assert "not compared: 1 file (.txt)" in said.out


def test_labels_are_compared_and_missing_ones_differ(capsys: Capsys) -> None:
    """And a copy that is made anew has them."""
    images = ZarrConfig(root="a.zarr", layout=ZarrLayout.IMAGE)
    known = Metadata(axes=("c", "z", "y", "x"))
    save(images)(Item("img", STACK, known)).unwrap()
    for name in ("cells", "nuclei"):
        save(images)(Item(f"img/labels/{name}", STACK % 5, known)).unwrap()
    typed(capsys, "copy", "a.zarr", "b.zarr")
    typed(capsys, "copy", "a.zarr/img", "c.zarr", "--chunks", "1,1,64,64", "--layout", "image")
    for one, other in (("a.zarr", "b.zarr"), ("a.zarr/img", "c.zarr")):
        assert typed(capsys, "verify", one, other).status == 0
    copied = evolve(images, root="b.zarr")
    save(copied, if_exists="replace")(Item("img/labels/cells", STACK % 4, known)).unwrap()
    delete(copied, "img/labels/nuclei").unwrap()
    said = typed(capsys, "verify", "a.zarr", "b.zarr")
    assert said.status == 1
    assert "img/labels/cells: the first difference is at (0, 0, 0, 4): 4 and 0" in said.out
    assert "img/labels/nuclei: only in a.zarr" in said.out
    said = typed(capsys, "copy", "a.zarr/img", "img.ome.tif")
    assert (said.status, "labels" in said.out) == (0, True)
    said = typed(capsys, "verify", "img.ome.tif", "a.zarr/img")
    assert (said.status, "img/labels/cells: only in a.zarr/img" in said.out) == (1, True)


def test_keys_may_lack_their_suffix(capsys: Capsys) -> None:
    write("a/x.tif", STACK).unwrap()
    write("b/x.npy", STACK).unwrap()
    assert typed(capsys, "verify", "a", "b").status == 0
    write("b/x.png", np.zeros((2, 2), "u1")).unwrap()
    said = typed(capsys, "verify", "a", "b")
    assert (said.status, "x.tif: only in a" in said.out) == (1, True)


def test_what_are_no_arrays(capsys: Capsys) -> None:
    write("a.json", {"a": [1, 2]}).unwrap()
    Path("b.json").write_text('{"a":    [1, 2]}')
    write("c.json", {"a": [1, 3]}).unwrap()
    write("a.npz", {"x": STACK, "y": STACK}).unwrap()
    write("b.npz", {"x": STACK, "y": STACK + 1}).unwrap()
    assert typed(capsys, "verify", "a.json", "b.json").status == 0
    assert typed(capsys, "verify", "a.json", "c.json").status == 1
    said = typed(capsys, "verify", "a.npz", "b.npz")
    assert (said.status, "under 'y', the first difference" in said.out) == (1, True)
    assert typed(capsys, "verify", "a.json", "a.npz").status == 1


def test_damage_is_a_difference_and_nothing_there_is_no_beginning(capsys: Capsys) -> None:
    write_stack()
    typed(capsys, "copy", "stack.ome.tif", "a.zarr")
    chunk = next(p for p in Path("a.zarr").rglob("*") if p.is_file() and p.name != "zarr.json")
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    assert typed(capsys, "verify", "stack.ome.tif", "a.zarr").status == 1
    for arguments in (("stack.ome.tif", "none.zarr"), ("none.tif", "a.zarr")):
        said = typed(capsys, "verify", *arguments)
        assert (said.status, said.out) == (2, "")
    write_planes()
    said = typed(capsys, "verify", "stack.ome.tif", "tiffs")
    assert (said.status, "'tiffs' holds 16" in said.err) == (2, True)
