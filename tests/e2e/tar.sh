#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tar out of and into the mount with all attributes: identical, incl. hard links, sparse files, far dates; unpacking over.
# Cases: mount 10; retention 1.7 (tar -x over f).
. "$(dirname "$0")/../lib/holdfs.sh"
need tar setfattr setfacl

store_new
store_mount
B=$MNT/bkt
mkdir -p "$B/in" "$B/out" "$T/plain"
TAR=(tar --xattrs '--xattrs-include=*' --acls --sparse --numeric-owner --format=posix)

s=$B/in
mkdir -p "$s/d/e" "$s/empty"
echo text >"$s/file" && head -c 1000000 /dev/urandom >"$s/d/random" && : >"$s/d/zero"
truncate -s 100M "$s/sparse" && printf x | dd of="$s/sparse" bs=1 seek=40000000 conv=notrunc status=none
ln "$s/file" "$s/d/hard" && ln -s ../file "$s/d/soft" && mkfifo "$s/fifo"
touch -d '1902-01-01 00:00:00.000000001Z' "$s/file" && touch -d '2107-01-01 12:00:00.999999999Z' "$s/d/random"
chmod 2750 "$s/d/e" && chmod 4711 "$s/d/zero" && chmod 1777 "$s/empty"
setfattr -n user.note -v 'a note' "$s/file" && setfattr -n user.bin -v 0x00ff "$s/d" && setfacl -m u:77:rwx,g:78:r "$s/d/random" && setfacl -d -m u:79:rx "$s/d"
touch -h -d '2001-01-01Z' "$s/d/soft" && touch -d '2002-02-02 02:02:02.5Z' "$s/d"
if [ "$(id -u)" = 0 ]; then
    mknod "$s/null" c 1 3 && chown 1001:1002 "$s/d/zero" && chmod 4711 "$s/d/zero"
    setfattr -n trusted.t -v t "$s/file" && setfattr -n security.label -v l "$s/file"
fi

facts() { # everything a copy must carry, one line a file
    (cd "$1" && find . -printf '%p %y %m %U %G %n %s %T+ %l\n' | sort | awk '{ if ($2 == "d") { $6 = "-"; $7 = "-" } print }'
        find . -type f -exec sha256sum {} + | sort
        find . ! -type l -print0 | sort -z | xargs -0 getfattr -h -d -m '^(user|trusted|security|system)\.' -e hex
        find . ! -type l -print0 | sort -z | xargs -0 getfacl -pn)
}
same_facts() {
    if diff <(facts "$2") <(facts "$3") >"$T/diff"; then ok "$1"; else bad "$1" "$(head -20 "$T/diff")"; fi
}

check "tar writes an archive of the mount" bash -c '"${@:3}" -C "$1" -cf "$2" .' - "$s" "$T/a.tar" "${TAR[@]}"
check "it unpacks on a plain filesystem" bash -c '"${@:3}" -C "$1" -xpf "$2"' - "$T/plain" "$T/a.tar" "${TAR[@]}"
same_facts "identical there" "$s" "$T/plain"
check "and on the mount" bash -c '"${@:3}" -C "$1" -xpf "$2"' - "$B/out" "$T/a.tar" "${TAR[@]}"
same_facts "identical there" "$s" "$B/out"
check "tar --compare agrees" bash -c '"${@:3}" -C "$1" --compare -f "$2"' - "$B/out" "$T/a.tar" "${TAR[@]}"
store_remount
same_facts "identical after a remount" "$T/plain" "$B/out"
check "the sparse file stays sparse" test "$(stat -c %b "$B/out/sparse")" -lt 2048
is "hard links are links" "2 $(stat -c %i "$B/out/file")" "$(stat -c '%h %i' "$B/out/d/hard")"

check "unpacking over it" bash -c '"${@:3}" -C "$1" -xpf "$2"' - "$B/out" "$T/a.tar" "${TAR[@]}"
same_facts "gives the same tree" "$T/plain" "$B/out"

# what plain tar leaves in the history of a file it replaces (with --xattrs it makes each file by mknod first: an empty version more)
mkdir "$B/again" && echo old >"$B/again/f" && settle "$B/again/f"
echo new >"$T/f" && tar -C "$T" -cf "$T/b.tar" f
check "plain tar over a file" tar -C "$B/again" -xf "$T/b.tar"
is "leaves the old version, a marker, the new one" 3 "$(versions "$B/again/f")"
check "in this order" is_marker "$(version_path "$B/again/f" 2)"
is "with their contents" "old new" "$(cat "$(version_path "$B/again/f" 1)" "$(version_path "$B/again/f" 3)" | xargs)"
