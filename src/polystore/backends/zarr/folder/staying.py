"""Which folders stay where they are when something else is to have their key, or to be deleted."""

from __future__ import annotations

import os

from polystore.backends.heldfolder import FOLDER
from polystore.backends.wholefolder import Check
from polystore.backends.zarr.folder.node import node_of, refuse_all_but_items
from polystore.backends.zarr.kind import DOCUMENTS, LABELS
from polystore.configs import ZarrLayout
from polystore.core.key import HIDDEN_PREFIX

__all__ = ["refuse_what_stays"]


def refuse_what_stays(layout: ZarrLayout) -> Check:
    """Give what raises `IsADirectoryError` for a folder that may not be replaced or deleted whole.

    An item may; and so may, where there are images, a group in which is nothing but an empty group
    of labels: it only bars the key of an image.
    """
    refuse = refuse_all_but_items(layout)

    def check(folder: int) -> None:
        if layout is ZarrLayout.ARRAY or not _holds_only_no_labels(folder):
            refuse(folder)

    return check


def _holds_only_no_labels(folder: int) -> bool:
    if node_of(folder) not in ("plain", "group") or _seen_in(folder) != [LABELS]:
        return False
    try:
        labels = os.open(LABELS, FOLDER, dir_fd=folder)
    except OSError:  # a file, or a link
        return False
    try:
        return node_of(labels) in ("plain", "group") and not _seen_in(labels)
    finally:
        os.close(labels)


def _seen_in(folder: int) -> list[str]:
    names = os.listdir(folder)
    return [it for it in names if it not in DOCUMENTS and not it.startswith(HIDDEN_PREFIX)]
