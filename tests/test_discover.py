"""Installed packages bring records by entry points; a broken one is an error, and nothing more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PLUGIN = """
from polystore import Codec, Corrupt, Encoded, Failure, FileFormat, Success

def encode(item, options, /):
    return Success(Encoded((b"shout",), 5))

def decode(source, limits, /):
    return Failure(Corrupt("", None, "never", "never"))

SHOUT = Codec(FileFormat("shout", (".shout",)), encode, decode, open=None)
NO_RECORD = 42
"""

ENTRY_POINTS = """
[polystore.formats]
shout = shouting:SHOUT
broken = not_there:X
strange = shouting:NO_RECORD
wrong = shouting:encode

[polystore.backends]
shout = shouting:SHOUT
"""


def run(folder: Path, code: str) -> str:
    """Run a program where the plugin package is installed."""
    (folder / "shouting.py").write_text(PLUGIN)
    info = folder / "shouting-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    program = f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"
    return subprocess.check_output([sys.executable, "-c", program], text=True)


def test_a_plugin_is_found_and_a_broken_one_is_reported(tmp_path: Path) -> None:
    output = run(
        tmp_path,
        "from polystore import default_registry\n"
        "registry = default_registry()\n"
        "print(registry.find_codec_for('a.shout').unwrap().format.name)\n"
        "for error in registry.entries().errors: print(type(error).__name__, error.message)\n"
        "print(registry.find_codec_for('a.xyz').failure().advice)\n",
    )
    first, *errors, advice = output.splitlines()
    assert first == "shout"
    assert len(errors) == 4
    assert all(line.startswith("PluginFailed The plugin") for line in errors)
    assert "not_there" in output
    assert "A plugin that failed may be the reason" in advice


def test_a_plugin_is_imported_when_it_is_needed_and_not_before(tmp_path: Path) -> None:
    output = run(
        tmp_path,
        "import polystore\n"
        "from polystore import default_registry, DiskConfig, load, list_files\n"
        "registry = default_registry()\n"
        "registry.find_codec_for('a.npy'), load(DiskConfig(root='x'))('a.npy')\n"
        "print('shouting' in sys.modules)\n"
        "registry.find_codec_for('a.shout')\n"
        "print('shouting' in sys.modules)\n",
    )
    assert output.split() == ["False", "True"]
