"""What frameworks do not own, and the law that asking imports nothing."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

from polystore.core.records import Framework
from polystore.testing.expect import expect
from polystore.testing.home import home_of
from polystore.testing.law import no_config

__all__ = ["FOREIGN", "owning_imports_nothing"]

FOREIGN = (None, True, 3, 2.5, "text", b"bytes", [1.0], {"a": 1}, object(), slice(3), range(3))
"""Values that are no arrays."""


def owning_imports_nothing(framework: Framework[object], _example: None) -> None:
    """Ask here, and in a fresh process if the record, or its function, has a name in a module."""
    before = set(sys.modules)
    for value in FOREIGN:
        framework.owns(value)
    _expect_none_of(set(sys.modules) - before)
    found = _named_owner(framework)
    if found is None:
        return
    line, owner = found
    lines = (
        line,
        "import sys",
        f"owns = {owner}",
        "before = set(sys.modules)",
        "asked = [owns(it) for it in (None, 1, 'text', [1.0], dict(), object())]",
        "print(*sorted(set(sys.modules) - before))",
    )
    run = subprocess.run(  # noqa: S603 - the code is that of the lines above
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    expect(run.returncode == 0, f"it ended with {run.returncode}: {run.stderr[-500:]}")
    _expect_none_of(set(run.stdout.split()))


def _expect_none_of(modules: set[str]) -> None:
    packages = {name.partition(".")[0] for name in modules}
    new = packages - sys.stdlib_module_names - {"polystore"}
    expect(not new, f"owns imported {', '.join(sorted(new))}")


def _named_owner(framework: Framework[object]) -> tuple[str, str] | None:
    """Give a line, and what is `owns` after it; nobody else can import from `__main__`."""
    home = home_of(framework, no_config)
    if home.record != "record" and "__main__" not in home.imports[0]:
        return home.imports[0], f"{home.record}.owns"
    try:
        pickled = pickle.dumps(framework.owns)
    except (AttributeError, TypeError, pickle.PicklingError):  # no function of a module's top
        return None
    return None if b"__main__" in pickled else ("import pickle", f"pickle.loads({pickled!r})")
