#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may, over both fronts: `user can`, a signed request and the same operation on the mount give one verdict; keys come and go.

Cases: auth 3-5, 27-33, 37, 44, 46, 48, 78-80, 94, 96; retention 40, 64-67, 69, 71.
"""
import datetime
import json
import os
import pty
import re
import subprocess
import sys
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from s3 import *
from testclock import Clock
from users import (ALICE, BOB, CAROL, NOBODY, Users, allow, arn, denied, deny, works)

if os.geteuid() != 0:
    skip("needs root: acts as several users")
need("setpriv", "oathtool", "openssl")
ALLOW, EXPLICIT, IMPLICIT = "allow", "explicit deny", "implicit deny"
UIDS = {"root": 0, "alice": ALICE, "bob": BOB, "carol": CAROL, "anonymous": NOBODY}
users, keys = None, {}


def begin(store, b):
    """Users with keys and without policies; an object k in the bucket, which modes leave open to all. Its path on the mount."""
    global users
    if users is None:
        users = Users(store)
        keys.update(root=store.root, alice=Key(store, "alice"), bob=Key(store, "bob"), carol=Key(store, "carol", "second"), anonymous=None)
    users.no_policy()
    path = os.path.join(store.mnt, b)
    os.chmod(path, 0o777)
    write(path + "/k", b"content of k")
    os.chmod(path + "/k", 0o666)
    put(path, "bucket.public-access-block", "off")
    return path


def agree(store, want, who, action, resource, method, target, function, *args, body=b""):
    """One verdict of `user can`, of HTTP and of the mount."""
    users.decides(want, who, action, arn(resource))
    a = raw(store, method, target, body, key=keys[who])
    same(want == ALLOW, a.status < 300, f"{method} {target} by {who}: {a}")
    if want != ALLOW:
        same((403, "AccessDenied"), (a.status, a.code), f"{method} {target} by {who}")
    (works if want == ALLOW else denied)(UIDS[who], function, *args)


def reads(store, b, want, who, key="k"):
    agree(store, want, who, "GetObject", f"{b}/{key}", "GET", f"/{b}/{key}", read, os.path.join(store.mnt, b, key))


def writes(store, b, want, who, key="k"):
    agree(store, want, who, "PutObject", f"{b}/{key}", "PUT", f"/{b}/{key}", write, os.path.join(store.mnt, b, key), b"x", os.O_WRONLY | os.O_CREAT,
          body=b"x")


@case("auth 27, 28")
def identity_policies(store, s3, b):
    begin(store, b)
    for who, want in (("alice", IMPLICIT), ("root", ALLOW), ("anonymous", IMPLICIT)):
        reads(store, b, want, who)
    users.policy("alice", allow("GetObject", b + "/*"))
    reads(store, b, ALLOW, "alice")
    reads(store, b, IMPLICIT, "bob")
    writes(store, b, IMPLICIT, "alice")


@case("auth 29, 30, 32, 33")
def bucket_policies(store, s3, b):
    path = begin(store, b)
    users.bucket_policy(path, allow("GetObject", b + "/*", Principal={"AWS": users.user_arn("alice")}))
    reads(store, b, ALLOW, "alice")
    reads(store, b, IMPLICIT, "bob")
    users.bucket_policy(path, allow("GetObject", b + "/*", Principal={"AWS": users.account}))
    reads(store, b, IMPLICIT, "alice")
    reads(store, b, ALLOW, "root")
    users.bucket_policy(path, allow("GetObject", b + "/*", Principal="*"), deny("GetObject", b + "/*", Principal={"AWS": users.account}))
    reads(store, b, EXPLICIT, "alice")
    reads(store, b, ALLOW, "anonymous")
    users.bucket_policy(path, allow("GetObject", b + "/*", Principal="*"), deny("GetObject", b + "/*", NotPrincipal={"AWS": users.user_arn("alice")}))
    reads(store, b, ALLOW, "alice")
    reads(store, b, EXPLICIT, "bob")


@case("auth 31")
def a_deny_of_everything_leaves_root_the_policy(store, s3, b):
    path = begin(store, b)
    users.policy("alice", allow("*", "*"))
    users.bucket_policy(path, deny("s3:*", b, b + "/*", Principal="*"))
    users.decides(ALLOW, "root", "GetBucketPolicy", arn(b))
    same(403, raw(store, "GET", f"/{b}/k").status, "root's GET")
    same(403, raw(store, "GET", f"/{b}/k", key=keys["alice"]).status, "alice's")
    check("Deny" in s3.get_bucket_policy(Bucket=b)["Policy"], "root reads the policy over S3")
    check("Deny" in get(path, "bucket.policy"), "and on the mount")
    s3.delete_bucket_policy(Bucket=b)
    reads(store, b, ALLOW, "root")


@case("auth 37, 44, 46")
def conditions_and_exceptions(store, s3, b):
    path = begin(store, b)
    users.policy("alice", {"Effect": "Allow", "NotAction": "s3:DeleteObject", "Resource": "*"})
    reads(store, b, ALLOW, "alice")
    agree(store, IMPLICIT, "alice", "DeleteObject", b + "/k", "DELETE", f"/{b}/k", os.unlink, path + "/k")
    users.policy("alice", allow("GetObject", b + "/*", condition={"StringEquals": {"s3:ExistingObjectTag/sec": "public"}}))
    reads(store, b, IMPLICIT, "alice")
    s3.put_object_tagging(Bucket=b, Key="k", Tagging={"TagSet": [{"Key": "sec", "Value": "public"}]})
    reads(store, b, ALLOW, "alice")
    users.policy("alice", allow("GetObject", b + "/*"), allow("ListBucket", b, condition={"StringLike": {"s3:prefix": "pub/*"}}))
    for target, status in (("?list-type=2&prefix=pub/x", 200), ("?list-type=2", 403)):
        same(status, raw(store, "GET", f"/{b}{target}", key=keys["alice"]).status, target)
    same(404, raw(store, "HEAD", f"/{b}/pub/k", key=keys["alice"]).status, "a missing key she may list")
    same(403, raw(store, "HEAD", f"/{b}/priv/k", key=keys["alice"]).status, "one she may not")


@case("auth 48, 94")
def accounts(store, s3, b):
    path = begin(store, b)
    users.policy("carol", allow("GetObject", b + "/*"))
    reads(store, b, IMPLICIT, "carol")
    users.bucket_policy(path, allow("GetObject", b + "/*", Principal={"AWS": users.user_arn("carol")}))
    reads(store, b, ALLOW, "carol")
    users.no_policy("carol")
    reads(store, b, IMPLICIT, "carol")
    made = store.run("account", "create", "--json", store.mnt, "t2").stdout
    check("Secret" not in made, "no secret is printed")
    t2 = client(store, Key(store, "root", "t2"))
    same([], t2.list_buckets()["Buckets"], "its root's buckets")
    fails(409, "BucketAlreadyExists", t2.create_bucket, Bucket=b)
    t2.create_bucket(Bucket="t2-own")
    same(json.loads(made)["canonical_id"], t2.list_buckets()["Owner"]["ID"], "the owner")
    t2.put_object(Bucket="t2-own", Key="f", Body=b"x")
    fails(403, "AccessDenied", s3.get_object, Bucket="t2-own", Key="f")
    done = store.run("account", "delete", store.mnt, "t2", ok=False)
    same((1, True), (done.returncode, "t2-own" in done.stderr), f"account delete: {done.stderr}")
    t2.delete_object(Bucket="t2-own", Key="f")
    t2.delete_bucket(Bucket="t2-own")
    store.run("account", "delete", store.mnt, "t2")
    fails(403, "InvalidAccessKeyId", t2.list_buckets)


@case("auth 3, 4")
def keys_take_effect_at_once(store, s3, b):
    begin(store, b)
    users.policy("alice", allow("*", "*"))
    key = Key(store, "alice")

    def status(of=key):
        a = raw(store, "GET", f"/{b}/k", key=of)
        return a.status, a.code

    same((200, None), status(), "a new key")
    listed = next(k for k in json.loads(store.run("user", "key", "list", "--json", store.mnt, "alice").stdout)["keys"] if k["id"] == key.id)
    same(("s3", "127.0.0.1"), (listed["last_front"], listed["last_address"]), "the list tells who used it last")
    store.run("user", "key", "disable", store.mnt, key.id)
    unknown = Key.__new__(Key)
    unknown.id, unknown.secret = "AKIANOSUCHKEY0000000", key.secret
    same((403, "InvalidAccessKeyId"), status(), "a disabled one")
    same((403, "InvalidAccessKeyId"), status(unknown), "an unknown one")
    store.run("user", "key", "enable", store.mnt, key.id)
    same((200, None), status(), "enabled again")
    store.run("user", "disable", store.mnt, "alice")
    same((403, "InvalidAccessKeyId"), status(), "of a disabled user")
    denied(ALICE, read, os.path.join(store.mnt, b, "k"))
    store.run("user", "enable", store.mnt, "alice")
    new = json.loads(store.run("user", "key", "rotate", store.mnt, key.id).stdout)
    same((403, "InvalidAccessKeyId"), status(), "the old one after rotate")
    unknown.id, unknown.secret = new["AccessKeyId"], new["SecretAccessKey"]
    same((200, None), status(unknown), "the new one")
    store.run("user", "key", "delete", store.mnt, unknown.id)
    same((403, "InvalidAccessKeyId"), status(unknown), "deleted")
    own = store.scratch + "/own-secret"
    write(own, b"made-elsewhere/0123456789")
    store.run("user", "key", "create", "--id", "MADE_ELSEWHERE_01", "--secret-file", own, store.mnt, "alice")
    unknown.id, unknown.secret = "MADE_ELSEWHERE_01", "made-elsewhere/0123456789"
    same((200, None), status(unknown), "one taken in")


@case("auth 5")
def a_bucket_is_the_accounts(store, s3, b):
    begin(store, b)
    alice = client(store, keys["alice"])
    users.policy("alice", allow("CreateBucket", "*"))
    alice.create_bucket(Bucket="made-by-alice")
    owner = s3.list_buckets()["Owner"]["ID"]
    same(owner, json.loads(store.run("account", "show", "--json", store.mnt, "main").stdout)["canonical_id"], "the account's canonical id")
    check("made-by-alice" in [x["Name"] for x in s3.list_buckets()["Buckets"]], "it is the account's")
    fails(403, "AccessDenied", alice.put_object, Bucket="made-by-alice", Key="f", Body=b"")
    s3.delete_bucket(Bucket="made-by-alice")


@case("auth 80, retention 40")
def what_is_set_on_the_mount_is_seen_over_s3(store, s3, b):
    path = begin(store, b)
    put(path, "bucket.versioning", "Enabled")
    put(path, "bucket.object-lock", "Enabled")
    write(path + "/k", b"locked")
    os.chmod(path + "/k", 0o666)
    users.policy("alice", allow(["PutObjectLegalHold", "PutObjectTagging", "PutObjectRetention", "ListBucket"], b, b + "/*"))
    works(ALICE, put, path + "/k", "legal-hold", "ON")
    works(ALICE, put, path + "/k", "tagging", "a=b")
    works(ALICE, put, path + "/k", "retention", "GOVERNANCE +1d")
    same("ON", s3.get_object_legal_hold(Bucket=b, Key="k")["LegalHold"]["Status"], "the hold")
    same([{"Key": "a", "Value": "b"}], s3.get_object_tagging(Bucket=b, Key="k")["TagSet"], "the tags")
    same("GOVERNANCE", s3.get_object_retention(Bucket=b, Key="k")["Retention"]["Mode"], "the retention")
    version = s3.list_object_versions(Bucket=b, Prefix="k")["Versions"][0]["VersionId"]
    fails(403, "AccessDenied", s3.delete_object, Bucket=b, Key="k", VersionId=version)
    users.bucket_policy(path, deny("PutObjectRetention", b + "/*", Principal="*",
                                   condition={"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "10"}}))
    now = datetime.datetime.now(datetime.timezone.utc)
    for days, ok in ((11, False), (10, True)):
        until = {"Mode": "GOVERNANCE", "RetainUntilDate": now + datetime.timedelta(days=days, seconds=-60)}
        if ok:
            s3.put_object_retention(Bucket=b, Key="k", Retention=until)
        else:
            fails(403, "AccessDenied", s3.put_object_retention, Bucket=b, Key="k", Retention=until)
            denied(0, put, path + "/k", "retention", f"GOVERNANCE +{days}d")
    s3.put_object_legal_hold(Bucket=b, Key="k", LegalHold={"Status": "OFF"})
    same("OFF", get(path + "/k", "legal-hold"), "lifted over S3, seen on the mount")


@case("auth 78, 79, 96")
def presets_over_s3(store, s3, b):
    path = begin(store, b)
    s3.put_bucket_versioning(Bucket=b, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=b, Key="v", Body=b"1")["VersionId"]
    alice = client(store, keys["alice"])
    store.run("user", "policy", store.mnt, "alice", "read-only")
    same(b"1", alice.get_object(Bucket=b, Key="v", VersionId=version)["Body"].read(), "read-only reads versions")
    fails(403, "AccessDenied", alice.put_object, Bucket=b, Key="v", Body=b"")
    fails(403, "AccessDenied", alice.delete_object, Bucket=b, Key="v")
    store.run("user", "policy", store.mnt, "alice", "read-write")
    alice.put_object(Bucket=b, Key="v", Body=b"2")
    alice.delete_object(Bucket=b, Key="v")
    fails(403, "AccessDenied", alice.delete_object, Bucket=b, Key="v", VersionId=version)
    fails(403, "AccessDenied", alice.put_bucket_policy, Bucket=b, Policy="{}")
    store.run("user", "policy", store.mnt, "alice", "backup")
    alice.put_object(Bucket=b, Key="v", Body=b"3")
    fails(403, "AccessDenied", alice.put_object_tagging, Bucket=b, Key="v", Tagging={"TagSet": []})
    same("Enabled", alice.get_bucket_versioning(Bucket=b)["Status"], "backup sees versioning")


# ---- MFA delete over HTTPS ----

def totp(secret, step=0):
    when = datetime.datetime.fromtimestamp(clock.now["wall"] + step * 30, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    return subprocess.run(["oathtool", "--totp", "-b", secret, "--now", when], capture_output=True, text=True, check=True).stdout.strip()


class Device:
    """A device of the first account's root, enrolled at a terminal; each code it gives is of a later step than the one before."""

    def __init__(self, store, name):
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(store.binary, [store.binary, "mfa", "enroll", store.mnt, name], store.env)
        shown, answers = b"", None
        while True:
            try:
                data = os.read(fd, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
            found = re.search(rb"secret=([A-Z2-7]{32})&", shown)
            if found and answers is None:
                self.secret = found.group(1).decode()
                answers = [totp(self.secret, -1), totp(self.secret)]
            if answers and shown.count(b"ode: ") > 2 - len(answers):
                os.write(fd, answers.pop(0).encode() + b"\n")
        os.close(fd)
        same(0, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), f"mfa enroll: {shown.decode(errors='replace')}")
        self.serial = f"arn:aws:iam::{users.account}:mfa/{name}"

    def code(self):
        clock.passes(30)
        return f"{self.serial} {totp(self.secret)}"


@case("retention 64, 65, 66, 67, 69, 71")
def mfa_delete_takes_its_header_over_https_only(store, s3, b):
    path = begin(store, b)
    secure = boto3.client("s3", endpoint_url=f"https://127.0.0.1:{store.tls_port}", region_name="us-east-1", aws_access_key_id=store.root.id,
                          aws_secret_access_key=store.root.secret, verify=False,
                          config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}, signature_version="s3v4"))
    alice = boto3.client("s3", endpoint_url=f"https://127.0.0.1:{store.tls_port}", region_name="us-east-1", aws_access_key_id=keys["alice"].id,
                         aws_secret_access_key=keys["alice"].secret, verify=False,
                         config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}, signature_version="s3v4"))
    users.policy("alice", allow("*", "*"))
    device = Device(store, "phone")
    on = {"Status": "Enabled", "MFADelete": "Enabled"}
    s3.put_bucket_versioning(Bucket=b, VersioningConfiguration={"Status": "Enabled"})
    v = [s3.put_object(Bucket=b, Key="v", Body=b"%d" % n)["VersionId"] for n in range(4)]
    fails(403, "AccessDenied", s3.put_bucket_versioning, Bucket=b, VersioningConfiguration=on)
    check("MFADelete" not in s3.get_bucket_versioning(Bucket=b), "it stays off")
    code = device.code()
    for text, status, error in ((code, 400, "InvalidRequest"), ("123456", 400, "InvalidArgument"), (f"{device.serial} 12345", 400, "InvalidArgument")):
        a = raw(store, "DELETE", f"/{b}/v?versionId={v[0]}", headers={"x-amz-mfa": text})
        same((status, error), (a.status, a.code), f"over plain HTTP, {text.split()[0]}")
    secure.put_bucket_versioning(Bucket=b, VersioningConfiguration=on, MFA=code)  # it was not spent
    same("Enabled", s3.get_bucket_versioning(Bucket=b)["MFADelete"], "on")
    fails(403, "AccessDenied", secure.delete_object, Bucket=b, Key="v", VersionId=v[0], MFA=code)  # now it is
    e = fails(403, "AccessDenied", secure.delete_object, Bucket=b, Key="v", VersionId=v[0])
    same("Mfa Authentication must be used for this request", e["Error"]["Message"], "no code")
    fails(403, "AccessDenied", alice.delete_object, Bucket=b, Key="v", VersionId=v[0])
    # 66, 67
    marker = s3.delete_object(Bucket=b, Key="v")["VersionId"]
    s3.put_bucket_versioning(Bucket=b, VersioningConfiguration={"Status": "Enabled"})
    fails(403, "AccessDenied", s3.put_bucket_versioning, Bucket=b, VersioningConfiguration={"Status": "Suspended"})
    both = {"Objects": [{"Key": "k"}, {"Key": "v", "VersionId": v[0]}]}
    fails(403, "AccessDenied", secure.delete_objects, Bucket=b, Delete=both)
    same(b"content of k", read(path + "/k"), "nothing is gone")
    fails(403, "AccessDenied", secure.delete_objects, Bucket=b, Delete=both, MFA=f"{device.serial} 000000")
    same(b"content of k", read(path + "/k"), "nothing is gone")
    done = secure.delete_objects(Bucket=b, Delete=both, MFA=device.code())
    same((2, []), (len(done["Deleted"]), done.get("Errors", [])), "one code covers all its keys")
    secure.delete_object(Bucket=b, Key="v", VersionId=v[1], MFA=device.code())
    secure.delete_object(Bucket=b, Key="v", VersionId=marker, MFA=device.code())
    same(b"3", read(path + "/v"), "the marker gone, the object is back")
    fails(403, "AccessDenied", alice.delete_object, Bucket=b, Key="v", VersionId=v[2], MFA=device.code())
    same(2, len(s3.list_object_versions(Bucket=b, Prefix="v")["Versions"]), "versions left")
    # 71
    s3.put_object_lock_configuration(Bucket=b, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    s3.put_object_retention(Bucket=b, Key="v", VersionId=v[3], Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
    e = fails(403, "AccessDenied", secure.delete_object, Bucket=b, Key="v", VersionId=v[3], MFA=device.code())
    check("Mfa" not in e["Error"]["Message"], f"a code and no bypass: {e['Error']['Message']}")
    e = fails(403, "AccessDenied", secure.delete_object, Bucket=b, Key="v", VersionId=v[3], BypassGovernanceRetention=True)
    check("Mfa Authentication must be used" in e["Error"]["Message"], e["Error"]["Message"])
    secure.delete_object(Bucket=b, Key="v", VersionId=v[3], BypassGovernanceRetention=True, MFA=device.code())
    # 69
    for n in range(5):
        e = fails(403, "AccessDenied", secure.delete_object, Bucket=b, Key="v", VersionId=v[2], MFA=f"{device.serial} 000000")
        same("Mfa Authentication failed", e["Error"]["Message"], "a wrong code")
    e = fails(403, "AccessDenied", secure.delete_object, Bucket=b, Key="v", VersionId=v[2], MFA=device.code())
    same("Mfa device is locked after too many wrong codes", e["Error"]["Message"], "after five")
    after = int(e["ResponseMetadata"]["HTTPHeaders"]["retry-after"])
    check(200 < after <= 300, f"Retry-After: {after}")
    clock.passes(after)
    secure.delete_object(Bucket=b, Key="v", VersionId=v[2], MFA=device.code())


warnings.simplefilter("ignore")  # a certificate that nobody vouches for
certificates = tempfile.mkdtemp(prefix="holdfs-test.")
atexit.register(lambda: shutil.rmtree(certificates, ignore_errors=True))
subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", certificates + "/key", "-out", certificates + "/cert", "-days", "2",
                "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
Store.tls_port = free_port()
clock = Clock(time.time())  # stands still but for what cases let pass, well within the skew that signatures may have
os.environ["HOLDFS_TEST_CLOCK"] = clock.path
s3_main("--test-store", more=f"allow_other,https=127.0.0.1:{Store.tls_port},tls-cert={certificates}/cert,tls-key={certificates}/key")
