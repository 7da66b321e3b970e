"""safetensors: the codec is in `codec.py`."""

from polystore.formats.safetensors.codec import SAFETENSORS_CODEC

__all__ = ["SAFETENSORS_CODEC"]
