"""How cattrs writes and reads what a spec is made of. Imported when a spec is written or read."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
from functools import cache, partial
from inspect import signature
from typing import Literal, TypeVar, Union, cast, get_args, get_origin

from attrs import frozen
from cattrs import Converter, ForbiddenExtraKeysError, transform_error

from polystore.configs import VirtualItem
from polystore.core.outcome import is_successful
from polystore.core.records import FileFormat, Framework, Sink, Source, Store
from polystore.core.registry import Registry
from polystore.steps.apply import Apply
from polystore.steps.compose import Pipeline, Step
from polystore.steps.convert import Convert
from polystore.steps.load import Load
from polystore.steps.rename import Rename
from polystore.steps.save import Save

__all__ = ["NotInSpecError", "Tagged", "at", "reader", "writer"]

T = TypeVar("T")

STEPS: dict[str, type[object]] = {
    "pipeline": Pipeline,
    "load": Load,
    "save": Save,
    "convert": Convert,
    "apply": Apply,
    "rename": Rename,
}
"""The tag of each step in a spec."""


class Tagged:
    """Stands, for the converter, for any step or config: an object with one key, its tag."""


class NotInSpecError(Exception):
    """Raised within a converter: `reason`, and `where` as a path below the spec."""

    def __init__(self, reason: str, where: str = "") -> None:
        """Keep both."""
        super().__init__(reason)
        self.reason = reason
        self.where = where


@cache
def writer(registry: Registry) -> Converter:
    """Give the converter that writes what the registry knows."""
    converter = Converter(omit_if_default=True, unstruct_collection_overrides={tuple: list})
    hooks = _Writing(registry, converter)
    for fits, hook in (
        (_is_pipeline, hooks.pipeline),
        (_is_tagged, hooks.tagged),
        (_is_store, hooks.tagged),
        (_is_format, hooks.format),
        (_is_framework, hooks.framework),
        (_is_function, hooks.function),
        (_is_text_or_function, hooks.text_or_function),
        (_is_options, hooks.options),
        (_is_items_or_function, hooks.items_or_function),
        (_is_index_part, _list_or_number),
    ):
        converter.register_unstructure_hook_func(fits, hook)
    return converter


@frozen
class _Writing:
    registry: Registry
    converter: Converter

    def tagged(self, value: object) -> dict[str, object]:
        for tag, kind in (STEPS | _stores(self.registry)).items():
            if type(value) is kind:
                return {tag: self.converter.unstructure(value)}
        raise NotInSpecError(f"{_named(value)} is no step and no registered config")

    def pipeline(self, value: Pipeline[object, object]) -> list[object]:
        return [self.tagged(step) for step in value.steps]

    def options(self, value: object) -> object:
        for name, kind in _option_kinds(self.registry).items():
            if type(value) is kind:
                return {name: self.converter.unstructure(value)}
        if value is None:
            return None
        raise NotInSpecError(f"{_named(value)} is the options of no registered format")

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


def _list_or_number(part: int | tuple[int, int]) -> int | list[int]:
    return list(part) if isinstance(part, tuple) else part


def _found_under(module: object, qualname: object) -> object:
    """Give what a module that is loaded holds under a name, or `None`: a name can belie its bearer.

    A bound method has its function's name, and a wrapper that of what it wraps.
    """
    found: object = sys.modules.get(module) if isinstance(module, str) else None
    for part in str(qualname).split("."):
        found = getattr(found, part, None)
    return found


def reader(registry: Registry, functions: Mapping[str, Callable[..., object]]) -> Converter:
    """Give the converter that reads what the registry knows, with these functions by name."""
    converter = Converter(forbid_extra_keys=True)
    hooks = _Reading(registry, functions, converter)
    for fits, hook in (
        (_is_pipeline, hooks.pipeline),
        (_is_step, hooks.step),
        (_is_store, hooks.store),
        (_is_tagged, hooks.tagged),
        (_is_format, hooks.format),
        (_is_framework, hooks.framework),
        (_is_function, hooks.function),
        (_is_text_or_function, hooks.text_or_function),
        (_is_options, hooks.options),
        (_is_items_or_function, hooks.items_or_function),
        (_is_index_part, hooks.index_part),
        (_is_tuple, hooks.tuple_of),
        (_is_choice, _choice),
    ):
        converter.register_structure_hook_func(fits, hook)
    for primitive in (str, int, float, bool):
        converter.register_structure_hook(primitive, _primitive)
    return converter


@frozen
class _Reading:
    registry: Registry
    functions: Mapping[str, Callable[..., object]]
    converter: Converter

    def tagged(self, value: object, _kind: object) -> object:
        return self._one_of(value, STEPS | _stores(self.registry))

    def step(self, value: object, _kind: object) -> object:
        return self._one_of(value, STEPS)

    def store(self, value: object, _kind: object) -> object:
        return self._one_of(value, _stores(self.registry))

    def options(self, value: object, _kind: object) -> object:
        return None if value is None else self._one_of(value, _option_kinds(self.registry))

    def _one_of(self, value: object, kinds: Mapping[str, type[object]]) -> object:
        tag, body = _one_tag(value, kinds)
        return at(tag, lambda: self.converter.structure(body, _with_arguments(kinds[tag])))

    def pipeline(self, value: object, _kind: object) -> Pipeline[object, object]:
        if not isinstance(value, list) or not value:
            raise TypeError("a pipeline is a list of steps")
        steps = self.converter.structure(cast("list[object]", value), list[Step[object, object]])
        return Pipeline(tuple(cast("list[Callable[..., object]]", steps)))

    def format(self, value: object, _kind: object) -> FileFormat[object] | None:
        found = [entry.key for entry in self.registry.entries().formats if entry.name == value]
        if value is not None and not found:
            raise ValueError(f"no format is called {value!r}")
        return found[0] if found else None

    def framework(self, value: object, _kind: object) -> str:
        found = self.registry.find_framework(_strict(str, value))
        if not is_successful(found):
            raise ValueError(str(found.failure()).rstrip("."))
        return found.unwrap().name

    def function(self, name: object, _kind: object) -> Callable[..., object]:
        if not isinstance(name, str) or name not in self.functions:
            given = ", ".join(self.functions) or "none"
            raise ValueError(f"the function {name!r} was not given to from_spec (given: {given})")
        if not callable(self.functions[name]):
            raise TypeError(f"what from_spec was given for {name!r} is no function")
        return self.functions[name]

    def text_or_function(self, value: object, kind: object) -> object:
        if value is None or isinstance(value, str):
            return value
        tag, name = _one_tag(value, {"function": str})
        return at(tag, lambda: self.function(name, kind))

    def items_or_function(self, value: object, kind: object) -> object:
        if not isinstance(value, dict):
            raise TypeError("the items are an object from keys to places, or name a function")
        items = cast("dict[str, object]", value)
        if isinstance(items.get("function"), str) and len(items) == 1:
            return at("function", lambda: self.function(items["function"], kind))
        return tuple(
            (key, at(key.replace(" @ ", " at "), partial(self._item, item)))
            for key, item in items.items()
        )

    def _item(self, value: object) -> VirtualItem:
        if not isinstance(value, dict):
            raise TypeError("this must be an object with a place, and an index if need be")
        return self.converter.structure(value, VirtualItem)

    def index_part(self, value: object, _kind: object) -> int | tuple[int, int]:
        if not isinstance(value, list):
            return _strict(int, value)
        bounds = [_strict(int, bound) for bound in cast("list[object]", value)]
        if len(bounds) != 2:
            raise TypeError(f"{value!r} is no pair of numbers")
        return bounds[0], bounds[1]

    def tuple_of(self, value: object, kind: object) -> tuple[object, ...]:
        if not isinstance(value, list):  # a text would be taken letter by letter
            raise TypeError(f"{value!r} is no list")
        members = cast("type[list[object]]", types.GenericAlias(list, get_args(kind)[:1]))
        some = self.converter.structure(cast("list[object]", value), members)
        return tuple(some)


def at(tag: str, read: Callable[[], T]) -> T:
    """Read what stands below a tag; an error in it becomes `NotInSpecError` with its place."""
    try:
        return read()
    except Exception as error:  # cattrs raises what the reading functions do
        # cattrs writes "reason @ path"; a path found below a tag stands before the tag's own.
        texts = transform_error(error, tag and f".{tag}", _in_words)
        # A field that is missing may be the unknown one, misspelt.
        text = min(texts, key=lambda it: not it.startswith(_UNKNOWN_FIELD))
        reason, *paths = text.split(" @ ")
        raise NotInSpecError(reason, "".join(reversed(paths))) from error


def _in_words(error: BaseException, _expected: object) -> str:
    if isinstance(error, NotInSpecError):
        return f"{error.reason} @ {error.where}"
    if isinstance(error, KeyError):
        return "it is missing"
    if isinstance(error, ForbiddenExtraKeysError):
        words = _unknown(sorted(map(str, error.extra_fields)), error.cl)
    else:
        words = str(error)
    return words.replace(" @ ", " at ")  # " @ " parts the reason from the place


_UNKNOWN_FIELD = "there is no field "


def _unknown(names: list[str], kind: type[object]) -> str:
    """Say which fields there are not, and which one was meant."""
    from difflib import get_close_matches  # for this error alone

    known = list(signature(get_origin(kind) or kind).parameters)
    near = get_close_matches(names[0], known, 1)
    meant = f". Did you mean {near[0]!r}?" if near else "."
    there = f"The fields are {', '.join(map(repr, known))}" if known else "It has no fields"
    return f"{_UNKNOWN_FIELD}{', '.join(map(repr, names))}{meant} {there}"


def _stores(registry: Registry) -> dict[str, type[object]]:
    return {entry.name: entry.key for entry in registry.entries().stores}


def _option_kinds(registry: Registry) -> dict[str, type[object]]:
    """Give the option classes by format name. Loads the codecs, which import nothing heavy."""
    codecs = (entry.load() for entry in registry.entries().formats)
    found = [codec.unwrap() for codec in codecs if is_successful(codec)]
    return {codec.format.name: codec.options for codec in found if codec.options is not None}


def _one_tag(value: object, known: Mapping[str, object]) -> tuple[str, object]:
    if not isinstance(value, dict) or len(cast("dict[object, object]", value)) != 1:
        raise TypeError(f"this must be an object with one key, one of {', '.join(known)}")
    ((tag, body),) = cast("dict[str, object]", value).items()
    if tag not in known:
        raise ValueError(f"{tag!r} is none of {', '.join(known)}")
    return tag, body


_PRIMITIVES: dict[object, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def _named(value: object) -> str:
    """Name a value by what it is, in words."""
    name = type(value).__name__
    article = "an" if name[0] in "AEIOUaeiou" else "a"
    return "None" if value is None else _PRIMITIVES.get(type(value), f"{article} {name}")


def _primitive(value: object, kind: type[T]) -> T:
    return _strict(kind, value)


def _strict(kind: type[T], value: object) -> T:
    """Give the value if it is of the type: a number is no text, and `True` is no number."""
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise TypeError(f"{value!r} is not {_PRIMITIVES[kind]}")
    return cast("T", value)


def _is_choice(kind: object) -> bool:
    return get_origin(kind) is Literal


def _choice(value: object, kind: object) -> object:
    if value not in get_args(kind):
        raise ValueError(f"{value!r} is none of {', '.join(map(repr, get_args(kind)))}")
    return value


def _with_arguments(kind: type[object]) -> type[object]:
    """Give a generic class its type arguments, which cattrs asks for: any object will do."""
    parameters = getattr(kind, "__parameters__", ())
    make = cast(
        "Callable[[tuple[object, ...]], type[object]]", getattr(kind, "__class_getitem__", None)
    )
    return make(tuple(object for _ in parameters)) if parameters else kind


def _members(kind: object) -> tuple[object, ...]:
    members = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    return tuple(get_origin(member) or member for member in members)


def _is_tagged(kind: object) -> bool:
    return Tagged in _members(kind)


def _is_store(kind: object) -> bool:
    return not {Source, Sink, Store}.isdisjoint(_members(kind))


def _is_step(kind: object) -> bool:
    return Step in _members(kind)


def _is_pipeline(kind: object) -> bool:
    return Pipeline in _members(kind)


def _is_format(kind: object) -> bool:
    return FileFormat in _members(kind)


def _is_framework(kind: object) -> bool:
    return Framework in _members(kind)


def _is_function(kind: object) -> bool:
    return Callable in _members(kind) and {str, tuple}.isdisjoint(_members(kind))


def _is_text_or_function(kind: object) -> bool:
    return Callable in _members(kind) and str in _members(kind)


def _is_items_or_function(kind: object) -> bool:
    return {Callable, tuple} <= set(_members(kind))


def _is_index_part(kind: object) -> bool:
    return {int, tuple} == set(_members(kind))


def _is_tuple(kind: object) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[1:] == (...,)


def _is_options(kind: object) -> bool:
    return kind is object
