"""An environment as third parties have it: polystore, `docs/polystore-sqlite`, pytest and mypy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import portalocker

__all__ = ["PACKAGE", "third_party_python"]

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "docs" / "polystore-sqlite"
FOLDER = ROOT / ".venv-third-party"
CONSTRAINTS = ROOT / "tests" / "constraints.txt"


@cache
def third_party_python() -> str:
    """Give the path of the environment's Python.

    It is kept in `.venv-third-party` and made anew when what it was made from has changed, which
    takes pip half a minute; of several test runs at once, one makes it and the others wait.
    """
    python = str(FOLDER / "bin" / "python")
    stamp = FOLDER / "made-from.txt"
    sources = (
        ROOT / "pyproject.toml",
        CONSTRAINTS,
        *sorted(PACKAGE.rglob("*.py")),
        PACKAGE / "pyproject.toml",
    )
    recipe = "\n".join((sys.version, *(path.read_text() for path in sources)))
    with portalocker.Lock(f"{FOLDER}.lock", timeout=600):
        if not stamp.exists() or stamp.read_text() != recipe:
            shutil.rmtree(FOLDER, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
            install = [python, "-m", "pip", "install", "-q", "-c", str(CONSTRAINTS)]
            install += ["-e", f"{ROOT}[testing]", "pytest", "mypy", str(PACKAGE)]
            subprocess.run(install, check=True)
            stamp.write_text(recipe)
    return python
