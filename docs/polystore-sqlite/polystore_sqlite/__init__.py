"""A polystore store in one SQLite file, for every format: `save(SqliteConfig(path="plate.db"))`."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from typing import TypeVar

import polystore as ps
from attrs import frozen

T = TypeVar("T")
BEGIN = "CREATE TABLE IF NOT EXISTS file (key TEXT PRIMARY KEY, content BLOB); BEGIN IMMEDIATE"
BELOW = "key > ?1 || '/' AND key < ?1 || '0'"  # what is in a folder: "0" comes after "/"
MOVE = f"UPDATE OR REPLACE file SET key = ?2 || substr(key, length(?1) + 1) WHERE key = ?1 OR {BELOW}"
LIST = f"SELECT key FROM file WHERE ?1 = '' OR {BELOW}"
ANY = "WHEN EXISTS (SELECT 1 FROM file WHERE"
STATE = f"""SELECT CASE WHEN instr(?1, ?2 || '/') = 1 THEN 'in the folder to be moved'
    {ANY} key = ?1) THEN 'a file' {ANY} {BELOW}) THEN 'a folder'
    {ANY} substr(?1, 1, length(key) + 1) = key || '/') THEN 'below a file' ELSE 'nothing' END"""
ERRORS: dict[str, Callable[[str, None, str, str], ps.StorageError]] = {
    "a file": ps.AlreadyExists, "a folder": ps.NotAFile, "below a file": ps.NotADirectory,
    "nothing": ps.NotFound, "in the folder to be moved": ps.InvalidKey}

@frozen
class SqliteConfig(ps.Store[ps.Payload, ps.Payload]):
    """Files in the SQLite database at an absolute `path`, made at first use. Its own handle."""
    path: str

    def close(self, /) -> None: ...

def once(at: SqliteConfig, do: Callable[[sqlite3.Connection], T]) -> ps.Outcome[T]:
    """Do it in one step, on a connection of its own: in any thread, in any process."""
    def run() -> T:
        with closing(sqlite3.connect(at.path, timeout=60, isolation_level=None)) as db, db:
            db.executescript(BEGIN)
            return do(db)
    failed = ps.catch(sqlite3.Error, lambda it: ps.Unavailable("", at, f"{it}.", "See to the file."))
    return ps.guard(run, ps.catch(ps.StorageFailure, lambda it: it.error), failed)

def state(db: sqlite3.Connection, key: str, *allowed: str, moved: str = "/") -> str:
    """Give what there is under a key; raise the error of what is not among the allowed."""
    if (found := db.execute(STATE, (key, moved)).fetchone()[0]) in allowed:
        return str(found)
    raise ps.StorageFailure(ERRORS[found](key, None, f"{key!r} is {found}.", "Take another key."))

def write(db: sqlite3.Connection, key: str, if_exists: str, file: bool, sql: str, *row: object) -> bool:
    there = state(db, key, "nothing", "a file" * (file and if_exists != "fail"), moved=str(row[0]))
    return (there == "nothing" or if_exists == "replace") and bool(db.execute(sql, row))

def get(at: SqliteConfig, key: ps.Key, /) -> ps.Outcome[ps.Readable]:
    def read(db: sqlite3.Connection) -> ps.Readable:
        state(db, key, "a file")
        [(data,)] = db.execute("SELECT content FROM file WHERE key = ?", (key,))
        return ps.Readable(len(data), lambda at, to: BytesIO(data[at : at + len(to)]).readinto(to), lambda: None)
    return once(at, read)

def put(at: SqliteConfig, key: ps.Key, encoded: ps.Encoded, if_exists: ps.IfExists, /) -> ps.Outcome[bool]:
    row = "REPLACE INTO file VALUES (?, ?)", key, b"".join(encoded.buffers)
    return once(at, lambda db: write(db, key, if_exists, True, *row))

def stat(at: SqliteConfig, key: ps.Key, /) -> ps.Outcome[ps.Stat]:
    is_file = once(at, lambda db: state(db, key, "a file", "a folder") == "a file")
    return is_file.map(lambda it: ps.Stat("file" if it else "folder", None, None))

def list_keys(at: SqliteConfig, folder: str, /) -> Iterator[ps.Outcome[ps.Page]]:
    yield once(at, lambda db: tuple(it[0] for it in db.execute(LIST, (folder,))))

def delete(at: SqliteConfig, key: ps.Key, /) -> ps.Outcome[None]:
    sql = "DELETE FROM file WHERE key = ?"
    return once(at, lambda db: db.execute(sql, (state(db, key, "a file") and key,))).map(lambda _: None)

def move(at: SqliteConfig, old: ps.Key, new: ps.Key, if_exists: ps.IfExists, /) -> ps.Outcome[bool]:
    def change(db: sqlite3.Connection) -> bool:
        file = state(db, old, "a file", "a folder") == "a file"
        return old == new or write(db, new, if_exists, file, MOVE, old, new)
    return once(at, change)

STORE = ps.ByteStore(name="sqlite", config=SqliteConfig, reach=ps.Reach.MACHINE, open=ps.Success,
    close=SqliteConfig.close, get=get, put=put, stat=stat, list=list_keys, delete=delete, move=move)
