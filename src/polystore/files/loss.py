"""What a copy or a move could lose: why it is refused, or leaves what it has copied."""

from __future__ import annotations

from typing import cast

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
from polystore.core.item import Event
from polystore.core.outcome import is_successful
from polystore.core.records import Source
from polystore.dispatch import Dispatcher
from polystore.files.asking import stat_of
from polystore.files.sameness import with_parts
from polystore.steps.history import first_difference, made_otherwise, making, planned
from polystore.steps.load import Load
from polystore.steps.spec import to_spec

__all__ = [
    "copied_otherwise",
    "into_folder",
    "of_one_store",
    "onto_itself",
    "source_changed",
    "source_not_removed",
    "unmoved",
    "would_convert",
    "would_drop",
]


def unmoved(
    source: Target, target: Target, etag: str | None, dispatcher: Dispatcher
) -> StorageError | None:
    """Say why an item is not moved by being loaded and saved; `None` if it may be.

    `etag` is what tells later whether another writer changed it.
    """
    if _holds_file(source, dispatcher):
        return _of_file(source, target, dispatcher)
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


def _of_file(source: Target, target: Target, dispatcher: Dispatcher) -> StorageError:
    """Say why a file is not moved to where it would have to be decoded for."""
    files = (source, target) if target.backend.put is not None else (source,)
    for each in files:
        codec = dispatcher.registry.find_codec_for(each.key)
        if not is_successful(codec):
            return located(codec.failure(), each.key, each.config)
    return would_convert(source)


def would_convert(source: Target) -> UnsupportedOperation:
    """Say that what is stored is not moved to where a load and a save would make it anew."""
    return UnsupportedOperation(
        source.key,
        source.config,
        f"{source.key!r} is not moved: it would be converted on the way, and what the conversion "
        "cannot carry would be lost.",
        "Copy it, look at the copy, then delete it.",
    )


def copied_otherwise(source: Target, target: Target, dispatcher: Dispatcher) -> StorageError | None:
    """Say that what is stored is not what this copy would make; `None` where it may be.

    A copy that is loaded and saved notes the load; one as it is stored has the source's history.
    """
    made_by, registry = target.backend.made_by, dispatcher.registry
    plan = planned(Load(cast("Source[object]", source.config)), (), source.key)
    if made_by is None or plan is None:
        return None
    wanted = plan.value_or(())
    made = made_by(target.handle, target.key, wanted)
    if not is_successful(made):
        return located(made.failure(), target.key, target.config)
    if made.unwrap():
        return None
    kept = making(_history(source)) if source.backend.copy is not None else ()
    as_stored = made_by(target.handle, target.key, kept) if kept else made
    if is_successful(as_stored) and as_stored.unwrap():
        return None
    differs = first_difference(_history(target), wanted, lambda step: to_spec(step, registry))
    return made_otherwise(target.key, target.config, differs)


def _history(target: Target) -> tuple[Event, ...]:
    """Give what is noted of an item, in a store that notes histories: no element is read."""
    load = target.backend.load_lazy
    found = None if load is None else load(target.handle, target.key, None)
    return () if found is None else found.map(lambda item: item.history).value_or(())


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
