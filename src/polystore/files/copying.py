"""Copies and moves, within a store and between two."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Never, cast

from attrs import evolve, frozen

from polystore.backends.target import Target, located
from polystore.core.errors import (
    NotAFile,
    StorageError,
    UnknownFormat,
    UnsupportedOperation,
)
from polystore.core.item import Item, Saved
from polystore.core.key import KeyLike
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.records import IfExists, Reach, Sink, Source, Stat, Store
from polystore.dispatch import Dispatcher, default_dispatcher
from polystore.files.asking import stat_of
from polystore.files.labels import keeps_more, labels_below, takes_labels
from polystore.files.loss import (
    copied_otherwise,
    into_folder,
    of_one_store,
    onto_itself,
    source_changed,
    source_not_removed,
    unmoved,
    would_convert,
    would_drop,
)
from polystore.files.sameness import may_be_one, one_thing, with_parts
from polystore.files.streaming import streamed
from polystore.files.target import on_key, unchangeable, unsupported
from polystore.files.unchanged import etag_of, is_as_copied
from polystore.steps.check import mistake_in
from polystore.steps.load import Load
from polystore.steps.save import Save

if TYPE_CHECKING:
    from polystore.core.payload import Payload

__all__ = ["copy", "move", "with_labels"]


@frozen
class _Way:
    """From where to where, and how; if it `moves`, nothing may be lost of what had the `etag`."""

    dispatcher: Dispatcher
    source: Target
    target: Target
    if_exists: IfExists
    moves: bool = False
    etag: str | None = None

    def saved(self, status: Literal["written", "skipped"], nbytes: int = 0) -> Outcome[Saved]:
        """Give the outcome of a copy that went, or had not to go, this way."""
        return Success(Saved(self.target.key, self.target.config, status, nbytes))


def copy(  # noqa: PLR0913 - from where, to where, and how
    store: Source[object],
    key: KeyLike,
    new_key: KeyLike | None = None,
    *,
    to: Sink[Never] | None = None,
    if_exists: IfExists = "fail",
    dispatcher: Dispatcher | None = None,
) -> Outcome[Saved]:
    """Copy an item to another key, to another store, or both.

    - Between stores that hold files, keys of one format (by their suffixes; or both of a suffix
      that no format has) have their bytes copied as they are, in pieces: nothing is decoded, a file
      of any size takes little memory, and the copy is the same file, bit by bit. So it is between
      two Zarr stores: chunks are copied, not decoded, with all that stands in the item, where the
      other's config asks for no other chunks, codecs or layout. Otherwise (another suffix, an array
      of a file into Zarr or memory) the item is loaded and saved, as a pipeline does it, with its
      metadata and history, and then the labels of an image, one by one; `Saved.dropped` says what
      the new format cannot carry (`"labels"` where no image is saved).
    - What is at the new key stays unless told otherwise: `AlreadyExists`. `"skip"` asks before
      anything is read, and is `AlreadyExists` where what is there was made of something else, as
      far as the store knows. A copy is whole or not there.
    - A link is copied as what it leads to. A folder is `NotAFile`: copy what is in it, key by key.
    - Onto itself, `"replace"` and `"skip"` do nothing, and say `"skipped"`.

    >>> from polystore import Item, MemoryConfig, save
    >>> raw, result = MemoryConfig(name="doctest-copy"), MemoryConfig(name="doctest-copied")
    >>> save(raw)(Item("a.json", 1)).map(lambda saved: saved.key)
    <Success: a.json>
    >>> copy(raw, "a.json", "b.json", to=result).map(lambda saved: (saved.key, saved.status))
    <Success: ('b.json', 'written')>
    """
    goal = (store if to is None else to, key if new_key is None else new_key)
    return _done((store, key), goal, if_exists, dispatcher, _copied)


def move(  # noqa: PLR0913 - from where, to where, and how
    store: Store[object, Never],
    key: KeyLike,
    new_key: KeyLike | None = None,
    *,
    to: Sink[Never] | None = None,
    if_exists: IfExists = "fail",
    dispatcher: Dispatcher | None = None,
) -> Outcome[Saved]:
    """Move an item, or a folder, to another key, to another store, or both.

    - Within a store it is one step, if the store has one: nobody sees both keys, or none. A link is
      moved as a link, a folder with all that is below it. No byte is written: `Saved.nbytes` is 0.
    - Between two stores it is a copy (see `copy`), and then a deletion of what was copied. That is
      not one step: killed in between, it leaves both. Nothing is deleted unless the copy is whole,
      and what was read is still what is there (`Unavailable` if another writer changed it
      meanwhile). That is looked at just before the deletion, by `Stat.etag`, or else by reading
      both again; what is saved in the moment that remains is deleted, so write to no key that is
      moved, or do both under its lock (`locked`). Folders are not moved so: `NotAFile`.
    - A file is moved only as the bytes that it is. Where it would have to be decoded (a suffix of
      another format, a store that holds no files), nothing is written: `UnsupportedOperation`, for
      what the conversion cannot carry would be lost. Copy it, look at the copy, then delete it.
    - So it is with what a Zarr store holds, if the other store would not hold it as it is stored.
    - An item of memory is copied as `copy` does it. If the copy could not carry all of its
      metadata, the copy stands and the source stays: `Lossy` says what.
    - What is at the new key stays unless told otherwise: `AlreadyExists`; with `"skip"` both stay,
      and `Saved.status` says so. `"replace"` replaces a file or a link, never a folder.
    - To where it is already, nothing happens (`"skipped"`); a folder below itself is `InvalidKey`.

    >>> from polystore import DiskConfig, Item, list_files, save
    >>> import tempfile
    >>> disk = DiskConfig(root=tempfile.mkdtemp())
    >>> save(disk)(Item("a.json", 1)).map(lambda saved: saved.key)
    <Success: a.json>
    >>> move(disk, "a.json", "done/a.json").map(lambda saved: saved.key)
    <Success: done/a.json>
    >>> list_files(disk)
    <Success: ('done/a.json',)>
    """
    goal = (store if to is None else to, key if new_key is None else new_key)
    return _done((store, key), goal, if_exists, dispatcher, _moved)


def _done(
    origin: tuple[object, KeyLike],
    goal: tuple[object, KeyLike],
    if_exists: IfExists,
    dispatcher: Dispatcher | None,
    act: Callable[[_Way], Outcome[Saved]],
) -> Outcome[Saved]:
    """Copy or move from one store and key to another."""
    used = dispatcher or default_dispatcher()
    return on_key(*origin, used, lambda source: and_then(_way(used, source, goal, if_exists), act))


def _way(
    dispatcher: Dispatcher, source: Target, to: tuple[object, KeyLike], if_exists: IfExists
) -> Outcome[_Way]:
    sink, new_key = to
    mistake = mistake_in(Save(cast("Sink[object]", sink), if_exists))
    if mistake is not None:
        return Failure(mistake)
    target = dispatcher.target(sink, new_key)
    return target.map(lambda it: _Way(dispatcher, source, it, if_exists)).alt(
        lambda error: located(error, str(new_key), sink)
    )


def _copied(way: _Way) -> Outcome[Saved]:
    backend = way.target.backend
    if backend.save is None and backend.put is None:
        return Failure(unchangeable(way.target, "be copied to"))
    if one_thing(way.source, way.target):
        if way.if_exists != "fail":
            return _stays(way)
        return and_then(stat_of(way.source), lambda _: Failure(onto_itself(way.target)))
    same = _same_bytes(way)
    if way.if_exists == "skip" and _is_file(way.target):
        return way.saved("skipped") if same else _skipped(way)
    if same:
        new = streamed(way.source, way.target, way.if_exists)
        if is_successful(new):
            written, nbytes = new.unwrap()
            return way.saved("written", nbytes) if written else way.saved("skipped")
        # A store made of others may find only now that the key is in one that holds no files.
        loadable = _format_of(way.source, way.dispatcher) is not None
        if not loadable or not isinstance(new.failure(), UnsupportedOperation):
            return Failure(_advised(new.failure(), way))
    return _item_copied(way).alt(lambda error: _advised(error, way))


def _item_copied(way: _Way) -> Outcome[Saved]:
    """Copy what is no file to both stores: as it is stored, or loaded and saved."""
    refused = unmoved(way.source, way.target, way.etag, way.dispatcher) if way.moves else None
    if refused is not None:
        return Failure(refused)
    stored = _as_stored(way)
    if stored is not None:
        return stored
    if way.moves and keeps_more(way.source, way.dispatcher):
        return Failure(would_convert(way.source))
    return _loaded_and_saved(way)


def _skipped(way: _Way) -> Outcome[Saved]:
    """Leave what is there, unless it is the copy of something else."""
    otherwise = copied_otherwise(way.source, way.target, way.dispatcher)
    return way.saved("skipped") if otherwise is None else Failure(otherwise)


def _stays(way: _Way) -> Outcome[Saved]:
    """Do nothing, if there is something to be left as it is."""
    return and_then(stat_of(way.source), lambda _: way.saved("skipped"))


def _is_file(target: Target) -> bool:
    if target.backend.stat is None:
        return False
    found = target.backend.stat(target.handle, target.key)
    return is_successful(found) and found.unwrap().kind == "file"


def _same_bytes(way: _Way) -> bool:
    """Whether the copy is the same bytes: both stores hold files, the keys are of one format."""
    if way.source.backend.get is None or way.target.backend.put is None:
        return False
    return _format_of(way.source, way.dispatcher) == _format_of(way.target, way.dispatcher)


def _format_of(target: Target, dispatcher: Dispatcher) -> object:
    return dispatcher.registry.find_codec_for(target.key).map(lambda it: it.format).value_or(None)


def _as_stored(way: _Way) -> Outcome[Saved] | None:
    """Copy an item as its store has it, if the other one is of the same kind and would have it so.

    `None` where it has to be loaded and saved.
    """
    source, target = way.source, way.target
    step = source.backend.copy
    if step is None or source.backend.config is not target.backend.config:
        return None
    done = step(source.handle, source.key, target.handle, target.key, way.if_exists)
    if not is_successful(done):
        error = done.failure()
        return None if isinstance(error, UnsupportedOperation) else Failure(error)
    if not done.unwrap():
        return _skipped(way)
    found = _status(target)
    return way.saved("written", (found.nbytes if found is not None else None) or 0)


def _loaded_and_saved(way: _Way) -> Outcome[Saved]:
    item = _loaded(way)
    if not is_successful(item):
        return Failure(item.failure())
    it = item.unwrap()
    renamed = Item(str(way.target.key), it.payload, it.metadata, it.history)
    step = Save(cast("Sink[object]", way.target.config), way.if_exists)
    saved = way.dispatcher.run(step, renamed)
    return and_then(saved, lambda new: with_labels(way.source, new, way.dispatcher))


def with_labels(source: Target, saved: Saved, dispatcher: Dispatcher) -> Outcome[Saved]:
    """Copy the labels of an image that was loaded and saved, or say that they cannot be kept."""
    labels = Success(()) if saved.status == "skipped" else labels_below(source, dispatcher)
    if not is_successful(labels):
        return Failure(labels.failure())
    if labels.unwrap() and not takes_labels(saved.config):
        return Success(evolve(saved, dropped=(*saved.dropped, "labels")))
    for key in labels.unwrap():
        new_key = f"{saved.key}{key[len(source.key) :]}"
        store, sink = cast("Source[object]", source.config), cast("Sink[Never]", saved.config)
        done = copy(store, key, new_key, to=sink, if_exists="replace", dispatcher=dispatcher)
        if not is_successful(done):
            return Failure(done.failure())
    return Success(saved)


def _loaded(way: _Way) -> Outcome[Item[object]]:
    """Load the item: lazily if it can be, so that an array of any size passes in little memory.

    Not for a store of this process: it holds what it is given, and is given what a load gives.
    """
    source = cast("Source[Payload]", way.source.config)
    if way.source.backend.load is None:
        return Failure(unsupported(way.source, "be loaded from"))
    if way.source.backend.load_lazy is not None and way.target.backend.reach is not Reach.PROCESS:
        lazy = way.dispatcher.run(Load[object](source, None, lazy=True), way.source.key)
        if is_successful(lazy) or not isinstance(lazy.failure(), UnsupportedOperation):
            return lazy
    return way.dispatcher.run(Load[object](source), way.source.key)


def _moved(way: _Way) -> Outcome[Saved]:
    step = way.source.backend.move if way.source.config == way.target.config else None
    if step is None and way.source.backend.delete is None:
        return Failure(unchangeable(way.source, "be moved from"))
    if one_thing(way.source, way.target):
        return _stays(way)
    if step is not None and _keeps_format(way):
        done = step(way.source.handle, way.source.key, way.target.key, way.if_exists)
        return and_then(done, lambda new: way.saved("written" if new else "skipped"))
    if may_be_one(way.source, way.target, way.dispatcher):
        return Failure(of_one_store(way.target))
    return _copied_and_deleted(way)


def _keeps_format(way: _Way) -> bool:
    """Whether a move may leave the content as it is: it still is what its name says."""
    stores = with_parts(way.source, way.dispatcher)
    if all(part.backend.get is None for part in stores):  # what holds no files has no formats
        return True
    if _format_of(way.source, way.dispatcher) == _format_of(way.target, way.dispatcher):
        return True
    found = stat_of(way.source)
    if not is_successful(found):
        return True  # the move itself says what is wrong
    return found.unwrap().kind != "file"


def _copied_and_deleted(way: _Way) -> Outcome[Saved]:
    remove = way.source.backend.delete
    if remove is None:
        return Failure(unchangeable(way.source, "be moved from"))
    way = evolve(way, moves=True, etag=etag_of(way.source))
    copied = _copied(way)
    if not is_successful(copied) or copied.unwrap().status == "skipped":
        return copied
    if copied.unwrap().dropped:
        return Failure(would_drop(way.source, way.target, copied.unwrap().dropped))
    same = is_as_copied(way.source, way.target, way.etag)
    if is_successful(same) and not same.unwrap():
        return Failure(source_changed(way.source))
    removed = and_then(same, lambda _: remove(way.source.handle, way.source.key))
    return and_then(removed, lambda _: copied).alt(
        lambda error: source_not_removed(error, way.source, way.target)
    )


def _status(target: Target) -> Stat | None:
    return stat_of(target).value_or(None)


def _advised(error: StorageError, way: _Way) -> StorageError:
    """Say of a folder what can be done with one."""
    if isinstance(error, UnknownFormat) and _is_folder(way.target):
        return into_folder(way.source, way.target)
    if not isinstance(error, NotAFile) or error.key != way.source.key:
        return error
    if error.config != way.source.config or not _is_folder(way.source):
        return error
    return evolve(
        error,
        advice=f"Copy what is in it, key by key: list_files(store, folder={error.key!r}) names it.",
    )


def _is_folder(target: Target) -> bool:
    found = _status(target)
    return found is not None and found.kind == "folder"
