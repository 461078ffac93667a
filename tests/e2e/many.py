#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many of a kind: a large directory listed while it is emptied, many versions of one file, their time travel.

Cases: mount 36, 38; retention 86. HOLDFS_TEST_FILES sets the number of files (100000), HOLDFS_TEST_PAST of those in the past (1000); a machine that makes them too slowly makes
as many as it can in HOLDFS_TEST_SECONDS (25), and says how many.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from holdfs import *

FILES = int(os.environ.get("HOLDFS_TEST_FILES", 100_000))
PAST = int(os.environ.get("HOLDFS_TEST_PAST", 1000))
SECONDS = float(os.environ.get("HOLDFS_TEST_SECONDS", 25))
VERSIONS = int(os.environ.get("HOLDFS_TEST_VERSIONS", 10_000))


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


@case("mount 36")
def a_large_directory_is_listed_right_while_another_process_deletes(store, b):
    d = f"{b}/d"
    os.mkdir(d)
    names = []
    begun = time.monotonic()
    fd = os.open(d, os.O_RDONLY)
    while len(names) < FILES and time.monotonic() - begun < SECONDS:
        names.append(f"file-{len(names):06d}")
        os.close(os.open(names[-1], os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644, dir_fd=fd))
    os.close(fd)
    print(f"     {len(names)} files made at {len(names) / (time.monotonic() - begun):.0f}/s")
    check(len(names) >= min(FILES, 10_000), "enough files to tell")
    store.remount()
    begun = time.monotonic()
    with os.scandir(d) as it:
        next(it)
    check(time.monotonic() - begun < 0.5 * SLOW, "the listing starts at once")
    begun = time.monotonic()
    same(names, sorted(os.listdir(d)), "the whole listing")
    print(f"     listed at {len(names) / (time.monotonic() - begun):.0f}/s")
    gone = f"{store.scratch}/gone"

    def delete_every_second():
        end, count = time.monotonic() + SECONDS / 2, 0
        for n in names[1::2]:
            if time.monotonic() > end:
                break
            os.unlink(f"{d}/{n}")
            count += 1
        write(gone, b"%d" % count)
    deleter, listings = child(delete_every_second), 0
    while not os.path.exists(gone):
        seen = os.listdir(d)
        same(len(set(seen)), len(seen), "no name twice")
        same(set(), set(names[0::2]) - set(seen), "no name that stays is missed")
        listings += 1
        if process_state(deleter) in (None, "Z"):
            break
    ended_well(deleter)
    deleted = set(names[1::2][:int(read(gone))])
    same([n for n in names if n not in deleted], sorted(os.listdir(d)), "the listing after it")
    print(f"     listed {listings} times while {len(deleted)} went; the daemon holds {resident_mib(store.daemon.pid):.0f} MiB")


@case("mount 38")
def many_versions_of_one_file(store, b):
    f = f"{b}/f"
    for n in range(VERSIONS):
        write(f, b"version %d" % n)
    store.remount()
    os.listdir(b)
    begun = time.monotonic()
    for _ in range(100):
        with open(f, "rb") as handle:
            os.fstat(handle.fileno())
    opened = (time.monotonic() - begun) / 100
    same(b"version %d" % (VERSIONS - 1), read(f), "the newest")
    begun = time.monotonic()
    names = os.listdir(f"{b}/.versions/f")
    listing = time.monotonic() - begun
    same(VERSIONS, len(names), "versions listed")
    same(sorted(names), names, "oldest first")
    begun = time.monotonic()
    same(b"version %d" % (VERSIONS // 2), read(f"{b}/.versions/f/{names[VERSIONS // 2]}"), "one in the middle")
    one = time.monotonic() - begun
    at = names[VERSIONS // 3].split("Z.")[0] + "Z"
    begun = time.monotonic()
    same(b"version %d" % (VERSIONS // 3), read(f"{b}/.at/{at}/f"), "by .at")
    travelled = time.monotonic() - begun
    write(f, b"one more")
    print(f"     open+stat {opened * 1e3:.2f} ms, listing {listing:.2f} s, one by name {one * 1e3:.1f} ms, by .at {travelled * 1e3:.1f} ms")
    check(opened < 0.01 and listing < 2 and one < 0.1 and travelled < 0.1, "open, stat and list stay fast")


@case("retention 86")
def a_listing_of_the_past_takes_at_most_twice_the_live_time(store, b):
    count = PAST
    for round_number in range(10):
        for n in range(count):
            write(f"{b}/f{n}", b"%d" % round_number)
    at = history(f"{b}/f{count - 1}")[4].name.split("Z.")[0] + "Z"

    def listing(path):
        best = 1e9
        for _ in range(3):
            store.remount()
            begun = time.monotonic()
            same(count, len(os.listdir(path)), "names")
            best = min(best, time.monotonic() - begun)
        return best
    live, past = listing(b), listing(f"{b}/.at/{at}")
    same(b"4", read(f"{b}/.at/{at}/f{count - 1}"), "content of then")
    print(f"     {count} names of ten versions: live {live * 1e3:.1f} ms, past {past * 1e3:.1f} ms")
    check(past <= 2 * live + 0.005, f"live {live * 1e3:.1f} ms, past {past * 1e3:.1f} ms")


if __name__ == "__main__":
    main(timeout=240)
