"""What a spec is made of: the tag of each thing in it, and which kind of type a field has."""

from __future__ import annotations

import enum
import types
from collections.abc import Callable
from typing import Literal, Union, get_args, get_origin

from polystore.configs import Blosc, Gzip, Zstd
from polystore.core.outcome import is_successful
from polystore.core.records import FileFormat, Framework, Sink, Source, Store
from polystore.core.registry import Registry
from polystore.steps.apply import Apply
from polystore.steps.compose import Pipeline, Step
from polystore.steps.convert import Convert
from polystore.steps.load import Load
from polystore.steps.map_blocks import MapBlocks
from polystore.steps.rename import Rename
from polystore.steps.save import Save

__all__ = [
    "COMPRESSORS",
    "NO_COMPRESSOR",
    "STEPS",
    "NotInSpecError",
    "Tagged",
    "named",
    "option_kinds",
    "stores_of",
]

STEPS: dict[str, type[object]] = {
    "pipeline": Pipeline,
    "load": Load,
    "save": Save,
    "convert": Convert,
    "apply": Apply,
    "map_blocks": MapBlocks,
    "rename": Rename,
}
"""The tag of each step in a spec."""

COMPRESSORS: dict[str, type[object]] = {"blosc": Blosc, "zstd": Zstd, "gzip": Gzip}
"""The tag of each compressor of Zarr in a spec."""

NO_COMPRESSOR = "none"
"""What a spec says for no compressor: TOML has no null."""


class Tagged:
    """Stands, for the converter, for any step or config: an object with one key, its tag."""


class NotInSpecError(Exception):
    """Raised within a converter: `reason`, and `where` as a path below the spec."""

    def __init__(self, reason: str, where: str = "") -> None:
        """Keep both."""
        super().__init__(reason)
        self.reason = reason
        self.where = where


def stores_of(registry: Registry) -> dict[str, type[object]]:
    """Give the types of configs by the names of their stores."""
    return {entry.name: entry.key for entry in registry.entries().stores}


def option_kinds(registry: Registry) -> dict[str, type[object]]:
    """Give the option classes by format name. Loads the codecs, which import nothing heavy."""
    codecs = (entry.load() for entry in registry.entries().formats)
    found = [codec.unwrap() for codec in codecs if is_successful(codec)]
    return {codec.format.name: codec.options for codec in found if codec.options is not None}


PRIMITIVES: dict[object, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}
"""The types that a field may have in JSON itself, in words."""


def named(value: object) -> str:
    """Name a value by what it is, in words.

    >>> named(3), named(None), named(object())
    ('a whole number', 'None', 'an object')
    """
    name = type(value).__name__
    article = "an" if name[0] in "AEIOUaeiou" else "a"
    return "None" if value is None else PRIMITIVES.get(type(value), f"{article} {name}")


def members_of(kind: object) -> tuple[object, ...]:
    """Give the types that a type allows, without their arguments."""
    members = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    return tuple(get_origin(member) or member for member in members)


def is_optional(kind: object) -> bool:
    return types.NoneType in members_of(kind)


def is_tagged(kind: object) -> bool:
    return Tagged in members_of(kind)


def is_store(kind: object) -> bool:
    return not {Source, Sink, Store}.isdisjoint(members_of(kind))


def is_step(kind: object) -> bool:
    return Step in members_of(kind)


def is_pipeline(kind: object) -> bool:
    return Pipeline in members_of(kind)


def is_format(kind: object) -> bool:
    return FileFormat in members_of(kind)


def is_framework(kind: object) -> bool:
    return Framework in members_of(kind)


def is_function(kind: object) -> bool:
    return Callable in members_of(kind) and {str, tuple}.isdisjoint(members_of(kind))


def is_text_or_function(kind: object) -> bool:
    return Callable in members_of(kind) and str in members_of(kind)


def is_items_or_function(kind: object) -> bool:
    return {Callable, tuple} <= set(members_of(kind))


def is_compressor(kind: object) -> bool:
    return set(COMPRESSORS.values()) <= set(members_of(kind))


def is_number_or_list(kind: object) -> bool:
    """Whether it is a part of an index, or a halo: a number, or some of them."""
    return {int, tuple} == set(members_of(kind))


def is_number_or_by_names(kind: object) -> bool:
    """Whether it is a number, or numbers by their names."""
    return kind == (int | tuple[tuple[str, int], ...])


def is_texts_by_names(kind: object) -> bool:
    return kind == tuple[tuple[str, str], ...]


def is_tuple(kind: object) -> bool:
    """Whether it is a tuple of any number of things of one type."""
    return get_origin(kind) is tuple and get_args(kind)[1:] == (...,)


def is_row(kind: object) -> bool:
    """Whether it is a tuple of so many things, each of its own type."""
    return get_origin(kind) is tuple and not is_tuple(kind)


def is_enum(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


def is_choice(kind: object) -> bool:
    return get_origin(kind) is Literal


def is_options(kind: object) -> bool:
    return kind is object
