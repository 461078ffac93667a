#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A restic repository on the mount: init, backups, check, forget and prune, restore.
# Case: mount 13.
. "$(dirname "$0")/../lib/holdfs.sh"
need restic

store_new
store_mount
mkdir "$MNT/backup"
export RESTIC_REPOSITORY=$MNT/backup/repo RESTIC_PASSWORD=secret RESTIC_CACHE_DIR=$T/cache RESTIC_PROGRESS_FPS=0
mkdir -p "$T/src/d" && head -c 8000000 /dev/urandom >"$T/src/big"
for n in $(seq 200); do echo "file $n" >"$T/src/d/$n"; done
ln -s big "$T/src/link"

check "init" restic init -q
check "a first backup" restic backup -q "$T/src"
echo changed >"$T/src/d/7" && head -c 1000000 /dev/urandom >"$T/src/new"
check "a second" restic backup -q "$T/src"
is "two snapshots" 2 "$(restic snapshots --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')"
check "check --read-data" restic check -q --read-data
check "forget and prune" restic forget -q --keep-last 1 --prune
store_remount
check "check after a remount" restic check -q --read-data
check "restore" restic restore -q latest --target "$T/restored"
check "the restored tree is the source" diff -r --no-dereference "$T/src" "$T/restored$T/src"
check "a restore onto the mount" restic restore -q latest --target "$MNT/backup/restored"
check "is the source too" diff -r --no-dereference "$T/src" "$MNT/backup/restored$T/src"
