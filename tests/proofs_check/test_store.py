"""The evidence store: append-only, two writers, nothing acknowledged is lost when a process is killed."""

from __future__ import annotations

import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from mdps.errors import ModelError
from proofs_check.store import Store

WRITER = """
import sys
from proofs_check.store import Store
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = Store(path)
for k in range(count):
    store.put(f"{name}-{k}", name, "statement", {"k": k})
    print(k, flush=True)
"""


def writer(path, name, count):
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, str(count)], stdout=subprocess.PIPE, text=True)


def test_get_gives_the_newest_payload_and_history_gives_all(tmp_path):
    with Store(tmp_path / "deep" / "evidence.sqlite") as store:
        assert store.get("k") is None
        store.put("k", "claim", "statement", {"verdict": "supported", "tightness": 0.5})
        store.put("other", "claim", "derived", {"verdict": "proved"})
        store.put("k", "claim", "statement", {"verdict": "certified", "tightness": None})
        assert store.get("k") == {"verdict": "certified", "tightness": None}
        assert [(r["key"], r["payload"]["verdict"]) for r in store.history("claim")] == [("k", "supported"), ("other", "proved"), ("k", "certified")]
        assert store.history("unknown") == []
    with Store(store.path) as again:
        assert len(again) == 3


def test_payloads_keep_floats_to_the_last_bit_and_numpy_becomes_lists(tmp_path):
    np = pytest.importorskip("numpy")
    store = Store(tmp_path / "e.sqlite")
    store.put("k", "c", "f", {"x": 0.1 + 0.2, "array": np.arange(3.0), "number": np.int64(4), "infinite": float("inf")})
    assert store.get("k") == {"x": 0.1 + 0.2, "array": [0.0, 1.0, 2.0], "number": 4, "infinite": None}


@pytest.mark.parametrize("sql", ["update record set payload = '{}'", "delete from record", "insert or replace into record select * from record"])
def test_nothing_is_changed_or_deleted(tmp_path, sql):
    store = Store(tmp_path / "e.sqlite")
    store.put("k", "c", "f", {"a": 1})
    store.close()
    connection = sqlite3.connect(store.path)
    with pytest.raises(sqlite3.DatabaseError, match="append-only"):
        connection.execute(sql)
    connection.close()
    assert store.get("k") == {"a": 1}


def test_two_writers_lose_nothing(tmp_path):
    path = tmp_path / "e.sqlite"
    both = [writer(path, name, 300) for name in ("one", "two")]
    for process in both:
        process.communicate()
        assert process.returncode == 0
    store = Store(path)
    for name in ("one", "two"):
        assert [r["payload"]["k"] for r in store.history(name)] == list(range(300))


def test_every_acknowledged_record_survives_kill_9(tmp_path):
    path = tmp_path / "e.sqlite"
    both = [writer(path, name, 10**9) for name in ("one", "two")]
    seen = {}
    for process in both:  # the printed numbers are the acknowledgements
        for _ in range(200):
            process.stdout.readline()
    for name, process in zip(("one", "two"), both, strict=True):
        os.kill(process.pid, signal.SIGKILL)
        seen[name] = 199 + len(process.stdout.read().splitlines())
        process.wait()
        process.stdout.close()
    store = Store(path)
    for name, last in seen.items():
        kept = [r["payload"]["k"] for r in store.history(name)]
        assert kept == list(range(len(kept)))
        assert len(kept) >= last  # the last line may have been cut while it was printed
    store.put("after", "c", "f", {})
    assert store.get("after") == {}
    connection = sqlite3.connect(path)
    assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    connection.close()


def test_threads_share_one_store(tmp_path):
    store = Store(tmp_path / "e.sqlite")
    threads = [threading.Thread(target=lambda j=j: [store.put(f"{j}-{k}", "c", "f", {}) for k in range(50)]) for j in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store) == 200


def test_a_store_crosses_processes_by_its_path(tmp_path):
    store = Store(tmp_path / "e.sqlite")
    store.put("k", "c", "f", {"a": 1})
    assert pickle.loads(pickle.dumps(store)).get("k") == {"a": 1}


def test_bad_places_are_named(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("this is a text file, long enough not to be taken for an empty database " * 20)
    with pytest.raises(ModelError, match=r"notes\.txt: it is no SQLite file; name another with --store"):
        Store(text)
    other = tmp_path / "other.sqlite"
    connection = sqlite3.connect(other)
    connection.execute("create table people (name text)")
    connection.commit()
    connection.close()
    with pytest.raises(ModelError, match="is no evidence store"):
        Store(other)
    with pytest.raises(ModelError, match="cannot open the evidence store"):
        Store(text / "below" / "e.sqlite")
    with pytest.raises(ModelError, match="cannot open the evidence store"):
        Store(tmp_path)
