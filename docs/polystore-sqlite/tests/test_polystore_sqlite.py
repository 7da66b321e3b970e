"""The store keeps every law of polystore's stores."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import polystore as ps
import pytest
from polystore.testing import Law, laws_for

from polystore_sqlite import STORE, SqliteConfig


def fresh_store() -> SqliteConfig:
    return SqliteConfig(path=f"{mkdtemp()}/store.db")


@pytest.mark.parametrize("law", laws_for(STORE), ids=str)
def test_store(law: Law) -> None:
    law.check(STORE, fresh_store)


def test_the_first_save_makes_the_file_and_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "plate #1?.db"
    plate = SqliteConfig(path=str(path))
    for outcome in (ps.list_files(plate), ps.stat(plate, "a"), ps.load(plate)("a.json")):
        assert isinstance(outcome.failure(), ps.NotFound)
        assert str(path) in outcome.failure().message
    assert isinstance(ps.move(plate, "a", "b").failure(), ps.NotFound)
    assert not path.exists()
    ps.save(plate)(ps.Item("a.json", 1)).unwrap()
    assert path.is_file()
    assert ps.list_files(plate).unwrap() == ("a.json",)


def test_who_reads_while_the_first_save_makes_the_file_finds_nothing_or_the_item() -> None:
    with ThreadPoolExecutor(8) as threads:
        for _ in range(40):
            plate = fresh_store()
            saving = threads.submit(ps.save(plate), ps.Item("a.json", 1))
            for read in [threads.submit(partial(ps.load(plate), "a.json")) for _ in range(7)]:
                error = read.result().swap().value_or(None)
                assert error is None or isinstance(error, ps.NotFound), error
            assert saving.result().unwrap().status == "written"


def test_a_file_that_cannot_be_is_named(tmp_path: Path) -> None:
    plate = SqliteConfig(path=str(tmp_path / "none" / "plate.db"))
    assert plate.path in ps.save(plate)(ps.Item("a.json", 1)).failure().message
    folder = SqliteConfig(path=str(tmp_path))
    assert isinstance(ps.list_files(folder).failure(), ps.Unavailable)


def test_a_path_is_absolute_once_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert SqliteConfig(path="plate.db").path == str(tmp_path / "plate.db")
