"""Outcomes: what keeps its type, and what catches only what it names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polystore import (
    Failure,
    InvalidKey,
    NotFound,
    Outcome,
    StorageFailure,
    Success,
    and_then,
    catch,
    fold,
    guard,
    is_successful,
    unwrap_or_raise,
)

errors = st.builds(NotFound, st.text(), st.none(), st.text(), st.text())
outcomes = st.integers().map(Success) | errors.map(Failure)


def halved(value: int) -> Outcome[int]:
    if value % 2:
        return Failure(InvalidKey(str(value), None, "Odd.", "Give an even number."))
    return Success(value // 2)


def described(error: Exception) -> NotFound:
    return NotFound(str(error), None, type(error).__name__, "")


@given(outcomes)
def test_fold_gives_one_of_the_two(outcome: Outcome[int]) -> None:
    folded = fold(outcome, lambda value: ("ok", str(value)), lambda error: ("error", error.message))
    if is_successful(outcome):
        assert folded == ("ok", str(outcome.unwrap()))
    else:
        assert folded == ("error", outcome.failure().message)


@given(outcomes)
def test_and_then_is_a_monad(outcome: Outcome[int]) -> None:
    assert and_then(outcome, Success) == outcome
    one_by_one = and_then(and_then(outcome, halved), halved)
    assert one_by_one == and_then(outcome, lambda value: and_then(halved(value), halved))


@given(st.integers())
def test_and_then_of_a_success_is_the_function(value: int) -> None:
    assert and_then(Success(value), halved) == halved(value)


@given(outcomes)
def test_unwrap_or_raise_gives_the_value_or_raises_the_error(outcome: Outcome[int]) -> None:
    if is_successful(outcome):
        assert unwrap_or_raise(outcome) == outcome.unwrap()
    else:
        with pytest.raises(StorageFailure) as caught:
            unwrap_or_raise(outcome)
        assert caught.value.error == outcome.failure()


@pytest.mark.parametrize("raised", [KeyError("k"), IndexError("i"), FileNotFoundError(2, "gone")])
def test_guard_catches_what_it_names_and_its_subclasses(raised: Exception) -> None:
    def action() -> int:
        raise raised

    outcome = guard(action, catch(LookupError, described), catch(OSError, described))
    assert outcome.failure().message == type(raised).__name__


@pytest.mark.parametrize("raised", [ValueError(), KeyboardInterrupt(), SystemExit(), MemoryError()])
def test_guard_catches_nothing_else(raised: BaseException) -> None:
    def action() -> int:
        raise raised

    with pytest.raises(type(raised)):
        guard(action, catch(LookupError, described))
    with pytest.raises(type(raised)):
        guard(action)


def test_the_first_catch_that_names_an_exception_counts() -> None:
    def action() -> int:
        raise KeyError("k")

    def other(error: KeyError) -> InvalidKey:
        return InvalidKey(str(error), None, "", "")

    both = catch(KeyError, other), catch(LookupError, described)
    assert isinstance(guard(action, *both).failure(), InvalidKey)
    assert isinstance(guard(action, *both[::-1]).failure(), NotFound)


def test_guard_gives_what_the_action_gives() -> None:
    assert guard(lambda: 3, catch(LookupError, described)) == Success(3)
