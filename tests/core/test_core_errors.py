"""The errors: values that say what is wrong and what to do, and survive a trip elsewhere."""

from __future__ import annotations

import pickle
from typing import cast, get_args

import pytest
from attrs import evolve, fields

from polystore import DiskConfig, StorageError, StorageFailure, unwrap_or_raise
from polystore.core import errors
from polystore.core.outcome import Failure, Outcome

KINDS = cast("tuple[type[StorageError], ...]", get_args(StorageError))


def an_error(kind: type[StorageError]) -> StorageError:
    extra = {field.name: f"<{field.name}>" for field in fields(kind)}
    return kind(**{**extra, "key": "a.tif", "config": DiskConfig(root="/data")})  # type: ignore[arg-type]


def test_the_union_is_every_class_of_the_module() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type)}
    ours = {it for it in classes if it.__module__ == errors.__name__}
    assert set(KINDS) == ours
    assert {kind.__name__ for kind in KINDS} <= set(errors.__all__)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_is_a_value(kind: type[StorageError]) -> None:
    error = an_error(kind)
    assert pickle.loads(pickle.dumps(error)) == error
    assert hash(error) == hash(an_error(kind))
    assert evolve(error, key="b.tif") != error
    with pytest.raises(AttributeError):
        error.key = "b.tif"  # type: ignore[misc]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_prints_as_what_is_wrong_and_what_to_do(kind: type[StorageError]) -> None:
    assert str(an_error(kind)) == "<message> <advice>"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_can_be_raised_by_those_who_want_to(kind: type[StorageError]) -> None:
    outcome: Outcome[int] = Failure(an_error(kind))
    with pytest.raises(StorageFailure, match="<message> <advice>") as caught:
        unwrap_or_raise(outcome)
    assert caught.value.error == an_error(kind)
    assert pickle.loads(pickle.dumps(caught.value)).error == an_error(kind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_says_what_it_is_for(kind: type[StorageError]) -> None:
    first_line = (kind.__doc__ or "").splitlines()[0]
    assert first_line.endswith((".", ":"))


def test_a_missing_key_is_answered_with_the_near_one() -> None:
    near = errors.not_found("a1.tif", None, ["a01.tif", "b.tif"])
    assert near.advice == "Did you mean 'a01.tif'?"
    assert "list_files" in errors.not_found("a1.tif", None, []).advice
