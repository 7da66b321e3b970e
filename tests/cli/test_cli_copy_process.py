"""`polystore copy` as a process: memory, Ctrl-C, and what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from polystore import ZarrConfig, is_host_array, list_files, read

COPY = [sys.executable, "-m", "polystore", "copy"]

MEMORY = """
import resource, sys
from polystore.cli.main import main
import numpy, zarr, tifffile, polystore.backends.zarr, polystore.backends.zarr.ome.images
from polystore import handles
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
status = main(sys.argv[1:])
print("KiB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
sys.exit(status)
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_tiff_of_any_size_takes_little_memory() -> None:
    """It has 512 MB, mostly of holes, and would not pass through 300 MB whole."""
    tifffile.memmap("a.tif", shape=(64, 2048, 2048), dtype=np.uint16, bigtiff=True).flush()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            MEMORY,
            "copy",
            "a.tif",
            "a.zarr",
            "--layout",
            "image",
            "--axes",
            "z,y,x",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 1 written" in done.stdout
    assert int(done.stdout.split("KiB")[1]) < 300 * 1024
    assert Path("a.zarr/1/zarr.json").exists()


def test_ctrl_c_leaves_whole_items_and_the_rest_is_copied_later() -> None:
    Path("in").mkdir()
    image = np.arange(256 * 256, dtype=np.uint16).reshape(256, 256)
    for number in range(120):
        tifffile.imwrite(f"in/{number}.tif", image)
    command = [*COPY, "in", "out.zarr", "--layout", "image", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        while it.poll() is None and not any(Path().glob("out.zarr/*.tif/zarr.json")):
            os.sched_yield()
        it.send_signal(signal.SIGINT)
        out, err = it.communicate()
    assert it.returncode == 130, (out, err)
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("Stopped. Every item that is there is whole")
    there = sorted(path.name for path in Path("out.zarr").glob("*.tif"))
    assert 0 < len(there) < 120
    for name in there[:20]:
        payload = read(f"out.zarr/{name}").unwrap().payload
        assert is_host_array(payload)
        assert np.array_equal(payload, image)
    again = subprocess.run(
        [*command, "--if-exists", "skip"], capture_output=True, text=True, check=True
    )
    assert f"{len(there)} there already" in again.stdout
    assert len(list_files(ZarrConfig(root="out.zarr")).unwrap()) >= 120


def test_ctrl_c_in_one_large_image_leaves_nothing_of_it() -> None:
    tifffile.memmap("a.tif", shape=(128, 2048, 2048), dtype=np.uint16, bigtiff=True).flush()
    command = [*COPY, "a.tif", "a.zarr", "--layout", "image", "--axes", "z,y,x"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        while it.poll() is None and not any(Path().glob(".polystore*/**/*")):
            os.sched_yield()
        it.send_signal(signal.SIGINT)
        _, err = it.communicate()
    assert it.returncode == 130
    assert "Traceback" not in err
    assert not Path("a.zarr").exists()
