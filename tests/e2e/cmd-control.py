#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control socket: commands reach the daemon, each judged as its own uid; what no command would send harms nobody."""
import json
import os
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from holdfs import Store, case, check, find_binary, main, need, put, same, within, write


def connect(store):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(os.path.join(store.dir, "control"))
    return s


def lines(s):
    return [json.loads(line) for line in s.makefile()]


def ask(store, request):
    with connect(store) as s:
        s.sendall(request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n")
        s.shutdown(socket.SHUT_WR)
        return lines(s)


@case("mount §1")
def the_socket_is_open_to_all_and_the_rest_to_the_owner(store, bucket):
    same(0o711, os.stat(store.dir).st_mode & 0o777, "mode of the store")
    for name in os.listdir(store.dir):
        mode = os.lstat(os.path.join(store.dir, name)).st_mode & 0o777
        check(mode == 0o666 if name == "control" else mode in (0o600, 0o700), f"mode of {name}: {mode:o}")


@case("mount §1")
def a_command_means_the_same_by_mount_and_by_store(store, bucket):
    write(bucket + "/f", b"x")
    name = os.path.basename(bucket)
    by_mount = store.run("versions", "--json", bucket + "/f").stdout
    by_store = store.run("versions", "--json", f"{store.dir}/{name}/f").stdout
    same(by_mount, by_store, "versions")
    same(1, len(json.loads(by_mount)["versions"]), "number of versions")
    here = subprocess.run([store.binary, "versions", "--json", "f"], cwd=bucket, capture_output=True, text=True)
    same(by_mount, here.stdout, "versions by a relative path")


@case("mount §1")
def buckets_are_made_set_and_removed(store, bucket):
    path = store.mnt + "/by-command"
    store.run("bucket", "create", "--object-lock", path)
    check("by-command" in os.listdir(store.mnt), "the bucket shows")
    store.run("bucket", "set", path, "settle=0")
    info = json.loads(store.run("bucket", "info", "--json", path).stdout)
    same("by-command", info["name"], "its name")
    done = store.run("bucket", "set", path, "settle=never", ok=False)
    same(1, done.returncode, "exit status for a wrong value")
    check("settle" in done.stderr, f"which is named: {done.stderr}")
    check("by-command" in store.run("bucket", "list", store.mnt).stdout, "it is listed")
    write(path + "/f", b"x")
    done = store.run("bucket", "delete", path, ok=False)
    same(1, done.returncode, "exit status for one that is not empty")
    store.run("bucket", "delete", "--force", path)
    check("by-command" not in os.listdir(store.mnt), "it is gone")


@case("retention §2.6, 2.8")
def locks_are_set_and_stand_against_commands(store, bucket):
    name = os.path.basename(bucket)
    put(bucket, "bucket.object-lock", "Enabled")
    write(bucket + "/f", b"x")
    store.run("retention", "set", bucket + "/f", "GOVERNANCE", "+1h")
    done = store.run("bucket", "delete", "--force", bucket, ok=False)
    same(1, done.returncode, "exit status of bucket delete --force with a lock in it")
    check("f" in done.stderr, f"the locked key is named: {done.stderr}")
    check("GOVERNANCE" in store.run("versions", bucket + "/f").stdout, "versions shows the lock")
    same(1, store.run("retention", "set", bucket + "/f", "none", ok=False).returncode, "exit status of lifting it")
    store.run("retention", "set", "--bypass-governance-retention", bucket + "/f", "none")
    check("GOVERNANCE" not in store.run("versions", bucket + "/f").stdout, "with a bypass it is lifted")
    store.run("legal-hold", "on", bucket + "/f")
    check("HOLD" in store.run("versions", f"{store.dir}/{name}/f").stdout, "versions shows the hold")
    store.run("legal-hold", "off", bucket + "/f")
    same(2, store.run("retention", "set", bucket + "/f", "COMPLIANCE", ok=False).returncode, "exit status without a date")


@case("mount §1")
def a_version_is_named_by_option_or_by_path(store, bucket):
    put(bucket, "bucket.object-lock", "Enabled")
    for data in (b"1", b"22"):
        write(bucket + "/f", data)
    old = json.loads(store.run("versions", "--json", bucket + "/f").stdout)["versions"][-1]
    same(1, old["size_bytes"], "size of the older one")
    by_id = json.loads(store.run("stat", "--json", "--version-id", old["version_id"], bucket + "/f").stdout)
    by_path = json.loads(store.run("stat", "--json", f"{bucket}/.versions/f/{old['name']}").stdout)
    same(by_id, by_path, "what stat tells")
    store.run("legal-hold", "on", "--version-id", old["version_id"], bucket + "/f")
    states = [v["legal_hold"] for v in json.loads(store.run("versions", "--json", bucket + "/f").stdout)["versions"]]
    same([False, True], states, "holds, newest first")
    store.run("legal-hold", "off", "--version-id", old["version_id"], bucket + "/f")


@case("mount §7")
def another_uid_is_judged_as_itself(store, bucket):
    need("setpriv")
    if os.geteuid() != 0:
        return
    write(bucket + "/f", b"x")
    os.chmod(store.scratch, 0o711)
    name = os.path.basename(bucket)
    for words in (["bucket", "delete", "--force", f"{store.dir}/{name}"], ["gc", store.dir], ["fsck", store.dir], ["status", store.dir],
                  ["bucket", "create", f"{store.dir}/theirs"], ["versions", f"{store.dir}/{name}/f"], ["compact", "--stop", store.dir]):
        done = subprocess.run(["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", store.binary, *words],
                              capture_output=True, text=True, cwd="/")
        same(1, done.returncode, f"exit status of {words} by nobody: {done.stdout}{done.stderr}")
    check("theirs" not in os.listdir(store.mnt), "no bucket was made")


@case("mount §1")
def nonsense_is_answered_and_the_daemon_lives(store, bucket):
    for request in (b"\n", b"{}\n", b"[1]\n", b"x" * 5000 + b"\n", b'{"v":1,"op":"status"}\n', b'{"v":1,"op":"nosuch","args":{}}\n',
                    b'{"v":2,"op":"status","args":{}}\n', b'{"v":1,"op":"export","args":{}}\n', b'{"v":1,"op":"restore","args":{"paths":"x"}}\n', 
                    b'{"v":1,"op":"versions","args":{"path":7}}\n', b'{"v":1,"op":"versions","args":{"path":"' + b"a/" * 4000 + b'"}}\n',
                    b'{"v":1,"op":"stat","args":{"path":"b/.versions/.versions/x"}}\n', b'{"a":' * 3000 + b"\n"):
        answers = ask(store, request)
        same([False], [a["ok"] for a in answers], f"answer to {request[:60]}")
        check(answers[0]["error"], "in words")
    check(ask(store, {"v": 1, "op": "status", "args": {}})[0]["ok"], "the daemon answers")


@case("mount §1")
def peers_that_stall_keep_nobody_out_for_long(store, bucket):
    stalled = []
    while len(stalled) < 100:
        try:
            stalled.append(connect(store))
        except BlockingIOError:  # the queue of those not yet accepted is full
            time.sleep(0.01)
    done = store.run("status", store.dir, ok=False)
    check(done.returncode == 1 and "try again" in done.stderr, f"a command is turned away in words: {done.stderr}")
    for s in stalled:
        try:
            s.sendall(b'{"v":1,')
        except OSError:
            pass
    for s in stalled:
        s.close()
    check(within(20, lambda: store.run("status", store.dir, ok=False).returncode == 0), "the daemon answers again")


@case("mount §1")
def commands_run_side_by_side(store, bucket):
    results = []

    def worker(number):
        write(f"{bucket}/f{number}", b"x")
        results.append(json.loads(store.run("versions", "--json", f"{bucket}/f{number}").stdout)["versions"][0]["latest"])
    threads = [threading.Thread(target=worker, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    same([True] * 8, results, "answers")


@case("mount §1")
def export_and_import_go_through_the_callers_file(store, bucket):
    write(bucket + "/f", b"one")
    write(bucket + "/f", b"two")
    stream = store.scratch + "/stream"
    store.run("export", "-o", stream, bucket)
    store.run("import", "-i", stream, store.mnt + "/imported")
    with open(store.mnt + "/imported/f", "rb") as f:
        same(b"two", f.read(), "content")
    same(2, len(json.loads(store.run("versions", "--json", store.mnt + "/imported/f").stdout)["versions"]), "versions")
    same(1, store.run("export", "-o", stream, bucket, ok=False).returncode, "exit status for a file that is there")


@case("mount §1")
def without_a_daemon_the_command_opens_the_store(store, bucket):
    name = os.path.basename(bucket)
    write(bucket + "/f", b"x")
    store.umount()
    check(not os.path.exists(store.dir + "/control"), "the socket is gone")
    closed = json.loads(store.run("status", "--json", store.dir).stdout)
    same(False, closed["open"], "status without a secret")
    same(1, len(json.loads(store.run("versions", "--json", f"{store.dir}/{name}/f", secret=True).stdout)["versions"]), "versions")
    secret = ("--passphrase-file", store.passphrase)
    store.run("bucket", "create", *secret, store.dir + "/made-while-closed")
    same(1, store.run("retention", "bypass", *secret, f"{store.dir}/{name}/f", ok=False).returncode, "bypass without a mount")
    store.mount()
    check("made-while-closed" in os.listdir(store.mnt), "the bucket is there")


main()
