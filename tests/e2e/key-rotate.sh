#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Keys renewed beneath what is stored: a bucket's key, the root that wraps bucket keys, the page key, the master key; in use and not.
# Cases: encryption 3, 9, 47 (of bucket keys), §1.5.
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

# The page key, in use.
generation() { head -1 "$STORE/store.hdr" | python3 -c 'import json, sys; print(json.load(sys.stdin)["page_gen"])'; }
all_reads() { echo "$(cat "$MNT/bkt/f1" "$MNT/bkt/f2" "$MNT/bkt/new" | xargs)"; }
(for n in $(seq 200); do echo "during $n" >"$MNT/bkt/d$n"; done) &
writer=$!
is "a new page key" 2 "$("$HOLDFS" key rotate-page --json "$MNT" | member page_generation)"
is "and another" 3 "$("$HOLDFS" key rotate-page --json "$MNT" | member page_generation)"
wait $writer
is "which the header names" 3 "$(generation)"
is "what was written meanwhile is there" "during 1 during 200" "$(cat "$MNT/bkt/d1" "$MNT/bkt/d200" | xargs)"
is "nothing is left beside" "" "$(cd "$STORE" && ls -d meta-* 2>/dev/null)"
daemon_kill
store_mount
is "after a kill all reads" "second content 2 new" "$(all_reads)"
is "what was written meanwhile too" "during 200" "$(cat "$MNT/bkt/d200")"
refused "a new master key needs a store that is not in use" 'unmount it' key rotate-master --passphrase-file "$PASS" "$MNT"
store_unmount

# The master key.
(umask 077 && head -c 64 /dev/urandom >"$T/key" && head -c 64 /dev/urandom >"$T/key2" && head -c 64 /dev/urandom >"$T/key3")
"$HOLDFS" key add-slot --passphrase-file "$PASS" --new-key-file "$T/key" "$STORE" >/dev/null
"$HOLDFS" key add-slot --passphrase-file "$PASS" --new-key-file "$T/key2" "$STORE" >/dev/null
cp -a "$STORE" "$T/copy"
refused "slots without a secret are not dropped unasked" 'would be dropped.*: 2, 3;' key rotate-master --passphrase-file "$PASS" "$STORE"
refused "a key file that opens nothing is refused" 'no slot opens' key rotate-master --passphrase-file "$PASS" --keep-key-file "$T/key3" "$STORE"
out=$("$HOLDFS" key rotate-master --json --passphrase-file "$PASS" --keep-key-file "$T/key" --drop-others "$STORE")
is "one slot is dropped" '[3]' "$(member dropped <<<"$out")"
matches "a new recovery code is told" '([0-9A-HJKMNP-TV-Z]{5}-){10}' "$(member recovery_code <<<"$out")"
check "the kept key file opens" "$HOLDFS" bucket list --key-file "$T/key" "$STORE"
refused "the dropped one does not" 'no slot opens' bucket list --key-file "$T/key2" "$STORE"
mkdir "$T/keep-hdr" && cp "$STORE"/store.hdr* "$T/keep-hdr/"
cp "$T/copy"/store.hdr* "$STORE/"
refused "with the old header the old master key opens nothing" '.+' bucket list --passphrase-file "$PASS" "$STORE"
cp "$T/keep-hdr"/store.hdr* "$STORE/"
store_mount
is "all reads under the new one" "second content 2 new" "$(all_reads)"
check "the big one too" cmp "$T/big" "$MNT/bkt/big"
store_unmount
check "fsck is content" "$HOLDFS" fsck --passphrase-file "$PASS" "$STORE"
