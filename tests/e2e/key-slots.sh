#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What opens a store: slots listed, added, changed and removed, a new recovery code; closed and in use.
# Cases: encryption 1, 2, 3, 4, 7.
. "$(dirname "$0")/../lib/holdfs.sh"

store_new
key() { "$HOLDFS" key "$@"; }
opens() { "$HOLDFS" bucket list "$@" "$STORE" </dev/null >"$T/out" 2>&1; }
kinds() { key list-slots --json "$STORE" | python3 -c 'import json, sys; print(*("%d:%s" % (s["n"], s["kind"]) for s in json.load(sys.stdin)["slots"]))'; }
rest() { (cd "$STORE" && find . -type f ! -name 'store.hdr*' ! -name lock ! -name control ! -name audit.pending -exec sha256sum {} + | sort -k2); }
(
    umask 077
    echo 'another horse, another staple' >"$T/pass2"
    head -c 64 /dev/urandom >"$T/key1"
    head -c 64 /dev/urandom >"$T/key2"
    mkdir "$T/credentials" && head -c 64 /dev/urandom >"$T/credentials/hold"
)

is "init leaves a passphrase and a recovery code" "0:passphrase 1:recovery" "$(kinds)"
matches "a person sees a table" '0 +passphrase +14' "$(key list-slots "$STORE")"
store_mount
mkdir "$MNT/bkt" && echo content >"$MNT/bkt/f"
store_unmount
before=$(rest)

check "a key file is added" key add-slot --passphrase-file "$PASS" --new-key-file "$T/key1" "$STORE"
is "it has the next number" "0:passphrase 1:recovery 2:key-file" "$(kinds)"
check "it opens" opens --key-file "$T/key1"
check "the passphrase still does" opens --passphrase-file "$PASS"
refused "another key does not" 'no slot opens with this key' bucket list --key-file "$T/key2" "$STORE"
before=$(rest)
check "the key file's slot gets another" key change-slot --passphrase-file "$PASS" --new-key-file "$T/key2" "$STORE" 2
is "no byte of metadata or segments changed" "$before" "$(rest)"
refused "the old key file opens no longer" 'no slot opens with this key' bucket list --key-file "$T/key1" "$STORE"
check "the new one does" opens --key-file "$T/key2"
check "a passphrase slot is changed with any secret" \
    key change-slot --key-file "$T/key2" --new-passphrase-file "$T/pass2" --scrypt-log-n 14 "$STORE" 0
check "its new passphrase opens" opens --passphrase-file "$T/pass2"
refused "its old one does not" 'no slot opens with this key' bucket list --passphrase-file "$PASS" "$STORE"
check "a passphrase from standard input" bash -c "'$HOLDFS' key change-slot --key-file '$T/key2' --new-passphrase-file - --scrypt-log-n 14 '$STORE' 0 <'$PASS'"
check "opens" opens --passphrase-file "$PASS"
CREDENTIALS_DIRECTORY=$T/credentials check "a credential is added" key add-slot --passphrase-file "$PASS" --new-credential hold "$STORE"
CREDENTIALS_DIRECTORY=$T/credentials check "and opens" opens --credential hold

refused "a wrong secret changes nothing" 'no slot opens with this key' key add-slot --key-file "$T/key1" --new-key-file "$T/key1" "$STORE"
chmod 644 "$T/key1"
refused "a new key file that others can read is refused" 'chmod 600' key add-slot --passphrase-file "$PASS" --new-key-file "$T/key1" "$STORE"
refused "a slot that is not there" 'no slot 9' key change-slot --passphrase-file "$PASS" --new-key-file "$T/key2" "$STORE" 9
"$HOLDFS" key remove-slot --passphrase-file "$PASS" "$STORE" 16 >/dev/null 2>&1
is "a number no slot can have is a usage error" 2 $?
"$HOLDFS" key add-slot --passphrase-file - --new-passphrase-file - "$STORE" </dev/null >/dev/null 2>&1
is "so are two secrets from standard input" 2 $?
"$HOLDFS" key add-slot --passphrase-file "$PASS" --new-key-file "$T/key2" --new-credential hold "$STORE" >/dev/null 2>&1
is "and two new ones" 2 $?

out=$(key new-recovery --passphrase-file "$PASS" "$STORE")
matches "a new recovery code is shown" '([0-9A-HJKMNP-TV-Z]{5}-){10}[0-9A-HJKMNP-TV-Z]{5}' "$out"
is "in place of the first" "0:passphrase 1:recovery 2:key-file 3:credential" "$(kinds)"
code=$(grep -oE '([0-9A-HJKMNP-TV-Z]{5}-){10}[0-9A-HJKMNP-TV-Z]{5}' <<<"$out")
old=$(grep -oE '([0-9A-HJKMNP-TV-Z]{5}-){10}[0-9A-HJKMNP-TV-Z]{5}' "$T/init.out")
on_terminal() { # on_terminal ANSWERS COMMAND... : answers what is asked, a line each
    python3 - "$@" <<'PY'
import os, pty, select, sys, time
answers, command = sys.argv[1].split("\n"), sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execv(command[0], command)
text = b""
while True:
    try:
        got = os.read(fd, 1000)
    except OSError:
        break
    if not got:
        break
    text += got
    if answers and text.rstrip(b" ").endswith(b":"):
        os.write(fd, answers.pop(0).encode() + b"\n")
        text += b"\n"
sys.stdout.write(text.decode(errors="replace"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
}
check "the new code opens" on_terminal "$code" "$HOLDFS" bucket list --recovery "$STORE"
out=$(on_terminal "$old" "$HOLDFS" bucket list --recovery "$STORE")
matches "the old one does not" 'no slot opens with this key' "$out"
check "a new passphrase is asked for twice" on_terminal "$code"$'\n'"typed horse staple"$'\n'"typed horse staple" "$HOLDFS" key change-slot --recovery --scrypt-log-n 14 "$STORE" 0
echo 'typed horse staple' >"$T/typed"
check "and opens" opens --passphrase-file "$T/typed"
out=$(on_terminal "$code"$'\n'"typed horse staple"$'\n'"typed horse stable" "$HOLDFS" key change-slot --recovery --scrypt-log-n 14 "$STORE" 0)
matches "two that differ are refused" 'differ' "$out"
check "back" key change-slot --key-file "$T/key2" --new-passphrase-file "$PASS" --scrypt-log-n 14 "$STORE" 0

# In use: the daemon goes on, and who opens next needs what stands in the header.
store_mount
check "a slot is added under a mount" key add-slot --passphrase-file "$PASS" --new-passphrase-file "$T/pass2" --scrypt-log-n 14 "$MNT"
check "one is removed" key remove-slot --passphrase-file "$PASS" "$MNT" 2
is "the mount goes on" content "$(cat "$MNT/bkt/f")"
check "and writes" bash -c "echo more >'$MNT/bkt/g'"
store_unmount
refused "the removed key file opens no longer" 'no slot opens with this key' bucket list --key-file "$T/key2" "$STORE"
check "the added passphrase opens" opens --passphrase-file "$T/pass2"

for n in 1 3 4; do check "slot $n is removed" key remove-slot --passphrase-file "$PASS" "$STORE" $n; done
refused "the last slot stays" 'last one' key remove-slot --passphrase-file "$PASS" "$STORE" 0
is "and is there" "0:passphrase" "$(kinds)"
is "the header and its twin are one" "$(cat "$STORE/store.hdr")" "$(cat "$STORE/store.hdr.2")"
is "nothing is left beside them" "" "$(cd "$STORE" && ls -d store.hdr*.new store.hdr*.old 2>/dev/null)"
store_mount
is "all is there" "content more" "$(cat "$MNT/bkt/f" "$MNT/bkt/g" | xargs)"
store_unmount
tail_has() { "$HOLDFS" audit tail --passphrase-file "$PASS" -n 1000 --event "$1" "$STORE" | grep -q "$1"; }
check "the changes of slots are in the audit trail (logs 3.1)" tail_has AddKeySlot
check "so are the secrets that opened nothing" tail_has OpenStore
