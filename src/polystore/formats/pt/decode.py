"""How a `.pt` is read: its directory, its pickle, then the elements, each checked before the next.

Nothing is allocated for what the file's bytes cannot hold, and nothing in it is run.
"""

from __future__ import annotations

import math
import struct
import sys
import zipfile
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from polystore.core.errors import Corrupt, StorageError
from polystore.core.outcome import Failure, Outcome, and_then, catch, guard, is_successful
from polystore.core.payload import HostArray, bytes_of
from polystore.core.records import Limits, Readable
from polystore.formats.pt.archive import (
    DIRECTORY_MAX,
    Record,
    content_of_record,
    directory,
    read_record,
)
from polystore.formats.pt.claim import claims, elements_end, itemsize
from polystore.formats.pt.opcodes import unpickled
from polystore.formats.pt.tensor import View, storage_of, tensor_of
from polystore.formats.pt.values import Claim, NotTensorsError
from polystore.formats.refusals import allocated, damaged, foreign, over_limit, reason_of

if TYPE_CHECKING:
    import torch

__all__ = ["decoded"]

_NAME = ".pt file"

_PICKLE_MAX = 16 * 2**20
"""Bytes. A tensor takes some 200 of them, and Python reads that much in a few seconds."""

_UNPACKED = 32
"""How many bytes of memory one of the pickle takes, at most, where PyTorch wrote it."""

_SMALL = 16 * 2**20
"""Bytes. Whatever the limit, the directory, names and shapes of tensors may take as much."""

_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files of before PyTorch 1.6 begin: `torch.serialization.MAGIC_NUMBER`, pickled."""

_ALIGNED = 64  # bytes; the part of a storage that is read begins at a multiple


@frozen
class _Archive:
    """A file whose directory was read: its records, by their names below the archive's own."""

    source: Readable
    records: Mapping[str, Record]


@frozen
class _Part:
    """The part of a storage that has to be read: the first byte, the last, and the dtypes in it."""

    record: Record
    first: int
    last: int
    dtypes: frozenset[str]


def decoded(source: Readable, limits: Limits) -> Outcome[torch.Tensor | Mapping[str, torch.Tensor]]:
    """Give the tensor, or the tensors by their names, in the file's order.

    `Corrupt` for anything else, `TooLarge` where the elements, or what has to be read for them, are
    over the limits.
    """
    head = bytearray(min(source.size, len(_LEGACY)))
    source.read_into(0, memoryview(head))
    if bytes(head) == _LEGACY:
        message = "This .pt file is of the format that PyTorch had before version 1.6."
        return Failure(_other(message, "Load it with torch.load, and save it again."))
    if not head.startswith(b"PK\3\4"):
        return Failure(foreign(_NAME, source))
    opened = guard(lambda: _archive(source, limits), *_DAMAGED)
    if not is_successful(opened):
        return Failure(opened.failure())
    archive = opened.unwrap()
    problem = _problem(archive, limits)
    if problem is not None:
        return Failure(problem)
    held = guard(lambda: claims(_pickled(archive)), *_DAMAGED)
    if not is_successful(held):
        return Failure(held.failure())
    found = held.unwrap()
    if isinstance(found, Claim):
        return _tensors(archive, {"": found}, limits).map(lambda tensors: tensors[""])
    return _tensors(archive, found, limits)


def _problem(archive: _Archive, limits: Limits) -> StorageError | None:
    """Give why an archive is none of tensors, or too large to be looked into."""
    if "constants.pkl" in archive.records:
        message = "This .pt file is a TorchScript archive: a program with its weights."
        advice = "Load it with torch.jit.load, and save what its state_dict() gives."
        return _other(message, advice)
    if "data.pkl" not in archive.records:
        return foreign(_NAME, archive.source)
    unpacked = archive.records["data.pkl"].nbytes * _UNPACKED
    return over_limit(unpacked, limits) if unpacked > _SMALL else None


def _other(message: str, advice: str) -> Corrupt:
    return Corrupt("", None, message, advice)


def _not_tensors(error: NotTensorsError) -> StorageError:
    message = f"This .pt file is not made of tensors alone: it holds {error.what}."
    return _other(message, "If you trust it: load it with torch.load, and save its tensors alone.")


def _no_directory(error: zipfile.BadZipFile) -> StorageError:
    return damaged(_NAME, "the directory at its end is missing or damaged")


def _bad(error: Exception) -> StorageError:
    if isinstance(error, UnicodeError):
        return damaged(_NAME, "one of the names in it is no text")
    own = type(error) is ValueError and str(error).startswith(
        ("it", "one ", "two ", "a tensor ", "a storage ")
    )
    reason = str(error) if own else f"it cannot be read ({reason_of(error)})"
    return damaged(_NAME, reason)


_DAMAGED = (
    catch(NotTensorsError, _not_tensors),
    catch(zipfile.BadZipFile, _no_directory),
    *(
        catch(kind, _bad)
        for kind in (
            ValueError,
            LookupError,
            ArithmeticError,
            RuntimeError,
            TypeError,
            struct.error,
        )
    ),
)
"""What zipfile, struct, PyTorch and our own readers raise on bytes that are no whole file."""


def _archive(source: Readable, limits: Limits) -> _Archive:
    most = max(limits.max_bytes, _SMALL) // _UNPACKED
    records = directory(source, min(most, DIRECTORY_MAX))
    top = next(iter(records), "").partition("/")[0] + "/"
    inside = {
        name.removeprefix(top): record for name, record in records.items() if name.startswith(top)
    }
    return _Archive(source, inside)


def _pickled(archive: _Archive) -> object:
    return unpickled(content_of_record(archive.source, archive.records["data.pkl"], _PICKLE_MAX))


def _tensors(
    archive: _Archive, named: Mapping[str, Claim], limits: Limits
) -> Outcome[Mapping[str, torch.Tensor]]:
    once = {id(claim): claim for claim in named.values()}
    found = guard(lambda: _parts(archive, once.values()), *_DAMAGED)
    if not is_successful(found):
        return Failure(found.failure())
    parts = found.unwrap()
    used = sum(math.prod(claim.shape) * itemsize(claim.dtype) for claim in once.values())
    read = sum(part.last - part.first for part in parts.values())
    too_large = over_limit(max(used, read), limits)
    if too_large is not None:
        return Failure(too_large)
    memories: dict[str, HostArray] = {}
    for key, part in parts.items():
        memory = _memory(archive, part)
        if not is_successful(memory):
            return Failure(memory.failure())
        memories[key] = memory.unwrap()
    made = guard(lambda: _made(once, memories, parts), *_DAMAGED)
    return made.map(lambda tensors: {name: tensors[id(claim)] for name, claim in named.items()})


def _parts(archive: _Archive, wanted: Iterable[Claim]) -> dict[str, _Part]:
    """Give what to read, by the storages' names; `ValueError` if it is not there."""
    parts: dict[str, _Part] = {}
    storages: dict[str, tuple[str | None, int]] = {}
    for claim in wanted:
        storage, size = claim.storage, itemsize(claim.dtype)
        record = archive.records.get(f"data/{storage.key}")
        length = storage.length * itemsize(storage.dtype or "uint8")
        if record is None or length > record.nbytes:
            raise ValueError("one of its storages is missing, or shorter than it is said to be")
        said = (storage.dtype, storage.length)
        if storages.setdefault(storage.key, said) != said:
            raise ValueError("one of its storages is said to be of two kinds")
        first, last = claim.offset * size // _ALIGNED * _ALIGNED, elements_end(claim) * size
        if last:
            old = parts.get(storage.key, _Part(record, first, last, frozenset()))
            first, last = min(first, old.first), max(last, old.last)
            parts[storage.key] = _Part(record, first, last, old.dtypes | {claim.dtype})
    return parts


def _memory(archive: _Archive, part: _Part) -> Outcome[HostArray]:
    """Give the bytes of a part of a storage, in this machine's byte order."""
    import numpy as np

    room = allocated((part.last - part.first,), np.dtype(np.uint8))
    return and_then(room, lambda array: guard(lambda: _filled(archive, part, array), *_DAMAGED))


def _filled(archive: _Archive, part: _Part, array: HostArray) -> HostArray:
    order = _byte_order(archive)
    read_record(archive.source, part.record, part.first, bytes_of(array))
    if order != sys.byteorder:
        if len(part.dtypes) > 1:
            raise ValueError("one of its storages has elements of two kinds, in a foreign order")
        (dtype,) = part.dtypes
        # The two halves of a complex number are numbers of their own.
        size = itemsize(dtype) // (2 if dtype.startswith("complex") else 1)
        array.view(f"u{size}").byteswap(inplace=True)
    return array


def _byte_order(archive: _Archive) -> str:
    """Give `"little"` or `"big"`; files of before PyTorch 2.1 don't say, and are little."""
    record = archive.records.get("byteorder")
    order = b"little" if record is None else content_of_record(archive.source, record, 16)
    if order not in (b"little", b"big"):
        raise ValueError("it is in a byte order that is neither little nor big")
    return order.decode()


def _made(
    wanted: Mapping[int, Claim], memories: Mapping[str, HostArray], parts: Mapping[str, _Part]
) -> dict[int, torch.Tensor]:
    """Give the tensors; those of one storage share its memory, as with `torch.load`."""
    import numpy as np

    nothing = storage_of(np.empty(0, np.uint8))
    storages = {key: storage_of(memory) for key, memory in memories.items()}
    made: dict[int, torch.Tensor] = {}
    for name, claim in wanted.items():
        if 0 in claim.shape:
            tensor = tensor_of(nothing, View(claim.dtype, 0, claim.shape, claim.strides))
        else:
            key = claim.storage.key
            offset = claim.offset - parts[key].first // itemsize(claim.dtype)
            view = View(claim.dtype, offset, claim.shape, claim.strides)
            tensor = tensor_of(storages[key], view)
        tensor = tensor.conj() if claim.conjugate else tensor
        made[name] = tensor.neg() if claim.negative else tensor
    return made
