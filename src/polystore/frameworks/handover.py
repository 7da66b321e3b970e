"""How an array goes from one framework to another, and any payload to the host.

The plan has three ways, tried in this order:

1. Within one framework: its `place` (another device, or a copy).
2. Directly: the target's `from_dlpack`. It may decline with `UnsupportedPayload`, and does so for
   whatever DLPack cannot say (bfloat16 of one side, a lazy conjugate, shards).
3. Through the host: the source's `to_host`, then the target's `from_host`. Both share memory where
   they can, so that this way costs no copy either for arrays that are in host memory already.

The rules that keep values what they are (dtypes, strides, byte order) thus have one place per
framework, its `from_host`; the direct way is a short cut that never has to be taken.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

from polystore.core.errors import UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import LazyArray, Payload
from polystore.core.records import Framework, Transfer

__all__ = ["FindOwner", "hand_over", "payload_on_host", "read_whole"]

FindOwner: TypeAlias = Callable[[object], Outcome[Framework[object]]]
"""From a value to the framework whose array it is."""

_NEVER_ARRAYS = frozenset((type(None), bool, int, float, str, list, tuple))
"""JSON's own types: not asked for their framework, because a JSON document has many of them."""


def read_whole(payload: object) -> Outcome[object]:
    """Give a lazy array read as one array, and anything else as it is.

    >>> read_whole("text")
    <Success: text>
    """
    if isinstance(payload, LazyArray):
        return payload.read(tuple(slice(0, length) for length in payload.spec.shape))
    return Success(payload)


def hand_over(
    payload: object, target: Framework[object], transfer: Transfer, find_owner: FindOwner
) -> Outcome[object]:
    """Give the payload as an array of `target`; lazy arrays are read first.

    `UnsupportedPayload` if it is no array, or if `transfer` cannot be honoured; `Lossy` if it would
    change; `UnknownFramework` for an array that no registered framework owns.

    >>> from polystore import default_registry
    >>> from polystore.frameworks.numpy import NUMPY
    >>> hand_over("text", NUMPY, Transfer(), default_registry().find_owner).failure().message
    'A str is no array, and only arrays are converted.'
    """

    def between(array: object) -> Outcome[object]:
        owner = find_owner(array)
        if not is_successful(owner) and not _looks_like_array(array):
            return Failure(_no_array(array))
        return and_then(owner, lambda source: _between(array, source, target, transfer))

    return and_then(read_whole(payload), between)


def _between(
    array: object, source: Framework[object], target: Framework[object], transfer: Transfer
) -> Outcome[object]:
    if source.name == target.name:
        if target.place is not None:
            return target.place(array, transfer)
        if transfer.device is None and not transfer.copy:
            return Success(array)
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

    Lazy arrays are read. Memory is shared where it can be. What is no array (JSON, text, tables,
    regions) is given as it is.

    >>> from polystore import default_registry
    >>> payload_on_host({"wells": 96}, default_registry().find_owner)
    <Success: {'wells': 96}>
    """
    if _is_plain_host_array(payload) or not isinstance(payload, Mapping):
        return cast("Outcome[Payload]", _value_on_host(payload, find_owner))
    values = cast("Mapping[str, object]", payload)
    arrays: dict[str, object] = {}
    for name, value in values.items():
        one = _value_on_host(value, find_owner)
        if not is_successful(one):
            return Failure(one.failure())
        arrays[name] = one.unwrap()
    same = all(arrays[name] is value for name, value in values.items())
    return Success(cast("Payload", payload if same else arrays))


def _value_on_host(value: object, find_owner: FindOwner) -> Outcome[object]:
    if type(value) in _NEVER_ARRAYS or _is_plain_host_array(value):
        return Success(value)
    if isinstance(value, LazyArray):
        return and_then(read_whole(value), lambda array: _value_on_host(array, find_owner))
    owner = find_owner(value)
    if is_successful(owner):
        return owner.unwrap().to_host(value, Transfer())
    return Failure(owner.failure()) if _looks_like_array(value) else Success(value)


def _is_plain_host_array(value: object) -> bool:
    """Whether it is of NumPy's own class: what a subclass hides (a mask) is for its framework."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray


def _looks_like_array(value: object) -> bool:
    # The class is asked, not the value: reading the shape of a nested tensor raises.
    return hasattr(type(value), "__dlpack__") or hasattr(type(value), "__array__")


def _no_array(value: object) -> UnsupportedPayload:
    return UnsupportedPayload(
        "",
        None,
        f"A {type(value).__name__} is no array, and only arrays are converted.",
        "Use apply with a function that makes it an array.",
    )
