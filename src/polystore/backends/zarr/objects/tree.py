"""The keys of any store of bytes as a tree of Zarr nodes: S3, a database, a folder of files.

What is made, changed and deleted here is whole to every reader, with what all stores of bytes have:
an object is put in one step, and put only if it is not there yet. What would need more is a typed
error: an array is not replaced, nor is a region saved that is in several files.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial

from attrs import evolve

from polystore.backends.zarr.objects.building import build, copy_in
from polystore.backends.zarr.objects.bytesat import Bytes, StoreError
from polystore.backends.zarr.objects.changing import delete, patch
from polystore.backends.zarr.objects.claims import STALE_S
from polystore.backends.zarr.objects.groups import amend, make_group
from polystore.backends.zarr.objects.listing import list_children, list_items
from polystore.backends.zarr.objects.node import joined, node_at
from polystore.backends.zarr.objects.reading import hold, read
from polystore.backends.zarr.tree import Tree
from polystore.configs import ZarrConfig
from polystore.core.errors import InvalidSpec, UnsupportedOperation
from polystore.core.key import Key, parse_key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Opened

__all__ = ["object_tree"]


def object_tree(config: ZarrConfig, opened: Opened, stale_s: float = STALE_S) -> Outcome[Tree]:
    """Give the tree of the nodes below a prefix of a store of bytes: nothing is open in it.

    `stale_s`: seconds after which a writer that does not say that it is alive counts as dead. All
    writers of a store have to agree about it. `UnsupportedOperation` for a store that holds no
    files.
    """
    backend = opened.backend
    needed = (backend.get, backend.stat, backend.list)
    if any(function is None for function in needed):
        return Failure(
            UnsupportedOperation(
                "",
                config,
                f"A {backend.name} store holds no files, and Zarr's are files.",
                "Give the config of a store of files as store=, such as an ObjectConfig.",
            )
        )
    root = config.root.strip("/")
    parsed = parse_key(root) if root else Success(root)
    if not is_successful(parsed):
        error = parsed.failure()
        where = "ZarrConfig.root"
        return Failure(InvalidSpec("", config, error.message, "Name a folder of keys.", where))
    content = Bytes(config, opened)
    return Success(
        Tree(
            read=partial(read, content),
            hold=partial(hold, content),
            build=lambda key, if_exists, fill: build(content, key, if_exists, fill, stale_s),
            patch=lambda key, change: patch(content, key, change, stale_s),
            amend=lambda folder, change: amend(content, folder, change, stale_s),
            copy_in=lambda key, files, if_exists: copy_in(content, key, files, if_exists, stale_s),
            link=partial(_link, content),
            list=partial(list_items, content),
            children=partial(list_children, content),
            make_folder=lambda key: make_group(content, key, stale_s),
            delete=lambda key: delete(content, key, stale_s),
            move=None,
            lock=None if backend.lock is None else partial(_lock, content),
        )
    )


def _link(content: Bytes, key: str) -> str | None:
    try:
        return node_at(content, key).link
    except StoreError:
        return None


def _lock(content: Bytes, key: Key, seconds: float) -> Outcome[AbstractContextManager[None]]:
    lock = content.opened.backend.lock
    if lock is None:
        raise AssertionError
    name = joined(content.config.root.strip("/"), key)
    held = lock(content.opened.handle, Key(name), seconds)
    return held.alt(lambda error: evolve(error, key=key, config=content.config))
