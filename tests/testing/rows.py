"""A framework of one axis around `array.array`, and broken ones of it."""

from __future__ import annotations

from array import array
from typing import TypeAlias

import numpy as np
from attrs import evolve

from polystore.core.errors import UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.payload import HostArray
from polystore.core.records import Framework, Transfer

__all__ = ["ANYWHERE", "REVERSED", "ROWS", "Row"]

Row: TypeAlias = "array[float]"
CODES = "fbBhHiIlLqQ"


def refused(what: str) -> UnsupportedPayload:
    return UnsupportedPayload("", None, f"A row does not hold {what}.", "Give it something else.")


def owns(value: object, /) -> bool:
    return isinstance(value, array)


def to_host(row: Row, transfer: Transfer, /) -> Outcome[HostArray]:
    seen = np.frombuffer(row, row.typecode) if len(row) else np.empty(0, row.typecode)
    return Success(seen.copy() if transfer.copy else seen)


def from_host(host: HostArray, transfer: Transfer, /) -> Outcome[Row]:
    if transfer.device is not None:
        return Failure(refused(f"the device {transfer.device!r}"))
    if transfer.copy is False:
        return Failure(refused("memory of others"))
    if host.ndim != 1:
        return Failure(refused(f"{host.ndim} axes"))
    if host.dtype.char not in CODES or host.dtype.kind not in "fiu":
        return Failure(refused(f"{host.dtype}"))
    row: Row = array(host.dtype.char)
    row.frombytes(host.astype(host.dtype.newbyteorder("=")).tobytes())
    return Success(row)


def anywhere(host: HostArray, transfer: Transfer, /) -> Outcome[Row]:
    return from_host(host, evolve(transfer, device=None))


def turned_round(host: HostArray, transfer: Transfer, /) -> Outcome[Row]:
    """Read the elements of a view as they lie in memory."""
    backwards = host.ndim == 1 and host.strides[0] < 0
    return from_host(host[::-1] if backwards else host, transfer)


ROWS: Framework[Row] = Framework(name="rows", owns=owns, to_host=to_host, from_host=from_host)
ANYWHERE: Framework[Row] = evolve(ROWS, from_host=anywhere)
REVERSED: Framework[Row] = evolve(ROWS, from_host=turned_round)
