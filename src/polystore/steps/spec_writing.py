"""How cattrs writes what a spec is made of. Imported when a spec is written."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from functools import cache
from typing import TypeVar, cast

from attrs import frozen
from cattrs import Converter

from polystore.configs import VirtualItem
from polystore.core.outcome import is_successful
from polystore.core.records import FileFormat, Framework
from polystore.core.registry import Registry
from polystore.steps import spec_kinds as kinds
from polystore.steps.compose import Pipeline
from polystore.steps.spec_kinds import (
    COMPRESSORS,
    NO_COMPRESSOR,
    STEPS,
    NotInSpecError,
    named,
    option_kinds,
    stores_of,
)

__all__ = ["writer"]

T = TypeVar("T")


@cache
def writer(registry: Registry) -> Converter:
    """Give the converter that writes what the registry knows."""
    converter = Converter(omit_if_default=True, unstruct_collection_overrides={tuple: list})
    hooks = _Writing(registry, converter)
    for fits, hook in (
        (kinds.is_pipeline, hooks.pipeline),
        (kinds.is_tagged, hooks.tagged),
        (kinds.is_store, hooks.tagged),
        (kinds.is_format, hooks.format),
        (kinds.is_framework, hooks.framework),
        (kinds.is_function, hooks.function),
        (kinds.is_text_or_function, hooks.text_or_function),
        (kinds.is_options, hooks.options),
        (kinds.is_items_or_function, hooks.items_or_function),
        (kinds.is_compressor, hooks.compressor),
        (kinds.is_number_or_list, _list_or_number),
        (kinds.is_number_or_by_names, _number_or_by_names),
        (kinds.is_texts_by_names, _by_names),
        (kinds.is_row, _list_or_number),
        (kinds.is_enum, _word),
    ):
        converter.register_unstructure_hook_func(fits, hook)
    return converter


@frozen
class _Writing:
    registry: Registry
    converter: Converter

    def tagged(self, value: object) -> dict[str, object]:
        for tag, kind in (STEPS | stores_of(self.registry)).items():
            if type(value) is kind:
                return {tag: self.converter.unstructure(value)}
        raise NotInSpecError(f"{named(value)} is no step and no registered config")

    def pipeline(self, value: Pipeline[object, object]) -> list[object]:
        return [self.tagged(step) for step in value.steps]

    def options(self, value: object) -> object:
        for name, kind in option_kinds(self.registry).items():
            if type(value) is kind:
                return {name: self.converter.unstructure(value)}
        if value is None:
            return None
        raise NotInSpecError(f"{named(value)} is the options of no registered format")

    def compressor(self, value: object) -> object:
        for name, kind in COMPRESSORS.items():
            if type(value) is kind:
                return {name: self.converter.unstructure(value)}
        if value is None:
            return NO_COMPRESSOR
        raise NotInSpecError(f"{named(value)} is no compressor of Zarr")

    def format(self, value: FileFormat[object] | None) -> str | None:
        if value is not None and value not in [e.key for e in self.registry.entries().formats]:
            raise NotInSpecError(f"the format {value!r} is not registered")
        return None if value is None else value.name

    def framework(self, value: str | Framework[object]) -> str:
        name = value.name if isinstance(value, Framework) else value
        known = self.registry.find_framework(name)
        if is_successful(known) and value in (name, known.unwrap()):
            return name
        raise NotInSpecError(f"the framework {name!r} is not registered")

    def function(self, value: Callable[..., object]) -> str:
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if _found_under(module, name) is not value:
            raise NotInSpecError(
                f"{value!r} has no name that another process could know: use a function of a module"
            )
        return f"{module}:{name}"

    def text_or_function(self, value: object) -> object:
        return {"function": self.function(value)} if callable(value) else value

    def items_or_function(self, value: object) -> object:
        if callable(value):
            return {"function": self.function(value)}
        pairs = cast("tuple[tuple[str, VirtualItem], ...]", value)
        items = {key: self.converter.unstructure(item) for key, item in pairs}
        if len(items) != len(pairs):
            raise NotInSpecError("a key of the virtual items is there twice")
        return items


def _list_or_number(value: int | tuple[int | None, ...]) -> int | list[int | None]:
    return list(value) if isinstance(value, tuple) else value


def _by_names(pairs: tuple[tuple[str, T], ...]) -> dict[str, T]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise NotInSpecError("a name is there twice")
    return values


def _number_or_by_names(value: int | tuple[tuple[str, int], ...]) -> int | dict[str, int]:
    return _by_names(value) if isinstance(value, tuple) else value


def _word(value: enum.Enum) -> object:
    return value.value


def _found_under(module: object, qualname: object) -> object:
    """Give what a module that is loaded holds under a name, or `None`: a name can belie its bearer.

    A bound method has its function's name, and a wrapper that of what it wraps.
    """
    found: object = sys.modules.get(module) if isinstance(module, str) else None
    for part in str(qualname).split("."):
        found = getattr(found, part, None)
    return found
