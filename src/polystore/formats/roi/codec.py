"""ImageJ's regions of interest through roifile: one as a `.roi`, several as a `.roi.zip`."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from polystore.configs import ROI
from polystore.core.errors import Corrupt, StorageError, TooLarge
from polystore.core.item import Item, Metadata
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import Json, Payload
from polystore.core.records import Codec, Decoded, Encoded, Limits, Readable
from polystore.core.rois import Mask, Roi, Rois
from polystore.formats.refusals import cannot_hold, damaged, foreign, kind_of, over_limit
from polystore.formats.roi.archive import Member, archive_of, members_of
from polystore.formats.roi.mask import FILLED_MAX, overfilled
from polystore.formats.roi.read import COPIES, SIGNATURE, Found, region_of
from polystore.formats.roi.write import region_bytes

__all__ = ["ROI_CODEC"]

_ARCHIVE = (b"PK\3\4", b"PK\5\6")

_FILLED_MAX = 2 * FILLED_MAX
"""Pixels of all masks of an archive."""


def _encode(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
    rois = item.payload
    if not isinstance(rois, Rois):
        advice = "Save Rois in this format; arrays, JSON, text and tables in one of their own."
        return Failure(cannot_hold(".roi", kind_of(rois), advice))
    is_archive = item.key.lower().endswith(".zip")
    if not is_archive and len(rois.regions) != 1:
        advice = "Give the key the suffix .roi.zip, which holds any number of them."
        return Failure(cannot_hold("A .roi", f"{len(rois.regions)} regions", advice))
    filled = [_pixels_of(region) for region in rois.regions]
    if max(filled, default=0) > FILLED_MAX or sum(filled) > _FILLED_MAX:
        advice = "Keep such masks as images, in .png or .tif."
        return Failure(cannot_hold(".roi", f"masks of {sum(filled)} pixels", advice))
    contents: list[bytes] = []
    for region in rois.regions:
        content = region_bytes(region)
        if not is_successful(content):
            return Failure(content.failure())
        contents.append(content.unwrap())
    dropped = item.metadata.present()
    if is_archive:
        return Success(archive_of((region.name for region in rois.regions), contents, dropped))
    return Success(Encoded(contents, len(contents[0]), dropped))


def _decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[Rois]]:
    head = bytearray(min(source.size, len(SIGNATURE)))
    source.read_into(0, memoryview(head))
    if not head.startswith((SIGNATURE, *_ARCHIVE)):
        return Failure(foreign("ImageJ region", source))
    is_archive = head.startswith(_ARCHIVE)
    too_large = over_limit(source.size * (1 if is_archive else 1 + COPIES), limits)
    if too_large is not None:
        return Failure(too_large)
    content = bytearray(source.size)
    if source.read_into(0, memoryview(content)) != source.size:
        return Failure(damaged("ImageJ region", "it ended while it was read"))
    if is_archive:
        return _decode_archive(content, limits)
    return region_of(bytes(content), "", limits).map(lambda found: _decoded((found,), ()))


def _decode_archive(content: bytearray, limits: Limits) -> Outcome[Decoded[Rois]]:
    regions: list[Found] = []
    others: list[str] = []
    left, filled = limits.max_bytes, 0
    for read in members_of(content, limits):
        if not is_successful(read):
            return Failure(read.failure())
        member = read.unwrap()
        if not member.is_region():
            others.append(member.name)
            continue
        found = region_of(member.content, member.name.removesuffix(".roi"), Limits(left))
        if not is_successful(found):
            return Failure(_in_member(found.failure(), member, limits))
        regions.append(found.unwrap())
        left -= regions[-1].nbytes
        filled += _pixels_of(regions[-1].region)
        too_large = overfilled(filled, _FILLED_MAX)
        if too_large is not None:
            return Failure(too_large)
    if others and not regions:
        return Failure(_no_regions(others))
    return Success(_decoded(regions, others))


def _pixels_of(region: Roi) -> int:
    return region.shape.pixels.size if isinstance(region.shape, Mask) else 0


def _in_member(error: StorageError, member: Member, limits: Limits) -> StorageError:
    message = error.message
    if isinstance(error, TooLarge):
        message = f"To here, the archive takes more than the {limits.max_bytes} bytes of the limit."
    return evolve(error, message=f"In the member {member.name[:80]!r}: {message}")


def _no_regions(others: list[str]) -> Corrupt:
    told = ", ".join(repr(name[:40]) for name in others[:3])
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    message = f"This archive has no ImageJ region: its members are {told}{more}."
    advice = "Give the key the suffix of its content, or name it: load(store, format=…)."
    return Corrupt("", None, message, advice)


def _decoded(regions: Sequence[Found], others: Sequence[str]) -> Decoded[Rois]:
    unread: dict[str, list[str]] = {}
    for found in regions:
        for what in found.unread:
            names = unread.setdefault(found.region.name, [])
            names += [what] * (what not in names)
    attributes: dict[str, Json] = {}
    if unread:
        attributes["unread"] = unread
    if others:
        attributes["other_members"] = list(others)
    rois = Rois(found.region for found in regions)
    return Decoded(rois, Metadata(attributes=attributes))


ROI_CODEC: Codec[Rois] = Codec(format=ROI, encode=_encode, decode=_decode, open=None)
"""The record of ImageJ's regions of interest."""
