"""Laws of failures: each is a value that says what and where, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

from hypothesis import strategies as st

from polystore.batch import map_keys
from polystore.core.errors import AlreadyExists, NotFound, StorageError, UnsupportedPayload
from polystore.core.item import Item
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import ArraySpec, HostArray, LazyArray, Region
from polystore.core.records import SaveOptions
from polystore.steps.compose import Pipeline
from polystore.steps.load import Load
from polystore.steps.save import Save
from polystore.testing.arrays import ArrayExample
from polystore.testing.expect import done, expect, refused, word_of
from polystore.testing.sameness import difference
from polystore.testing.samples import payloads
from polystore.testing.stores.trial import Trial, store_law

if TYPE_CHECKING:
    from polystore.core.item import Saved
    from polystore.core.payload import Payload
    from polystore.testing.samples import Sample

__all__ = ["FAILING_LAWS"]

_Call: TypeAlias = Callable[[], Outcome[object]]


def _calls_on_missing(trial: Trial, key: Key) -> Iterator[tuple[str, _Call]]:
    """Give what can be asked of a key under which nothing is, for the functions that are there."""
    backend, handle = trial.backend, trial.handle
    for name, reader in (("load", backend.load), ("load_lazy", backend.load_lazy)):
        if reader is not None:
            yield name, partial(reader, handle, key, None)
    for name, asked in (("get", backend.get), ("stat", backend.stat), ("delete", backend.delete)):
        if asked is not None:
            yield name, partial(asked, handle, key)
    if backend.move is not None:
        yield "move", partial(backend.move, handle, key, Key(trial.key("new")), "fail")


def _says_what_is_missing(trial: Trial, words: str) -> None:
    filled = trial.fill("b/c") if trial.backend.save is not None else {}
    key = Key(trial.key(words) if filled else words)
    for name, call in _calls_on_missing(trial, key):
        error = refused(call(), f"{name} of {key!r}, where nothing is,")
        # A format that is not read lazily says so first.
        expect(name == "load_lazy" or isinstance(error, NotFound), f"{name} gave {error!r}")
        _expect_told(trial, error, key, name)
    if filled:
        trial.expect_listed(filled, " after failures")


def _expect_told(trial: Trial, error: StorageError, key: str, name: str) -> None:
    """Expect that an error says what, where, and what to do; the dispatcher adds the config."""
    codec = name == "load_lazy" and error.key == ""  # codecs know no key
    expect(error.key == key or codec, f"the error of {name} names {error.key!r}, not {key!r}")
    known = error.config is None or error.config == trial.config
    expect(known, f"the error of {name} names {error.config!r}, not the store")
    expect(bool(error.message.strip()), f"the error of {name} has no message: {error!r}")
    expect(bool(error.advice.strip()), f"the error of {name} has no advice: {error!r}")


def _says_what_is_in_the_way(trial: Trial, number: int) -> None:
    (key,) = trial.fill("a")
    save = trial.backend.save
    if save is None:
        return
    item: Item[Payload] = Item(key, trial.payload(number))
    outcome = save(trial.handle, Key(key), item, SaveOptions("fail"))
    error = refused(outcome, f"saving under {key!r}, which exists", AlreadyExists)
    _expect_told(trial, error, key, "save")


def _list_of_itself() -> list[object]:
    found: list[object] = []
    found.append(found)
    return found


_ODD: dict[str, Callable[[], object]] = {
    "an object": object,
    "a set": lambda: {1, 2},
    "a function": lambda: len,
    "a class": lambda: int,
    "a generator": lambda: (number for number in range(3)),
    "a number beyond 64 bits": lambda: 2**100,
    "a NaN": lambda: float("nan"),
    "a lone surrogate": lambda: "\ud800",
    "a mapping of numbers": lambda: {1: 2},
    "bytes": lambda: b"bytes",
    "a list of itself": _list_of_itself,
    "an array of objects": lambda: ArrayExample("O", (2,)).array(),
}


def _takes_or_refuses(trial: Trial, example: tuple[str, str]) -> None:
    word, suffix = example
    key = "a" + suffix
    item = Item(key, cast("Payload", _ODD[word]()))
    saved = trial.dispatcher.run(Save(trial.config), item)
    what = f"saving {word} under {key!r}"
    if word_of(saved, what) == "":
        trial.load(key)  # an outcome, whatever it is
        return
    _expect_told(trial, saved.failure(), key, "save")
    trial.expect_nothing(key)


def _refuses_foreign_options(trial: Trial, _example: None) -> None:
    key = trial.key("a")
    step = Save(trial.config, "fail", options=trial)
    saved = trial.dispatcher.run(step, Item(key, trial.payload(1)))
    refused(saved, "saving with options of a class that nobody knows", UnsupportedPayload)
    trial.expect_nothing(key)


def _lazily(array: HostArray, rows: int, raises: bool) -> LazyArray:
    """Give a lazy array of which only the first rows can be read."""

    def read(region: Region) -> Outcome[HostArray]:
        if region[0].stop is None or region[0].stop > rows:
            if raises:
                raise ArithmeticError("the rows cannot be made")
            return Failure(_unmade())
        return Success(array[region].copy())

    blocks = (1, *array.shape[1:])
    return LazyArray(ArraySpec(array.shape, array.dtype.str, (), blocks), read)


def _unmade() -> StorageError:
    return UnsupportedPayload("", None, "The rows cannot be made.", "Make them first.")


_ROWS = 20


def _leaves_nothing(trial: Trial, example: tuple[int, bool, bool]) -> None:
    """Save a lazy array that cannot be read to its end."""
    rows, raises, replaces = example
    key, array = trial.key("a"), ArrayExample("|u1", (_ROWS, 5003), seed=1).array()
    if replaces:
        trial.fill("a")
    lazy = _lazily(array, rows, raises)
    outcome = trial.dispatcher.run(Save(trial.config, "replace"), Item(key, lazy))
    expect(not is_successful(outcome), f"an array of which {rows} rows can be read was saved")
    if replaces:
        trial.expect_under(key, trial.payload(0))
        trial.expect_listed((key,), " after a save that failed")
    else:
        trial.expect_nothing(key)
        trial.expect_listed((), " after a save that failed")
    replaced = trial.replace(key, trial.payload(3))
    trial.expect_under(key, trial.payload(3 if replaced else 0))


def _saves_lazy(trial: Trial, rows: int) -> None:
    key, array = trial.key("a"), ArrayExample("|u1", (rows, 3), seed=1).array()
    saved = trial.save(key, _lazily(array, rows, raises=False))
    if is_successful(saved):
        trial.expect_under(key, array)
    else:
        trial.expect_nothing(key)


def _reads_regions(trial: Trial, example: tuple[tuple[int, int, int], ...]) -> None:
    """Read a region lazily: the example has, by axis, a length, and where the region lies."""
    array = ArrayExample("<u2", tuple(length for length, _, _ in example), seed=1).array()
    region = tuple(slice(*sorted((one, other))) for _, one, other in example)
    for suffix in (".npy", ".tif"):
        key = "a" + suffix
        if not is_successful(trial.save(key, array)):
            continue
        lazily: Load[LazyArray] = Load(trial.config, None, lazy=True)
        opened = trial.dispatcher.run(lazily, key)
        if word_of(opened, f"loading {key!r} lazily"):
            continue
        lazy = opened.unwrap().payload
        expect(lazy.spec.shape == array.shape, f"the shape of {key!r} is {lazy.spec.shape}")
        found = done(lazy.read(region), f"reading {region} of {key!r}")
        differs = difference(array[region], found)
        expect(differs is None, f"{region} of {key!r}, of shape {array.shape}: {differs}")
        other = ArrayExample("<u2", array.shape, seed=2).array()
        trial.replace(key, other)
        again = lazy.read(region)
        word_of(again, f"reading {region} of {key!r}, which was replaced")
        old = again.map(lambda it: difference(array[region], it)).value_or(None)
        expect(old is None, f"{region} of {key!r}, read after it was replaced: {old}")


@st.composite
def _regions(draw: st.DrawFn) -> tuple[tuple[int, int, int], ...]:
    lengths = draw(st.lists(st.integers(1, 5), min_size=2, max_size=3))
    inside = [(it, draw(st.integers(0, it)), draw(st.integers(0, it))) for it in lengths]
    return tuple(inside)


def _batches(trial: Trial, samples: list[Sample]) -> None:
    """Save and load in batches, and one by one: keys that fail are among them."""
    keys = [f"{number}{sample.suffix}" for number, sample in enumerate(samples)]
    items = [Item(key, sample.payload()) for key, sample in zip(keys, samples, strict=True)]
    saving: Pipeline[Item[Payload], Saved] = Pipeline((Save(trial.config),))
    for item, saved in map_keys(trial.dispatcher, saving, items):
        if word_of(saved, f"saving {item.key!r} in a batch"):
            trial.expect_nothing(item.key)
        else:
            trial.expect_under(item.key, item.payload)
    loading: Pipeline[str, Item[Payload]] = Pipeline((Load[object](trial.config),))
    asked = [*keys, "missing.npy", "../no key"]
    found = list(map_keys(trial.dispatcher, loading, asked))
    expect([key for key, _ in found] == asked, f"asked for {asked}, the batch gave {found}")
    for key, outcome in found:
        single = trial.load(key)
        word, wanted = word_of(outcome, key), word_of(single, key)
        expect(
            word == wanted, f"in a batch {key!r} is {word or 'there'}; alone {wanted or 'there'}"
        )
        if is_successful(single) and is_successful(outcome):
            differs = difference(single.unwrap().payload, outcome.unwrap().payload)
            expect(differs is None, f"in a batch, {key!r} is another than alone: {differs}")


_NOTHING = st.none()
_SUFFIXES = st.sampled_from((".npy", ".json", ".txt", ".npz", ".csv"))
_HALF_WAY = st.tuples(st.sampled_from((0, 1, _ROWS - 1)), st.booleans(), st.booleans())

FAILING_LAWS = (
    store_law(
        "what is missing is an error that names the key",
        ("load",),
        st.sampled_from(("a", "b/a", "b/c2", "a/a")),
        _says_what_is_missing,
        0.1,
    ),
    store_law(
        "what is in the way is an error that names the key",
        ("save", "load"),
        st.integers(0, 1),
        _says_what_is_in_the_way,
        0.02,
    ),
    store_law(
        "a store takes any payload, or refuses it by a typed error",
        ("save", "load"),
        st.tuples(st.sampled_from(tuple(_ODD)), _SUFFIXES),
        _takes_or_refuses,
    ),
    store_law(
        "options that a store does not know are refused",
        ("save", "load"),
        _NOTHING,
        _refuses_foreign_options,
    ),
    store_law(
        "a save that fails half-way leaves what was there",
        ("save", "load"),
        _HALF_WAY,
        _leaves_nothing,
        0.2,
    ),
    store_law(
        "a lazy array is saved as what it reads",
        ("save", "load"),
        st.sampled_from((1, 2, 7)),
        _saves_lazy,
        0.05,
    ),
    store_law(
        "what is read lazily is what is loaded, also when it is replaced",
        ("save", "load", "load_lazy"),
        _regions(),
        _reads_regions,
        0.2,
    ),
    store_law(
        "a batch is its items one by one",
        ("save", "load"),
        st.lists(payloads(), max_size=4),
        _batches,
        0.1,
    ),
)
"""Laws of what goes wrong."""
