#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""KMS keys under the store's own clock, and who may use them: waiting times, locks that come meanwhile, destruction for good, expiry of
imported material, automatic rotation; permission at each use.

Cases: encryption 40, 41, 44, 45, 61; auth 83. Needs a build with --enable-test-hooks.
"""
import errno
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from holdfs import *
from testclock import Clock

DAY = 86400
clock = Clock()


def kms(store, verb, *args, ok=True):
    return store.run("kms", verb, "--json", store.mnt, *args, ok=ok)


def key_of(store, *options):
    return json.loads(kms(store, "create-key", *options).stdout)["KeyId"]


def describe(store, key):
    done = kms(store, "describe", key, ok=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def under(store, b, key, name="f", data=b"content under a key\n"):
    put(b, "bucket.encryption", f"aws:kms:{key}")
    write(f"{b}/{name}", data)
    return f"{b}/{name}"


def epochs(store):
    with open(store.dir + "/store.hdr") as f:
        return [e["e"] for e in json.loads(f.readline())["epochs"]]


@case("encryption 45")
def a_key_at_the_end_of_its_waiting_time_is_gone_for_good(store, b):
    key = key_of(store)
    path = under(store, b, key)
    before = epochs(store)
    kms(store, "schedule-deletion", key, "--days", "7")
    refuses("EKEYREVOKED", read, path)
    clock.passes(6.9 * DAY)
    check(not within(3, lambda: describe(store, key) is None), "before the time the key is there")
    clock.passes(0.2 * DAY)
    check(within(10, lambda: describe(store, key) is None), "then it is not")
    refuses("EKEYEXPIRED", read, path)
    refuses("ENOKEY", write, f"{b}/new", b"x")
    check(within(10, lambda: epochs(store)[-1] > before[-1] and len(epochs(store)) == 1), "a new epoch has begun")
    same(20, os.stat(path).st_size, "size")
    store.remount()
    refuses("EKEYEXPIRED", read, path)
    done = subprocess.run([sys.executable, os.path.join(os.path.dirname(__file__), "../../contrib/holdfs-read"), "--passphrase-file",
                           store.passphrase, store.dir, f"{os.path.basename(b)}/f"], capture_output=True, text=True)
    check("destroyed" in done.stderr or "cryptography" in done.stderr, f"who has M finds no key: {done.stderr}")
    drop(b, "bucket.encryption")
    os.unlink(path)
    same("", store.run("fsck", store.mnt, ok=False).stderr, "fsck")


@case("encryption 44")
def a_hold_that_comes_while_the_key_waits_puts_its_end_off(store, b):
    key = key_of(store)
    put(b, "bucket.object-lock", "Enabled")
    path = under(store, b, key)
    kms(store, "schedule-deletion", key, "--days", "7")
    put(path, "legal-hold", "ON")
    clock.passes(8 * DAY)
    check(not within(4, lambda: describe(store, key) is None), "the key stays")
    same("PendingDeletion", describe(store, key)["KeyState"], "state")
    same(1, describe(store, key)["locked_versions"], "locked versions")
    kms(store, "cancel-deletion", key)
    kms(store, "enable", key)
    same(b"content under a key\n", read(path), "content")
    done = kms(store, "schedule-deletion", key, ok=False)
    check(done.returncode == 1 and "protects 1 versions until a legal hold is lifted" in done.stderr, done.stderr)
    put(path, "legal-hold", "OFF")
    kms(store, "schedule-deletion", key, "--days", "7")
    clock.passes(8 * DAY)
    check(within(10, lambda: describe(store, key) is None), "lifted, it goes")


@case("encryption 44")
def governance_yields_to_a_bypass_and_compliance_never(store, b):
    key = key_of(store)
    put(b, "bucket.object-lock", "Enabled")
    path = under(store, b, key)
    put(path, "retention", "GOVERNANCE +30d")
    check(kms(store, "schedule-deletion", key, ok=False).returncode == 1, "refused without a bypass")
    kms(store, "schedule-deletion", key, "--bypass-governance-retention")
    kms(store, "cancel-deletion", key)
    kms(store, "enable", key)
    put(under(store, b, key, "g"), "retention", "COMPLIANCE +60d")
    done = kms(store, "schedule-deletion", key, "--bypass-governance-retention", ok=False)
    check(done.returncode == 1 and "protects" in done.stderr, done.stderr)


@case("encryption 45")
def imported_material_expires_and_comes_back(store, b):
    key = key_of(store, "--origin", "EXTERNAL")
    with tempfile.NamedTemporaryFile() as f:
        f.write(os.urandom(32))
        f.flush()
        kms(store, "import-key-material", key, "--file", f.name, "--expires", "+10d")
        path = under(store, b, key)
        clock.passes(11 * DAY)
        check(within(10, lambda: describe(store, key)["KeyState"] == "PendingImport"), "it expires")
        refuses("EKEYREVOKED", read, path)
        kms(store, "import-key-material", key, "--file", f.name)
        same(b"content under a key\n", read(path), "content")


@case("encryption 47")
def a_key_is_rotated_by_itself(store, b):
    key = key_of(store)
    path = under(store, b, key)
    kms(store, "auto-rotate", key, "--days", "90")
    clock.passes(91 * DAY)
    check(within(10, lambda: describe(store, key)["key_version"] == 2), "a new version")
    same(b"content under a key\n", read(path), "content")


# ---- who may ----

def as_uid(uid, function, *args):
    """What function returns or raises, done as that uid."""
    got, give = os.pipe()
    pid = os.fork()
    if not pid:
        code = 0
        try:
            os.setgid(uid)
            os.setuid(uid)
            function(*args)
        except OSError as e:
            code = e.errno
        finally:
            os.write(give, bytes([code]))
            os._exit(0)
    os.waitpid(pid, 0)
    code = os.read(got, 1)[0]
    os.close(got)
    os.close(give)
    return code


def user(store, name, uid, *actions):
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
    with tempfile.NamedTemporaryFile("w") as f:
        json.dump(policy, f)
        f.flush()
        store.run("user", "create", "--uid", str(uid), "--policy", f.name, store.mnt, name)


@case("encryption 40, 41, 61, auth 83")
def each_use_of_a_key_needs_its_permission(store, b):
    if os.getuid():
        return
    os.chmod(store.scratch, 0o755)
    os.chmod(b, 0o1777)
    key = key_of(store)
    path = under(store, b, key)
    os.chmod(path, 0o644)
    user(store, "alice", 2001, "s3:*")
    user(store, "bob", 2002, "s3:*", "kms:Decrypt")
    user(store, "carol", 2003, "s3:*", "kms:*")
    same(errno.EACCES, as_uid(2001, read, path), "without kms:Decrypt cat is refused")
    same(0, as_uid(2001, os.stat, path), "stat is not")
    same(0, as_uid(2002, read, path), "with it, not")
    same(errno.EACCES, as_uid(2002, write, f"{b}/bob", b"x"), "without kms:GenerateDataKey, making is refused")
    same(0, as_uid(2003, write, f"{b}/carol", b"x"), "with it, not")
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"},
        {"Effect": "Deny", "Principal": {"AWS": f"arn:aws:iam::{account(store)}:user/carol"}, "Action": "kms:Decrypt", "Resource": "*"}]}
    with tempfile.NamedTemporaryFile("w") as f:
        json.dump(policy, f)
        f.flush()
        kms(store, "set-policy", key, f.name)
    same(0, as_uid(2001, read, path), "a key policy alone lets in")
    same(errno.EACCES, as_uid(2003, read, path), "an explicit deny wins, though the data key is open already")
    uses = json.loads(store.run("kms", "usage", "--json", store.mnt, "--key", key).stdout)["uses"]
    seen = {(u["userIdentity"].get("userName"), u["eventName"], u.get("errorCode")) for u in uses}
    for want in [("alice", "Decrypt", "AccessDenied"), ("bob", "GenerateDataKey", "AccessDenied"), ("carol", "GenerateDataKey", None)]:
        check(want in seen, f"the trail tells of {want}: {seen}")
    check(any(n == "bob" and e in ("Decrypt", "DataKeyUse") and not c for n, e, c in seen), f"bob's use: {seen}")
    check(all("aws:s3:arn" in u["requestParameters"]["encryptionContext"] for u in uses if u["eventName"] == "Decrypt"), "the context is told")


def account(store):
    return store.status()["store"]["account_id"] if "account_id" in store.status().get("store", {}) else conf(store)["account-id"]


def conf(store):
    with open(store.dir + "/holdfs.conf") as f:
        return dict(line.strip().split(" = ", 1) for line in f if " = " in line)


if __name__ == "__main__":
    main("--test-store", options="allow_other", env={"HOLDFS_TEST_CLOCK": clock.path})
