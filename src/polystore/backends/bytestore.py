"""A byte store becomes a backend here, and so has every file format."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Concatenate, Generic, ParamSpec, TypeVar, cast
from weakref import finalize

from attrs import evolve, frozen

from polystore.core.errors import (
    InvalidSpec,
    TooLarge,
    Unavailable,
    UnsupportedOperation,
    UnsupportedPayload,
)
from polystore.core.item import Item, Saved
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import HostArray, LazyArray, Payload, Region
from polystore.core.records import (
    Backend,
    ByteStore,
    Codec,
    Context,
    Decoded,
    Encoded,
    FileFormat,
    IfExists,
    Limits,
    Readable,
    SaveOptions,
)

__all__ = ["Files", "backend_of"]

C = TypeVar("C")
H = TypeVar("H")
R = TypeVar("R")
P = ParamSpec("P")
H_co = TypeVar("H_co", covariant=True)

TURNS_MAX = 20
"""How often a load begins again because what it reads was replaced meanwhile."""


@frozen
class Files(Generic[H_co]):
    """The handle of a byte store seen as a backend: its own handle, and what codecs need."""

    handle: H_co
    config: object
    limits: Limits
    context: Context


def backend_of(store: ByteStore[C, H]) -> Backend[C, Files[H]]:
    """Give the backend that keeps items as files of a byte store.

    What the byte store lacks, the backend lacks.

    >>> from polystore.backends.disk import DISK
    >>> backend_of(DISK).name
    'disk'
    """

    def open(config: C, context: Context, /) -> Outcome[Files[H]]:
        limits = store.limits(config) if store.limits is not None else Limits()
        if type(limits.max_bytes) is not int or limits.max_bytes < 0:
            return Failure(_no_limit(limits.max_bytes, config))
        return store.open(config).map(lambda handle: Files(handle, config, limits, context))

    def close(files: Files[H], /) -> None:
        store.close(files.handle)

    return Backend(
        name=store.name,
        config=store.config,
        reach=store.reach,
        open=open,
        close=close,
        load=None if store.get is None else _loading(store.get),
        load_lazy=None if store.get is None else _loading_lazily(store.get),
        save=None if store.put is None else _saving(store.put),
        get=None if store.get is None else _lifted(store.get),
        put=None if store.put is None else _lifted(store.put),
        stat=None if store.stat is None else _lifted(store.stat),
        list=None if store.list is None else _lifted(store.list),
        children=None if store.children is None else _lifted(store.children),
        make_folder=None if store.make_folder is None else _lifted(store.make_folder),
        delete=None if store.delete is None else _lifted(store.delete),
        move=None if store.move is None else _lifted(store.move),
        link=None if store.link is None else _lifted(store.link),
        lock=None if store.lock is None else _lifted(store.lock),
        root=store.root,
        reserved=store.reserved,
    )


def _lifted(fn: Callable[Concatenate[H, P], R]) -> Callable[Concatenate[Files[H], P], R]:
    def on_files(files: Files[H], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return fn(files.handle, *args, **kwargs)

    return on_files


def _loading(
    get: Callable[[H, Key], Outcome[Readable]],
) -> Callable[[Files[H], Key, FileFormat[object] | None], Outcome[Item[Payload]]]:
    def load(
        files: Files[H], key: Key, format: FileFormat[object] | None, /
    ) -> Outcome[Item[Payload]]:
        return _begun_anew(lambda: loaded_once(files, key, format))

    def loaded_once(
        files: Files[H], key: Key, format: FileFormat[object] | None
    ) -> Outcome[Item[Payload]]:
        opened = get(files.handle, key)
        if not is_successful(opened):
            return Failure(opened.failure())
        source = opened.unwrap()
        try:
            decoded = _decoded(files, key, format, source)
        finally:
            source.close()
        if not is_successful(decoded):
            return Failure(decoded.failure())
        content = decoded.unwrap()
        return Success(Item(key, cast("Payload", content.payload), content.metadata))

    return load


def _decoded(
    files: Files[H], key: Key, format: FileFormat[object] | None, source: Readable
) -> Outcome[Decoded[object]]:
    """Give what is in the source; raises the `OSError` of reading it."""
    codec = _codec(files, key, format)
    if not is_successful(codec):
        return Failure(codec.failure())
    return _in_memory(lambda: codec.unwrap().decode(source, files.limits), source)


def _begun_anew(action: Callable[[], Outcome[R]]) -> Outcome[R]:
    """Give what an action that reads gives, again where its content was replaced meanwhile."""
    for _ in range(TURNS_MAX):
        try:
            return action()
        except OSError as error:
            if error.errno != errno.ESTALE:
                return Failure(_unreadable(error))
    return Failure(_replaced(TURNS_MAX))


def _in_memory(action: Callable[[], Outcome[R]], source: Readable) -> Outcome[R]:
    try:
        return action()
    except MemoryError:
        return Failure(_too_large(source.size))


def _codec(files: Files[H], key: Key, format: FileFormat[object] | None) -> Outcome[Codec[object]]:
    context = files.context
    return context.codec_for(key) if format is None else context.codec(format)


def _read(action: Callable[[], Outcome[R]], source: Readable) -> Outcome[R]:
    """Run what reads the source, and give what that raises as an error."""
    try:
        return _in_memory(action, source)
    except OSError as error:
        return Failure(_unreadable(error))


def _loading_lazily(
    get: Callable[[H, Key], Outcome[Readable]],
) -> Callable[[Files[H], Key, FileFormat[object] | None], Outcome[Item[LazyArray]]]:
    def load_lazy(
        files: Files[H], key: Key, format: FileFormat[object] | None, /
    ) -> Outcome[Item[LazyArray]]:
        codec = _codec(files, key, format)
        if not is_successful(codec):
            return Failure(codec.failure())
        opener = codec.unwrap().open
        if opener is None:
            return Failure(_not_lazily(codec.unwrap().format.name))
        return _begun_anew(lambda: loaded_once(files, key, opener))

    def loaded_once(
        files: Files[H], key: Key, opener: Callable[[Readable, Limits], Outcome[Decoded[LazyArray]]]
    ) -> Outcome[Item[LazyArray]]:
        opened = get(files.handle, key)
        if not is_successful(opened):
            return Failure(opened.failure())
        source = opened.unwrap()
        try:
            content = _in_memory(lambda: opener(source, files.limits), source)
        except OSError:
            source.close()
            raise
        if not is_successful(content):
            source.close()
            return Failure(content.failure())
        array = _kept_open(content.unwrap().payload, source, key, files.config)
        return Success(Item(key, array, content.unwrap().metadata))

    return load_lazy


def _kept_open(array: LazyArray, source: Readable, key: Key, config: object) -> LazyArray:
    """Give the array with its source closed once nobody can read it any more."""

    def read(region: Region) -> Outcome[HostArray]:
        outcome = _read(lambda: array.read(region), source)
        return outcome.alt(lambda error: evolve(error, key=error.key or key, config=config))

    finalize(read, source.close)
    return LazyArray(array.spec, read)


def _no_limit(given: object, config: object) -> InvalidSpec:
    where = f"{type(config).__name__}.max_bytes"
    message = f"{where} is {given!r}, and must be a number of bytes."
    return InvalidSpec("", config, message, "Give an int, such as 2**30.", where)


def _not_lazily(name: str) -> UnsupportedOperation:
    return UnsupportedOperation(
        "",
        None,
        f"The format {name!r} is not read region by region.",
        "Load it whole, with load(store), or save it as TIFF first.",
    )


def _replaced(times: int) -> Unavailable:
    message = f"The content was replaced {times} times while it was read."
    return Unavailable("", None, message, "Load it again when its writers pause.")


def _unreadable(error: OSError) -> Unavailable:
    if error.errno == errno.ESTALE:
        message = "The content was replaced or deleted since it was opened."
        return Unavailable("", None, message, "Load it again.")
    return Unavailable(
        "",
        None,
        f"The content could not be read: {error.strerror or error}.",
        "Check the disk or the connection, then try again.",
    )


def _too_large(nbytes: int) -> TooLarge:
    return TooLarge(
        "",
        None,
        f"This process cannot get the memory for the content, which is stored in {nbytes} bytes.",
        "Free some memory, or load it on a machine that has more.",
    )


def _saving(
    put: Callable[[H, Key, Encoded, IfExists], Outcome[bool]],
) -> Callable[[Files[H], Key, Item[Payload], SaveOptions], Outcome[Saved]]:
    def save(files: Files[H], key: Key, item: Item[Payload], how: SaveOptions, /) -> Outcome[Saved]:
        encoded = _encoded(files.context, key, item, how.options)
        if not is_successful(encoded):
            return Failure(encoded.failure())
        content = encoded.unwrap()
        written = put(files.handle, key, content, how.if_exists)
        if not is_successful(written):
            return Failure(written.failure())
        if not written.unwrap():
            return Success(Saved(key, files.config, "skipped", 0))
        return Success(Saved(key, files.config, "written", content.nbytes, content.dropped))

    return save


def _encoded(context: Context, key: Key, item: Item[Payload], options: object) -> Outcome[Encoded]:
    found = context.codec_for(key)
    if not is_successful(found):
        return Failure(found.failure())
    codec = found.unwrap()
    if options is not None and not (codec.options and isinstance(options, codec.options)):
        return Failure(
            UnsupportedPayload(
                "",
                None,
                f"The format {codec.format.name!r} does not take {type(options).__name__}.",
                f"Give it {codec.options.__name__ if codec.options else 'no options'}.",
            )
        )
    on_host = context.to_host(item)
    if not is_successful(on_host):
        return Failure(on_host.failure())
    return codec.encode(on_host.unwrap(), options)
