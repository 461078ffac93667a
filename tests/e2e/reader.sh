#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# contrib/holdfs-read, written from doc/on-disk-format.md and from nothing else, reads what holdfs wrote: pages, write-ahead log,
# records, extents, frames, also after kill -9 and after compaction.
# Cases: encryption 1, 12-15 (formats).
. "$(dirname "$0")/../lib/holdfs.sh"

need python3
python3 -c 'import cryptography, sqlite3; assert hasattr(sqlite3.Connection, "deserialize")' 2>/dev/null ||
    skip "python3 has no cryptography, or is older than 3.11"
READER=$TESTS_DIR/../contrib/holdfs-read
reader() { python3 "$READER" --passphrase-file "$PASS" "$STORE" "$@"; }

store_new
store_mount
B=$MNT/bkt
mkdir "$B" "$B/d"
head -c 3000000 /dev/urandom >"$T/big" && cp "$T/big" "$B/d/big"
printf 'patched' | tee >(dd of="$T/big" bs=1 seek=1234567 conv=notrunc status=none) |
    dd of="$B/d/big" bs=1 seek=1234567 conv=notrunc status=none
printf tiny >"$B/tiny"
: >"$B/empty"
truncate -s 20M "$B/sparse" && printf end >>"$B/sparse"
ln -s tiny "$B/link"
ln "$B/tiny" "$B/hard"
xset "$B" s3.bucket.compression zstd
seq 1 300000 >"$T/text" && cp "$T/text" "$B/text"
printf 'first' >"$B/twice" && printf 'second' >"$B/twice"
id=$(basename "$(version_path "$B/twice" 1)" | cut -d. -f3)
rm "$B/twice"
odd=$'o\xc3\xbad name'
printf x >"$B/$odd"
sleep 0.1

# the log holds most of it: the daemon is killed, nothing is checkpointed
cp "$B/sparse" "$T/sparse"
daemon_kill
reads() { # reads SENTENCE KEY FILE
    if reader "bkt/$2" | cmp -s - "$3"; then ok "$1"; else bad "$1" "$(reader "bkt/$2" 2>&1 >/dev/null | head -3)"; fi
}
look() {
    reads "$1: a large file" d/big "$T/big"
    reads "$1: a compressed one" text "$T/text"
    reads "$1: a sparse one" sparse "$T/sparse"
    is "$1: content in the row" tiny "$(reader bkt/tiny)"
    is "$1: a further name" tiny "$(reader bkt/hard)"
    is "$1: a symbolic link" tiny "$(reader bkt/link)"
    is "$1: an empty file" "" "$(reader bkt/empty)"
    is "$1: an odd name" x "$(reader "bkt/$odd")"
    is "$1: an old version by its id" first "$(reader bkt/twice "$id")"
    matches "$1: what is deleted" 'is deleted' "$(reader bkt/twice 2>&1)"
    matches "$1: every frame opens" ' 0 damaged' "$(reader --check 2>&1)"
}
look "after kill -9"

store_mount
is "holdfs sees the same versions" "$("$HOLDFS" status --json "$MNT" | python3 -c '
import json, sys
s = json.load(sys.stdin)
print(s["versions"] + s["markers"])')" "$(reader | wc -l)"
rm "$B/d/big" && printf x >"$B/d/big2"
check "gc" "$HOLDFS" gc "$MNT"
check "compact" "$HOLDFS" compact "$MNT"
check "the big one comes back" rm "$(version_path "$B/d/big" 3)"
store_unmount
look "after a clean stop"

# what was changed is noticed by the reader too
segment=$(find "$STORE/segments" -name '*.seg' -size +100k | sort | head -1)
printf '\x55' | dd of="$segment" bs=1 seek=70000 conv=notrunc status=none
matches "a flipped byte is found" ' [1-9][0-9]* damaged' "$(reader --check 2>&1)"
size=$(stat -c %s "$STORE/meta.db")
printf '\x55' | dd of="$STORE/meta.db" bs=1 seek=$((size - 5000)) conv=notrunc status=none
matches "and a flipped byte in a page" 'does not open' "$(reader 2>&1)"
