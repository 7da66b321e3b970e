"""Stores in environment variables: what is written is read equal, and what is wrong is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polystore import (
    DiskConfig,
    FileManager,
    InvalidSpec,
    MemoryConfig,
    NotFound,
    ReadOnlyConfig,
    Route,
    RouteConfig,
    ZarrConfig,
    default_registry,
    is_successful,
    to_spec,
)
from polystore.configs import Blosc, OmeOptions, PlateNames, ZarrLayout, Zstd
from polystore.manager.environment import stores_in_environment

texts = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=12
)
names = st.from_regex(r"[a-z0-9]+(_[a-z0-9]+)*", fullmatch=True)
sizes = st.integers(0, 2**63 - 1)
disks = st.builds(DiskConfig, texts, st.sampled_from(["atomic", "fsync"]), sizes)
zarrs = st.builds(
    ZarrConfig,
    root=texts,
    layout=st.sampled_from(ZarrLayout),
    chunks=st.none() | st.tuples(st.integers(1, 9)),
    compressor=st.sampled_from([None, Blosc("lz4", 9), Zstd(5)]),
    ome=st.builds(OmeOptions, levels=st.none() | st.integers(1, 4)),
    names=st.none() | st.builds(PlateNames, texts, st.integers(0, 3)),
    max_bytes=sizes,
    store=st.none() | disks,
)
plain: st.SearchStrategy[DiskConfig | ZarrConfig | MemoryConfig] = st.one_of(
    st.builds(DiskConfig, texts, links_to=st.tuples(disks)),
    disks,
    zarrs,
    st.builds(MemoryConfig, texts),
)
routed = st.builds(RouteConfig, st.tuples(st.builds(Route, plain)))
read_only = st.builds(ReadOnlyConfig[object], st.one_of(plain, routed))
managers = st.dictionaries(names, st.one_of(plain, routed, read_only), min_size=1, max_size=3).map(
    FileManager
)


def variables(value: object, name: str, depth: int) -> Iterator[tuple[str, str]]:
    """Write a spec as variables, as deep as is asked for, and the rest as JSON."""
    if isinstance(value, dict) and value and depth > 0:
        for key, inner in cast("dict[str, object]", value).items():
            yield from variables(inner, f"{name}__{key.upper()}", depth - 1)
    else:
        is_text = isinstance(value, str) and depth >= 0
        yield name, cast("str", value) if is_text else json.dumps(value)


@given(managers, st.integers(1, 5))
def test_what_is_written_is_read_equal(manager: FileManager, depth: int) -> None:
    environment = {"HOME": "/", "POLYSTORE_X": "", "POLYSTORE": "x"}
    for name, config in manager.stores:
        spec = to_spec(config).unwrap()
        environment.update(variables(spec, f"POLYSTORE__{name.upper()}", depth))
    found = stores_in_environment(environment, "POLYSTORE", default_registry())
    assert FileManager(found.unwrap()) == manager


def test_the_form_of_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLYSTORE__RAW__DISK__ROOT", "plate")
    monkeypatch.setenv("POLYSTORE__RAW__DISK__MAX_BYTES", "1000")
    monkeypatch.setenv("POLYSTORE__RAW__DISK__DURABILITY", "fsync")
    monkeypatch.setenv("POLYSTORE__MY_PLATE__ZARR", '{"root": "/z"}')
    monkeypatch.setenv("POLYSTORE__SCRATCH__MEMORY", "{}")
    monkeypatch.setenv("OTHER__RAW__MEMORY__NAME", "12")
    assert FileManager.from_environment().unwrap() == FileManager(
        {
            "raw": DiskConfig(root=tmp_path / "plate", max_bytes=1000, durability="fsync"),
            "my_plate": ZarrConfig(root="/z"),
            "scratch": MemoryConfig(),
        }
    )
    other = FileManager.from_environment("OTHER").unwrap()
    assert other == FileManager({"raw": MemoryConfig(name="12")})


def test_no_variable_is_not_found() -> None:
    error = stores_in_environment({"PATH": "/"}, "LAB", default_registry()).failure()
    assert isinstance(error, NotFound)
    assert error.message == "No environment variable begins with 'LAB__'."


ROOT = {"RAW__DISK__ROOT": "a"}


@pytest.mark.parametrize(
    ("environment", "variable", "words"),
    [
        (ROOT | {"RAW__DISK__MAX_BYTES": "abc"}, "RAW__DISK__MAX_BYTES", "'abc' is no JSON"),
        (ROOT | {"RAW__DISK__MAX_BYTES": '"1"'}, "RAW__DISK__MAX_BYTES", "'1' is not a whole"),
        (ROOT | {"RAW__DISK__MAX_BYTES": "true"}, "RAW__DISK__MAX_BYTES", "True is not a whole"),
        (ROOT | {"RAW__DISK__DURABILITY": "much"}, "RAW__DISK__DURABILITY", "much"),
        (ROOT | {"RAW__DISK__ROT": "b"}, "RAW__DISK", "there is no field 'rot'"),
        ({"RAW__DISK__MAX_BYTES": "3"}, "RAW__DISK__ROOT", "it is missing"),
        ({"RAW__DSK__ROOT": "a"}, "RAW", "'dsk' is none of disk, memory, zarr"),
        (ROOT | {"RAW__ZARR__ROOT": "b"}, "RAW", "a table with one kind"),
        ({"RAW__DISK": '{"root": 3}'}, "RAW__DISK", "root: 3 is not text"),
        ({"RAW__DISK": "plate"}, "RAW__DISK", "'plate' is no JSON"),
        ({"RAW__DISK": "[]"}, "RAW__DISK", "a table of fields"),
        ({"RAW": '{"disk": {"root": "a"}}'}, "RAW", "its name must say"),
        ({"": "a"}, "", "its name must say"),
        ({"RAW__DISK__": "a"}, "RAW__DISK__", "its name must say"),
        ({"__DISK__ROOT": "a"}, "__DISK__ROOT", "its name must say"),
        ({"RAW__DISK__ROOT": ""}, "RAW__DISK__ROOT", "it is empty"),
        ({"RAW__DISK__ROOT": "pl\udcffate"}, "RAW__DISK__ROOT", "not UTF-8"),
        ({"RAW__DISK__ROOT": "a\0b"}, "RAW__DISK__ROOT", "NUL"),
        (ROOT | {"raw__DISK__ROOT": "b"}, "raw__DISK__ROOT", "RAW__DISK__ROOT says it already"),
        (ROOT | {"RAW__DISK": '{"root": "b"}'}, "RAW__DISK__ROOT", "RAW__DISK says it already"),
        (ROOT | {"raw__disk": '{"root": "b"}'}, "raw__disk", "RAW__DISK__ROOT says it already"),
        (
            {"S__READONLY__INNER__DISK__MAX_BYTES": "x"},
            "S__READONLY__INNER__DISK__MAX_BYTES",
            "JSON",
        ),
        ({"S__READONLY__INNER": '{"disk": {"root": 3}}'}, "S__READONLY__INNER", "disk.root: 3 is"),
        (
            ROOT | {"RAW__DISK__LINKS_TO": '[{"root": 1}]'},
            "RAW__DISK__LINKS_TO",
            "1 is not text",
        ),
        ({"A" + "__A" * 50_000: "x"}, "A" + "__A" * 90, "over 32 levels"),
        ({"RAW__DISK": "[" * 100_000}, "RAW__DISK", "nested too deeply"),
        ({"RAW__DISK": '{"root": ' + "[" * 100 + "]" * 100 + "}"}, "RAW__DISK", "32 levels deep"),
    ],
)
def test_what_is_wrong_names_the_variable(
    environment: dict[str, str], variable: str, words: str
) -> None:
    begun = {f"LAB__{name}": value for name, value in environment.items()}
    error = stores_in_environment(begun, "LAB", default_registry()).failure()
    assert isinstance(error, InvalidSpec)
    assert error.message.startswith(f"LAB__{variable}")
    assert error.where == f"LAB__{variable}" or len(variable) > 270
    assert words in error.message
    assert len(str(error)) < 1000


def test_many_variables_are_many_stores() -> None:
    environment = {f"LAB__S{i}__MEMORY__NAME": str(i) for i in range(3_000)}
    found = stores_in_environment(environment, "LAB", default_registry()).unwrap()
    assert len(found) == 3_000


@given(
    st.dictionaries(
        st.lists(
            st.sampled_from(
                ["RAW", "DISK", "ROOT", "READONLY", "INNER", "MAX_BYTES", "x", "", "_"]
            ),
            max_size=6,
        ).map(lambda parts: "LAB__" + "__".join(parts)),
        st.one_of(st.sampled_from(["{}", "3", "a", '{"root": "a"}', ""]), st.text(max_size=6)),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_the_environment_holds_nothing_is_raised(environment: dict[str, str]) -> None:
    outcome = stores_in_environment(environment, "LAB", default_registry())
    assert is_successful(outcome) or isinstance(outcome.failure(), InvalidSpec)
