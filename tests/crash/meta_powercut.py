#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a power cut may leave of the metadata's files alone: each such state opens, is sound, and holds what was synced.

Like powercut.py, without a mount, so that many more states are tried. HOLDFS_TEST_CUTS sets their number (150), HOLDFS_TEST_SEED
the seed; HOLDFS_TEST_CUT runs a single one, and keeps its directory.
"""
import os
import random
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import replay

CUTS = int(os.environ.get("HOLDFS_TEST_CUTS", 150))
ONLY = os.environ.get("HOLDFS_TEST_CUT")
SEED = int(os.environ.get("HOLDFS_TEST_SEED", random.randrange(1 << 30)))
SLOW = int(os.environ.get("HOLDFS_TEST_SLOW", 1))
TRANSACTIONS = 700
BUILD = os.path.join(os.path.dirname(os.path.realpath(os.environ.get("HOLDFS", "./holdfs"))), "tests/crash")


def record(scratch):
    """One run under load; the snapshot before it, its record, and [(record bytes, transaction synced)]."""
    store, snapshot, log, notes = (os.path.join(scratch, n) for n in ("store", "snapshot", "record", "notes"))
    os.mkdir(store, 0o700)
    subprocess.run([f"{BUILD}/meta_writer", "make", store], check=True)
    shutil.copytree(store, snapshot)
    env = dict(os.environ, LD_PRELOAD=replay.preload(f"{BUILD}/record.so"), HOLDFS_RECORD_DIR=os.path.realpath(store), HOLDFS_RECORD_LOG=log)
    subprocess.run([f"{BUILD}/meta_writer", "write", store, notes, str(TRANSACTIONS)], check=True, env=env, timeout=120 * SLOW)
    with open(notes) as f:
        return snapshot, log, [tuple(map(int, line.split())) for line in f]


def run(scratch):
    snapshot, log, synced = record(scratch)
    records = list(replay.records(log))
    chance = random.Random(SEED)
    cuts = sorted(chance.choices([r[0] for r in records], k=CUTS))
    print(f"     seed {SEED} (HOLDFS_TEST_SEED), {len(records)} records; {CUTS} cuts (HOLDFS_TEST_CUTS)")
    tree, next_record, failed = replay.Tree(snapshot), 0, 0
    for number, at in enumerate(cuts):
        while next_record < len(records) and records[next_record][0] <= at:
            tree.take(*records[next_record][1:])
            next_record += 1
        if ONLY is not None and int(ONLY) != number:
            continue
        state = os.path.join(scratch, f"state{number}")
        tree.leave(state, random.Random(f"{SEED}/{number}"))
        need = max([n for bytes_, n in synced if bytes_ <= at], default=0)
        done = subprocess.run([f"{BUILD}/meta_writer", "verify", state, str(need)], capture_output=True, text=True, timeout=60 * SLOW)
        if done.returncode != 0:
            failed += 1
            print(f"FAIL cut {number} of seed {SEED} at {at}, synced {need}:\n{done.stdout}{done.stderr}", flush=True)
        if ONLY is None:
            shutil.rmtree(state)
        else:
            print("     kept:", state)
    if not failed:
        print(f"ok   {CUTS} states, {synced[-1][1]} transactions", flush=True)
    return failed


if __name__ == "__main__":
    if not os.path.exists(f"{BUILD}/record.so"):
        print("no tests/crash/record.so: make check builds it")
        sys.exit(77)
    where = tempfile.mkdtemp(prefix="holdfs-meta-")
    try:
        sys.exit(1 if run(where) else 0)
    finally:
        if ONLY is None:
            shutil.rmtree(where)
