"""What a copy is about to do: which items go from where to where, under which keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, cast

from attrs import evolve, field, frozen

from polystore.cli.places import images_among, no_image_in
from polystore.cli.planes import planes_among
from polystore.cli.refusing import refusal
from polystore.configs import (
    ObjectConfig,
    OmeOptions,
    PlateNames,
    ZarrConfig,
    ZarrLayout,
)
from polystore.core.errors import NotFound, StorageError, UnsupportedOperation
from polystore.core.key import suffix_of
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.records import IfExists
from polystore.discover import default_registry
from polystore.files.asking import stat
from polystore.files.listing import list_files
from polystore.files.place import Address, PathConfig, address_of, as_whole

if TYPE_CHECKING:
    from polystore.backends.zarr.plates.grouping import FieldFiles

__all__ = ["Errand", "Source", "Wish", "planned", "source_of"]


@frozen
class Wish:
    """What the command line asks for, beside the two paths."""

    layout: Literal["array", "image", "plate"] | None = None
    names: str | None = None
    first: int | tuple[tuple[str, int], ...] = 1
    version: Literal["0.5", "0.4"] | None = None
    axes: tuple[str, ...] = ()
    chunks: tuple[int, ...] | None = None
    if_exists: IfExists = "fail"

    @property
    def asks(self) -> bool:
        """Whether anything is asked for that a copy of what is stored would not do."""
        return bool(self.axes or self.chunks or self.version)

    @property
    def plate_names(self) -> PlateNames | None:
        """How the files of a plate are called, if that was said."""
        return None if self.names is None else PlateNames(self.names, self.first)


@frozen
class Errand:
    """Items to be copied: `pairs` of their keys in the source and in the target.

    `others` are the keys of files that are no images, and stay; `title` says from where to where;
    `fields` are those of a plate that are made of several files each, by their keys.
    """

    source: PathConfig
    target: PathConfig
    pairs: tuple[tuple[str, str], ...]
    wish: Wish
    title: str
    others: tuple[str, ...] = ()
    fields: Mapping[str, FieldFiles] = field(factory=dict[str, "FieldFiles"], hash=False)

    @property
    def as_stored(self) -> bool:
        """Whether both sides are of one kind, and nothing is asked for that would change it."""
        same = isinstance(self.source, ZarrConfig) == isinstance(self.target, ZarrConfig)
        return same and not self.wish.asks


@frozen
class Source:
    """What a path names, to be read: the keys of all its items, and of the files that are none.

    `folder` is what the keys have in common; `many` is false for a single item.
    """

    config: PathConfig
    folder: str
    keys: tuple[str, ...]
    many: bool
    others: tuple[str, ...] = ()


def planned(source: str, target: str, wish: Wish) -> Outcome[Errand]:
    """Give the errand: whatever can be known to be wrong before the first item is found out here.

    >>> print(type(planned("/no/such.tif", "/no/a.zarr", Wish()).failure()).__name__)
    NotFound
    """

    def meeting(aim: Address) -> Outcome[Errand]:
        zarr = isinstance(aim.config, ZarrConfig) or wish.layout is not None
        found = source_of(source, None if zarr else wish.plate_names)
        return and_then(found, lambda it: _met(it, aim, wish, (source, target)))

    return and_then(address_of(target), meeting)


def source_of(path: str, names: PlateNames | None = None) -> Outcome[Source]:
    """Give what a path names: one item, or all those of a folder, a store or a plate.

    Of a folder of files, those are meant that are images; `NotFound` if there are none. With
    `names`, the keys of a plate are the names of files.
    """

    def listed(address: Address) -> Outcome[Source]:
        config, folder = _named(address.config, names), address.key
        if folder:
            found = stat(config, folder)
            if not is_successful(found):
                return Failure(found.failure())
            if found.unwrap().kind != "folder":
                return Success(Source(config, "", (folder,), many=False))
        keys = list_files(config, folder=folder)
        return and_then(keys, lambda all_: _source(config, folder, all_))

    return and_then(address_of(path), listed)


def _named(config: PathConfig, names: PlateNames | None) -> PathConfig:
    if isinstance(config, ZarrConfig) and config.layout is ZarrLayout.PLATE:
        return evolve(config, names=names)
    return config


def _source(config: PathConfig, folder: str, keys: Sequence[str]) -> Outcome[Source]:
    if isinstance(config, ZarrConfig):
        if keys:
            return Success(Source(config, folder, tuple(keys), many=True))
        message = f"{folder or config.root!r} holds no array and no image."
        return Failure(_refused(message, "polystore info says what is there.", config))
    images, others = images_among(keys)
    if not images:
        place = config.url if isinstance(config, ObjectConfig) else config.root
        return Failure(no_image_in(place, config, others))
    return Success(Source(config, folder, images, many=True, others=others))


def _refused(message: str, advice: str, config: object = None) -> StorageError:
    return UnsupportedOperation("", config, message, advice)


def _met(source: Source, aim: Address, wish: Wish, paths: tuple[str, str]) -> Outcome[Errand]:
    """Give the errand from what is there to where it is to go."""
    into = source.many or paths[1].endswith("/")
    if isinstance(aim.config, ZarrConfig):
        target = _in_zarr(aim.config, aim, source, wish, into=into)
    elif wish.layout is not None:
        root = "" if isinstance(aim.config, ObjectConfig) else aim.config.root
        store = aim.config if isinstance(aim.config, ObjectConfig) else None
        target = _in_zarr(ZarrConfig(root=root, store=store), aim, source, wish, into=into)
    else:
        target = as_whole(aim) if into else aim
    to_plate = isinstance(target.config, ZarrConfig) and target.config.layout is ZarrLayout.PLATE
    named = isinstance(source.config, ZarrConfig) and source.config.names is not None
    if wish.names is not None and not (to_plate or named):
        message = "--names says how the files of a plate are called, and neither side is a plate."
        return Failure(_refused(message, "Add --layout plate, or leave it out."))
    errand = _errand(source, target, wish, " -> ".join(paths))
    return and_then(errand, lambda it: _not_refused(it, target))


def _not_refused(errand: Errand, target: Address) -> Outcome[Errand]:
    problem = refusal(errand, target)
    return Success(errand) if problem is None else Failure(problem)


def _in_zarr(
    config: ZarrConfig, aim: Address, source: Source, wish: Wish, *, into: bool
) -> Address:
    """Give where to in Zarr: the key of one item, or a whole store."""
    layout = _layout(config, aim, source, wish)
    plate = layout is ZarrLayout.PLATE
    of_plate = plate and "/" not in aim.key and not config.root.lower().endswith(".zarr")
    address = Address(config, aim.key, aim.kind)
    whole = into or of_plate or aim.kind in ("group", "plate", "well")
    found = as_whole(address) if whole else address
    configured = evolve(
        cast("ZarrConfig", found.config),
        layout=layout,
        chunks=wish.chunks,
        names=wish.plate_names if plate else None,
        ome=OmeOptions(version=wish.version or "0.5", axes=wish.axes),
    )
    return Address(configured, found.key, found.kind)


def _layout(config: ZarrConfig, aim: Address, source: Source, wish: Wish) -> ZarrLayout:
    """Give the layout that is asked for, else that of what is there, else that of the source."""
    if wish.layout is not None:
        return ZarrLayout(wish.layout)
    if aim.kind or not isinstance(source.config, ZarrConfig):
        return config.layout
    of_plate = source.config.layout is ZarrLayout.PLATE and not source.many
    return ZarrLayout.IMAGE if of_plate else source.config.layout


def _errand(source: Source, aim: Address, wish: Wish, title: str) -> Outcome[Errand]:
    config = aim.config
    if isinstance(config, ZarrConfig) and config.names is not None:
        return _of_plate(source, config, wish, title)
    name = _naming(source, aim)
    pairs = tuple((key, aim.key or name(key)) for key in source.keys)
    clash = _clash(pairs)
    if clash is not None:
        return Failure(clash)
    others = source.others
    if not isinstance(source.config, ZarrConfig) and not isinstance(config, ZarrConfig):
        pairs += tuple((key, name(key)) for key in others)  # files to files: all of them
        others = ()
    return Success(Errand(source.config, config, pairs, wish, title, others))


def _of_plate(source: Source, config: ZarrConfig, wish: Wish, title: str) -> Outcome[Errand]:
    """Give the errand of files whose names say which plane of a plate each is.

    Fields are copied whole, which is faster, where all their planes are here, and all or none of
    them there; else plane by plane.
    """
    from polystore.backends.zarr.plates.grouping import fields_of

    names = cast("PlateNames", config.names)
    fitting = planes_among(names, source.keys, source.folder)
    if not is_successful(fitting):
        return Failure(fitting.failure())
    keys = fitting.unwrap()
    by_planes = tuple((key, name) for name, key in keys.items())
    planes = Errand(source.config, config, by_planes, wish, title, source.others)
    if not source.many:
        return Success(planes)
    fields = fields_of(names, keys)
    if not is_successful(fields):
        lacking = isinstance(fields.failure(), NotFound)
        return Success(planes) if lacking else Failure(fields.failure())
    there = frozenset(list_files(config).value_or(()))  # a plate that is not there has none
    if any(0 < len(there.intersection(one.files)) < len(one.files) for one in fields.unwrap()):
        return Success(planes)  # a field that is not whole would be skipped as if it were
    stacks = {
        one.key: evolve(one, files=tuple(keys[name] for name in one.files))
        for one in fields.unwrap()
    }
    pairs = tuple((key, key) for key in stacks)
    return Success(evolve(planes, target=evolve(config, names=None), pairs=pairs, fields=stacks))


def _below(source: Source, key: str) -> str:
    return key.removeprefix(f"{source.folder}/") if source.folder else key


def _naming(source: Source, aim: Address) -> Callable[[str], str]:
    """Give what makes the key of the source a key of the target."""
    to_files = isinstance(source.config, ZarrConfig) and not isinstance(aim.config, ZarrConfig)
    suffixes = tuple(
        suffix for it in default_registry().entries().formats for suffix in it.key.suffixes
    )

    def named(key: str) -> str:
        below = _below(source, key)
        if not source.many:
            below = below.rpartition("/")[2]
        if not to_files or suffix_of(below, suffixes):
            return below
        config = cast("ZarrConfig", source.config)
        stem = below[: -len(".zarr")] if below.lower().endswith(".zarr") else below
        return f"{stem}{'.tif' if config.layout is ZarrLayout.ARRAY else '.ome.tif'}"

    return named


def _clash(pairs: tuple[tuple[str, str], ...]) -> StorageError | None:
    """Give the error for two items that would become one."""
    seen: dict[str, str] = {}
    for key, new in pairs:
        if new in seen:
            message = f"{seen[new]!r} and {key!r} would both become {new!r}."
            return _refused(message, "Rename one of them, or copy them one by one.")
        seen[new] = key
    return None
