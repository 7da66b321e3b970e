"""Regions as the archive that ImageJ's ROI Manager writes and opens: a ZIP of `.roi` members."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, cast

from attrs import frozen

from polystore.core.errors import StorageError, UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success, catch, guard, is_successful
from polystore.core.records import Encoded
from polystore.formats.refusals import damaged, over_limit, reason_of
from polystore.formats.roi.read import COPIES
from polystore.formats.stream import Recorder

if TYPE_CHECKING:
    from polystore.core.records import Limits

__all__ = ["Member", "archive_of", "member_names", "members_of"]

_SUFFIX = ".roi"
_NAME_MAX = 120
"""Characters of a name that its member has. The whole name stands in the region itself."""

_NO_NAME = frozenset('/\\:*?"<>|\x7f')
"""Characters that some system takes for a path or for no part of a name."""

_BYTES_PER_MEMBER = 1024
"""What Python takes for each entry of an archive's directory, at most."""

_ENTRY, _LOCAL, _END, _COMMENT_MAX = 46, 30, 22, 2**16 - 1
"""Bytes of an entry in the directory, of its local header, of the end; and of the comment there."""

_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def member_names(names: Iterable[str]) -> Iterator[str]:
    """Give for each region the name of its member: its own where that can be, and no name twice.

    >>> list(member_names(["cell", "cell", "", "../a/b"]))
    ['cell.roi', 'cell-1.roi', 'region.roi', '.._a_b.roi']
    """
    taken: dict[str, int] = {}
    for name in names:
        stem = "".join("_" if _is_unfit(character) else character for character in name)
        stem = stem[:_NAME_MAX] if stem.strip(". ") else "region"
        # As on systems where names that differ in case are the same.
        count = taken.get(stem.casefold(), 0)
        found = stem
        while found.casefold() in taken:
            count += 1
            found = f"{stem}-{count}"
        taken[stem.casefold()] = count
        taken.setdefault(found.casefold(), 0)
        yield found + _SUFFIX


def _is_unfit(character: str) -> bool:
    return character < " " or character in _NO_NAME or "\ud800" <= character <= "\udfff"


def archive_of(
    names: Iterable[str], contents: Iterable[bytes], dropped: tuple[str, ...]
) -> Encoded:
    """Give the archive of these regions; the same regions always give the same bytes."""
    recorder = Recorder()
    with zipfile.ZipFile(cast("IO[bytes]", recorder), "w") as archive:
        for name, content in zip(member_names(names), contents, strict=True):
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            archive.writestr(member, content)
    return Encoded(recorder.buffers(), recorder.size, dropped)


@frozen
class Member:
    """One member of an archive: its name, and its content, which is empty if it is no region."""

    name: str
    content: bytes

    def is_region(self) -> bool:
        """Whether ImageJ would open it, and no Mac put it there."""
        return _is_region(self.name)


def _is_region(name: str) -> bool:
    return name.endswith(_SUFFIX) and not name.startswith("__MACOSX/")


def members_of(content: bytearray, limits: Limits) -> Iterator[Outcome[Member]]:
    """Give the members of an archive, one after the other, or an error as the last."""
    entries_nbytes = _directory_nbytes(content) // _ENTRY * _BYTES_PER_MEMBER
    # `BytesIO` copies what is no `bytes`.
    held = 2 * len(content)
    too_large = over_limit(max(held, entries_nbytes), limits)
    if too_large is not None:
        yield Failure(too_large)
        return
    opened = guard(lambda: zipfile.ZipFile(io.BytesIO(content)), *_CATCHES)
    if not is_successful(opened):
        yield Failure(opened.failure())
        return
    with opened.unwrap() as archive:
        infos = archive.infolist()
        problem = _problem(infos, held, limits)
        if problem is not None:
            yield Failure(problem)
            return
        for info in infos:
            member = _member(archive, info) if _is_region(info.filename) else _other(info)
            yield member
            if not is_successful(member):
                return


def _other(info: zipfile.ZipInfo) -> Outcome[Member]:
    return Success(Member(info.filename, b""))


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Outcome[Member]:
    def read() -> Member:
        with archive.open(info) as file:
            # One byte more than it claims: if there is one, its claim was false.
            content = file.read(info.file_size + 1)
        return Member(info.filename, content)

    found = guard(read, *_CATCHES)
    if is_successful(found) and len(found.unwrap().content) != info.file_size:
        return Failure(_damaged(f"the member {_told(info)} is not as long as it claims"))
    return found


def _problem(infos: list[zipfile.ZipInfo], held: int, limits: Limits) -> StorageError | None:
    """Say what is wrong with the directory, before a member is read beside the bytes held."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            return _damaged(f"the member {_told(info)} overlaps with another")
        end = info.header_offset + _LOCAL + info.compress_size
    for info in filter(lambda info: _is_region(info.filename), infos):
        if info.flag_bits & _ENCRYPTED:
            return _unsupported(f"The member {_told(info)} is encrypted.")
        if info.compress_type not in _METHODS:
            return _unsupported(f"The member {_told(info)} is compressed as ImageJ cannot read it.")
    sizes = [info.file_size for info in infos if _is_region(info.filename)]
    return over_limit(max(held + COPIES * max(sizes, default=0), sum(sizes)), limits)


def _unsupported(message: str) -> StorageError:
    return UnsupportedPayload("", None, message, "Unpack the archive, and pack it without that.")


def _told(info: zipfile.ZipInfo) -> str:
    return repr(info.filename[:80])


def _directory_nbytes(content: bytearray) -> int:
    """Give how long the directory of an archive claims to be; 0 if there is none."""
    at = content.rfind(b"PK\5\6", max(len(content) - _END - _COMMENT_MAX, 0))
    if at < 0 or at + _END > len(content):
        return 0
    nbytes: int = struct.unpack_from("<I", content, at + 12)[0]
    return min(nbytes, len(content))


def _damaged(reason: str) -> StorageError:
    return damaged("archive of ImageJ regions", reason)


def _unreadable(error: Exception) -> StorageError:
    return _damaged(f"it cannot be unpacked ({reason_of(error)})")


_CATCHES = tuple(
    catch(kind, _unreadable)
    for kind in (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        OverflowError,
        RuntimeError,
        ValueError,
        struct.error,
    )
)
