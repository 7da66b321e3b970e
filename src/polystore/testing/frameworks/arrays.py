"""Arrays on their way to a framework and back, as the laws of frameworks look at them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve

from polystore.core.errors import Lossy, TooLarge, UnsupportedPayload
from polystore.core.outcome import Outcome, is_successful
from polystore.core.records import Framework, Transfer
from polystore.testing.arrays import ArrayExample, EveryDtype
from polystore.testing.expect import done, expect, refused
from polystore.testing.sameness import difference

if TYPE_CHECKING:
    from polystore.core.payload import HostArray

__all__ = [
    "CAST",
    "COPIED",
    "FREE",
    "HELD_SHAPES",
    "SHARED",
    "every_held",
    "held",
    "held_too",
    "host",
    "is_taken",
    "on_host",
    "same",
    "taken",
    "write_into",
]

FREE, SHARED, COPIED = Transfer(), Transfer(copy=False), Transfer(copy=True)
CAST = Transfer(casting="same_kind")

HELD_SHAPES = ((2, 3), (3,), (2, 3, 4))
"""A framework holds an array of one of these shapes, or it is taken to hold nothing."""

_REFUSALS = (Lossy, TooLarge, UnsupportedPayload)


def same(one: HostArray, other: HostArray, what: str) -> None:
    """Expect the same shape, dtype and bits; the byte order may be this machine's."""
    found = difference(_native(one), _native(other))
    expect(found is None, f"{what}: {found}")


def _native(array: HostArray) -> HostArray:
    plain = np.asarray(array)
    return plain if plain.dtype.hasobject else plain.astype(plain.dtype.newbyteorder("="))


def taken(outcome: Outcome[object], what: str) -> bool:
    """Whether it is a value; else expect an error of the kinds that say no, and say what to do."""
    if is_successful(outcome):
        return True
    error = refused(outcome, what, *_REFUSALS)
    expect(bool(error.message and error.advice), f"{what} was refused without a word: {error!r}")
    return False


def host(example: ArrayExample) -> HostArray:
    """Give the array; a masked one as the plain array that `to_host` of NumPy makes of it."""
    return np.asarray(example.array())


def on_host(framework: Framework[object], value: object) -> HostArray:
    """Give what must have come from `from_host` in host memory, shared where it can be."""
    return done(framework.to_host(value, FREE), "to_host of an array that from_host gave")


def write_into(array: HostArray, example: ArrayExample) -> None:
    """Give the array other bits, where it can be written to."""
    other = ArrayExample(example.dtype, example.shape, example.seed + 1).array()
    if array.flags.writeable:
        array[...] = other


def is_taken(framework: Framework[object], example: ArrayExample) -> bool:
    """Whether the framework takes the array as it is."""
    return is_successful(framework.from_host(host(example), FREE))


def every_held(framework: Framework[object]) -> tuple[ArrayExample, ...]:
    """Give an array of each of the shapes that the framework takes, of float32 if it can be."""
    found = (_first_taken(framework, (shape,)) for shape in HELD_SHAPES)
    return tuple(each for each in found if each is not None)


def held(framework: Framework[object]) -> ArrayExample | None:
    """Give an array that the framework takes, of float32 if it can be; `None` if there is none."""
    return _first_taken(framework, HELD_SHAPES)


def _first_taken(
    framework: Framework[object], shapes: tuple[tuple[int, ...], ...]
) -> ArrayExample | None:
    floats = [ArrayExample("<f4", shape) for shape in shapes]
    others = (each for shape in shapes for each in EveryDtype(shape).examples())
    return next((it for each in (floats, others) for it in each if is_taken(framework, it)), None)


def held_too(
    holds: Callable[[Framework[object], ArrayExample], None],
) -> Callable[[Framework[object], ArrayExample], None]:
    """Give a law that tries what is not taken as an array that is, in the same layout too."""

    def tried(framework: Framework[object], example: ArrayExample) -> None:
        holds(framework, example)
        if not is_taken(framework, example):
            other = held(framework)
            if other is not None:
                holds(framework, evolve(other, seed=example.seed, layout=example.layout))

    return tried
