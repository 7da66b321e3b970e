"""The layout of one array per key: dense, written and read whole, or by regions."""

from __future__ import annotations

import math
from functools import partial

from attrs import frozen

from polystore.backends.refusals import no_formats
from polystore.backends.zarr.copying import copy_stored
from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.interpret import array_meta
from polystore.backends.zarr.elements.meta import ArrayMeta
from polystore.backends.zarr.elements.plan import ArrayPlan, array_plan
from polystore.backends.zarr.elements.reading import lazy_array, read_elements
from polystore.backends.zarr.elements.rewriting import rewrite
from polystore.backends.zarr.elements.writing import write_elements
from polystore.backends.zarr.given import (
    dtype_of,
    fitting,
    host_array,
    host_or_lazy,
    options_refused,
    spec_of,
)
from polystore.backends.zarr.history import is_made_by, with_parts_saved
from polystore.backends.zarr.kind import DOCUMENTS
from polystore.backends.zarr.links import create_documents, link_to
from polystore.backends.zarr.looking import (
    folder_of_nodes,
    guarded_look,
    kept_open,
    located,
    stat_by,
)
from polystore.backends.zarr.notes import OURS, Notes, notes_in, notes_of
from polystore.backends.zarr.opening import (
    close_store,
    delete_node,
    list_children,
    list_keys,
    lock_key,
    make_folder,
    move_node,
    open_store,
    parts_of,
    root_of,
)
from polystore.backends.zarr.tree import Files, Seen, ZarrStore, read_node
from polystore.configs import ZarrConfig
from polystore.core.item import Event, Item, Saved
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import HostArray, LazyArray, Payload, Region
from polystore.core.records import Backend, FileFormat, Reach, SaveOptions, Stat
from polystore.core.region import Box, box_of, whole

__all__ = ["ARRAY", "array_in"]

_NOTED_TRIES = 4
"""How often it is noted that parts were saved, should others replace the array all the time."""


def load_array(
    store: ZarrStore, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[Payload]]:
    """Give the array under a key, in aligned memory of its own, with its metadata and history."""
    if format is not None:
        return Failure(no_formats("A Zarr store", key, store.config))

    def look(files: Files) -> Seen[Item[Payload]]:
        found = _noted_in(files, store, key)
        if not is_successful(found.outcome):
            return Seen(Failure(found.outcome.failure()), found.complete)
        meta, notes = found.outcome.unwrap()
        elements = read_elements(files, meta, whole(meta.grid.shape), store.config.max_bytes)
        made = elements.outcome.map(lambda it: _item(key, it, notes))
        return Seen(made, elements.complete)

    return located(read_node(store.tree, key, look), store, key)


def _item(key: Key, array: Payload, notes: Notes) -> Item[Payload]:
    return Item(key, array, notes.metadata, notes.history)


def load_array_lazily(
    store: ZarrStore, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[LazyArray]]:
    """Give the array under a key as one that is read region by region: as it is now."""
    if format is not None:
        return Failure(no_formats("A Zarr store", key, store.config))
    held = store.tree.hold(key)
    if not is_successful(held):
        return located(Failure(held.failure()), store, key)
    files, close = held.unwrap().files, held.unwrap().close
    found = guarded_look(lambda: _noted_in(files, store, key).outcome)
    if not is_successful(found):
        close()
        return located(Failure(found.failure()), store, key)
    meta, notes = found.unwrap()
    lazy = kept_open(lazy_array(files, meta, store.config.max_bytes), close, key, store.config)
    return Success(Item(key, lazy, notes.metadata, notes.history))


def _noted_in(files: Files, store: ZarrStore, key: Key) -> Seen[tuple[ArrayMeta, Notes]]:
    """Give what the documents of an array say of its elements, and what is noted in them."""
    found = array_in(files, store, key)
    if not is_successful(found.outcome):
        return Seen(Failure(found.outcome.failure()), found.complete)
    meta = found.outcome.unwrap()
    return Seen(notes_in(meta.documents).map(lambda it: (meta, it)))


def array_in(files: Files, store: ZarrStore, key: str, below: str = "") -> Seen[ArrayMeta]:
    """Give what the documents of an array say; `NotAFile` for a group."""
    documents = documents_in(files, below)
    if not is_successful(documents):
        return Seen(Failure(documents.failure()))
    found = documents.unwrap()
    if found is None or found.kind == "group":
        return Seen(Failure(folder_of_nodes(store, key)), found is not None)
    return Seen(array_meta(found))


def save_array(
    store: ZarrStore, key: Key, item: Item[Payload], how: SaveOptions, /
) -> Outcome[Saved]:
    """Save an array of any framework, or a lazy one, whole, with its metadata and history."""
    config = store.config
    refused = options_refused(store, key, how.options)
    if refused is not None:
        return Failure(refused)
    source = host_or_lazy(store, item)
    if not is_successful(source):
        return located(Failure(source.failure()), store, key)
    elements = source.unwrap()
    spec = spec_of(elements, item.metadata.axes)
    notes, dropped = notes_of(item, store.context.to_spec)
    plan = and_then(
        dtype_of(elements), lambda dtype: array_plan(spec, dtype, config, {OURS: notes})
    )
    if not is_successful(plan):
        return located(Failure(plan.failure()), store, key)
    built = store.tree.build(key, how.if_exists, partial(_fill, plan.unwrap(), elements))

    def saved(written: bool) -> Saved:
        if not written:
            return Saved(key, config, "skipped", 0)
        return Saved(key, config, "written", _nbytes(plan.unwrap().meta), dropped)

    return located(built.map(saved), store, key)


def _fill(plan: ArrayPlan, elements: HostArray | LazyArray, files: Files) -> Outcome[None]:
    written = write_elements(files, plan.meta, elements)
    if is_successful(written):
        create_documents(files, plan.documents)
    return written


def _nbytes(meta: ArrayMeta) -> int:
    return math.prod(meta.grid.shape) * meta.dtype.itemsize


def save_array_region(
    store: ZarrStore, key: Key, item: Item[Payload], region: Region, /
) -> Outcome[Saved]:
    """Write into a region of an array that is there: all of it in one step to every reader.

    What the region covers only in part of a chunk is read and written again, so that writers of
    regions side by side lose nothing; those that share no file of chunks encode at once. That parts
    were saved is noted in the history of the array before the first of them, once.
    """
    host = host_array(store, item)
    if not is_successful(host):
        return located(Failure(host.failure()), store, key)
    part = _Part(store, key, region, host.unwrap())
    for _ in range(_NOTED_TRIES):  # the array may be replaced as soon as it is noted
        unnoted: list[bool] = []
        patched = store.tree.patch(key, partial(part.written_if_noted, unnoted))
        if not is_successful(patched) or not unnoted:
            return part.saved(patched)
        noted = store.tree.patch(key, part.noted)  # one file alone, which takes no time
        if not is_successful(noted):
            return part.saved(noted)
    return part.saved(store.tree.patch(key, part.written))


@frozen
class _Part:
    """New elements for a region of an array."""

    store: ZarrStore
    key: Key
    region: Region
    array: HostArray

    def written_if_noted(self, unnoted: list[bool], old: Files, new: Files) -> Outcome[None]:
        """Write them; where it is not noted yet that parts were saved, `unnoted` says so instead.

        A store of objects has no such note: it would be a second object for each part.
        """
        if not old.waits:
            found = self._place(old)
            if not is_successful(found):
                return Failure(found.failure())
            if with_parts_saved(found.unwrap()[0].documents, self.key) is not None:
                unnoted.append(True)
                return Success(None)
        return self.written(old, new)

    def written(self, old: Files, new: Files) -> Outcome[None]:
        """Write them."""
        return and_then(self._place(old), lambda it: rewrite(old, new, *it, self.array))

    def noted(self, old: Files, new: Files) -> Outcome[None]:
        """Note that parts were saved, unless it is noted."""
        found = self._place(old)
        if is_successful(found):
            document = with_parts_saved(found.unwrap()[0].documents, self.key)
            create_documents(new, dict([document] if document else ()))
        return found.map(lambda _: None)

    def saved(self, done: Outcome[None]) -> Outcome[Saved]:
        """Say that they are saved, or why not."""
        config, nbytes = self.store.config, self.array.nbytes
        saved = done.map(lambda _: Saved(self.key, config, "written", nbytes))
        return located(saved, self.store, self.key)

    def _place(self, old: Files) -> Outcome[tuple[ArrayMeta, Box]]:
        meta = array_in(old, self.store, self.key).outcome
        if not is_successful(meta):
            return Failure(meta.failure())
        box = box_of(self.region, meta.unwrap().grid.shape)
        fits = and_then(box, partial(fitting, self.array, meta.unwrap()))
        return fits.map(lambda it: (meta.unwrap(), it))


def stat_array(store: ZarrStore, key: Key, /) -> Outcome[Stat]:
    """Say whether an array or a folder stands under a key, and how many bytes its elements take."""
    return stat_by(store, key, partial(_stat, store))


def _stat(store: ZarrStore, files: Files) -> Seen[Stat]:
    modified, etag = files.mark()
    documents = documents_in(files)
    if not is_successful(documents):
        return Seen(Failure(documents.failure()))
    found = documents.unwrap()
    if found is None or found.kind == "group":
        return Seen(Success(Stat("folder", None, modified)), found is not None)
    meta = array_meta(found)
    return Seen(meta.map(lambda it: Stat("file", _nbytes(it), modified, etag=etag)))


def made_by(store: ZarrStore, key: Key, history: tuple[Event, ...], /) -> Outcome[bool]:
    """Whether an array has that history, or has noted none."""

    def look(files: Files) -> Seen[bool]:
        documents = documents_in(files)
        if not is_successful(documents):
            return Seen(Failure(documents.failure()))
        found = documents.unwrap()
        if found is None:
            return Seen(Success(True), complete=False)
        spec = store.context.to_spec
        notes = notes_in(found)
        return Seen(notes.map(lambda it: is_made_by(it.history, history, spec)))

    return located(read_node(store.tree, key, look), store, key)


ARRAY: Backend[ZarrConfig, ZarrStore] = Backend(
    name="zarr",
    config=ZarrConfig,
    reach=Reach.MACHINE,
    open=open_store,
    close=close_store,
    load=load_array,
    load_lazy=load_array_lazily,
    save=save_array,
    save_region=save_array_region,
    copy=copy_stored,
    made_by=made_by,
    parts=parts_of,
    stat=stat_array,
    list=list_keys,
    children=list_children,
    make_folder=make_folder,
    delete=delete_node,
    move=move_node,
    link=link_to,
    lock=lock_key,
    root=root_of,
    reserved=DOCUMENTS,
)
"""The record of Zarr stores of arrays."""
