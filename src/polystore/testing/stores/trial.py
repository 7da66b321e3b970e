"""A trial: a new store, opened by a dispatcher of its own, and what laws ask of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar, cast

from attrs import frozen

from polystore.core.errors import NotFound, UnsupportedOperation
from polystore.core.item import Item, Metadata, Saved
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import Payload
from polystore.core.records import Backend, ByteStore, Child, IfExists, Place, Reach, Stat, Store
from polystore.core.registry import Record, Registry
from polystore.discover import default_registry
from polystore.dispatch import Dispatcher
from polystore.steps.load import Load
from polystore.steps.save import Save
from polystore.testing.expect import done, expect, refused, word_of
from polystore.testing.law import Law, Make
from polystore.testing.sameness import difference
from polystore.testing.stores.standins import STAND_INS, StandIn
from polystore.testing.stores.wording import expect_other_configs, told_of_listing

if TYPE_CHECKING:
    from hypothesis import strategies as st

__all__ = [
    "STAND_INS",
    "StandIn",
    "Trial",
    "is_written_once",
    "reaches_out",
    "registry_with",
    "stand_in",
    "store_law",
    "trial_of",
]

E = TypeVar("E")
T = TypeVar("T")

KEYS_MAX = 100_000
"""Keys, and pages of them, after which a listing counts as endless: no law saves as many."""


@lru_cache(maxsize=8)
def registry_with(record: Record) -> Registry:
    """Give the default registry with the record in it, instead of one of the same key."""
    return done(default_registry().replacing(record), "registering the record")


@frozen
class Trial:
    """A store under trial. `key` and `payload` give what it takes, by a letter and by a number.

    What a function of the record raises, or gives that is no outcome, breaks the law.
    """

    record: Record
    make: Make
    config: Store[Payload, Payload]
    dispatcher: Dispatcher
    backend: Backend[object, object]
    handle: object

    @property
    def kind(self) -> StandIn:
        """The payloads that stand for any in this store."""
        return stand_in(self.record, self.make)

    def beside(self, config: object, dispatcher: Dispatcher) -> Trial:
        """Give the trial of a config, on a dispatcher, which has handles of its own."""
        opened = done(dispatcher.open(config), f"opening {config!r}")
        store = cast("Store[Payload, Payload]", config)
        backend, handle = opened.backend, opened.handle
        return Trial(self.record, self.make, store, dispatcher, backend, handle)

    @contextmanager
    def reopened(self) -> Generator[Trial]:
        """Give the trial of the same config, with a handle of its own."""
        dispatcher = Dispatcher(registry_with(self.record))
        try:
            yield self.beside(self.config, dispatcher)
        finally:
            dispatcher.pool.close()

    def key(self, words: str) -> str:
        """Give a key with a suffix that the store knows, at each of its parts.

        Every part may then be a folder or a file: `"a/b"` is `"a.npy/b.npy"`.
        """
        return "/".join(part + self.kind.suffix for part in words.split("/"))

    def payload(self, number: int) -> Payload:
        """Give a payload; another for each number."""
        return self.kind.payload(number)

    def save(
        self,
        key: str,
        payload: Payload,
        if_exists: IfExists = "fail",
        metadata: Metadata = Metadata(),
    ) -> Outcome[Saved]:
        """Save under a key, as users do."""
        outcome = self.dispatcher.run(Save(self.config, if_exists), Item(key, payload, metadata))
        word_of(outcome, f"saving under {key!r}")
        return outcome

    def load(self, key: str) -> Outcome[Item[Payload]]:
        """Load what is under a key, as users do."""
        outcome = self.dispatcher.run(Load[Payload](self.config), key)
        if not word_of(outcome, f"loading {key!r}"):
            found = outcome.unwrap().key
            expect(found == key, f"loading {key!r} gave an item whose key is {found!r}")
        return outcome

    def replace(self, key: str, payload: Payload) -> bool:
        """Save over what is under a key; False where that is refused, and what was there is there.

        A store whose keys are written once refuses it by `UnsupportedOperation`.
        """
        before = self.load(key)
        outcome = self.save(key, payload, "replace")
        if not (is_successful(before) and is_written_once(outcome)):
            done(outcome, f"replacing {key!r}")
            return True
        self.expect_under(key, before.unwrap().payload)
        return False

    def fill(self, *words: str) -> dict[str, Payload]:
        """Save a payload under each of the keys, and give them; where it cannot, the law fails."""
        return self.fill_under(*map(self.key, words))

    def fill_under(self, *keys: str) -> dict[str, Payload]:
        """Save a payload under each of these keys, which end with the suffix, and give them."""
        filled = {key: self.payload(number) for number, key in enumerate(keys)}
        for key, payload in filled.items():
            done(self.save(key, payload), f"saving under {key!r}")
        return filled

    def expect_under(self, key: str, wanted: Payload) -> None:
        """Expect that a load of the key gives just this."""
        found = done(self.load(key), f"loading {key!r}").payload
        differs = difference(wanted, found)
        expect(differs is None, f"what was saved under {key!r} came back otherwise: {differs}")

    def expect_nothing(self, key: str) -> None:
        """Expect that nothing is under the key, whoever is asked."""
        refused(self.load(key), f"loading {key!r}, where nothing is,", NotFound)
        if self.backend.stat is not None:
            refused(self.stat(key), f"stat of {key!r}, where nothing is,", NotFound)
        if self.backend.list is not None:
            expect(key not in self.every_key(), f"{key!r} is listed, where nothing is,")

    def stat(self, key: str) -> Outcome[Stat]:
        """Say what stands under a key."""
        outcome = _there(self.backend.stat)(self.handle, Key(key))
        word_of(outcome, f"stat of {key!r}")
        return outcome

    def delete(self, key: str) -> Outcome[None]:
        """Delete what is under a key."""
        outcome = _there(self.backend.delete)(self.handle, Key(key))
        word_of(outcome, f"deleting {key!r}")
        return outcome

    def move(self, old: str, new: str, if_exists: IfExists = "fail") -> Outcome[bool]:
        """Move what is under a key."""
        outcome = _there(self.backend.move)(self.handle, Key(old), Key(new), if_exists)
        word_of(outcome, f"moving {old!r} to {new!r}")
        return outcome

    def make_folder(self, folder: str) -> Outcome[None]:
        """Make a folder."""
        outcome = _there(self.backend.make_folder)(self.handle, Key(folder))
        word_of(outcome, f"making the folder {folder!r}")
        return outcome

    def link(self, key: str, target: str, if_exists: IfExists = "fail") -> Outcome[bool]:
        """Make a link to another key of this store."""
        place = Place(self.config, target)
        outcome = _there(self.backend.link)(self.handle, Key(key), place, if_exists)
        word_of(outcome, f"linking {key!r} to {target!r}")
        return outcome

    def listing(self, folder: str = "") -> Outcome[tuple[str, ...]]:
        """Give the keys below a folder, or the first error among its pages."""
        pages = _joined(_there(self.backend.list)(self.handle, folder), f"listing {folder!r}")
        return pages.map(lambda keys: tuple(map(str, keys)))

    def every_key(self, folder: str = "") -> frozenset[str]:
        """Give the keys below a folder, each of which must be listed once; none if it is not there.

        A store that was never saved to may not be there yet.
        """
        outcome = self.listing(folder)
        if not is_successful(outcome) and isinstance(outcome.failure(), NotFound):
            return frozenset()
        listed = done(outcome, f"listing {folder!r}")
        twice = sorted({key for key in listed if listed.count(key) > 1}) if listed else []
        expect(not twice, f"listed more than once: {twice}")
        return frozenset(listed)

    def expect_listed(self, wanted: Iterable[str], when: str = "") -> None:
        """Expect that just these keys are listed, if the store lists."""
        if self.backend.list is None:
            return
        found, keys = set(self.every_key()), set(wanted)
        expect(found == keys, told_of_listing(found, keys, when))

    def children(self, folder: str = "") -> Outcome[tuple[Child, ...]]:
        """Give what stands directly in a folder, or the first error among the pages."""
        pages = _there(self.backend.children)(self.handle, folder)
        return _joined(pages, f"the children of {folder!r}")


def _there(function: Callable[..., T] | None) -> Callable[..., T]:
    """Give a function of a record that the law's `needs` say is there."""
    if function is None:
        raise AssertionError("the law needs a function that the record does not have")
    return function


def _joined(pages: Iterator[Outcome[tuple[T, ...]]], what: str) -> Outcome[tuple[T, ...]]:
    found: list[T] = []
    for number, page in enumerate(pages):
        word_of(page, what)
        if not is_successful(page):
            return Failure(page.failure())
        found.extend(page.unwrap())
        endless = max(number, len(found)) > KEYS_MAX
        expect(not endless, f"{what} does not end: {len(found)} keys in {number + 1} pages")
    return Success(tuple(found))


@contextmanager
def trial_of(record: Record, make: Make) -> Generator[Trial]:
    """Open a new store with a dispatcher of its own, and close it in the end."""
    __tracebackhide__ = True
    config = make()
    if not isinstance(record, (Backend, ByteStore)) or type(config) is not record.config:
        raise AssertionError(f"the maker gave {config!r}, which is no config of the record's")
    expect_other_configs(record, make)
    dispatcher = Dispatcher(registry_with(record))
    try:
        opened = done(dispatcher.open(config), f"opening {config!r}")
        store = cast("Store[Payload, Payload]", config)
        yield Trial(record, make, store, dispatcher, opened.backend, opened.handle)
    finally:
        dispatcher.pool.close()


@lru_cache(maxsize=64)
def stand_in(record: Record, make: Make) -> StandIn:
    """Give a kind of payload that stores of this record take: arrays, if they do.

    `AssertionError` if they take none of all kinds.
    """
    refusals: list[str] = []
    for kind in STAND_INS:
        with trial_of(record, make) as trial:
            saved = trial.save("a" + kind.suffix, kind.payload(1))
            if is_successful(saved):
                return kind
            refusals.append(f"{kind.suffix}: {saved.failure()}")
    raise AssertionError("the store takes no payload of any kind: " + "; ".join(refusals))


def is_written_once(outcome: Outcome[object]) -> bool:
    """Whether a store whose keys are written once refused to replace what is there."""
    return word_of(outcome, "replacing") == UnsupportedOperation.__name__


def reaches_out(record: Record, /) -> bool:
    """Whether others than this process see what is saved."""
    return isinstance(record, (Backend, ByteStore)) and record.reach is not Reach.PROCESS


def store_law(
    name: str,
    needs: tuple[str, ...],
    examples: st.SearchStrategy[E],
    holds: Callable[[Trial, E], None],
    share: float = 1.0,
) -> Law:
    """Give a law that is tried on a new store for each example."""

    def tried(record: Record, make: Make, example: object) -> None:
        __tracebackhide__ = True
        with trial_of(record, make) as trial:
            holds(trial, cast("E", example))

    return Law(name, needs, examples, tried, share)
