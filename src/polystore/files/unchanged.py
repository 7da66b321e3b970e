"""Whether what was copied still is what is there: before it is deleted."""

from __future__ import annotations

from polystore.backends.target import Target
from polystore.core.outcome import Outcome, Success
from polystore.files.asking import stat_of
from polystore.files.streaming import same_bytes

__all__ = ["etag_of", "is_as_copied"]


def etag_of(target: Target) -> str | None:
    """Give the token of what is under a key; `None` where there is nothing, or no token."""
    return stat_of(target).map(lambda found: found.etag).value_or(None)


def is_as_copied(source: Target, copy: Target, etag: str | None) -> Outcome[bool]:
    """Whether the source has the token that it had before the copy.

    Where it had none, both are read, and are to be the same bytes. Size and time tell nothing: the
    clock of the times stands still within a tick, and some stores keep no times.
    """
    return same_bytes(source, copy) if etag is None else Success(etag_of(source) == etag)
