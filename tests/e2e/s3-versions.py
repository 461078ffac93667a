#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions, locks, tags, metadata and bucket settings over S3, and what is not offered.

Cases: s3-api 36, 42, 43, 60, 75-79, 91; retention 1.3, 1.4, 2.5; auth 51, 52, 55, 56.
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from s3 import *


def versioned(s3, b, status="Enabled"):
    s3.put_bucket_versioning(Bucket=b, VersioningConfiguration={"Status": status})


@case("retention 1.3")
def versioning_states(store, s3, b):
    check("Status" not in s3.get_bucket_versioning(Bucket=b), "made over S3 it keeps none")
    check("VersionId" not in s3.put_object(Bucket=b, Key="k", Body=b"1"), "Unversioned: no id")
    versioned(s3, b)
    v2 = s3.put_object(Bucket=b, Key="k", Body=b"2")["VersionId"]
    same(b"1", s3.get_object(Bucket=b, Key="k", VersionId="null")["Body"].read(), "the null version stays")
    versioned(s3, b, "Suspended")
    check("VersionId" not in s3.put_object(Bucket=b, Key="k", Body=b"3"), "Suspended: no id")
    same(b"3", s3.get_object(Bucket=b, Key="k", VersionId="null")["Body"].read(), "and replaces null")
    d = s3.delete_object(Bucket=b, Key="k")
    same((True, "null"), (d["DeleteMarker"], d["VersionId"]), "a null marker")
    same([v2], [v["VersionId"] for v in s3.list_object_versions(Bucket=b)["Versions"]], "versions")
    d = s3.delete_object(Bucket=b, Key="k", VersionId="null")
    same((True, "null"), (d["DeleteMarker"], d["VersionId"]), "the marker removed")
    same(b"2", s3.get_object(Bucket=b, Key="k")["Body"].read(), "brings the object back")
    same(b"2", read(os.path.join(store.mnt, b, "k")), "on the mount too")
    s3.delete_object(Bucket=b, Key="k", VersionId=v2)
    check(not os.path.exists(os.path.join(store.mnt, b, "k")), "the last version removed")


@case("s3-api 36")
def delete_markers_are_told(store, s3, b):
    versioned(s3, b)
    s3.put_object(Bucket=b, Key="k", Body=b"1")
    m = s3.delete_object(Bucket=b, Key="k")["VersionId"]
    a = raw(store, "GET", f"/{b}/k")
    same((404, "NoSuchKey", "true", m), (a.status, a.code, a.headers.get("x-amz-delete-marker"), a.headers.get("x-amz-version-id")), "by key")
    a = raw(store, "GET", f"/{b}/k?versionId={m}")
    same((405, "MethodNotAllowed", "DELETE", "true"), (a.status, a.code, a.headers.get("allow"), a.headers.get("x-amz-delete-marker")), "by id")
    for sub in ("retention", "legal-hold", "tagging", "acl"):
        same(405, raw(store, "GET", f"/{b}/k?{sub}&versionId={m}").status, sub)
    a = raw(store, "GET", f"/{b}/k?versionId={'a' * 32}")
    same((404, "NoSuchVersion"), (a.status, a.code), "unknown id")
    same("InvalidArgument", raw(store, "GET", f"/{b}/k?versionId=").code, "empty id")


@case("s3-api 60")
def versions_are_listed_newest_first(store, s3, b):
    versioned(s3, b)
    ids = {k: [s3.put_object(Bucket=b, Key=k, Body=b"%d" % n)["VersionId"] for n in range(3)] for k in ("a", "b")}
    marker = s3.delete_object(Bucket=b, Key="a")["VersionId"]
    want = [("a", marker)] + [("a", v) for v in ids["a"][::-1]] + [("b", v) for v in ids["b"][::-1]]

    def pages(size):
        got, more = [], {}
        while True:
            r = s3.list_object_versions(Bucket=b, MaxKeys=size, **more)
            for e in ElementTree.fromstring(raw(store, "GET", f"/{b}?versions&max-keys={size}" + "".join(
                    f"&{n}={v}" for n, v in (("key-marker", more.get("KeyMarker")), ("version-id-marker", more.get("VersionIdMarker"))) if v)).body):
                if e.tag in (NS + "Version", NS + "DeleteMarker"):
                    got.append((e.findtext(NS + "Key"), e.findtext(NS + "VersionId")))
            if not r["IsTruncated"]:
                return got
            more = {"KeyMarker": r["NextKeyMarker"], "VersionIdMarker": r["NextVersionIdMarker"]}
    same(want, pages(1), "pages of 1")
    same(want, pages(1000), "one page")
    same([("b", v) for v in ids["b"][::-1]], [(v["Key"], v["VersionId"]) for v in s3.list_object_versions(Bucket=b, KeyMarker="a")["Versions"]], "key-marker alone")
    same("InvalidArgument", raw(store, "GET", f"/{b}?versions&version-id-marker={marker}").code, "version-id-marker alone")
    s3.delete_object(Bucket=b, Key="a", VersionId=ids["a"][1])
    r = s3.list_object_versions(Bucket=b, KeyMarker="a", VersionIdMarker=ids["a"][1])
    check(ids["a"][0] in [v["VersionId"] for v in r["Versions"]], "the marker's version deleted meanwhile, nothing is skipped")


@case("s3-api 42, 43")
def many_are_deleted_at_once(store, s3, b):
    s3.create_bucket(Bucket=b + "-locked", ObjectLockEnabledForBucket=True)
    locked = b + "-locked"
    v = s3.put_object(Bucket=locked, Key="locked", Body=b"x", ObjectLockMode="COMPLIANCE",
                      ObjectLockRetainUntilDate="2099-01-01T00:00:00Z")["VersionId"]
    s3.put_object(Bucket=locked, Key="k", Body=b"x")
    want = [{"Key": "k"}, {"Key": "missing"}, {"Key": "locked", "VersionId": v}]
    r = s3.delete_objects(Bucket=locked, Delete={"Objects": want})
    same((["k", "missing"], [("locked", "AccessDenied")]), ([d["Key"] for d in r["Deleted"]], [(e["Key"], e["Code"]) for e in r["Errors"]]), "each for itself")
    check(all(d["DeleteMarker"] for d in r["Deleted"]), "markers were made")
    r = s3.delete_objects(Bucket=locked, Delete={"Objects": want, "Quiet": True})
    same((0, 1), (len(r.get("Deleted", [])), len(r["Errors"])), "Quiet")
    s3.put_object(Bucket=b, Key="k", Body=b"x")
    r = s3.delete_objects(Bucket=b, Delete={"Objects": [{"Key": "k", "ETag": "wrong"}]})
    same("PreconditionFailed", r["Errors"][0]["Code"], "a wrong ETag")
    fails(400, "MalformedXML", s3.delete_objects, Bucket=b, Delete={"Objects": [{"Key": f"{n}"} for n in range(1001)]})
    fails(400, "MalformedXML", s3.delete_objects, Bucket=b, Delete={"Objects": []})
    a = raw(store, "POST", f"/{b}?delete", b"<Delete><Object><Key>k</Key></Object></Delete>")
    same((400, "InvalidRequest"), (a.status, a.code), "without MD5 and checksum")


@case("retention 2.5")
def locks(store, s3, b):
    lock = b + "-locked"
    s3.create_bucket(Bucket=lock, ObjectLockEnabledForBucket=True)
    config = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    s3.put_object_lock_configuration(Bucket=lock, ObjectLockConfiguration=config)
    same(config, s3.get_object_lock_configuration(Bucket=lock)["ObjectLockConfiguration"], "configuration")
    v = s3.put_object(Bucket=lock, Key="k", Body=b"1")["VersionId"]
    same("GOVERNANCE", s3.get_object_retention(Bucket=lock, Key="k")["Retention"]["Mode"], "the default is in force at once")
    same("GOVERNANCE", get(os.path.join(store.mnt, lock, "k"), "object-lock-mode"), "on the mount")
    fails(403, "AccessDenied", s3.delete_object, Bucket=lock, Key="k", VersionId=v)
    refuses("EPERM", os.unlink, history(os.path.join(store.mnt, lock, "k"))[0].path)
    s3.put_object_legal_hold(Bucket=lock, Key="k", LegalHold={"Status": "ON"})
    same("ON", s3.get_object_legal_hold(Bucket=lock, Key="k")["LegalHold"]["Status"], "hold")
    fails(403, "AccessDenied", s3.delete_object, Bucket=lock, Key="k", VersionId=v, BypassGovernanceRetention=True)
    s3.put_object_legal_hold(Bucket=lock, Key="k", LegalHold={"Status": "OFF"})
    s3.put_object_tagging(Bucket=lock, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_object(Bucket=lock, Key="k", VersionId=v, BypassGovernanceRetention=True)
    fails(404, "NoSuchKey", s3.get_object, Bucket=lock, Key="k")
    fails(400, "InvalidRequest", s3.put_object, Bucket=b, Key="k", Body=b"", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate="2099-01-01T00:00:00Z")
    s3.put_object(Bucket=b, Key="k", Body=b"")
    fails(400, "InvalidRequest", s3.get_object_retention, Bucket=b, Key="k")
    for headers in ({"x-amz-object-lock-mode": "GOVERNANCE"}, {"x-amz-object-lock-retain-until-date": "2099-01-01T00:00:00Z"},
                    {"x-amz-object-lock-mode": "X", "x-amz-object-lock-retain-until-date": "2099-01-01T00:00:00Z"},
                    {"x-amz-object-lock-legal-hold": "on"}):
        same((400, "InvalidArgument"), (lambda a: (a.status, a.code))(raw(store, "PUT", f"/{lock}/n", b"", headers)), str(headers))


@case("s3-api 75")
def metadata(store, s3, b):
    same(200, raw(store, "PUT", f"/{b}/k", b"", {"x-amz-meta-a": "x" * 2047}).status, "2048 bytes")
    same("MetadataTooLarge", raw(store, "PUT", f"/{b}/k", b"", {"x-amz-meta-a": "x" * 2048}).code, "2049")
    sent = {"x-amz-meta-u": "test é".encode().decode("latin-1"), "x-amz-meta-q": "=?UTF-8?Q?abc?=", "x-amz-meta-e": "\xe9"}
    a = raw(store, "PUT", f"/{b}/m", b"", {**sent, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, key=None)
    same(403, a.status, "anonymous")
    headers = {"host": f"127.0.0.1:{store.port}"}
    names = ["host", "x-amz-content-sha256", "x-amz-date", "x-amz-meta-q"]
    headers["x-amz-meta-q"] = sent["x-amz-meta-q"]
    sign(store.root, "PUT", f"/{b}/m", headers, "UNSIGNED-PAYLOAD", signed=sorted(names))
    same(200, send(store, "PUT", f"/{b}/m", b"", headers).status, "an RFC 2047 word")
    same("abc", raw(store, "HEAD", f"/{b}/m").headers["x-amz-meta-q"], "is decoded")
    put(os.path.join(store.mnt, b, "m"), "meta.u", "test é")
    same("=?UTF-8?Q?test_=C3=A9?=", raw(store, "HEAD", f"/{b}/m").headers["x-amz-meta-u"], "UTF-8 goes out as one")
    same("abc", get(os.path.join(store.mnt, b, "m"), "meta.q"), "on the mount")


@case("s3-api 76")
def labels(store, s3, b):
    s3.put_object(Bucket=b, Key="k", Body=b"", StorageClass="STANDARD_IA")
    same("STANDARD_IA", s3.head_object(Bucket=b, Key="k")["StorageClass"], "HEAD")
    same("STANDARD_IA", s3.list_objects_v2(Bucket=b)["Contents"][0]["StorageClass"], "list")
    s3.put_object(Bucket=b, Key="k", Body=b"", StorageClass="STANDARD")
    check("StorageClass" not in s3.head_object(Bucket=b, Key="k"), "STANDARD has no header")
    for name in ("GLACIER", "FOO"):
        same("InvalidStorageClass", raw(store, "PUT", f"/{b}/k", b"", {"x-amz-storage-class": name}).code, name)
    same("InvalidRedirectLocation", raw(store, "PUT", f"/{b}/k", b"", {"x-amz-website-redirect-location": "foo"}).code, "redirect")


@case("s3-api 77, 78")
def tags(store, s3, b):
    s3.put_object(Bucket=b, Key="k", Body=b"")
    ten = [{"Key": f"k{n}", "Value": "v"} for n in range(10)]
    s3.put_object_tagging(Bucket=b, Key="k", Tagging={"TagSet": ten})
    same(10, s3.head_object(Bucket=b, Key="k")["TagCount"], "count")
    for bad in (ten + [{"Key": "more", "Value": ""}], [{"Key": "x" * 129, "Value": ""}], [{"Key": "x", "Value": "y" * 257}],
                [{"Key": "aws:x", "Value": ""}], [{"Key": "a,b", "Value": ""}], [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]):
        fails(400, "InvalidTag", s3.put_object_tagging, Bucket=b, Key="k", Tagging={"TagSet": bad})
    same(10, len(s3.get_object_tagging(Bucket=b, Key="k")["TagSet"]), "old tags stay")
    s3.delete_object_tagging(Bucket=b, Key="k")
    same([], s3.get_object_tagging(Bucket=b, Key="k")["TagSet"], "none")
    s3.put_object(Bucket=b, Key="t", Body=b"", Tagging="foo=bar&bar")
    same([{"Key": "bar", "Value": ""}, {"Key": "foo", "Value": "bar"}], s3.get_object_tagging(Bucket=b, Key="t")["TagSet"], "of the header, by key")
    fails(400, "InvalidArgument", s3.put_object, Bucket=b, Key="t", Body=b"", Tagging="a=1&a=2")
    fails(404, "NoSuchTagSet", s3.get_bucket_tagging, Bucket=b)
    same(204, s3.put_bucket_tagging(Bucket=b, Tagging={"TagSet": ten})["ResponseMetadata"]["HTTPStatusCode"], "bucket tags")
    same(10, len(s3.get_bucket_tagging(Bucket=b)["TagSet"]), "bucket tags")


@case("s3-api 79")
def acls_are_off(store, s3, b):
    s3.put_object(Bucket=b, Key="k", Body=b"", ACL="bucket-owner-full-control")
    fails(400, "AccessControlListNotSupported", s3.put_object, Bucket=b, Key="k", Body=b"", ACL="private")
    fails(400, "AccessControlListNotSupported", s3.put_bucket_acl, Bucket=b, ACL="private")
    fails(400, "AccessControlListNotSupported", s3.put_object_acl, Bucket=b, Key="k", ACL="private")
    grants = s3.get_object_acl(Bucket=b, Key="k")["Grants"]
    same([("FULL_CONTROL", "CanonicalUser")], [(g["Permission"], g["Grantee"]["Type"]) for g in grants], "owner alone")


@case("auth 51, 52, 55, 56")
def policies(store, s3, b):
    fails(404, "NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=b)
    s3.delete_bucket_policy(Bucket=b)
    same(False, s3.get_bucket_policy_status(Bucket=b)["PolicyStatus"]["IsPublic"], "no policy is not public")
    same({"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True},
         s3.get_public_access_block(Bucket=b)["PublicAccessBlockConfiguration"], "a new bucket's switches")
    public = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{b}/*"}]})
    s3.put_object(Bucket=b, Key="k", Body=b"1")
    fails(403, "AccessDenied", s3.put_bucket_policy, Bucket=b, Policy=public)
    same(403, raw(store, "GET", f"/{b}/k", key=None).status, "anonymous")
    s3.delete_public_access_block(Bucket=b)
    fails(404, "NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block, Bucket=b)
    s3.put_bucket_policy(Bucket=b, Policy=public)
    same(public, s3.get_bucket_policy(Bucket=b)["Policy"], "byte for byte")
    same((200, b"1"), (lambda a: (a.status, a.body))(raw(store, "GET", f"/{b}/k", key=None)), "anonymous, allowed")
    same("InvalidRequest", raw(store, "GET", f"/{b}/k?response-expires=x", key=None).code, "but no response headers of its own (s3-api 33)")
    same(True, s3.get_bucket_policy_status(Bucket=b)["PolicyStatus"]["IsPublic"], "public")
    fails(400, "MalformedPolicy", s3.put_bucket_policy, Bucket=b, Policy="{}")
    fails(400, "PolicyTooLarge", s3.put_bucket_policy, Bucket=b, Policy=public + " " * 20480)


@case("s3-api 91")
def what_is_not_offered_says_so(store, s3, b):
    for query, code in (("website", "NoSuchWebsiteConfiguration"), ("replication", "ReplicationConfigurationNotFoundError"),
                        ("inventory&id=x", "NoSuchConfiguration")):
        a = raw(store, "GET", f"/{b}?{query}")
        same((404, code), (a.status, a.code), query)
    for query in ("accelerate", "requestPayment", "notification", "inventory", "analytics", "metrics", "intelligent-tiering"):
        same(200, raw(store, "GET", f"/{b}?{query}").status, query)
        same(204, raw(store, "DELETE", f"/{b}?{query}").status, query)
    for query, text, status in (("website", "<WebsiteConfiguration/>", 501), ("accelerate", "<AccelerateConfiguration><Status>Suspended</Status></AccelerateConfiguration>", 200),
                                ("accelerate", "<AccelerateConfiguration><Status>Enabled</Status></AccelerateConfiguration>", 501),
                                ("requestPayment", "<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>", 200),
                                ("requestPayment", "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>", 501),
                                ("notification", "<NotificationConfiguration/>", 200), ("notification", "<NotificationConfiguration><TopicConfiguration/></NotificationConfiguration>", 501),
                                ("metadataTable", "<x/>", 501), ("abac", "<x/>", 501)):
        same(status, raw(store, "PUT", f"/{b}?{query}", text.encode()).status, f"{query} {text}")
    s3.put_object(Bucket=b, Key="k", Body=b"")
    same((404, "NoSuchKey"), (lambda a: (a.status, a.code))(raw(store, "GET", f"/{b}/k?torrent")), "torrent")
    same(501, raw(store, "POST", f"/{b}/k?select&select-type=2", b"<x/>").status, "select")
    same((403, "InvalidObjectState"), (lambda a: (a.status, a.code))(raw(store, "POST", f"/{b}/k?restore", b"<x/>")), "restore")


s3_main()
