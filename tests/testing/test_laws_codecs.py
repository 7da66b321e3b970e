"""Every built-in format is held to every law of formats; JAX's with and without 64 bits."""

from __future__ import annotations

from importlib.util import find_spec

import jax
import pytest
from hypothesis import settings

from polystore.builtin import BUILTIN
from polystore.core.records import Codec
from polystore.testing.codecs import CODEC_LAWS
from polystore.testing.law import Law

HAS_CUPY = find_spec("cupy") is not None
CODECS: dict[str, Codec[object]] = {
    entry.name: entry.load().unwrap()
    for entry in BUILTIN.formats
    if entry.name != "cupy" or HAS_CUPY
}


def laws_of(name: str) -> list[Law]:
    codec = CODECS[name]
    return [law for law in CODEC_LAWS if all(getattr(codec, it) is not None for it in law.needs)]


@pytest.mark.parametrize(
    ("name", "law"),
    [pytest.param(name, law, id=f"{name}: {law}") for name in CODECS for law in laws_of(name)],
)
def test_a_built_in_format_keeps_the_law(name: str, law: Law) -> None:
    law.check(CODECS[name], max_examples=settings().max_examples // 3)


@pytest.mark.parametrize(
    "law", [law for law in laws_of("jax") if "is decoded" in law.name], ids=str
)
def test_the_format_of_jax_keeps_the_law_with_64_bits_too(law: Law) -> None:
    with jax.enable_x64(True):
        law.check(CODECS["jax"], max_examples=settings().max_examples // 5)


@pytest.mark.skipif(HAS_CUPY, reason="CuPy is installed, and its format held to the laws above")
def test_the_format_of_cupy_is_not_held_to_the_laws_here() -> None:
    pytest.skip("CuPy is not installed, which needs a GPU")
