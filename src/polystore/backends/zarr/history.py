"""Whether an item was made in the way that a history says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polystore.backends.zarr.notes import Spec, step_json
from polystore.core.item import Event
from polystore.core.payload import Json
from polystore.core.unnamed import is_untold

__all__ = ["is_made_by"]


def is_made_by(noted: Sequence[Event], wanted: Sequence[Event], spec: Spec) -> bool:
    """Whether what is noted ends as the wanted history does; so too where either says nothing.

    Compared are the keys and the steps, but not saves: where a copy went is not how it was made.
    A longer history is as good: it begins earlier. A step of which it cannot be told what it does,
    such as a function that encloses an array, is like no other.

    >>> from polystore import Event, Success
    >>> step = {"load": {"source": {"disk": {"root": "/data"}}}}
    >>> noted = [Event("a.tif", step, 8, "1.0"), Event("a", {"save": {}}, 8, "1.0")]
    >>> is_made_by(noted, [Event("a.tif", step, 0, "2.0")], Success)
    True
    >>> is_made_by(noted, [Event("b.tif", step, 0, "2.0")], Success)
    False
    """
    there, here = _making(noted, spec), _making(wanted, spec)
    if not there or not here:
        return True
    return there[-len(here) :] == here and not any(is_untold(step) for _, step in here)


def _making(history: Sequence[Event], spec: Spec) -> list[tuple[str, Json]]:
    steps = ((event.key, step_json(event.step, spec)) for event in history)
    return [(key, step) for key, step in steps if not _is_save(step)]


def _is_save(step: Json) -> bool:
    return isinstance(step, Mapping) and "save" in step
