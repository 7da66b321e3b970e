"""A format with something wrong is caught, by the law that says what is wrong."""

from __future__ import annotations

import pytest
from broken_codecs import BROKEN_CODECS, BrokenCodec
from broken_decoders import BROKEN_DECODERS, SPINS

from polystore.testing.codecs import CODEC_LAWS
from polystore.testing.law import LawBroken, no_config

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


def test_each_law_catches_something() -> None:
    caught = {broken.law for broken in BROKEN}
    assert caught == set(LAWS)
