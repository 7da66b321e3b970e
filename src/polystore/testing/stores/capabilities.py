"""Laws of what a store cannot do, and of what can be read from any store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from hypothesis import strategies as st

from polystore.core.errors import ReadOnly, UnsupportedOperation
from polystore.core.item import Item
from polystore.core.outcome import Outcome, Success
from polystore.files.linking import create_symlink
from polystore.files.listing import list_files
from polystore.files.locking import locked
from polystore.files.removing import delete, ensure_directory
from polystore.steps.load import Load
from polystore.steps.save import Save
from polystore.testing.expect import done, expect, refused
from polystore.testing.sameness import difference
from polystore.testing.stores.content import change
from polystore.testing.stores.trial import Trial, store_law

if TYPE_CHECKING:
    from polystore.core.payload import LazyArray

__all__ = ["CAPABILITY_LAWS"]

_Asked: TypeAlias = Callable[[Trial, str], Outcome[object]]


def _load(trial: Trial, key: str) -> Outcome[object]:
    return trial.dispatcher.run(Load[object](trial.config), key)


def _load_lazily(trial: Trial, key: str) -> Outcome[object]:
    lazily: Load[LazyArray] = Load(trial.config, None, lazy=True)
    return trial.dispatcher.run(lazily, key)


def _save(trial: Trial, key: str) -> Outcome[object]:
    return trial.dispatcher.run(Save(trial.config), Item(key, {"a": 1}))


def _list(trial: Trial, _key: str) -> Outcome[object]:
    return list_files(trial.config, dispatcher=trial.dispatcher)


def _delete(trial: Trial, key: str) -> Outcome[object]:
    return delete(trial.config, key, dispatcher=trial.dispatcher)


def _link(trial: Trial, key: str) -> Outcome[object]:
    return create_symlink(trial.config, key, "other.json", dispatcher=trial.dispatcher)


def _make_folder(trial: Trial, key: str) -> Outcome[object]:
    return ensure_directory(trial.config, key, dispatcher=trial.dispatcher)


def _lock(trial: Trial, key: str) -> Outcome[object]:
    return locked(trial.config, key, lambda: Success(1), 1.0, dispatcher=trial.dispatcher)


_ASKED: dict[str, _Asked] = {
    "load": _load,
    "load_lazy": _load_lazily,
    "save": _save,
    "list": _list,
    "delete": _delete,
    "link": _link,
    "make_folder": _make_folder,
    "lock": _lock,
}
"""What asks for each field of a record. Other operations can be made of several fields."""


def _refuses_what_it_lacks(trial: Trial, _example: None) -> None:
    for name, ask in _ASKED.items():
        if getattr(trial.backend, name) is None:
            outcome = ask(trial, "missing.json")
            what = f"asking for {name}, which the record lacks,"
            error = refused(outcome, what, UnsupportedOperation, ReadOnly)
            expect(error.config == trial.config, f"the error of {name} names {error.config!r}")


def _loads_alike(trial: Trial, _example: None) -> None:
    """Load what is listed twice, and once more after one of the two was changed."""
    if trial.backend.save is not None:
        trial.fill("a", "b/c")
    for key in sorted(trial.every_key()):
        one, other = (done(trial.load(key), f"loading {key!r}").payload for _ in range(2))
        differs = difference(one, other)
        expect(differs is None, f"{key!r} was loaded twice, and came otherwise: {differs}")
        change(one)
        again = done(trial.load(key), f"loading {key!r}").payload
        differs = difference(other, again)
        expect(differs is None, f"what was loaded of {key!r} changed, and the store's: {differs}")


CAPABILITY_LAWS = (
    store_law(
        "what a record lacks is a typed error",
        (),
        st.none(),
        _refuses_what_it_lacks,
    ),
    store_law(
        "what is listed loads, the same each time",
        ("load", "list"),
        st.none(),
        _loads_alike,
    ),
)
"""Laws of every store, also of one that is only read."""
