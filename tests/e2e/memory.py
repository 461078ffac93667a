#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys in memory: none in a core dump of the daemon, none in what other processes see of it, nothing on the disk of one that crashed.

Cases: encryption 1.6, 73* (of the store's own keys). What to look for is derived by contrib/holdfs-read, which knows the keys from the format page.
"""
import glob
import importlib.machinery
import importlib.util
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from holdfs import *

try:
    loader = importlib.machinery.SourceFileLoader("holdfs_read", os.path.join(os.path.dirname(__file__), "../../contrib/holdfs-read"))
    sys.dont_write_bytecode = True
    reader = importlib.util.module_from_spec(importlib.util.spec_from_loader("holdfs_read", loader))
    loader.exec_module(reader)
except ImportError as e:
    skip(f"{e}: the keys to look for cannot be derived")


def secrets_of(store):
    """name -> bytes of everything that opens something; of a store that is closed."""
    opened = reader.Store(store.dir, (1,), PASSPHRASE.strip())
    header = opened.header
    found = {"passphrase": PASSPHRASE.strip(), "master key": header.master}
    for slot in header.json["slots"]:
        if slot["kind"] == 1:
            found["slot key"] = reader.slot_key(slot, (1,), PASSPHRASE.strip())
    for purpose in ("header", f"page/{header.json['page_gen']}", "audit", "anchor"):
        found[f"{purpose} key"] = header.purpose(purpose)
    for e in header.json["epochs"]:
        found[f"root of epoch {e['e']}"] = reader.hkdf(header.master, header.store + reader.base64.b64decode(e["secret"]), b"holdfs/v1/kek-root")
    for row in opened.db.execute("SELECT id, version, kind, epoch, bucket, wrapped FROM kek"):
        kek_id, version, kind, epoch, bucket, wrapped = row
        aad = b"holdfs/v1/kek\0" + header.store + kek_id + reader.struct.pack(">BIQ", kind, version, epoch) + bucket
        found[f"bucket key {kek_id.hex()[:8]}"] = header.kek_root(epoch).open_sealed(wrapped, aad)
    for number, _, _, _, _, _, record, data in opened.versions():
        for dek in record["map"][1] if record["map"] and len(opened.deks) < 4 else ():
            found[f"data key {dek['id'].hex()[:8]}"] = opened.dek(number, record, dek)
    check(len(found) > 10, f"secrets to look for: {sorted(found)}")
    return found


def pieces(secrets):
    """What would give a secret away: half of it."""
    return ((name, value[:16]) for name, value in secrets.items())


def pieces_in_text(secrets):
    """The same in what is printed."""
    for name, value in secrets.items():
        yield name, value[:16]
        yield f"{name} in hexadecimal", value[:16].hex().encode()
        yield f"{name} in base64", reader.base64.b64encode(value)[:20]


def dumped(pid):
    """Bytes of all that a core dump would hold: mappings that are not kept out of one (VmFlags dd, proc(5))."""
    ranges, this = [], None
    with open(f"/proc/{pid}/smaps") as f:
        for line in f:
            words = line.split()
            if not words[0].endswith(":"):
                this = [int(x, 16) for x in words[0].split("-")] + [words[1], words[-1]]
            elif words[0] == "VmFlags:" and "dd" not in words and "io" not in words and "w" in this[2]:
                ranges.append(this)
    with open(f"/proc/{pid}/mem", "rb") as mem:
        for low, high, _, name in ranges:
            mem.seek(low)
            try:
                yield f"{name} at {low:x}", mem.read(high - low)
            except OSError:
                continue # the stack's guard


def look(what, where, text, secrets, as_text=False):
    for name, piece in pieces_in_text(secrets) if as_text else pieces(secrets):
        at = text.find(piece)
        if at >= 0:
            raise Broken(f"{what}: the {name} is in {where}")


def work(store, b):
    other = b + "-2"
    os.mkdir(other)
    for n in range(8):
        write(f"{b}/f{n}", b"content of a file " * (n * 97 + 1))
        write(f"{other}/f{n}", os.urandom(70000))
    for n in range(8):
        read(f"{b}/f{n}")
        same(70000, len(read(f"{other}/f{n}")), "size")
    os.rename(f"{b}/f1", f"{b}/renamed")
    store.run("status", store.mnt)
    store.run("bucket", "rotate-key", f"{b}")
    write(f"{b}/after", b"under a new key" * 1000)


@case("encryption 1.6")
def no_secret_is_in_a_core_dump(store, b):
    work(store, b)
    store.umount()
    secrets = secrets_of(store)
    store.mount()
    for n in range(2, 8):
        read(f"{b}/f{n}")
        read(f"{b}-2/f{n}")
    write(f"{b}/new", b"x" * 300000)
    fd = os.open(f"{b}/open", os.O_CREAT | os.O_RDWR)
    os.write(fd, b"held open" * 10000)
    os.fsync(fd)
    seen = 0
    for where, text in dumped(store.daemon.pid):
        look("memory", where, text, secrets)
        seen += len(text)
    check(seen > 1 << 20, f"memory was looked at: {seen} bytes")
    os.close(fd)


@case("encryption 1.6")
def nor_in_one_that_gcore_makes(store, b):
    if not shutil.which("gcore"):
        return
    work(store, b)
    store.umount()
    secrets = secrets_of(store)
    store.mount()
    read(f"{b}/f3")
    core = f"{store.scratch}/core"
    done = subprocess.run(["gcore", "-o", core, str(store.daemon.pid)], capture_output=True, text=True)
    files = glob.glob(core + "*")
    if not files:
        print(f"     gcore makes no core here: {done.stderr.strip()[-200:]}")
        return
    try:
        look("gcore", files[0], read(files[0]), secrets)
    finally:
        os.unlink(files[0])


@case("encryption 1.6")
def a_daemon_that_crashes_leaves_none(store, b):
    store.umount()
    os.chdir(store.scratch)
    store.mount()
    with open(f"/proc/{store.daemon.pid}/limits") as f:
        check("Max core file size" in f.read(), "limits")
    subprocess.run(["prlimit", "--core=unlimited", "--pid", str(store.daemon.pid)], check=False)
    store.daemon.send_signal(signal.SIGABRT)
    store.daemon.wait(20)
    store.daemon = None
    subprocess.run(["umount", "-l", store.mnt], check=True)
    same([], glob.glob("core*") + glob.glob(f"{store.dir}/core*"), "core files")
    store.mount()


@case("encryption 1.6")
def nothing_secret_is_in_its_arguments_environment_or_log(store, b):
    work(store, b)
    pid = store.daemon.pid
    around = read(f"/proc/{pid}/cmdline") + read(f"/proc/{pid}/environ")
    shown = store.run("status", "--json", store.mnt).stdout + store.run("bucket", "list", "--json", store.mnt).stdout + \
        store.run("key", "list-slots", "--json", store.dir).stdout + store.run("debug", "object", f"{b}/after").stdout
    store.umount()
    secrets = secrets_of(store)
    look("arguments and environment", "/proc", around, secrets, True)
    look("what commands print", "their output", shown.encode(), secrets, True)
    look("the log", "it", store.log_tail(100000).encode(), secrets, True)
    store.mount()


if __name__ == "__main__":
    main()
