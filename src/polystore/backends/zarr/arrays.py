"""The layout of one array per key: dense, written and read whole, or by regions."""

from __future__ import annotations

import math
from functools import partial

from polystore.backends.refusals import no_formats
from polystore.backends.zarr.copying import copy_stored
from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.meta import ArrayMeta, array_meta
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
from polystore.backends.zarr.history import is_made_by
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
from polystore.core.region import box_of, whole

__all__ = ["ARRAY", "array_in"]


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
    regions side by side lose nothing; those that share no file of chunks encode at once.
    """
    host = host_array(store, item)
    if not is_successful(host):
        return located(Failure(host.failure()), store, key)
    array = host.unwrap()

    def change(old: Files, new: Files) -> Outcome[None]:
        meta = array_in(old, store, key).outcome
        if not is_successful(meta):
            return Failure(meta.failure())
        box = and_then(
            box_of(region, meta.unwrap().grid.shape), partial(fitting, array, meta.unwrap())
        )
        return and_then(box, lambda it: rewrite(old, new, meta.unwrap(), it, array))

    patched = store.tree.patch(key, change)
    saved = patched.map(lambda _: Saved(key, store.config, "written", array.nbytes))
    return located(saved, store, key)


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
