"""What tifffile logs about bad files stays off the terminal, and other logs stay as they are."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import tifffile
from test_format_tiff_hostile import SIZES, described, ome, refusal

from polystore.formats.quiet import quiet

LOGGED = (
    ome(SIZES, '<TiffData PlaneCount="2"/>'),
    described('{"shape": [5, 17, 19.5]}'),
)
"""What tifffile itself logs errors and warnings about."""


def test_the_programs_own_log_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tifffile")
    before = (logger.level, logger.propagate, [*logger.handlers], logger.disabled)
    for content in LOGGED:
        assert refusal(content)
    assert not caplog.records
    assert (logger.level, logger.propagate, [*logger.handlers], logger.disabled) == before
    for content in LOGGED:
        caplog.clear()
        with tifffile.TiffFile(io.BytesIO(content)) as tif:
            assert tif.series
        assert caplog.records  # the program's own use of tifffile is logged as ever


def test_threads_are_silenced_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tifffile")
    with quiet(), ThreadPoolExecutor(1) as pool:
        logger.error("while a codec runs here")
        pool.submit(logger.error, "of another thread").result()
    logger.error("afterwards")
    assert [each.getMessage() for each in caplog.records] == ["of another thread", "afterwards"]


def test_stderr_stays_empty_where_logging_was_never_set_up(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from polystore import DiskConfig, load\n"
        "disk = DiskConfig(root=sys.argv[1])\n"
        "for path in sorted(Path(disk.root).iterdir()): load(disk)(path.name).failure()\n"
    )
    for number, content in enumerate(LOGGED):
        (tmp_path / f"{number}.tif").write_bytes(content)
    run = partial(subprocess.run, capture_output=True, text=True, check=True)
    done = run([sys.executable, "-c", code, str(tmp_path)])
    assert done.stdout + done.stderr == ""
