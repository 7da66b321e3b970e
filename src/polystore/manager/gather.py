"""A batch run to its end: every outcome is kept, also where its keys or items give out."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import TypeVar, cast

from polystore.core.errors import FunctionFailed, StorageError
from polystore.core.outcome import Failure, Outcome

__all__ = ["gathered"]

A = TypeVar("A")
B = TypeVar("B")
K = TypeVar("K")


def gathered(
    outcomes: Iterator[tuple[A, Outcome[B]]], name: Callable[[A], K]
) -> tuple[tuple[K, Outcome[B]], ...]:
    """Give every outcome of a batch, in order, each with the name of what it is of.

    Of each value no more than its name is kept. If the iterable that the values come from raises,
    a `FunctionFailed` is the last outcome, under the name `""`.

    >>> from polystore import parse_key
    >>> gathered(((key, parse_key(key)) for key in ["a", "b"]), str.upper)
    (('A', <Success: a>), ('B', <Success: b>))
    """
    found: list[tuple[K, Outcome[B]]] = []
    try:
        for value, outcome in outcomes:
            found.append((name(value), outcome))
    except Exception as exception:  # noqa: BLE001 - the caller's iterable may raise anything
        found.append((cast("K", ""), Failure(_given_out(exception))))
    return tuple(found)


def _given_out(exception: Exception) -> StorageError:
    return FunctionFailed(
        "",
        None,
        f"The batch ended early: its keys or items raised {type(exception).__name__}: {exception}.",
        "Mend what gives them; every outcome before this one stands.",
        "".join(traceback.format_exception(exception)),
    )
