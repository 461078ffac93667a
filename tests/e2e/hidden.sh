#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The hidden directories: what .versions and .at show, and that nothing meets them unasked or writes there.
# Cases: mount 16, 17; retention 84, 85, 86.
. "$(dirname "$0")/../lib/holdfs.sh"
need find du tar

store_new
store_mount
B=$MNT/bkt
mkdir "$B"
now() { date -u +%Y-%m-%dT%H:%M:%S.%NZ; }

t_empty=$(now)
mkdir -p "$B/src/lib"
echo one >"$B/src/a" && echo lib >"$B/src/lib/l" && echo top >"$B/top" && echo old-name >"$B/src/renamed"
settle "$B"/src/{a,renamed,lib/l} "$B/top"
chmod 640 "$B/src/a" && touch -d 2001-02-03T04:05:06Z "$B/src/a"
t_one=$(now)
echo two >"$B/src/a" && mv "$B/src/renamed" "$B/src/new-name" && echo added >"$B/added" && rm "$B/top"
t_two=$(now)
settle "$B"/src/{a,new-name} "$B/added"
mkdir "$B/gone" && for n in 1 2 3; do mkdir "$B/gone/$n"; echo "deep $n" >"$B/gone/$n/f"; settle "$B/gone/$n/f"; done
t_three=$(now)

# 16: a removed tree
rm -r "$B/gone"
check "a removed tree is gone" test ! -e "$B/gone"
is "it stands under .versions as a tree" "1 2 3" "$(names_in "$B/.versions/gone" | sort | xargs)"
for n in 1 2 3; do
    f=$(names_in "$B/.versions/gone/$n/f" | head -1)
    is "its file $n reads as it was" "deep $n" "$(cat "$B/.versions/gone/$n/f/$f")"
done
is "each has its version and a marker" 2 "$(names_in "$B/.versions/gone/1/f" | wc -l)"
check "the marker says so" is_marker "$B/.versions/gone/1/f/$(names_in "$B/.versions/gone/1/f" | tail -1)"
check "the mirrored tree works from a directory within too" test -d "$B/src/.versions/lib/l"
is "a deleted name is in .versions of its directory" 2 "$(versions "$B/top")"

# never met unasked
is "find, ls and du do not meet them" "" "$(find "$MNT" \( -name .versions -o -name .at \); ls -aR "$MNT" | grep -E '\.(versions|at)\b'; du -a "$MNT" | grep -E '/\.(versions|at)\b')"
is "neither does tar" "" "$(tar -C "$B" -cf - . | tar -tf - | grep -E '/\.(versions|at)/')"
is "nor grep -r" "1" "$(grep -rl two "$B" | wc -l)"
fails "inside .versions there is no .versions" ENOENT ls "$B/.versions/.versions"
fails "nor .at" ENOENT ls "$B/.versions/.at"
fails "inside .at there is no .versions" ENOENT ls "$B/.at/$t_one/.versions"

# 17, 84: the tree as it stood
A=$B/.at/$t_one
is ".at shows the old content" one "$(cat "$A/src/a")"
is "and what was deleted since" top "$(cat "$A/top")"
is "and the old name of what was renamed" old-name "$(cat "$A/src/renamed")"
fails "and not the new one" ENOENT stat "$A/src/new-name"
fails "nor what was added" ENOENT stat "$A/added"
is "its listing is that of then" "a lib renamed" "$(ls "$A/src" | xargs)"
is "a later instant shows the later state" "two old-name added" "$(cat "$B/.at/$t_two/src/a" "$B/.at/$t_two/src/new-name" "$B/.at/$t_two/added" | xargs)"
fails "and not what was deleted by then" ENOENT stat "$B/.at/$t_two/top"
is "a directory removed since is there" "1 2 3" "$(ls "$B/.at/$t_three/gone" | xargs)"
is "it works within a directory" one "$(cat "$B/src/.at/$t_one/a")"
is "and in the mount's root" one "$(cat "$MNT/.at/$t_one/bkt/src/a")"
is "before the first file: empty" "" "$(ls "$B/.at/$t_empty")"
is "a file's own mode and time are shown" "640 981173106" "$(stat -c '%a %Y' "$A/src/a")"
is "version-id names the version" "$(xget "$(version_path "$B/src/a" 1)" s3.version-id)" "$(xget "$A/src/a" s3.version-id)"
fails "what was deleted is not in .at of now" ENOENT stat "$B/.at/-0s/top"
matches "ls .at offers instants" '^20[0-9-]+T' "$(ls "$B/.at" | head -1)"
for offered in $(ls "$B/.at"); do
    ls "$B/.at/$offered" >/dev/null || bad "an offered instant opens: $offered"
done
check "at most 32 of them" test "$(ls "$B/.at" | wc -l)" -le 32
check "copying back from .at restores" cp "$A/top" "$B/top"
is "with its content" top "$(cat "$B/top")"

# 85: the forms of TIME
day=$(date -u +%Y-%m-%d)
within 3 bash -c "[ \$(date +%s) != $(date +%s) ]" # the forms without a fraction mean the beginning of their second
second=$(date -u +%s)
for form in "$t_two" "$(date -u -d @"$second" +%Y-%m-%dT%H:%M:%SZ)" "@$second.000000001" "@$second" -0s now "$(date -u -d @"$second" +@GMT-%Y.%m.%d-%H.%M.%S)" \
    "$(TZ=Etc/GMT-2 date -d @"$second" +%Y-%m-%dT%H:%M:%S)+02:00"; do
    is "TIME as $form is understood" two "$(cat "$B/.at/$form/src/a" 2>&1)"
done
for form in -90s -15m -2h -7d -4w "$day" today yesterday; do
    check "TIME as $form opens" ls "$B/.at/$form/"
done
is "an hour ago nothing was there" "" "$(ls "$B/.at/-1h/")"
for form in 2026-02-30 2026-13-01 tomorrow 9999-01-01T00:00:00Z 2026-11-24T25:00Z nonsense -5 @x; do
    fails "TIME as $form is ENOENT" ENOENT stat "$B/.at/$form"
done
stat "$B/.at/nonsense" 2>/dev/null
matches "last-error shows the accepted forms" '2026-11-24T12:00:00Z|T12:00|yesterday|-15m' "$(last_error "$B")"

# what was refused below them is named as it was walked
where() { last_error "$B" | sed -n 's/^path: //p'; }
v=$(version_path "$B/src/a" 1)
touch "$B/src/.versions/a/new" 2>/dev/null
is "last-error names the path" "/bkt/src/.versions/a/new" "$(where)"
xset "$v" x y 2>/dev/null
is "of a version too" "${v#"$MNT"}" "$(where)"
mkdir "$MNT/.at/$t_one/bkt/src/new" 2>/dev/null
matches "and in the past" "^/(bkt/)?\.at/$t_one/(bkt/)?src/new$" "$(where)"

# 86, 17: nothing can be written there
V=$B/.versions/src/a
v=$(version_path "$B/src/a" 1)
for place in "$A" "$B/.at" "$B/.versions" "$V"; do
    fails "no file is made in ${place#"$MNT"}" EROFS touch "$place/new"
    fails "no directory is made in ${place#"$MNT"}" EROFS mkdir "$place/new"
done
for file in "$A/src/a" "$v"; do
    short=${file#"$MNT"}
    fails "writing to $short" EROFS python3 -c 'import os, sys; os.open(sys.argv[1], os.O_WRONLY)' "$file"
    fails "truncating $short" EROFS python3 -c 'import os, sys; os.truncate(sys.argv[1], 0)' "$file"
    fails "chmod of $short" EROFS chmod 600 "$file"
    fails "chown of $short" EROFS chown 1:1 "$file"
    fails "touching $short" EROFS touch "$file"
    fails "renaming $short" EROFS python3 -c 'import os, sys; os.rename(sys.argv[1], sys.argv[1] + "x")' "$file"
    fails "linking $short" EROFS ln "$file" "${file}x"
    fails "setfattr user.x on $short" EROFS setfattr -n user.x -v 1 "$file"
done
fails "unlinking in .at" EROFS unlink "$A/src/a"
fails "removing a directory in .at" EROFS rmdir "$A/src/lib"

# what may be done in .versions
rm "$B/src/new-name"
m=$(version_path "$B/src/new-name" 2)
check "the marker of a removed file is there" is_marker "$m"
check "removing the marker" rm "$m"
is "brings the file back" old-name "$(cat "$B/src/new-name")"
check "removing a version for good" rm "$v"
is "leaves the others" "1 two" "$(versions "$B/src/a") $(cat "$B/src/a")"
fails "a version's directory that is not empty is ENOTEMPTY" ENOTEMPTY rmdir "$B/.versions/src/a"
