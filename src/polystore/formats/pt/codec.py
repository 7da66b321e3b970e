"""`.pt` and `.pth`, PyTorch's format: a tensor, or tensors by their names, and no metadata.

What is written is what `torch.save` writes, from the arrays' own memory. What is read is what
`torch.load(weights_only=True)` gives, where that is tensors; but the pickle in the file is read as
data (`formats.pt.opcodes`), so that there is no function that it could call, and the elements are
read straight into aligned memory of our own.
"""

from __future__ import annotations

from collections.abc import Mapping

from polystore.configs import PT
from polystore.core.item import Item
from polystore.core.outcome import Outcome
from polystore.core.payload import Array, Payload
from polystore.core.records import Codec, Decoded, Encoded, Limits, Readable
from polystore.formats.pt.decode import decoded
from polystore.formats.pt.encode import encoded

__all__ = ["PT_CODEC"]


def _encode(item: Item[Payload], _options: object, /) -> Outcome[Encoded]:
    return encoded(item)


def _decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[Array | Mapping[str, Array]]]:
    return decoded(source, limits).map(_alone)


def _alone(payload: Array | Mapping[str, Array]) -> Decoded[Array | Mapping[str, Array]]:
    return Decoded(payload)


PT_CODEC: Codec[Array | Mapping[str, Array]] = Codec(
    format=PT, encode=_encode, decode=_decode, open=None
)
"""The record of `.pt` and `.pth`.

- A load gives a `torch.Tensor`, or a `dict` of them, on the CPU, without gradients; parameters too
  come as plain tensors. Tensors that share a storage in the file share their memory.
- A save takes arrays of every dtype that PyTorch shares with NumPy, bfloat16 and float8. It writes
  them in their memory order, and only their elements: a slice does not bring its base along.
"""
