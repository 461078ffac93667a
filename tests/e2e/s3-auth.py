#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who signed it, and what he may: signatures, pre-signed URLs and policies over HTTP.

Cases: s3-api 5; auth 2-9, 10 (but SigV2), 11-13, 20-26, 28, 29, 31, 34, 36, 37, 45, 46, 49, 91 (query form), 92, 93, 94; s3-api 10, 92.
"""
import datetime
import os
import sys
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from s3 import *
from users import allow, deny, document

UTC = datetime.timezone.utc


def user(store, name, *statements):
    store.run("user", "create", store.dir, name)
    if statements:
        set_policy(store, name, *statements)
    return Key(store, name)


def set_policy(store, name, *statements):
    path = os.path.join(store.scratch, "policy.json")
    with open(path, "w") as f:
        f.write(document(*statements))
    store.run("user", "policy", store.dir, name, path)


def body(s3, b, key):
    return s3.get_object(Bucket=b, Key=key)["Body"].read()


def got(answer):
    return answer.status, answer.code


def denied(store, s3, b, key, method="GET", target=None, **more):
    same((403, "AccessDenied"), got(raw(store, method, target or f"/{b}/k", key=key, **more)), f"{method} {target}")


@case("auth 2, 11")
def a_wrong_signature_is_told_with_what_was_signed(store, s3, b):
    s3.put_object(Bucket=b, Key="k", Body=b"1")
    headers = {"host": f"127.0.0.1:{store.port}"}
    _, _, _, _, text, canonical = sign(store.root, "GET", f"/{b}/k", headers, EMPTY_SHA256)
    right = headers["authorization"]
    headers["authorization"] = right[:-1] + ("0" if right[-1] != "0" else "1")
    a = send(store, "GET", f"/{b}/k", b"", headers)
    same((403, "SignatureDoesNotMatch", text, canonical), (*got(a), a.element("StringToSign"), a.element("CanonicalRequest")), "one digit changed")
    headers["authorization"] = right
    same(200, send(store, "GET", f"/{b}/k", b"", headers).status, "right")
    a = raw(store, "GET", f"/{b}/k?X-Amz-Signature=x")
    same((400, "InvalidArgument"), got(a), "two mechanisms")
    a = send(store, "GET", f"/{b}/k", b"", {"host": "x", "authorization": ""})
    same((403, "AccessDenied"), got(a), "an empty Authorization is anonymous")


@case("auth 3, 4, 94")
def keys_come_and_go(store, s3, b):
    s3.put_object(Bucket=b, Key="k", Body=b"1")
    key = user(store, "kate", allow("GetObject"))
    same(200, raw(store, "GET", f"/{b}/k", key=key).status, "active")
    store.run("user", "key", "disable", store.dir, key.id)
    a = raw(store, "GET", f"/{b}/k", key=key)
    same((403, "InvalidAccessKeyId", key.id), (*got(a), a.element("AWSAccessKeyId")), "disabled")
    store.run("user", "key", "enable", store.dir, key.id)
    same(200, raw(store, "GET", f"/{b}/k", key=key).status, "enabled")
    store.run("user", "disable", store.dir, "kate")
    same((403, "InvalidAccessKeyId"), got(raw(store, "GET", f"/{b}/k", key=key)), "its user disabled")
    store.run("account", "create", store.dir, "t2")
    other = Key(store, "root", "t2")
    same([], client(store, other).list_buckets()["Buckets"], "another account's root sees no bucket")
    fails(409, "BucketAlreadyExists", client(store, other).create_bucket, Bucket=b)
    same((403, "AccessDenied"), got(raw(store, "GET", f"/{b}/k", key=other)), "nor reads in one")


@case("auth 5")
def a_user_owns_nothing_by_itself(store, s3, b):
    s3.put_object(Bucket=b, Key="k", Body=b"1")
    key = user(store, "alice", allow("CreateBucket"))
    a = raw(store, "GET", f"/{b}/k", key=key)
    same((403, "AccessDenied"), got(a), "GET")
    check("is not authorized to perform: s3:GetObject on resource" in a.element("Message"), a.element("Message"))
    client(store, key).create_bucket(Bucket="of-alice")
    denied(store, s3, b, key, "PUT", "/of-alice/k", body=b"x")
    same(s3.list_buckets()["Owner"]["ID"], s3.list_objects(Bucket=b)["Contents"][0]["Owner"]["ID"], "the account owns")


@case("auth 6, 7, 8, 10, 12")
def the_header_is_judged_in_order(store, s3, b):
    s3.put_object(Bucket=b, Key="k", Body=b"1")
    same(200, raw(store, "GET", f"/{b}/k", region="eu-west-9").status, "any region")
    now = datetime.datetime.now(UTC)
    a = raw(store, "GET", f"/{b}/k", now=now - datetime.timedelta(seconds=1000))
    same((403, "RequestTimeTooSkewed", "900000"), (*got(a), a.element("MaxAllowedSkewMilliseconds")), "skewed")
    same(200, raw(store, "GET", f"/{b}/k", now=now - datetime.timedelta(seconds=890)).status, "within")
    a = raw(store, "GET", f"/{b}/k", headers={"x-amz-meta-x": "1"}, signed=["host", "x-amz-content-sha256", "x-amz-date"])
    same((403, "AccessDenied", "x-amz-meta-x"), (*got(a), a.element("HeadersNotSigned")), "added after signing")
    base = f"AWS4-HMAC-SHA256 Credential={store.root.id}/{now:%Y%m%d}/us-east-1/s3/aws4_request, SignedHeaders=host, Signature={'0' * 64}"
    for text, code in ((base.replace("/s3/", "/ec2/"), "AuthorizationHeaderMalformed"), (base.replace("/aws4_request", ""), "AuthorizationHeaderMalformed"),
                       (base.replace(f"{now:%Y%m%d}", "20200101"), "AuthorizationHeaderMalformed"), (base.replace("aws4_request", "x"), "AuthorizationHeaderMalformed"),
                       (base.replace(", Signature=", ", x="), "AuthorizationHeaderMalformed"), (base.replace("SignedHeaders=host", "junk"), "AuthorizationHeaderMalformed"),
                       ("AWS4-ECDSA-P256-SHA256 x", "InvalidRequest"), ("Bearer x", "InvalidArgument")):
        a = send(store, "GET", f"/{b}/k", b"", {"host": "x", "authorization": text, "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}", "x-amz-content-sha256": EMPTY_SHA256})
        same((400, code), got(a), text)
    a = send(store, "GET", f"/{b}/k", b"", {"host": "x", "authorization": base, "x-amz-content-sha256": EMPTY_SHA256})
    same((403, "AccessDenied"), got(a), "no date")
    same((400, "InvalidToken"), got(raw(store, "GET", f"/{b}/k", headers={"x-amz-security-token": "t"})), "a session token")


@case("auth 13, s3-api 5")
def keys_of_any_kind(store, s3, b):
    for key in ("a b+c", "a//b", "./x", "é", "%41", "a~*'()"):
        s3.put_object(Bucket=b, Key=key, Body=key.encode())
        same(key.encode(), body(s3, b, key), "path style " + key)
        headers = {"host": f"{b}.s3.test:9000"}
        same(key.encode(), raw(store, "GET", "/" + enc(key, "-_.~/"), headers=headers).body, "virtual host " + key)


def fetch(url, method="GET", data=None, headers=None):
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request) as r:
            return r.status, r.read()
    except urllib.error.HTTPError as e:
        return e.code, ElementTree.fromstring(e.read()).findtext("Code")


@case("auth 20, 21, 22, 23, 26")
def presigned_urls(store, s3, b):
    s3.put_bucket_versioning(Bucket=b, VersioningConfiguration={"Status": "Enabled"})
    v = s3.put_object(Bucket=b, Key="k", Body=b"1")["VersionId"]
    key = user(store, "pat", allow(["GetObject", "PutObject"]))
    c = client(store, key)
    url = c.generate_presigned_url("get_object", Params={"Bucket": b, "Key": "k"}, ExpiresIn=60)
    same((200, b"1"), fetch(url), "GET")
    same((403, "SignatureDoesNotMatch"), fetch(url, "PUT", b"x"), "with another method")
    same((403, "SignatureDoesNotMatch"), fetch(url.replace("/k?", "/other?")), "for another key")
    put_url = s3.generate_presigned_url("put_object", Params={"Bucket": b, "Key": "put", "ContentType": "text/plain"}, ExpiresIn=60)
    same(200, fetch(put_url, "PUT", b"x", {"Content-Type": "text/plain"})[0], "PUT")
    same((403, "SignatureDoesNotMatch"), fetch(put_url, "PUT", b"x", {"Content-Type": "text/html"}), "of another type")
    of_version = {"Bucket": b, "Key": "k", "VersionId": v}
    same((403, "AccessDenied"), fetch(c.generate_presigned_url("get_object", Params=of_version)), "a version by who may GetObject alone")
    same((200, b"1"), fetch(s3.generate_presigned_url("get_object", Params=of_version)), "by who may")
    short = c.generate_presigned_url("get_object", Params={"Bucket": b, "Key": "k"}, ExpiresIn=1)
    within(4, lambda: fetch(short)[0] == 403)
    same((403, "AccessDenied"), fetch(short), "expired")
    code = "AuthorizationQueryParametersError"
    for expires, want in (("0", (403, "AccessDenied")), ("-7", (403, code)), ("abc", (400, code)), ("604801", (403, code))):
        same(want, fetch(url.replace("X-Amz-Expires=60", "X-Amz-Expires=" + expires)), expires)
    same((400, code), fetch(re.sub("X-Amz-Date=[^&]*&", "", url)), "without a date")
    set_policy(store, "pat", allow("PutObject"))
    same((403, "AccessDenied"), fetch(url), "permission gone")
    store.run("user", "key", "delete", store.dir, key.id)
    same((403, "InvalidAccessKeyId"), fetch(url), "key gone")


@case("auth 91, 92, 93")
def presigned_urls_of_version_2(store, s3, b):
    s3.put_bucket_versioning(Bucket=b, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=b, Key="a b/é+c", Body=b"1")
    old = client(store, signature_version="s3")
    url = old.generate_presigned_url("get_object", Params={"Bucket": b, "Key": "a b/é+c", "ResponseContentType": "text/x; y=z"})
    check("AWSAccessKeyId=" in url, url)
    same((200, b"1"), fetch(url), "GET")
    same((403, "SignatureDoesNotMatch"), fetch(url.replace("Signature=", "Signature=x")), "changed")
    same((403, "SignatureDoesNotMatch"), fetch(url + "&versionId=" + "a" * 32), "versionId added")
    same((403, "AccessDenied"), fetch(re.sub("Expires=[0-9]+", "Expires=1", url)), "expired")
    same((403, "AccessDenied"), fetch(re.sub("Expires=[0-9]+", f"Expires={int(time.time()) + 8 * 86400}", url)), "8 days ahead")
    for text in ("Expires=abc", ""):
        same((403, "AccessDenied"), fetch(re.sub("Expires=[0-9]+", text, url)), text)
    put = old.generate_presigned_url("put_object", Params={"Bucket": b, "Key": "put", "ContentType": "text/plain", "Metadata": {"x": "1"}})
    same(200, fetch(put, "PUT", b"x", {"Content-Type": "text/plain"})[0], "PUT")
    same({"x": "1"}, s3.head_object(Bucket=b, Key="put")["Metadata"], "its metadata")
    for sub in ("retention", "legal-hold"):
        same((400, "InvalidRequest"), fetch(put + "&" + sub, "PUT", b"x", {"Content-Type": "text/plain"}), sub)
    s3.put_bucket_policy(Bucket=b, Policy=document(deny("GetObject", b + "/*", Principal="*", condition={"StringEquals": {"s3:signatureversion": "AWS"}})))
    same((403, "AccessDenied"), fetch(url), "a policy forbids it")
    same((200, b"1"), fetch(s3.generate_presigned_url("get_object", Params={"Bucket": b, "Key": "a b/é+c"})), "version 4 it does not")


@case("auth 24, 25, 49")
def policies_see_how_it_was_signed(store, s3, b):
    s3.put_object(Bucket=b, Key="k", Body=b"1")
    s3.put_bucket_policy(Bucket=b, Policy=document(deny("GetObject", b + "/*", condition={"StringEquals": {"s3:authType": "REST-QUERY-STRING"}}, Principal="*")))
    url = s3.generate_presigned_url("get_object", Params={"Bucket": b, "Key": "k"})
    same((403, "AccessDenied"), fetch(url), "URL")
    same(200, raw(store, "GET", f"/{b}/k").status, "header")
    same(b"1", read(os.path.join(store.mnt, b, "k")), "the mount")
    s3.put_bucket_policy(Bucket=b, Policy=document(deny("PutObject", b + "/*", Principal="*", condition={
        "Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}})))
    fails(403, "AccessDenied", s3.put_object, Bucket=b, Key="n", Body=b"")
    s3.put_object(Bucket=b, Key="n", Body=b"", IfNoneMatch="*")
    u = s3.create_multipart_upload(Bucket=b, Key="m")["UploadId"]
    s3.upload_part(Bucket=b, Key="m", UploadId=u, PartNumber=1, Body=b"x")


@case("auth 28, 29, 31")
def identity_and_bucket_policies(store, s3, b):
    s3.put_object(Bucket=b, Key="k", Body=b"1")
    anna, bert = user(store, "anna", allow("GetObject", b + "/*")), user(store, "bert")
    same(200, raw(store, "GET", f"/{b}/k", key=anna).status, "anna")
    denied(store, s3, b, bert)
    denied(store, s3, b, anna, "PUT", body=b"x")
    account = json.loads(store.run("account", "show", "--json", store.dir, "main").stdout)["id"]
    s3.put_bucket_policy(Bucket=b, Policy=document(allow("GetObject", b + "/*", Principal={"AWS": f"arn:aws:iam::{account}:user/bert"})))
    same(200, raw(store, "GET", f"/{b}/k", key=bert).status, "bert by the bucket's policy")
    s3.put_bucket_policy(Bucket=b, Policy=document(deny("*", b + "/*", Principal="*")))
    denied(store, s3, b, anna)
    denied(store, s3, b, store.root)
    s3.get_bucket_policy(Bucket=b)


@case("auth 34, 36")
def encryption_and_tls_policies(store, s3, b):
    s3.put_bucket_policy(Bucket=b, Policy=document(deny("PutObject", b + "/*", Principal="*", condition={
        "StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}})))
    fails(403, "AccessDenied", s3.put_object, Bucket=b, Key="k", Body=b"")
    s3.put_object(Bucket=b, Key="k", Body=b"", ServerSideEncryption="AES256")
    same((403, "AccessDenied"), got(raw(store, "PUT", f"/{b}/k", b"", {"x-amz-server-side-encryption": "AES192"})), "what is forbidden is not looked at")
    s3.put_bucket_policy(Bucket=b, Policy=document(deny("*", b, b + "/*", Principal="*", condition={"Bool": {"aws:SecureTransport": "false"}})))
    fails(403, "AccessDenied", s3.get_object, Bucket=b, Key="k")
    same(b"", read(os.path.join(store.mnt, b, "k")), "the mount")


@case("auth 37, 45, 46; s3-api 10")
def conditions_on_lists_and_tags(store, s3, b):
    s3.put_object(Bucket=b, Key="pub/k", Body=b"", Tagging="sec=public")
    s3.put_object(Bucket=b, Key="priv/k", Body=b"")
    key = user(store, "lea", allow("ListBucket", b, condition={"StringLike": {"s3:prefix": "pub/*"}}),
               allow("GetObject", b + "/*", condition={"StringEquals": {"s3:ExistingObjectTag/sec": "public"}}))
    same(200, raw(store, "GET", f"/{b}?prefix=pub/x", key=key).status, "prefix pub/x")
    denied(store, s3, b, key, target=f"/{b}")
    same(200, raw(store, "GET", f"/{b}/pub/k", key=key).status, "tagged")
    denied(store, s3, b, key, target=f"/{b}/priv/k")
    set_policy(store, "lea", allow("ListBucket", b, condition={"NumericLessThanEquals": {"s3:max-keys": "10"}}), allow("GetObject", b + "/*"))
    same(200, raw(store, "GET", f"/{b}?max-keys=5", key=key).status, "5")
    denied(store, s3, b, key, target=f"/{b}?max-keys=11")
    set_policy(store, "lea", allow("ListBucket", b, condition={"StringLike": {"s3:prefix": "pub/*"}}), allow("GetObject", b + "/*"))
    same((404, "NoSuchKey"), got(raw(store, "HEAD", f"/{b}/pub/none", key=key)), "missing where he may list")
    same((403, "AccessDenied"), got(raw(store, "HEAD", f"/{b}/priv/none", key=key)), "missing where he may not")


@case("s3-api 92")
def heads_and_documents_have_limits(store, s3, b):
    a = raw(store, "GET", f"/{b}/k", headers={"x-long": "y" * 9000})
    same((400, "RequestHeaderSectionTooLarge"), got(a), "9 KiB of headers")
    same(414, raw(store, "GET", f"/{b}/" + "k" * 17000, key=None).status, "a request line of 17 KiB")
    a = raw(store, "POST", f"/{b}?delete", b"x" * (9 << 20), payload="UNSIGNED-PAYLOAD")
    same((400, "MaxMessageLengthExceeded"), got(a), "9 MiB for DeleteObjects")
    text = b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><Tagging><TagSet><Tag><Key>&f;</Key><Value/></Tag></TagSet></Tagging>'
    s3.put_object(Bucket=b, Key="k", Body=b"")
    same((400, "MalformedXML"), got(raw(store, "PUT", f"/{b}/k?tagging", text)), "a DTD")


s3_main(more="domain=s3.test")
