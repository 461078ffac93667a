#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make bench` runs: the same work on a plain directory, on gocryptfs above it, and on holdfs above it.

The three take turns within each round, so that a slow minute of the machine hits all of them. A cold step follows an unmount,
dropped caches (as root) and a mount. The table has medians over the rounds, and what holdfs's is beside the others'.

  --size MIB        the large file (1024)       --files N      small files (10000)
  --rounds N        (3)                         --dir DIR      where (a new directory under /var/tmp)
  --short           a run of about three minutes: 256 MiB, 4000 files, 2 rounds
  --only WORD       steps whose name has it     --json FILE    the single results
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
        self.only = options.only
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

    def gives(self, step, unit, value):
        if not self.only or self.only in step:
            self.results[step] = (unit, value)

    def large_file(self):
        mib, reads = self.size / (1 << 20), min(self.size // 4096 // 4, 20_000)
        self.gives("sequential write, fsync", "MiB/s", mib / self.work("seq-write", self.large, self.size, 1 << 20))
        self.cold()
        self.gives("sequential read, cold", "MiB/s", mib / self.work("seq-read", self.large, self.size, 1 << 20))
        self.gives("sequential read, warm", "MiB/s", mib / self.work("seq-read", self.large, self.size, 1 << 20))
        self.gives("random 4 KiB read, warm", "/s", reads / self.work("random-read", self.large, self.size, 4096, reads))
        self.cold()
        few = max(reads // 10, 100)
        self.gives("random 4 KiB read, cold", "/s", few / self.work("random-read", self.large, self.size, 4096, few))
        self.gives("random 4 KiB write, fsync", "/s", reads / self.work("random-write", self.large, self.size, 4096, reads))
        self.gives("edit 10 bytes, fsync", "ms", 1000 * self.work("edit", self.large, self.size // 2, 10))
        begun = time.monotonic()
        subprocess.run(["cp", "--reflink=auto", self.large, self.large + ".copy"], check=True)
        self.gives("copy of the large file", "ms", 1000 * (time.monotonic() - begun))

    def appends(self):
        self.gives("append 4 KiB + fdatasync", "/s", 500 / self.work("append-sync", self.log, 500, 4096))

    def small_files(self):
        n = self.files
        self.gives("create 4 KiB files", "/s", n / self.work("create", self.small, n, SMALL))
        self.cold()
        self.gives("stat, cold", "/s", n / self.work("stat", self.small, n))
        self.gives("stat, warm", "/s", n / self.work("stat", self.small, n))
        self.cold()
        self.gives("read 4 KiB files, cold", "/s", n / self.work("read", self.small, n, SMALL))
        self.gives("read 4 KiB files, warm", "/s", n / self.work("read", self.small, n, SMALL))
        self.gives("rename", "/s", n / self.work("rename", self.small, n))
        self.gives("unlink", "/s", n / self.work("unlink", self.small, n))

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
    parser.add_argument("--only")
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
