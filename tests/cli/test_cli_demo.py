"""`polystore demo`, as one types it: what it says, what it leaves behind, how it ends."""

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

import imagecodecs
import numpy as np
import pytest
import zarr

from polystore import HostArray, __version__
from polystore.cli.main import main
from polystore.cli.plate import plate_images
from polystore.cli.sheet import contact_sheet, layout_for, thumbnail

REAL = Path(__file__).parents[3] / "shared" / "data" / "cellprofiler"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in an empty folder."""
    (tmp_path / "here").mkdir()
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


def stored(key: str, results: str = "polystore-demo") -> HostArray:
    # zarr takes fsspec's mappings too, a type that is unknown where fsspec is not installed
    plate = zarr.open_group(f"{results}/plate.zarr")  # pyright: ignore[reportUnknownMemberType]
    array = plate[key]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[...])


def saved(name: str, array: HostArray) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def everything_below(folder: str) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def test_without_a_folder_a_plate_is_made_moved_and_compared(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    images = dict(plate_images())
    for number, (key, image) in enumerate(images.items(), 1):
        shape = " x ".join(map(str, image.shape))
        line = next(line for line in out.splitlines() if key in line)
        assert line.split()[0] == str(number)
        assert re.search(f"  {shape} +{image.dtype.name} +{image.nbytes:,}  ", line)
        assert line.split()[-1] == "yes"
        assert np.array_equal(stored(key), image)
        assert stored(key).dtype == image.dtype
    assert "All 14 images are equal in Zarr" in out
    assert [path.name for path in Path().iterdir()] == ["polystore-demo"]


def test_the_contact_sheet_shows_what_is_in_zarr() -> None:
    assert main(["demo"]) == 0
    sheet = imagecodecs.png_decode(Path("polystore-demo/contact-sheet.png").read_bytes())
    keys = [key for key, _ in plate_images()]
    layout = layout_for(len(keys))
    tiles = [thumbnail(stored(key), layout.side) for key in keys]
    assert np.array_equal(sheet, contact_sheet(tiles, layout))


def test_a_second_run_leaves_the_first_as_it_is() -> None:
    assert main(["demo"]) == 0
    first = everything_below("polystore-demo")
    assert main(["demo"]) == 0
    assert everything_below("polystore-demo") == first
    second = everything_below("polystore-demo-2")
    assert len(second) == len(first)
    assert main(["demo", "--output", "mine/own"]) == 0
    assert Path("mine/own/plate.zarr/zarr.json").is_file()


def test_a_broken_image_fails_alone(capsys: pytest.CaptureFixture[str]) -> None:
    saved("in/a.npy", np.arange(6, dtype="u1"))
    saved("in/[red] z.npy", np.arange(8, dtype="f4").reshape(2, 4))
    Path("in/b.tif").write_bytes(b"\xff\xd8\xff\xe0 a JPEG")
    Path("in/c.JPG").write_bytes(b"")
    before = everything_below("in")
    assert main(["demo", "in"]) == 1
    out = capsys.readouterr().out
    assert "not read: 1 file (.jpg)" in out
    assert "2 of 3 images are equal" in out
    assert "[red] z.npy" in out
    row = next(line for line in out.splitlines() if "b.tif" in line)
    assert row.split()[-1] == "failed"
    assert "Traceback" not in out
    assert stored("a.npy").tolist() == [0, 1, 2, 3, 4, 5]
    assert stored("[red] z.npy").shape == (2, 4)
    assert everything_below("in") == before


def test_what_jax_would_change_fails_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    saved("in/a.npy", np.array([1.5, 2**40 + 5]))
    assert main(["demo", "in"]) == 1
    out = capsys.readouterr().out
    assert "0 of 1 images are equal" in out
    assert "float64" in out
    assert "casting" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demo", "missing"], "does not exist"),
        (["demo", "in/notes.txt"], "is a file"),
        (["demo", "empty"], "holds no image"),
        (["demo", "in"], "only 1 file (.txt)"),
        (["demo", "--output", "in"], "not empty"),
        (["demo", "plate", "--output", "plate/out"], "the folder that is read"),
        (["demo", "."], "the folder that is read"),
    ],
)
def test_what_cannot_begin_says_why_and_makes_nothing(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    Path("in").mkdir()
    Path("in/notes.txt").write_text("notes")
    saved("plate/a.npy", np.zeros(3))
    before = sorted(Path().rglob("*"))
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.startswith("polystore demo: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert sorted(Path().rglob("*")) == before


def test_names_that_would_move_the_cursor_are_shown_harmless(
    capsys: pytest.CaptureFixture[str],
) -> None:
    saved("in/a\x1b[2J\n.npy", np.zeros(3, "u1"))
    assert main(["demo", "in"]) == 0
    out = capsys.readouterr().out
    assert "a\\x1b[2J\\n.npy" in out
    assert "\x1b" not in out


def test_arrays_without_a_picture_are_moved_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    saved("in/empty.npy", np.zeros((0, 4), "u1"))
    saved("in/scalar.npy", np.array(3, "u2"))
    assert main(["demo", "in"]) == 0
    assert "scalar" in capsys.readouterr().out
    assert stored("scalar.npy")[()] == 3
    assert stored("empty.npy").shape == (0, 4)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real images are not here")
def test_real_images() -> None:
    before = everything_below(str(REAL))
    status, out, err = finished("demo", str(REAL))
    assert (status, err) == (0, "")
    assert "not read: 3 files (2 .jpg, 1 without suffix)" in out
    assert "All 7 images are equal" in out
    assert "vitra/Channel 1-01-A-01-00.tif" in out
    assert everything_below(str(REAL)) == before


PLUGIN = """
import numpy as np
from polystore import Codec, Decoded, FileFormat, Success

RESTLESS = Codec(
    format=FileFormat("restless", (".restless",)),
    encode=lambda item, options: None,
    decode=lambda source, limits: Success(Decoded(np.random.default_rng().random(9, "f4"))),
    open=None,
)
"""


def test_an_image_that_differs_fails_the_run() -> None:
    """A third party's format, whose files hold something else each time they are read."""
    site = Path("site")
    (site / "restless-1.dist-info").mkdir(parents=True)
    (site / "restless.py").write_text(PLUGIN)
    (site / "restless-1.dist-info" / "METADATA").write_text("Name: restless\nVersion: 1\n")
    (site / "restless-1.dist-info" / "entry_points.txt").write_text(
        "[polystore.formats]\nrestless = restless:RESTLESS\n"
    )
    saved("in/b.npy", np.zeros(3, "u1"))
    Path("in/a.restless").write_bytes(b"")
    status, out, err = finished("demo", "in", PYTHONPATH=importing_first(site))
    assert (status, err) == (1, "")
    row = next(line for line in out.splitlines() if "a.restless" in line)
    assert row.split()[-1] == "NO"
    assert "9 of 9 elements differ, the first at (0,)" in out
    assert "1 of 2 images are equal" in out


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
        saved(f"in/{number}.npy", np.zeros(3, "u1"))
    with started("demo", "in") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("start-up"):  # it works now
                process.send_signal(signal.SIGINT)
                break
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
    saved(f"in/{key}", np.zeros((100, 100), "u1"))
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
