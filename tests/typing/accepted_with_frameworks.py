"""Pipelines whose own annotations need JAX, PyTorch and TensorFlow: checked where they are."""

from typing import assert_type

import jax
import tensorflow as tf
import torch

from polystore import (
    Array,
    DiskConfig,
    HostArray,
    Item,
    KeyLike,
    Outcome,
    Pipeline,
    Saved,
    ZarrConfig,
    apply,
    compose,
    convert,
    load,
    rename,
    save,
    write,
)

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


def on_host(image: tf.Tensor) -> HostArray:
    """Take a tensor of TensorFlow, give a host array."""
    return image.numpy()


def to_numpy(image: torch.Tensor) -> HostArray:
    """Take a tensor, give a host array."""
    return image.numpy()


pipeline = compose(load(disk), convert(to="jax"), apply(scaled), save(zarr))
assert_type(pipeline, Pipeline[KeyLike, Saved])
assert_type(
    compose(load(disk), convert(to="jax"), apply(scaled))("A01.tif"), Outcome[Item[jax.Array]]
)
assert_type(
    compose(load(zarr), convert(to="torch"), apply(summed), rename(suffix=""), save(disk)),
    Pipeline[KeyLike, Saved],
)
compose(load(disk), convert(to="jax"), convert(to="torch"), apply(to_numpy), save(zarr))
compose(load(disk), convert(to="torch"), rename(prefix="a/"), apply(summed), save(zarr))
assert_type(
    compose(load(disk), convert(to="tensorflow"), apply(flipped))("A01.tif"),
    Outcome[Item[tf.Tensor]],
)
assert_type(
    compose(load(disk), convert(to="tensorflow"), rename(suffix=""), save(zarr)),
    Pipeline[KeyLike, Saved],
)
compose(load(zarr), convert(to="torch"), convert(to="tensorflow"), apply(on_host), save(disk))
in_tensorflow = compose(load(disk), convert(to="tensorflow", device="cpu", copy=True))
assert_type(in_tensorflow, Pipeline[KeyLike, Item[tf.Tensor, Array]])
assert_type(in_tensorflow("A01.tif").map(lambda it: it.payload), Outcome[tf.Tensor])
first = compose(load(disk), convert(to="jax"))
assert_type(first, Pipeline[KeyLike, Item[jax.Array, Array]])
assert_type(compose(first, rename(suffix=""), save(zarr)), Pipeline[KeyLike, Saved])
save(zarr)(Item("a", torch.zeros(3)))
write("a.npy", torch.zeros(3))
for item in load(disk)("A01.tif").map(lambda it: [it]).value_or([]):
    convert(to="torch")(item).map(lambda it: it.payload.requires_grad)
