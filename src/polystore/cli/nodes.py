"""What the metadata of a node of Zarr says: read alone, without an element."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from attrs import frozen

from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.interpret import array_meta
from polystore.backends.zarr.elements.meta import ArrayMeta, Documents
from polystore.backends.zarr.kind import kind_of
from polystore.backends.zarr.ome.metadata import OmeImage, image_in
from polystore.backends.zarr.tree import Files, Seen, ZarrStore, read_node
from polystore.core.errors import Corrupt, NotFound
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.dispatch import default_dispatcher
from polystore.files.target import located

if TYPE_CHECKING:
    from polystore.backends.zarr.kind import Kind
    from polystore.configs import ZarrConfig
    from polystore.core.payload import Json

__all__ = ["Node", "codecs_of", "node_at", "stored_bytes"]


@frozen
class Node:
    """A node: its kind, its documents, and its arrays: itself, or the levels of an image.

    `image` is what an image says of itself; `labels` are the names of its label images.
    """

    kind: Kind
    documents: Documents
    arrays: tuple[ArrayMeta, ...] = ()
    image: OmeImage | None = None
    labels: tuple[str, ...] = ()


def node_at(config: ZarrConfig, key: str) -> Outcome[Node]:
    """Give what the metadata of a node says; `""` is the root of the store.

    `NotFound` where nothing is, `Corrupt` for damaged metadata, `UnsupportedPayload` for what
    cannot be read here.
    """
    opened = default_dispatcher().open(config)
    if not is_successful(opened):
        return Failure(opened.failure())
    handle = cast("ZarrStore", opened.unwrap().handle)
    found = read_node(handle.tree, key, _seen)
    return found.alt(lambda error: located(error, key, config))


def _seen(files: Files) -> Seen[Node]:
    found = documents_in(files)
    if not is_successful(found):
        return Seen(Failure(found.failure()))
    documents = found.unwrap()
    if documents is None:
        missing = NotFound("", None, "There is no node of Zarr.", "See what is there: list_files.")
        return Seen(Failure(missing), complete=False)
    kind = kind_of(documents)
    if kind == "array":
        return Seen(array_meta(documents).map(lambda meta: Node(kind, documents, (meta,))))
    if kind != "image":
        return Seen(Success(Node(kind, documents)))
    return _image(files, documents)


def _image(files: Files, documents: Documents) -> Seen[Node]:
    image = image_in(documents.attributes)
    if not is_successful(image):
        return Seen(Failure(image.failure()))
    arrays: list[ArrayMeta] = []
    for level in image.unwrap().levels:
        found = documents_in(files, f"{level.path}/")
        if is_successful(found) and found.unwrap() is None:
            message = f"The resolution {level.path!r} of the image is missing."
            damage = Corrupt("", None, message, "Save the image again from its source.")
            return Seen(Failure(damage), complete=False)
        meta = and_then(found, lambda it: array_meta(cast("Documents", it)))
        if not is_successful(meta):
            return Seen(Failure(meta.failure()))
        arrays.append(meta.unwrap())
    labels = _labels(files)
    return Seen(Success(Node("image", documents, tuple(arrays), image.unwrap(), labels)))


def _labels(files: Files) -> tuple[str, ...]:
    """Give the names that the labels of an image have; nothing where their list is damaged."""
    found = documents_in(files, "labels/").value_or(None)
    if found is None:
        return ()
    ome = found.attributes.get("ome", found.attributes)
    names = ome.get("labels") if isinstance(ome, Mapping) else None
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def codecs_of(documents: Documents) -> tuple[str, ...]:
    """Say which codecs the chunks of an array have, in the order of writing, each in a few words.

    >>> blosc = {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 1}}
    >>> codecs_of(Documents("array", 3, {"codecs": [{"name": "bytes"}, blosc]}, {}))
    ('bytes', 'blosc zstd 1')
    """
    fields = documents.fields
    if documents.zarr_format == 2:
        filters = fields.get("filters")
        listed = [*(filters if isinstance(filters, list) else ()), fields.get("compressor")]
        return tuple(_codec(it, "id", it) for it in listed if isinstance(it, Mapping))
    codecs = fields.get("codecs")
    words: list[str] = []
    for codec in codecs if isinstance(codecs, list) else ():
        if not isinstance(codec, Mapping):
            words.append(str(codec))
            continue
        configuration = codec.get("configuration", {})
        inner: Mapping[str, Json] = configuration if isinstance(configuration, Mapping) else {}
        if codec.get("name") == "sharding_indexed":
            return codecs_of(Documents("array", 3, inner, {}))
        words.append(_codec(codec, "name", inner))
    return tuple(words)


def _codec(codec: Mapping[str, Json], name: str, configuration: Mapping[str, Json]) -> str:
    said = ("cname", "level", "clevel", "shuffle", "order")
    shuffles = {0: "noshuffle", 1: "shuffle", 2: "bitshuffle", -1: "shuffle"}
    words = [str(codec.get(name))]
    for word in said:
        value = configuration.get(word)
        if word == "shuffle" and isinstance(value, int):
            value = shuffles.get(value, value)
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            words.append(str(value))
    return " ".join(words)


def stored_bytes(config: ZarrConfig, key: str) -> int | None:
    """Give how many bytes a node's files have; `None` where that is not known without a listing."""
    if config.store is not None:
        return None
    total = 0
    for folder, _, names in os.walk(Path(config.root, key)):
        for name in names:
            try:
                total += Path(folder, name).lstat().st_size
            except OSError:  # removed meanwhile
                continue
    return total
