"""Laws of what is in a store: it comes back as it was saved, and nothing else reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast

from hypothesis import strategies as st

from polystore.core.errors import AlreadyExists, NotFound
from polystore.core.item import Metadata
from polystore.core.outcome import is_successful
from polystore.core.payload import is_host_array
from polystore.core.table import Table
from polystore.testing.arrays import ArrayExample, EveryDtype, every_dtype
from polystore.testing.expect import done, expect, refused
from polystore.testing.sameness import difference
from polystore.testing.samples import (
    ArraysExample,
    Sample,
    TableExample,
    metadatas,
    payloads,
)
from polystore.testing.stores.kept import KEPT_LAWS
from polystore.testing.stores.trial import Trial, is_written_once, store_law

if TYPE_CHECKING:
    from polystore.core.records import IfExists

__all__ = ["CONTENT_LAWS", "change"]


def _holds_something(trial: Trial, _example: None) -> None:
    for key, payload in trial.fill("a").items():
        trial.expect_under(key, payload)


def _comes_back(trial: Trial, sample: Sample) -> None:
    key = "a" + sample.suffix
    if is_successful(trial.save(key, sample.payload())):
        trial.expect_under(key, sample.payload())
    else:
        trial.expect_nothing(key)


def _every_dtype_comes_back(trial: Trial, every: EveryDtype) -> None:
    for number, example in enumerate(every.examples()):
        key = f"{number}.npy"
        if not is_successful(trial.save(key, example.array())):
            continue
        differs = difference(example.array(), done(trial.load(key), f"loading {key!r}").payload)
        expect(differs is None, f"{example} came back otherwise: {differs}")


_LARGE = st.sampled_from((65_537, 1_048_577, 3_000_017)).map(
    lambda length: Sample(".npy", ArrayExample("|u1", (length,), seed=length))
)

_BYTES = ArrayExample("|u1", (4,), seed=1)
_CHANGEABLE = st.sampled_from(
    (
        Sample(".npy", _BYTES),
        Sample(".npy", ArrayExample("|u1", (3, 4), 1, "fortran")),
        Sample(".npy", ArrayExample("|u1", (3, 4), 1, "reversed")),
        Sample(".npz", ArraysExample((("a", _BYTES),))),
        Sample(".json", [1, [2]]),
        Sample(".json", {"a": [1], "b": {"c": 2}}),
        Sample(".csv", TableExample((("a", _BYTES),))),
    )
)


def change(payload: object) -> None:
    """Change all that can be changed in a payload, in place.

    >>> payload = [1]
    >>> change(payload)
    >>> payload
    [1, 'changed']
    """
    if is_host_array(payload):
        if payload.flags.writeable and payload.dtype.kind in "iu":
            payload[...] ^= 0xFF
        elif payload.flags.writeable:
            payload[...] = payload.dtype.type()
    elif isinstance(payload, Table):
        change(payload.columns)
    elif isinstance(payload, dict):
        names = cast("dict[str, object]", payload)
        for value in tuple(names.values()):
            change(value)
        names["changed"] = "changed"
    elif isinstance(payload, list):
        elements = cast("list[object]", payload)
        for value in tuple(elements):
            change(value)
        elements.append("changed")


def _keeps_what_was_saved(trial: Trial, sample: Sample) -> None:
    payload, attributes = sample.payload(), {"exposure": [1]}
    key = "a" + sample.suffix
    if not is_successful(trial.save(key, payload, metadata=Metadata(attributes=attributes))):
        return
    change(payload)
    change(attributes)
    trial.expect_under(key, sample.payload())
    kept = done(trial.load(key), f"loading {key!r}").metadata.attributes
    expect(
        dict(kept) in ({}, {"exposure": [1]}),
        f"the attributes that were saved changed later, and so did those in the store: {kept}",
    )


def _keeps_what_was_loaded(trial: Trial, sample: Sample) -> None:
    key = "a" + sample.suffix
    metadata = Metadata(attributes={"exposure": [1]})
    if not is_successful(trial.save(key, sample.payload(), metadata=metadata)):
        return
    loaded = done(trial.load(key), f"loading {key!r}")
    change(loaded.payload)
    for value in loaded.metadata.attributes.values():
        change(value)
    trial.expect_under(key, sample.payload())
    kept = done(trial.load(key), f"loading {key!r}").metadata.attributes
    expect(
        dict(kept) in ({}, {"exposure": [1]}),
        f"the attributes that were loaded changed later, and so did those in the store: {kept}",
    )


def _keeps_metadata(trial: Trial, known: Metadata) -> None:
    key, payload = trial.key("a"), trial.payload(1)
    saved = trial.save(key, payload, metadata=known)
    if not is_successful(saved):
        trial.expect_nothing(key)
        return
    dropped = saved.unwrap().dropped
    found = done(trial.load(key), f"loading {key!r}").metadata
    for name in known.present():
        was, comes = cast("object", getattr(known, name)), cast("object", getattr(found, name))
        kept = difference(was, comes) is None
        expect(
            kept or name in dropped,
            f"{name} was {was!r} and came back as {comes!r}; Saved.dropped, {dropped}, does not "
            "name it",
        )
        expect(not (kept and name in dropped), f"{name} came back, and is said to be dropped")
    more = set(dropped) - set(known.present())
    expect(not more, f"Saved.dropped names {sorted(more)}, which the item did not have")


def _tells_the_truth(trial: Trial, if_exists: IfExists) -> None:
    key = trial.key("a")
    saved = done(trial.save(key, trial.payload(1), if_exists), f"saving under {key!r}")
    expect(saved.key == key, f"Saved.key is {saved.key!r}, and {key!r} was saved")
    expect(saved.config == trial.config, f"Saved.config is {saved.config!r}: not the store's")
    expect(saved.status == "written", f"Saved.status of what was new is {saved.status!r}")
    expect(saved.dropped == (), f"Saved.dropped is {saved.dropped}, of an item without metadata")
    stored = done(trial.stat(key), f"stat of {key!r}").nbytes if trial.backend.stat else None
    expect(
        stored in (None, saved.nbytes),
        f"Saved.nbytes is {saved.nbytes}, and stat says {stored}",
    )


_SavedTwice: TypeAlias = "tuple[IfExists, int]"
_MODES: st.SearchStrategy[IfExists] = st.sampled_from(("fail", "replace", "skip"))


def _decides(trial: Trial, example: _SavedTwice) -> None:
    if_exists, number = example
    (key,) = trial.fill("a")
    second = trial.save(key, trial.payload(number), if_exists)
    if if_exists == "fail":
        refused(second, f"saving under {key!r}, which exists", AlreadyExists)
        trial.expect_under(key, trial.payload(0))
        return
    if if_exists == "replace" and is_written_once(second):
        trial.expect_under(key, trial.payload(0))
        return
    status = done(second, f"saving under {key!r} with if_exists={if_exists!r}").status
    wanted = "written" if if_exists == "replace" else "skipped"
    expect(status == wanted, f"if_exists={if_exists!r} gave {status!r} where something was")
    trial.expect_under(key, trial.payload(number if if_exists == "replace" else 0))


def _skips(trial: Trial, number: int) -> None:
    filled = trial.fill("a", "b/c")
    key = trial.key("b/c")
    before = trial.stat(key).value_or(None) if trial.backend.stat else None
    saved = done(trial.save(key, trial.payload(number), "skip"), f"saving under {key!r}")
    told = (saved.status, saved.nbytes, saved.key, saved.config)
    expect(told == ("skipped", 0, key, trial.config), f"a skipped save gave {saved}")
    if trial.backend.stat is not None:
        after = trial.stat(key).value_or(None)
        expect(after == before, f"a skipped save made {after} of {before}")
    trial.expect_listed(filled, " after a skipped save")
    for each, payload in filled.items():
        trial.expect_under(each, payload)


def _deletes(trial: Trial, number: int) -> None:
    filled = trial.fill("a", "b", "c/d")
    key = tuple(filled)[number]
    done(trial.delete(key), f"deleting {key!r}")
    trial.expect_nothing(key)
    refused(trial.delete(key), f"deleting {key!r} a second time", NotFound)
    for other in sorted(set(filled) - {key}):
        trial.expect_under(other, filled[other])
    saved = done(trial.save(key, trial.payload(9)), f"saving under {key!r}, which was deleted")
    expect(saved.status == "written", f"saving what was deleted gave {saved.status!r}")
    trial.expect_under(key, trial.payload(9))


_NOTHING = st.none()
_NUMBERS = st.integers(0, 5)

CONTENT_LAWS = (
    store_law("a store holds something", ("save", "load"), _NOTHING, _holds_something),
    store_law(
        "what is saved comes back, bit for bit, or is refused and leaves nothing",
        ("save", "load"),
        payloads(),
        _comes_back,
        2.0,
    ),
    store_law(
        "every dtype comes back, bit for bit, or is refused",
        ("save", "load"),
        st.just(EveryDtype((3, 7), seed=1)) | every_dtype(),
        _every_dtype_comes_back,
        0.08,
    ),
    store_law("large content comes back whole", ("save", "load"), _LARGE, _comes_back, 0.03),
    store_law(
        "a later change to what was saved does not reach the store",
        ("save", "load"),
        _CHANGEABLE,
        _keeps_what_was_saved,
        0.2,
    ),
    store_law(
        "a later change to what was loaded does not reach the store",
        ("save", "load"),
        _CHANGEABLE,
        _keeps_what_was_loaded,
        0.2,
    ),
    store_law(
        "metadata comes back, or Saved.dropped names it",
        ("save", "load"),
        metadatas(),
        _keeps_metadata,
        0.5,
    ),
    store_law("Saved says what was done", ("save", "load"), _MODES, _tells_the_truth, 0.1),
    store_law(
        "if_exists decides what becomes of what was there",
        ("save", "load"),
        st.tuples(_MODES, st.integers(1, 5)),
        _decides,
        0.2,
    ),
    store_law("a skipped save changes nothing", ("save", "load"), _NUMBERS, _skips, 0.1),
    store_law(
        "what was deleted is gone, and nothing else is",
        ("save", "load", "delete"),
        st.integers(0, 2),
        _deletes,
        0.1,
    ),
    *KEPT_LAWS,
)
"""Laws of single items."""
