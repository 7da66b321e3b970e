"""Pipelines that must be refused, whose own annotations need JAX, PyTorch and TensorFlow."""

import jax
import tensorflow as tf
import torch

from polystore import DiskConfig, HostArray, Item, ZarrConfig, apply, compose, convert, load, save

disk = DiskConfig(root="plate")
zarr = ZarrConfig(root="plate.zarr")


def scaled(image: jax.Array) -> jax.Array:
    """Take and give arrays of JAX."""
    return image / 2


def summed(image: torch.Tensor) -> torch.Tensor:
    """Take and give tensors."""
    return image.sum(0)


def flipped(image: tf.Tensor) -> tf.Tensor:
    """Take and give tensors of TensorFlow."""
    return image[::-1]


def halved(image: HostArray) -> HostArray:
    """Take and give an array of the host."""
    return image[::2, ::2]


compose(load(disk), apply(scaled), save(zarr))  # refused
compose(load(disk), convert(to="jax"), apply(summed), save(zarr))  # refused
compose(load(disk), convert(to="torch"), apply(scaled), save(zarr))  # refused
compose(load(disk), convert(to="jax"), apply(halved), save(zarr))  # refused
compose(load(disk), convert(to="numpy"), apply(summed), save(zarr))  # refused
compose(load(zarr), convert(to="numpy"), convert(to="jax"), apply(halved))  # refused
compose(load(disk), convert(to="tensorflow"), apply(scaled), save(zarr))  # refused
compose(load(disk), convert(to="tensorflow"), apply(halved), save(zarr))  # refused
compose(load(disk), convert(to="jax"), apply(flipped), save(zarr))  # refused
compose(load(disk), convert(to="numpy"), apply(flipped), save(zarr))  # refused
tensor: Item[tf.Tensor] = compose(load(disk), convert(to="torch"))("A01.tif").unwrap()  # refused
item: Item[torch.Tensor] = compose(load(disk), convert(to="jax"))("A01.tif").unwrap()  # refused
