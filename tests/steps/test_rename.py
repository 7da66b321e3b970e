"""`rename` changes the key, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polystore import FunctionFailed, Item, Metadata, Rename, rename
from polystore.steps.rename import new_key

keys = st.lists(st.text("ab.ü {}", min_size=1, max_size=6), min_size=1, max_size=3).map("/".join)


@pytest.mark.parametrize(
    ("step", "old", "new"),
    [
        (rename(suffix=".npy"), "wells/A01.tif", "wells/A01.npy"),
        (rename(suffix=".npy"), "wells/A01", "wells/A01.npy"),
        (rename(suffix=""), "A01.ome.tif", "A01"),
        (rename(suffix=".npy"), "wells/A01.OME.TIF", "wells/A01.npy"),
        (rename("{stem}_1{suffix}"), "a.roi.zip", "a_1.roi.zip"),
        (rename(suffix=".x"), ".hidden", ".hidden.x"),
        (rename(prefix="run3/"), "A01.tif", "run3/A01.tif"),
        (rename("{stem}_c1.tif"), "wells/A01.png", "wells/A01_c1.tif"),
        (rename("{name}.old"), "a/b.c", "a/b.c.old"),
        (rename("{stem.__class__}{}"), "a", "{stem.__class__}{}"),
        (rename("{stem}{suffix}"), "{suffix}.tif", "{suffix}.tif"),
        (rename(str.lower, suffix=".npy", prefix="x/"), "A/B.TIF", "x/a/b.npy"),
    ],
)
def test_the_new_key(step: Rename, old: str, new: str) -> None:
    assert new_key(step, old) == new


@given(keys)
def test_a_name_can_be_taken_apart_and_put_together(key: str) -> None:
    assert new_key(rename("{stem}{suffix}"), key) == key
    assert new_key(rename("{name}"), key) == key
    assert new_key(Rename(), key) == key


@given(keys)
def test_all_else_stays(key: str) -> None:
    payload = object()
    item = Item(key, payload, Metadata(axes=("y", "x")))
    renamed = rename(prefix="p/")(item).unwrap()
    assert (renamed.key, renamed.metadata) == (f"p/{key}", item.metadata)
    assert renamed.payload is payload


def test_a_function_that_raises_is_an_error_that_names_it() -> None:
    def shout(key: str) -> str:
        raise KeyError(key)

    error = rename(shout)(Item("a", 1)).failure()
    assert isinstance(error, FunctionFailed)
    assert "shout" in error.message
    assert "raise KeyError(key)" in error.traceback


def test_a_function_that_gives_no_text_is_an_error() -> None:
    def three(key: str) -> str:
        return 3  # type: ignore[return-value]  # pyright: ignore[reportReturnType] - on purpose

    assert isinstance(rename(three)(Item("a", 1)).failure(), FunctionFailed)
