"""Reading a node in a store of bytes from one generation; and holding one, to be read later."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TypeVar

from attrs import evolve

from polystore.backends.zarr.kind import DOCUMENTS
from polystore.backends.zarr.objects.bytesat import Bytes, StoreError, guarded
from polystore.backends.zarr.objects.node import (
    Generation,
    Node,
    files_of,
    generation_of,
    has_nodes,
    item_above,
    missing,
    resolved,
)
from polystore.backends.zarr.tree import Files, Held, Seen
from polystore.core.errors import Unavailable
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.records import Readable

__all__ = ["hold", "read"]

T = TypeVar("T")

TURNS_MAX = 20
"""How often one begins again because a node was replaced meanwhile."""


def read(content: Bytes, key: str, look: Callable[[Files], Seen[T]]) -> Outcome[T]:
    """Give what `look` sees of the node of a key, all of it from one generation.

    The store is asked for the document's etag and time before the document is read, and after the
    elements were: between two equal answers nothing was replaced. What is seen of the document
    alone is of one generation by itself. A file that is replaced while it is read (`ESTALE`) is
    one of another generation.
    """
    return guarded(lambda: _read_in_turns(content, key, look), key, content.config)


def _read_in_turns(content: Bytes, key: str, look: Callable[[Files], Seen[T]]) -> Outcome[T]:
    for _ in range(TURNS_MAX):
        others: list[str] = []
        try:
            node, before = _found(content, key)
            seen = look(_noting(files_of(content, node), others))
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
            continue
        if (seen.complete and not others) or generation_of(content, node) == before:
            return seen.outcome
    return Failure(
        Unavailable(
            key,
            content.config,
            f"{key!r} was replaced {TURNS_MAX} times while it was read.",
            "Read it again when its writers pause.",
        )
    )


def _found(content: Bytes, key: str) -> tuple[Node, Generation]:
    """Give the node of a key, read after its generation was asked for."""
    likely = Node(key, {"zarr.json": b""}, None, "none", None)
    before = generation_of(content, likely)
    node = resolved(content, key)
    while node.path != likely.path or node.deciding != likely.deciding:
        likely, before = node, generation_of(content, node)
        node = resolved(content, node.path)
    if node.kind == "none":
        inside = item_above(content, node.path) if node.path else None
        if inside is not None or not has_nodes(content, node.path):
            raise StoreError(missing(content, key))
    return node, before


def _noting(files: Files, others: list[str]) -> Files:
    """Give files, with a note of those that were opened and are no documents of the node."""

    def opened(path: str) -> Readable | None:
        if path not in DOCUMENTS:
            others.append(path)
        return files.open(path)

    return evolve(files, open=opened)


def hold(content: Bytes, key: str) -> Outcome[Held]:
    """Give the files of a node as they are now.

    Nothing keeps objects from being replaced or deleted: each file is opened only if the document
    is still the same when it was; else `OSError` says so.
    """

    def held() -> Outcome[Held]:
        node, before = _found(content, key)
        return Success(Held(_checked(content, node, before), lambda: None))

    return guarded(held, key, content.config)


def _checked(content: Bytes, node: Node, before: Generation) -> Files:
    files = files_of(content, node)

    def opened(path: str) -> Readable | None:
        found = files.open(path)
        if path not in node.texts and generation_of(content, node) != before:
            if found is not None:
                found.close()
            raise OSError(errno.ESTALE, "it was replaced or deleted", path)
        return found

    return evolve(files, open=opened)
