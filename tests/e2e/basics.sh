#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# First steps: init, mount, write, unmount, mount again; wrong secrets; a second mount; a killed daemon; three versions.
# Cases: mount 1-5, 40; encryption 1, 7.
. "$(dirname "$0")/../lib/holdfs.sh"

store_new
matches "init prints a recovery code of 11 groups of 5" '([0-9A-HJKMNP-TV-Z]{5}-){10}[0-9A-HJKMNP-TV-Z]{5}' "$(cat "$T/init.out")"
is "the store's directory is 0711" 711 "$(stat -c %a "$STORE")"
is "everything in it is for the owner only" "" \
    "$(find "$STORE" -mindepth 1 ! -type s ! -perm 0600 ! -perm 0700 -printf '%M %p\n')"
refused "init on a store refuses and says what is there" '.+' init --passphrase-file "$PASS" "$STORE"
mkdir "$T/full" && echo x >"$T/full/some-file"
refused "init in a directory that holds anything names it" 'some-file' init --passphrase-file "$PASS" "$T/full"
: >"$T/empty-passphrase"
refused "init refuses an empty passphrase" '.+' init --passphrase-file "$T/empty-passphrase" "$T/other"
head -c 31 /dev/zero >"$T/short-key" && chmod 600 "$T/short-key"
refused "init refuses a key file of 31 bytes" '.+' init --key-file "$T/short-key" "$T/other"
head -c 64 /dev/urandom >"$T/open-key" && chmod 644 "$T/open-key"
refused "init refuses a key file that others can read" '.+' init --key-file "$T/open-key" "$T/other"
is "a refused init leaves nothing" "" "$(ls "$T/other" 2>/dev/null)"

# 1: nothing readable at rest
store_mount
is "the mount's type is fuse.holdfs" fuse.holdfs "$(findmnt -no FSTYPE "$MNT")"
mkdir "$MNT/private-bucket"
echo "a-secret-sentence-in-a-file" >"$MNT/private-bucket/a-secret-name"
is "everything in the store is for the owner only, but the socket" "" \
    "$(find "$STORE" -mindepth 1 ! -type s ! -perm 0600 ! -perm 0700 -printf '%M %p\n')"
is "status names the daemon's pid" "$(daemon_pid)" "$("$HOLDFS" status --json "$STORE" | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')"
store_unmount
is "after umount nothing is left under the mount point" "" "$(ls "$MNT")"
is "the store's files hold neither names nor content" "" \
    "$(grep -rlaE 'a-secret-sentence|a-secret-name|private-bucket' "$STORE")"
store_mount
is "the content is there after mounting again" "a-secret-sentence-in-a-file" "$(cat "$MNT/private-bucket/a-secret-name")"
store_unmount

# 2: a wrong passphrase
echo 'wrong horse battery staple' >"$T/wrong" && chmod 600 "$T/wrong"
before=$(cd "$STORE" && find . -type f ! -name lock ! -name audit.pending -exec sha256sum {} + | sort)
refused "a wrong passphrase is refused in one sentence" 'no slot opens with this key' \
    mount -o "passphrase-file=$T/wrong" "$STORE" "$MNT"
is "it is one sentence" 1 "$("$HOLDFS" mount -o "passphrase-file=$T/wrong" "$STORE" "$MNT" 2>&1 | wc -l)"
is "nothing is mounted after it" "" "$(findmnt -no FSTYPE "$MNT")"
is "nothing in the store was changed by it" "$before" \
    "$(cd "$STORE" && find . -type f ! -name lock ! -name audit.pending -exec sha256sum {} + | sort)"
matches "but that somebody tried waits to be told (logs §3.1)" '"event":"OpenStore".*no slot opens' "$(cat "$STORE/audit.pending")"

# 3: a second mount of an open store
store_mount
mkdir "$T/mnt2"
refused "a second mount names pid and mount point of the first" "$(daemon_pid).*$MNT|$MNT.*$(daemon_pid)" \
    mount -o "passphrase-file=$PASS" "$STORE" "$T/mnt2"
is "nothing is mounted by the refused one" "" "$(findmnt -no FSTYPE "$T/mnt2")"
mkdir "$T/busy" && touch "$T/busy/file"
store_unmount
refused "a mount point that is not empty is refused" 'empty' mount -o "passphrase-file=$PASS" "$STORE" "$T/busy"
refused "a mount point that is no directory is refused" 'directory' mount -o "passphrase-file=$PASS" "$STORE" "$T/busy/file"
out=$("$HOLDFS" mount -o "passphrase-file=$PASS,no-such-option=1" "$STORE" "$MNT" 2>&1)
is "an unknown mount option is a mistake in usage" 2 $?
matches "and named" 'no-such-option' "$out"
empty=$MNT MNT=$T/busy
store_mount nonempty
is "with nonempty it is mounted over" fuse.holdfs "$(findmnt -no FSTYPE "$MNT")"
store_unmount
MNT=$empty

# 4: a killed daemon
store_mount
mkdir "$MNT/bkt"
for n in 1 2 3 4 5; do echo "closed $n" >"$MNT/bkt/f$n"; done
mkdir -p "$MNT/bkt/d/e" && mv "$MNT/bkt/f5" "$MNT/bkt/d/e/moved"
daemon_kill
store_mount
is "after kill -9 a mount works at once and what was closed is there" "closed 1 closed 2 closed 3 closed 4" \
    "$(cat "$MNT"/bkt/f[1-4] | tr '\n' ' ' | sed 's/ $//')"
is "a rename that was answered is there too" "closed 5" "$(cat "$MNT/bkt/d/e/moved")"
check "its old name is gone" test ! -e "$MNT/bkt/f5"

# 5: three versions
f=$MNT/bkt/three
echo 1 >"$f" && echo 2 >"$f" && echo 3 >"$f"
is "three writes make three versions" 3 "$(versions "$f")"
is "in order, each readable" "1 2 3" "$(for n in 1 2 3; do cat "$(version_path "$f" $n)"; done | xargs)"
is "latest is the newest" 3 "$(cat "$MNT/bkt/.versions/three/latest")"
name=$(basename "$(version_path "$f" 1)")
matches "a version's name is time and id" '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z\.[a-z2-7]{32}$' "$name"
is "the bare id opens it" 1 "$(cat "$MNT/bkt/.versions/three/${name##*.}")"
is "version-id agrees with the name" "${name##*.}" "$(xget "$(version_path "$f" 1)" s3.version-id)"
is "the version's size is its own" 2 "$(stat -c %s "$(version_path "$f" 2)")"

# 40: an empty file
touch "$MNT/bkt/empty"
is "touch makes an empty object of one version" "0 1" "$(stat -c %s "$MNT/bkt/empty") $(versions "$MNT/bkt/empty")"
touch "$MNT/bkt/empty"
is "touching it again makes none" 1 "$(versions "$MNT/bkt/empty")"
