#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# POSIX modes and ACLs: kept, inherited, enforced, in versions.
# Rules: mount sections 5 and 7.
. "$(dirname "$0")/../lib/holdfs.sh"
need setfacl getfacl setpriv
need_root "acts as several users"

store_new
store_mount allow_other
B=$MNT/bkt
chmod 755 "$T" && mkdir "$B" && chmod 755 "$B"
as() { setpriv --reuid "$1" --regid "$1" --groups "$2" "${@:3}"; }

# The bucket's data for other uids than root is a matter of policy, which is judged after the kernel's modes.
echo text >"$B/f" && chmod 600 "$B/f"
fails "mode 600 keeps others out" EACCES as 3001 3001 cat "$B/f"
check "an ACL is set" setfacl -m u:3001:r,g:4001:rw,m::rw "$B/f"
is "and read" "user::rw- user:3001:r-- group::--- group:4001:rw- mask::rw- other::---" "$(getfacl -pcn "$B/f" | xargs)"
is "the mode's group bits show the mask" 660 "$(stat -c %a "$B/f")"
check "chmod changes the mask" chmod 640 "$B/f"
is "as it should" mask::r-- "$(getfacl -pcn "$B/f" | grep mask)"
check "an ACL that is just a mode is a chmod" setfacl -b "$B/f"
is "and none is left" "user::rw- group::--- other::---" "$(getfacl -pcn "$B/f" | xargs)"

mkdir "$B/d" && setfacl -d -m u:3001:rwx,g::rx,o::- "$B/d"
: >"$B/d/f" && mkdir "$B/d/sub"
is "a file inherits the default ACL" "user::rw- user:3001:rwx #effective:rw- group::r-x #effective:r-- mask::rw- other::---" "$(getfacl -pcn "$B/d/f" | xargs)"
is "a directory its default too" "$(getfacl -pcdn "$B/d" | xargs)" "$(getfacl -pcdn "$B/d/sub" | xargs)"
(umask 077 && : >"$B/d/masked")
is "umask does not count below a default ACL" "$(getfacl -pcn "$B/d/f" | xargs)" "$(getfacl -pcn "$B/d/masked" | xargs)"
fails "a default ACL on a file is refused" EACCES python3 -c '
import os, sys
os.setxattr(sys.argv[2], "system.posix_acl_default", os.getxattr(sys.argv[1], "system.posix_acl_default"))' "$B/d" "$B/d/f"

setfacl -m u:3001:r "$B/f" && settle "$B/f"
echo second >"$B/f"
setfacl -m u:3002:r "$B/f"
is "a version keeps the ACL it had" "user:3001:r--" "$(getfacl -pcn "$(version_path "$B/f" 1)" | grep 'user:3')"
is "the next one has its own" "user:3001:r-- user:3002:r--" "$(getfacl -pcn "$B/f" | grep 'user:3' | xargs)"
store_remount
is "ACLs are there after a remount" "user:3001:r-- user:3002:r--" "$(getfacl -pcn "$B/f" | grep 'user:3' | xargs)"
is "default ones too" "default:user:3001:rwx" "$(getfacl -pn "$B/d" 2>/dev/null | grep default:user:3)"
cp -a "$B/f" "$B/copy"
is "cp -a copies them" "$(getfacl -pcn "$B/f" | xargs)" "$(getfacl -pcn "$B/copy" | xargs)"

# setuid and setgid bits go when a file is written or given away, as POSIX has it
cp /bin/true "$B/prog" && chmod 6755 "$B/prog"
chown 3001 "$B/prog"
is "chown drops setuid and setgid" 755 "$(stat -c %a "$B/prog")"

# an ACL, like a chmod, keeps setgid only where its setter is in the file's group
store_remount allow_other,uid-map=3001:root
setgid() { cp /bin/true "$B/$1" && chown 3001:4001 "$B/$1" && chmod 2750 "$B/$1"; }
setgid in && setgid out && setgid root && mkdir "$B/dir" && chown 3001:4001 "$B/dir" && chmod 2755 "$B/dir"
check "the owner, in its group, sets an ACL" as 3001 4001 setfacl -m u:3002:r "$B/in"
is "setgid stays" 2750 "$(stat -c %a "$B/in")"
check "the owner, not in its group, sets one" as 3001 3001 setfacl -m u:3002:r "$B/out"
is "setgid goes" 750 "$(stat -c %a "$B/out")"
is "the ACL is there" "user:3002:r--" "$(getfacl -pcn "$B/out" | grep user:3002)"
check "and of a directory" as 3001 3001 setfacl -m u:3002:rx "$B/dir"
is "as well" 755 "$(stat -c %a "$B/dir")"
check "root sets one" setfacl -m u:3002:r "$B/root"
is "and setgid stays" 2750 "$(stat -c %a "$B/root")"
check "the mount is nosuid and nodev" grep -qE " $MNT fuse.holdfs [^ ]*nosuid[^ ]*nodev" /proc/self/mounts
