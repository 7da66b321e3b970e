"""Links by an attribute: an otherwise empty group that names another key of the store.

    {"polystore": {"version": 1, "link": "other/key"}}

To other programs it is an empty group. A tree follows it wherever it reads a node.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from polystore.backends.zarr.elements.documents import group_documents
from polystore.backends.zarr.kind import link_notes, writes_format
from polystore.backends.zarr.notes import OURS
from polystore.backends.zarr.tree import Files, ZarrStore
from polystore.configs import ZarrConfig
from polystore.core.errors import UnsupportedOperation
from polystore.core.key import Key, parse_key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import Json
from polystore.core.records import IfExists, Place

__all__ = ["create_documents", "link_to"]


def link_to(store: ZarrStore, key: Key, place: Place, if_exists: IfExists, /) -> Outcome[bool]:
    """Make a link to a key of this store, whether something is there or not."""
    config, other = store.config, place.store
    is_own = isinstance(other, ZarrConfig) and (other.root, other.store) == (
        config.root,
        config.store,
    )
    if not is_own:
        return Failure(
            UnsupportedOperation(
                key,
                config,
                "A link in a Zarr store leads to a key of the same store.",
                "Copy the item: copy(store, key, to=zarr); or link from a disk store.",
            )
        )
    target = parse_key(place.key, None if config.store else config.root)
    if not is_successful(target):
        return Failure(evolve(target.failure(), key=key, config=config))
    attributes: dict[str, Json] = {OURS: link_notes(target.unwrap())}
    texts = group_documents(attributes, writes_format(config))

    def fill(files: Files) -> Outcome[None]:
        create_documents(files, texts)
        return Success(None)

    return store.tree.build(key, if_exists, fill)


def create_documents(files: Files, documents: Mapping[str, bytes]) -> None:
    """Create the documents of a node, of which the last one makes it a node; raises `OSError`."""
    for name, text in documents.items():
        growing = files.create(name)
        growing.append([text])
        growing.finish()
