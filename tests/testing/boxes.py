"""A framework as a third party writes one: boxes that hold host memory, and know nothing else."""

from __future__ import annotations

import numpy as np

from polystore.core.errors import UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.payload import HostArray, is_host_array
from polystore.core.records import Framework, Transfer

__all__ = ["BOXES", "Box", "refused"]


class Box:
    """An array of the framework."""

    __slots__ = ("content",)

    def __init__(self, content: HostArray) -> None:
        self.content = content

    @property
    def shape(self) -> tuple[int, ...]:
        return self.content.shape

    @property
    def dtype(self) -> object:
        return self.content.dtype

    def __dlpack__(self) -> object:
        return self.content.__dlpack__()


def refused(what: str) -> UnsupportedPayload:
    return UnsupportedPayload("", None, f"A box does not hold {what}.", "Give it something else.")


def owns(value: object, /) -> bool:
    return isinstance(value, Box)


def copied(array: HostArray, transfer: Transfer) -> HostArray:
    return array.copy() if transfer.copy else array


def to_host(box: Box, transfer: Transfer, /) -> Outcome[HostArray]:
    return Success(copied(box.content, transfer))


def from_host(array: HostArray, transfer: Transfer, /) -> Outcome[Box]:
    if transfer.device is not None:
        return Failure(refused(f"the device {transfer.device!r}"))
    if array.dtype.hasobject:
        return Failure(refused("Python objects"))
    return Success(Box(copied(array, transfer)))


def from_dlpack(array: object, transfer: Transfer, /) -> Outcome[Box]:
    if not is_host_array(array) or not array.flags.writeable:
        return Failure(refused("it without the host"))
    return from_host(np.from_dlpack(array), transfer)


def place(box: Box, transfer: Transfer, /) -> Outcome[Box]:
    return from_host(box.content, transfer)


BOXES: Framework[Box] = Framework(
    name="boxes",
    owns=owns,
    to_host=to_host,
    from_host=from_host,
    from_dlpack=from_dlpack,
    place=place,
)
