#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A read-only mount: every change is EROFS, everything reads, and not a byte of the store changes.
# Case: mount 33.
. "$(dirname "$0")/../lib/holdfs.sh"

store_new
store_mount
B=$MNT/bkt
mkdir -p "$B/d" && echo one >"$B/f" && echo two >"$B/f" && ln -s f "$B/link" && head -c 300000 /dev/urandom >"$B/d/big"
xset "$B" s3.bucket.object-lock Enabled && settle "$B/f"
sum=$(sha256sum <"$B/d/big")
store_unmount
state() { (cd "$STORE" && find . -type f -printf '%P %s %m %T@\n' | sort && find . -type f -exec sha256sum {} + | sort); }
before=$(state)

store_mount ro
is "files read" "two $sum" "$(cat "$B/f") $(sha256sum <"$B/d/big")"
is "versions too" one "$(cat "$(version_path "$B/f" 1)")"
is "and .at" two "$(cat "$B/.at/now/f")"
is "and attributes" true "$(xget "$B/f" s3.is-latest)"
check "status works" "$HOLDFS" status "$STORE"
v=$(version_path "$B/f" 1)
fails "create" EROFS touch "$B/new"
fails "write" EROFS bash -c "echo x >>'$B/f'"
fails "truncate" EROFS truncate -s 0 "$B/f"
fails "mkdir" EROFS mkdir "$B/new"
fails "a bucket" EROFS mkdir "$MNT/new-bucket"
fails "unlink" EROFS rm "$B/f"
fails "rmdir" EROFS rmdir "$B/d"
fails "rename" EROFS mv "$B/f" "$B/g"
fails "link" EROFS ln "$B/f" "$B/g"
fails "symlink" EROFS ln -s x "$B/g"
fails "chmod" EROFS chmod 600 "$B/f"
fails "chown" EROFS chown 1:1 "$B/f"
fails "utimens" EROFS touch -d 2001-01-01 "$B/f"
fails "setfattr user.x" EROFS setfattr -n user.x -v y "$B/f"
fails "retention" EROFS xset "$B/f" s3.retention 'COMPLIANCE +1d'
fails "a hold" EROFS xset "$B/f" s3.legal-hold ON
fails "bucket configuration" EROFS xset "$B" s3.bucket.settle 1
fails "settling" EROFS settle "$B/f"
fails "rm of a version" EROFS rm "$v"
fails "mkfifo" EROFS mkfifo "$B/fifo"
refused "restore by command" '.+' restore --at -1h "$B"
refused "a new bucket by command" '.+' bucket create "$MNT/other"
store_unmount
if [ "$before" = "$(state)" ]; then ok "the store's files are unmodified"; else bad "the store's files are unmodified" "$(diff <(echo "$before") <(state))"; fi

# also on a medium that cannot be written
if [ "$(id -u)" = 0 ] && mkdir "$T/romedium" && mount --bind "$STORE" "$T/romedium" && mount -o remount,bind,ro "$T/romedium"; then
    real=$STORE STORE=$T/romedium
    store_mount ro
    is "from a medium that is read-only" two "$(cat "$B/f")"
    store_unmount
    umount "$T/romedium"
    STORE=$real
fi
store_mount
check "writable again" bash -c "echo three >'$B/f'"
