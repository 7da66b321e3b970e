"""Every law, and which of them a record is held to."""

from __future__ import annotations

from difflib import get_close_matches

from polystore.backends.bytestore import backend_of
from polystore.core.records import Backend, ByteStore, Codec, Framework
from polystore.core.registry import Record
from polystore.testing.codecs import CODEC_LAWS
from polystore.testing.frameworks import FRAMEWORK_LAWS
from polystore.testing.law import Law
from polystore.testing.stores.addresses import ADDRESS_LAWS
from polystore.testing.stores.beside import BESIDE_LAWS
from polystore.testing.stores.capabilities import CAPABILITY_LAWS
from polystore.testing.stores.content import CONTENT_LAWS
from polystore.testing.stores.failing import FAILING_LAWS
from polystore.testing.stores.filebytes import BYTE_LAWS
from polystore.testing.stores.locks import LINK_LAWS, LOCK_LAWS, MOVE_LAWS
from polystore.testing.stores.machine import MACHINE_LAWS
from polystore.testing.stores.naming import NAMING_LAWS
from polystore.testing.stores.pages import PAGE_LAWS
from polystore.testing.stores.parts import PART_LAWS
from polystore.testing.stores.processes import PROCESS_LAWS

__all__ = ["CODEC_LAWS", "EVERY_LAW", "FRAMEWORK_LAWS", "STORE_LAWS", "law_named", "laws_for"]


STORE_LAWS: tuple[Law, ...] = (
    *PAGE_LAWS,
    *CONTENT_LAWS,
    *NAMING_LAWS,
    *ADDRESS_LAWS,
    *MACHINE_LAWS,
    *FAILING_LAWS,
    *BESIDE_LAWS,
    *LOCK_LAWS,
    *MOVE_LAWS,
    *LINK_LAWS,
    *PART_LAWS,
    *PROCESS_LAWS,
    *BYTE_LAWS,
    *CAPABILITY_LAWS,
)
"""Laws of stores, of items and of bytes."""

EVERY_LAW: tuple[Law, ...] = (*STORE_LAWS, *CODEC_LAWS, *FRAMEWORK_LAWS)
"""All of them."""


def laws_for(record: Record) -> tuple[Law, ...]:
    """Give the laws that a record is held to: those of its kind whose needs it has.

    `TypeError` for what is no record: a config, or the type of one.

    >>> from polystore.formats.text import TEXT_CODEC
    >>> any(law.name == "a store holds something" for law in laws_for(TEXT_CODEC))
    False
    """
    _expect_record(record)
    fields: object = backend_of(record) if isinstance(record, ByteStore) else record
    match record:
        case ByteStore() | Backend():
            laws = STORE_LAWS
        case Codec():
            laws = CODEC_LAWS
        case Framework():
            laws = FRAMEWORK_LAWS
    return tuple(
        law
        for law in laws
        if all(getattr(fields, need, None) is not None for need in law.needs) and law.fits(record)
    )


def _expect_record(found: object) -> None:
    if not isinstance(found, (Backend, ByteStore, Codec, Framework)):
        what = (
            f"the type {found.__name__}" if isinstance(found, type) else f"a {type(found).__name__}"
        )
        raise TypeError(
            "laws_for wants a record (a Backend, a ByteStore, a Codec or a Framework), and was "
            f"given {what}"
        )


def law_named(name: str) -> Law:
    """Give a law by its name; `KeyError` if there is none, with the name that is most like it.

    >>> law_named("a store holds something").needs
    ('save', 'load')
    """
    found = {law.name: law for law in EVERY_LAW}
    if name not in found:
        alike = get_close_matches(name, found, 1)
        told = f" Did you mean {alike[0]!r}?" if alike else " See EVERY_LAW for those there are."
        raise KeyError(f"No law is named {name!r}.{told}")
    return found[name]
