#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The recipes of doc/operations.md for the day something is lost, run as they stand there: a forgotten passphrase, a lost key file, a
# store that moves. Cases: encryption 2; and copies of a store in use.
. "$(dirname "$0")/../lib/holdfs.sh"
need python3

DOC=$TESTS_DIR/../doc/operations.md
store_new
code() { grep -oE '([0-9A-HJKMNP-TV-Z]{5}-){10}[0-9A-HJKMNP-TV-Z]{5}' | tail -1; }
first=$(code <"$T/init.out")
NEW=$T/new PASSNEW='a new and better passphrase'
PATH=$(dirname "$HOLDFS"):$PATH
export PATH

recipe() { # recipe HEADING [NTH] : the commands of its first (or NTH) block, comments off, with the test's paths
    python3 - "$DOC" "$1" "${2:-1}" <<'PY' | sed -e "s#/etc/holdfs/store.key#$T/store.key#g" -e "s#/srv/store#$STORE#g" -e "s#/srv/new#$NEW#g" \
        -e "s#/mnt/hold#$MNT#g" -e "s#/backup/hold#$T/backup#g"
import re, sys
text, heading, nth = open(sys.argv[1]).read(), sys.argv[2], int(sys.argv[3])
part = text[text.index(heading) + len(heading):]
block = re.findall(r"```\n(.*?)```", part, re.S)[nth - 1]
for line in block.splitlines():
    print(re.split(r"\s{2,}", line.strip())[0])
PY
}
follow() { # follow ANSWERS : runs the commands of standard input at a terminal, and answers what they ask, a line each
    cat >"$T/recipe"
    python3 - "$1" "$T/recipe" >"$T/terminal" 2>&1 <<'PY'
import os, pty, sys
answers = sys.argv[1].split("\n")
pid, fd = pty.fork()
if pid == 0:
    os.execvp("bash", ["bash", "-e", sys.argv[2]])
text, asked = b"", 0
while True:
    try:
        got = os.read(fd, 1000)
    except OSError:
        break
    if not got:
        break
    sys.stdout.buffer.write(got)
    text += got
    if answers and text.rstrip(b" ").endswith(b":"):
        os.write(fd, answers.pop(0).encode() + b"\n")
        text = b""
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
}
step() { # step SENTENCE ANSWERS : the recipe on standard input ends well
    if follow "$2"; then ok "$1"; else bad "$1" "$(cat "$T/recipe")" "$(tail -5 "$T/terminal")"; fi
}
opens() { "$HOLDFS" bucket list "$@" >/dev/null 2>&1 </dev/null; }

store_mount
mkdir "$MNT/docs"
for n in $(seq 20); do echo "content $n" >"$MNT/docs/f$n"; done
head -c 3000000 /dev/urandom >"$T/big" && cp "$T/big" "$MNT/docs/big"

# The passphrase is forgotten. The store is in use all the time.
recipe '### The passphrase is forgotten' | step "the recovery code leads to a new passphrase" "$first
$PASSNEW
$PASSNEW
$first"
second=$(code <"$T/terminal")
(umask 077 && printf '%s\n' "$PASSNEW" >"$T/passnew" && printf '%s\n' "$first" >"$T/first")
store_unmount
check "the new passphrase opens" opens --passphrase-file "$T/passnew" "$STORE"
check "the forgotten one does not" test "$(opens --passphrase-file "$PASS" "$STORE" && echo opens)" = ""
echo "\"$HOLDFS\" bucket list --recovery '$STORE'" | follow "$first" && bad "the code that was typed opens nothing any more" || ok "the code that was typed opens nothing any more"
echo "\"$HOLDFS\" bucket list --recovery '$STORE'" | step "the code that was shown opens" "$second"
cp "$T/passnew" "$PASS"

# The key file is lost.
(umask 077 && head -c 64 /dev/urandom >"$T/lost.key")
"$HOLDFS" key add-slot --passphrase-file "$PASS" --new-key-file "$T/lost.key" "$STORE" >/dev/null
recipe '### The key file is lost' | step "a new key file takes its place" "$PASSNEW"
check "the new one opens" opens --key-file "$T/store.key" "$STORE"
refused "the lost one does not" 'no slot opens' bucket list --key-file "$T/lost.key" "$STORE"

# A credential of the service.
mkdir "$T/credentials" && (umask 077 && head -c 64 /dev/urandom >"$T/credentials/holdfs.main")
export CREDENTIALS_DIRECTORY=$T/credentials
check "a credential gets a slot" "$HOLDFS" key add-slot --passphrase-file "$PASS" --new-credential holdfs.main "$STORE"
"$HOLDFS" mount -o credential=holdfs.main "$STORE" "$MNT" >"$T/mount.out" 2>&1 && ok "and mounts" || bad "and mounts" "$(cat "$T/mount.out")"
daemon_pid >>"$T/pids"
store_unmount
unset CREDENTIALS_DIRECTORY
refused "without the service's directory it says so" 'CREDENTIALS_DIRECTORY' mount -o credential=holdfs.main "$STORE" "$MNT"

# A store moves.
store_mount
echo last >"$MNT/docs/last"
recipe '## Moving a store' | step "a store moves to another directory" "$PASSNEW
$PASSNEW"
STORE=$NEW
daemon_pid >>"$T/pids"
is "all is there" "content 1 last" "$(cat "$MNT/docs/f1" "$MNT/docs/last" | xargs)"
check "what is big too" cmp "$T/big" "$MNT/docs/big"

# Lost, and back from the backup.
check "a backup is made" "$HOLDFS" backup "$MNT" "$T/backup"
store_unmount
mv "$STORE" "$T/store" && STORE=$T/store
store_mount
recipe '**The store is lost; bring it back:**' | grep -v '^umount' >"$T/commands"
store_unmount
step "the backup comes back as the store" "$PASSNEW" <"$T/commands"
daemon_pid >>"$T/pids"
is "with all in it" "content 1 last" "$(cat "$MNT/docs/f1" "$MNT/docs/last" | xargs)"

# A copy file by file of a store in use: refused, or no wrong byte in it.
for round in 1 2 3 4; do
    (for n in $(seq 60); do echo "content $n of $round" >"$MNT/docs/live$n" && cp "$T/big" "$MNT/docs/big$n"; done) 2>/dev/null &
    writer=$!
    sleep 0.2 # so that the copy meets it at work
    rm -rf "$T/live" && cp -a "$STORE" "$T/live"
    kill $writer && wait $writer 2>/dev/null
    mkdir -p "$T/look"
    if "$HOLDFS" mount -o "ro,passphrase-file=$PASS" "$T/live" "$T/look" >"$T/look.out" 2>&1; then
        pgrep -n -f -- "mount.* $T/live $T/look( |\$)" >>"$T/pids"
        wrong=""
        for f in "$T/look/docs"/live*; do
            text=$(cat "$f" 2>/dev/null) && [ -n "$text" ] && { [[ $text =~ ^content\ [0-9]+\ of\ [1-4]$ ]] || wrong+="$f: $text; "; }
        done
        for f in "$T/look/docs"/big*; do
            cat "$f" >"$T/got" 2>/dev/null || continue
            [ ! -s "$T/got" ] || cmp -s -n "$(stat -c %s "$T/got")" "$T/big" "$T/got" || wrong+="$f; "
        done
        is "copy $round of a store in use holds nothing wrong" "" "$wrong"
        umount "$T/look"
        within 20 gone "$(tail -1 "$T/pids")"
    else
        matches "copy $round of a store in use is refused in words" 'holdfs: ' "$(cat "$T/look.out")"
    fi
done
store_unmount
