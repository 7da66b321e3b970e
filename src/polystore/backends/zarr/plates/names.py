"""The names of a plate's files, both ways: to the plane that a name means, and back.

`PlateNames.template` is one of Python's format strings, and what reads a name is the exact inverse
of what makes one. (The library `parse` is not: it takes `+1` and `0x1F` for a number, `1` where the
format says `01`, any capitals, and of two readings of a name the first.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from string import Formatter

from attrs import evolve, frozen

from polystore.configs import PlateNames
from polystore.configs.zarr import COUNTED
from polystore.core.errors import InvalidKey, InvalidSpec
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful

__all__ = [
    "AXES",
    "Plane",
    "axes_of",
    "channel_names",
    "checked",
    "first_of",
    "formatted",
    "parsed",
]

AXES = ("t", "c", "z")
"""The axes that the files of a field are numbered along, in the order of OME-Zarr."""

_NUMBERS = ("column", *COUNTED)

_DIGITS_MAX = 6
"""A number in a name may have so many digits: an array is never made as long as a date."""

_ROW = re.compile("[A-Z]{1,2}")


@frozen
class Plane:
    """Which plane of a plate: `row` is as on the plate (`"A"`), and so is `column`, a number.

    The others count from 0. What a template does not name is 0.

    >>> Plane("B", 12, channel=1).field_key
    'B/12/0'
    """

    row: str
    column: int
    field: int = 0
    channel: int = 0
    z: int = 0
    t: int = 0

    @property
    def field_key(self) -> str:
        """Give the key of the field that the plane is in."""
        return f"{self.row}/{self.column}/{self.field}"

    @property
    def place(self) -> tuple[int, int, int]:
        """Give where the plane is along the axes t, c and z."""
        return self.t, self.channel, self.z


@frozen
class _Part:
    """A text, and what follows it: a name of the template, if there is one.

    It is written in so many digits at least, or `exact` ones, and counted from `first`.
    """

    literal: str
    name: str | None
    digits: int = 0
    first: int = 0
    is_letters: bool = False
    exact: bool = False


@frozen
class _Template:
    """A template that was read: the groups of its pattern are those of the named parts."""

    parts: tuple[_Part, ...]
    pattern: re.Pattern[str]

    @property
    def named(self) -> list[_Part]:
        """Give the parts that have a name."""
        return [part for part in self.parts if part.name is not None]


def parsed(names: PlateNames, key: str) -> Outcome[Plane]:
    """Give the plane that a name means.

    `InvalidKey` if the template could not have made the name, `InvalidSpec` if it is no template.

    >>> names = PlateNames("{row}{column:02}_s{field}_w{channel}.tif")
    >>> parsed(names, "A01_s1_w2.tif").unwrap()
    Plane(row='A', column=1, field=0, channel=1, z=0, t=0)
    >>> print(parsed(names, "A1_s1_w2.tif").failure().message)
    'A1_s1_w2.tif' does not fit '{row}{column:02}_s{field}_w{channel}.tif'.
    """
    return and_then(_template(names), lambda template: _parsed(names, template, key))


def formatted(names: PlateNames, plane: Plane) -> Outcome[str]:
    """Give the name of a plane's file.

    `InvalidKey` for a plane that the template has no name for, `InvalidSpec` for no template.

    >>> names = PlateNames("{row}{column:02}_s{field}_w{channel}.tif")
    >>> formatted(names, Plane("A", 1, channel=1))
    <Success: A01_s1_w2.tif>
    """
    return and_then(_template(names), lambda template: _formatted(names, template, plane))


def axes_of(names: PlateNames) -> Outcome[tuple[str, ...]]:
    """Give the axes of a field whose files have such names: those that they name, then y and x.

    >>> axes_of(PlateNames("{row}{column}_t{t}_w{channel}.tif"))
    <Success: ('t', 'c', 'y', 'x')>
    """

    def axes(template: _Template) -> tuple[str, ...]:
        named = {part.name for part in template.parts}
        numbered = (axis for axis in AXES if {"c": "channel"}.get(axis, axis) in named)
        return (*numbered, "y", "x")

    return _template(names).map(axes)


def channel_names(names: PlateNames, count: int) -> tuple[str, ...]:
    """Give names for channels of which no more is known than their numbers in the files' names.

    >>> channel_names(PlateNames("{row}{column:02}_w{channel}.tif"), 2)
    ('w1', 'w2')
    >>> channel_names(PlateNames("Channel {channel}-{row}-{column:02}.tif"), 2)
    ('Channel 1', 'Channel 2')
    """
    parts = _template(names).map(lambda it: it.parts).value_or(())
    own = next((part for part in parts if part.name == "channel"), _Part("", "channel", first=1))
    letters = re.search(r"[A-Za-z]+ ?\Z", own.literal)
    prefix = letters.group() if letters else "c"
    return tuple(f"{prefix}{number + own.first}" for number in range(count))


def _parsed(names: PlateNames, template: _Template, key: str) -> Outcome[Plane]:
    found = template.pattern.fullmatch(key)
    if found is None:
        return Failure(_no_name(names, key))
    row, numbers = "", dict[str, int](dict.fromkeys(_NUMBERS, 0))
    said: dict[str, str | int] = {}
    for part, text in zip(template.named, found.groups(), strict=True):
        name = part.name or ""
        if name == "row":
            value: str | int = text if part.is_letters else _letters(int(text))
            row = str(value)
        else:
            value = numbers[name] = int(text) - part.first
        if said.setdefault(name, value) != value:
            return Failure(_no_name(names, key, f"; it says two values for {name!r}"))
    below = {name: number + first_of(names, name) for name, number in numbers.items() if number < 0}
    if below:
        numbered = ", ".join(f"{name} {number}" for name, number in below.items())
        return Failure(_no_name(names, key, f": {numbered} is below the first", below))
    if not row:
        return Failure(_no_name(names, key))
    return Success(Plane(row, **numbers))


def _no_name(
    names: PlateNames, key: str, why: str = "", first: Mapping[str, int] | None = None
) -> InvalidKey:
    firsts = dict(first or {"field": 0})
    typed = ",".join(f"{name}={number}" for name, number in firsts.items())
    return InvalidKey(
        key,
        None,
        f"{key!r} does not fit {names.template!r}{why}.",
        f"The template counts {_counting(names)}, and rows are capitals. "
        "Rename the file, give PlateNames another template, or say what they count from: "
        f"first={firsts} (--first {typed}).",
    )


def _counting(names: PlateNames) -> str:
    """Say what the names count from which number.

    >>> _counting(PlateNames("", first=0)), _counting(PlateNames("", first={"field": 0, "z": 2}))
    ('field, channel, z and t from 0', 'channel and t from 1, field from 0, z from 2')
    """
    by_first: dict[int, list[str]] = {}
    for name in COUNTED:
        by_first.setdefault(first_of(names, name), []).append(name)
    return ", ".join(
        f"{' and '.join(', '.join(each).rsplit(', ', 1))} from {first}"
        for first, each in sorted(by_first.items(), key=lambda it: -len(it[1]))
    )


def first_of(names: PlateNames, name: str) -> int:
    """Give the number that the names count something from.

    >>> first_of(PlateNames("", first={"field": 0}), "field")
    0
    """
    if name not in COUNTED:
        return 0
    return names.first if isinstance(names.first, int) else dict(names.first).get(name, 1)


def _formatted(names: PlateNames, template: _Template, plane: Plane) -> Outcome[str]:
    values: Mapping[str, object] = {name: getattr(plane, name) for name in ("row", *_NUMBERS)}
    text, named = "", set[str]()
    for part in template.parts:
        text += part.literal
        if part.name is None:
            continue
        word = _word(part, values[part.name])
        if word is None:
            return Failure(_nameless(names, plane))
        text += word
        named.add(part.name)
    left = any(value for name, value in values.items() if name not in named)
    return Failure(_nameless(names, plane)) if left else Success(text)


def _word(part: _Part, value: object) -> str | None:
    """Give what stands in a name for a value; `None` if it cannot."""
    if part.name == "row":
        row = value if isinstance(value, str) and _ROW.fullmatch(value) else None
        if row is None or part.is_letters:
            return row
        number = _number(row)
    else:
        number = value + part.first if isinstance(value, int) and value >= 0 else -1
    word = f"{number:0{part.digits}}"
    longest = part.digits if part.exact else max(part.digits, _DIGITS_MAX)
    return word if number >= 0 and len(word) <= longest else None


def _nameless(names: PlateNames, plane: Plane) -> InvalidKey:
    return InvalidKey(
        plane.field_key,
        None,
        f"{names.template!r} has no name for {plane}.",
        "Give PlateNames a template that names all that is counted, with digits enough.",
    )


def _number(row: str) -> int:
    number = 0
    for letter in row:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _letters(number: int) -> str:
    """Give the row of a number, or nothing where no plate has it.

    >>> _letters(1), _letters(27), _letters(0), _letters(703)
    ('A', 'AA', '', '')
    """
    tens, ones = divmod(number - 1, 26)
    if not 0 < number <= 26 * 27:
        return ""
    return (chr(ord("A") + tens - 1) if tens else "") + chr(ord("A") + ones)


@lru_cache(maxsize=64)
def _template(names: PlateNames) -> Outcome[_Template]:
    try:
        found = list(Formatter().parse(names.template))
        below = min(first_of(names, name) for name in COUNTED) < 0
    except (TypeError, ValueError) as error:
        return Failure(_no_template(names, str(error)))
    if below:
        return Failure(_no_template(names, "numbers cannot count from below 0"))
    parts: list[_Part] = []
    for literal, name, spec, conversion in found:
        part = _part(literal, name, spec or "", conversion)
        if isinstance(part, str):
            return Failure(_no_template(names, part))
        parts.append(evolve(part, first=first_of(names, name or "")))
    problem = _problem([part.name for part in parts if part.name is not None])
    exact = _runs(parts) if problem is None else problem
    if isinstance(exact, str):
        return Failure(_no_template(names, exact))
    pattern = "".join(map(_pattern, exact))
    return Success(_Template(exact, re.compile(pattern, re.ASCII)))


def _part(literal: str, name: str | None, spec: str, conversion: str | None) -> _Part | str:
    """Give a part of a template, or what is wrong with it."""
    if name is None:
        return _Part(literal, None)
    if name != "row" and name not in _NUMBERS:
        known = ", ".join(("row", *_NUMBERS))
        return f"it has the name {name!r}, and the names are {known}"
    digits = re.fullmatch("(?:0([1-6]))?d?", spec)
    if digits is None or conversion is not None:
        return f"{name!r} is formatted in a way other than '02': as many digits, with zeros"
    return _Part(literal, name, int(digits.group(1) or 1), is_letters=name == "row" and not spec)


def _problem(named: Sequence[str]) -> str | None:
    lacking = next((name for name in ("row", "column") if name not in named), None)
    return None if lacking is None else f"it does not name {lacking!r}"


def _runs(parts: Sequence[_Part]) -> tuple[_Part, ...] | str:
    """Give the parts, those numbers exact that stand side by side, but for one that may grow.

    What stands between them may be digits too, which cannot tell where one ends.
    """
    done: list[_Part] = []
    for run in _side_by_side(parts):
        growing = [part.name for part in run if part.digits == 1 and part.name is not None]
        if len(run) > 1 and len(growing) > 1:
            side = " and ".join(map(repr, growing[:2]))
            return f"{side} stand side by side, and nothing says where the first ends"
        alone = len(run) == 1
        done += [part if alone or part.digits == 1 else evolve(part, exact=True) for part in run]
    return tuple(done)


def _side_by_side(parts: Sequence[_Part]) -> Iterator[list[_Part]]:
    """Give the parts in runs: numbers with nothing between them but digits, and all else alone."""
    run: list[_Part] = []
    for part in parts:
        goes_on = re.fullmatch("[0-9]*", part.literal) is not None and part.name is not None
        is_number = part.name is not None and not part.is_letters
        if run and not (goes_on and is_number):
            yield run
            run = []
        if is_number:
            run.append(part)
        else:
            yield [part]
    if run:
        yield run


def _pattern(part: _Part) -> str:
    if part.name is None:
        word = ""
    elif part.is_letters:
        word = f"({_ROW.pattern})"
    else:
        own = f"[0-9]{{{part.digits}}}"
        more = f"[1-9][0-9]{{{part.digits},{_DIGITS_MAX - 1}}}"
        grows = not part.exact and part.digits < _DIGITS_MAX
        word = f"({own}|{more})" if grows else f"({own})"
    return re.escape(part.literal) + word


def _no_template(names: PlateNames, problem: str) -> InvalidSpec:
    return InvalidSpec(
        "",
        None,
        f"{names.template!r} is no template of a plate's file names: {problem}.",
        "Write it as in '{row}{column:02}_s{field}_w{channel}.tif'.",
        "names",
    )


def checked(names: PlateNames) -> Outcome[None]:
    """Give nothing, or why the template is none.

    >>> print(checked(PlateNames("{row}{column}{field}.tif")).failure().message)
    '{row}{column}{field}.tif' is no template of a plate's file names: 'column' and 'field' stand
    side by side, and nothing says where the first ends.
    """
    template = _template(names)
    return Success(None) if is_successful(template) else Failure(template.failure())
