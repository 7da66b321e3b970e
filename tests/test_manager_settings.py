"""Stores in TOML and JSON files: what is written is read equal, and what is wrong says where."""

from __future__ import annotations

import json
import re
import string
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polystore import (
    DiskConfig,
    Dispatcher,
    FileManager,
    InvalidSpec,
    Item,
    MemoryConfig,
    ReadOnlyConfig,
    Registry,
    Route,
    RouteConfig,
    Source,
    ZarrConfig,
    default_registry,
    fold,
    is_successful,
    to_spec,
)
from polystore.configs import (
    Blosc,
    ChunkStrategy,
    Gzip,
    OmeOptions,
    PlateNames,
    ZarrLayout,
    Zstd,
)

texts = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=12
)
sizes = st.integers(0, 2**63 - 1)
disks = st.builds(DiskConfig, texts, st.sampled_from(["atomic", "fsync"]), sizes)
zarrs = st.builds(
    ZarrConfig,
    root=texts,
    layout=st.sampled_from(ZarrLayout),
    chunks=st.none() | st.tuples(st.integers(1, 9)),
    shards=st.sampled_from([None, ()]),
    compressor=st.sampled_from([None, Blosc(), Blosc("lz4", 9), Zstd(5), Gzip()]),
    chunk_strategy=st.sampled_from(ChunkStrategy),
    ome=st.builds(OmeOptions, levels=st.none() | st.integers(1, 4)),
    names=st.none() | st.builds(PlateNames, texts),
    max_bytes=sizes,
    store=st.none() | disks,
)
plain: st.SearchStrategy[DiskConfig | ZarrConfig | MemoryConfig] = st.one_of(
    st.builds(DiskConfig, texts, links_to=st.tuples(disks)),
    disks,
    zarrs,
    st.builds(MemoryConfig, texts),
)
routes = st.builds(
    Route,
    plain,
    st.lists(st.sampled_from(["array", "json", "text"]), unique=True).map(tuple),
    st.lists(texts, max_size=2).map(tuple),
)
routed = st.builds(RouteConfig, st.lists(routes, max_size=2).map(tuple))
read_only = st.builds(ReadOnlyConfig[object], st.one_of(plain, routed))
managers = st.dictionaries(texts, st.one_of(plain, routed, read_only), max_size=4).map(FileManager)


def spec_of(manager: FileManager) -> dict[str, object]:
    return {"stores": {name: to_spec(config).unwrap() for name, config in manager.stores}}


def as_toml(value: object) -> str:
    """Write a value as TOML, on one line: its texts are those of JSON, but for DEL."""
    if isinstance(value, dict):
        items = cast("dict[str, object]", value).items()
        return "{" + ", ".join(f"{as_toml(key)} = {as_toml(it)}" for key, it in items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, cast("list[object]", value))) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


@given(managers)
def test_what_is_written_is_read_equal(
    tmp_path_factory: pytest.TempPathFactory, manager: FileManager
) -> None:
    folder = tmp_path_factory.getbasetemp()
    spec = spec_of(manager)
    (folder / "s.json").write_text(json.dumps(spec))
    (folder / "s.TOML").write_text(f"stores = {as_toml(spec['stores'])}\n", newline="")
    assert FileManager.from_file(folder / "s.json").unwrap() == manager
    assert FileManager.from_file(str(folder / "s.TOML")).unwrap() == manager


def test_the_form_of_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        '\ufeff# the plate\n[stores.raw.disk]\nroot = "plate"\n[stores.Result.zarr]\nroot = "/z"\n'
    )
    Path("stores.toml").write_text(text, newline="\r\n")
    manager = FileManager.from_file("stores.toml").unwrap()
    assert manager == FileManager(
        {"raw": DiskConfig(root=tmp_path / "plate"), "Result": ZarrConfig(root="/z")}
    )


def test_an_image_store_in_toml(tmp_path: Path) -> None:
    (tmp_path / "stores.toml").write_text(
        """
        [stores.image.zarr]
        root = "/data/image.zarr"
        layout = "image"
        chunks = [1, 512, 512]
        compressor = { zstd = { level = 5 } }
        ome = { version = "0.4", axes = ["z", "y", "x"] }

        [stores.plate.zarr]
        root = "plate.zarr"
        layout = "plate"
        chunk_strategy = "well"
        compressor = "none"
        store.disk.root = "/data"
        names.template = "{row}{column:02}_s{field}_w{channel}.tif"
        """
    )
    manager = FileManager.from_file(tmp_path / "stores.toml").unwrap()
    assert manager.store("image").unwrap() == ZarrConfig(
        root="/data/image.zarr",
        layout=ZarrLayout.IMAGE,
        chunks=(1, 512, 512),
        compressor=Zstd(level=5),
        ome=OmeOptions(version="0.4", axes=("z", "y", "x")),
    )
    assert manager.store("plate").unwrap() == ZarrConfig(
        root="plate.zarr",
        layout=ZarrLayout.PLATE,
        chunk_strategy=ChunkStrategy.WELL,
        compressor=None,
        store=DiskConfig(root="/data"),
        names=PlateNames("{row}{column:02}_s{field}_w{channel}.tif"),
    )


def test_a_relative_root_is_taken_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "a.toml").write_text('stores.raw.disk.root = "plate"')
    monkeypatch.chdir(tmp_path)
    raw = FileManager.from_file("settings/a.toml").unwrap().store("raw").unwrap()
    assert raw == DiskConfig(root=tmp_path / "plate")


def problem(folder: Path, name: str, content: str | bytes) -> InvalidSpec:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    error = FileManager.from_file(path).failure()
    assert isinstance(error, InvalidSpec), error
    assert error.message.startswith(f"{path}: ")
    assert error.advice
    return error


D = "[stores.raw.disk]\n"
A = 'root = "a"\n'


@pytest.mark.parametrize(
    ("content", "where", "words"),
    [
        (f"{D}root = 3", "stores.raw.disk.root", "3 is not text"),
        (f"{D}root = 1979-05-27", "stores.raw.disk.root", "is not text"),
        (f"{D}root = ['a']", "stores.raw.disk.root", "is not text"),
        (f'{D}root = "a\\u0000"', "stores.raw.disk.root", "NUL"),
        (f"{D}{A}max_bytes = true", "stores.raw.disk.max_bytes", "not a whole number"),
        (f"{D}{A}max_bytes = 1.0", "stores.raw.disk.max_bytes", "not a whole number"),
        (f"{D}root=0x{'f' * 20_000}", "stores.raw.disk.root", "4300 digits"),
        (f'{D}{A}durability = "much"', "stores.raw.disk.durability", "much"),
        (f"{D}{A}rot = 3", "stores.raw.disk", "there is no field 'rot'"),
        (f'{D}rot = "a"', "stores.raw.disk", "there is no field 'rot'. Did you mean 'root'?"),
        (D, "stores.raw.disk.root", "it is missing"),
        ("[stores.raw.dsk]", "stores.raw", "'dsk' is none of disk, memory, zarr"),
        ("[stores.raw.load]", "stores.raw", "'load' is none of disk"),
        ("[stores.raw]", "stores.raw", "one of disk, memory, zarr"),
        ("[stores.raw]\ndisk = 3", "stores.raw.disk", "a table of fields"),
        ("[stores.raw]\ndisk = []", "stores.raw.disk", "a table of fields"),
        ("[stores]\nraw = 3", "stores.raw", "a table with one kind"),
        (f"{D}{A}[stores.raw.zarr]\n{A}", "stores.raw", "a table with one kind"),
        (f'[stores."".disk]\n{A}', "stores", "is empty"),
        ('[stores."my plate".disk]', "stores.'my plate'.disk.root", "it is missing"),
        ("stores = 3", "stores", "no table of stores"),
        ("", "stores", "it is missing"),
        ("[store.raw.disk]", "store", "all stands in 'stores'"),
        (f"version = 1\n{D}{A}", "version", "all stands in 'stores'"),
        ("[stores.s.readonly.inner.disk]\nroot=3", "stores.s.readonly.inner.disk.root", "not text"),
        (f"{D}{A}[stores.raw.disk]\n{A}", "", "twice (at line 3"),
        (f"{D}{A}{A}", "", "Cannot overwrite a value"),
        ("[stores\n", "", "at line 1"),
        ("a = '\0'", "", "at line 1"),
        (b"[stores]\n# \xff", "", "byte 11, in line 2, is not UTF-8"),
        (f"{D}{A}max_bytes = {'9' * 5000}", "", "4300 digits"),
        ("a = " + "[" * 10_000, "", "nested too deeply"),
        (".".join("a" * 100_000) + " = 1", "", "line 1 has over 100 dots"),
        (f"[stores.{'.'.join('a' * 80)}]", "stores" + ".a" * 34, "over 32 levels deep"),
    ],
)
def test_what_is_wrong_in_toml_says_where(
    content: str | bytes, where: str, words: str, tmp_path: Path
) -> None:
    error = problem(tmp_path, "stores.toml", content)
    assert error.where == where
    assert words in error.message
    assert f"stores.toml: {where}: " in error.message or not where
    assert len(str(error)) < 1000


@pytest.mark.parametrize(
    ("content", "where", "words"),
    [
        ('{"stores": {"raw": {"disk": {"root": null}}}}', "stores.raw.disk.root", "None is not"),
        (
            '{"stores": {"raw": {"disk": {"root": "\\ud800"}}}}',
            "stores.raw.disk.root",
            "what is not UTF-8",
        ),
        ('{"stores": {"raw": {}, "raw": {}}}', "", "the key 'raw' twice"),
        ('{"stores": {"raw": {"disk": {"root": "plate",}}}}', "", "in line 1, column 46"),
        ('{"stores": {"raw": {"disk": {"root": NaN}}}}', "", "NaN"),
        ("[1, 2]", "stores", "it is missing"),
        ("", "", "empty"),
        ("[" * 100_000, "", "nested too deeply"),
        (f'{{"stores": {{"a": {"[" * 150}{"]" * 150}}}}}', "stores.a" + "[0]" * 33, "32 levels"),
        (b'{"stores": "\xff"}', "", "UTF-8"),
    ],
)
def test_what_is_wrong_in_json_says_where(
    content: str | bytes, where: str, words: str, tmp_path: Path
) -> None:
    error = problem(tmp_path, "stores.json", content)
    assert error.where == where
    assert words in error.message


def test_a_long_value_is_not_shown_whole(tmp_path: Path) -> None:
    """One may put a key or a whole file where a number belongs."""
    error = problem(tmp_path, "a.toml", f'{D}{A}max_bytes = "{"x" * 100_000}"')
    assert len(str(error)) < 1000


VALID = f'{D}{A}[stores.b.readonly.inner.memory]\nname = "x"\n'


@given(
    st.one_of(
        st.binary(max_size=60),
        st.text(max_size=60).map(lambda it: it.encode(errors="replace")),
        st.tuples(st.integers(0, len(VALID)), st.text(string.printable, max_size=4)).map(
            lambda it: (VALID[: it[0]] + it[1] + VALID[it[0] :]).encode()
        ),
        st.integers(0, len(VALID)).map(lambda end: VALID[:end].encode()),
    ),
    st.sampled_from(["toml", "json"]),
)
def test_whatever_a_file_holds_nothing_is_raised(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.{suffix}"
    path.write_bytes(content)
    outcome = FileManager.from_file(path)
    assert is_successful(outcome) or isinstance(outcome.failure(), InvalidSpec)


def test_only_what_the_dispatcher_knows_is_a_kind(tmp_path: Path) -> None:
    disk = default_registry().find_store(DiskConfig(root="a")).unwrap()
    dispatcher = Dispatcher(Registry.of(disk).unwrap())
    (tmp_path / "a.toml").write_text(VALID)
    error = FileManager.from_file(tmp_path / "a.toml", dispatcher).failure()
    assert "stores.b: 'readonly' is none of disk." in error.message
    (tmp_path / "b.toml").write_text(D + A)
    assert FileManager.from_file(tmp_path / "b.toml", dispatcher).unwrap().dispatcher == dispatcher


def test_a_manager_from_a_file_works(tmp_path: Path) -> None:
    spec = spec_of(FileManager({"disk": DiskConfig(root=tmp_path / "d")}))
    (tmp_path / "a.json").write_text(json.dumps(spec))
    manager = FileManager.from_file(tmp_path / "a.json").unwrap()
    manager.save(Item("a.json", [1]), "disk").unwrap()
    payload = fold(manager.load("a.json", "disk"), lambda item: item.payload, str)
    assert payload == [1]
    assert isinstance(manager.store("disk").unwrap(), Source)


def test_what_the_guide_shows_is_read(tmp_path: Path) -> None:
    guide = (Path(__file__).parent.parent / "docs" / "guide.md").read_text()
    shown = re.findall(r"^```toml\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    assert shown
    for number, text in enumerate(shown):
        path = tmp_path / f"{number}.toml"
        path.write_text(text)
        stores = FileManager.from_file(path).unwrap()
        assert "both" in dict(stores.stores)
