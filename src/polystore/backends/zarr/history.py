"""Whether an item was made in the way that a history says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polystore.backends.zarr.elements.documents import document_bytes
from polystore.backends.zarr.elements.meta import Documents
from polystore.backends.zarr.notes import OURS, Spec, step_json
from polystore.core.item import Event
from polystore.core.payload import Json
from polystore.core.unnamed import is_untold
from polystore.core.version import __version__

__all__ = ["is_made_by", "with_parts_saved"]

_PARTS_SAVED = "save_region"
"""The step that is noted, once, of the parts that were saved after the whole."""


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


def with_parts_saved(documents: Documents, key: str) -> tuple[str, bytes] | None:
    """Give the document of an array that notes that parts of it were saved, and its name.

    `None` if that is noted already, or nothing is noted of how the array was made. It is noted but
    once, so that it does not grow, and that parts can be saved side by side.
    """
    ours = documents.attributes.get(OURS)
    history = ours.get("history") if isinstance(ours, Mapping) else None
    if not isinstance(ours, Mapping) or not isinstance(history, list):
        return None
    steps = [event.get("step") for event in history if isinstance(event, Mapping)]
    if all(map(_is_save, steps)) or steps[-1] == {_PARTS_SAVED: {}}:
        return None
    step: dict[str, Json] = {_PARTS_SAVED: {}}
    event: dict[str, Json] = {"key": key, "step": step, "nbytes": 0, "version": __version__}
    noted: dict[str, Json] = {**ours, "history": [*history, event]}
    attributes: dict[str, Json] = {**documents.attributes, OURS: noted}
    if documents.zarr_format == 2:
        return ".zattrs", document_bytes(attributes)
    return "zarr.json", document_bytes({**documents.fields, "attributes": attributes})
