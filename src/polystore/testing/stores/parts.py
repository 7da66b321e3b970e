"""Laws of parts of arrays, of lazy arrays, of copies as stored, and of how an item was made."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, TypeAlias

from attrs import evolve
from hypothesis import strategies as st

from polystore.core.errors import AlreadyExists, NotFound
from polystore.core.item import Event, Item, Metadata
from polystore.core.key import Key
from polystore.core.outcome import is_successful
from polystore.core.payload import HostArray, LazyArray, is_host_array
from polystore.core.version import __version__
from polystore.steps.load import Load
from polystore.steps.rename import Rename
from polystore.steps.save import Save
from polystore.testing.expect import done, expect, refused
from polystore.testing.sameness import difference
from polystore.testing.stores.elsewhere import TURNS_OF_REPLAY, meanwhile
from polystore.testing.stores.trial import Trial, store_law

if TYPE_CHECKING:
    from polystore.core.item import Saved
    from polystore.core.outcome import Outcome
    from polystore.core.payload import Payload, Region

__all__ = ["PART_LAWS"]

_Ends: TypeAlias = "tuple[tuple[int, int], ...]"
"""Two numbers for each axis, which go round: where a region begins and ends."""

_PAIR = st.tuples(st.integers(0, 6000), st.integers(0, 6000))
_ENDS: st.SearchStrategy[_Ends] = st.tuples(_PAIR, _PAIR, _PAIR)


def _array(trial: Trial, number: int) -> HostArray | None:
    """Give an array that the store takes, several chunks long; `None` where it takes none."""
    payload = trial.kind.longer(number)
    return payload if is_host_array(payload) else None


def _region(shape: tuple[int, ...], ends: _Ends) -> Region:
    axes = zip(shape, ends * len(shape), strict=False)
    bounds = [sorted(end % (length + 1) for end in pair) for length, pair in axes]
    return tuple(slice(low, high) for low, high in bounds)


def _saved(trial: Trial, array: HostArray, metadata: Metadata = Metadata()) -> str:
    key = trial.key("a/b")
    done(trial.save(key, array, metadata=metadata), f"saving under {key!r}")
    return key


def _lazily(trial: Trial, key: str) -> LazyArray | None:
    """Give what is under a key lazily; `None` where this kind of content is not read in parts."""
    step: Load[LazyArray] = Load(trial.config, None, lazy=True)
    loaded = trial.dispatcher.run(step, key)
    return loaded.unwrap().payload if is_successful(loaded) else None


def _loads_the_slice(trial: Trial, ends: _Ends) -> None:
    array = _array(trial, 1)
    if array is None:
        return
    key, region = _saved(trial, array), _region(array.shape, ends)
    step = Load[HostArray](trial.config, region=region)
    found = done(trial.dispatcher.run(step, key), f"loading {region} of {key!r}").payload
    differs = difference(array[region], found)
    expect(differs is None, f"{region} of {key!r} is not the slice of the whole: {differs}")
    lazy = _lazily(trial, key)
    if lazy is not None:
        expect(lazy.spec.shape == array.shape, f"its lazy array has the shape {lazy.spec.shape}")
        part = done(lazy.read(region), f"reading {region} of {key!r}")
        differs = difference(array[region], part)
        expect(differs is None, f"{region} of the lazy {key!r} is not the slice: {differs}")


def _assigns(trial: Trial, ends: _Ends) -> None:
    array = _array(trial, 1)
    if array is None:
        return
    known = Metadata(attributes={"exposure": 1})
    key, region = _saved(trial, array, known), _region(array.shape, ends)
    kept = done(trial.load(key), f"loading {key!r}")
    part = _part_of(trial, region)
    wanted = array.copy()
    wanted[region] = part
    saved = done(_save_part(trial, key, part, region), f"saving {region} of {key!r}")
    told = (saved.key, saved.config, saved.status, saved.nbytes)
    expect(
        told == (key, trial.config, "written", part.nbytes), f"a part was saved, and gave {saved}"
    )
    trial.expect_under(key, wanted)
    found = done(trial.load(key), f"loading {key!r}")
    expect(found.metadata == kept.metadata, f"its metadata has become {found.metadata}")
    trial.expect_listed((key,), " after a part was saved")


def _part_of(trial: Trial, region: Region) -> HostArray:
    other = _array(trial, 2)
    if other is None:
        raise AssertionError("the store took an array, and now takes none")
    return other[region].copy()


def _save_part(trial: Trial, key: str, part: Payload, region: Region) -> Outcome[Saved]:
    return trial.dispatcher.run(Save(trial.config, "replace", None, region), Item(key, part))


def _refuses_other_parts(trial: Trial, ends: _Ends) -> None:
    array = _array(trial, 1)
    if array is None:
        return
    key, region = _saved(trial, array), _region(array.shape, ends)
    whole = tuple(slice(0, length) for length in array.shape)
    part = array[region].copy()
    wrong: list[tuple[str, HostArray, Region]] = [
        ("of another dtype", part.astype("c16"), region),
        ("of another number of axes", part[None], region),
        ("smaller than its region", array[:-1].copy(), whole),
    ]
    for what, payload, where in wrong:
        error = refused(_save_part(trial, key, payload, where), f"saving a part {what}")
        expect(error.key == key, f"the error of a part {what} names {error.key!r}")
        trial.expect_under(key, array)
    missing = trial.key("c")
    refused(_save_part(trial, missing, part, region), "saving a part of nothing", NotFound)
    trial.expect_nothing(missing)


def _reads_old_or_new(trial: Trial, _example: None) -> None:
    arrays = _array(trial, 1), _array(trial, 2)
    if arrays[0] is None or arrays[1] is None:
        return
    old, new = arrays[0], arrays[1]
    key = _saved(trial, old)
    region = tuple(slice(length // 4, length - length // 4) for length in old.shape)
    changed = old.copy()
    changed[region] = new[region]
    wholes, turns = (old, changed), count(1)

    def write() -> None:
        part = wholes[next(turns) % 2][region].copy()
        done(_save_part(trial, key, part, region), f"saving {region} of {key!r}")

    with meanwhile(write, f"saving parts of {key!r}") as looks:
        for _ in looks:
            loaded = done(trial.load(key), f"loading {key!r} while a part is saved").payload
            differs = [difference(whole, loaded) for whole in wholes]
            expect(None in differs, f"a reader beside it saw neither of both: {differs}")


def _stays_as_it_was(trial: Trial, example: tuple[str, _Ends]) -> None:
    change, ends = example
    array = _array(trial, 1)
    if array is None:
        return
    key, region = _saved(trial, array), _region(array.shape, ends)
    lazy = _lazily(trial, key)
    if lazy is None or not _changed(trial, key, change):
        return
    part = lazy.read(region)
    if not is_successful(part):
        refused(part, f"reading what was there before it was {change}d")
        return
    differs = difference(array[region], part.unwrap())
    expect(differs is None, f"it was {change}d after it was loaded, and read otherwise: {differs}")


def _changed(trial: Trial, key: str, change: str) -> bool:
    """Change what is under a key; False where the store cannot."""
    if change == "delete":
        return trial.backend.delete is not None and is_successful(trial.delete(key))
    return trial.replace(key, trial.kind.longer(3))


def _copies(trial: Trial, if_exists: str) -> None:
    copy = trial.backend.copy
    if copy is None:
        raise AssertionError("the law needs a function that the record does not have")
    key, new = trial.key("a/b"), Key(trial.key("c/d"))
    history = _history(trial, "x")
    item = Item(key, trial.payload(1), Metadata(attributes={"exposure": 1}), history)
    done(trial.dispatcher.run(Save(trial.config), item), f"saving under {key!r}")
    done(trial.save(new, trial.payload(2)), f"saving under {new!r}")
    refused(copy(trial.handle, Key(key), trial.handle, new, "fail"), "a copy", AlreadyExists)
    skipped = done(copy(trial.handle, Key(key), trial.handle, new, "skip"), "a copy")
    expect(skipped is False, f"a copy to what is there, to be skipped, gave {skipped!r}")
    trial.expect_under(new, trial.payload(2))
    target = new if if_exists == "replace" else Key(trial.key("e"))
    copied = copy(trial.handle, Key(key), trial.handle, target, "replace")
    if if_exists == "replace" and not is_successful(copied):
        trial.expect_under(new, trial.payload(2))
        return
    expect(done(copied, "a copy") is True, f"a copy gave {copied}")
    was, found = (done(trial.load(it), f"loading {it!r}") for it in (key, target))
    differs = difference(was.payload, found.payload)
    expect(differs is None, f"the copy is not what was copied: {differs}")
    expect(found.metadata == was.metadata, f"the copy has the metadata {found.metadata}")
    differ = _steps(found) != _steps(was)
    expect(not differ, f"the copy has the history {_steps(found)}, and not {_steps(was)}")
    trial.expect_listed({key, new, target}, " after a copy")
    missing = Key(trial.key("g"))
    refused(copy(trial.handle, missing, trial.handle, target, "replace"), "of nothing", NotFound)


def _steps(item: Item[Payload]) -> list[tuple[str, object]]:
    """Give what is in a history before it was loaded just now."""
    return [(event.key, event.step) for event in item.history[:-1]]


def _history(trial: Trial, prefix: str) -> tuple[Event, ...]:
    load: Load[object] = Load(trial.config)
    renamed = Event(f"{prefix}/raw", Rename(prefix=f"{prefix}/"), 1, __version__)
    return (Event("raw", load, 1, __version__), renamed)


def _knows_how(trial: Trial, prefix: str) -> None:
    made_by = trial.backend.made_by
    if made_by is None:
        raise AssertionError("the law needs a function that the record does not have")
    key, history = Key(trial.key("a")), _history(trial, "x")
    item = Item(str(key), trial.payload(1), Metadata(), history)
    done(trial.dispatcher.run(Save(trial.config), item), f"saving under {key!r}")
    asked = {
        "its own history": (history, True),
        "the end of its history": (history[1:], True),
        "its history, in other sizes": (tuple(evolve(it, nbytes=9) for it in history), True),
        "other steps": (_history(trial, f"{prefix}y"), False),
        "another source": ((evolve(history[0], key="other"), history[1]), False),
        "a step more": ((*history, history[1]), False),
    }
    for what, (events, wanted) in asked.items():
        found = done(made_by(trial.handle, key, events), f"asking for {what}")
        expect(found is wanted, f"asked whether {key!r} was made by {what}, it gave {found!r}")
    missing = Key(trial.key("b"))
    refused(made_by(trial.handle, missing, history), "asking of nothing", NotFound)


_ALL = (
    store_law(
        "a part of an array is the slice of the whole",
        ("save", "load", "load_lazy"),
        _ENDS,
        _loads_the_slice,
        0.5,
    ),
    store_law(
        "what is saved to a part is assigned to it, and the rest stays",
        ("save", "load", "save_region"),
        _ENDS,
        _assigns,
        0.5,
    ),
    store_law(
        "what does not fit a part is refused and changes nothing",
        ("save", "load", "save_region"),
        _ENDS,
        _refuses_other_parts,
        0.1,
    ),
    store_law(
        "a lazy array reads what was there when it was made",
        ("save", "load", "load_lazy"),
        st.tuples(st.sampled_from(("delete", "replace")), _ENDS),
        _stays_as_it_was,
        0.2,
    ),
    store_law(
        "a copy as it is stored is the item",
        ("save", "load", "copy"),
        st.sampled_from(("fail", "replace")),
        _copies,
        0.1,
    ),
    store_law(
        "a store that notes how an item was made knows it",
        ("save", "load", "made_by"),
        st.sampled_from(("", "z")),
        _knows_how,
        0.1,
    ),
)

_BESIDE = store_law(
    "a reader beside the save of a part sees the old or the new",
    ("save", "load", "save_region"),
    st.none(),
    _reads_old_or_new,
)

PART_LAWS = (*_ALL, evolve(_BESIDE, turns=TURNS_OF_REPLAY))
"""Laws of parts of arrays, of lazy arrays, of copies as stored, and of histories."""
