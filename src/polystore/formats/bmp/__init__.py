"""BMP: the codec is in `codec.py`."""

from polystore.formats.bmp.codec import BMP_CODEC

__all__ = ["BMP_CODEC"]
