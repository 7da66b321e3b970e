"""The middlewares of the page about extending keep the laws, as the page says."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from store_makers import new_disk

from polystore.backends.bytestore import backend_of
from polystore.backends.disk import DISK
from polystore.core.registry import StoreRecord
from polystore.testing import Law, LawBroken, law_named, laws_for

PAGE = Path(__file__).parent.parent.parent / "docs" / "extending.md"
OF_PROCESSES = (
    "another process sees what was saved",
    "a writer that is killed leaves what was there",
    "a lock holds against other processes, and who dies lets go of it",
)


def defined_on_the_page() -> dict[str, Callable[..., object]]:
    """Run what the page imports and defines, and leave out what it tries."""
    blocks = [part.partition("```")[0] for part in PAGE.read_text().split("```python\n")[1:]]
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef)
    body = [
        it
        for it in ast.parse("\n".join(blocks)).body
        if isinstance(it, kept) or ast.unparse(it).startswith("AnyBackend")
    ]
    names: dict[str, object] = {"__name__": "page"}
    exec(compile(ast.Module(body, []), str(PAGE), "exec"), names)  # noqa: S102 - our own page
    return cast("dict[str, Callable[..., object]]", names)


def nowhere(_text: str) -> None:
    return None


DEFINED = defined_on_the_page()
MIDDLEWARES: dict[str, StoreRecord] = {
    "logged": cast("StoreRecord", DEFINED["logged"](backend_of(DISK), nowhere)),
    "retried": cast("StoreRecord", DEFINED["retried"](backend_of(DISK), (0.0,))),
    "cached": cast("StoreRecord", DEFINED["cached"](DISK, {}, 1000)),
}


@pytest.mark.parametrize(
    ("name", "law"),
    [
        pytest.param(name, law, id=f"{name}: {law}")
        for name, record in MIDDLEWARES.items()
        for law in laws_for(record)
    ],
)
def test_a_middleware_keeps_the_law(name: str, law: Law) -> None:
    law.check(MIDDLEWARES[name], new_disk, 3)


@pytest.mark.parametrize("record", MIDDLEWARES.values(), ids=MIDDLEWARES)
@pytest.mark.parametrize("name", OF_PROCESSES)
def test_what_does_not_pickle_is_not_asked_from_other_processes(
    record: StoreRecord, name: str
) -> None:
    law = law_named(name)
    assert law in laws_for(DISK)
    assert law not in laws_for(record)
    with pytest.raises(LawBroken, match="seen: the record does not pickle, so no other process"):
        law.check(record, new_disk)
