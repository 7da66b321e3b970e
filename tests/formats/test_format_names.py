"""A suffix says what a file is, in any case; the content is asked too."""

from __future__ import annotations

from pathlib import Path

import pytest
from samples import samples

from polystore import Corrupt, DiskConfig, default_registry, is_successful, load
from polystore.builtin import BUILTIN

SUFFIXES = {entry.name: entry.key.suffixes for entry in BUILTIN.formats}
KIN = ({"npy", "jax", "cupy"}, {"tiff", "ome-tiff"}, {"csv", "json", "text"})
"""Formats whose files are files of the others too, or may be."""


@pytest.mark.parametrize(
    ("name", "suffix"), [(name, each) for name, suffixes in SUFFIXES.items() for each in suffixes]
)
def test_the_longest_suffix_counts_whatever_its_case(name: str, suffix: str) -> None:
    find = default_registry().find_codec_for
    for key in (f"a{suffix}", f"A{suffix.upper()}", f"b.tif.npy.zip/c.png{suffix.title()}"):
        assert find(key).unwrap().format.name == name


@pytest.mark.parametrize("name", sorted(set(SUFFIXES) - {"cupy"}))
def test_a_file_named_as_another_is_said_to_be_what_it_is(name: str, tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    for content in samples(name):
        for other, suffixes in SUFFIXES.items():
            if other == "cupy" or any({name, other} <= kin for kin in KIN) or name == other:
                continue
            path = tmp_path / f"a{suffixes[0]}"
            path.write_bytes(content)
            outcome = load(disk)(path.name)
            assert not is_successful(outcome), f"{name} was read as {other}"
            refused = outcome.failure()
            assert isinstance(refused, Corrupt)
            assert path.read_bytes() == content


def test_a_key_keeps_its_case(tmp_path: Path) -> None:
    content = next(samples("npy"))
    (tmp_path / "X.NPY").write_bytes(content)
    assert load(DiskConfig(root=tmp_path))("X.NPY").unwrap().key == "X.NPY"
