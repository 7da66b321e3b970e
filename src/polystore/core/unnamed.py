"""What is noted of a step that has no spec: its repr, and a digest of what its functions do."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, cast

import attrs

if TYPE_CHECKING:
    from polystore.core.payload import Json

__all__ = ["is_untold", "unnamed_json"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
"""In the repr of a function, where it is in memory: another in every process."""

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...), type(NotImplemented))


def unnamed_json(step: object) -> Json:
    """Give what to note of a step without a spec: equal for two that do the same.

    `code` is a digest of the code of its functions, of what they enclose and of the globals that
    they use; functions of a module count by their names, as in a spec. There is no `code` where it
    cannot be told, as for an array that is enclosed. It is another in another version of Python.

    >>> unnamed_json(lambda x: x * 2) == unnamed_json(lambda x: x * 2)
    True
    >>> unnamed_json(lambda x: x * 2) == unnamed_json(lambda x: x // 2)
    False
    """
    note: dict[str, Json] = {"repr": _ADDRESS.sub("", repr(step))}
    try:
        form = _form(step, set())
    except (TypeError, ValueError, AttributeError, RecursionError):
        return note
    return {**note, "code": hashlib.sha256(form.encode("utf-8", "backslashreplace")).hexdigest()}


def is_untold(step: Json) -> bool:
    """Whether a step of a history has no spec and no digest: then it is like no other.

    >>> is_untold({"repr": "Apply(function=<function <lambda>>)"})
    True
    """
    return isinstance(step, Mapping) and "repr" in step and "code" not in step


def _form(value: object, seen: set[int]) -> str:
    """Say what a value is, in any process; raises `TypeError` where that cannot be told."""
    if type(value) in _PLAIN:
        return f"{type(value).__name__}:{value!r}"
    if isinstance(value, (FunctionType, functools.partial, MethodType)):
        return _function_form(cast("object", value), seen)
    if isinstance(value, CodeType):
        return _code_form(value, seen)
    if isinstance(value, ModuleType):
        return f"module:{value.__name__}"
    if isinstance(value, (type, BuiltinFunctionType)) or _is_named(value):
        return _name(value)
    if isinstance(value, enum.Enum):
        return f"{_name(type(value))}.{value.name}"
    if isinstance(value, PurePath):
        return f"path:{value!s}"
    return _parts_form(value, seen)


def _parts_form(value: object, seen: set[int]) -> str:
    kind = type(value)
    if kind in (tuple, list):
        parts = [_form(part, seen) for part in cast("Sequence[object]", value)]
    elif kind in (set, frozenset):
        parts = sorted(_form(part, seen) for part in cast("AbstractSet[object]", value))
    elif kind is dict:
        items = cast("dict[object, object]", value).items()
        parts = [_form(part, seen) for item in items for part in item]
    elif attrs.has(kind):
        fields = attrs.fields(kind)
        parts = [_form(getattr(value, field.name), seen) for field in fields]
    elif dataclasses.is_dataclass(kind):
        fields = dataclasses.fields(kind)
        parts = [_form(getattr(value, field.name), seen) for field in fields]
    else:
        raise TypeError(kind.__name__)
    return f"{_name(kind)}({', '.join(parts)})"


def _function_form(value: object, seen: set[int]) -> str:
    if id(value) in seen:
        return "itself"
    seen = {*seen, id(value)}
    if isinstance(value, functools.partial):
        made = cast("functools.partial[object]", value)
        return f"partial{_form([made.func, made.args, made.keywords], seen)}"
    if isinstance(value, MethodType):
        return f"method{_form([value.__self__, value.__func__], seen)}"
    if not isinstance(value, FunctionType):
        raise TypeError(type(value).__name__)
    if value.__module__ != "__main__" and _is_named(value):
        return _name(value)
    enclosed = [cell.cell_contents for cell in value.__closure__ or ()]
    known = cast("dict[str, object]", value.__globals__)
    used = {name: known[name] for name in _names(value.__code__) if name in known}
    parts = [value.__code__, value.__defaults__, value.__kwdefaults__, enclosed, used]
    return f"function{_form(parts, seen)}"


def _code_form(code: CodeType, seen: set[int]) -> str:
    counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
    names = [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
    table = getattr(code, "co_exceptiontable", b"")
    return f"code{_form([code.co_code, code.co_consts, names, counts, table], seen)}"


def _names(code: CodeType) -> list[str]:
    """Give the names that code uses, and those of the functions within."""
    inner = [name for it in code.co_consts if isinstance(it, CodeType) for name in _names(it)]
    return sorted({*code.co_names, *inner})


def _is_named(value: object) -> bool:
    """Whether a function of a module is what stands under its name there."""
    named = cast("Any", value)
    module, name = getattr(named, "__module__", None), getattr(named, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return False
    found: object = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def _name(value: object) -> str:
    named = cast("Any", value)
    if not _is_named(value):
        raise TypeError(repr(value))
    return f"{named.__module__}:{named.__qualname__}"
