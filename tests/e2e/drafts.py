#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How drafts become versions: close, fork, mmap, fsync, two handles, temporary names, hard links, unlinked files.

Cases: mount 7, 8, 18, 19, 20; retention 12*, 13*, 14-16, 18*, 20, 22, 23 and the table of retention section 1.7.
"""
import ctypes
import mmap
import os
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from holdfs import *

libc = ctypes.CDLL(None, use_errno=True)


def settled(path, data=b"first"):
    write(path, data)
    settle(path)
    return path


def rename2(a, b, flags):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), flags) < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))


@case("retention 12")
def close_adds_a_version_and_opening_adds_none(store, b):
    f = settled(f"{b}/f")
    write(f, b"second")
    same("vv", shape(f), "history")
    os.close(os.open(f, os.O_RDWR))
    os.close(os.open(f, os.O_RDONLY))
    same("vv", shape(f), "history after opening and closing")
    same(get(f, "version-id"), history(f)[-1].id, "the file's version id is the newest's")


@case("retention 1.7")
def attributes_make_no_version(store, b):
    f = settled(f"{b}/f")
    etag, modified = get(f, "etag"), get(f, "last-modified")
    os.chmod(f, 0o600)
    os.utime(f, (1, 2))
    if os.geteuid() == 0:
        os.chown(f, 3, 4)
    os.setxattr(f, "user.x", b"y")
    put(f, "meta.a", "b")
    subprocess.run(["setfacl", "-m", "u:7:r", f], check=True)
    same("v", shape(f), "history")
    same((etag, modified), (get(f, "etag"), get(f, "last-modified")), "ETag and Last-Modified")


@case("retention 1.5")
def truncating_an_empty_file_makes_no_version(store, b):
    f = settled(f"{b}/f", b"")
    write(f, b"")
    same("v", shape(f), "history")


@case("retention 1.7")
def each_way_to_change_content_adds_one(store, b):
    f = settled(f"{b}/f", b"0123456789" * 20_000)
    want = 1

    def grew(sentence):
        nonlocal want
        want += 1
        same("v" * want, shape(f), sentence)

    write(f, b"tail", os.O_WRONLY | os.O_APPEND)
    grew("append")
    os.truncate(f, 100_000)
    grew("truncate(2)")
    for act in (lambda fd: os.pwrite(fd, b"XX", 5), lambda fd: os.ftruncate(fd, 120_000),
                lambda fd: os.posix_fallocate(fd, 0, 130_000), lambda fd: libc.fallocate(fd, 3, ctypes.c_long(0), ctypes.c_long(65536))):
        fd = os.open(f, os.O_RDWR)
        act(fd)
        os.close(fd)
        grew("a change through a descriptor")
    with open(f, "rb") as source:
        fd = os.open(f, os.O_RDWR)
        os.copy_file_range(source.fileno(), fd, 1000, 70_000, 0)
        os.close(fd)
    grew("copy_file_range into itself")
    write(f, b"")
    grew("O_TRUNC")
    same(b"0123456789" * 20_000, history(f)[0].data, "the first version")


@case("retention 13, mount 7")
def a_forked_child_that_closes_makes_no_second_version(store, b):
    f = f"{b}/f"
    fd = os.open(f, os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, b"parent ")
    subprocess.run(["true"], pass_fds=[fd], check=True)
    same("v", shape(f), "the child's close publishes")
    first = history(f)[0].id
    os.write(fd, b"again")
    os.close(fd)
    same("v", shape(f), "one version")
    same(first, history(f)[0].id, "the same one")
    same(b"parent again", history(f)[0].data, "with both writes")


@case("retention 14")
def two_handles_together_make_one_version_one_after_the_other_two(store, b):
    f = settled(f"{b}/f")
    one, two = os.open(f, os.O_RDWR), os.open(f, os.O_RDWR)
    os.pwrite(one, b"ONE", 0)
    os.pwrite(two, b"TWO", 10)
    os.close(one)
    os.close(two)
    same("vv", shape(f), "together")
    same(b"ONEst\0\0\0\0\0TWO", read(f), "both writes")
    for word in (b"one", b"two"):
        fd = os.open(f, os.O_RDWR)
        os.pwrite(fd, word, 0)
        os.close(fd)
    same("vvvv", shape(f), "one after the other")


@case("retention 14")
def two_processes_together_make_one_version(store, b):
    f = settled(f"{b}/f")
    fd = os.open(f, os.O_RDWR)

    def other():
        own = os.open(f, os.O_RDWR)
        os.pwrite(own, b"child", 100)
        os.close(own)
    ended_well(child(other))
    os.pwrite(fd, b"parent", 200)
    os.close(fd)
    same("vv", shape(f), "history")
    data = read(f)
    same((b"child", b"parent"), (data[100:105], data[200:206]), "both writes")


@case("retention 15, mount 20")
def stores_through_mmap_after_close_are_in_the_version(store, b):
    f = settled(f"{b}/f", bytes(3 * mmap.PAGESIZE))
    fd = os.open(f, os.O_RDWR)
    view = mmap.mmap(fd, 3 * mmap.PAGESIZE)
    view[0:5] = b"early"
    os.close(fd)
    view[mmap.PAGESIZE:mmap.PAGESIZE + 4] = b"late"
    view.close()
    # munmap drops the last reference to the file; its pages and RELEASE reach the daemon after it
    want = b"early" + bytes(mmap.PAGESIZE - 5) + b"late" + bytes(2 * mmap.PAGESIZE - 4)
    check(within(5, lambda: history(f)[-1].data == want), "the newest version has both")
    same("vv", shape(f), "one version")
    same(want, read(f), "the file")


@case("retention 16")
def an_fsynced_draft_is_a_version_after_kill(store, b):
    f, g = settled(f"{b}/f"), settled(f"{b}/g")
    fd, gd = os.open(f, os.O_RDWR), os.open(g, os.O_RDWR)
    os.pwrite(fd, b"fsynced", 0)
    os.fsync(fd)
    same("v", shape(f), "fsync publishes nothing")
    os.pwrite(gd, b"not fsynced", 0)
    new = os.open(f"{b}/new", os.O_RDWR | os.O_CREAT, 0o644)
    os.write(new, b"created and fsynced")
    os.fsync(new)
    store.kill()
    for x in (fd, gd, new):
        try:
            os.close(x)
        except OSError:
            pass
    store.mount()
    same("vv", shape(f), "the fsynced draft")
    same(b"fsynced", read(f), "its content")
    same("v", shape(g), "the other one")
    same(b"first", read(g), "its old content")
    same(b"created and fsynced", read(f"{b}/new"), "the new file")


@case("retention 18, mount 8")
def saving_as_vim_does_leaves_no_litter(store, b):
    f = settled(f"{b}/f", b"old")
    os.close(os.open(f"{b}/4913", os.O_CREAT | os.O_WRONLY, 0o644))
    os.unlink(f"{b}/4913")
    os.rename(f, f"{b}/f~")
    write(f, b"new")
    os.unlink(f"{b}/f~")
    same("vMv", shape(f), "f")
    same(b"old", history(f)[0].data, "the old version")
    same(["f"], os.listdir(f"{b}/.versions"), "names with history")


@case("mount 8")
def saving_through_a_temporary_name_leaves_no_litter(store, b):
    f = settled(f"{b}/f", b"old")
    fd = os.open(f"{b}/.f.tmp", os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    os.write(fd, b"new")
    os.fsync(fd)
    os.close(fd)
    os.chmod(f"{b}/.f.tmp", 0o644)
    os.utime(f"{b}/.f.tmp", (5, 5))
    ident = get(f"{b}/.f.tmp", "version-id")
    os.rename(f"{b}/.f.tmp", f)
    same("vv", shape(f), "f")
    same([b"old", b"new"], [v.data for v in history(f)], "contents")
    same(ident, get(f, "version-id"), "the version moved, with its id")
    same(5, int(os.stat(f).st_mtime), "and its time")
    same(["f"], os.listdir(f"{b}/.versions"), "names with history")


@case("retention 20")
def a_moved_version_hides_what_was_below_it(store, b):
    t = settled(f"{b}/tmp", b"older")
    write(t, b"newer")
    os.rename(t, f"{b}/f")
    same("vM", shape(t), "tmp: the older one and a marker")
    check("tmp" not in os.listdir(b), "ls shows no tmp")
    same(b"newer", read(f"{b}/f"), "f")


@case("retention 1.6 S5")
def renaming_a_settled_version_leaves_a_marker(store, b):
    t = settled(f"{b}/tmp")
    old = get(t, "version-id")
    os.rename(t, f"{b}/f")
    same("vM", shape(t), "tmp")
    same("v", shape(f"{b}/f"), "f")
    check(get(f"{b}/f", "version-id") != old, "a version of its own")


@case("retention 1.6 S2")
def unlinking_before_settling(store, b):
    os.close(os.open(f"{b}/empty", os.O_CREAT | os.O_WRONLY))
    os.unlink(f"{b}/empty")
    same("", shape(f"{b}/empty"), "S2a: an empty file leaves nothing")
    write(f"{b}/a", b"tied")
    os.link(f"{b}/a", f"{b}/b")
    os.unlink(f"{b}/a")
    same("", shape(f"{b}/a"), "S2b: one tied by link leaves nothing")
    same(b"tied", read(f"{b}/b"), "the other name stands")
    write(f"{b}/swap", b"swap file")
    os.unlink(f"{b}/swap")
    same("vM", shape(f"{b}/swap"), "S2d: a written one is kept for a while")
    put(b, "bucket.orphan-keep", "0")
    write(f"{b}/swap2", b"swap file")
    os.unlink(f"{b}/swap2")
    same("", shape(f"{b}/swap2"), "with orphan-keep 0 nothing is left")
    settled(f"{b}/kept")
    os.unlink(f"{b}/kept")
    same("vM", shape(f"{b}/kept"), "a settled one stays")


@case("retention 1.7")
def suspended_and_unversioned_buckets(store, b):
    put(b, "bucket.versioning", "Suspended")
    f = f"{b}/f"
    write(f, b"one")
    write(f, b"two")
    same(["null"], [v.id for v in history(f)], "one null version")
    same("null", get(f, "version-id"), "its id")
    settle(f)
    put(b, "bucket.versioning", "Enabled")
    write(f, b"three")
    same([b"two", b"three"], [v.data for v in history(f)], "the null version stays after Enabled")
    settle(f)
    put(b, "bucket.versioning", "Suspended")
    write(f, b"four")
    same([b"three", b"four"], [v.data for v in history(f)], "a null version rewritten is the newest")
    settle(f)
    os.unlink(f)
    same("vM", shape(f), "unlink: a null marker")
    refuses(("EBUSY", "EINVAL"), put, b, "bucket.versioning", "Unversioned")


@case("retention 1.7")
def an_unversioned_bucket_keeps_no_history(store, b):
    path = f"{store.mnt}/unversioned"
    store.run("bucket", "create", "--unversioned", path)
    write(f"{path}/f", b"one")
    write(f"{path}/f", b"two")
    same(["null"], [v.id for v in history(f"{path}/f")], "one null version")
    os.rename(f"{path}/f", f"{path}/g")
    same(("", "v"), (shape(f"{path}/f"), shape(f"{path}/g")), "rename moves")
    os.unlink(f"{path}/g")
    same("", shape(f"{path}/g"), "unlink removes")
    check(os.listdir(path) == [], "empty")


@case("retention 22")
def writing_through_a_hard_link_makes_a_version_under_each_name(store, b):
    f, g = settled(f"{b}/f"), f"{b}/g"
    os.link(f, g)
    same((2, 2), (os.stat(f).st_nlink, os.stat(g).st_nlink), "link count")
    same(os.stat(f).st_ino, os.stat(g).st_ino, "one inode")
    write(g, b"second", os.O_WRONLY | os.O_TRUNC)
    same((b"second", b"second"), (history(f)[-1].data, history(g)[-1].data), "newest versions")
    same(("vv", "vv"), (shape(f), shape(g)), "histories")
    os.unlink(f)
    same(1, os.stat(g).st_nlink, "link count after unlink")
    store.remount()
    same(b"second", read(g), "content after a remount")


@case("retention 23, mount 2")
def rename_flags(store, b):
    x, y = settled(f"{b}/x", b"x"), settled(f"{b}/y", b"y")
    refuses("EEXIST", rename2, x, y, 1)
    rename2(x, f"{b}/z", 1)
    rename2(f"{b}/z", y, 2)
    same((b"y", b"x"), (read(f"{b}/z"), read(y)), "exchanged")
    refuses("EINVAL", rename2, y, f"{b}/w", 4)
    os.mkdir(f"{b}/d")
    write(f"{b}/d/inside", b"inside")
    rename2(f"{b}/d", y, 2)
    same(b"inside", read(f"{y}/inside"), "a directory and a file exchanged")
    same(b"x", read(f"{b}/d"), "the file")


@case("retention 1.7")
def renaming_a_directory_takes_current_children_and_leaves_histories(store, b):
    os.makedirs(f"{b}/d/sub")
    for n in range(20):
        settled(f"{b}/d/sub/{n}", b"one %d" % n)
    write(f"{b}/d/fresh", b"unsettled")
    os.rename(f"{b}/d", f"{b}/e")
    check(not os.path.exists(f"{b}/d"), "the old name is gone")
    same(sorted(str(n) for n in range(20)), listed(f"{b}/e/sub"), "children")
    same(b"one 7", read(f"{b}/e/sub/7"), "content")
    same(("vM", "v"), (shape_at(b, "d/sub/7"), shape(f"{b}/e/sub/7")), "a settled child")
    same(("", "v"), (shape_at(b, "d/fresh"), shape(f"{b}/e/fresh")), "an unsettled child moves")
    os.mkdir(f"{b}/target")
    os.rename(f"{b}/e", f"{b}/target")
    same(b"unsettled", read(f"{b}/target/fresh"), "over an empty directory")
    os.mkdir(f"{b}/full")
    write(f"{b}/full/x", b"")
    refuses(("ENOTEMPTY", "EEXIST"), os.rename, f"{b}/target", f"{b}/full")
    refuses("EINVAL", os.rename, f"{b}/target", f"{b}/target/sub/self")


def shape_at(bucket, key):
    try:
        names = os.listdir(f"{bucket}/.versions/{key}")
    except FileNotFoundError:
        return ""
    return "".join("M" if Version(f"{bucket}/.versions/{key}/{n}").marker else "v" for n in names)


@case("mount 18")
def an_unlinked_open_file_goes_on(store, b):
    f = settled(f"{b}/f", b"content")
    fd = os.open(f, os.O_RDWR)
    os.unlink(f)
    same(b"content", os.pread(fd, 100, 0), "readable")
    os.pwrite(fd, b"CHANGED", 0)
    same(b"CHANGED", os.pread(fd, 100, 0), "and writable")
    os.fsync(fd)
    os.close(fd)
    same("vM", shape(f), "its draft is dropped")
    same(b"content", history(f)[0].data, "the old version")


@case("mount 19")
def rename_over_an_open_file(store, b):
    f = settled(f"{b}/f", b"old content")
    fd = os.open(f, os.O_RDONLY)
    write(f"{b}/n", b"new")
    os.rename(f"{b}/n", f)
    same(b"old content", os.pread(fd, 100, 0), "the handle reads on")
    same(b"new", read(f), "the name shows the new one")
    os.close(fd)


@case("mount 3")
def a_reader_stays_on_its_version(store, b):
    f = settled(f"{b}/f", b"A" * 300_000)
    fd = os.open(history(f)[0].path, os.O_RDONLY)
    write(f, b"B" * 300_000)
    same(b"A" * 300_000, os.pread(fd, 300_000, 0), "a handle on the old version")
    os.close(fd)


@case("mount 3")
def o_tmpfile_is_published_by_linking_only(store, b):
    before = set(os.listdir(f"{b}/.versions"))
    fd = os.open(b, os.O_TMPFILE | os.O_RDWR, 0o644)
    os.write(fd, b"dropped")
    os.close(fd)
    same(before, set(os.listdir(f"{b}/.versions")), "nothing is left when it is only closed")
    fd = os.open(b, os.O_TMPFILE | os.O_RDWR, 0o644)
    os.write(fd, b"linked")
    root = os.open("/", os.O_PATH)
    os.link(f"/proc/self/fd/{fd}", f"{b}/linked", src_dir_fd=root, follow_symlinks=True)  # with a dir_fd Python does follow
    os.close(root)
    os.close(fd)
    same(b"linked", read(f"{b}/linked"), "linked")
    same("v", shape(f"{b}/linked"), "one version")


@case("mount 3")
def holes_are_seen_and_cost_nothing(store, b):
    f = f"{b}/sparse"
    fd = os.open(f, os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(fd, b"x" * 65536, 10 << 20)
    os.ftruncate(fd, 1 << 30)
    same(0, os.lseek(fd, 0, os.SEEK_HOLE), "a hole at the start")
    same(10 << 20, os.lseek(fd, 0, os.SEEK_DATA), "data at 10 MiB")
    same((10 << 20) + 65536, os.lseek(fd, 10 << 20, os.SEEK_HOLE), "and a hole behind it")
    refuses("ENXIO", os.lseek, fd, 20 << 20, os.SEEK_DATA)
    os.close(fd)
    s = os.stat(f)
    same(1 << 30, s.st_size, "size")
    check(65536 <= s.st_blocks * 512 <= 1 << 20, f"st_blocks counts data only: {s.st_blocks}")
    with open(f, "rb") as handle:
        same(bytes(4096), os.pread(handle.fileno(), 4096, 900 << 20), "holes read as zeros")


@case("mount 3")
def times_survive_far_dates(store, b):
    for n, ns in enumerate((-2177452800 * 10**9 + 1, 4291747200 * 10**9 + 2, 253402300799 * 10**9 + 999999999, 123456789)):
        f = settled(f"{b}/t{n}")
        os.utime(f, ns=(ns + 1000, ns))
        os.mkdir(f"{b}/d{n}")
        os.utime(f"{b}/d{n}", ns=(ns, ns))
    store.remount()
    for n, ns in enumerate((-2177452800 * 10**9 + 1, 4291747200 * 10**9 + 2, 253402300799 * 10**9 + 999999999, 123456789)):
        same(ns, os.stat(f"{b}/t{n}").st_mtime_ns, "mtime")
        same(ns + 1000, os.stat(f"{b}/t{n}").st_atime_ns, "atime")
        same(ns, os.stat(f"{b}/d{n}").st_mtime_ns, "mtime of a directory")


@case("mount 2")
def special_files_and_links(store, b):
    os.symlink("a target with spaces", f"{b}/link")
    os.mkfifo(f"{b}/fifo", 0o640)
    if os.geteuid() == 0:
        os.mknod(f"{b}/dev", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(f"{b}/sock")
    store.remount()
    same("a target with spaces", os.readlink(f"{b}/link"), "the link's target")
    same(len("a target with spaces"), os.lstat(f"{b}/link").st_size, "its size")
    check(stat.S_ISFIFO(os.lstat(f"{b}/fifo").st_mode), "FIFO")
    check(stat.S_ISSOCK(os.lstat(f"{b}/sock").st_mode), "socket")
    if os.geteuid() == 0:
        same((os.makedev(1, 3), True), (os.lstat(f"{b}/dev").st_rdev, stat.S_ISCHR(os.lstat(f"{b}/dev").st_mode)), "device")
    same("v", shape(f"{b}/link"), "a link has a history")


@case("mount 2")
def directories_have_attributes_and_may_be_removed_over_history(store, b):
    os.mkdir(f"{b}/d", 0o700)
    os.setxattr(f"{b}/d", "user.x", b"y")
    settled(f"{b}/d/f")
    refuses("ENOTEMPTY", os.rmdir, f"{b}/d")
    os.unlink(f"{b}/d/f")
    os.rmdir(f"{b}/d")
    same("vM", shape_at(b, "d/f"), "history below a removed directory")
    write(f"{b}/d", b"now a file")
    same(b"now a file", read(f"{b}/d"), "the name is free")
    refuses("ENOTDIR", os.mkdir, f"{b}/d/x")
    refuses("EEXIST", os.mkdir, f"{b}/d")
    os.mkdir(f"{b}/g")
    refuses("EISDIR", os.unlink, f"{b}/g")
    refuses("ENOTDIR", os.rmdir, f"{b}/d")
    refuses("EISDIR", os.rename, f"{b}/d", f"{b}/g")
    refuses("ENOTDIR", os.rename, f"{b}/g", f"{b}/d")


if __name__ == "__main__":
    main()
