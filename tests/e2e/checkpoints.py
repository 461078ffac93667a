#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the daemon keeps a copy of its metadata: soon after the first opening, a day after the last, an hour after it when much was
written; two of them; none where nothing changed. The clock is the test's.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from holdfs import *
from testclock import Clock

clock = Clock()


def kept(store):
    try:
        return sorted(n for n in os.listdir(f"{store.dir}/checkpoints") if n != "new")
    except FileNotFoundError:
        return []


def comes(store, before, sentence):
    check(within(30, lambda: kept(store) != before), sentence)
    return kept(store)


def stays(store, before, sentence):
    """While the worker, who looks each second, has looked a few times."""
    check(not within(4, lambda: kept(store) != before), sentence)


@case("encryption 2.2")
def a_checkpoint_is_kept_when_it_is_due(store, b):
    same([], kept(store), "a new store has none")
    write(f"{b}/f", b"content")
    clock.passes(130)
    first = comes(store, [], "the first comes two minutes after opening")
    for n in range(30):
        write(f"{b}/f{n}", b"little")
    clock.passes(3700)
    stays(store, first, "none an hour later, when little was written")
    clock.passes(86400)
    second = comes(store, first, "one the day after")
    same(2, len(second), "two are kept")
    for n in range(2500):
        os.setxattr(f"{b}/f", "user.n", b"%d" % n)
    stays(store, second, "none at once after many changes")
    clock.passes(3700)
    third = comes(store, second, "one an hour after many changes")
    check(within(10, lambda: len(kept(store)) == 2), "two are kept")
    same(second[1], sorted(kept(store))[0], "the newer ones")
    store.run("key", "rotate-page", store.mnt)
    check(within(30, lambda: len(kept(store)) == 1 and kept(store)[0] > third[-1]), "a new page key: earlier ones go, one is made at once")


if __name__ == "__main__":
    main("--test-store", env={"HOLDFS_TEST_CLOCK": clock.path})
