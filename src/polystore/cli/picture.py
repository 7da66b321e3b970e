"""The picture of what is at a path: which part of it is read, and how it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from attrs import evolve, frozen

from polystore.backends.zarr.plates.metadata import Plate, plate_in
from polystore.cli.errand import Source, source_of
from polystore.cli.lazily import loaded
from polystore.cli.nodes import node_at
from polystore.cli.projection import Shown, drawn, shown_of
from polystore.cli.sheet import BACKGROUND, GAP, Layout, contact_sheet, layout_for
from polystore.configs import ZarrConfig, ZarrLayout
from polystore.core.item import Item
from polystore.core.outcome import Outcome, Success, and_then, is_successful
from polystore.core.payload import LazyArray

if TYPE_CHECKING:
    from polystore.backends.zarr.elements.meta import ArrayMeta
    from polystore.backends.zarr.ome.metadata import OmeImage
    from polystore.core.payload import HostArray, Payload
    from polystore.core.records import Source as Loadable
    from polystore.files.place import PathConfig

__all__ = ["Picture", "pictured"]


@frozen(eq=False)
class Picture:
    """RGB pixels as uint8, and what they are of.

    `legend` are the numbers on a sheet with the keys that they stand for, in its rows.
    """

    pixels: HostArray
    title: str
    legend: tuple[tuple[tuple[int, str], ...], ...] = ()


def pictured(path: str, size: int) -> Outcome[Picture]:
    """Draw what is at a path, in at most `size` x `size` pixels.

    `UnsupportedPayload` for what is no picture: fewer than two axes, texts, tables.

    >>> type(pictured("/no/such.tif", 64).failure()).__name__
    'NotFound'
    """

    def drawing(source: Source) -> Outcome[Picture]:
        if not source.many:
            return _one(source.config, source.keys[0], size)
        return _sheet(source, size)

    return and_then(source_of(path), drawing)


def _one(config: PathConfig, key: str, size: int) -> Outcome[Picture]:
    """Draw one item."""
    if isinstance(config, ZarrConfig):
        node = node_at(config, key)
        image = node.unwrap().image if is_successful(node) else None
        if image is not None:
            return _image(config, key, (image, node.unwrap().arrays), size)
    item = loaded(cast("Loadable[Payload]", config), key)
    return and_then(item, lambda it: _drawn(it, shown_of(None), size))


def _image(
    config: ZarrConfig, key: str, found: tuple[OmeImage, tuple[ArrayMeta, ...]], size: int
) -> Outcome[Picture]:
    """Draw the coarsest resolution that is large enough."""
    image, arrays = found
    number = max(
        (n for n, meta in enumerate(arrays) if max(meta.grid.shape[-2:], default=0) >= size),
        default=0,
    )
    level = image.levels[number]
    config = evolve(config, layout=ZarrLayout.IMAGE) if number == 0 else config
    item = loaded(cast("Loadable[Payload]", config), f"{key}/{level.path}")

    def with_axes(it: Item[object]) -> Outcome[Picture]:
        named = Item(it.key, it.payload, evolve(it.metadata, axes=image.axes), it.history)
        return _drawn(named, shown_of(image.omero), size)

    return and_then(item, with_axes)


def _drawn(item: Item[object], shown: Shown, size: int) -> Outcome[Picture]:
    payload = item.payload
    axes = item.metadata.axes
    if isinstance(payload, LazyArray):
        axes = axes or payload.spec.axes
    pixels = drawn(payload, axes, shown, size)
    return pixels.map(lambda it: Picture(it, f"of {item.key}"))


def _sheet(source: Source, size: int) -> Outcome[Picture]:
    """Draw a sheet: of a plate the wells as they lie, of others the items in their order."""
    plate = _plate(source.config)
    if plate is not None:
        columns = max(1, len(plate.columns))
        rows = max(1, len(plate.rows))
        side = max(8, (size - GAP) // max(columns, rows) - GAP)
        layout = Layout(columns, side, columns * rows)
        keys = _by_well(plate, source.keys)
    else:
        fitting = layout_for(len(source.keys))
        side = max(8, (size - GAP) // fitting.columns - GAP)
        layout = Layout(fitting.columns, side, fitting.shown)
        keys = list(source.keys[: fitting.shown])
    tiles = [_tile(source.config, key, layout.side) for key in keys]
    count = sum(key is not None for key in keys)
    what = f"a sheet of {count} images" if plate is None else f"the first field of {count} wells"
    return Success(Picture(contact_sheet(tiles, layout), what, _legend(keys, layout.columns)))


def _legend(keys: Sequence[str | None], columns: int) -> tuple[tuple[tuple[int, str], ...], ...]:
    """Give the numbers and keys of a sheet's rows; no row without an image.

    >>> _legend(["A/1/0", None, "B/1/0"], 2)
    (((1, 'A/1/0'),), ((3, 'B/1/0'),))
    """
    numbered = list(enumerate(keys, 1))
    rows = (numbered[at : at + columns] for at in range(0, len(numbered), columns))
    named = (tuple((number, key) for number, key in row if key is not None) for row in rows)
    return tuple(row for row in named if row)


def _plate(config: PathConfig) -> Plate | None:
    if not isinstance(config, ZarrConfig) or config.layout is not ZarrLayout.PLATE:
        return None
    node = node_at(config, "")
    if not is_successful(node):
        return None
    return plate_in(node.unwrap().documents.attributes).value_or(None)


def _by_well(plate: Plate, keys: Sequence[str]) -> list[str | None]:
    """Give the first field of each well, row by row; `None` where the plate has no such well."""
    first: dict[str, str] = {}
    for key in keys:
        first.setdefault("/".join(key.split("/")[:2]), key)
    return [first.get(f"{row}/{column}") for row in plate.rows for column in plate.columns]


def _tile(config: PathConfig, key: str | None, side: int) -> HostArray | None:
    """Draw an item of a sheet: of none, what is behind; of what has no picture, nothing."""
    import numpy as np

    if key is None:
        return np.full((side, side, 3), BACKGROUND, np.uint8)
    return _one(config, key, side).map(lambda it: it.pixels).value_or(None)
