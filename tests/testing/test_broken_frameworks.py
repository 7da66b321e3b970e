"""A framework with something wrong is caught, by the law that says what is wrong."""

from __future__ import annotations

import pytest
from boxes import BOXES
from broken_frameworks import BROKEN_FRAMEWORKS, BrokenFramework

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


def test_each_law_catches_something() -> None:
    assert {broken.law for broken in BROKEN_FRAMEWORKS} == set(LAWS)
