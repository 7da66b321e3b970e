"""Results are read in ways that keep their types; what loses them is refused, in the docs too.

`match` and `isinstance` on a `Result` give `Any` in mypy and are never exhaustive; `.bind` and
`.lash` are errors in pyright; `flow`, `pipe`, `Fold` and the pointfree functions lose the types of
both. Use `is_successful`, `.unwrap()`, `.failure()`, `.map`, `.value_or`, `fold` and `and_then`.
"""

from __future__ import annotations

import ast
import doctest
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

CONTAINERS = {"Success", "Failure", "Result"}

ALLOWED_OF_RETURNS = {
    "returns.result": CONTAINERS,
    "returns.pipeline": {"is_successful"},
}
"""All that is imported from the library."""

WITH_A_BIND_OF_THEIR_OWN = re.compile(r"(socket|signature)$", re.IGNORECASE)
"""What makes a thing whose `.bind` is no result's: `socket.socket()`, `inspect.signature(f)`."""


def refused(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Give the line of each use that loses the type of a result, and what it is."""
    names = CONTAINERS | _aliases(tree)
    others = _with_a_bind_of_their_own(tree)
    for node in ast.walk(tree):
        what = _refused_import(node) or _refused_use(node, names) or _refused_method(node, others)
        if what is not None:
            yield getattr(node, "lineno", 0), what


def _aliases(tree: ast.AST) -> set[str]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {
        alias.asname
        for node in found
        for alias in node.names
        if alias.name in CONTAINERS and alias.asname is not None
    }


def _refused_import(node: ast.AST) -> str | None:
    if isinstance(node, ast.Import):
        whole = [alias.name for alias in node.names if alias.name.partition(".")[0] == "returns"]
        return f"import {whole[0]}" if whole else None
    if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "returns":
        wrong = {alias.name for alias in node.names} - ALLOWED_OF_RETURNS.get(
            node.module or "", set()
        )
        return f"from {node.module} import {', '.join(sorted(wrong))}" if wrong else None
    return None


def _refused_use(node: ast.AST, names: set[str]) -> str | None:
    match node:
        case ast.MatchClass(cls=cls) if _names(cls, names):
            return f"case {ast.unparse(cls)}(...)"
        case ast.Call(func=ast.Name(id="isinstance" | "issubclass" as test), args=[_, kinds]) if (
            _names(kinds, names)
        ):
            return f"{test}(..., {ast.unparse(kinds)})"
        case ast.Compare() if any(_names(side, names) for side in [node.left, *node.comparators]):
            return ast.unparse(node)
        case _:
            return None


def _refused_method(node: ast.AST, others: set[str]) -> str | None:
    match node:
        case ast.Attribute(value=value, attr="bind" | "lash" as method):
            return None if _makes_another(value) or ast.unparse(value) in others else f".{method}"
        case _:
            return None


def _makes_another(expression: ast.expr | None) -> bool:
    call = isinstance(expression, ast.Call) and ast.unparse(expression.func)
    return bool(call and WITH_A_BIND_OF_THEIR_OWN.search(call))


def _with_a_bind_of_their_own(tree: ast.AST) -> set[str]:
    """Give the names that are bound to sockets and signatures."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.withitem(context_expr=made, optional_vars=ast.expr() as name):
                targets = [name]
            case ast.Assign(targets=targets, value=made):
                pass
            case _:
                continue
        if _makes_another(made):
            found.update(map(ast.unparse, targets))
    return found


def _names(expression: ast.expr, names: set[str]) -> bool:
    """Whether an expression is one of the classes, or a tuple or union of them; no call is."""
    match expression:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in names
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return any(_names(part, names) for part in parts)
        case ast.BinOp(left=left, right=right):
            return _names(left, names) or _names(right, names)
        case ast.Subscript(value=value):
            return _names(value, names)
        case _:
            return False


def sources() -> Iterator[tuple[str, int, str]]:
    """Give all code: of each file, of the examples in its docstrings, and of the pages' blocks."""
    for folder in ("src", "tests", "typings"):
        for path in sorted((ROOT / folder).rglob("*.py*")):
            if path.suffix in (".py", ".pyi"):
                text = path.read_text()
                yield str(path.relative_to(ROOT)), 0, text
                yield from _examples(str(path.relative_to(ROOT)), text)
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = page.read_text()
        yield from _examples(page.name, text)
        for block in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            if ">>> " not in block[1]:
                yield page.name, text.count("\n", 0, block.start(1)), block[1]


def _examples(name: str, text: str) -> Iterator[tuple[str, int, str]]:
    for example in doctest.DocTestParser().get_examples(text):
        yield name, example.lineno, example.source


def test_no_use_that_loses_the_type_of_a_result() -> None:
    wrong = [
        f"{name}:{before + line}: {what}"
        for name, before, text in sources()
        for line, what in refused(ast.parse(text))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "source",
    [
        "match outcome:\n    case Success(value): ...",
        "match outcome:\n    case Failure(): ...",
        "match outcome:\n    case [Success(value), _] | None: ...",
        "match outcome:\n    case result.Success(value): ...",
        "from polystore import Failure as No\nmatch outcome:\n    case No(error): ...",
        "isinstance(outcome, Failure)",
        "isinstance(outcome, (int, Success))",
        "isinstance(outcome, Success | Failure)",
        "isinstance(outcome, result.Result)",
        "issubclass(type(outcome), Success)",
        "type(outcome) is Success",
        "type(outcome) == Failure",
        "outcome.__class__ is not Success",
        "type(outcome) in (Success, Failure)",
        "outcome.bind(save)",
        "load(disk)('a').lash(again)",
        "step = outcome.bind",
        "socket = load(disk)('a')\nsocket.bind(save)",
        "from returns.pipeline import flow",
        "from returns.pipeline import is_successful, pipe",
        "from returns.iterables import Fold",
        "from returns.pointfree import bind",
        "from returns.result import safe",
        "import returns.pipeline",
        "import returns",
    ],
)
def test_every_such_use_is_seen(source: str) -> None:
    assert [what for _, what in refused(ast.parse(source))] != []


@pytest.mark.parametrize(
    "source",
    [
        "Success(1).map(str)",
        "outcome == Success(1)",
        "assert load(disk)('a') == Failure(error)",
        "partial(Success, record)",
        "from returns.result import Failure, Result, Success",
        "from returns.pipeline import is_successful",
        "isinstance(error, NotFound)",
        "match error:\n    case NotFound(): ...",
        "with socket.socket() as listening:\n    listening.bind('here')",
        "server = context.socket(REP)\nserver.bind('tcp://*:5555')",
        "signature(function).bind(1)",
    ],
)
def test_what_keeps_the_types_is_let_be(source: str) -> None:
    assert [what for _, what in refused(ast.parse(source))] == []
