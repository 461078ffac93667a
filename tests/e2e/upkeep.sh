#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# fsck, scrub, gc, compact, export and import by command, on a mount and on a store nothing has open; none of them touches what a
# lock protects.
# Cases: mount 28; retention A 20 (its commands of this stage).
. "$(dirname "$0")/../lib/holdfs.sh"

need python3
store_new
store_mount
B=$MNT/bkt
mkdir "$B"
lock_bucket held
json() { python3 -c 'import json, sys; print(json.load(sys.stdin)'"$1"')'; }

head -c 8000000 /dev/urandom >"$T/one"
cp "$T/one" "$B/one" && cp "$T/one" "$B/gone" && cp "$T/one" "$MNT/held/f"
xset "$MNT/held/f" s3.retention "COMPLIANCE +1d"
is "fsck finds nothing" 0 "$("$HOLDFS" fsck --json "$MNT" | json '["errors"]')"
is "scrub is clean" True "$("$HOLDFS" scrub --json "$MNT" | json '["clean"]')"

# what nothing refers to
before=$(segment_bytes)
rm "$B/gone" && rm -r "$B/.versions/gone"
check "gc" "$HOLDFS" gc "$MNT"
for i in 0 1 2 3 4 5 6; do
    dd if=/dev/urandom of="$B/one" bs=1000000 seek=$i count=1 conv=notrunc status=none
done
cp "$B/one" "$T/one.now"
for v in $(names_in "$B/.versions/one" | head -n -1); do rm "$B/.versions/one/$v"; done
check "compact" "$HOLDFS" compact "$MNT"
check "a second one has nothing to do" test 0 = "$("$HOLDFS" compact --json "$MNT" | json '["moved_bytes"]')"
check "content is as it was" cmp "$T/one.now" "$B/one"
check "segments shrank" test "$(segment_bytes)" -lt $((before + 2000000))
check "the locked version is as it was" cmp "$T/one" "$MNT/held/f"
is "scrub is clean again" True "$("$HOLDFS" scrub --json "$MNT" | json '["clean"]')"
store_unmount
is "fsck of a closed store" 0 "$("$HOLDFS" fsck --json --passphrase-file "$PASS" "$STORE" | json '["errors"]')"
check "compact of a closed store" "$HOLDFS" compact --passphrase-file "$PASS" "$STORE"
store_mount
check "and all is there" cmp "$T/one.now" "$B/one"

# export and import
mkdir "$B/d" "$B/empty" && echo a >"$B/d/a" && echo b >"$B/d/a" && ln -s a "$B/d/l" && ln "$B/d/a" "$B/h" && setfattr -n user.x -v y "$B/d/a"
touch -d '1969-12-31 23:59:58.25' "$B/d/a" && chmod 0640 "$B/d/a"
history=$(cd "$B/.versions" && find . | sort)
check "export" "$HOLDFS" export -o "$T/bkt.tar" "$B"
matches "any tar lists it" 'bkt/d/a' "$(tar tvf "$T/bkt.tar" 2>/dev/null)"
refused "import over a bucket that is there" 'exists' import -i "$T/bkt.tar" "$B"
check "import" "$HOLDFS" import -i "$T/bkt.tar" "$MNT/again"
is "the same history, ids and times" "$history" "$(cd "$MNT/again/.versions" && find . | sort)"
is "the same tree" "$(cd "$B" && find . -printf '%p %y %m %s %n %l\n' | sort)" "$(cd "$MNT/again" && find . -printf '%p %y %m %s %n %l\n' | sort)"
is "the same time" "$(stat -c '%.Y' "$B/d/a")" "$(stat -c '%.Y' "$MNT/again/d/a")"
is "the same attribute" y "$(xget "$MNT/again/d/a" x)"
check "the same content" cmp "$B/one" "$MNT/again/one"
check "export through a pipe" bash -c "'$HOLDFS' export '$MNT/held' | '$HOLDFS' import '$MNT/heldagain'"
v=$(version_path "$MNT/heldagain/f" 1)
fails "an imported lock holds" EPERM rm "$v"
refused "export --move of what is locked" 'f is locked' export --move -o "$T/held.tar" "$MNT/held"
check "leaves it" cmp "$T/one" "$MNT/held/f"
check "export --move" "$HOLDFS" export --move -o "$T/moved.tar" "$MNT/again"
check "takes the bucket away" test ! -e "$MNT/again"
check "and it comes back" "$HOLDFS" import -i "$T/moved.tar" "$MNT/again"
is "with its history" "$history" "$(cd "$MNT/again/.versions" && find . | sort)"
store_unmount

# 28: one byte of a segment
find "$STORE/segments" -name '*.seg' -size +1M | while read -r segment; do
    printf '\x55\x55' | dd of="$segment" bs=1 seek=100000 conv=notrunc status=none
done
store_mount
damaged=$("$HOLDFS" scrub --json "$MNT" | json '["findings"][0]["key"]')
bucket=$("$HOLDFS" scrub --json "$MNT" | json '["findings"][0]["bucket"]')
fails "the damaged file is EIO" EIO cat "$MNT/$bucket/$damaged"
check "others are fine" cat "$B/d/a"
matches "status names it" "$damaged" "$("$HOLDFS" status --json "$MNT")"
"$HOLDFS" fsck --repair "$MNT" >/dev/null 2>&1
check "fsck --repair keeps it" test -e "$MNT/$bucket/$damaged"
