"""`polystore demo` as a process: with real images, plugins, missing packages, signals and pipes."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from polystore import __version__

REAL = Path(__file__).parents[3] / "shared" / "data" / "cellprofiler"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in an empty folder, with a folder for images in it."""
    (tmp_path / "here" / "in").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")


def started(
    *arguments: str, stdout: int = subprocess.PIPE, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start the command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "polystore", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )


def finished(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run the command line; give its exit status, standard output and standard error."""
    with started(*arguments, environment=environment) as process:
        out, err = process.communicate()
    return process.returncode, out, err


def importing_first(folder: Path) -> str:
    """Give the PYTHONPATH with which a process finds what is in the folder first."""
    return os.pathsep.join([str(folder.absolute()), *os.environ.get("PYTHONPATH", "").split()])


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(not REAL.is_dir(), reason="the real images are not here")
def test_real_images() -> None:
    before = contents(REAL)
    status, out, err = finished("demo", str(REAL))
    assert (status, err) == (0, "")
    assert "not read: 1 file (without suffix)" in out
    assert "All 9 images are equal" in out
    assert "vitra/Channel 1-01-A-01-00.tif" in out
    assert "wound/DMSO_B5_t0.JPG" in out
    assert contents(REAL) == before


PLUGIN = """
import threading
import numpy as np
from polystore import Codec, Decoded, FileFormat, Success

def restless(source, limits):
    return Success(Decoded(np.random.default_rng().random(9, "f4")))

def endless(source, limits):
    print("b.odd", flush=True)
    threading.Event().wait()

def buggy(source, limits):
    return 1 / 0

CODEC = Codec(format=FileFormat("odd", (".odd",)), encode=None, decode={decode}, open=None)
"""


def odd_format(decode: str) -> str:
    """Install a plugin with a format whose decoder is that one; give its PYTHONPATH."""
    info = Path("site/odd-1.dist-info")
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: odd\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[polystore.formats]\nodd = odd:CODEC\n")
    Path("site/odd.py").write_text(PLUGIN.format(decode=decode))
    return importing_first(Path("site"))


def test_an_image_that_differs_fails_the_run() -> None:
    """It is of a format that gives something else each time it is read."""
    np.save("in/b.npy", np.zeros(3, "u1"))
    Path("in/a.odd").write_bytes(b"")
    status, out, err = finished("demo", "in", PYTHONPATH=odd_format("restless"))
    assert (status, err) == (1, "")
    row = next(line for line in out.splitlines() if "a.odd" in line)
    assert row.split()[-1] == "NO"
    assert "9 of 9 elements differ, the first at (0,)" in out
    assert "1 of 2 images are equal" in out


def test_a_bug_is_a_row_and_its_traceback_is_in_a_file() -> None:
    np.save("in/b.npy", np.zeros(3, "u1"))
    Path("in/a.odd").write_bytes(b"")
    status, out, err = finished("demo", "in", PYTHONPATH=odd_format("buggy"))
    assert (status, err) == (1, "")
    row = next(line for line in out.splitlines() if "a.odd" in line)
    assert row.split()[-1] == "failed"
    assert "ZeroDivisionError" in out
    assert "Traceback" not in out
    assert "polystore-demo/tracebacks.txt" in out
    assert "return 1 / 0" in Path("polystore-demo/tracebacks.txt").read_text()


def test_what_jax_would_change_fails_and_says_how_it_would_not() -> None:
    np.save("in/a.npy", np.array([1.5, 2**40 + 5]))
    status, out, _ = finished("demo", "in")
    assert status == 1
    assert "float64" in out
    assert "JAX_ENABLE_X64=1" in out
    assert finished("demo", "in", JAX_ENABLE_X64="1")[0] == 0


@pytest.mark.parametrize("package", ["rich", "jax", "zarr", "tifffile", "imagecodecs"])
def test_a_missing_package_is_a_sentence_that_says_what_to_install(package: str) -> None:
    site = Path("site")
    site.mkdir()
    missing = f"raise ModuleNotFoundError(\"No module named '{package}'\", name='{package}')"
    (site / f"{package}.py").write_text(missing)
    status, out, err = finished("demo", PYTHONPATH=importing_first(site))
    assert (status, out) == (2, "")
    assert f"'{package}'" in err
    assert "pip install 'polystore[demo]'" in err
    assert "Traceback" not in err
    assert err.count("\n") == 1
    assert not Path("polystore-demo").exists()


def test_ctrl_c_stops_it_without_a_traceback() -> None:
    for number in range(3000):
        np.save(f"in/{number}.npy", np.zeros(3, "u1"))
    with started("demo", "in") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("start-up"):  # it works now
                process.send_signal(signal.SIGINT)
                break
        _, err = process.communicate()
    assert process.returncode == 130
    notice, stopped = err.splitlines()
    assert "Ctrl-C again" in notice
    done = re.fullmatch(r"Stopped after (\d+) of 3000 images. Every .* is whole.", stopped)
    assert done
    assert int(done[1]) < 3000


def test_a_second_ctrl_c_stops_in_the_middle_of_an_image() -> None:
    np.save("in/a.npy", np.zeros(3, "u1"))
    Path("in/b.odd").write_bytes(b"")
    with started("demo", "in", environment={"PYTHONPATH": odd_format("endless")}) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while "b.odd" not in (line := process.stdout.readline()):
            assert line, "it ended before"
        process.send_signal(signal.SIGINT)
        assert "Ctrl-C again" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert err == "Stopped. Every image that is in Zarr by now is whole.\n"


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    with started("demo") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode != 0


def test_a_narrow_terminal_cuts_no_key_and_no_colour_is_none() -> None:
    key = "a folder with a long name/and a file with a longer one, channel 1.npy"
    Path("in", key).parent.mkdir()
    np.save(f"in/{key}", np.zeros((100, 100), "u1"))
    narrow = {"COLUMNS": "60", "NO_COLOR": "1", "TERM": "xterm"}
    terminal, theirs = pty.openpty()
    with started("demo", "in", stdout=theirs, environment=narrow) as process:
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # what Linux says when the other end is closed
            while chunk := os.read(terminal, 2**16):
                said += chunk
    os.close(terminal)
    assert process.returncode == 0
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7]", said)
    table = re.sub(r"\x1b\[[0-9;]*m", "", said.decode()).partition("#  key")[2].splitlines()
    column = slice(len("#  "), table[0].index("shape") + len("#  key"))
    rows = table[1 : next(i for i, line in enumerate(table) if "in all" in line)]
    assert "".join(line[column] for line in rows).replace(" ", "") == key.replace(" ", "")


def test_the_version_and_the_help() -> None:
    assert finished("--version") == (0, f"polystore {__version__}\n", "")
    status, out, _ = finished("demo", "--help")
    assert status == 0
    assert "--output" in out
    status, _, err = finished()
    assert status == 2
    assert "demo" in err
    assert finished("demo", "--no-such-option")[0] == 2
