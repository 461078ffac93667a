#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit trail of what comes over S3, and who may read it: cases 38, 39 and 44 of logs.md on the second front, auth.md §4.6."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from s3 import *

ALICE = 61001


def tail(store, *options):
    out = store.run("audit", "tail", "--json", "-n", "100000", *options, store.mnt).stdout
    return [json.loads(line) for line in out.splitlines()]


def newest(store, event):
    found = tail(store, "--event", event)
    check(found, f"no record of {event}")
    return found[-1]


def refused(code, function, **kwargs):
    try:
        function(**kwargs)
    except ClientError as e:
        same(code, e.response["Error"]["Code"], "code")
        return e
    raise Broken(f"{function.__name__} succeeded")


@case("logs 38")
def who_asked_how_and_with_which_key_is_told(store, s3, name):
    bucket = f"{store.mnt}/{name}"
    put(bucket, "bucket.versioning", "Enabled")
    put(bucket, "bucket.object-lock", "Enabled")
    done = s3.put_object(Bucket=name, Key="k", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate="2099-01-01T00:00:00Z",
                         ObjectLockLegalHoldStatus="ON")
    r = newest(store, "PutObjectRetention")
    same(("s3", store.root.id, "127.0.0.1", "Root"),
         (r["additionalEventData"]["front"], r["userIdentity"]["accessKeyId"], r["sourceIPAddress"], r["userIdentity"]["type"]), "who and how")
    check("Boto3" in r["userAgent"], r["userAgent"])
    same(("GOVERNANCE", "2099-01-01T00:00:00.000Z", done["VersionId"]),
         tuple(r["requestParameters"][m] for m in ("mode", "retainUntilDate", "versionId")), "the lock that came with the PUT")
    same(done["VersionId"], newest(store, "PutObjectLegalHold")["requestParameters"]["versionId"], "and its hold")
    same(done["ResponseMetadata"]["RequestId"], r["requestID"], "the id that was answered")


@case("logs 39")
def a_refused_delete_is_recorded_with_its_rule(store, s3, name):
    bucket = f"{store.mnt}/{name}"
    put(bucket, "bucket.versioning", "Enabled")
    put(bucket, "bucket.object-lock", "Enabled")
    version = s3.put_object(Bucket=name, Key="k", Body=b"x", ObjectLockLegalHoldStatus="ON")["VersionId"]
    refused("AccessDenied", s3.delete_object, Bucket=name, Key="k", VersionId=version)
    r = newest(store, "DeleteObjectVersion")
    same(("AccessDenied", "legal-hold", "s3", version),
         (r["errorCode"], r["additionalEventData"]["rule"], r["additionalEventData"]["front"], r["requestParameters"]["versionId"]), "one key")
    answer = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "k", "VersionId": version}]})
    same("AccessDenied", answer["Errors"][0]["Code"], "in a batch")
    same(2, sum(r["additionalEventData"].get("count", 1) for r in tail(store, "--event", "DeleteObjectVersion", "--object", bucket + "/k")), "both")


@case("logs 39")
def a_user_without_rights_is_told_little_and_the_trail_all(store, s3, name):
    bucket = f"{store.mnt}/{name}"
    user = "u" + name
    store.run("user", "create", store.mnt, user)
    key = Key(store, user)
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    theirs = client(store, key)
    for _ in range(3):
        refused("AccessDenied", theirs.get_object, Bucket=name, Key="k")
    r = newest(store, "GetObject")
    same((3, "IAMUser", user, key.id), (r["additionalEventData"]["count"], r["userIdentity"]["type"], r["userIdentity"]["userName"],
                                        r["userIdentity"]["accessKeyId"]), "folded, and whose they were")
    same("nothing allows it", r["additionalEventData"]["rule"], "what decided")
    same([r["requestID"]], [x["requestID"] for x in tail(store, "--user", user, "--event", "GetObject")], "--user finds it")


@case("logs 44")
def signatures_and_secrets_stay_out(store, s3, name):
    bucket = f"{store.mnt}/{name}"
    url = s3.generate_presigned_url("get_object", Params={"Bucket": name, "Key": "none"})
    signature = url.split("X-Amz-Signature=")[1].split("&")[0]
    subprocess.run(["curl", "-s", url], capture_output=True, check=False)
    refused("MalformedPolicy", s3.put_bucket_policy, Bucket=name, Policy="{}")
    text = json.dumps(tail(store))
    check(store.root.secret not in text and signature not in text, "a secret stands in the trail")


@case("logs 3.1")
def reading_and_exporting_need_their_permission(store, s3, name):
    bucket = f"{store.mnt}/{name}"
    def as_alice(*args):
        return subprocess.run(["setpriv", "--reuid", str(ALICE), "--clear-groups", store.binary, *args], capture_output=True, text=True, check=False)
    if os.geteuid() != 0:
        return
    store.run("user", "create", "--uid", str(ALICE), store.mnt, "auditor")
    os.chmod(store.scratch, 0o755)
    same(1, as_alice("audit", "tail", store.mnt).returncode, "without audit:Read")
    same("AccessDenied", newest(store, "Read")["errorCode"], "that refusal is a record")
    policy = os.path.join(store.scratch, "audit.json")
    write(policy, json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "audit:Read", "Resource": "*"}]}).encode())
    store.run("user", "policy", store.mnt, "auditor", policy)
    same(0, as_alice("audit", "verify", store.mnt).returncode, "with it")
    same(1, as_alice("audit", "set", store.mnt, "audit-data-events=all").returncode, "but no audit:Configure")
    same(1, as_alice("audit", "export", "-o", "/tmp/nowhere-audit", store.mnt).returncode, "and no audit:Export")
    write(policy, json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "audit:*", "Resource": "*"}]}).encode())
    store.run("user", "policy", store.mnt, "auditor", policy)
    same(1, as_alice("audit", "set", store.mnt, "audit-keep=90d").returncode, "how long is root's to say")
    same(0, as_alice("audit", "set", store.mnt, "audit-data-events=none").returncode, "the rest is audit:Configure")


s3_main()
