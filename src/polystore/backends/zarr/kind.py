"""What a node is, by its documents; and which nodes are items, in each layout of a store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from polystore.backends.zarr.elements.meta import Documents
from polystore.backends.zarr.notes import OURS
from polystore.configs import ZarrConfig, ZarrLayout
from polystore.core.key import parse_key
from polystore.core.outcome import is_successful
from polystore.core.payload import Json

__all__ = [
    "DOCUMENTS",
    "Kind",
    "is_item",
    "is_node_name",
    "kind_of",
    "link_in",
    "link_notes",
    "may_hold",
    "ome_in",
    "writes_format",
]

Kind: TypeAlias = Literal["array", "image", "plate", "well", "link", "group"]
"""A link is a group that names another key; the others of a group's kinds are of OME-Zarr."""

DOCUMENTS = frozenset({"zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata"})
"""The names of Zarr's own files, of version 2 too: no part of a key may be one."""

LABELS = "labels"
"""The folder of an image's labels."""


def kind_of(documents: Documents) -> Kind:
    """Say what a node is.

    >>> image = {"ome": {"version": "0.5", "multiscales": [{}]}}
    >>> kind_of(Documents("group", 3, {}, image)), kind_of(Documents("group", 3, {}, {}))
    ('image', 'group')
    """
    if documents.kind == "array":
        return "array"
    ome = ome_in(documents.attributes)
    if link_in(documents) is not None:
        return "link"
    if isinstance(ome.get("multiscales"), list):
        return "image"
    if isinstance(ome.get("plate"), Mapping):
        return "plate"
    return "well" if isinstance(ome.get("well"), Mapping) else "group"


def ome_in(attributes: Mapping[str, Json]) -> Mapping[str, Json]:
    """Give what attributes say in OME-Zarr's words: under `ome`, or as they are, before 0.5.

    >>> ome_in({"multiscales": []})
    {'multiscales': []}
    """
    ome = attributes.get("ome")
    return ome if isinstance(ome, Mapping) else attributes


def link_in(documents: Documents) -> str | None:
    """Give the key that a link says that it leads to; `None` for what is no link.

    >>> link_in(Documents("group", 3, {}, {"polystore": link_notes("plate/a")}))
    'plate/a'
    """
    if documents.kind == "array":
        return None
    ours = documents.attributes.get(OURS)
    link = ours.get("link") if isinstance(ours, Mapping) else None
    return link if isinstance(link, str) and is_successful(parse_key(link)) else None


def link_notes(target: str) -> dict[str, Json]:
    """Give what stands under our attribute of a link to a key."""
    return {"version": 1, "link": target}


def is_item(kind: Kind, layout: ZarrLayout) -> bool:
    """Whether a node is an item of its own; else it is a folder.

    >>> is_item("image", ZarrLayout.ARRAY), is_item("image", ZarrLayout.IMAGE)
    (False, True)
    """
    return kind in ("array", "link") or (kind == "image" and layout is not ZarrLayout.ARRAY)


def may_hold(kind: str, part: str) -> bool:
    """Whether nodes of others may be below an item, in the folder of that name: an image's labels.

    >>> may_hold("image", "labels"), may_hold("image", "0"), may_hold("array", "labels")
    (True, False, False)
    """
    return kind == "image" and part == LABELS


def writes_format(config: ZarrConfig) -> Literal[2, 3]:
    """Give the version of Zarr in which a store writes: 2 for OME-Zarr 0.4.

    >>> writes_format(ZarrConfig(root="/data"))
    3
    """
    old = config.layout is not ZarrLayout.ARRAY and config.ome.version == "0.4"
    return 2 if old else 3


def is_node_name(part: str) -> bool:
    """Whether Zarr allows a part of a key as a node's name: not only dots, and no `__` in front.

    >>> is_node_name("A01.tif"), is_node_name("..."), is_node_name("__a")
    (True, False, False)
    """
    return bool(part.strip(".")) and not part.startswith("__")
