#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon is killed under load, again and again: what was answered is there, whole, after the next mount.

Cases: mount 4; logs 41; retention 16, 22, 43*, 62, A 25*; encryption 14*, 18*. HOLDFS_TEST_KILLS sets how often (30), HOLDFS_TEST_SEED the seed.
"""
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from workload import *

KILLS = int(os.environ.get("HOLDFS_TEST_KILLS", 30))
SEED = int(os.environ.get("HOLDFS_TEST_SEED", random.randrange(1 << 30)))
WRITERS = 3


@case("mount 4")
def what_was_answered_is_there_after_each_kill(store, b):
    print(f"     seed {SEED} (HOLDFS_TEST_SEED), {KILLS} kills (HOLDFS_TEST_KILLS)")
    put(b, "bucket.object-lock", "Enabled")
    when = random.Random(SEED)
    answered = 0
    for round_number in range(KILLS):
        directories, notes, pids = [], [], []
        for n in range(WRITERS):
            d = f"{b}/r{round_number}-w{n}"
            os.mkdir(d)
            directories.append(d)
            notes.append(f"{store.scratch}/notes-{round_number}-{n}")
            pids.append(run_writer(d, notes[-1], f"{SEED}/{round_number}", n, locks=True))
        time.sleep(when.uniform(0.05, 1.2))
        store.kill()
        ended_well(*pids)
        store.mount()
        store.run("audit", "verify", store.mnt)  # logs 41: unbroken, to the last signed head and beyond
        for n in range(WRITERS):
            expected = Expected(notes[n], f"{SEED}/{round_number}", n, "kill")
            with open(notes[n]) as f:
                answered += sum(line.startswith('["done"') for line in f)
            try:
                verify(directories[n], expected)
            except Broken as e:
                raise Broken(f"round {round_number}, writer {n}: {e}") from None
    print(f"     {answered} operations were answered")
    check(answered > KILLS * 10, "enough was under way")
    done = store.run("scrub", store.dir)
    store.umount()
    store.run("fsck", store.dir, secret=True)
    check(done.returncode == 0, "scrub")
    store.mount()


if __name__ == "__main__":
    main(timeout=60 + KILLS * 15)
