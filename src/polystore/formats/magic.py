"""What bytes are, whatever the name of their file says: told from how they begin."""

from __future__ import annotations

__all__ = ["HEAD", "content_of"]

HEAD = 512
"""Bytes. What `content_of` wants to see: every signature, and enough to tell text from noise."""

# Where each signature stands, and what it means. First match wins: the longer ones come first.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"\x93NUMPY", "a .npy array"),
    (0, b"II*\0", "a TIFF image"),
    (0, b"MM\0*", "a TIFF image"),
    (0, b"II+\0", "a BigTIFF image"),
    (0, b"MM\0+", "a BigTIFF image"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 codestream"),
    (0, b"GIF8", "a GIF image"),
    (8, b"WEBP", "a WebP image"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (128, b"DICM", "a DICOM image"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an OLE file, such as ZVI or OIB"),
    (0, b"ZISRAWFILE", "a CZI image"),
    (0, b"\xda\xce\xbe\x0a", "an ND2 image"),
    (0, b"Iout", "an ImageJ region of interest"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"\x1f\x8b", "gzip-compressed data"),
    (0, b"BZh", "bzip2-compressed data"),
    (0, b"\xfd7zXZ\0", "xz-compressed data"),
    (0, b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (257, b"ustar", "a tar archive"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x80\x02", "a Python pickle"),
    (0, b"\x80\x03", "a Python pickle"),
    (0, b"\x80\x04", "a Python pickle"),
    (0, b"\x80\x05", "a Python pickle"),
    (0, b"version https://git-lfs", "a Git LFS pointer; the content was never fetched"),
    (5, b"\0\0\0{", "a safetensors file"),  # a length of 8 bytes, and the JSON that it is of
)

# What a ZIP archive is for, told from how the name of its first member ends.
_MEMBERS = (
    (b".npy", "a .npz archive of arrays"),
    (b"data.pkl", "a PyTorch file"),
    (b".format_version", "a PyTorch file"),
    (b".roi", "an archive of ImageJ regions of interest"),
)

# Too short to be told from a word: asked only of what is no text.
_SHORT_SIGNATURES = ((b"BM", "a BMP image"),)

_MARKUP = ((b"<!doctype html", "an HTML page"), (b"<html", "an HTML page"), (b"<?xml", "XML"))

# C0 controls that no text holds: all but tab, newline, form feed, return and escape.
_NO_TEXT = frozenset(range(32)) - {9, 10, 12, 13, 27}


def content_of(head: bytes) -> str:
    r"""Say what content begins with these bytes, as the end of the sentence "it is …".

    Give it the first `HEAD` bytes, or all there are. It is a pure function, and never fails.

    >>> content_of(b"\xff\xd8\xff\xe0 JFIF")
    'a JPEG image'
    >>> content_of(b"")
    'empty'
    >>> content_of(b'{"wells": 96}')
    'JSON text'
    >>> content_of(b"\x01\x02\x03")
    'of no format known here'
    """
    for start, signature, meaning in _SIGNATURES:
        if head.startswith(signature, start):
            return _archive(head) or meaning
    if not head:
        return "empty"
    if not head.strip(b"\0"):
        return "zeros, as of a file that was never fully written"
    return _text(head) or _short(head) or "of no format known here"


def _archive(head: bytes) -> str | None:
    """Say what a ZIP archive holds, from the name of its first member (APPNOTE, 4.3.7)."""
    length = int.from_bytes(head[26:28], "little")
    name = head[30 : 30 + length]
    if not head.startswith(b"PK\x03\x04"):
        return None
    return next((meaning for ending, meaning in _MEMBERS if name.endswith(ending)), None)


def _short(head: bytes) -> str | None:
    return next((meaning for start, meaning in _SHORT_SIGNATURES if head.startswith(start)), None)


def _text(head: bytes) -> str | None:
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n").lower()
    for start, meaning in _MARKUP:
        if first.startswith(start):
            return meaning
    if not _NO_TEXT.isdisjoint(head) or not _is_utf8(head):
        return None
    return "JSON text" if first[:1] in (b"{", b"[") else "text"


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # The head may end in the middle of a character.
        return error.reason == "unexpected end of data" and error.end == len(head)
    return True
