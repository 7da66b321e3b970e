"""The sentences with which a step is refused before it is done."""

from __future__ import annotations

from polystore.core.errors import InvalidSpec, ReadOnly, UnsupportedOperation, UnsupportedPayload
from polystore.core.item import Item
from polystore.core.records import Backend

__all__ = ["no_metadata", "not_fitting", "too_deep", "unsaved", "unsupported"]


def unsupported(what: str, config: object, name: str) -> UnsupportedOperation:
    """Give the error for what the record of a store has no function for.

    >>> print(unsupported("load from", None, "stream").message)
    One cannot load from a stream store.
    """
    return UnsupportedOperation(
        "",
        config,
        f"One cannot {what} a {name} store.",
        "Use a store that can, or a pipeline that copies to one.",
    )


def unsaved(
    config: object, key: str, backend: Backend[object, object]
) -> ReadOnly | UnsupportedOperation:
    """Give the error for a store without `save`: `ReadOnly` if one can load from it."""
    if backend.load is None:
        return unsupported("save to", config, backend.name)
    return ReadOnly(
        key,
        config,
        f"A {backend.name} store can only be read.",
        "Save to the store that is behind it, or to another one.",
    )


def too_deep(config: object) -> InvalidSpec:
    """Give the error for a store made of stores, made of stores, beyond what Python can follow."""
    return InvalidSpec(
        "",
        None,  # it could not even be printed
        f"This {type(config).__name__} is made of stores in more levels than Python can follow.",
        "Make it of fewer: a few levels are plenty.",
        "$",
    )


def no_metadata(item: Item[object]) -> UnsupportedPayload:
    """Give the error for an item whose metadata is something else."""
    return UnsupportedPayload(
        item.key,
        None,
        f"The metadata of the item is a {type(item.metadata).__name__}.",
        "Give it as Metadata(axes=...), or leave it out.",
    )


def not_fitting(step: object, value: object) -> UnsupportedPayload:
    """Give the error for a value that a step cannot take.

    >>> print(not_fitting("load", 3).message)
    str cannot take a int.
    """
    return UnsupportedPayload(
        "",
        None,
        f"{type(step).__name__} cannot take a {type(value).__name__}.",
        "Steps after load take an Item: Item(key, payload). A type checker shows where.",
    )
