"""Specs: pipelines, steps and configs as JSON, and back, equal.

A value is an object with one key, its tag: a step's name (`load`, `save`, ...), or the name under which
the registry knows a store. Fields at their defaults are left out.

    {"pipeline": [
        {"load": {"source": {"disk": {"root": "/data/plate"}}}},
        {"convert": {"to": "jax"}},
        {"apply": {"function": "lab.filters:denoise"}},
        {"save": {"sink": {"zarr": {"root": "/data/plate.zarr"}}, "if_exists": "skip"}}
    ]}

Reading a spec imports nothing that it names: functions are those that the caller gives, and stores,
formats and frameworks those of the registry.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, TypeAlias, TypeVar, Union, cast, get_args, get_origin

from polystore.core.errors import InvalidSpec
from polystore.core.outcome import Outcome, catch, guard, is_successful
from polystore.core.records import FileFormat, Framework, Sink, Source
from polystore.discover import default_registry
from polystore.steps.apply import Apply
from polystore.steps.compose import Pipeline
from polystore.steps.convert import Convert
from polystore.steps.load import Load
from polystore.steps.rename import Rename
from polystore.steps.save import Save

if TYPE_CHECKING:
    from cattrs import Converter

    from polystore.core.payload import Json
    from polystore.core.registry import Registry

T = TypeVar("T")

__all__ = ["Functions", "from_spec", "to_spec"]

Functions: TypeAlias = Mapping[str, Callable[..., object]]
"""The functions that a spec may name, by `module:qualname`."""

STEPS: dict[str, type[object]] = {
    "pipeline": Pipeline,
    "load": Load,
    "save": Save,
    "convert": Convert,
    "apply": Apply,
    "rename": Rename,
}
"""The tag of each step in a spec."""

_ADVICE = "See the documentation of polystore.to_spec for what a spec can say."


def to_spec(value: object, registry: Registry | None = None) -> Outcome[Json]:
    """Give the JSON value of a pipeline, a step or a config.

    `InvalidSpec` for what has no name that another process could know: a lambda, a function inside a
    function, a framework or config that is not registered. A function is named `module:qualname`.

    >>> from polystore import DiskConfig, compose, load, rename
    >>> to_spec(compose(load(DiskConfig(root="/data")), rename(suffix=".npy"))).unwrap()
    {'pipeline': [{'load': {'source': {'disk': {'root': '/data'}}}}, {'rename': {'suffix': '.npy'}}]}
    """
    known = registry or default_registry()
    return guard(
        lambda: cast("Json", _writer(known).unstructure(value, _Tagged)),
        catch(_NotInSpecError, _NotInSpecError.as_error),
    )


def from_spec(
    spec: Json, functions: Functions | None = None, registry: Registry | None = None
) -> Outcome[object]:
    """Give the pipeline, step or config that a JSON value describes: equal to what was written.

    `functions` are those that the spec may name; nothing is imported because a spec names it. Text is
    text, a number a number, and an unknown field is an error: `InvalidSpec` says what is wrong, and in
    `where` at which place, as in `$.pipeline[1].convert.casting`.

    >>> spec = {"pipeline": [{"convert": {"to": "jax", "casting": "any"}}]}
    >>> from_spec(spec).failure().where
    '$.pipeline[0].convert.casting'
    >>> from_spec({"load": {"source": {"disk": {"root": "/data"}}}}).unwrap()
    Load(source=DiskConfig(root='/data', ...), format=None)
    """
    reader = _reader(registry or default_registry(), dict(functions or {}))
    return guard(
        lambda: _at("", lambda: reader.structure(spec, _Tagged)),
        catch(_NotInSpecError, _NotInSpecError.as_error),
    )


class _Tagged:
    """Stands, for the converter, for any step or config: an object with one key, its tag."""


class _NotInSpecError(Exception):
    """Raised within the converter, caught by `to_spec` and `from_spec`."""

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.where = where

    def as_error(self) -> InvalidSpec:
        where = f"${self.where}"
        message = f"This is no spec, at {where}: {self.reason}."
        return InvalidSpec("", None, message, _ADVICE, where)


def _in_words(error: BaseException, expected: object) -> str:
    from cattrs import ForbiddenExtraKeysError

    if isinstance(error, _NotInSpecError):
        return f"{error.reason} @ {error.where}"
    if isinstance(error, KeyError):
        return "it is missing"
    if isinstance(error, ForbiddenExtraKeysError):
        return f"there is no field {', '.join(map(repr, sorted(error.extra_fields)))}"
    return str(error)


def _names(registry: Registry) -> dict[str, type[object]]:
    return STEPS | {entry.name: entry.key for entry in registry.entries().stores}


def _option_types(registry: Registry) -> dict[str, type[object]]:
    """Give the option classes by format name. Loads the codecs, which import nothing heavy."""
    codecs = (entry.load() for entry in registry.entries().formats)
    found = [codec.unwrap() for codec in codecs if is_successful(codec)]
    return {codec.format.name: codec.options for codec in found if codec.options is not None}


@cache
def _writer(registry: Registry) -> Converter:
    from cattrs import Converter

    writer = Converter(omit_if_default=True)
    tags = {kind: tag for tag, kind in _names(registry).items()}

    def tagged(value: object) -> dict[str, object]:
        if type(value) not in tags:
            raise _NotInSpecError(f"a {type(value).__name__} is no step and no registered config")
        return {tags[type(value)]: writer.unstructure(value)}

    def pipeline(value: Pipeline[object, object]) -> list[object]:
        return [tagged(step) for step in value.steps]

    def options(value: object) -> object:
        for name, kind in _option_types(registry).items():
            if type(value) is kind:
                return {name: writer.unstructure(value)}
        if value is None:
            return None
        raise _NotInSpecError(f"{type(value).__name__} is the options of no registered format")

    def framework_name(value: str | Framework[object]) -> str:
        if isinstance(value, str):
            return value
        if is_successful(registry.find_framework(value.name)):
            return value.name
        raise _NotInSpecError(f"the framework {value.name!r} is not registered")

    def function_name(value: Callable[..., object]) -> str:
        return _function_name(value)

    def text_or_function(value: object) -> object:
        return {"function": _function_name(value)} if callable(value) else value

    def format_name(value: FileFormat[object] | None) -> str | None:
        return None if value is None else value.name

    writer.register_unstructure_hook(_Tagged, tagged)
    writer.register_unstructure_hook(Pipeline, pipeline)
    writer.register_unstructure_hook_func(_is_address, tagged)
    writer.register_unstructure_hook_func(_is_format, format_name)
    writer.register_unstructure_hook_func(_is_framework, framework_name)
    writer.register_unstructure_hook_func(_is_function, function_name)
    writer.register_unstructure_hook_func(_is_text_or_function, text_or_function)
    writer.register_unstructure_hook_func(lambda kind: kind is object, options)
    return writer


def _function_name(function: Callable[..., object]) -> str:
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    if not module or not name or "<" in name:
        raise _NotInSpecError(
            f"{function!r} has no name that another process could know; use a function of a module"
        )
    return f"{module}:{name}"


def _reader(registry: Registry, functions: Functions) -> Converter:
    from cattrs import Converter

    reader = Converter(forbid_extra_keys=True)
    kinds = _names(registry)

    def tagged(value: object, _kind: object) -> object:
        tag, body = _one_tag(value, kinds)
        return _at(tag, lambda: reader.structure(body, _with_arguments(kinds[tag])))

    def pipeline(value: object, _kind: object) -> Pipeline[object, object]:
        if not isinstance(value, list):
            raise TypeError("a pipeline is a list of steps")
        return Pipeline(
            tuple(cast("list[Callable[..., object]]", reader.structure(value, list[_Tagged])))
        )

    def options(value: object, _kind: object) -> object:
        if value is None:
            return None
        known = _option_types(registry)
        tag, body = _one_tag(value, known)
        return _at(tag, lambda: reader.structure(body, known[tag]))

    def format_named(value: object, _kind: object) -> FileFormat[object] | None:
        found = [entry.key for entry in registry.entries().formats if entry.name == value]
        if value is not None and not found:
            raise ValueError(f"no format is called {value!r}")
        return found[0] if found else None

    def framework(value: object, _kind: object) -> str:
        found = registry.find_framework(_strict(str, value))
        if not is_successful(found):
            raise ValueError(f"{found.failure()}".rstrip("."))
        return found.unwrap().name

    def function(name: object, _kind: object) -> object:
        return _known_function(name, functions)

    def text_or_function(value: object, _kind: object) -> object:
        if value is None or isinstance(value, str):
            return value
        tag, name = _one_tag(value, {"function": str})
        return _at(tag, lambda: _known_function(name, functions))

    reader.register_structure_hook(_Tagged, tagged)
    reader.register_structure_hook_func(lambda kind: Pipeline in _members(kind), pipeline)
    reader.register_structure_hook_func(_is_address, tagged)
    reader.register_structure_hook_func(_is_format, format_named)
    reader.register_structure_hook_func(_is_framework, framework)
    reader.register_structure_hook_func(_is_function, function)
    reader.register_structure_hook_func(_is_text_or_function, text_or_function)
    reader.register_structure_hook_func(lambda kind: kind is object, options)
    for primitive in (str, int, float, bool):
        reader.register_structure_hook(primitive, _primitive)
    return reader


def _one_tag(value: object, known: Mapping[str, object]) -> tuple[str, object]:
    if not isinstance(value, dict) or len(cast("dict[object, object]", value)) != 1:
        raise TypeError(f"this must be an object with one key, one of {', '.join(known)}")
    ((tag, body),) = cast("dict[str, object]", value).items()
    if tag not in known:
        raise ValueError(f"{tag!r} is none of {', '.join(known)}")
    return tag, body


def _at(tag: str, read: Callable[[], object]) -> object:
    """Read what stands below a tag, so that an error in it names the tag in its place."""
    from cattrs import transform_error

    try:
        return read()
    except Exception as error:
        reason, where = _place(transform_error(error, tag and f".{tag}", _in_words)[0])
        raise _NotInSpecError(reason, where) from error


def _place(text: str) -> tuple[str, str]:
    """Take cattrs' "reason @ path" apart; a path below a tag comes before the path of the tag."""
    reason, *paths = text.split(" @ ")
    return reason, "".join(reversed(paths))


def _known_function(name: object, functions: Functions) -> Callable[..., object]:
    if not isinstance(name, str) or name not in functions:
        given = ", ".join(functions) or "none"
        raise ValueError(f"the function {name!r} was not given to from_spec (given: {given})")
    return functions[name]


def _primitive(value: object, kind: type[T]) -> T:
    return _strict(kind, value)


def _strict(kind: type[T], value: object) -> T:
    """Give the value if it is of the type: a number is no text, and `True` is no number."""
    if type(value) is not kind and not (kind is float and type(value) is int):
        words = {
            "str": "text",
            "int": "a whole number",
            "float": "a number",
            "bool": "true or false",
        }
        raise TypeError(f"{value!r} is not {words[kind.__name__]}")
    return cast("T", value)


def _is_address(kind: object) -> bool:
    return not {Source, Sink}.isdisjoint(_members(kind))


def _with_arguments(kind: type[object]) -> type[object]:
    """Give a generic class its type arguments, which cattrs asks for: any object will do."""
    parameters = getattr(kind, "__parameters__", ())
    return kind[(object,) * len(parameters)] if parameters else kind  # type: ignore[index]


def _members(kind: object) -> tuple[object, ...]:
    members = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    return tuple(get_origin(member) or member for member in members)


def _is_format(kind: object) -> bool:
    return FileFormat in _members(kind)


def _is_framework(kind: object) -> bool:
    return Framework in _members(kind)


def _is_function(kind: object) -> bool:
    return Callable in _members(kind) and str not in _members(kind)


def _is_text_or_function(kind: object) -> bool:
    return Callable in _members(kind) and str in _members(kind)
