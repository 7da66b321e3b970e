"""The codecs of a chunk, both ways, on whole chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen

from polystore.backends.zarr.elements.compressors import Step
from polystore.core.payload import HostArray, bytes_of

if TYPE_CHECKING:
    from polystore.core.records import Buffer

__all__ = ["CHECKSUM", "Chain", "Settle", "chain_of", "longest", "swapped", "trimmed"]

Settle: TypeAlias = Callable[[HostArray], HostArray]
"""Makes elements what they should be where the bytes alone are not, in place."""

_CRC = 4  # bytes


@frozen
class Chain:
    """The codecs of one chunk, as functions that let go of Python's lock where it counts.

    - `encode(chunk)`: a C-ordered array of the chunk's whole shape as bytes.
    - `decode(content, into)`: fill a C-ordered array of the chunk's whole shape. `ValueError` for
      bytes that are none (a wrong checksum, length or stream).
    """

    encode: Callable[[HostArray], Sequence[Buffer]]
    decode: Callable[[memoryview, HostArray], None]


CHECKSUM = Step(None, None)
"""crc32c: four bytes after those that they are of."""


def chain_of(steps: Sequence[Step], settle: Settle | None = None) -> Chain | None:
    """Give the codecs of a chunk: its elements as they are in memory, then each step.

    `settle` changes the elements in place after they are decoded, and before they are encoded.
    `None` for more than one compressor, because nothing says how long it is between the two.
    """
    compressors = [number for number, step in enumerate(steps) if step.decode is not None]
    if len(compressors) > 1:
        return None
    at = compressors[0] if compressors else len(steps)
    inner = at
    outer = len(steps) - at - len(compressors)
    step = steps[at] if compressors else None

    def encode(chunk: HostArray) -> Sequence[Buffer]:
        parts: list[Buffer] = [bytes_of(chunk if settle is None else settle(chunk.copy()))]
        for _ in range(inner):
            parts.append(_crc(parts))
        if step is not None and step.encode is not None:
            parts = [step.encode(parts[0] if len(parts) == 1 else b"".join(parts))]
        for _ in range(outer):
            parts.append(_crc(parts))
        return parts

    def decode(content: memoryview, into: HostArray) -> None:
        for _ in range(outer):
            content = _checked(content)
        target = bytes_of(into)
        if step is None or step.decode is None:
            content = _unwrapped(content, inner)
            if len(content) != len(target):
                raise ValueError(f"it has {len(content)} bytes, not {len(target)}")
            target[:] = content
        elif inner:
            scratch = memoryview(bytearray(len(target) + inner * _CRC))
            step.decode(content, scratch)
            target[:] = _unwrapped(scratch, inner)
        else:
            step.decode(content, target)
        if settle is not None:
            settle(into)

    return Chain(encode, decode)


def swapped(array: HostArray) -> HostArray:
    """Turn the bytes of each element around, in place."""
    if array.dtype.kind in "biufcmMSU":
        return array.byteswap(inplace=True)
    array.view(f"u{array.dtype.itemsize}").byteswap(inplace=True)  # as for bfloat16
    return array


def trimmed(bits: int, signed: bool) -> Settle:
    """Give what clears the upper bits of each byte, or repeats the sign in them, in place."""

    def settle(array: HostArray) -> HostArray:
        content = array.view("i1" if signed else "u1")
        if signed:
            content <<= 8 - bits
            content >>= 8 - bits
        else:
            content &= (1 << bits) - 1
        return array

    return settle


def longest(nbytes: int) -> int:
    """Give the most bytes that a chunk of `nbytes` may have when it is encoded.

    No codec makes more than a little of what it cannot compress; a file that is longer is none of
    ours, and is not read.

    >>> longest(0)
    65536
    """
    return 2 * nbytes + 2**16


def _crc(parts: Sequence[Buffer]) -> bytes:
    import google_crc32c

    value = 0
    for part in parts:
        value = google_crc32c.extend(value, _as_bytes(part))
    return value.to_bytes(_CRC, "little")


def _as_bytes(part: Buffer) -> Buffer:
    """Give bytes as google_crc32c takes them: of what can be written to, only NumPy's arrays."""
    if isinstance(part, bytes):
        return part
    import numpy as np

    return np.frombuffer(part, np.uint8)


def _unwrapped(content: memoryview, times: int) -> memoryview:
    for _ in range(times):
        content = _checked(content)
    return content


def _checked(content: memoryview) -> memoryview:
    """Give the bytes before a checksum; `ValueError` if it is not theirs."""
    import google_crc32c

    body, checksum = content[:-_CRC], content[-_CRC:]
    found = google_crc32c.value(_as_bytes(body)) if body else 0
    if len(checksum) < _CRC or found != int.from_bytes(checksum, "little"):
        raise ValueError("its checksum is wrong")
    return body
