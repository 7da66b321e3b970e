"""What a step was given that no step can take: what a type checker refuses, said at run time."""

from __future__ import annotations

from typing import cast, get_args

from polystore.configs import ZarrConfig
from polystore.core.errors import InvalidSpec
from polystore.core.records import Casting, FileFormat, Framework, IfExists
from polystore.core.region import is_bounds
from polystore.steps.check_zarr import are_numbers, is_number, mistake_in_zarr
from polystore.steps.convert import Convert
from polystore.steps.load import Load
from polystore.steps.map_blocks import MapBlocks
from polystore.steps.rename import Rename
from polystore.steps.save import Save

__all__ = ["mistake_in"]

_IF_EXISTS: tuple[str, ...] = get_args(IfExists)
_CASTINGS: tuple[str, ...] = get_args(Casting)


def mistake_in(step: object) -> InvalidSpec | None:
    """Give the error for a step, or a config, made with a wrong value; `None` for any other.

    >>> print(mistake_in(Save(None, if_exists="replaced")).message)
    save.if_exists is 'replaced', and must be one of 'fail', 'replace', 'skip'.
    """
    match step:
        case Save():
            return _in_save(cast("Save[object]", step))
        case Load():
            return _in_load(cast("Load[object]", step))
        case Convert():
            return _in_convert(cast("Convert[object]", step))
        case Rename():
            return _in_rename(step)
        case MapBlocks():
            return _in_map_blocks(step)
        case ZarrConfig():
            return mistake_in_zarr(step)
        case _:
            return None


_A_REGION = "slices of step 1, such as np.s_[0:1, :512]"


def _in_save(step: Save[object]) -> InvalidSpec | None:
    if step.if_exists not in _IF_EXISTS:
        return _wrong("save.if_exists", step.if_exists, _one_of(_IF_EXISTS))
    if step.region is None:
        return None
    if not is_bounds(step.region):
        return _wrong("save.region", step.region, _A_REGION)
    if step.if_exists != "replace":
        return _wrong("save.if_exists", step.if_exists, "'replace' where a region is given")
    if step.options is not None:
        return _wrong("save.options", step.options, "None where a region is given")
    return None


def _in_load(step: Load[object]) -> InvalidSpec | None:
    format = cast("object", step.format)
    if format is not None and not isinstance(format, FileFormat):
        return _wrong("load.format", format, "a format, such as polystore.TIFF")
    if step.region is not None and not is_bounds(step.region):
        return _wrong("load.region", step.region, _A_REGION)
    return None


def _in_convert(step: Convert[object]) -> InvalidSpec | None:
    to, device = cast("object", step.to), cast("object", step.device)
    if not isinstance(to, (str, Framework)):
        return _wrong("convert.to", to, "the name of a framework, or its record")
    if step.casting not in _CASTINGS:
        return _wrong("convert.casting", step.casting, _one_of(_CASTINGS))
    if step.copy not in (None, True, False):
        return _wrong("convert.copy", step.copy, "one of None, True, False")
    if device is not None and not isinstance(device, str):
        return _wrong("convert.device", device, "the framework's word for it, such as 'cpu'")
    return None


def _in_rename(step: Rename) -> InvalidSpec | None:
    if step.to is not None and not isinstance(step.to, str) and not callable(step.to):
        return _wrong("rename.to", step.to, "a template, or a function of the key")
    texts = {"suffix": cast("object", step.suffix or ""), "prefix": cast("object", step.prefix)}
    for name, value in texts.items():
        if not isinstance(value, str):
            return _wrong(f"rename.{name}", value, "text")
    if step.suffix and "." not in step.suffix:
        return _wrong("rename.suffix", step.suffix, "a suffix with its dot, such as '.npy'")
    return None


def _in_map_blocks(step: MapBlocks) -> InvalidSpec | None:
    halo = cast("object", step.halo)
    if not callable(step.function):
        return _wrong("map_blocks.function", step.function, "a function of an array")
    if not is_number(halo, 0) and not are_numbers(halo, 0):
        return _wrong("map_blocks.halo", halo, "a number of elements, or one for each axis")
    if step.dtype is not None and not isinstance(cast("object", step.dtype), str):
        return _wrong("map_blocks.dtype", step.dtype, "NumPy's name of a dtype, such as 'float32'")
    return None


def _one_of(choices: tuple[str, ...]) -> str:
    return f"one of {', '.join(map(repr, choices))}"


def _wrong(where: str, given: object, wanted: str) -> InvalidSpec:
    message = f"{where} is {given!r}, and must be {wanted}."
    return InvalidSpec("", None, message, "A type checker shows where it is set.", where)
