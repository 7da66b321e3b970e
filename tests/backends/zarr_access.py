"""What the tests of the Zarr store share: each function of its record, on a config."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, cast

import numpy as np
import zarr

from polystore import Item, Metadata, ZarrConfig, list_files, load, save
from polystore.core.key import HIDDEN_PREFIX, Key
from polystore.core.outcome import Outcome
from polystore.core.payload import HostArray, Payload
from polystore.core.records import IfExists, Sink, Stat
from polystore.dispatch import default_dispatcher

ZARR_PYTHON = import_module("zarr")
"""Its functions' own types are unknown to pyright where fsspec is not installed."""


ARRAY = np.arange(200, dtype="u2").reshape(10, 20)


@contextmanager
def fresh_store() -> Generator[ZarrConfig]:
    """Give a store that does not exist yet."""
    with TemporaryDirectory() as folder:
        yield ZarrConfig(root=Path(folder) / "plate.zarr")


def put(
    store: ZarrConfig,
    key: str,
    payload: object,
    if_exists: IfExists = "fail",
    metadata: Metadata | None = None,
) -> Outcome[str]:
    """Save, also what a type checker refuses; give `"written"` or `"skipped"`."""
    step = save(cast("Sink[Payload]", store), if_exists=if_exists)
    item = Item(key, cast("Payload", payload), metadata or Metadata())
    return step(item).map(lambda saved: saved.status)


def got(store: ZarrConfig, key: str) -> HostArray:
    """Give the array that is stored."""
    return load(store)(key).unwrap().payload


def group_of(store: ZarrConfig, folder: str = "") -> zarr.Group:
    """Give a group of the store as zarr-python opens it."""
    path = Path(store.root) / folder
    return cast("zarr.Group", ZARR_PYTHON.open_group(path, mode="r"))


def seen_by_zarr_python(store: ZarrConfig, key: str, group: str = "") -> HostArray:
    """Give the array that zarr-python finds under a key, from a group down, or the root."""
    return np.asarray(group_of(store, group)[key.removeprefix(f"{group}/")])


def made_by_zarr_python(store: ZarrConfig, version: Literal[2, 3] = 3) -> zarr.Group:
    """Give a new group at the root of the store, to be written to."""
    return cast("zarr.Group", ZARR_PYTHON.create_group(store.root, zarr_format=version))


def error_of(outcome: Outcome[Any]) -> str:
    """Give the name of an outcome's error, after a look at what every error must have."""
    error = outcome.failure()
    assert error.message.endswith(".")
    assert error.advice.endswith((".", "?"))
    assert isinstance(error.config, ZarrConfig)
    return type(error).__name__


def status(store: ZarrConfig, key: str) -> Outcome[Stat]:
    """Say what stands under a key."""
    opened = default_dispatcher().open(store).unwrap()
    assert opened.backend.stat is not None
    return opened.backend.stat(opened.handle, Key(key))


def delete(store: ZarrConfig, key: str) -> Outcome[None]:
    """Delete an array."""
    opened = default_dispatcher().open(store).unwrap()
    assert opened.backend.delete is not None
    return opened.backend.delete(opened.handle, Key(key))


def listed(store: ZarrConfig, folder: str = "") -> tuple[str, ...]:
    """Give the keys below a folder, in their order."""
    return list_files(store, folder=folder).unwrap()


def path_of(store: ZarrConfig, key: str) -> Path:
    """Give the path of what stands below the root."""
    return Path(store.root) / key


def everything(store: ZarrConfig) -> dict[str, bytes | None]:
    """Give every path below the root: a file's content, and `None` for a folder."""
    root = Path(store.root)
    paths = {path.relative_to(root).as_posix(): path for path in root.rglob("*")}
    return {name: path.read_bytes() if path.is_file() else None for name, path in paths.items()}


def hidden_in(store: ZarrConfig) -> list[Path]:
    """Give the hidden files and folders of a store."""
    return [path for path in Path(store.root).rglob("*") if path.name.startswith(HIDDEN_PREFIX)]
