#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Mounting by the ordinary tools: mount -t fuse.holdfs, an fstab line, what a systemd mount unit runs, umount, fusermount3.
# Case: mount 32.
. "$(dirname "$0")/../lib/holdfs.sh"
need_root "mount -t is root's"
need unshare mount umount fusermount3
unshare -m --propagation private true 2>/dev/null ||
    skip "no private mount namespace can be made here: in a chroot, bind-mount its directory onto itself before entering it"

helper=$(dirname "$HOLDFS")/mount.fuse.holdfs
[ -x "$helper" ] || helper=$(realpath "$TESTS_DIR/../mount.fuse.holdfs" 2>/dev/null || echo "$helper")
check "the build makes mount.fuse.holdfs" test -x "$helper"
store_new

# mount(8) looks for its helper in /sbin: a mount namespace of our own has ours there, and an fstab of our own.
# Copies of other tests' mounts would live on here after their umount: they go first.
cat >"$T/inside" <<EOT
set -e
awk '\$3 ~ /^fuse/ { print \$2 }' /proc/self/mounts | while read -r other; do umount -l "\$other"; done
mkdir "$T/up" "$T/work" "$T/etc-up" "$T/etc-work"
ln -s "$HOLDFS" "$T/up/holdfs"
ln -s "$helper" "$T/up/mount.fuse.holdfs"
mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$T/up,workdir=$T/work" none /usr/sbin
echo "$STORE $MNT fuse.holdfs noauto,nofail,_netdev,x-systemd.automount,user,passphrase-file=$PASS 0 0" >"$T/fstab"
mount --bind "$T/fstab" /etc/fstab
"\$@"
EOT
inside() { unshare -m --propagation private bash "$T/inside" bash -c "$1" 2>&1; }
tidy() { rm -rf "$T/up" "$T/work" "$T/etc-up" "$T/etc-work"; }
finish="umount '$MNT'; for n in \$(seq 100); do [ -e /proc/\$pid ] || break; sleep 0.1; done; [ ! -e /proc/\$pid ]"
pid="pid=\$(pgrep -n -f -- 'mount.* $STORE $MNT( |\$)'); echo \$pid >>'$T/pids'"

out=$(inside "mount '$MNT' && $pid && mkdir -p '$MNT/bkt' && echo by-fstab >'$MNT/bkt/f' && findmnt -no FSTYPE,SOURCE '$MNT' && $finish")
is "mount by its line in fstab, write, umount" 0 $?
matches "the type and the source show" "fuse.holdfs +(holdfs|$STORE)" "$out"
tidy
out=$(inside "mount -t fuse.holdfs '$STORE' '$MNT' -o ro,passphrase-file=$PASS && $pid && cat '$MNT/bkt/f' && $finish")
is "mount -t fuse.holdfs" by-fstab "$out"
tidy
out=$(inside "mount -t fuse.holdfs '$STORE' '$MNT' -o passphrase-file=$PASS,nosuch=1; echo status \$?")
matches "an unknown option is named, exit 32" 'nosuch.*status 32' "$(tr '\n' ' ' <<<"$out")"
tidy
out=$(inside "umask 077; echo a wrong passphrase >'$T/wrong'; mount -t fuse.holdfs '$STORE' '$MNT' -o passphrase-file=$T/wrong; echo status \$?")
matches "a wrong passphrase: exit 32 and the sentence" 'no slot opens with this key.*status 32' "$(tr '\n' ' ' <<<"$out")"
tidy

# systemd runs /bin/mount WHAT WHERE -t TYPE -o OPTIONS for a mount unit, and umount WHERE -c
options=noauto,nofail,_netdev,x-systemd.requires=network.target,passphrase-file=$PASS
out=$(inside "mount '$STORE' '$MNT' -t fuse.holdfs -o $options && $pid && cat '$MNT/bkt/f' && umount '$MNT' -c && for n in \$(seq 100); do [ -e /proc/\$pid ] || break; sleep 0.1; done")
is "what a systemd mount unit runs" by-fstab "$out"
tidy

# credentials, as LoadCredential= hands them over
mkdir -m 700 "$T/credentials" && head -c 64 /dev/urandom >"$T/credentials/store-key" && chmod 400 "$T/credentials/store-key"
STORE2=$T/store2
CREDENTIALS_DIRECTORY=$T/credentials "$HOLDFS" init --credential store-key --no-recovery "$STORE2" >/dev/null || bad "init with a credential"
STORE=$STORE2
CREDENTIALS_DIRECTORY=$T/credentials "$HOLDFS" mount -o credential=store-key "$STORE2" "$MNT" && daemon_pid >>"$T/pids"
is "credential= opens it" 0 $?
check "fusermount3 -u" fusermount3 -u "$MNT"
check "ends the daemon" within 10 gone "$(tail -1 "$T/pids")"
refused "a passphrase does not" 'no slot opens with this key' mount -o "passphrase-file=$PASS" "$STORE2" "$MNT"
HOLDFS_PASSPHRASE_FILE=$PASS "$HOLDFS" mount "$T/store" "$MNT"
is "\$HOLDFS_PASSPHRASE_FILE opens a store" 0 $?
STORE=$T/store && daemon_pid >>"$T/pids"
store_unmount
"$HOLDFS" mount "$T/store" "$MNT" --passphrase-file - <"$PASS"
is "--passphrase-file - reads standard input" 0 $?
daemon_pid >>"$T/pids"
store_unmount
