"""How the source is laid out: who may import whom, and what files may be called and hold."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "polystore"

LAYERS = (
    "core.version",
    "core.errors",
    "core.outcome",
    "core.key",
    "core.item",
    "core.dtypes",
    "core.table",
    "core.rois",
    "core.payload",
    "core.region",
    "core.plainjson",
    "core.unnamed",
    "core.records",
    "core.registry",
    "configs",
    "formats",
    "frameworks",
    "framed",
    "backends",
    "builtin",
    "discover",
    "boundary",
    "steps",
    "pool",
    "dispatch",
    "task",
    "pace",
    "batch",
    "files",
    "manager",
    "cli",
    "testing",
    "__main__",
)
"""Each imports only from itself and from those before it."""

STRANGERS = {("frameworks", "formats"), ("formats", "frameworks")}
"""These never import each other, in whatever order they stand."""

TOP_LEVEL = {
    "src",
    "tests",
    "docs",
    "typings",
    "pyproject.toml",
    "mypy.ini",
    "README.md",
    "LICENSE",
}

GRAB_BAGS = {"base", "common", "helper", "helpers", "misc", "shared", "util", "utils"}

MAX_LINES = 300


@frozen
class Import:
    """One imported module of ours, and the names of the functions around the import."""

    importer: str
    imported: str
    line: int
    inside: tuple[str, ...]
    for_types: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> dict[str, ast.Module]:
    return {module_name(path): ast.parse(path.read_text()) for path in SOURCE.rglob("*.py")}


def imports(importer: str, tree: ast.Module) -> Iterator[Import]:
    yield from _imports(importer, tree, (), False)


def _imports(
    importer: str, node: ast.AST, inside: tuple[str, ...], for_types: bool
) -> Iterator[Import]:
    for name in _imported(node):
        if name == "polystore" or name.startswith("polystore."):
            line = getattr(node, "lineno", 0)
            yield Import(
                importer, name.removeprefix("polystore").lstrip("."), line, inside, for_types
            )
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        inside = (*inside, node.name)
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for_types = True
    for child in ast.iter_child_nodes(node):
        yield from _imports(importer, child, inside, for_types)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: a relative import"
        module = node.module or ""
        below = [f"{module}.{alias.name}" for alias in node.names]
        return [name if _is_module(name) else module for name in below]
    return []


def _is_module(name: str) -> bool:
    path = ROOT / "src" / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").exists()


def layer(module: str) -> int:
    found = [i for i, name in enumerate(LAYERS) if f"{module}.".startswith(f"{name}.")]
    assert found, f"polystore.{module} is in no layer: say in LAYERS where it belongs"
    return found[0]


def is_allowed(found: Import) -> bool:
    if found.imported == "":
        return False  # the public names are for users: they import everything
    importer, imported = layer(found.importer), layer(found.imported)
    if (LAYERS[importer], LAYERS[imported]) in STRANGERS:
        return False
    if imported <= importer:
        return True
    if found.importer.startswith("core."):
        return found.for_types and found.imported.startswith("core.")
    runs_itself = LAYERS[importer] == "steps" and found.inside[-1:] in (("__call__",), ("map",))
    return runs_itself and LAYERS[imported] in ("dispatch", "batch")


def test_imports_go_one_way() -> None:
    wrong = [
        str(found)
        for importer, tree in modules().items()
        if importer != ""
        for found in imports(importer, tree)
        if not is_allowed(found)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("importer", "source", "allowed"),
    [
        ("formats.npy", "from polystore.core.errors import Corrupt", True),
        ("formats.npy", "from polystore.backends.disk import DISK", False),
        ("formats.npy", "import polystore.frameworks.jax", False),
        ("frameworks.jax", "from polystore.formats import npy", False),
        ("frameworks.jax", "def f():\n    from polystore.formats import npy", False),
        ("backends.disk", "if TYPE_CHECKING:\n    from polystore.steps.load import Load", False),
        ("core.outcome", "if TYPE_CHECKING:\n    from polystore.core.item import Item", True),
        ("core.outcome", "from polystore.core.item import Item", False),
        ("core.item", "if TYPE_CHECKING:\n    from polystore.configs import DiskConfig", False),
        ("steps.load", "from polystore.dispatch import default_dispatcher", False),
        ("steps.load", "def __call__():\n    from polystore.dispatch import run", True),
        ("steps.load", "def load():\n    from polystore.dispatch import run", False),
        ("steps.load", "def __call__():\n    from polystore.files import read", False),
        ("dispatch", "def __call__():\n    from polystore.batch import collect", False),
        ("cli.demo", "from polystore import load", False),
        ("steps.apply", "import polystore", False),
        ("builtin", "def _disk():\n    from polystore.backends.disk import DISK", True),
    ],
)
def test_the_import_rule_itself(importer: str, source: str, allowed: bool) -> None:
    assert [is_allowed(found) for found in imports(importer, ast.parse(source))] == [allowed]


def test_no_grab_bags() -> None:
    places = [path for top in ("src", "tests", "typings") for path in (ROOT / top).rglob("*.py*")]
    named = {str(path) for path in places if {path.stem, path.parent.name} & GRAB_BAGS}
    assert not named


def lines_of_code(path: Path) -> int:
    """Count the lines that are neither blank nor a comment nor part of a docstring."""
    text = path.read_text()
    prose: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            prose.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(
        number not in prose and not line.lstrip().startswith("#") and line.strip() != ""
        for number, line in lines
    )


def test_files_are_short() -> None:
    files = {*SOURCE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")} - {SOURCE / "__init__.py"}
    long = [str(path.relative_to(ROOT)) for path in files if lines_of_code(path) > MAX_LINES]
    assert not long, f"over {MAX_LINES} lines of code (a list of names may be longer): {long}"


@pytest.mark.skipif(
    shutil.which("git") is None or not (ROOT / ".git").exists(), reason="not a git checkout"
)
def test_top_level_holds_what_it_should() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    top = {name.partition("/")[0] for name in listed.stdout.split("\0") if name}
    assert {name for name in top if not name.startswith(".")} == TOP_LEVEL
