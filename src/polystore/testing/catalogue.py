"""Every law, and which of them a record is held to."""

from __future__ import annotations

from polystore.backends.bytestore import backend_of
from polystore.core.records import Backend, ByteStore, Codec
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
from polystore.testing.stores.processes import PROCESS_LAWS

__all__ = ["CODEC_LAWS", "EVERY_LAW", "FRAMEWORK_LAWS", "STORE_LAWS", "law_named", "laws_for"]


STORE_LAWS: tuple[Law, ...] = (
    *CONTENT_LAWS,
    *NAMING_LAWS,
    *ADDRESS_LAWS,
    *MACHINE_LAWS,
    *FAILING_LAWS,
    *BESIDE_LAWS,
    *LOCK_LAWS,
    *MOVE_LAWS,
    *LINK_LAWS,
    *PROCESS_LAWS,
    *BYTE_LAWS,
    *CAPABILITY_LAWS,
)
"""Laws of stores, of items and of bytes."""

EVERY_LAW: tuple[Law, ...] = (*STORE_LAWS, *CODEC_LAWS, *FRAMEWORK_LAWS)
"""All of them."""


def laws_for(record: Record) -> tuple[Law, ...]:
    """Give the laws that a record is held to: those of its kind whose needs it has.

    >>> from polystore.formats.text import TEXT_CODEC
    >>> any(law.name == "a store holds something" for law in laws_for(TEXT_CODEC))
    False
    """
    fields: object = backend_of(record) if isinstance(record, ByteStore) else record
    match record:
        case ByteStore() | Backend():
            laws = STORE_LAWS
        case Codec():
            laws = CODEC_LAWS
        case _:
            laws = FRAMEWORK_LAWS
    return tuple(
        law
        for law in laws
        if all(getattr(fields, need, None) is not None for need in law.needs) and law.fits(record)
    )


def law_named(name: str) -> Law:
    """Give a law by its name; `KeyError` if there is none.

    >>> law_named("a store holds something").needs
    ('save', 'load')
    """
    found = {law.name: law for law in EVERY_LAW}
    return found[name]
