"""What a store has no function for, in the same words in all stores that are made of others."""

from __future__ import annotations

from polystore.core.errors import UnsupportedOperation

__all__ = ["lacking"]


def lacking(
    name: str, what: str, key: str, config: object, advice: str = "Use a store that can."
) -> UnsupportedOperation:
    """Give the error for what the store of that name has no function for.

    >>> print(lacking("stream", "list", "a", None).message)
    One cannot list a stream store.
    """
    return UnsupportedOperation(key, config, f"One cannot {what} a {name} store.", advice)
