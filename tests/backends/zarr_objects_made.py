"""Zarr stores in stores of bytes, for tests: in a folder of files, in a database, and in S3."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import cast

from object_server import lacks, new_objects

from polystore import ByteStore, DiskConfig, Dispatcher, Payload, Store, ZarrConfig
from polystore.backends.zarr.objects.tree import object_tree
from polystore.backends.zarr.tree import Files, Tree
from polystore.core.outcome import Outcome, Success
from polystore.discover import default_registry

__all__ = ["KINDS", "dispatcher", "filling", "new_zarr_in", "tree_of"]

_EXAMPLE = Path(__file__).parent.parent.parent / "docs" / "polystore-sqlite"


def _new_disk() -> Store[Payload, Payload]:
    return DiskConfig(root=tempfile.mkdtemp())


@cache
def _sqlite() -> tuple[object, Callable[..., object]]:
    """Give the record and the config of the example in the documentation."""
    if str(_EXAMPLE) not in sys.path:
        sys.path.append(str(_EXAMPLE))
    module = importlib.import_module("polystore_sqlite")
    return cast("object", module.STORE), cast("Callable[..., object]", module.SqliteConfig)


def _new_sqlite() -> Store[Payload, Payload]:
    made = _sqlite()[1](path=f"{tempfile.mkdtemp()}/store.db")
    return cast("Store[Payload, Payload]", made)


_MAKERS = {"disk": _new_disk, "sqlite": _new_sqlite, "s3": new_objects}
KINDS = tuple(name for name in _MAKERS if name != "s3" or not lacks())
"""The stores of bytes that are here."""


@cache
def dispatcher() -> Dispatcher:
    """Give a dispatcher that knows all of them."""
    record = cast("ByteStore[object, object]", _sqlite()[0])
    known = default_registry().find_store(_sqlite()[1](path="x"))
    registry = default_registry()
    return Dispatcher(registry if known.value_or(None) else registry.extended(record).unwrap())


def new_zarr_in(kind: str) -> ZarrConfig:
    """Give a Zarr store that is new, in a store of bytes of the kind."""
    return ZarrConfig(root="plate.zarr", store=_MAKERS[kind]())


def tree_of(config: ZarrConfig, stale_s: float = 30.0) -> Tree:
    """Give the tree of a store, whose writers count as dead after so many seconds."""
    return object_tree(config, dispatcher().open(config.store).unwrap(), stale_s).unwrap()


def filling(texts: dict[str, bytes]) -> Callable[[Files], Outcome[None]]:
    """Give what fills a node with files."""

    def fill(files: Files) -> Outcome[None]:
        for name, text in texts.items():
            growing = files.create(name)
            growing.append([text])
            growing.finish()
        return Success(None)

    return fill
