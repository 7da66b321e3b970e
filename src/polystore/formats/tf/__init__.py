"""TensorFlow's serialised tensors: the codec is in `codec.py`."""

from polystore.formats.tf.codec import TF_HOST_CODEC

__all__ = ["TF_HOST_CODEC"]
