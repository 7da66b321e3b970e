"""The laws of frameworks: the same bits there and back, and memory shared just as asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast, get_args

import numpy as np
from attrs import evolve
from hypothesis import strategies as st

from polystore.core.dtypes import PLAIN_DTYPES
from polystore.core.errors import Lossy, UnsupportedPayload
from polystore.core.outcome import is_successful
from polystore.core.records import Casting, Framework, Transfer
from polystore.core.registry import Record, Registry
from polystore.testing.arrays import (
    LAYOUTS,
    ArrayExample,
    EveryDtype,
    Layout,
    array_examples,
    every_dtype,
    large_arrays,
)
from polystore.testing.expect import done, expect, refused
from polystore.testing.frameworks.arrays import (
    CAST,
    FREE,
    HELD_SHAPES,
    every_held,
    held,
    held_too,
    host,
    is_taken,
    on_host,
    same,
    taken,
)
from polystore.testing.frameworks.memory import (
    arrives_by_dlpack,
    copies_when_told,
    is_placed,
    shares_when_told,
    shares_where_it_can,
    source_unchanged,
)
from polystore.testing.frameworks.owning import FOREIGN, owning_imports_nothing
from polystore.testing.law import Law, Make

__all__ = ["FRAMEWORK_LAWS", "NO_DEVICES"]

E = TypeVar("E")

NO_DEVICES = ("no such device", "cpu:4096", "cuda:4096", "-", "cpu:x")
"""Words that no framework has for a device."""


def _comes_back(framework: Framework[object], example: ArrayExample) -> None:
    array = host(example)
    there = framework.from_host(array, FREE)
    if not taken(there, f"from_host of {example}"):
        return
    back = on_host(framework, there.unwrap())
    expect(type(back) is np.ndarray, f"to_host gave a {type(back).__name__}")
    same(array, back, f"{example} came back changed")


def _every_dtype_comes_back(framework: Framework[object], example: EveryDtype) -> None:
    for each in example.examples():
        _comes_back(framework, each)


def _every_layout_comes_back(framework: Framework[object], example: int) -> None:
    for each in every_held(framework):
        for layout in LAYOUTS:
            _comes_back(framework, evolve(each, seed=example, layout=layout))


def _takes_something(framework: Framework[object], _example: None) -> None:
    shapes = ", ".join(map(str, HELD_SHAPES))
    expect(held(framework) is not None, f"from_host refused every dtype of the shapes {shapes}")


def _owns_its_own(framework: Framework[object], example: ArrayExample) -> None:
    for value in FOREIGN:
        expect(framework.owns(value) is False, f"owns({value!r}) is {framework.owns(value)!r}")
    array = host(example)
    there = framework.from_host(array, FREE)
    if not is_successful(there):
        return
    value = there.unwrap()
    expect(framework.owns(value) is True, f"owns is {framework.owns(value)!r} of its own array")
    if type(value) is not np.ndarray:
        expect(framework.owns(array) is False, "owns is not False of an array of NumPy")


def _no_such_device(framework: Framework[object], example: str) -> None:
    array = host(held(framework) or ArrayExample("<f4", (2, 3)))
    for copy in (None, True, False):
        there = framework.from_host(array, Transfer(device=example, copy=copy))
        refused(there, f"from_host with the device {example!r}", UnsupportedPayload)
        value = framework.from_host(array, FREE)
        if framework.place is not None and is_successful(value):
            placed = framework.place(value.unwrap(), Transfer(device=example, copy=copy))
            refused(placed, f"place with the device {example!r}", UnsupportedPayload)


def _casts_as_numpy(framework: Framework[object], example: EveryDtype) -> None:
    for each in example.examples():
        _casts_one(framework, each)


def _casts_one(framework: Framework[object], example: ArrayExample) -> None:
    array = host(example)
    there = framework.from_host(array, CAST)
    if not taken(there, f"from_host of {example} under same_kind"):
        expect(not is_taken(framework, example), "exact takes it, and same_kind does not")
        return
    back = on_host(framework, there.unwrap())
    exact = framework.from_host(host(example), FREE)
    if is_successful(exact):
        same(array, back, "exact takes it, and same_kind changed it")
        return
    if array.dtype.char not in "gG":  # of which most frameworks say that they have no such dtype
        refused(exact, f"exact of {example}, which same_kind casts to {back.dtype},", Lossy)
    kind = f"{array.dtype} became {back.dtype}"
    expect(np.can_cast(array.dtype, back.dtype, "same_kind"), f"{kind}, of another kind")
    with np.errstate(all="ignore"):
        same(array.astype(back.dtype, casting="same_kind"), back, kind)


def _always_an_outcome(
    framework: Framework[object], example: tuple[ArrayExample, Transfer]
) -> None:
    made, transfer = example
    _one_outcome(framework, evolve(made, dtype="O"), transfer)  # what most frameworks refuse
    _one_outcome(framework, made, transfer)


def _one_outcome(framework: Framework[object], made: ArrayExample, transfer: Transfer) -> None:
    there = framework.from_host(host(made), transfer)
    if taken(there, f"from_host of {made} with {transfer}"):
        value = there.unwrap()
        taken(framework.to_host(value, transfer), f"to_host with {transfer}")
        if framework.place is not None:
            taken(framework.place(value, transfer), f"place with {transfer}")


def _is_found(framework: Framework[object], example: ArrayExample) -> None:
    registry = done(Registry.of(framework), "a registry of it")
    found = done(registry.find_framework(framework.name), f"finding {framework.name!r}")
    expect(found is framework, f"under {framework.name!r} another record is found")
    there = framework.from_host(host(example), FREE)
    if is_successful(there):
        owner = done(registry.find_owner(there.unwrap()), "finding the owner of its array")
        expect(owner is framework, "its array is another's")


def _law(
    name: str,
    examples: st.SearchStrategy[E],
    holds: Callable[[Framework[object], E], None],
    needs: tuple[str, ...] = (),
    share: float = 1.0,
) -> Law:
    def trial(record: Record, _make: Make, example: object, /) -> None:
        expect(isinstance(record, Framework), f"{record!r} is no framework")
        holds(cast("Framework[object]", record), cast("E", example))

    return Law(name, ("owns", "to_host", "from_host", *needs), examples, trial, share)


_EXPORTED = array_examples(
    st.sampled_from([np.dtype(name) for name in sorted(PLAIN_DTYPES)]),
    layout=st.sampled_from(cast("tuple[Layout, ...]", ("c", "offset", "fortran", "read-only"))),
)
"""Arrays that DLPack can say: PyTorch ends the process at others."""

_TRANSFERS = st.builds(
    Transfer,
    copy=st.sampled_from((None, True, False)),
    casting=st.sampled_from(get_args(Casting)),
)

FRAMEWORK_LAWS: tuple[Law, ...] = (
    _law(
        "an array comes back with the same bits, or is refused",
        array_examples(),
        held_too(_comes_back),
    ),
    _law(
        "every dtype comes back with the same bits, or is refused",
        every_dtype(),
        _every_dtype_comes_back,
        share=0.1,
    ),
    _law(
        "every memory layout comes back with the same bits, or is refused",
        st.integers(0, 2**32 - 1),
        _every_layout_comes_back,
        share=0.05,
    ),
    _law(
        "a large array comes back with the same bits, or is refused",
        large_arrays(),
        held_too(_comes_back),
        share=0.1,
    ),
    _law("a framework takes something", st.none(), _takes_something),
    _law(
        "a framework owns its own arrays and nothing else",
        array_examples(),
        held_too(_owns_its_own),
    ),
    _law("owns imports nothing", st.none(), owning_imports_nothing),
    _law("copy=False shares memory, or is refused", array_examples(), held_too(shares_when_told)),
    _law("copy=True shares no memory", array_examples(), held_too(copies_when_told)),
    _law(
        "copy=None shares memory where copy=False is granted",
        array_examples(),
        held_too(shares_where_it_can),
    ),
    _law(
        "what is handed over is left as it was",
        array_examples(),
        held_too(source_unchanged),
        share=0.5,
    ),
    _law("a device that is not there is refused", st.sampled_from(NO_DEVICES), _no_such_device),
    _law(
        "same_kind is NumPy's cast, and changes nothing that exact takes",
        every_dtype(),
        _casts_as_numpy,
        share=0.1,
    ),
    _law(
        "every failure of a framework is a value",
        st.tuples(array_examples(), _TRANSFERS),
        _always_an_outcome,
    ),
    _law(
        "from_dlpack gives the same bits, or declines",
        _EXPORTED,
        arrives_by_dlpack,
        ("from_dlpack",),
        share=0.5,
    ),
    _law(
        "place gives the same bits, and copies as asked",
        array_examples(),
        held_too(is_placed),
        ("place",),
    ),
    _law(
        "a registry finds a framework by its name and its arrays",
        array_examples(),
        held_too(_is_found),
        share=0.1,
    ),
)
"""The laws of a `Framework`."""
