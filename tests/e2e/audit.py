#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit trail as a user meets it: what is recorded, by whom, with old and new value; verification of the store and of exports; heads and
anchors. Cases 33 to 48 of logs.md."""
import base64
import gzip
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from holdfs import (PASSPHRASE, Broken, case, check, drop, get, history, main, put, read, refuses, same, settle, within, write)

HERE = os.path.dirname(os.path.abspath(__file__))
VERIFY = os.path.join(HERE, "../../contrib/audit-verify")


def holdfs(store, *args):
    return store.run(*args).stdout


def lockable(bucket):
    put(bucket, "bucket.object-lock", "Enabled")


def run(*args, **kwargs):
    return subprocess.run(args, capture_output=True, text=True, check=False, **kwargs)


def tail(store, *options):
    out = holdfs(store, "audit", "tail", "--json", "-n", "100000", *options, store.mnt)
    return [json.loads(line) for line in out.splitlines()]


def newest(store, event, *options):
    found = tail(store, "--event", event, *options)
    check(found, f"no record of {event}")
    return found[-1]


def about(record):
    return [r["ARN"] for r in record.get("resources", [])]


def verdict(store, *options):
    p = run(store.binary, "audit", "verify", *options, store.mnt)
    return p.returncode, p.stdout + p.stderr


def previous(record):
    return record["additionalEventData"].get("previous")


# ---- what is recorded ----

@case("logs 38*")
def changes_are_recorded_with_old_and_new_value_and_principal(store, bucket):
    lockable(bucket)
    name = os.path.basename(bucket)
    write(bucket + "/f", b"content")
    put(bucket + "/f", "retention", "GOVERNANCE 2099-01-01T00:00:00Z")
    r = newest(store, "PutObjectRetention")
    same(f"arn:aws:s3:::{name}/f", about(r)[0], "resource")
    same("GOVERNANCE", r["requestParameters"]["mode"], "new mode")
    same({"mode": "NONE"}, previous(r), "old value")
    same("Root", r["userIdentity"]["type"], "principal")
    same("mount", r["additionalEventData"]["front"], "front")
    same(os.geteuid(), r["additionalEventData"]["uid"], "uid")
    version = history(bucket + "/f")[0]
    same(version.id, r["requestParameters"]["versionId"], "version")

    put(version.path, "bypass-governance-retention", "true")
    check(newest(store, "ArmBypassGovernanceRetention"), "arming a bypass is recorded")
    put(version.path, "retention", "GOVERNANCE 2098-01-01T00:00:00Z")
    check(newest(store, "BypassGovernanceRetention"), "the bypass that was used")
    r = newest(store, "PutObjectRetention")
    same("2099-01-01T00:00:00.000Z", previous(r)["retainUntilDate"], "old date")
    same("2098-01-01T00:00:00.000Z", r["requestParameters"]["retainUntilDate"], "new date")

    put(bucket + "/f", "legal-hold", "ON")
    same("ON", newest(store, "PutObjectLegalHold")["requestParameters"]["status"], "hold on")
    put(bucket + "/f", "legal-hold", "OFF")
    r = newest(store, "PutObjectLegalHold")
    same(("OFF", {"status": "ON"}), (r["requestParameters"]["status"], previous(r)), "hold off")


@case("logs 38*")
def bucket_settings_and_policies_by_both_ways(store, bucket):
    name = os.path.basename(bucket)
    put(bucket, "bucket.settle", "7")
    r = newest(store, "PutObjectLockConfiguration")
    same(("7", "60"), (r["requestParameters"]["value"], previous(r)), "settle time")
    policy = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/secret"}]})
    put(bucket, "bucket.policy", policy)
    r = newest(store, "PutBucketPolicy")
    same(policy, r["requestParameters"]["value"], "policy, whole")
    check(previous(r) is None, "there was none before")
    drop(bucket, "bucket.policy")
    same(policy, previous(newest(store, "DeleteBucketPolicy")), "the policy that went")

    holdfs(store, "bucket", "set", bucket, "settle=8")
    r = newest(store, "PutObjectLockConfiguration")
    same(("8", "command"), (r["requestParameters"]["value"], r["additionalEventData"]["front"]), "by command")

    user = "u" + name
    holdfs(store, "user", "create", store.mnt, user)
    r = newest(store, "CreateUser")
    check(any(arn.endswith(":user/" + user) for arn in about(r)), "the user's ARN")
    same("iam.amazonaws.com", r["eventSource"], "source")
    key = json.loads(holdfs(store, "user", "key", "create", "--json", store.mnt, user))
    r = newest(store, "CreateAccessKey")
    same(key["AccessKeyId"], r["requestParameters"]["accessKeyId"], "the key's id")
    check(key["SecretAccessKey"] not in json.dumps(tail(store)), "case 44: a secret key stands in the trail")
    holdfs(store, "user", "policy", store.mnt, user, "read-only")
    check("s3:Get" in json.dumps(newest(store, "PutUserPolicy")["requestParameters"]), "the policy's text")
    holdfs(store, "user", "disable", store.mnt, user)
    newest(store, "DisableUser")
    holdfs(store, "user", "delete", "--force", store.mnt, user)
    newest(store, "DeleteUser")


@case("logs 38*")
def buckets_retention_that_settles_and_removals(store, bucket):
    lockable(bucket)
    name = "made-" + os.path.basename(bucket)
    holdfs(store, "bucket", "create", "--object-lock", f"{store.mnt}/{name}")
    made = f"{store.mnt}/{name}"
    same([f"arn:aws:s3:::{name}"], about(newest(store, "CreateBucket")), "bucket made")
    put(made, "bucket.object-lock", "GOVERNANCE 1d")
    write(made + "/f", b"x")
    settle(made + "/f")
    r = newest(store, "RetentionSettled")
    same(([f"arn:aws:s3:::{name}/f"], "GOVERNANCE", "AWSService", "engine"),
         (about(r), r["requestParameters"]["mode"], r["userIdentity"]["type"], r["userIdentity"]["principalId"]), "default retention arrives")
    v = history(made + "/f")[0]
    put(v.path, "bypass-governance-retention", "true")
    os.unlink(v.path)
    r = newest(store, "DeleteObjectVersion")
    same((v.id, "GOVERNANCE"), (r["requestParameters"]["versionId"], previous(newest(store, "BypassGovernanceRetention"))["mode"]), "removed")
    holdfs(store, "bucket", "delete", "--force", made)
    same([f"arn:aws:s3:::{name}"], about(newest(store, "DeleteBucket")), "bucket removed")


@case("logs 39*")
def refusals_of_a_lock_are_recorded_with_rule_and_clock(store, bucket):
    lockable(bucket)
    name = os.path.basename(bucket)
    write(bucket + "/locked", b"x")
    put(bucket + "/locked", "retention", "COMPLIANCE +1d")
    v = history(bucket + "/locked")[0]
    refuses("EPERM", os.unlink, v.path)
    r = newest(store, "DeleteObjectVersion")
    extra = r["additionalEventData"]
    same(("AccessDenied", "EPERM", "compliance"), (r["errorCode"], extra["errno"], extra["rule"]), "rm of a locked version")
    check("COMPLIANCE retention until" in r["errorMessage"], "the sentence of last-error")
    check(extra["clock"].startswith("20"), "the compliance clock")
    same((v.id, [f"arn:aws:s3:::{name}/locked"]), (r["requestParameters"]["versionId"], about(r)), "which version")
    p = run(store.binary, "bucket", "delete", "--force", bucket)
    same(1, p.returncode, "bucket delete --force")
    r = newest(store, "DeleteBucket")
    same(("AccessDenied", "command"), (r["errorCode"], r["additionalEventData"]["front"]), "refused command")
    refuses("EPERM", put, bucket + "/locked", "retention", "GOVERNANCE +1s")
    r = newest(store, "PutObjectRetention")
    same(("AccessDenied", "compliance"), (r["errorCode"], r["additionalEventData"]["rule"]), "shortening")


@case("logs 40")
def ten_thousand_equal_denials_are_one_record(store, bucket):
    lockable(bucket)
    write(bucket + "/held", b"x")
    put(bucket + "/held", "legal-hold", "ON")
    v = history(bucket + "/held")[0].path
    before = len(tail(store, "--event", "DeleteObjectVersion"))
    for _ in range(10000):
        try:
            os.unlink(v)
        except PermissionError:
            continue
        raise Broken("a held version went")
    found = tail(store, "--event", "DeleteObjectVersion")
    same(before + 1, len(found), "records")
    same(10000, found[-1]["additionalEventData"]["count"], "count")
    put(bucket + "/held", "legal-hold", "OFF")


@case("logs 44*")
def nothing_secret_stands_in_trail_and_exports(store, bucket):
    user = "secretive" + os.path.basename(bucket)
    write(bucket + "/f", b"the content of an object")
    holdfs(store, "user", "create", store.mnt, user)
    secret = json.loads(holdfs(store, "user", "key", "create", "--json", store.mnt, user))["SecretAccessKey"]
    out = os.path.join(store.scratch, "secret-export")
    holdfs(store, "audit", "export", "-o", out, store.mnt)
    text = b"".join(read(os.path.join(out, f)) for f in os.listdir(out))
    check(b'"CreateAccessKey"' in text, "the key's making is there")
    for what in (secret.encode(), PASSPHRASE.strip(), b"the content of an object"):
        check(what not in text, f"{what} stands in the export")


@case("logs 45")
def a_cloudtrail_reader_reads_an_export(store, bucket):
    lockable(bucket)
    write(bucket + "/f", b"x")
    put(bucket + "/f", "legal-hold", "ON")
    out = os.path.join(store.scratch, "cloudtrail")
    holdfs(store, "audit", "export", "--format", "cloudtrail", "-o", out, store.mnt)
    names = os.listdir(out)
    check(names and all(n.endswith(".json.gz") and "_CloudTrail_" in n for n in names), f"names: {names}")
    records = [r for n in names for r in json.load(gzip.open(os.path.join(out, n)))["Records"]]
    for r in records:
        same("1.11", r["eventVersion"], "version")
        check(r["eventTime"][10] == "T" and r["eventTime"].endswith("Z"), "time")
        for field in ("eventID", "eventName", "eventSource", "awsRegion", "recipientAccountId", "userIdentity"):
            check(r.get(field), f"{field} is missing in {r}")
        check(r["userIdentity"]["type"] in ("Root", "IAMUser", "Anonymous", "AWSService"), "identity")
        check(r["eventType"] in ("AwsApiCall", "AwsServiceEvent") and r["eventCategory"] in ("Management", "Data"), "kind")
        check(all(set(one) <= {"ARN", "type", "accountId"} for one in r.get("resources", [])), "resources")
        check("chain" not in r, "CloudTrail knows no chain")


@case("logs 3.1")
def data_events_are_recorded_when_asked_for(store, bucket):
    write(bucket + "/quiet", b"x")
    check(not tail(store, "--event", "PutObject", "--object", bucket + "/quiet"), "not by default")
    holdfs(store, "audit", "set", store.mnt, "audit-data-events=write")
    write(bucket + "/told", b"12345")
    r = newest(store, "PutObject", "--object", bucket + "/told")
    same((5, "Data", False), (r["requestParameters"]["sizeBytes"], r["eventCategory"], r["managementEvent"]), "a write")
    os.unlink(bucket + "/told")
    holdfs(store, "audit", "set", store.mnt, "audit-data-events=all")
    read(bucket + "/quiet")
    r = newest(store, "GetObject", "--object", bucket + "/quiet")
    same((True, "Data"), (r["readOnly"], r["eventCategory"]), "a read")
    holdfs(store, "audit", "set", store.mnt, "audit-data-events=none")
    r = newest(store, "PutAuditSettings")
    same(("none", "all"), (r["requestParameters"]["value"], previous(r)), "the setting's change")
    same(2, run(store.binary, "audit", "set", store.mnt, "audit-keep").returncode, "usage")


# ---- the chain ----

def export_of(store, where):
    out = os.path.join(store.scratch, where)
    holdfs(store, "audit", "export", "-o", out, store.mnt)
    return os.path.join(out, sorted(os.listdir(out))[0])


@case("logs 33")
def our_verifier_and_the_independent_one_agree(store, bucket):
    for i in range(300):
        put(bucket, "bucket.settle", str(i % 50))
    path = export_of(store, "export33")
    code, words = verdict(store)
    same(0, code, words)
    check("unbroken" in words, words)
    same(0, verdict(store, "--since", "-1h")[0], "from an hour ago on")
    out = os.path.join(store.scratch, "none33")
    whole = json.loads(holdfs(store, "audit", "export", "--json", "--since", "-1h", "-o", out, store.mnt))
    none = json.loads(holdfs(store, "audit", "export", "--json", "--until", "-1h", "-o", out, store.mnt))
    check(whole["records"] > 300 and none["records"] == 0, f"since and until: {whole}, {none}")
    p = run(sys.executable, VERIFY, path)
    same(0, p.returncode, p.stdout + p.stderr)
    ours = run(store.binary, "audit", "verify", path)
    same(0, ours.returncode, ours.stderr)
    same(p.stdout.split()[0], ours.stdout.split()[0], "number of records")


@case("logs 34")
def what_was_done_to_an_export_is_named_with_its_number(store, bucket):
    for i in range(30):
        put(bucket, "bucket.settle", str(i))
    lines = open(export_of(store, "export34"), encoding="utf-8").read().splitlines()
    forged = json.loads(lines[14])
    forged["eventName"] = "Nothing"
    attacks = {
        "changed": (10, lines[:9] + [lines[9].replace("eventName", "eventNamf", 1)] + lines[10:]),
        "missing": (8, lines[:7] + lines[8:]),
        "inserted": (12, lines[:12] + [lines[11]] + lines[12:]),
        "moved": (5, lines[:4] + [lines[5], lines[4]] + lines[6:]),
    }
    attacks["inserted "] = (15, lines[:14] + [json.dumps(forged)] + lines[14:])
    path = os.path.join(store.scratch, "attacked.jsonl")
    for what, (seq, attacked) in attacks.items():
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(attacked) + "\n")
        for p in (run(store.binary, "audit", "verify", path), run(sys.executable, VERIFY, path)):
            same(1, p.returncode, what)
            check(f"record {seq} " in p.stderr and p.stderr.rstrip().endswith(what.strip()), f"{what} at {seq}: {p.stderr}")
    same(2, run(store.binary, "audit", "verify", os.path.join(HERE, "audit.py")).returncode, "what is no export")


# ---- heads and anchors ----

class Catcher(http.server.BaseHTTPRequestHandler):
    heads, status, authorization = [], 201, None

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Catcher.authorization = self.headers.get("Authorization")
        if Catcher.status < 300:
            Catcher.heads.append(json.loads(body))
        self.send_response(Catcher.status)
        self.end_headers()

    def log_message(self, *args):
        pass


def serve(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@case("logs 36*")
def openssl_alone_verifies_a_head(store, bucket):
    anchors = os.path.join(store.scratch, "heads.jsonl")
    holdfs(store, "audit", "anchor", "add", "--every", "1s", store.mnt, "file:" + anchors)
    put(bucket, "bucket.settle", "5")
    check(within(20, lambda: os.path.exists(anchors) and read(anchors)), "the anchor file is written")
    out = os.path.join(store.scratch, "heads")
    holdfs(store, "audit", "heads", "--export", out, store.mnt)
    messages = sorted(n[:-4] for n in os.listdir(out) if n.endswith(".msg"))
    check(messages, "no head was made")
    for n in messages:
        p = run("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", out + "/audit.pub", "-rawin", "-in", f"{out}/{n}.msg", "-sigfile", f"{out}/{n}.sig")
        same(0, p.returncode, p.stdout + p.stderr)
    same(read(out + "/audit.pub"), read(store.dir + "/audit.pub"), "the public key")
    code, words = verdict(store, "--anchors", anchors)
    same(0, code, words)
    check("last anchored" in words, words)
    holdfs(store, "audit", "rotate-key", store.mnt)
    put(bucket, "bucket.settle", "6")
    size = os.path.getsize(anchors)
    check(within(20, lambda: os.path.getsize(anchors) > size), "the new key signs")
    for key in (out + "/audit.pub", store.dir + "/audit.pub"):
        code, words = verdict(store, "--anchors", anchors, "--public-key", key)
        same(0, code, f"old and new key verify: {words}")
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", store.scratch + "/other.pem")
    run("openssl", "pkey", "-in", store.scratch + "/other.pem", "-pubout", "-out", store.scratch + "/other.pub")
    code, words = verdict(store, "--public-key", store.scratch + "/other.pub")
    same(1, code, f"another key does not: {words}")
    holdfs(store, "audit", "anchor", "remove", store.mnt, "file:" + anchors)


class StampAuthority(http.server.BaseHTTPRequestHandler):
    """RFC 3161 by `openssl ts`."""
    home = None

    def do_POST(self):
        home = StampAuthority.home
        write(home + "/query", self.rfile.read(int(self.headers["Content-Length"])))
        p = run("openssl", "ts", "-reply", "-config", home + "/tsa.conf", "-queryfile", home + "/query", "-out", home + "/reply")
        self.send_response(200 if p.returncode == 0 else 500)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.end_headers()
        self.wfile.write(read(home + "/reply") if p.returncode == 0 else p.stderr.encode())

    def log_message(self, *args):
        pass


def stamp_authority(home):
    def openssl(*args):
        p = run("openssl", *args)
        same(0, p.returncode, p.stderr)
    os.mkdir(home)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=root", "-days", "30", "-keyout", home + "/ca.key", "-out", home + "/ca.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tsa", "-keyout", home + "/tsa.key", "-out", home + "/tsa.csr")
    write(home + "/ext", b"extendedKeyUsage=critical,timeStamping\n")
    openssl("x509", "-req", "-in", home + "/tsa.csr", "-CA", home + "/ca.pem", "-CAkey", home + "/ca.key", "-CAcreateserial", "-days", "30", "-sha256",
            "-extfile", home + "/ext", "-out", home + "/tsa.pem")
    write(home + "/tsa.conf", f"[tsa]\ndefault_tsa=t\n[t]\nserial={home}/serial\nsigner_cert={home}/tsa.pem\nsigner_key={home}/tsa.key\n"
          "signer_digest=sha256\ndefault_policy=1.2.3.4\ndigests=sha256\ness_cert_id_alg=sha256\n".encode())
    StampAuthority.home = home
    return serve(StampAuthority)


@case("logs 36*")
def openssl_alone_verifies_the_time_stamp_of_a_head(store, bucket):
    home = os.path.join(store.scratch, "tsa")
    server = stamp_authority(home)
    url = f"tsa:http://127.0.0.1:{server.server_port}/tsr"
    same(1, run(store.binary, "audit", "anchor", "add", store.mnt, url).returncode, "it needs the certificates it is checked by")
    holdfs(store, "audit", "anchor", "add", "--every", "1s", "--ca-file", home + "/ca.pem", store.mnt, url)
    put(bucket, "bucket.settle", "3")
    out = os.path.join(store.scratch, "stamped")

    def stamped():
        holdfs(store, "audit", "heads", "--export", out, store.mnt)
        return [n[:-4] for n in os.listdir(out) if n.endswith(".tsr")]
    check(within(30, stamped), "a token is kept: " + holdfs(store, "audit", "anchor", "list", store.mnt))
    for n in stamped():
        p = run("openssl", "ts", "-verify", "-data", f"{out}/{n}.msg", "-in", f"{out}/{n}.tsr", "-CAfile", home + "/ca.pem")
        same(0, p.returncode, p.stdout + p.stderr)
    code, words = verdict(store)
    check(code == 0 and url in words, words)
    holdfs(store, "audit", "anchor", "remove", store.mnt, url)
    server.shutdown()


@case("logs 37*")
def an_anchor_that_is_down_holds_nobody_up_and_catches_up(store, bucket):
    lockable(bucket)
    server = serve(Catcher)
    url = f"http://127.0.0.1:{server.server_port}/heads"
    token = os.path.join(store.scratch, "token")
    write(token, b"let me in\n")
    Catcher.status = 503
    holdfs(store, "audit", "anchor", "add", "--every", "1s", "--token-file", token, store.mnt, url)
    write(bucket + "/f", b"goes on")
    put(bucket + "/f", "legal-hold", "ON")
    same("ON", get(bucket + "/f", "legal-hold"), "requests go on")

    def warned():
        return any(url in w for w in json.loads(holdfs(store, "status", "--json", store.mnt))["warnings"])
    check(within(30, warned), "status warns after two intervals")
    check("let me in" not in holdfs(store, "status", "--json", store.mnt) + holdfs(store, "audit", "anchor", "list", "--json", store.mnt),
          "the token is not shown")
    Catcher.status = 201
    check(within(30, lambda: Catcher.heads), "it catches up")
    same("Bearer let me in", Catcher.authorization, "the token is sent")
    check(within(30, lambda: not warned()), "the warning goes")
    path = os.path.join(store.scratch, "caught.jsonl")
    with open(path, "w", encoding="utf-8") as f:
        f.write("".join(json.dumps(h) + "\n" for h in Catcher.heads))
    same(0, verdict(store, "--anchors", path)[0], "what was posted verifies")
    holdfs(store, "audit", "anchor", "remove", store.mnt, url)
    server.shutdown()


@case("logs 3.4")
def an_anchor_in_a_bucket_is_an_object_there(store, bucket):
    name = os.path.basename(bucket)
    holdfs(store, "audit", "anchor", "add", "--every", "1s", store.mnt, f"bucket:{name}/heads/")
    put(bucket, "bucket.settle", "9")

    def found():
        return [os.path.join(d, f) for d, _, files in os.walk(bucket + "/heads") for f in files]
    check(within(20, found), "an object appears")
    body = json.loads(read(sorted(found())[-1]))
    check(body["head"]["seq"] > 0 and len(base64.b64decode(body["sig"])) == 64, f"{body}")
    holdfs(store, "audit", "anchor", "remove", store.mnt, f"bucket:{name}/heads/")


@case("logs 35")
def an_old_backup_of_the_whole_store_is_found_by_the_anchor(store, bucket):
    anchors = os.path.join(store.scratch, "heads35.jsonl")
    old = os.path.join(store.scratch, "old")
    holdfs(store, "audit", "anchor", "add", "--every", "1s", store.mnt, "file:" + anchors)
    store.umount()
    shutil.copytree(store.dir, old)
    store.mount()
    size = os.path.getsize(anchors) if os.path.exists(anchors) else 0
    for i in range(5):
        put(bucket, "bucket.settle", str(i))
    check(within(20, lambda: os.path.exists(anchors) and os.path.getsize(anchors) > size), "anchored")
    store.umount()
    p = run(store.binary, "audit", "verify", "--passphrase-file", store.passphrase, "--anchors", anchors, store.dir)
    same(0, p.returncode, p.stderr)
    p = run(store.binary, "audit", "verify", "--passphrase-file", store.passphrase, "--anchors", anchors, old)
    same(1, p.returncode, p.stdout + p.stderr)
    check("tail cut" in p.stderr, p.stderr)
    store.mount()
    holdfs(store, "audit", "anchor", "remove", store.mnt, "file:" + anchors)


# ---- crashes ----

@case("logs 41*")
def a_killed_daemon_leaves_a_whole_chain_and_each_change_its_record(store, bucket):
    lockable(bucket)
    for turn in range(3):
        done = []
        stop = threading.Event()

        def work():
            for i in range(100000):
                if stop.is_set():
                    return
                path = f"{bucket}/t{turn}-{i}"
                try:
                    write(path, b"x")
                    put(path, "legal-hold", "ON")
                except OSError:
                    return
                done.append(path)
        thread = threading.Thread(target=work)
        thread.start()
        within(20, lambda: len(done) > 40)
        store.kill()
        stop.set()
        thread.join()
        store.mount()
        code, words = verdict(store)
        same(0, code, words)
        held = {r["requestParameters"]["key"] for r in tail(store, "--event", "PutObjectLegalHold", "--object", bucket)}
        base = os.path.basename
        for path in done:
            check(base(path) in held, f"{path}: its hold has no record")
        for key in held:
            same("ON", get(f"{bucket}/{key}", "legal-hold"), f"{key}: its record has no hold")


main()
