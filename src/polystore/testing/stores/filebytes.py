"""Laws of stores of bytes: what is put is what is got, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from polystore.core.errors import AlreadyExists, NotFound
from polystore.core.key import Key
from polystore.core.outcome import is_successful
from polystore.core.records import Encoded, IfExists, Readable
from polystore.testing.arrays import ArrayExample
from polystore.testing.expect import done, expect, refused
from polystore.testing.stores.elsewhere import Work, started
from polystore.testing.stores.trial import Trial, is_written_once, store_law

if TYPE_CHECKING:
    from polystore.core.outcome import Outcome

__all__ = ["BYTE_LAWS"]

KEY = Key("a/b.bin")
"""A key of no format: bytes are bytes."""


def _content(length: int, seed: int = 1) -> bytes:
    return ArrayExample("|u1", (length,), seed=seed).array().tobytes()


def _parts(content: bytes, cuts: tuple[int, ...]) -> Iterator[memoryview]:
    """Give the content in parts, once: who asks twice gets nothing."""
    last = 0
    for cut in (*sorted(cuts), len(content)):
        yield memoryview(content)[last : max(cut, last)]
        last = max(cut, last)


def _put(
    trial: Trial, content: bytes, if_exists: IfExists = "fail", cuts: tuple[int, ...] = ()
) -> Outcome[bool]:
    put = trial.backend.put
    if put is None:
        raise AssertionError("the law needs a put that the record does not have")
    return put(trial.handle, KEY, Encoded(_parts(content, cuts), len(content)), if_exists)


def _got(trial: Trial) -> Readable:
    get = trial.backend.get
    if get is None:
        raise AssertionError("the law needs a get that the record does not have")
    return done(get(trial.handle, KEY), f"getting {KEY!r}")


def _read(source: Readable, offset: int, length: int) -> bytes:
    """Read so many bytes, in as many turns as the source wants; fewer at its end."""
    buffer = bytearray(length)
    filled = 0
    while filled < length:
        count = source.read_into(offset + filled, memoryview(buffer)[filled:])
        expect(0 <= count <= length - filled, f"read_into gave {count}, of {length - filled}")
        if count == 0:
            break
        filled += count
    return bytes(buffer[:filled])


def _expect_bytes(trial: Trial, content: bytes) -> None:
    source = _got(trial)
    try:
        expect(source.size == len(content), f"size is {source.size}; {len(content)} were put")
        found = _read(source, 0, len(content) + 1)
        expect(found == content, f"{len(content)} bytes were put, and {len(found)} others were got")
    finally:
        source.close()


def _come_back(trial: Trial, example: tuple[int, tuple[int, ...]]) -> None:
    length, cuts = example
    content = _content(length)
    expect(done(_put(trial, content, cuts=cuts), "putting"), "a put of what is new was skipped")
    _expect_bytes(trial, content)
    if trial.backend.stat is not None:
        nbytes = done(trial.stat(KEY), f"stat of {KEY!r}").nbytes
        expect(nbytes in (None, length), f"stat says {nbytes} bytes, and {length} were put")


def _are_read_anywhere(trial: Trial, example: tuple[int, int, int]) -> None:
    length, offset, wanted = example
    content = _content(length)
    done(_put(trial, content), "putting")
    one, other = _got(trial), _got(trial)
    try:
        for source in (one, other, one):
            found = _read(source, offset, wanted)
            what = f"{wanted} bytes at {offset} of {length}"
            expect(found == content[offset : offset + wanted], f"{what} were read otherwise")
        one.close()
        one.close()
        again = _read(other, offset, wanted)
        expect(again == content[offset : offset + wanted], "closing one source changed another")
    finally:
        one.close()
        other.close()


def _decide(trial: Trial, if_exists: IfExists) -> None:
    old, new = _content(1000, 1), _content(2000, 2)
    done(_put(trial, old), "putting")
    outcome = _put(trial, new, if_exists)
    refuses = if_exists == "replace" and is_written_once(outcome)
    if if_exists == "fail":
        error = refused(outcome, f"putting under {KEY!r}, which exists", AlreadyExists)
        expect(error.key == KEY, f"the error of a put names {error.key!r}, not {KEY!r}")
    elif not refuses:
        written = done(outcome, f"putting with {if_exists!r}")
        expect(written is (if_exists == "replace"), f"put with {if_exists!r} gave {written}")
    _expect_bytes(trial, new if if_exists == "replace" and not refuses else old)


class _BrokenOffError(Exception):
    """What the buffers raise in the midst of a put."""


def _broken(content: bytes, error: type[Exception]) -> Iterator[bytes]:
    yield content
    raise error("the buffers broke off")


def _leave_nothing(trial: Trial, example: tuple[str, int, bool]) -> None:
    """Put what breaks off: raised or told, it leaves what was there."""
    word, length, replaces = example
    error = OSError if word == "OSError" else _BrokenOffError
    old = _content(100, 1)
    if replaces:
        done(_put(trial, old), "putting")
    put = trial.backend.put
    if put is None:
        return
    encoded = Encoded(_broken(_content(length), error), length + 10)
    try:
        outcome = put(trial.handle, KEY, encoded, "replace")
    except error:
        pass  # the dispatcher tells it
    else:
        expect(not is_successful(outcome), f"a put whose buffers broke off gave {outcome}")
    if replaces:
        _expect_bytes(trial, old)
    else:
        trial.expect_nothing(KEY)
    trial.expect_listed((KEY,) if replaces else (), " after a put that broke off")
    again = _put(trial, old, "replace")
    if not (replaces and is_written_once(again)):
        done(again, "putting after one that broke off")
    _expect_bytes(trial, old)


def _are_not_seen(trial: Trial, replaces: bool) -> None:
    """Look at the store from another thread, in the midst of a put."""
    old, new = _content(1000, 1), _content(300_000, 2)
    if replaces:
        done(_put(trial, old), "putting")
    looks: list[Work[None]] = []

    def look() -> None:
        if replaces:
            _expect_bytes(trial, old)
        else:
            get = trial.backend.get
            if get is not None:
                what = f"getting {KEY!r} while it is put"
                refused(get(trial.handle, KEY), what, NotFound)
        trial.expect_listed((KEY,) if replaces else (), " while a put is under way")

    def parts() -> Iterator[bytes]:
        yield new[:200_000]
        looks.append(started(look))
        looks[0].glance()
        yield new[200_000:]

    put = trial.backend.put
    if put is None:
        return
    outcome = put(trial.handle, KEY, Encoded(parts(), len(new)), "replace")
    refuses = replaces and is_written_once(outcome)
    if not refuses:
        done(outcome, "putting")
    if looks and not looks[0].thread.is_alive():
        looks[0].result("looking")
    _expect_bytes(trial, old if refuses else new)


def _one_wins(trial: Trial, _example: None) -> None:
    """Put in the midst of a put of the same key: one of the two must fail."""
    contents = (_content(300_000, 1), _content(1000, 2))
    inner: list[Work[Outcome[bool]]] = []

    def parts() -> Iterator[bytes]:
        yield contents[0][:200_000]
        inner.append(started(partial(_put, trial, contents[1])))
        inner[0].glance()
        yield contents[0][200_000:]

    put = trial.backend.put
    if put is None:
        return
    outer = put(trial.handle, KEY, Encoded(parts(), len(contents[0])), "fail")
    outcomes = [outer]
    if inner:  # a store may refuse before it asks for the bytes
        outcomes.append(inner[0].result("putting in the midst of a put"))
    winners = [number for number, outcome in enumerate(outcomes) if is_successful(outcome)]
    expect(len(winners) == 1, f"of two puts, one in the midst of the other, {winners} won")
    _expect_bytes(trial, contents[winners[0]])


def _keep_what_was_open(trial: Trial, how: str) -> None:
    """Open what is then replaced or deleted: it gives what it was, or says that it cannot."""
    old = _content(300_000, 1)
    done(_put(trial, old), "putting")
    source = _got(trial)
    try:
        start = _read(source, 0, 1000)
        if how == "delete" and trial.backend.delete is not None:
            done(trial.delete(KEY), "deleting")
        else:
            outcome = _put(trial, _content(300_000, 2), "replace")
            expect(is_successful(outcome) or is_written_once(outcome), f"replacing gave {outcome}")
        try:
            rest = _read(source, 1000, len(old))
        except OSError:
            return
        expect(start + rest == old, f"what was open became another when it was {how}d")
    finally:
        source.close()


_MODES: st.SearchStrategy[IfExists] = st.sampled_from(("fail", "replace", "skip"))
_LENGTHS = st.sampled_from((0, 1, 1000, 4096, 65_537, 1_048_577))
_CUTS = st.lists(st.sampled_from((0, 1, 500, 4096, 60_000)), max_size=3).map(tuple)
_ANYWHERE = st.tuples(
    st.sampled_from((0, 10, 70_000)), st.sampled_from((0, 5, 65_536, 99_999)), st.integers(0, 20)
)
_NEEDS = ("put", "get")

BYTE_LAWS = (
    store_law("bytes come back as they were put", _NEEDS, st.tuples(_LENGTHS, _CUTS), _come_back),
    store_law("bytes are read at any position", _NEEDS, _ANYWHERE, _are_read_anywhere, 0.3),
    store_law(
        "if_exists decides what becomes of bytes that were there",
        _NEEDS,
        _MODES,
        _decide,
        0.05,
    ),
    store_law(
        "a put that breaks off leaves what was there",
        _NEEDS,
        st.tuples(
            st.sampled_from(("another", "OSError")),
            st.sampled_from((0, 10, 300_000)),
            st.booleans(),
        ),
        _leave_nothing,
        0.2,
    ),
    store_law("a put that is under way is not seen", _NEEDS, st.booleans(), _are_not_seen, 0.02),
    store_law("of two puts, one in the midst of the other, one wins", _NEEDS, st.none(), _one_wins),
    store_law(
        "what is open keeps its bytes when it is replaced or deleted",
        _NEEDS,
        st.sampled_from(("replace", "delete")),
        _keep_what_was_open,
        0.05,
    ),
)
"""Laws of `get` and `put`."""
