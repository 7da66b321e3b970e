"""A store of a third party, in an environment of its own: found, proved by the laws, and typed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from third_party_environment import PACKAGE, third_party_python

STORE = PACKAGE / "polystore_sqlite" / "__init__.py"


def in_the_environment(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run its Python in a folder, apart from this one's variables; scratch files go to memory."""
    memory = Path("/dev/shm")  # noqa: S108 - SQLite's own syncs would take most of the time
    scratch = folder if not memory.is_dir() else memory / f"polystore-{os.getpid()}"
    scratch.mkdir(exist_ok=True)
    try:
        return subprocess.run(
            [third_party_python(), "-P", *arguments],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(scratch)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        if scratch != folder:
            shutil.rmtree(scratch)


def test_the_store_is_one_page() -> None:
    assert len(STORE.read_text().splitlines()) <= 80


FEW = """
from hypothesis import settings
settings.register_profile("few", max_examples=20)
settings.load_profile("few")
"""


def test_the_store_keeps_every_law(tmp_path: Path) -> None:
    tests = tmp_path / "tests"
    shutil.copytree(PACKAGE / "tests", tests, ignore=shutil.ignore_patterns("__pycache__"))
    (tests / "conftest.py").write_text(FEW)
    done = in_the_environment(tmp_path, "-m", "pytest", "-q", "-W", "error", str(tests))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


USED = """
import numpy as np
from polystore import Item, default_registry, from_spec, load, save, to_spec
from polystore.discover import installed_plugins
from polystore_sqlite import STORE, SqliteConfig

plate = SqliteConfig(path="plate.db")
assert default_registry().find_store(plate).unwrap() is STORE
assert installed_plugins().errors == ()
image = np.arange(6, dtype=">u2").reshape(2, 3)
assert save(plate)(Item("run/A01.npy", image)).unwrap().status == "written"
loaded = load(plate)("run/A01.npy").unwrap().payload
assert loaded.dtype == image.dtype and (loaded == image).all()
assert from_spec(to_spec(load(plate)).unwrap()).unwrap() == load(plate)
"""


def test_the_store_is_found_by_its_entry_point(tmp_path: Path) -> None:
    done = in_the_environment(tmp_path, "-W", "error", "-c", USED)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "plate.db").exists()


TYPED = """
from polystore import JSON, NPY, Item, MemoryConfig, ZarrConfig, compose, load, save
from polystore_sqlite import SqliteConfig

plate = SqliteConfig(path="plate.db")
save(plate)(Item("a.json", {"rows": 8}))
compose(load(plate, format=NPY), save(MemoryConfig()))
compose(load(plate, format=NPY), save(ZarrConfig(root="plate.zarr")))
compose(load(plate, format=JSON), save(ZarrConfig(root="plate.zarr")))  # refused
compose(save(plate), load(plate))  # refused
SqliteConfig(path=3)  # refused
"""


def test_strict_mypy_accepts_its_use_and_refuses_its_misuse(tmp_path: Path) -> None:
    (tmp_path / "used.py").write_text(TYPED)
    done = in_the_environment(tmp_path, "-m", "mypy", "--strict", "used.py")
    refused = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    marked = {i for i, line in enumerate(TYPED.splitlines(), 1) if line.endswith("# refused")}
    assert refused == marked, done.stdout + done.stderr


def test_strict_mypy_accepts_the_store_itself(tmp_path: Path) -> None:
    shutil.copy(STORE, tmp_path / "polystore_sqlite.py")
    done = in_the_environment(tmp_path, "-m", "mypy", "--strict", "polystore_sqlite.py")
    assert done.returncode == 0, done.stdout + done.stderr
