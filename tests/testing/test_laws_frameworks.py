"""Every built-in framework is held to every law of frameworks; JAX with and without 64 bits."""

from __future__ import annotations

from importlib.util import find_spec

import jax
import pytest
from hypothesis import settings

from polystore.builtin import BUILTIN
from polystore.testing.frameworks import FRAMEWORK_LAWS
from polystore.testing.law import Law

HAS_CUPY = find_spec("cupy") is not None
RECORDS = {
    entry.name: entry.load().unwrap()
    for entry in BUILTIN.frameworks
    if entry.name != "cupy" or HAS_CUPY
}


def laws_of(name: str) -> list[Law]:
    record = RECORDS[name]
    return [
        law
        for law in FRAMEWORK_LAWS
        if all(getattr(record, need) is not None for need in law.needs)
    ]


@pytest.mark.parametrize(
    ("name", "law"),
    [pytest.param(name, law, id=f"{name}: {law}") for name in RECORDS for law in laws_of(name)],
)
def test_a_built_in_framework_keeps_the_law(name: str, law: Law) -> None:
    law.check(RECORDS[name], max_examples=settings().max_examples // 3)


@pytest.mark.parametrize("law", laws_of("jax"), ids=str)
def test_jax_keeps_the_law_with_64_bits_too(law: Law) -> None:
    with jax.enable_x64(True):
        law.check(RECORDS["jax"], max_examples=settings().max_examples // 5)


@pytest.mark.skipif(HAS_CUPY, reason="CuPy is installed, and held to the laws above")
def test_cupy_is_not_held_to_the_laws_here() -> None:
    pytest.skip("CuPy is not installed, which needs a GPU")
