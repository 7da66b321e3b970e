"""What steps do to an item by themselves, without a store."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeVar, cast

from attrs import evolve

from polystore.boundary import called
from polystore.core.errors import UnsupportedPayload
from polystore.core.item import Event, Item
from polystore.core.outcome import Failure, Outcome, is_outcome, is_successful
from polystore.core.payload import nbytes_of
from polystore.core.version import __version__
from polystore.steps.rename import Rename, new_key

if TYPE_CHECKING:
    from polystore.core.errors import StorageError

__all__ = ["applied", "key_of", "outcome_of", "recorded", "rename_key", "renamed"]

T = TypeVar("T")


def recorded(item: Item[T], step: object) -> Item[T]:
    """Give the item with a step as the last of its history."""
    event = Event(item.key, step, nbytes_of(item.payload) or 0, __version__)
    return Item(item.key, item.payload, item.metadata, (*item.history, event))


def applied(function: Callable[..., object], item: Item[object]) -> Outcome[Item[object]]:
    """Give the item with what the function makes of its payload, or `FunctionFailed`."""

    def with_payload(payload: object) -> Item[object]:
        same = _axis_count(payload) == _axis_count(item.payload)
        metadata = item.metadata if same else evolve(item.metadata, axes=(), scale=(), unit=())
        return Item(item.key, payload, metadata, item.history)

    return called(function, item.payload, item.key).map(with_payload)


def _axis_count(payload: object) -> int | None:
    shape: object = getattr(payload, "shape", None)
    return len(cast("tuple[int, ...]", shape)) if isinstance(shape, tuple) else None


def renamed(step: Rename, item: Item[object]) -> Outcome[Item[object]]:
    """Give the item under its new key."""
    return rename_key(step, item.key).map(
        lambda key: Item(key, item.payload, item.metadata, item.history)
    )


def rename_key(step: Rename, key: str) -> Outcome[str]:
    """Give the new key, or `FunctionFailed`."""
    return called(partial(new_key, step), key, key, step.to)


def outcome_of(step: Callable[..., object], value: object) -> Outcome[object]:
    """Call a step that is a plain function: what it gives must be an outcome."""
    outcome = called(step, value, key_of(value))
    if not is_successful(outcome):
        return outcome
    given = outcome.unwrap()
    if is_outcome(given):
        return given
    return Failure(_no_outcome(step, given, key_of(value)))


def _no_outcome(step: object, given: object, key: str) -> StorageError:
    return UnsupportedPayload(
        key,
        None,
        f"The step {step!r} gave a {type(given).__name__} and not an outcome.",
        "Give Success(value) or Failure(error); for a plain function use apply.",
    )


def key_of(value: object) -> str:
    """Give the key that a value is or has; its own str() is not trusted with an error's text."""
    name: object = cast("Item[object]", value).key if type(value) is Item else value
    return str(name) if type(name) is str or isinstance(name, PurePath) else ""
