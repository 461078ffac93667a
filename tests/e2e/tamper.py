#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changed, moved and cut bytes in segments and metadata: never returned, told with the object, the rest stays readable.

Cases: mount 28; encryption 10*, 11*, 12, 13, 20, 21. Frames are found by their magic (encryption section 2.1), so that the
test depends on the format page alone.
"""
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from holdfs import *

FRAME_HEADER, TAG = 32, 16
UNIT = 65536


class Frame:
    def __init__(self, path, at, raw):
        self.path, self.at, self.raw = path, at, raw
        _, self.version, _, _, _, self.number, self.plain, self.cipher, self.dek = struct.unpack(">4sBBBBQII8s", raw[:FRAME_HEADER])

    def put(self, raw):
        with open(self.path, "r+b") as f:
            f.seek(self.at)
            f.write(raw)


def frames(store):
    """All frames in the store's segments, in order."""
    found = []
    for directory, _, names in os.walk(os.path.join(store.dir, "segments")):
        for name in sorted(names):
            data = read(os.path.join(directory, name))
            at = data.find(b"HFR1")
            while at >= 0:
                header = data[at:at + FRAME_HEADER]
                if len(header) == FRAME_HEADER:
                    plain, cipher = struct.unpack(">II", header[16:24])
                    end = at + FRAME_HEADER + cipher + TAG
                    if 1 <= plain <= UNIT and cipher <= UNIT and end <= len(data):
                        found.append(Frame(os.path.join(directory, name), at, data[at:end]))
                        at = end - 1
                at = data.find(b"HFR1", at + 1)
    return found


def of_file(store, path, size):
    """Frames of a file just written: those that were not there before."""
    before = {(f.path, f.at) for f in frames(store)}
    data = os.urandom(size)
    write(path, data)
    return data, [f for f in frames(store) if (f.path, f.at) not in before]


def fresh(store):
    """Nothing of what was read before is in any cache."""
    store.remount()
    drop_caches()


def read_fails(path, offset=0, length=1):
    fd = os.open(path, os.O_RDONLY)
    try:
        refuses("EIO", os.pread, fd, length, offset)
    finally:
        os.close(fd)


def status_names(store, word):
    text = store.run("status", "--json", store.dir).stdout + store.log_tail(100)
    check(word in text, f"status or the log names {word}")


@case("mount 28, encryption 11*")
def one_flipped_bit_anywhere_in_a_frame(store, b):
    f, other = f"{b}/damaged-name", f"{b}/other"
    data, mine = of_file(store, f, 3 * UNIT)
    write(other, data)
    middle = [x for x in mine if x.number == sorted(y.number for y in mine)[1]][0]
    for place in (0, 4, 5, 6, 7, 8, 15, 17, 21, 25, FRAME_HEADER, FRAME_HEADER + middle.cipher // 2, len(middle.raw) - TAG, len(middle.raw) - 1):
        raw = bytearray(middle.raw)
        raw[place] ^= 1
        middle.put(raw)
        fresh(store)
        refuses("EIO", read, f)
        fd = os.open(f, os.O_RDONLY)
        at = middle_offset(data, mine, middle)
        refuses("EIO", os.pread, fd, 100, at + 50)
        got = os.pread(fd, 4096, 0)
        os.close(fd)
        same(data[:4096], got, f"the frame before it reads (byte {place})")
        same(data, read(other), "another file reads")
    status_names(store, "damaged-name")
    middle.put(middle.raw)
    fresh(store)
    same(data, read(f), "whole again when the byte is put back")


def middle_offset(data, mine, frame):
    """Frames of a sequential write stand in the order of their numbers."""
    before = [x for x in mine if x.number < frame.number]
    return sum(x.plain for x in before)


@case("encryption 10*")
def two_exchanged_frames_of_one_file(store, b):
    f = f"{b}/f"
    data, mine = of_file(store, f, 4 * UNIT)
    pair = [x for x in mine if len(x.raw) == len(mine[0].raw)][:2]
    same(2, len(pair), "two frames of equal length")
    pair[0].put(pair[1].raw)
    pair[1].put(pair[0].raw)
    fresh(store)
    refuses("EIO", read, f)


@case("encryption 13")
def a_frame_of_another_file(store, b):
    data, mine = of_file(store, f"{b}/f", 2 * UNIT)
    other_data, others = of_file(store, f"{b}/g", 2 * UNIT)
    pair = next((x, y) for x in mine for y in others if len(x.raw) == len(y.raw))
    pair[0].put(pair[1].raw)
    fresh(store)
    refuses("EIO", read, f"{b}/f")
    same(other_data, read(f"{b}/g"), "the other file")


@case("encryption 12")
def a_segment_cut_inside_the_last_frame(store, b):
    f = f"{b}/f"
    store.remount()
    data, mine = of_file(store, f, 8 * UNIT)
    last = max(mine, key=lambda x: (x.path, x.at))
    os.truncate(last.path, last.at + len(last.raw) // 2)
    fresh(store)
    fd = os.open(f, os.O_RDONLY)
    at = middle_offset(data, mine, last)
    same(data[:UNIT], os.pread(fd, UNIT, 0), "earlier ranges read")
    refuses("EIO", os.pread, fd, 100, at + 10)
    os.close(fd)


@case("mount 28")
def scrub_finds_and_names_it(store, b):
    f = f"{b}/scrubbed-name"
    data, mine = of_file(store, f, UNIT)
    raw = bytearray(mine[0].raw)
    raw[-1] ^= 0x80
    mine[0].put(raw)
    done = store.run("scrub", store.dir, ok=False)
    same(1, done.returncode, "exit of scrub")
    check("scrubbed-name" in done.stdout + done.stderr, "scrub names it: " + done.stdout + done.stderr)
    mine[0].put(mine[0].raw)


# ---- metadata ----

def meta(store, name="meta.db"):
    return os.path.join(store.dir, name)


def page_size(store):
    with open(os.path.join(store.dir, "store.hdr")) as f:
        return json.loads(f.readline())["page_size"]


def walk(store):
    """Reads all there is; the errnos met."""
    met = set()
    for directory, _, names in os.walk(store.mnt, onerror=lambda e: met.add(e.errno)):
        for name in names:
            try:
                read(os.path.join(directory, name))
            except OSError as e:
                met.add(e.errno)
    return met


def with_damage(store, change, sentence):
    """change(files) alters a closed store's files; it is then refused at mount, or reads give EIO, and nothing wrong is shown."""
    store.umount()
    saved = store.metadata()
    try:
        change()
        status, words = store.try_mount()
        if status is None:
            met = walk(store)
            check(met <= {errno.EIO} and met, f"{sentence}: wanted EIO, met {[errno.errorcode[e] for e in met]}")
        else:
            same(1, status, f"{sentence}: exit of mount")
            check(words.strip(), "with words")
    finally:
        if store.daemon:
            store.kill()
        store.put_metadata(saved)
        store.mount()


def fill(b, count=400):
    contents = {}
    for n in range(count):
        contents[n] = b"%d " % n * 100
        write(f"{b}/{'x' * 100}-{n}", contents[n])
        os.setxattr(f"{b}/{'x' * 100}-{n}", "user.filler", os.urandom(200))
    return contents


@case("encryption 20")
def two_exchanged_pages(store, b):
    fill(b)
    size = page_size(store)

    def change():
        data = bytearray(read(meta(store)))
        pages = len(data) // size
        check(pages > 20, f"enough pages: {pages}")
        for one, two in ((pages - 2, pages - 3), (5, 6), (2, pages - 5)):
            data[one * size:(one + 1) * size], data[two * size:(two + 1) * size] = \
                data[two * size:(two + 1) * size], data[one * size:(one + 1) * size]
        write(meta(store), data)
    with_damage(store, change, "exchanged pages")


@case("encryption 20")
def every_page_damaged(store, b):
    size = page_size(store)

    def change():
        data = bytearray(read(meta(store)))
        for page in range(1, len(data) // size):
            data[page * size + 77] ^= 4
        write(meta(store), data)
    with_damage(store, change, "damaged pages")


@case("encryption 21")
def pages_put_back_from_an_older_copy(store, b):
    fill(b)
    store.umount()
    older = store.metadata()
    store.mount()
    for n in range(0, 400):
        write(f"{b}/{'x' * 100}-{n}", b"newer content")
    os.rename(f"{b}/{'x' * 100}-1", f"{b}/renamed")
    size = page_size(store)

    def pages_only():
        now = bytearray(read(meta(store)))
        old = older["meta.db"]
        changed = [p for p in range(1, len(old) // size) if now[p * size:(p + 1) * size] != old[p * size:(p + 1) * size]]
        check(len(changed) > 3, f"pages that differ: {len(changed)}")
        for p in changed:
            now[p * size:(p + 1) * size] = old[p * size:(p + 1) * size]
        write(meta(store), now)
    with_damage(store, pages_only, "older pages")

    def with_ledger():
        pages_only()
        write(meta(store, "meta.ledger"), older["meta.ledger"])
    with_damage(store, with_ledger, "older pages and ledger")


@case("encryption 2.2")
def a_database_cut_short(store, b):
    fill(b, 100)
    with_damage(store, lambda: os.truncate(meta(store), os.path.getsize(meta(store)) // 2), "half a database")


if __name__ == "__main__":
    main()
