"""What a broken law prints of its example makes the example again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polystore.testing
from polystore.testing.codecs import CODEC_LAWS
from polystore.testing.frameworks import FRAMEWORK_LAWS
from polystore.testing.law import Law

NAMES: dict[str, object] = {}
exec("from polystore.testing import *", NAMES)  # noqa: S102 - as the printed code does


@pytest.mark.parametrize("law", CODEC_LAWS + FRAMEWORK_LAWS, ids=str)
@settings(max_examples=20)
@given(data=st.data())
def test_it_makes_the_example_again(law: Law, data: st.DataObject) -> None:
    example = data.draw(law.examples)
    again: object = eval(repr(example), NAMES)  # noqa: S307 - of the harness itself
    assert again == example
    assert repr(again) == repr(example)


def test_every_law_has_a_name_of_its_own() -> None:
    names = [law.name for law in polystore.testing.EVERY_LAW]
    assert len(names) == len(set(names))
