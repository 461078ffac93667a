# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds what a power cut may leave of a directory, from the log that record.c wrote.

What a completed fsync or fdatasync covers is there. Of the rest each write is, by chance, there, lost, or torn at sectors of
512 or pages of 4096 bytes, independently of its neighbours, so that later ones may be there without earlier ones. Names
(create, rename, unlink, link, mkdir) are journaled in order: of those not covered by an fsync of their directory, some last
ones are undone. A rename is never half done.
"""
import os
import stat
import struct

HEAD = struct.Struct("<IiQQII")
OPEN, CLOSE, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, RENAME, UNLINK, MKDIR, RMDIR, LINK, ALLOCATE, UNKNOWN = range(1, 14)
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE = 1, 2, 16


def preload(recorder):
    """The value of LD_PRELOAD for a recorded process: a sanitizer's library wants to be the first."""
    runtime = os.environ.get("HOLDFS_SANITIZED", "static")
    return recorder if runtime == "static" else f"{runtime} {recorder}"


def records(log):
    """(end offset in the log, kind, fd, a, b, bytes1, bytes2), one by one."""
    with open(log, "rb") as f:
        data = f.read()
    at = 0
    while at + HEAD.size <= len(data):
        kind, fd, a, b, len1, len2 = HEAD.unpack_from(data, at)
        at += HEAD.size
        if at + len1 + len2 > len(data):
            return
        one, two = data[at:at + len1], data[at + len1:at + len1 + len2]
        at += len1 + len2
        yield at, kind, fd, a, b, one, two


class File:
    def __init__(self, data=b"", mode=0o600):
        self.durable = bytearray(data)
        self.pending = []  # (number, "write", offset, data) or (number, "size", size) or (number, "zero", offset, length)
        self.mode = mode

    def covered(self, number):
        """A sync that began at record `number` has ended."""
        done = [p for p in self.pending if p[0] < number]
        self.pending = [p for p in self.pending if p[0] >= number]
        for p in done:
            apply(self.durable, p)

    def crashed(self, chance):
        data = bytearray(self.durable)
        lost = chance.random()  # how much of this file's pending work is lost, as a whole
        for p in self.pending:
            fate = chance.random()
            if fate < lost * 0.6:
                continue
            if fate < lost and p[1] == "write":
                unit = chance.choice((512, 4096))
                apply_torn(data, p, unit, chance)
            else:
                apply(data, p)
        return data


def apply(data, p):
    if p[1] == "size":
        del data[p[2]:]
        data.extend(bytes(p[2] - len(data)))
    elif p[1] == "zero":
        end = min(p[2] + p[3], len(data))
        if end > p[2]:
            data[p[2]:end] = bytes(end - p[2])
    else:
        if p[2] > len(data):
            data.extend(bytes(p[2] - len(data)))
        data[p[2]:p[2] + len(p[3])] = p[3]


def apply_torn(data, p, unit, chance):
    """Each sector (of the file, not of the write) is written or not; mostly a torn end, sometimes single ones."""
    offset, new = p[2], p[3]
    borders = list(range(offset - offset % unit, offset + len(new), unit))
    if chance.random() < 0.5:
        kept = set(borders[:chance.randrange(len(borders) + 1)])
    else:
        kept = {b for b in borders if chance.random() < 0.5}
    for border in borders:
        begin, end = max(border, offset), min(border + unit, offset + len(new))
        if border in kept:
            apply(data, (0, "write", begin, new[begin - offset:end - offset]))


class Names:
    """One directory: its durable entries and the changes since, each (number, [(name, object or None)...])."""

    def __init__(self):
        self.durable = {}
        self.pending = []

    def now(self):
        entries = dict(self.durable)
        for _, changes in self.pending:
            put(entries, changes)
        return entries

    def covered(self, number):
        for n, changes in self.pending:
            if n < number:
                put(self.durable, changes)
        self.pending = [p for p in self.pending if p[0] >= number]

    def crashed(self, chance):
        entries = dict(self.durable)
        keep = chance.choice((0, len(self.pending), chance.randrange(len(self.pending) + 1)))
        for _, changes in self.pending[:keep]:
            put(entries, changes)
        return entries


def put(entries, changes):
    for name, what in changes:
        if what is None:
            entries.pop(name, None)
        else:
            entries[name] = what


class Tree:
    """The directory's state while the log is read."""

    def __init__(self, snapshot):
        self.root = load(snapshot)
        self.fds = {}
        self.number = 0
        self.syncs = {}

    def walk(self, path):
        """(directory, last name) of a path below the root."""
        parts = [p for p in path.split("/") if p and p != "."]
        at = self.root
        for part in parts[:-1]:
            at = at.now()[part]
        return at, parts[-1] if parts else None

    def take(self, kind, fd, a, b, one, two):
        self.number += 1
        n = self.number
        if kind == UNKNOWN:
            raise RuntimeError(f"the daemon changed its store in a way the recorder does not know: {one!r}")
        if kind == OPEN:
            directory, name = self.walk(one.decode())
            what = directory.now().get(name) if name else self.root
            if what is None:
                what = File()
                directory.pending.append((n, [(name, what)]))
            elif a & os.O_TRUNC and isinstance(what, File):
                what.pending.append((n, "size", 0))
            self.fds[fd] = what
        elif kind == CLOSE:
            self.fds.pop(fd, None)
        elif kind == WRITE:
            self.fds[fd].pending.append((n, "write", a, one))
        elif kind == TRUNCATE:
            self.fds[fd].pending.append((n, "size", a))
        elif kind == ALLOCATE:
            offset, length = struct.unpack("<QQ", one)
            if a & (FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE):
                self.fds[fd].pending.append((n, "zero", offset, length))
            elif not a & FALLOC_KEEP_SIZE:
                size = len(self.fds[fd].durable)
                for p in self.fds[fd].pending:
                    size = p[2] if p[1] == "size" else max(size, p[2] + len(p[3])) if p[1] == "write" else size
                if offset + length > size:
                    self.fds[fd].pending.append((n, "size", offset + length))
        elif kind == SYNC_BEGIN:
            self.syncs[b] = (n, self.fds[fd])
        elif kind == SYNC_END:
            begun, what = self.syncs.pop(b)
            what.covered(begun)
        elif kind == RENAME:
            d1, n1 = self.walk(one.decode())
            d2, n2 = self.walk(two.decode())
            what = d1.now()[n1]
            if d1 is d2:
                d1.pending.append((n, [(n1, None), (n2, what)]))
            else:
                d2.pending.append((n, [(n2, what)]))
                d1.pending.append((n, [(n1, None)]))
        elif kind in (UNLINK, RMDIR):
            d, name = self.walk(one.decode())
            d.pending.append((n, [(name, None)]))
        elif kind == MKDIR:
            d, name = self.walk(one.decode())
            d.pending.append((n, [(name, Names())]))
        elif kind == LINK:
            d1, n1 = self.walk(one.decode())
            d2, n2 = self.walk(two.decode())
            d2.pending.append((n, [(n2, d1.now()[n1])]))

    def leave(self, target, chance):
        """Writes one state a power cut may leave now to a new directory."""
        write_crashed(self.root, target, chance, {})


def load(path):
    names = Names()
    for entry in os.scandir(path):
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            names.durable[entry.name] = load(entry.path)
        elif stat.S_ISREG(mode):
            with open(entry.path, "rb") as f:
                names.durable[entry.name] = File(f.read(), stat.S_IMODE(mode))
    return names


def write_crashed(names, target, chance, crashed):
    os.mkdir(target, 0o700)
    for name, what in sorted(names.crashed(chance).items()):
        path = os.path.join(target, name)
        if isinstance(what, Names):
            write_crashed(what, path, chance, crashed)
            continue
        if id(what) not in crashed:  # several names of one file have one content
            crashed[id(what)] = what.crashed(chance)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, what.mode), "wb") as f:
            f.write(crashed[id(what)])
