"""Where only the core is installed, it works, and the rest names what to install."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from core_environment import core_python
from polystore import write

SCRIPT = """
import json, sys
import numpy as np
from polystore import DiskConfig, Item, MemoryConfig, ZarrConfig, compose, convert, load, save
from polystore import MissingDependency, collect, fold, from_spec, list_files, rename, to_spec

folder = sys.argv[1]
disk, memory = DiskConfig(root=folder), MemoryConfig()
image = Item("a.npy", np.arange(12, dtype=">u2").reshape(3, 4))


def missing(outcome):
    return fold(outcome, str, lambda e: [e.package, e.extra, e.advice]
                if type(e) is MissingDependency else repr(e))


save(disk)(image).unwrap()
pipeline = compose(load(disk), convert(to="numpy"), rename(prefix="b/"), save(memory))
assert from_spec(to_spec(pipeline).unwrap()).unwrap() == pipeline
report = collect(pipeline.map(list_files(disk, suffixes=(".npy",)).unwrap()))
assert [it.key for it in report.saved] == ["b/a.npy"], report
loaded = load(memory)("b/a.npy").unwrap().payload
assert loaded.dtype == image.payload.dtype and (loaded == image.payload).all()
print(json.dumps({
    "load a.tif": missing(load(disk)("a.tif")),
    "load a.png": missing(load(disk)("a.png")),
    "save b.tif": missing(save(disk)(Item("b.tif", image.payload))),
    "save b.png": missing(save(disk)(Item("b.png", image.payload))),
    "convert to jax": missing(convert(to="jax")(image)),
    "convert to torch": missing(convert(to="torch")(image)),
    "save to Zarr": missing(save(ZarrConfig(root=folder + "/z.zarr"))(image)),
    "files": sorted(list_files(disk).unwrap()),
}))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Run the script in the core's environment, apart from this one's variables and folders."""
    folder = tmp_path_factory.mktemp("core")
    for name in ("a.tif", "a.png"):
        write(folder / name, np.zeros((3, 4), np.uint8)).unwrap()
    child = subprocess.run(
        [core_python(), "-I", "-W", "error", "-c", SCRIPT, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    answers: dict[str, object] = json.loads(child.stdout)
    return answers


@pytest.mark.parametrize(
    ("action", "package", "extra"),
    [
        ("load a.tif", "tifffile", "tiff"),
        ("load a.png", "imagecodecs", "images"),
        ("save b.tif", "tifffile", "tiff"),
        ("save b.png", "imagecodecs", "images"),
        ("convert to jax", "jax", "jax"),
        ("convert to torch", "torch", "torch"),
        ("save to Zarr", "numcodecs", "zarr"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    found: dict[str, object], action: str, package: str, extra: str
) -> None:
    assert found[action] == [package, extra, f"Install it: pip install 'polystore[{extra}]'."]


def test_nothing_is_written_where_a_package_is_missing(found: dict[str, object]) -> None:
    assert found["files"] == ["a.npy", "a.png", "a.tif"]


def test_every_package_of_an_extra_is_known_by_its_extra() -> None:
    from polystore.builtin import EXTRAS

    project = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    assert {extra for extra in EXTRAS.values() if f"\n{extra} = [" not in project} == set()
