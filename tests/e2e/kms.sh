#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# SSE-KMS under the store's own keys: commands, bucket default, who may, what a disabled, rotated and destroyed key does.
# Cases of encryption.md: 8, 33, 36, 41, 42, 43, 44, 46, 47, 49, 51, 52, 61, 74; of logs.md: 42, 43.
. "$(dirname "$0")/../lib/holdfs.sh"

errno_text+=([ENOKEY]='Required key not available' [EKEYEXPIRED]='Key has expired' [EKEYREVOKED]='Key has been revoked'
    [EKEYREJECTED]='Key was rejected by service')
member() { python3 -c 'import json, sys; print(json.load(sys.stdin).get(sys.argv[1]))' "$1"; }
kms() { "$HOLDFS" kms "$@"; }
attr() { getfattr --only-values -n "user.s3.$1" "$2" 2>/dev/null; }
segments() { (cd "$STORE/segments" && find . -type f -exec sha256sum {} + | sort -k2); }

store_new
store_mount
mkdir "$MNT/bkt" "$MNT/plain"

# Keys and aliases.
arn=$(kms create-key --description 'pay roll' "$MNT")
matches "a key has an ARN" '^arn:aws:kms:us-east-1:[0-9]{12}:key/[0-9a-f-]{36}$' "$arn"
id=${arn##*/}
is "it is enabled" Enabled "$(kms describe --json "$MNT" "$id" | member KeyState)"
check "an alias is made" kms alias create "$MNT" alias/pay "$id"
refused "twice it is not" 'exists' kms alias create "$MNT" alias/pay "$id"
refused "nor one of holdfs's own" 'alias/aws/' kms alias create "$MNT" alias/aws/x "$id"
refused "nor one with other letters" 'no alias' kms alias create "$MNT" 'alias/a b' "$id"
is "it names the key" "$arn" "$(kms describe --json "$MNT" alias/pay | member Arn)"
refused "case 37: a key id that is none" "Invalid keyId 'fake-key-id'" kms describe "$MNT" fake-key-id
printf '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*"}]}' >"$T/closed.json"
keys=$(kms list --json "$MNT" | grep -c KeyId)
refused "a policy that nobody could change makes no key" 'nobody could set' kms create-key --policy "$T/closed.json" "$MNT"
is "none was made" "$keys" "$(kms list --json "$MNT" | grep -c KeyId)"
refused "nor is it set" 'nobody could set' kms set-policy "$MNT" "$id" "$T/closed.json"
refused "a region that is not the store's" 'Invalid arn eu-x' kms describe "$MNT" "${arn/us-east-1/eu-x}"

# Bucket default, read and written.
check "case 33: the default in its short form" setfattr -n user.s3.bucket.encryption -v 'aws:kms:alias/pay bucket-key' "$MNT/bkt"
matches "reads as XML" '<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>alias/pay</KMSMasterKeyID>.*<BucketKeyEnabled>true' "$(attr bucket.encryption "$MNT/bkt")"
echo payslips >"$MNT/bkt/f"
is "a file under it reads" payslips "$(cat "$MNT/bkt/f")"
is "its mode is told" aws:kms "$(attr server-side-encryption "$MNT/bkt/f")"
is "its key too" "$arn" "$(attr server-side-encryption-aws-kms-key-id "$MNT/bkt/f")"
is "and that its data key is shared" true "$(attr server-side-encryption-bucket-key-enabled "$MNT/bkt/f")"
for form in "$id" "$arn" alias/pay "${arn%:key/*}:alias/pay"; do
    "$HOLDFS" bucket set "$MNT/bkt" "encryption=aws:kms:$form"
    echo "$form" >"$MNT/bkt/form"
    is "case 36: $form" "$arn" "$(attr server-side-encryption-aws-kms-key-id "$MNT/bkt/form")"
done
is "without a bucket key nothing is said of it" "" "$(attr server-side-encryption-bucket-key-enabled "$MNT/bkt/form")"
"$HOLDFS" bucket set "$MNT/bkt" encryption=aws:kms
echo x >"$MNT/bkt/own"
is "case 35: aws:kms alone is alias/aws/s3" "$(kms describe --json "$MNT" alias/aws/s3 | member Arn)" "$(attr server-side-encryption-aws-kms-key-id "$MNT/bkt/own")"
matches "logs.md §3.5: that it was made is recorded" ' CreateKey ' "$(kms usage --key alias/aws/s3 "$MNT" | tr '\t' ' ')"
refused "which is not disabled" "holdfs's own" kms disable "$MNT" alias/aws/s3
"$HOLDFS" bucket set "$MNT/bkt" encryption=aws:kms:alias/none
fails "case 30: an unknown key fails at the first write" ENOKEY touch "$MNT/bkt/none"
is "and leaves no name" "" "$(find "$MNT/bkt" -name none)"
"$HOLDFS" bucket set "$MNT/bkt" encryption=aws:kms:alias/pay
echo kept >>"$MNT/bkt/own"
is "an edit keeps mode and key of what it began from" "$(kms describe --json "$MNT" alias/aws/s3 | member Arn)" "$(attr server-side-encryption-aws-kms-key-id "$MNT/bkt/own")"
echo anew >"$MNT/bkt/own"
is "what is begun anew takes the default" "$arn" "$(attr server-side-encryption-aws-kms-key-id "$MNT/bkt/own")"
fails "a computed attribute is not set" EPERM setfattr -n user.s3.server-side-encryption -v AES256 "$MNT/bkt/f"
head -c 3000000 /dev/urandom >"$T/big"
check "a big one" cp "$T/big" "$MNT/bkt/big"
check "reads the same" cmp "$T/big" "$MNT/bkt/big"
store_remount
check "after a remount too" cmp "$T/big" "$MNT/bkt/big"
is "and the small one" payslips "$(cat "$MNT/bkt/f")"
is "and a version by its name" payslips "$(cat "$(version_path "$MNT/bkt/f" 1)")"

# Disabled.
exec 7<"$MNT/bkt/big"
check "a key is disabled" kms disable "$MNT" alias/pay
is "case 42: a file open before goes on" "$(head -c 100000 "$T/big" | sha256sum)" "$(head -c 100000 <&7 | sha256sum)"
exec 7<&-
fails "opening fails" EKEYREVOKED cat "$MNT/bkt/f"
fails "of an old version too" EKEYREVOKED cat "$(version_path "$MNT/bkt/f" 1)"
fails "so does making" EKEYREVOKED touch "$MNT/bkt/new"
matches "the reason is told" 'is disabled' "$(attr last-error "$MNT/bkt")"
is "stat works" 9 "$(stat -c %s "$MNT/bkt/f")"
for _ in $(seq 50); do mv "$MNT/bkt/f" "$MNT/bkt/g" && mv "$MNT/bkt/g" "$MNT/bkt/f"; done
is "case 49: renamed 100 times" 0 $?
kms enable "$MNT" alias/pay >/dev/null
is "enabled again it reads" payslips "$(cat "$MNT/bkt/f")"
exec 7<>"$MNT/bkt/ev"
echo before >&7
check "disabled from open files too" kms disable --evict "$MNT" alias/pay
fails "an open file stops" EKEYREVOKED dd if=/dev/fd/7 of=/dev/null bs=10 count=1
exec 7>&-
kms enable "$MNT" alias/pay >/dev/null
is "what it had written is there" before "$(cat "$MNT/bkt/ev")"

# Rotation.
before=$(segments)
is "case 47: a rotated key" 2 "$(kms rotate --json "$MNT" alias/pay | member key_version)"
is "opens what is there" payslips "$(cat "$MNT/bkt/f")"
echo two >"$MNT/bkt/two"
exec 7<>"$MNT/bkt/draft"
echo draft >&7
out=$(kms rewrap --json "$MNT" alias/pay)
is "rewrap destroys the first" 1 "$(member destroyed <<<"$out")"
is "one version is left" 1 "$(kms describe --json "$MNT" alias/pay | member key_versions)"
exec 7>&-
is "no segment changed" "$(grep -c . <<<"$before")" "$(comm -12 <(sort <<<"$before") <(segments | sort) | wc -l)"
store_remount
is "all opens under the second" "payslips two draft before" "$(cat "$MNT/bkt/f" "$MNT/bkt/two" "$MNT/bkt/draft" "$MNT/bkt/ev" | xargs)"
check "the big one too" cmp "$T/big" "$MNT/bkt/big"

# From key to key.
other=$(kms create-key "$MNT")
etag=$(attr etag "$MNT/bkt/f") version=$(attr version-id "$MNT/bkt/f")
check "case 51: an object under another key" kms reencrypt "$MNT/bkt/f" "$other"
is "which it names" "$other" "$(attr server-side-encryption-aws-kms-key-id "$MNT/bkt/f")"
is "ETag and version stay" "$etag $version" "$(attr etag "$MNT/bkt/f") $(attr version-id "$MNT/bkt/f")"
is "it reads" payslips "$(cat "$MNT/bkt/f")"
store_remount
is "after a remount too" payslips "$(cat "$MNT/bkt/f")"
echo plain >"$MNT/plain/p"
check "from the bucket's own key" kms reencrypt --bucket-key "$MNT/plain/p" "$other"
is "it reads too" plain "$(cat "$MNT/plain/p")"
"$HOLDFS" bucket set "$MNT/plain" "encryption=aws:kms:$other"
check "case 52: a copy to a bucket under another key" cp "$MNT/bkt/big" "$MNT/plain/copy"
is "is under that one" "$other" "$(attr server-side-encryption-aws-kms-key-id "$MNT/plain/copy")"
check "and reads" cmp "$T/big" "$MNT/plain/copy"

# Use.
usage=$(kms usage --key alias/pay "$MNT")
matches "case 61: who made a data key for what" "GenerateDataKey  arn:aws:iam::[0-9]+:root  bkt/two  $id" "$usage"
matches "who opened it" "Decrypt  arn:aws:iam::[0-9]+:root  bkt/two" "$usage"
matches "who was refused" 'Decrypt .* bkt/f .* KMS.DisabledException' "$usage"
is "of one object" "" "$(kms usage --object bkt/two "$MNT" | grep -v bkt/two)"

# The end of a key.
kms schedule-deletion --days 6 "$MNT" alias/pay >/dev/null 2>&1
is "case 46: six days are too few" 2 $?
kms schedule-deletion --days 31 "$MNT" alias/pay >/dev/null 2>&1
is "31 too many" 2 $?
is "it waits" PendingDeletion "$(kms schedule-deletion --days 7 --json "$MNT" alias/pay | member KeyState)"
fails "case 43: meanwhile nothing opens" EKEYREVOKED cat "$MNT/bkt/two"
is "kept, it is disabled" Disabled "$(kms cancel-deletion --json "$MNT" alias/pay | member KeyState)"
kms enable "$MNT" alias/pay >/dev/null
"$HOLDFS" bucket create --object-lock --encryption aws:kms:alias/pay "$MNT/locked"
echo held >"$MNT/locked/h"
setfattr -n user.s3.retention -v 'COMPLIANCE +30d' "$MNT/locked/h"
refused "case 44: a locked version keeps its key" 'protects 1 versions until 20' kms schedule-deletion "$MNT" alias/pay
refused "case 51: and its encryption" 'locked' kms reencrypt "$MNT/locked/h" "$other"
is "disabling is reversible and allowed" Disabled "$(kms disable --json "$MNT" alias/pay | member KeyState)"
kms enable "$MNT" alias/pay >/dev/null
is "locked, it reads" held "$(cat "$MNT/locked/h")"

# Imported material.
own=$(kms create-key --origin EXTERNAL "$MNT")
head -c 32 /dev/urandom >"$T/k1" && head -c 32 /dev/urandom >"$T/k2" && head -c 31 /dev/urandom >"$T/k3"
is "without material" PendingImport "$(kms describe --json "$MNT" "$own" | member KeyState)"
refused "31 bytes are no key" '32 bytes' kms import-key-material --file "$T/k3" "$MNT" "$own"
check "it is imported" kms import-key-material --file "$T/k1" "$MNT" "$own"
mkdir "$MNT/own" && "$HOLDFS" bucket set "$MNT/own" "encryption=aws:kms:$own"
echo mine >"$MNT/own/f"
check "and taken away" kms delete-imported-key-material "$MNT" "$own"
fails "then nothing opens" EKEYREVOKED cat "$MNT/own/f"
refused "other material is refused" 'same bytes' kms import-key-material --file "$T/k2" "$MNT" "$own"
check "the same comes back" kms import-key-material --file "$T/k1" "$MNT" "$own"
is "and opens it" mine "$(cat "$MNT/own/f")"

# At rest.
store_unmount
for text in 'pay roll' alias/pay payslips "$id"; do
    is "case 8: '$text' is in no file" "" "$(grep -rlaF -- "$text" "$STORE" | head -1)"
done
is "case 8: nor is the imported material" "" "$(python3 - "$STORE" "$T/k1" <<'PY'
import pathlib, sys
key = pathlib.Path(sys.argv[2]).read_bytes()
print(*(p for p in pathlib.Path(sys.argv[1]).rglob("*") if p.is_file() and key in p.read_bytes()))
PY
)"
check "fsck is content" "$HOLDFS" fsck --passphrase-file "$PASS" "$STORE"
check "scrub too" "$HOLDFS" scrub --passphrase-file "$PASS" "$STORE"
is "a store that is not mounted tells its keys" "$arn" "$(kms describe --json --passphrase-file "$PASS" "$STORE" alias/pay | member Arn)"
if python3 -c 'import cryptography, sqlite3; assert hasattr(sqlite3.Connection, "deserialize")' 2>/dev/null; then
    reader() { python3 "$TESTS_DIR/../contrib/holdfs-read" --passphrase-file "$PASS" "$STORE" "$@"; }
    is "the independent reader opens what is under a KMS key" payslips "$(reader bkt/f)"
    check "and the big one" cmp "$T/big" <(reader bkt/big)
    matches "and every frame" ' 0 damaged' "$(reader --check 2>&1)"
fi
store_mount

# The mount's own headers, and what policies make of them.
policy() { # policy NAME CONDITION
    printf '{"Version":"2012-10-17","Statement":[{"Sid":"%s","Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::pol/*","Condition":%s}]}' "$1" "$2"
}
# shellcheck disable=SC2034 # read by name
A='{"StringNotEquals":{"s3:x-amz-server-side-encryption":"AES256"}}' B='{"Null":{"s3:x-amz-server-side-encryption":"true"}}'
mkdir "$MNT/pol"
for default in AES256 aws:kms; do
    "$HOLDFS" bucket set "$MNT/pol" encryption=$default
    for policy in none A B; do
        if [ $policy = none ]; then
            setfattr -x user.s3.bucket.policy "$MNT/pol" 2>/dev/null
        else
            setfattr -n user.s3.bucket.policy -v "$(policy $policy "${!policy}")" "$MNT/pol" || bad "policy $policy"
        fi
        for asked in none AES256 aws:kms; do
            MOUNT_OPTIONS=''
            [ $asked = none ] || MOUNT_OPTIONS=sse=$asked
            store_remount
            rm -f "$MNT/pol/t"
            case $policy-$asked in
            A-none | A-aws:kms | B-none) fails "case 74: default $default, policy $policy, header $asked" EACCES touch "$MNT/pol/t" ;;
            *) check "case 74: default $default, policy $policy, header $asked" touch "$MNT/pol/t" ;;
            esac
        done
    done
done
