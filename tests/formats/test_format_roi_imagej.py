"""ImageJ opens what we write and shows the same numbers, and we read what ImageJ saves."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from attrs import frozen

from polystore import read, write
from polystore.core.errors import UnsupportedPayload
from polystore.core.item import Item
from polystore.core.outcome import Outcome
from polystore.core.payload import Payload
from polystore.core.rois import (
    Ellipse,
    Line,
    Mask,
    Points,
    Polygon,
    Polyline,
    Position,
    Rectangle,
    Roi,
    Rois,
    Shape,
)

MISSING = [program for program in ("imagej", "xvfb-run") if shutil.which(program) is None]

pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"{' and '.join(MISSING)} not here, so ImageJ cannot be asked"
)

BLOB = Mask(np.random.default_rng(7).random((9, 12)) < 0.5, top=4, left=3)
RING = Mask([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]], top=20, left=20)

OURS = Rois(
    [
        Roi("cell", Polygon([(0, 0), (0, 4), (3, 4)])),
        Roi("cell", Polygon([(0.5, 0), (0, 4), (3, -4)]), Position(c=1)),
        Roi("größe \U0001f9eb", Polyline([(1, 2), (5, 7), (3, 3)]), Position(z=2)),
        Roi("a/b", Polyline([(0, 1), (2.25, 7)]), Position(t=0)),
        Roi("a.roi", Rectangle(-4, -4, 4, 4), Position(1, 2, 3)),
        Roi("fractions", Rectangle(0.5, 0.25, 3, 4.5), Position(stack=0)),
        Roi("..", Ellipse(1, 2, 3, 4), Position(stack=5)),
        Roi("egg", Ellipse(0.5, 2.25, 3, 4)),
        Roi("line", Line((0, 0), (1, 2.5))),
        Roi("line back", Line((20.125, 30), (-1, 2.5))),
        Roi("point", Points([(7, 8)])),
        Roi("counted", Points([(0, 0), (4, 5), (6, 6.5)], [1, 2, 0], [None, 7, 1])),
        Roi("many", Points([(at // 256, at % 256) for at in range(65_535)])),
        Roi("wide", Points([(60535, 60535), (-5000, -5000)])),
        Roi("blob", BLOB),
        Roi("ring", RING, Position(c=0, z=0, t=0)),
    ]
)
"""Every shape, as whole numbers and as fractions; every kind of name and of position."""

SHOWS = """
setBatchMode(true);
newImage("image", "8-bit black", 40, 40, 60);
run("Stack to Hyperstack...", "channels=3 slices=4 frames=5");
roiManager("Open", "FOLDER/ours.roi.zip");
for (i = 0; i < roiManager("count"); i++) {
  roiManager("select", i);
  Roi.getPosition(c, z, t);
  s = "shows\\t" + Roi.getName + "\\t" + Roi.getType + "\\t" + c + " " + z + " " + t + "\\t";
  Roi.getCoordinates(xs, ys);
  if (Roi.getType == "rectangle" || Roi.getType == "oval") {
    Roi.getFloatBounds(x, y, w, h);
    xs = newArray(x, w); ys = newArray(y, h);
  }
  for (k = 0; k < minOf(xs.length, 8); k++) s = s + d2s(ys[k], 9) + " " + d2s(xs[k], 9) + " ";
  print(s + "\\t" + bits());
}
roiManager("deselect");
roiManager("Save", "FOLDER/back.roi.zip");
roiManager("reset");
"""

MAKES = """
close("*");
newImage("image", "8-bit black", 40, 40, 12);
xs = newArray(1, 9, 5); ys = newArray(2, 3, 8);
xf = newArray(1.5, 9.25, 5); yf = newArray(2, 3.125, 8);
makeRectangle(1, 2, 3, 4); keep("rectangle");
makeRectangle(1.5, 2.25, 3, 4.5); keep("rectangle fractions");
makeOval(1, 2, 3, 4); keep("oval");
makeOval(1.5, 2.25, 3, 4.5); keep("oval fractions");
makeSelection("polygon", xs, ys); keep("polygon");
makeSelection("polygon", xf, yf); keep("polygon fractions");
makeSelection("freehand", xs, ys); keep("freehand");
makeSelection("traced", xs, ys); keep("traced");
makeSelection("polyline", xs, ys); keep("polyline");
makeSelection("polyline", xf, yf); keep("polyline fractions");
makeSelection("freeline", xs, ys); keep("freeline");
makeSelection("angle", xs, ys); keep("angle");
makeSelection("point", xs, ys); keep("points");
makePoint(7.5, 8); keep("point");
makeLine(1, 2, 3.5, 4); keep("line");
makeLine(1, 2, 3.5, 4, 5); keep("wide line");
makeArrow(1, 2, 3, 4, "filled"); keep("arrow");
makeRectangle(1, 2, 3, 4); Roi.setPosition(7); keep("stack position");
makeRectangle(1, 2, 3, 4); Roi.setPosition(2, 3, 4); keep("hyperstack position");
makeRectangle(1, 2, 3, 4); Roi.setStrokeColor("red"); keep("red");
makeEllipse(5, 6, 25, 30, 0.5); keep("ellipse");
Roi.getCoordinates(ex, ey);
s = "ellipse\\t";
for (k = 0; k < ex.length; k++) s = s + d2s(ey[k], 9) + " " + d2s(ex[k], 9) + " ";
print(s);
makeRotatedRectangle(5, 6, 25, 20, 8); keep("rotated rectangle");
makeRectangle(1, 2, 20, 12, 6); keep("round corners");
makeSelection("polygon", xs, ys); run("Fit Spline"); keep("spline");
makeText("words", 5, 5); keep("text");
makeOval(2, 2, 15, 11); setKeyDown("shift"); makeOval(18, 9, 15, 20); setKeyDown("none");
keep("ovals"); print("selects\\tovals\\t" + bits());
makePolygon(1.5, 0.25, 33, 3, 3, 36.125); setKeyDown("alt");
makePolygon(0, 12, 38, 9, 38, 14, 0, 17); setKeyDown("none");
keep("polygons"); print("selects\\tpolygons\\t" + bits());
makeRectangle(4, 5, 20, 20); setKeyDown("alt"); makeRectangle(8, 9, 5, 6); setKeyDown("none");
keep("hole"); print("selects\\thole\\t" + bits());
run("Select None");
setColor(255); fillRect(3, 3, 9, 9); fillRect(12, 12, 4, 5); fillRect(30, 2, 1, 1);
setThreshold(255, 255); run("Create Selection"); keep("threshold");
print("selects\\tthreshold\\t" + bits());
print("end");

function keep(name) {
  Roi.setName(name);
  saveAs("Selection", "FOLDER/" + name + ".roi");
}

function bits() {
  if (Roi.getType != "composite") return "";
  s = "";
  for (y = 0; y < 40; y++) for (x = 0; x < 40; x++) s = s + selectionContains(x, y);
  return s;
}
"""


@frozen
class Session:
    """What ImageJ printed, as lines of fields, and the folder that it saved in."""

    folder: Path
    printed: tuple[tuple[str, ...], ...]

    def lines(self, kind: str) -> list[tuple[str, ...]]:
        return [fields[1:] for fields in self.printed if fields[0] == kind]

    def read(self, name: str) -> Outcome[Item[Payload]]:
        return read(self.folder / f"{name}.roi")


@pytest.fixture(scope="module")
def imagej(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("imagej")
    write(folder / "ours.roi.zip", OURS).unwrap()
    macro = folder / "macro.ijm"
    macro.write_text((SHOWS + MAKES).replace("FOLDER", str(folder)))
    environment = {
        **os.environ,
        "HOME": str(folder),
        "JAVA_TOOL_OPTIONS": "-Dfile.encoding=UTF-8 -Xmx1g",
    }
    done = subprocess.run(
        ["timeout", "90", "xvfb-run", "-a", "imagej", "-b", str(macro)],
        env=environment,
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert "\nend\n" in done.stdout, done.stdout + done.stderr
    return Session(folder, tuple(tuple(line.split("\t")) for line in done.stdout.splitlines()))


def kind_of(shape: Shape) -> str:
    name = type(shape).__name__.lower()
    return {"ellipse": "oval", "points": "point", "mask": "composite"}.get(name, name)


def numbers_of(shape: Shape) -> list[float] | None:
    match shape:
        case Rectangle() | Ellipse():
            return [shape.top, shape.left, shape.height, shape.width]
        case Line():
            return [*shape.start, *shape.end]
        case Mask():
            return None
        case _:
            return [number for point in shape.points[:8] for number in point]


def pixels_of(mask: Mask) -> str:
    canvas = np.zeros((40, 40), np.uint8)
    height, width = mask.pixels.shape
    canvas[mask.top : mask.top + height, mask.left : mask.left + width] = mask.pixels
    return "".join(map(str, canvas.ravel()))


def position_of(position: Position) -> str:
    """Say a position as ImageJ's macros do: from 1, and that in a stack as a slice."""
    places = (position.c, position.z, position.t)
    if position.stack is not None:
        places = (None, position.stack, None)
    return " ".join("0" if place is None else str(place + 1) for place in places)


def test_imagej_shows_what_we_wrote(imagej: Session) -> None:
    lines = imagej.lines("shows")
    assert len(lines) == len(OURS.regions)
    for region, (name, kind, position, numbers, bits) in zip(OURS.regions, lines, strict=True):
        assert name == region.name
        assert kind == kind_of(region.shape)
        assert position == position_of(region.position)
        expected = numbers_of(region.shape)
        assert expected is None or [float(it) for it in numbers.split()] == expected
        assert bits == (pixels_of(region.shape) if isinstance(region.shape, Mask) else "")


def test_what_imagej_saves_of_ours_is_ours(imagej: Session) -> None:
    found = read(imagej.folder / "back.roi.zip").unwrap()
    assert found.payload == OURS
    assert found.metadata.attributes == {}


TRIANGLE = [(2, 1), (3, 9), (8, 5)]
FRACTIONS = [(2, 1.5), (3.125, 9.25), (8, 5)]
PLACE = Rectangle(2, 1, 4, 3)

THEIRS: dict[str, tuple[Shape, Position, list[str]]] = {
    "rectangle": (PLACE, Position(), []),
    "rectangle fractions": (Rectangle(2.25, 1.5, 4.5, 3), Position(), []),
    "oval": (Ellipse(2, 1, 4, 3), Position(), []),
    "oval fractions": (Ellipse(2.25, 1.5, 4.5, 3), Position(), []),
    "polygon": (Polygon(TRIANGLE), Position(), []),
    "polygon fractions": (Polygon(FRACTIONS), Position(), []),
    "freehand": (Polygon(TRIANGLE), Position(), ["freehand"]),
    "traced": (Polygon(TRIANGLE), Position(), ["traced"]),
    "polyline": (Polyline(TRIANGLE), Position(), []),
    "polyline fractions": (Polyline(FRACTIONS), Position(), []),
    "freeline": (Polyline(TRIANGLE), Position(), ["freehand"]),
    "angle": (Polyline(TRIANGLE), Position(), ["angle"]),
    "points": (Points(TRIANGLE), Position(), []),
    "point": (Points([(8, 7.5)]), Position(), []),
    "line": (Line((2, 1), (4, 3.5)), Position(), []),
    "wide line": (Line((2, 1), (4, 3.5)), Position(), ["stroke width", "stroke color"]),
    "arrow": (Line((2, 1), (4, 3)), Position(), ["arrow", "stroke width"]),
    "stack position": (PLACE, Position(stack=6), []),
    "hyperstack position": (PLACE, Position(1, 2, 3), []),
    "red": (PLACE, Position(), ["stroke color"]),
}
"""What ImageJ makes in the macro: as our values, and what of it they do not hold."""


@pytest.mark.parametrize("name", THEIRS)
def test_what_imagej_makes_is_read(imagej: Session, name: str) -> None:
    found = imagej.read(name).unwrap()
    shape, position, unread = THEIRS[name]
    assert found.payload == Rois([Roi(name, shape, position)])
    assert found.metadata.attributes == ({"unread": {name: unread}} if unread else {})


def only_region(item: Item[Payload]) -> Roi:
    assert isinstance(item.payload, Rois)
    (region,) = item.payload.regions
    return region


def test_an_ellipse_is_read_as_the_polygon_that_imagej_makes_of_it(imagej: Session) -> None:
    found = imagej.read("ellipse").unwrap()
    ((numbers,),) = imagej.lines("ellipse")
    shape = only_region(found).shape
    assert isinstance(shape, Polygon)
    exact = [number for point in shape.points for number in point]
    assert [float(it) for it in numbers.split()] == pytest.approx(exact, abs=1e-8)
    assert found.metadata.attributes == {"unread": {"ellipse": ["rotated ellipse"]}}


def test_a_rotated_rectangle_is_read_as_a_polygon(imagej: Session) -> None:
    found = imagej.read("rotated rectangle").unwrap()
    shape = only_region(found).shape
    assert isinstance(shape, Polygon)
    assert len(set(shape.points)) == 4  # ImageJ says the first one again


@pytest.mark.parametrize(
    ("name", "words"),
    [("round corners", "round corners"), ("spline", "smooth curve"), ("text", "a text")],
)
def test_what_has_no_shape_of_ours_is_said(imagej: Session, name: str, words: str) -> None:
    error = imagej.read(name).failure()
    assert isinstance(error, UnsupportedPayload)
    assert words in error.message


@pytest.mark.parametrize(
    ("name", "is_outline"),
    [("ovals", True), ("polygons", False), ("hole", True), ("threshold", True)],
)
def test_composites_are_the_pixels_that_imagej_selects(
    imagej: Session, name: str, is_outline: bool
) -> None:
    found = imagej.read(name).unwrap()
    mask = only_region(found).shape
    assert isinstance(mask, Mask)
    assert (name, pixels_of(mask)) in imagej.lines("selects")
    assert ("unread" not in found.metadata.attributes) is is_outline
