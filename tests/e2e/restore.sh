#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# holdfs restore: a tree removed, changed or encrypted comes back as it was, at once and without copying data.
# Cases: mount 15; retention 84.
. "$(dirname "$0")/../lib/holdfs.sh"

store_new
store_mount
B=$MNT/bkt
mkdir "$B"
now() { date -u +%Y-%m-%dT%H:%M:%S.%NZ; }
python3 - "$B" <<'PY'
import os, sys
for d in range(10):
    os.makedirs(f"{sys.argv[1]}/d{d}/sub")
    for n in range(100):
        with open(f"{sys.argv[1]}/d{d}/sub/f{n}", "wb") as f:
            f.write(b"%d/%d " % (d, n) * 2000)
PY
sums() { (cd "$B" && find . -type f -exec sha256sum {} + | sort); }
for d in 0 1 2; do (cd "$B/d$d/sub" && for f in f*; do xset "$f" s3.settle now; done); done
want=$(sums)
t=$(now)

# 15: everything removed
rm -rf "${B:?}"/*
is "all is gone" "" "$(ls "$B")"
before=$(segment_bytes)
matches "a dry run says what it would do" '1,?000' "$("$HOLDFS" restore --at "$t" --dry-run "$B" 2>&1)"
is "and does nothing" "" "$(ls "$B")"
begun=$(date +%s%N)
check "restore" "$HOLDFS" restore --at "$t" "$B"
took=$((($(date +%s%N) - begun) / 1000000))
is "all is back" "$want" "$(sums)"
check "a thousand files in $took ms" test "$took" -lt $((1000 * slow))
is "no data was copied" "$before" "$(segment_bytes)"

# a single path, and one directory
echo spoilt >"$B/d3/sub/f3" && echo spoilt >"$B/d4/sub/f4" && rm "$B/d5/sub/f5"
check "restore of one file" "$HOLDFS" restore --at "$t" "$B/d3/sub/f3"
is "brings that one back" "$(grep d3/sub/f3$ <<<"$want")" "$(cd "$B" && sha256sum ./d3/sub/f3)"
is "and no other" spoilt "$(cat "$B/d4/sub/f4")"
check "several paths" "$HOLDFS" restore --at "$t" "$B/d4" "$B/d5/sub/f5"
is "bring all back" "$want" "$(sums)"

# encrypted and renamed by something evil
t2=$(now)
python3 - "$B" <<'PY'
import os, sys
for directory, _, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(directory, name)
        with open(path, "wb") as f:
            f.write(os.urandom(1000))
        os.rename(path, path + ".locked")
PY
out=$("$HOLDFS" restore --at "$t2" "$B" 2>&1)
is "restore exits" 0 $?
matches "it says how many changed" '1,?000' "$out"
matches "and how to undo it" 'holdfs restore .*--at' "$out"
is "the old names are back" "$want" "$(sums | grep -v locked)"
is "new names stay without --delete-newer" 1000 "$(find "$B" -name '*.locked' | wc -l)"
check "with --delete-newer" "$HOLDFS" restore --at "$t2" --delete-newer "$B"
is "they go" "$want" "$(sums)"

# the same again
history=$(cd "$B/.versions" && find . | sort)
matches "a restore that was done has nothing more to do" '"todo": ?0' "$("$HOLDFS" restore --json --at "$t2" --delete-newer "$B")"
is "and makes no version" "$history" "$(cd "$B/.versions" && find . | sort)"
chmod 0601 "$B/d1/sub/f3"
check "what was changed since is put right by another" "$HOLDFS" restore --at "$t2" "$B"
is "its mode too" 644 "$(stat -c %a "$B/d1/sub/f3")"

# --only deletes
echo changed >"$B/d1/sub/f1" && rm "$B/d1/sub/f2"
check "--only deletes" "$HOLDFS" restore --at "$t2" --only deletes "$B"
is "brings back what was deleted" "$(grep d1/sub/f2$ <<<"$want")" "$(cd "$B" && sha256sum ./d1/sub/f2)"
is "and leaves what was changed" changed "$(cat "$B/d1/sub/f1")"
check "rollback is the same command" "$HOLDFS" rollback --at "$t2" "$B/d1"
is "all is back" "$want" "$(sums)"

# locked versions
xset "$B" s3.bucket.object-lock Enabled
echo newer >"$B/d2/sub/new" && xset "$B/d2/sub/new" s3.retention 'COMPLIANCE +1d'
locked=$(version_path "$B/d2/sub/new" 1)
"$HOLDFS" restore --at "$t2" --delete-newer "$B" >/dev/null 2>&1
is "a locked version outlives --delete-newer" newer "$(cat "$locked")"

refused "a time before the first version says which is first" '20[0-9]{2}-' restore --at 2001-01-01 "$B"
"$HOLDFS" restore --at nonsense "$B" >"$T/out" 2>&1
is "a TIME that is none is exit 2" 2 $?
matches "with the forms" 'yesterday|T12:00' "$(cat "$T/out")"
"$HOLDFS" restore --at 9999-01-01 "$B" >/dev/null 2>&1
is "the future too" 2 $?
store_remount
is "the state holds over a remount" "$want" "$(sums | grep -v /new$)"
