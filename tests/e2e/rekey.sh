#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# holdfs scrub --rekey: all frames of a bucket under new data keys; contents, versions, times, locks and sharing stay. In use, while
# somebody writes, stopped, killed. Cases: encryption §1.4 (DEK); retention attempt 20*.
. "$(dirname "$0")/../lib/holdfs.sh"

store_new
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
rekey() { "$HOLDFS" scrub --rekey --json "$@"; }
deks() { # deks PATH... : ids of data keys of all versions, sorted
    for f in "$@"; do "$HOLDFS" debug object "$f"; done | python3 -c '
import json, sys
text, at, ids = sys.stdin.read(), 0, set()
while at < len(text.rstrip()):
    value, at = json.JSONDecoder().raw_decode(text, at)
    while at < len(text) and text[at].isspace(): at += 1
    ids |= {d["id"] for v in value["versions"] for d in v.get("deks", [])}
print(*sorted(ids))'
}
facts() { # what must not change
    (cd "$1" && for f in $(find . -type f | sort); do
        stat -c '%n %s %Y %Z %a %u %i' "$f"
        for name in etag version-id object-lock-mode object-lock-retain-until-date legal-hold; do echo "$name $(xget "$f" s3.$name 2>/dev/null)"; done
        names_in "$(dirname "$f")/.versions/$(basename "$f")"
    done)
}
sums() { (cd "$1" && find . -type f -exec sha256sum {} + | sort -k2; find . -type f | sort | while read -r f; do for v in "$(dirname "$f")/.versions/$(basename "$f")"/*; do sha256sum <"$v"; done; done); }

store_mount
lock_bucket vault
mkdir "$MNT/plain"
B=$MNT/vault
head -c 5000000 /dev/urandom >"$T/big" && cp "$T/big" "$B/big"
yes 'compresses well' | head -c 1000000 >"$B/text"
for n in $(seq 12); do echo "small $n" >"$B/s$n"; done
mkdir "$B/dir" && head -c 300000 /dev/urandom >"$B/dir/mid"
dd if=/dev/urandom of="$B/big" bs=1000 count=1 seek=700 conv=notrunc status=none
truncate -s 10000000 "$B/holes" && echo end >>"$B/holes"
settle "$B/dir/mid" && mv "$B/dir/mid" "$B/dir/renamed"
ln "$B/big" "$B/linked"
: >"$B/empty" && ln -s target "$B/symlink"
echo deed >"$B/deed" && xset "$B/deed" s3.retention "COMPLIANCE +1y"
xset "$B/text" s3.legal-hold ON
echo elsewhere >"$MNT/plain/f"
cp "$B/text" "$MNT/plain/text"
sync -f "$MNT"
before=$(facts "$B") content=$(sums "$B") keys=$(deks "$B/big" "$B/deed" "$B/text" "$B/s1") other=$(deks "$MNT/plain/text")
size=$(segment_bytes)
out=$(rekey "$B")
is "every version with content is under new keys" 0 "$(member kept <<<"$out")"
matches "and counted" '^2[0-9]$' "$(member rekeyed <<<"$out")"
is "what versions are stays: size, times, ids, ETag, locks" "$before" "$(facts "$B")"
is "and their content" "$content" "$(sums "$B")"
is "no data key of before is left" "" "$(comm -12 <(tr ' ' '\n' <<<"$keys") <(deks "$B/big" "$B/deed" "$B/text" "$B/s1" | tr ' ' '\n'))"
is "another bucket is left alone" "$other" "$(deks "$MNT/plain/text")"
fails "a locked version is locked" EPERM rm "$(version_path "$B/deed" 1)"
"$HOLDFS" compact "$MNT" >/dev/null
after=$(segment_bytes)
[ "$after" -lt $((size + size / 4)) ] && ok "versions that shared frames still do" || bad "versions that shared frames still do" "$size before, $after after"
store_remount
is "all reads after a remount" "$content" "$(sums "$B")"
check "scrub is content" "$HOLDFS" scrub "$MNT"
check "fsck too" "$HOLDFS" fsck "$MNT"

# While somebody writes, with a file open all the time.
exec 7<>"$B/s1"
echo draft >&7
(for n in $(seq 60); do echo "live $n" >"$B/live$n"; dd if=/dev/zero of="$B/big" bs=100 count=1 seek="$n" conv=notrunc status=none; done) &
writer=$!
old=$(deks "$B/big")
check "it runs while files are written" rekey "$B"
wait $writer
check "once more" rekey "$B"
is "of what is edited meanwhile nothing is left under old keys" "" "$(comm -12 <(tr ' ' '\n' <<<"$old") <(deks "$B/big" | tr ' ' '\n'))"
is "what was written is there" "live 60" "$(cat "$B/live60")"
echo more >&7
exec 7>&-
is "an open file goes on" "draft more" "$(head -2 "$B/s1" | xargs)"
check "scrub is content" "$HOLDFS" scrub "$MNT"

# Stopped and killed.
content=$(sums "$B") keys=$(deks "$B"/s*)
"$HOLDFS" scrub --rekey "$B" >"$T/out" 2>&1 &
pid=$!
within 5 sh -c "[ -n \"\$(ls -t '$STORE/segments' | head -1)\" ]"
kill -INT $pid 2>/dev/null
wait $pid 2>/dev/null
for n in 1 2 3; do
    rekey "$B" >/dev/null 2>&1 &
    pid=$!
    sleep 0.0$((n * 3)) # somewhere in it
    daemon_kill
    wait $pid 2>/dev/null
    store_mount
done
is "killed in it, everything reads" "$content" "$(sums "$B")"
check "the next call goes on" rekey "$B"
is "to the end" "" "$(comm -12 <(tr ' ' '\n' <<<"$keys") <(deks "$B"/s* | tr ' ' '\n'))"
is "and everything reads" "$content" "$(sums "$B")"
check "fsck is content" "$HOLDFS" fsck "$MNT"
refused "a bucket that is not there" 'no bucket' scrub --rekey "$MNT/none"
store_unmount
check "of a store that is not in use" rekey --passphrase-file "$PASS" "$STORE/vault"

# A frame that does not open: its version keeps it, and is named.
python3 - "$STORE/segments" <<'PY'
import os, sys
path = max((os.path.join(sys.argv[1], n) for n in os.listdir(sys.argv[1])), key=os.path.getsize)
with open(path, "r+b") as f:
    f.seek(os.path.getsize(path) // 2)
    byte = f.read(1)
    f.seek(-1, 1)
    f.write(bytes([byte[0] ^ 1]))
PY
refused "a damaged frame is told" 'keep their data keys' scrub --rekey --passphrase-file "$PASS" "$STORE/vault"
