"""The compressors of chunks, both ways: numcodecs, and Python's own zlib."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import frozen

from polystore.core.payload import Json

if TYPE_CHECKING:
    from polystore.core.records import Buffer

__all__ = ["CHECKSUM", "Step", "compressor_of_v2", "compressor_of_v3"]

Encode: TypeAlias = "Callable[[Buffer], bytes]"
Decode: TypeAlias = Callable[[memoryview, memoryview], None]

_BLOSC_HEADER = 16
_BLOSC_VERSION = 2
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_BLOSC_NAMES = ("zstd", "lz4", "lz4hc", "blosclz", "zlib")
_BLOSC_SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
_KINDS: Final[Mapping[str, tuple[tuple[str, type], ...]]] = {
    "bz2": (("level", int),),
    "lzma": (("preset", int), ("format", int), ("filters", list)),
}
"""Settings of what zarr-python decodes, which it looks at no sooner than it encodes."""

_GZIP: Final = 31
_ZLIB: Final = 15
_WINDOW = 2**16
"""Bytes that are inflated at a time: of many short streams, each copies what is left of it."""


@frozen
class Step:
    """A codec from bytes to bytes. `decode` fills its second argument, or raises `ValueError`."""

    encode: Encode
    decode: Decode


def _no_encoder(content: Buffer) -> bytes:
    raise NotImplementedError


def _no_decoder(content: memoryview, into: memoryview) -> None:
    raise NotImplementedError


CHECKSUM = Step(_no_encoder, _no_decoder)
"""crc32c, four bytes after those that it is of: `chain_of` knows how."""


def compressor_of_v3(name: str, options: Mapping[str, Json], itemsize: int) -> Step | None:
    """Give a compressor of Zarr v3 by its name; `None` for one that is not known here.

    `ValueError` for options that it cannot have.
    """
    if name == "blosc":
        shuffle = options.get("shuffle", "noshuffle")
        if shuffle not in _BLOSC_SHUFFLES:
            raise ValueError(f"Blosc has no shuffle {shuffle!r}")
        return _blosc(options, _BLOSC_SHUFFLES[str(shuffle)], itemsize)
    if name == "zstd":
        return _zstd(_number(options, "level", 0), _flag(options, "checksum"))
    if name == "gzip":
        return _deflate(_number(options, "level", 5), _GZIP)
    return None


def compressor_of_v2(options: Mapping[str, Json], itemsize: int) -> Step | None:
    """Give a compressor of Zarr v2 by its `id`; `None` for one that is not known here.

    `ValueError` for options that it cannot have.
    """
    name = options.get("id")
    if not isinstance(name, str):
        raise ValueError("its compressor has no name")
    if name == "blosc":
        shuffle = _number(options, "shuffle", 1)
        if shuffle == -1:  # numcodecs chooses by the size of an element
            shuffle = 2 if itemsize == 1 else 1
        return _blosc(options, shuffle, itemsize)
    if name == "zstd":
        return _zstd(_number(options, "level", 0), _flag(options, "checksum"))
    if name == "gzip":
        return _deflate(_number(options, "level", 1), _GZIP)
    if name == "zlib":
        return _deflate(_number(options, "level", 1), _ZLIB)
    if name == "lz4":
        return _lz4(_number(options, "acceleration", 1))
    for setting, kind in _KINDS.get(name, ()):
        if not isinstance(options.get(setting), kind | None):
            raise ValueError(f"{setting} is {options.get(setting)!r}")
    return None


def _number(options: Mapping[str, Json], name: str, default: int) -> int:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**31:
        raise ValueError(f"{name} is {value!r}")
    return value


def _flag(options: Mapping[str, Json], name: str) -> bool:
    value = options.get(name, False)
    if not isinstance(value, (bool, int)):
        raise ValueError(f"{name} is {value!r}")
    return bool(value)


def _blosc(options: Mapping[str, Json], shuffle: int, itemsize: int) -> Step | None:
    cname = options.get("cname", "lz4")
    if not isinstance(cname, str):
        raise ValueError(f"cname is {cname!r}")
    if cname not in _BLOSC_NAMES:
        return None
    name = cname.encode()
    level, blocksize = _number(options, "clevel", 5), _number(options, "blocksize", 0)
    typesize = options.get("typesize")
    size = itemsize if typesize is None else _number(options, "typesize", 1)
    if not (0 <= level <= 9 and shuffle in (0, 1, 2) and size >= 1 and blocksize >= 0):
        raise ValueError("Blosc has no such options")

    def encode(content: Buffer) -> bytes:
        from numcodecs import blosc

        return blosc.compress(content, name, level, shuffle, blocksize, min(size, 255))

    return Step(encode, _blosc_decode)


def _blosc_decode(content: memoryview, into: memoryview) -> None:
    from numcodecs import blosc

    # Blosc believes its header; what is not as long as it says would be read beyond its end.
    nbytes = int.from_bytes(content[4:8], "little")
    cbytes = int.from_bytes(content[12:16], "little")
    if len(content) < _BLOSC_HEADER or content[0] != _BLOSC_VERSION or cbytes != len(content):
        raise ValueError("it is no Blosc")
    if nbytes != len(into):
        raise ValueError(f"it holds {nbytes} bytes, not {len(into)}")
    try:
        blosc.decompress(content, into)
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def _zstd(level: int, checksum: bool) -> Step:
    def encode(content: Buffer) -> bytes:
        from numcodecs import zstd

        return zstd.compress(content, level, checksum)

    return Step(encode, _zstd_decode)


def _zstd_decode(content: memoryview, into: memoryview) -> None:
    from numcodecs import zstd

    try:
        if _zstd_content(content) != len(into):
            _refuse_shorter(content, into)
        zstd.decompress(content, into)
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def _zstd_content(content: memoryview) -> int | None:
    """Give how much the first frame says that it holds; `None` if it does not say so."""
    if len(content) < 6 or bytes(content[:4]) != _ZSTD_MAGIC:
        return None
    flags = content[4]
    is_single = bool(flags & 0x20)
    start = 5 + (not is_single) + (0, 1, 2, 4)[flags & 3]
    size = (1 if is_single else 0, 2, 4, 8)[flags >> 6]
    if not size:
        return None
    return int.from_bytes(content[start : start + size], "little") + (256 if size == 2 else 0)


def _refuse_shorter(content: memoryview, into: memoryview) -> None:
    """Raise `ValueError` for several frames that fill less: numcodecs would not say so."""
    from numcodecs import zstd

    try:
        zstd.decompress(content, into[:-1])
    except (RuntimeError, ValueError):
        return  # too long for that: whether it is as long as it should be, the caller will see
    raise ValueError(f"it holds less than {len(into)} bytes")


def _deflate(level: int, form: int) -> Step:
    if not -1 <= level <= 9:
        raise ValueError(f"level is {level}")

    def encode(content: Buffer) -> bytes:
        made = zlib.compressobj(level, zlib.DEFLATED, form)
        return made.compress(content) + made.flush()

    def decode(content: memoryview, into: memoryview) -> None:
        at = done = 0
        while at < len(content):
            made = zlib.decompressobj(form)
            while not made.eof:
                window = content[at : at + _WINDOW]
                try:
                    # One byte more than there is room for, so that too long a stream shows.
                    part = made.decompress(window, len(into) - done + 1)
                except zlib.error as error:
                    raise ValueError(str(error)) from error
                if not window or len(part) > len(into) - done:
                    raise ValueError("its stream is cut off, or too long")
                into[done : done + len(part)] = part
                done += len(part)
                at += len(window) - len(made.unused_data)
        if done != len(into):
            raise ValueError(f"it holds {done} bytes, not {len(into)}")

    return Step(encode, decode)


def _lz4(acceleration: int) -> Step:
    def encode(content: Buffer) -> bytes:
        from numcodecs import lz4

        return lz4.compress(content, acceleration)

    def decode(content: memoryview, into: memoryview) -> None:
        from numcodecs import lz4

        if len(content) < 5 or int.from_bytes(content[:4], "little") != len(into):
            raise ValueError(f"it does not hold {len(into)} bytes")
        try:
            lz4.decompress(content, into)
        except RuntimeError as error:
            raise ValueError(str(error)) from error

    return Step(encode, decode)
