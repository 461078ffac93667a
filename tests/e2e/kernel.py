#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel keeps of the mount: sizes, names, listings, handles, modes and times it believes without asking.

Each story here is one where a front that trusts the kernel's caches too far shows the wrong thing.
Cases: mount 5, 16, 36, 37; design sections 5 and 7.
"""
import ctypes
import os
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from holdfs import *

libc = ctypes.CDLL(None, use_errno=True)


class FileHandle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("handle", ctypes.c_char * 128)]


class Dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("reclen", ctypes.c_ushort),
                ("type", ctypes.c_ubyte), ("name", ctypes.c_char * 256)]


libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.POINTER(Dirent)
libc.readdir.argtypes = libc.closedir.argtypes = libc.telldir.argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


@case("mount 5")
def closing_and_writing_again_at_once_makes_a_version_each(store, b):
    # The kernel tells of the last close some time after close(2) has returned.
    for n in range(500):
        write(f"{b}/f", b"%d" % n)
    same([b"%d" % n for n in range(500)], [read(v.path) for v in history(f"{b}/f")], "each content")
    for n in range(100):
        write(f"{b}/t", b"long %d" % n)
        os.truncate(f"{b}/t", 4)
    same(200, len(history(f"{b}/t")), "versions of what was cut by truncate(2)")


@case("mount 3")
def content_that_changes_under_an_open_file_has_its_own_size(store, b):
    for first, second in ((b"short", b"x" * 50_000), (b"x" * 50_000, b"short")):
        write(f"{b}/f", first)
        write(f"{b}/f", second)
        with open(f"{b}/f", "rb") as held:
            same(second, held.read(), "before")
            os.unlink(f"{b}/.versions/f/latest")
            same(first, read(f"{b}/f"), "the earlier version is back")
            same(len(first), os.stat(f"{b}/f").st_size, "with its size")
            held.seek(0)
            same(second, held.read(), "the open file reads on in what it had")
        same(first, read(f"{b}/f"), "after the close")
        os.unlink(f"{b}/f")


@case("mount 16")
def a_tree_of_history_can_be_removed_as_any_tree(store, b):
    os.makedirs(f"{b}/d/e")
    for n in range(3):
        write(f"{b}/d/e/f", b"%d" % n)
        write(f"{b}/d/g", b"%d" % n)
    settle(f"{b}/d/e/f")
    settle(f"{b}/d/g")
    subprocess.run(["rm", "-r", f"{b}/d"], check=True)
    same(["e", "g"], sorted(os.listdir(f"{b}/.versions/d")), "what is left of it")
    subprocess.run(["rm", "-r", f"{b}/.versions/d"], check=True)
    same([], os.listdir(f"{b}/.versions"), "nothing is left")


@case("mount 17")
def a_relative_time_shows_the_same_file_to_two_looks(store, b):
    os.mkdir(f"{b}/d")
    for n in range(20):
        write(f"{b}/d/f{n}", b"%d" % n)
    subprocess.run(["cp", "-r", f"{b}/.at/now/d", f"{b}/copy"], check=True)
    same([b"%d" % n for n in range(20)], [read(f"{b}/copy/f{n}") for n in range(20)], "what cp took")


@case("mount 36")
def seekdir_goes_back_to_the_same_names(store, b):
    count = 5000
    os.mkdir(f"{b}/d")
    for n in range(count):
        os.mknod(f"{b}/d/{n:05d}", 0o600 | stat.S_IFREG)
    handle = libc.opendir(f"{b}/d".encode())
    places, names = [], []
    while True:
        place, entry = libc.telldir(handle), libc.readdir(handle)
        if not entry:
            break
        places.append(place)
        names.append(entry.contents.name)
    same(count + 2, len(set(names)), "names, . and .. among them")
    os.unlink(f"{b}/d/{count - 1:05d}")  # the kernel's own listing is gone with this
    for n in list(range(0, count, 97)) + list(range(count - 100, 0, -211)):
        libc.seekdir(handle, places[n])
        same(names[n:n + 2], [libc.readdir(handle).contents.name for _ in range(2)], "names after seekdir")
    libc.closedir(handle)


@case("mount 2")
def a_listing_tells_the_types(store, b):
    os.mkdir(f"{b}/dir")
    write(f"{b}/file", b"")
    os.symlink("file", f"{b}/link")
    os.mkfifo(f"{b}/fifo")
    handle = libc.opendir(b.encode())
    types = {}
    while entry := libc.readdir(handle):
        types[entry.contents.name.decode()] = entry.contents.type
    libc.closedir(handle)
    del types["."], types[".."]
    same({"dir": 4, "file": 8, "link": 10, "fifo": 1}, types, "d_type")


@case("mount 37")
def a_file_is_found_by_its_handle_over_a_remount(store, b):
    if os.getuid() != 0:
        return
    write(f"{b}/f", b"by handle")
    os.mkdir(f"{b}/d")
    handles = []
    for path in (f"{b}/f", f"{b}/d"):
        handle, mount_id = FileHandle(128, 0, b""), ctypes.c_int()
        same(0, libc.name_to_handle_at(-100, path.encode(), ctypes.byref(handle), ctypes.byref(mount_id), 0), "name_to_handle_at")
        handles.append((handle, os.stat(path).st_ino))
    store.remount()
    root = os.open(store.mnt, os.O_RDONLY)
    for handle, ino in handles:
        fd = libc.open_by_handle_at(root, ctypes.byref(handle), os.O_RDONLY)
        check(fd >= 0, f"open_by_handle_at: {os.strerror(ctypes.get_errno())}")
        same(ino, os.fstat(fd).st_ino, "the same inode")
        os.close(fd)
    os.close(root)


@case("mount 4")
def a_version_is_found_by_its_handle_after_the_kernel_forgot_it(store, b):
    if os.getuid() != 0:
        return
    write(f"{b}/f", b"old")
    settle(f"{b}/f")
    write(f"{b}/f", b"new")
    path = history(f"{b}/f")[0].path
    ino = os.stat(path).st_ino
    handle, mount_id = FileHandle(128, 0, b""), ctypes.c_int()
    same(0, libc.name_to_handle_at(-100, path.encode(), ctypes.byref(handle), ctypes.byref(mount_id), 0), "name_to_handle_at")
    drop_caches()
    root = os.open(store.mnt, os.O_RDONLY)
    fd = libc.open_by_handle_at(root, ctypes.byref(handle), os.O_RDONLY)
    os.close(root)
    check(fd >= 0, f"open_by_handle_at: {os.strerror(ctypes.get_errno())}")
    same((ino, b"old"), (os.fstat(fd).st_ino, os.read(fd, 10)), "the same version")
    os.close(fd)


@case("mount 3")
def holes_are_told_of_what_was_written_and_not_yet_sent(store, b):
    fd = os.open(f"{b}/f", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 8 << 20)
    os.pwrite(fd, b"x" * 4096, 4 << 20)
    at = os.lseek(fd, 0, os.SEEK_DATA)
    check((4 << 20) - 65536 < at <= 4 << 20, f"data found at {at}")
    check(os.lseek(fd, at, os.SEEK_HOLE) >= (4 << 20) + 4096, "the hole comes after it")
    os.close(fd)


@case("mount 31")
def dirty_pages_are_fetched_from_inside_any_call(store, b):
    # rename and setxattr need what the kernel has not yet sent; it sends it only while others are answered.
    fds = []
    for n in range(40):
        fds.append(os.open(f"{b}/f{n}", os.O_RDWR | os.O_CREAT))
        os.pwrite(fds[-1], b"%d" % n * 5000, 0)
    children = []
    for n in range(40):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.pwrite(fds[n], b"dirty", 0)
                os.rename(f"{b}/f{n}", f"{b}/g{n}")
                put(f"{b}/g{n}", "settle", b"now")
                status = 0 if os.lseek(fds[n], 0, os.SEEK_HOLE) > 0 else 2
            finally:
                os._exit(status)
        children.append(pid)
    same({0}, {os.waitpid(pid, 0)[1] for pid in children}, "the processes' ends")
    for fd in fds:
        os.close(fd)
    same([b"dirty"] * 40, [read(f"{b}/g{n}")[:5] for n in range(40)], "content")


@case("retention 2.6")
def times_that_the_kernel_sends_by_itself_are_no_refusal(store, b):
    # It sends them after link, rename, unlink and setxattr, also where a lock pins them.
    put(b, "bucket.object-lock", b"Enabled")
    write(f"{b}/f", b"1")
    settle(f"{b}/f")
    put(f"{b}/f", "legal-hold", b"ON")
    drop(f"{b}/f", "last-error")
    with open(f"{b}/f", "rb+") as held:
        os.link(f"{b}/f", f"{b}/g")
        os.rename(f"{b}/g", f"{b}/h")
        put(f"{b}/f", "tagging", b"a=b")
        os.unlink(f"{b}/f")
        os.fsync(held.fileno())
    refuses("ENODATA", get, f"{b}/h", "last-error")


@case("design 7")
def a_new_owner_takes_setuid_away(store, b):
    if os.getuid() != 0:
        return
    write(f"{b}/f", b"#!")
    os.chmod(f"{b}/f", 0o6755)
    os.chown(f"{b}/f", 1, 1)
    same(0o755, stat.S_IMODE(os.stat(f"{b}/f").st_mode), "the mode after chown")


if __name__ == "__main__":
    main(timeout=120)
