#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compliance clock against every other clock: date set ahead, machine off, monotonic clock sped up, store killed.

Cases: retention 56*, 57, 58, 62 and attempt 22*. Needs a build with --enable-test-hooks.
"""
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from holdfs import *
from testclock import Clock

YEAR = 365 * 86400

clock = Clock()


def show(store):
    return json.loads(store.run("clock", "show", "--json", store.dir).stdout)


def closed_show(store):
    return json.loads(store.run("clock", "show", "--json", store.dir, secret=True).stdout)


def c_of(store):
    return float(show(store)["c"])


def near(want, got, slack, sentence):
    check(abs(want - got) <= slack, f"{sentence}: wanted {want} within {slack}, got {got}")


def locked(b, name, period):
    put(b, "bucket.object-lock", "Enabled")
    path = f"{b}/{name}"
    write(path, b"content")
    put(path, "retention", f"COMPLIANCE +{period}")
    return history(path)[0].path


def still_locked(path):
    refuses("EPERM", os.unlink, path)


@case("retention 56*, A 22*")
def date_set_ahead_and_back_while_mounted(store, b):
    v, short = locked(b, "long", "30d"), locked(b, "short", "10s")
    begun = c_of(store)
    clock.set(wall=clock.now["wall"] + 10 * YEAR)
    still_locked(v)
    still_locked(short)
    near(begun, c_of(store), 1, "C")
    near(10 * YEAR, float(show(store)["lag_s"]), 2, "the lag is shown")
    clock.set(wall=clock.now["wall"] - 10 * YEAR - 86400)
    clock.passes(9)
    still_locked(short)
    clock.passes(2)
    os.unlink(short)
    clock.set(wall=clock.now["wall"] + 86400)
    still_locked(v)


@case("retention 57")
def a_gap_in_the_same_boot_counts(store, b):
    v = locked(b, "f", "150s")
    begun = c_of(store)
    store.umount()
    clock.passes(100)
    store.mount()
    near(begun + 100, c_of(store), 1.5, "C after 100 s closed")
    still_locked(v)
    clock.passes(51)
    os.unlink(v)


@case("retention 57")
def a_gap_over_a_reboot_does_not_count(store, b):
    v = locked(b, "f", "100s")
    begun = c_of(store)
    store.umount()
    clock.set(wall=clock.now["wall"] + YEAR, mono=10.0, raw=10.0, boot=10.0, boot_id="99999999-2222-3333-4444-555555555555")
    store.mount()
    near(begun, c_of(store), 1.5, "C")
    still_locked(v)
    clock.passes(99)
    still_locked(v)
    clock.passes(2)
    os.unlink(v)


@case("retention 57, A 22*")
def opened_in_a_time_namespace_the_gap_does_not_count(store, b):
    if os.geteuid() != 0:
        return
    v = locked(b, "f", "100s")
    begun = c_of(store)
    store.umount()
    plain = Store.mount_command
    Store.mount_command = lambda self, options="": ["unshare", "-T", "--boottime", "99999999", "--monotonic", "99999999"] + plain(self, options)
    try:
        clock.passes(50)
        store.mount()
    finally:
        Store.mount_command = plain
    near(begun, c_of(store), 1.5, "C")
    still_locked(v)
    store.remount()
    near(begun, c_of(store), 1.5, "C back in the initial namespace")
    still_locked(v)


@case("retention 58, A 22*")
def a_monotonic_clock_sped_up_gains_at_most_a_two_thousandth(store, b):
    v = locked(b, "f", "1d")
    begun = c_of(store)
    for _ in range(100):
        clock.passes(864, mono=1.1, boot=1.1)
        show(store)
    gained = c_of(store) - begun
    check(86400 - 2 <= gained <= 86400 * 1.0005 + 2, f"C gained {gained} s in a day")
    begun = c_of(store)
    clock.passes(1000, raw=1.1)
    near(begun + 1000, c_of(store), 1.5, "raw fast: monotonic counts")
    begun = c_of(store)
    clock.set(mono=clock.now["mono"] - 500)
    show(store)
    check(c_of(store) >= begun, "C never goes back")


@case("retention 3")
def suspend_counts(store, b):
    begun = c_of(store)
    clock.set(boot=clock.now["boot"] + 3600, wall=clock.now["wall"] + 3600)
    near(begun + 3600, c_of(store), 1.5, "C after an hour of suspend")


def saved_after(store, change):
    """Makes the change and waits until the daemon has written the clock down, as it does once a minute."""
    wal = os.path.join(store.dir, "meta.db-wal")
    before = os.stat(wal).st_mtime_ns
    change()
    check(within(10, lambda: os.stat(wal).st_mtime_ns != before), "the clock is saved within a minute")


@case("retention 62")
def kill_and_mount(store, b):
    store.remount()
    v = locked(b, "f", "1000s")
    begun = c_of(store)
    saved_after(store, lambda: clock.passes(500))
    near(begun + 500, c_of(store), 1.5, "C")
    store.kill()
    clock.passes(20)
    store.mount()
    near(begun + 520, c_of(store), 1.5, "C after a kill in the same boot")
    saved_after(store, lambda: clock.passes(300))
    clock.passes(40)
    store.kill()
    clock.set(wall=clock.now["wall"] + 60, mono=5.0, raw=5.0, boot=5.0, boot_id="77777777-2222-3333-4444-555555555555")
    store.mount()
    now = c_of(store)
    check(begun + 860 - 61 <= now <= begun + 861, f"after a reboot C is at most 60 s behind: {now - begun}")
    still_locked(v)


@case("A 22*")
def date_set_ahead_across_unmount(store, b):
    v = locked(b, "f", "1d")
    begun = c_of(store)
    store.umount()
    clock.set(wall=clock.now["wall"] + 10 * YEAR)
    store.mount()
    near(begun, c_of(store), 1.5, "C")
    still_locked(v)
    clock.set(wall=clock.now["wall"] - 10 * YEAR)


@case("retention 3")
def default_retention_and_remaining_follow_the_clock(store, b):
    put(b, "bucket.object-lock", "COMPLIANCE 1d")
    put(b, "bucket.settle", "0")
    write(f"{b}/f", b"x")
    near(86400, int(get(f"{b}/f", "retention-remaining")), 2, "seconds left")
    clock.passes(3600)
    near(82800, int(get(f"{b}/f", "retention-remaining")), 3, "an hour later")
    check(float(show(store)["locks_in_force"]) >= 1, "locks_in_force")


@case("retention 3")
def settling_follows_the_monotonic_clock(store, b):
    put(b, "bucket.object-lock", "GOVERNANCE 1d")
    write(f"{b}/f", b"x")
    clock.set(wall=clock.now["wall"] + 3600)
    refuses("ENODATA", get, f"{b}/f", "retention")
    clock.passes(61)

    def has_lock():
        try:
            return get(f"{b}/f", "retention")
        except OSError:
            return None
    check(within(5, has_lock), "settled after 60 s of the monotonic clock")
    clock.set(wall=clock.now["wall"] - 3600)


@case("retention 3")
def a_store_for_tests_is_no_ordinary_store(store, b):
    with open(os.path.join(store.dir, "holdfs.conf")) as f:
        check("test" in f.read(), "holdfs.conf says that it is for tests")


if __name__ == "__main__":
    binary = find_binary()
    with tempfile.TemporaryDirectory(prefix="holdfs-test.") as probe:
        word = os.path.join(probe, "passphrase")
        with open(os.open(word, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
            f.write(PASSPHRASE)
        import subprocess
        done = subprocess.run([binary, "init", "--passphrase-file", word, "--scrypt-log-n", "14", "--test-store", probe + "/store"],
                              capture_output=True, text=True)
    if done.returncode != 0:
        skip("this build has no test hooks (./configure --enable-test-hooks): " + done.stderr.strip())
    main("--test-store", env={"HOLDFS_TEST_CLOCK": clock.path})
