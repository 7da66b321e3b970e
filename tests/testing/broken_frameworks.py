"""Frameworks with one thing wrong in each, and the law that must say so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import evolve, frozen
from box_casts import casting, clipped, not_called_lossy, of_another_kind
from boxes import BOXES, Box, from_dlpack, from_host, place, refused, to_host
from rows import ANYWHERE, REVERSED, Row

from polystore.core.errors import NotFound, UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, is_successful
from polystore.core.payload import HostArray
from polystore.core.records import Framework, Transfer

__all__ = ["BROKEN_FRAMEWORKS", "IMPORTS", "BrokenFramework"]

FromHost = Callable[[HostArray, Transfer], Outcome[Box]]
BITS = "an array comes back with the same bits, or is refused"
LAYOUTS = "every memory layout comes back with the same bits, or is refused"
EVERY = "every dtype comes back with the same bits, or is refused"
OWNS = "a framework owns its own arrays and nothing else"
COPIES = "copy=True shares no memory"
SHARES = "copy=False shares memory, or is refused"
FAILS = "every failure of a framework is a value"
UNCHANGED = "what is handed over is left as it was"
CASTS = "same_kind is NumPy's cast, and changes nothing that exact takes"
PLACES = "place gives the same bits, and copies as asked"
DLPACK = "from_dlpack gives the same bits, or declines"


@frozen
class BrokenFramework:
    """A record, what is wrong with it in a word, and the law that must catch it."""

    word: str
    law: str
    framework: Framework[Box] | Framework[Row]


def taking(change: Callable[[HostArray], HostArray]) -> Framework[Box]:
    """Give a framework that changes what it takes, where it need not share."""

    def changed(array: HostArray, transfer: Transfer, /) -> Outcome[Box]:
        there = from_host(array, transfer)
        return there if transfer.copy is False else there.map(lambda it: Box(change(it.content)))

    return evolve(BOXES, from_host=changed)


def giving(change: Callable[[HostArray], HostArray]) -> Framework[Box]:
    """Give a framework that changes what it gives."""

    def changed(box: Box, transfer: Transfer, /) -> Outcome[HostArray]:
        return to_host(box, transfer).map(change)

    return evolve(BOXES, to_host=changed)


def to_32_bits(array: HostArray) -> HostArray:
    return array.astype(np.int32) if array.dtype == np.int64 else array


def without_payloads(array: HostArray) -> HostArray:
    return np.where(array != array, np.nan, array) if array.dtype.kind == "f" else array


def without_negative_zeros(array: HostArray) -> HostArray:
    return np.where(array == 0, array.dtype.type(0), array) if array.dtype.kind == "f" else array


def without_single_axes(array: HostArray) -> HostArray:
    return array.reshape([length for length in array.shape if length != 1])


def in_memory_order(array: HostArray) -> HostArray:
    flat = array.ravel(order="K")
    return flat.reshape(array.shape)


def with_zeros_beyond_16_bits(array: HostArray) -> HostArray:
    if array.size < 2**16:
        return array
    flat = array.flatten()
    flat[2**16 :] = 0
    return flat.reshape(array.shape)


def as_a_subclass(array: HostArray) -> HostArray:
    return array.view(np.recarray)


def unswapped(array: HostArray) -> HostArray:
    return array if array.dtype.isnative else array.view(array.dtype.newbyteorder("="))


def sharing_always(array: HostArray, transfer: Transfer, /) -> Outcome[Box]:
    return from_host(array, evolve(transfer, copy=None))


def copying_always(array: HostArray, transfer: Transfer, /) -> Outcome[Box]:
    return from_host(array, evolve(transfer, copy=True))


def copying_unless_told(array: HostArray, transfer: Transfer, /) -> Outcome[Box]:
    return from_host(array, evolve(transfer, copy=transfer.copy is not False))


def given_shared(box: Box, transfer: Transfer, /) -> Outcome[HostArray]:
    return to_host(box, Transfer())


def given_copied(box: Box, transfer: Transfer, /) -> Outcome[HostArray]:
    return to_host(box, Transfer(copy=True))


def anywhere(array: HostArray, transfer: Transfer, /) -> Outcome[Box]:
    return from_host(array, evolve(transfer, device=None))


def placed_anywhere(box: Box, transfer: Transfer, /) -> Outcome[Box]:
    return place(box, evolve(transfer, device=None))


def raising(array: HostArray, transfer: Transfer, /) -> Outcome[Box]:
    if array.dtype.hasobject:
        raise TypeError("no objects")
    return from_host(array, transfer)


def raising_back(box: Box, transfer: Transfer, /) -> Outcome[HostArray]:
    if transfer.copy is False and not box.content.flags.c_contiguous:
        raise BufferError("no strides")
    return to_host(box, transfer)


def refusing_oddly(array: HostArray, transfer: Transfer, /) -> Outcome[Box]:
    there = from_host(array, transfer)
    return there if is_successful(there) else Failure(NotFound("", None, "No.", "Look."))


def refusing_silently(array: HostArray, transfer: Transfer, /) -> Outcome[Box]:
    there = from_host(array, transfer)
    return there if is_successful(there) else Failure(UnsupportedPayload("", None, "", ""))


def refusing(array: HostArray, transfer: Transfer, /) -> Outcome[Box]:
    return Failure(refused("anything"))


def freezing(array: HostArray, transfer: Transfer, /) -> Outcome[Box]:
    array.flags.writeable = False
    return from_host(array, transfer)


def zeroing(array: HostArray, transfer: Transfer, /) -> Outcome[Box]:
    there = from_host(array, Transfer(copy=True) if transfer == Transfer() else transfer)
    if array.flags.writeable and transfer == Transfer():
        array.view(np.ndarray)[...] = np.zeros((), array.dtype)
    return there


def placed_as_it_is(box: Box, transfer: Transfer, /) -> Outcome[Box]:
    return place(box, evolve(transfer, copy=None))


def placed_swapped(box: Box, transfer: Transfer, /) -> Outcome[Box]:
    return place(box, transfer).map(lambda it: Box(in_memory_order(it.content)))


def exported_copy(array: object, transfer: Transfer, /) -> Outcome[Box]:
    return from_dlpack(array, evolve(transfer, copy=True))


def exported_shared(array: object, transfer: Transfer, /) -> Outcome[Box]:
    return from_dlpack(array, evolve(transfer, copy=None))


def exported_flat(array: object, transfer: Transfer, /) -> Outcome[Box]:
    return from_dlpack(array, transfer).map(lambda it: Box(in_memory_order(it.content)))


def owning_by_import(value: object, /) -> bool:
    import ml_dtypes

    return isinstance(value, Box) and value.dtype is not ml_dtypes


def owning_all(_value: object, /) -> bool:
    return True


def owning_none(_value: object, /) -> bool:
    return False


def owning_arrays(value: object, /) -> bool:
    return hasattr(value, "dtype")


def given_here(box: Box, transfer: Transfer, /) -> Outcome[HostArray]:
    """Give what boxes give: a function of this module, by which it is found in a new process."""
    return to_host(box, transfer)


IMPORTS: Framework[Box] = evolve(BOXES, owns=owning_by_import, to_host=given_here)
"""It has a name, because a new process has to import it."""

BROKEN_FRAMEWORKS: tuple[BrokenFramework, ...] = (
    BrokenFramework("int64 is cut to 32 bits", EVERY, taking(to_32_bits)),
    BrokenFramework("NaNs lose their payload", EVERY, taking(without_payloads)),
    BrokenFramework("-0.0 is lost", EVERY, giving(without_negative_zeros)),
    BrokenFramework("big-endian bytes are taken for native", EVERY, taking(unswapped)),
    BrokenFramework("0-d gets an axis", BITS, giving(np.atleast_1d)),
    BrokenFramework("axes of length 1 are lost", BITS, taking(without_single_axes)),
    BrokenFramework("strides are ignored", LAYOUTS, taking(in_memory_order)),
    BrokenFramework(
        "16 bits count the elements",
        "a large array comes back with the same bits, or is refused",
        taking(with_zeros_beyond_16_bits),
    ),
    BrokenFramework("gives a subclass", BITS, giving(as_a_subclass)),
    BrokenFramework(
        "takes nothing", "a framework takes something", evolve(BOXES, from_host=refusing)
    ),
    BrokenFramework("owns everything", OWNS, evolve(BOXES, owns=owning_all)),
    BrokenFramework("owns nothing", OWNS, evolve(BOXES, owns=owning_none)),
    BrokenFramework("owns what has a dtype", OWNS, evolve(BOXES, owns=owning_arrays)),
    BrokenFramework("imports to know what it owns", "owns imports nothing", IMPORTS),
    BrokenFramework(
        "imports, and has no name in a module",
        "owns imports nothing",
        evolve(BOXES, owns=owning_by_import),
    ),
    BrokenFramework("from_host never copies", COPIES, evolve(BOXES, from_host=sharing_always)),
    BrokenFramework("to_host never copies", COPIES, evolve(BOXES, to_host=given_shared)),
    BrokenFramework("from_host always copies", SHARES, evolve(BOXES, from_host=copying_always)),
    BrokenFramework("to_host always copies", SHARES, evolve(BOXES, to_host=given_copied)),
    BrokenFramework(
        "copies where it could share",
        "copy=None shares memory where copy=False is granted",
        evolve(BOXES, from_host=copying_unless_told),
    ),
    BrokenFramework(
        "takes any device",
        "a device that is not there is refused",
        evolve(BOXES, from_host=anywhere),
    ),
    BrokenFramework(
        "takes any device, and rows only",
        "a device that is not there is refused",
        ANYWHERE,
    ),
    BrokenFramework("turns rows round", LAYOUTS, REVERSED),
    BrokenFramework(
        "places on any device",
        "a device that is not there is refused",
        evolve(BOXES, place=placed_anywhere),
    ),
    BrokenFramework("from_host raises", FAILS, evolve(BOXES, from_host=raising)),
    BrokenFramework("to_host raises", FAILS, evolve(BOXES, to_host=raising_back)),
    BrokenFramework("refuses oddly", FAILS, evolve(BOXES, from_host=refusing_oddly)),
    BrokenFramework("refuses silently", FAILS, evolve(BOXES, from_host=refusing_silently)),
    BrokenFramework("casts what it holds", CASTS, evolve(BOXES, from_host=casting)),
    BrokenFramework("casts to another kind", CASTS, evolve(BOXES, from_host=of_another_kind)),
    BrokenFramework("clips where NumPy wraps", CASTS, evolve(BOXES, from_host=clipped)),
    BrokenFramework("does not call a loss Lossy", CASTS, evolve(BOXES, from_host=not_called_lossy)),
    BrokenFramework("makes the source read-only", UNCHANGED, evolve(BOXES, from_host=freezing)),
    BrokenFramework("empties the source", UNCHANGED, evolve(BOXES, from_host=zeroing)),
    BrokenFramework("place never copies", PLACES, evolve(BOXES, place=placed_as_it_is)),
    BrokenFramework("place ignores strides", PLACES, evolve(BOXES, place=placed_swapped)),
    BrokenFramework("DLPack's way copies", DLPACK, evolve(BOXES, from_dlpack=exported_copy)),
    BrokenFramework("DLPack's way shares", DLPACK, evolve(BOXES, from_dlpack=exported_shared)),
    BrokenFramework(
        "DLPack's way ignores strides", DLPACK, evolve(BOXES, from_dlpack=exported_flat)
    ),
    BrokenFramework(
        "its arrays are another's",
        "a registry finds a framework by its name and its arrays",
        evolve(BOXES, owns=owning_none),
    ),
)
"""Each is caught by its law; tests/testing/test_broken_frameworks.py checks it."""
