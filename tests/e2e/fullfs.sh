#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A store on a filesystem that fills up: ENOSPC for the writer, everything else goes on, and so does the writer after space is made.
# Cases: mount 29, logs 47.
. "$(dirname "$0")/../lib/holdfs.sh"
need_root "mounts a small filesystem"

mkdir "$T/small"
mount -t tmpfs -o size=320M,mode=755 none "$T/small" || skip "no tmpfs can be mounted here"
STORE=$T/small/store
store_new
store_mount
B=$MNT/bkt
mkdir "$B"
head -c 20M /dev/urandom >"$B/old" && sum=$(sha256sum <"$B/old") && settle "$B/old"
before=$(versions "$B/old")

n=0
while head -c 20M /dev/urandom >"$B/fill$n" 2>"$T/err"; do
    n=$((n + 1))
    [ $n -lt 40 ] || break
done
matches "the writer that meets the end gets ENOSPC" 'No space left' "$(cat "$T/err")"
check "after a good part of the space was used: $n files" test $n -ge 8
check "a reserve is left" test "$(df --output=avail -BM "$T/small" | tail -1 | tr -dc 0-9)" -ge 32
is "old data reads" "$sum" "$(sha256sum <"$B/old")"
bad_files=""
for k in $(seq 0 $((n - 1))); do [ "$(stat -c %s "$B/fill$k")" = 20971520 ] || bad_files+=" $k"; done
is "what was acknowledged is whole" "" "$bad_files"
fails "an overwrite fails" ENOSPC bash -c "head -c 40M /dev/urandom | dd of='$B/old' bs=1M conv=notrunc,fsync status=none"
is "the last sound version of what it touched is there" "$sum" "$(sha256sum <"$(version_path "$B/old" "$before")")"
check "status tells of it" "$HOLDFS" status "$STORE"

# freeing goes on while it is full
check "rm works" rm "$B/fill0"
check "rmdir and mkdir work" bash -c "mkdir '$B/d' && rmdir '$B/d'"
check "rename works" mv "$B/fill1" "$B/fill1-renamed"
check "removing versions works" rm -r "$B/.versions/fill0"
rm "$B/fill1-renamed" "$B"/fill[2-5] && rm -r "$B"/.versions/fill1-renamed "$B"/.versions/fill[2-5]
check "gc works" "$HOLDFS" gc "$STORE"
check "compact works" "$HOLDFS" compact "$STORE"
writes() { head -c 20M /dev/urandom >"$B/after"; }
check "writing goes on without a remount" within 20 writes
is "and is whole" 20971520 "$(stat -c %s "$B/after")"

# logs 47: not a page is left for a record, so nothing changes, and the trail has no hole when there is space again
setfattr -n user.s3.bucket.object-lock -v Enabled "$B"
for k in 1 2; do echo x >"$B/held$k"; done
cat /dev/zero >"$T/small/ballast" 2>/dev/null
held=$(python3 - "$B/held1" <<'PY'
import os, sys
n = 0
try:
    while n < 30000: # both logs have some room of their own
        os.setxattr(sys.argv[1], "user.s3.legal-hold", b"OFF" if n % 2 else b"ON")
        n += 1
except OSError:
    pass
print(n)
PY
)
check "changes are refused when no record can be written ($held went)" test "$held" -lt 30000
is "what was refused is not so" "$([ $((held % 2)) = 1 ] && echo ON || echo OFF)" \
    "$(getfattr -n user.s3.legal-hold --only-values "$B/held1" 2>/dev/null)"
check "reading goes on" cmp -s "$B/held1" "$B/held2"
rm "$T/small/ballast"
hold_again() { setfattr -n user.s3.legal-hold -v ON "$B/held2"; }
check "changes go on when there is space" within 20 hold_again
check "the trail is unbroken" "$HOLDFS" audit verify "$MNT"
is "each hold has its record, and each record its hold" $((held + 1)) \
    "$("$HOLDFS" audit tail --json -n 100000 --event PutObjectLegalHold "$MNT" | wc -l)"

# the other way round: space made from outside
while head -c 10M /dev/urandom >"$B/more$n" 2>/dev/null && [ "$n" -lt 90 ]; do n=$((n + 1)); done
mount -o remount,size=420M "$T/small"
check "after the filesystem grew writing goes on too" within 20 writes
store_remount
is "old data is there after a remount" "$sum" "$(sha256sum <"$B/.versions/old/$(names_in "$B/.versions/old" | sed -n "${before}p")")"
check "the store is sound" "$HOLDFS" scrub "$STORE"
