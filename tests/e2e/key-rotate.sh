#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Keys renewed beneath what is stored: a bucket's key, the root that wraps bucket keys; in use and not.
# Cases: encryption 3, 47 (of bucket keys), §1.5.
. "$(dirname "$0")/../lib/holdfs.sh"

store_new
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
epochs() { head -1 "$STORE/store.hdr" | python3 -c 'import json, sys; print(*(e["e"] for e in json.load(sys.stdin)["epochs"]))'; }
segments() { (cd "$STORE/segments" && find . -type f -exec sha256sum {} + | sort -k2); }
rotate() { "$HOLDFS" bucket rotate-key --json "$@"; }

store_mount
mkdir "$MNT/bkt"
for n in $(seq 50); do echo "content $n" >"$MNT/bkt/f$n"; done
head -c 3000000 /dev/urandom >"$T/big" && cp "$T/big" "$MNT/bkt/big"
echo second >"$MNT/bkt/f1"
sync -f "$MNT"
before=$(segments)
is "a new key" 2 "$(rotate "$MNT/bkt" | member key_version)"
is "what was there reads" "content 2" "$(cat "$MNT/bkt/f2")"
echo new >"$MNT/bkt/new"
exec 7<>"$MNT/bkt/f3"
echo draft >&7
out=$(rotate --rewrap "$MNT/bkt")
is "rewrapped under a third" 3 "$(member key_version <<<"$out")"
is "the earlier two are destroyed" 2 "$(member destroyed <<<"$out")"
is "with a new epoch" 2 "$(epochs)"
exec 7>&-
is "a file open for writing goes on" draft "$(head -1 "$MNT/bkt/f3")"
is "no frame moved" "$(grep -c . <<<"$before")" "$(comm -12 <(sort <<<"$before") <(segments | sort) | wc -l)"
store_remount
is "all reads after a remount" "second content 2 new" "$(cat "$MNT/bkt/f1" "$MNT/bkt/f2" "$MNT/bkt/new" | xargs)"
check "the big one too" cmp "$T/big" "$MNT/bkt/big"
is "and the version before" "content 1" "$(cat "$(version_path "$MNT/bkt/f1" 1)")"
check "a root is rotated" "$HOLDFS" key rotate-root "$MNT"
is "which is an epoch" 3 "$(epochs)"
mkdir "$MNT/gone" && rmdir "$MNT/gone"
is "so is a bucket deleted" yes "$(within 5 grep -q '"e":4' "$STORE/store.hdr" && echo yes)"
refused "a bucket that is not there" 'no bucket' bucket rotate-key "$MNT/none"
store_unmount
check "of a store that is not mounted" "$HOLDFS" key rotate-root --passphrase-file "$PASS" "$STORE"
check "of a bucket too" rotate --rewrap --passphrase-file "$PASS" "$STORE/bkt"
check "fsck is content" "$HOLDFS" fsck --passphrase-file "$PASS" "$STORE"
check "scrub too" "$HOLDFS" scrub --passphrase-file "$PASS" "$STORE"
store_mount
is "all reads" "second content 2 new" "$(cat "$MNT/bkt/f1" "$MNT/bkt/f2" "$MNT/bkt/new" | xargs)"
