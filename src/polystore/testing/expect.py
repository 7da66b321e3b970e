"""What laws expect of outcomes: a value, or an error of a kind, and never a surprise."""

from __future__ import annotations

from typing import TypeVar

from polystore.core.errors import StorageError, Unexpected
from polystore.core.outcome import Outcome, is_outcome, is_successful

__all__ = ["done", "expect", "refused", "word_of"]

T = TypeVar("T")


def expect(holds: bool, seen: str) -> None:
    """Raise `AssertionError` with what was seen, unless it holds.

    >>> expect(1 + 1 == 2, "arithmetic is broken")
    """
    __tracebackhide__ = True
    if not holds:
        raise AssertionError(seen)


def done(outcome: Outcome[T], what: str) -> T:
    """Give the value of what must succeed; `what` says what was done.

    >>> from polystore import Success
    >>> done(Success(1), "counting")
    1
    """
    __tracebackhide__ = True
    word_of(outcome, what)
    if not is_successful(outcome):
        raise AssertionError(f"{what} failed: {_told(outcome.failure())}")
    return outcome.unwrap()


def refused(outcome: Outcome[object], what: str, *kinds: type[StorageError]) -> StorageError:
    """Give the error of what must fail, with one of the kinds, if any are named.

    >>> from polystore import NotFound, parse_key
    >>> type(refused(parse_key(""), "an empty key")).__name__
    'InvalidKey'
    """
    __tracebackhide__ = True
    word = word_of(outcome, what)
    if is_successful(outcome):
        wanted = " or ".join(kind.__name__ for kind in kinds) or "an error"
        raise AssertionError(f"{what} gave {outcome.unwrap()!r}, and should be {wanted}")
    error = outcome.failure()
    if kinds and not isinstance(error, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise AssertionError(f"{what} should be {wanted}, and is {word}: {_told(error)}")
    return error


def word_of(outcome: Outcome[object], what: str) -> str:
    """Give the name of an outcome's error, or `""`; what is no outcome, or a bug, is told.

    >>> from polystore import parse_key
    >>> word_of(parse_key(""), "an empty key")
    'InvalidKey'
    """
    __tracebackhide__ = True
    if not is_outcome(outcome):
        raise AssertionError(f"{what} gave {outcome!r}, which is no outcome")
    if is_successful(outcome):
        return ""
    error = outcome.failure()
    if isinstance(error, Unexpected):
        raise AssertionError(f"{what} raised: {error.message}\n{error.traceback}")
    return type(error).__name__


def _told(error: object) -> str:
    return f"{type(error).__name__}: {error}"
