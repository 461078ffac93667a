#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# One bucket as the root of the mount.
# Case: mount 39.
. "$(dirname "$0")/../lib/holdfs.sh"

store_new
store_mount
mkdir "$MNT/one" "$MNT/two"
mkdir "$MNT/one/d" && echo one >"$MNT/one/d/f" && echo two >"$MNT/two/f"
ino=$(stat -c %i "$MNT/one/d/f")
store_remount bucket=one
is "the bucket is the root" d "$(ls "$MNT")"
is "its files are there" one "$(cat "$MNT/d/f")"
is "with their inode numbers" "$ino" "$(stat -c %i "$MNT/d/f")"
check "writing" bash -c "echo more >'$MNT/g' && mkdir '$MNT/UPPER_case is a directory' && mv '$MNT/g' '$MNT/UPPER_case is a directory/g'"
is "history" 1 "$(versions "$MNT/d/f")"
is ".at" one "$(cat "$MNT/.at/now/d/f")"
matches "the root has the bucket's attributes" Enabled "$(xget "$MNT" s3.bucket.versioning)"
check "mv within" mv "$MNT/d" "$MNT/e"
fails "nothing leaves it" ENOENT cat "$MNT/../two/f"
check "commands find the path" "$HOLDFS" versions "$MNT/e/f"
store_remount ""
is "the whole mount shows what was done" "one more" "$(cat "$MNT/one/e/f" "$MNT/one/UPPER_case is a directory/g" | xargs)"
store_unmount
refused "a bucket that is not there is named" nosuch mount -o "passphrase-file=$PASS,bucket=nosuch" "$STORE" "$MNT"
is "and nothing is mounted" "" "$(findmnt -no FSTYPE "$MNT")"
