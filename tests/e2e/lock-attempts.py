#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attempts of root on a version under a compliance lock, by everything the mount and the commands offer.

Cases: retention A 4, 7*, 9-18, 20*, 23*, 24, 25* (22* is in clock.py). After each attempt the version is read by its id, its
content, mode, date and times are compared, and removing it must still fail.
"""
import ctypes
import mmap
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from holdfs import *

libc = ctypes.CDLL(None, use_errno=True)
PUNCH_HOLE, KEEP_SIZE, ZERO_RANGE, RENAME_EXCHANGE = 2, 1, 16, 2
CONTENT = os.urandom(200_000)


def call(name, *args):
    if getattr(libc, name)(*args) < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))


def fallocate(fd, mode, offset, length):
    call("fallocate", fd, mode, ctypes.c_long(offset), ctypes.c_long(length))


def exchange(a, b):
    call("renameat2", -100, a.encode(), -100, b.encode(), RENAME_EXCHANGE)


def copy_range(source, target, length, target_offset=0):
    with open(source, "rb") as s:
        fd = os.open(target, os.O_WRONLY)
        try:
            return os.copy_file_range(s.fileno(), fd, length, 0, target_offset)
        finally:
            os.close(fd)


class Target:
    """The version that must outlive everything, in a bucket of its own: key d/f."""

    def __init__(self, store, bucket):
        self.store, self.bucket = store, bucket
        put(bucket, "bucket.object-lock", "Enabled")
        os.mkdir(f"{bucket}/d")
        self.path = f"{bucket}/d/f"
        write(self.path, CONTENT)
        os.setxattr(self.path, "user.x", b"before")
        settle(self.path)
        put(self.path, "retention", "COMPLIANCE +1y")
        (self.version,) = history(self.path)
        self.by_id = f"{bucket}/.versions/d/f/{self.version.id}"
        self.facts = self.look()

    def look(self):
        s = os.stat(self.by_id)
        return (read(self.by_id), get(self.by_id, "retention"), s.st_mtime_ns, s.st_uid, s.st_gid, s.st_size,
                os.getxattr(self.by_id, "user.x"), get(self.by_id, "version-id"))

    def stands(self):
        same(self.facts, self.look(), "the locked version is as it was")
        check(self.version.name in os.listdir(f"{self.bucket}/.versions/d/f"), "it is listed")
        refuses("EPERM", os.unlink, self.by_id)
        check("COMPLIANCE" in last_error(self.bucket), "last-error names the mode: " + last_error(self.bucket))

    def newer(self, want):
        """A newer version on top, and the locked one below."""
        same(want, read(self.path), "the file's new content")
        check(len(history(self.path)) >= 2, "a newer version was made")


def attempt(numbers):
    def wrap(function):
        def run(store, bucket):
            target = Target(store, bucket)
            function(target)
            target.stands()
        run.__name__ = function.__name__
        return case("retention A " + numbers)(run)
    return wrap


@attempt("4")
def removing_or_shortening_the_lock(t):
    for place in (t.path, t.by_id):
        for armed in (False, True):
            for act in (lambda: drop(place, "retention"), lambda: put(place, "retention", "COMPLIANCE +1d"),
                        lambda: put(place, "retention", "GOVERNANCE +2y"), lambda: drop(place, "object-lock-mode"),
                        lambda: drop(place, "object-lock-retain-until-date"),
                        lambda: put(place, "object-lock-mode", "GOVERNANCE"),
                        lambda: put(place, "object-lock-retain-until-date", "2027-01-01T00:00:00Z")):
                if armed:
                    put(place, "bypass-governance-retention", "true")
                refuses("EPERM", act)
    put(t.bucket, "bypass-governance-retention", "true 600")
    refuses("EPERM", os.unlink, t.by_id)
    same(1, t.store.run("retention", "set", t.path, "GOVERNANCE", "+2y", ok=False).returncode, "retention set exits")


@attempt("4")
def a_lock_of_the_same_or_a_later_date_is_taken(t):
    put(t.path, "retention", get(t.path, "retention"))
    put(t.path, "retention", "COMPLIANCE +2y")
    t.facts = t.look()


@attempt("7*")
def deleting_the_bucket(t):
    write(f"{t.bucket}/free", b"free")
    refuses("ENOTEMPTY", os.rmdir, t.bucket)
    done = t.store.run("bucket", "delete", "--force", t.bucket, ok=False)
    same(1, done.returncode, "bucket delete --force exits")
    check("d/f" in done.stderr, "it names the locked key: " + done.stderr)
    same(b"free", read(f"{t.bucket}/free"), "nothing else was deleted either")
    same(1, len(history(f"{t.bucket}/free")), "no version of it")


@attempt("6*")
def changing_the_buckets_configuration(t):
    for value in ("Disabled", "<ObjectLockConfiguration/>"):
        refuses("EINVAL", put, t.bucket, "bucket.object-lock", value)
    refuses(("EBUSY", "EPERM", "EINVAL"), drop, t.bucket, "bucket.object-lock")
    put(t.bucket, "bucket.object-lock", "COMPLIANCE 1d")
    put(t.bucket, "bucket.object-lock", "none")
    refuses("EBUSY", put, t.bucket, "bucket.versioning", "Suspended")
    put(t.bucket, "bucket.versioning", "Enabled")


@attempt("9")
def rm_of_the_name_the_version_and_the_history(t):
    os.unlink(t.path)
    check(not os.path.exists(t.path), "the name is gone")
    write(t.path, b"again")
    settle(t.path)
    refuses("EPERM", os.unlink, f"{t.bucket}/d/.versions/f/{t.version.name}")
    done = subprocess.run(["rm", "-rf", f"{t.bucket}/d/.versions/f"], capture_output=True, text=True,
                          env=dict(os.environ, LC_ALL="C"))
    check(done.returncode != 0 and "Operation not permitted" in done.stderr, f"rm -rf fails: {done.stderr}")
    same([t.version.name], os.listdir(f"{t.bucket}/.versions/d/f"), "only the locked version is left")


@attempt("10")
def open_with_truncation(t):
    os.close(os.open(t.path, os.O_WRONLY | os.O_TRUNC))
    t.newer(b"")


@case("retention A 11")
def a_descriptor_opened_before_the_lock(store, bucket):
    put(bucket, "bucket.object-lock", "Enabled")
    for number, act in enumerate((lambda fd: os.pwrite(fd, b"NEW", 0), lambda fd: os.ftruncate(fd, 10),
                                  lambda fd: fallocate(fd, 0, 0, 300_000), lambda fd: fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 0, 65536))):
        path = f"{bucket}/f{number}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        os.write(fd, CONTENT)
        put(path, "retention", "COMPLIANCE +1y")
        act(fd)
        want = os.pread(fd, 400_000, 0)
        os.close(fd)
        check(want != CONTENT, f"act {number} changed the file")
        same(want, read(path), "the file is what the descriptor saw")
        old, new = history(path)
        same(CONTENT, old.data, "the locked version is what was written before the lock")
        same(want, new.data, "the rest is a newer version")
        refuses("EPERM", os.unlink, old.path)
        os.unlink(new.path)


@case("retention A 12")
def pages_dirtied_through_mmap_before_and_after_the_lock(store, bucket):
    put(bucket, "bucket.object-lock", "Enabled")
    path = f"{bucket}/f"
    write(path, bytes(3 * mmap.PAGESIZE))
    fd = os.open(path, os.O_RDWR)
    view = mmap.mmap(fd, 3 * mmap.PAGESIZE)
    view[0:6] = b"BEFORE"
    put(path, "retention", "COMPLIANCE +1y")
    view[mmap.PAGESIZE:mmap.PAGESIZE + 5] = b"AFTER"
    view.flush()
    view.close()
    os.close(fd)
    locked = [v for v in history(path) if is_locked(v.path)]
    same(1, len(locked), "one version is locked")
    same(b"BEFORE" + bytes(3 * mmap.PAGESIZE - 6), locked[0].data, "what was dirty before the lock is in it, later is not")
    now = read(path)
    same((b"BEFORE", b"AFTER"), (now[:6], now[mmap.PAGESIZE:mmap.PAGESIZE + 5]), "the newer version has both")
    refuses("EPERM", os.unlink, locked[0].path)


def is_locked(path):
    try:
        return bool(get(path, "retention"))
    except OSError:
        return False


@attempt("13")
def truncating_punching_and_copying_over(t):
    def on_fd(act):
        fd = os.open(t.path, os.O_RDWR)
        try:
            act(fd)
        finally:
            os.close(fd)
    other = f"{t.bucket}/other"
    write(other, b"x" * 100_000)
    for count, act in enumerate((lambda: os.truncate(t.path, 100), lambda: os.truncate(t.path, 300_000),
                                 lambda: on_fd(lambda fd: os.pwrite(fd, b"d" * 200_000, 0)),
                                 lambda: on_fd(lambda fd: fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 4096, 65536)),
                                 lambda: on_fd(lambda fd: fallocate(fd, ZERO_RANGE, 1, 70_000)),
                                 lambda: copy_range(other, t.path, 100_000, 50)), start=2):
        act()
        same(count, len(history(t.path)), "each makes a newer version")
        t.stands()
    for place in (t.by_id, f"{t.bucket}/.at/now/d/f"):
        refuses("EROFS", os.truncate, place, 0)
        refuses("EROFS", os.open, place, os.O_WRONLY)
        refuses("EROFS", os.open, place, os.O_RDWR | os.O_TRUNC)


@attempt("14")
def attributes_of_a_locked_version(t):
    for place, error in ((t.path, "EPERM"), (t.by_id, "EROFS")):
        refuses(error, os.utime, place, (1, 1))
        refuses(error, os.utime, place)
        refuses(error, os.chown, place, 1, 1)
        refuses(error, os.setxattr, place, "user.x", b"after")
        refuses(error, os.setxattr, place, "user.new", b"after")
        refuses(error, os.removexattr, place, "user.x")
        refuses(error, put, place, "content-type", "text/x")
    fd = os.open(t.path, os.O_RDONLY)
    refuses("EPERM", os.utime, fd, (1, 1))
    refuses("EPERM", os.setxattr, fd, "user.x", b"after")
    os.close(fd)


@attempt("15")
def through_a_hard_link(t):
    other = f"{t.bucket}/g"
    os.link(t.path, other)
    write(other, b"through the link", os.O_WRONLY | os.O_TRUNC)
    same(b"through the link", read(t.path), "both names show it")
    os.unlink(t.path)
    os.unlink(other)


@attempt("16")
def renames_over_and_away(t):
    write(f"{t.bucket}/other", b"other")
    os.rename(f"{t.bucket}/other", t.path)
    t.newer(b"other")
    t.stands()
    os.rename(t.path, f"{t.bucket}/d/away")
    t.stands()
    write(f"{t.bucket}/x", b"x")
    subprocess.run(["cp", f"{t.bucket}/x", t.path], check=True)
    t.newer(b"x")
    write(f"{t.bucket}/y", b"y")
    exchange(f"{t.bucket}/y", t.path)
    t.newer(b"y")
    same(b"x", read(f"{t.bucket}/y"), "exchanged")


@attempt("16")
def renaming_the_locked_version_itself(t):
    os.rename(t.path, f"{t.bucket}/d/away")
    same(CONTENT, read(f"{t.bucket}/d/away"), "its content is at the new name")
    refuses("ENODATA", get, f"{t.bucket}/d/away", "retention")
    check(not os.path.exists(t.path), "the name is gone")
    same("vM", shape(t.path), "with a marker over the locked version")
    os.unlink(f"{t.bucket}/d/away")


@attempt("16")
def exchanging_the_locked_version_itself(t):
    write(f"{t.bucket}/y", b"y")
    settle(f"{t.bucket}/y")
    exchange(f"{t.bucket}/y", t.path)
    t.newer(b"y")
    same(CONTENT, read(f"{t.bucket}/y"), "exchanged")


@attempt("17")
def moving_and_removing_its_directory(t):
    before = get(f"{t.bucket}/.versions/d/f/{t.version.name}", "version-id")
    os.rename(f"{t.bucket}/d", f"{t.bucket}/e")
    same(CONTENT, read(f"{t.bucket}/e/f"), "moved")
    t.stands()
    shutil.rmtree(f"{t.bucket}/e")
    os.mkdir(f"{t.bucket}/d")
    write(f"{t.bucket}/d/f", b"again")
    shutil.rmtree(f"{t.bucket}/d")
    check(not os.path.exists(f"{t.bucket}/d"), "the directory is gone")
    at = t.version.name[:30]
    same(CONTENT, read(f"{t.bucket}/.at/{at}/d/f"), "it is in .at of its time")
    same(before, get(f"{t.bucket}/.at/{at}/d/f", "version-id"), "as that version")


@attempt("18")
def renaming_the_bucket(t):
    refuses("EPERM", os.rename, t.bucket, f"{t.store.mnt}/other-name")
    refuses(("EXDEV", "EPERM"), os.rename, f"{t.bucket}/d", f"{t.store.mnt}/d-as-bucket")
    os.mkdir(f"{t.store.mnt}/empty-target")
    refuses("EPERM", os.rename, t.bucket, f"{t.store.mnt}/empty-target")


@attempt("20*")
def upkeep_commands(t):
    os.unlink(t.path)
    for words in (("gc", t.store.dir), ("compact", t.store.dir), ("scrub", t.store.dir), ("gc", t.store.dir)):
        t.store.run(*words)
        t.stands()
    write(t.path, b"newer")
    t.store.run("restore", "--at", "-1h", "--delete-newer", t.bucket, ok=False)
    t.stands()
    export = t.store.run("export", "--move", t.bucket, ok=False)
    same(1, export.returncode, "export --move exits")
    check("d/f" in export.stderr, "it names the locked key: " + export.stderr)


@attempt("20*")
def upkeep_with_the_store_closed(t):
    t.store.umount()
    for words in (("fsck",), ("fsck", "--repair"), ("gc",), ("compact",), ("scrub",)):
        t.store.run(words[0], *words[1:], t.store.dir, secret=True)
    refused = t.store.run("init", t.store.dir, secret=True, ok=False)
    same(1, refused.returncode, "init over the store exits")
    t.store.mount()


@attempt("25*")
def other_hidden_names(t):
    by_other = t.by_id.replace("/.versions/", "/.v/")
    t.store.remount("versions-name=.v,at-name=.t")
    refuses("EPERM", os.unlink, by_other)
    same(CONTENT, read(by_other), "readable under the other name")
    t.store.remount("")


@attempt("25*")
def a_second_mount(t):
    other = t.store.mnt + "2"
    os.mkdir(other)
    done = subprocess.run([t.store.binary, "mount", "-o", f"passphrase-file={t.store.passphrase}", t.store.dir, other],
                          capture_output=True, text=True)
    same(1, done.returncode, "a second mount exits")
    os.rmdir(other)


@attempt("25*")
def kill_right_after_the_lock_was_answered(t):
    for n in range(5):
        path = f"{t.bucket}/k{n}"
        write(path, CONTENT)
        put(path, "retention", "COMPLIANCE +1y")
        t.store.kill()
        t.store.mount()
        (v,) = history(path)
        refuses("EPERM", os.unlink, v.path)
        same(CONTENT, v.data, "content of the locked version")


@attempt("24*")
def a_copy_of_the_store_elsewhere(t):
    t.store.umount()
    copy = Store.__new__(Store)
    copy.__dict__.update(t.store.__dict__)
    copy.dir, copy.mnt, copy.own_scratch = t.store.dir + "-copy", t.store.mnt + "-copy", False
    shutil.copytree(t.store.dir, copy.dir)
    os.mkdir(copy.mnt)
    Store.live.append(copy)
    copy.mount("")
    refuses("EPERM", os.unlink, t.by_id.replace(t.store.mnt, copy.mnt))
    same(CONTENT, read(t.by_id.replace(t.store.mnt, copy.mnt)), "the copy reads")
    copy.umount()
    shutil.rmtree(copy.dir)
    os.rmdir(copy.mnt)
    t.store.mount()


@attempt("24")
def flipping_bits_in_the_metadata(t):
    """Whichever page of the database is changed: refused or EIO, never unlocked."""
    t.store.umount()
    sound = t.store.metadata()
    whole, page = sound["meta.db"], 8192
    refused_at_mount = 0
    for number in range(1, min(len(whole) // page, 25)):
        damaged = bytearray(whole)
        damaged[number * page + 1000] ^= 0x10
        t.store.put_metadata({**sound, "meta.db": damaged})
        status, _ = t.store.try_mount("")
        if status is None:
            refuses(("EPERM", "EIO"), os.unlink, t.by_id)
            t.store.kill()
        refused_at_mount += status is not None
    check(refused_at_mount < 24, "some damage is met only when the page is read")
    t.store.put_metadata(sound)
    t.store.mount()


@attempt("23*")
def older_metadata_put_back(t):
    store, path = t.store, f"{t.bucket}/late"
    write(path, CONTENT)
    settle(path)
    (v,) = history(path)
    store.umount()
    older = store.metadata()
    store.mount()
    put(path, "retention", "COMPLIANCE +1y")
    store.umount()
    newer = store.metadata()
    for what in ("meta.db", "meta.ledger", "meta.root"):
        store.put_metadata({**newer, what: older[what]})
        status, _ = store.try_mount("")
        if status is None:
            refuses(("EPERM", "EIO"), os.unlink, v.path)
            store.kill()
    store.put_metadata(newer)
    store.mount()
    same(CONTENT, v.data, "with the right files back the version is as it was")
    refuses("EPERM", os.unlink, v.path)


if __name__ == "__main__":
    main()
