#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets, objects and listings over S3, beside the mount of the same daemon.

Cases: s3-api 1-4, 6-13, 15-24, 25, 26, 29-31, 33-41, 52-56, 58, 59, 61; mount section 2.
"""
import base64
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from s3 import *

HELLO = '"b1946ac92492d2347c6235b4d2611184"'


def hello(s3, b):
    s3.put_object(Bucket=b, Key="k", Body=b"hello\n")


def keys(s3, b, **more):
    return [o["Key"] for o in s3.list_objects_v2(Bucket=b, **more).get("Contents", [])]


def body(s3, b, key, **more):
    return s3.get_object(Bucket=b, Key=key, **more)["Body"].read()


@case("s3-api 1")
def paths_are_not_normalised(store, s3, b):
    same(200, raw(store, "PUT", f"/{b}/a%2Fb", b"1").status, "PUT a%2Fb")
    same(b"1", raw(store, "GET", f"/{b}/a/b").body, "GET a/b")
    for target in (f"/{b}//x", f"/{b}/x", f"/{b}/a/../x"):
        same(200, raw(store, "PUT", target, target.encode()).status, "PUT " + target)
    same(["/x", "a/../x", "a/b", "x"], keys(s3, b), "keys")
    same(f"/{b}//x".encode(), body(s3, b, "/x"), "content of /x")


@case("s3-api 2")
def a_plus_in_a_path_is_a_plus(store, s3, b):
    same(200, raw(store, "PUT", f"/{b}/a%2Bb", b"1").status, "PUT a%2Bb")
    same(200, raw(store, "PUT", f"/{b}/c+d", b"2").status, "PUT c+d")
    same((b"1", b"2"), (body(s3, b, "a+b"), body(s3, b, "c+d")), "contents")
    same((404, "NoSuchKey"), (lambda a: (a.status, a.code))(raw(store, "GET", f"/{b}/a%20b")), "GET a%20b")


@case("s3-api 3")
def bad_escapes_are_refused(store, s3, b):
    for bad in ("%ff", "%zz", "a%00b"):
        a = raw(store, "PUT", f"/{b}/{bad}", b"1", key=None)
        same((400, "InvalidURI"), (a.status, a.code), bad)


@case("s3-api 4")
def keys_over_1024_bytes_come_from_the_mount_alone(store, s3, b):
    s3.put_object(Bucket=b, Key="x" * 1024, Body=b"1")
    fails(400, "KeyTooLongError", s3.put_object, Bucket=b, Key="x" * 1025, Body=b"1")
    path = os.path.join(store.mnt, b, *["y" * 199] * 10)
    os.makedirs(os.path.dirname(path))
    write(path, b"long")
    key = os.path.relpath(path, os.path.join(store.mnt, b))
    check(key in keys(s3, b), "the long key is listed")
    same(b"long", body(s3, b, key), "its content")
    s3.delete_object(Bucket=b, Key=key)
    check(not os.path.exists(path), "deleted over S3, it is gone from the mount")


@case("s3-api 6")
def bucket_names_follow_the_rules(store, s3, b):
    for name in ("_ab", "aa", "foo_bar", "foo-", "foo..bar", "foo.-bar", "foo-.bar", "192.168.5.123", "Foo", "x" * 64, "x-s3alias"):
        a = raw(store, "PUT", "/" + name)
        same((400, "InvalidBucketName"), (a.status, a.code), name)
    same(200, raw(store, "PUT", "/" + "x" * 63).status, "63 letters")


@case("s3-api 7, 8")
def unknown_subresources_are_no_plain_requests(store, s3, b):
    hello(s3, b)
    for method in ("PUT", "DELETE"):
        a = raw(store, method, f"/{b}/k?brandnew", b"x" if method == "PUT" else b"")
        same((501, "NotImplemented"), (a.status, a.code), method)
    same(200, raw(store, "GET", f"/{b}/k?brandnew").status, "GET")
    same(200, raw(store, "PUT", f"/{b}/k2?x-id=PutObject", b"1").status, "x-id")
    for method, target in (("POST", f"/{b}/k"), ("DELETE", "/")):
        a = raw(store, method, target)
        same((405, "MethodNotAllowed"), (a.status, a.code), f"{method} {target}")
        check("allow" in a.headers, "Allow is sent")
    same(b"hello\n", body(s3, b, "k"), "k as it was")


@case("s3-api 9, 11")
def errors_say_what_they_are_about(store, s3, b):
    a = raw(store, "HEAD", f"/{b}/nope")
    same((404, "NoSuchKey", b""), (a.status, a.code, a.body), "HEAD")
    a = raw(store, "GET", f"/{b}/nope")
    same((404, "NoSuchKey", "nope"), (a.status, a.code, a.element("Key")), "GET")
    same(a.headers["x-amz-request-id"], a.element("RequestId"), "RequestId")
    same(a.headers["x-amz-id-2"], a.element("HostId"), "HostId")
    a = raw(store, "GET", "/no-such-bucket/k", key=None)
    same((404, "NoSuchBucket"), (a.status, a.code), "a missing bucket, also for who has no rights")
    a = raw(store, "GET", f"/{b}/k", headers={"x-amz-expected-bucket-owner": "1" * 12})
    same((403, "AccessDenied"), (a.status, a.code), "another owner was expected")


@case("s3-api 12")
def expect_continue_is_refused_before_the_body(store, s3, b):
    c = socket.create_connection(("127.0.0.1", store.port), timeout=10)
    c.sendall(f"PUT /{b}/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n".encode())
    got = b""
    while b"\r\n\r\n" not in got:
        got += c.recv(4096)
    c.close()
    check(got.startswith(b"HTTP/1.1 403 "), f"403 comes first, not {got[:60]}")
    same(200, raw(store, "PUT", f"/{b}/k", b"1", headers={"expect": "banana"}).status, "Expect: banana")


@case("s3-api 13")
def lengths(store, s3, b):
    a = raw(store, "PUT", f"/{b}/k", b"", send_length=False)
    same((411, "MissingContentLength"), (a.status, a.code), "no length")
    a = raw(store, "PUT", f"/{b}/k", b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n", headers={"transfer-encoding": "chunked"}, payload="UNSIGNED-PAYLOAD")
    same(200, a.status, "chunked")
    same(b"abcdefg", body(s3, b, "k"), "its content")


@case("s3-api 15, auth 9")
def the_payload_is_what_was_signed(store, s3, b):
    a = raw(store, "PUT", f"/{b}/k", b"evil", payload=hashlib.sha256(b"good").hexdigest())
    same((400, "XAmzContentSHA256Mismatch"), (a.status, a.code), "another hash")
    a = raw(store, "PUT", f"/{b}/k", b"x", payload=None)
    same((400, "InvalidRequest"), (a.status, a.code), "no hash")
    a = raw(store, "PUT", f"/{b}/k", b"x", payload="banana")
    same((400, "InvalidArgument"), (a.status, a.code), "banana")
    same([], keys(s3, b), "keys")


def crc32(data):
    import zlib
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def streaming(store, target, chunks, trailer=None, decoded=None, headers=None, name="x-amz-checksum-crc32", announce=True):
    headers = dict(headers or {})
    length = sum(map(len, chunks)) if decoded is None else decoded
    if length != "":
        headers["x-amz-decoded-content-length"] = str(length)
    headers["content-encoding"] = "aws-chunked"
    if announce:
        headers["x-amz-trailer"] = name
    body = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\n"
    body += (trailer if isinstance(trailer, bytes) else f"{name}:{trailer}\r\n".encode() if trailer else b"") + b"\r\n"
    return raw(store, "PUT", target, body, headers, payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER")


@case("s3-api 16, 17, 18")
def unsigned_streaming_with_a_trailer(store, s3, b):
    data = [b"a" * 10000, b"b" * 5]
    right = crc32(b"".join(data))
    a = streaming(store, f"/{b}/k", data, right)
    same((200, right), (a.status, a.headers.get("x-amz-checksum-crc32")), "right")
    same(b"".join(data), body(s3, b, "k"), "decoded")
    check("ContentEncoding" not in s3.head_object(Bucket=b, Key="k"), "no Content-Encoding is kept")
    for what, answer, wanted in (
            ("wrong value", streaming(store, f"/{b}/n", data, crc32(b"x")), (400, "BadDigest")),
            ("missing", streaming(store, f"/{b}/n", data), (400, "MalformedTrailerError")),
            ("another name", streaming(store, f"/{b}/n", data, b"x-amz-checksum-sha1:AAAA\r\n"), (400, "MalformedTrailerError")),
            ("not offered", streaming(store, f"/{b}/n", data, "AAAA", name="x-amz-checksum-foo"), (400, "InvalidRequest")),
            ("too large a length", streaming(store, f"/{b}/n", data, right, decoded=10006), (400, "IncompleteBody")),
            ("too small a length", streaming(store, f"/{b}/n", data, right, decoded=10004), (400, "IncompleteBody")),
            ("no length", streaming(store, f"/{b}/n", data, right, decoded=""), (411, "MissingContentLength"))):
        same(wanted, (answer.status, answer.code), what)
    same(["k"], keys(s3, b), "keys")


def signed_chunks(store, target, chunks, flip=None, sizes=None):
    """STREAMING-AWS4-HMAC-SHA256-PAYLOAD; `flip`: the chunk in which a byte is altered after signing."""
    payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    headers = {"host": f"127.0.0.1:{store.port}", "x-amz-decoded-content-length": str(sum(map(len, chunks)))}
    previous, stamp, scope, key, _, _ = sign(store.root, "PUT", target, headers, payload)
    body = b""
    for index, chunk in enumerate(chunks + [b""]):
        text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", stamp, scope, previous, EMPTY_SHA256, hashlib.sha256(chunk).hexdigest()])
        previous = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        sent = b"X" + chunk[1:] if flip == index else chunk
        body += b"%x;chunk-signature=%s\r\n%s\r\n" % (len(chunk), previous.encode(), sent)
    return send(store, "PUT", target, body, headers)


@case("s3-api 19, auth 14")
def signed_streaming(store, s3, b):
    chunks = [b"a" * 65536, b"b" * 65536, b"c" * 1024]
    same(200, signed_chunks(store, f"/{b}/k", chunks).status, "right")
    same(b"".join(chunks), body(s3, b, "k"), "content")
    a = signed_chunks(store, f"/{b}/n", chunks, flip=2)
    same((403, "SignatureDoesNotMatch"), (a.status, a.code), "a byte of the third chunk altered")
    a = signed_chunks(store, f"/{b}/n", [b"x" * 100, b"y" * 100])
    same((403, "InvalidChunkSizeError"), (a.status, a.code), "short chunks")
    same(["k"], keys(s3, b), "keys")


@case("s3-api 20")
def aws_chunked_is_no_encoding(store, s3, b):
    for sent, kept in (("gzip, aws-chunked", "gzip"), ("aws-chunked, gzip", "gzip"), ("aws-chunked", None)):
        same(200, raw(store, "PUT", f"/{b}/k", b"as sent", {"content-encoding": sent}).status, sent)
        a = raw(store, "GET", f"/{b}/k")
        same((kept, b"as sent"), (a.headers.get("content-encoding"), a.body), sent)


@case("s3-api 21, 22, 23, 24")
def digests(store, s3, b):
    def put(**headers):
        a = raw(store, "PUT", f"/{b}/k", b"hello\n", {n.replace("_", "-"): v for n, v in headers.items()})
        return a.status, a.code
    for bad in ("", "QUFBQUFBQUFBQUE=", "nonsense!"):
        same((400, "InvalidDigest"), put(content_md5=bad), "Content-MD5 " + bad)
    same((400, "BadDigest"), put(content_md5=base64.b64encode(hashlib.md5(b"x").digest()).decode()), "another MD5")
    sha = base64.b64encode(hashlib.sha256(b"hello\n").digest()).decode()
    same((400, "InvalidRequest"), put(x_amz_checksum_sha256=sha, x_amz_checksum_crc32=crc32(b"hello\n")), "two")
    same((400, "BadDigest"), put(x_amz_checksum_sha256="bad"), "malformed")
    same((400, "InvalidRequest"), put(x_amz_checksum_xxhash3="AAAA"), "not offered")
    same((400, "InvalidRequest"), put(x_amz_sdk_checksum_algorithm="SHA256", x_amz_checksum_crc32=crc32(b"hello\n")), "SDK names another")
    same((400, "InvalidRequest"), put(x_amz_sdk_checksum_algorithm="SHA256"), "SDK names one alone")
    same([], keys(s3, b), "keys")
    a = raw(store, "PUT", f"/{b}/a", b"A" * 1024, {"x-amz-checksum-sha256": "arcu6553sHVAiX4MjW0j7I7vD4w6R+Gz9Ok0Q9lTa+0="})
    same(("arcu6553sHVAiX4MjW0j7I7vD4w6R+Gz9Ok0Q9lTa+0=", "FULL_OBJECT"),
         (a.headers["x-amz-checksum-sha256"], a.headers["x-amz-checksum-type"]), "echoed")
    check("x-amz-checksum-sha256" not in raw(store, "HEAD", f"/{b}/a").headers, "not without the mode")
    same(200, raw(store, "PUT", f"/{b}/k", b"hello\n").status, "without a checksum")
    mode = {"x-amz-checksum-mode": "ENABLED"}
    same("akP7S61aVgc=", raw(store, "GET", f"/{b}/k", headers=mode).headers["x-amz-checksum-crc64nvme"], "CRC64NVME is computed")
    check("x-amz-checksum-crc64nvme" not in raw(store, "GET", f"/{b}/k", headers=dict(mode, range="bytes=0-1")).headers, "not on a range")


@case("s3-api 25, 26, 29")
def buckets(store, s3, b):
    s3.create_bucket(Bucket="twice")
    s3.create_bucket(Bucket="twice")
    fails(409, "BucketAlreadyExists", s3.create_bucket, Bucket="twice", ObjectLockEnabledForBucket=True)
    same(None, s3.get_bucket_location(Bucket="twice")["LocationConstraint"], "location")
    fails(400, "InvalidLocationConstraint", s3.create_bucket, Bucket="other", CreateBucketConfiguration={"LocationConstraint": "mars-1"})
    os.mkdir(os.path.join(store.mnt, "from-mkdir"))
    names = [n["Name"] for n in s3.list_buckets()["Buckets"]]
    check("from-mkdir" in names and names == sorted(names), f"mkdir's bucket is listed: {names}")
    page = s3.list_buckets(MaxBuckets=1)
    same(names[:1], [n["Name"] for n in page["Buckets"]], "first page")
    page = s3.list_buckets(MaxBuckets=1, ContinuationToken=page["ContinuationToken"])
    same(names[1:2], [n["Name"] for n in page["Buckets"]], "second page")
    for bad in ("0", "10001"):
        same("InvalidArgument", raw(store, "GET", f"/?max-buckets={bad}").code, bad)
    same(403, raw(store, "GET", "/", key=None).status, "anonymous")
    check(os.path.isdir(os.path.join(store.mnt, "twice")), "the mount shows it")
    s3.delete_bucket(Bucket="twice")
    check(not os.path.exists(os.path.join(store.mnt, "twice")), "and its end")
    s3.put_object(Bucket=b, Key="k", Body=b"")
    fails(409, "BucketNotEmpty", s3.delete_bucket, Bucket=b)


@case("s3-api 30, 31")
def ranges(store, s3, b):
    hello(s3, b)

    def get(r, key="k"):
        a = raw(store, "GET", f"/{b}/{key}", headers={"range": r})
        return a.status, a.body if a.status < 300 else a.code, a.headers.get("content-range")
    same((206, b"el", "bytes 1-2/6"), get("bytes=1-2"), "1-2")
    same((206, b"o\n", "bytes 4-5/6"), get("bytes=-2"), "-2")
    same((206, b"hello\n", "bytes 0-5/6"), get("bytes=-99"), "-99")
    same((206, b"o\n", "bytes 4-5/6"), get("bytes=4-99"), "4-99")
    for r in ("bytes=6-", "bytes=-0"):
        same((416, "InvalidRange", "bytes */6"), get(r), r)
    s3.put_object(Bucket=b, Key="empty", Body=b"")
    same(416, get("bytes=0-0", "empty")[0], "of an empty object")
    for r in ("bytes=3-1", "bytes=0-1,3-4", "lines=1-2"):
        same((200, b"hello\n", None), get(r), r)


@case("s3-api 33")
def answers_can_be_given_other_headers(store, s3, b):
    hello(s3, b)
    r = s3.get_object(Bucket=b, Key="k", ResponseContentType="text/x", ResponseContentLanguage="de", ResponseCacheControl="no-store",
                      ResponseContentDisposition="attachment", ResponseContentEncoding="x", ResponseExpires="Thu, 01 Dec 2033 16:00:00 GMT")
    h = r["ResponseMetadata"]["HTTPHeaders"]
    same(("text/x", "de", "no-store", "attachment", "x"), tuple(h[n] for n in (
        "content-type", "content-language", "cache-control", "content-disposition", "content-encoding")), "headers")
    a = raw(store, "GET", f"/{b}/k?response-expires=a%0D%0Ab")
    same((400, "InvalidArgument"), (a.status, a.code), "CR LF")


@case("s3-api 34, 35")
def reads_can_be_conditional(store, s3, b):
    hello(s3, b)

    def get(**h):
        a = raw(store, "GET", f"/{b}/k", headers={n.replace("_", "-"): v for n, v in h.items()})
        return a
    for etag in (HELLO, HELLO.strip('"')):
        a = get(if_none_match=etag)
        same((304, HELLO, b""), (a.status, a.headers.get("etag"), a.body), etag)
    a = get(if_match='"x"')
    same((412, "PreconditionFailed", "If-Match"), (a.status, a.code, a.element("Condition")), "If-Match")
    past, future = "Tue, 01 Jan 2019 00:00:00 GMT", "Fri, 01 Jan 2038 00:00:00 GMT"
    same(200, get(if_match=HELLO, if_unmodified_since=past).status, "If-Match beats If-Unmodified-Since")
    same(304, get(if_none_match=HELLO, if_modified_since=past).status, "If-None-Match beats If-Modified-Since")
    same(200, get(if_modified_since=future).status, "a date in the future is ignored")


@case("s3-api 37, 38, 39")
def writes_can_be_conditional(store, s3, b):
    hello(s3, b)
    fails(412, "PreconditionFailed", s3.put_object, Bucket=b, Key="k", Body=b"x", IfNoneMatch="*")
    s3.put_object(Bucket=b, Key="new", Body=b"x", IfNoneMatch="*")
    fails(412, "PreconditionFailed", s3.put_object, Bucket=b, Key="k", Body=b"x", IfMatch='"x"')
    fails(404, "NoSuchKey", s3.put_object, Bucket=b, Key="none", Body=b"x", IfMatch=HELLO)
    s3.put_object(Bucket=b, Key="k", Body=b"hello\n", IfMatch=HELLO)
    fails(501, "NotImplemented", s3.put_object, Bucket=b, Key="k", Body=b"x", IfMatch=HELLO, IfNoneMatch="*")
    same(501, raw(store, "PUT", f"/{b}/k", b"x", {"if-unmodified-since": "Tue, 01 Jan 2019 00:00:00 GMT"}).status, "If-Unmodified-Since")
    same(b"hello\n", body(s3, b, "k"), "k as it was")
    results = []

    def race(n):
        try:
            s3.put_object(Bucket=b, Key="race", Body=b"%d" % n, IfNoneMatch="*")
            results.append(n)
        except ClientError as e:
            results.append(e.response["Error"]["Code"])
    threads = [threading.Thread(target=race, args=(n,)) for n in range(50)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    winners = [n for n in results if isinstance(n, int)]
    same((1, 49), (len(winners), results.count("PreconditionFailed")), "one wins")
    same(b"%d" % winners[0], body(s3, b, "race"), "content is the winner's")


@case("s3-api 40, 41")
def deletes_can_be_conditional(store, s3, b):
    hello(s3, b)

    def delete(key="k", **h):
        a = raw(store, "DELETE", f"/{b}/{key}", headers={n.replace("_", "-"): v for n, v in h.items()})
        return a.status, a.code
    same((412, "PreconditionFailed"), delete(if_match='"x"'), "wrong")
    same((412, "PreconditionFailed"), delete(x_amz_if_match_size="99"), "size")
    same((501, "NotImplemented"), delete(if_none_match="*"), "If-None-Match")
    same((204, None), delete(x_amz_if_match_size="6", if_match=HELLO), "right")
    same((404, "NoSuchKey"), delete(if_match="*"), "nothing there")
    same((204, None), delete(), "not there")
    same((400, "InvalidArgument"), delete("k?versionId=banana"), "banana")


@case("s3-api 52, 53, 54")
def listings_roll_up(store, s3, b):
    for key in ("a", "b/1", "b/2", "c"):
        s3.put_object(Bucket=b, Key=key, Body=b"")

    def v1(**more):
        r = s3.list_objects(Bucket=b, **more)
        return [o["Key"] for o in r.get("Contents", [])], [p["Prefix"] for p in r.get("CommonPrefixes", [])], r["IsTruncated"], r.get("NextMarker")
    same((["a"], ["b/"], True, "b/"), v1(Delimiter="/", MaxKeys=2), "first page")
    same((["c"], [], False, None), v1(Delimiter="/", Marker="b/"), "behind the prefix")
    same((["c"], [], False, None), v1(Delimiter="/", Marker="b/1"), "a marker within the prefix")
    same((["a"], [], True, None), v1(MaxKeys=1), "without delimiter no NextMarker")
    r = s3.list_objects_v2(Bucket=b, Delimiter="/", MaxKeys=2)
    same(2, r["KeyCount"], "KeyCount")
    token = r["NextContinuationToken"]
    same(["c"], keys(s3, b, Delimiter="/", ContinuationToken=token, StartAfter="x"), "a token beats start-after")
    broken = ("B" if token[0] == "A" else "A") + token[1:]
    fails(400, "InvalidArgument", s3.list_objects_v2, Bucket=b, ContinuationToken=broken)
    a = raw(store, "GET", f"/{b}?list-type=2&continuation-token=")
    check(b"<ContinuationToken></ContinuationToken>" in a.body, "an empty token is echoed")
    same(([], [], False, None), v1(MaxKeys=0), "max-keys 0")
    check(b"<MaxKeys>1000</MaxKeys>" in raw(store, "GET", f"/{b}?max-keys=5000").body, "5000 is 1000")
    for bad in ("blah", "-1"):
        same("InvalidArgument", raw(store, "GET", f"/{b}?max-keys={bad}").code, bad)
    store.remount()
    same(["c"], keys(s3, b, Delimiter="/", ContinuationToken=token), "a token of before the restart")


@case("s3-api 55, 56")
def keys_that_xml_cannot_hold(store, s3, b):
    for key in ("asdf%2Bb", "foo%2B1/bar", "quux%20ab/x", "a%0Ab"):
        same(200, raw(store, "PUT", f"/{b}/{key}", b"").status, key)
    a = raw(store, "GET", f"/{b}?delimiter=/&encoding-type=url").body.decode()
    for text in ("<Key>asdf%2Bb</Key>", "<Prefix>foo%2B1/</Prefix>", "<Prefix>quux%20ab/</Prefix>", "<Key>a%0Ab</Key>", "<EncodingType>url</EncodingType>"):
        check(text in a, f"{text} in {a}")
    for bad in ("x", ""):
        same("InvalidArgument", raw(store, "GET", f"/{b}?encoding-type={bad}").code, "encoding " + bad)
    same(200, raw(store, "PUT", f"/{b}/one%01", b"").status, "U+0001")
    check(b"one%01" in raw(store, "GET", f"/{b}?encoding-type=url").body, "%01")
    check(b"one&#x1;" in raw(store, "GET", f"/{b}").body, "&#x1;")
    same(204, raw(store, "DELETE", f"/{b}/one%01").status, "deleted")


@case("s3-api 58, 59")
def pages_leave_nothing_out(store, s3, b):
    names = sorted(f"{n % 7}/{n:03d}" for n in range(200))
    for name in names:
        s3.put_object(Bucket=b, Key=name, Body=name.encode())
    got = [o for page in s3.get_paginator("list_objects_v2").paginate(Bucket=b, PaginationConfig={"PageSize": 7}) for o in page["Contents"]]
    same(names, [o["Key"] for o in got], "pages of 7")
    head = s3.head_object(Bucket=b, Key=names[0])
    same((head["ContentLength"], head["ETag"], head["LastModified"]), (got[0]["Size"], got[0]["ETag"], got[0]["LastModified"].replace(microsecond=0)), "as HEAD")
    check("Owner" not in got[0] and "Owner" in s3.list_objects(Bucket=b)["Contents"][0], "V1 has Owner, V2 not")
    check("Owner" in s3.list_objects_v2(Bucket=b, FetchOwner=True)["Contents"][0], "V2 with fetch-owner")


@case("s3-api 61, mount 2")
def the_mount_and_s3_show_one_bucket(store, s3, b):
    d = os.path.join(store.mnt, b)
    fd = os.open(f"{d}/f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"mount")
    same([], keys(s3, b), "a draft is not listed")
    fails(404, "NoSuchKey", s3.get_object, Bucket=b, Key="f")
    os.close(fd)
    same(["f"], keys(s3, b), "closed, it is")
    check(s3.head_object(Bucket=b, Key="f")["ETag"].endswith('-0"'), "its ETag is no MD5")
    s3.put_object(Bucket=b, Key="f", Body=b"over S3")
    same(b"over S3", read(f"{d}/f"), "the mount sees the PUT at once")
    for key in ("s/a", "s/b/c", "x//y", "./z", "d/"):
        s3.put_object(Bucket=b, Key=key, Body=key.encode())
    same(["d", "f", "s", "x"], listed(d), "what POSIX can name")
    same(("1", "1"), (get(d, "unshown-keys"), get(f"{d}/x", "unshown-keys")), "unshown keys are counted")
    refuses("ENOTEMPTY", os.rmdir, f"{d}/x")
    check("x//y" in last_error(d), "last-error names one")
    os.rmdir(f"{d}/d")
    check("d/" not in keys(s3, b), "removing the directory removes its folder object")
    same(["a", "b"], listed(f"{d}/s"), "below")
    same(b"s/b/c", read(f"{d}/s/b/c"), "content")
    s3.put_object(Bucket=b, Key="s", Body=b"shadow")
    check(os.path.isdir(f"{d}/s"), "the directory wins")
    same("true", get(f"{d}/s", "shadowed"), "shadowed")
    same(b"shadow", body(s3, b, "s"), "over S3 it is there")
    for key in ("s/a", "s/b/c"):
        s3.delete_object(Bucket=b, Key=key)
    same(b"shadow", read(f"{d}/s"), "the directory gone, the object shows")
    s3.put_object(Bucket=b, Key="s/again", Body=b"1")
    same(["again"], listed(f"{d}/s"), "a key below an object makes it a directory")
    s3.delete_object(Bucket=b, Key="f")
    check(not os.path.exists(f"{d}/f"), "deleted over S3")


s3_main()
