#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make bench` runs: the same work on a plain directory, on gocryptfs above it, and on holdfs above it.

The three take turns within each round, so that a slow minute of the machine hits all of them. A cold step follows an unmount,
dropped caches (as root) and a mount. The table has medians over the rounds, and what holdfs's is beside the others'.

  --size MIB        the large file (1024)       --files N      small files (10000)
  --rounds N        (3)                         --syncs N      appends, each with its fdatasync (500)
  --dir DIR         where (a new directory under /var/tmp)
  --short           a run of about three minutes: 256 MiB, 4000 files, 2 rounds
  --rows WORD,...   only the rows whose name has one of these words, and what they stand on
  --json FILE       the single results
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from holdfs import *

SMALL = 4096


class Plain:
    name = "plain"

    def __init__(self, base):
        self.root = os.path.join(base, "plain")
        os.mkdir(self.root)

    def mount(self):
        pass

    def umount(self):
        os.sync()

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)


class Gocryptfs:
    name = "gocryptfs"

    def __init__(self, base):
        self.cipher, self.root = os.path.join(base, "cipher"), os.path.join(base, "gocryptfs")
        self.secret = os.path.join(base, "gocryptfs-passphrase")
        os.mkdir(self.cipher)
        os.mkdir(self.root)
        with open(self.secret, "w") as f:
            f.write("secret\n")
        subprocess.run(["gocryptfs", "-q", "-init", "-scryptn", "10", "-passfile", self.secret, self.cipher], check=True,
                       stdout=subprocess.DEVNULL)

    def mount(self):
        subprocess.run(["gocryptfs", "-q", "-nosyslog", "-passfile", self.secret, self.cipher, self.root], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def umount(self):
        subprocess.run(["fusermount3", "-u", self.root], check=True)
        os.sync()

    def remove(self):
        subprocess.run(["fusermount3", "-uz", self.root], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.cipher, ignore_errors=True)


class Holdfs:
    name = "holdfs"

    def __init__(self, base):
        directory = os.path.join(base, "holdfs")
        os.mkdir(directory)
        self.store = Store(base=directory)
        self.root = os.path.join(self.store.mnt, "bench")

    def mount(self):
        self.store.mount()
        if not os.path.isdir(self.root):
            os.mkdir(self.root)

    def umount(self):
        self.store.umount()
        os.sync()

    def remove(self):
        self.store.remove()
        shutil.rmtree(self.store.scratch, ignore_errors=True)


class Bench:
    """Steps in order; each gives a rate (higher is better) or milliseconds (lower is better)."""

    def __init__(self, fs, load, options):
        self.fs, self.load, self.size, self.files = fs, load, options.size << 20, options.files
        self.large, self.small, self.log = (os.path.join(fs.root, n) for n in ("large", "small", "log"))
        self.rows, self.syncs = options.rows, options.syncs
        self.results = {}

    def work(self, *words):
        done = subprocess.run([self.load, *map(str, words)], capture_output=True, text=True)
        if done.returncode:
            raise Broken(f"{self.fs.name}: {' '.join(map(str, words))}: {done.stderr.strip()}")
        return float(done.stdout)

    def cold(self):
        self.fs.umount()
        drop_caches()
        self.fs.mount()

    def wants(self, *steps):
        return not self.rows or any(row in step for step in steps for row in self.rows)

    def step(self, name, unit, work, cold=False, needed_for=()):
        """Runs it if it is wanted, or what a later one that is wanted stands on."""
        if not self.wants(name, *needed_for):
            return
        if cold:
            self.cold()
        value = work()
        if self.wants(name):
            self.results[name] = (unit, value)

    def copy(self):
        begun = time.monotonic()
        subprocess.run(["cp", "--reflink=auto", self.large, self.large + ".copy"], check=True)
        return 1000 * (time.monotonic() - begun)

    def large_file(self):
        mib, reads = self.size / (1 << 20), min(self.size // 4096 // 4, 20_000)
        few, large, size, block = max(reads // 10, 100), self.large, self.size, 1 << 20
        others = ("sequential read, cold", "sequential read, warm", "random 4 KiB read, warm", "random 4 KiB read, cold",
                  "random 4 KiB write, fsync", "edit 10 bytes, fsync", "copy of the large file")
        self.step("sequential write, fsync", "MiB/s", lambda: mib / self.work("seq-write", large, size, block), needed_for=others)
        self.step(others[0], "MiB/s", lambda: mib / self.work("seq-read", large, size, block), cold=True, needed_for=others[1:3])
        self.step(others[1], "MiB/s", lambda: mib / self.work("seq-read", large, size, block))
        self.step(others[2], "/s", lambda: reads / self.work("random-read", large, size, 4096, reads))
        self.step(others[3], "/s", lambda: few / self.work("random-read", large, size, 4096, few), cold=True)
        self.step(others[4], "/s", lambda: reads / self.work("random-write", large, size, 4096, reads))
        self.step(others[5], "ms", lambda: 1000 * self.work("edit", large, size // 2, 10))
        self.step(others[6], "ms", self.copy)

    def appends(self):
        self.step("append 4 KiB + fdatasync", "/s", lambda: self.syncs / self.work("append-sync", self.log, self.syncs, 4096))

    def small_files(self):
        n, small = self.files, self.small
        others = ("stat, cold", "stat, warm", "read 4 KiB files, cold", "read 4 KiB files, warm", "rename", "unlink")
        self.step("create 4 KiB files", "/s", lambda: n / self.work("create", small, n, SMALL), needed_for=others)
        self.step(others[0], "/s", lambda: n / self.work("stat", small, n), cold=True, needed_for=others[1:2])
        self.step(others[1], "/s", lambda: n / self.work("stat", small, n))
        self.step(others[2], "/s", lambda: n / self.work("read", small, n, SMALL), cold=True, needed_for=others[3:])
        self.step(others[3], "/s", lambda: n / self.work("read", small, n, SMALL), needed_for=others[4:])
        self.step(others[4], "/s", lambda: n / self.work("rename", small, n), needed_for=others[5:])
        self.step(others[5], "/s", lambda: n / self.work("unlink", small, n))

    def clean(self):
        for path in (self.large, self.large + ".copy", self.log):
            if os.path.exists(path):
                os.unlink(path)
        shutil.rmtree(self.small, ignore_errors=True)

    def run(self):
        self.fs.mount()
        self.large_file()
        self.appends()
        self.small_files()
        self.clean()
        self.fs.umount()
        return self.results


def table(results, names):
    """results: fs -> step -> (unit, [values])."""
    others = [n for n in names if n != "holdfs"]
    print(f"{'':28s}" + "".join(f"{n:>14s}" for n in names) + "".join(f"{'/ ' + n:>13s}" for n in others))
    for step, (unit, mine) in results["holdfs"].items():
        medians = {n: statistics.median(results[n][step][1]) for n in names}
        line = f"{step + ', ' + unit:28s}" if len(step) < 20 else f"{step:28s}"
        line += "".join(f"{medians[n]:>14,.1f}" if medians[n] < 100 else f"{medians[n]:>14,.0f}" for n in names)
        for other in others:
            ratio = medians["holdfs"] / medians[other] if unit != "ms" else medians[other] / medians["holdfs"]
            line += f"{ratio:>12.2f}x"
        print(line)
    print("Ratios: above 1 holdfs is faster. Rates a second, MiB/s where sequential, ms for edit and copy.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", default="/var/tmp")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--syncs", type=int, default=500)
    parser.add_argument("--rows", type=lambda words: words.split(","), default=[])
    parser.add_argument("--json")
    parser.add_argument("--fsload", default=os.path.join(os.path.dirname(find_binary()), "tests/bench/fsload"))
    options = parser.parse_args()
    if options.short:
        options.size, options.files, options.rounds = 256, 4000, 2
    kinds = [Plain, Holdfs]
    if shutil.which("gocryptfs"):
        kinds.insert(1, Gocryptfs)
    else:
        print("gocryptfs is not installed; its column is left out")
    if os.geteuid() != 0:
        print("not root: caches of the filesystem below are not dropped, cold steps are cold for the mounts alone")
    results = {k.name: {} for k in kinds}
    for round_number in range(options.rounds):
        for kind in kinds[round_number % len(kinds):] + kinds[:round_number % len(kinds)]:
            base = tempfile.mkdtemp(prefix="holdfs-bench.", dir=options.dir)
            fs = kind(base)
            try:
                for step, (unit, value) in Bench(fs, options.fsload, options).run().items():
                    results[kind.name].setdefault(step, (unit, []))[1].append(value)
            finally:
                fs.remove()
                shutil.rmtree(base, ignore_errors=True)
            print(f"round {round_number + 1} of {options.rounds}: {kind.name} done", flush=True)
    table(results, [k.name for k in kinds])
    if options.json:
        with open(options.json, "w") as f:
            json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
