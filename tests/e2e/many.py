#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many of a kind: a large directory listed while it is emptied, many versions of one file, their time travel.

Cases: mount 36, 38; retention 86. HOLDFS_TEST_FILES sets the number of files (100000).
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from holdfs import *

FILES = int(os.environ.get("HOLDFS_TEST_FILES", 100_000))
VERSIONS = int(os.environ.get("HOLDFS_TEST_VERSIONS", 10_000))


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


@case("mount 36")
def a_large_directory_is_listed_right_while_another_process_deletes(store, b):
    d = f"{b}/d"
    os.mkdir(d)
    names = [f"file-{n:06d}" for n in range(FILES)]
    begun = time.monotonic()
    fd = os.open(d, os.O_RDONLY)
    for n in names:
        os.close(os.open(n, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644, dir_fd=fd))
    os.close(fd)
    print(f"     {FILES} files made at {FILES / (time.monotonic() - begun):.0f}/s")
    store.remount()
    begun = time.monotonic()
    with os.scandir(d) as it:
        next(it)
    check(time.monotonic() - begun < 0.5, "the listing starts at once")
    begun = time.monotonic()
    same(names, sorted(os.listdir(d)), "the whole listing")
    print(f"     listed at {FILES / (time.monotonic() - begun):.0f}/s")
    doomed = set(names[1::2])
    child = os.fork()
    if child == 0:
        for n in doomed:
            os.unlink(f"{d}/{n}")
        os._exit(0)
    listings = 0
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        seen = os.listdir(d)
        same(len(set(seen)), len(seen), "no name twice")
        missing = set(names[0::2]) - set(seen)
        same(set(), missing, "no name that stays is missed")
        listings += 1
    same(names[0::2], sorted(os.listdir(d)), "the listing after it")
    print(f"     listed {listings} times meanwhile; the daemon holds {resident_mib(store.daemon.pid):.0f} MiB")


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
    count = max(FILES // 50, 100)
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
    check(past <= 2 * live + 0.005, f"live {live * 1e3:.1f} ms, past {past * 1e3:.1f} ms")


if __name__ == "__main__":
    main(timeout=240)
