#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Names: long, odd and impossible ones; bucket names; what may be done in the mount's root; removing buckets.
# Cases: mount 21, 22, 23*; retention 23, A 18.
. "$(dirname "$0")/../lib/holdfs.sh"

store_new
store_mount
B=$MNT/bucket
mkdir "$B"

# 21
long=$(printf 'n%.0s' $(seq 255))
echo long >"$B/$long"
is "a name of 255 bytes works" long "$(cat "$B/$long")"
fails "a name of 256 bytes is ENAMETOOLONG" ENAMETOOLONG touch "$B/${long}n"
wide=$(printf 'é%.0s' $(seq 127))
echo wide >"$B/$wide"
is "254 bytes of two-byte characters work" wide "$(cat "$B/$wide")"
for name in 'with space' $'new\nline' $'tab\there' '-rf' '*?[x]' 'back\slash' '"quotes"'\''s' 'Жизнь 生活 🙂' '...' '.hidden' 'a%2Fb' 'trailing '; do
    printf '%s' "$name" >"$B/$name"
done
is "odd names come back as they were" "" "$(for name in 'with space' $'new\nline' $'tab\there' '-rf' '*?[x]' 'back\slash' \
    '"quotes"'\''s' 'Жизнь 生活 🙂' '...' '.hidden' 'a%2Fb' 'trailing '; do
    [ "$(cat -- "$B/$name")" = "$name" ] || printf '[%s] ' "$name"
done)"
store_remount
is "odd names are listed, also after a remount" 14 "$(python3 -c 'import os, sys; print(len(os.listdir(sys.argv[1])))' "$B")"
is "names that differ by case or composition are different" 4 "$(mkdir "$B/c" && touch "$B/c/A" "$B/c/a" "$B/c/"$'\xc3\xa9' "$B/c/"$'e\xcc\x81' && ls "$B/c" | wc -l)"
fails "a name that is not UTF-8 is EILSEQ" EILSEQ touch "$B/"$'latin-\xe9'
fails "an overlong encoding is EILSEQ" EILSEQ touch "$B/"$'\xc0\xaf'
fails "a surrogate is EILSEQ" EILSEQ mkdir "$B/"$'\xed\xa0\x80'
part=$(printf 'p%.0s' $(seq 250))
deep=$B
for _ in $(seq 16); do deep=$deep/$part; done
(cd "$B" && for _ in $(seq 16); do mkdir "$part" && cd "$part" || exit 1; done) || bad "sixteen directories of 250 bytes nest"
fails "a key over 4095 bytes is ENAMETOOLONG" ENAMETOOLONG python3 -c '
import os, sys
os.chdir(sys.argv[1])
for n in range(16): os.chdir(sys.argv[2])
open("k" * 100, "w")' "$B" "$part"

# the hidden names
fails "the hidden name cannot be made" EROFS mkdir "$B/.versions/x"
is "the hidden names are not listed" "" "$(ls -a "$B" | grep -E '^\.(versions|at)$')"
store_remount "versions-name=.history,at-name=.then"
check "the hidden directories go by the names of the mount options" test -d "$B/.history/$long" -a -d "$B/.then"
mkdir "$B/.versions" && echo plain >"$B/.versions/f"
is "and the default names are then ordinary" plain "$(cat "$B/.versions/f")"
store_remount ""

# 22
for name in Bad_Bucket ab UPPER a..b -abc abc- 192.168.1.1 xn--abc "$(printf 'x%.0s' $(seq 64))"; do
    fails "bucket name $name is EINVAL" EINVAL mkdir -- "$MNT/$name"
done
mkdir "$MNT/Bad_Bucket" 2>/dev/null
matches "last-error names the rule" 'lower|a-z|letters|characters' "$(last_error "$MNT")"
for name in abc my.bucket 0-1-2 "$(printf 'x%.0s' $(seq 63))"; do
    check "bucket name $name is allowed" mkdir "$MNT/$name"
done
fails "a bucket that exists is EEXIST" EEXIST mkdir "$MNT/abc"

# the root
fails "no file in the root" EPERM touch "$MNT/file"
fails "no symbolic link in the root" EPERM ln -s x "$MNT/link"
fails "a bucket is not renamed" EPERM python3 -c 'import os, sys; os.rename(sys.argv[1], sys.argv[2])' "$MNT/abc" "$MNT/abd"
fails "nor moved into another" EXDEV python3 -c 'import os, sys; os.rename(sys.argv[1], sys.argv[2])' "$B/c" "$MNT/abc/c"
fails "rename across buckets is EXDEV" EXDEV python3 -c 'import os, sys; os.rename(sys.argv[1], sys.argv[2])' "$B/.hidden" "$MNT/abc/h"
fails "link across buckets is EXDEV" EXDEV python3 -c 'import os, sys; os.link(sys.argv[1], sys.argv[2])' "$B/.hidden" "$MNT/abc/h"
check "mv across buckets copies" mv "$B/.hidden" "$MNT/abc/h"
is "and the content is there" .hidden "$(cat "$MNT/abc/h")"

# 23
fails "rmdir of a bucket with an object is ENOTEMPTY" ENOTEMPTY rmdir "$MNT/abc"
settle "$MNT/abc/h" && rm "$MNT/abc/h"
is "after rm it looks empty" "" "$(ls -A "$MNT/abc")"
fails "rmdir of a bucket with versions only is ENOTEMPTY" ENOTEMPTY rmdir "$MNT/abc"
matches "last-error counts them" '[12] ' "$(last_error "$MNT")"
matches "and names the command that shows them" 'holdfs|\.versions' "$(last_error "$MNT")"
check "its history can be removed" rm -r "$MNT/abc/.versions/h"
check "then rmdir works" rmdir "$MNT/abc"
check "and it is gone" test ! -e "$MNT/abc"
check "rmdir of an empty bucket works" rmdir "$MNT/my.bucket"
check "a removed bucket's name is free again" mkdir "$MNT/abc"
is "and the new one is empty" "" "$(ls -A "$MNT/abc"; ls -A "$MNT/abc/.versions")"
