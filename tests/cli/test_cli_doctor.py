"""`polystore doctor`: what is registered, what can be imported, and what to install."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from core_environment import core_python
from polystore import DiskConfig, Registry, default_registry
from polystore.builtin import EXTRAS
from polystore.cli.doctor import CORE, Diagnosis, Package, Plugin, examined, lines
from polystore.core.registry import Entries

PROJECT = Path(__file__).parents[2] / "pyproject.toml"

PLUGIN = """
from polystore import Codec, FileFormat
SHOUT = Codec(FileFormat("shout", (".shout", ".loud")), None, None, None)
TAKEN = Codec(FileFormat("mine", (".npy",)), None, None, None)
"""


def finished(folder: Path) -> tuple[int, str, str]:
    """Run the doctor where only the core is installed, and the modules in the folder."""
    path = os.pathsep.join([str(folder), *os.environ.get("PYTHONPATH", "").split()])
    done = subprocess.run(
        [core_python(), "-P", "-W", "error", "-m", "polystore", "doctor"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        cwd=folder,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def installed(folder: Path, entry_points: str) -> Path:
    """Lay out a package that brings plugins."""
    (folder / "shouting.py").write_text(PLUGIN)
    (folder / "noisy.py").write_text("raise ValueError('\x1b[2J\\n')")
    (folder / "stopping.py").write_text("raise KeyboardInterrupt")
    info = folder / "shouting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    return folder


def sections(report: str) -> dict[str, list[str]]:
    """Give the lines of each section, without their indent."""
    parts = [part.splitlines() for part in report.split("\n\n")[1:]]
    return {title: [line.removeprefix("  ") for line in rows] for title, *rows in parts}


def test_with_the_core_alone_it_says_what_to_install(tmp_path: Path) -> None:
    status, out, err = finished(tmp_path)
    assert (status, err) == (0, "")
    found = sections(out)
    assert list(found) == ["stores", "formats", "frameworks", "plugins", "packages"]
    assert re.fullmatch(r"disk +DiskConfig", found["stores"][0])
    assert "ome-tiff     .ome.tif .ome.tiff" in found["formats"]
    assert {"numpy", "torch", "jax", "tensorflow", "cupy"} <= set(found["frameworks"])
    assert found["plugins"] == ["none"]
    packages = [line.split(maxsplit=1) for line in found["packages"]]
    for name, rest in packages:
        if name in EXTRAS:
            assert re.fullmatch(rf"not installed +pip install 'polystore\[{EXTRAS[name]}\]'", rest)
        else:
            assert re.fullmatch(r"\d[\d.]+", rest), name
    assert {name for name, _ in packages} == {*CORE, *EXTRAS}


def test_plugins_are_listed_and_one_that_fails_is_the_exit_status(tmp_path: Path) -> None:
    good = "[polystore.formats]\nshout = shouting:SHOUT\n"
    (tmp_path / "good").mkdir()
    status, out, err = finished(installed(tmp_path / "good", good))
    assert (status, err) == (0, "")
    assert sections(out)["plugins"] == [
        "shout  shouting:SHOUT  polystore.formats  shouting 1.0",
    ]
    assert "shout        .shout .loud" in sections(out)["formats"]
    bad = good + "broken = not_there:X\nodd\x1b[2J = shouting:PLUGIN\ntaken = shouting:TAKEN\n"
    bad += "noisy = noisy:X\n"
    (tmp_path / "bad").mkdir()
    status, out, err = finished(installed(tmp_path / "bad", bad))
    assert (status, err) == (1, "")
    failed = [line for line in sections(out)["plugins"] if line.startswith("FAILED")]
    assert len(failed) == 4
    assert "ModuleNotFoundError: No module named 'not_there'" in failed[0]
    assert "both claim the suffix '.npy'" in "".join(failed)
    assert "\x1b" not in out
    assert "shout        .shout .loud" in sections(out)["formats"]


def test_ctrl_c_stops_it(tmp_path: Path) -> None:
    where = installed(tmp_path, "[polystore.formats]\nstop = stopping:X\n")
    status, out, err = finished(where)
    assert (status, out, err) == (130, "", "Stopped.\n")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("raise ImportError('libcuda.so.1: cannot open')", "broken: ImportError: libcuda.so.1"),
        ("import not_there_either", "broken: ModuleNotFoundError: No module named"),
        ("raise ValueError('of two\\nlines')", "broken: "),
        ("import sys; sys.exit(3)", "broken: no reason given"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "killed by SIGILL"),
        ("while True: pass", "not imported within 0.5 s"),
        ("def f(:", "broken: SyntaxError"),
        ("raise SystemExit('\\udcff')", "broken: "),
    ],
)
def test_a_package_that_is_there_and_does_not_work_is_no_version(
    source: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sickly.py").write_text(source)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = examined("sickly", "torch", 0.5 if "while" in source else 60.0)
    assert found.version == ""
    assert found.problem.startswith(problem)


@pytest.mark.parametrize(
    ("source", "version"),
    [
        ("__version__ = '1.2'", "1.2"),
        ("print('welcome'); __version__ = '3'", "3"),
        ("", "of an unknown version"),
    ],
)
def test_a_version_is_found_without_metadata(
    source: str, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sound.py").write_text(source)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert examined("sound", "") == Package("sound", "", version)


def test_a_folder_that_is_called_so_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hollow").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert examined("hollow", "jax").problem == "not installed"


def test_the_core_is_what_the_project_depends_on() -> None:
    needed = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    names = (re.split(r"[<>=]", line)[0].replace("-", "_") for line in needed)
    assert sorted(names) == sorted(CORE)


def shown(packages: Iterable[Package], plugins: Iterable[Plugin] = ()) -> str:
    disk = default_registry().find_store(DiskConfig(root="a")).unwrap()
    entries: Entries = Registry.of(disk).unwrap().entries()
    return "\n".join(lines(Diagnosis(entries, tuple(plugins), tuple(packages))))


def test_the_report_is_plain_and_aligned() -> None:
    report = shown(
        [
            Package("numpy", "", "2.4"),
            Package("attrs", "", problem="broken: ImportError"),
            Package("torch", "torch", problem="not installed"),
        ],
        [Plugin("polystore.formats", "a\x1b[2J", "m:X", "é 1")],
    )
    assert sections(report) == {
        "stores": ["disk  DiskConfig"],
        "formats": ["none"],
        "frameworks": ["none"],
        "plugins": [r"a\x1b[2J  m:X  polystore.formats  é 1"],
        "packages": [
            "numpy  2.4",
            "attrs  broken: ImportError  pip install --force-reinstall polystore",
            "torch  not installed        pip install 'polystore[torch]'",
        ],
    }
    assert report.splitlines() == [line.rstrip() for line in report.splitlines()]
