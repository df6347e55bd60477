"""Evidence in one SQLite file that only grows: a killed run resumes, an unchanged claim is not verified again.

A record is (key, claim, form, payload).  The key is a digest of everything that the evidence depends on (the claim's statement, form,
budget, seed, sources); who asks with the same key gets the newest payload back.  Nothing is ever changed or deleted: triggers abort both,
so the history of a claim is complete and an older verdict can be compared with today's.

Each record is one transaction (`begin immediate`, write-ahead log, `synchronous=NORMAL`): what `put` has returned for survives a killed
process (not a power cut), and several processes may write at once.  The file belongs on a local disk; network drives break its locks.
"""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import sqlite3
import threading
from typing import Any

from mdps.errors import ModelError
from proofs_check.files import plain

DEFAULT_PATH = pathlib.Path("runs") / "evidence.sqlite"
WAIT_SECONDS = 60.0
"""How long a writer waits for another one: a record takes well under a millisecond, so this is met only when a process was stopped."""
_SCHEMA_VERSION = 1
_SCHEMA = """
create table if not exists record (
    id integer primary key autoincrement,
    key text not null, claim text not null, form text not null, payload text not null, written text not null);
create index if not exists record_key on record (key, id);
create index if not exists record_claim on record (claim, id);
create trigger if not exists record_keeps before update on record begin select raise(abort, 'evidence is append-only'); end;
create trigger if not exists record_stays before delete on record begin select raise(abort, 'evidence is append-only'); end;
create trigger if not exists record_new before insert on record when exists (select 1 from record where id = new.id)
    begin select raise(abort, 'evidence is append-only'); end;
"""


class Store:
    """Append-only evidence in the SQLite file `path` (made with its folder if missing); threads of one process may share it.

    raises  ModelError: the file cannot be opened or written, or is no evidence store
    """

    def __init__(self, path: str | os.PathLike[str] = DEFAULT_PATH) -> None:
        self.path = pathlib.Path(path)
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._process = 0
        self._open()

    def get(self, key: str) -> dict[str, Any] | None:
        """The newest payload stored under `key`, or None."""
        rows = self._run("select payload from record where key = ? order by id desc limit 1", (key,))
        return json.loads(rows[0][0]) if rows else None

    def put(self, key: str, claim: str, form: str, payload: dict[str, Any]) -> None:
        """Appends one record; when this returns, the record survives the end of the process."""
        text = json.dumps(plain(payload), ensure_ascii=False, allow_nan=False)
        written = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        self._run("insert into record (key, claim, form, payload, written) values (?, ?, ?, ?, ?)", (key, claim, form, text, written), write=True)

    def history(self, claim: str) -> list[dict[str, Any]]:
        """All records of `claim`, oldest first: key, form, written (UTC, ISO 8601), payload."""
        rows = self._run("select key, form, written, payload from record where claim = ? order by id", (claim,))
        return [{"key": key, "form": form, "written": written, "payload": json.loads(text)} for key, form, written, text in rows]

    def __len__(self) -> int:
        return int(self._run("select count(*) from record")[0][0])

    def close(self) -> None:
        """Ends the connection; a later call opens it again."""
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        if getattr(self, "_lock", None) is not None:
            self.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def _open(self) -> sqlite3.Connection:
        """The connection of this process: SQLite's must not be carried across a fork."""
        if self._connection is not None and self._process == os.getpid():
            return self._connection
        connection = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False)
            version = connection.execute("pragma user_version").fetchone()[0]
            tables = {row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")}
            if version > _SCHEMA_VERSION or (tables and "record" not in tables):
                connection.close()
                raise ModelError(f"{self.path} is no evidence store of this version; name another file with --store")
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            if version < _SCHEMA_VERSION:
                connection.executescript(f"begin immediate; {_SCHEMA} pragma user_version = {_SCHEMA_VERSION}; commit;")
        except (sqlite3.Error, OSError) as error:
            if connection is not None:
                connection.close()
            raise ModelError(f"cannot open the evidence store {self.path}: {_reason(error)}") from error
        self._connection, self._process = connection, os.getpid()
        return connection

    def _run(self, sql: str, values: tuple[Any, ...] = (), write: bool = False) -> list[Any]:
        with self._lock:
            connection = self._open()
            try:
                if not write:
                    return connection.execute(sql, values).fetchall()
                connection.execute("begin immediate")
                try:
                    connection.execute(sql, values)
                    connection.execute("commit")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("rollback")
                    raise
                return []
            except sqlite3.Error as error:
                raise ModelError(f"the evidence store {self.path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    hints = {
        "file is not a database": "it is no SQLite file; name another with --store",
        "database is locked": "another process keeps it locked; end that process or name another file with --store",
    }
    text = getattr(error, "strerror", None) or str(error)
    return hints.get(text, text)
