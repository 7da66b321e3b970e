"""An environment that holds only what polystore's core needs: no framework, no Zarr, no TIFF."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import portalocker

__all__ = ["core_python"]

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".venv-core"
CONSTRAINTS = ROOT / "tests" / "constraints.txt"


@cache
def core_python() -> str:
    """Give the path of the environment's Python.

    It is kept in `.venv-core` and made anew when what it was made from has changed, which takes pip
    some seconds; of several test runs at once, one makes it and the others wait.
    """
    python = str(FOLDER / "bin" / "python")
    stamp = FOLDER / "made-from.txt"
    recipe = "\n".join(
        (sys.version, (ROOT / "pyproject.toml").read_text(), CONSTRAINTS.read_text())
    )
    with portalocker.Lock(f"{FOLDER}.lock", timeout=600):
        if not stamp.exists() or stamp.read_text() != recipe:
            shutil.rmtree(FOLDER, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
            install = [
                python,
                "-m",
                "pip",
                "install",
                "-q",
                "-c",
                str(CONSTRAINTS),
                "-e",
                str(ROOT),
            ]
            subprocess.run(install, check=True)
            stamp.write_text(recipe)
    return python
