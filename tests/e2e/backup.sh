#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# holdfs backup of a store in use and of one that is not: incremental, ciphertext only, a store itself; refusals; and the recipes
# of doc/operations.md that bring it back.
. "$(dirname "$0")/../lib/holdfs.sh"

store_new
DIR=$T/backup
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
backup() { "$HOLDFS" backup --json "$@"; }
look() { # look COMMAND... : with DIR mounted for reading at $T/look
    mkdir -p "$T/look"
    "$HOLDFS" mount -o "ro,passphrase-file=$PASS" "$DIR" "$T/look" >"$T/look.out" 2>&1 || die "the backup mounts" "$(cat "$T/look.out")"
    pgrep -n -f -- "mount.* $DIR $T/look( |\$)" >>"$T/pids"
    "$@"
    umount "$T/look"
    within 10 gone "$(tail -1 "$T/pids")"
}
files() { (cd "$DIR" && find . -type f ! -name lock ! -name backup.json -exec sha256sum {} + | sort -k2); }

store_mount
mkdir "$MNT/docs"
for n in $(seq 40); do echo "content $n of docs" >"$MNT/docs/f$n"; done
head -c 9000000 /dev/urandom >"$T/big" && cp "$T/big" "$MNT/docs/big"
echo second >"$MNT/docs/f1"
lock_bucket held && echo kept >"$MNT/held/deed" && xset "$MNT/held/deed" s3.retention "COMPLIANCE +1d"

# In use.
out=$(backup "$MNT" "$DIR")
is "all segments are copied" "$(member segments_bytes <<<"$out")" "$(member copied_bytes <<<"$out")"
is "it is a directory for its owner alone" 700 "$(stat -c %a "$DIR")"
check "it is a store: fsck" "$HOLDFS" fsck --passphrase-file "$PASS" "$DIR"
out=$(backup "$MNT" "$DIR" 2>&1)
matches "fsck opened it for writing, which a further backup says" 'used as a store since' "$out"
check "and overwrites when told to" backup --overwrite "$MNT" "$DIR"
is "its content reads" "second content 2 of docs" "$(look cat "$T/look/docs/f1" "$T/look/docs/f2" | xargs)"
is "its history too" 2 "$(look ls "$T/look/docs/.versions/f1" | wc -l)"
check "and what is big" look cmp "$T/big" "$T/look/docs/big"
matches "locks stand" COMPLIANCE "$(look xget "$T/look/held/deed" s3.retention)"
grep -rqaF -e 'content 2 of docs' -e deed -e held -e docs "$DIR" && bad "names or content are found in it" || ok "no name and no content is found in it"

matches "the trail tells of the backup" '"Backup"' "$("$HOLDFS" audit tail -n 20 --json "$MNT" 2>&1)"

# Incremental, while somebody writes.
(for n in $(seq 300); do echo "live $n" >"$MNT/docs/live$n"; done) &
writer=$!
head -c 2000000 /dev/urandom >"$T/more" && cp "$T/more" "$MNT/docs/more"
out=$(backup --verify "$MNT" "$DIR")
is "with --verify no frame is damaged" 0 "$(member damaged <<<"$out")"
less=$(member copied_bytes <<<"$out")
[ "$less" -lt 6000000 ] && ok "only what is new is copied" || bad "only what is new is copied" "$less bytes"
wait $writer
check "what was there before it reads" look cmp "$T/more" "$T/look/docs/more"
n=$(look sh -c "ls '$T/look/docs' | grep -c live")
n=$((n - 1)) # the last may have been open at that moment
for i in $(seq "$n"); do echo "live $i"; done >"$T/want"
look sh -c "cd '$T/look/docs' && cat \$(seq -f live%g 1 $n)" >"$T/got"
is "of what came meanwhile there are the first, each whole" "$(cat "$T/want")" "$(cat "$T/got")"
before=$(files)
backup "$MNT" "$DIR" >/dev/null
is "segments that were there are left alone" "$(grep segments <<<"$before")" "$(files | grep segments | comm -12 <(grep segments <<<"$before") -)"

# What collection removed goes from the backup too, with the next one.
rm "$MNT/docs/big" && for v in "$MNT"/docs/.versions/big/*; do rm "$v"; done
check "the space of a removed file is given back" "$HOLDFS" gc "$MNT"
out=$(backup "$MNT" "$DIR")
matches "also in the backup" '^[1-9]' "$(member removed_segments <<<"$out")"
check "which reads" look cmp "$T/more" "$T/look/docs/more"

# Slots and keys follow.
(umask 077 && head -c 64 /dev/urandom >"$T/key")
"$HOLDFS" key add-slot --passphrase-file "$PASS" --new-key-file "$T/key" "$STORE" >/dev/null
"$HOLDFS" key rotate-page "$MNT" >/dev/null
"$HOLDFS" bucket rotate-key --rewrap "$MNT/docs" >/dev/null
check "after keys were renewed" backup --verify "$MNT" "$DIR"
check "a new slot opens the backup" "$HOLDFS" bucket list --key-file "$T/key" "$DIR"

# Refusals.
mkdir "$T/mine" && echo mine >"$T/mine/file"
refused "a directory with something else in it" 'neither empty nor a backup' backup "$MNT" "$T/mine"
is "which stays as it was" file "$(ls "$T/mine")"
refused "a directory around the store" 'store lies inside' backup "$MNT" "$T"
refused "a directory inside the store" 'inside the store' backup "$MNT" "$STORE/copy"
[ -e "$STORE/copy" ] && bad "which is not left behind" || ok "which is not left behind"
refused "a directory in the mount" 'lies in a holdfs mount' backup "$MNT" "$MNT/docs"
refused "a bucket is no store" 'inside a store' backup "$MNT/docs" "$DIR"
"$HOLDFS" init --passphrase-file "$PASS" --scrypt-log-n 14 "$T/other" >/dev/null
refused "another store's backup" 'another store' backup --passphrase-file "$PASS" "$T/other" "$DIR"
if [ "$(id -u)" = 0 ]; then
    mkdir "$T/small" && mount -t tmpfs -o size=3m tmpfs "$T/small"
    refused "a disk that is too small" 'has room for . MiB, and .* MiB are to be copied; nothing was' backup "$MNT" "$T/small/backup"
    is "gets nothing" "" "$(find "$T/small/backup" -name '*.seg')"
    umount "$T/small"
    mkdir "$T/open" && chmod 777 "$T/open" && chown 65534 "$T/open"
    out=$(setpriv --reuid 65534 --clear-groups -- "$HOLDFS" backup "$MNT" "$T/open" 2>&1)
    is "a stranger is refused" 1 $?
fi

# Not in use; then what was lost comes back.
echo last >"$MNT/docs/last"
store_unmount
check "a store that is not in use" backup --passphrase-file "$PASS" "$STORE" "$DIR"
rm -rf "$STORE"
mkdir "$STORE" && cp -a "$DIR/." "$STORE/"
store_mount
is "the copy of the backup is the store" "last second" "$(cat "$MNT/docs/last" "$MNT/docs/f1" | xargs)"
echo on >"$MNT/docs/on"
out=$(backup --verify "$MNT" "$DIR")
is "and the backup goes on from there" 0 "$(member damaged <<<"$out")"
is "with what is new" on "$(look cat "$T/look/docs/on")"
fails "the lock holds in it" EPERM rm "$(version_path "$MNT/held/deed" 1)"
store_unmount
check "fsck is content" "$HOLDFS" fsck --passphrase-file "$PASS" "$STORE"
