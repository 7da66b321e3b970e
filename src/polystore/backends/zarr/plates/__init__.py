"""The PLATE layout: an OME-Zarr plate at the root, whose wells have images as their fields.

Keys are fields (`"A/1/0"`: row, column, field) and what is below them, as in the IMAGE layout. With
`names` in the config, keys are the names of files, each a plane of a field's image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar, cast

from attrs import evolve

from polystore.backends.zarr.arrays import made_by
from polystore.backends.zarr.ome.images import IMAGE
from polystore.backends.zarr.opening import list_children
from polystore.backends.zarr.plates.fields import (
    copy_field,
    delete_field,
    list_fields,
    load_field,
    load_field_lazily,
    make_well,
    move_field,
    save_field,
    save_field_region,
)
from polystore.backends.zarr.plates.growing import save_plane
from polystore.backends.zarr.plates.planes import (
    delete_plane,
    list_planes,
    load_plane,
    load_plane_lazily,
    make_no_folder,
    move_plane,
    plane_children,
    plane_made_by,
    save_plane_region,
    stat_plane,
)
from polystore.backends.zarr.tree import ZarrStore
from polystore.configs import ZarrConfig
from polystore.core.key import Key
from polystore.core.outcome import Outcome
from polystore.core.records import Backend, Stat

__all__ = ["PLATE"]

T = TypeVar("T")
P = ParamSpec("P")


def _either(
    of_fields: Callable[Concatenate[ZarrStore, P], T],
    of_planes: Callable[Concatenate[ZarrStore, P], T],
) -> Callable[Concatenate[ZarrStore, P], T]:
    """Give the function for keys that are fields, or names of files where the config has them."""

    def chosen(store: ZarrStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
        function = of_fields if store.config.names is None else of_planes
        return function(store, *args, **kwargs)

    return chosen


PLATE: Backend[ZarrConfig, ZarrStore] = evolve(
    IMAGE,
    load=_either(load_field, load_plane),
    load_lazy=_either(load_field_lazily, load_plane_lazily),
    save=_either(save_field, save_plane),
    save_region=_either(save_field_region, save_plane_region),
    copy=copy_field,
    made_by=_either(made_by, plane_made_by),
    stat=_either(cast("Callable[[ZarrStore, Key], Outcome[Stat]]", IMAGE.stat), stat_plane),
    list=_either(list_fields, list_planes),
    children=_either(list_children, plane_children),
    make_folder=_either(make_well, make_no_folder),
    delete=_either(delete_field, delete_plane),
    move=_either(move_field, move_plane),
    link=None,
)
"""The record of plates: what is not said here is as in the IMAGE layout."""
