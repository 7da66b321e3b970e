"""Replacing an image in a store of bytes: new levels beside the old ones, and one put.

The levels of the new image are in folders of a new generation (`0-3f2a…`), which nobody knows of
before the image's document, put in one step, names them instead of the old ones. Those stay: who
has begun to read them goes on. They are deleted when the image is replaced the next time.
"""

from __future__ import annotations

import json
import os
from typing import cast

from attrs import frozen

from polystore.backends.zarr.elements.documents import document_bytes
from polystore.backends.zarr.kind import LABELS, ome_in
from polystore.backends.zarr.objects.bytesat import Bytes, StoreError
from polystore.backends.zarr.objects.claims import Claim
from polystore.backends.zarr.objects.node import Node, joined
from polystore.core.errors import UnsupportedOperation
from polystore.core.payload import Json

__all__ = ["Renamed", "replaced_image"]


@frozen
class Renamed:
    """How the folders of a new image are called: with a generation, unless that is `""`."""

    generation: str = ""

    def name(self, path: str) -> str:
        """Give the path of a file of the new image."""
        first, slash, rest = path.partition("/")
        renamed = self.generation and slash and first != LABELS
        return f"{first}-{self.generation}/{rest}" if renamed else path

    def text(self, path: str, text: bytes) -> bytes:
        """Give a document; that of the image itself names its levels by their folders."""
        if not self.generation or path not in ("zarr.json", ".zattrs"):
            return text
        document = cast("dict[str, Json]", json.loads(text))
        attributes = document.get("attributes") if path == "zarr.json" else document
        if isinstance(attributes, dict):
            for dataset in _datasets(attributes):
                dataset["path"] = self.name(f"{dataset['path']}/").rstrip("/")
        return document_bytes(document)


def _datasets(attributes: dict[str, Json]) -> list[dict[str, Json]]:
    images = ome_in(attributes).get("multiscales")
    found: list[dict[str, Json]] = []
    for image in images if isinstance(images, list) else ():
        datasets = image.get("datasets") if isinstance(image, dict) else None
        datasets = datasets if isinstance(datasets, list) else None
        found.extend(it for it in datasets or () if isinstance(it, dict) and _path_in(it))
    return found


def _path_in(dataset: dict[str, Json]) -> bool:
    return isinstance(dataset.get("path"), str)


def replaced_image(claim: Claim, node: Node) -> Renamed:
    """Give the names for what replaces an image; what earlier ones left is deleted."""
    content = claim.content
    attributes = dict(node.documents.attributes) if node.documents is not None else {}
    known = {str(it["path"]).partition("/")[0] for it in _datasets(attributes)}
    names = [name.split("/", 2) for name in content.names(node.path)]
    if any(parts[0] == LABELS and len(parts) > 2 for parts in names):
        raise StoreError(_has_labels(content, node.path))
    folders = {parts[0] for parts in names if len(parts) > 1}
    for folder in sorted(folders - known - {LABELS}):
        path = joined(node.path, folder)
        content.delete_all([joined(path, name) for name in content.names(path)])
    return Renamed(os.urandom(6).hex())


def _has_labels(content: Bytes, path: str) -> UnsupportedOperation:
    return UnsupportedOperation(
        path,
        content.config,
        f"A store of objects cannot replace the image {path!r} and its labels in one step.",
        f"Delete its labels first, which are below {path}/{LABELS}; or delete the image.",
    )
