"""ImageJ's regions of interest: the codec is in `codec.py`."""

from polystore.formats.roi.codec import ROI_CODEC

__all__ = ["ROI_CODEC"]
