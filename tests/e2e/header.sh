#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The store header: its twin, altered bytes, absurd costs; key files; the recovery code.
# Cases: encryption 1, 2*, 5, 6, 7.
. "$(dirname "$0")/../lib/holdfs.sh"

store_new
store_mount
mkdir "$MNT/bkt" && echo content >"$MNT/bkt/f"
store_unmount
cp -a "$STORE" "$T/sound"
again() { rm -rf "$STORE" && cp -a "$T/sound" "$STORE"; }
try() { "$HOLDFS" mount -o "passphrase-file=$PASS" "$STORE" "$MNT" >"$T/out" 2>&1; }
alter() { python3 - "$@" <<'PY'
import sys
path, how = sys.argv[1:3]
data = open(path, "rb").read()
line, rest = data.split(b"\n", 1)
if how == "byte":
    at = line.index(b'"created"') + 13
    line = line[:at] + bytes([line[at] ^ 1]) + line[at + 1:]
elif how == "mac":
    rest = rest.replace(rest[20:21], b"0" if rest[20:21] != b"0" else b"1", 1)
elif how == "cost":
    import json
    d = json.loads(line)
    for slot in d["slots"]:
        for key in slot:
            if key.lower() in ("log_n", "logn", "log2n", "log2_n", "n") and slot[key] == 14:
                slot[key] = int(sys.argv[3])
    line = json.dumps(d, separators=(",", ":")).encode()
open(path, "wb").write(line + b"\n" + rest)
PY
}

is "the header and its twin are there" "600 600" "$(stat -c %a "$STORE/store.hdr" "$STORE/store.hdr.2" | xargs)"
is "two lines: JSON and its MAC" "2 hmac-sha256 64" "$(wc -l <"$STORE/store.hdr") $(sed -n 2p "$STORE/store.hdr" | cut -d' ' -f1) $(sed -n 2p "$STORE/store.hdr" | cut -d' ' -f2 | tr -d '\n' | wc -c)"
is "line 1 has the page geometry" "40" "$(sed -n 1p "$STORE/store.hdr" | python3 -c 'import json, sys; print(json.load(sys.stdin)["page_reserve"])')"

# 5
for which in store.hdr store.hdr.2; do
    for how in byte mac; do
        again
        alter "$STORE/$which" $how
        check "$which altered ($how): the twin is used" try
        daemon_pid >>"$T/pids"
        is "and the content is there" content "$(cat "$MNT/bkt/f")"
        store_unmount
        is "and the altered one is repaired" "$(sed -n 1p "$STORE/store.hdr")" "$(sed -n 1p "$STORE/store.hdr.2")"
    done
    again
    rm "$STORE/$which"
    check "$which missing: the twin is used" try
    daemon_pid >>"$T/pids"
    store_unmount
    check "and it is there again" test -s "$STORE/$which"
done
again
alter "$STORE/store.hdr" byte && alter "$STORE/store.hdr.2" byte
refused "both altered: refused" 'the store header has been altered' mount -o "passphrase-file=$PASS" "$STORE" "$MNT"
again
rm "$STORE/store.hdr" "$STORE/store.hdr.2"
refused "both missing: refused" '.+' mount -o "passphrase-file=$PASS" "$STORE" "$MNT"
again
sed -i 's/^store.*/store=00000000-0000-0000-0000-000000000000/; s/"store" *: *"[^"]*"/"store": "00000000-0000-0000-0000-000000000000"/' "$STORE/holdfs.conf"
cmp -s "$STORE/holdfs.conf" "$T/sound/holdfs.conf" || refused "another store's conf: refused" '.+' mount -o "passphrase-file=$PASS" "$STORE" "$MNT"

# 6
for cost in 40 21 13 63 -1 4294967310; do
    again
    alter "$STORE/store.hdr" cost $cost && alter "$STORE/store.hdr.2" cost $cost
    if cmp -s "$STORE/store.hdr" "$T/sound/store.hdr"; then
        bad "the slot's cost was found in the header" "$(head -1 "$STORE/store.hdr")"
        break
    fi
    begun=$(date +%s%N)
    (limit_memory 4000000 && exec "$HOLDFS" mount -o "passphrase-file=$PASS" "$STORE" "$MNT") >"$T/out" 2>&1
    is "a slot with cost $cost is refused" 1 $?
    check "in under a second" test $((($(date +%s%N) - begun) / 1000000)) -lt $((1000 * slow))
done

# 7: key files, and slots of other kinds
again
head -c 32 /dev/urandom >"$T/key" && chmod 600 "$T/key"
STORE=$T/with-key
check "init with a key file" "$HOLDFS" init --key-file "$T/key" --no-recovery "$STORE"
check "mount with it" "$HOLDFS" mount -o "key-file=$T/key" "$STORE" "$MNT"
daemon_pid >>"$T/pids"
store_unmount
chmod 644 "$T/key"
refused "a key file that others can read is refused" '.+' mount -o "key-file=$T/key" "$STORE" "$MNT"
chmod 640 "$T/key"
refused "or the group" '.+' mount -o "key-file=$T/key" "$STORE" "$MNT"
chmod 600 "$T/key" && truncate -s 31 "$T/key"
refused "or is of 31 bytes" '.+' mount -o "key-file=$T/key" "$STORE" "$MNT"
head -c 32 /dev/urandom >"$T/key"
refused "another key opens nothing" 'no slot opens with this key' mount -o "key-file=$T/key" "$STORE" "$MNT"
refused "nor does a passphrase" 'no slot opens with this key' mount -o "passphrase-file=$PASS" "$STORE" "$MNT"

# 2*: the recovery code
STORE=$T/store
again
code=$(grep -oE '([0-9A-HJKMNP-TV-Z]{5}-){10}[0-9A-HJKMNP-TV-Z]{5}' "$T/init.out")
with_code() { # asked on a terminal
    python3 - "$HOLDFS" "$STORE" "$MNT" "$1" <<'PY'
import os, pty, select, sys, time
binary, store, mnt, code = sys.argv[1:]
pid, fd = pty.fork()
if pid == 0:
    os.execl(binary, binary, "mount", "--recovery", store, mnt)
text, sent, deadline = b"", False, time.time() + 20
while time.time() < deadline:
    if select.select([fd], [], [], 0.2)[0]:
        try:
            got = os.read(fd, 1000)
        except OSError:
            break
        if not got:
            break
        text += got
        if not sent:
            os.write(fd, code.encode() + b"\n")
            sent = True
    elif os.waitpid(pid, os.WNOHANG) != (0, 0):
        sys.stdout.write(text.decode(errors="replace"))
        sys.exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.stdout.write(text.decode(errors="replace"))
sys.exit(status)
PY
}
out=$(with_code "$code")
is "the recovery code mounts" content "$(cat "$MNT/bkt/f" 2>&1)"
daemon_pid >>"$T/pids"
store_unmount
lower=$(tr 'A-Z-' 'a-z ' <<<"$code")
out=$(with_code "$lower")
is "in lower case with spaces too" content "$(cat "$MNT/bkt/f" 2>&1)"
daemon_pid >>"$T/pids"
store_unmount
first=${code:0:1}
[ "$first" = 7 ] && other=8 || other=7
out=$(with_code "$other${code:1}")
matches "one letter changed: mistyped" mistyped "$out"
is "and nothing is mounted" "" "$(findmnt -no FSTYPE "$MNT")"
