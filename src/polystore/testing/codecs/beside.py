"""The law of formats that speaks of threads: batches decode several files at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attrs import field, frozen

from polystore.core.outcome import Outcome, is_successful
from polystore.core.records import Codec, Decoded, Limits, Readable, readable_of
from polystore.testing.codecs.damage import twins_of
from polystore.testing.codecs.trips import on_host, plain
from polystore.testing.expect import expect
from polystore.testing.sameness import difference
from polystore.testing.stores.elsewhere import Work, started

__all__ = ["decodes_beside_another"]


@frozen(eq=False)
class _Interrupted:
    """A source that has something done in another thread, just after one of its reads."""

    inner: Readable
    read: int
    action: Callable[[], Outcome[Decoded[object]]]
    reads: list[int] = field(factory=list[int])
    works: list[Work[Outcome[Decoded[object]]]] = field(
        factory=list[Work[Outcome[Decoded[object]]]]
    )

    def source(self) -> Readable:
        """Give what a decoder reads."""
        return Readable(self.inner.size, self._read_into, self.inner.close)

    def _read_into(self, offset: int, buffer: memoryview, /) -> int:
        count = self.inner.read_into(offset, buffer)
        self.reads.append(offset)
        if len(self.reads) == self.read + 1:
            work = started(self.action)
            self.works.append(work)
            work.glance()  # a decoder may let no other begin before it ends
        return count


def decodes_beside_another(codec: Codec[object], example: tuple[int, int]) -> None:
    """Expect of files that are decoded at once what each is when it is decoded alone.

    One decodes as a whole in another thread, right after one of the other's reads: no chance is in
    it. All is done in threads: what a library is told may be of one thread only (JAX's 64 bits).
    """
    twins = twins_of(codec)
    number, read = example
    one, two = twins[number % len(twins)]
    first, second = (partial(_decoded, codec, content) for content in (one, two))
    alone = [started(each).result("decoding") for each in (first, second)]
    midst = _Interrupted(readable_of(one), read, second)
    outer = started(lambda: codec.decode(midst.source(), Limits())).result("decoding")
    _same(alone[0], outer, "in its midst another file was decoded, and it is another")
    for work in midst.works:
        _same(alone[1], work.result("decoding"), "in the midst of another, it is another")


def _decoded(codec: Codec[object], content: bytes) -> Outcome[Decoded[object]]:
    return codec.decode(readable_of(content), Limits())


def _same(was: Outcome[Decoded[object]], now: Outcome[Decoded[object]], what: str) -> None:
    if not is_successful(was):
        kinds = type(was.failure()).__name__
        same_kind = not is_successful(now) and type(now.failure()) is type(was.failure())
        expect(same_kind, f"{what}: alone it was {kinds}, and now {now!r}")
        return
    expect(is_successful(now), f"{what}: alone it was decoded, and now it is {now!r}")
    before, after = (plain(on_host(it.unwrap().payload)) for it in (was, now))
    found = difference(before, after)
    expect(found is None, f"{what}: {found}")
    expect(was.unwrap().metadata == now.unwrap().metadata, f"{what}: its metadata is another's")
