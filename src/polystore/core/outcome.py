"""`Outcome[T]`: a value, or the error that says why there is none.

It is the `Result` of the `returns` library. Read it with `is_successful`, `.unwrap()`,
`.failure()`, `.map`, `.value_or`, or with the functions here, which keep their types under strict
mypy and strict pyright. (`match` and `isinstance` on a `Result` give `Any` in mypy, and `.bind` is
an error in pyright: this project uses none of them.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeGuard, TypeVar

from attrs import frozen
from returns.pipeline import is_successful
from returns.result import Failure, Result, Success

from polystore.core.errors import StorageError

__all__ = [
    "Catch",
    "Failure",
    "Outcome",
    "StorageFailure",
    "Success",
    "and_then",
    "catch",
    "fold",
    "guard",
    "is_outcome",
    "is_successful",
    "unwrap_or_raise",
]

T = TypeVar("T")
U = TypeVar("U")
E = TypeVar("E", bound=Exception)

Outcome: TypeAlias = Result[T, StorageError]
"""A value of type `T`, or a `StorageError`."""


class StorageFailure(Exception):
    """Raised by `unwrap_or_raise` only; `error` is the `StorageError`."""

    error: StorageError

    def __init__(self, error: StorageError) -> None:
        super().__init__(error)
        self.error = error


def fold(outcome: Outcome[T], ok: Callable[[T], U], err: Callable[[StorageError], U]) -> U:
    """Give `ok(value)` of a success, `err(error)` of a failure.

    >>> from polystore import parse_key
    >>> fold(parse_key("a/b.tif"), str.upper, str)
    'A/B.TIF'
    >>> fold(parse_key(""), str.upper, lambda error: type(error).__name__)
    'InvalidKey'
    """
    return ok(outcome.unwrap()) if is_successful(outcome) else err(outcome.failure())


def and_then(outcome: Outcome[T], fn: Callable[[T], Outcome[U]]) -> Outcome[U]:
    """Give `fn(value)` of a success, and a failure as it is.

    >>> from polystore import parse_key
    >>> and_then(parse_key("a"), lambda key: parse_key(key + "/b"))
    <Success: a/b>
    """
    return fn(outcome.unwrap()) if is_successful(outcome) else Failure(outcome.failure())


def is_outcome(value: object) -> TypeGuard[Outcome[object]]:
    """Whether a value is a success or a failure: asked of what a function of others gave.

    >>> is_outcome(Success(1)), is_outcome(1)
    (True, False)
    """
    return hasattr(value, "unwrap") and hasattr(value, "failure")


def unwrap_or_raise(outcome: Outcome[T]) -> T:
    """Give the value, or raise `StorageFailure` with the error: for those who want exceptions.

    >>> from polystore import parse_key
    >>> unwrap_or_raise(parse_key("a/b.tif"))
    'a/b.tif'
    >>> try:
    ...     unwrap_or_raise(parse_key("../x"))
    ... except StorageFailure as failure:
    ...     print(type(failure.error).__name__)
    InvalidKey
    """
    if is_successful(outcome):
        return outcome.unwrap()
    raise StorageFailure(outcome.failure())


@frozen
class Catch:
    """Which exceptions `guard` catches, and the error that each becomes. Made by `catch`."""

    kind: type[Exception]
    becomes: Callable[[Exception], StorageError]


def catch(kind: type[E], becomes: Callable[[E], StorageError]) -> Catch:
    """Name one exception class (its subclasses too) and the error that it becomes.

    >>> from polystore import Corrupt
    >>> catch(ValueError, lambda error: Corrupt("", None, str(error), "Write it again.")).kind
    <class 'ValueError'>
    """

    def typed(exception: Exception) -> StorageError:
        if not isinstance(exception, kind):
            raise exception
        return becomes(exception)

    return Catch(kind, typed)


def guard(action: Callable[[], T], *catches: Catch) -> Outcome[T]:
    """Run `action`; give its value, or the error of the first `catch` that names its exception.

    What no `catch` names is raised: the dispatcher's boundary reports it as `Unexpected`.

    >>> from polystore import NotFound
    >>> def missing(error: KeyError) -> NotFound:
    ...     return NotFound(str(error), None, "No such name.", "Look at the list of names.")
    >>> guard(lambda: {"a": 1}["a"], catch(KeyError, missing))
    <Success: 1>
    >>> guard(lambda: {"a": 1}["b"], catch(KeyError, missing)).failure().message
    'No such name.'
    """
    named = tuple(each.kind for each in catches)
    try:
        return Success(action())
    except named as exception:
        return Failure(next(c for c in catches if isinstance(exception, c.kind)).becomes(exception))
