"""From a path, as one types it, to a store and a key in it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias, cast
from urllib.parse import unquote, urlsplit

from attrs import evolve, frozen

from polystore.configs import IMAGE_FORMATS, DiskConfig, ObjectConfig, ZarrConfig, ZarrLayout
from polystore.core.errors import InvalidKey, NotFound, StorageError
from polystore.core.key import Key, suffix_of
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Readable
from polystore.dispatch import default_dispatcher

if TYPE_CHECKING:
    from polystore.backends.zarr.tree import Files

__all__ = ["Address", "PathConfig", "address_of", "as_item", "as_whole"]

PathConfig: TypeAlias = DiskConfig | ObjectConfig | ZarrConfig
"""What a path leads to: files, objects, or Zarr in either."""

SUFFIX = ".zarr"

_DOCUMENTS = ("zarr.json", ".zarray", ".zgroup")

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

_IMAGE_SUFFIXES = tuple(suffix for format in IMAGE_FORMATS for suffix in format.suffixes)


@frozen
class Address:
    """A key of a store; `""` is all of the store. `kind` is what Zarr says is there, if anything.

    `kind` is one of those of `kind_of`, or `""` for what is no node of Zarr.
    """

    config: PathConfig
    key: str
    kind: str = ""


@frozen
class _Node:
    """A node of Zarr on the path: how many parts of the path lead to it, and what it is."""

    depth: int
    kind: str


@frozen
class _Way:
    """A path in parts, below a beginning, and how one looks at what is there."""

    parts: tuple[str, ...]
    nodes: tuple[_Node, ...]
    zarr: Callable[[Sequence[str], ZarrLayout], ZarrConfig]

    def address(self, depth: int, layout: ZarrLayout, kind: str) -> Address:
        """Give the address whose root is so deep."""
        key = "/".join(self.parts[depth:])
        return Address(self.zarr(self.parts[:depth], layout), key, kind)


def address_of(path: str | os.PathLike[str]) -> Outcome[Address]:
    """Take a path apart into a store and a key in it.

    What is there decides, by its own metadata, of Zarr v3 and v2:

    - a plate, and what is below it: `PLATE`, with the plate as root;
    - an image, and a level or label inside: `IMAGE`, with the image as (part of) the key;
    - any other node: `ARRAY`, with the outermost group as root.

    Where no node is: `plate.zarr/A01` is the key `A01` of the store `plate.zarr`, `a.zarr` an item
    of the folder that it is in, a folder all of a `DiskConfig` (of Zarr, if it has nodes in it and
    no image file), anything else a file. A URL such as `s3://bucket/a.zarr` is the same in a store
    of objects; looking there takes requests. `InvalidKey` for what is no path.

    >>> address_of("/no/plate.zarr/A01").unwrap().key
    'A01'
    >>> address_of("/no/image.zarr").unwrap().key, address_of("/no/A01.tif").unwrap().key
    ('image.zarr', 'A01.tif')
    """
    given = cast("object", path)  # whatever the types say
    text = os.fspath(cast("str", path)) if isinstance(given, (str, os.PathLike)) else None
    if not isinstance(text, str) or "\0" in text or not text:
        return Failure(_no_path(text))
    if _URL.match(text):
        parsed = urlsplit(text)
        if parsed.scheme != "file":
            return _of_url(text.rstrip("/"))
        text = unquote(parsed.path)
    try:
        return _of_folder(_normal(Path(text).absolute()))
    except FileNotFoundError:
        return Failure(
            NotFound(text, None, "The current folder does not exist.", "Give an absolute path.")
        )


def as_item(address: Address) -> Address:
    """Give the address as that of an item: of a whole store, its name in what it is in.

    >>> as_item(Address(DiskConfig(root="/data/plate"), "")).key
    'plate'
    """
    if address.key:
        return address
    config = address.config
    if isinstance(config, ObjectConfig):
        above, _, name = config.url.rpartition("/")
        inside = "//" in above and not above.endswith("/")
        return Address(evolve(config, url=above), name, address.kind) if inside else address
    place = PurePosixPath(config.root)
    above = "" if str(place.parent) == "." else str(place.parent)
    return Address(_rooted(config, above), place.name, address.kind)


def as_whole(address: Address) -> Address:
    """Give the address as that of a whole store, whose root is the item's own place.

    >>> as_whole(Address(ZarrConfig(root="/data"), "plate.zarr")).config.root
    '/data/plate.zarr'
    """
    if not address.key:
        return address
    config = address.config
    if isinstance(config, ObjectConfig):
        whole: PathConfig = evolve(config, url=f"{config.url.rstrip('/')}/{address.key}")
    else:
        root = f"{config.root.rstrip('/')}/{address.key}" if config.root else address.key
        whole = _rooted(config, root)
    return Address(whole, "", address.kind)


def _rooted(config: DiskConfig | ZarrConfig, root: str) -> DiskConfig | ZarrConfig:
    if isinstance(config, DiskConfig):
        return evolve(config, root=root)
    layout = ZarrLayout.IMAGE if config.layout is ZarrLayout.PLATE else config.layout
    return evolve(config, root=root, layout=layout)


def _no_path(text: object) -> StorageError:
    return InvalidKey(
        str(text), None, "This is no path.", "Give the path of one file, as a text or a Path."
    )


def _normal(path: Path) -> Path:
    """Give a path without `..`, of which no key can be made, as the system would follow it."""
    if ".." not in path.parts:
        return path
    return path.resolve() if path.name == ".." else path.parent.resolve() / path.name


def _of_folder(path: Path) -> Outcome[Address]:
    start, *parts = path.parts

    def zarr(root: Sequence[str], layout: ZarrLayout) -> ZarrConfig:
        return ZarrConfig(root=Path(start, *root), layout=layout)

    folders = (*reversed(path.parents), path)
    kinds = (_kind_of_folder(folder) for folder in folders)
    nodes = tuple(_Node(depth, kind) for depth, kind in enumerate(kinds) if kind)
    way = _Way(tuple(parts), nodes, zarr)
    found = _of_nodes(way, lambda: _kinds_in(path)) or _by_name(way)
    if found is not None and not path.is_file():
        return Success(found)
    if path.is_dir():
        if "" not in (kinds_in := _kinds_in(path)) and kinds_in:
            return Success(Address(zarr(parts, ZarrLayout.IMAGE), ""))
        return Success(Address(DiskConfig(root=path), ""))
    return Success(Address(DiskConfig(root=path.parent), path.name))


def _of_nodes(way: _Way, inside: Callable[[], set[str]]) -> Address | None:
    """Give the address that the nodes on the way say.

    Groups alone do not count where the path leads on to what is no node: any folder may be one, as
    the one that an array was saved in, and hold files too.
    """
    last = way.nodes[-1] if way.nodes else _Node(-1, "group")
    kind = last.kind if last.depth == len(way.parts) else ""
    if not kind and all(node.kind == "group" for node in way.nodes):
        return None
    first = way.nodes[0]
    plate = next((node for node in way.nodes if node.kind == "plate"), None)
    if plate is not None:
        return way.address(plate.depth, ZarrLayout.PLATE, kind)
    depth = first.depth - (first.kind in ("array", "image", "link", "damaged"))
    images = any(node.kind in ("image", "well") for node in way.nodes)
    if not images and kind == "group":  # what is in it says of what it is a group
        images = bool({"image", "well", "group"} & inside())
    layout = ZarrLayout.IMAGE if images else ZarrLayout.ARRAY
    return way.address(max(depth, 0), layout, kind)


def _by_name(way: _Way) -> Address | None:
    """Give the address that the names alone say, where there are no nodes."""
    named = (depth for depth, part in enumerate(way.parts, 1) if part.lower().endswith(SUFFIX))
    depth = next(named, None)
    if depth is None:
        return None
    return way.address(depth - (depth == len(way.parts)), ZarrLayout.ARRAY, "")


def _kinds_in(folder: Path) -> set[str]:
    """Give the kinds of the nodes that stand directly in a folder, and `""` for an image file."""
    found: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    found.add(_kind_of_folder(Path(entry.path)) or "other")
                elif suffix_of(entry.name, _IMAGE_SUFFIXES):
                    found.add("")
                if {"image", ""} <= found:
                    break
    except OSError:  # what cannot be listed says nothing here; whoever reads it will say so
        return found
    return found - {"other"}


def _kind(opened: Callable[[str], Readable | None]) -> Outcome[str]:
    """Give what a node is: `""` where is none, `"damaged"` where its documents are.

    What reads Zarr is imported where there is some: most paths lead to plain files.
    """
    from polystore.backends.zarr.elements.documents import documents_in
    from polystore.backends.zarr.kind import kind_of

    try:
        found = documents_in(_reading(opened))
    except OSError:  # unreadable: the load says why
        return Success("")
    if not is_successful(found):
        return Success("damaged")
    documents = found.unwrap()
    return Success("" if documents is None else kind_of(documents))


def _kind_of_folder(folder: Path) -> str:
    if not any(os.path.lexists(folder / name) for name in _DOCUMENTS):
        return ""
    return _kind(lambda name: _opened(folder / name)).value_or("")


def _reading(opened: Callable[[str], Readable | None]) -> Files:
    """Give the files of a node, to be read alone."""
    from polystore.backends.zarr.tree import Files, Growing

    def create(path: str) -> Growing:
        raise PermissionError(f"{path!r} is only looked at")

    return Files(open=opened, create=create, names=lambda: iter(()), mark=lambda: (None, None))


def _opened(path: Path) -> Readable | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):  # a pipe, a folder of that name
        os.close(descriptor)
        return None

    def read_into(offset: int, buffer: memoryview) -> int:
        return os.preadv(descriptor, [buffer], offset)

    return Readable(status.st_size, read_into, lambda: os.close(descriptor))


def _of_url(url: str) -> Outcome[Address]:
    parsed = urlsplit(url)
    bucket = ObjectConfig(url=f"{parsed.scheme}://{parsed.netloc}")
    parts = tuple(part for part in parsed.path.split("/") if part)
    if ".." in parts:
        return Failure(_no_path(url))

    def zarr(root: Sequence[str], layout: ZarrLayout) -> ZarrConfig:
        return ZarrConfig(root="/".join(root), layout=layout, store=bucket)

    kinds: list[str] = []
    if any(part.lower().endswith(SUFFIX) for part in parts) or not _is_file_name(parts):
        for depth in range(len(parts) + 1):
            kind = _kind_at(bucket, parts[:depth])
            if not is_successful(kind):
                return Failure(kind.failure())
            kinds.append(kind.unwrap())
    nodes = tuple(_Node(depth, kind) for depth, kind in enumerate(kinds) if kind)
    way = _Way(parts, nodes, zarr)
    found = _of_nodes(way, lambda: {"image"}) or _by_name(way)
    if found is not None:
        return Success(found)
    if _is_file_name(parts):
        folder = "/".join((bucket.url, *parts[:-1]))
        return Success(Address(ObjectConfig(url=folder), parts[-1]))
    return Success(Address(ObjectConfig(url="/".join((bucket.url, *parts))), ""))


def _is_file_name(parts: Sequence[str]) -> bool:
    return bool(parts) and "." in parts[-1].strip(".")


def _kind_at(bucket: ObjectConfig, parts: Sequence[str]) -> Outcome[str]:
    """Give the kind of a node of objects; what the store says if it cannot be asked."""
    opened = default_dispatcher().open(bucket)
    if not is_successful(opened):
        return Failure(opened.failure())
    get, handle = opened.unwrap().backend.get, opened.unwrap().handle
    refused: list[StorageError] = []

    def read(name: str) -> Readable | None:
        if get is None:
            return None
        found = get(handle, Key("/".join((*parts, name))))
        if is_successful(found):
            return found.unwrap()
        if not isinstance(found.failure(), NotFound):
            refused.append(found.failure())
        return None

    kind = _kind(read)
    return Failure(refused[0]) if refused else kind
