"""The boundary: where what nobody foresaw, and what a user's function raises, become values."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

from polystore.builtin import EXTRAS
from polystore.core.errors import FunctionFailed, MissingDependency, Unexpected
from polystore.core.outcome import Failure, Outcome, Success

__all__ = ["called", "guarded"]

A = TypeVar("A")
T = TypeVar("T")


def guarded(action: Callable[[], Outcome[T]], key: str) -> Outcome[T]:
    """Give the outcome of an action, also where it raises: then it is a failure about the key.

    A package that cannot be imported is `MissingDependency`, with the extra that brings it; any
    other `Exception` is `Unexpected`. `KeyboardInterrupt` and `SystemExit` pass.

    >>> def buggy() -> Outcome[int]:
    ...     raise ZeroDivisionError("division by zero")
    >>> guarded(buggy, "a.npy").failure().message
    'polystore did not foresee this: ZeroDivisionError: division by zero.'
    """
    try:
        return action()
    except ImportError as exception:
        package = (exception.name or "").partition(".")[0]
        ours = package in ("", "polystore")  # a name that is not there is a bug, not a package
        return Failure((_unexpected if ours else _missing)(exception, key))
    except Exception as exception:  # a bug, of ours or of a plugin: a value like every failure
        return Failure(_unexpected(exception, key))


def _missing(exception: ImportError, key: str) -> MissingDependency:
    package = (exception.name or "").partition(".")[0]
    extra = EXTRAS.get(package, "")
    install = f"polystore[{extra}]" if extra else package
    return MissingDependency(
        key,
        None,
        f"The package {package!r} is needed here and cannot be imported: {exception}.",
        f"Install it: pip install '{install}'.",
        package,
        extra,
    )


def _unexpected(exception: Exception, key: str) -> Unexpected:
    return Unexpected(
        key,
        None,
        f"polystore did not foresee this: {type(exception).__name__}: {exception}.",
        "Please report it, with the error's traceback: to us, or to the plugin that it names.",
        traceback.format_exc(),
    )


def called(function: Callable[[A], T], value: A, key: str, name: object = None) -> Outcome[T]:
    """Give what a user's function gives; whatever it raises is `FunctionFailed`, with its name.

    `name` is the function to be named where another one wraps it.

    >>> called(int, "x", "a.npy").failure().message
    "The function int failed on 'a.npy': ValueError: invalid literal for int() with base 10: 'x'."
    """
    try:
        return Success(function(value))
    except Exception as exception:  # the user's function may raise anything
        named = name if callable(name) else function
        return Failure(
            FunctionFailed(
                key,
                None,
                f"The function {getattr(named, '__qualname__', repr(named))} failed on {key!r}: "
                f"{traceback.format_exception_only(exception)[-1].strip()}.",
                "Mend the function; the error's traceback shows where.",
                traceback.format_exc(),
            )
        )
