"""Any bytes given to any decoder: an outcome, soon, in bounded memory, and nothing on stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from samples import FORMAT_NAMES

PROGRAM = Path(__file__).parent / "hostile.py"
COUNT = 20_000 if os.environ.get("POLYSTORE_HYPOTHESIS_PROFILE") == "thorough" else 5000


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_damaged_files_are_decoded_or_refused(name: str, tmp_path: Path) -> None:
    last = tmp_path / "last"
    command = [sys.executable, "-W", "error", str(PROGRAM), name, str(COUNT), str(last)]
    paths = os.pathsep.join(map(str, (PROGRAM.parent, PROGRAM.parent.parent)))
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        check=False,
    )
    assert run.returncode == 0, (
        f"it ended with {run.returncode}, at {last.read_bytes()[:2000]!r}\n{run.stderr[-2000:]}"
    )
    report: dict[str, dict[str, int]] = json.loads(run.stdout)
    assert not report["wrong"]
    assert sum(report["found"].values()) == COUNT
    assert report["found"].get("Corrupt", 0) > COUNT / 20  # or nothing was damaged
