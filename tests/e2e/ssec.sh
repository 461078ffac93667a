#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# SSE-C on the mount: a bucket unlocked with the caller's own key, for that uid alone, and forgotten.
# Cases of encryption.md: 16, 32 (mount), 49 (of SSE-C), 72, 73, 74 (the trio's row).
. "$(dirname "$0")/../lib/holdfs.sh"

errno_text+=([ENOKEY]='Required key not available' [EKEYREJECTED]='Key was rejected by service')
attr() { getfattr --only-values -n "user.s3.$1" "$2" 2>/dev/null; }
unlock() { "$HOLDFS" key unlock "$MNT/bkt" --sse-c-key "$@"; }

store_new
store_mount allow_other
B=$MNT/bkt
mkdir "$B" && chmod 1777 "$B"
printf 1234567890abcdef1234567890abcdef >"$T/key"
head -c 32 /dev/urandom >"$T/other"
head -c 31 /dev/urandom >"$T/short"
chmod 644 "$T/key" "$T/other"
echo open >"$B/open"

refused "31 bytes are no key" '32 bytes' key unlock "$B" --sse-c-key "$T/short"
refused "nothing is unlocked yet" 'no key of yours' key lock "$B"
refused "a key is for a bucket" 'bucket' key unlock "$MNT" --sse-c-key "$T/key"
check "a bucket is unlocked for writing" unlock "$T/key" --write
echo 'the customers content' >"$B/f"
head -c 3000000 /dev/urandom >"$T/big" && cp "$T/big" "$B/big"
setfattr -n user.s3.meta.colour -v red "$B/f"
is "what is written reads" 'the customers content' "$(cat "$B/f")"
is "its algorithm is told" AES256 "$(attr server-side-encryption-customer-algorithm "$B/f")"
is "and no other mode" "" "$(attr server-side-encryption "$B/f")"
is "the key's MD5, to who has it" "JMwgiexXqwuPqIPjYFmIZQ==" "$(attr server-side-encryption-customer-key-md5 "$B/f")"
matches "what is unlocked is shown" 'bkt' "$("$HOLDFS" key status "$MNT")"
exec 7<"$B/big"
check "case 72: locked" "$HOLDFS" key lock "$B"
fails "an open file stops" ENOKEY head -c 4096 /dev/fd/7
exec 7<&-
fails "opening fails" ENOKEY cat "$B/f"
is "stat works" 22 "$(stat -c %s "$B/f")"
fails "metadata is told to who has the key" ENOKEY getfattr -n user.s3.meta.colour "$B/f"
is "the algorithm to anybody" AES256 "$(attr server-side-encryption-customer-algorithm "$B/f")"
matches "so is the ETag" '-0$' "$(attr etag "$B/f")"
fails "truncate fails" ENOKEY truncate -s 1 "$B/f"
check "renaming needs no key" mv "$B/f" "$B/g"
check "nor does tagging" setfattr -n user.s3.tag.a -v b "$B/g"
check "back" mv "$B/g" "$B/f"
check "another key" unlock "$T/other"
fails "does not fit" EKEYREJECTED cat "$B/f"
check "both are held" unlock "$T/key"
is "and the right one is found" 'the customers content' "$(cat "$B/f")"
check "the big one reads" cmp "$T/big" "$B/big"
echo new >"$B/new"
is "without --write new files are under the bucket's key" AES256 "$(attr server-side-encryption "$B/new")"
echo more >>"$B/f"
is "an edit stays under the customer's" AES256 "$(attr server-side-encryption-customer-algorithm "$B/f")"
check "a copy out" cp "$B/f" "$B/copy"
is "is under the bucket's key" AES256 "$(attr server-side-encryption "$B/copy")"
is "and reads" "$(cat "$B/f")" "$(cat "$B/copy")"
check "a version by its name" cat "$(version_path "$B/f" 1)"

# For that uid alone.
if [ "$(id -u)" = 0 ]; then
    chmod 644 "$B/f"
    "$HOLDFS" user create --uid 1000 --policy admin "$MNT" alice >/dev/null
    as() { setpriv --reuid=1000 --regid=1000 --clear-groups "$@"; }
    chmod 755 "$T" "$MNT" 2>/dev/null
    fails "another uid has no key" ENOKEY as cat "$B/f"
    "$HOLDFS" key lock "$B"
    check "he unlocks for himself" as "$HOLDFS" key unlock "$B" --sse-c-key "$T/key"
    matches "and reads" customers "$(as cat "$B/f")"
    fails "root is not exempt" ENOKEY cat "$B/f"
    as "$HOLDFS" key lock "$B"
    fails "locked for him" ENOKEY as cat "$B/f"
else
    "$HOLDFS" key lock "$B"
fi

# Sessions.
if command -v setsid >/dev/null; then
    is "a key for one session" 'the customers content' "$(setsid -w bash -c "'$HOLDFS' key unlock '$B' --sse-c-key '$T/key' --session && head -1 '$B/f'")"
    fails "is of no use to another" ENOKEY cat "$B/f"
    "$HOLDFS" key lock "$B"
fi

# Blocked, and policies.
check "a bucket blocks customer keys" setfattr -n user.s3.bucket.encryption -v block=SSE-C "$B"
refused "then it is not unlocked for writing" 'blocked' key unlock "$B" --sse-c-key "$T/key" --write
check "what is there is read" unlock "$T/key"
matches "with its key" customers "$(cat "$B/f")"
check "allowed again" setfattr -n user.s3.bucket.encryption -v block=NONE "$B"
for policy in '{"StringNotEquals":{"s3:x-amz-server-side-encryption":"AES256"}}' '{"Null":{"s3:x-amz-server-side-encryption":"true"}}'; do
    unlock "$T/key" --write
    setfattr -n user.s3.bucket.policy -v '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::bkt/*","Condition":'"$policy"'}]}' "$B"
    fails "case 74: the trio under $policy" EACCES touch "$B/denied"
    setfattr -x user.s3.bucket.policy "$B"
done
rm -f "$B/one" && printf 'a hundred bytes in the row of the version' >"$B/one"
check "rm needs no key" rm "$B/one"

# Forgotten at unmount; nowhere in a file, or in what the daemon leaves behind.
store_remount
fails "unmounting forgets" ENOKEY cat "$B/f"
store_unmount
store_mount "sse-c-key=bkt:$T/key"
matches "a mount option unlocks" customers "$(cat "$B/f")"
check "and is locked by command" "$HOLDFS" key lock "$B"
daemon=$("$HOLDFS" status --json "$MNT" | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
search() { # search FILE... : forms of the key in them
    python3 - "$T/key" "$@" <<'PY'
import base64, pathlib, sys
key = pathlib.Path(sys.argv[1]).read_bytes()
forms = [key, base64.b64encode(key), key.hex().encode(), b"JMwgiexXqwuPqIPjYFmIZQ=="]
for name in sys.argv[2:]:
    for p in [pathlib.Path(name)] if pathlib.Path(name).is_file() else pathlib.Path(name).rglob("*"):
        if p.is_file() and any(f in p.read_bytes() for f in forms):
            print(p)
PY
}
if [ "$(id -u)" = 0 ]; then
    is "case 73: locked, the key is nowhere in the daemon's memory" "" "$(python3 - "$daemon" "$T/key" <<'PY'
import base64, pathlib, re, sys
pid, key = sys.argv[1], pathlib.Path(sys.argv[2]).read_bytes()
forms = [key, base64.b64encode(key), key.hex().encode()]
with open(f"/proc/{pid}/mem", "rb", 0) as mem:
    for line in open(f"/proc/{pid}/maps"):
        m = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
        if not m or "[v" in line:
            continue
        start, end = (int(x, 16) for x in m.groups())
        try:
            mem.seek(start)
            data = mem.read(end - start)
        except OSError:
            continue
        for f in forms:
            if f in data:
                print(line.strip())
PY
)"
fi
store_unmount
is "case 73: nor in any file of the store" "" "$(search "$STORE")"
is "case 16: content in a row is not in the clear" "" "$(grep -rlaF 'customers content' "$STORE" | head -1)"
check "fsck is content" "$HOLDFS" fsck --passphrase-file "$PASS" "$STORE"
matches "scrub counts what it cannot open" '"unopened": [1-9]' "$("$HOLDFS" scrub --json --passphrase-file "$PASS" "$STORE")"
if python3 -c 'import cryptography, sqlite3; assert hasattr(sqlite3.Connection, "deserialize")' 2>/dev/null; then
    reader() { python3 "$TESTS_DIR/../contrib/holdfs-read" --passphrase-file "$PASS" "$@"; }
    matches "case 16: the independent reader opens it with the key" customers "$(reader --sse-c-key "$T/key" "$STORE" bkt/f)"
    matches "and with nothing else" "customer's key" "$(reader "$STORE" bkt/f 2>&1)"
fi
