#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""holdfs mount itself: what it refuses and how it says so, the background, systemd's protocol and unit, signals."""
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from holdfs import Store, case, check, main, process_state, same, within, write

UNIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "contrib", "holdfs@.service.in")


def refusal(store, *words, status=1, env=None):
    """One sentence on stderr, nothing on stdout, nothing mounted."""
    done = subprocess.run([store.binary, "mount", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60,
                          env={**store.env, **(env or {})}, cwd=store.scratch)
    same(status, done.returncode, f"exit status of mount {words}: {done.stderr}")
    same("", done.stdout, "stdout")
    same(1, done.stderr.count("\n"), f"lines on stderr: {done.stderr}")
    check(done.stderr.startswith("holdfs"), done.stderr)
    return done.stderr


def background(store, options="", env=None):
    """Mounts in the background; the daemon's pid."""
    done = subprocess.run([store.binary, "mount", "-o", f"passphrase-file={store.passphrase}{options}", store.dir, store.mnt],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, env={**store.env, **(env or {})})
    same((0, "", ""), (done.returncode, done.stdout, done.stderr), "a mount in the background says nothing")
    check(os.path.ismount(store.mnt), "the mount is usable when the command returns")
    return store.status()["pid"]


def ended(pid, seconds=10):
    return within(seconds, lambda: process_state(pid) in (None, "Z"))


@case("mount §1")
def refusals_say_what_and_why(store):
    store.umount()
    p = "passphrase-file=" + store.passphrase
    os.mkdir(store.scratch + "/full")
    write(store.scratch + "/full/f", b"")
    for words, pattern in (
            (["-o", p, store.dir, store.scratch + "/nosuch"], "nosuch.*mkdir"),
            (["-o", p, store.dir, store.scratch + "/full"], "full is not empty"),
            (["-o", p, store.dir, store.scratch + "/full/f"], "not a directory"),
            (["-o", p, store.scratch + "/nostore", store.mnt], "nostore.*holdfs init"),
            (["-o", p, store.scratch + "/full", store.mnt], "full"),
            (["-o", "passphrase-file=/nonexistent", store.dir, store.mnt], "/nonexistent"),
            ([store.dir, store.mnt], "terminal")):
        message = refusal(store, *words)
        check(re.search(pattern, message), f"{words} says {pattern}: {message}")
        check(not os.path.ismount(store.mnt), "nothing is mounted")
    check("nosuch" in refusal(store, "-o", p + ",nosuch", store.dir, store.mnt, status=2), "an unknown option is named")
    check("one secret" in refusal(store, "-o", p + ",key-file=k", store.dir, store.mnt, status=2), "two secrets")
    refusal(store, store.dir, status=2)
    store.mount()


@case("mount 2, 3")
def a_wrong_passphrase_and_an_open_store_are_refused(store):
    wrong = store.scratch + "/wrong"
    with open(os.open(wrong, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write("not it at all\n")
    other = store.scratch + "/other"
    os.mkdir(other)
    message = refusal(store, "-o", "passphrase-file=" + store.passphrase, store.dir, other)
    check(str(store.daemon.pid) in message and store.mnt in message, f"the first is named: {message}")
    store.umount()
    check("no slot opens with this key" in refusal(store, "-o", "passphrase-file=" + wrong, store.dir, store.mnt), "wrong passphrase")
    store.mount()


@case("mount §1")
def the_daemon_leaves_the_terminal_alone(store):
    store.umount()
    pid = background(store)
    for fd in range(3):
        same("/dev/null", os.readlink(f"/proc/{pid}/fd/{fd}"), f"descriptor {fd}")
    same("/", os.readlink(f"/proc/{pid}/cwd"), "working directory")
    same(pid, os.getsid(pid), "session")
    status = open(f"/proc/{pid}/status").read()
    check(re.search(r"^Umask:\s+0077", status, re.M), "umask")
    same(0, os.stat(f"/proc/{pid}/mem").st_uid, "owner of its memory: it is not dumpable")
    subprocess.run(["umount", store.mnt], check=True)
    check(ended(pid), "it ends after umount")
    store.mount()


@case("mount 30")
def sigterm_unmounts_within_ten_seconds(store):
    store.umount()
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        pid = background(store)
        os.makedirs(store.mnt + "/bucket", exist_ok=True)
        write(store.mnt + "/bucket/closed", b"closed")
        held = open(store.mnt + "/bucket/open", "wb")
        held.write(b"x" * 100000)
        held.flush()
        os.kill(pid, sig)
        check(ended(pid), f"it ends after signal {sig}")
        check(not os.path.ismount(store.mnt), "the mount is gone")
        try:
            held.close()
        except OSError:
            pass
    store.mount()
    with open(store.mnt + "/bucket/closed", "rb") as f:
        same(b"closed", f.read(), "what was closed")


@case("mount §1")
def an_interrupted_start_leaves_nothing(store):
    store.umount()
    for delay in (0.0, 0.02, 0.05, 0.1, 0.2, 0.4):
        p = subprocess.Popen([store.binary, "mount", "-f", "-o", "passphrase-file=" + store.passphrase, store.dir, store.mnt],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        p.terminate()
        check(p.wait(15) is not None, "it ends")
        check(within(5, lambda: not os.path.ismount(store.mnt)), f"nothing is mounted after {delay} s")
    store.mount()


@case("mount 32")
def the_systemd_unit_runs(store):
    """There may be no systemd here: what it would do with the unit is done by hand."""
    store.umount()
    unit = open(UNIT).read().replace("@bindir@", os.path.dirname(store.binary))
    settings = dict(re.findall(r"^(\w+)=(.*)$", unit, re.M))
    same("notify", settings["Type"], "Type")
    same("/etc/holdfs/%i.conf", settings["EnvironmentFile"], "EnvironmentFile")
    conf = {"STORE": store.dir, "MNT": store.mnt, "OPTIONS": "passphrase-file=" + store.passphrase}
    words = [re.sub(r"\$\{(\w+)\}", lambda m: conf[m.group(1)], w) for w in settings["ExecStart"].split()]
    for name in (store.scratch + "/notify", "\0holdfs-test-%d" % os.getpid()):
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(name)
        notify.settimeout(30)
        p = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env={**store.env, "NOTIFY_SOCKET": name.replace("\0", "@")})
        state = notify.recv(4096).decode()
        same({"READY": "1", "MAINPID": str(p.pid)}, dict(line.split("=") for line in state.split("\n")), "what systemd is told")
        check(os.path.ismount(store.mnt), "ready means usable")
        p.send_signal(signal.SIGTERM)
        same("STOPPING=1", notify.recv(4096).decode(), "and at the end")
        same(0, p.wait(10), "exit status")
        notify.close()
    store.mount()


@case("mount 32")
def what_mount_fuse3_would_run(store):
    """Where /sbin has no mount.fuse.holdfs, mount.fuse3 runs `holdfs STORE MNT -o OPTIONS` by the shell, adding suid and dev."""
    store.umount()
    done = subprocess.run([store.binary, store.dir, store.mnt, "-o", f"rw,dev,suid,passphrase-file={store.passphrase}"],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    same((0, ""), (done.returncode, done.stderr), "exit status")
    pid = store.status()["pid"]
    options = next(line.split()[3] for line in open("/proc/self/mounts") if line.split()[1] == store.mnt)
    check("nosuid" in options and "nodev" in options, f"nobody asked for setuid programs: {options}")
    subprocess.run(["umount", store.mnt], check=True)
    check(ended(pid), "it ends")
    done = subprocess.run([store.binary, store.dir, store.mnt, "-o", "rw,passphrase-file=/nonexistent"], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    same(32, done.returncode, "exit status of a failure")
    store.mount()


main(fresh_bucket=False)
