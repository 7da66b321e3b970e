"""A broken law is told kindly: what was seen, the smallest example, and code that runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from broken_files import SHOWS_A_TEMPORARY
from broken_listings import CALLS_FOLDERS_FILES, LISTS_SIBLINGS
from broken_stores import RAISES, SQUEEZES, Broken
from plain_stores import ITEMS, new_dict, new_items

from polystore.formats.npy import NPY_CODEC
from polystore.testing import (
    EVERY_LAW,
    ArrayExample,
    Law,
    LawBroken,
    Sample,
    law_named,
    laws_for,
    no_config,
)

CASES = {
    "a payload": Broken(
        SQUEEZES,
        new_items,
        "what is saved comes back, bit for bit, or is refused and leaves nothing",
    ),
    "operations": Broken(CALLS_FOLDERS_FILES, new_items, "a store does what a dict does"),
    "what is raised": Broken(RAISES, new_items, "what is missing is an error that names the key"),
    "a thread": Broken(SHOWS_A_TEMPORARY, new_dict, "a put that is under way is not seen"),
    "keys": Broken(LISTS_SIBLINGS, new_items, "a folder lists what is below it, and no more"),
}


def told(case: Broken) -> str:
    with pytest.raises(LawBroken) as broken:
        law_named(case.law).check(case.record, case.make)
    return str(broken.value)


def seen_in(text: str) -> str:
    """Give what was seen, without what differs from run to run: the names of new folders."""
    return text.partition("seen: ")[2].partition("\nsmallest example")[0]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_code_that_is_printed_fails_in_the_same_way(case: Broken) -> None:
    text = told(case)
    code = text.partition("To try it again:\n\n")[2]
    lines = [line.removeprefix("    ") for line in code.splitlines()]
    path = os.pathsep.join((str(Path(__file__).parent), *sys.path))
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert child.returncode == 1
    assert f"LawBroken: {case.law}" in child.stderr
    assert seen_in(text).splitlines()[0] in child.stderr


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_two_runs_print_the_same(case: Broken) -> None:
    assert told(case) == told(case)


def test_the_smallest_example_is_small() -> None:
    small = Sample(".npy", ArrayExample("b1", ()))
    assert f"smallest example: {small!r}\n" in told(CASES["a payload"])


def test_an_example_replays_alone() -> None:
    law = law_named("every key keeps its own content")
    law.replay(ITEMS, new_items, ["a", "A"])
    with pytest.raises(LawBroken, match="smallest example"):
        law.replay(RAISES, new_items, [b"no text"])


def test_what_has_no_name_is_said_to_have_none() -> None:
    with pytest.raises(LawBroken) as broken:
        law_named("a new store is empty").check(ITEMS, lambda: "no config")
    text = str(broken.value)
    assert "# make: the maker of its configs, which has no name in a module" in text
    assert "'no config', which is no config of the record's" in text


def test_a_law_that_cannot_be_tried_is_not_kept() -> None:
    from hypothesis import strategies as st

    law = Law("a law without examples", (), st.nothing(), lambda _record, _make, _example: None)
    with pytest.raises(LawBroken, match="no trial"):
        law.check(NPY_CODEC)


def test_laws_have_names_of_their_own() -> None:
    assert len({law.name for law in EVERY_LAW}) == len(EVERY_LAW)
    assert all(law_named(str(law)) is law for law in EVERY_LAW)
    with pytest.raises(KeyError):
        law_named("no such law")


def test_a_record_is_held_to_the_laws_of_its_fields() -> None:
    names = {law.name for law in laws_for(ITEMS)}
    assert "a store does what a dict does" in names
    assert "a move is one step" not in names
    assert "what was saved is there when the store is opened again" not in names
    assert names.isdisjoint(law.name for law in laws_for(NPY_CODEC))
    assert no_config() is None
