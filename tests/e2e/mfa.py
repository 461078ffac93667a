#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""MFA delete and the store's date: devices enrolled at a terminal, codes of oathtool, what asks for one (retention.md §3, §4).

Cases: retention 59, 60, 63*, 64*-66*, 69*, 70, 71*, A 22; auth 43. Needs a build with --enable-test-hooks.
"""
import datetime
import json
import os
import pty
import re
import select
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from holdfs import (Broken, Store, case, check, drop, get, history, main, need, put, read, refuses, same, settle, skip, write)
from testclock import Clock
from users import ALICE, Users, act, allow, arn, as_uid, denied, deny, last_error_of, works

if os.geteuid() != 0:
    skip("needs root: acts as several users")
need("setpriv", "oathtool")
DAY = 86400
clock = Clock()
devices = {}  # name -> secret, base32
users = None


def code_at(secret, wall):
    now = datetime.datetime.fromtimestamp(wall, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    return subprocess.run(["oathtool", "--totp", "-b", secret, "--now", now], capture_output=True, text=True, check=True).stdout.strip()


def fresh(name="phone"):
    """A code no device has shown before: the next step's."""
    clock.passes(30)
    return code_at(devices[name], clock.now["wall"])


def wrong(name="phone"):
    right = {code_at(devices[name], clock.now["wall"] + step * 30) for step in (-1, 0, 1)}
    return next(c for c in ("000000", "111111", "222222", "333333") if c not in right)


def enroll(store, name, *options, codes=None, uid=0):
    """Enrolls at a terminal of its own; (exit status, what was shown, the secret)."""
    words = ["mfa", "enroll", *options, store.mnt, name]
    pid, fd = pty.fork()
    if pid == 0:
        if uid:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        os.chdir("/")
        os.execve(store.binary, [store.binary, *words], store.env)
    shown, answers, secret, deadline = b"", None, None, time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                data = os.read(fd, 65536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            shown += data
        found = re.search(rb"secret=([A-Z2-7]{32})&", shown)
        if found and secret is None:
            secret = found.group(1).decode()
            wall = clock.now["wall"]
            answers = list(codes or [code_at(secret, wall), code_at(secret, wall + 30)])
        prompts = shown.count(b"ode: ")
        if answers and prompts > (len(codes or "12") - len(answers)):
            os.write(fd, answers.pop(0).encode() + b"\n")
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace"), secret


def begin(store, bucket):
    """A device `phone` of the first account's root, and alice, who may everything; the bucket's name."""
    global users
    if users is None:
        users = Users(store)
        users.policy("alice", allow("*", "*"))
    if "phone" not in devices:
        status, shown, secret = enroll(store, "phone")
        same(0, status, f"exit of mfa enroll: {shown}")
        devices["phone"] = secret
        clock.passes(30)
    store.run("mfa", "lock", store.mnt, ok=False)
    os.chmod(bucket, 0o777)
    return os.path.basename(bucket)


def with_mfa(store, bucket):
    name = begin(store, bucket)
    put(bucket, "bucket.versioning", f"Enabled MfaDelete=Enabled {fresh()}")
    return name


def versions_of(path, count):
    for n in range(count):
        write(path, b"%d" % n)
        settle(path)
    return [v.path for v in history(path)]


@case("retention §4")
def a_device_is_enrolled_at_a_terminal_with_two_codes(store, bucket):
    begin(store, bucket)
    status, shown, secret = enroll(store, "tablet")
    same(0, status, f"exit of mfa enroll: {shown}")
    check(f"otpauth://totp/holdfs:tablet?secret={secret}&issuer=holdfs&algorithm=SHA1&digits=6&period=30" in shown, f"the line: {shown}")
    check("█" in shown and "▄" in shown or "without libqrencode" in shown, "and a QR code, where it is configured")
    devices["tablet"] = secret
    listed = json.loads(store.run("mfa", "list", "--json", store.mnt).stdout)["devices"]
    account = json.loads(store.run("account", "show", "--json", store.mnt, "main").stdout)["id"]
    same([f"arn:aws:iam::{account}:mfa/phone", f"arn:aws:iam::{account}:mfa/tablet"], sorted(d["serial"] for d in listed), "the serials")
    status, shown, _ = enroll(store, "tablet")
    check(status == 1 and "already" in shown and "secret=" not in shown, f"the same name again: {shown}")
    status, shown, _ = enroll(store, "other", codes=["000000", "111111"] * 3)
    check(status == 1 and "not two codes in a row" in shown, f"wrong codes, three times: {shown}")
    status, shown, _ = enroll(store, "a/b")
    same(1, status, "exit for a wrong name")
    status, shown, _ = enroll(store, "hers", uid=ALICE)
    check(status == 1 and "secret=" not in shown, f"by a user: {shown}")
    status, shown, _ = enroll(store, "theirs", "--account", "second")
    check(status == 1 and "secret=" not in shown, f"by another account's root: {shown}")
    done = subprocess.run([store.binary, "mfa", "enroll", store.mnt, "none"], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          start_new_session=True, env=store.env)
    check(done.returncode == 1 and "terminal" in done.stderr, f"without a terminal: {done.stderr}")
    same(2, len(json.loads(store.run("mfa", "list", "--json", store.mnt).stdout)["devices"]), "number of devices")
    for directory, _, files in os.walk(store.scratch):
        for file in files:
            path = os.path.join(directory, file)
            if os.path.isfile(path) and not directory.startswith(store.mnt):
                check(secret.encode() not in read(path) and secret.lower().encode() not in read(path), f"the secret is in {path}")


@case("retention 63*")
def steps_of_one_more_or_less_count_and_no_code_twice(store, bucket):
    begin(store, bucket)
    clock.passes(300)
    secret, wall = devices["phone"], clock.now["wall"]
    for step, ok in ((-2, False), (2, False), (-1, True), (0, True), (1, True)):
        done = store.run("mfa", "unlock", store.mnt, code_at(secret, wall + step * 30), ok=False)
        same(0 if ok else 1, done.returncode, f"exit for the code of step {step}: {done.stderr}")
        check(ok or "Mfa Authentication failed" in done.stderr, done.stderr)
    spent = code_at(secret, wall + 30)
    clock.passes(30)
    same(1, store.run("mfa", "unlock", store.mnt, spent, ok=False).returncode, "exit for the same code again")
    store.remount()
    same(1, store.run("mfa", "unlock", store.mnt, spent, ok=False).returncode, "after a restart")
    store.kill()
    store.mount()
    same(1, store.run("mfa", "unlock", store.mnt, spent, ok=False).returncode, "after a kill")
    same(0, store.run("mfa", "unlock", store.mnt, fresh(), ok=False).returncode, "exit for the next one")


@case("retention 64*, 65*, 70")
def a_version_goes_by_root_with_a_code_only(store, bucket):
    with_mfa(store, bucket)
    check("<MfaDelete>Enabled</MfaDelete>" in get(bucket, "bucket.versioning"), "reading shows it")
    one, two, three, four = versions_of(bucket + "/f", 4)
    refuses("EACCES", os.unlink, one)
    text = last_error_of(0, store.mnt)
    check("Mfa Authentication must be used for this request" in text and "mfa unlock" in text, f"last-error says how: {text}")
    same(1, store.run("mfa", "unlock", store.mnt, wrong(), ok=False).returncode, "exit for a wrong code")
    refuses("EACCES", os.unlink, one)
    store.run("mfa", "unlock", store.mnt, fresh())
    os.unlink(one)
    denied(ALICE, os.unlink, two)
    check("Only the account root" in last_error_of(ALICE, store.mnt), last_error_of(ALICE, store.mnt))
    same(1, as_uid(ALICE, store, "mfa", "unlock", store.mnt, fresh()).returncode, "exit of unlock by a user")
    os.unlink(two)  # within the minute
    clock.passes(31)
    refuses("EACCES", os.unlink, three)
    store.run("mfa", "unlock", "--for", "300", store.mnt, fresh())
    clock.passes(299)
    os.unlink(three)
    store.run("mfa", "lock", store.mnt)
    refuses("EACCES", os.unlink, four)


@case("retention §4")
def a_code_on_a_version_serves_one_removal(store, bucket):
    with_mfa(store, bucket)
    one, two = versions_of(bucket + "/f", 2)
    os.unlink(bucket + "/f")
    marker = history(bucket + "/f")[-1].path
    refuses("EACCES", os.unlink, marker)
    put(marker, "mfa", fresh())
    os.unlink(marker)
    same(b"1", read(bucket + "/f"), "the marker gone, the object is back")
    put(one, "mfa", fresh())
    refuses("EACCES", os.unlink, two)
    refuses("ENODATA", get, one, "mfa")
    os.unlink(one)
    put(two, "mfa", fresh())
    clock.passes(61)
    refuses("EACCES", os.unlink, two)
    for value in ("12345", "1234567", "", "true", "123456 123456", f"{fresh()} 10"):
        refuses("EINVAL", put, two, "mfa", value)
    serial = json.loads(store.run("mfa", "list", "--json", store.mnt).stdout)["devices"][0]["serial"]
    refuses("EACCES", put, two, "mfa", f"{serial}x {fresh()}")
    put(bucket, "mfa", f"{serial} {fresh()} 120")
    clock.passes(110)
    os.unlink(two)
    drop(bucket, "mfa")
    refuses("ENODATA", drop, bucket, "mfa")
    check("user.s3.mfa" not in os.listxattr(bucket), "it is not listed")


@case("retention 66*")
def what_loses_nothing_for_good_asks_for_no_code(store, bucket):
    with_mfa(store, bucket)
    write(bucket + "/f", b"x")
    settle(bucket + "/f")
    write(bucket + "/f", b"y")
    os.rename(bucket + "/f", bucket + "/g")
    os.unlink(bucket + "/g")
    check(len(history(bucket + "/g")) > 0, "history stays")
    put(bucket, "bucket.versioning", "Enabled")
    put(bucket, "bucket.versioning", "Enabled MfaDelete=Enabled")
    for value in ("Suspended", "Enabled MfaDelete=Disabled"):
        refuses("EACCES", put, bucket, "bucket.versioning", value)
        check("Mfa Authentication must be used" in last_error_of(0, store.mnt), last_error_of(0, store.mnt))
    refuses("EINVAL", put, bucket, "bucket.versioning", f"Suspended MfaDelete=Enabled {fresh()}")
    check("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>" in get(bucket, "bucket.versioning"), "nothing changed")
    denied(ALICE, put, bucket, "bucket.versioning", f"Enabled MfaDelete=Disabled {fresh()}")
    put(bucket, "bucket.versioning", f"Suspended {fresh()}")
    store.remount()
    check("<Status>Suspended</Status><MfaDelete>Enabled</MfaDelete>" in get(bucket, "bucket.versioning"), "suspended with a code, over a restart")
    put(bucket, "bucket.versioning", f"Enabled MfaDelete=Disabled {fresh()}")
    check("<MfaDelete>Disabled</MfaDelete>" in get(bucket, "bucket.versioning"), "off with a code")
    for v in history(bucket + "/g"):
        os.unlink(v.path)  # and now without one


@case("retention §4")
def turning_it_on_asks_for_a_code_too(store, bucket):
    begin(store, bucket)
    refuses("EACCES", put, bucket, "bucket.versioning", "Enabled MfaDelete=Enabled")
    refuses("EACCES", put, bucket, "bucket.versioning", f"Enabled MfaDelete=Enabled {wrong()}")
    document = "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>"
    refuses("EACCES", put, bucket, "bucket.versioning", document)
    put(bucket, "mfa", fresh())
    put(bucket, "bucket.versioning", document)
    check("<MfaDelete>Enabled</MfaDelete>" in get(bucket, "bucket.versioning"), "the document, with a code in force")
    put(bucket, "bucket.versioning", "Enabled")
    check("<MfaDelete>Enabled</MfaDelete>" in get(bucket, "bucket.versioning"), "saying nothing of it changes nothing")
    same(1, store.run("bucket", "set", bucket, "versioning=Enabled MfaDelete=Disabled", ok=False).returncode == 0, "a window is the uid's own")


@case("retention §1.6, S2d")
def orphans_are_kept_for_good(store, bucket):
    with_mfa(store, bucket)
    put(bucket, "bucket.orphan-keep", "0")
    write(bucket + "/swap", b"precious after all")
    os.unlink(bucket + "/swap")
    clock.passes(3 * DAY)
    time.sleep(1.5)  # the worker's second
    same(b"precious after all", history(bucket + "/swap")[0].data, "what was written and unlinked")


@case("retention §2.8, §4")
def a_bucket_is_not_emptied_without_a_code(store, bucket):
    with_mfa(store, bucket)
    versions_of(bucket + "/f", 2)
    done = store.run("bucket", "delete", "--force", bucket, ok=False)
    check(done.returncode == 1 and "Mfa Authentication must be used" in done.stderr, f"without: {done.stderr}")
    same(2, len(history(bucket + "/f")), "versions left")
    same(1, store.run("bucket", "delete", "--force", "--mfa", wrong(), bucket, ok=False).returncode, "exit with a wrong code")
    same(2, len(history(bucket + "/f")), "versions left")
    done = as_uid(ALICE, store, "bucket", "delete", "--force", "--mfa", fresh(), bucket)
    same(1, done.returncode, "exit for a user who may everything")
    store.run("bucket", "delete", "--force", "--mfa", fresh(), bucket)
    check(not os.path.exists(bucket), "with a right one it goes")


@case("retention 69*")
def five_wrong_codes_lock_a_device(store, bucket):
    begin(store, bucket)
    for name in [n for n in devices if n != "phone"]:
        store.run("mfa", "remove", "--mfa", fresh(), store.mnt, name)
        del devices[name]
    for n in range(5):
        refuses("EACCES", put, store.mnt, "mfa", wrong())
    refuses("EBUSY", put, store.mnt, "mfa", fresh())
    check("locked after too many wrong codes" in last_error_of(0, store.mnt), last_error_of(0, store.mnt))
    store.kill()
    store.mount()
    refuses("EBUSY", put, store.mnt, "mfa", fresh())
    left = json.loads(store.run("mfa", "list", "--json", store.mnt).stdout)["devices"][0]["locked_for_s"]
    check(200 < left <= 300, f"mfa list tells how long still: {left}")
    clock.set(wall=clock.now["wall"] + 600)
    refuses("EBUSY", put, store.mnt, "mfa", fresh())  # setting the date ends no lock
    clock.passes(241)
    refuses("EACCES", put, store.mnt, "mfa", wrong())
    clock.passes(599)
    refuses("EBUSY", put, store.mnt, "mfa", code_at(devices["phone"], clock.now["wall"]))
    clock.passes(2)
    put(store.mnt, "mfa", fresh())
    refuses("EACCES", put, store.mnt, "mfa", wrong())
    put(store.mnt, "mfa", fresh())


@case("retention 71*")
def a_code_and_a_lock_add_up(store, bucket):
    with_mfa(store, bucket)
    put(bucket, "bucket.object-lock", "Enabled")
    write(bucket + "/f", b"x")
    settle(bucket + "/f")
    version = history(bucket + "/f")[0].path
    put(version, "retention", "GOVERNANCE +1d")
    put(version, "bypass-governance-retention", "true")
    refuses("EACCES", os.unlink, version)
    put(version, "mfa", fresh())
    drop(version, "bypass-governance-retention")
    refuses("EPERM", os.unlink, version)
    check("GOVERNANCE" in last_error_of(0, store.mnt), last_error_of(0, store.mnt))
    put(version, "bypass-governance-retention", "true")
    os.unlink(version)
    refuses("EBUSY", put, bucket, "bucket.versioning", f"Suspended {fresh()}")


@case("auth 43")
def policies_see_a_code_in_force(store, bucket):
    name = begin(store, bucket)
    write(bucket + "/k", b"x")
    without = {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}
    users.bucket_policy(bucket, deny("GetObject", name + "/*", Principal="*", condition=without))
    refuses("EACCES", read, bucket + "/k")
    put(store.mnt, "mfa", fresh())
    same(b"x", read(bucket + "/k"), "root with a right code")
    denied(ALICE, read, bucket + "/k")
    store.run("mfa", "lock", store.mnt)
    refuses("EACCES", read, bucket + "/k")
    users.bucket_policy(bucket, deny("GetObject", name + "/*", Principal="*", condition={"Bool": {"aws:MultiFactorAuthPresent": "false"}}))
    same(b"x", read(bucket + "/k"), "without a code the key is absent, not false")
    users.bucket_policy(bucket, deny("GetObject", name + "/*", Principal="*", condition={"NumericGreaterThan": {"aws:MultiFactorAuthAge": "20"}}))
    put(store.mnt, "mfa", fresh())
    same(b"x", read(bucket + "/k"), "a young code")
    clock.passes(25)
    refuses("EACCES", read, bucket + "/k")


@case("retention §4")
def the_last_device_stays_while_a_bucket_needs_it(store, bucket):
    with_mfa(store, bucket)
    done = store.run("mfa", "remove", "--mfa", wrong(), store.mnt, "phone", ok=False)
    check(done.returncode == 1 and "Mfa Authentication failed" in done.stderr, done.stderr)
    while len(devices) > 1:
        name = next(n for n in devices if n != "phone")
        store.run("mfa", "remove", "--mfa", fresh(), store.mnt, name)
        del devices[name]
    done = store.run("mfa", "remove", "--mfa", fresh(), store.mnt, "phone", ok=False)
    check(done.returncode == 1 and "MFA Delete" in done.stderr, f"the last one: {done.stderr}")
    same(2, store.run("mfa", "remove", store.mnt, "phone", ok=False).returncode, "exit without a code")
    same(1, store.run("mfa", "remove", "--mfa", fresh(), store.mnt, "nosuch", ok=False).returncode, "exit for one that is not there")
    status, shown, secret = enroll(store, "spare")
    same(0, status, f"exit of enrolling a second one: {shown}")
    devices["spare"] = secret
    clock.passes(30)
    store.run("mfa", "remove", "--mfa", fresh("spare"), store.mnt, "phone")
    put(bucket, "bucket.versioning", f"Enabled MfaDelete=Disabled {fresh('spare')}")
    devices["phone"] = devices.pop("spare")


# ---- the store's date ----

def show(store):
    return json.loads(store.run("clock", "show", "--json", store.dir).stdout)


def today():
    return datetime.datetime.fromtimestamp(clock.now["wall"], datetime.timezone.utc).strftime("%Y-%m-%d")


@case("retention 59, A 22")
def after_a_year_off_the_date_is_approved_and_no_lock_moves(store, bucket):
    begin(store, bucket)
    put(bucket, "bucket.object-lock", "Enabled")
    write(bucket + "/f", b"x")
    settle(bucket + "/f")
    version = history(bucket + "/f")[0].path
    put(version, "retention", "COMPLIANCE +30d")
    store.umount()
    clock.set(wall=clock.now["wall"] + 365 * DAY, mono=10.0, raw=10.0, boot=10.0, boot_id="22222222-2222-3333-4444-555555555555")
    store.mount()
    check(abs(show(store)["lag_s"] - 365 * DAY) < 1200, f"it lags a year: {show(store)}")
    left = int(get(version, "retention-remaining"))
    for words, what in ((["--to", "2020-01-01", "--mfa", fresh()], "a date that is not the machine's"), (["--to", today(), "--mfa", wrong()], "a wrong code")):
        same(1, store.run("clock", "approve", *words, store.mnt, ok=False).returncode, f"exit for {what}")
    same(1, as_uid(ALICE, store, "clock", "approve", "--to", today(), "--mfa", fresh(), store.mnt).returncode, "exit for a user")
    same(2, store.run("clock", "approve", "--to", today(), store.mnt, ok=False).returncode, "exit without a code")
    done = store.run("clock", "reset", "--mfa", fresh(), store.mnt, ok=False)
    check(done.returncode == 1 and "under retention" in done.stderr, f"a reset while something is locked: {done.stderr}")
    check(show(store)["lag_s"] > 364 * DAY, "nothing moved")
    answer = json.loads(store.run("clock", "approve", "--json", "--to", today(), "--mfa", fresh(), store.mnt).stdout)
    same((0, 1), (answer["lag_s"], answer["approvals"]), "lag and approvals")
    check(0 <= left - int(get(version, "retention-remaining")) < 600, "what is left of the lock")
    refuses("EPERM", os.unlink, version)
    put(bucket, "bucket.object-lock", "GOVERNANCE 1d")
    write(bucket + "/g", b"x")
    settle(bucket + "/g")
    until = get(bucket + "/g", "retention").split()[1]
    want = datetime.datetime.fromtimestamp(clock.now["wall"] + DAY, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M")
    check(until.startswith(want), f"a new default lock is dated by the machine's date: {until}, wanted {want}")
    store.remount()
    check(abs(show(store)["lag_s"]) < 5, "the date stays over a restart")
    clock.passes(left + 60)
    os.unlink(version)


@case("retention 60")
def the_date_never_goes_back_by_approval(store, bucket):
    begin(store, bucket)
    clock.set(wall=clock.now["wall"] - 40 * DAY)
    done = store.run("clock", "approve", "--to", today(), "--mfa", code_at(devices["phone"], clock.now["wall"]), store.mnt, ok=False)
    check(done.returncode == 1 and "never goes back" in done.stderr, f"a machine that is behind: {done.stderr}")
    clock.set(wall=clock.now["wall"] + 40 * DAY)


def other_lag(other):
    return json.loads(other.run("clock", "show", "--json", other.mnt).stdout)["lag_s"]


@case("retention 60, §3")
def a_store_without_a_device_approves_nothing_and_one_without_locks_is_reset(store, bucket):
    begin(store, bucket)
    other = Store("--test-store", env={"HOLDFS_TEST_CLOCK": clock.path}).mount()
    done = other.run("clock", "approve", "--to", today(), "--mfa", "123456", other.mnt, ok=False)
    check(done.returncode == 1 and "mfa enroll" in done.stderr, f"without a device: {done.stderr}")
    same(1, other.run("clock", "reset", "--mfa", "123456", other.mnt, ok=False).returncode, "exit of reset without one")
    status, shown, secret = enroll(other, "key")
    same(0, status, shown)
    devices["key"] = secret
    clock.passes(30)
    clock.set(wall=clock.now["wall"] + 1000 * DAY)  # it was made with a date far behind
    check(other_lag(other) > 999 * DAY, "it lags")
    answer = json.loads(other.run("clock", "reset", "--json", "--mfa", fresh("key"), other.mnt).stdout)
    same(0, answer["lag_s"], "the lag after a reset")
    clock.set(wall=clock.now["wall"] - 500 * DAY)  # or far ahead; the device counts on from its last code, so it is enrolled anew
    status, shown, devices["key"] = enroll(other, "later")
    same(0, status, shown)
    clock.passes(30)
    answer = json.loads(other.run("clock", "reset", "--json", "--mfa", fresh("key"), other.mnt).stdout)
    same(0, answer["lag_s"], "the lag after a reset back")
    del devices["key"]
    clock.set(wall=clock.now["wall"] - 500 * DAY)
    other.umount()


@case("retention §3, A 23")
def an_earlier_state_is_accepted_with_a_code_only(store, bucket):
    other = Store("--test-store", env={"HOLDFS_TEST_CLOCK": clock.path}).mount()
    status, shown, secret = enroll(other, "key")
    same(0, status, shown)
    devices["key"] = secret
    clock.passes(30)
    other.umount()
    earlier = other.metadata()
    other.mount()
    other.bucket("later")
    other.umount()
    other.put_metadata(earlier)

    def mount(*words):
        done = subprocess.run([other.binary, "mount", "--passphrase-file", other.passphrase, *words, other.dir, other.mnt], capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, env=other.env)
        return done.returncode, done.stderr

    status, said = mount()
    check(status == 1 and "older than it was" in said, f"not accepted: {said}")
    status, said = mount("--accept-rollback")
    check(status == 1 and "--mfa CODE" in said, f"without a code: {said}")
    for _ in range(3):
        status, said = mount("--accept-rollback", "--mfa", wrong("key"))
        check(status == 1 and "Mfa Authentication failed" in said, f"with a wrong one: {said}")
    same(earlier["meta.db"], other.metadata()["meta.db"], "the metadata after all refusals")
    status, said = mount("--accept-rollback", "--mfa", fresh("key"))
    same(0, status, f"exit with a right one: {said}")
    same([], os.listdir(other.mnt), "the earlier state")
    spent = code_at(devices.pop("key"), clock.now["wall"])
    same(1, other.run("mfa", "unlock", other.mnt, spent, ok=False).returncode, "exit for the code that was spent on it")
    other.end_daemon()


@case("auth §8, logs §3.1")
def the_trail_tells_of_codes_and_holds_none(store, bucket):
    name = with_mfa(store, bucket)
    one, two = versions_of(bucket + "/f", 2)
    refuses("EACCES", os.unlink, one)
    bad, right = wrong(), fresh()
    refuses("EACCES", put, store.mnt, "mfa", bad)
    put(bucket, "mfa", f"{right} 30")
    os.unlink(one)
    drop(bucket, "mfa")
    put(two, "mfa", fresh())
    put(bucket, "bucket.versioning", f"Enabled MfaDelete=Disabled {fresh()}")
    store.run("audit", "verify", store.mnt)
    records = [json.loads(line) for line in store.run("audit", "tail", "--json", "-n", "10000", store.mnt).stdout.splitlines()]
    here = [r for r in records if name in json.dumps(r)]
    events = [r["eventName"] for r in records]
    for event in ("EnableMFADevice", "DeleteVirtualMFADevice", "UnlockMfa", "LockMfa", "ApproveClock"):
        check(event in events, f"{event} among {sorted(set(events))}")
    refused = [r for r in here if r.get("errorCode") == "AccessDenied" and r["additionalEventData"].get("rule") == "mfa"]
    check(any(r["eventName"] == "DeleteObjectVersion" for r in refused), f"what was refused for want of a code: {refused}")
    check(any(r.get("errorCode") == "AccessDenied" and r["eventName"] == "UseMfaCode" for r in records), "a wrong code")
    changes = [r["requestParameters"] for r in here if r["eventName"] == "PutBucketVersioning" and "errorCode" not in r]
    check(any("MfaDelete=Disabled" in json.dumps(c) for c in changes), f"what was set: {changes}")
    done = [r for r in here if r["eventName"] == "DeleteObjectVersion" and "errorCode" not in r]
    check(len(done) == 1, f"the removal: {done}")
    same("true", done[0]["userIdentity"].get("sessionContext", {}).get("attributes", {}).get("mfaAuthenticated"), "mfaAuthenticated of it")
    for r in records:
        text = json.dumps({k: v for k, v in r.items() if k in ("requestParameters", "responseElements", "errorMessage")})
        check(not re.search(r"\b(%s|%s)\b" % (bad, right), text), f"a code in the trail: {text}")
        check("MfaDelete=Disabled " not in text and "MfaDelete=Enabled " not in text, f"what stood behind it: {text}")
    log = read(store.log).decode(errors="replace")
    check(bad not in log.split() and right not in log.split(), "a code in the log")


main("--test-store", options="allow_other", env={"HOLDFS_TEST_CLOCK": clock.path})
