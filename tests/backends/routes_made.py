"""Routed stores as the tests make them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from polystore import (
    DiskConfig,
    MemoryConfig,
    Outcome,
    Route,
    RouteConfig,
    ZarrConfig,
    is_successful,
)

__all__ = ["ROUTES", "Maker", "error_of", "zarr_and_disk"]

Maker: TypeAlias = Callable[[str], RouteConfig]


def zarr_and_disk(folder: str) -> RouteConfig:
    zarr, disk = ZarrConfig(root=f"{folder}/p.zarr"), DiskConfig(root=f"{folder}/p")
    return RouteConfig(routes=(Route(zarr, kinds=("array",)), Route(disk)))


def disk_and_memory(folder: str) -> RouteConfig:
    disk, memory = DiskConfig(root=f"{folder}/p"), MemoryConfig(name=folder)
    return RouteConfig((Route(disk, kinds=("json",), suffixes=(".JSON",)), Route(memory)))


def nested(folder: str) -> RouteConfig:
    inner, memory = zarr_and_disk(folder), MemoryConfig(name=f"{folder} texts")
    return RouteConfig((Route(memory, kinds=("json",)), Route(inner), Route(memory)))


ROUTES: dict[str, Maker] = {
    "zarr and disk": zarr_and_disk,
    "disk and memory": disk_and_memory,
    "nested": nested,
}


def error_of(outcome: Outcome[object]) -> str:
    return "" if is_successful(outcome) else type(outcome.failure()).__name__
