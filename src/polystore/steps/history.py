"""The history that a pipeline would record, and how one differs from another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, cast

from attrs import evolve

from polystore.configs import VirtualConfig
from polystore.core.errors import AlreadyExists
from polystore.core.item import Event
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.plainjson import plain_json
from polystore.core.unnamed import is_untold, unnamed_json
from polystore.core.version import __version__
from polystore.steps.apply import Apply
from polystore.steps.convert import Convert
from polystore.steps.itemwise import rename_key
from polystore.steps.load import Load
from polystore.steps.map_blocks import MapBlocks
from polystore.steps.rename import Rename
from polystore.steps.save import Save

if TYPE_CHECKING:
    from polystore.core.payload import Json

__all__ = ["first_difference", "made_otherwise", "making", "of_one", "planned"]

_SHOWN = 200
"""Characters of a step's spec that an error shows: a virtual store may have thousands of items."""


def of_one(step: Load[object], key: str) -> Load[object]:
    """Give a load as the history says it: of a virtual store, the place of the key alone.

    Whether it was lazy makes no other item.
    """
    source = step.source
    if isinstance(source, VirtualConfig):
        return evolve(step, source=source.only(key), lazy=False)
    return evolve(step, lazy=False) if step.lazy else step


def planned(
    load: Load[object], between: Sequence[object], key: str
) -> Outcome[tuple[Event, ...]] | None:
    """Give what a load of the key, and the steps after it, would add to the history of an item.

    `None` where that cannot be told without running them: for a function that is a step.
    """
    events = [Event(key, of_one(load, key), 0, __version__)]
    for step in between:
        if isinstance(step, Rename):
            renamed = rename_key(step, key)
            if not is_successful(renamed):
                return Failure(renamed.failure())
            key = renamed.unwrap()
        elif not isinstance(step, (Apply, Convert, MapBlocks)):
            return None
        events.append(Event(key, cast("object", step), 0, __version__))
    return Success(tuple(events))


def making(history: Sequence[Event]) -> tuple[Event, ...]:
    """Give the events that made an item what it is: all but the saves."""
    return tuple(event for event in history if not _is_save(event.step))


def _is_save(step: object) -> bool:
    return isinstance(step, Save) or (isinstance(step, dict) and "save" in step)


def made_otherwise(key: str, config: object, difference: str) -> AlreadyExists:
    """Give the error for a save that is not skipped, for what is there was made in another way."""
    return AlreadyExists(
        key,
        config,
        f"What is stored under {key!r} was made from another source or by other steps, so that it "
        f"is not skipped{difference}.",
        'Save under another key, or replace what is there with if_exists="replace".',
    )


def first_difference(
    noted: Sequence[Event], wanted: Sequence[Event], spec: Callable[[object], Outcome[Json]]
) -> str:
    """Say where two histories differ first, as the end of a sentence; nothing if they do not.

    Looked at first is what was done since the last load: a history may begin earlier.
    """
    there, here = making(noted), making(wanted)
    since = _difference(there[_last_load(there, spec) :], here[_last_load(here, spec) :], spec)
    return since or _difference(there, here, spec)


def _difference(
    there: Sequence[Event], here: Sequence[Event], spec: Callable[[object], Outcome[Json]]
) -> str:
    pairs: Iterator[tuple[Event | None, Event | None]] = zip_longest(there, here)
    for old, new in pairs:
        if old is None or new is None:
            word = f"lacks {_shown(new, spec)}" if new else f"goes on with {_shown(old, spec)}"
            return f": its history {word}"
        if _words(old, spec) != _words(new, spec) or is_untold(_json(old, spec)):
            return f": its history has {_shown(old, spec)}, and here it is {_shown(new, spec)}"
        if old.key != new.key:
            return f": its history has the key {old.key!r}, and here it is {new.key!r}"
    return ""


def _last_load(events: Sequence[Event], spec: Callable[[object], Outcome[Json]]) -> int:
    loads = [at for at, it in enumerate(events) if _words(it, spec).startswith('{"load":')]
    return loads[-1] if loads else 0


def _words(event: Event, spec: Callable[[object], Outcome[Json]]) -> str:
    return json.dumps(_json(event, spec))


def _json(event: Event, spec: Callable[[object], Outcome[Json]]) -> Json:
    try:
        return plain_json(event.step)  # read back from a store, it is a spec already
    except (TypeError, ValueError, RecursionError):
        named = spec(event.step)
        return named.unwrap() if is_successful(named) else unnamed_json(event.step)


def _shown(event: Event | None, spec: Callable[[object], Outcome[Json]]) -> str:
    text = "" if event is None else _words(event, spec)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
