#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# git on the mount: init, commits, clone, gc, fsck; the history of the bucket holds none of its temporary names.
# Cases: mount 11; retention 21*.
. "$(dirname "$0")/../lib/holdfs.sh"
need git

export GIT_CONFIG_GLOBAL=$T/gitconfig GIT_CONFIG_NOSYSTEM=1 HOME=$T
git config --global user.name Tester && git config --global user.email tester@example.com
git config --global init.defaultBranch main && git config --global safe.directory '*' && git config --global gc.autoDetach false

store_new
store_mount
B=$MNT/bkt
mkdir "$B"

check "init" git init -q "$B/repo"
cd "$B/repo" || exit 1
for round in 1 2 3; do
    mkdir -p src/lib
    for n in $(seq 30); do echo "round $round file $n" >"src/f$n"; done
    head -c 100000 /dev/urandom >src/lib/blob
    git add -A && git commit -qm "round $round" || bad "commit $round"
done
is "three commits" 3 "$(git rev-list --count HEAD)"
is "the work tree is clean" "" "$(git status --porcelain)"
is "no temporary object has a history" "" "$(find "$B/.versions/repo" -name 'tmp_obj*' -o -name '*.lock')"
check "fsck" git fsck --strict
check "branch, merge" bash -c "git checkout -qb side && echo side >side && git add side && git commit -qm side && git checkout -q main && git merge -q --no-ff -m merge side"
check "clone on the mount" git clone -q "$B/repo" "$B/clone"
check "clone without shared files" git clone -q --no-local "$B/repo" "$B/clone2"
check "gc" git -C "$B/clone2" gc -q --prune=now
check "repack" git -C "$B/clone2" repack -qad
check "fsck of the clone" git -C "$B/clone2" fsck --strict
check "push back" bash -c "cd '$B/clone2' && echo pushed >pushed && git add pushed && git commit -qm pushed && git push -q origin main:pushed"
check "worktree and stash" bash -c "git worktree add -q '$B/tree' side && echo dirty >>src/f1 && git stash -q && git stash pop -q"
cd /
store_remount
check "all of it is sound after a remount" bash -c "git -C '$B/repo' fsck --strict && git -C '$B/clone' fsck --strict && git -C '$B/clone2' fsck --strict"
is "with the same history" "$(git -C "$B/repo" rev-parse main~1)" "$(git -C "$B/clone" rev-parse main~1)"
daemon_kill
store_mount
check "and after kill -9" bash -c "git -C '$B/repo' fsck --strict && git -C '$B/clone2' fsck --strict"
