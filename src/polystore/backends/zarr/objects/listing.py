"""The keys of a Zarr store in a store of bytes: its items, found by the documents listed.

A store of bytes lists all objects below a folder, chunks too; each document among them is read, to
know what it makes of its folder. Those inside an item are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from attrs import evolve, field, frozen

from polystore.backends.refusals import no_folder
from polystore.backends.zarr.kind import DOCUMENTS
from polystore.backends.zarr.objects.bytesat import AT_ONCE, Bytes, StoreError, guarded
from polystore.backends.zarr.objects.node import (
    Node,
    has_nodes,
    is_unfinished,
    item_above,
    joined,
    missing,
    node_at,
    resolved,
)
from polystore.core.key import Key, parse_key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Child, Page

__all__ = ["list_children", "list_items"]

_BATCH = 256
"""Folders with documents that are looked at together."""


@frozen(eq=False)
class _Walk:
    """A listing: where it began (`shown` is the folder as it was asked for), and nodes met."""

    content: Bytes
    real: str
    shown: str
    nodes: dict[str, Node] = field(factory=dict[str, Node])

    def key_of(self, path: str) -> str:
        """Give a path by the name of the folder that was asked for, which may be a link."""
        return joined(self.shown, path[len(self.real) :].lstrip("/"))

    def look(self, paths: Iterable[str]) -> None:
        """Read the documents of some paths, several at once."""
        new = sorted(set(paths) - set(self.nodes))
        if len(new) == 1:
            self.nodes[new[0]] = self._seen(new[0])
        elif new:
            with ThreadPoolExecutor(min(len(new), AT_ONCE)) as threads:
                self.nodes.update(zip(new, threads.map(self._seen, new), strict=True))

    def _seen(self, path: str) -> Node:
        node = node_at(self.content, path)
        if node.kind != "none":
            return node
        if is_unfinished(self.content, path):
            return evolve(node, kind="damaged", texts={})
        return node_at(self.content, path)  # its writer may have finished before the last look

    def enters(self, path: str) -> bool:
        """Whether what is below a node is listed: not that of an item, or of one in the making."""
        node = self.nodes[path]
        if node.kind == "damaged":
            return bool(node.texts)
        return not node.is_item(self.content.config.layout)


def list_items(content: Bytes, folder: str) -> Iterator[Outcome[Page]]:
    """Give the keys of all items below a folder, page by page, lazily, in no order.

    Links to items are keys, and those that lead nowhere; those to folders are not, and are not
    entered. A node whose documents are damaged is a key too: loading it says so.
    """
    begun = guarded(lambda: Success(_begun(content, folder)), folder, content.config)
    if not is_successful(begun):
        yield Failure(begun.failure())
        return
    walk = begun.unwrap()
    folders = _folders(walk)

    def following() -> Outcome[list[str] | None]:
        batch = tuple(islice(folders, _BATCH))
        return Success(_items(walk, batch) if batch else None)

    while True:
        found = guarded(following, folder, content.config)
        if not is_successful(found):
            yield Failure(found.failure())
            return
        paths = found.unwrap()
        if paths is None:
            return
        yield from _page(walk, paths)


def _begun(content: Bytes, folder: str) -> _Walk:
    """Give the walk of a folder; raises for what is none."""
    node = resolved(content, folder)
    inside = item_above(content, f"{node.path}/-") if node.path else None
    if node.is_item(content.config.layout) or inside is not None:
        where = folder if inside is None or inside.path == node.path else inside.path
        what = "an image" if "image" in (node.kind, inside and inside.kind) else "an array"
        raise StoreError(no_folder(folder, content.config, where, what))
    if node.kind == "none" and not has_nodes(content, node.path):
        raise StoreError(missing(content, folder))
    return _Walk(content, node.path, folder)


def _folders(walk: _Walk) -> Iterator[str]:
    """Give the paths below the folder that have documents, each once."""
    seen: set[str] = set()
    for name in walk.content.names(walk.real):
        folder, _, last = name.rpartition("/")
        if last in DOCUMENTS and folder and folder not in seen:
            seen.add(folder)
            yield joined(walk.real, folder)


def _items(walk: _Walk, folders: Iterable[str]) -> list[str]:
    """Give those folders that are items, looking at what is above them first."""
    start = len(walk.real) + 1 if walk.real else 0
    parts = {folder: folder[start:].split("/") for folder in folders}
    found: list[str] = []
    depth = 1
    while parts:
        at = {folder: joined(walk.real, "/".join(it[:depth])) for folder, it in parts.items()}
        walk.look(at.values())
        found.extend(it for it, path in at.items() if it == path and _is_key(walk, path))
        parts = {
            it: names for it, names in parts.items() if len(names) > depth and walk.enters(at[it])
        }
        depth += 1
    return found


def _is_key(walk: _Walk, path: str) -> bool:
    node = walk.nodes[path]
    if node.kind == "damaged":
        return bool(node.texts)
    if node.link is None:
        return node.is_item(walk.content.config.layout)
    try:
        end = resolved(walk.content, node.link)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        return True  # it leads in a circle
    return end.kind in ("none", "damaged") or end.is_item(walk.content.config.layout)


def _page(walk: _Walk, paths: list[str]) -> Iterator[Outcome[Page]]:
    keys = [parse_key(walk.key_of(path), None, DOCUMENTS) for path in paths]
    yield Success(tuple(key.unwrap() for key in keys if is_successful(key)))
    for key in keys:
        if not is_successful(key):
            advice = "Rename it with the store's own tools; the others are keys."
            config = walk.content.config
            yield Failure(evolve(key.failure(), config=config, advice=advice))


def list_children(content: Bytes, folder: str) -> Iterator[Outcome[tuple[Child, ...]]]:
    """Give the items, folders and links that stand directly in a folder, in one page.

    A folder without documents is shown if there are nodes below it, and is not `own`.
    """
    yield guarded(lambda: Success(_children(content, folder)), folder, content.config)


def _children(content: Bytes, folder: str) -> tuple[Child, ...]:
    walk = _begun(content, folder)
    folders, others = dict[str, bool](), list[str]()
    for name in content.names(walk.real):
        first, slash, rest = name.partition("/")
        if slash:
            has_document = rest.rpartition("/")[2] in DOCUMENTS
            folders[first] = folders.get(first, False) or has_document
        elif name not in DOCUMENTS:
            others.append(name)
    paths = {joined(walk.real, name): has for name, has in folders.items() if has}
    walk.look(paths)
    found = [_child(walk, path) for path in paths]
    plain = [Child(Key(joined(folder, name)), "other", False) for name in others]
    return (*(child for child in found if child is not None), *plain)


def _child(walk: _Walk, path: str) -> Child | None:
    node, key = walk.nodes[path], Key(walk.key_of(path))
    if node.kind == "damaged":
        return Child(key, "file") if node.texts else None
    if node.link is not None:
        return Child(key, "link")
    if node.is_item(walk.content.config.layout):
        return Child(key, "file")
    return Child(key, "folder", node.kind != "none")
