#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""holdfs serve by itself: TLS and a certificate that is renewed, clients that dawdle, an orderly end, a store that is busy.

Cases: s3-api 14, 93; auth 36; encryption 50 (refusal), KMS headers over TLS; mount 1 (serve).
"""
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from s3 import *

need("openssl")


def certificate(directory, serial):
    """A certificate of its own for 127.0.0.1; replaced by renaming, as tools that renew do."""
    new = [os.path.join(directory, n + ".new") for n in ("key.pem", "cert.pem")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-set_serial",
                    str(serial), "-subj", "/CN=holdfs test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", new[0], "-out", new[1]],
                   check=True, capture_output=True)
    for path in new:
        os.rename(path, path[:-4])


class Served:
    """A store served by `holdfs serve`."""

    def __init__(self, store):
        self.store = store
        certificate(store.scratch, 1)
        self.http, self.https = free_port(), free_port()
        self.cert = os.path.join(store.scratch, "cert.pem")
        self.words = [store.binary, "serve", "-f", "--passphrase-file", store.passphrase, "--http", f"127.0.0.1:{self.http}", "--https",
                      f"127.0.0.1:{self.https}", "--tls-cert", self.cert, "--tls-key", os.path.join(store.scratch, "key.pem"), store.dir]
        self.start()
        store.root = Key(store, "root")

    def start(self):
        with open(self.store.log, "ab") as log:
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if not within(60, self.answers):
            raise Broken("not served: " + self.store.log_tail())
        self.store.port = self.http

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.https), timeout=1).close()
            return True
        except OSError:
            return self.process.poll() is not None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        same(0, self.process.wait(60), "exit status")

    def client(self, tls=True):
        os.environ["AWS_CA_BUNDLE"] = self.cert
        return client(self.store, endpoint=f"https://127.0.0.1:{self.https}" if tls else f"http://127.0.0.1:{self.http}")

    def serial(self):
        context = ssl._create_unverified_context()
        with socket.create_connection(("127.0.0.1", self.https), timeout=5) as s, context.wrap_socket(s) as t:
            text = subprocess.run(["openssl", "x509", "-inform", "der", "-noout", "-serial"], input=t.getpeercert(True), capture_output=True, check=True)
            return text.stdout.decode().strip()


def step(sentence, function):
    global failed
    begun = time.monotonic()
    try:
        function()
        print(f"ok   {sentence} ({time.monotonic() - begun:.1f} s)", flush=True)
    except Exception as e:
        failed += 1
        print(f"FAIL {sentence}\n     {type(e).__name__}: {e}", flush=True)


guard(240)
failed = 0
store = Store()
served = Served(store)
s3 = served.client()


def both_listeners_serve():
    s3.create_bucket(Bucket="bkt")
    s3.put_object(Bucket="bkt", Key="k", Body=b"x" * 3_000_000)
    same(3_000_000, len(s3.get_object(Bucket="bkt", Key="k")["Body"].read()), "over TLS")
    same(3_000_000, len(served.client(tls=False).get_object(Bucket="bkt", Key="k")["Body"].read()), "over HTTP")


def a_tls_policy_tells_them_apart():
    s3.put_bucket_policy(Bucket="bkt", Policy=json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bkt/*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}))
    fails(403, "AccessDenied", served.client(tls=False).get_object, Bucket="bkt", Key="k")
    s3.get_object(Bucket="bkt", Key="k")["Body"].read()
    s3.delete_bucket_policy(Bucket="bkt")


def kms_keys_need_tls():
    plain = served.client(tls=False)
    fails(400, "InvalidArgument", plain.put_object, Bucket="bkt", Key="kms", Body=b"x", ServerSideEncryption="aws:kms")
    r = s3.put_object(Bucket="bkt", Key="kms", Body=b"secret", ServerSideEncryption="aws:kms")
    same("aws:kms", r["ServerSideEncryption"], "answered")
    check(r["SSEKMSKeyId"].startswith("arn:aws:kms:"), r["SSEKMSKeyId"])
    check(r["ETag"] != '"5ebe2294ecd0e0f08eab7690d2a6ee69"', "its ETag is no MD5")
    r = s3.get_object(Bucket="bkt", Key="kms")
    same((b"secret", "aws:kms"), (r["Body"].read(), r["ServerSideEncryption"]), "read")
    fails(400, "InvalidArgument", plain.get_object, Bucket="bkt", Key="kms")
    fails(400, "KMS.NotFoundException", s3.put_object, Bucket="bkt", Key="n", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/none")
    same("AES256", s3.head_object(Bucket="bkt", Key="k")["ServerSideEncryption"], "others")


def a_renewed_certificate_is_taken():
    before = served.serial()
    slow = s3.get_object(Bucket="bkt", Key="k")["Body"]
    certificate(store.scratch, 4711)
    check(within(20, lambda: served.serial() != before), "new connections get it")
    same(3_000_000, len(slow.read()), "a transfer begun before goes on")
    served.client().head_object(Bucket="bkt", Key="k")


def a_broken_certificate_is_not_taken():
    before = served.serial()
    write(served.cert, b"nonsense")
    check(within(20, lambda: "certificate stays" in store.log_tail()), "it is said")
    same(before, served.serial(), "the old one serves on")
    certificate(store.scratch, 4712)
    check(within(20, lambda: served.serial() != before), "until it is mended")


def a_cut_upload_leaves_nothing():
    headers = {"host": f"127.0.0.1:{served.http}"}
    sign(store.root, "PUT", "/bkt/cut", headers, "UNSIGNED-PAYLOAD")
    with socket.create_connection(("127.0.0.1", served.http)) as s:
        s.sendall(("PUT /bkt/cut HTTP/1.1\r\ncontent-length: 5000000\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers.items()) + "\r\n").encode())
        s.sendall(b"x" * 3000000)
    fails(404, "NoSuchKey", s3.get_object, Bucket="bkt", Key="cut")


def dawdlers_slow_nobody_and_are_closed():
    clients = [socket.create_connection(("127.0.0.1", served.http)) for _ in range(300)]
    for s in clients:
        s.sendall(b"GET /bkt/k HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    begun = time.monotonic()
    for _ in range(20):
        s3.head_object(Bucket="bkt", Key="k")
    check(time.monotonic() - begun < 5, f"20 HEADs took {time.monotonic() - begun:.1f} s")
    slow, closed = clients[0], None
    begun = time.monotonic()
    while time.monotonic() - begun < 60 and closed is None:
        try:
            slow.sendall(b"y")
            slow.settimeout(1)
            if slow.recv(1) == b"":
                closed = time.monotonic() - begun
        except socket.timeout:
            pass
        except OSError:
            closed = time.monotonic() - begun
    check(closed is not None and closed < 40, f"a byte a second: closed after {closed} s")
    for s in clients:
        s.close()


def it_ends_in_order():
    results = []

    def upload():
        try:
            results.append(client(store, endpoint=f"http://127.0.0.1:{served.http}").put_object(Bucket="bkt", Key="last", Body=b"z" * 30_000_000)["ETag"])
        except Exception as e:
            results.append(type(e).__name__)
    t = threading.Thread(target=upload)
    t.start()
    served.stop()
    t.join()
    served.start()
    there = "last" in [o["Key"] for o in served.client(tls=False).list_objects_v2(Bucket="bkt")["Contents"]]
    same(results[0].startswith('"'), there, f"what was answered ({results}) is what is there")
    same(0, store.run("fsck", store.dir, ok=False).returncode, "fsck by the daemon")
    served.stop()


step("both listeners serve", both_listeners_serve)
step("auth 36: a TLS policy tells them apart", a_tls_policy_tells_them_apart)
step("encryption 50: objects under KMS keys need TLS", kms_keys_need_tls)
step("a renewed certificate is taken", a_renewed_certificate_is_taken)
step("a broken one is not", a_broken_certificate_is_not_taken)
step("s3-api 14: a cut upload leaves nothing", a_cut_upload_leaves_nothing)
step("s3-api 93: dawdlers slow nobody and are closed", dawdlers_slow_nobody_and_are_closed)
step("it ends in order", it_ends_in_order)
if served.process.poll() is None:
    served.process.kill()
if failed:
    print("the daemon's log ends:\n" + store.log_tail())
sys.exit(1 if failed else 0)
