"""The laws of file formats: what is encoded is decoded, and no bytes do any harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from hypothesis import strategies as st

from polystore.core.records import Codec
from polystore.core.registry import Record
from polystore.testing.arrays import every_dtype
from polystore.testing.codecs.beside import decodes_beside_another
from polystore.testing.codecs.damage import FOREIGN, damaged_files
from polystore.testing.codecs.examples import (
    array_items,
    documents,
    items,
    large_items,
    mappings,
    region_lists,
    tables,
    texts,
)
from polystore.testing.codecs.files import is_saved_and_loaded, takes_its_own_options_only
from polystore.testing.codecs.hostile import (
    allocates_little,
    ends_or_refuses,
    foreign_ends_or_refuses,
    keeps_to_the_limit,
    leaves_the_source_open,
    meets_a_short_file,
    opens_or_refuses,
    passes_on_an_oserror,
    says_nothing,
)
from polystore.testing.codecs.regions import (
    is_specified_as_decoded,
    keeps_to_the_limit_in_a_region,
    opens_without_reading_all,
    reads_the_region,
    refuses_no_region,
)
from polystore.testing.codecs.trips import (
    comes_back,
    encodes_alike,
    every_dtype_comes_back,
    every_layout_comes_back,
    holds_something,
    is_found_by_suffix,
    keeps_or_names_metadata,
    names_its_suffixes,
    options_are_values,
    owns_what_it_decodes,
    tells_its_size,
)
from polystore.testing.expect import expect
from polystore.testing.law import Law, Make

__all__ = ["CODEC_LAWS"]

E = TypeVar("E")


def _law(
    name: str,
    examples: st.SearchStrategy[E],
    holds: Callable[[Codec[object], E], None],
    needs: tuple[str, ...] = (),
    share: float = 1.0,
) -> Law:
    def trial(record: Record, _make: Make, example: object, /) -> None:
        expect(isinstance(record, Codec), f"{record!r} is no codec")
        holds(cast("Codec[object]", record), cast("E", example))

    return Law(name, ("format", "encode", "decode", *needs), examples, trial, share)


def _on_files(
    holds: Callable[[Codec[object], E], None],
) -> Callable[[Codec[object], E], None]:
    """Give a law that breaks where the codec writes no file of `SIMPLE`: it would try nothing."""

    def tried(codec: Codec[object], example: E) -> None:
        holds_something(codec, None)
        holds(codec, example)

    return tried


_CUTS = st.tuples(damaged_files(), st.integers(-16, 16) | st.integers(0, 4096))
_PLACES = st.tuples(st.integers(0, 99), st.integers(0, 12))
_BOUNDS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=6, max_size=6)
_REGIONS = st.tuples(array_items(), _BOUNDS.map(tuple))

CODEC_LAWS: tuple[Law, ...] = (
    _law("an encoded array is decoded with the same bits, or refused", array_items(), comes_back),
    _law(
        "every dtype that is encoded is decoded with the same bits, or refused",
        every_dtype(),
        every_dtype_comes_back,
        share=0.1,
    ),
    _law(
        "every memory layout that is encoded is decoded with the same bits, or refused",
        st.integers(0, 2**32 - 1),
        every_layout_comes_back,
        share=0.02,
    ),
    _law(
        "encoded arrays by names are decoded the same, or refused",
        mappings(),
        comes_back,
        share=0.4,
    ),
    _law("an encoded table is decoded the same, or refused", tables(), comes_back, share=0.4),
    _law("encoded JSON is decoded the same, or refused", documents(), comes_back, share=0.4),
    _law("encoded text is decoded the same, or refused", texts(), comes_back, share=0.4),
    _law("encoded regions are decoded the same, or refused", region_lists(), comes_back, share=0.4),
    _law(
        "a large array that is encoded is decoded the same, or refused",
        large_items(),
        comes_back,
        share=0.1,
    ),
    _law("a format holds something", st.none(), holds_something),
    _law(
        "encode gives the same bytes again, and leaves the item as it was",
        items(),
        _on_files(encodes_alike),
        share=0.6,
    ),
    _law("nbytes is the sum of the buffers", items(), _on_files(tells_its_size), share=0.3),
    _law(
        "what is decoded is writable memory of its own",
        items(),
        _on_files(owns_what_it_decodes),
        share=0.4,
    ),
    _law(
        "metadata is decoded the same, or named as dropped",
        items(),
        _on_files(keeps_or_names_metadata),
    ),
    _law(
        "damaged bytes are decoded or refused, and decode ends",
        damaged_files(),
        _on_files(ends_or_refuses),
    ),
    _law(
        "foreign bytes are decoded or refused, and decode ends",
        st.sampled_from(FOREIGN),
        foreign_ends_or_refuses,
        share=0.5,
    ),
    _law(
        "decode allocates little, whatever the bytes claim",
        damaged_files() | st.sampled_from(FOREIGN),
        _on_files(allocates_little),
        share=0.6,
    ),
    _law(
        "decode prints, logs and warns nothing",
        damaged_files() | st.sampled_from(FOREIGN),
        _on_files(says_nothing),
        share=0.6,
    ),
    _law(
        "what takes more than max_bytes is TooLarge",
        items(),
        _on_files(keeps_to_the_limit),
        share=0.3,
    ),
    _law(
        "an OSError of the source is raised, and not taken for damage",
        _PLACES,
        _on_files(passes_on_an_oserror),
        share=0.5,
    ),
    _law(
        "a file that ends while it is read is refused, or nothing of it is missing",
        _CUTS,
        _on_files(meets_a_short_file),
        share=0.6,
    ),
    _law(
        "files that are decoded at once are what each is alone",
        _PLACES,
        _on_files(decodes_beside_another),
        share=0.2,
    ),
    _law("decode leaves the source open", items(), _on_files(leaves_the_source_open), share=0.2),
    _law("a format's suffixes are lower-case and begin with a dot", st.none(), names_its_suffixes),
    _law("a registry finds a format by its suffixes", st.none(), is_found_by_suffix),
    _law(
        "options are values: equal to their copy, hashable, pickled", st.none(), options_are_values
    ),
    _law(
        "a store of files saves and loads the format by its suffix",
        items(),
        _on_files(is_saved_and_loaded),
        share=0.2,
    ),
    _law(
        "a store of files refuses options of another class",
        items(),
        takes_its_own_options_only,
        share=0.1,
    ),
    _law("a region that is read is the slice of the whole", _REGIONS, reads_the_region, ("open",)),
    _law(
        "a lazy array has the shape, dtype and metadata of the decoded one",
        items(),
        _on_files(is_specified_as_decoded),
        ("open",),
        share=0.5,
    ),
    _law(
        "a region that takes more than max_bytes is TooLarge",
        items(),
        _on_files(keeps_to_the_limit_in_a_region),
        ("open",),
        share=0.3,
    ),
    _law(
        "opening a large file reads little of it",
        large_items(),
        opens_without_reading_all,
        ("open",),
        share=0.1,
    ),
    _law(
        "what is no region is refused", items(), _on_files(refuses_no_region), ("open",), share=0.5
    ),
    _law(
        "damaged bytes are opened and read, or refused",
        damaged_files(),
        _on_files(opens_or_refuses),
        ("open",),
    ),
)
"""The laws of a `Codec`."""
