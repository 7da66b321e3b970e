"""`Registry`: an immutable value that finds a record by its key. Registering makes a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import PurePath
from typing import Generic, TypeAlias, TypeVar

from attrs import evolve, field, frozen

from polystore.core.errors import (
    BackendNotRegistered,
    DuplicateRecord,
    StorageError,
    UnknownFormat,
    UnknownFramework,
)
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Backend, ByteStore, Codec, FileFormat, Framework

__all__ = [
    "Entries",
    "Entry",
    "FormatEntry",
    "FrameworkEntry",
    "Record",
    "Registry",
    "StoreEntry",
    "StoreRecord",
    "entries_of",
    "no_plugins",
]

StoreRecord: TypeAlias = "ByteStore[object, object] | Backend[object, object]"
Record: TypeAlias = (
    "Codec[object] | Framework[object] | ByteStore[object, object] | Backend[object, object]"
)
"""Any of the four records."""

K_co = TypeVar("K_co", covariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@frozen
class Entry(Generic[K_co, R_co]):
    """A record's name and key, and the function that gives the record, which may import it."""

    name: str
    key: K_co
    load: Callable[[], Outcome[R_co]]


EntryOf = TypeVar("EntryOf", bound=Entry[object, object])

StoreEntry: TypeAlias = Entry[type[object], StoreRecord]
FormatEntry: TypeAlias = Entry[FileFormat[object], Codec[object]]
FrameworkEntry: TypeAlias = Entry[str, Framework[object]]


@frozen
class Entries:
    """Entries by kind; `errors` has one for each plugin that could not be read."""

    stores: tuple[StoreEntry, ...] = ()
    formats: tuple[FormatEntry, ...] = ()
    frameworks: tuple[FrameworkEntry, ...] = ()
    errors: tuple[StorageError, ...] = ()

    def __add__(self, other: Entries) -> Entries:
        """Give these entries and the other ones."""
        return Entries(
            self.stores + other.stores,
            self.formats + other.formats,
            self.frameworks + other.frameworks,
            self.errors + other.errors,
        )


def _without(entries: tuple[EntryOf, ...], others: tuple[EntryOf, ...]) -> tuple[EntryOf, ...]:
    taken = [other.key for other in others]
    return tuple(entry for entry in entries if entry.key not in taken)


def no_plugins() -> Entries:
    """Give no entries: for a registry that is complete as it is."""
    return Entries()


def entries_of(records: Iterable[Record]) -> Entries:
    """Give the entries of records that are at hand."""
    found = Entries()
    for record in records:
        found += _entry_of(record)
    return found


def _entry_of(record: Record) -> Entries:
    match record:
        case Codec():
            codec = record
            return Entries(
                formats=(Entry(codec.format.name, codec.format, partial(_found, codec)),)
            )
        case Framework():
            framework = record
            name = framework.name
            return Entries(frameworks=(Entry(name, name, partial(_found, framework)),))
        case ByteStore() | Backend():
            store = record
            return Entries(stores=(Entry(store.name, store.config, partial(_found, store)),))


def _found(record: R) -> Outcome[R]:
    return Success(record)


@frozen
class _Index:
    """Entries by what they are looked up by."""

    stores: Mapping[type[object], StoreEntry]
    formats: Mapping[FileFormat[object], FormatEntry]
    suffixes: Mapping[str, FormatEntry]
    frameworks: Mapping[str, FrameworkEntry]


def _index(entries: Entries) -> Outcome[_Index]:
    names: dict[tuple[str, str], str] = {}
    for claim, name in _claims(entries):
        if claim in names:
            return Failure(
                DuplicateRecord(
                    name,
                    None,
                    f"{names[claim]!r} and {name!r} both claim the {claim[0]} {claim[1]!r}.",
                    "Give one of them another, or leave one out.",
                )
            )
        names[claim] = name
    return Success(
        _Index(
            {entry.key: entry for entry in entries.stores},
            {entry.key: entry for entry in entries.formats},
            {suffix.lower(): entry for entry in entries.formats for suffix in entry.key.suffixes},
            {entry.key: entry for entry in entries.frameworks},
        )
    )


def _claims(entries: Entries) -> Iterable[tuple[tuple[str, str], str]]:
    for store in entries.stores:
        yield ("store name", store.name), store.name
        yield ("config type", f"{store.key.__module__}.{store.key.__qualname__}"), store.name
    for format in entries.formats:
        yield ("format name", format.name), format.name
        for suffix in format.key.suffixes:
            yield ("suffix", suffix.lower()), format.name
    for framework in entries.frameworks:
        yield ("framework name", framework.name), framework.name


@frozen(eq=False)
class Registry:
    """Records by key: stores by config type, codecs by format and suffix, frameworks by name.

    It is immutable; `extended` gives a new one. Built-in records are imported when first found.
    `plugins` is asked the first time that something is not found among our own.

    >>> from polystore import default_registry
    >>> default_registry().find_framework("jax").map(lambda record: record.name)
    <Success: jax>
    """

    own: Entries
    plugins: Callable[[], Entries]
    _own_index: _Index = field(repr=False)

    @classmethod
    def of(cls, *records: Record) -> Outcome[Registry]:
        """Give a registry of just these records; `DuplicateRecord` if two share a key.

        >>> Registry.of().map(lambda registry: registry.own.stores)
        <Success: ()>
        """
        return cls.from_entries(entries_of(records))

    @classmethod
    def from_entries(
        cls, own: Entries, plugins: Callable[[], Entries] = no_plugins
    ) -> Outcome[Registry]:
        """Give a registry of entries, and of plugins that are asked for on the first miss."""
        return _index(own).map(lambda index: cls(own, plugins, index))

    def extended(self, *records: Record) -> Outcome[Registry]:
        """Give a new registry with these records too; `DuplicateRecord` if a key is taken."""
        own = self.own + entries_of(records)
        return _index(own).map(lambda index: evolve(self, own=own, own_index=index))

    def replacing(self, *records: Record) -> Outcome[Registry]:
        """Give a new registry in which these records stand instead of those of the same key.

        For a store that is wrapped: see "Middleware" in the documentation. `DuplicateRecord` if two
        of the records share a key.

        >>> from attrs import evolve
        >>> from polystore import DiskConfig, default_registry
        >>> disk = default_registry().find_store(DiskConfig(root="plate")).unwrap()
        >>> default_registry().replacing(evolve(disk, list=None)).map(lambda it: type(it).__name__)
        <Success: Registry>
        """
        new = entries_of(records)
        old = Entries(
            _without(self.own.stores, new.stores),
            _without(self.own.formats, new.formats),
            _without(self.own.frameworks, new.frameworks),
            self.own.errors,
        )
        own = old + new
        return _index(own).map(lambda index: evolve(self, own=own, own_index=index))

    def entries(self) -> Entries:
        """Give every entry, the plugins' last. A plugin that claims what is taken is an error."""
        merged = self.own
        for plugin in _one_by_one(self.plugins()):
            both = merged + plugin
            clash = _index(both)
            merged = both if is_successful(clash) else merged + Entries(errors=(clash.failure(),))
        return merged

    def _indices(self) -> Iterable[_Index]:
        yield self._own_index
        yield from (_index(self.entries()).map(lambda index: (index,)).value_or(()))

    def _failed_plugins(self) -> str:
        failed = " ".join(error.message for error in self.entries().errors)
        return f" A plugin that failed may be the reason: {failed}" if failed else ""

    def find_store(self, config: object) -> Outcome[StoreRecord]:
        """Give the store whose config type is that of `config`, or `BackendNotRegistered`."""
        for index in self._indices():
            if type(config) in index.stores:
                return index.stores[type(config)].load()
        message = f"No store is registered for {type(config).__name__}."
        if isinstance(config, (str, PurePath)):
            advice = f"Name a store by its config, such as DiskConfig(root={str(config)!r})."
            return Failure(BackendNotRegistered("", config, message, advice))
        known = ", ".join(entry.key.__name__ for entry in self.entries().stores)
        advice = (
            f"Registered are {known}: install the plugin that brings it, or use a Dispatcher "
            f"whose registry has it.{self._failed_plugins()}"
        )
        return Failure(BackendNotRegistered("", config, message, advice))

    def find_codec(self, format: FileFormat[object]) -> Outcome[Codec[object]]:
        """Give the codec of a format, or `UnknownFormat`."""
        for index in self._indices():
            if format in index.formats:
                return index.formats[format].load()
        return Failure(
            UnknownFormat(
                "", None, f"The format {format.name!r} is not registered.", self._suffixes()
            )
        )

    def find_codec_for(self, key: str) -> Outcome[Codec[object]]:
        """Give the codec of the key's longest known suffix, case-blind, or `UnknownFormat`."""
        name = key.rpartition("/")[2].lower()
        suffixes = [name[i:] for i, character in enumerate(name) if character == "."]
        for index in self._indices():
            for suffix in suffixes:
                if suffix in index.suffixes:
                    return index.suffixes[suffix].load()
        return Failure(
            UnknownFormat(
                key, None, f"No format is registered for the suffix of {key!r}.", self._suffixes()
            )
        )

    def _suffixes(self) -> str:
        known = (suffix for entry in self.entries().formats for suffix in entry.key.suffixes)
        return (
            f"Use one of the suffixes {' '.join(known)}; a load can also name the format, as in "
            f"load(store, format=TIFF).{self._failed_plugins()}"
        )

    def find_framework(self, name: str) -> Outcome[Framework[object]]:
        """Give the framework of that name, or `UnknownFramework`, which suggests the near name."""
        for index in self._indices():
            if name in index.frameworks:
                return index.frameworks[name].load()
        from difflib import get_close_matches  # for this error alone

        known = [entry.name for entry in self.entries().frameworks]
        near = get_close_matches(name, known, 1)
        return Failure(
            UnknownFramework(
                "",
                None,
                f"No framework is called {name!r}.",
                f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(known)}.",
            )
        )

    def find_owner(self, value: object) -> Outcome[Framework[object]]:
        """Give the framework that the value is an array of, or `UnknownFramework`."""
        for index in self._indices():
            for entry in index.frameworks.values():
                framework = entry.load()
                if is_successful(framework) and framework.unwrap().owns(value):
                    return framework
        message = f"A {type(value).__name__} is no array of a registered framework."
        advice = (
            "Make it a Table of its columns first: Table({name: column as a NumPy array})."
            if hasattr(type(value), "__arrow_c_stream__")
            else "Make it a NumPy array first, or register its framework."
        )
        return Failure(UnknownFramework("", None, message, advice))


def _one_by_one(entries: Entries) -> Iterable[Entries]:
    yield Entries(errors=entries.errors)
    yield from (Entries(stores=(entry,)) for entry in entries.stores)
    yield from (Entries(formats=(entry,)) for entry in entries.formats)
    yield from (Entries(frameworks=(entry,)) for entry in entries.frameworks)
