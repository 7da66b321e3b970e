"""The label images below an image: a load does not give them, and so a copy has to bring them."""

from __future__ import annotations

from typing import cast

from polystore.backends.target import Target
from polystore.configs import ZarrConfig, ZarrLayout
from polystore.core.errors import InvalidKey, NotADirectory, NotFound
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Source
from polystore.dispatch import Dispatcher
from polystore.files.asking import stat_of
from polystore.files.listing import list_files
from polystore.files.sameness import with_parts

__all__ = ["keeps_more", "labels_below", "takes_labels"]


def keeps_more(source: Target, dispatcher: Dispatcher) -> bool:
    """Whether an item is kept so that a load need not give all of it, and is copied as stored.

    It asks for the parts of stores that are made of others, and theirs.
    """
    parts = with_parts(source, dispatcher)
    return any(part.backend.copy is not None and _is_item(part) for part in parts)


def _is_item(target: Target) -> bool:
    return stat_of(target).map(lambda found: found.kind).value_or("folder") == "file"


def labels_below(image: Target, dispatcher: Dispatcher) -> Outcome[tuple[Key, ...]]:
    """Give the keys of the labels of an image, in natural order; none for anything else.

    Below `labels/` of an item are its labels in Zarr; in other stores nothing is below an item.
    """
    if not any(takes_labels(part.config) for part in with_parts(image, dispatcher)):
        return Success(())
    store, folder = cast("Source[object]", image.config), f"{image.key}/labels"
    found = list_files(store, folder=folder, dispatcher=dispatcher)
    if is_successful(found):
        return found
    error = found.failure()
    none = isinstance(error, (InvalidKey, NotADirectory, NotFound))
    return Success(()) if none else Failure(error)


def takes_labels(config: object) -> bool:
    """Whether a store keeps labels below what it saves.

    >>> takes_labels(ZarrConfig(root="/data")), takes_labels(ZarrConfig("/data", ZarrLayout.IMAGE))
    (False, True)
    """
    if not isinstance(config, ZarrConfig):
        return False
    return config.layout is not ZarrLayout.ARRAY and config.names is None
