"""How cattrs reads what a spec is made of. Imported when a spec is read."""

from __future__ import annotations

import enum
import types
from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from typing import TypeVar, cast, get_args, get_origin

from attrs import frozen, has
from cattrs import Converter, ForbiddenExtraKeysError, transform_error

from polystore.configs import VirtualItem
from polystore.core.outcome import is_successful
from polystore.core.records import FileFormat
from polystore.core.registry import Registry
from polystore.steps import spec_kinds as kinds
from polystore.steps.compose import Pipeline, Step
from polystore.steps.spec_kinds import (
    COMPRESSORS,
    NO_COMPRESSOR,
    PRIMITIVES,
    STEPS,
    NotInSpecError,
    option_kinds,
    stores_of,
)

__all__ = ["at", "reader"]

T = TypeVar("T")


def reader(registry: Registry, functions: Mapping[str, Callable[..., object]]) -> Converter:
    """Give the converter that reads what the registry knows, with these functions by name."""
    converter = Converter(forbid_extra_keys=True)
    hooks = _Reading(registry, functions, converter)
    # What is registered later is asked first.
    converter.register_structure_hook_factory(has, partial(_of_fields, converter))
    for fits, hook in (
        (kinds.is_pipeline, hooks.pipeline),
        (kinds.is_step, hooks.step),
        (kinds.is_store, hooks.store),
        (kinds.is_tagged, hooks.tagged),
        (kinds.is_format, hooks.format),
        (kinds.is_framework, hooks.framework),
        (kinds.is_function, hooks.function),
        (kinds.is_text_or_function, hooks.text_or_function),
        (kinds.is_options, hooks.options),
        (kinds.is_items_or_function, hooks.items_or_function),
        (kinds.is_compressor, hooks.compressor),
        (kinds.is_number_or_list, hooks.number_or_list),
        (kinds.is_number_or_by_names, _number_or_by_names),
        (kinds.is_tuple, hooks.tuple_of),
        (kinds.is_texts_by_names, _pairs),
        (kinds.is_row, hooks.row),
        (kinds.is_enum, _member),
        (kinds.is_choice, _choice),
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
        return self._one_of(value, STEPS | stores_of(self.registry))

    def step(self, value: object, _kind: object) -> object:
        return self._one_of(value, STEPS)

    def store(self, value: object, kind: object) -> object:
        if value is None and kinds.is_optional(kind):
            return None
        return self._one_of(value, stores_of(self.registry))

    def options(self, value: object, _kind: object) -> object:
        return None if value is None else self._one_of(value, option_kinds(self.registry))

    def compressor(self, value: object, _kind: object) -> object:
        if value is None or value == NO_COMPRESSOR:
            return None
        return self._one_of(value, COMPRESSORS)

    def _one_of(self, value: object, known: Mapping[str, type[object]]) -> object:
        tag, body = _one_tag(value, known)
        return at(tag, lambda: self.converter.structure(body, _with_arguments(known[tag])))

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

    def number_or_list(self, value: object, kind: object) -> int | tuple[int, ...]:
        if not isinstance(value, list):
            return _strict(int, value)
        several = next(it for it in get_args(kind) if it is not int)
        numbers = tuple(_strict(int, number) for number in cast("list[object]", value))
        if kinds.is_row(several) and len(numbers) != len(get_args(several)):
            raise TypeError(f"{value!r} is no pair of numbers")
        return numbers

    def row(self, value: object, kind: object) -> tuple[object, ...]:
        each = cast("tuple[type[object], ...]", get_args(kind))
        parts = cast("list[object]", value) if isinstance(value, list) else []
        if len(parts) != len(each):
            raise TypeError(f"{value!r} is no list of {len(each)}")
        return tuple(map(self.converter.structure, parts, each))

    def tuple_of(self, value: object, kind: object) -> tuple[object, ...]:
        if not isinstance(value, list):  # a text would be taken letter by letter
            raise TypeError(f"{value!r} is no list")
        members = cast("type[list[object]]", types.GenericAlias(list, get_args(kind)[:1]))
        some = self.converter.structure(cast("list[object]", value), members)
        return tuple(some)


def _of_fields(converter: Converter, kind: type[T]) -> Callable[[Mapping[str, object], object], T]:
    """Give the function that reads a class by its fields, which cattrs makes: of objects alone."""
    read = converter.gen_structure_attrs_fromdict(kind)

    def structured(value: Mapping[str, object], _kind: object) -> T:
        if not isinstance(cast("object", value), dict):
            raise TypeError(f"{value!r} is no object of fields")
        return read(value, kind)

    return structured


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


def _one_tag(value: object, known: Mapping[str, object]) -> tuple[str, object]:
    if not isinstance(value, dict) or len(cast("dict[object, object]", value)) != 1:
        raise TypeError(f"this must be an object with one key, one of {', '.join(known)}")
    ((tag, body),) = cast("dict[str, object]", value).items()
    if tag not in known:
        raise ValueError(f"{tag!r} is none of {', '.join(known)}")
    return tag, body


def _primitive(value: object, kind: type[T]) -> T:
    return _strict(kind, value)


def _strict(kind: type[T], value: object) -> T:
    """Give the value if it is of the type: a number is no text, and `True` is no number."""
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise TypeError(f"{value!r} is not {PRIMITIVES[kind]}")
    return cast("T", value)


def _choice(value: object, kind: object) -> object:
    if value not in get_args(kind):
        raise ValueError(f"{value!r} is none of {', '.join(map(repr, get_args(kind)))}")
    return value


def _member(value: object, kind: type[enum.Enum]) -> enum.Enum:
    for member in kind:
        if type(value) is type(cast("object", member.value)) and value == member.value:
            return member
    words = ", ".join(repr(cast("object", member.value)) for member in kind)
    raise ValueError(f"{value!r} is none of {words}")


def _pairs(value: object, _kind: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise TypeError("this must be an object of texts by their names")
    texts = cast("dict[str, object]", value)
    return tuple((name, at(name, partial(_strict, str, text))) for name, text in texts.items())


def _number_or_by_names(value: object, _kind: object) -> int | tuple[tuple[str, int], ...]:
    if not isinstance(value, dict):
        return _strict(int, value)
    numbers = cast("dict[str, object]", value)
    return tuple((name, at(name, partial(_strict, int, it))) for name, it in numbers.items())


def _with_arguments(kind: type[object]) -> type[object]:
    """Give a generic class its type arguments, which cattrs asks for: any object will do."""
    parameters = getattr(kind, "__parameters__", ())
    make = cast(
        "Callable[[tuple[object, ...]], type[object]]", getattr(kind, "__class_getitem__", None)
    )
    return make(tuple(object for _ in parameters)) if parameters else kind
