"""What a copy or a move could lose: why it is refused, or leaves what it has copied."""

from __future__ import annotations

from attrs import evolve

from polystore.backends.target import Target, located
from polystore.core.errors import (
    AlreadyExists,
    InvalidKey,
    Lossy,
    NotAFile,
    StorageError,
    Unavailable,
    UnsupportedOperation,
)
from polystore.core.outcome import is_successful
from polystore.dispatch import Dispatcher
from polystore.files.asking import stat_of
from polystore.files.sameness import with_parts

__all__ = [
    "into_folder",
    "of_one_store",
    "onto_itself",
    "source_changed",
    "source_not_removed",
    "unmoved",
    "would_drop",
]


def unmoved(
    source: Target, target: Target, etag: str | None, dispatcher: Dispatcher
) -> StorageError | None:
    """Say why an item is not moved by being loaded and saved; `None` if it may be.

    `etag` is what tells later whether another writer changed it.
    """
    if _holds_file(source, dispatcher):
        return _would_convert(source, target, dispatcher)
    if etag is not None:
        return None
    if source.backend.stat is None:
        return _untold(source)
    kind = stat_of(source).map(lambda found: found.kind).value_or(None)
    return _untold(source) if kind == "file" else None  # of all else, the load says what it is


def _holds_file(target: Target, dispatcher: Dispatcher) -> bool:
    """Whether a file stands under the key: what a load gives of one need not be all that is in it.

    It asks for the parts of stores that are made of others, and theirs.
    """
    return any(_opens(part) for part in with_parts(target, dispatcher))


def _opens(target: Target) -> bool:
    if target.backend.get is None:
        return False
    opened = target.backend.get(target.handle, target.key)
    if not is_successful(opened):
        return False
    opened.unwrap().close()
    return True


def _would_convert(source: Target, target: Target, dispatcher: Dispatcher) -> StorageError:
    """Say why a file is not moved to where it would have to be decoded for."""
    files = (source, target) if target.backend.put is not None else (source,)
    for each in files:
        codec = dispatcher.registry.find_codec_for(each.key)
        if not is_successful(codec):
            return located(codec.failure(), each.key, each.config)
    return UnsupportedOperation(
        source.key,
        source.config,
        f"{source.key!r} is not moved: it would be converted on the way, and what the conversion "
        "cannot carry would be lost.",
        "Copy it, look at the copy, then delete it.",
    )


def would_drop(source: Target, target: Target, dropped: tuple[str, ...]) -> Lossy:
    """Say that the copy, which stands, lacks something, and that the source was not deleted."""
    return Lossy(
        source.key,
        source.config,
        f"{source.key!r} was not deleted: its copy {target.key!r}, which stands, does not carry "
        f"{', '.join(dropped)}.",
        "Look at the copy, then delete one of them; or copy to a format or store that carries it.",
    )


def into_folder(source: Target, target: Target) -> NotAFile:
    """Say that the new key is that of a folder, and what the key in it would be."""
    within = f"{target.key}/{source.key.rpartition('/')[2]}"
    return NotAFile(
        target.key,
        target.config,
        f"{target.key!r} is a folder.",
        f"Give the whole of the new key: {within!r}.",
    )


def onto_itself(target: Target) -> AlreadyExists:
    """Say that a copy would be of a key onto itself."""
    return AlreadyExists(
        target.key,
        target.config,
        f"{target.key!r} would be copied onto itself.",
        "Give another key, or another store.",
    )


def of_one_store(target: Target) -> InvalidKey:
    """Say that a key may be one thing in both stores, which a deletion would take from both."""
    return InvalidKey(
        target.key,
        target.config,
        f"{target.key!r} may be one thing in both stores: one is a part of the other.",
        "Give it another key; or copy it, and delete what is then left over.",
    )


def source_changed(source: Target) -> Unavailable:
    """Say that what was read is not what is there any more, and was not deleted."""
    return Unavailable(
        source.key,
        source.config,
        f"{source.key!r} was changed while it was moved: it is copied, and was not deleted.",
        'Move it again with if_exists="replace", or delete it.',
    )


def _untold(source: Target) -> UnsupportedOperation:
    """Say that a store could not tell whether another writer changes the item meanwhile."""
    return UnsupportedOperation(
        source.key,
        source.config,
        f"{source.key!r} is not moved: its store cannot tell (by Stat.etag) whether another writer "
        "changes it meanwhile, which would be lost.",
        "Copy it, look at the copy, then delete it.",
    )


def source_not_removed(error: StorageError, source: Target, target: Target) -> StorageError:
    """Say in the error of a deletion that the copy is whole, and both are there."""
    message = f"{error.message} It is copied whole to {target.key!r}, and was not deleted."
    return evolve(error, key=error.key or source.key, message=message)
