"""`polystore info`: what it says of each thing, of bad stores too, and that it reads no element."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import zarr
from commands_typed import NAMES, STACK, here, typed, write_planes, write_stack

from polystore import Json, Metadata, write

__all__ = ["here"]

pytestmark = pytest.mark.usefixtures("here")

Capsys = pytest.CaptureFixture[str]


def facts(capsys: Capsys, path: str) -> dict[str, Json]:
    said = typed(capsys, "info", path, "--json")
    assert (said.status, said.err) == (0, "")
    found = cast("Json", json.loads(said.out))
    assert isinstance(found, dict)
    return found


def without_elements(folder: str) -> None:
    """Put something else in the place of every file that is no metadata."""
    for path in Path(folder).rglob("*"):
        if path.is_file() and not path.name.startswith((".z", "zarr.json")):
            path.write_bytes(b"no elements")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_image(capsys: Capsys, version: str) -> None:
    write_stack()
    typed(capsys, "copy", "stack.ome.tif", "a.zarr", "--layout", "image", "--ome", version)
    stored = sum(path.stat().st_size for path in Path("a.zarr").rglob("*") if path.is_file())
    found = facts(capsys, "a.zarr")
    assert (found["kind"], found["ome_version"]) == ("image", version)
    assert found["shape"] == list(STACK.shape)
    assert (found["axes"], found["scale"]) == (["c", "z", "y", "x"], [1.0, 2.0, 0.5, 0.5])
    assert found["channels"] == ["DAPI", "GFP"]
    assert (found["bytes"], found["stored_bytes"]) == (STACK.nbytes * 5 // 4, stored)
    without_elements("a.zarr")
    said = typed(capsys, "info", "a.zarr")
    assert said.status == 0
    lines = [line.split() for line in said.out.splitlines()]
    assert ["shape", *"2 x 3 x 300 x 200".split(), "(c,", "z,", "y,", "x)"] in lines
    assert ["levels", "0:", *"2 x 3 x 300 x 200; 1: 2 x 3 x 150 x 100".split()] in lines
    assert "blosc zstd 1 bitshuffle" in said.out
    assert "z 2 micrometer" in said.out
    assert "load stack.ome.tif" in said.out


def test_an_array_of_another_writer(capsys: Capsys) -> None:
    zarr.create_array("v3.zarr", shape=(30, 40), chunks=(5, 10), shards=(10, 20), dtype="f4")  # pyright: ignore[reportUnknownMemberType] - fsspec's mappings
    zarr.create_array("v2.zarr", shape=(30, 40), chunks=(5, 10), dtype="i2", zarr_format=2)  # pyright: ignore[reportUnknownMemberType] - fsspec's mappings
    three, two = facts(capsys, "v3.zarr"), facts(capsys, "v2.zarr")
    assert (three["zarr_format"], three["chunks"], three["shards"]) == (3, [5, 10], [10, 20])
    assert (two["zarr_format"], two["chunks"], two["shards"]) == (2, [5, 10], None)
    assert (three["dtype"], two["dtype"], three["history"]) == ("float32", "int16", [])
    assert "zstd" in str(two["codecs"])


def test_a_plate_a_well_and_a_store(capsys: Capsys) -> None:
    write_planes()
    typed(capsys, "copy", "tiffs", "p.zarr", "--layout", "plate", "--names", NAMES)
    typed(capsys, "copy", "tiffs", "s.zarr")
    plate = facts(capsys, "p.zarr")
    assert (plate["rows"], plate["columns"]) == (["A", "B"], ["1", "2"])
    assert (plate["wells"], plate["field_count"]) == (["A/1", "A/2", "B/1", "B/2"], 2)
    first = plate["first"]
    assert isinstance(first, dict)
    assert (first["key"], first["shape"]) == ("A/1/0", [2, 32, 32])
    assert facts(capsys, "p.zarr/A/1")["keys"] == ["A/1/0", "A/1/1"]
    assert facts(capsys, "p.zarr/A")["keys"] == ["A/1/0", "A/1/1", "A/2/0", "A/2/1"]
    store = facts(capsys, "s.zarr")
    assert isinstance(store["keys"], list)
    assert len(store["keys"]) == 16
    without_elements("p.zarr")
    said = typed(capsys, "info", "p.zarr")
    assert (said.status, "wells     A/1, A/2, B/1, B/2" in said.out) == (0, True)


def test_files(capsys: Capsys) -> None:
    write_stack()
    np.save("a.npy", STACK)
    write("notes.json", {"tries": 1}).unwrap()
    assert facts(capsys, "stack.ome.tif")["shape"] == list(STACK.shape)
    assert facts(capsys, "a.npy")["dtype"] == "uint16"
    assert "payload" in facts(capsys, "notes.json")
    folder = facts(capsys, ".")
    assert (folder["kind"], folder["files"]) == ("folder", 3)
    assert folder["keys"] == ["a.npy", "stack.ome.tif"]


def test_a_folder_counts_nothing_inside_of_zarr(capsys: Capsys) -> None:
    write_stack()
    write("more/s.zarr/a", STACK).unwrap()
    typed(capsys, "copy", "stack.ome.tif", "image.zarr", "--layout", "image")
    folder = facts(capsys, ".")
    assert (folder["files"], folder["suffixes"]) == (1, {"ome.tif": 1})
    assert folder["stores"] == ["image.zarr", "more/s.zarr"]
    said = typed(capsys, "info", ".")
    assert "holds     1 file (1 .ome.tif), 2 Zarr stores\n" in said.out
    assert "image.zarr  2 x 3 x 300 x 200  uint16  (c, z, y, x)\n" in said.out
    assert "more/s.zarr  a Zarr store\n" in said.out


def test_a_plate_that_lacks_planes_is_described_all_the_same(capsys: Capsys) -> None:
    write_planes()
    plate = ("p.zarr", "--layout", "plate", "--names", NAMES)
    Path("tiffs/B02_s2_w1.tif").unlink()
    typed(capsys, "copy", "tiffs", *plate)
    assert facts(capsys, "p.zarr")["incomplete"] == {"B/2/1": "c=0"}
    Path("tiffs/A01_s1_w1.tif").unlink()
    typed(capsys, "copy", "tiffs", "q.zarr", *plate[1:])
    said = typed(capsys, "info", "q.zarr")
    assert (said.status, said.err) == (0, "")
    assert "incomplete A/1/0 lacks c=0, B/2/1 lacks c=0\n" in said.out
    assert "wells     A/1, A/2, B/1, B/2\n" in said.out
    assert "shape     2 x 32 x 32  (c, y, x)\n" in said.out


def test_what_is_stored_in_another_order_says_so(capsys: Capsys) -> None:
    write("a.ome.tif", STACK, metadata=Metadata(axes=("z", "c", "y", "x"))).unwrap()
    typed(capsys, "copy", "a.ome.tif", "a.zarr", "--layout", "image")
    assert facts(capsys, "a.zarr")["stored_axes"] == ["c", "z", "y", "x"]
    said = typed(capsys, "info", "a.zarr")
    assert "shape     2 x 3 x 300 x 200  (z, c, y, x)\n" in said.out
    assert "order     of what follows, as stored: (c, z, y, x)\n" in said.out
    write_stack()
    typed(capsys, "copy", "stack.ome.tif", "c.zarr", "--layout", "image")
    assert "as stored" not in typed(capsys, "info", "c.zarr").out


def test_an_image_without_labels_says_so(capsys: Capsys) -> None:
    write_stack()
    typed(capsys, "copy", "stack.ome.tif", "image.zarr", "--layout", "image")
    said = typed(capsys, "info", "image.zarr/labels")
    assert (said.status, "The image 'image.zarr' has no labels." in said.err) == (2, True)


META = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [2**30, 2**30],
    "data_type": "uint16",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [512, 512]}},
    "chunk_key_encoding": {"name": "default"},
    "fill_value": 0,
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
}

GROUP = {"zarr_format": 3, "node_type": "group"}

OME = {"version": "0.5", "multiscales": [{"axes": [{"name": "y"}], "datasets": [{"path": "../x"}]}]}


def test_an_array_that_claims_more_than_there_is_on_earth(capsys: Capsys) -> None:
    Path("big.zarr").mkdir()
    Path("big.zarr/zarr.json").write_text(json.dumps(META))
    assert facts(capsys, "big.zarr")["bytes"] == 2**61
    for command in (["preview", "big.zarr", "a.png", "--size", "0"], ["copy", "big.zarr", "a.npy"]):
        assert typed(capsys, *command).status in (1, 2)
    assert not Path("a.npy").exists()


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("{", "is damaged: it is no JSON"),
        ('{"zarr_format": 4}', "Zarr version 4"),
        (json.dumps({**META, "shape": [-1, 2]}), ""),
        (json.dumps({**META, "codecs": [{"name": "\x1b[2J"}]}), ""),
        (json.dumps({**META, "chunk_grid": None}), ""),
        (json.dumps({**GROUP, "attributes": {"ome": OME}}), ""),
        (
            json.dumps(
                {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"plate": {}}}}
            ),
            "plate is damaged",
        ),
    ],
)
def test_what_is_wrong_with_a_bad_store_is_one_sentence(
    capsys: Capsys, document: str, sentence: str
) -> None:
    Path("bad.zarr").mkdir()
    Path("bad.zarr/zarr.json").write_text(document)
    said = typed(capsys, "info", "bad.zarr")
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("polystore info: ")
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert "\x1b" not in said.err
    assert "did not foresee" not in said.err
    for command in (["preview", "bad.zarr", "a.png"], ["verify", "bad.zarr", "bad.zarr"]):
        again = typed(capsys, *command)
        assert (again.status, "did not foresee" in again.err) != (0, True)


def test_nothing_there_and_a_link_in_a_circle(capsys: Capsys) -> None:
    assert typed(capsys, "info", "none.zarr").status == 2
    write("s.zarr/a", STACK).unwrap()
    for name, target in (("b", "c"), ("c", "b")):
        Path("s.zarr", name).mkdir()
        attributes = {"polystore": {"version": 1, "link": target}}
        group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        Path("s.zarr", name, "zarr.json").write_text(json.dumps(group))
    said = typed(capsys, "info", "s.zarr/b")
    assert said.status == 2
    assert "did not foresee" not in said.err


@pytest.mark.parametrize("path", ["nothere", "nothere.xyz", "nothere/", "a.json"])
@pytest.mark.parametrize("command", ["info", "preview", "copy", "verify"])
def test_of_a_path_that_does_not_exist_nothing_is_there(
    capsys: Capsys, command: str, path: str
) -> None:
    said = typed(capsys, command, path, *(["out.png"] if command != "info" else []))
    assert (said.status, said.out) == (2, "")
    name = path.rstrip("/").rpartition("/")[2]
    assert f"Nothing is stored under {name!r}" in said.err


@pytest.mark.parametrize("command", ["info", "preview", "copy", "verify"])
def test_neither_is_the_folder_above(capsys: Capsys, command: str) -> None:
    said = typed(capsys, command, "no/way/to", *(["out.png"] if command != "info" else []))
    assert (said.status, said.out) == (2, "")
    assert "no/way' does not exist. Check the path" in said.err


def test_a_file_of_an_unknown_suffix_is_there(capsys: Capsys) -> None:
    Path("a.xyz").write_bytes(b"")
    said = typed(capsys, "info", "a.xyz").err
    assert "No format is registered" in said
    assert "load(" not in said


def test_names_do_nothing_to_the_terminal(capsys: Capsys) -> None:
    write("s.zarr/\x1b[2Ja", STACK).unwrap()
    said = typed(capsys, "info", "s.zarr")
    assert said.status == 0
    assert "\x1b" not in said.out
    assert "\\x1b[2Ja" in said.out
