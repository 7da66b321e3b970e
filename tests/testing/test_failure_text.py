"""A broken law is told kindly: what was seen, the smallest example, and code that runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
from attrs import evolve
from broken_files import SHOWS_A_TEMPORARY
from broken_listings import CALLS_FOLDERS_FILES, LISTS_SIBLINGS, listing, same_again
from broken_stores import RAISES, SQUEEZES, Broken
from plain_stores import ITEMS, new_dict, new_items
from store_makers import new_disk

from polystore.core.registry import Record
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

LISTS_TWO = listing(lambda _items, _folder, keys: keys[:2])

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
        env={**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
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


def test_an_example_replays_alone(capsys: pytest.CaptureFixture[str]) -> None:
    law = law_named("every key keeps its own content")
    law.replay(ITEMS, new_items, ["a", "A"])
    assert "every key keeps its own content: it held this time\n" in capsys.readouterr().out
    with pytest.raises(LawBroken, match="smallest example"):
        law.replay(RAISES, new_items, [b"no text"])


def test_a_law_of_threads_replays_many_times(capsys: pytest.CaptureFixture[str]) -> None:
    tried = list[object]()

    def holds(_record: Record, _make: object, example: object) -> None:
        tried.append(example)
        assert len(tried) != 70, "it failed by chance"

    law = evolve(law_named("a move is one step"), holds=holds)
    law.replay(ITEMS, new_items, 1)
    assert len(tried) == 50
    assert "it held this time (tried 50 times)" in capsys.readouterr().out
    with pytest.raises(LawBroken, match="it failed by chance"):
        law.replay(ITEMS, new_items, 1)


def test_a_maker_that_repeats_itself_is_what_each_law_says_first() -> None:
    for law in laws_for(ITEMS):
        with pytest.raises(LawBroken, match=r"the maker gave ItemsConfig.* twice: it has to give"):
            law.check(ITEMS, same_again)


def test_many_keys_are_told_by_their_difference_and_once() -> None:
    law = "keys that look alike are two keys, or one of them is refused"
    text = told(Broken(LISTS_TWO, new_items, law))
    assert "smallest example: None\n" in text
    assert "more" in text
    assert len(text) < 600


def test_pytest_shows_little_more_than_the_text(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "from broken_listings import LISTS_SIBLINGS, new_items\n"
        "from polystore.testing import law_named\n\n"
        "def test_it() -> None:\n"
        '    law = law_named("a folder lists what is below it, and no more")\n'
        "    law.check(LISTS_SIBLINGS, new_items)\n"
    )
    path = os.pathsep.join((str(Path(__file__).parent), *sys.path))
    child = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert child.returncode == 1
    assert "LawBroken: a folder lists" in child.stdout
    assert len(child.stdout.splitlines()) < 40, child.stdout


def test_a_script_is_imported_from_only_where_nothing_else_has_the_name(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from broken_listings import LISTS_SIBLINGS\n"
        "from plain_stores import new_items\n"
        "from polystore.testing import LawBroken, law_named\n\n"
        "def mine() -> object:\n"
        "    return new_items()\n\n"
        'law = law_named("a folder lists what is below it, and no more")\n'
        "for make in (new_items, mine):\n"
        "    try:\n"
        "        law.check(LISTS_SIBLINGS, make)\n"
        "    except LawBroken as broken:\n"
        "        print(broken)\n"
    )
    path = os.pathsep.join((str(Path(__file__).parent), *sys.path))
    said = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    ).stdout
    assert said.count("    from broken_listings import LISTS_SIBLINGS\n") == 2
    assert said.count("    from plain_stores import new_items\n") == 1
    assert said.count("    from __main__ import mine  # of the script that was run") == 1


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
    with pytest.raises(KeyError, match="EVERY_LAW"):
        law_named("no such law")
    with pytest.raises(KeyError, match="Did you mean 'a move is one step'"):
        law_named("a mov is one step")


@pytest.mark.parametrize("given", [new_disk(), type(new_disk())])
def test_laws_are_of_records_only(given: object) -> None:
    with pytest.raises(TypeError, match=r"laws_for wants a record .* DiskConfig$"):
        laws_for(cast("Record", given))


def test_a_record_is_held_to_the_laws_of_its_fields() -> None:
    names = {law.name for law in laws_for(ITEMS)}
    assert "a store does what a dict does" in names
    assert "a move is one step" not in names
    assert "what was saved is there when the store is opened again" not in names
    assert names.isdisjoint(law.name for law in laws_for(NPY_CODEC))
    assert no_config() is None
