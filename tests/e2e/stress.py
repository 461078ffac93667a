#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Eight processes at random on one tree; each keeps a model of its part, and all work on shared names; then a remount.

Case: mount 31. HOLDFS_TEST_STRESS sets the seconds (60), HOLDFS_TEST_SEED the seed.
"""
import errno
import hashlib
import os
import pickle
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from holdfs import *

SECONDS = float(os.environ.get("HOLDFS_TEST_STRESS", 60))
SEED = int(os.environ.get("HOLDFS_TEST_SEED", random.randrange(1 << 30)))
PROCESSES = 8


class Worker:
    """Works in a directory of its own and knows what must be there: path -> inode object with its content."""

    def __init__(self, root, shared, number):
        self.random = random.Random(SEED * 100 + number)
        self.root, self.shared = root, shared
        self.files = {}       # relative path -> [bytearray], shared by hard links
        self.dirs = {""}
        self.links = {}       # relative path -> target
        self.operations = 0

    def full(self, rel):
        return os.path.join(self.root, rel) if rel else self.root

    def taken(self, rel):
        return rel in self.files or rel in self.dirs or rel in self.links

    def new_name(self):
        return os.path.join(self.random.choice(sorted(self.dirs)), f"n{self.random.randrange(60)}")

    def some_file(self):
        return self.random.choice(sorted(self.files)) if self.files else None

    def data(self):
        size = self.random.choice((0, 1, 100, 4096, 5000, 65536, 70000, 200_000))
        return self.random.randbytes(size)

    def create(self):
        rel = self.new_name()
        if rel in self.dirs or rel in self.links:
            return
        data = self.data()
        write(self.full(rel), data)
        if rel in self.files:
            self.files[rel][0][:] = data
        else:
            self.files[rel] = [bytearray(data)]

    def overwrite(self):
        rel = self.some_file()
        if not rel:
            return
        content = self.files[rel][0]
        at, data = self.random.randrange(len(content) + 1000), self.data()[:20_000]
        fd = os.open(self.full(rel), os.O_RDWR)
        try:
            os.pwrite(fd, data, at)
            if data:
                if at > len(content):
                    content.extend(bytes(at - len(content)))
                content[at:at + len(data)] = data
            if self.random.random() < 0.2:
                os.fsync(fd)
            same(bytes(content), os.pread(fd, len(content) + 1, 0), f"{rel} through the writing handle")
        finally:
            os.close(fd)

    def append(self):
        rel = self.some_file()
        if rel:
            data = self.data()[:3000]
            write(self.full(rel), data, os.O_WRONLY | os.O_APPEND)
            self.files[rel][0].extend(data)

    def truncate(self):
        rel = self.some_file()
        if rel:
            content = self.files[rel][0]
            size = self.random.randrange(len(content) + 5000)
            os.truncate(self.full(rel), size)
            del content[size:]
            content.extend(bytes(size - len(content)))

    def rename(self):
        rel = self.some_file()
        to = self.new_name()
        if not rel or to in self.dirs or to in self.links:
            return
        os.rename(self.full(rel), self.full(to))
        if to in self.files and self.files[to] is self.files[rel]:
            return  # two names of one inode: rename(2) does nothing
        self.files[to] = self.files.pop(rel) if to != rel else self.files[rel]

    def link(self):
        rel, to = self.some_file(), self.new_name()
        if rel and not self.taken(to):
            os.link(self.full(rel), self.full(to))
            self.files[to] = self.files[rel]

    def symlink(self):
        to = self.new_name()
        if not self.taken(to):
            os.symlink(f"target-{to}", self.full(to))
            self.links[to] = f"target-{to}"

    def unlink(self):
        rel = self.some_file()
        if rel:
            os.unlink(self.full(rel))
            del self.files[rel]

    def mkdir(self):
        rel = self.new_name()
        if not self.taken(rel) and rel.count("/") < 4 and len(self.dirs) < 30:
            os.mkdir(self.full(rel))
            self.dirs.add(rel)

    def rmdir(self):
        rel = self.random.choice(sorted(self.dirs))
        if rel and not any(p.startswith(rel + "/") for p in (*self.files, *self.dirs, *self.links)):
            os.rmdir(self.full(rel))
            self.dirs.discard(rel)

    def rename_dir(self):
        rel = self.random.choice(sorted(self.dirs))
        to = self.new_name()
        if not rel or self.taken(to) or (to + "/").startswith(rel + "/"):
            return
        os.rename(self.full(rel), self.full(to))

        def moved(p):
            return to + p[len(rel):] if p == rel or p.startswith(rel + "/") else p
        self.dirs = {moved(p) for p in self.dirs}
        self.files = {moved(p): c for p, c in self.files.items()}
        self.links = {moved(p): t for p, t in self.links.items()}

    def verify_one(self):
        rel = self.some_file()
        if rel:
            same(hashlib.sha256(self.files[rel][0]).hexdigest(), hashlib.sha256(read(self.full(rel))).hexdigest(), f"content of {rel}")

    def list_one(self):
        rel = self.random.choice(sorted(self.dirs))
        want = sorted({p[len(rel) + 1 if rel else 0:].split("/")[0] for p in (*self.files, *self.dirs, *self.links)
                       if p != rel and (not rel or p.startswith(rel + "/"))} - {""})
        same(want, listed(self.full(rel)), f"listing of {rel or '.'}")

    def on_shared(self):
        """Names that all processes use: any outcome but a wrong errno or wrong bytes."""
        a, b = (f"{self.shared}/s{self.random.randrange(12)}" for _ in "ab")
        kind = self.random.randrange(7)
        try:
            if kind == 0:
                letter = bytes([65 + self.random.randrange(26)])
                write(a, letter * 10_000)
            elif kind == 1:
                os.rename(a, b)
            elif kind == 2:
                os.unlink(a)
            elif kind == 3:
                os.link(a, b)
            elif kind == 4:
                os.listdir(self.shared)
            elif kind == 5:
                read(a)
            else:
                os.truncate(a, 5000)
        except OSError as e:
            if e.errno not in (errno.ENOENT, errno.EEXIST, errno.ESTALE):
                raise

    def run(self, seconds):
        acts = [self.create] * 5 + [self.overwrite] * 4 + [self.append] * 3 + [self.truncate] * 2 + [self.rename] * 3 + \
            [self.link, self.symlink, self.unlink, self.unlink, self.mkdir, self.mkdir, self.rmdir, self.rename_dir] + \
            [self.verify_one] * 3 + [self.list_one, self.on_shared, self.on_shared, self.on_shared]
        end = time.monotonic() + seconds
        trail = []
        while time.monotonic() < end:
            act = self.random.choice(acts)
            trail.append(act.__name__)
            try:
                act()
            except Exception as e:
                raise Broken(f"operation {self.operations} ({' '.join(trail[-6:])}): {type(e).__name__}: {e}") from e
            self.operations += 1

    def verify_all(self):
        found = {}
        for directory, dirs, names in os.walk(self.root):
            for name in dirs + names:
                path = os.path.join(directory, name)
                found[os.path.relpath(path, self.root)] = path
        same(sorted({*self.files, *self.links, *(self.dirs - {""})}), sorted(found), "names in the tree")
        for rel, content in self.files.items():
            check(bytes(content[0]) == read(found[rel]), f"content of {rel}")
        for rel, target in self.links.items():
            same(target, os.readlink(found[rel]), f"target of {rel}")
        by_content = {}
        for rel, content in self.files.items():
            by_content.setdefault(id(content), set()).add(os.stat(found[rel]).st_ino)
        check(all(len(inos) == 1 for inos in by_content.values()), "hard links name one inode")
        numbers = [next(iter(inos)) for inos in by_content.values()]
        same(len(numbers), len(set(numbers)), "different files have different inodes")


@case("mount 31")
def eight_processes_at_random_then_a_remount(store, b):
    print(f"     seed {SEED} (HOLDFS_TEST_SEED), {SECONDS:.0f} s")
    os.mkdir(f"{b}/shared")
    def work(n):
        worker = Worker(f"{b}/p{n}", f"{b}/shared", n)
        worker.run(SECONDS)
        worker.verify_all()
        with open(f"{store.scratch}/model{n}", "wb") as f:
            pickle.dump(worker, f)

    for n in range(PROCESSES):
        os.mkdir(f"{b}/p{n}")
    ended_well(*[child(work, n) for n in range(PROCESSES)])
    workers = []
    for n in range(PROCESSES):
        with open(f"{store.scratch}/model{n}", "rb") as f:
            workers.append(pickle.load(f))
    print(f"     {sum(w.operations for w in workers)} operations")
    shared = {n: read(f"{b}/shared/{n}") for n in os.listdir(f"{b}/shared")}
    for name, content in shared.items():
        check(len(set(content[:5000])) <= 1, f"shared {name} is of one writer")
    store.remount()
    for n, worker in enumerate(workers):
        try:
            worker.verify_all()
        except Broken as e:
            raise Broken(f"process {n} after the remount: {e}") from None
    same(shared, {n: read(f"{b}/shared/{n}") for n in os.listdir(f"{b}/shared")}, "shared names after the remount")
    done = store.run("fsck", store.dir)
    check(done.returncode == 0, "fsck")


if __name__ == "__main__":
    main(timeout=SECONDS + 240)
