#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may, on the mount: several uids act, each operation is judged by its action; `user can` says the same. Cases of auth.md."""
import errno
import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from holdfs import (Broken, S3, case, check, drop, find_binary, get, history, listed, main, need, put, read, refuses, same, settle, skip,
                    write)
from users import (ALICE, BOB, CAROL, NOBODY, Users, act, allow, arn, as_uid, denied, deny, document, forget, last_error_of, outcome,
                   works)

if os.geteuid() != 0:
    skip("needs root: acts as several users")
need("setpriv")
find_binary()
ALLOW, EXPLICIT, IMPLICIT = "allow", "explicit deny", "implicit deny"
users = None


def begin(store, bucket):
    """The users, without policies; a bucket that modes leave open to all, with an object k in it. Its name."""
    global users
    if users is None:
        users = Users(store)
    users.no_policy()
    os.chmod(bucket, 0o777)
    write(bucket + "/k", b"content of k")
    os.chmod(bucket + "/k", 0o666)
    for uid in (ALICE, BOB, CAROL, NOBODY):
        forget(uid, store.mnt)
    put(bucket, "bucket.public-access-block", "off")
    return os.path.basename(bucket)


def slurp(path):
    return read(path)


def spill(path):
    write(path, b"by another", os.O_WRONLY | os.O_CREAT)


def agree(want, user, uid, action, resource, function, *args, **context):
    """`user can` and the operation on the mount give the same verdict."""
    users.decides(want, user, action, resource, **context)
    (works if want == ALLOW else denied)(uid, function, *args)


# ---- the truth of policies, on the mount ----

@case("auth 27")
def without_policies_only_root_may(store, bucket):
    name = begin(store, bucket)
    agree(IMPLICIT, "alice", ALICE, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    agree(ALLOW, "root", 0, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    agree(IMPLICIT, "anonymous", NOBODY, "GetObject", arn(name + "/k"), slurp, bucket + "/k")


@case("auth 28")
def an_identity_policy_allows_its_user(store, bucket):
    name = begin(store, bucket)
    users.policy("alice", allow("GetObject", name + "/*"))
    agree(ALLOW, "alice", ALICE, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    agree(IMPLICIT, "bob", BOB, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    agree(IMPLICIT, "alice", ALICE, "PutObject", arn(name + "/k"), spill, bucket + "/k")


@case("auth 29, 30")
def a_bucket_policy_allows_who_it_names(store, bucket):
    name = begin(store, bucket)
    users.bucket_policy(bucket, allow("GetObject", name + "/*", Principal={"AWS": users.user_arn("alice")}))
    agree(ALLOW, "alice", ALICE, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    agree(IMPLICIT, "bob", BOB, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    users.bucket_policy(bucket, allow("GetObject", name + "/*", Principal={"AWS": users.account}))
    agree(IMPLICIT, "alice", ALICE, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    agree(ALLOW, "root", 0, "GetObject", arn(name + "/k"), slurp, bucket + "/k")


@case("auth 31")
def an_explicit_deny_holds_for_root_too_and_cannot_lock_it_out(store, bucket):
    name = begin(store, bucket)
    users.policy("alice", allow("*", "*"))
    users.bucket_policy(bucket, deny("*", name + "/*", Principal="*", Sid="no"))
    agree(EXPLICIT, "alice", ALICE, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    agree(EXPLICIT, "root", 0, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    users.bucket_policy(bucket, deny("s3:*", name, name + "/*", Principal="*"))
    users.decides(ALLOW, "root", "GetBucketPolicy", arn(name))
    check("Deny" in get(bucket, "bucket.policy"), "root reads the policy")
    drop(bucket, "bucket.policy")
    same(b"content of k", read(bucket + "/k"), "and, having taken it away, the object")


@case("auth 32")
def a_deny_of_the_account_means_its_users_and_not_strangers(store, bucket):
    name = begin(store, bucket)
    users.bucket_policy(bucket, allow("GetObject", name + "/*", Principal="*"),
                        deny("GetObject", name + "/*", Principal={"AWS": users.account}))
    agree(EXPLICIT, "alice", ALICE, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    agree(ALLOW, "anonymous", NOBODY, "GetObject", arn(name + "/k"), slurp, bucket + "/k")


@case("auth 33")
def a_deny_of_all_but_one(store, bucket):
    name = begin(store, bucket)
    users.bucket_policy(bucket, allow("GetObject", name + "/*", Principal="*"),
                        deny("GetObject", name + "/*", NotPrincipal={"AWS": users.user_arn("alice")}))
    agree(ALLOW, "alice", ALICE, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    agree(EXPLICIT, "bob", BOB, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    before = get(bucket, "bucket.policy")
    refuses("EINVAL", users.bucket_policy, bucket, allow("GetObject", name + "/*", NotPrincipal={"AWS": users.user_arn("alice")}))
    check("Invalid principal in policy" in get(store.mnt, "last-error"), "Allow with NotPrincipal is told of")
    same(before, get(bucket, "bucket.policy"), "the policy in force")


SSE = {"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}}


@case("auth 34, 84")
def a_policy_that_asks_for_encryption_denies_a_mount_that_does_not_say_so(store, bucket):
    name = begin(store, bucket)
    users.bucket_policy(bucket, deny("PutObject", name + "/*", Principal="*", condition=SSE, Sid="A"))
    agree(EXPLICIT, "root", 0, "PutObject", arn(name + "/f"), spill, bucket + "/f")
    text = last_error_of(0, store.mnt)
    check("s3:x-amz-server-side-encryption" in text and "sse=AES256" in text, f"last-error names the key and the option: {text}")
    users.decides(ALLOW, "root", "PutObject", arn(name + "/f"), s3__x_amz_server_side_encryption="AES256")
    users.decides(EXPLICIT, "root", "PutObject", arn(name + "/f"), s3__x_amz_server_side_encryption="aws:kms")
    store.remount("allow_other,sse=AES256")
    try:
        works(0, spill, bucket + "/f")
        same("AES256", get(bucket + "/f", "server-side-encryption"), "with the option it works")
    finally:
        store.remount("allow_other")
    denied(0, spill, bucket + "/f")


@case("auth 35")
def a_policy_that_asks_for_some_encryption(store, bucket):
    name = begin(store, bucket)
    users.bucket_policy(bucket, deny("PutObject", name + "/*", Principal="*", condition={"Null": {"s3:x-amz-server-side-encryption": "true"}}))
    agree(EXPLICIT, "root", 0, "PutObject", arn(name + "/f"), spill, bucket + "/f")
    users.decides(ALLOW, "root", "PutObject", arn(name + "/f"), s3__x_amz_server_side_encryption="aws:kms")


@case("auth 36")
def a_policy_that_asks_for_tls_leaves_the_mount_alone(store, bucket):
    name = begin(store, bucket)
    users.bucket_policy(bucket, deny("s3:*", name, name + "/*", Principal="*", condition={"Bool": {"aws:SecureTransport": "false"}}))
    agree(ALLOW, "root", 0, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    users.decides(EXPLICIT, "root", "GetObject", arn(name + "/k"), aws__SecureTransport="false")


@case("auth 37")
def listing_below_a_prefix(store, bucket):
    name = begin(store, bucket)
    for d in ("pub", "priv"):
        os.mkdir(f"{bucket}/{d}")
        os.mkdir(f"{bucket}/{d}/x")
        os.chmod(f"{bucket}/{d}", 0o777)
        os.chmod(f"{bucket}/{d}/x", 0o777)
    users.policy("alice", allow("ListBucket", name, condition={"StringLike": {"s3:prefix": "pub/*"}}))
    agree(ALLOW, "alice", ALICE, "ListBucket", arn(name), os.listdir, bucket + "/pub/x", s3__prefix="pub/x/")
    agree(IMPLICIT, "alice", ALICE, "ListBucket", arn(name), os.listdir, bucket)
    denied(ALICE, os.stat, bucket + "/pub/missing", by="ENOENT")
    denied(ALICE, os.stat, bucket + "/priv/missing")


@case("auth 38")
def variables_stand_for_the_caller_in_policies_of_2012(store, bucket):
    name = begin(store, bucket)
    for d in ("alice", "bob"):
        os.mkdir(f"{bucket}/{d}")
        write(f"{bucket}/{d}/f", b"x")
        os.chmod(f"{bucket}/{d}", 0o777)
    users.policy("alice", allow("GetObject", name + "/${aws:username}/*"))
    agree(ALLOW, "alice", ALICE, "GetObject", arn(name + "/alice/f"), slurp, bucket + "/alice/f")
    agree(IMPLICIT, "alice", ALICE, "GetObject", arn(name + "/bob/f"), slurp, bucket + "/bob/f")


@case("auth 39")
def a_deny_of_foreign_networks_shuts_the_mount_out_unless_spared(store, bucket):
    name = begin(store, bucket)
    foreign = {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    users.bucket_policy(bucket, deny("GetObject", name + "/*", Principal="*", condition=foreign))
    agree(EXPLICIT, "root", 0, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    check("aws:SourceIp" in last_error_of(0, store.mnt), "last-error says how to spare the mount")
    users.bucket_policy(bucket, deny("GetObject", name + "/*", Principal="*", condition={**foreign, "Null": {"aws:SourceIp": "false"}}))
    agree(ALLOW, "root", 0, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    users.decides(EXPLICIT, "root", "GetObject", arn(name + "/k"), aws__SourceIp="127.0.0.1")


@case("auth 40, 41, 42, 45")
def conditions_over_none_one_and_many_values(store, bucket):
    name = begin(store, bucket)
    key = "s3:RequestObjectTagKeys"

    def answers(condition, cases, action="PutObjectTagging", of=key):
        users.policy("alice", allow(action, name + "/*" if "Object" in action else name, condition=condition))
        for values, want in cases:
            words = [w for v in values for w in ("--context", f"{of}={v}")]
            done = store.run("user", "can", *words, store.mnt, "alice", "s3:" + action, arn(name + "/k" if "Object" in action else name), ok=False)
            same(0 if want else 1, done.returncode, f"{condition} of {values}: {done.stdout}{done.stderr}")

    answers({"StringNotEquals": {"s3:x-amz-acl": ["x", "y"]}}, (("y", False), ("z", True), ((), True)), "PutObject", "s3:x-amz-acl")
    answers({"ForAllValues:StringEquals": {key: ["a", "b"]}}, (("a", True), ("ac", False), ((), True)))
    answers({"ForAnyValue:StringEquals": {key: ["a", "b"]}}, (("ac", True), ((), False)))
    answers({"ForAnyValue:StringNotEquals": {key: ["a", "b"]}}, (("a", False), ("ac", True)))
    answers({"NumericLessThanEquals": {"s3:max-keys": "10"}}, ((["5"], True), (["11"], False), ((), False)), "ListBucket", "s3:max-keys")
    # and the mount, whose setxattr has the keys of the tags that are set
    os.chmod(bucket + "/k", 0o666)
    users.policy("alice", allow("GetObject", name + "/*"), allow("PutObjectTagging", name + "/*", condition={"ForAllValues:StringEquals": {key: ["a", "b"]}}))
    works(ALICE, put, bucket + "/k", "tagging", "a=1")
    denied(ALICE, put, bucket + "/k", "tagging", "a=1&c=2")
    same(2, store.run("user", "can", "--context", "nothing", store.mnt, "alice", "s3:GetObject", "*", ok=False).returncode, "exit for no KEY=VALUE")
    same(1, store.run("user", "can", "--context", "s3:nothing=1", store.mnt, "alice", "s3:GetObject", "*", ok=False).returncode, "exit for no key")
    same(2, store.run("user", "can", store.mnt, "alice", "s3:GetObject", ok=False).returncode, "exit for a missing resource")


@case("auth 44")
def all_actions_but_one_all_resources_but_one(store, bucket):
    name = begin(store, bucket)
    os.mkdir(bucket + "/secret", 0o777)
    os.chmod(bucket + "/secret", 0o777)
    write(bucket + "/secret/x", b"x")
    users.policy("alice", {"Effect": "Allow", "NotAction": "s3:DeleteObject", "Resource": "*"})
    agree(ALLOW, "alice", ALICE, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    agree(IMPLICIT, "alice", ALICE, "DeleteObject", arn(name + "/k"), os.unlink, bucket + "/k")
    users.policy("alice", {"Effect": "Allow", "Action": "s3:GetObject", "NotResource": arn(name + "/secret/*")})
    agree(ALLOW, "alice", ALICE, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    agree(IMPLICIT, "alice", ALICE, "GetObject", arn(name + "/secret/x"), slurp, bucket + "/secret/x")


@case("auth 46")
def reading_by_tag(store, bucket):
    name = begin(store, bucket)
    users.policy("alice", allow("GetObject", name + "/*", condition={"StringEquals": {"s3:ExistingObjectTag/sec": "public"}}))
    agree(IMPLICIT, "alice", ALICE, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    put(bucket + "/k", "tagging", "sec=public")
    agree(ALLOW, "alice", ALICE, "GetObject", arn(name + "/k"), slurp, bucket + "/k")


@case("auth 47")
def a_bound_on_how_long_may_be_locked(store, bucket):
    name = begin(store, bucket)
    put(bucket, "bucket.object-lock", "Enabled")
    write(bucket + "/f", b"x")
    os.chmod(bucket + "/f", 0o666)
    users.bucket_policy(bucket, deny("PutObjectRetention", name + "/*", Principal="*",
                                     condition={"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "10"}}))
    users.policy("alice", allow("PutObjectRetention", name + "/*"))
    denied(ALICE, put, bucket + "/f", "retention", "GOVERNANCE +11d")
    refuses("EACCES", put, bucket + "/f", "retention", "GOVERNANCE +11d")
    refuses("ENODATA", get, bucket + "/f", "retention")
    works(ALICE, put, bucket + "/f", "retention", "GOVERNANCE +10d")


@case("auth 48")
def another_account_needs_both_halves(store, bucket):
    name = begin(store, bucket)
    users.policy("carol", allow("GetObject", name + "/*"))
    agree(IMPLICIT, "carol", CAROL, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    users.no_policy("carol")
    users.bucket_policy(bucket, allow("GetObject", name + "/*", Principal={"AWS": users.user_arn("carol")}))
    agree(IMPLICIT, "carol", CAROL, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    users.policy("carol", allow("GetObject", name + "/*"))
    agree(ALLOW, "carol", CAROL, "GetObject", arn(name + "/k"), slurp, bucket + "/k")
    users.bucket_policy(bucket, allow("GetObject", name + "/*", Principal={"AWS": users.second}))
    users.decides(ALLOW, "second:root", "GetObject", arn(name + "/k"))


@case("auth 49")
def writing_new_objects_alone(store, bucket):
    name = begin(store, bucket)
    users.bucket_policy(bucket, deny("PutObject", name + "/*", Principal="*", condition={
        "Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}))
    denied(0, spill, bucket + "/f")
    works(0, write, bucket + "/new", b"x", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    users.decides(EXPLICIT, "root", "PutObject", arn(name + "/f"))
    users.decides(ALLOW, "root", "PutObject", arn(name + "/f"), s3__if_none_match="*")


@case("auth 50, 51, 52")
def a_document_with_a_fault_leaves_the_policy_as_it_is(store, bucket):
    name = begin(store, bucket)
    refuses("ENODATA", get, bucket, "bucket.policy")
    text = document(allow("GetObject", name + "/*", Principal={"AWS": users.user_arn("alice")}))
    put(bucket, "bucket.policy", text)
    same(text, get(bucket, "bucket.policy"), "the policy, byte for byte")
    for fault, words in (("x" + text, "first byte must be '{'"), (text[:-1], "invalid Json"), (text.replace("Action", "Acton"), "Unknown field Acton"),
                         (text.replace("s3:GetObject", "s3:Nothing"), "invalid action"), (text.replace("user/alice", "user/zoe"), "Invalid principal"),
                         (text.replace(arn(name), arn("other")), "invalid resource"), (text.replace("Allow", "Maybe"), "Invalid effect: Maybe")):
        refuses("EINVAL", put, bucket, "bucket.policy", fault)
        check(words in get(store.mnt, "last-error"), f"{words}: {get(store.mnt, 'last-error')}")
    exact = text[:-1] + " " * (20480 - len(text)) + "}"
    refuses("E2BIG", put, bucket, "bucket.policy", exact + " ")
    same(text, get(bucket, "bucket.policy"), "the policy after all refusals")
    put(bucket, "bucket.policy", exact)
    same(exact, get(bucket, "bucket.policy"), "one of 20480 bytes")
    drop(bucket, "bucket.policy")
    done = users.policy("alice", {"Effect": "Allow", "Action": "s3:Nothing", "Resource": "*"}, ok=False)
    same((1, True), (done.returncode, "Policy has invalid action" in done.stderr), f"an identity policy's fault: {done.stderr}")


@case("auth 55")
def the_public_access_block_stands_against_public_policies(store, bucket):
    name = begin(store, bucket)
    public = [allow("GetObject", name + "/*", Principal="*")]
    put(bucket, "bucket.public-access-block", "BlockPublicPolicy")
    refuses("EACCES", users.bucket_policy, bucket, *public)
    check("BlockPublicPolicy" in get(store.mnt, "last-error"), "last-error names the switch")
    users.bucket_policy(bucket, allow("GetObject", name + "/*", Principal={"AWS": users.user_arn("alice")}))
    put(bucket, "bucket.public-access-block", "off")
    users.bucket_policy(bucket, *public)
    works(NOBODY, slurp, bucket + "/k")
    put(bucket, "bucket.public-access-block", "RestrictPublicBuckets")
    denied(NOBODY, slurp, bucket + "/k")
    works(ALICE, slurp, bucket + "/k")


# ---- the mount ----

@case("auth 77")
def a_denial_says_what_where_and_why_to_that_uid_alone(store, bucket):
    name = begin(store, bucket)
    denied(BOB, os.listdir, bucket)
    before = last_error_of(BOB, store.mnt)
    users.policy("alice", allow("ListBucket", name))
    denied(ALICE, slurp, bucket + "/k")
    text = last_error_of(ALICE, store.mnt)
    for words in ("s3:GetObject", arn(name + "/k"), "no identity-based policy", users.user_arn("alice"), "policy: none", f"path: /{name}/k",
                  "code: AccessDenied", "time: "):
        check(words in text, f"last-error has '{words}': {text}")
    same(before, last_error_of(BOB, store.mnt), "bob's")
    denied(NOBODY, slurp, bucket + "/k")
    check("Access Denied" in last_error_of(NOBODY, store.mnt), "an anonymous caller's")
    check("resource:" not in last_error_of(NOBODY, store.mnt), "which names no resource")
    works(ALICE, os.removexattr, store.mnt, S3 + "last-error")
    denied(ALICE, os.getxattr, store.mnt, S3 + "last-error", by="ENODATA")


@case("auth 78, mount 24")
def reading_is_not_listing_and_listing_not_reading(store, bucket):
    name = begin(store, bucket)
    users.policy("alice", allow("GetObject", name + "/*"))
    works(ALICE, slurp, bucket + "/k")
    denied(ALICE, os.listdir, bucket)
    denied(ALICE, spill, bucket + "/k")
    users.policy("alice", allow("ListBucket", name))
    same(["k"], act(ALICE, os.listdir, bucket), "what is listed")
    works(ALICE, os.stat, bucket + "/k")
    denied(ALICE, slurp, bucket + "/k")


@case("auth 79")
def removing_a_name_and_removing_a_version_are_two_rights(store, bucket):
    name = begin(store, bucket)
    put(bucket, "bucket.object-lock", "Enabled")
    write(bucket + "/f", b"x")
    settle(bucket + "/f")
    users.policy("alice", allow(["GetObject", "GetObjectVersion", "ListBucket", "ListBucketVersions"], name, name + "/*"))
    denied(ALICE, os.unlink, bucket + "/f")
    same(b"x", read(bucket + "/f"), "the file stays")
    version = history(bucket + "/f")[0].path
    denied(ALICE, os.unlink, version)
    put(version, "retention", "GOVERNANCE +1d")
    users.policy("alice", allow(["DeleteObjectVersion", "GetObjectVersion", "ListBucketVersions"], name, name + "/*"))
    denied(ALICE, os.unlink, version, by="EPERM")
    check("GOVERNANCE" in last_error_of(ALICE, store.mnt), "last-error names the lock")
    write(bucket + "/free", b"x")
    settle(bucket + "/free")
    works(ALICE, os.unlink, history(bucket + "/free")[0].path)


@case("auth 80")
def each_attribute_has_its_own_right(store, bucket):
    name = begin(store, bucket)
    put(bucket, "bucket.object-lock", "Enabled")
    for attribute, value, action, where in (("legal-hold", "ON", "PutObjectLegalHold", "/f"), ("tagging", "a=b", "PutObjectTagging", "/f"),
                                            ("retention", "GOVERNANCE +1d", "PutObjectRetention", "/f"),
                                            ("bucket.policy", document(allow("GetObject", name + "/*", Principal={"AWS": users.user_arn("bob")})),
                                             "PutBucketPolicy", "")):
        write(bucket + "/f", b"x")
        os.chmod(bucket + "/f", 0o666)
        users.policy("alice", allow(["ListBucket", "GetObject"], name, name + "/*"))
        denied(ALICE, put, bucket + where, attribute, value)
        users.policy("alice", allow(["ListBucket", action], name, name + "/*"))
        works(ALICE, put, bucket + where, attribute, value)


@case("auth 81")
def moving_needs_a_right_on_each_key(store, bucket):
    name = begin(store, bucket)
    for d in ("mine", "theirs", "mixed"):
        os.mkdir(f"{bucket}/{d}")
        os.chmod(f"{bucket}/{d}", 0o777)
        write(f"{bucket}/{d}/f", b"x")
    write(bucket + "/mixed/forbidden", b"x")
    users.policy("alice", allow("ListBucket", name), allow(["GetObject", "PutObject", "DeleteObject"], name + "/mine*", name + "/mixed*", name + "/to*"),
                 deny("GetObject", name + "/mixed/forbidden"))
    denied(ALICE, os.rename, bucket + "/theirs/f", bucket + "/mine/g")
    works(ALICE, os.rename, bucket + "/mine/f", bucket + "/mine/g")
    denied(ALICE, os.rename, bucket + "/mixed", bucket + "/to")
    same(["f", "forbidden"], listed(bucket + "/mixed"), "nothing was moved")
    check(not os.path.exists(bucket + "/to"), "nor made")
    works(ALICE, os.rename, bucket + "/mine", bucket + "/to")


@case("auth 82")
def what_the_kernel_refuses_is_no_refusal_of_ours(store, bucket):
    begin(store, bucket)
    users.policy("alice", allow("*", "*"))
    os.chmod(bucket + "/k", 0)
    works(ALICE, os.stat, bucket + "/k")
    forget(ALICE, store.mnt)
    denied(ALICE, slurp, bucket + "/k")
    same("", last_error_of(ALICE, store.mnt), "last-error")


@case("auth 85")
def a_right_is_judged_at_open(store, bucket):
    name = begin(store, bucket)
    users.policy("alice", allow("GetObject", name + "/*"))

    def open_then(path, told, go):
        fd = os.open(path, os.O_RDONLY)
        os.write(told, b".")
        os.read(go, 1)
        data = os.read(fd, 100)
        os.close(fd)
        check(data == b"content of k", f"reads go on: {data}")
        os.close(os.open(path, os.O_RDONLY))

    told, go = os.pipe(), os.pipe()
    watcher = os.fork()
    if watcher == 0:
        os.read(told[0], 1)
        status = 0 if subprocess.run([store.binary, "user", "policy", "--delete", "policy", store.mnt, "alice"], capture_output=True).returncode == 0 else 1
        os.write(go[1], b".")
        os._exit(status)
    denied(ALICE, open_then, bucket + "/k", told[1], go[0])
    same(0, os.waitstatus_to_exitcode(os.waitpid(watcher, 0)[1]), "exit of taking the policy away")


@case("auth 86")
def warm_caches_tell_nobody_what_another_may_see(store, bucket):
    name = begin(store, bucket)
    os.mkdir(bucket + "/d")
    os.chmod(bucket + "/d", 0o777)
    write(bucket + "/d/f", b"x")
    users.policy("alice", allow(["ListBucket", "GetObject"], name, name + "/*"))
    for _ in range(2):
        works(ALICE, os.listdir, bucket + "/d")
        works(ALICE, os.stat, bucket + "/d/f")
    denied(BOB, os.listdir, bucket + "/d")
    denied(BOB, os.stat, bucket + "/d/f")
    denied(BOB, os.stat, bucket + "/d/missing")
    denied(ALICE, os.stat, bucket + "/d/missing", by="ENOENT")
    denied(BOB, os.stat, bucket + "/d/missing")


@case("auth 87")
def making_a_bucket_needs_a_right(store, bucket):
    name = begin(store, bucket)
    denied(ALICE, os.mkdir, f"{store.mnt}/{name}-new")
    users.policy("alice", allow("CreateBucket", "*"))
    works(ALICE, os.mkdir, f"{store.mnt}/{name}-new")
    os.rmdir(f"{store.mnt}/{name}-new")
    denied(NOBODY, os.mkdir, f"{store.mnt}/{name}-new")


@case("auth 88")
def copying_tools_need_no_more_than_four_rights(store, bucket):
    need("rsync")
    name = begin(store, bucket)
    users.policy("alice", allow(["PutObject", "GetObject", "DeleteObject", "ListBucket"], name, name + "/*"))
    source = store.scratch + "/source"
    os.mkdir(source)
    for n in range(5):
        write(f"{source}/f{n}", b"x" * n * 1000)
    os.chmod(source, 0o755)
    os.chown(source, ALICE, ALICE)
    for n in range(5):
        os.chown(f"{source}/f{n}", ALICE, ALICE)
    for words in (["cp", "-p", f"{source}/f1", f"{bucket}/copied"], ["rsync", "-a", source + "/", bucket + "/synced/"],
                  ["rsync", "-a", source + "/", bucket + "/synced/"]):
        done = subprocess.run(["setpriv", f"--reuid={ALICE}", f"--regid={ALICE}", "--clear-groups", *words], capture_output=True, text=True)
        same(0, done.returncode, f"{' '.join(words)}: {done.stderr}")
    settle(bucket + "/copied")
    denied(ALICE, os.chmod, bucket + "/copied", 0o600)


@case("auth 89")
def a_mount_may_say_who_a_uid_is(store, bucket):
    name = begin(store, bucket)
    users.bucket_policy(bucket, allow("GetObject", name + "/*", Principal={"AWS": [users.user_arn("bob"), users.user_arn("carol")]}))
    users.policy("carol", allow("GetObject", name + "/*"))
    denied(ALICE, slurp, bucket + "/k")
    store.umount()
    status, said = store.try_mount("allow_other,uid-map=1001:bob/1001:alice")
    same((1, True), (status, "1001" in said and "twice" in said), f"a uid mapped twice: {said}")
    status, said = store.try_mount("allow_other,uid-map=1001:zoe")
    same((1, True), (status, "zoe" in said), f"a user there is not: {said}")
    try:
        store.mount(f"allow_other,uid-map={ALICE}:bob/{NOBODY}:{users.second}:carol/{BOB}:anonymous")
        works(ALICE, slurp, bucket + "/k")
        works(NOBODY, slurp, bucket + "/k")
        denied(BOB, slurp, bucket + "/k")
        store.run("user", "disable", store.mnt, "bob")
        denied(ALICE, slurp, bucket + "/k")
        users.decides(IMPLICIT, ALICE, "GetObject", arn(name + "/k"))
        store.run("user", "enable", store.mnt, "bob")
        works(ALICE, slurp, bucket + "/k")
        store.remount("allow_other,uid-map=*:bob")  # everybody is one, so the kernel may keep all it knows
        for uid in (ALICE, BOB, NOBODY, 0):
            works(uid, slurp, bucket + "/k")
            denied(uid, os.listdir, bucket)
    finally:
        store.remount("allow_other")
    done = store.run("user", "map", store.mnt, str(ALICE), "bob", ok=False)
    same((1, True), (done.returncode, "alice" in done.stderr), f"a second mapping in the store: {done.stderr}")


# ---- case 90: each row of the table of actions that has a mount column ----

def attribute_rows(name):
    """(action, on, what is done, with what): each works with that action alone, and is EACCES where it is denied."""
    b, f = "", "/f"
    return [
        ("ListBucket", name, os.listdir, b),
        ("ListBucketVersions", name, os.listdir, "/.versions/f"),
        ("GetObject", name + "/*", slurp, f),
        ("GetObject", name + "/*", os.readlink, "/link"),
        ("GetObject", name + "/*", get, f, "content-type"),
        ("GetObject", name + "/*", get, f, "meta.m"),
        ("GetObject", name + "/*", get, f, "describe"),
        ("GetObjectVersion", name + "/*", slurp, "/.versions/f/latest"),
        ("PutObject", name + "/*", spill, "/new"),
        ("PutObject", name + "/*", spill, f),
        ("PutObject", name + "/*", os.truncate, f, 1),
        ("PutObject", name + "/*", os.mkdir, "/newdir"),
        ("PutObject", name + "/*", os.mkfifo, "/newfifo"),
        ("PutObject", name + "/*", os.symlink, "target", "/newlink"),
        ("PutObject", name + "/*", os.utime, f),
        ("PutObject", name + "/*", put, f, "content-language", "de"),
        ("PutObject", name + "/*", put, f, "meta.n", "v"),
        ("PutObject", name + "/*", os.setxattr, f, "user.mine", b"v"),
        ("PutObject", name + "/*", drop, f, "meta.m"),
        ("PutObject", name + "/*", os.chmod, "/own-unsettled", 0o640),
        ("PutObject", name + "/*", os.chmod, "/owndir", 0o750),
        ("PutObjectAcl", name + "/*", os.chmod, "/own-settled", 0o640),
        ("DeleteObject", name + "/*", os.unlink, f),
        ("DeleteObject", name + "/*", os.rmdir, "/owndir"),
        ("DeleteObjectVersion", name + "/*", os.unlink, "/.versions/f/latest"),
        ("BypassGovernanceRetention", name + "/*", put, f, "bypass-governance-retention", "true"),
        ("GetObjectRetention", name + "/*", get, "/locked", "retention"),
        ("PutObjectRetention", name + "/*", put, f, "retention", "GOVERNANCE +1h"),
        ("GetObjectLegalHold", name + "/*", get, "/locked", "legal-hold"),
        ("PutObjectLegalHold", name + "/*", put, f, "legal-hold", "ON"),
        ("GetObjectTagging", name + "/*", get, "/tagged", "tagging"),
        ("GetObjectTagging", name + "/*", get, "/tagged", "tag.a"),
        ("PutObjectTagging", name + "/*", put, f, "tagging", "c=d"),
        ("PutObjectTagging", name + "/*", put, f, "tag.c", "d"),
        ("DeleteObjectTagging", name + "/*", drop, "/tagged", "tagging"),
        ("GetBucketVersioning", name, get, b, "bucket.versioning"),
        ("PutBucketVersioning", name, put, b, "bucket.versioning", "Enabled"),
        ("GetBucketObjectLockConfiguration", name, get, b, "bucket.object-lock"),
        ("PutBucketObjectLockConfiguration", name, put, b, "bucket.object-lock", "Enabled"),
        ("PutBucketObjectLockConfiguration", name, put, b, "bucket.settle", "60"),
        ("PutBucketObjectLockConfiguration", name, put, b, "bucket.orphan-keep", "1d"),
        ("GetEncryptionConfiguration", name, get, b, "bucket.compression"),
        ("PutEncryptionConfiguration", name, put, b, "bucket.compression", "none"),
        ("GetEncryptionConfiguration", name, get, b, "bucket.encryption"),
        ("PutEncryptionConfiguration", name, put, b, "bucket.encryption", "AES256"),
        ("GetBucketTagging", name, get, b, "bucket.tagging"),
        ("PutBucketTagging", name, put, b, "bucket.tagging", "x=y"),
        ("PutBucketAcl", name, put, b, "bucket.mode-mask", "022"),
        ("GetBucketPublicAccessBlock", name, get, b, "bucket.public-access-block"),
        ("PutBucketPublicAccessBlock", name, put, b, "bucket.public-access-block", "RestrictPublicBuckets"),
        ("PutBucketPolicy", name, put, b, "bucket.policy", document(allow("GetObject", name + "/*", Principal={"AWS": users.user_arn("bob")}))),
        ("GetBucketPolicy", name, get, b, "bucket.policy"),
        ("DeleteBucketPolicy", name, drop, b, "bucket.policy"),
    ]


def furnish(bucket):
    """What the rows act on, as if nothing had been done yet."""
    for path in ("/f", "/tagged", "/own-unsettled", "/own-settled"):
        write(bucket + path, b"x")
        os.chmod(bucket + path, 0o666)
        put(bucket + path, "meta.m", "v")
        put(bucket + path, "content-type", "text/plain")
    put(bucket + "/tagged", "tagging", "a=b")
    if not os.path.lexists(bucket + "/locked"):
        write(bucket + "/locked", b"x")
        put(bucket + "/locked", "retention", "GOVERNANCE +1h")
        put(bucket + "/locked", "legal-hold", "OFF")
        os.symlink("target", bucket + "/link")
        put(bucket, "bucket.tagging", "x=y")
    for path in ("/new", "/newfifo", "/newlink"):
        if os.path.lexists(bucket + path):
            os.unlink(bucket + path)
    if os.path.isdir(bucket + "/newdir"):
        os.rmdir(bucket + "/newdir")
    if not os.path.isdir(bucket + "/owndir"):
        os.mkdir(bucket + "/owndir")
    for path in ("/own-unsettled", "/own-settled", "/owndir"):
        os.chown(bucket + path, ALICE, ALICE)
    settle(bucket + "/own-settled")


@case("auth 90")
def every_row_of_the_table_of_actions(store, bucket):
    name = begin(store, bucket)
    put(bucket, "bucket.object-lock", "Enabled")
    wrong = []
    for action, on, function, *args in attribute_rows(name):
        what = f"{action}: {getattr(function, '__name__', function)} {args}"
        paths = [bucket + a if a == "" or isinstance(a, str) and a.startswith("/") else a for a in args]
        for statements, want in (([allow("*", "*"), deny(action, on)], "EACCES"), ([allow(action, on)], 0)):
            furnish(bucket)
            if want == "EACCES" and action == "ListBucket":
                continue  # shown by case 78: with GetObject alone
            users.policy("alice", *statements)
            got = outcome(ALICE, function, *paths)
            if got != want:
                wrong.append(f"{what}: {'denied' if want else 'allowed alone'}: wanted {want or 'that it works'}, got {got or 'that it works'}: "
                             f"{last_error_of(ALICE, store.mnt).splitlines()[:1]}")
    if wrong:
        raise Broken("\n     ".join(["some rows differ:"] + wrong))


@case("auth 90")
def rows_that_need_several_rights(store, bucket):
    name = begin(store, bucket)
    three = ["GetObject", "DeleteObject", "PutObject"]
    for missing in three + [None]:
        write(bucket + "/from", b"x")
        os.chmod(bucket + "/from", 0o666)
        users.policy("alice", allow([a for a in three if a != missing] + ["ListBucket"], name, name + "/*"))
        (denied if missing else works)(ALICE, os.rename, bucket + "/from", bucket + "/to")
    for missing in ("GetObject", "PutObject", None):
        write(bucket + "/one", b"x")
        os.chmod(bucket + "/one", 0o666)
        os.chown(bucket + "/one", ALICE, ALICE)
        if os.path.exists(bucket + "/two"):
            os.unlink(bucket + "/two")
        users.policy("alice", allow([a for a in ("GetObject", "PutObject") if a != missing] + ["ListBucket"], name, name + "/*"))
        (denied if missing else works)(ALICE, os.link, bucket + "/one", bucket + "/two")
    users.policy("alice", allow("ListAllMyBuckets", "*"))
    check(name in act(ALICE, os.listdir, store.mnt), "the buckets are listed with ListAllMyBuckets")
    users.policy("alice", allow("ListBucket", name))
    same([name], act(ALICE, os.listdir, store.mnt), "without it those that may be listed")
    os.mkdir(f"{store.mnt}/{name}-gone")
    users.policy("alice", allow("*", "*"), deny("DeleteBucket", name + "-gone"))
    denied(ALICE, os.rmdir, f"{store.mnt}/{name}-gone")
    users.policy("alice", allow("DeleteBucket", name + "-gone"))
    works(ALICE, os.rmdir, f"{store.mnt}/{name}-gone")


# ---- locks, and who may set, lift and get round them (retention.md) ----

@case("retention 45*")
def a_lock_needs_its_right(store, bucket):
    name = begin(store, bucket)
    put(bucket, "bucket.object-lock", "Enabled")
    write(bucket + "/f", b"x")
    os.chmod(bucket + "/f", 0o666)
    users.policy("alice", allow(["GetObject", "PutObject", "ListBucket", "DeleteObject"], name, name + "/*"))
    denied(ALICE, put, bucket + "/f", "retention", "GOVERNANCE +30d")
    denied(ALICE, put, bucket + "/f", "legal-hold", "ON")
    refuses("ENODATA", get, bucket + "/f", "retention")
    denied(ALICE, get, bucket + "/f", "retention")
    users.policy("alice", allow(["PutObjectRetention", "GetObjectRetention", "ListBucket"], name, name + "/*"))
    works(ALICE, put, bucket + "/f", "retention", "GOVERNANCE +30d")
    check(act(ALICE, get, bucket + "/f", "retention").startswith("GOVERNANCE "), "it is set")


@case("retention 48")
def a_bypass_is_of_the_uid_that_armed_it_and_serves_once(store, bucket):
    name = begin(store, bucket)
    put(bucket, "bucket.object-lock", "Enabled")
    for n in range(2):
        write(bucket + "/f", b"%d" % n)
        os.chmod(bucket + "/f", 0o666)  # the kernel asks for it before it lets an attribute of a version through
        settle(bucket + "/f")
    first, second = (v.path for v in history(bucket + "/f"))
    for v in (first, second):
        put(v, "retention", "GOVERNANCE +1d")
    users.policy("alice", allow(["PutObjectRetention", "GetObjectVersion", "ListBucketVersions", "DeleteObjectVersion"], name, name + "/*"))
    users.policy("bob", allow("*", "*"))
    for v in (first, second):
        denied(BOB, drop, v, "retention", by="EPERM")
    denied(ALICE, put, bucket, "bypass-governance-retention", "true 60")
    check("s3:BypassGovernanceRetention" in last_error_of(ALICE, store.mnt), last_error_of(ALICE, store.mnt))
    works(BOB, put, bucket, "bypass-governance-retention", "true 60")
    denied(ALICE, os.unlink, first, by="EPERM")  # another uid's
    works(BOB, drop, bucket, "bypass-governance-retention")
    works(BOB, put, second, "bypass-governance-retention", "true")
    denied(ALICE, os.unlink, second, by="EPERM")
    works(BOB, drop, second, "retention")
    put(second, "retention", "GOVERNANCE +1d")
    denied(BOB, drop, second, "retention", by="EPERM")  # it served once
    works(BOB, put, second, "bypass-governance-retention", "true")
    users.policy("bob", allow("*", "*"), deny("BypassGovernanceRetention", name + "/*"))
    denied(BOB, drop, second, "retention")  # the right is asked for again when it is used


@case("retention A 20*, A 25*")
def no_user_policy_or_map_opens_a_compliance_lock(store, bucket):
    name = begin(store, bucket)
    put(bucket, "bucket.object-lock", "Enabled")
    store.run("user", "create", "--uid", "1400", "--policy", "admin", store.mnt, "owner")
    works(1400, write, bucket + "/f", b"kept")
    settle(bucket + "/f")
    version = history(bucket + "/f")[0].path
    works(1400, put, version, "retention", "COMPLIANCE +365d")
    before = get(version, "retention")

    def stands(uid, why):
        denied(uid, os.unlink, version, by="EPERM")
        same(b"kept", read(version), why)
        same(before, get(version, "retention"), why)

    stands(1400, "its maker")
    users.bucket_policy(bucket, allow("*", name, name + "/*", Principal={"AWS": [users.user_arn("alice"), users.account]}))
    users.policy("alice", allow("*", "*"))
    stands(ALICE, "a policy that allows everything")
    stands(0, "root")
    users.no_bucket_policy(bucket)
    store.run("user", "delete", "--force", store.mnt, "owner")
    stands(0, "its maker deleted")
    store.remount("allow_other,uid-map=1400:root/*:root")
    try:
        version = version.replace(".versions", ".older")
        store.remount("allow_other,uid-map=1400:root/*:root,versions-name=.older")
        stands(1400, "another uid map and another hidden name")
    finally:
        store.remount("allow_other")
    same(before, get(history(bucket + "/f")[0].path, "retention"), "and after all")


@case("auth §4.4")
def policies_change_while_several_uids_act(store, bucket):
    name = begin(store, bucket)
    for n in range(3):
        write(f"{bucket}/k{n}", b"x")
        os.chmod(f"{bucket}/k{n}", 0o666)
    until = time.monotonic() + 3

    def acts():
        outcomes = set()
        while time.monotonic() < until:
            for n in range(3):
                for function, *args in ((read, f"{bucket}/k{n}"), (os.listdir, bucket), (put, f"{bucket}/k{n}", "tagging", "a=b")):
                    try:
                        function(*args)
                        outcomes.add(0)
                    except OSError as e:
                        outcomes.add(errno.errorcode[e.errno])
        return outcomes

    got = []
    threads = [threading.Thread(target=lambda uid=uid: got.append(act(uid, acts))) for uid in (ALICE, BOB, NOBODY)]
    for t in threads:
        t.start()
    while time.monotonic() < until:
        users.policy("alice", allow(["GetObject", "ListBucket", "PutObjectTagging"], name, name + "/*"))
        users.bucket_policy(bucket, allow("GetObject", name + "/*", Principal={"AWS": users.user_arn("bob")}))
        for words in (["map", str(NOBODY), "bob"], ["disable", "bob"], ["enable", "bob"], ["map", str(NOBODY), "anonymous"]):
            store.run("user", words[0], store.mnt, *words[1:])
        store.run("user", "create", "--uid", "1600", store.mnt, "passing")
        store.run("user", "key", "create", store.mnt, "passing")
        store.run("user", "delete", "--force", store.mnt, "passing")
        users.no_policy("alice")
        users.no_bucket_policy(bucket)
    for t in threads:
        t.join()
    for outcomes in got:
        check(outcomes <= {0, "EACCES"}, f"nothing but yes and no: {outcomes}")


# ---- accounts, presets, questions ----

@case("auth 94")
def an_account_of_its_own(store, bucket):
    begin(store, bucket)
    done_create = store.run("account", "create", "--json", store.mnt, "t2")
    same({"name", "id", "canonical_id", "display_name", "created", "users", "buckets"}, set(json.loads(done_create.stdout)), "what account create prints")
    store.run("user", "map", store.mnt, "1200", "t2:root")
    same([], act(1200, os.listdir, store.mnt), "the buckets its root sees")
    denied(1200, os.mkdir, bucket)
    done = as_uid(1200, store, "bucket", "create", bucket)
    same((1, True), (done.returncode, "exists" in done.stderr or "already" in done.stderr), f"a name that is taken: {done.stderr}")
    works(1200, os.mkdir, store.mnt + "/t2-bucket")
    works(1200, write, store.mnt + "/t2-bucket/f", b"x")
    info = json.loads(as_uid(1200, store, "bucket", "info", "--json", store.mnt + "/t2-bucket").stdout)
    same(json.loads(done_create.stdout)["id"], info["owner"], "owner of its bucket")
    refuses("EACCES", read, store.mnt + "/t2-bucket/f")
    done = store.run("account", "delete", store.mnt, "t2", ok=False)
    same((1, True), (done.returncode, "t2-bucket" in done.stderr), f"account delete: {done.stderr}")
    works(1200, os.unlink, store.mnt + "/t2-bucket/f")
    same(0, as_uid(1200, store, "bucket", "delete", "--force", store.mnt + "/t2-bucket").returncode, "its root deletes the bucket")
    key = json.loads(store.run("user", "key", "create", "--account", "t2", store.mnt, "root").stdout)
    check(len(key["SecretAccessKey"]) == 40 and key["AccessKeyId"].startswith("AKIA"), "its root's key")
    same(1, as_uid(1200, store, "account", "create", store.mnt, "t3").returncode, "exit of making an account as another root")
    store.run("account", "delete", store.mnt, "t2")


@case("auth 96")
def presets(store, bucket):
    name = begin(store, bucket)
    for preset, yes, no in (
            ("read-only", ("GetObject", "GetObjectVersion", "ListBucket"), ("PutObject", "DeleteObject", "PutBucketPolicy")),
            ("read-write", ("PutObject", "DeleteObject", "PutObjectTagging"),
             ("DeleteObjectVersion", "PutBucketPolicy", "PutLifecycleConfiguration", "BypassGovernanceRetention")),
            ("backup", ("PutObjectRetention", "GetBucketVersioning"),
             ("PutObjectLegalHold", "PutObjectTagging", "PutObjectAcl", "DeleteObjectVersion", "BypassGovernanceRetention")),
            ("admin", ("DeleteObjectVersion", "PutBucketPolicy", "BypassGovernanceRetention"), ())):
        store.run("user", "policy", store.mnt, "alice", preset)
        text = store.run("user", "policy", "--get", "policy", store.mnt, "alice").stdout
        check(text.startswith("{"), f"{preset} is stored expanded: {text}")
        for action in yes + no:
            bucket_level = "Bucket" in action or "Configuration" in action
            users.decides(ALLOW if action in yes else IMPLICIT, "alice", action, arn(name if bucket_level else name + "/k"))


@case("auth 97")
def a_question_by_uid_and_path_is_the_one_by_name_and_arn(store, bucket):
    name = begin(store, bucket)
    users.policy("alice", allow("GetObject", name + "/*", Sid="reads"))
    by_path = users.can(ALICE, "GetObject", bucket + "/k")
    same(users.can("alice", "GetObject", arn(name + "/k")), by_path, "the answer")
    same(("identity policy", "reads", "Allow"), (by_path["policy"], by_path["sid"], by_path["statement"]["Effect"]), "what decides")
    same(by_path, users.can("alice", "GetObject", f"{store.dir}/{name}/k"), "the answer by a path of the store")
    shown = store.run("user", "can", store.mnt, "alice", "s3:GetObject", bucket + "/k").stdout
    check("reads" in shown and "allow" in shown, f"shown to a person: {shown}")
    version = history(bucket + "/k")[0]
    users.policy("alice", allow("GetObjectVersion", name + "/*", condition={"StringEquals": {"s3:VersionId": version.id}}))
    users.decides(ALLOW, "alice", "GetObjectVersion", version.path)
    works(ALICE, slurp, version.path)


@case("auth §1")
def commands_are_judged_as_the_uid_that_calls(store, bucket):
    begin(store, bucket)
    for words in (["user", "list"], ["user", "create", "eve"], ["user", "key", "create", "alice"], ["user", "policy", "alice", "admin"],
                  ["account", "create", "t9"], ["user", "map", str(NOBODY), "root"], ["account", "list"]):
        n = 3 if words[1] == "key" else 2
        done = as_uid(ALICE, store, *words[:n], store.mnt, *words[n:])
        same(1, done.returncode, f"exit of {words} by a user: {done.stdout}{done.stderr}")
    done = as_uid(ALICE, store, "user", "can", store.mnt, "alice", "s3:GetObject", bucket + "/k")
    same((1, True), (done.returncode, "implicit deny" in done.stdout), f"a user asks about itself: {done.stdout}{done.stderr}")
    done = as_uid(ALICE, store, "user", "can", store.mnt, "bob", "s3:GetObject", bucket + "/k")
    same((1, ""), (done.returncode, done.stdout), f"about another: {done.stderr}")


@case("auth §1")
def access_keys_are_shown_once_and_kept_wrapped(store, bucket):
    begin(store, bucket)
    key = json.loads(store.run("user", "key", "create", store.mnt, "alice").stdout)
    secret_file = store.scratch + "/secret"
    write(secret_file, b"a-secret-from-elsewhere\n")
    store.run("user", "key", "create", "--id", "IMPORTED_KEY_0001", "--secret-file", secret_file, store.mnt, "alice")
    same(1, store.run("user", "key", "create", "--id", "IMPORTED_KEY_0001", "--secret-file", secret_file, store.mnt, "bob", ok=False).returncode,
         "exit of the same id again")
    same(2, store.run("user", "key", "create", "--id", "IMPORTED_KEY_0002", store.mnt, "alice", ok=False).returncode, "exit of an id alone")
    new = json.loads(store.run("user", "key", "rotate", store.mnt, key["AccessKeyId"]).stdout)
    same(1, store.run("user", "key", "disable", "--account", "second", store.mnt, "IMPORTED_KEY_0001", ok=False).returncode, "exit for another account's")
    store.run("user", "key", "disable", "--account", "main", store.mnt, "IMPORTED_KEY_0001")
    states = {k["id"]: k["state"] for k in json.loads(store.run("user", "key", "list", "--json", store.mnt, "alice").stdout)["keys"]}
    same({key["AccessKeyId"]: "disabled", new["AccessKeyId"]: "active", "IMPORTED_KEY_0001": "disabled"}, states, "states of the keys")
    late = json.loads(store.run("user", "key", "rotate", "--grace", "1h", store.mnt, new["AccessKeyId"]).stdout)
    keys = {k["id"]: k for k in json.loads(store.run("user", "key", "list", "--json", store.mnt, "alice").stdout)["keys"]}
    same(("active", True), (keys[new["AccessKeyId"]]["state"], "active_until" in keys[new["AccessKeyId"]]), "one in its grace time")
    done = store.run("user", "delete", store.mnt, "alice", ok=False)
    same((1, True), (done.returncode, "--force" in done.stderr), f"deleting a user with keys: {done.stderr}")
    secrets = [k["SecretAccessKey"].encode() for k in (key, new, late)] + [b"a-secret-from-elsewhere"]
    for directory, _, files in os.walk(store.dir):
        for file in files:
            if file != "control":
                data = read(os.path.join(directory, file))
                check(not any(s in data for s in secrets), f"a secret in {file}")
    shown = store.run("user", "show", "--json", store.mnt, "alice").stdout + store.run("user", "key", "list", store.mnt).stdout
    check(not any(s.decode() in shown for s in secrets), "a secret shown again")
    for n in [key["AccessKeyId"], new["AccessKeyId"], late["AccessKeyId"], "IMPORTED_KEY_0001"]:
        store.run("user", "key", "delete", store.mnt, n)


@case("auth §1")
def commands_work_without_a_daemon_and_users_stay(store, bucket):
    name = begin(store, bucket)
    users.policy("alice", allow("GetObject", name + "/*"))
    store.umount()
    try:
        listing = json.loads(store.run("user", "list", "--json", store.dir, secret=False, ok=False).stdout or "null")
        same(None, listing, "without a secret nothing is told")
        words = ["user", "can", "--passphrase-file", store.passphrase, "--json", "--uid", str(ALICE), store.dir, "s3:GetObject", arn(name + "/k")]
        same("allow", json.loads(store.run(*words).stdout)["decision"], "the decision without a daemon")
        store.run("user", "create", "--passphrase-file", store.passphrase, "--uid", "1300", "--policy", "read-only", store.dir, "dora")
    finally:
        store.mount()
    works(1300, slurp, bucket + "/k")
    store.run("user", "delete", "--force", store.mnt, "dora")
    denied(1300, slurp, bucket + "/k")


main(options="allow_other")
