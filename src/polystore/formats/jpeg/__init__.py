"""JPEG: the codec is in `codec.py`."""

from polystore.formats.jpeg.codec import JPEG_CODEC

__all__ = ["JPEG_CODEC"]
