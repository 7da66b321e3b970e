"""The facts of what is at a path, as JSON: what `polystore info` says, in one form or the other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from polystore.backends.zarr.elements.meta import ArrayMeta
from polystore.backends.zarr.plates.metadata import plate_in, well_in
from polystore.cli.lazily import loaded
from polystore.cli.nodes import Node, codecs_of, node_at, stored_bytes
from polystore.cli.places import images_among
from polystore.cli.planes import lacking_in
from polystore.configs import ObjectConfig, ZarrConfig
from polystore.core.errors import NotFound, UnknownFormat, UnsupportedOperation
from polystore.core.item import Event, Item
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import LazyArray, is_host_array
from polystore.files.asking import stat
from polystore.files.listing import list_files
from polystore.files.place import Address, PathConfig, address_of, as_item
from polystore.steps.load import Load

if TYPE_CHECKING:
    from polystore.core.payload import Json, Payload
    from polystore.core.records import Source

__all__ = ["FIRST", "facts_of"]

DOCUMENTS = ("zarr.json", ".zgroup", ".zarray")
"""The files that make a folder a node of Zarr."""

FIRST = 20
"""How many items of a store are looked at one by one."""

FIELDS = 1000
"""In how many fields of a plate lacking planes are looked for; of one in objects in the first."""


def facts_of(path: str) -> Outcome[dict[str, Json]]:
    """Give what is at a path: `kind` is `"array"`, `"image"`, `"plate"`, `"store"` or `"folder"`.

    No element is read, but of files that cannot be read in parts. The errors are those of a load,
    and say what is wrong with a store that is damaged.

    >>> type(facts_of("/no/such.zarr").failure()).__name__
    'NotFound'
    """

    def found(address: Address) -> Outcome[dict[str, Json]]:
        about = _of_zarr if isinstance(address.config, ZarrConfig) else _of_files
        return about(address).map(lambda facts: {"path": path, **facts})

    return and_then(address_of(path), found)


def _of_zarr(address: Address) -> Outcome[dict[str, Json]]:
    config, key = cast("ZarrConfig", address.config), address.key

    def about(node: Node) -> Outcome[dict[str, Json]]:
        if node.kind == "plate":
            return _plate(config, node)
        if node.kind in ("group", "well"):
            return _store(config, key, node)
        return _item(config, key, node)

    node = node_at(config, key)
    if not is_successful(node) and isinstance(node.failure(), NotFound):
        status = stat(config, key) if key else Success(None)  # a folder with nodes in it, or none
        if is_successful(status):
            return _store(config, key, None)
        return Failure(_no_labels(config, key) or status.failure())
    return and_then(node, about)


def _no_labels(config: ZarrConfig, key: str) -> NotFound | None:
    """Give the error for the labels of an image that has none."""
    image, _, name = key.rpartition("/")
    node = node_at(config, image) if name == "labels" else None
    if node is None or not is_successful(node) or node.unwrap().kind != "image":
        return None
    message = f"The image {image or config.root!r} has no labels."
    return NotFound(key, config, message, "A label image goes below it, to labels/NAME.")


def _item(config: ZarrConfig, key: str, node: Node) -> Outcome[dict[str, Json]]:
    """Give the facts of an array or an image: what a load says of it, and how it is stored."""

    def joined(item: Item[object]) -> dict[str, Json]:
        said = _of_item(item)
        if node.image is None and not node.arrays:  # a link: its target is what was loaded
            return {"kind": node.kind, **said}
        if node.image is not None and list(node.image.axes) != said.get("axes"):
            said["stored_axes"] = list(node.image.axes)
        return {"kind": node.kind, **_format(node), **said, **_stored(config, key, node)}

    return loaded(cast("Source[Payload]", config), key).map(joined)


def _format(node: Node) -> dict[str, Json]:
    facts: dict[str, Json] = {"zarr_format": node.documents.zarr_format}
    return facts if node.image is None else {**facts, "ome_version": node.image.version}


def _of_item(item: Item[object]) -> dict[str, Json]:
    payload, known = item.payload, item.metadata
    facts: dict[str, Json] = {}
    if isinstance(payload, LazyArray):
        facts |= {"shape": list(payload.spec.shape), "dtype": payload.spec.dtype}
        facts["axes"] = list(known.axes or payload.spec.axes)
    elif is_host_array(payload):
        facts |= {"shape": list(payload.shape), "dtype": str(payload.dtype)}
        facts["axes"] = list(known.axes)
    else:
        return {"payload": type(payload).__name__}
    facts["scale"], facts["unit"] = list(known.scale), list(known.unit)
    facts["channels"] = list(known.channel_names)
    facts["history"] = [_event(event) for event in item.history[:-1]]  # the last is our own load
    return facts


def _event(event: Event) -> dict[str, Json]:
    step = event.step
    if isinstance(step, Mapping):
        word = next(iter(cast("Mapping[str, object]", step)), "")
    else:
        word = type(step).__name__.lower()
    return {"step": word, "key": event.key, "bytes": event.nbytes, "polystore": event.version}


def _stored(config: ZarrConfig, key: str, node: Node) -> dict[str, Json]:
    first = node.arrays[0]
    facts = _cut(first)
    if node.image is not None:
        facts["levels"] = [
            {"path": level.path, "shape": list(meta.grid.shape), **_cut(meta)}
            for level, meta in zip(node.image.levels, node.arrays, strict=True)
        ]
        facts["labels"] = list(node.labels)
    nbytes = sum(math.prod(meta.grid.shape) * meta.dtype.itemsize for meta in node.arrays)
    stored = stored_bytes(config, key)
    return {**facts, "bytes": nbytes, "stored_bytes": stored}


def _cut(meta: ArrayMeta) -> dict[str, Json]:
    return {
        "chunks": list(meta.grid.chunk),
        "shards": list(meta.grid.file) if meta.grid.is_sharded else None,
        "codecs": list(codecs_of(meta.documents)),
        "files": meta.grid.file_count,
    }


def _plate(config: ZarrConfig, node: Node) -> Outcome[dict[str, Json]]:
    plate = plate_in(node.documents.attributes)
    if not is_successful(plate):
        return Failure(plate.failure())
    it = plate.unwrap()
    if it is None:  # its kind said that it is one
        return _store(config, "", node)
    facts: dict[str, Json] = {
        "kind": "plate",
        "zarr_format": node.documents.zarr_format,
        "rows": list(it.rows),
        "columns": list(it.columns),
        "wells": list(it.wells),
        "field_count": it.field_count,
        "stored_bytes": stored_bytes(config, ""),
    }
    found = _first_field(config, it.wells)
    if not is_successful(found):
        return Failure(found.failure())
    first = found.unwrap()
    if first is None:
        return Success(facts)
    fields: Sequence[str] = (str(first["key"]),)
    if config.store is None:
        fields = list_files(config).value_or(())[:FIELDS] or fields
    return Success({**facts, "incomplete": dict(lacking_in(config, fields)), "first": first})


def _first_field(config: ZarrConfig, wells: Sequence[str]) -> Outcome[dict[str, Json] | None]:
    if not wells:
        return Success(None)

    def field(node: Node) -> Outcome[dict[str, Json] | None]:
        well = well_in(node.documents.attributes).value_or(None)
        if well is None or not well.fields:
            return Success(None)
        key = f"{wells[0]}/{well.fields[0]}"
        image = and_then(node_at(config, key), lambda it: _field(config, key, it))
        return image.map(lambda facts: {"key": key, **facts})

    return and_then(node_at(config, wells[0]), field)


def _field(config: ZarrConfig, key: str, node: Node) -> Outcome[dict[str, Json]]:
    """Give the facts of a field; of one that lacks planes, and is not loaded, those of its node."""
    item = _item(config, key, node)
    if is_successful(item) or node.image is None or not lacking_in(config, (key,)):
        return item
    facts: dict[str, Json] = {
        "kind": node.kind,
        **_format(node),
        "shape": list(node.arrays[0].grid.shape),
        "dtype": str(node.arrays[0].dtype),
        "axes": list(node.image.axes),
    }
    return Success({**facts, **_stored(config, key, node)})


def _store(config: ZarrConfig, key: str, node: Node | None) -> Outcome[dict[str, Json]]:
    facts: dict[str, Json] = {"kind": "store" if node is None else node.kind}
    if node is not None:
        facts["zarr_format"] = node.documents.zarr_format

    def listed(keys: Sequence[str]) -> dict[str, Json]:
        stored = stored_bytes(config, key)
        return {**facts, "keys": list(keys), **_first(config, keys), "stored_bytes": stored}

    return list_files(config, folder=key).map(listed)


def _first(config: PathConfig, keys: Sequence[str]) -> dict[str, Json]:
    """Give the first items with their shapes; of one that cannot be read, the error.

    Of a file that cannot be read in parts there is the key alone: it would be read for nothing.
    """
    source = cast("Source[Payload]", config)
    looked: list[Json] = []
    for key in keys[:FIRST]:
        item = Load[object](source, None, lazy=True)(key)
        facts: dict[str, Json] = {"key": key}
        if is_successful(item):
            said = _of_item(item.unwrap())
            facts |= {name: said[name] for name in ("shape", "dtype", "axes") if name in said}
        elif not isinstance(item.failure(), UnsupportedOperation):
            facts["error"] = str(item.failure())
        looked.append(facts)
    return {"first": looked}


def _of_files(address: Address) -> Outcome[dict[str, Json]]:
    if not address.key:
        return and_then(list_files(address.config), lambda keys: Success(_folder(address, keys)))
    item = as_item(address)
    source = cast("Source[Payload]", item.config)

    def joined(it: Item[object]) -> dict[str, Json]:
        size = stat(source, item.key).map(lambda status: status.nbytes).value_or(None)
        facts = _of_item(it)
        blocks: list[Json] = []
        if isinstance(it.payload, LazyArray):
            blocks = list(it.payload.spec.blocks)
        nbytes = _nbytes(it.payload)
        return {"kind": "file", **facts, "blocks": blocks, "bytes": nbytes, "stored_bytes": size}

    found = loaded(source, item.key)
    if not is_successful(found) and isinstance(found.failure(), UnknownFormat):
        there = stat(source, item.key)  # a load asks for the format first
        if not is_successful(there) and isinstance(there.failure(), NotFound):
            return Failure(there.failure())
    return found.map(joined)


def _nbytes(payload: object) -> int | None:
    import numpy as np

    if is_host_array(payload):
        return payload.nbytes
    if not isinstance(payload, LazyArray):
        return None
    try:
        return math.prod(payload.spec.shape) * np.dtype(payload.spec.dtype).itemsize
    except TypeError:  # a dtype that NumPy alone does not know
        return None


def _folder(address: Address, keys: Sequence[str]) -> dict[str, Json]:
    stores, files = _stores_among(keys)
    images, _ = images_among(files)
    suffixes = Counter(key.rpartition("/")[2].partition(".")[2].lower() for key in files)
    counts: dict[str, Json] = dict(suffixes.most_common(FIRST))
    config = address.config
    place = config.url if isinstance(config, ObjectConfig) else config.root
    looked = [_of_store(f"{place.rstrip('/')}/{key}", key) for key in stores[:FIRST]]
    seen = _first(config, images[: FIRST - len(looked)])["first"]
    return {
        "kind": "folder",
        "files": len(files),
        "suffixes": counts,
        "stores": list(stores),
        "keys": [*stores, *images],
        "first": [*looked, *(seen if isinstance(seen, list) else ())],
    }


def _stores_among(keys: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the outermost folders among keys that are nodes of Zarr, and the keys outside of them.

    >>> _stores_among(["a.tif", "b.zarr/0/zarr.json", "b.zarr/zarr.json", "b.zarr/0/c/0"])
    (('b.zarr',), ('a.tif',))
    """
    nodes = {key.rpartition("/")[0] for key in keys if key.rpartition("/")[2] in DOCUMENTS} - {""}
    stores: dict[str, None] = {}
    files: list[str] = []
    for key in keys:
        parts = key.split("/")
        above = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        store = next((folder for folder in above if folder in nodes), None)
        if store is None:
            files.append(key)
        else:
            stores[store] = None
    return tuple(stores), tuple(files)


def _of_store(path: str, key: str) -> Json:
    """Give of a node of Zarr in a folder what is said of it in one line."""
    facts = facts_of(path)
    if not is_successful(facts):
        return {"key": key, "error": str(facts.failure())}
    said = ("kind", "shape", "dtype", "axes")
    return {"key": key, **{name: facts.unwrap()[name] for name in said if name in facts.unwrap()}}
