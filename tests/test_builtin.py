"""The built-in tables: each record is where its entry says, and is the one that it names."""

from __future__ import annotations

import pytest

from polystore.builtin import BUILTIN
from polystore.core.registry import FormatEntry, FrameworkEntry, StoreEntry


@pytest.mark.parametrize("entry", BUILTIN.stores, ids=lambda entry: entry.name)
def test_stores_are_where_they_should_be(entry: StoreEntry) -> None:
    record = entry.load().unwrap()
    assert (record.name, record.config) == (entry.name, entry.key)


@pytest.mark.parametrize("entry", BUILTIN.formats, ids=lambda entry: entry.name)
def test_formats_are_where_they_should_be(entry: FormatEntry) -> None:
    codec = entry.load().unwrap()
    assert (codec.format.name, codec.format) == (entry.name, entry.key)


@pytest.mark.parametrize("entry", BUILTIN.frameworks, ids=lambda entry: entry.name)
def test_frameworks_are_where_they_should_be(entry: FrameworkEntry) -> None:
    assert entry.load().unwrap().name == entry.name == entry.key
