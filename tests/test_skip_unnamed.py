"""A save is skipped after a step without a name only where that step does the same."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from polystore import (
    AlreadyExists,
    DiskConfig,
    HostArray,
    Item,
    Saved,
    ZarrConfig,
    apply,
    compose,
    convert,
    load,
    rename,
    save,
)
from polystore.core.outcome import Outcome, is_successful
from polystore.core.unnamed import is_untold, unnamed_json

FACTOR = 2
ARRAY = np.arange(4)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Callable[[HostArray], HostArray]], Outcome[Saved]]:
    disk, zarr = DiskConfig(root=tmp_path), ZarrConfig(root=tmp_path / "z")
    save(disk)(Item("a.npy", ARRAY)).unwrap()

    def run(function: Callable[[HostArray], HostArray]) -> Outcome[Saved]:
        keep = save(zarr, if_exists="skip")
        return compose(load(disk), convert(to="numpy"), apply(function), rename("x"), keep)("a.npy")

    return run


def scaled(by: int, image: HostArray) -> HostArray:
    return image * by


def times(by: object) -> Callable[[HostArray], HostArray]:
    return lambda image: np.asarray(image * by)


SAME: list[tuple[Callable[[HostArray], HostArray], Callable[[HostArray], HostArray]]] = [
    (lambda x: x // 2, lambda x: x // 2),
    (lambda x: [y := x, y][1] * FACTOR, lambda x: [y := x, y][1] * FACTOR),
    (times(2), times(2)),
    (functools.partial(scaled, 2), functools.partial(scaled, 2)),
]

OTHERS: list[tuple[Callable[[HostArray], HostArray], Callable[[HostArray], HostArray]]] = [
    (lambda x: x // 2, lambda x: x * 2),
    (lambda x: x * 2, lambda x: x * 3),
    (lambda x: x.clip(1), lambda x: x.round(1)),
    (lambda x: x[[y + 1 for y in (0, 1)]], lambda x: x[[y + 2 for y in (0, 1)]]),
    (times(2), times(3)),
    (times(ARRAY), times(ARRAY)),  # what is in an array is not looked at
    (functools.partial(scaled, 2), functools.partial(scaled, 3)),
    (functools.partial(scaled, 2), functools.partial(np.add, 2)),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_a_function_that_does_the_same_is_skipped(
    first: Callable[[HostArray], HostArray],
    second: Callable[[HostArray], HostArray],
    saved: Callable[[Callable[[HostArray], HostArray]], Outcome[Saved]],
) -> None:
    assert saved(first).unwrap().status == "written"
    assert saved(second).unwrap().status == "skipped"


@pytest.mark.parametrize(("first", "second"), OTHERS)
def test_a_function_that_may_do_other_things_is_not_skipped(
    first: Callable[[HostArray], HostArray],
    second: Callable[[HostArray], HostArray],
    saved: Callable[[Callable[[HostArray], HostArray]], Outcome[Saved]],
) -> None:
    assert saved(first).unwrap().status == "written"
    again = saved(second)
    assert not is_successful(again)
    assert isinstance(again.failure(), AlreadyExists)
    assert "its history has" in again.failure().message


def test_a_global_that_has_changed_makes_another_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def scale(image: HostArray) -> HostArray:
        return image * FACTOR

    before = unnamed_json(scale)
    assert not is_untold(before)
    monkeypatch.setitem(globals(), "FACTOR", 3)
    assert unnamed_json(scale) != before


def test_another_process_notes_the_same() -> None:
    program = (
        "from polystore.core.unnamed import unnamed_json as note\n"
        "class Made: pass\n"
        "print(note(lambda x: x in {'a', 'b', 'c', None, 3} or [y for y in x if len(y)]))"
    )
    runs = [
        subprocess.check_output(
            [sys.executable, "-c", program], text=True, env={"PYTHONHASHSEED": seed}
        )
        for seed in ("1", "2")
    ]
    assert "code" in runs[0]
    assert runs[0] == runs[1]
