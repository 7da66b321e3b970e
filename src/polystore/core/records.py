"""The four records, and the values that they speak in.

A record is a plain frozen value: a name and functions. What a store, format or framework cannot
do is a field that is `None`. The functions take their arguments by position. Each gives an
`Outcome` and does not raise. Two exceptions to that, which the dispatcher reports: a package that
a function imports may be missing (`MissingDependency`), and a bug (`Unexpected`).

The type parameters of `Framework`, `ByteStore` and `Backend` are declared covariant although they
stand in argument positions: `Backend[DiskConfig, Disk]` is then a `Backend[object, object]`, which
is how a registry holds them. That is safe because each is found by the key that it declares, and
its functions are only given what its own `open` (or `owns`) has vouched for.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Generic, Literal, TypeAlias, TypeVar

from attrs import frozen
from typing_extensions import Buffer

from polystore.core.item import Event, Item, Metadata, Saved
from polystore.core.key import Key
from polystore.core.outcome import Outcome
from polystore.core.payload import HostArray, Json, LazyArray, Payload, Region

__all__ = [
    "Backend",
    "Buffer",
    "ByteStore",
    "Casting",
    "Child",
    "Codec",
    "Context",
    "Decoded",
    "Encoded",
    "FileFormat",
    "Framework",
    "IfExists",
    "Limits",
    "Opened",
    "Page",
    "Place",
    "Reach",
    "Readable",
    "SaveOptions",
    "Sink",
    "Source",
    "Stat",
    "Store",
    "Transfer",
    "readable_of",
]

T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)
A_co = TypeVar("A_co", covariant=True)
C_co = TypeVar("C_co", covariant=True)
H_co = TypeVar("H_co", covariant=True)

IfExists: TypeAlias = Literal["fail", "replace", "skip"]
"""What a save does where the key exists. Who was first is decided by the system, not a check."""

Casting: TypeAlias = Literal["exact", "same_kind"]
"""`"exact"` refuses a change of dtype as `Lossy`; `"same_kind"` allows it within a kind."""

Page: TypeAlias = tuple[Key, ...]
"""Some keys of a listing: those of one folder, or of one answer of a server."""


class Source(Generic[T_co]):
    """A config that can be loaded from, giving payloads of type `T_co`. A static type only."""

    __slots__ = ()


class Sink(Generic[T_contra]):
    """A config that can be saved to, taking payloads of type `T_contra`. A static type only."""

    __slots__ = ()


class Store(Source[T_co], Sink[T_contra]):
    """A config that can be loaded from and saved to. A static type only."""

    __slots__ = ()


@frozen
class FileFormat(Generic[T_co]):
    """The name of a file format and its suffixes (lower case, with the dot, compound ones too).

    The type parameter is what a load of the format gives.

    >>> FileFormat("qoi", (".qoi",)).name
    'qoi'
    """

    name: str
    suffixes: tuple[str, ...]


class Reach(enum.Enum):
    """How far what is saved can be seen: from this process, this machine, or the network."""

    PROCESS = "process"
    MACHINE = "machine"
    NETWORK = "network"


@frozen
class Readable:
    """Bytes that can be read at any position: of a file, an object, a buffer.

    `read_into(offset, buffer)` fills the buffer as far as there are bytes and gives how many it
    wrote; it may raise `OSError`, which the store that made it turns into an error. It is safe to
    call from several threads. `close` frees what it holds.
    """

    size: int
    read_into: Callable[[int, memoryview], int]
    close: Callable[[], None]


def readable_of(content: bytes) -> Readable:
    """Give bytes in memory as a `Readable`, shared; closing it does nothing.

    >>> source, buffer = readable_of(b"one two"), bytearray(9)
    >>> source.read_into(4, memoryview(buffer)), bytes(buffer[:3])
    (3, b'two')
    """

    def read_into(offset: int, buffer: memoryview) -> int:
        part = content[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    return Readable(len(content), read_into, lambda: None)


@frozen
class Limits:
    """What a decoder may allocate: `max_bytes` for one decoded payload."""

    max_bytes: int = 16 * 2**30


@frozen
class Encoded:
    """A payload as bytes: `buffers` in their order, never joined; `nbytes` is their sum.

    The buffers may be the array's own memory. `dropped` names the metadata that the format could
    not carry.
    """

    buffers: Iterable[Buffer]
    nbytes: int
    dropped: tuple[str, ...] = ()


@frozen
class Decoded(Generic[T_co]):
    """What a file held: the payload (memory of its own) and the metadata."""

    payload: T_co
    metadata: Metadata = Metadata()


@frozen
class Codec(Generic[T_co]):
    """A file format as two pure functions: they see no path and do no I/O of their own.

    - `format`: the name and the suffixes, by which the registry finds the codec.
    - `encode(item, options)`: the bytes of an item whose payload holds host arrays;
      `UnsupportedPayload` or `Lossy` where the format cannot hold it, before anything is written.
      `options` is an instance of the `options` class below, or `None` for the defaults.
    - `decode(source, limits)`: the payload and metadata; `Corrupt` for bytes of any other kind,
      `TooLarge` beyond the limits.
    - `open(source, limits)`: the same lazily, for an array that can be read region by region; or
      `None` if the format has none. Whoever calls it keeps the source open for the reads.
    - `options`: the class of this format's options, or `None` if it has none.
    """

    format: FileFormat[T_co]
    encode: Callable[[Item[Payload], object], Outcome[Encoded]]
    decode: Callable[[Readable, Limits], Outcome[Decoded[T_co]]]
    open: Callable[[Readable, Limits], Outcome[Decoded[LazyArray]]] | None
    options: type[object] | None = None


@frozen
class Transfer:
    """How an array is to be handed over.

    `device` is in the framework's own words (`"cpu"`, `"cuda:0"`), `None` for where it is or the
    framework's default; `copy=None` shares memory where it can, `True` never, `False` fails where
    it would have to copy; `casting` is `"exact"` or `"same_kind"`.
    """

    device: str | None = None
    copy: bool | None = None
    casting: Casting = "exact"


@frozen
class Framework(Generic[A_co]):
    """An array framework: how its arrays come from host memory and go there.

    - `owns(value)`: whether the value is one of its arrays. It must not import the framework: a
      value of it can only exist where it has been imported.
    - `to_host(array, transfer)`: the array in host memory, sharing it as `transfer.copy` says;
      `Lossy` if a mask, dtype or value would change.
    - `from_host(array, transfer)`: an array of the framework; the host array may be of any dtype,
      byte order and strides. `Lossy` or `UnsupportedPayload` for what it cannot hold.
    - `from_dlpack(array, transfer)`: the same from another framework's array without passing
      through the host, or `None`. `UnsupportedPayload` sends the hand-over through the host.
    - `place(array, transfer)`: one of its own arrays on the device asked for, copied if asked; or
      `None`: then it goes through the host.
    """

    name: str
    owns: Callable[[object], bool]
    to_host: Callable[[A_co, Transfer], Outcome[HostArray]]
    from_host: Callable[[HostArray, Transfer], Outcome[A_co]]
    from_dlpack: Callable[[object, Transfer], Outcome[A_co]] | None = None
    place: Callable[[A_co, Transfer], Outcome[A_co]] | None = None


@frozen
class Stat:
    """What stands under a key: a `"file"` (or array), a `"folder"`, or a `"broken link"`.

    A link is followed: `kind`, `nbytes` and `modified_ns` are of what it leads to, and `link` is
    where it says that it leads, or `None` for what is no link. A broken link leads nowhere, in a
    circle, or out of the root. `nbytes` is the stored size where the store knows it without
    reading; `modified_ns` is nanoseconds since the epoch; either may be `None`. `etag` is a token
    that is another one for every other content of a file or array, where the store knows one: on
    disk the inode, the change time and the size of what a link leads to.
    """

    kind: Literal["file", "folder", "broken link"]
    nbytes: int | None
    modified_ns: int | None
    link: str | None = None
    etag: str | None = None


@frozen
class Child:
    """One of the things that stand directly in a folder: a file or array, a folder, or a link.

    The target of a link is not looked at. What the store neither loads nor deletes is `"other"`: a
    pipe on disk, a plain file beside the arrays of a Zarr store. It is not listed, and its name
    need not be a key. `own` is false for that, and for whatever else the store would not delete,
    but shows: a plain folder in a Zarr store, with arrays below it.
    """

    key: Key
    kind: Literal["file", "folder", "link", "other"]
    own: bool = True


@frozen
class Place:
    """A key in a store: what a link leads to, or a virtual item is taken from.

    >>> from polystore import DiskConfig
    >>> Place(DiskConfig(root="/data/plate"), "A01.tif").key
    'A01.tif'
    """

    store: Source[object]
    key: str


@frozen
class SaveOptions:
    """How to save: what to do where the key exists, and the format's options or `None`."""

    if_exists: IfExists = "fail"
    options: object = None


@frozen
class Opened:
    """A backend together with a handle that its `open` gave."""

    backend: Backend[object, object]
    handle: object


@frozen
class Context:
    """What a store may ask for while it works: codecs, arrays brought to the host, other stores.

    - `codec(format)` and `codec_for(key)`: the codec of a format, or of a key's suffix.
    - `to_host(item)`: the same item with its arrays in host memory.
    - `owner(array)`: the framework that a value is an array of, or `UnknownFramework`.
    - `open(config)`: the backend and the handle of another config, for stores made of others.
    - `to_spec(step)`: the JSON of a step, for stores that keep an item's history.
    """

    codec: Callable[[FileFormat[object]], Outcome[Codec[object]]]
    codec_for: Callable[[str], Outcome[Codec[object]]]
    to_host: Callable[[Item[Payload]], Outcome[Item[Payload]]]
    owner: Callable[[object], Outcome[Framework[object]]]
    open: Callable[[object], Outcome[Opened]]
    to_spec: Callable[[object], Outcome[Json]]


@frozen(kw_only=True)
class ByteStore(Generic[C_co, H_co]):
    """A store of bytes under keys. `backends.bytestore` makes it a backend, with every format.

    - `name`: its word in specs and messages. `config`: the type of its config.
    - `reach`: how far its data can be seen.
    - `open(config)` gives a handle, `close(handle)` frees it. A store that does not exist yet opens
      too: the first `put` makes it.
    - `get(handle, key)`: the bytes, to be closed by the caller.
    - `put(handle, key, encoded, if_exists)`: write all or nothing; `True` if written, `False` if
      skipped. One of many writers under `"fail"` wins, the others get `AlreadyExists`.
    - `stat(handle, key)`: `NotFound` where there is nothing; a broken link is something.
    - `list(handle, folder)`: every key below a folder (`""` for all), lazily, in no order; links
      to files and broken links too, links to folders not.
    - `children(handle, folder)`: what stands directly in a folder, lazily, in no order; folders
      that are empty too. `None` where folders are but parts of keys: `list` says it all then.
    - `make_folder(handle, folder)`: make it, and those above it; fine if it is there. `None` where
      folders are but parts of keys.
    - `delete(handle, key)`: delete a file, a link (never what it leads to), or an empty folder.
      `NotFound` where there is nothing, `NotAFile` for a folder with something in it, and for
      anything that is not this store's to delete.
    - `move(handle, old, new, if_exists)`: a file or link, or a folder with all that is below it, in
      one step, making the folders on the way; `False` if skipped: under `"skip"` by a folder in the
      way, too. What a folder would have to replace, or be replaced by, is `AlreadyExists` under
      `"replace"`. A link goes as it is: one that says
      where it leads by its own folder leads elsewhere afterwards.
    - `link(handle, key, place, if_exists)`: make a link to a place in this store or, where the
      config allows it, in another; as `put`. The place need not exist.
    - `lock(handle, key, seconds)`: a context manager that holds the key's lock, or `LockTimeout`.
      A lock holds against other locks of the key, in any process and by the same thread too, and
      against nothing else; who dies lets go of it.
    - `limits(config)`: what decoders may allocate; `None` for the default.
    - `root(config)`: the absolute folder that keys are relative to, where there is one.
    - `reserved`: part names that are no keys here.
    """

    name: str
    config: type[C_co]
    reach: Reach
    open: Callable[[C_co], Outcome[H_co]]
    close: Callable[[H_co], None]
    get: Callable[[H_co, Key], Outcome[Readable]] | None = None
    put: Callable[[H_co, Key, Encoded, IfExists], Outcome[bool]] | None = None
    stat: Callable[[H_co, Key], Outcome[Stat]] | None = None
    list: Callable[[H_co, str], Iterator[Outcome[Page]]] | None = None
    children: Callable[[H_co, str], Iterator[Outcome[tuple[Child, ...]]]] | None = None
    make_folder: Callable[[H_co, Key], Outcome[None]] | None = None
    delete: Callable[[H_co, Key], Outcome[None]] | None = None
    move: Callable[[H_co, Key, Key, IfExists], Outcome[bool]] | None = None
    link: Callable[[H_co, Key, Place, IfExists], Outcome[bool]] | None = None
    lock: Callable[[H_co, Key, float], Outcome[AbstractContextManager[None]]] | None = None
    limits: Callable[[C_co], Limits] | None = None
    root: Callable[[C_co], str] | None = None
    reserved: frozenset[str] = frozenset()


@frozen(kw_only=True)
class Backend(Generic[C_co, H_co]):
    """A store of items under keys: what the dispatcher works with.

    The fields are as in `ByteStore`, but on items:

    - `open(config, context)` gives a handle.
    - `load(handle, key, format)`: the item; `format` overrides what the suffix says, in stores of
      files, and is `None` elsewhere.
    - `load_lazy(handle, key, format)`: the item with a `LazyArray`, which keeps what it reads from
      open for as long as it lives, and reads what was there when it was made.
    - `save(handle, key, item, options)`: all or nothing. The payload may be of any framework: a
      store that holds host arrays brings it there with `context.to_host`.
    - `save_region(handle, key, item, region)`: write an item into a region of an array that is
      there, of the same dtype and as large as the region: `NotFound` where there is none. All of
      the region comes in one step to every reader.
    - `get(handle, key)`, `put(handle, key, encoded, if_exists)`: the bytes of files, as in a
      `ByteStore`; `None` in stores that hold no files. Copies between two stores of files use them.
    - `copy(handle, key, to, new_key, if_exists)`: copy an item as it is stored, without decoding
      it, into the store of the handle `to`, which is of this backend too; `False` if skipped.
      `UnsupportedOperation` where it would not be stored so there: then it is loaded and saved.
    - `made_by(handle, key, history)`: whether the item has that history, or has noted none. What is
      compared are the keys and the steps, but not saves. The history may be but the end of the one
      noted: what a load will find of earlier steps is not known before it. Asked before a skip.
    - `parts(config)`: the configs of the stores that this one is made of. It reaches no farther
      than they do.
    """

    name: str
    config: type[C_co]
    reach: Reach
    open: Callable[[C_co, Context], Outcome[H_co]]
    close: Callable[[H_co], None]
    load: Callable[[H_co, Key, FileFormat[object] | None], Outcome[Item[Payload]]] | None = None
    load_lazy: Callable[[H_co, Key, FileFormat[object] | None], Outcome[Item[LazyArray]]] | None = (
        None
    )
    save: Callable[[H_co, Key, Item[Payload], SaveOptions], Outcome[Saved]] | None = None
    save_region: Callable[[H_co, Key, Item[Payload], Region], Outcome[Saved]] | None = None
    get: Callable[[H_co, Key], Outcome[Readable]] | None = None
    put: Callable[[H_co, Key, Encoded, IfExists], Outcome[bool]] | None = None
    copy: Callable[[H_co, Key, H_co, Key, IfExists], Outcome[bool]] | None = None
    made_by: Callable[[H_co, Key, tuple[Event, ...]], Outcome[bool]] | None = None
    parts: Callable[[C_co], tuple[object, ...]] | None = None
    stat: Callable[[H_co, Key], Outcome[Stat]] | None = None
    list: Callable[[H_co, str], Iterator[Outcome[Page]]] | None = None
    children: Callable[[H_co, str], Iterator[Outcome[tuple[Child, ...]]]] | None = None
    make_folder: Callable[[H_co, Key], Outcome[None]] | None = None
    delete: Callable[[H_co, Key], Outcome[None]] | None = None
    move: Callable[[H_co, Key, Key, IfExists], Outcome[bool]] | None = None
    link: Callable[[H_co, Key, Place, IfExists], Outcome[bool]] | None = None
    lock: Callable[[H_co, Key, float], Outcome[AbstractContextManager[None]]] | None = None
    root: Callable[[C_co], str | None] | None = None
    reserved: frozenset[str] = frozenset()
