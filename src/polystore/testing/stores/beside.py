"""Laws of readers and writers at the same time, in the threads of one process."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from attrs import evolve
from hypothesis import strategies as st

from polystore.core.errors import AlreadyExists, NotFound
from polystore.core.item import Item
from polystore.core.key import Key
from polystore.core.outcome import is_successful
from polystore.core.records import SaveOptions
from polystore.testing.expect import done, expect, refused
from polystore.testing.sameness import difference
from polystore.testing.stores.elsewhere import (
    SHORT_GLANCE_S,
    TURNS_OF_REPLAY,
    Work,
    at_once,
    interrupted,
    meanwhile,
    started,
    switching,
)
from polystore.testing.stores.stepping import LINES_MAX, stopped_at
from polystore.testing.stores.trial import Trial, store_law

if TYPE_CHECKING:
    from collections.abc import Callable

    from polystore.core.item import Saved
    from polystore.core.outcome import Outcome
    from polystore.core.payload import Payload

__all__ = ["BESIDE_LAWS"]


def _long(trial: Trial, number: int) -> Payload:
    """Give a payload that is not written in one go, where the store takes arrays."""
    return trial.kind.longer(number)


def _one_wins(trial: Trial, writers: int) -> None:
    for turn in range(3):
        key = trial.key(f"a/{turn}")
        saves = [partial(trial.save, key, trial.payload(number)) for number in range(writers)]
        outcomes = at_once(saves, f"saving under {key!r}")
        winners = [number for number, outcome in enumerate(outcomes) if is_successful(outcome)]
        expect(len(winners) == 1, f"of {writers} writers at once under {key!r}, {winners} won")
        for outcome in outcomes[: winners[0]] + outcomes[winners[0] + 1 :]:
            refused(outcome, f"saving under {key!r}, beside the winner", AlreadyExists)
        trial.expect_under(key, trial.payload(winners[0]))
    if writers == 2:
        _one_wins_at_each_line(trial)


def _one_wins_at_each_line(trial: Trial) -> None:
    """Save under a key between any two lines of a save under it: one of the two must fail."""
    for line in range(LINES_MAX):
        key, inner = trial.key(f"b/{line}"), list[Work["Outcome[Saved]"]]()

        def save_too(key: str = key, inner: list[Work[Outcome[Saved]]] = inner) -> None:
            inner.append(started(partial(trial.save, key, trial.payload(2))))
            inner[0].glance(SHORT_GLANCE_S)

        outer = started(partial(stopped_at, _bare_save(trial, key), line, save_too, trial.record))
        what = f"saving under {key!r}"
        outcomes = [outer.result(what)]
        if not inner:  # it has fewer lines
            return
        outcomes.append(inner[0].result(what))
        winners = [number for number, outcome in enumerate(outcomes, 1) if is_successful(outcome)]
        expect(
            len(winners) == 1,
            f"of two writers under {key!r}, one between two lines of the other's save: {winners} "
            "won; look whether the key is free, and take it, in one step",
        )
        trial.expect_under(key, trial.payload(winners[0]))


def _bare_save(trial: Trial, key: str) -> Callable[[], Outcome[Saved]]:
    """Give the record's own save, without the dispatcher's lines."""
    save = trial.backend.save
    if save is None:
        raise AssertionError("the law needs a save that the record does not have")
    item = Item(key, trial.payload(1))
    return partial(save, trial.handle, Key(key), item, SaveOptions("fail"))


def _all_are_kept(trial: Trial, writers: int) -> None:
    for turn in range(3):
        keys = [trial.key(f"a/{turn}{number}") for number in range(writers)]
        saves = [partial(trial.save, key, trial.payload(it)) for it, key in enumerate(keys)]
        for key, outcome in zip(keys, at_once(saves, "saving under several keys"), strict=True):
            done(outcome, f"saving under {key!r}, beside writers of other keys,")
        for number, key in enumerate(keys):
            trial.expect_under(key, trial.payload(number))


def _one_of_two_wins(trial: Trial, _example: None) -> None:
    """Save under a key in the midst of a save under it: one of the two must fail."""
    key, inner = trial.key("a"), list[Work["Outcome[Saved]"]]()

    def save_too() -> None:
        inner.append(started(partial(trial.save, key, _long(trial, 2))))
        inner[0].glance()

    lazy = interrupted(_long(trial, 1), save_too)
    outer = trial.save(key, lazy) if lazy is not None else None
    if outer is None or not inner:  # a store may refuse lazy arrays
        return
    outcomes = (outer, inner[0].result(f"saving under {key!r}"))
    winners = [number for number, outcome in enumerate(outcomes, 1) if is_successful(outcome)]
    expect(len(winners) == 1, f"of two writers under {key!r}, one in the midst: {winners} won")
    refused(outcomes[2 - winners[0]], f"saving under {key!r}, beside the winner", AlreadyExists)
    trial.expect_under(key, _long(trial, winners[0]))


def _reads_whole(trial: Trial, _example: None) -> None:
    key, wholes = trial.key("a/b"), (_long(trial, 1), _long(trial, 2))
    done(trial.save(key, wholes[0]), f"saving under {key!r}")
    if not trial.replace(key, wholes[1]):
        return

    turns = count()

    def write() -> None:
        done(trial.save(key, wholes[next(turns) % 2], "replace"), f"replacing {key!r}")

    with meanwhile(write, f"replacing {key!r}") as looks:
        for _ in looks:
            loaded = done(trial.load(key), f"loading {key!r} while it is replaced").payload
            differs = [difference(whole, loaded) for whole in wholes]
            expect(None in differs, f"a reader beside a writer saw neither of both: {differs}")
            trial.expect_listed((key,), " while it is replaced")


def _look(trial: Trial, key: str, before: Payload | None) -> None:
    """Look at a store while a save under the key is under way."""
    if before is None:
        refused(trial.load(key), f"loading {key!r} while it is saved", NotFound)
        if trial.backend.stat is not None:
            refused(trial.stat(key), f"stat of {key!r} while it is saved", NotFound)
    else:
        trial.expect_under(key, before)
    trial.expect_listed(() if before is None else (key,), " while a save is under way")
    if trial.backend.children is not None and before is not None:
        names = [child.key for child in done(trial.children(), "the children of ''")]
        expect(names == [key], f"shown are {names}, while {key!r} is saved")


def _is_not_seen(trial: Trial, replaces: bool) -> None:
    key, looks = trial.key("a"), list[Work[None]]()
    before = _long(trial, 1) if replaces else None
    if before is not None:
        done(trial.save(key, before), f"saving under {key!r}")

    def look() -> None:
        looks.append(started(partial(_look, trial, key, before)))
        looks[0].glance()

    lazy = interrupted(_long(trial, 2), look)
    saved = trial.save(key, lazy, "replace") if lazy is not None else None
    # One that had to wait for the save to end has nothing to say.
    if saved is not None and looks and not looks[0].thread.is_alive():
        looks[0].result(f"looking at {key!r}")
    if saved is not None and is_successful(saved):
        trial.expect_under(key, _long(trial, 2))


def _moves_at_once(trial: Trial, folder: bool) -> None:
    old, new = trial.key("a/b"), trial.key("c/b")
    trial.fill("a/b")
    pair = (trial.key("a"), trial.key("c")) if folder else (old, new)
    with switching():
        mover = started(lambda: trial.move(*pair))
        while True:
            over = not mover.thread.is_alive()
            gone = not is_successful(trial.load(old))
            there = is_successful(trial.load(new))
            expect(there or not gone, f"while {old!r} was moved, it was in neither place")
            left = there and is_successful(trial.load(old))
            expect(not left, f"while {old!r} was moved, it was in both places")
            if over:
                break
        done(mover.result(f"moving {pair}"), f"moving {pair}")


def _one_move_wins(trial: Trial, turns: int) -> None:
    """Move two files to one key at once: one of them is there then, and the other where it was."""
    for turn in range(turns):
        new, filled = trial.key(f"c/{turn}"), trial.fill(f"a/{turn}", f"b/{turn}")
        moves = [partial(trial.move, old, new) for old in filled]
        moved = dict(zip(filled, at_once(moves, f"moving to {new!r}"), strict=True))
        winners = [old for old, outcome in moved.items() if is_successful(outcome)]
        expect(len(winners) == 1, f"of two moves at once to {new!r}, those of {winners} won")
        for old, payload in filled.items():
            if old in winners:
                trial.expect_under(new, payload)
                trial.expect_nothing(old)
            else:
                refused(moved[old], f"moving {old!r} beside the winner", AlreadyExists)
                trial.expect_under(old, payload)


def _lists_beside_writers(trial: Trial, _example: None) -> None:
    """List while keys come and go: what stays is always listed, and once."""
    filled = trial.fill("a", "b/c", "d")
    key = trial.key("b/e")

    def write() -> None:
        for number in (5, 6):  # twice: the key is there for as long as the second save takes
            trial.replace(key, trial.payload(number))
        done(trial.delete(key), f"deleting {key!r}")

    with meanwhile(write, f"replacing {key!r}") as looks:
        for _ in looks:
            listed = trial.every_key()
            missing = set(filled) - listed
            expect(not missing, f"{sorted(missing)} are there, and not listed")
            more = listed - set(filled) - {key}
            expect(not more, f"{sorted(more)} are listed, and were never saved")


_NOTHING = st.none()

_ALL = (
    store_law(
        'of many writers at once, one wins under "fail"',
        ("save", "load"),
        st.sampled_from((2, 4, 8)),
        _one_wins,
        0.05,
    ),
    store_law(
        "of many writers at once under keys of their own, all are kept",
        ("save", "load"),
        st.sampled_from((2, 4)),
        _all_are_kept,
        0.05,
    ),
    store_law(
        "of two writers, one in the midst of the other, one wins",
        ("save", "load"),
        _NOTHING,
        _one_of_two_wins,
    ),
    store_law(
        "a reader beside a writer sees the old or the new, never a mixture",
        ("save", "load"),
        _NOTHING,
        _reads_whole,
    ),
    store_law(
        "a save that is under way is not seen",
        ("save", "load"),
        st.booleans(),
        _is_not_seen,
    ),
    store_law(
        "a listing beside a writer shows all that stays",
        ("save", "load", "list", "delete"),
        _NOTHING,
        _lists_beside_writers,
    ),
    store_law("a move is one step", ("save", "load", "move"), st.booleans(), _moves_at_once),
    store_law(
        "of two moves at once to one key, one wins, and nothing is lost",
        ("save", "load", "move"),
        st.just(10),
        _one_move_wins,
    ),
)

BESIDE_LAWS = tuple(evolve(law, turns=TURNS_OF_REPLAY) for law in _ALL)
"""Laws of what goes on at the same time."""
