#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What a thief of the store's files finds: no name, content, metadata or key; while it runs and after.
# Cases: encryption 8*, 23, 24; mount 1.
. "$(dirname "$0")/../lib/holdfs.sh"

store_new
store_mount
B=$MNT/readable-bucket
mkdir "$B" && xset "$B" s3.bucket.object-lock Enabled
mkdir "$B/readable-directory"
python3 - "$B/readable-directory" <<'PY'
import os, sys
d = sys.argv[1]
for n in range(300):
    path = f"{d}/readable-name-{n}"
    with open(path, "wb") as f:
        f.write(b"readable-small-content " * (1 + n % 5))
    os.setxattr(path, "user.readable-attribute", b"readable-attribute-value")
    os.setxattr(path, "user.s3.meta.readablemeta", b"readable-meta-value")
    os.setxattr(path, "user.s3.tagging", b"readabletag=readable-tag-value")
with open(f"{d}/readable-large", "wb") as f:
    f.write(b"readable-large-content " * 200000)
os.symlink("readable-link-target", f"{d}/readable-link")
os.setxattr(f"{d}/readable-name-1", "user.s3.legal-hold", b"ON")
for n in range(300):
    os.rename(f"{d}/readable-name-{n}", f"{d}/readable-renamed-{n}")
    if n % 3 == 0:
        os.unlink(f"{d}/readable-renamed-{n}")
fd = os.open(f"{d}/readable-draft", os.O_CREAT | os.O_WRONLY)
os.write(fd, b"readable-draft-content " * 1000)
os.fsync(fd)
PY
words=(readable correct.horse COMPLIANCE GOVERNANCE AES256 'CREATE TABLE' 'SQLite format' inode/symlink)
found() { # words found in the store's files, raw, base64 or UTF-16
    python3 - "$STORE" "$PASS" "$@" <<'PY'
import base64, os, re, sys
store, secret = sys.argv[1], open(sys.argv[2], "rb").read().strip()
words = [w.encode() for w in sys.argv[3:]]
for directory, _, names in os.walk(store):
    for name in names:
        path = os.path.join(directory, name)
        if not os.path.isfile(path):
            continue
        data = open(path, "rb").read()
        for w in words:
            if re.search(w, data, re.I) and not (name == "holdfs.conf" and w == b"AES256"):
                print(os.path.relpath(path, store), w.decode())
        for form in (secret, secret.hex().encode(), base64.b64encode(secret).strip(b"="), b"r\0e\0a\0d\0a\0b\0l\0e"):
            if form in data:
                print(os.path.relpath(path, store), "secret or UTF-16", form[:20])
        if any(w in name.encode() for w in words):
            print("name of", path)
PY
}
is "nothing readable in the files of the running store" "" "$(found "${words[@]}")"
is "no -shm and no -journal file" "" "$(find "$STORE" -name '*-shm' -o -name '*-journal')"
is "no name of a bucket or key in a file's name" "" "$(find "$STORE" | grep -F "${STORE}/" | sed "s|^$STORE||" | grep readable)"
store_unmount
is "nothing after unmounting" "" "$(found "${words[@]}")"
store_mount
daemon_kill
is "nothing after kill -9" "" "$(found "${words[@]}")"

# no swap file, core dump or temporary file of the daemon tells it either
store_mount
pid=$(daemon_pid)
if [ "$(id -u)" = 0 ]; then
    is "the daemon is not dumpable" "0" "$(stat -c %u "/proc/$pid/mem")"
    is "it has no open file outside the store with content" "" "$(find "/proc/$pid/fd" -lname '/tmp/*' ! -lname "$STORE*" -printf '%l\n' | grep -v -e "$T" -e '^/dev')"
fi
is "the passphrase is in no argument or environment of it" "" "$(tr '\0' '\n' <"/proc/$pid/cmdline" | grep horse; tr '\0' '\n' <"/proc/$pid/environ" | grep horse)"

# 24: the same row again and again
B=$MNT/again
mkdir "$B" && echo x >"$B/f"
for n in $(seq 1000); do echo "$n"; done | python3 -c '
import os, sys
for line in sys.stdin: os.setxattr(sys.argv[1], "user.same", b"the same value every time")' "$B/f"
is "no 16-byte block occurs twice in the WAL" "" "$(python3 - "$STORE" <<'PY'
import glob, sys
seen = {}
for path in glob.glob(sys.argv[1] + "/meta.db*"):
    data = open(path, "rb").read()
    for at in range(0, len(data) - 15, 16):
        block = data[at:at + 16]
        if block != bytes(16) and block in seen:
            print(path, at, seen[block])
            sys.exit()
        seen[block] = (path, at)
PY
)"
