"""A file that another process cuts while it is read: no bytes are taken for those that are gone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from bytes_source import joined, source_of
from samples import COLORS, FORMAT_NAMES, codec_named, samples

from polystore.core.errors import Corrupt
from polystore.core.item import Item
from polystore.core.outcome import is_successful
from polystore.core.records import Codec, Limits, Readable


def corrupt_or_whole(codec: Codec[object], content: bytes, ends: Iterable[int]) -> None:
    whole = repr(codec.decode(source_of(content), Limits()).unwrap())
    for end in ends:
        short = source_of(content[:end])
        source = Readable(len(content), short.read_into, lambda: None)
        outcome = codec.decode(source, Limits())
        if is_successful(outcome):
            assert repr(outcome.unwrap()) == whole
        else:
            assert isinstance(outcome.failure(), Corrupt)


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_wherever_it_ends_it_is_corrupt_or_whole(name: str) -> None:
    codec = codec_named(name)
    for content in samples(name):
        if is_successful(codec.decode(source_of(content), Limits())):  # JAX has no 64 bits here
            corrupt_or_whole(codec, content, range(0, len(content), len(content) // 30 + 1))


@pytest.mark.parametrize("name", ["tiff", "ome-tiff"])
def test_a_tag_that_is_gone_raises_nothing(name: str) -> None:
    """The values of a tag that lie elsewhere: `struct.error` was raised, which nobody caught."""
    codec = codec_named(name)
    colors = np.ascontiguousarray(COLORS[:3, :4])
    content = joined(codec.encode(Item("x", colors), None).unwrap())
    corrupt_or_whole(codec, content, range(len(content)))
