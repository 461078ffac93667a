# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Shared by the shell tests: finds the binary, makes a store, mounts it, checks outcomes, and leaves nothing behind.
#
# A test sources this first, then calls store_new and store_mount. MNT is the mount point, STORE the store, T the scratch
# directory. check, is, fails and matches print one line each and count failures; the exit status follows from the count.
# Everything a test started or mounted goes when it ends, however it ends; a test that hangs is ended after
# HOLDFS_TEST_TIMEOUT seconds. HOLDFS_TEST_SLOW stretches every limit of time, for builds that are so many times slower.

set -u -o pipefail
export LC_ALL=C.UTF-8 TZ=UTC
unset HOLDFS_PASSPHRASE_FILE

TESTS_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
slow=${HOLDFS_TEST_SLOW:-1}
failures=0
T='' STORE='' MNT='' MOUNT_OPTIONS=''

skip() {
    printf 'SKIP %s\n' "$*"
    exit 77
}

find_binary() {
    local candidate
    for candidate in "${HOLDFS:-}" "${abs_top_builddir:-/nonexistent}/holdfs" "$TESTS_DIR/../build/holdfs" "$TESTS_DIR/../holdfs"; do
        if [ -n "$candidate" ] && [ -x "$candidate" ]; then
            HOLDFS=$(realpath "$candidate")
            export HOLDFS
            return
        fi
    done
    skip "no holdfs binary: build it first, or name it in HOLDFS"
}

need() { # need PROGRAM... : skips the test where one is missing
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || skip "$program is not installed"
    done
}

need_root() { [ "$(id -u)" = 0 ] || skip "needs root: $*"; }

ok() { printf 'ok   %s\n' "$1"; }

bad() {
    printf 'FAIL %s\n' "$1"
    shift
    [ $# -eq 0 ] || printf '     %s\n' "$@"
    failures=$((failures + 1))
}

die() { # a step the rest of the story cannot do without
    bad "$@"
    exit 1
}

check() { # check SENTENCE COMMAND... : the command succeeds
    local sentence=$1 output
    shift
    if output=$("$@" 2>&1); then ok "$sentence"; else bad "$sentence" "exit $? of: $*" "$output"; fi
}

is() { # is SENTENCE WANT GOT
    if [ "$2" = "$3" ]; then
        ok "$1"
    elif [[ $2 == *$'\n'* ]]; then
        bad "$1" "wanted (-), got (+):" "$(diff -U0 <(echo "$2") <(echo "$3") | tail -n +3 | head -20)"
    else
        bad "$1" "wanted: $2" "got:    $3"
    fi
}

matches() { # matches SENTENCE REGEX TEXT
    if [[ $3 =~ $2 ]]; then ok "$1"; else bad "$1" "wanted a match of: $2" "got: $3"; fi
}

# What strerror, or the tool, says for an errno.
declare -A errno_text=(
    [EPERM]='Operation not permitted' [EACCES]='Permission denied' [EROFS]='Read-only file system'
    [ENOENT]='No such file or directory' [EEXIST]='File exists|exists' [ENOTEMPTY]='Directory not empty'
    [EINVAL]='Invalid argument' [ENODATA]='No data available|No such attribute' [ENOSPC]='No space left on device'
    [EIO]='Input/output error' [EXDEV]='Invalid cross-device link' [EISDIR]='Is a directory' [ENOTDIR]='Not a directory'
    [EILSEQ]='Invalid or incomplete multibyte or wide character' [ENAMETOOLONG]='File name too long'
    [EOPNOTSUPP]='Operation not supported' [ERANGE]='Numerical result out of range' [EBUSY]='Device or resource busy'
    [E2BIG]='Argument list too long'
)

fails() { # fails SENTENCE ERRNO[|ERRNO] COMMAND... : the command fails and says so with that errno's words
    local sentence=$1 name=$2 output regex='' one
    shift 2
    for one in ${name//|/ }; do regex+="${regex:+|}${errno_text[$one]}"; done
    if output=$("$@" 2>&1 </dev/null); then
        bad "$sentence" "succeeded: $*"
    elif [[ $output =~ $regex ]]; then
        ok "$sentence"
    else
        bad "$sentence" "wanted $name from: $*" "got: $output"
    fi
}

refused() { # refused SENTENCE REGEX HOLDFS-ARGUMENTS... : the command exits 1 with one sentence on stderr that matches
    local sentence=$1 regex=$2 output status
    shift 2
    output=$("$HOLDFS" "$@" 2>&1 >/dev/null </dev/null)
    status=$?
    if [ $status -ne 1 ]; then
        bad "$sentence" "exit $status, wanted 1, of: holdfs $*" "$output"
    elif [[ $output =~ $regex ]]; then
        ok "$sentence"
    else
        bad "$sentence" "wanted a match of: $regex" "got: $output"
    fi
}

within() { # within SECONDS COMMAND... : polls until the command succeeds
    local deadline=$(($(date +%s%N) + $1 * slow * 1000000000))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s%N)" -lt $deadline ] || return 1
        sleep 0.05
    done
}

# ---- the store and its mount ----

store_new() { # store_new [INIT-OPTION...]
    "$HOLDFS" init --passphrase-file "$PASS" --scrypt-log-n 14 "$@" "$STORE" >"$T/init.out" 2>&1 ||
        die "holdfs init makes a store" "$(cat "$T/init.out")"
}

store_mount() { # store_mount [OPTIONS] : OPTIONS as after -o; remembered for store_remount
    MOUNT_OPTIONS=${1:-}
    "$HOLDFS" mount -o "passphrase-file=$PASS${MOUNT_OPTIONS:+,$MOUNT_OPTIONS}" "$STORE" "$MNT" >"$T/mount.out" 2>&1 ||
        die "holdfs mount works" "$(cat "$T/mount.out")"
    daemon_pid >>"$T/pids"
}

store_unmount() { # and wait until the daemon has let go of the store
    local pid
    pid=$(daemon_pid)
    umount "$MNT" || die "umount works"
    [ -z "$pid" ] || within 60 gone "$pid" || die "the daemon ends after umount"
}

store_remount() {
    store_unmount
    store_mount "${1-$MOUNT_OPTIONS}"
}

drop_caches() { if [ "$(id -u)" = 0 ]; then echo 3 >/proc/sys/vm/drop_caches; fi; }

gone() { ! kill -0 "$1" 2>/dev/null || [ "$(ps -o stat= -p "$1" | cut -c1)" = Z ]; }

daemon_pid() { # of the daemon that serves STORE at MNT, also where it is read-only and could not leave its pid in the store
    pgrep -n -f -- "mount.* $STORE $MNT( |\$)"
}

daemon_kill() { # kill -9, then take the dead mount away
    local pid
    pid=$(daemon_pid)
    [ -n "$pid" ] || die "status names the daemon's pid"
    kill -9 "$pid"
    within 10 gone "$pid" || die "the killed daemon is gone"
    umount -l "$MNT" 2>/dev/null || fusermount3 -uz "$MNT" || die "the dead mount goes away"
}

limit_memory() { # limit_memory KIB : of this shell; a sanitizer reserves terabytes of addresses, so there is none then
    [ -n "${HOLDFS_SANITIZED:-}" ] || ulimit -v "$1"
}

# ---- looking at files ----

names_in() { ls -f "$1" | grep -vxF -e . -e .. || true; }

versions() { # versions DIR/NAME : how many entries its history has, delete markers among them
    local dir name
    dir=$(dirname "$1") name=$(basename "$1")
    if [ -d "$dir/.versions/$name" ]; then names_in "$dir/.versions/$name" | wc -l; else echo 0; fi
}

version_path() { # version_path DIR/NAME N : path of its Nth version, counted from 1 = oldest
    local dir name entry
    dir=$(dirname "$1") name=$(basename "$1")
    entry=$(names_in "$dir/.versions/$name" | sed -n "$2p")
    [ -n "$entry" ] && printf '%s\n' "$dir/.versions/$name/$entry"
}

is_marker() { [ "$(xget "$1" s3.delete-marker 2>/dev/null)" = true ]; }

xget() { getfattr --absolute-names --only-values -h -n "user.$2" "$1"; }
xset() { setfattr -h -n "user.$2" -v "$3" "$1"; }
xdel() { setfattr -h -x "user.$2" "$1"; }

last_error() { xget "$1" s3.last-error 2>/dev/null; }

settle() { # settle FILE... : default retention reaches it now
    local file
    for file in "$@"; do xset "$file" s3.settle now || return 1; done
}

lock_bucket() { # lock_bucket NAME [DEFAULT] : makes a bucket with object lock
    mkdir "$MNT/$1" && xset "$MNT/$1" s3.bucket.object-lock "${2:-Enabled}" || die "bucket $1 gets object lock"
}

segment_bytes() { du -sb --apparent-size "$STORE/segments" | cut -f1; }

# ---- beginning and end ----

leave_nothing() {
    local status=$? pid
    trap - EXIT INT TERM HUP
    [ -z "${watchdog:-}" ] || { kill "$watchdog" && wait "$watchdog"; } 2>/dev/null
    cd /
    if [ -n "$T" ] && [ -d "$T" ]; then
        grep -F " $T/" /proc/self/mounts | cut -d' ' -f2 | sort -r | while read -r mounted; do umount -l "$mounted"; done
        [ ! -f "$T/pids" ] || while read -r pid; do
            within 15 gone "$pid" || kill -9 "$pid"
        done <"$T/pids" 2>/dev/null
        if declare -F story_cleanup >/dev/null; then story_cleanup; fi
        if [ -n "${HOLDFS_TEST_KEEP:-}" ]; then echo "kept: $T"; else rm -rf --one-file-system "$T"; fi
    fi
    [ $failures -eq 0 ] || status=1
    exit $status
}

find_binary
[ -e /dev/fuse ] || skip "no /dev/fuse here: load the fuse module, or give the container the device"
T=$(mktemp -d "${TMPDIR:-/tmp}/holdfs-test.XXXXXX")
trap leave_nothing EXIT
trap 'exit 1' INT TERM HUP
STORE=$T/store MNT=$T/mnt PASS=$T/passphrase
mkdir "$MNT"
if [ "$(id -u)" = 0 ] && ! setpriv --reuid 65534 --clear-groups test -x "$HOLDFS"; then
    # Other users cannot get at it (a clone in /root): a copy that they can, beside the same tests/.
    mkdir -m 755 "$T/bin" && cp "$HOLDFS" "$T/bin/" && ln -s "$(dirname "$HOLDFS")/tests" "$T/bin/tests"
    HOLDFS=$T/bin/holdfs
fi
(umask 077 && echo 'correct horse battery staple' >"$PASS")
(
    limit=$((${HOLDFS_TEST_TIMEOUT:-300} * slow))
    sleep $limit &
    trap 'kill $!; exit' TERM
    wait $!
    echo "FAIL the test took more than $limit s and was ended"
    grep -F " $T/" /proc/self/mounts | cut -d' ' -f2 | while read -r mounted; do umount -f -l "$mounted"; done
    [ ! -f "$T/pids" ] || xargs -r kill -9 <"$T/pids"
    kill -TERM $$
) &
watchdog=$!
