#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# rsync to and from the mount: a second run transfers nothing, histories hold no temporary names.
# Cases: mount 9; retention 17*.
. "$(dirname "$0")/../lib/holdfs.sh"
need rsync setfattr setfacl

store_new
store_mount
B=$MNT/bkt
mkdir "$B"

src=$T/src
mkdir -p "$src/d/e" "$src/empty"
for n in $(seq 100); do echo "first $n" >"$src/d/f$n"; done
head -c 3000000 /dev/urandom >"$src/big"
truncate -s 50M "$src/sparse" && echo end >>"$src/sparse"
ln "$src/d/f1" "$src/hardlink" && ln -s d/f2 "$src/symlink" && mkfifo "$src/fifo"
touch -d '1931-05-06 07:08:09.123456789Z' "$src/d/f3" && touch -d '2106-02-08 00:00:00.5Z' "$src/d/f4" && chmod 4751 "$src/d/f5"
setfattr -n user.note -v hello "$src/d/f6" && setfacl -m u:123:rw "$src/d/f7" && setfacl -d -m g:45:rx "$src/d/e"
[ "$(id -u)" != 0 ] || chown 1001:1002 "$src/d/f8"

check "rsync -aHAXS to the mount" rsync -aHAXS "$src/" "$B/t/"
is "a second run transfers nothing" "" "$(rsync -aHAXSi "$src/" "$B/t/")"
is "by checksum neither" "" "$(rsync -aHAXSic "$src/" "$B/t/")"
store_remount
is "nor after a remount" "" "$(rsync -aHAXSi "$src/" "$B/t/")"
check "back again" rsync -aHAXS "$B/t/" "$T/back/"
is "nothing was lost on the way" "" "$(rsync -aHAXSic "$src/" "$T/back/")"
is "hard links are links" "$(stat -c %i "$B/t/d/f1")" "$(stat -c %i "$B/t/hardlink")"

# 100 changed files
settle "$B"/t/d/f*
for n in $(seq 100); do echo "second $n, longer" >"$src/d/f$n"; done
rm "$src/hardlink" && rm "$B/t/hardlink"
check "rsync of 100 changed files" rsync -aAX "$src/" "$B/t/"
wrong=""
for n in $(seq 2 100); do
    [ "$(versions "$B/t/d/f$n")" = 2 ] || wrong+=" f$n"
done
is "each has one version more" "" "$wrong"
is "no temporary name has a history" "" "$(names_in "$B/.versions/t/d" | grep '^\.f')"
is "the old content is there" "first 42" "$(cat "$(version_path "$B/t/d/f42" 1)")"

# in place, and deleting
for n in $(seq 50); do echo "third $n" >"$src/d/f$n"; done
settle "$B"/t/d/f*
check "rsync --inplace" rsync -aAX --inplace "$src/" "$B/t/"
is "adds one version too" 3 "$(versions "$B/t/d/f20")"
rm "$src"/d/f{10,11,12}
check "rsync --delete" rsync -aAX --delete "$src/" "$B/t/"
check "removes the names" test ! -e "$B/t/d/f10"
is "and keeps the history" "third 10" "$(cat "$(version_path "$B/t/d/f10" 3)")"
is "the trees are equal" "" "$(rsync -aHAXSic --delete "$src/" "$B/t/")"
