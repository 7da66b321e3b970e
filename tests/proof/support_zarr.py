"""What Zarr holds, who else opens it, and what each kind of store can do: tables, from runs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from typing import cast

import numpy as np
from attrs import evolve, frozen
from everything import Kind, bits
from tried import (
    DTYPES,
    KNOWN,
    PAYLOADS,
    SHAPES,
    Tried,
    kept,
    sample,
    table,
    taken,
    through,
)

sys.path.insert(0, str(Path(__file__).parent.parent / "backends"))

from polystore import (
    AlreadyExists,
    DiskConfig,
    InvalidKey,
    Item,
    MemoryConfig,
    Metadata,
    NotAFile,
    NotFound,
    OmeOptions,
    Outcome,
    Payload,
    PlateNames,
    UnsupportedOperation,
    ZarrConfig,
    ZarrLayout,
    apply,
    compose,
    create_symlink,
    delete,
    ensure_directory,
    is_successful,
    load,
    locked,
    move,
    rename,
    save,
)
from polystore.core.outcome import Success

__all__ = ["READERS", "lacks", "readers", "stores", "zarr_dtypes", "zarr_fields", "zarr_shapes"]

_SERVER = import_module("object_server")

lacks = cast("Callable[[], str]", _SERVER.lacks)
"""Say which package is missing for a server of objects."""

_new_objects = cast("Callable[[], Tried]", _SERVER.new_objects)

_PEERS = Path(__file__).parent.parent / "peers"

READERS = {"zarr": "zarr-python", "zarrs": "zarr-python with zarrs", "tensorstore": "tensorstore"}
"""The packages that open arrays here, but for ours, and what they are called."""

_AXES = ("t", "c", "z", "y", "x")

_NODE = Kind("zarr", "")


def _any(store: ZarrConfig) -> Tried:
    """Give a store that a type checker lets us ask for what it refuses, too."""
    return cast("Tried", store)


def _layouts(folder: str, axes: tuple[str, ...] = ()) -> dict[str, Tried]:
    new, old = OmeOptions(axes=axes), OmeOptions(axes=axes, version="0.4")
    image = ZarrConfig(root=f"{folder}/image", layout=ZarrLayout.IMAGE, ome=new)
    return {
        "array": _any(ZarrConfig(root=f"{folder}/array")),
        "image": _any(image),
        "image, 0.4": _any(evolve(image, root=f"{folder}/old", ome=old)),
    }


def _by_layout(
    corner: str, rows: Mapping[str, Callable[[Tried], str]], layouts: Mapping[str, Tried]
) -> str:
    words = ((name, [word(store) for store in layouts.values()]) for name, word in rows.items())
    return table(corner, layouts, words)


def zarr_dtypes(folder: str) -> str:
    """Give the table of dtypes, in arrays and images."""
    arrays = {name: sample(dtype) for name, dtype in DTYPES.items()}

    def of(name: str) -> Callable[[Tried], str]:
        return lambda store: through(arrays[name], _NODE, store)

    return _by_layout("dtype", {name: of(name) for name in arrays}, _layouts(folder))


def zarr_shapes(folder: str) -> str:
    """Give the table of shapes of uint8, whose axes are said for images."""
    rows: list[tuple[str, list[str]]] = []
    for name, shape in SHAPES.items():
        array = sample(np.dtype(np.uint8), shape)
        layouts = _layouts(folder, _AXES[len(_AXES) - len(shape) :])
        rows.append((name, [through(array, _NODE, store) for store in layouts.values()]))
    return table("shape", _layouts(folder), rows)


def zarr_fields(folder: str) -> str:
    """Give the table of payloads and of fields of the metadata."""

    def of_payload(name: str) -> Callable[[Tried], str]:
        return lambda store: taken(_NODE, store, PAYLOADS[name])

    def of_field(name: str) -> Callable[[Tried], str]:
        return lambda store: kept(_NODE, store, name)

    payloads = {name: of_payload(name) for name in PAYLOADS}
    fields = {f"metadata: {name}": of_field(name) for name in KNOWN.present()}
    return _by_layout("", {**payloads, **fields}, _layouts(folder))


def readers(folder: str) -> str:
    """Give the table of who reads the same bits of an array of ours, each in a new process."""
    store = ZarrConfig(root=f"{folder}/theirs")
    ours: dict[str, str] = {}
    for name, dtype in DTYPES.items():
        array = sample(dtype)
        if is_successful(save(store)(Item(name, array))):
            ours[name] = hashlib.sha256(cast("bytes", bits(array)[2])).hexdigest()
    theirs = {reader: _read_by(reader, store.root) for reader in READERS}
    rows = [
        (name, ["yes" if theirs[reader].get(name) == said else "-" for reader in READERS])
        for name, said in ours.items()
    ]
    return table("dtype", READERS.values(), rows)


def _read_by(reader: str, root: str) -> dict[str, str]:
    script = [sys.executable, str(_PEERS / "read_every_dtype.py"), reader, root]
    ran = subprocess.run(script, capture_output=True, check=True, timeout=120)
    return cast("dict[str, str]", json.loads(ran.stdout))


@frozen
class _Kind:
    """A kind of store: how to make an empty one, and three keys of it."""

    new: Callable[[], Tried]
    keys: tuple[str, str, str] = ("a.npy", "b.npy", "c.npy")


_FIELDS = ("A/1/0", "A/2/0", "B/1/0")


def _kinds(folder: str) -> dict[str, _Kind]:
    def here(layout: ZarrLayout, names: PlateNames | None = None) -> Callable[[], Tried]:
        return lambda: _any(
            ZarrConfig(root=f"{mkdtemp(dir=folder)}/zarr", layout=layout, names=names)
        )

    def objects(layout: ZarrLayout) -> Callable[[], Tried]:
        return lambda: _any(ZarrConfig(root="zarr", layout=layout, store=_new_objects()))

    array, image, plate = ZarrLayout
    planes = PlateNames("{row}{column}.tif")
    return {
        "disk": _Kind(lambda: DiskConfig(root=mkdtemp(dir=folder))),
        "memory": _Kind(lambda: MemoryConfig(name=folder)),
        "objects": _Kind(_new_objects),
        "Zarr, arrays": _Kind(here(array)),
        "Zarr, images": _Kind(here(image)),
        "Zarr, plate": _Kind(here(plate), _FIELDS),
        "Zarr, plate by names": _Kind(here(plate, planes), ("A1.tif", "A2.tif", "B1.tif")),
        "arrays in objects": _Kind(objects(array)),
        "images in objects": _Kind(objects(image)),
        "plate in objects": _Kind(objects(plate), _FIELDS),
    }


_PLANE = Item("", sample(np.dtype(np.uint8), (64, 64)), Metadata(axes=("y", "x")))


_REFUSALS = (UnsupportedOperation, InvalidKey, NotAFile, NotFound)
"""Of a folder, a store says too that it is no key of it, no file, or not there."""


def _word(outcome: Outcome[object]) -> str:
    if is_successful(outcome):
        return "yes"
    refused = outcome.failure()
    assert isinstance(refused, _REFUSALS), refused
    return "-"


def _replaced(store: Tried, a: str, b: str, c: str) -> str:
    return _word(save(store, if_exists="replace")(evolve(_PLANE, key=a)))


def _lazily(store: Tried, a: str, b: str, c: str) -> str:
    return _word(load(store, lazy=True)(a))


def _to_a_part(store: Tried, a: str, b: str, c: str) -> str:
    part = Item(a, sample(np.dtype(np.uint8), (8, 8)))
    return _word(save(store, region=np.s_[:8, :8])(part))


def _history(store: Tried, a: str, b: str, c: str) -> str:
    there = len(load(store)(a).unwrap().history) > 1
    return "yes" if there else "-"


def _same(payload: Payload) -> Payload:
    return payload


def _compared(store: Tried, a: str, b: str, c: str) -> str:
    """Say whether a skip finds out that what is there was made by other steps."""
    to_c = rename(lambda _: c), save(store, if_exists="skip")
    compose(load(store), *to_c)(a).unwrap()
    saved = compose(load(store), apply(_same), *to_c)(a)
    if is_successful(saved):
        assert saved.unwrap().status == "skipped"
        return "-"
    assert isinstance(saved.failure(), AlreadyExists)
    return "yes"


def _linked(store: Tried, a: str, b: str, c: str) -> str:
    delete(store, c)  # what a task before it left; a plane of a plate cannot be, nor a link to it
    return _word(create_symlink(store, c, a))


def _moved(store: Tried, a: str, b: str, c: str) -> str:
    new = c.replace("B", "C") if a in _FIELDS else f"new{c}"
    return _word(move(store, b, new))


def _moved_folder(store: Tried, a: str, b: str, c: str) -> str:
    if a in _FIELDS:
        return _word(move(store, "A", "D"))
    if a == "a.npy":
        save(store)(evolve(_PLANE, key="old/a.npy")).unwrap()
    return _word(move(store, "old", "new"))


def _folder(store: Tried, a: str, b: str, c: str) -> str:
    return _word(ensure_directory(store, "C/3" if a in _FIELDS else "folder"))


def _lock(store: Tried, a: str, b: str, c: str) -> str:
    return _word(locked(store, a, lambda: Success(None)))


def _deleted(store: Tried, a: str, b: str, c: str) -> str:
    return _word(delete(store, a))


_ABILITIES = {
    "replaces an item": _replaced,
    "loads lazily": _lazily,
    "saves to a part": _to_a_part,
    "keeps the history": _history,
    "compares it in a skip": _compared,
    "links": _linked,
    "moves items": _moved,
    "moves folders": _moved_folder,
    "makes empty folders": _folder,
    "locks, updates": _lock,
    "deletes": _deleted,
}


def stores(folder: str) -> str:
    """Give the table of what each kind of store can do: a row for each, a column for each task."""
    rows: list[tuple[str, list[str]]] = []
    for name, kind in _kinds(folder).items():
        store, words = kind.new(), list[str]()
        for ability in _ABILITIES.values():
            for key in kind.keys[:2]:
                save(store, if_exists="skip")(evolve(_PLANE, key=key)).unwrap()
            words.append(ability(store, *kind.keys))
        rows.append((name, words))
    return table("store", _ABILITIES, rows)
