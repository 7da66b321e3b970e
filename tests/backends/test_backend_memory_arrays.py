"""Arrays in the memory store stay what they are, where they are, and share nothing."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pytest
import tensorflow as tf
import torch
from store_access import delete, keys

from polystore import (
    Array,
    ArraySpec,
    HostArray,
    Item,
    Json,
    LazyArray,
    MemoryConfig,
    Metadata,
    Outcome,
    Payload,
    Saved,
    Step,
    Success,
    Table,
    UnsupportedPayload,
    aligned_empty,
    convert,
    default_registry,
    handles,
    is_successful,
    load,
    save,
)
from polystore.backends.memory import Memory
from polystore.backends.memory.tree import Spot, Stored, find
from polystore.dispatch import default_dispatcher

MEMORY = MemoryConfig(name="arrays")
LOAD = load(MEMORY)


@pytest.fixture(autouse=True)
def emptied() -> Iterator[None]:
    with handles():
        yield


def put(payload: object, key: str = "a") -> Outcome[Saved]:
    """Save what a type checker would refuse, too."""
    step = cast("Step[object, Saved]", save(MEMORY, if_exists="replace"))
    return default_dispatcher().run(step, Item(key, payload))


def got(key: str = "a") -> object:
    return LOAD(key).unwrap().payload


def got_array() -> HostArray:
    return cast("HostArray", got())


def got_tensor() -> torch.Tensor:
    return cast("torch.Tensor", got())


class Tagged(np.ndarray[Any, np.dtype[Any]]):
    """An array with an attribute that its views share, as in NumPy's own documentation."""

    tags: list[str]

    def __array_finalize__(self, other: object) -> None:
        self.tags = getattr(other, "tags", [])


class Noted(np.ndarray[Any, np.dtype[Any]]):
    """An array that can be given attributes, which its copies lack."""

    notes: list[str]


def tagged() -> Tagged:
    array = np.arange(3).view(Tagged)
    array.tags = ["kept"]
    return array


def noted() -> Noted:
    array = np.arange(3).view(Noted)
    array.notes = ["kept"]
    return array


def masked() -> HostArray:
    array = np.ma.MaskedArray(np.arange(3), [False, True, False], fill_value=7)
    array.harden_mask()
    return cast("HostArray", array)


SUBCLASSES: dict[str, tuple[Callable[[], HostArray], Callable[[HostArray], object]]] = {
    "attributes shared": (tagged, lambda it: cast("Tagged", it).tags.append("spoilt")),
    "attributes lost": (noted, lambda it: cast("Noted", it).notes.append("spoilt")),
    "elements": (tagged, lambda it: it.fill(9)),
    "masked": (masked, lambda it: np.ma.getdata(it).fill(9)),
    "mask": (masked, lambda it: np.ma.getmaskarray(it).fill(True)),
    "matrix": (lambda: np.arange(4).reshape(2, 2).view(np.matrix), lambda it: it.fill(9)),
    "records": (lambda: np.ones(2, "i4,f8").view(np.recarray), lambda it: it.fill(9)),
    "a record": (lambda: np.ones(2, "i4,f8")[0], lambda it: it.__setitem__("f0", 9)),
    "texts": (
        lambda: np.array(["a", "long" * 9], np.dtypes.StringDType()),
        lambda it: it.fill("spoilt"),
    ),
    "objects": (lambda: np.array([[1], ["a"]], object), lambda it: it[0].fill(9)),
}


def told(array: HostArray) -> tuple[object, ...]:
    attributes = {name: list(vars(array)[name]) for name in ("tags", "notes") if name in dir(array)}
    hard = getattr(array, "hardmask", None), getattr(array, "fill_value", None)
    return type(array), array.dtype, repr(array), attributes, hard


@pytest.mark.parametrize("name", SUBCLASSES)
def test_an_array_of_a_subclass_stays_what_it_is(name: str) -> None:
    make, spoil = SUBCLASSES[name]
    array = make()
    before = told(array)
    put(array).unwrap()
    spoil(array)
    assert told(array) != before
    first = got_array()
    assert told(first) == before
    spoil(first)
    assert told(got_array()) == before


def test_a_mapped_file_is_read_once_and_kept(tmp_path: Path) -> None:
    array = np.memmap(tmp_path / "mapped", "u1", "w+", shape=(4,))
    array[:] = 3
    put(array).unwrap()
    array[:] = 9
    assert got_array().tolist() == [3] * 4


class Kept:
    """A tensor of each framework that lies in a NumPy array's memory where that can be."""

    def __init__(self, framework: str) -> None:
        self.memory = aligned_empty((4, 16), np.dtype(np.float32))
        self.memory[...] = 1
        to = default_registry().find_framework(framework).unwrap()
        shared = convert(to=to)(Item("a", self.memory)).unwrap()
        self.tensor = cast("Array", shared.payload)

    def spoil(self) -> None:
        self.memory[...] = 9


def values(array: object) -> set[float]:
    host = convert(to="numpy")(Item("a", cast("Payload", array))).unwrap().payload
    return set(host.ravel().tolist())


def within(value: object) -> Array:
    """Give the array in whatever holds it."""
    if isinstance(value, list):
        return within(cast("list[object]", value)[0])
    if isinstance(value, Mapping):
        return cast("Mapping[str, Array]", value)["x"]
    return cast("Array", value)


HOLDERS: dict[str, Callable[[Array], object]] = {
    "itself": lambda it: it,
    "a mapping": lambda it: {"x": it},
    "an ordered one": lambda it: OrderedDict([("x", it)]),
    "a frozen one": lambda it: MappingProxyType({"x": it}),
    "a list": lambda it: [{"x": it}],
}


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax", "tensorflow"])
@pytest.mark.parametrize("holder", HOLDERS)
def test_what_is_kept_shares_nothing_in_whatever_holds_it(framework: str, holder: str) -> None:
    kept = Kept(framework)
    put(HOLDERS[holder](kept.tensor)).unwrap()
    first = within(got())
    kept.spoil()
    assert values(first) == {1}
    if framework in ("numpy", "torch"):
        cast("HostArray", first)[...] = 9
    assert values(within(got())) == {1}
    assert type(within(got())) is type(kept.tensor)


def test_a_table_is_copied_with_what_is_in_it() -> None:
    table = Table(MappingProxyType({"x": np.arange(3), "t": tagged()}))
    put(table).unwrap()
    for spoilt in (table, cast("Table", got())):
        spoilt.columns["x"][:] = 9
        cast("Tagged", spoilt.columns["t"]).tags.append("spoilt")
    back = got()
    assert isinstance(back, Table)
    assert back.columns["x"].tolist() == [0, 1, 2]
    assert cast("Tagged", back.columns["t"]).tags == ["kept"]


def test_attributes_are_copied_with_what_is_in_them() -> None:
    numbers, array = [2], np.arange(2)
    inner = {"list": [1, MappingProxyType({"a": numbers})], "array": array}
    metadata = Metadata(attributes=cast("Mapping[str, Json]", inner))
    save(MEMORY)(Item("a", 1, metadata)).unwrap()
    numbers.append(9)
    array[:] = 9
    back = cast("Mapping[str, object]", LOAD("a").unwrap().metadata.attributes)
    assert back["list"] == [1, {"a": [2]}]
    assert cast("HostArray", back["array"]).tolist() == [0, 1]


@pytest.mark.parametrize("parameter", [False, True])
def test_a_tensor_that_learns_is_kept_so_with_gradients_of_its_own(parameter: bool) -> None:
    tensor = torch.ones(3, requires_grad=True)
    given = torch.nn.Parameter(torch.ones(3)) if parameter else tensor
    put(given).unwrap()
    back = got_tensor()
    assert type(back) is type(given)
    assert back.is_leaf
    assert back.requires_grad
    back.grad = torch.full((3,), 2.0)
    assert given.grad is None
    assert got_tensor().grad is None


def freed() -> torch.Tensor:
    tensor = torch.ones(1000)
    tensor.untyped_storage().resize_(0)
    return tensor


REFUSED: dict[str, Callable[[], object]] = {
    "computed with gradients": lambda: torch.ones(2, requires_grad=True) * 2,
    "freed": freed,
    "sparse in TensorFlow": lambda: tf.SparseTensor([[0, 0]], [1.0], [2, 2]),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("named", [False, True])
def test_what_has_no_snapshot_is_refused_before_anything_is_stored(name: str, named: bool) -> None:
    payload = REFUSED[name]()
    put(1).unwrap()
    for key in ("a", "b"):
        error = put({"ok": 1, "x": payload} if named else payload, key).failure()
        assert isinstance(error, UnsupportedPayload)
        assert (error.key, error.config) == (key, MEMORY)
        assert "foresee" not in error.message
    assert keys(MEMORY).unwrap() == ["a"]
    assert got() == 1


def test_why_tensorflow_has_no_copy_is_said_in_its_own_words() -> None:
    error = put(REFUSED["sparse in TensorFlow"]()).failure()
    assert error.message == "The tensor is a SparseTensor, which is several tensors."


def test_sparse_and_odd_tensors_of_torch_are_kept() -> None:
    sparse = torch.eye(3).to_sparse()
    put(sparse).unwrap()
    sparse.coalesce().values().fill_(9)
    assert got_tensor().layout == torch.sparse_coo
    assert torch.equal(got_tensor().to_dense(), torch.eye(3))
    conjugate = torch.tensor([1 + 2j]).conj()
    put(conjugate).unwrap()
    assert torch.equal(got_tensor(), torch.tensor([1 - 2j]))


def test_a_small_view_does_not_keep_the_whole_alive() -> None:
    whole = torch.zeros(100_000)
    put(whole[5:8]).unwrap()
    assert got_tensor().untyped_storage().nbytes() == 12


class Foreign:
    """An array of a framework that is not registered, whose copies share its memory."""

    shape = (1,)
    dtype = "float32"

    def __dlpack__(self) -> object:
        raise BufferError

    def __deepcopy__(self, memo: object) -> Foreign:
        return self


def test_an_array_that_nobody_knows_is_refused() -> None:
    outcome = put(Foreign())
    assert type(outcome.failure()).__name__ == "UnknownFramework"
    assert not is_successful(LOAD("a"))


def test_a_lazy_array_in_a_mapping_is_read() -> None:
    source = np.arange(4)
    spec = ArraySpec((4,), "int64", ("x",), (4,))
    put({"x": LazyArray(spec, lambda region: Success(source[region]))}).unwrap()
    source[:] = 9
    assert cast("HostArray", within(got())).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax", "tensorflow"])
@pytest.mark.parametrize("how", ["delete", "replace", "close"])
def test_what_is_deleted_is_freed(framework: str, how: str) -> None:
    with handles():
        put(Kept(framework).tensor, "x/a").unwrap()
        memory = default_dispatcher().open(MEMORY).unwrap().handle
        spot = find(cast("Memory", memory).top, "x/a", follow=False)
        assert isinstance(spot, Spot)
        assert isinstance(spot.node, Stored)
        stored = spot.node.item.payload
        assert type(stored).__module__.partition(".")[0] in (framework, "jaxlib")
        watched = weakref.ref(stored)
        del stored, memory, spot
        assert watched() is not None
        if how == "delete":
            delete(MEMORY, "x/a").unwrap()
        elif how == "replace":
            put(1, "x/a").unwrap()
    assert watched() is None
