#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Metadata put back to an earlier state, or cut at its end: found at the next mount, opened only on demand, and then without losing
# what it does not know. Cases: encryption 22; retention attempt 23.
. "$(dirname "$0")/../lib/holdfs.sh"
need_root "a version is removed by its owner and nobody else"

store_new
keep() { mkdir -p "$T/$1" && rm -f "$T/$1"/* && cp -p "$STORE"/meta.* "$T/$1/"; }
put_back() { rm -f "$STORE"/meta.* && cp -p "$T/$1"/meta.* "$STORE/"; }
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
mount_it() { mount_with "$@" || die "it mounts" "$(cat "$T/mount.out")"; }
mount_with() { # mount_with ARGUMENT... : exit status of the mount
    "$HOLDFS" mount "$@" --passphrase-file "$PASS" "$STORE" "$MNT" >"$T/mount.out" 2>&1 && pgrep -n -f -- "mount.* $STORE $MNT( |\$)" >>"$T/pids"
}
segments() { (cd "$STORE/segments" && find . -type f -size +0 -exec sha256sum {} + | sort -k2); }

store_mount
lock_bucket held
echo early >"$MNT/held/early"
settle "$MNT/held/early"
store_unmount
keep before
store_mount
head -c 3000000 /dev/urandom >"$T/deed" && cp "$T/deed" "$MNT/held/deed"
xset "$MNT/held/deed" s3.retention "COMPLIANCE +1y"
xset "$MNT/held/early" s3.retention "COMPLIANCE +1y"
store_unmount
keep after
before=$(segments)

# Retention, attempt 23.
put_back before
refused "23 the mount of earlier metadata is refused" 'is older than it was: it stands at commit [0-9]+, and had reached [0-9]+' \
    mount --passphrase-file "$PASS" "$STORE" "$MNT"
refused "also for reading only" 'is older than it was' mount -o ro --passphrase-file "$PASS" "$STORE" "$MNT"
refused "and by any command" '--accept-rollback' bucket list --passphrase-file "$PASS" "$STORE"
mount_it --accept-rollback
matches "the mount says what it accepted" 'segments [0-9]+ to [0-9]+ are kept for good' "$(cat "$T/mount.out")"
is "it shows the earlier state" "early" "$(ls "$MNT/held")"
matches "status goes on saying it" 'kept for good' "$("$HOLDFS" status --json "$MNT")"
matches "22 the trail tells it" AcceptRollback "$("$HOLDFS" audit tail -n 20 --json "$MNT" 2>&1)"
check "and is unbroken" "$HOLDFS" audit verify "$MNT"
echo more >"$MNT/held/more"
check "gc runs" "$HOLDFS" gc "$MNT"
check "compact runs" "$HOLDFS" compact "$MNT"
is "23 but the segments it does not know are all there" "$before" "$(comm -12 <(echo "$before") <(segments))"
store_unmount
check "the next mount asks no more" mount_with
store_unmount
put_back after
check "23 with the right files back it mounts, accepted as the other state was" mount_with --accept-rollback
check "the locked version is as it was" cmp "$T/deed" "$MNT/held/deed"
fails "23 and is locked" EPERM rm "$(version_path "$MNT/held/deed" 1)"
store_unmount

# Encryption 22: the last transactions cut from the log, after the anchor was written. What is written last is in the log until the
# end; a killed daemon leaves it there.
store_mount
echo one >"$MNT/held/one"
store_unmount
store_mount
wal() { stat -c %s "$STORE/meta.db-wal"; }
cp -p "$STORE/anchor" "$T/anchor.then"
cut_at=$(wal)
for n in $(seq 20); do echo "$n" >"$MNT/held/late$n"; done
sync -f "$MNT"
within 75 test "$STORE/anchor" -nt "$T/anchor.then" || bad "the anchor is renewed within a minute and a bit"
sleep 1.1 # for a whole tick behind it
daemon_kill
truncate -s "$cut_at" "$STORE/meta.db-wal"
refused "22 the end cut from the log is noticed" 'is older than it was' mount --passphrase-file "$PASS" "$STORE" "$MNT"
check "22 and accepted on demand" mount_with --accept-rollback
is "which is a state of before" "" "$(names_in "$MNT/held" | grep late20)"
store_unmount

keep now && put_back before
refused "serve refuses earlier metadata, too" 'is older than it was' serve -f --http 127.0.0.1:0 --passphrase-file "$PASS" "$STORE"
refused "and what is below --min-seq" 'is older than it was' serve -f --http 127.0.0.1:0 --min-seq 99999999 --passphrase-file "$PASS" "$STORE"
put_back now

seq=$("$HOLDFS" status --json --passphrase-file "$PASS" "$STORE" | member commit_seq)
# Off-host: an anchor that was noted elsewhere.
refused "--min-seq refuses less" 'min-seq asks for 99999999' mount --min-seq 99999999 --passphrase-file "$PASS" "$STORE" "$MNT"
check "and lets more pass" mount_with --min-seq "$seq"
store_unmount
check "also as a mount option" mount_with -o min-seq=5
store_unmount
"$HOLDFS" mount --min-seq five --passphrase-file "$PASS" "$STORE" "$MNT" >/dev/null 2>&1
is "which takes a number" 2 $?

# The file itself.
mv "$STORE/anchor" "$T/anchor"
refused "a missing anchor is noticed" 'is missing' mount --passphrase-file "$PASS" "$STORE" "$MNT"
printf 'x%.0s' $(seq 56) >"$STORE/anchor"
refused "an altered one too" 'has been altered' mount --passphrase-file "$PASS" "$STORE" "$MNT"
check "and made anew on demand" mount_with --accept-rollback
store_unmount
check "for good" mount_with
store_unmount
daemon_seq=$("$HOLDFS" status --json --passphrase-file "$PASS" "$STORE" | member commit_seq)
[ "$daemon_seq" -ge 5 ] && ok "status tells the number to note" || bad "status tells the number to note" "$daemon_seq"
chown 65534 "$STORE"/* && chown -R 65534 "$STORE" && chmod 755 "$T" && chown 65534 "$PASS"
put_back before
chown -R 65534 "$STORE"
out=$(setpriv --reuid 65534 --clear-groups -- "$HOLDFS" mount --accept-rollback --passphrase-file "$PASS" "$STORE" "$MNT" 2>&1)
matches "one who is not the owner may not accept it" 'only the store.s owner' "$out"
