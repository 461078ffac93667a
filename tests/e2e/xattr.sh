#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Extended attributes: ordinary ones, those of S3, what is listed and what is not, bad values, buckets' attributes.
# Cases: mount 14 (copies carry no computed attributes), 26, 27.
. "$(dirname "$0")/../lib/holdfs.sh"
need setfattr getfattr python3

store_new
store_mount
B=$MNT/bkt f=$MNT/bkt/f
mkdir "$B"
echo hello >"$f"

# ordinary attributes
check "a user attribute is set" setfattr -n user.colour -v blue "$f"
is "and read" blue "$(xget "$f" colour)"
setfattr -n user.binary -v 0x00ff0a00 "$f"
is "binary values survive" 0x00ff0a00 "$(getfattr --absolute-names -e hex -n user.binary "$f" | grep -o '0x.*')"
setfattr -n user.empty "$f"
is "an empty value is one" 'user.empty=""' "$(getfattr --absolute-names -n user.empty "$f" | grep empty)"
fails "a missing one is ENODATA" ENODATA getfattr -n user.nothing "$f"
fails "removing a missing one is ENODATA" ENODATA setfattr -x user.nothing "$f"
xattr_call() { python3 -c "import os, sys; $1" "${@:2}"; }
fails "XATTR_CREATE over one is EEXIST" EEXIST xattr_call 'os.setxattr(sys.argv[1], "user.colour", b"x", os.XATTR_CREATE)' "$f"
fails "XATTR_REPLACE of none is ENODATA" ENODATA xattr_call 'os.setxattr(sys.argv[1], "user.nothing", b"x", os.XATTR_REPLACE)' "$f"
check "64 KiB fit in one value" xattr_call 'os.setxattr(sys.argv[1], "user.large", bytes(range(256)) * 256)' "$f"
check "and come back" xattr_call 'assert os.getxattr(sys.argv[1], "user.large") == bytes(range(256)) * 256' "$f"
fails "1 MiB together is the bound" ENOSPC xattr_call '
for n in range(17): os.setxattr(sys.argv[1], "user.large%d" % n, bytes(65536))' "$f"
xattr_call '
for n in os.listxattr(sys.argv[1]):
    if n.startswith("user.large"): os.removexattr(sys.argv[1], n)' "$f"
check "a directory has attributes" setfattr -n user.colour -v red "$B"
if [ "$(id -u)" = 0 ]; then
    check "trusted attributes for root" setfattr -n trusted.t -v secret "$f"
    check "security attributes" setfattr -n security.s -v label "$f"
    ln -s target "$B/link"
    check "trusted ones on a symbolic link" setfattr -h -n trusted.t -v onlink "$B/link"
fi
is "xattrs make no version" 1 "$(versions "$f")"
store_remount
is "attributes are there after a remount" "blue red" "$(xget "$f" colour) $(xget "$B" colour)"
[ "$(id -u)" != 0 ] || is "trusted and security too" "secret label" "$(getfattr --absolute-names --only-values -n trusted.t "$f") $(getfattr --absolute-names --only-values -n security.s "$f")"
echo more >>"$f"
is "the next version keeps them" blue "$(xget "$f" colour)"
setfattr -n user.colour -v green "$f"
is "and the older version its own" blue "$(xget "$(version_path "$f" 1)" colour)"

# those of S3: computed
matches "version-id" '^[a-z2-7]{32}$' "$(xget "$f" s3.version-id)"
matches "etag of a version made here ends in -0" '^"?[0-9a-f]{32}-0"?$' "$(xget "$f" s3.etag)"
is "is-latest" "true false" "$(xget "$f" s3.is-latest) $(xget "$(version_path "$f" 1)" s3.is-latest)"
matches "last-modified is a date" '20[0-9]{2}' "$(xget "$f" s3.last-modified)"
is "server-side-encryption" AES256 "$(xget "$f" s3.server-side-encryption)"
matches "made-by names a principal" '.+' "$(xget "$f" s3.made-by)"
matches "size-stored is a number" '^[0-9]+$' "$(xget "$f" s3.size-stored)"
for name in version-id etag last-modified is-latest size-stored made-by describe server-side-encryption last-error; do
    fails "setting $name is EPERM" EPERM xset "$f" "s3.$name" x
done
for name in version-id etag is-latest; do
    fails "removing $name is EPERM" EPERM xdel "$f" "s3.$name"
done

# those of S3: settable
for pair in content-type=text/x-test cache-control=no-store content-disposition=inline content-encoding=gzip content-language=de \
    website-redirect-location=/other meta.owner=someone 'meta.note=with spaces' 'tagging=k=v&k2=v2' tag.k3=v3; do
    name=${pair%%=*} value=${pair#*=}
    check "setting $name" xset "$f" "s3.$name" "$value"
    is "and reading $name" "$value" "$(xget "$f" "s3.$name" 2>&1)"
done
is "tag.KEY and tagging are one thing" "v k=v&k2=v2&k3=v3" "$(xget "$f" s3.tag.k) $(xget "$f" s3.tagging)"
check "a tag is removed by name" xdel "$f" s3.tag.k2
is "from tagging" "k=v&k3=v3" "$(xget "$f" s3.tagging)"
check "a header is removed" xdel "$f" s3.cache-control
fails "and then absent" ENODATA xget "$f" s3.cache-control
is "none of it made a version" 2 "$(versions "$f")"
store_remount
is "they survive a remount" "text/x-test someone k=v&k3=v3" "$(xget "$f" s3.content-type) $(xget "$f" s3.meta.owner) $(xget "$f" s3.tagging)"

# 26: bad values
fails "an unknown user.s3 name is EINVAL to set" EINVAL xset "$f" s3.content-tipe x
matches "last-error lists the near ones" content-type "$(last_error "$f")"
fails "and ENODATA to get" ENODATA xget "$f" s3.content-tipe
fails "a tag set over ten is ERANGE" ERANGE xset "$f" s3.tagging 'a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9&j=10&k=11'
fails "a malformed tag set is EINVAL" EINVAL xset "$f" s3.tagging 'k=v&k=w'
is "and the value before stays" "k=v&k3=v3" "$(xget "$f" s3.tagging)"
matches "with words" '.+' "$(last_error "$f")"
fails "a header with a control character is EINVAL" EINVAL xset "$f" s3.expires $'two\nlines'
check "an expiry is kept as it is given" xset "$f" s3.expires 'whenever'
fails "a bad bucket.versioning is EINVAL" EINVAL xset "$B" s3.bucket.versioning enabled
matches "bucket.versioning is unchanged" '<Status>Enabled</Status>' "$(xget "$B" s3.bucket.versioning)"
matches "with words that name what is right" 'Enabled' "$(last_error "$B")"
fails "a bucket.settle beyond a day is refused" "EINVAL|ERANGE" xset "$B" s3.bucket.settle 86401
fails "a bad bucket.orphan-keep is EINVAL" EINVAL xset "$B" s3.bucket.orphan-keep soon
fails "a bad bucket.compression is EINVAL" EINVAL xset "$B" s3.bucket.compression lzma
fails "a bad bucket.mode-mask is EINVAL" EINVAL xset "$B" s3.bucket.mode-mask 999

# buckets
for pair in settle=5 orphan-keep=2d compression=zstd mode-mask=027; do
    check "setting bucket.${pair%%=*}" xset "$B" "s3.bucket.${pair%%=*}" "${pair#*=}"
    is "reads back" "${pair#*=}" "$(xget "$B" "s3.bucket.${pair%%=*}")"
done
check "tags of a bucket" xset "$B" s3.bucket.tagging 'a=b'
matches "read back as the document" '<Tag><Key>a</Key><Value>b</Value></Tag>' "$(xget "$B" s3.bucket.tagging)"
fails "bucket.object-lock of a bucket without is ENODATA" ENODATA xget "$B" s3.bucket.object-lock
check "versioning can be suspended" xset "$B" s3.bucket.versioning Suspended
matches "and reads so" '<Status>Suspended</Status>' "$(xget "$B" s3.bucket.versioning)"
check "and enabled as XML" xset "$B" s3.bucket.versioning '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>'
is "a bucket's attribute on a file is none" "" "$(xget "$f" s3.bucket.settle 2>/dev/null)"

# 27: what is listed
listed=$(getfattr --absolute-names -d -m - "$f" | grep -o '^[a-z][^=]*' | sort | xargs)
matches "ordinary ones are listed" 'user\.colour' "$listed"
matches "headers, metadata and tags are" 'user\.s3\.content-type.*user\.s3\.meta\.note.*user\.s3\.meta\.owner.*user\.s3\.tagging' "$listed"
is "computed and lock attributes are not" "" "$(tr ' ' '\n' <<<"$listed" | grep -E 's3\.(version-id|etag|is-latest|last-modified|size-stored|made-by|describe|last-error|retention|legal-hold|object-lock|server-side|settle|tag\.)')"
check "everything listed can be read" getfattr --absolute-names -d -m - "$f"
touch "$B/copy"
check "and set on another file" python3 -c '
import os, sys
for n in os.listxattr(sys.argv[1]): os.setxattr(sys.argv[2], n, os.getxattr(sys.argv[1], n))' "$f" "$B/copy"
check "cp -a exits 0" cp -a "$f" "$B/copied"
is "and carries them" "green text/x-test someone k=v&k3=v3" \
    "$(xget "$B/copied" colour) $(xget "$B/copied" s3.content-type) $(xget "$B/copied" s3.meta.owner) $(xget "$B/copied" s3.tagging)"
check "describe is JSON and holds all" python3 -c '
import json, os, sys
d = json.loads(os.getxattr(sys.argv[1], "user.s3.describe"))
flat = json.dumps(d)
for word in ("version-id", "etag", "last-modified", "content-type", "text/x-test", "someone", "is-latest", "server-side-encryption", "AES256", "k3"):
    assert word in flat, (word, flat)' "$f"
check "of a directory too" python3 -c 'import json, os, sys; json.loads(os.getxattr(sys.argv[1], "user.s3.describe"))' "$B"
store_remount list-xattrs=all
matches "list-xattrs=all lists computed ones" 'user\.s3\.etag.*user\.s3\.version-id' "$(getfattr --absolute-names -d -m - "$f" | grep -o '^[a-z][^=]*' | sort | xargs)"
is "an empty tag set is not listed" "" "$(store_remount ''; getfattr --absolute-names -d -m - "$B/copy" >/dev/null; xdel "$f" s3.tagging; getfattr --absolute-names -d -m - "$f" | grep tagging)"

# last-error
xdel "$f" s3.last-error
fails "last-error can be forgotten" ENODATA xget "$f" s3.last-error
