"""Groups in a store of bytes: those on the way to a node, and the attributes of one."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Literal, cast

from attrs import frozen

from polystore.backends.zarr.elements.documents import document_bytes, group_documents
from polystore.backends.zarr.kind import LABELS, may_hold, writes_format
from polystore.backends.zarr.objects.bytesat import Bytes, StoreError, guarded
from polystore.backends.zarr.objects.claims import Busy, Claim, claimed
from polystore.backends.zarr.objects.node import (
    LINKS_MAX,
    Node,
    is_unfinished,
    joined,
    node_at,
    refuse_name,
    resolved,
)
from polystore.configs import ZarrLayout
from polystore.core.errors import (
    Corrupt,
    LockTimeout,
    NotADirectory,
    NotFound,
    StorageError,
    UnsupportedOperation,
)
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success

__all__ = ["amend", "busy", "clear_labels", "clear_left", "image_kept", "make_group", "parent_of"]

_GROUP = group_documents({}, 3)["zarr.json"]
_GROUP_2 = document_bytes({"zarr_format": 2})

_WAIT_S = 60.0
"""Seconds that one change of a group waits for others."""

_WAIT_LABELS_S = 600.0
"""Seconds that a label waits for others of its image, each of which is written whole meanwhile."""

TURNS_MAX = 100


@contextmanager
def image_kept(content: Bytes, path: str, stale_s: float) -> Generator[None]:
    """Keep the image that has a path among its labels from being deleted within the block.

    One writer at a time is below an image. `NotFound` (`StoreError`) if the image is gone; nothing
    for a path that is among no labels.
    """
    image, _, last = path.rpartition("/")[0].rpartition("/")
    if content.config.layout is ZarrLayout.ARRAY or last != LABELS or not image:
        yield
        return
    at = resolved(content, image)
    if at.kind == "none":
        raise StoreError(_no_image(content, image))
    try:
        with claimed(content, at.path, stale_s, _WAIT_LABELS_S) as claim:
            if node_at(content, at.path).kind == "none":
                raise StoreError(_no_image(content, image))
            clear_labels(claim)
            yield
    except Busy:
        raise StoreError(busy(content, image)) from None


def clear_labels(claim: Claim) -> None:
    """Delete what a dead writer, who had the claim of an image, left of labels that are none."""
    labels = joined(claim.path, LABELS)
    names = list(claim.content.names(labels)) if claim.followed else []
    for label in sorted({name.partition("/")[0] for name in names if "/" in name}):
        if node_at(claim.content, joined(labels, label)).kind == "none":
            left = (name for name in names if name.startswith(f"{label}/"))
            claim.content.delete_all(joined(labels, name) for name in left)


def _no_image(content: Bytes, image: str) -> StorageError:
    message = f"There is no image {image!r} for this label."
    advice = "Save the image first; its labels are saved below it."
    return NotFound(image, content.config, message, advice)


def make_group(content: Bytes, key: Key, stale_s: float) -> Outcome[None]:
    """Make a group, and those above it; fine if it is there."""

    def made() -> Outcome[None]:
        refuse_name(content, key)
        parent_of(content, f"{key}/", None, stale_s)
        return Success(None)

    return guarded(made, key, content.config)


def parent_of(content: Bytes, path: str, version: Literal[2, 3] | None, stale_s: float) -> str:
    """Give the path of what a node comes into, made a group like those on the way; links followed.

    With a slash at its end, the path is that of the group itself. `version` is that of Zarr in
    which the node is written. Raises `StoreError` where an item is in the way, or a group of
    version 2 is above a node of version 3.
    """
    for _ in range(LINKS_MAX):
        led = _made_groups(content, path.split("/"), version, stale_s)
        if led is None:
            return path.rpartition("/")[0]
        path = led
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _made_groups(
    content: Bytes, parts: list[str], version: Literal[2, 3] | None, stale_s: float
) -> str | None:
    """Make the groups on the way; give the path by which to go on, where a link is on the way."""
    for depth in range(len(parts)):
        at = "/".join(parts[:depth])
        node = node_at(content, at)
        if node.link is not None:
            if resolved(content, node.link).kind == "none":
                raise StoreError(_leads_nowhere(content, at, node.link))
            return "/".join((node.link, *parts[depth:]))
        if node.kind == "none":
            node = _made_group(content, at, version or writes_format(content.config), stale_s)
        problem = _refused(content, node, parts[depth], version)
        if problem is not None:
            raise StoreError(problem)
    return None


def _made_group(content: Bytes, path: str, version: Literal[2, 3], stale_s: float) -> Node:
    """Make a group where there are no documents; a folder with other things in it stays as it is.

    Of the layouts of images the root, too, which may hold other things and be no Zarr.
    """
    if is_unfinished(content, path):
        clear_left(content, path, stale_s)
    if content.is_empty(path):
        name, text = ("zarr.json", _GROUP) if version == 3 else (".zgroup", _GROUP_2)
        content.put(joined(path, name), [text], "fail")
    return node_at(content, path)  # another writer may just have made it another


def clear_left(content: Bytes, path: str, stale_s: float) -> None:
    """Delete what a dead writer left under a path that is no node; wait for one that is alive."""
    try:
        with claimed(content, path, stale_s, _WAIT_S) as claim:
            if claim.followed and node_at(content, path).kind == "none":
                content.delete_all([joined(path, name) for name in content.names(path)])
    except Busy:
        raise StoreError(busy(content, path)) from None


def _refused(
    content: Bytes, node: Node, below: str, version: Literal[2, 3] | None
) -> StorageError | None:
    about = repr(node.path) if node.path else "The root of the store"
    other = "Choose a key that is not below it." if node.path else "Choose another root."
    if node.kind == "damaged":
        message = f"The documents of {about} are damaged."
        return Corrupt(node.path, content.config, message, f"Mend them. {other}")
    if node.is_item(content.config.layout) and not may_hold(node.kind, below):
        what = "an image" if node.kind == "image" else "an array"
        labels = " Only labels come below an image." if node.kind == "image" else ""
        message = f"{about} is {what}, not a folder."
        return NotADirectory(node.path, content.config, message, f"{other}{labels}")
    old = node.documents is not None and node.documents.zarr_format == 2
    if old and (version or writes_format(content.config)) == 3 and below:
        return UnsupportedOperation(
            node.path,
            content.config,
            f"{about} is a group of Zarr version 2, and version 3 cannot be below it.",
            f"{other} Or copy the group to another root, which writes it in version 3.",
        )
    return None


def _leads_nowhere(content: Bytes, path: str, link: str) -> StorageError:
    message = f"{path!r} is a link to {link!r}, where nothing is."
    return NotADirectory(path, content.config, message, "Delete the link, or make what it names.")


def busy(content: Bytes, path: str) -> StorageError:
    """Give the error for what another writer does not let go of."""
    return LockTimeout(
        path,
        content.config,
        f"Another writer is at work on {path or 'the root'!r}.",
        "Try again when it has finished.",
    )


@frozen
class _Attributes:
    """The attributes of a group, and how a document is made with others."""

    found: dict[str, object]
    path: str
    text: Callable[[dict[str, object]], bytes]


def amend(
    content: Bytes,
    folder: str,
    change: Callable[[dict[str, object]], dict[str, object]],
    stale_s: float,
) -> Outcome[None]:
    """Replace the attributes of a group by what `change` makes of them, until it adds nothing.

    Changes come one after the other: each holds the claim of the folder. Should a claim be lost
    (its writer slept for too long, and its put comes late), nothing is lost either where `change`
    recomputes from what is in the store: who puts looks again, and puts again until `change` has
    nothing to add. The last put of all is looked at after it, and everything that anyone has to add
    was in the store before: so the last writer ends complete.
    """

    def amended() -> Outcome[None]:
        if folder:
            refuse_name(content, folder)
        inside = f"{folder}/" if folder else ""
        with image_kept(content, inside, stale_s):
            at = parent_of(content, inside, None, stale_s)
            try:
                with claimed(content, at, stale_s, _WAIT_S):
                    return _amended(content, at, change)
            except Busy:
                return Failure(busy(content, folder))

    return guarded(amended, folder, content.config)


def _amended(
    content: Bytes, path: str, change: Callable[[dict[str, object]], dict[str, object]]
) -> Outcome[None]:
    for _ in range(TURNS_MAX):
        there = _attributes(content, path)
        wanted = change(dict(there.found))
        if wanted == there.found:
            return Success(None)
        content.put(there.path, [there.text(wanted)], "replace")
    return Failure(busy(content, path))


def _attributes(content: Bytes, path: str) -> _Attributes:
    """Give the attributes of a group; where it was a plain folder, it will be a group."""
    node = node_at(content, path)
    documents = node.documents
    if node.kind == "damaged":
        problem = _refused(content, node, "", None)
        raise OSError(errno.EIO, path) if problem is None else StoreError(problem)
    old = documents.zarr_format if documents is not None else writes_format(content.config)
    if old == 2:
        if documents is None:
            content.put(joined(path, ".zgroup"), [_GROUP_2], "fail")
        found = dict(documents.attributes) if documents is not None else {}
        return _Attributes(
            cast("dict[str, object]", found), joined(path, ".zattrs"), document_bytes
        )
    fields = dict(documents.fields) if documents is not None else json.loads(_GROUP)
    found = dict(documents.attributes) if documents is not None else {}
    return _Attributes(
        cast("dict[str, object]", found),
        joined(path, "zarr.json"),
        lambda attributes: document_bytes({**fields, "attributes": attributes}),
    )
