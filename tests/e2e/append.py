#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several processes on one file: O_APPEND without a lost line, flock, fcntl locks, O_EXCL.

Case: mount 6.
"""
import fcntl
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from holdfs import *


def children(count, function):
    ended_well(*[child(function, n) for n in range(count)])


@case("mount 6")
def two_processes_append_a_thousand_lines_each(store, b):
    path = f"{b}/log"

    def work(n):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for line in range(1000):
            os.write(fd, b"process %d line %04d %s\n" % (n, line, b"x" * (line % 60)))
        os.close(fd)
    children(2, work)
    lines = read(path).splitlines()
    same(2000, len(lines), "whole lines")
    for n in range(2):
        mine = [l for l in lines if l.startswith(b"process %d " % n)]
        same([b"process %d line %04d %s" % (n, k, b"x" * (k % 60)) for k in range(1000)], mine, f"lines of process {n}, in order")
    check(shape(path) in ("v", "vv"), "one version or two: " + shape(path))


@case("mount 6")
def appending_with_open_and_close_each_time(store, b):
    path = f"{b}/log"

    def work(n):
        for line in range(100):
            with open(path, "ab", buffering=0) as f:
                f.write(b"%d %03d\n" % (n, line))
    children(3, work)
    same(300, len(set(read(path).splitlines())), "whole lines")
    store.remount()
    same(300, len(set(read(path).splitlines())), "whole lines after a remount")


@case("mount 3")
def locks_exclude(store, b):
    path = f"{b}/counter"
    write(path, b"0")

    def bump(lock, unlock):
        for _ in range(100):
            with open(path, "r+b", buffering=0) as f:
                lock(f)
                value = int(os.pread(f.fileno(), 20, 0))
                os.pwrite(f.fileno(), b"%d" % (value + 1), 0)
                unlock(f)
    children(3, lambda n: bump(lambda f: fcntl.flock(f, fcntl.LOCK_EX), lambda f: fcntl.flock(f, fcntl.LOCK_UN)))
    same(b"300", read(path), "count under flock")
    children(3, lambda n: bump(lambda f: fcntl.lockf(f, fcntl.LOCK_EX), lambda f: fcntl.lockf(f, fcntl.LOCK_UN)))
    same(b"600", read(path), "count under fcntl locks")


@case("mount 3")
def o_excl_has_one_winner(store, b):
    def work(n):
        won = 0
        for k in range(50):
            try:
                os.close(os.open(f"{b}/excl-{k}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                won += 1
            except FileExistsError:
                pass
        write(f"{b}/won-{n}", b"%d" % won)
    children(4, work)
    same(50, sum(int(read(f"{b}/won-{n}")) for n in range(4)), "winners")


if __name__ == "__main__":
    main()
