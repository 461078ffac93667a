#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Object lock through attributes: setting, changing, bypassing, what a lock pins, defaults and settling.
# Cases: mount 14, 25, 26; retention 45*, 46, 47, 48*, 49-55.
. "$(dirname "$0")/../lib/holdfs.sh"
need setfattr python3 rsync tar setfacl

store_new
store_mount
lock_bucket locked
mkdir "$MNT/plain"
L=$MNT/locked

made() { echo "content of $1" >"$L/$1" && settle "$L/$1"; }
in_days() { date -u -d "+$1 days" +%Y-%m-%dT%H:%M:%S.000Z; }

# 45: a lock holds
made f
v=$(version_path "$L/f" 1)
check "before a lock a version may be removed" rm "$v"
made f
v=$(version_path "$L/f" 1)
check "setting GOVERNANCE +30d" xset "$L/f" s3.retention 'GOVERNANCE +30d'
matches "it reads as mode and date" '^GOVERNANCE 20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$' "$(xget "$L/f" s3.retention)"
is "the halves agree" "$(xget "$L/f" s3.retention)" "$(xget "$L/f" s3.object-lock-mode) $(xget "$L/f" s3.object-lock-retain-until-date)"
remaining=$(xget "$L/f" s3.retention-remaining)
fails "it cannot be set" EPERM xset "$L/f" s3.retention-remaining 5
check "retention-remaining is 30 days, to the begun second" test "$remaining" -gt 2591900 -a "$remaining" -le 2592001
fails "the locked version cannot be removed" EPERM rm "$v"
matches "last-error names mode and date" "GOVERNANCE.*$(xget "$L/f" s3.object-lock-retain-until-date)" "$(last_error "$L")"
check "the name can be removed" rm "$L/f"
fails "the version still not" EPERM rm "$v"
check "and the marker can" rm "$(version_path "$L/f" 2)"
is "which brings the file back" "content of f" "$(cat "$L/f")"

# 46: by halves
for order in mode-first date-first; do
    made "$order"
    if [ $order = mode-first ]; then
        check "the mode alone is taken" xset "$L/$order" s3.object-lock-mode GOVERNANCE
    else
        check "the date alone is taken" xset "$L/$order" s3.object-lock-retain-until-date "$(in_days 9)"
    fi
    fails "$order: half a retention is none" ENODATA xget "$L/$order" s3.retention
    matches "$order: last-error says so" 'half a retention' "$(last_error "$L")"
    if [ $order = mode-first ]; then
        xset "$L/$order" s3.object-lock-retain-until-date "$(in_days 9)"
    else
        xset "$L/$order" s3.object-lock-mode GOVERNANCE
    fi
    matches "$order: the second half makes the lock" '^GOVERNANCE 20' "$(xget "$L/$order" s3.retention)"
done
later=$(in_days 19)
check "with a retention the date half extends it" xset "$L/mode-first" s3.object-lock-retain-until-date "$later"
is "to that date" "GOVERNANCE $later" "$(xget "$L/mode-first" s3.retention)"

# 47: bad values
made bad
for value in 'GOVERNANCE +0d' 'GOVERNANCE tomorrow' 'FOO +1d' 'GOVERNANCE' '+1d' 'GOVERNANCE 2001-01-01' 'GOVERNANCE 2026-02-30' \
    'GOVERNANCE 2026-11-24T12:00:60Z' 'COMPLIANCE 10000-01-01T00:00:00Z' 'GOVERNANCE +1x' '' 'GOVERNANCE +1d extra'; do
    fails "retention '$value' is EINVAL" EINVAL xset "$L/bad" s3.retention "$value"
    matches "with words" '.+' "$(last_error "$L")"
done
fails "COMPLIANCE beyond a hundred years is ERANGE" ERANGE xset "$L/bad" s3.retention 'COMPLIANCE 2200-01-01'
fails "legal-hold 'maybe' is EINVAL" EINVAL xset "$L/bad" s3.legal-hold maybe
fails "nothing was set by them" ENODATA xget "$L/bad" s3.retention
echo x >"$MNT/plain/f"
fails "on a bucket without lock: EOPNOTSUPP" EOPNOTSUPP xset "$MNT/plain/f" s3.retention 'COMPLIANCE +1d'
fails "also a legal hold" EOPNOTSUPP xset "$MNT/plain/f" s3.legal-hold ON
mkdir "$L/dir"
fails "on a directory: EISDIR" EISDIR xset "$L/dir" s3.retention 'GOVERNANCE +1d'
made marked && rm "$L/marked"
fails "on a delete marker: EOPNOTSUPP" EOPNOTSUPP xset "$(version_path "$L/marked" 2)" s3.retention 'GOVERNANCE +1d'
for value in 'governance 2140-01-01' 'GOVERNANCE 9999-12-31T23:59:59.999Z' 'Governance +2h' 'GOVERNANCE 2038-01-20T03:14:08+02:00' 'GOVERNANCE 2106-02-08T00:00:00.1Z'; do
    name=good-${value//[^0-9A-Za-z]/}
    made "$name"
    check "retention '$value' is taken" xset "$L/$name" s3.retention "$value"
done
fails "a file with one refuses XATTR_CREATE" EEXIST python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.s3.retention", b"GOVERNANCE +40d", os.XATTR_CREATE)' "$L/f"
fails "a file with none refuses XATTR_REPLACE" ENODATA python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.s3.retention", b"GOVERNANCE +40d", os.XATTR_REPLACE)' "$L/bad"
store_remount
is "far dates are kept exactly over a remount" \
    "GOVERNANCE 2140-01-01T00:00:00.000Z GOVERNANCE 9999-12-31T23:59:59.999Z GOVERNANCE 2038-01-20T01:14:08.000Z GOVERNANCE 2106-02-08T00:00:00.100Z" \
    "$(for n in governance21400101 GOVERNANCE99991231T235959999Z GOVERNANCE20380120T0314080200 GOVERNANCE21060208T0000001Z; do
        xget "$L/good-$n" s3.retention 2>/dev/null && echo; done | xargs)"

# 48: governance and bypass
made g
xset "$L/g" s3.retention 'GOVERNANCE +30d'
fails "governance cannot be lifted" EPERM xdel "$L/g" s3.retention
fails "nor shortened" EPERM xset "$L/g" s3.retention 'GOVERNANCE +1d'
fails "nor made compliance without bypass" EPERM xset "$L/g" s3.retention 'COMPLIANCE +40d'
check "it can be extended" xset "$L/g" s3.retention 'GOVERNANCE +31d'
fails "bypass is not armed of itself" ENODATA xget "$L/g" s3.bypass-governance-retention
check "arming bypass" xset "$L/g" s3.bypass-governance-retention true
is "it shows" true "$(xget "$L/g" s3.bypass-governance-retention)"
check "then it can be lifted" xdel "$L/g" s3.retention
fails "and is gone" ENODATA xget "$L/g" s3.retention
xset "$L/g" s3.retention 'GOVERNANCE +30d'
fails "one arming is for one operation" EPERM xdel "$L/g" s3.retention
made g2 && xset "$L/g2" s3.retention 'GOVERNANCE +30d'
xset "$L/g" s3.bypass-governance-retention true
fails "and for one version" EPERM rm "$(version_path "$L/g2" 1)"
check "rm of the armed version works" rm "$(version_path "$L/g" 1)"
mkdir "$L/tree" && for n in 1 2 3; do made "tree/$n" && xset "$L/tree/$n" s3.retention 'GOVERNANCE +30d'; done
check "arming a directory" xset "$L/tree" s3.bypass-governance-retention 'true 60'
check "frees all below it" rm -r "$L/tree/.versions/1" "$L/tree/.versions/2"
check "disarming" xdel "$L/tree" s3.bypass-governance-retention
fails "holds again" EPERM rm "$(version_path "$L/tree/3" 1)"
fails "arming for longer than 600 s is refused" "EINVAL|ERANGE" xset "$L/tree" s3.bypass-governance-retention 'true 601'
xset "$L/tree" s3.bypass-governance-retention 'true 60'
store_remount
fails "an unmount ends it" EPERM rm "$(version_path "$L/tree/3" 1)"
made c && xset "$L/c" s3.retention 'COMPLIANCE +30d'
xset "$L/c" s3.bypass-governance-retention true
fails "bypass never touches compliance" EPERM rm "$(version_path "$L/c" 1)"
check "the command arms it too" "$HOLDFS" retention bypass "$L/g2"
check "for one rm" rm "$(version_path "$L/g2" 1)"
check "retention set works by command" "$HOLDFS" retention set "$L/bad" GOVERNANCE +5d
matches "and is seen" '^GOVERNANCE' "$(xget "$L/bad" s3.retention)"

# legal hold
made h
fails "a hold that was never set is ENODATA" ENODATA xget "$L/h" s3.legal-hold
check "hold ON" xset "$L/h" s3.legal-hold ON
is "both names show it" "ON ON" "$(xget "$L/h" s3.legal-hold) $(xget "$L/h" s3.object-lock-legal-hold)"
fails "holds the version" EPERM rm "$(version_path "$L/h" 1)"
xset "$L/h" s3.bypass-governance-retention true
fails "bypass does not touch it" EPERM rm "$(version_path "$L/h" 1)"
check "hold OFF" xset "$L/h" s3.legal-hold OFF
is "shows OFF" OFF "$(xget "$L/h" s3.legal-hold)"
check "and frees it" rm "$(version_path "$L/h" 1)"
made h2
check "by command" "$HOLDFS" legal-hold on "$L/h2"
fails "it holds" EPERM rm "$(version_path "$L/h2" 1)"
check "off by command" "$HOLDFS" legal-hold off "$L/h2"

# 49, mount 25: what a locked current version pins
made p && xset "$L/p" s3.tagging a=1 && setfattr -n user.x -v before "$L/p" && xset "$L/p" s3.retention 'COMPLIANCE +30d'
before=$(stat -c '%a %Y %u %s %i' "$L/p")
fails "utimens is EPERM" EPERM touch -d 2001-01-01 "$L/p"
matches "with words" COMPLIANCE "$(last_error "$L")"
fails "chown is EPERM" EPERM chown 1:1 "$L/p"
fails "setfattr user.x is EPERM" EPERM setfattr -n user.x -v after "$L/p"
fails "removing user.x is EPERM" EPERM setfattr -x user.x "$L/p"
fails "a content header is EPERM" EPERM xset "$L/p" s3.content-type text/x-other
fails "user metadata is EPERM" EPERM xset "$L/p" s3.meta.m x
is "nothing changed" "$before before" "$(stat -c '%a %Y %u %s %i' "$L/p") $(xget "$L/p" x)"
check "chmod works" chmod 600 "$L/p"
check "setfacl works" setfacl -m u:1:r "$L/p"
check "tagging works" xset "$L/p" s3.tagging a=2
is "none of that made a version" 1 "$(versions "$L/p")"
check "writing makes a newer version" bash -c "echo newer >'$L/p'"
is "with the new content" "2 newer" "$(versions "$L/p") $(cat "$L/p")"
is "and the locked one as it was" "content of p" "$(cat "$(version_path "$L/p" 1)")"
fails "locked as before" EPERM rm "$(version_path "$L/p" 1)"
fails "the newer version has no lock" ENODATA xget "$L/p" s3.retention

# 50-52: default retention and settling
lock_bucket default 'COMPLIANCE 1d'
D=$MNT/default
xset "$D" s3.bucket.settle 2
echo a >"$D/one" && touch "$D/one" && mv "$D/one" "$D/two" && echo b >>"$D/two" && rm "$D/two" || bad "before settling everything works"
ok "write, touch, mv, append and rm before settling"
echo first >"$D/over"
matches "settle reads the seconds left" '^[0-2]$' "$(xget "$D/over" s3.settle)"
echo second >"$D/over"
fails "unsettled there is no lock" ENODATA xget "$D/over" s3.retention
check "left alone it gets the default" within 6 xget "$D/over" s3.retention
date_now=$(date -u +%s)
until_date=$(date -u -d "$(xget "$D/over" s3.object-lock-retain-until-date)" +%s)
check "COMPLIANCE, for a day from settling" test $((until_date - date_now)) -gt 86390 -a $((until_date - date_now)) -le 86401
is "settle then reads 0" 0 "$(xget "$D/over" s3.settle)"
fails "the version that was overwritten in time never does" ENODATA xget "$(version_path "$D/over" 1)" s3.retention
check "and can be removed" rm "$(version_path "$D/over" 1)"
fails "the settled one cannot" EPERM rm "$(version_path "$D/over" 1)"
exec 7>"$D/held-open" && echo x >&7
sleep 3
fails "while a writer holds it open a version does not settle" ENODATA xget "$D/held-open" s3.retention
exec 7>&-
check "after the close it does" within 6 xget "$D/held-open" s3.retention
xset "$D" s3.bucket.settle 0
echo at-once >"$D/at-once"
check "with settle 0 it is locked at close" within 1 xget "$D/at-once" s3.retention
fails "and cannot be removed" EPERM rm "$(version_path "$D/at-once" 1)"
xset "$D" s3.bucket.settle 60
echo explicit >"$D/explicit" && xset "$D/explicit" s3.retention 'GOVERNANCE +1h'
settle "$D/explicit"
matches "an explicit lock beats the default" '^GOVERNANCE' "$(xget "$D/explicit" s3.retention)"
check "the default can be taken back" xset "$D" s3.bucket.object-lock none
echo later >"$D/later" && settle "$D/later"
fails "for later versions" ENODATA xget "$D/later" s3.retention
matches "locks already given stay" COMPLIANCE "$(xget "$D/over" s3.retention)"
fails "lock cannot be switched off" EINVAL xset "$D" s3.bucket.object-lock Disabled
fails "versioning of it cannot be suspended" EBUSY xset "$D" s3.bucket.versioning Suspended
for value in 'GOVERNANCE 0d' 'GOVERNANCE -1d' 'FOO 1d' 'GOVERNANCE'; do
    fails "default '$value' is EINVAL" EINVAL xset "$D" s3.bucket.object-lock "$value"
done
for value in 'GOVERNANCE 36501d' 'GOVERNANCE 101y'; do
    fails "default '$value' is beyond the limit" 'EINVAL|ERANGE' xset "$D" s3.bucket.object-lock "$value"
done
matches "the document reads back" '<ObjectLockEnabled>Enabled</ObjectLockEnabled>' "$(xget "$D" s3.bucket.object-lock)"
check "a document is accepted" xset "$D" s3.bucket.object-lock '<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>3</Days></DefaultRetention></Rule></ObjectLockConfiguration>'
matches "and reads back" '<Mode>GOVERNANCE</Mode><Days>3</Days>' "$(xget "$D" s3.bucket.object-lock | tr -d ' \n')"
mkdir "$MNT/suspended" && xset "$MNT/suspended" s3.bucket.versioning Suspended
fails "lock needs versioning Enabled" EBUSY xset "$MNT/suspended" s3.bucket.object-lock Enabled

# 53: a lock on what only the page cache has
check "a lock on an open draft holds all that was written before" python3 - "$L/draft" <<'PY'
import os, sys
path = sys.argv[1]
data = os.urandom(1 << 20)
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
os.write(fd, data)
os.setxattr(path, "user.s3.retention", b"COMPLIANCE +1d")
os.pwrite(fd, b"later", 0)
os.write(fd, b"more")
os.close(fd)
base = os.path.dirname(path) + "/.versions/draft/"
names = os.listdir(base)
assert len(names) == 2, names
assert open(base + names[0], "rb").read() == data, "the locked version is what was written before"
assert open(base + names[1], "rb").read() == b"later" + data[5:] + b"more", "the newer one has the rest"
assert os.getxattr(base + names[0], "user.s3.retention").startswith(b"COMPLIANCE")
try:
    os.getxattr(base + names[1], "user.s3.retention")
    raise SystemExit("the newer version is locked too")
except OSError:
    pass
PY

# 54, mount 14: copies of a locked file
made src && xset "$L/src" s3.retention 'COMPLIANCE +30d' && xset "$L/src" s3.legal-hold ON
check "cp -a" cp -a "$L/src" "$L/by-cp"
check "rsync -aHAX" rsync -aHAX "$L/src" "$L/by-rsync"
mkdir "$L/by-tar" && check "tar --xattrs" bash -c "tar -C '$L' --xattrs '--xattrs-include=*' --acls -cf - src | tar -C '$L/by-tar' --xattrs '--xattrs-include=*' --acls -xf -"
for copy in by-cp by-rsync by-tar/src; do
    is "$copy has the content" "content of src" "$(cat "$L/$copy")"
    fails "$copy has no retention" ENODATA xget "$L/$copy" s3.retention
    fails "$copy has no hold" ENODATA xget "$L/$copy" s3.legal-hold
done
made readonly && chmod a-w "$L/readonly" && settle "$L/readonly"
fails "chmod a-w does not lock" ENODATA xget "$L/readonly" s3.retention

# hard links: one setxattr locks each name's current version
made linked && ln "$L/linked" "$L/linked2"
check "a lock through one name" xset "$L/linked" s3.retention 'COMPLIANCE +1d'
fails "holds under the first" EPERM rm "$(version_path "$L/linked" 1)"
fails "and under the second" EPERM rm "$(version_path "$L/linked2" 1)"

# 55: an owner who is not uid 0
if [ "$(id -u)" = 0 ]; then
    store_unmount
    chmod 755 "$T"
    mkdir "$T/owned" && chown 12345:12345 "$T/owned" "$PASS"
    STORE=$T/owned/store
    as_owner() { setpriv --reuid 12345 --regid 12345 --clear-groups "$@"; }
    as_other() { setpriv --reuid 12346 --regid 12346 --clear-groups "$@"; }
    check "a user makes a store" as_owner "$HOLDFS" init --passphrase-file "$PASS" --scrypt-log-n 14 "$STORE"
    store_mount allow_other
    L=$MNT/owned
    as_owner mkdir "$L" && as_owner setfattr -n user.s3.bucket.object-lock -v Enabled "$L" || bad "its owner makes a bucket with lock"
    as_owner bash -c "echo mine >'$L/f'; chmod 666 '$L/f'" && settle "$L/f"
    v=$(version_path "$L/f" 1)
    fails "another uid has no permission to lock" EACCES as_other setfattr -n user.s3.retention -v 'GOVERNANCE +1d' "$L/f"
    matches "and reads so where it may" 'AccessDenied' "$(as_other getfattr --absolute-names --only-values -n user.s3.last-error "$MNT" 2>/dev/null)"
    check "the owner may, through the version's path" as_owner setfattr -n user.s3.retention -v 'GOVERNANCE +1d' "$v"
    matches "and it is locked" '^GOVERNANCE' "$(xget "$L/f" s3.retention)"
    fails "writing the version is EROFS" EROFS as_owner bash -c ": >>'$v'"
    fails "removing it EPERM" EPERM as_owner rm "$v"
fi
