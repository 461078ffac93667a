#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Ending the daemon during heavy writing, by SIGTERM and by umount: within 10 s, with everything closed there.
# Case: mount 30.
. "$(dirname "$0")/../lib/holdfs.sh"

store_new
writers() { # four writers that log outside the mount what close acknowledged
    local n
    for n in 1 2 3 4; do
        python3 - "$MNT/bkt" $n "$T/log$n" <<'PY' &
import hashlib, os, sys
base, who, log = sys.argv[1:]
log = open(log, "a", buffering=1)
n = 0
while True:
    n += 1
    name = f"w{who}-{n % 200}"
    data = os.urandom(1000 + n * 7919 % 400000)
    try:
        fd = os.open(f"{base}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(fd, data)
        os.close(fd)
    except OSError:
        sys.exit(0)
    print(name, hashlib.sha256(data).hexdigest(), file=log)
PY
    done
}
busy() { [ "$(cat "$T"/log? 2>/dev/null | wc -l)" -ge 100 ]; }
all_there() { # the newest acknowledged content of each name, or a later one that was under way
    python3 - "$MNT/bkt" "$T"/log? <<'PY'
import hashlib, os, sys
base = sys.argv[1]
wrong = checked = 0
for log in sys.argv[2:]:
    last = {}
    for line in open(log):
        parts = line.split()
        if len(parts) == 2 and len(parts[1]) == 64:
            last[parts[0]] = parts[1]
    for name, digest in last.items():
        checked += 1
        versions = os.listdir(f"{base}/.versions/{name}")
        digests = [hashlib.sha256(open(f"{base}/.versions/{name}/{v}", "rb").read()).hexdigest() for v in versions[-3:]]
        if digest not in digests:
            wrong += 1
            print("lost:", name, digest, digests)
assert checked > 20, f"only {checked} files were written"
sys.exit(wrong != 0)
PY
}
end_writers() { # they end by themselves, their mount being gone
    local job
    for job in $(jobs -p); do
        [ "$job" = "$watchdog" ] || { within 5 gone "$job" || kill -9 "$job"; wait "$job"; } 2>/dev/null
    done
}

for how in SIGTERM umount SIGINT; do
    store_mount
    [ -d "$MNT/bkt" ] || mkdir "$MNT/bkt"
    pid=$(daemon_pid)
    rm -f "$T"/log?
    writers
    check "writers are at work" within 60 busy
    begun=$(date +%s%N)
    case $how in
    umount) umount -l "$MNT" ;;
    *) kill -"$how" "$pid" ;;
    esac
    # a lazy unmount lets open files end: the writers' next open fails, and with their last close the daemon ends
    check "$how during heavy writing: the daemon ends within 10 s" within 10 gone "$pid"
    echo "     it took $((($(date +%s%N) - begun) / 1000000)) ms"
    end_writers
    umount -l "$MNT" 2>/dev/null
    is "nothing is mounted after it" "" "$(findmnt -no FSTYPE "$MNT")"
    store_mount
    check "everything that was closed is there" all_there
    store_unmount
done
check "the store is sound" "$HOLDFS" fsck --passphrase-file "$PASS" "$STORE"
