"""PyTorch's `.pt`: the codec is in `codec.py`."""

from polystore.formats.pt.codec import PT_CODEC

__all__ = ["PT_CODEC"]
