#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Multipart uploads and copies over S3.

Cases: s3-api 8, 28, 32, 44-51, 62-74.
"""
import base64
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from s3 import *

A, B = b"a" * (5 << 20), b"b"
ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")


def body(s3, b, key, **more):
    return s3.get_object(Bucket=b, Key=key, **more)["Body"].read()


def keys(s3, b):
    return [o["Key"] for o in s3.list_objects_v2(Bucket=b).get("Contents", [])]


def upload(s3, b, key, parts=((1, A), (2, B)), **create):
    """Creates, sends the parts; the id and the list that Complete wants."""
    u = s3.create_multipart_upload(Bucket=b, Key=key, **create)["UploadId"]
    done = []
    algorithm = create.get("ChecksumAlgorithm")
    for number, data in parts:
        more = {"ChecksumAlgorithm": algorithm} if algorithm else {}
        p = s3.upload_part(Bucket=b, Key=key, UploadId=u, PartNumber=number, Body=data, **more)
        done.append({"PartNumber": number, "ETag": p["ETag"]})
        if algorithm:
            done[-1]["Checksum" + algorithm] = p["Checksum" + algorithm]
    return u, done


def complete(s3, b, key, u, parts, **more):
    return s3.complete_multipart_upload(Bucket=b, Key=key, UploadId=u, MultipartUpload={"Parts": parts}, **more)


@case("s3-api 62, 63")
def known_answers(store, s3, b):
    for create, field, value, kind in (
            ({}, "ChecksumCRC64NVME", "q73CYp7EDYg=", "FULL_OBJECT"),
            ({"ChecksumAlgorithm": "CRC32"}, "ChecksumCRC32", "dYPmEQ==-2", "COMPOSITE"),
            ({"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}, "ChecksumCRC32", "rBxv8Q==", "FULL_OBJECT"),
            ({"ChecksumAlgorithm": "SHA256"}, "ChecksumSHA256", "tfmzeY9XeH2OXmxrtS4iDWlNIKUTAFv0/csHs2lsoD8=-2", "COMPOSITE")):
        u, parts = upload(s3, b, "k", **create)
        r = complete(s3, b, "k", u, parts)
        same(('"e5a8c5272b26fc10581a21089559b006-2"', value, kind), (r["ETag"], r[field], r["ChecksumType"]), str(create))
        same(A + B, body(s3, b, "k"), "content")
    same(A + B, read(os.path.join(store.mnt, b, "k")), "on the mount")


@case("s3-api 64")
def pairs_that_do_not_go_together(store, s3, b):
    for algorithm, kind in (("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE")):
        fails(400, "InvalidRequest", s3.create_multipart_upload, Bucket=b, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind)
    fails(400, "InvalidRequest", s3.create_multipart_upload, Bucket=b, Key="k", ChecksumType="COMPOSITE")
    a = raw(store, "POST", f"/{b}/k?uploads", headers={"x-amz-checksum-algorithm": "FOO"})
    same((400, "InvalidRequest"), (a.status, a.code), "FOO")


@case("s3-api 65")
def what_complete_refuses(store, s3, b):
    u, small = upload(s3, b, "s", ((1, b"x" * 10240), (2, b"y" * 10240)))
    fails(400, "EntityTooSmall", complete, s3, b, "s", u, small)
    u, parts = upload(s3, b, "k")
    fails(400, "InvalidPartOrder", complete, s3, b, "k", u, parts[::-1])
    fails(400, "InvalidPart", complete, s3, b, "k", u, parts + [{"PartNumber": 3, "ETag": parts[0]["ETag"]}])
    fails(400, "InvalidPart", complete, s3, b, "k", u, [dict(parts[0], ETag='"%s"' % ("0" * 32))])
    for text in (b"", b"<CompleteMultipartUpload/>", b"<x/>", b"<CompleteMultipartUpload><Part></CompleteMultipartUpload>"):
        a = raw(store, "POST", f"/{b}/k?uploadId={u}", text)
        same((400, "MalformedXML"), (a.status, a.code), text)
    same([], keys(s3, b), "keys")
    complete(s3, b, "k", u, parts)
    same(["k"], keys(s3, b), "after each, the right list")


@case("s3-api 8, 66, 67")
def parts_come_in_any_order_and_again(store, s3, b):
    u, parts = upload(s3, b, "k", ((9999, b"last"), (3, A), (7, A)))
    for number in ("0", "10001", "x"):
        a = raw(store, "PUT", f"/{b}/k?partNumber={number}&uploadId={u}", b"x")
        same((400, "InvalidArgument"), (a.status, a.code), "part " + number)
    for query in (f"uploadId={u}", "partNumber=1"):
        a = raw(store, "PUT", f"/{b}/k?{query}", b"x")
        same((400, "InvalidArgument"), (a.status, a.code), query)
    again = s3.upload_part(Bucket=b, Key="k", UploadId=u, PartNumber=9999, Body=b"the very last")
    parts[0]["ETag"] = again["ETag"]
    s3.upload_part(Bucket=b, Key="k", UploadId=u, PartNumber=42, Body=b"not named")
    complete(s3, b, "k", u, sorted(parts, key=lambda p: p["PartNumber"]))
    same(A + A + b"the very last", body(s3, b, "k"), "content")
    fails(404, "NoSuchUpload", s3.upload_part, Bucket=b, Key="k", UploadId=u, PartNumber=1, Body=b"late")
    fails(404, "NoSuchUpload", s3.list_parts, Bucket=b, Key="k", UploadId=u)


@case("s3-api 68")
def complete_twice_is_one_version(store, s3, b):
    s3.put_bucket_versioning(Bucket=b, VersioningConfiguration={"Status": "Enabled"})
    u, parts = upload(s3, b, "k")
    results = []

    def race():
        results.append(complete(client(store), b, "k", u, parts)["VersionId"])
    threads = [threading.Thread(target=race) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    results.append(complete(s3, b, "k", u, parts)["VersionId"])
    same(1, len(set(results)), f"version ids {results}")
    same(1, len(s3.list_object_versions(Bucket=b)["Versions"]), "versions")
    fails(404, "NoSuchUpload", complete, s3, b, "k", u, parts[:1])
    fails(404, "NoSuchUpload", s3.abort_multipart_upload, Bucket=b, Key="k", UploadId=u)
    u, parts = upload(s3, b, "one")
    fails(404, "NoSuchUpload", complete, s3, b, "two", u, parts)


@case("s3-api 10")
def keys_and_ids_of_no_upload_are_refused(store, s3, b):
    document = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"
    for key in ("k", "k" * 1024, "k" * 1025, "k" * 4062, "k" * 4063, "k" * 4095):
        for upload_id in ("0" * 32, "x" * 32, "0" * 31, "0" * 33, ""):
            target = f"/{b}/{key}?uploadId={upload_id}"
            for method, content in (("POST", document), ("DELETE", b""), ("GET", b"")):
                a = raw(store, method, target, content)
                same((404, "NoSuchUpload"), (a.status, a.code), f"{method} of {len(key)} bytes, id of {len(upload_id)}")
            a = raw(store, "PUT", target + "&partNumber=1", b"x")
            same((404, "NoSuchUpload"), (a.status, a.code), f"part of {len(key)} bytes, id of {len(upload_id)}")


@case("s3-api 69")
def a_killed_daemon_loses_no_part(store, s3, b):
    u, parts = upload(s3, b, "k")
    store.kill()
    port = store.port
    store.mount()
    same(port, store.port, "port")
    same([1, 2], [p["PartNumber"] for p in s3.list_parts(Bucket=b, Key="k", UploadId=u)["Parts"]], "parts")
    store.run("gc", store.dir)
    complete(s3, b, "k", u, parts)
    same(A + B, body(s3, b, "k"), "content")
    same(0, store.run("fsck", store.dir, ok=False).returncode, "fsck")


@case("design 4")
def collection_leaves_what_is_on_its_way(store, s3, b):
    data = os.urandom(12 << 20)
    headers = {"host": f"127.0.0.1:{store.port}", "transfer-encoding": "chunked"}
    sign(store.root, "PUT", f"/{b}/k", headers, "UNSIGNED-PAYLOAD")
    c = http.client.HTTPConnection("127.0.0.1", store.port, timeout=60)
    c.putrequest("PUT", f"/{b}/k", skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        c.putheader(name, value)
    c.endheaders()
    for at in range(0, len(data), 4 << 20):
        c.send(b"%x\r\n%s\r\n" % (4 << 20, data[at:at + (4 << 20)]))
        store.run("gc", store.dir)
        store.run("compact", store.dir)
    c.send(b"0\r\n\r\n")
    same(200, c.getresponse().status, "PUT")
    c.close()
    store.run("gc", store.dir)
    same(data, body(s3, b, "k"), "content")


@case("s3-api 2")
def chunks_may_end_where_the_pieces_of_the_server_do(store, s3, b):
    data = os.urandom(8 << 20)
    for size in (1 << 20, 1 << 18, 4 << 20):
        headers = {"host": f"127.0.0.1:{store.port}", "transfer-encoding": "chunked"}
        sign(store.root, "PUT", f"/{b}/k", headers, "UNSIGNED-PAYLOAD")
        with socket.create_connection(("127.0.0.1", store.port), timeout=60) as c:
            head = f"PUT /{b}/k HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
            chunks = (b"%x\r\n%s\r\n" % (size, data[at:at + size]) for at in range(0, len(data), size))
            c.sendall(head.encode() + b"".join(chunks) + b"0\r\n\r\n")
            same(b"HTTP/1.1 200", c.recv(12), f"PUT in chunks of {size}")
        same(data, body(s3, b, "k"), f"content that came in chunks of {size}")


@case("mount 2")
def odd_keys_are_exported_and_come_back(store, s3, b):
    for key in ("a//b", "d/", "a", "./x", "x/"):
        s3.put_object(Bucket=b, Key=key, Body=key.encode())
    want = (keys(s3, b), listed(os.path.join(store.mnt, b)))
    stream = os.path.join(store.scratch, "stream")
    with open(stream, "wb") as f:
        subprocess.run([store.binary, "export", f"{store.dir}/{b}"], stdout=f, stderr=subprocess.DEVNULL, check=True)
    with open(stream, "rb") as f:
        subprocess.run([store.binary, "import", f"{store.dir}/{b}-back"], stdin=f, stdout=subprocess.DEVNULL, check=True)
    same(want, (keys(s3, b + "-back"), listed(os.path.join(store.mnt, b + "-back"))), "keys, and what the mount shows")
    same(b"a//b", body(s3, b + "-back", "a//b"), "content")
    same(0, store.run("fsck", store.dir, ok=False).returncode, "fsck")


@case("s3-api 70, 71")
def claims_on_the_whole(store, s3, b):
    u, parts = upload(s3, b, "k", ChecksumAlgorithm="SHA256")
    fails(400, "InvalidRequest", complete, s3, b, "k", u, parts, MpuObjectSize=7)
    fails(400, "InvalidRequest", complete, s3, b, "k", u, parts, ChecksumType="FULL_OBJECT")
    fails(400, "BadDigest", complete, s3, b, "k", u, parts, ChecksumSHA256="bad")
    fails(400, "BadDigest", complete, s3, b, "k", u, parts, ChecksumSHA256=base64.b64encode(b"0" * 32).decode())
    bare = [{"PartNumber": p["PartNumber"], "ETag": p["ETag"]} for p in parts]
    fails(400, "InvalidRequest", complete, s3, b, "k", u, bare)
    fails(400, "InvalidPart", complete, s3, b, "k", u, [dict(parts[0], ChecksumSHA256=parts[1]["ChecksumSHA256"]), parts[1]])
    for headers in ({}, {"x-amz-checksum-crc32": "AAAAAA=="}):
        a = raw(store, "PUT", f"/{b}/k?partNumber=3&uploadId={u}", b"x", headers)
        same((400, "InvalidRequest"), (a.status, a.code), f"part with {headers}")
    complete(s3, b, "k", u, parts, MpuObjectSize=len(A) + 1)


@case("s3-api 72")
def complete_can_be_conditional(store, s3, b):
    s3.put_object(Bucket=b, Key="k", Body=b"there")
    u, parts = upload(s3, b, "k")
    fails(412, "PreconditionFailed", complete, s3, b, "k", u, parts, IfNoneMatch="*")
    s3.put_bucket_versioning(Bucket=b, VersioningConfiguration={"Status": "Enabled"})
    s3.delete_object(Bucket=b, Key="k")
    fails(409, "ConditionalRequestConflict", complete, s3, b, "k", u, parts, IfNoneMatch="*")
    u2, parts2 = upload(s3, b, "k")
    complete(s3, b, "k", u2, parts2, IfNoneMatch="*")
    etag = s3.put_object(Bucket=b, Key="k", Body=b"since")["ETag"]
    fails(409, "ConditionalRequestConflict", complete, s3, b, "k", u, parts, IfMatch=etag)
    same(b"since", body(s3, b, "k"), "content")


@case("s3-api 73")
def parts_copied_from_objects(store, s3, b):
    s3.put_object(Bucket=b, Key="src", Body=b"abcdef")
    u = s3.create_multipart_upload(Bucket=b, Key="k")["UploadId"]
    target = f"/{b}/k?partNumber=1&uploadId={u}"
    for bad in ("0-2", "bytes=0", "bytes=0-", "bytes=2-1", "bytes=hello-world", "bytes=0-1,3-4"):
        a = raw(store, "PUT", target, headers={"x-amz-copy-source": f"{b}/src", "x-amz-copy-source-range": bad})
        same((400, "InvalidArgument"), (a.status, a.code), bad)
    a = raw(store, "PUT", target, headers={"x-amz-copy-source": f"{b}/src", "x-amz-copy-source-range": "bytes=0-21"})
    same((416, "InvalidRange"), (a.status, a.code), "beyond the source")
    p = s3.upload_part_copy(Bucket=b, Key="k", UploadId=u, PartNumber=1, CopySource=f"{b}/src", CopySourceRange="bytes=0-2")
    complete(s3, b, "k", u, [{"PartNumber": 1, "ETag": p["CopyPartResult"]["ETag"]}])
    same(b"abc", body(s3, b, "k"), "content")


@case("s3-api 28, 74")
def uploads_are_listed(store, s3, b):
    ids = {}
    for key in ("a", "a", "b/1", "b/2"):
        ids.setdefault(key, []).append(s3.create_multipart_upload(Bucket=b, Key=key)["UploadId"])
    got = [(u["Key"], u["UploadId"]) for p in s3.get_paginator("list_multipart_uploads").paginate(Bucket=b, PaginationConfig={"PageSize": 1})
           for u in p.get("Uploads", [])]
    same([("a", ids["a"][0]), ("a", ids["a"][1]), ("b/1", ids["b/1"][0]), ("b/2", ids["b/2"][0])], got, "pages of 1")
    r = s3.list_multipart_uploads(Bucket=b, Delimiter="/")
    same(["b/"], [p["Prefix"] for p in r["CommonPrefixes"]], "rolled up")
    same([], keys(s3, b), "no keys")
    for n in range(1, 24):
        s3.upload_part(Bucket=b, Key="a", UploadId=ids["a"][0], PartNumber=n, Body=b"x")
    pages = list(s3.get_paginator("list_parts").paginate(Bucket=b, Key="a", UploadId=ids["a"][0], PaginationConfig={"PageSize": 10}))
    same([10, 10, 3], [len(p["Parts"]) for p in pages], "pages of parts")
    s3.delete_bucket(Bucket=b)
    s3.create_bucket(Bucket=b)
    fails(404, "NoSuchUpload", s3.list_parts, Bucket=b, Key="a", UploadId=ids["a"][0])


@case("s3-api 32, 50, 51")
def parts_of_a_finished_object(store, s3, b):
    s3.put_object(Bucket=b, Key="single", Body=b"hello\n")
    a = raw(store, "GET", f"/{b}/single?partNumber=1")
    same((206, b"hello\n", None), (a.status, a.body, a.headers.get("x-amz-mp-parts-count")), "part 1 of a single PUT")
    for number, code in (("2", "InvalidPart"), ("0", "InvalidArgument"), ("10001", "InvalidArgument")):
        a = raw(store, "GET", f"/{b}/single?partNumber={number}")
        same((400, code), (a.status, a.code), number)
    same("InvalidRequest", raw(store, "GET", f"/{b}/single?partNumber=1", headers={"range": "bytes=0-1"}).code, "with Range")
    u, parts = upload(s3, b, "k", [(n, A) for n in range(1, 6)] + [(6, B)])
    complete(s3, b, "k", u, parts)
    r = s3.get_object(Bucket=b, Key="k", PartNumber=6)
    same((b"b", 6), (r["Body"].read(), r["PartsCount"]), "part 6")
    r = s3.get_object_attributes(Bucket=b, Key="k", ObjectAttributes=["ObjectParts", "ETag"], MaxParts=1, PartNumberMarker=3)
    p = r["ObjectParts"]
    same((6, [4], True, 4), (p["TotalPartsCount"], [x["PartNumber"] for x in p["Parts"]], p["IsTruncated"], p["NextPartNumberMarker"]), "ObjectParts")
    check('"' not in r["ETag"], "ETag without quotes")
    for header, code in ((None, "InvalidRequest"), ("Foo", "InvalidArgument")):
        same(code, raw(store, "GET", f"/{b}/k?attributes", headers={"x-amz-object-attributes": header} if header else {}).code, str(header))
    check("ObjectParts" not in s3.get_object_attributes(Bucket=b, Key="single", ObjectAttributes=["ObjectParts"]), "single PUT")


@case("s3-api 44, 45, 46")
def copies(store, s3, b):
    s3.put_object(Bucket=b, Key="k", Body=b"hello\n", ContentType="text/plain", Metadata={"a": "b"}, Tagging="t=1", StorageClass="STANDARD_IA")
    before = store.segment_bytes()
    r = s3.copy_object(Bucket=b, Key="k2", CopySource=f"{b}/k")
    same(before, store.segment_bytes(), "segment bytes")
    h = s3.head_object(Bucket=b, Key="k2")
    same(('"b1946ac92492d2347c6235b4d2611184"', "text/plain", {"a": "b"}, 1, None),
         (r["CopyObjectResult"]["ETag"], h["ContentType"], h["Metadata"], h.get("TagCount"), h.get("StorageClass")), "what comes along")
    fails(400, "InvalidRequest", s3.copy_object, Bucket=b, Key="k", CopySource=f"{b}/k")
    s3.copy_object(Bucket=b, Key="k", CopySource=f"{b}/k", MetadataDirective="REPLACE")
    same(("binary/octet-stream", {}), (lambda h: (h["ContentType"], h["Metadata"]))(s3.head_object(Bucket=b, Key="k")), "replaced")
    for key in (" ", "?versionId", "a%b", "a+b", "ü"):
        s3.put_object(Bucket=b, Key=key, Body=key.encode())
        a = raw(store, "PUT", f"/{b}/copied", headers={"x-amz-copy-source": f"/{b}/{enc(key)}"})
        same(200, a.status, key)
        same(key.encode(), body(s3, b, "copied"), key)
    s3.copy_object(Bucket=b, Key="sums", CopySource=f"{b}/k", ChecksumAlgorithm="SHA256")
    same(hashlib.sha256(b"hello\n").digest(),
         base64.b64decode(s3.head_object(Bucket=b, Key="sums", ChecksumMode="ENABLED")["ChecksumSHA256"]), "a checksum asked for")


@case("s3-api 47, 48")
def copies_that_fail(store, s3, b):
    s3.put_bucket_versioning(Bucket=b, VersioningConfiguration={"Status": "Enabled"})
    v = s3.put_object(Bucket=b, Key="k", Body=b"hello\n")["VersionId"]
    etag = s3.head_object(Bucket=b, Key="k")["ETag"]
    fails(412, "PreconditionFailed", s3.copy_object, Bucket=b, Key="x", CopySource=f"{b}/k", CopySourceIfNoneMatch=etag)
    s3.copy_object(Bucket=b, Key="x", CopySource=f"{b}/k", CopySourceIfMatch=etag, CopySourceIfUnmodifiedSince="2019-01-01")
    a = raw(store, "PUT", f"/{b}/x", headers={"x-amz-copy-source": f"{b}/k", "if-none-match": "*"})
    same((412, "PreconditionFailed"), (a.status, a.code), "If-None-Match *")
    m = s3.delete_object(Bucket=b, Key="k")["VersionId"]
    fails(404, "NoSuchKey", s3.copy_object, Bucket=b, Key="y", CopySource=f"{b}/k")
    fails(400, "InvalidRequest", s3.copy_object, Bucket=b, Key="y", CopySource=f"{b}/k?versionId={m}")
    fails(404, "NoSuchBucket", s3.copy_object, Bucket=b, Key="y", CopySource="no-such-bucket/k")
    for source in ("nonsense", "/", "b/"):
        a = raw(store, "PUT", f"/{b}/y", headers={"x-amz-copy-source": source})
        same((400, "InvalidArgument"), (a.status, a.code), source)
    r = s3.copy_object(Bucket=b, Key="k", CopySource=f"{b}/k?versionId={v}")
    same((b"hello\n", v), (body(s3, b, "k"), r["CopySourceVersionId"]), "an old version restored")


@case("s3-api 49")
def size_does_not_matter_to_a_copy(store, s3, b):
    with open(os.path.join(store.mnt, b, "huge"), "wb") as f:
        f.truncate(100 << 30)
    begun = time.monotonic()
    s3.copy_object(Bucket=b, Key="huge2", CopySource=f"{b}/huge")
    took = time.monotonic() - begun
    check(took < 1, f"100 GiB copied in {took:.2f} s")
    same(100 << 30, s3.head_object(Bucket=b, Key="huge2")["ContentLength"], "its size")
    u, parts = upload(s3, b, "m", ((1, A), (2, A), (3, B)))
    complete(s3, b, "m", u, parts)
    r = s3.copy_object(Bucket=b, Key="m2", CopySource=f"{b}/m")
    check(r["CopyObjectResult"]["ETag"].endswith('-3"'), "a copy of three parts")
    same(len(A), s3.head_object(Bucket=b, Key="m2", PartNumber=2)["ContentLength"], "has them too")


s3_main()
