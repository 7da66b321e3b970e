"""Every way in which polystore says no: a closed union of frozen values.

Each error carries the `key` and the `config` of the store that it is about (`None` where there is
none), a `message` for a person, and an `advice`: what to do next. `str(error)` is both sentences.
Matching over the union is exhaustive under strict type checkers:

>>> from polystore import NotFound
>>> error = NotFound("A01.tif", None, "Nothing is stored under 'A01.tif'.", "List the keys.")
>>> print(error)
Nothing is stored under 'A01.tif'. List the keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from attrs import frozen

__all__ = [
    "AlreadyExists",
    "BackendNotRegistered",
    "Corrupt",
    "DuplicateRecord",
    "FunctionFailed",
    "InvalidKey",
    "InvalidSpec",
    "LockTimeout",
    "Lossy",
    "MissingDependency",
    "NoSpace",
    "NotADirectory",
    "NotAFile",
    "NotFound",
    "PermissionDenied",
    "PluginFailed",
    "ReadOnly",
    "StorageError",
    "TooLarge",
    "Unavailable",
    "Unexpected",
    "UnknownFormat",
    "UnknownFramework",
    "UnsupportedOperation",
    "UnsupportedPayload",
    "not_found",
]


def _sentences(self: StorageError) -> str:
    return f"{self.message} {self.advice}"


@frozen
class NotFound:
    """Nothing is stored under the key, or the root of the store does not exist."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class AlreadyExists:
    """Something is stored under the key, and the save was told not to replace it."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class InvalidKey:
    """The text is no key: absolute, empty, with `..`, reserved, too long, or leading out."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class NotAFile:
    """A folder stands where a file or an array was asked for."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class NotADirectory:
    """A file stands where a folder is needed: as the root, or as a part of the key."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class UnknownFormat:
    """No registered format has the key's suffix, or the format asked for is not registered."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class UnknownFramework:
    """No registered framework has the name, or none owns the array."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class UnsupportedPayload:
    """The format, store or framework cannot hold this kind of payload, or its dtype or shape."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class UnsupportedOperation:
    """The store has no such function: its record holds `None` there."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class Corrupt:
    """The bytes are not what their name says: truncated, empty, damaged, or of another format."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class Lossy:
    """Values, dtype or mask would change on the way."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class MissingDependency:
    """A package that this needs cannot be imported; `extra` names what to install."""

    key: str
    config: object
    message: str
    advice: str
    package: str
    extra: str
    __str__ = _sentences


@frozen
class ReadOnly:
    """The store, or the file system that it is on, can only be read."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class PermissionDenied:
    """The operating system or the server refused this user."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class NoSpace:
    """The disk, quota or store is full; what was there before is untouched."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class LockTimeout:
    """Another writer held the lock for longer than the time allowed."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class Unavailable:
    """The store cannot be reached, here or now; the call may succeed later or elsewhere."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class TooLarge:
    """The content claims, or takes, more bytes than the config allows."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class BackendNotRegistered:
    """No registered store knows this type of config."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class DuplicateRecord:
    """Two records claim the same config type, format name, suffix or framework name."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class PluginFailed:
    """A plugin could not be imported, or its entry point is not a record."""

    key: str
    config: object
    message: str
    advice: str
    __str__ = _sentences


@frozen
class FunctionFailed:
    """A function of the user's, given to `apply` or `rename`, raised; `traceback` is its text."""

    key: str
    config: object
    message: str
    advice: str
    traceback: str
    __str__ = _sentences


@frozen
class InvalidSpec:
    """A spec describes no pipeline, or a value has no spec; `where` says which part is wrong."""

    key: str
    config: object
    message: str
    advice: str
    where: str
    __str__ = _sentences


@frozen
class Unexpected:
    """Something that polystore did not foresee: a bug to report, with the `traceback` as text."""

    key: str
    config: object
    message: str
    advice: str
    traceback: str
    __str__ = _sentences


StorageError: TypeAlias = (
    NotFound
    | AlreadyExists
    | InvalidKey
    | NotAFile
    | NotADirectory
    | UnknownFormat
    | UnknownFramework
    | UnsupportedPayload
    | UnsupportedOperation
    | Corrupt
    | Lossy
    | MissingDependency
    | ReadOnly
    | PermissionDenied
    | NoSpace
    | LockTimeout
    | Unavailable
    | TooLarge
    | BackendNotRegistered
    | DuplicateRecord
    | PluginFailed
    | FunctionFailed
    | InvalidSpec
    | Unexpected
)
"""Every error that polystore returns. `match` over it with `assert_never` is exhaustive."""


def not_found(key: str, config: object, siblings: Iterable[str]) -> NotFound:
    """Give the error for a missing key; it suggests the nearest of its `siblings` (whole keys).

    >>> print(not_found("A1.tif", None, ["A01.tif", "B02.tif"]).advice)
    Did you mean 'A01.tif'?
    """
    from difflib import get_close_matches

    near = get_close_matches(key, siblings, 1)
    advice = (
        f"Did you mean {near[0]!r}?" if near else "See list_files(store) for the keys there are."
    )
    return NotFound(key, config, f"Nothing is stored under {key!r}.", advice)
