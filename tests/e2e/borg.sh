#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A borg repository on the mount: init, create, check, prune, compact, extract.
# Case: mount 13.
. "$(dirname "$0")/../lib/holdfs.sh"
need borg

store_new
store_mount
mkdir "$MNT/backup"
export BORG_REPO=$MNT/backup/repo BORG_PASSPHRASE=secret BORG_BASE_DIR=$T/borg BORG_RELOCATED_REPO_ACCESS_IS_OK=yes
mkdir -p "$T/src/d" && head -c 8000000 /dev/urandom >"$T/src/big"
for n in $(seq 200); do echo "file $n" >"$T/src/d/$n"; done
ln -s big "$T/src/link"

check "init" borg init -e repokey-blake2
check "a first archive" bash -c "cd '$T' && borg create ::one src"
echo changed >"$T/src/d/7" && head -c 1000000 /dev/urandom >"$T/src/new"
check "a second" bash -c "cd '$T' && borg create ::two src"
check "check --verify-data" borg check --verify-data
check "delete and compact" bash -c "borg delete ::one && borg compact"
store_remount
check "check after a remount" borg check --verify-data
mkdir "$T/out" "$MNT/backup/out"
check "extract" bash -c "cd '$T/out' && borg extract ::two"
check "the extracted tree is the source" diff -r --no-dereference "$T/src" "$T/out/src"
check "extract onto the mount" bash -c "cd '$MNT/backup/out' && borg extract ::two"
check "is the source too" diff -r --no-dereference "$T/src" "$MNT/backup/out/src"
