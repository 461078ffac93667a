#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# holdfs fsck --rebuild: metadata damaged a little or wholly, and what comes back from the newest checkpoint and from what can
# still be read.
. "$(dirname "$0")/../lib/holdfs.sh"

store_new
member() { python3 -c 'import json, sys
v = json.load(sys.stdin)
for name in sys.argv[1].split("."): v = v[name]
print(v)' "$1"; }
rebuild() { "$HOLDFS" fsck --rebuild --json --passphrase-file "$PASS" "$STORE" 2>"$T/rebuild.err"; }
page_size() { head -1 "$STORE/store.hdr" | python3 -c 'import json, sys; print(json.load(sys.stdin)["page_size"])'; }
damage() { # damage PAGE... : bytes of these pages of meta.db are changed
    python3 - "$STORE/meta.db" "$(page_size)" "$@" <<'PY'
import os, sys
path, size = sys.argv[1], int(sys.argv[2])
with open(path, "r+b") as f:
    pages = os.path.getsize(path) // size
    for page in sys.argv[3:]:
        n = int(page)
        f.seek(((n if n > 0 else pages + n) - 1) * size + 100)
        f.write(b"damage")
PY
}
all_damaged() { damage $(seq 2 $(($(stat -c %s "$STORE/meta.db") / $(page_size)))); }

refused "a store without a checkpoint says so" 'sound: there is nothing to rebuild' fsck --rebuild --passphrase-file "$PASS" "$STORE"
cp -a "$STORE" "$T/none"
dd if=/dev/zero of="$T/none/meta.db" bs=4096 seek=1 count=6 conv=notrunc status=none
refused "and where it is damaged, what helps" 'no sound checkpoint.*backup' fsck --rebuild --passphrase-file "$PASS" "$T/none"

store_mount
lock_bucket held
mkdir "$MNT/docs" "$MNT/docs/dir"
for n in $(seq 200); do echo "content $n" >"$MNT/docs/f$n"; done
head -c 2000000 /dev/urandom >"$T/big" && cp "$T/big" "$MNT/docs/dir/big"
head -c 2000000 /dev/urandom >"$T/moved" && cp "$T/moved" "$MNT/docs/moved"
head -c 20000000 /dev/urandom >"$MNT/docs/gone"
echo deed >"$MNT/held/deed" && xset "$MNT/held/deed" s3.retention "COMPLIANCE +1y"
cp "$T/moved" "$MNT/held/later"
refused "not while it is in use" 'is in use' fsck --rebuild --passphrase-file "$PASS" "$STORE"
check "a checkpoint is made" "$HOLDFS" fsck --checkpoint "$MNT"
for n in 1 2; do
    echo "$n" >"$MNT/docs/since-first"
    "$HOLDFS" fsck --checkpoint "$MNT" >/dev/null
done
is "two are kept" 2 "$(ls "$STORE/checkpoints" | wc -l)"
grep -rqaF -e deed -e content "$STORE/checkpoints" && bad "no name is in them" || ok "no name is in them"

# After it: new content, new locks, frames that move, versions that go.
head -c 1500000 /dev/urandom >"$T/new" && cp "$T/new" "$MNT/docs/new"
echo second >"$MNT/docs/f1"
mkdir "$MNT/other" && echo there >"$MNT/other/file"
xset "$MNT/held/later" s3.retention "COMPLIANCE +1y"
rm "$MNT/docs/gone" && rm "$MNT/docs/.versions/gone"/*
"$HOLDFS" user create "$MNT" eve --uid 4711 >/dev/null
for n in $(seq 120); do echo late >"$MNT/other/late$n"; done # so that the database's last pages are theirs
store_unmount
store_mount
for n in $(seq 30 40); do rm "$MNT/docs/f$n"; done
rm -f "$MNT/docs/dir/big" "$MNT/docs/.versions/dir/big"/* "$MNT/docs/dir/.versions/big"/* 2>/dev/null
"$HOLDFS" compact "$MNT" >/dev/null && "$HOLDFS" gc "$MNT" >/dev/null
cp "$T/moved" "$T/want"
store_unmount
cp -a "$STORE" "$T/whole"

# A page here and there: what stands in others is taken over; where all that counts could be read, nothing is lost.
for page in 2 -2 -4 -7 -11; do
    rm -rf "$STORE" && cp -a "$T/whole" "$STORE"
    damage $page
    "$HOLDFS" fsck --passphrase-file "$PASS" "$STORE" >/dev/null 2>&1 && continue # one that is not in use
    out=$(rebuild) || bad "page $page: it is rebuilt" "$(cat "$T/rebuild.err")"
    complete=$(member salvaged.complete <<<"$out")
    check "page $page: the damaged files are kept" test -f "$(member damaged <<<"$out")/meta.db"
    store_mount
    if [ "$complete" = True ]; then
        is "page $page: what was written last is there" "second" "$(cat "$MNT/docs/f1")"
        check "page $page: and what is big" cmp "$T/new" "$MNT/docs/new"
        is "page $page: users are there" 0 "$("$HOLDFS" user list "$MNT" | grep -q eve; echo $?)"
    else
        matches "page $page: it says that a part is lost" '^(second|content 1)$' "$(cat "$MNT/docs/f1")"
    fi
    check "page $page: what was moved is found" cmp "$T/moved" "$MNT/docs/moved"
    check "page $page: the trail is unbroken" "$HOLDFS" audit verify "$MNT"
    matches "page $page: and tells of it" RebuildMetadata "$("$HOLDFS" audit tail -n 20 --json "$MNT" 2>&1)"
    fails "page $page: the first lock holds" EPERM rm "$(version_path "$MNT/held/deed" 1)"
    store_unmount
    is "page $page: fsck finds nothing but content that was collected" "" \
        "$("$HOLDFS" fsck --json --passphrase-file "$PASS" "$STORE" 2>/dev/null | grep '"what"' | grep -vE 'segment [0-9]+ is (missing|cut short)')"
done

# All of it: the checkpoint alone.
rm -rf "$STORE" && cp -a "$T/whole" "$STORE"
all_damaged
refused "nothing opens" '.+' bucket list --passphrase-file "$PASS" "$STORE"
out=$("$HOLDFS" fsck --rebuild --passphrase-file "$PASS" "$STORE" 2>&1) || bad "it is rebuilt from the checkpoint" "$out"
matches "versions whose segments compaction removed are found again" 'relocated_versions +[1-9]' "$out"
matches "it says from when" 'rebuilt from its checkpoint of 20' "$out"
matches "and what is lost" 'not known any more' "$out"
matches "and that segments hold more" 'Segments hold data under [0-9]+ keys' "$out"
store_mount
is "the state of then" "content 1" "$(cat "$MNT/docs/f1")"
is "directories too" dir "$(names_in "$MNT/docs" | grep -v '^f\|moved\|gone\|since')"
check "frames that compaction moved since are found" cmp "$T/moved" "$MNT/docs/moved"
check "of the locked version too" cmp "$T/moved" "$MNT/held/later"
check "the trail of then goes on unbroken" "$HOLDFS" audit verify "$MNT"
fails "the lock of then holds" EPERM rm "$(version_path "$MNT/held/deed" 1)"
echo more >"$MNT/docs/more"
"$HOLDFS" gc "$MNT" >/dev/null && "$HOLDFS" compact "$MNT" >/dev/null
is "no segment that it does not know is collected" "" "$(comm -23 <(cd "$T/whole/segments" && find . -size +0 | sort) <(cd "$STORE/segments" && find . | sort))"
check "what is written goes on" "$HOLDFS" fsck --checkpoint "$MNT"
store_unmount
check "and mounts again unasked" store_mount
store_unmount

# The newest checkpoint is damaged as well.
rm -rf "$STORE" && cp -a "$T/whole" "$STORE"
all_damaged
newest=$(ls "$STORE/checkpoints" | tail -1)
dd if=/dev/urandom of="$STORE/checkpoints/$newest/meta.db" bs=4096 seek=3 count=2 conv=notrunc status=none
out=$(rebuild) || bad "the one before serves" "$(cat "$T/rebuild.err")"
is "the one before serves" "$(ls "$STORE/checkpoints" | head -1 | sed 's/^0*//')" "$(member checkpoint.commit_seq <<<"$out")"
store_mount
is "and reads" "deed" "$(cat "$MNT/held/deed")"

# Keys: what is renewed makes new checkpoints.
"$HOLDFS" bucket rotate-key --rewrap "$MNT/docs" >/dev/null
check "after a new epoch one is made at once" within 20 sh -c "ls '$STORE/checkpoints' | grep -q ."
store_unmount
