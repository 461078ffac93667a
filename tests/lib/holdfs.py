# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by the Python tests: makes stores, mounts them, kills daemons, looks at versions, runs a story's cases.

A story is a file of functions decorated with @case("retention 12"); main() runs them in order, each with a fresh bucket on
one mount, prints a line for each and goes on after a failure. What was mounted or started goes when the story ends.
The daemon stays in the foreground (-f), so its pid is known and its log is shown when something failed.
"""
import atexit
import contextlib
import errno
import faulthandler
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import traceback

TESTS_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PASSPHRASE = b"correct horse battery staple\n"
S3 = "user.s3."
SLOW = int(os.environ.get("HOLDFS_TEST_SLOW", 1))  # stretches every limit of time, for builds that are so many times slower


def skip(reason):
    print("SKIP", reason, flush=True)
    sys.exit(77)


def find_binary():
    candidates = [os.environ.get("HOLDFS"), os.path.join(os.environ.get("abs_top_builddir", "/nonexistent"), "holdfs"),
                  os.path.join(TESTS_DIR, "../build/holdfs"), os.path.join(TESTS_DIR, "../holdfs")]
    for path in candidates:
        if path and os.access(path, os.X_OK):
            return within_reach(os.path.realpath(path))
    skip("no holdfs binary: build it first, or name it in HOLDFS")


@functools.cache
def within_reach(binary):
    """The binary itself, or where other users cannot get at it (a clone in /root), a copy that they can, beside the same tests/."""
    parts = [p for p in pathlib.Path(binary).parents if not p.stat().st_mode & stat.S_IXOTH]
    if not parts or os.getuid() != 0:
        return binary
    copy = tempfile.mkdtemp(prefix="holdfs-test-bin.")
    atexit.register(shutil.rmtree, copy, True)
    os.chmod(copy, 0o755)
    os.symlink(os.path.join(os.path.dirname(binary), "tests"), os.path.join(copy, "tests"))
    return shutil.copy(binary, copy)


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            skip(program + " is not installed")


class Broken(AssertionError):
    """An outcome that differs from the rule."""


def check(condition, sentence):
    if not condition:
        raise Broken(sentence)


def same(want, got, sentence):
    if want != got:
        raise Broken(f"{sentence}: wanted {shorten(want)}, got {shorten(got)}")


def shorten(value):
    text = repr(value)
    return text if len(text) < 300 else text[:200] + "..." + text[-60:]


def refuses(name, function, *args, **kwargs):
    """The call fails with the errno of that name (or one of a tuple of names)."""
    names = (name,) if isinstance(name, str) else name
    what = f"{getattr(function, '__name__', function)}{shorten(args)}"
    try:
        function(*args, **kwargs)
    except OSError as e:
        if e.errno not in [getattr(errno, n) for n in names]:
            raise Broken(f"{what}: wanted {'/'.join(names)}, got {errno.errorcode.get(e.errno, e.errno)}") from None
        return
    raise Broken(f"{what}: wanted {'/'.join(names)}, but it succeeded")


def within(seconds, function):
    """Polls until the function returns something true."""
    deadline = time.monotonic() + seconds * SLOW
    while True:
        value = function()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.02)


def write(path, data, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
    fd = os.open(path, flags, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]
    finally:
        os.close(fd)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def listed(path):
    return sorted(os.listdir(path))


def get(path, name):
    return os.getxattr(path, S3 + name, follow_symlinks=False).decode()


def put(path, name, value, flags=0):
    os.setxattr(path, S3 + name, value.encode() if isinstance(value, str) else value, flags, follow_symlinks=False)


def drop(path, name):
    os.removexattr(path, S3 + name, follow_symlinks=False)


def settle(path):
    put(path, "settle", "now")


def last_error(path):
    try:
        return get(path, "last-error")
    except OSError:
        return ""


class Version:
    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)
        self.id = self.name.rsplit(".", 1)[1]

    @property
    def marker(self):
        if not stat.S_ISREG(os.lstat(self.path).st_mode):
            return False  # the VFS allows no user.* on links and special files
        try:
            return get(self.path, "delete-marker") == "true"
        except OSError as e:
            if e.errno != errno.ENODATA:
                raise
            return False

    @property
    def data(self):
        return read(self.path)


def history(path):
    """The versions of a path, oldest first, delete markers among them."""
    directory, name = os.path.split(path)
    base = os.path.join(directory, ".versions", name)
    try:
        names = os.listdir(base)
    except FileNotFoundError:
        return []
    same(sorted(names), names, f"{base} is listed oldest first")
    return [Version(os.path.join(base, n)) for n in names if not stat.S_ISDIR(os.lstat(os.path.join(base, n)).st_mode)]


def shape(path):
    """The history as one word: v for a version, M for a delete marker; oldest first."""
    return "".join("M" if v.marker else "v" for v in history(path))


def drop_caches():
    if os.geteuid() == 0:
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3\n")


def tree_bytes(path):
    return sum(os.lstat(os.path.join(d, f)).st_size for d, _, files in os.walk(path) for f in files)


def process_state(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


class Store:
    """One store in a scratch directory of its own, and its mount."""

    live = []

    def __init__(self, *init_options, base=None, env=None):
        self.binary = find_binary()
        if not os.path.exists("/dev/fuse"):
            skip("no /dev/fuse here: load the fuse module, or give the container the device")
        self.scratch = base or tempfile.mkdtemp(prefix="holdfs-test.")
        self.own_scratch = base is None
        self.dir = os.path.join(self.scratch, "store")
        self.mnt = os.path.join(self.scratch, "mnt")
        self.passphrase = os.path.join(self.scratch, "passphrase")
        self.log = os.path.join(self.scratch, "daemon.log")
        self.env = dict(os.environ, **(env or {}))
        self.env.pop("HOLDFS_PASSPHRASE_FILE", None)
        self.daemon = None
        self.options = ""
        os.makedirs(self.mnt, exist_ok=True)
        with open(os.open(self.passphrase, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
            f.write(PASSPHRASE)
        Store.live.append(self)
        self.run("init", "--scrypt-log-n", "14", *init_options, self.dir, secret=True)

    def run(self, *args, secret=False, ok=True, timeout=120):
        """A holdfs command; its CompletedProcess. With ok, exit 0 is demanded."""
        words = [self.binary, args[0]] + (["--passphrase-file", self.passphrase] if secret else []) + list(args[1:])
        done = subprocess.run(words, capture_output=True, text=True, env=self.env, stdin=subprocess.DEVNULL, timeout=timeout * SLOW)
        if ok and done.returncode != 0:
            raise Broken(f"holdfs {' '.join(args)}: exit {done.returncode}: {done.stderr.strip()}")
        return done

    def mount_command(self, options=""):
        opts = f"passphrase-file={self.passphrase}" + (f",{options}" if options else "")
        return [self.binary, "mount", "-f", "-o", opts, self.dir, self.mnt]

    def mount(self, options=None, env=None):
        self.options = self.options if options is None else options
        log = open(self.log, "ab")
        self.daemon = subprocess.Popen(self.mount_command(self.options), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env=dict(self.env, **(env or {})))
        log.close()
        if not within(60, lambda: os.path.ismount(self.mnt) or self.daemon.poll() is not None) or self.daemon.poll() is not None:
            raise Broken("mount failed: " + self.log_tail())
        return self

    def try_mount(self, options=""):
        """Mounts where refusal is expected: the exit status and stderr, or (None, "") when it is mounted."""
        p = subprocess.Popen(self.mount_command(options), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True, env=self.env)
        within(60, lambda: os.path.ismount(self.mnt) or p.poll() is not None)
        if p.poll() is None:
            self.daemon = p
            return None, ""
        return p.returncode, p.stderr.read()

    def umount(self):
        done = subprocess.run(["umount", self.mnt], capture_output=True, text=True)
        check(done.returncode == 0, f"umount: {done.stderr}")
        self.wait()

    def wait(self, seconds=60):
        try:
            status = self.daemon.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            raise Broken(f"the daemon did not end within {seconds * SLOW} s of umount") from None
        self.daemon = None
        same(0, status, "exit status of the daemon")

    def remount(self, options=None, **kwargs):
        self.umount()
        return self.mount(options, **kwargs)

    def kill(self):
        """kill -9 the daemon and take the dead mount away."""
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()
        self.daemon = None
        subprocess.run(["umount", "-l", self.mnt], check=True)

    def metadata(self):
        """name -> bytes of the metadata files; the store is closed."""
        return {n: read(os.path.join(self.dir, n)) for n in os.listdir(self.dir) if n.startswith("meta.")}

    def put_metadata(self, files):
        """Makes the metadata files just these."""
        for name in self.metadata():
            os.unlink(os.path.join(self.dir, name))
        for name, data in files.items():
            with open(os.open(os.path.join(self.dir, name), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
                f.write(data)

    def bucket(self, name, **properties):
        path = os.path.join(self.mnt, name)
        os.mkdir(path)
        for key, value in properties.items():
            put(path, "bucket." + key.replace("_", "-"), value)
        return path

    def segment_bytes(self):
        return tree_bytes(os.path.join(self.dir, "segments"))

    def store_bytes(self):
        return tree_bytes(self.dir)

    def status(self):
        return json.loads(self.run("status", "--json", self.dir).stdout)

    def log_tail(self, lines=20):
        with contextlib.suppress(FileNotFoundError), open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-lines:])
        return ""

    def end_daemon(self):
        """Whatever its state: nothing is mounted and no daemon runs afterwards."""
        subprocess.run(["umount", "-l", self.mnt], capture_output=True)
        if self.daemon:
            try:
                self.daemon.wait(15 * SLOW)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
            self.daemon = None
        subprocess.run(["umount", "-l", self.mnt], capture_output=True)

    def remove(self):
        self.end_daemon()
        if self.own_scratch and not os.environ.get("HOLDFS_TEST_KEEP"):
            shutil.rmtree(self.scratch, ignore_errors=True)


# ---- other processes ----

def child(function, *args):
    """Runs the function in a process of its own, which ends with it whatever happens; its pid."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        function(*args)
        status = 0
    except BaseException as e:
        print(f"     in a child of the test: {type(e).__name__}: {e}", flush=True)
    finally:
        os._exit(status)


def ended_well(*pids):
    same([0] * len(pids), [os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in pids], "exits of the processes")


# ---- running a story ----

cases = []


def case(numbers):
    """Marks a function as one case; its name, with spaces, is the rule it shows."""
    def mark(function):
        cases.append((numbers, function))
        return function
    return mark


def _hang(seconds):
    print(f"FAIL the test took more than {seconds} s and was ended", flush=True)
    faulthandler.dump_traceback(all_threads=True)
    for store in Store.live:
        subprocess.run(["umount", "-f", "-l", store.mnt], capture_output=True)
        if store.daemon:
            store.daemon.kill()
        if store.own_scratch:
            shutil.rmtree(store.scratch, ignore_errors=True)
    os._exit(1)


def guard(seconds=None):
    """Ends a test that hangs, and cleans up behind it."""
    seconds = float(os.environ.get("HOLDFS_TEST_TIMEOUT", seconds or 300)) * SLOW
    timer = threading.Timer(seconds, _hang, [seconds])
    timer.daemon = True
    timer.start()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))


@atexit.register
def _leave_nothing():
    for store in Store.live:
        store.remove()


def run_cases(store, fresh_bucket=True, only=None):
    """Runs the cases: each gets the store and, with fresh_bucket, a bucket's path. Returns how many failed."""
    failed = 0
    wanted = only or sys.argv[1:]
    for index, (numbers, function) in enumerate(cases):
        title = f"{numbers}: {function.__name__.replace('_', ' ')}"
        if wanted and not any(w in title or w in function.__name__ for w in wanted):
            continue
        begun = time.monotonic()
        try:
            if fresh_bucket:
                function(store, store.bucket(f"case-{index:02d}"))
            else:
                function(store)
            print(f"ok   {title} ({time.monotonic() - begun:.1f} s)", flush=True)
        except Exception as e:
            failed += 1
            where = [f for f in traceback.extract_tb(e.__traceback__) if os.path.dirname(f.filename) != os.path.dirname(__file__)]
            at = f"{os.path.basename(where[-1].filename)}:{where[-1].lineno}" if where else "?"
            print(f"FAIL {title}\n     {at}: {type(e).__name__}: {e}", flush=True)
            if not isinstance(e, (Broken, OSError)):
                traceback.print_exc(file=sys.stdout)
            if not store.daemon or store.daemon.poll() is not None or not os.path.ismount(store.mnt):
                ended = store.daemon and within(5, lambda: store.daemon.poll() is not None) and store.daemon.returncode
                print(f"     the store is not mounted any more; the daemon ended with {ended}; its log ends:\n{store.log_tail()}", flush=True)
                with contextlib.suppress(Exception):
                    store.end_daemon()
                    store.mount()
    return failed


def main(*init_options, options="", timeout=None, env=None, fresh_bucket=True):
    guard(timeout)
    store = Store(*init_options, env=env).mount(options)
    failed = run_cases(store, fresh_bucket)
    if store.daemon and store.daemon.poll() is None and os.path.ismount(store.mnt):
        try:
            store.umount()
        except Broken as e:
            print("FAIL", e)
            failed += 1
    if failed:
        print("the daemon's log ends:\n" + store.log_tail())
    sys.exit(1 if failed else 0)
