"""The codecs of a chunk, both ways, on whole chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen

from polystore.backends.zarr.elements.compressors import CHECKSUM, Step
from polystore.core.payload import HostArray, bytes_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from polystore.core.records import Buffer

__all__ = ["Chain", "Settle", "chain_of", "longest", "swapped", "trimmed"]

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


def chain_of(steps: Sequence[Step], settle: Settle | None = None) -> Chain | None:
    """Give the codecs of a chunk: its elements as they are in memory, then each step.

    `settle` changes the elements in place after they are decoded, and before they are encoded.
    `None` for more than one compressor, because nothing says how long it is between the two.
    """
    compressors = [step for step in steps if step is not CHECKSUM]
    if len(compressors) > 1:
        return None
    inner = steps.index(compressors[0]) if compressors else len(steps)
    outer = len(steps) - inner - len(compressors)
    compressor = compressors[0] if compressors else None

    def encode(chunk: HostArray) -> Sequence[Buffer]:
        content: Buffer = bytes_of(chunk if settle is None else settle(chunk.copy()))
        parts = _with_checksums([content], inner)
        if compressor is not None:
            parts = [compressor.encode(parts[0] if len(parts) == 1 else b"".join(parts))]
        return _with_checksums(parts, outer)

    def decode(content: memoryview, into: HostArray) -> None:
        content, target = _without_checksums(content, outer), bytes_of(into)
        if compressor is not None and not inner:
            compressor.decode(content, target)
        else:
            if compressor is not None:
                scratch = memoryview(bytearray(len(target) + inner * _CRC))
                compressor.decode(content, scratch)
                content = scratch
            content = _without_checksums(content, inner)
            if len(content) != len(target):
                raise ValueError(f"it has {len(content)} bytes, not {len(target)}")
            target[:] = content
        if settle is not None:
            settle(into)

    return Chain(encode, decode)


def swapped(array: HostArray) -> HostArray:
    """Turn the bytes of each element around, in place."""
    if array.dtype.kind in "biufcmMSU":
        return array.byteswap(inplace=True)
    array.view(f"u{array.dtype.itemsize}").byteswap(inplace=True)  # as for bfloat16
    return array


def trimmed(bits: int) -> Settle:
    """Give what clears all but the lower bits of each byte, in place, as `ml_dtypes` has them."""

    def settle(array: HostArray) -> HostArray:
        content = array.view("u1")
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


def _with_checksums(parts: Sequence[Buffer], times: int) -> Sequence[Buffer]:
    import google_crc32c

    for _ in range(times):
        value = 0
        for part in parts:
            value = google_crc32c.extend(value, _as_bytes(part))
        parts = [*parts, value.to_bytes(_CRC, "little")]
    return parts


def _as_bytes(part: Buffer) -> bytes | NDArray[np.uint8]:
    """Give bytes as google_crc32c takes them: of what can be written to, only NumPy's arrays."""
    if isinstance(part, bytes):
        return part
    import numpy as np

    return np.frombuffer(memoryview(part), np.uint8)


def _without_checksums(content: memoryview, times: int) -> memoryview:
    """Give the bytes before their checksums; `ValueError` if these are not theirs."""
    import google_crc32c

    for _ in range(times):
        body, checksum = content[:-_CRC], content[-_CRC:]
        found = google_crc32c.value(_as_bytes(body)) if body else 0
        if len(checksum) < _CRC or found != int.from_bytes(checksum, "little"):
            raise ValueError("its checksum is wrong")
        content = body
    return content
