#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""At a terminal: secrets are asked for without echo, restore asks before it changes anything, long work shows progress."""
import os
import pty
import re
import select
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from holdfs import PASSPHRASE, case, check, main, process_state, same, within, write


def talk(store, words, answers):
    """Runs holdfs at a terminal of its own, types each answer when its prompt shows; (exit status, all that was shown)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.pop("HOLDFS_PASSPHRASE_FILE", None)
        os.execv(store.binary, [store.binary, *words])
    shown, asked, deadline = b"", 0, time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                data = os.read(fd, 65536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            shown += data
        if asked < len(answers) and re.search(answers[asked][0].encode(), shown, re.S):
            time.sleep(0.05)
            os.write(fd, answers[asked][1])
            shown, asked = shown + b"\n--\n", asked + 1
    os.close(fd)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    same(len(answers), asked, f"number of questions: {shown.decode(errors='replace')}")
    return status, shown.decode(errors="replace")


@case("mount §1")
def init_asks_twice_and_shows_nothing_that_is_typed(store):
    other = store.scratch + "/other"
    status, shown = talk(store, ["init", "--scrypt-log-n", "14", other], [("assphrase", b"one secret\n"), ("--\n.*again", b"another\n")])
    same(1, status, f"exit status of two that differ: {shown}")
    check(not os.path.exists(other + "/holdfs.conf"), "nothing was made")
    status, shown = talk(store, ["init", "--scrypt-log-n", "14", other], [("assphrase", PASSPHRASE), ("--\n.*again", PASSPHRASE)])
    same(0, status, f"exit status: {shown}")
    check(PASSPHRASE.strip().decode() not in shown, "the passphrase is not shown")
    store.code = re.search(r"^ +((?:[0-9A-Z]{5}-){10}[0-9A-Z]{5})", shown, re.M).group(1)


@case("mount §1")
def mount_in_the_background_asks_and_returns(store):
    mnt = store.scratch + "/other-mnt"
    os.mkdir(mnt)
    status, shown = talk(store, ["mount", store.scratch + "/other", mnt], [("assphrase", b"wrong\n")])
    same(1, status, f"exit status of a wrong one: {shown}")
    check("no slot opens with this key" in shown, shown)
    for words, answer in ((["mount", store.scratch + "/other", mnt], PASSPHRASE),
                          (["mount", "--recovery", store.scratch + "/other", mnt], store.code.lower().replace("-", " ").encode() + b"\n")):
        status, shown = talk(store, words, [("assphrase|ecovery", answer)])
        same(0, status, f"exit status: {shown}")
        check(os.path.ismount(mnt), "it is mounted, and stays when the terminal closes")
        pid = [int(p) for p in re.findall(r'"pid": (\d+)', store.run("status", "--json", mnt).stdout)][0]
        subprocess.run(["umount", mnt], check=True)
        check(within(10, lambda: process_state(pid) in (None, "Z")), "the daemon ends")
    status, shown = talk(store, ["mount", "--recovery", store.scratch + "/other", mnt], [("ecovery", store.code[:-1].encode() + b"\n")])
    same(1, status, f"exit status of a mistyped code: {shown}")
    check("mistyped" in shown, shown)


@case("mount §1")
def restore_asks_first(store):
    bucket = store.bucket("docs")
    write(bucket + "/f", b"old")
    time.sleep(0.01)
    at = f"@{time.time():.6f}"
    time.sleep(0.01)
    write(bucket + "/f", b"new")
    status, shown = talk(store, ["restore", "--at", at, bucket], [("Go on", b"n\n")])
    same(1, status, f"exit status of a no: {shown}")
    check("1 files changed" in shown and "nothing was changed" in shown, shown)
    with open(bucket + "/f", "rb") as f:
        same(b"new", f.read(), "content")
    status, shown = talk(store, ["restore", "--at", at, bucket], [("Go on", b"y\n")])
    same(0, status, f"exit status of a yes: {shown}")
    with open(bucket + "/f", "rb") as f:
        same(b"old", f.read(), "content")
    undo = re.search(r"To undo: holdfs (.*?)\r?\n", shown).group(1)
    subprocess.run(f"'{store.binary}' {undo} </dev/null", shell=True, check=True, capture_output=True)
    with open(bucket + "/f", "rb") as f:
        same(b"new", f.read(), "content after the command that undoes it")


@case("mount §1")
def names_cannot_steer_the_terminal(store):
    bucket = store.bucket("steer")
    write(bucket + "/\x1b[2Jevil\n", b"")
    status, shown = talk(store, ["versions", bucket], [])
    same(0, status, "exit status")
    check("\x1b" not in shown, f"control characters are not shown: {shown!r}")
    status, shown = talk(store, ["versions", bucket + "/\x1b[2Jnosuch"], [])
    same(1, status, "exit status")
    check("\x1b" not in shown, f"control characters are not shown: {shown!r}")


main(fresh_bucket=False)
