"""A polystore store in one SQLite file, for every format: `save(SqliteConfig(path="plate.db"))`."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection, Error, connect
from typing import TypeVar

import polystore as ps
from attrs import field, frozen

T = TypeVar("T")
BEGIN = "CREATE TABLE IF NOT EXISTS file (key TEXT PRIMARY KEY, content BLOB); BEGIN IMMEDIATE"
BELOW = "key > ?1 || '/' AND key < ?1 || '0'"  # what is in a folder: "0" comes after "/"
MOVE = f"UPDATE OR REPLACE file SET key = ?2 || substr(key, length(?1) + 1) WHERE key = ?1 OR {BELOW}"
STATE = f"""SELECT CASE WHEN instr(?1, ?2 || '/') = 1 THEN 'in the folder to be moved'
    WHEN ?1 IN (SELECT key FROM file) THEN 'a file' WHEN EXISTS (SELECT 1 FROM file WHERE {BELOW}) THEN 'a folder'
    WHEN EXISTS (SELECT 1 FROM file WHERE instr(?1, key || '/') = 1) THEN 'below a file' ELSE 'nothing' END"""
ERRORS: dict[str, Callable[[str, None, str, str], ps.StorageError]] = {
    "a file": ps.AlreadyExists, "a folder": ps.NotAFile, "below a file": ps.NotADirectory,
    "nothing": ps.NotFound, "in the folder to be moved": ps.InvalidKey}

def absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())

@frozen
class SqliteConfig(ps.Store[ps.Payload, ps.Payload]):
    """Files in the SQLite database at a `path`, kept absolute; the first save makes it. Its own handle."""
    path: str = field(converter=absolute)

def once(at: SqliteConfig, do: Callable[[Connection], T], mode: str = "rw") -> ps.Outcome[T]:
    def run() -> T:  # in one step, on a connection of its own: in any thread, in any process
        with closing(connect(f"{Path(at.path).as_uri()}?mode={mode}", uri=True, timeout=60)) as db, db:
            db.executescript(BEGIN)
            return do(db)
    there = Path(at.path).exists()  # asked first: another writer may make it meanwhile
    failed = ps.catch(Error, lambda it: (ps.Unavailable if there or "unable to open" not in str(it) else ps.NotFound)(
        "", at, f"The file {at.path!r}: {it}.", "Check the path; a save makes the file, not its folder."))
    return ps.guard(run, ps.catch(ps.StorageFailure, lambda it: it.error), failed)

def state(db: Connection, key: str, *allowed: str, moved: str = "/") -> str:  # what is there, or the error of it
    if (found := db.execute(STATE, (key, moved)).fetchone()[0]) in allowed:
        return str(found)
    kind = ps.AlreadyExists if found == "a folder" and moved not in ("/", key) else ERRORS[found]
    raise ps.StorageFailure(kind(key, None, f"{key!r} is {found}.", "Take another key."))

def write(db: Connection, key: str, if_exists: str, file: bool, sql: str, *row: object) -> bool:
    there = state(db, key, "nothing", "a file" * (file and if_exists != "fail"), moved=str(row[0]))
    return (there == "nothing" or if_exists == "replace") and bool(db.execute(sql, row))

def get(at: SqliteConfig, key: ps.Key, /) -> ps.Outcome[ps.Readable]:
    def read(db: Connection) -> ps.Readable:
        [(data,)] = db.execute("SELECT content FROM file WHERE key = ?", (state(db, key, "a file") and key,))
        return ps.readable_of(data)
    return once(at, read)

def put(at: SqliteConfig, key: ps.Key, encoded: ps.Encoded, if_exists: ps.IfExists, /) -> ps.Outcome[bool]:
    row = "REPLACE INTO file VALUES (?, ?)", key, b"".join(encoded.buffers)
    return once(at, lambda db: write(db, key, if_exists, True, *row), mode="rwc")

def stat(at: SqliteConfig, key: ps.Key, /) -> ps.Outcome[ps.Stat]:
    found = once(at, lambda db: state(db, key, "a file", "a folder"))
    return found.map(lambda it: ps.Stat("file" if it == "a file" else "folder", None, None))

def list_keys(at: SqliteConfig, folder: str, /) -> Iterator[ps.Outcome[ps.Page]]:
    sql = f"SELECT key FROM file WHERE {BELOW}" if folder else "SELECT key FROM file"
    yield once(at, lambda db: tuple(it[0] for it in db.execute(sql, (folder,) * bool(folder))))

def delete(at: SqliteConfig, key: ps.Key, /) -> ps.Outcome[None]:
    sql = "DELETE FROM file WHERE key = ?"
    return once(at, lambda db: db.execute(sql, (state(db, key, "a file") and key,))).map(lambda _: None)

def move(at: SqliteConfig, old: ps.Key, new: ps.Key, if_exists: ps.IfExists, /) -> ps.Outcome[bool]:
    def change(db: Connection) -> bool:
        file = state(db, old, "a file", "a folder") == "a file"
        return old == new or write(db, new, if_exists, file, MOVE, old, new)
    return once(at, change)

STORE = ps.ByteStore(name="sqlite", config=SqliteConfig, reach=ps.Reach.MACHINE, open=ps.Success,
    close=lambda _: None, get=get, put=put, stat=stat, list=list_keys, delete=delete, move=move)
