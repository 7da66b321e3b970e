"""Bytes that are not what a decoder hopes for: damaged files, and files of other kinds."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeAlias, cast, get_args

from attrs import frozen
from hypothesis import strategies as st

from polystore.core.outcome import is_successful
from polystore.core.records import Codec
from polystore.testing.codecs.examples import SIMPLE, CodecExample, bytes_of_item, other_content
from polystore.testing.codecs.options import options_of

__all__ = ["FOREIGN", "Damage", "DamagedFile", "damaged_files", "files_of", "twins_of"]

How: TypeAlias = Literal["cut", "flip", "ones", "zeros", "repeat", "remove"]
"""The end cut off; a bit flipped; bytes set to 255, or to 0; bytes twice; bytes left out."""

FOREIGN: tuple[bytes, ...] = (
    b"",
    b"\0",
    b"\0" * 4096,
    b"\xff" * 64,
    b" ",
    b"[1, 2",
    b'{"a": NaN}',
    b"[" * 3000,
    b"a,b\n1\n",
    b"\xef\xbb\xbftext",
    b"\xff\xfea\0",
    b"\x89PNG\r\n\x1a\n",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xff\xff\xff\xff\xff\xff\xff\x08\x02\0\0\0",
    b"GIF89a\x01\0\x01\0",
    b"BM" + bytes(60),
    b"\xff\xd8\xff\xe0\0\x10JFIF",
    b"II*\0\x08\0\0\0\xff\xff",
    b"MM\0*\0\0\0\x08\xff\xff",
    b"PK\x03\x04" + bytes(26),
    b"PK\x05\x06" + bytes(18),
    b"\x93NUMPY\x01\0v\0{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }\n",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f{}",
    b"\x08\0\0\0\0\0\0\0{}      ",
    b"Iout\0\xe4\0\0",
    b"<?xml version='1.0'?><OME/>",
    b"\x80\x02}q\0.",
    b"\x1f\x8b\x08\0\0\0\0\0",
    bytes(range(256)),
)
"""Content of other kinds, and the first bytes of files that claim much."""


@frozen
class Damage:
    """One thing that happened to a file: what, where, and to how many bytes.

    `at` counts from the beginning, or from the end where it is negative, and goes round.

    >>> Damage("cut", 2).done_to(b"abcd"), Damage("repeat", -3, 2).done_to(b"abcd")
    (b'ab', b'abcdcd')
    """

    how: How
    at: int
    length: int = 1

    def done_to(self, content: bytes) -> bytes:
        """Give the content with the damage."""
        at = self.at % (len(content) + 1)
        before, part, after = (
            content[:at],
            content[at : at + self.length],
            content[at + self.length :],
        )
        match self.how:
            case "cut":
                return before
            case "flip":
                flipped = bytes(byte ^ 1 << self.length % 8 for byte in content[at : at + 1])
                return before + flipped + content[at + 1 :]
            case "ones":
                return before + b"\xff" * len(part) + after
            case "zeros":
                return before + bytes(len(part)) + after
            case "repeat":
                return before + part + part + after
            case "remove":
                return before + after


@frozen
class DamagedFile:
    """One of the files that a codec writes, and what happened to it."""

    file: int
    damages: tuple[Damage, ...]

    def content(self, codec: Codec[object]) -> bytes:
        """Give the bytes; no bytes if the codec writes no file of `SIMPLE`."""
        files = files_of(codec)
        content = files[self.file % len(files)] if files else b""
        for damage in self.damages:
            content = damage.done_to(content)
        return content

    def twin(self, codec: Codec[object]) -> bytes:
        """Give a whole file of the same shape with other content."""
        twins = twins_of(codec)
        return twins[self.file % len(twins)][1] if twins else b""


def files_of(codec: Codec[object]) -> tuple[bytes, ...]:
    """Give the files that a codec makes of what it takes of `SIMPLE`, with each of its options."""
    return tuple(content for content, _ in twins_of(codec))


@lru_cache(maxsize=4)
def twins_of(codec: Codec[object]) -> tuple[tuple[bytes, bytes], ...]:
    """Give those files, and beside each one of the same shape with other content."""
    return tuple(
        (content, _file(codec, CodecExample(other, example.metadata), number) or content)
        for example in SIMPLE
        for other in [other_content(example.content)]
        for number in range(len(options_of(codec)))
        for content in [_file(codec, example, number)]
        if content is not None
    )


def _file(codec: Codec[object], example: CodecExample, number: int) -> bytes | None:
    of_suffix = CodecExample(example.content, example.metadata, suffix=number)
    encoded = codec.encode(of_suffix.item(codec), options_of(codec)[number])
    return bytes_of_item(encoded.unwrap()) if is_successful(encoded) else None


def damaged_files() -> st.SearchStrategy[DamagedFile]:
    """Give files that are damaged once or a few times, mostly in their first or last bytes.

    >>> from hypothesis import find
    >>> find(damaged_files(), lambda example: len(example.damages) > 0)
    DamagedFile(file=0, damages=(Damage(how='cut', at=0, length=1),))
    """
    how = st.sampled_from(cast("tuple[How, ...]", get_args(How)))
    at = st.integers(0, 64) | st.integers(-64, -1) | st.integers(0, 4096)
    length = st.sampled_from((1, 2, 4, 8, 64))
    damages = st.lists(st.builds(Damage, how, at, length), max_size=3).map(tuple)
    return st.builds(DamagedFile, st.integers(0, 99), damages)
