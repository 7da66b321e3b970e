"""The laws of formats that speak of files: a store on disk writes and reads the format."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager

from attrs import frozen

from polystore.backends.disk import DISK
from polystore.configs import DiskConfig
from polystore.core.errors import UnsupportedPayload
from polystore.core.outcome import is_successful
from polystore.core.records import Codec, Limits, readable_of
from polystore.core.registry import Registry
from polystore.dispatch import Dispatcher
from polystore.frameworks.numpy import NUMPY
from polystore.steps.load import load
from polystore.steps.save import save
from polystore.testing.codecs.examples import CodecExample, bytes_of_item
from polystore.testing.codecs.trips import on_host, plain, taken
from polystore.testing.expect import done, expect, refused
from polystore.testing.sameness import difference

__all__ = ["is_saved_and_loaded", "takes_its_own_options_only"]


@frozen
class _OtherOptions:
    """Options of no format."""


@contextmanager
def _dispatcher(codec: Codec[object]) -> Generator[Dispatcher]:
    registry = done(Registry.of(codec, DISK, NUMPY), "a registry of it and of files on disk")
    dispatcher = Dispatcher(registry)
    try:
        yield dispatcher
    finally:
        dispatcher.pool.close()


def is_saved_and_loaded(codec: Codec[object], example: CodecExample) -> None:
    """Expect the file to be what was encoded, and the load to give what is decoded."""
    item, how = example.item(codec), example.how(codec)
    encoded = codec.encode(item, how)
    if not taken(encoded, example):
        return
    content = bytes_of_item(encoded.unwrap())
    expected = codec.decode(readable_of(content), Limits())
    with tempfile.TemporaryDirectory() as folder, _dispatcher(codec) as dispatcher:
        disk = DiskConfig(root=folder)
        saved = done(dispatcher.run(save(disk, options=how), item), "saving it to disk")
        expect(saved.nbytes == len(content), f"{saved.nbytes} bytes were saved of {len(content)}")
        if is_successful(expected):
            loaded = done(dispatcher.run(load(disk), item.key), "loading it from disk")
            was, now = (plain(on_host(it.payload)) for it in (expected.unwrap(), loaded))
            found = difference(was, now)
            expect(found is None, f"the load gave another payload than decode: {found}")


def takes_its_own_options_only(codec: Codec[object], example: CodecExample) -> None:
    """Expect options of another class to be refused, and nothing to be written."""
    item = example.item(codec)
    with tempfile.TemporaryDirectory() as folder, _dispatcher(codec) as dispatcher:
        disk = DiskConfig(root=folder)
        outcome = dispatcher.run(save(disk, options=_OtherOptions()), item)
        refused(outcome, "saving with options of another class", UnsupportedPayload)
        there = dispatcher.run(load(disk), item.key)
        expect(not is_successful(there), "it was refused, and is there")
