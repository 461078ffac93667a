#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Inode numbers: stable over remounts and renames, unique, and of use for opening by handle.
# Case: mount 37.
. "$(dirname "$0")/../lib/holdfs.sh"

store_new
store_mount
B=$MNT/bkt
mkdir -p "$B/d/e" && for n in $(seq 50); do echo "$n" >"$B/d/f$n"; done
ln "$B/d/f1" "$B/d/e/link" && ln -s x "$B/soft" && mkfifo "$B/fifo"
numbers() { (cd "$MNT" && find . -printf '%i %p\n' | sort -k2); }
before=$(numbers)
is "no number twice but for the hard link" "$(find "$MNT" | wc -l)" "$(($(find "$MNT" -printf '%i\n' | sort -u | wc -l) + 1))"
store_remount
is "the same after a remount" "$before" "$(numbers)"
daemon_kill
store_mount
is "the same after kill -9" "$before" "$(numbers)"
ino=$(stat -c %i "$B/d/f7") dir=$(stat -c %i "$B/d/e")
echo changed >"$B/d/f7"
is "a new version keeps the number" "$ino" "$(stat -c %i "$B/d/f7")"
mv "$B/d/f7" "$B/moved" && mv "$B/d/e" "$B/e2"
is "a rename keeps it" "$ino $dir" "$(stat -c %i "$B/moved" "$B/e2" | xargs)"
store_remount
is "also over a remount" "$ino $dir" "$(stat -c %i "$B/moved" "$B/e2" | xargs)"
is "readdir and stat agree" "" "$(python3 - "$B" <<'PY'
import os, sys
for directory, dirs, names in os.walk(sys.argv[1]):
    with os.scandir(directory) as it:
        for e in it:
            if e.inode() != os.lstat(e.path).st_ino:
                print(e.path, e.inode(), os.lstat(e.path).st_ino)
PY
)"
rm "$B/moved" && echo new >"$B/moved"
check "a file made in the place of a removed one has another number or generation" test "$(stat -c %i "$B/moved")" != "$ino"

if [ "$(id -u)" = 0 ]; then
    handles() { # name_to_handle_at, then (for open) open_by_handle_at after a remount
        python3 - "$@" <<'PY'
import ctypes, os, pickle, sys
libc = ctypes.CDLL(None, use_errno=True)
class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]
mode, store, mount, path = sys.argv[1:]
if mode == "make":
    h, mnt = Handle(bytes=128), ctypes.c_int()
    if libc.name_to_handle_at(-100, path.encode(), ctypes.byref(h), ctypes.byref(mnt), 0):
        sys.exit(os.strerror(ctypes.get_errno()))
    pickle.dump((h.bytes, h.type, bytes(h.data)), open(store, "wb"))
else:
    size, kind, data = pickle.load(open(store, "rb"))
    h = Handle(bytes=size, type=kind, data=(ctypes.c_ubyte * 128)(*data))
    m = os.open(mount, os.O_RDONLY)
    fd = libc.open_by_handle_at(m, ctypes.byref(h), os.O_RDONLY)
    if fd < 0:
        sys.exit(os.strerror(ctypes.get_errno()))
    print(os.read(fd, 100).decode().strip())
PY
    }
    check "a handle is given out" handles make "$T/handle" "$MNT" "$B/d/f9"
    is "and opens the file" 9 "$(handles open "$T/handle" "$MNT" x)"
    store_remount
    is "also after a remount, before any look-up" 9 "$(handles open "$T/handle" "$MNT" x)"
    mv "$B/d/f9" "$B/elsewhere"
    is "also after a rename" 9 "$(handles open "$T/handle" "$MNT" x)"
    rm "$B/elsewhere"
    store_remount
    matches "a removed file's handle is stale" 'Stale file handle' "$(handles open "$T/handle" "$MNT" x 2>&1)"
fi
