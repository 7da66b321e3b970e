"""The markers of a JPEG file: what it claims, before libjpeg is asked to decode a pixel of it.

libjpeg fills what is missing with gray and only warns, which nobody hears; and it passes over the
whole image once for each scan, however few bytes that has. So the markers are walked here first
(ITU-T T.81, annex B), in the way in which libjpeg walks them.
"""

from __future__ import annotations

import math
import re
import struct

from attrs import frozen

__all__ = ["Claim", "claim_of"]

_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
"""A marker that stands alone or begins a segment: no stuffed byte, no fill byte, no restart."""

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_NO_FRAMES = (0xC4, 0xC8, 0xCC)  # of C0 to CF, these are no frame headers
_PROGRESSIVE, _LOSSLESS, _ARITHMETIC = (0xC2, 0xCA), (0xC3,), (0xC9, 0xCA)
_DECODED = (0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA)
"""What libjpeg-turbo decodes: baseline, extended, progressive, lossless; with arithmetic coding the
second and third."""

_SEGMENTS_MAX = 100_000
"""Far more than any camera writes (ICC profiles and XMP take up to 255 each)."""

_BLOCK = 8  # pixels on each side
_COEFFICIENT = 2  # bytes, of which libjpeg holds those of a whole image if it has several scans

_UNCODED = 2**20
"""Blocks that an arithmetic coder may claim for nothing: it says a blank image in 100 bytes. They
are decoded in half a second."""

_VISITS_FREE, _VISITS_PER_BYTE = 2**24, 48
"""How often the scans may pass over a block, all together: up to 40 ns each, measured. A blank
image of 10 scans, at a bit per block of the first, needs no more per stored byte."""


@frozen
class _Component:
    """The horizontal and vertical sampling factors of a component, relative to the others."""

    across: int
    down: int


@frozen
class _Frame:
    """What a frame header says: `kind` is its marker, `components` are by their identifiers."""

    kind: int
    bits: int
    height: int
    width: int
    components: dict[int, _Component]

    def blocks(self, identifier: int) -> int:
        """Give how many blocks of 8 x 8 samples a component has, or would have if it had any."""
        one, all_of_them = self.components[identifier], self.components.values()
        columns = math.ceil(self.width * one.across / max(it.across for it in all_of_them))
        rows = math.ceil(self.height * one.down / max(it.down for it in all_of_them))
        return math.ceil(columns / _BLOCK) * math.ceil(rows / _BLOCK)


@frozen
class Claim:
    """What a JPEG says of itself: its shape, the bits of its samples, and the work that it makes.

    `beside` is the bytes that libjpeg holds beside the pixels: the coefficients of the whole image,
    if they come in several scans.
    """

    shape: tuple[int, ...]
    bits: int
    beside: int


def claim_of(content: bytearray) -> Claim:
    """Walk the markers; `ValueError` with the reason if they are not those of a whole image."""
    frame: _Frame | None = None
    coded = visits = 0
    scans: list[bytes] = []
    position = 2
    for _ in range(_SEGMENTS_MAX):
        found = _MARKER.search(content, position)
        if found is None:
            raise ValueError("it ends before its end is marked")
        if scans:
            coded += found.start() - position
        marker, position = content[found.end() - 1], found.end()
        if marker == _END:
            return _checked(frame, scans, coded, visits)
        if marker == _START:
            raise ValueError("another image begins inside it")
        segment = _segment(content, position)
        position += 2 + len(segment)
        if marker == _SCAN:
            if frame is None:
                raise ValueError("it has no frame header before its first scan")
            scans.append(_components_of(frame, segment))
            visits += sum(map(frame.blocks, scans[-1]))
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
            if frame is not None:
                raise ValueError("it has more than one frame")
            frame = _frame(marker, segment)
    raise ValueError(f"it has more than {_SEGMENTS_MAX} segments")


def _segment(content: bytearray, position: int) -> bytes:
    length = int.from_bytes(content[position : position + 2], "big")
    if length < 2 or position + length > len(content):
        raise ValueError("it ends in the middle of a segment")
    return bytes(content[position + 2 : position + length])


def _frame(kind: int, segment: bytes) -> _Frame:
    if kind not in _DECODED:
        raise ValueError(f"it is of a kind (SOF{kind - 0xC0}) that libjpeg does not decode")
    if len(segment) < 6 or len(segment) != 6 + 3 * segment[5]:
        raise ValueError("its frame header is damaged")
    bits, height, width, count = struct.unpack_from(">BHHB", segment)
    if height * width * count == 0:
        raise ValueError(f"its header claims {width} x {height} pixels of {count} components")
    components = {
        segment[at]: _Component(segment[at + 1] >> 4, segment[at + 1] & 15)
        for at in range(6, len(segment), 3)
    }
    sampling = {factor for it in components.values() for factor in (it.across, it.down)}
    if len(components) != count or not sampling <= {1, 2, 3, 4}:
        raise ValueError("its components are damaged")
    return _Frame(kind, bits, height, width, components)


def _components_of(frame: _Frame, segment: bytes) -> bytes:
    """Give the identifiers of the components that a scan is of."""
    count = segment[0] if segment else 0
    identifiers = segment[1 : 1 + 2 * count : 2]
    if len(segment) != 4 + 2 * count or not set(identifiers) <= frame.components.keys():
        raise ValueError("a scan of it is of no component that it has")
    return identifiers


def _checked(frame: _Frame | None, scans: list[bytes], coded: int, visits: int) -> Claim:
    if frame is None or not scans:
        raise ValueError("it holds no image")
    count = len(frame.components)
    blocks = sum(map(frame.blocks, frame.components))
    _check_size(frame, blocks, coded)
    if frame.kind not in _PROGRESSIVE and sum(map(len, scans)) > count:
        raise ValueError(f"its {len(scans)} scans are more than its {count} components")
    if visits > _VISITS_FREE + _VISITS_PER_BYTE * coded:
        raise ValueError(f"it claims {len(scans)} scans, which its {coded} bytes of them cannot be")
    several = frame.kind in _PROGRESSIVE or len(scans[0]) < count
    shape = (frame.height, frame.width, count) if count > 1 else (frame.height, frame.width)
    return Claim(shape, frame.bits, blocks * _BLOCK**2 * _COEFFICIENT if several else 0)


def _check_size(frame: _Frame, blocks: int, coded: int) -> None:
    """Raise `ValueError` if the coded bytes cannot be so many blocks.

    Huffman codes have a bit at least: a block takes two (its mean, and that nothing else follows),
    in a progressive image one in its first scan, and in a lossless one as many as it has samples.
    """
    if frame.kind in _ARITHMETIC:
        most = _UNCODED + 1024 * coded
    elif frame.kind in _LOSSLESS:
        edges = frame.width // _BLOCK + frame.height // _BLOCK + 1  # of blocks that are not full
        most = 8 * coded // _BLOCK**2 + edges * len(frame.components)
    else:
        most = 8 * coded if frame.kind in _PROGRESSIVE else 4 * coded
    if blocks > most:
        size = f"{frame.width} x {frame.height} pixels"
        raise ValueError(f"it claims {size}, which its {coded} coded bytes cannot hold")
