"""What strict mypy and strict pyright accept and refuse, as users of the package see it.

The files in `tests/typing` are never run. In them, exactly the lines marked `# refused` must have
an error, from both checkers: where everything is installed, and where only the core is (there, JAX
and PyTorch are unknown to the checkers). Files that name a framework in their own annotations are
checked only where it is installed, and so are the Python blocks of the documentation.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from core_environment import core_python

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "tests" / "typing").glob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MARK = "# refused"
PAGE = "_page.py"

Errors: TypeAlias = Mapping[tuple[str, int], frozenset[str]]
"""From a file's name and a line to the rules that it breaks."""

ABOUT_TYPES = {
    "mypy": {
        "arg-type",
        "assignment",
        "attr-defined",
        "call-arg",
        "call-overload",
        "dict-item",
        "list-item",
        "misc",  # "cannot infer value of type parameter": steps that do not fit
        "return-value",
        "union-attr",
    },
    "pyright": {
        "reportArgumentType",
        "reportAssignmentType",
        "reportAttributeAccessIssue",
        "reportCallIssue",
    },
}
"""The rules by which a wrong use is to be refused; a name misspelt in a test breaks others."""


def _page_as_module(page: Path) -> str:
    """Give the Python blocks of a page on their own lines, so that errors name the page's lines."""
    lines: list[str] = []
    language: str | None = None
    for line in page.read_text().splitlines():
        fence = re.match(r" {0,3}```(\w*)", line)
        if fence is not None:
            language = fence[1] if language is None else None
        lines.append("" if fence is not None or language != "python" else line)
    return "\n".join(lines) + "\n"


def _sources() -> dict[str, str]:
    pages = {page.stem.lower() + PAGE: _page_as_module(page) for page in PAGES}
    return {path.name: path.read_text() for path in FILES} | pages


SOURCES = _sources()


def _checked_in(environment: str) -> list[str]:
    return [
        name
        for name, source in SOURCES.items()
        if environment == "full"
        or not (name.endswith(PAGE) or re.search(r"^import (jax|torch)$", source, re.MULTILINE))
    ]


def _marked(names: Iterable[str]) -> set[tuple[str, int]]:
    return {
        (name, number)
        for name in names
        for number, line in enumerate(SOURCES[name].splitlines(), 1)
        if MARK in line
    }


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), f"{command[2]} broke down:\n{done.stdout}{done.stderr}"
    return done.stdout


def _mypy(folder: Path, names: list[str], python: str) -> Errors:
    cache_dir = ROOT / ".mypy_cache" / "typing" / Path(python).parent.parent.name
    options = ["--strict", "--config-file=", "--output=json", f"--cache-dir={cache_dir}"]
    options.append(f"--python-executable={python}")
    errors: dict[tuple[str, int], frozenset[str]] = defaultdict(frozenset)
    for line in _run([sys.executable, "-m", "mypy", *options, *names], folder).splitlines():
        if line.startswith("{"):
            found = json.loads(line)
            if found["severity"] == "error":
                errors[found["file"], found["line"]] |= {found["code"]}
    return errors


def _pyright(folder: Path, names: list[str], python: str) -> Errors:
    config = {"include": names, "typeCheckingMode": "strict"}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "pyright", "--outputjson", f"--pythonpath={python}"]
    errors: dict[tuple[str, int], frozenset[str]] = defaultdict(frozenset)
    for found in json.loads(_run(command, folder))["generalDiagnostics"]:
        line = found["range"]["start"]["line"] + 1
        errors[Path(found["file"]).name, line] |= {found.get("rule", "syntax")}
    return errors


CHECKERS: dict[str, Callable[[Path, list[str], str], Errors]] = {"mypy": _mypy, "pyright": _pyright}
ENVIRONMENTS: dict[str, Callable[[], str]] = {"full": lambda: sys.executable, "core": core_python}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("checker", CHECKERS)
def test_marked_lines_are_refused_and_no_others(
    checker: str, environment: str, tmp_path: Path
) -> None:
    names = _checked_in(environment)
    for name in names:
        (tmp_path / name).write_text(SOURCES[name])
    errors = CHECKERS[checker](tmp_path, names, ENVIRONMENTS[environment]())
    marked = _marked(names)
    otherwise = {line for line in marked & errors.keys() if not errors[line] & ABOUT_TYPES[checker]}
    wrong = [
        *_shown(f"{checker} accepts", marked - errors.keys(), errors),
        *_shown(f"{checker} refuses", errors.keys() - marked, errors),
        *_shown(f"{checker} refuses, but not for its types,", otherwise, errors),
    ]
    assert not wrong, "\n".join(wrong)


def _shown(verdict: str, lines: Iterable[tuple[str, int]], errors: Errors) -> list[str]:
    return [
        f"{verdict} {name}:{number}: {SOURCES[name].splitlines()[number - 1].strip()}"
        f"  [{', '.join(sorted(errors.get((name, number), ())))}]"
        for name, number in sorted(lines)
    ]
