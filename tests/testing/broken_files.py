"""Stores of bytes, each broken in one way, with the law that must catch it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from attrs import evolve
from broken_stores import Broken
from plain_stores import (
    DICT,
    DictConfig,
    Files,
    exists_already,
    get,
    joined,
    list_,
    missing,
    new_dict,
    put,
    readable,
    stored,
)

from polystore import (
    ByteStore,
    Encoded,
    Failure,
    IfExists,
    Key,
    Outcome,
    Readable,
    Stat,
    Success,
    is_successful,
)

if TYPE_CHECKING:
    pass

__all__ = ["BROKEN_FILES"]

Puts = Callable[[Files, Key, Encoded, IfExists], Outcome[bool]]


def putting(put: Puts) -> ByteStore[DictConfig, Files]:
    return evolve(DICT, put=put)


def under(change: Callable[[str], str]) -> ByteStore[DictConfig, Files]:
    """Give the store that keeps bytes under another key, and finds them there."""

    def put_there(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
        return put(files, Key(change(key)), encoded, "replace" if how == "fail" else how)

    def get_there(files: Files, key: Key, /) -> Outcome[Readable]:
        return get(files, Key(change(key)))

    return evolve(DICT, put=put_there, get=get_there)


FOLDS_CASE = under(str.casefold)
NORMALISES = under(lambda key: unicodedata.normalize("NFC", key))
STRIPS = under(lambda key: "/".join(part.rstrip(". ") or part for part in key.split("/")))
CUTS_LONG_NAMES = under(lambda key: "/".join(part[-24:] for part in key.split("/")))


def _everywhere(_config: DictConfig, /) -> str:
    return "/"


TAKES_ABSOLUTE_KEYS = evolve(DICT, root=_everywhere)


def _put_in_parts(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    """Show each part as soon as it comes."""
    begun = put(files, key, Encoded((), 0), how)
    if not is_successful(begun) or not begun.unwrap():
        return begun
    for buffer in encoded.buffers:
        files.content[key] += bytes(memoryview(buffer))
    return Success(True)


TEARS = putting(_put_in_parts)


def _put_by_temporary(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    files.content["temporary"] = b""
    data = joined(encoded)
    del files.content["temporary"]
    return put(files, key, Encoded((data,), len(data)), how)


SHOWS_A_TEMPORARY = putting(_put_by_temporary)


def _put_and_forget(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    """Remove the temporary only if nothing goes wrong, and hide it till then."""
    buffers = list[bytes]()
    for buffer in encoded.buffers:
        files.content.pop("temporary", None)
        buffers.append(bytes(memoryview(buffer)))
        if len(buffers[-1]) < encoded.nbytes:
            files.content["temporary"] = b""
    files.content.pop("temporary", None)
    return put(files, key, Encoded(buffers, encoded.nbytes), how)


LEAVES_A_TEMPORARY = putting(_put_and_forget)


def _put_emptied(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    """Delete what is to be replaced before the new bytes are there."""
    if how == "replace":
        files.content.pop(key, None)
    return put(files, key, encoded, how)


EMPTIES_FIRST = putting(_put_emptied)


def _put_checked(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    """Look before the bytes come, and not after."""
    if key in files.content:
        return put(files, key, encoded, how)
    data = joined(encoded)
    with files.guard:
        return stored(files.content, key, data, "replace")


CHECKS_TOO_EARLY = putting(_put_checked)


def _put_counted(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    """Ask for the buffers twice: once for their length."""
    nbytes = sum(memoryview(buffer).nbytes for buffer in encoded.buffers)
    return put(files, key, Encoded(encoded.buffers, nbytes), how)


ASKS_TWICE = putting(_put_counted)


def _put_first(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    data = joined(encoded)[: 2**20]
    return put(files, key, Encoded((data,), len(data)), how)


KEEPS_A_MEGABYTE = putting(_put_first)


def _put_or_not(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    return put(files, key, encoded, how).map(lambda _: True)


SAYS_IT_PUT = putting(_put_or_not)


def _put_raising(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    if how == "fail" and key in files.content:
        raise FileExistsError(key)
    return put(files, key, encoded, how)


RAISES_ON_WHAT_EXISTS = putting(_put_raising)


def _put_namelessly(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    if how == "fail" and key in files.content:
        return Failure(exists_already(""))
    return put(files, key, encoded, how)


NAMES_NO_KEY = putting(_put_namelessly)


def _get_from_start(files: Files, key: Key, /) -> Outcome[Readable]:
    def from_start(source: Readable) -> Readable:
        def read_into(_offset: int, buffer: memoryview, /) -> int:
            return source.read_into(0, buffer)

        return evolve(source, read_into=read_into)

    return get(files, key).map(from_start)


READS_FROM_THE_START = evolve(DICT, get=_get_from_start)


def _get_live(files: Files, key: Key, /) -> Outcome[Readable]:
    """Look anew at each read."""

    def live(source: Readable) -> Readable:
        def read_into(offset: int, buffer: memoryview, /) -> int:
            return readable(files.content.get(key, b"")).read_into(offset, buffer)

        return evolve(source, read_into=read_into)

    return get(files, key).map(live)


FOLLOWS_WHAT_IS_REPLACED = evolve(DICT, get=_get_live)


def _get_larger(files: Files, key: Key, /) -> Outcome[Readable]:
    return get(files, key).map(lambda source: evolve(source, size=source.size + 1))


SAYS_ANOTHER_SIZE = evolve(DICT, get=_get_larger)


def _stat_half(files: Files, key: Key, /) -> Outcome[Stat]:
    if key not in files.content:
        return Failure(missing(files.content, key))
    return Success(Stat("file", len(files.content[key]) // 2, None))


STATS_HALF_THE_SIZE = evolve(DICT, stat=_stat_half)


def _put_noted(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    """Note that something was replaced, or may have been."""
    if how == "replace":
        files.locks.held.add("something was replaced")
    return put(files, key, encoded, how)


def _list_torn(files: Files, folder: str, /) -> Iterator[Outcome[tuple[Key, ...]]]:
    """Miss a key since something was replaced, as who looks twice at names that change."""
    missed = "something was replaced" in files.locks.held
    for page in list_(files, folder):
        yield page.map(lambda keys: keys[1:] if missed else keys)


MISSES_BESIDE_A_WRITER = evolve(DICT, put=_put_noted, list=_list_torn)


def _files(record: ByteStore[DictConfig, Files], law: str, seen: str = "") -> Broken:
    return Broken(record, new_dict, law, seen)


ALIKE = "keys that look alike are two keys, or one of them is refused"
SEEN = "a put that is under way is not seen"
BROKE = "a put that breaks off leaves what was there"

BROKEN_FILES: dict[str, Broken] = {
    "takes keys for one that differ in case": _files(FOLDS_CASE, ALIKE),
    "takes keys for one that Unicode calls equal": _files(NORMALISES, ALIKE),
    "strips dots and spaces": _files(STRIPS, ALIKE),
    "cuts long names": _files(CUTS_LONG_NAMES, ALIKE),
    "takes absolute keys": _files(TAKES_ABSOLUTE_KEYS, "what is no key touches nothing", "/a"),
    "tears": _files(TEARS, SEEN, "getting"),
    "shows a temporary": _files(SHOWS_A_TEMPORARY, SEEN, "temporary"),
    "leaves a temporary": _files(LEAVES_A_TEMPORARY, BROKE, "temporary"),
    "deletes before it replaces": _files(EMPTIES_FIRST, BROKE, "getting"),
    "checks too early": _files(
        CHECKS_TOO_EARLY, "of two puts, one in the midst of the other, one wins", "won"
    ),
    "asks for the buffers twice": _files(ASKS_TWICE, "bytes come back as they were put", "size"),
    "keeps a megabyte": _files(KEEPS_A_MEGABYTE, "bytes come back as they were put", "size"),
    "says that it put": _files(SAYS_IT_PUT, "a skipped save changes nothing", "written"),
    "raises on what exists": _files(
        RAISES_ON_WHAT_EXISTS, "what is in the way is an error that names the key", "FileExists"
    ),
    "names no key in an error": _files(
        NAMES_NO_KEY, "what is in the way is an error that names the key", "names ''"
    ),
    "reads from the start": _files(READS_FROM_THE_START, "bytes are read at any position"),
    "follows what is replaced": _files(
        FOLLOWS_WHAT_IS_REPLACED, "what is open keeps its bytes when it is replaced or deleted"
    ),
    "says another size": _files(SAYS_ANOTHER_SIZE, "bytes come back as they were put", "size"),
    "stats half the size": _files(STATS_HALF_THE_SIZE, "Saved says what was done", "stat"),
    "misses keys beside a writer": _files(
        MISSES_BESIDE_A_WRITER, "a listing beside a writer shows all that stays", "not listed"
    ),
}
