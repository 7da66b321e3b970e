"""The index of a shard: where in the file each of its chunks is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ABSENT", "IndexForm", "decode_index", "encode_index", "index_nbytes"]

ABSENT = 2**64 - 1
"""The offset and the length of a chunk that is not in the shard."""

_CHECKSUM = 4  # bytes


@frozen
class IndexForm:
    """How the index of a shard is written: where, with a checksum (crc32c) or without."""

    at_start: bool = False
    checked: bool = True
    byte_order: str = "<"


def index_nbytes(form: IndexForm, count: int) -> int:
    """Give the length in bytes of the index of `count` chunks.

    >>> index_nbytes(IndexForm(), 2)
    36
    """
    return 16 * count + (_CHECKSUM if form.checked else 0)


def encode_index(form: IndexForm, entries: NDArray[np.uint64]) -> bytes:
    """Give the bytes of an index of the shape (chunks, 2): each chunk's offset and its length.

    >>> import numpy as np
    >>> encode_index(IndexForm(checked=False), np.array([[0, 5]], np.uint64)).hex()
    '00000000000000000500000000000000'
    """
    content: bytes = entries.astype(f"{form.byte_order}u8").tobytes()
    if not form.checked:
        return content
    import google_crc32c

    return content + google_crc32c.value(content).to_bytes(_CHECKSUM, "little")


def decode_index(form: IndexForm, content: bytes, count: int) -> NDArray[Any]:
    """Give the offsets and lengths, in C order of the chunks: the inverse of `encode_index`.

    `ValueError` for a wrong length or checksum.

    >>> import numpy as np
    >>> decode_index(IndexForm(), encode_index(IndexForm(), np.array([[0, 5]], np.uint64)), 1)
    array([[0, 5]], dtype=uint64)
    """
    import numpy as np

    if len(content) != index_nbytes(form, count):
        raise ValueError("its index is cut off")
    if form.checked:
        import google_crc32c

        content, checksum = content[:-_CHECKSUM], content[-_CHECKSUM:]
        if google_crc32c.value(content) != int.from_bytes(checksum, "little"):
            raise ValueError("the checksum of its index is wrong")
    return np.frombuffer(content, f"{form.byte_order}u8").reshape(count, 2)
