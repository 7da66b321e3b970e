"""A format with something wrong is caught, by the law that says what is wrong."""

from __future__ import annotations

import pytest
from broken_codecs import BROKEN_CODECS, BrokenCodec
from broken_decoders import BROKEN_DECODERS, SPINS
from raw_volumes import TILES, VOLUMES

from polystore.core.records import Codec
from polystore.testing.codecs import CODEC_LAWS
from polystore.testing.law import Law, LawBroken, no_config

BROKEN = BROKEN_CODECS + BROKEN_DECODERS
LAWS = {law.name: law for law in CODEC_LAWS}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.word)
def test_it_is_caught(broken: BrokenCodec) -> None:
    with pytest.raises(LawBroken) as caught:
        LAWS[broken.law].check(broken.codec)
    assert str(caught.value).startswith(broken.law)


def test_a_decoder_that_spins_is_stopped() -> None:
    law = LAWS["foreign bytes are decoded or refused, and decode ends"]
    with pytest.raises(LawBroken, match="decode does not end"):
        law.replay(SPINS, no_config, b"")


@pytest.mark.parametrize("law", [law for law in CODEC_LAWS if "open" not in law.needs], ids=str)
@pytest.mark.parametrize("codec", [VOLUMES, TILES], ids=["volumes", "tiles"])
def test_a_sound_format_that_holds_little_keeps_the_law(codec: Codec[object], law: Law) -> None:
    law.check(codec)


NOTHING = next(broken.codec for broken in BROKEN if broken.word == "holds nothing")


@pytest.mark.parametrize(
    "name",
    [
        "damaged bytes are decoded or refused, and decode ends",
        "what takes more than max_bytes is TooLarge",
        "metadata is decoded the same, or named as dropped",
    ],
)
def test_a_law_says_that_it_has_nothing_to_try(name: str) -> None:
    with pytest.raises(LawBroken, match="no law tries anything"):
        LAWS[name].check(NOTHING)


def test_each_law_catches_something() -> None:
    caught = {broken.law for broken in BROKEN}
    assert caught == set(LAWS)
