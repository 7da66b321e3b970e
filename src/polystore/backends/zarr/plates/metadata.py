"""The metadata of plates and wells, of OME-Zarr 0.5 (under `ome`) and 0.4 (beside it).

A plate of ours lists the rows and columns that have wells. The specification allows the whole of a
standard plate too, but which one it is cannot be known from the wells that have come so far, and a
guess written down would pass for knowledge. What others listed stays as they did.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias, TypeVar, cast

from attrs import evolve, field, frozen

from polystore.core.errors import Corrupt, StorageError, UnsupportedOperation
from polystore.core.key import natural_order
from polystore.core.outcome import Failure, Outcome, Success

__all__ = [
    "Attributes",
    "Plate",
    "Version",
    "Well",
    "is_name",
    "plate_in",
    "well_in",
    "with_plate",
    "with_well",
]

T = TypeVar("T")

Version: TypeAlias = Literal["0.5", "0.4"]

Attributes: TypeAlias = Mapping[str, object]
"""Those of a group, as JSON gives them."""

_VERSIONS = ("0.1", "0.2", "0.3", "0.4", "0.5")

_NAME = re.compile("[A-Za-z0-9]+")


def _nothing() -> Mapping[str, object]:
    return {}


@frozen
class Plate:
    """What a plate lists: its rows, columns and wells (`"A/1"`), each in natural order.

    `field_count` is the most fields that a well has, `others` all that stands beside these.

    >>> Plate().grown(("B/12", "B/2"), fields=4).columns
    ('2', '12')
    """

    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    wells: tuple[str, ...] = ()
    field_count: int | None = None
    others: Mapping[str, object] = field(factory=_nothing, hash=False)

    def grown(self, wells: Iterable[str], fields: int) -> Plate:
        """Give the plate with these wells too; `fields` is the most that one of them has."""
        both = {*self.wells, *wells}
        rows, columns = (
            _ordered({*known, *(well.split("/")[part] for well in both)})
            for part, known in enumerate((self.rows, self.columns))
        )
        ordered = tuple(sorted(both, key=_well_order))
        return evolve(
            self,
            rows=rows,
            columns=columns,
            wells=ordered,
            field_count=max(fields, self.field_count or 0) or None,
        )

    def without(self, wells: Iterable[str]) -> Plate:
        """Give the plate without these wells, and the rows and columns that only they were in.

        >>> Plate().grown(("A/1", "B/1"), 1).without(["B/1"])
        Plate(rows=('A',), columns=('1',), wells=('A/1',), field_count=1, others={})
        """
        gone = frozenset(wells) & frozenset(self.wells)
        left = tuple(well for well in self.wells if well not in gone)
        rows, columns = (
            _but(known, gone, left, part) for part, known in enumerate((self.rows, self.columns))
        )
        return evolve(self, rows=rows, columns=columns, wells=left)


@frozen
class Well:
    """What a well lists: the names of its fields in natural order, and what is said of each."""

    fields: tuple[str, ...] = ()
    images: Mapping[str, Mapping[str, object]] = field(
        factory=dict[str, "Mapping[str, object]"], hash=False
    )
    others: Mapping[str, object] = field(factory=_nothing, hash=False)

    def of(self, fields: Iterable[str]) -> Well:
        """Give the well with exactly these fields; what is said of those that stay is kept.

        >>> Well().of(["10", "2"]).fields
        ('2', '10')
        """
        names = _ordered(frozenset(fields))
        return evolve(
            self, fields=names, images={name: self.images.get(name, {}) for name in names}
        )


def is_name(text: str) -> bool:
    """Whether a row, column or field may be called so: by ASCII letters and digits.

    >>> is_name("A1"), is_name("A-1"), is_name("")
    (True, False, False)
    """
    return _NAME.fullmatch(text) is not None


def plate_in(attributes: Attributes) -> Outcome[Plate | None]:
    """Give the plate that the attributes of a group describe; `None` if they describe none.

    `Corrupt` for what is no plate or contradicts itself, `UnsupportedOperation` for a version that
    is not known.

    >>> plate_in({}).unwrap()
    >>> print(plate_in({"plate": {"version": "0.4", "rows": 8}}).failure().message)
    The metadata of the plate is damaged: its 'rows' is no list of objects.
    """
    return _read(attributes, "plate", _plate)


def well_in(attributes: Attributes) -> Outcome[Well | None]:
    """Give the well that the attributes of a group describe; the errors are as of `plate_in`.

    >>> well_in({"ome": {"version": "0.5", "well": {"images": [{"path": "0"}]}}}).unwrap().fields
    ('0',)
    """
    return _read(attributes, "well", _well)


def with_plate(attributes: Attributes, plate: Plate, version: Version) -> dict[str, object]:
    """Give the attributes with this plate in the place of theirs; with none, if it has no wells.

    `version` is that of a new plate: one that is there keeps its own.

    >>> with_plate({}, Plate().grown(["A/1"], 1), "0.4")["plate"]["wells"]
    [{'path': 'A/1', 'rowIndex': 0, 'columnIndex': 0}]
    """
    wells: list[object] = []
    for well in plate.wells:
        row, _, column = well.partition("/")
        place = {"rowIndex": plate.rows.index(row), "columnIndex": plate.columns.index(column)}
        wells.append({"path": well, **place})
    document: dict[str, object] = {
        **plate.others,
        "rows": [{"name": name} for name in plate.rows],
        "columns": [{"name": name} for name in plate.columns],
        "wells": wells,
    }
    if plate.field_count is not None:
        document["field_count"] = plate.field_count
    return _written(attributes, "plate", document if wells else None, version)


def with_well(attributes: Attributes, well: Well, version: Version) -> dict[str, object]:
    """Give the attributes with this well in the place of theirs; with none, if it has no fields.

    >>> with_well({}, Well().of(["0"]), "0.5")
    {'ome': {'version': '0.5', 'well': {'version': '0.5', 'images': [{'path': '0'}]}}}
    """
    images = [{**well.images.get(name, {}), "path": name} for name in well.fields]
    document = {**well.others, "images": images}
    return _written(attributes, "well", document if images else None, version)


def _written(
    attributes: Attributes, word: str, document: dict[str, object] | None, version: Version
) -> dict[str, object]:
    """Give the attributes with a document under `ome`, as in 0.5, or beside it, as before."""
    ome = attributes.get("ome")
    is_old = word in attributes or (ome is None and version == "0.4")
    fields = attributes if is_old else {"version": version, **_object(ome or {}, "ome")}
    without = {name: value for name, value in fields.items() if name != word}
    if document is not None:
        here = "0.4" if is_old else fields["version"]
        new = {**without, word: {"version": here, **document}}
        return new if is_old else {**attributes, "ome": new}
    if is_old or set(without) != {"version"}:
        return without if is_old else {**attributes, "ome": without}
    return {name: value for name, value in attributes.items() if name != "ome"}


def _read(
    attributes: Attributes, word: str, read: Callable[[Mapping[str, object]], T]
) -> Outcome[T | None]:
    try:
        ome = _object(attributes.get("ome", {}), "ome")
        document = ome.get(word, attributes.get(word))
        if document is None:
            return Success(None)
        fields = _object(document, word)
        version = fields.get("version", ome.get("version", "0.4"))
        if version not in _VERSIONS:
            return Failure(_of_version(word, version))
        return Success(read(fields))
    except (TypeError, ValueError) as error:
        return Failure(_damaged(word, str(error)))


def _plate(fields: Mapping[str, object]) -> Plate:
    rows, columns = (_names(fields, word, "name") for word in ("rows", "columns"))
    places = {
        f"{row}/{column}": (at, by)
        for at, row in enumerate(rows)
        for by, column in enumerate(columns)
    }
    wells = _names(fields, "wells", "path")
    for well, fields_of_well in zip(wells, _objects(fields, "wells"), strict=True):
        if well not in places:
            raise ValueError(f"its well {well!r} is in none of its rows and columns")
        place = tuple(
            fields_of_well.get(word, known)
            for word, known in zip(("rowIndex", "columnIndex"), places[well], strict=True)
        )
        if place != places[well]:
            raise ValueError(f"its well {well!r} has the indices {place} of another one")
    count = fields.get("field_count")
    if count is not None and (not isinstance(count, int) or count < 1):
        raise ValueError("its 'field_count' is no number of fields")
    known = ("rows", "columns", "wells", "field_count")
    others = {name: value for name, value in fields.items() if name not in known}
    return Plate(rows, columns, wells, count, others)


def _well(fields: Mapping[str, object]) -> Well:
    names = _names(fields, "images", "path")
    images = dict(zip(names, _objects(fields, "images"), strict=True))
    others = {name: value for name, value in fields.items() if name != "images"}
    return Well(names, images, others)


def _names(fields: Mapping[str, object], word: str, name: str) -> tuple[str, ...]:
    """Give what the objects of a list are called; `ValueError` if two are called the same."""
    names: list[str] = []
    depth = 2 if word == "wells" else 1
    for each in _objects(fields, word):
        text = each.get(name)
        parts = text.split("/") if isinstance(text, str) else []
        if not isinstance(text, str) or len(parts) != depth or not all(map(is_name, parts)):
            raise ValueError(f"its {word!r} have the {name} {text!r}")
        names.append(text)
    if len(frozenset(names)) != len(names):
        raise ValueError(f"its {word!r} list something twice")
    return tuple(names)


def _objects(fields: Mapping[str, object], word: str) -> Sequence[Mapping[str, object]]:
    given = fields.get(word)
    if not isinstance(given, list):
        raise ValueError(f"its {word!r} is no list of objects")
    return [_object(each, word) for each in cast("list[object]", given)]


def _object(value: object, word: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ValueError(f"its {word!r} is no object, or has other things in it")
    return cast("Mapping[str, object]", value)


def _damaged(word: str, problem: str) -> StorageError:
    return Corrupt(
        "",
        None,
        f"The metadata of the {word} is damaged: {problem}.",
        "Mend it with the program that wrote it; what is stored can be loaded as it is.",
    )


def _of_version(word: str, version: object) -> StorageError:
    return UnsupportedOperation(
        "",
        None,
        f"This {word} is of OME-Zarr {version!r}, and 0.1 to 0.5 are known.",
        "Upgrade polystore, or save to another root.",
    )


def _but(
    known: tuple[str, ...], gone: Iterable[str], left: Iterable[str], part: int
) -> tuple[str, ...]:
    """Give the rows (part 0) or columns (1) but for those that only the gone wells were in."""
    lost = {well.split("/")[part] for well in gone} - {well.split("/")[part] for well in left}
    return tuple(name for name in known if name not in lost)


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names, key=_order))


def _order(name: str) -> tuple[int, tuple[str, str]]:
    """Give the sort key of a name: `AA` is after `Z`, `10` after `9`."""
    return len(name) if name.isalpha() else 0, natural_order(name)


def _well_order(well: str) -> tuple[tuple[int, tuple[str, str]], ...]:
    return tuple(map(_order, well.split("/")))
