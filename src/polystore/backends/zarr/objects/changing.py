"""Changing what is in a store of bytes: a region of an array, and deleting a node."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import groupby

from attrs import field, frozen

from polystore.backends.refusals import folder_in_use
from polystore.backends.zarr.folder.groups import not_ours, part_of
from polystore.backends.zarr.kind import DOCUMENTS, LABELS
from polystore.backends.zarr.objects.bytesat import Bytes, StoreError, guarded
from polystore.backends.zarr.objects.claims import Busy, Claim, claimed
from polystore.backends.zarr.objects.groups import busy, clear_left
from polystore.backends.zarr.objects.node import (
    DECIDING,
    Node,
    files_of,
    has_nodes,
    is_unfinished,
    item_above,
    joined,
    missing,
    node_at,
    resolved,
)
from polystore.backends.zarr.tree import Files, Growing
from polystore.core.errors import StorageError, UnsupportedOperation
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Buffer

__all__ = ["delete", "patch"]

_WAIT_S = 60.0
"""Seconds that a change waits for another one of the same node."""


_SPACES = 1000
"""Numbers of spaces that are told apart: as many changes in a row have etags of their own."""


@frozen(eq=False)
class _Patch:
    """The one file that a patch may make."""

    content: Bytes
    path: str
    made: dict[str, list[bytes]] = field(factory=dict[str, list[bytes]])
    lock: threading.Lock = field(factory=threading.Lock)

    def create(self, name: str) -> Growing:
        """Begin the file; raises for a second one, before it takes any memory."""
        with self.lock:
            self.made[name] = []
            if len(self.made) > 1:
                raise StoreError(self._many())

        def append(buffers: Sequence[Buffer]) -> None:
            self.made[name].extend(memoryview(buffer).tobytes() for buffer in buffers)

        return Growing(append, lambda: None)

    def _many(self) -> UnsupportedOperation:
        return UnsupportedOperation(
            self.path,
            self.content.config,
            f"The region covers several files of {self.path!r}, and a store of objects replaces "
            "one at a time: a reader would see some of it.",
            "Save regions that are in one file (a shard, or a chunk where there are none), or save "
            "the whole under another key.",
        )


def patch(
    content: Bytes, key: Key, change: Callable[[Files, Files], Outcome[None]], stale_s: float
) -> Outcome[None]:
    """Replace one file of a node by the one that `change` creates; one patch after the other."""

    def patched() -> Outcome[None]:
        node = resolved(content, key)
        if node.kind == "none":
            return Failure(missing(content, key))
        try:
            with claimed(content, node.path, stale_s, _WAIT_S) as claim:
                again = node_at(content, node.path)
                made = _Patch(content, node.path)
                new = Files(_none, made.create, lambda: iter(()), lambda: (None, None))
                changed = change(files_of(content, again), new)
                if is_successful(changed) and made.made:
                    claim.require()
                    for name, parts in made.made.items():
                        content.put(joined(node.path, name), parts, "replace")
                    _mark_changed(content, again)
                return changed
        except Busy:
            return Failure(busy(content, key))

    return guarded(patched, key, content.config)


def _mark_changed(content: Bytes, node: Node) -> None:
    """Put the document anew with another number of spaces at its end: its etag is another then.

    Who holds the array to read it lazily learns so that it is not any more what it was.
    """
    name = node.deciding
    text = None if name is None else node.texts[name]
    if name is not None and text is not None:
        bare = text.rstrip(b" ")
        spaces = (len(text) - len(bare) + 1) % _SPACES
        content.put(joined(node.path, name), [bare + b" " * spaces], "replace")


def _none(_path: str) -> None:
    return None


def delete(content: Bytes, key: Key, stale_s: float) -> Outcome[None]:
    """Delete a link, an item with all that is below it, or an empty group.

    The document that makes it a node goes first, but for those of its labels; then all others, and
    the chunks last. So nothing that can be loaded lacks a part, nor can what is below it be loaded
    when it is gone. If this writer dies, whoever deletes it again or saves under the key next
    deletes the rest.
    """

    def deleted() -> Outcome[None]:
        node = node_at(content, key)
        left = node.kind == "none" and is_unfinished(content, key)
        problem = None if left else _not_deleted(content, node)
        if problem is not None:
            return Failure(problem)
        try:
            with claimed(content, key, stale_s, _WAIT_S) as claim:
                return _deleted(claim, stale_s)
        except Busy:
            return Failure(busy(content, key))

    return guarded(deleted, key, content.config)


def _not_deleted(content: Bytes, node: Node) -> StorageError | None:
    """Give the error for what is not to be deleted: nothing, a part of an item, a plain folder."""
    inside = item_above(content, node.path)
    if node.kind == "none":
        if inside is None and has_nodes(content, node.path):
            return not_ours(node.path, content.config, "remove")
        return missing(content, node.path)
    if inside is None:
        return None
    if inside.kind == "image":
        return part_of(node.path, content.config, inside.path, "delete")
    return missing(content, node.path)


def _deleted(claim: Claim, stale_s: float) -> Outcome[None]:
    content, path = claim.content, claim.path
    node = node_at(content, path)
    names = list(content.names(path))
    if node.deciding is None:
        if not claim.followed:  # another writer has deleted it
            return Failure(missing(content, path))
        _in_order(claim, names)
        return Success(None)
    if not node.is_item(content.config.layout):
        for folder in {name.partition("/")[0] for name in names if "/" in name}:
            if is_unfinished(content, joined(path, folder)):
                clear_left(content, joined(path, folder), stale_s)
        names = list(content.names(path))
        others = {name.partition("/")[0] for name in names} - DOCUMENTS
        if others:
            return Failure(folder_in_use(path, content.config, len(others)))
    labels = [it for it in names if it.startswith(f"{LABELS}/")] if node.kind == "image" else []
    _in_order(claim, [it for it in labels if _is_document(it)])
    _in_order(claim, [node.deciding])
    _in_order(claim, [it for it in names if it != node.deciding])
    return Success(None)


def _in_order(claim: Claim, names: Sequence[str]) -> None:
    """Delete files: documents first, the upper ones and those that make a node before others."""

    def rank(name: str) -> tuple[bool, int, bool]:
        last = name.rpartition("/")[2]
        return not _is_document(name), name.count("/"), last not in DECIDING

    def alike(name: str) -> tuple[bool, int, bool]:
        return rank(name) if _is_document(name) else (True, 0, True)

    try:
        for _, some in groupby(sorted(names, key=rank), alike):
            claim.content.delete_all(joined(claim.path, name) for name in some)
    except OSError:
        claim.keep()
        raise


def _is_document(name: str) -> bool:
    return name.rpartition("/")[2] in DOCUMENTS
