#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers for the crash tests, and the check of what must be there after a crash.

A writer works in a directory of its own and notes, in a file outside the mount, each operation before it begins and after it
was answered. Every content has a number, and follows from the seed and that number, so that a file's bytes tell which
content they are; a mixture is none. run_writer() is one process; verify() reads the notes and the tree.

A state is {name: content number}. After the death of the daemon a name must have its state after the last answered operation
that touched it, or after the one that was under way. After a power cut it may have any state since the last answered
operation that made it durable.
"""
import errno
import functools
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from holdfs import *

SIZES = (0, 1, 100, 3000, 4096, 20_000, 65_536, 65_537, 200_000, 400_000)


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


class Contents:
    """Content number -> bytes. A recipe is [] (made anew), ["patch", parent, at] or ["append", parent, count]."""

    def __init__(self, seed, recipes=None):
        self.seed = seed
        self.recipes = recipes or {}
        self.bytes = functools.lru_cache(maxsize=40)(self.make)

    def make(self, number):
        recipe = self.recipes[number]
        r = random.Random(f"{self.seed}/{number}")
        if not recipe:
            return b"content %d\n" % number + r.randbytes(r.choice(SIZES))
        parent = self.bytes(recipe[1])
        if recipe[0] == "patch":
            at = min(recipe[2], len(parent))
            patch = b"<patch %d>" % number + r.randbytes(r.choice((10, 1000, 70_000)))
            return parent[:at] + patch + parent[at + len(patch):]
        return parent + b"".join(b"line %d of %d %s\n" % (n, number, b"x" * r.randrange(80)) for n in range(recipe[2]))

    def change_of(self, number):
        """(offset, bytes) that turn the parent's content into this one."""
        recipe, parent = self.recipes[number], self.bytes(self.recipes[number][1])
        whole = self.bytes(number)
        at = min(recipe[2], len(parent)) if recipe[0] == "patch" else len(parent)
        if recipe[0] == "append":
            return at, whole[at:]
        r = random.Random(f"{self.seed}/{number}")
        return at, b"<patch %d>" % number + r.randbytes(r.choice((10, 1000, 70_000)))


class Writer:
    def __init__(self, directory, notes, seed, number, record=None, locks=False):
        self.directory, self.number, self.record, self.locks = directory, number, record, locks
        self.notes = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.random = random.Random(f"{seed}/{number}")
        self.contents = Contents(f"{seed}/{number}")
        self.state = {}
        self.next = 1
        self.log_fd = None

    def note(self, kind, **facts):
        if self.record:
            facts["at"] = os.stat(self.record).st_size
        os.write(self.notes, json.dumps([kind, facts]).encode() + b"\n")

    def path(self, name):
        return os.path.join(self.directory, name)

    def new(self, recipe=()):
        number = self.next
        self.next += 1
        self.contents.recipes[number] = list(recipe)
        return number

    def does(self, what, change, act, durable=()):
        """One operation: `change` is {name: number or None}; `durable` names what its answer makes durable."""
        recipes = {n: self.contents.recipes[n] for n in change.values() if n is not None}
        self.note("begin", what=what, change=change, recipes=recipes)
        facts = act() or {}
        self.state.update(change)
        self.state = {k: v for k, v in self.state.items() if v is not None}
        self.note("done", durable=list(durable), **facts)

    def name(self):
        return f"f{self.random.randrange(25)}"

    def some(self):
        plain = sorted(n for n in self.state if n.startswith("f"))
        return self.random.choice(plain) if plain else None

    # ---- operations ----

    def save(self):
        """Create or replace, sometimes with fsync."""
        name, number, sync = self.name(), self.new(), self.random.random() < 0.3

        def act():
            fd = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                write_all(fd, self.contents.bytes(number))
                if sync:
                    os.fsync(fd)
            finally:
                os.close(fd)
        self.does("save", {name: number}, act, [name] if sync else [])

    def safe_save(self):
        """Temporary name, fsync, rename, fsync of the directory."""
        name, number = self.name(), self.new()
        temporary = f"t{self.next}"

        def make():
            fd = os.open(self.path(temporary), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            try:
                write_all(fd, self.contents.bytes(number))
                os.fsync(fd)
            finally:
                os.close(fd)

        def move():
            os.rename(self.path(temporary), self.path(name))
        self.does("make temporary", {temporary: number}, make, [temporary])
        self.does("move it", {temporary: None, name: number}, move)
        self.sync_directory()

    def sync_directory(self):
        def act():
            fd = os.open(self.directory, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        self.does("fsync directory", {}, act, ["/"])

    def patch(self):
        name = self.some()
        if not name:
            return
        number = self.new(["patch", self.state[name], self.random.randrange(300_000)])
        sync = self.random.random() < 0.4

        def act():
            at, data = self.contents.change_of(number)
            fd = os.open(self.path(name), os.O_WRONLY)
            try:
                os.pwrite(fd, data, at)
                if sync:
                    os.fdatasync(fd)
            finally:
                os.close(fd)
        self.does("patch", {name: number}, act, [name] if sync else [])

    def append(self):
        """A log held open: lines, then fdatasync; now and then closed."""
        if self.log_fd is None:
            if "log" not in self.state:
                number = self.new()

                def make():
                    write(self.path("log"), self.contents.bytes(number))
                self.does("make log", {"log": number}, make)
            self.log_fd = os.open(self.path("log"), os.O_WRONLY | os.O_APPEND)
        number = self.new(["append", self.state["log"], self.random.randrange(1, 20)])
        # a chain of appends is remade from its start each time: begin a new log before it grows long
        restart = self.random.random() < 0.1

        def act():
            _, data = self.contents.change_of(number)
            write_all(self.log_fd, data)
            os.fdatasync(self.log_fd)
            if restart:
                os.close(self.log_fd)
                self.log_fd = None
        self.does("append", {"log": number}, act, ["log"])
        if restart:
            fresh = self.new()
            self.does("new log", {"log": fresh}, lambda: write(self.path("log"), self.contents.bytes(fresh)))

    def unlink(self):
        name = self.some()
        if name:
            self.does("unlink", {name: None}, lambda: os.unlink(self.path(name)))
            if self.random.random() < 0.3:
                self.sync_directory()

    def rename(self):
        name, to = self.some(), self.name()
        if name and name != to:
            self.does("rename", {name: None, to: self.state[name]}, lambda: os.rename(self.path(name), self.path(to)))

    def mkdir(self):
        name = f"d{self.random.randrange(8)}"
        if name in self.state:
            self.does("rmdir", {name: None}, lambda: os.rmdir(self.path(name)))
        else:
            number = self.new()
            self.does("mkdir", {name: number}, lambda: os.mkdir(self.path(name)))

    def pair(self):
        """Two names of one inode always change together."""
        number = self.new()

        def make():
            write(self.path("p1"), self.contents.bytes(number))
        if "p1" not in self.state:
            self.does("make pair", {"p1": number}, make)
            self.does("link pair", {"p1": number, "p2": number}, lambda: os.link(self.path("p1"), self.path("p2")))
        elif "p2" not in self.state:
            self.does("link pair", {"p2": self.state["p1"]}, lambda: os.link(self.path("p1"), self.path("p2")))
        else:
            self.does("write pair", {"p1": number, "p2": number}, make)

    def lock(self):
        """A version that is locked must be there, locked, with its content."""
        if not self.locks:
            return
        name, number = f"l{self.next}", self.new()

        def act():
            write(self.path(name), self.contents.bytes(number))
            put(self.path(name), "retention", "GOVERNANCE +1d")
            return {"locked": [name, get(self.path(name), "version-id"), number]}
        self.does("lock", {name: number}, act, [name])

    def step(self):
        acts = [self.save] * 6 + [self.safe_save] * 4 + [self.patch] * 4 + [self.append] * 4 + [self.rename] * 2 + \
            [self.unlink, self.mkdir, self.pair, self.pair, self.lock]
        self.random.choice(acts)()


def run_writer(directory, notes, seed, number, steps=1 << 60, **kwargs):
    """In a child process: works until the mount fails or the steps are done. Returns the pid."""
    def work():
        try:
            w = Writer(directory, notes, seed, number, **kwargs)
            for _ in range(steps):
                w.step()
        except OSError as e:
            if e.errno not in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ENOENT, errno.EBADF):
                raise
    return child(work)


class Expected:
    """What a writer's notes allow, up to a place in the record (None: all of it)."""

    def __init__(self, notes, seed, number, level, at=None):
        self.contents = Contents(f"{seed}/{number}")
        self.allowed = {}  # name -> contents it may have, None: not there
        self.locked = []
        self.synced_numbers = set()
        current, pending = {}, None
        with open(notes) as f:
            lines = f.read().split("\n")
        for line in lines[:-1]:
            kind, facts = json.loads(line)
            if at is not None and facts["at"] > at:
                # begun when the record was already longer: it had no effect before the cut
                if kind == "begin":
                    break
                continue
            if kind == "begin":
                pending = facts
                for n, recipe in facts["recipes"].items():
                    self.contents.recipes.setdefault(int(n), recipe)
                for name, value in facts["change"].items():
                    self.allowed.setdefault(name, [None]).append(value)
                current.update(facts["change"])
            else:
                if "locked" in facts:
                    self.locked.append(facts["locked"])
                for name in (pending["change"] if level == "kill" else facts["durable"]):
                    if name == "/":
                        self.directory_synced(current)
                    else:
                        self.allowed[name] = [current.get(name)]
                        self.synced_numbers.add(current.get(name))

    def directory_synced(self, current):
        """Names that are gone stay gone; a name stands whose content had been made durable."""
        for name, values in self.allowed.items():
            value = current.get(name)
            if value is None or value in self.synced_numbers or name.startswith("d"):
                self.allowed[name] = [value]


def which(path, contents, candidates):
    """The content number of a file among the candidates, or "mixture"."""
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            return next((c for c in candidates if c is not None), "a directory")
        data = read(path)
    except FileNotFoundError:
        return None
    for c in candidates:
        if c is not None and contents.bytes(c) == data:
            return c
    return f"none of them ({len(data)} bytes, {data[:40]!r}...)"


def verify(directory, expected):
    """Raises Broken where the tree is not what it must be; returns the state found."""
    found = {}
    for name, values in sorted(expected.allowed.items()):
        got = which(os.path.join(directory, name), expected.contents, values)
        check(got in values, f"{directory}/{name}: allowed contents {values[-8:]}, found {got}")
        if got is not None:
            found[name] = got
    extra = set(os.listdir(directory)) - set(found)
    same(set(), extra, f"{directory}: no name that was never made")
    if "p1" in found and "p2" in found:
        one, two = (os.path.join(directory, p) for p in ("p1", "p2"))
        same(found["p1"], found["p2"], "two names of one inode have one content")
        same(os.stat(one).st_ino, os.stat(two).st_ino, "and one inode")
    for name, ident, number in expected.locked:
        path = os.path.join(directory, ".versions", name, ident)
        same(expected.contents.bytes(number), read(path), f"content of the locked version of {name}")
        check(get(path, "retention").startswith("GOVERNANCE"), f"{name} is still locked")
        refuses("EPERM", os.unlink, path)
    return found
