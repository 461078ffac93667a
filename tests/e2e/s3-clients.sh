#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What people use works unchanged (s3-api case 95): aws cli, s3cmd, rclone, restic, curl. Each puts, lists, gets, copies, syncs twice (the
# second time moves nothing) and deletes files of 0 B, 1 B, 5 MiB - 1, 5 MiB and 40 MiB.
. "$(dirname "$0")/../lib/holdfs.sh"
need aws s3cmd rclone restic curl python3
unset AWS_CA_BUNDLE
export AWS_EC2_METADATA_DISABLED=true AWS_DEFAULT_REGION=us-east-1

store_new
export RESTIC_CACHE_DIR=$T/cache AWS_CONFIG_FILE=$T/aws.conf AWS_SHARED_CREDENTIALS_FILE=$T/aws.cred
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
store_mount "http=127.0.0.1:$port"
key=$("$HOLDFS" user key create "$STORE" root)
AWS_ACCESS_KEY_ID=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["AccessKeyId"])' <<<"$key")
AWS_SECRET_ACCESS_KEY=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["SecretAccessKey"])' <<<"$key")
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
endpoint=http://127.0.0.1:$port

tree=$T/tree
mkdir -p "$tree/sub" "$tree/sp ace"
: >"$tree/empty"
printf x >"$tree/one"
head -c $((5242880 - 1)) /dev/urandom >"$tree/below"
head -c 5242880 /dev/urandom >"$tree/sub/limit"
head -c 41943040 /dev/urandom >"$tree/sub/big"
echo odd >"$tree/sp ace/ü+%"
files=6

aws_s3() { aws --endpoint-url "$endpoint" s3 "$@"; }
aws_s3 mb s3://aws >/dev/null || die "aws mb"
check "aws: the first sync moves all" test "$(aws_s3 sync "$tree" s3://aws/t --no-progress | wc -l)" = $files
check "aws: the second moves nothing" test "$(aws_s3 sync "$tree" s3://aws/t --no-progress | wc -l)" = 0
check "the mount shows what aws put" diff -r "$tree" "$MNT/aws/t"
aws_s3 sync s3://aws/t "$T/aws" --no-progress >/dev/null
check "aws: what comes back is what went" diff -r "$tree" "$T/aws"
aws_s3 cp s3://aws/t/sub/big s3://aws/copy --no-progress >/dev/null
check "aws: a copy of parts" cmp "$tree/sub/big" "$MNT/aws/copy"
aws_s3 rm --recursive s3://aws --only-show-errors
check "aws: all is deleted" test -z "$(aws_s3 ls --recursive s3://aws)"
check "and gone from the mount" test -z "$(ls "$MNT/aws")"

cat >"$T/s3cfg" <<END
[default]
access_key = $AWS_ACCESS_KEY_ID
secret_key = $AWS_SECRET_ACCESS_KEY
host_base = 127.0.0.1:$port
host_bucket = 127.0.0.1:$port
use_https = False
END
s3cmd_() { s3cmd -c "$T/s3cfg" --no-progress "$@" 2>&1; }
s3cmd_ mb s3://s3cmd >/dev/null || die "s3cmd mb"
s3cmd_ sync "$tree/" s3://s3cmd/t/ >/dev/null || die "s3cmd sync"
check "s3cmd: the second sync moves nothing" test "$(s3cmd_ sync "$tree/" s3://s3cmd/t/ | grep -c '^upload:')" = 0
mkdir "$T/s3cmd"
s3cmd_ get --recursive s3://s3cmd/t/ "$T/s3cmd/" >/dev/null
check "s3cmd: what comes back is what went" diff -r "$tree" "$T/s3cmd"
check "s3cmd: info of a bucket" s3cmd_ info s3://s3cmd
check "s3cmd: info of an object" s3cmd_ info s3://s3cmd/t/one
s3cmd_ cp s3://s3cmd/t/one s3://s3cmd/t2 >/dev/null
check "s3cmd: a copy" cmp "$tree/one" "$MNT/s3cmd/t2"
s3cmd_ del s3://s3cmd/t2 >/dev/null
s3cmd_ del --recursive s3://s3cmd/t/ >/dev/null
check "s3cmd: all is deleted" test -z "$(s3cmd_ ls --recursive s3://s3cmd)"

export RCLONE_CONFIG=$T/rclone.conf
cat >"$RCLONE_CONFIG" <<END
[h]
type = s3
provider = Other
access_key_id = $AWS_ACCESS_KEY_ID
secret_access_key = $AWS_SECRET_ACCESS_KEY
endpoint = $endpoint
END
rclone mkdir h:rclone || die "rclone mkdir"
rclone sync "$tree" h:rclone/t 2>/dev/null || die "rclone sync"
is "rclone: the second sync moves nothing" "" "$(rclone sync "$tree" h:rclone/t -v 2>&1 | grep "Copied")"
check "rclone check" rclone check "$tree" h:rclone/t -q
rclone copy h:rclone/t "$T/rclone" 2>/dev/null
check "rclone: what comes back is what went" diff -r "$tree" "$T/rclone"
rclone copyto h:rclone/t/sub/big h:rclone/copy 2>/dev/null
check "rclone: a copy on the server" cmp "$tree/sub/big" "$MNT/rclone/copy"
rclone purge h:rclone/t 2>/dev/null
check "rclone: purged" test ! -e "$MNT/rclone/t"

export RESTIC_REPOSITORY=s3:$endpoint/restic RESTIC_PASSWORD=r
restic init -q || die "restic init"
restic backup -q "$tree" || die "restic backup"
restic backup -q "$tree" || die "restic backup again"
check "restic check" restic check -q --read-data
restic restore -q latest --target "$T/restic"
check "restic: what comes back is what went" diff -r "$tree" "$T/restic$tree"
check "restic forget --prune" restic forget -q --keep-last 1 --prune

sigv4=(-s --aws-sigv4 aws:amz:us-east-1:s3 -u "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -H "x-amz-content-sha256: UNSIGNED-PAYLOAD")
curl "${sigv4[@]}" -f -T "$tree/sub/limit" "$endpoint/aws/put" || die "curl -T"
curl "${sigv4[@]}" -f -T - "$endpoint/aws/stdin" <"$tree/below" || die "curl -T -"
check "curl: put" cmp "$tree/sub/limit" "$MNT/aws/put"
check "curl: streamed" cmp "$tree/below" "$MNT/aws/stdin"
curl "${sigv4[@]}" -f "$endpoint/aws/put" -o "$T/got" || die "curl"
check "curl: got" cmp "$tree/sub/limit" "$T/got"
