"""Stand-ins: small payloads of the kinds that a store may take, where any payload will do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

from attrs import frozen

from polystore.core.payload import Payload
from polystore.core.rois import Line, Roi, Rois
from polystore.testing.arrays import ArrayExample
from polystore.testing.samples import ArraysExample, Sample, TableExample

__all__ = ["STAND_INS", "StandIn"]


@frozen
class StandIn:
    """Payloads of a kind that the store takes, by number: small ones, and longer ones.

    The longer ones are not written in one go, where they are arrays.
    """

    suffix: str
    payload: Callable[[int], Payload]
    longer: Callable[[int], Payload]


def _array(dtype: str, shape: tuple[int, ...], number: int) -> Payload:
    return ArrayExample(dtype, shape, seed=number).array()


def _arrays(number: int) -> Payload:
    return Sample("", ArraysExample((("a", ArrayExample("|u1", (3,), seed=number)),))).payload()


def _table(number: int) -> Payload:
    return Sample("", TableExample((("a", ArrayExample("<i8", (3,), seed=number)),))).payload()


def _json(number: int) -> Payload:
    return {"number": number}


def _rois(number: int) -> Payload:
    return Rois((Roi(f"cell {number}", Line((1, 2), (3, 4))),))


_DTYPES = ("|u1", "<u2", "<f4")
"""Of images: a store may take one of them, and no other."""

_SHAPES = (((2, 3), (20, 5003)), ((2, 3, 4), (20, 50, 101)), ((5,), (2003,)))
"""Two shapes by the number of axes, the small one and the longer one; planes are tried first."""

STAND_INS = (
    *(
        StandIn(".npy", partial(_array, dtype, small), partial(_array, dtype, longer))
        for (small, longer), dtype in product(_SHAPES, _DTYPES)
    ),
    StandIn(".json", _json, _json),
    StandIn(".txt", str, str),
    StandIn(".npz", _arrays, _arrays),
    StandIn(".csv", _table, _table),
    StandIn(".roi", _rois, _rois),
)
"""Those that are tried, in their order."""
