#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQLite databases on the mount, with WAL and rollback journals, also when the daemon is killed under them.

Case: mount 12.
"""
import os
import sqlite3
import subprocess
import sys
import textwrap
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from holdfs import *

WRITER = textwrap.dedent("""
    import sqlite3, sys
    db = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
    db.execute("pragma journal_mode=" + sys.argv[2])
    db.execute("pragma synchronous=full")
    db.execute("create table if not exists t (n integer primary key, who text, filler blob)")
    n = 0
    while n < int(sys.argv[4]):
        db.execute("begin immediate")
        for k in range(5):
            db.execute("insert into t (who, filler) values (?, randomblob(700))", (sys.argv[3],))
        db.execute("commit")
        n += 1
        print(n, flush=True)
""")


def writer(path, mode, who, rounds):
    return subprocess.Popen([sys.executable, "-c", WRITER, path, mode, who, str(rounds)], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True)


def sound(path):
    db = sqlite3.connect(path, timeout=20)
    same("ok", db.execute("pragma integrity_check").fetchone()[0], "integrity_check")
    counts = dict(db.execute("select who, count(*) from t group by who"))
    db.close()
    return counts


def acknowledged(process):
    lines = process.stdout.read().split()
    return int(lines[-1]) if lines else 0


def two_writers(store, b, mode):
    path = f"{b}/db"
    writers = [writer(path, mode, who, 30) for who in "xy"]
    done = {who: acknowledged(w) for who, w in zip("xy", writers)}
    same([0, 0], [w.wait() for w in writers], "exits of the writers")
    same({"x": 150, "y": 150}, sound(path), "rows")
    same({"x": 30, "y": 30}, done, "rounds")
    store.remount()
    same({"x": 150, "y": 150}, sound(path), "rows after a remount")
    db = sqlite3.connect(path)
    db.execute("delete from t where n % 2")
    db.commit()
    db.execute("vacuum")
    db.close()
    same({"x": 150, "y": 150}.keys(), sound(path).keys(), "rows after vacuum")


def killed(store, b, mode):
    path = f"{b}/db"
    for round_number in range(3):
        w = writer(path, mode, f"r{round_number}", 100_000)
        same("1", w.stdout.readline().strip(), "the first commit")
        time.sleep(0.7)
        store.kill()
        promised = max(acknowledged(w), 1)
        w.wait()
        store.mount()
        rows = sound(path).get(f"r{round_number}", 0)
        check(rows % 5 == 0, f"whole transactions only: {rows} rows")
        check(rows >= promised * 5, f"{promised} committed transactions are there: {rows} rows")


@case("mount 12")
def wal_with_two_processes(store, b):
    two_writers(store, b, "wal")


@case("mount 12")
def delete_journal_with_two_processes(store, b):
    two_writers(store, b, "delete")


@case("mount 12")
def wal_and_kill(store, b):
    killed(store, b, "wal")


@case("mount 12")
def delete_journal_and_kill(store, b):
    killed(store, b, "delete")


if __name__ == "__main__":
    main()
