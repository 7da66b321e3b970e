"""What a copy refuses before it begins: wishes that its two sides cannot fulfil."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polystore.configs import ObjectConfig, ZarrConfig, ZarrLayout
from polystore.core.errors import StorageError, UnsupportedOperation
from polystore.core.key import suffix_of
from polystore.discover import default_registry

if TYPE_CHECKING:
    from polystore.cli.errand import Errand, Wish
    from polystore.files.place import Address, PathConfig

__all__ = ["refusal"]

ADD_NAMES = (
    "Add --names with what the files are called, such as '{row}{column:02}_s{field}_w{channel}.tif'"
    ", or copy one image to a field, such as plate.zarr/A/1/0."
)


def refusal(errand: Errand, aim: Address) -> StorageError | None:
    """Say what keeps a copy from beginning; `None` if nothing that is known without reading.

    `aim` is where to, with the kind of what is there.
    """
    target, wish = errand.target, errand.wish
    if isinstance(target, ZarrConfig):
        problem = _of_plate(errand, aim) if target.layout is ZarrLayout.PLATE else None
    else:
        problem = _of_files(wish, aim) or _of_suffix(errand, aim)
    return problem or _onto_itself(errand)


def _of_plate(errand: Errand, aim: Address) -> StorageError | None:
    from polystore.backends.zarr.plates.fields import is_field

    config = aim.config
    if aim.kind in ("array", "image") and not aim.key and isinstance(config, ZarrConfig):
        what = {"array": "an array", "image": "an image"}[aim.kind]
        message = f"{config.root!r} is {what}, and no plate."
        return _refused(message, "Give the path of a plate, or of nothing yet.")
    fields = ("/".join(new.split("/")[:3]) for _, new in errand.pairs)
    named = config.names is not None if isinstance(config, ZarrConfig) else False
    if named or all(map(is_field, fields)):
        return None
    key = errand.pairs[0][1]
    return _refused(f"{key!r} is no field of a plate, whose keys are row/column/field.", ADD_NAMES)


def _of_files(wish: Wish, aim: Address) -> StorageError | None:
    asked = [name for name, value in (("--chunks", wish.chunks), ("--ome", wish.version)) if value]
    if not asked:
        return None
    says, it = ("says", "it") if len(asked) == 1 else ("say", "them")
    message = f"{' and '.join(asked)} {says} how Zarr is written, and {_shown(aim)!r} is none."
    return _refused(message, f"Leave {it} out, or copy to a path such as image.zarr.")


def _of_suffix(errand: Errand, aim: Address) -> StorageError | None:
    """Refuse one item without the suffix of a format; what is no image keeps the name it has."""
    suffixes = tuple(
        suffix for it in default_registry().entries().formats for suffix in it.key.suffixes
    )
    if not aim.key or suffix_of(aim.key, suffixes):
        return None
    if not isinstance(errand.source, ZarrConfig) and not suffix_of(errand.pairs[0][0], suffixes):
        return None
    message = f"{aim.key!r} says no format of a file."
    return _refused(message, "Add a suffix such as .zarr or .ome.tif, or make the folder first.")


def _onto_itself(errand: Errand) -> StorageError | None:
    for key, new in errand.pairs:
        here, there = _place(errand.source, key), _place(errand.target, new)
        if here == there and key not in errand.fields:
            message = f"{key!r} would be copied onto itself."
            return _refused(message, "Give another path to copy to.")
    return None


def _place(config: PathConfig, key: str) -> tuple[object, str]:
    if isinstance(config, ObjectConfig):
        return "", f"{config.url.rstrip('/')}/{key}"
    root = config.root.rstrip("/")
    store = config.store if isinstance(config, ZarrConfig) else None
    return store, f"{root}/{key}" if root else key


def _shown(aim: Address) -> str:
    config = aim.config
    return aim.key or (config.url if isinstance(config, ObjectConfig) else config.root)


def _refused(message: str, advice: str) -> StorageError:
    return UnsupportedOperation("", None, message, advice)
