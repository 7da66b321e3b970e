"""What a decoder has to say of a file that lies, and what that may take."""

from __future__ import annotations

import tracemalloc

from bytes_source import source_of

from polystore import Codec, Corrupt, Limits

__all__ = ["tells_cheaply"]


def tells_cheaply(codec: Codec[object], content: bytes, reason: str) -> None:
    """Assert that the content is `Corrupt` for that reason, and that no pixel was allocated."""
    tracemalloc.start()
    error = codec.decode(source_of(content), Limits()).failure()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(error, Corrupt)
    assert reason in error.message
    assert peak < 2**20
