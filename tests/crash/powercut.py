#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a power cut may leave of the store's files, at random moments under load: each such state mounts and keeps its promises.

The daemon runs with a library that records what it writes (record.c); replay.py builds states from the record. In each:
what was acknowledged by fsync is there, every file is old or new and never a mixture, what was locked is locked, fsck and
scrub find nothing.

Cases: retention 16, 43*; encryption 18*; mount 4 under power loss. HOLDFS_TEST_CUTS sets the number of states (50),
HOLDFS_TEST_SEED the seed; HOLDFS_TEST_CUT runs a single one, and keeps its directory.
"""
import os
import random
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import replay
from workload import *

CUTS = int(os.environ.get("HOLDFS_TEST_CUTS", 50))
ONLY = os.environ.get("HOLDFS_TEST_CUT")
SEED = int(os.environ.get("HOLDFS_TEST_SEED", random.randrange(1 << 30)))
WRITERS = 3
STEPS = int(os.environ.get("HOLDFS_TEST_STEPS", 120))


def recorder():
    here = os.path.dirname(os.path.abspath(__file__))
    for path in (os.path.join(os.path.dirname(find_binary()), "tests/crash/record.so"), os.path.join(here, "record.so")):
        if os.path.exists(path):
            return os.path.realpath(path)
    skip("no tests/crash/record.so: make check builds it")


class PowerCut:
    def __init__(self, mount_options):
        self.options = mount_options
        self.store = Store()
        self.log = os.path.join(self.store.scratch, "record")
        self.snapshot = os.path.join(self.store.scratch, "snapshot")
        self.notes = [os.path.join(self.store.scratch, f"notes{n}") for n in range(WRITERS)]

    def record(self):
        """One run under load, from a mount on a clean store to kill -9."""
        store = self.store
        store.mount(self.options)
        b = store.bucket("power")
        put(b, "bucket.object-lock", "Enabled")
        for n in range(WRITERS):
            os.mkdir(f"{b}/w{n}")
        store.umount()
        shutil.copytree(store.dir, self.snapshot)
        library = recorder()
        store.mount(env={"LD_PRELOAD": replay.preload(library), "HOLDFS_RECORD_DIR": os.path.realpath(store.dir), "HOLDFS_RECORD_LOG": self.log})
        begun = os.path.getsize(self.log)
        pids = [run_writer(f"{b}/w{n}", self.notes[n], SEED, n, STEPS, record=self.log, locks=True) for n in range(WRITERS)]
        ended_well(*pids)
        store.kill()
        return begun

    def try_state(self, number, at, directory):
        """Mounts one state and looks."""
        store = self.store
        recorded, store.dir = store.dir, directory
        try:
            store.mount("")
            b = os.path.join(store.mnt, "power")
            for n in range(WRITERS):
                verify(f"{b}/w{n}", Expected(self.notes[n], SEED, n, "power", at))
            store.run("scrub", directory)
            write(f"{b}/after", b"goes on")
            same(b"goes on", read(f"{b}/after"), "writing goes on")
            store.kill()
            store.run("fsck", directory, secret=True)
        finally:
            if store.daemon:
                store.kill()
            store.dir = recorded


def run(name, options):
    p = PowerCut(options)
    begun = p.record()
    all_records = list(replay.records(p.log))
    ends = [r[0] for r in all_records]
    chance = random.Random(SEED)
    candidates = [e for e in ends if e >= begun] or ends
    cuts = sorted(chance.choices(candidates, k=CUTS))
    print(f"     seed {SEED} (HOLDFS_TEST_SEED), {len(all_records)} records, {ends[-1] >> 10} KiB; {CUTS} cuts (HOLDFS_TEST_CUTS)")
    tree, next_record, failed = replay.Tree(p.snapshot), 0, 0
    for number, at in enumerate(cuts):
        while next_record < len(all_records) and all_records[next_record][0] <= at:
            tree.take(*all_records[next_record][1:])
            next_record += 1
        if ONLY is not None and int(ONLY) != number:
            continue
        directory = os.path.join(p.store.scratch, f"state{number}")
        tree.leave(directory, random.Random(f"{SEED}/{number}"))
        try:
            p.try_state(number, at, directory)
        except Exception as e:
            failed += 1
            print(f"FAIL {name}, cut {number} of seed {SEED} at {at}: {type(e).__name__}: {e}\n{p.store.log_tail(5)}", flush=True)
            if failed >= 5:
                break
        if ONLY is None:
            shutil.rmtree(directory)
        else:
            print("     kept:", directory)
            os.environ["HOLDFS_TEST_KEEP"] = "1"
    if not failed:
        print(f"ok   {name}: {CUTS} states", flush=True)
    p.store.remove()
    return failed


if __name__ == "__main__":
    guard(120 + CUTS * 20)
    sys.exit(1 if run("what fsync acknowledged outlives a power cut", "") else 0)
