"""A byte store becomes a backend here, and so has every file format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, Generic, ParamSpec, TypeVar, cast

from attrs import frozen

from polystore.core.errors import Unavailable, UnsupportedPayload
from polystore.core.item import Item, Saved
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, and_then, catch, guard, is_successful
from polystore.core.payload import Payload
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
        save=None if store.put is None else _saving(store.put),
        stat=None if store.stat is None else _lifted(store.stat),
        list=None if store.list is None else _lifted(store.list),
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
        codec = _codec(files, key, format)
        if not is_successful(codec):
            return Failure(codec.failure())
        source = get(files.handle, key)
        if not is_successful(source):
            return Failure(source.failure())
        decoded = _decoded(codec.unwrap(), source.unwrap(), files.limits)
        return decoded.map(lambda it: Item(key, cast("Payload", it.payload), it.metadata))

    return load


def _codec(files: Files[H], key: Key, format: FileFormat[object] | None) -> Outcome[Codec[object]]:
    return files.context.codec_for(key) if format is None else files.context.codec(format)


def _decoded(codec: Codec[object], source: Readable, limits: Limits) -> Outcome[Decoded[object]]:
    try:
        return and_then(
            guard(lambda: codec.decode(source, limits), catch(OSError, _unreadable)),
            lambda outcome: outcome,
        )
    finally:
        source.close()


def _unreadable(error: OSError) -> Unavailable:
    return Unavailable(
        "",
        None,
        f"The content could not be read: {error.strerror or error}.",
        "Check the disk or the connection, then try again.",
    )


def _saving(
    put: Callable[[H, Key, Encoded, IfExists], Outcome[bool]],
) -> Callable[[Files[H], Key, Item[Payload], SaveOptions], Outcome[Saved]]:
    def save(files: Files[H], key: Key, item: Item[Payload], how: SaveOptions, /) -> Outcome[Saved]:
        codec = files.context.codec_for(key)
        encoded = and_then(codec, lambda it: _encoded(it, files.context, item, how.options))
        if not is_successful(encoded):
            return Failure(encoded.failure())
        content = encoded.unwrap()

        def saved(written: bool) -> Saved:
            if not written:
                return Saved(key, files.config, "skipped", 0)
            return Saved(key, files.config, "written", content.nbytes, content.dropped)

        return put(files.handle, key, content, how.if_exists).map(saved)

    return save


def _encoded(
    codec: Codec[object], context: Context, item: Item[Payload], options: object
) -> Outcome[Encoded]:
    if options is not None and not (codec.options and isinstance(options, codec.options)):
        return Failure(
            UnsupportedPayload(
                "",
                None,
                f"The format {codec.format.name!r} does not take {type(options).__name__}.",
                f"Give it {codec.options.__name__ if codec.options else 'no options'}.",
            )
        )
    return and_then(context.to_host(item), lambda it: codec.encode(it, options))
