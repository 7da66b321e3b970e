"""Pipelines that must be refused, whose own annotations need JAX and PyTorch."""

import jax
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


def halved(image: HostArray) -> HostArray:
    """Take and give an array of the host."""
    return image[::2, ::2]


compose(load(disk), apply(scaled), save(zarr))  # refused
compose(load(disk), convert(to="jax"), apply(summed), save(zarr))  # refused
compose(load(disk), convert(to="torch"), apply(scaled), save(zarr))  # refused
compose(load(disk), convert(to="jax"), apply(halved), save(zarr))  # refused
compose(load(disk), convert(to="numpy"), apply(summed), save(zarr))  # refused
compose(load(zarr), convert(to="numpy"), convert(to="jax"), apply(halved))  # refused
item: Item[torch.Tensor] = compose(load(disk), convert(to="jax"))("A01.tif").unwrap()  # refused
