"""The outermost boundary: the one place where what nobody foresaw becomes a value."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

from polystore.builtin import EXTRAS
from polystore.core.errors import MissingDependency, Unexpected
from polystore.core.outcome import Failure, Outcome

__all__ = ["guarded"]

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
        "Please report it as a bug, with the error's traceback.",
        traceback.format_exc(),
    )
