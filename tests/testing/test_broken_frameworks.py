"""A framework with something wrong is caught, by the law that says what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from boxes import BOXES
from broken_frameworks import BROKEN_FRAMEWORKS, BrokenFramework
from rows import ROWS

from polystore.testing.frameworks import FRAMEWORK_LAWS
from polystore.testing.law import Law, LawBroken

LAWS = {law.name: law for law in FRAMEWORK_LAWS}


@pytest.mark.parametrize("broken", BROKEN_FRAMEWORKS, ids=lambda broken: broken.word)
def test_it_is_caught(broken: BrokenFramework) -> None:
    with pytest.raises(LawBroken) as caught:
        LAWS[broken.law].check(broken.framework)
    assert str(caught.value).startswith(broken.law)


@pytest.mark.parametrize("law", FRAMEWORK_LAWS, ids=str)
def test_what_they_were_made_of_is_sound(law: Law) -> None:
    law.check(BOXES)


@pytest.mark.parametrize("law", [law for law in FRAMEWORK_LAWS if len(law.needs) == 3], ids=str)
def test_a_sound_framework_of_one_axis_keeps_the_law(law: Law) -> None:
    law.check(ROWS)


SCRIPT = """
from attrs import evolve
from polystore.frameworks.numpy import NUMPY
from polystore.testing import law_named

def owns(value, /):
    if {imports!r}:
        import seldom_imported
    return NUMPY.owns(value)

MINE = evolve(NUMPY, owns=owns)
law_named("owns imports nothing").check(MINE)
"""


@pytest.mark.parametrize("imports", [False, True])
def test_a_record_of_a_script_is_asked_there(imports: bool, tmp_path: Path) -> None:
    (tmp_path / "seldom_imported.py").touch()
    (tmp_path / "script.py").write_text(SCRIPT.format(imports=imports))
    run = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, check=False
    )
    assert ("LawBroken" in run.stderr) == imports, run.stderr
    assert ("owns imported seldom_imported" in run.stderr) == imports, run.stderr


def test_each_law_catches_something() -> None:
    assert {broken.law for broken in BROKEN_FRAMEWORKS} == set(LAWS)
