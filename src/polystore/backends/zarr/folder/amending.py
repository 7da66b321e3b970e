"""Changing the attributes of a group: under a lock, so that no change of another is lost."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import cast

from attrs import evolve

from polystore.backends.beneath import open_root
from polystore.backends.filelock import folder_lock
from polystore.backends.whole import write_whole
from polystore.backends.zarr.elements.documents import document_bytes
from polystore.backends.zarr.folder.building import unwritten
from polystore.backends.zarr.folder.files import read_all
from polystore.backends.zarr.folder.groups import group_folder, image_gone, image_of, no_group
from polystore.backends.zarr.folder.locking import LOCK_SECONDS
from polystore.backends.zarr.folder.node import (
    DOCUMENT,
    DOCUMENT_MAX,
    TURNS_MAX,
    Found,
    found_in,
    item_above,
    open_end,
    stands_at,
)
from polystore.backends.zarr.kind import writes_format
from polystore.configs import ZarrConfig
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard, is_successful
from polystore.core.records import Encoded

__all__ = ["Change", "amend"]

Change = Callable[[dict[str, object]], dict[str, object]]
"""From the attributes of a group to those that it is to have."""


def amend(config: ZarrConfig, folder: str, change: Change) -> Outcome[None]:
    """Replace the attributes of a group, which is made if it is missing, by what is made of them.

    Its document is replaced in one step; what others have written into it beside the attributes
    stays. An array or a link has no such attributes: `NotADirectory`. A group of labels comes with
    its first label, and goes with its image: where it is missing, it is not made (`NotFound`).
    """
    return and_then(
        guard(
            lambda: _amended(config, folder, change),
            catch(OSError, lambda error: unwritten(error, folder, config)),
        ),
        lambda done: done,
    )


def _amended(config: ZarrConfig, folder: str, change: Change) -> Outcome[None]:
    root = _root(config, folder)
    if not is_successful(root):
        return Failure(root.failure())
    try:
        return _amended_below(config, root.unwrap(), folder, change)
    finally:
        os.close(root.unwrap())


def _root(config: ZarrConfig, folder: str) -> Outcome[int]:
    """Give the root; a new one comes with the groups on the way to the folder."""
    try:
        return Success(open_root(config.root))
    except FileNotFoundError:
        made = group_folder(config, folder).map(os.close)
        return made.map(lambda _: open_root(config.root))


def _amended_below(config: ZarrConfig, root: int, folder: str, change: Change) -> Outcome[None]:
    for _ in range(TURNS_MAX):
        opened = _opened(config, root, folder)
        if not is_successful(opened):
            return Failure(evolve(opened.failure(), key=folder))
        fd, real = opened.unwrap()
        try:
            done = _amended_in(config, root, (fd, real), change)
        finally:
            os.close(fd)
        if done is not None:
            return done
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), folder)


def _opened(config: ZarrConfig, root: int, folder: str) -> Outcome[tuple[int, str]]:
    try:
        return Success(open_end(root, folder))
    except FileNotFoundError:
        image = image_of(config, folder)
        if image is not None:
            return Failure(image_gone(image, config))
        return group_folder(config, folder).map(lambda fd: (fd, folder))


def _amended_in(
    config: ZarrConfig, root: int, at: tuple[int, str], change: Change
) -> Outcome[None] | None:
    """Change the attributes in an open folder; `None` if it was replaced meanwhile."""
    folder, real = at
    lock = folder_lock(partial(os.dup, folder), "attributes", real, LOCK_SECONDS, config)
    if not is_successful(lock):
        return Failure(lock.failure())
    with lock.unwrap():
        if not stands_at(root, real, folder):
            return None
        found = found_in(folder)
        if found.node in ("damaged", "array", "link"):
            return Failure(no_group(found.node, real, config))
        above = item_above(root, real, config.layout) if real and found.node == "plain" else None
        if above is not None:
            return Failure(no_group(above[1], above[0], config))
        _rewrite(folder, found, writes_format(config), change)
        return Success(None)


def _rewrite(folder: int, found: Found, version: int, change: Change) -> None:
    if (found.version or version) == 3:
        document = _parsed(folder, DOCUMENT) or {"zarr_format": 3, "node_type": "group"}
        before = cast("dict[str, object]", document.get("attributes", {}))
        after = change(deepcopy(before))
        if found.node == "plain" or after != before:
            _write(folder, DOCUMENT, {**document, "attributes": after})
        return
    before = _parsed(folder, ".zattrs") or {}
    after = change(deepcopy(before))
    if after != before:
        _write(folder, ".zattrs", after)
    if found.node == "plain":
        _write(folder, ".zgroup", {"zarr_format": 2})


def _parsed(folder: int, name: str) -> dict[str, object] | None:
    text = read_all(folder, name, DOCUMENT_MAX)
    return None if text is None else cast("dict[str, object]", json.loads(text))


def _write(folder: int, name: str, document: dict[str, object]) -> None:
    text = document_bytes(document)
    write_whole(folder, name, Encoded((text,), len(text)), replace=True, synced=False)
