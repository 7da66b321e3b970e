"""TIFF, ImageJ TIFF and OME-TIFF: the codec is in `codec.py`."""

from polystore.formats.tiff.codec import OME_TIFF_CODEC, TIFF_CODEC

__all__ = ["OME_TIFF_CODEC", "TIFF_CODEC"]
