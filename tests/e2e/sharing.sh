#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What costs metadata and no data: copies, a small edit of a large file, renames. HOLDFS_TEST_LARGE sets the file's size in MiB.
# Cases: mount 34, 35; retention 19, 24*.
. "$(dirname "$0")/../lib/holdfs.sh"

mib=${HOLDFS_TEST_LARGE:-1024}
[ "$(df --output=avail -BM "$T" | tail -1 | tr -dc 0-9)" -gt $((mib * 3)) ] || skip "needs three times $mib MiB of space"
store_new
store_mount
B=$MNT/bkt C=$MNT/ckt
mkdir "$B" "$C"

# Content that repeats only far apart, and is quick to make.
openssl enc -aes-128-ctr -pass pass:x -nosalt -pbkdf2 </dev/zero 2>/dev/null | head -c $((mib << 20)) >"$B/large"
settle "$B/large"
is "the large file is there" $((mib << 20)) "$(stat -c %s "$B/large")"
base=$(segment_bytes)
whole() { du -sb --apparent-size "$STORE" | cut -f1; }
checksum() { sha256sum <"$1" | cut -d' ' -f1; }
want=$(checksum "$B/large")

copy_ms() { # copy_file_range of the whole file; best of three, in milliseconds
    python3 - "$1" "$2" <<'PY'
import os, sys, time
best = 1e9
for attempt in range(3):
    source = os.open(sys.argv[1], os.O_RDONLY)
    target = os.open(sys.argv[2] + str(attempt), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    size = os.fstat(source).st_size
    begun, done = time.monotonic(), 0
    while done < size:
        done += os.copy_file_range(source, target, size - done)
    best = min(best, time.monotonic() - begun)
    os.close(target)
print(int(best * 1000))
PY
}
limit=$((${HOLDFS_TEST_COPY_MS:-50} * slow))
took=$(copy_ms "$B/large" "$B/copy")
check "copy_file_range within a bucket: $took ms, wanted under $limit" test "$took" -lt "$limit"
took=$(copy_ms "$B/large" "$C/copy")
check "and across buckets: $took ms" test "$took" -lt "$limit"
is "no segment grew" "$base" "$(segment_bytes)"
is "the copy within is the same" "$want" "$(checksum "$B/copy2")"
is "the one across too" "$want" "$(checksum "$C/copy2")"
check "cp shares as well" cp "$B/large" "$B/by-cp"
is "and no segment grew" "$base" "$(segment_bytes)"

# 35, retention 24
before=$(whole)
printf 'ten bytes!' | dd of="$B/large" bs=1 seek=$((mib << 19)) conv=notrunc status=none
grew=$(($(whole) - before))
is "an edit of ten bytes makes one version" 2 "$(versions "$B/large")"
check "it stores $grew bytes, wanted under 200 KiB" test $grew -lt 204800
is "size-stored agrees" yes "$(s=$(xget "$B/large" s3.size-stored); [ "$s" -lt $(((mib << 20) + (mib << 17))) ] && echo yes || echo "$s")"
is "the old version reads as it was" "$want" "$(checksum "$(version_path "$B/large" 1)")"
is "the new one has the edit" 'ten bytes!' "$(dd if="$B/large" bs=1 skip=$((mib << 19)) count=10 status=none)"
settle "$B/large"
before=$(whole)
head -c 4096 /dev/urandom | dd of="$B/large" bs=4096 seek=1000 conv=notrunc status=none
check "4 KiB of dd conv=notrunc store under 1 MiB" test $(($(whole) - before)) -lt 1048576
before=$(whole)
echo appended >>"$B/large"
check "an append stores little" test $(($(whole) - before)) -lt 204800

# retention 19
settle "$B/copy0"
store_remount # the metadata log is empty then: what is measured is what stays
before=$(whole)
check "mv of a settled file" mv "$B/copy0" "$B/moved"
store_remount
grew=$(($(whole) - before))
check "stores $grew bytes, wanted under 64 KiB" test $grew -lt 65536
is "a marker is at the old name" 2 "$(versions "$B/copy0")"
is "the content at the new" "$want" "$(checksum "$B/moved")"

# what is shared is dropped only when the last that refers to it goes
rm "$B"/copy* "$B/by-cp" "$C"/copy?
rm -r "$B"/.versions/copy* "$B/.versions/by-cp" "$C"/.versions/copy*
check "gc" "$HOLDFS" gc "$STORE"
is "what still shares the frames reads" "$want" "$(checksum "$B/moved")"
