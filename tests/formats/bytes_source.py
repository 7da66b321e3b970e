"""Bytes to decode from, and the bytes that an encoder gave."""

from __future__ import annotations

from polystore.core.records import Encoded, Readable

__all__ = ["joined", "source_of"]


def source_of(content: bytes) -> Readable:
    """Give the bytes as what a store hands to a codec."""

    def read_into(offset: int, buffer: memoryview, /) -> int:
        part = content[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    return Readable(len(content), read_into, lambda: None)


def joined(encoded: Encoded) -> bytes:
    """Give an encoded payload as one piece; it must be as long as it says."""
    content = b"".join(bytes(buffer) for buffer in encoded.buffers)
    assert len(content) == encoded.nbytes
    return content
