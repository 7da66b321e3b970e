"""Laws of keys and listings: every key is its own, and a listing shows what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from polystore.core.errors import InvalidKey, NotADirectory, NotAFile, NotFound
from polystore.core.item import Item
from polystore.core.key import parse_key
from polystore.core.outcome import is_successful
from polystore.steps.load import Load
from polystore.steps.save import Save
from polystore.testing.expect import done, expect, refused, word_of
from polystore.testing.key_examples import CONFUSABLE, NO_KEYS, keys
from polystore.testing.stores.trial import Trial, store_law

if TYPE_CHECKING:
    from polystore.core.errors import StorageError
    from polystore.core.payload import Payload
    from polystore.core.records import IfExists

__all__ = ["NAMING_LAWS"]

_SOME_KEYS = st.lists(st.sampled_from(CONFUSABLE) | keys(), min_size=1, max_size=6, unique=True)


def _are_their_own(trial: Trial, words: list[str]) -> None:
    """Save under each key and load each: what a store cannot tell apart it has to refuse."""
    held: dict[str, Payload] = {}
    for number, word in enumerate(words):
        key = word + trial.kind.suffix
        payload = trial.payload(number)
        if not is_successful(parse_key(key)):  # too long, with the suffix
            continue
        if is_successful(trial.save(key, payload)):
            held[key] = payload
    for key, payload in held.items():
        trial.expect_under(key, payload)
    trial.expect_listed(held)


def _holds_all_confusable(trial: Trial, _example: None) -> None:
    """Try them as files and as folders: what trails a file's name is its suffix.

    They are no example, for then each broken law would print all of them twice.
    """
    _are_their_own(trial, [*CONFUSABLE, *(f"{word}/x" for word in CONFUSABLE)])


def _refuses(trial: Trial, text: str) -> None:
    filled = trial.fill("a")
    key = text.format(trial.kind.suffix)
    saved = trial.dispatcher.run(Save(trial.config, "replace"), Item(key, trial.payload(1)))
    refused(saved, f"saving under {key!r}", InvalidKey)
    _only_those(trial, filled)


def _refuses_to_load(trial: Trial, text: str) -> None:
    key = text.format(".npy")
    outcome = trial.dispatcher.run(Load[object](trial.config), key)
    error = refused(outcome, f"loading {key!r}", InvalidKey)
    expect(error.config == trial.config, f"the error names {error.config!r}, not the store")


def _only_those(trial: Trial, filled: dict[str, Payload]) -> None:
    for key, payload in filled.items():
        trial.expect_under(key, payload)
    trial.expect_listed(filled)


def _keeps_files_and_folders_apart(trial: Trial, names: tuple[str, str]) -> None:
    first, second = names
    filled = trial.fill(first)
    key = trial.key(second)
    below = second.startswith(f"{first}/")
    kind: type[StorageError] = NotADirectory if below else NotAFile
    for if_exists in _MODES:
        saved = trial.save(key, trial.payload(1), if_exists)
        refused(saved, f"saving under {key!r} ({if_exists}), beside {sorted(filled)}", kind)
    # What stands below a file is not there; what has something below it is no file.
    also: type[StorageError] = NotFound if below else NotAFile
    refused(trial.load(key), f"loading {key!r}, beside {sorted(filled)}", kind, also)
    _only_those(trial, filled)


def _fill(trial: Trial, words: tuple[str, ...]) -> dict[str, Payload]:
    """Save under keys whose last parts end with the suffix, and whose folders are as they are."""
    return trial.fill_under(*(word + trial.kind.suffix for word in words))


def _lists_a_folder(trial: Trial, words: tuple[str, ...]) -> None:
    filled = _fill(trial, words)
    folders = {"/".join(key.split("/")[:depth]) for key in filled for depth in range(1, 4)}
    for folder in sorted(folders - set(filled)):
        below = {key for key in filled if key.startswith(f"{folder}/")}
        found = set(done(trial.listing(folder), f"listing {folder!r}"))
        expect(
            found == below,
            f"below {folder!r}, listed are {sorted(found)}; saved were {sorted(below)}",
        )
    trial.expect_listed(filled)


def _lists_keys(trial: Trial, _example: None) -> None:
    for key in sorted(trial.every_key()):
        parsed = parse_key(key, reserved=trial.backend.reserved)
        expect(is_successful(parsed), f"{key!r} is listed, and is no key")
        if trial.backend.stat is not None:
            kind = done(trial.stat(key), f"stat of {key!r}, which is listed").kind
            expect(
                kind in ("file", "broken link"), f"{key!r} is listed as a file; stat says {kind}"
            )


def _lists_keys_of_what_was_saved(trial: Trial, words: tuple[str, ...]) -> None:
    if trial.backend.save is not None:
        _fill(trial, words)
    _lists_keys(trial, None)


def _shows_children(trial: Trial, words: tuple[str, ...]) -> None:
    """Compare `children`, folder by folder, with what is listed, and with what stat says."""
    filled = _fill(trial, words) if trial.backend.save is not None else {}
    listed, met, waiting = trial.every_key(), set[str](), [""]
    while waiting:
        folder = waiting.pop()
        found = done(trial.children(folder), f"the children of {folder!r}") if listed else ()
        for child in found:
            above = child.key.rpartition("/")[0]
            expect(above == folder, f"{child.key!r} is a child of {folder!r}")
            expect(child.key not in met, f"{child.key!r} is shown twice")
            if child.kind == "other":
                continue  # it is nothing of the store's, and so no law is about it
            expect(is_successful(parse_key(child.key)), f"{child.key!r} is shown, and is no key")
            met.add(child.key)
            if child.kind == "folder":
                waiting.append(child.key)
            if trial.backend.stat is not None and child.kind != "link":
                stat = done(trial.stat(child.key), f"stat of {child.key!r}, which is shown")
                expect(stat.kind == child.kind, f"{child} is shown, and stat says {stat.kind}")
    expect(listed <= met, f"listed and shown in no folder: {sorted(listed - met)}")
    folders = {"/".join(key.split("/")[:depth]) for key in filled for depth in range(1, 3)}
    expect(
        met <= listed | folders or not filled,
        f"shown and not there: {sorted(met - listed - folders)}",
    )


def _lists_many(trial: Trial, count: int) -> None:
    filled = trial.fill(*(f"{number % 7}/{number}" for number in range(count)))
    missing = set(filled) - trial.every_key()
    expect(not missing, f"of {count} keys, {len(missing)} are not listed: {sorted(missing)[:3]}...")
    expect(len(trial.every_key()) == count, f"of {count} keys, {len(trial.every_key())} are listed")


def _sees_nothing_new(trial: Trial, _example: None) -> None:
    trial.expect_listed(())
    trial.expect_nothing(trial.key("a"))


def _refuses_missing_folder(trial: Trial, folder: str) -> None:
    filled = trial.fill("a") if trial.backend.save is not None else {}
    outcome = trial.listing(trial.key(folder) if filled else folder)
    what = f"listing {folder!r}, beside {sorted(filled)}"
    if word_of(outcome, what) == "":
        expect(outcome.unwrap() == (), f"{what} gave {outcome.unwrap()}")
    else:
        refused(outcome, what, NotFound, NotADirectory)


_MODES: tuple[IfExists, ...] = ("fail", "replace", "skip")
_TREES = st.sampled_from(
    (
        ("a/b", "ab/c", "a.b/d"),
        ("a/b/c", "a/bb/c", "a/b2", "b/b/c"),
        ("a", "aa/b", "b/aa/c", "A/b"),
        ("a_/b", "a%/b", "aX/b", "a*/b", "a?/b", "a[b]/c"),
    )
)

NAMING_LAWS = (
    store_law("every key keeps its own content", ("save", "load"), _SOME_KEYS, _are_their_own),
    store_law(
        "keys that look alike are two keys, or one of them is refused",
        ("save", "load"),
        st.none(),
        _holds_all_confusable,
        0.01,
    ),
    store_law(
        "what is no key touches nothing", ("save", "load"), st.sampled_from(NO_KEYS), _refuses, 0.4
    ),
    store_law(
        "what is no key is not loaded", ("load",), st.sampled_from(NO_KEYS), _refuses_to_load, 0.4
    ),
    store_law(
        "a key is a file or a folder, never both",
        ("save", "load"),
        st.sampled_from((("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b"), ("a", "a/b/c"))),
        _keeps_files_and_folders_apart,
        0.1,
    ),
    store_law(
        "a folder lists what is below it, and no more",
        ("save", "list"),
        _TREES,
        _lists_a_folder,
        0.1,
    ),
    store_law(
        "what is listed is a key, and a file",
        ("list",),
        _TREES,
        _lists_keys_of_what_was_saved,
        0.1,
    ),
    store_law(
        "children show, folder by folder, what is listed",
        ("list", "children"),
        _TREES,
        _shows_children,
        0.1,
    ),
    store_law("many keys are all listed", ("save", "list"), st.just(300), _lists_many, 0.01),
    store_law("a new store is empty", ("save", "load"), st.none(), _sees_nothing_new, 0.01),
    store_law(
        "a folder that is not there has nothing in it",
        ("list",),
        st.sampled_from(("missing", "missing/b", "a", "a/b")),
        _refuses_missing_folder,
        0.1,
    ),
)
"""Laws of keys and of listings."""
