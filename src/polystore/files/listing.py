"""What is in a store: files, folders, trees, by pattern and suffix, in natural order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import frozen

from polystore.core.key import Key
from polystore.core.outcome import Outcome
from polystore.core.records import Source

if TYPE_CHECKING:
    from polystore.dispatch import Dispatcher

__all__ = [
    "Tree",
    "collect_dirs_and_files",
    "find_file",
    "iter_files",
    "list_dir",
    "list_files",
    "list_image_files",
]


@frozen
class Tree:
    """The folders and the files below a folder, each in natural order."""

    folders: tuple[Key, ...]
    files: tuple[Key, ...]


def list_files(  # noqa: PLR0913 - what is listed, word by word
    store: Source[object],
    *,
    folder: str = "",
    pattern: str | None = None,
    suffixes: str | tuple[str, ...] = (),
    recursive: bool = True,
    dispatcher: Dispatcher | None = None,
) -> Outcome[tuple[Key, ...]]:
    """Give the keys of a store, in natural order (`f2` before `f10`)."""
    raise NotImplementedError


def iter_files(  # noqa: PLR0913 - what is listed, word by word
    store: Source[object],
    *,
    folder: str = "",
    pattern: str | None = None,
    suffixes: str | tuple[str, ...] = (),
    recursive: bool = True,
    dispatcher: Dispatcher | None = None,
) -> Iterator[Outcome[Key]]:
    """Give the keys of a store one by one, as they are found, in no order."""
    raise NotImplementedError


def list_image_files(
    store: Source[object],
    *,
    folder: str = "",
    pattern: str | None = None,
    recursive: bool = True,
    dispatcher: Dispatcher | None = None,
) -> Outcome[tuple[Key, ...]]:
    """Give the keys with the suffix of an image format (`IMAGE_FORMATS`), in natural order."""
    raise NotImplementedError


def list_dir(
    store: Source[object], folder: str = "", *, dispatcher: Dispatcher | None = None
) -> Outcome[tuple[Key, ...]]:
    """Give what stands directly in a folder, files and folders, in natural order."""
    raise NotImplementedError


def find_file(
    store: Source[object],
    name: str,
    *,
    folder: str = "",
    recursive: bool = True,
    dispatcher: Dispatcher | None = None,
) -> Outcome[Key]:
    """Give the first key, in natural order, whose last part is the name."""
    raise NotImplementedError


def collect_dirs_and_files(
    store: Source[object],
    folder: str = "",
    *,
    recursive: bool = True,
    dispatcher: Dispatcher | None = None,
) -> Outcome[Tree]:
    """Give the folders and the files below a folder."""
    raise NotImplementedError
