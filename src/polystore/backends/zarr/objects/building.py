"""Making a new node in a store of bytes: its files first, its documents last.

Nothing is seen of a node before its own document is there, which only one writer can put. That the
files below it are all of that writer is the claim's doing (`claims`).
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence

from attrs import evolve, field, frozen

from polystore.backends.oserrors import exists_already
from polystore.backends.refusals import folder_in_way
from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.refusals import too_large
from polystore.backends.zarr.kind import DOCUMENTS, kind_of
from polystore.backends.zarr.objects.bytesat import Bytes, StoreError, guarded
from polystore.backends.zarr.objects.claims import Busy, Claim, claimed
from polystore.backends.zarr.objects.groups import busy, clear_labels, image_kept, parent_of
from polystore.backends.zarr.objects.node import Node, joined, node_at, refuse_name
from polystore.backends.zarr.objects.replacing import Renamed, replaced_image
from polystore.backends.zarr.tree import Files, Growing
from polystore.core.errors import UnsupportedOperation
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Buffer, IfExists, Readable, readable_of

__all__ = ["Made", "build", "copy_in"]

_WAIT_S = 60.0
"""Seconds that a save waits for another one of the same key, if that may decide about it."""

_PIECE = 8 * 2**20


@frozen(eq=False)
class Made:
    """The files that a writer makes below a path: `texts` are documents, which are put last."""

    content: Bytes
    path: str
    renamed: Callable[[str], str]
    texts: dict[str, bytes] = field(factory=dict[str, bytes])
    names: set[str] = field(factory=set[str])
    lock: threading.Lock = field(factory=threading.Lock)

    def files(self) -> Files:
        """Give the functions that make them."""
        return Files(self.open, self.create, self.listed, lambda: (None, None))

    def create(self, name: str) -> Growing:
        """Begin a file, which is in memory until it is finished, and then put in one step."""
        parts: list[bytes] = []

        def append(buffers: Sequence[Buffer]) -> None:
            parts.extend(memoryview(buffer).tobytes() for buffer in buffers)

        def finish() -> None:
            with self.lock:
                if name in self.names or name in self.texts:
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
                if name.rpartition("/")[2] in DOCUMENTS:
                    self.texts[name] = b"".join(parts)
                    return
                self.names.add(name)
            self.content.put(joined(self.path, self.renamed(name)), parts, "replace")

        return Growing(append, finish)

    def open(self, name: str) -> Readable | None:
        """Give a file that was made."""
        if name in self.texts:
            return readable_of(self.texts[name])
        if name not in self.names:
            return None
        return self.content.open(joined(self.path, self.renamed(name)))

    def listed(self) -> Iterator[str]:
        """Give the names of those that were made."""
        with self.lock:
            return iter((*self.names, *self.texts))

    def remove(self) -> None:
        """Delete what was put."""
        self.content.delete_all(joined(self.path, self.renamed(name)) for name in self.names)


def build(
    content: Bytes,
    key: Key,
    if_exists: IfExists,
    fill: Callable[[Files], Outcome[None]],
    stale_s: float,
) -> Outcome[bool]:
    """Make a node out of the files that `fill` creates; `False` if it was there and is skipped."""

    def built() -> Outcome[bool]:
        refuse_name(content, key)
        with image_kept(content, key, stale_s):
            return below()

    def below() -> Outcome[bool]:
        path = joined(parent_of(content, key, None, stale_s), key.rpartition("/")[2])
        decided = _decided(node_at(content, path), content, if_exists)
        if decided is not None:
            return decided
        try:
            with claimed(content, path, stale_s, 0.0 if if_exists == "fail" else _WAIT_S) as claim:
                node = node_at(content, path)
                return _decided(node, content, if_exists) or _made(claim, node, if_exists, fill)
        except Busy:
            if if_exists == "fail":
                error = exists_already(key, content.config)
                return Failure(evolve(error, message=f"Another writer is saving {key!r}."))
            return Failure(busy(content, key))

    return guarded(built, key, content.config)


def _decided(node: Node, content: Bytes, if_exists: IfExists) -> Outcome[bool] | None:
    """Give what becomes of a save where something is in the way; `None` if it is to be made."""
    path = node.path
    if node.kind == "none":
        return None
    if node.kind != "damaged" and not node.is_item(content.config.layout):
        return Failure(folder_in_way(path, content.config))
    if if_exists == "skip":
        return Success(False)
    if if_exists == "fail":
        return Failure(exists_already(path, content.config))
    if node.kind in ("image", "link"):
        return None
    return Failure(_not_replaced(content, path))


def _not_replaced(content: Bytes, path: str) -> UnsupportedOperation:
    return UnsupportedOperation(
        path,
        content.config,
        f"A store of objects cannot replace {path!r} in one step: it has many files.",
        'Delete it, then save it with if_exists="fail"; or save it under another key, or in a '
        "folder of this machine.",
    )


def _made(
    claim: Claim, node: Node, if_exists: IfExists, fill: Callable[[Files], Outcome[None]]
) -> Outcome[bool]:
    content, path = claim.content, claim.path
    if node.kind == "image":
        clear_labels(claim)
    renamed = replaced_image(claim, node) if node.kind == "image" else Renamed()
    if node.kind == "none":
        _cleared(claim)
    made = Made(content, path, renamed.name)
    whole = False
    try:
        filled = fill(made.files())
        if not is_successful(filled):
            return Failure(filled.failure())
        if node.kind == "image" and not _is_alike(node, made):
            return Failure(_not_replaced(content, path))
        claim.require()
        whole = _put_documents(made, renamed, "fail" if node.kind == "none" else "replace")
    finally:
        # Whoever has put a document without a claim is no polystore: nothing of it is deleted.
        if not whole:
            _removed(claim, made, node)
    if node.kind == "link" and whole:
        _delete_old_documents(content, node, made)
    if whole:
        return Success(True)
    error = exists_already(path, content.config)
    return Success(False) if if_exists == "skip" else Failure(error)


def _is_alike(node: Node, made: Made) -> bool:
    """Whether what was made is an image too, of the same version of Zarr: one put exchanges it."""
    found = documents_in(made.files()).value_or(None)
    return node.deciding in made.texts and found is not None and kind_of(found) == "image"


def _removed(claim: Claim, made: Made, node: Node) -> None:
    """Delete what was made where no node came of it; if the store fails, the next writer does."""
    try:
        if node_at(claim.content, claim.path).kind == node.kind:
            made.remove()
    except OSError:
        claim.keep()
        raise


def _cleared(claim: Claim) -> None:
    """Delete what a dead writer left; refuse to write among things that nobody claimed."""
    content, path = claim.content, claim.path
    left = list(content.names(path))
    if left and not claim.followed:
        raise StoreError(folder_in_way(path, content.config))
    content.delete_all(joined(path, name) for name in left)


def _put_documents(made: Made, renamed: Renamed, if_exists: IfExists) -> bool:
    """Put the documents, those of the node itself last; `False` if the node was there by then."""
    last: str | None = next(
        (it for it in ("zarr.json", ".zarray", ".zgroup") if it in made.texts), None
    )
    if renamed.generation and ".zattrs" in made.texts:
        last = ".zattrs"  # it says where the levels of an image of version 2 are
    if last is None:
        raise OSError(errno.EINVAL, "a node was made without a document", made.path)
    for name in sorted(made.texts, key=lambda it: (-it.count("/"), it)):
        if name != last:
            path = joined(made.path, renamed.name(name))
            made.content.put(path, [renamed.text(name, made.texts[name])], "replace")
    text = renamed.text(last, made.texts[last])
    return made.content.put(joined(made.path, last), [text], if_exists)


def _delete_old_documents(content: Bytes, node: Node, made: Made) -> None:
    """Delete the documents of a replaced link that was of the other version of Zarr."""
    for name, text in node.texts.items():
        if text is not None and name not in made.texts:
            content.delete(joined(node.path, name))


def copy_in(
    content: Bytes, key: Key, files: Files, if_exists: IfExists, stale_s: float
) -> Outcome[bool]:
    """Make a node out of all files of another one, as they are."""

    def fill(new: Files) -> Outcome[None]:
        for name in sorted(files.names()):
            source = files.open(name)
            if source is None:
                raise OSError(errno.ESTALE, "it was replaced or deleted while it was copied", name)
            try:
                if source.size > content.config.max_bytes:  # all of it will be in memory
                    return Failure(too_large(source.size, content.config.max_bytes))
                growing = new.create(name)
                for start in range(0, source.size, _PIECE):
                    piece = bytearray(min(_PIECE, source.size - start))
                    if source.read_into(start, memoryview(piece)) != len(piece):
                        raise OSError(errno.EIO, "it ended early", name)
                    growing.append([piece])
            finally:
                source.close()
            growing.finish()
        return Success(None)

    return build(content, key, if_exists, fill, stale_s)
