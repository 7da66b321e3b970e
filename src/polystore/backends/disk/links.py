"""Where a link in a disk store is to lead, as its text."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from polystore.backends.walk import within
from polystore.configs import DiskConfig
from polystore.core.errors import StorageError, UnsupportedOperation
from polystore.core.key import parse_key
from polystore.core.outcome import Failure, Outcome, Success, is_successful

if TYPE_CHECKING:
    from polystore.core.key import Key
    from polystore.core.records import Place

__all__ = ["text_of_link"]


def text_of_link(config: DiskConfig, key: Key, place: Place) -> Outcome[str]:
    """Give what a link under a key says: a relative path within the store, an absolute out of it.

    `InvalidKey` if the place names none; `UnsupportedOperation` if the config's links may not lead
    to its store.
    """
    store = place.store
    if not isinstance(store, DiskConfig):
        return Failure(_not_files(config, key, store))
    target = parse_key(place.key, store.root)
    if not is_successful(target):
        return Failure(target.failure())
    if store.root == config.root:
        return Success(_relative(config.root, key, target.unwrap()))
    path = f"{store.root.rstrip('/')}/{target.unwrap()}"
    if any(within(path, allowed.root) for allowed in config.links_to):
        return Success(path)
    return Failure(_not_allowed(config, key, store))


def _relative(root: str, key: str, target: str) -> str:
    above, slash, _ = key.rpartition("/")
    if not slash:
        return target
    # A `..` goes up from where the folder really is: one above it may be a link itself.
    try:
        real = os.path.relpath(os.path.realpath(f"{root}/{above}"), os.path.realpath(root))
    except ValueError:  # a root that is no path: making the link says so
        real = above
    return os.path.relpath(f"/{target}", f"/{real}")


def _not_files(config: DiskConfig, key: str, store: object) -> StorageError:
    return UnsupportedOperation(
        key,
        config,
        f"A link in a disk store cannot lead to {store!r}.",
        "Link to a key of this store, or of another DiskConfig.",
    )


def _not_allowed(config: DiskConfig, key: str, store: DiskConfig) -> StorageError:
    return UnsupportedOperation(
        key,
        config,
        f"The links of this store may not lead to {store.root!r}.",
        f"Say so in its config: DiskConfig(root=..., links_to=(DiskConfig(root={store.root!r}),)).",
    )
