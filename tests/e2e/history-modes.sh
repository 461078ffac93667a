#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What only its owner could list shows to nobody else in .versions and .at either, also when it is there no more.
# Rules: mount sections 4 and 7.
. "$(dirname "$0")/../lib/holdfs.sh"
need setpriv
need_root "acts as several users"

store_new
store_mount allow_other,uid-map=3001:root/3002:root
B=$MNT/bkt
chmod 755 "$T" && mkdir "$B" && chmod 777 "$B"
as() { setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"; }
now() { date -u +%Y-%m-%dT%H:%M:%S.%NZ; }
make() { # make DIRECTORY MODE : of 3001, with a file and a directory in it, settled
    as 3001 bash -c 'mkdir "$1" && chmod "$2" "$1" && mkdir "$1/sub" && echo secret >"$1/f" && echo secret >"$1/sub/f"' - "$B/$1" "$2"
    settle "$B/$1/f" "$B/$1/sub/f"
}

make private 700 && make open 755
t=$(now)
fails "alive, others are kept out" EACCES as 3002 ls "$B/private"
fails "and of its history" EACCES as 3002 ls "$B/.versions/private"
fails "and of its past" EACCES as 3002 ls "$B/.at/$t/private"
as 3001 rm -r "$B/private" "$B/open"
for place in ".versions/private" ".versions/private/f" ".versions/private/sub" ".at/$t/private" ".at/$t/private/sub"; do
    fails "removed, others are kept out of $place" EACCES as 3002 ls "$B/$place"
    check "its owner is not" as 3001 ls "$B/$place"
done
fails "in the mount's root too" EACCES as 3002 ls "$MNT/.at/$t/bkt/private"
is "what it holds reads as it was" secret "$(as 3001 cat "$B/.at/$t/private/sub/f")"
is "what all could list all can list" "f sub" "$(as 3002 ls "$B/.versions/open" | sort | xargs)"
is "and read" secret "$(as 3002 cat "$B/.at/$t/open/sub/f")"
store_remount
fails "the same after a remount" EACCES as 3002 ls "$B/.versions/private"
check "for its owner as well" as 3001 ls "$B/.versions/private"

# a rename leaves history behind
make moved 700
as 3001 mv "$B/moved" "$B/new-name"
fails "of a renamed one the history at the old name" EACCES as 3002 ls "$B/.versions/moved"
check "its owner lists" as 3001 ls "$B/.versions/moved"

# somebody else's directory of the same name opens nothing
as 3002 mkdir "$B/private" && as 3002 chmod 777 "$B/private"
fails "another's directory in its place does not open it" EACCES as 3002 ls "$B/.versions/private"
as 3002 touch "$B/private/mine" && settle "$B/private/mine" && as 3002 rm -r "$B/private"
fails "nor does its removal" EACCES as 3002 ls "$B/.versions/private"
check "the bucket's owner lists both" ls "$B/.versions/private"

# where no history is left the name is as any other
rm -rf "$B/.versions/private" "$B/.versions/moved"
as 3002 mkdir "$B/private" && as 3002 chmod 755 "$B/private" && as 3002 touch "$B/private/f" && settle "$B/private/f"
check "with the history gone a new one is its maker's" as 3002 ls "$B/.versions/private"
