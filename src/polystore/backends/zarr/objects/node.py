"""What stands under a path of a Zarr store in a store of bytes: its documents, kind and links."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Literal, TypeAlias

from attrs import frozen

from polystore.backends.refusals import below_no_folder
from polystore.backends.zarr.elements.documents import DOCUMENT_MAX, documents_in
from polystore.backends.zarr.elements.meta import Documents
from polystore.backends.zarr.kind import (
    DOCUMENTS,
    Kind,
    is_item,
    is_node_name,
    kind_of,
    link_in,
    may_hold,
)
from polystore.backends.zarr.objects.bytesat import Bytes, StoreError
from polystore.backends.zarr.tree import Files, Growing
from polystore.configs import ZarrLayout
from polystore.core.errors import (
    InvalidKey,
    PermissionDenied,
    StorageError,
    UnsupportedOperation,
    not_found,
)
from polystore.core.key import HIDDEN_PREFIX
from polystore.core.outcome import is_successful
from polystore.core.records import Reach, Readable, readable_of

__all__ = [
    "CLAIM",
    "DECIDING",
    "Generation",
    "Node",
    "above",
    "files_of",
    "generation_of",
    "has_nodes",
    "is_unfinished",
    "item_above",
    "joined",
    "missing",
    "node_at",
    "refuse_name",
    "resolved",
]

CLAIM = f"{HIDDEN_PREFIX}claim"
"""The name of a writer's claim of a node (`claims`)."""

LINKS_MAX = 40
"""How many links are followed from one key, as by Linux."""

Generation: TypeAlias = tuple[object, ...]
"""Another one for every other generation of a node, as far as its store can tell."""

DECIDING = ("zarr.json", ".zarray", ".zgroup")
"""A node has one of these; what else it has is written before it."""

_OF_VERSION_2 = (".zarray", ".zgroup", ".zattrs")


@frozen
class Node:
    """What is known of a node: the documents as bytes (`None`: is none), and what they say.

    `kind` is `"none"` where there are no documents, and `"damaged"` where they are.
    """

    path: str
    texts: dict[str, bytes | None]
    documents: Documents | None
    kind: Kind | Literal["none", "damaged"]
    link: str | None

    def is_item(self, layout: ZarrLayout) -> bool:
        """Whether it is an item of its own; what is damaged does not count as one."""
        return not (self.kind == "none" or self.kind == "damaged") and is_item(self.kind, layout)

    @property
    def deciding(self) -> str | None:
        """The name of the document that makes it a node."""
        return next((name for name in DECIDING if self.texts.get(name) is not None), None)


def joined(path: str, name: str) -> str:
    """Give a path further below."""
    return f"{path}/{name}" if path and name else path or name


def above(path: str) -> Iterator[str]:
    """Give the paths of the folders above, from the root."""
    parts = path.split("/") if path else []
    return ("/".join(parts[:depth]) for depth in range(len(parts)))


def node_at(content: Bytes, path: str) -> Node:
    """Say what is under a path: one object is read for a node of version 3."""
    texts: dict[str, bytes | None] = {}

    def opened(name: str) -> Readable | None:
        if name not in texts:
            texts[name] = content.read(joined(path, name), DOCUMENT_MAX + 1)
        text = texts[name]
        if text is None and name == "zarr.json" and _is_surely_empty(content, path):
            texts.update(dict.fromkeys(_OF_VERSION_2))  # one request instead of theirs
        return None if text is None else readable_of(text)

    found = documents_in(Files(opened, no_file_made, lambda: iter(()), lambda: (None, None)))
    if not is_successful(found):
        return Node(path, texts, None, "damaged", None)
    documents = found.unwrap()
    if documents is None:
        return Node(path, texts, None, "none", None)
    return Node(path, texts, documents, kind_of(documents), link_in(documents))


def _is_surely_empty(content: Bytes, path: str) -> bool:
    try:
        return content.is_empty(path)
    except StoreError:  # not everyone may list, and plain HTTP knows no lists
        return False


def no_file_made(path: str) -> Growing:
    """Refuse to make a file in what is only read."""
    raise OSError(errno.EROFS, "the files of this node are read, not written", path)


def files_of(content: Bytes, node: Node) -> Files:
    """Give the files of a node, its documents as they were read."""

    def opened(name: str) -> Readable | None:
        if name in node.texts:
            text = node.texts[name]
            return None if text is None else readable_of(text)
        at = joined(node.path, name)
        is_document = name.rpartition("/")[2] in DOCUMENTS
        return content.open(at) if is_document else content.open_chunk(at)

    return Files(
        opened,
        no_file_made,
        lambda: content.names(node.path),
        lambda: _mark(content, node),
        waits=content.opened.backend.reach is Reach.NETWORK,
    )


def _mark(content: Bytes, node: Node) -> tuple[int | None, str | None]:
    name = node.deciding
    found = None if name is None else content.stat(joined(node.path, name))
    return (None, None) if found is None else (found.modified_ns, found.etag)


def generation_of(content: Bytes, node: Node) -> Generation:
    """Give the generation of a node as it is now: what its store says of its document, or that."""
    name = node.deciding
    if name is None:
        return ()
    path = joined(node.path, name)
    found = content.stat(path)
    if found is None:
        return ("gone",)
    if found.etag is None and found.modified_ns is None:
        return (content.read(path),)
    return (found.etag, found.modified_ns, found.nbytes)


def has_nodes(content: Bytes, path: str) -> bool:
    """Whether a folder without documents has nodes below it, and is not one in the making."""
    if is_unfinished(content, path):
        return False
    try:
        if not any(name.rpartition("/")[2] in DOCUMENTS for name in content.names(path)):
            return False
        return node_at(content, path).kind == "none"  # its writer may just have finished
    except StoreError as error:
        # Who may not list, as nobody may over plain HTTP, sees no folders but groups.
        if isinstance(error.error, (PermissionDenied, UnsupportedOperation)):
            return False
        raise


def is_unfinished(content: Bytes, path: str) -> bool:
    """Whether a writer, alive or dead, has claimed what is no node."""
    return content.stat(joined(path, CLAIM)) is not None


def resolved(content: Bytes, path: str) -> Node:
    """Give the node under a path, with links followed, those above it too.

    `NotFound` where a link leads nowhere, `OSError` where they lead in a circle.
    """
    for _ in range(LINKS_MAX):
        node = node_at(content, path)
        if node.link is not None:
            path = node.link
            continue
        if node.kind != "none" or not path:
            return node
        led = _link_above(content, path)
        if led is None:
            return node
        path = led
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _link_above(content: Bytes, path: str) -> str | None:
    """Give the path with the first link above it followed; `None` if there is none."""
    for folder in above(path):
        link = node_at(content, folder).link if folder else None
        if link is not None:
            return joined(link, path[len(folder) + 1 :])
    return None


def item_above(content: Bytes, path: str) -> Node | None:
    """Give the item that a path is inside of; what may be below an image is not inside."""
    parts = path.split("/")
    for depth, folder in enumerate(above(path)):
        node = node_at(content, folder)
        whole = node.kind != "link" and node.is_item(content.config.layout)
        if whole and not may_hold(node.kind, parts[depth]):
            return node
    return None


def missing(content: Bytes, path: str) -> StorageError:
    """Give the error for a path under which there is no node."""
    inside = item_above(content, path) if path else None
    if inside is not None:
        what = f"{inside.path!r} is {'an array' if inside.kind == 'array' else 'an image'}"
        return below_no_folder(path, content.config, f"{what}, not a folder")
    return not_found(path, content.config, ())


def refuse_name(content: Bytes, path: str) -> None:
    """Raise `InvalidKey` for a path with a part that Zarr allows no node to have as its name."""
    parts = path.split("/")
    part = next((it for it in parts if not is_node_name(it) or it in DOCUMENTS), None)
    if part is not None:
        raise StoreError(
            InvalidKey(
                path,
                content.config,
                f"{path!r} is no key of a Zarr store: Zarr reserves names such as {part!r}.",
                "Use a part that is not only dots, and does not begin with two underscores.",
            )
        )
