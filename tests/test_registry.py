"""Registries are values: what is in them is found by its key, and two records never share one."""

from __future__ import annotations

import pytest
from attrs import evolve

from polystore import (
    NPY,
    Backend,
    BackendNotRegistered,
    Codec,
    Context,
    Corrupt,
    Decoded,
    DiskConfig,
    Dispatcher,
    DuplicateRecord,
    Encoded,
    Failure,
    FileFormat,
    Framework,
    HostArray,
    Item,
    Limits,
    MemoryConfig,
    Outcome,
    Payload,
    Reach,
    Readable,
    Record,
    Registry,
    Source,
    Success,
    Transfer,
    UnknownFormat,
    UnknownFramework,
    default_registry,
    load,
)
from polystore.backends.disk import DISK
from polystore.core.registry import Entries
from polystore.formats.npy import NPY_CODEC


def encode(item: Item[Payload], _options: object, /) -> Outcome[Encoded]:
    return Success(Encoded((b"x",), 1))


def decode(source: Readable, _limits: Limits, /) -> Outcome[Decoded[str]]:
    return Failure(Corrupt("", None, "Never.", "Never."))


def codec(name: str, *suffixes: str) -> Codec[str]:
    return Codec(FileFormat(name, suffixes), encode, decode, open=None)


class StoreConfig(Source[Payload]):
    """The config of a store of this test."""


def open_store(config: StoreConfig, _context: Context, /) -> Outcome[None]:
    return Success(None)


def close_store(_handle: None, /) -> None:
    return None


STORE = Backend(
    name="test", config=StoreConfig, reach=Reach.PROCESS, open=open_store, close=close_store
)


def to_host(array: HostArray, _transfer: Transfer, /) -> Outcome[HostArray]:
    return Success(array)


FRAMEWORK = Framework(name="mlx", owns=lambda value: False, to_host=to_host, from_host=to_host)


def test_a_registry_finds_what_it_was_given() -> None:
    qoi = codec("qoi", ".qoi")
    registry = Registry.of(STORE, FRAMEWORK, qoi).unwrap()
    assert registry.find_store(StoreConfig()).unwrap() is STORE
    assert registry.find_framework("mlx").unwrap() is FRAMEWORK
    assert registry.find_codec(qoi.format).unwrap() is qoi
    assert registry.find_codec_for("a/b.QOI").unwrap() is qoi


def test_what_is_not_there_is_an_error_that_lists_what_is() -> None:
    registry = default_registry()
    unknown = registry.find_store(StoreConfig()).failure()
    assert isinstance(unknown, BackendNotRegistered)
    assert "DiskConfig" in unknown.advice
    no_format = registry.find_codec_for("a.xyz").failure()
    assert isinstance(no_format, UnknownFormat)
    assert ".npy" in no_format.advice
    assert isinstance(registry.find_codec(FileFormat("xyz", ())).failure(), UnknownFormat)
    near = registry.find_framework("jaxx").failure()
    assert isinstance(near, UnknownFramework)
    assert near.advice == "Did you mean 'jax'?"
    assert isinstance(registry.find_owner("text").failure(), UnknownFramework)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a.tif", "one"),
        ("a.OME.TIF", "two"),
        ("x.roi.zip", "three"),
        ("a.b.tif", "one"),
        (".tif", "one"),
        ("folder.ome.tif/a.tif", "one"),
    ],
)
def test_the_longest_suffix_wins_whatever_its_case(key: str, name: str) -> None:
    records = codec("one", ".tif"), codec("two", ".ome.tif"), codec("three", ".roi.zip", ".roi")
    assert Registry.of(*records).unwrap().find_codec_for(key).unwrap().format.name == name


@pytest.mark.parametrize(
    "records",
    [
        (codec("a", ".x"), codec("a", ".y")),
        (codec("a", ".x"), codec("b", ".X")),
        (STORE, STORE),
        (FRAMEWORK, FRAMEWORK),
    ],
    ids=["format name", "suffix", "store", "framework"],
)
def test_two_records_never_share_a_key(records: tuple[Record, ...]) -> None:
    assert isinstance(Registry.of(*records).failure(), DuplicateRecord)


def test_extending_makes_a_new_registry() -> None:
    before = default_registry()
    after = before.extended(STORE).unwrap()
    assert after.find_store(StoreConfig()).unwrap() is STORE
    assert isinstance(before.find_store(StoreConfig()).failure(), BackendNotRegistered)
    assert isinstance(before.extended(codec("other", ".npy")).failure(), DuplicateRecord)


def test_replacing_puts_records_in_the_place_of_others() -> None:
    before = default_registry()
    quiet = evolve(DISK, list=None)
    numpy = evolve(before.find_framework("numpy").unwrap(), place=None)
    after = before.replacing(quiet, evolve(NPY_CODEC, encode=encode), numpy, STORE).unwrap()
    assert after.find_store(DiskConfig(root="x")).unwrap() is quiet
    assert after.find_store(StoreConfig()).unwrap() is STORE
    assert after.find_codec(NPY).unwrap().encode is encode
    assert after.find_codec_for("a.npy").unwrap().encode is encode
    assert after.find_framework("numpy").unwrap() is numpy
    assert len(after.own.stores) == len(before.own.stores) + 1
    assert len(after.own.formats) == len(before.own.formats)
    # the other records are what they were, and so is the registry before
    assert after.find_store(MemoryConfig()).unwrap() is before.find_store(MemoryConfig()).unwrap()
    assert before.find_store(DiskConfig(root="x")).unwrap() is DISK
    assert before.replacing().unwrap().own.stores == before.own.stores


def test_replacing_asks_plugins_as_before() -> None:
    fine = codec("qoi", ".qoi")
    plugins = Registry.of(fine).unwrap().own
    registry = Registry.from_entries(default_registry().own, lambda: plugins).unwrap()
    after = registry.replacing(evolve(DISK, list=None)).unwrap()
    assert after.find_codec_for("a.qoi").unwrap() is fine


def test_records_that_replace_never_share_a_key() -> None:
    before = default_registry()
    for clash in (
        (DISK, evolve(DISK, list=None)),
        (evolve(STORE, name="disk"),),
        (codec("other", ".npy"),),
        (FRAMEWORK, FRAMEWORK),
    ):
        assert isinstance(before.replacing(*clash).failure(), DuplicateRecord)


def test_built_in_records_win_over_plugins_and_the_clash_is_an_error() -> None:
    clash = codec("mine", ".npy")
    fine = codec("qoi", ".qoi")
    plugins = Registry.of(clash, fine).unwrap().own
    registry = Registry.from_entries(default_registry().own, lambda: plugins).unwrap()
    assert registry.find_codec_for("a.npy").unwrap().format == NPY
    assert registry.find_codec_for("a.qoi").unwrap() is fine
    (error,) = registry.entries().errors
    assert isinstance(error, DuplicateRecord)
    assert "'mine'" in error.message


def test_plugins_are_not_asked_for_what_is_built_in() -> None:
    def explode() -> Entries:
        raise AssertionError("asked")

    registry = Registry.from_entries(default_registry().own, explode).unwrap()
    for found in (
        registry.find_store(DiskConfig(root="x")),
        registry.find_store(MemoryConfig()),
        registry.find_framework("numpy"),
        registry.find_codec(NPY),
        registry.find_codec_for("a.npy"),
    ):
        found.unwrap()


def test_a_dispatcher_uses_the_registry_that_it_is_given() -> None:
    dispatcher = Dispatcher(Registry.of(STORE).unwrap())
    error = dispatcher.run(load(DiskConfig(root="x")), "a.npy").failure()
    assert isinstance(error, BackendNotRegistered)
    assert "StoreConfig" in error.advice
