"""How an array goes from one framework to another, and any payload to the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

from polystore.core.errors import UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import LazyArray, Payload
from polystore.core.records import Framework, Transfer

__all__ = ["FindOwner", "hand_over", "payload_on_host", "read_whole"]

FindOwner: TypeAlias = Callable[[object], Outcome[Framework[object]]]
"""From a value to the framework whose array it is."""


def read_whole(payload: object) -> Outcome[object]:
    """Give a lazy array read as one array, and anything else as it is."""
    if isinstance(payload, LazyArray):
        return payload.read(tuple(slice(0, length) for length in payload.spec.shape))
    return Success(payload)


def hand_over(
    payload: object, target: Framework[object], transfer: Transfer, find_owner: FindOwner
) -> Outcome[object]:
    """Give the payload as an array of `target`; lazy arrays are read first.

    `UnsupportedPayload` if it is no array, or if `transfer` cannot be honoured; `Lossy` if it would
    change. Between two frameworks it goes directly where `target.from_dlpack` takes it, and
    through the host where not.
    """

    def direct(array: object) -> Outcome[object]:
        return and_then(find_owner(array), lambda source: _between(array, source, target, transfer))

    whole = and_then(read_whole(payload), direct)
    if not is_successful(whole) and not hasattr(payload, "shape"):
        kind = type(payload).__name__
        return Failure(
            UnsupportedPayload(
                "",
                None,
                f"A {kind} is no array, and only arrays are converted.",
                "Use apply with a function that makes it an array.",
            )
        )
    return whole


def _between(
    array: object, source: Framework[object], target: Framework[object], transfer: Transfer
) -> Outcome[object]:
    if source.name == target.name:
        if transfer == Transfer():
            return Success(array)
        if target.place is not None:
            return target.place(array, transfer)
    elif target.from_dlpack is not None and source.name != "numpy":
        direct = target.from_dlpack(array, transfer)
        if is_successful(direct) or not isinstance(direct.failure(), UnsupportedPayload):
            return direct
    # A copy on the way to the host satisfies copy=True, but the framework cannot know of it: it is
    # asked to copy once, at the end. copy=False must hold on both halves.
    to_host = Transfer(copy=False) if transfer.copy is False else Transfer()
    return and_then(source.to_host(array, to_host), lambda host: target.from_host(host, transfer))


def payload_on_host(payload: object, find_owner: FindOwner) -> Outcome[Payload]:
    """Give the payload with its arrays as NumPy arrays, in a mapping of arrays too.

    What is no array (JSON, text, tables, regions) is given as it is.
    """
    if isinstance(payload, Mapping) and any(map(_is_array, payload.values())):
        arrays: dict[str, object] = {}
        for name, value in payload.items():
            one = payload_on_host(value, find_owner)
            if not is_successful(one):
                return one
            arrays[name] = one.unwrap()
        return Success(cast("Payload", arrays))
    if not _is_array(payload) and not isinstance(payload, LazyArray):
        return Success(cast("Payload", payload))

    def on_host(array: object) -> Outcome[Payload]:
        return and_then(find_owner(array), lambda owner: owner.to_host(array, Transfer()))

    return and_then(read_whole(payload), on_host)


def _is_array(value: object) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")
