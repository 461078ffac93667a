# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by the S3 stories: a store mounted and served by one daemon, clients for its users, requests signed by hand.

serve() makes both; Client is boto3 for one access key; raw() sends bytes exactly as given and returns what came back.
"""
import datetime
import hashlib
import hmac
import http.client
import json
import os
import socket
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree

from holdfs import *

try:
    import boto3
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import ClientError
except ImportError:
    skip("python3-boto3 is not installed")

os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
NS = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Key:
    def __init__(self, store, user, account=None):
        more = ["--account", account] if account else []
        made = json.loads(store.run("user", "key", "create", store.dir, user, *more).stdout)
        self.id, self.secret = made["AccessKeyId"], made["SecretAccessKey"]


def serve(store, more=""):
    """Mounts the store and serves it, in one daemon."""
    store.port = free_port()
    store.mount(f"http=127.0.0.1:{store.port}" + ("," + more if more else ""))
    store.endpoint = f"http://127.0.0.1:{store.port}"
    if not hasattr(store, "root"):
        store.root = Key(store, "root")
    return store


# Members that a boto3 older than 1.36 (Debian 12 has 1.26) does not know: shape, member, its type, where it travels (None: body).
NEWER = (
    ("ListBucketsRequest", "MaxBuckets", "integer", "querystring", "max-buckets"),
    ("ListBucketsRequest", "ContinuationToken", "string", "querystring", "continuation-token"),
    ("ListBucketsOutput", "ContinuationToken", "string", None, None),
    ("PutObjectRequest", "IfMatch", "string", "header", "If-Match"),
    ("PutObjectRequest", "IfNoneMatch", "string", "header", "If-None-Match"),
    ("CreateMultipartUploadRequest", "ChecksumType", "string", "header", "x-amz-checksum-type"),
    ("CompleteMultipartUploadRequest", "ChecksumType", "string", "header", "x-amz-checksum-type"),
    ("CompleteMultipartUploadRequest", "MpuObjectSize", "long", "header", "x-amz-mp-object-size"),
    ("CompleteMultipartUploadRequest", "IfMatch", "string", "header", "If-Match"),
    ("CompleteMultipartUploadRequest", "IfNoneMatch", "string", "header", "If-None-Match"),
    ("CompleteMultipartUploadOutput", "ChecksumCRC64NVME", "string", None, None),
    ("CompleteMultipartUploadOutput", "ChecksumType", "string", None, None),
    ("HeadObjectOutput", "TagCount", "integer", "header", "x-amz-tagging-count"),
    ("ObjectIdentifier", "ETag", "string", None, None),
)


def taught_session():
    """A session of boto3 whose model of S3 knows NEWER, whatever boto3's age; what it knows of itself stays as it is."""
    core = botocore.session.get_session()
    model = core.get_component("data_loader").load_service_model("s3", "service-2")  # the loader keeps it for the clients
    shapes = model["shapes"]
    for shape, member, kind, where, name in NEWER:
        shapes.setdefault("Newer" + kind, {"type": kind})
        into = shapes.setdefault(shape, {"type": "structure", "members": {}})["members"]
        into.setdefault(member, {"shape": "Newer" + kind, **({"location": where, "locationName": name} if where else {})})
    model["operations"]["ListBuckets"].setdefault("input", {"shape": "ListBucketsRequest"})
    return boto3.Session(botocore_session=core)


session = taught_session()


def client(store, key=None, endpoint=None, **config):
    key = key or store.root
    config.setdefault("s3", {"addressing_style": "path"})
    config.setdefault("signature_version", "s3v4")
    return session.client("s3", endpoint_url=endpoint or store.endpoint, region_name="us-east-1", aws_access_key_id=key.id,
                          aws_secret_access_key=key.secret, config=Config(retries={"max_attempts": 1}, **config))


def fails(status, code, function, *args, **kwargs):
    """The call is refused with that status and code; the error as boto3 tells it."""
    try:
        function(*args, **kwargs)
    except ClientError as e:
        got = (e.response["ResponseMetadata"]["HTTPStatusCode"], e.response["Error"]["Code"])
        if e.response["Error"]["Code"].isdigit():  # HEAD has no body
            got = (got[0], e.response["ResponseMetadata"]["HTTPHeaders"].get("x-holdfs-error"))
        same((status, code), got, f"{getattr(function, '__name__', function)}{shorten(kwargs)}")
        return e.response
    raise Broken(f"{getattr(function, '__name__', function)}{shorten(kwargs)}: wanted {status} {code}, but it succeeded")


# ---- requests by hand ----

class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, {k.lower(): v for k, v in headers}, body
        self.code = None
        if status >= 300 and body.startswith(b"<?xml"):
            self.xml = ElementTree.fromstring(body)
            self.code = self.xml.findtext("Code")
        self.code = self.code or self.headers.get("x-holdfs-error")

    def __repr__(self):
        return f"{self.status} {self.code or ''} {self.body[:200]}"

    def element(self, name):
        return self.xml.findtext(name)


def enc(text, keep="-_.~"):
    return urllib.parse.quote(text, safe=keep)


def signing_key(secret, date, region="us-east-1", service="s3"):
    key = ("AWS4" + secret).encode()
    for word in (date, region, service, "aws4_request"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return key


def sign(key, method, target, headers, payload, now=None, region="us-east-1", signed=None):
    """Adds Authorization to the headers (a dict, names in lower case); the seed signature, timestamp, scope and signing key."""
    now = now or datetime.datetime.now(datetime.timezone.utc)
    stamp, date = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers.setdefault("x-amz-date", stamp)
    if payload is not None:
        headers.setdefault("x-amz-content-sha256", payload)
    path, _, query = target.partition("?")
    pairs = sorted((enc(urllib.parse.unquote_plus(n)), enc(urllib.parse.unquote_plus(v)))
                   for n, _, v in (p.partition("=") for p in query.split("&") if p))
    names = signed or sorted(headers)
    canonical = "\n".join([method, enc(urllib.parse.unquote_to_bytes(path), "-_.~/"), "&".join(f"{n}={v}" for n, v in pairs),
                           "".join(f"{n}:{' '.join(headers.get(n, '').split())}\n" for n in names), ";".join(names),
                           headers.get("x-amz-content-sha256", "")])
    scope = f"{date}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    skey = signing_key(key.secret, date, region)
    signature = hmac.new(skey, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={key.id}/{scope}, SignedHeaders={';'.join(names)}, "
                                f"Signature={signature}")
    return signature, stamp, scope, skey, text, canonical


def raw(store, method, target, body=b"", headers=None, key="root", payload="hash", send_length=True, **how):
    """A request as given, signed unless key is None. The Answer."""
    headers = {k.lower(): v for k, v in (headers or {}).items()}
    headers.setdefault("host", f"127.0.0.1:{store.port}")
    if key:
        payload = hashlib.sha256(body).hexdigest() if payload == "hash" else payload
        sign(store.root if key == "root" else key, method, target, headers, payload, **how)
    return send(store, method, target, body, headers, send_length)


def send(store, method, target, body, headers, send_length=True):
    c = http.client.HTTPConnection("127.0.0.1", store.port, timeout=30)
    try:
        c.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            c.putheader(name, value)
        if send_length and "content-length" not in headers and "transfer-encoding" not in headers and (body or method in ("PUT", "POST")):
            c.putheader("content-length", str(len(body)))
        c.endheaders()
        try:
            if body:
                c.send(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all of it was sent
        r = c.getresponse()
        return Answer(r.status, r.getheaders(), r.read())
    finally:
        c.close()


def s3_main(*init_options, more="", timeout=None):
    """Runs the cases: each gets the store and a fresh bucket's name; s3 is root's client."""
    guard(timeout)
    store = serve(Store(*init_options), more)
    failed = 0
    s3 = client(store)
    wanted = sys.argv[1:]
    for index, (numbers, function) in enumerate(cases):
        title = f"{numbers}: {function.__name__.replace('_', ' ')}"
        if wanted and not any(w in title or w in function.__name__ for w in wanted):
            continue
        bucket = f"case-{index:02d}"
        begun = time.monotonic()
        try:
            s3.create_bucket(Bucket=bucket)
            function(store, s3, bucket)
            print(f"ok   {title} ({time.monotonic() - begun:.1f} s)", flush=True)
        except Exception as e:
            failed += 1
            where = [f for f in traceback.extract_tb(e.__traceback__) if os.path.dirname(f.filename).endswith("e2e")]
            at = f"{os.path.basename(where[-1].filename)}:{where[-1].lineno}" if where else "?"
            print(f"FAIL {title}\n     {at}: {type(e).__name__}: {e}", flush=True)
            if not store.daemon or store.daemon.poll() is not None:
                print("     the daemon has ended; its log ends:\n" + store.log_tail(), flush=True)
                break
    if store.daemon and store.daemon.poll() is None:
        store.umount()
    if failed:
        print("the daemon's log ends:\n" + store.log_tail())
    sys.exit(1 if failed else 0)
