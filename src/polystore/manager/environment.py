"""Stores by name, read from environment variables.

A variable is a prefix, a store's name, the word for its kind, and a field of its config, with two
underscores between them: `POLYSTORE__RAW__DISK__ROOT=plate`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Literal,
    TypeAlias,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from attrs import frozen

from polystore.boundary import guarded
from polystore.core.errors import InvalidSpec, NotFound
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Sink, Source, Store
from polystore.manager.settings import DEPTH_MAX, invalid, parsed_json, read_store
from polystore.steps.spec_kinds import COMPRESSORS, NO_COMPRESSOR

if TYPE_CHECKING:
    from polystore.core.errors import StorageError
    from polystore.core.registry import Registry
    from polystore.manager.named import AnyStore

__all__ = ["stores_in_environment"]

BETWEEN = "__"

Parts: TypeAlias = tuple[str, ...]
"""What a variable's name says: a store, a kind, a field, and so on, in lower case."""


@frozen
class Variable:
    """An environment variable: its name, the parts of the name after the prefix, its text."""

    name: str
    parts: Parts
    text: str


def stores_in_environment(
    environment: Mapping[str, str], prefix: str, registry: Registry
) -> Outcome[dict[str, AnyStore]]:
    """Give the stores that variables with a prefix name, by name.

    Text fields are taken as they are, all others as JSON; so is a kind, for all its fields at once
    (`POLYSTORE__SCRATCH__MEMORY={}`). `InvalidSpec` names in `where` the variable that is wrong;
    `NotFound` if there is none.

    >>> from polystore import default_registry
    >>> variables = {"LAB__SCRATCH__MEMORY__NAME": "notes", "HOME": "/root"}
    >>> stores_in_environment(variables, "LAB", default_registry())
    <Success: {'scratch': MemoryConfig(name='notes')}>
    """
    return guarded(lambda: _stores(environment, prefix, registry), prefix)


def _stores(
    environment: Mapping[str, str], prefix: str, registry: Registry
) -> Outcome[dict[str, AnyStore]]:
    begin = f"{prefix}{BETWEEN}"
    variables = [
        Variable(name, tuple(name.removeprefix(begin).lower().split(BETWEEN)), environment[name])
        for name in sorted(environment)
        if name.startswith(begin)
    ]
    if not variables:
        message = f"No environment variable begins with {begin!r}."
        advice = f"Set one, as in {begin}RAW{BETWEEN}DISK{BETWEEN}ROOT=plate."
        return Failure(NotFound("", None, message, advice))
    specs = _specs(variables, registry)
    if not is_successful(specs):
        return Failure(specs.failure())
    found: dict[str, AnyStore] = {}
    for name, spec in specs.unwrap().items():
        store = read_store(spec, registry, "")
        if not is_successful(store):
            return Failure(_about_variable(store.failure(), begin, name, variables))
        found[name] = store.unwrap()
    return Success(found)


def _specs(variables: Sequence[Variable], registry: Registry) -> Outcome[dict[str, object]]:
    """Give the spec of each store, from all its variables together."""
    kinds = {entry.name: entry.key for entry in registry.entries().stores}
    said: dict[Parts, Variable] = {}
    specs: dict[str, object] = {}
    for variable in variables:
        problem = _problem_of(variable) or _said_twice(variable, said)
        if problem is not None:
            return Failure(problem)
        value = _value(variable, kinds)
        if not is_successful(value):
            return Failure(value.failure())
        table = specs
        for part in variable.parts[:-1]:
            table = cast("dict[str, object]", table.setdefault(part, {}))
        table[variable.parts[-1]] = value.unwrap()
    return Success(specs)


def _problem_of(variable: Variable) -> InvalidSpec | None:
    parts = variable.parts
    if len(parts) < 2 or "" in parts:
        form = f"the store, the kind and the field, with {BETWEEN!r} between them"
        return invalid(variable.name, f"its name must say {form}")
    if len(parts) > DEPTH_MAX:
        return invalid(variable.name, f"it names over {DEPTH_MAX} levels")
    if not variable.text:
        return invalid(variable.name, "it is empty: unset it, or give it a value")
    return None


def _said_twice(variable: Variable, said: dict[Parts, Variable]) -> InvalidSpec | None:
    """Say if another variable gives the same, or all that this is a part of; else, note it.

    `said` has what each variable gives, and what that is a part of.
    """
    parts = variable.parts
    above = [parts[:length] for length in range(1, len(parts))]
    rival = said.get(parts) or next(
        (said[part] for part in above if part in said and said[part].parts == part), None
    )
    if rival is not None:
        return invalid(variable.name, f"{rival.name} says it already, or a part of it")
    said[parts] = variable
    for part in above:
        said.setdefault(part, variable)
    return None


def _value(variable: Variable, kinds: Mapping[str, type[object]]) -> Outcome[object]:
    """Give the text, or the JSON value that it says; what the reader will refuse is text."""
    hint = _hint_at(variable.parts[1:], kinds) if len(variable.parts) > 2 else Source
    if _takes_text(hint) or (_is_compressor(hint) and variable.text == NO_COMPRESSOR):
        return Success(variable.text)

    def no_json(error: StorageError) -> StorageError:
        reason = f"only text fields are taken as they are, and {variable.text[:40]!r} is no JSON"
        return invalid(variable.name, f"{reason} ({error.message.rstrip('.')})")

    return parsed_json(variable.text.encode(errors="surrogateescape")).alt(no_json)


def _hint_at(parts: Parts, kinds: Mapping[str, type[object]]) -> object:
    """Give the type of what stands below a store's name, or `None` where there is no such thing."""
    hint: object = Source
    for part in parts:
        if _members(hint) & {Source, Sink, Store}:
            hint = kinds.get(part)
        else:
            hint = (COMPRESSORS if _is_compressor(hint) else _hints(hint)).get(part)
    return hint


def _hints(kind: object) -> Mapping[str, object]:
    found: dict[str, object] = {}
    for member in _members(kind):
        try:
            found |= get_type_hints(member) if isinstance(member, type) else {}
        except (NameError, TypeError):  # names that are there for type checkers alone
            continue
    return found


def _takes_text(hint: object) -> bool:
    members = _members(hint)
    return hint is None or bool(members & {str, Literal}) or any(map(_is_enum, members))


def _is_enum(member: object) -> bool:
    return isinstance(member, type) and issubclass(member, Enum)


def _is_compressor(hint: object) -> bool:
    return _members(hint) >= set(COMPRESSORS.values())


def _members(hint: object) -> set[object]:
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return {get_origin(member) or member for member in members}


def _about_variable(
    error: StorageError, begin: str, store: str, variables: Sequence[Variable]
) -> StorageError:
    """Give the error of a spec as one of the variable that says what is wrong."""
    if not isinstance(error, InvalidSpec):
        return error
    place = [store, *filter(None, error.where.split("."))]
    reason = error.message.removeprefix(f"{error.where}: ").rstrip(".")
    bare = tuple(part.partition("[")[0] for part in place)
    said = [it for it in variables if it.parts == bare[: len(it.parts)]]
    if not said:
        return invalid(begin + BETWEEN.join(place).upper(), reason)
    below = ".".join(place[len(said[0].parts) :])
    return invalid(said[0].name, f"{below}: {reason}" if below else reason)
