#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Everyday tools: cp in its variants, mv across buckets, install, dd, truncate, find, grep, du, df, sort, zip-like use.
# Cases: mount 3 (section), 14's exit 0, and rules of mount sections 2 and 3.
. "$(dirname "$0")/../lib/holdfs.sh"
need cmp find df

store_new
store_mount
B=$MNT/bkt C=$MNT/ckt
mkdir "$B" "$C" "$T/src"
head -c 5000000 /dev/urandom >"$T/src/random"
truncate -s 200M "$T/src/sparse" && echo tail >>"$T/src/sparse"
mkdir -p "$T/src/tree/x/y" && for n in $(seq 50); do echo "line $n needle$((n % 7))" >"$T/src/tree/x/f$n"; done

for how in "" -a --reflink=auto --reflink=never --sparse=always --sparse=never "-r --preserve=all"; do
    rm -f "$B/random"
    # shellcheck disable=SC2086
    check "cp $how in" cp $how "$T/src/random" "$B/random"
    check "is equal" cmp "$T/src/random" "$B/random"
    # shellcheck disable=SC2086
    check "cp $how within" cp $how "$B/random" "$B/again"
    check "is equal" cmp "$B/random" "$B/again"
    # shellcheck disable=SC2086
    check "cp $how out" cp $how "$B/again" "$T/out"
    check "is equal" cmp "$T/src/random" "$T/out"
done
check "cp --sparse=always of a sparse file" cp --sparse=always "$T/src/sparse" "$B/sparse"
check "stays sparse" test "$(stat -c %b "$B/sparse")" -lt 2048
check "and equal" cmp "$T/src/sparse" "$B/sparse"
check "cp of a sparse file within the mount" cp "$B/sparse" "$B/sparse2"
check "stays sparse" test "$(stat -c %b "$B/sparse2")" -lt 2048
check "cp -a of a tree" cp -a "$T/src/tree" "$B/"
check "is equal" diff -r "$T/src/tree" "$B/tree"

before=$(segment_bytes)
check "mv to another bucket" mv "$B/random" "$C/moved"
check "is equal" cmp "$T/src/random" "$C/moved"
check "gone from the first" test ! -e "$B/random"
check "and shares its frames" test $(($(segment_bytes) - before)) -lt 200000
check "mv of a tree to another bucket" mv "$B/tree" "$C/"
check "is equal" diff -r "$T/src/tree" "$C/tree"
check "mv within a bucket" mv "$C/tree" "$C/renamed"
check "mv -T over a file" mv -T "$C/moved" "$C/renamed/x/f1"
check "is equal" cmp "$T/src/random" "$C/renamed/x/f1"
check "ln -f" ln -f "$C/renamed/x/f2" "$C/renamed/x/f3"
check "install" install -m 711 -D "$T/src/random" "$C/new/dir/bin"
is "with the mode" 711 "$(stat -c %a "$C/new/dir/bin")"

is "grep -r" 6 "$(grep -rl needle3 "$C/renamed" | wc -l)"
is "find by time and size" 49 "$(find "$C/renamed" -type f -size -2 -newermt '1 hour ago' | wc -l)"
is "find -type d" "$C/renamed $C/renamed/x $C/renamed/x/y" "$(find "$C/renamed" -type d | sort | xargs)"
is "du counts blocks" "$(($(stat -c %b "$C/new/dir/bin") * 512))" "$(du -B1 "$C/new/dir/bin" | cut -f1)"
is "du --apparent-size counts bytes" 5000000 "$(du -b "$C/new/dir/bin" | cut -f1)"
is "df shows the size of the disk below" "$(df --output=size -B1M "$STORE" | tail -1 | xargs)" "$(df --output=size -B1M "$MNT" | tail -1 | xargs)"
is "df -i shows inodes without bound" 4294967296 "$(df --output=itotal "$MNT" | tail -1 | xargs)"
check "sort -o onto itself" bash -c "seq 1000 | shuf >'$B/n' && sort -n -o '$B/n' '$B/n' && seq 1000 | cmp - '$B/n'"
check "tee -a" bash -c "echo one | tee -a '$B/log' >/dev/null && echo two | tee -a '$B/log' >/dev/null"
is "appended" "one two" "$(xargs <"$B/log")"
check "dd conv=notrunc in the middle" dd if=/dev/zero of="$B/again" bs=1000 count=5 seek=100 conv=notrunc,fsync status=none
check "changed just that" bash -c "cmp <(head -c 100000 '$T/src/random'; head -c 5000 /dev/zero; tail -c +105001 '$T/src/random') '$B/again'"
check "truncate down" truncate -s 12345 "$B/again"
check "truncate up" truncate -s 20000 "$B/again"
check "zeros follow" bash -c "cmp <(head -c 12345 '$B/again'; head -c 7655 /dev/zero) '$B/again'"
check "fallocate" fallocate -l 1M "$B/allocated"
is "has the size" 1048576 "$(stat -c %s "$B/allocated")"
check "fallocate --punch-hole" bash -c "cp '$T/src/random' '$B/punched' && fallocate -p -o 1000000 -l 1000000 '$B/punched'"
check "leaves zeros" bash -c "cmp <(head -c 1000000 '$T/src/random'; head -c 1000000 /dev/zero; tail -c +2000001 '$T/src/random') '$B/punched'"
fails "fallocate --collapse-range is EOPNOTSUPP" EOPNOTSUPP fallocate -c -o 65536 -l 65536 "$B/punched"
fails "fallocate --insert-range is EOPNOTSUPP" EOPNOTSUPP fallocate -i -o 65536 -l 65536 "$B/punched"
check "chmod -R, chgrp -R" chmod -R go-w "$C/renamed"
umask 027 && mkdir "$B/masked" && : >"$B/masked/f" && umask 022
is "umask counts" "750 640" "$(stat -c %a "$B/masked" "$B/masked/f" | xargs)"
if [ "$(id -u)" = 0 ]; then
    mkdir "$B/setgid" && chgrp 4242 "$B/setgid" && chmod 2775 "$B/setgid" && mkdir "$B/setgid/sub" && : >"$B/setgid/f"
    is "setgid directories give their group" "4242 2755 4242" "$(stat -c '%g' "$B/setgid/f") $(stat -c '%a %g' "$B/setgid/sub")"
fi
store_remount
check "all is there after a remount" bash -c "cmp '$T/src/random' '$C/new/dir/bin' && cmp '$T/src/sparse' '$B/sparse2' && diff -r '$T/src/tree/x/y' '$C/renamed/x/y'"
check "rm -rf of it all" rm -rf "$B"/* "$C"/*
is "leaves it empty" "" "$(ls -A "$B" "$C" | grep -v :$ | xargs)"
