#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The attested retention clock: a store that was off catches up by what its pinned time authorities sign, and by nothing else.

The authorities are `openssl ts` behind a server of Python's on 127.0.0.1, each with a certificate authority of its own; their date
is set by tests/lib/date.so. Needs a build with --enable-test-hooks.
"""
import http.server
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from holdfs import *

YEAR = 365 * 86400
SLACK = 30  # the authorities run on while the store's clock stands still
DAYS_IN_CERTIFICATE = "36500"
SCRATCH = tempfile.TemporaryDirectory(prefix="holdfs-tsa.")


def date_library():
    path = os.path.join(os.path.dirname(find_binary()), "tests/lib/date.so")
    if not os.path.exists(path):
        skip("no tests/lib/date.so: make check builds it")
    return path


class Clock:
    """The file behind HOLDFS_TEST_CLOCK."""

    def __init__(self):
        self.path = os.path.join(SCRATCH.name, "clock")
        self.boots = 0
        self.now = {"wall": 1_800_000_000.0, "mono": 1000.0, "raw": 1000.0, "boot": 1000.0}
        self.reboot()

    def save(self):
        with open(self.path + ".new", "w") as f:
            json.dump(self.now, f)
        os.rename(self.path + ".new", self.path)

    def reboot(self):
        self.boots += 1
        self.now.update(mono=1000.0, raw=1000.0, boot=1000.0, boot_id=f"11111111-2222-3333-4444-{self.boots:012d}")
        self.save()

    def passes(self, seconds):
        for name in ("wall", "mono", "raw", "boot"):
            self.now[name] += seconds
        self.save()


class Authority:
    """A time authority with its own root. `behave` says what it does with a question; `ahead` is how far its date is ahead."""

    def __init__(self, name):
        self.dir = os.path.join(SCRATCH.name, name)
        os.mkdir(self.dir)
        self.name, self.ahead, self.behave, self.asked, self.first = name, 0, "honest", 0, None
        self.lock = threading.Lock()
        self.root = self.certificates("root", "tsa")
        self.certificates("stranger", "strange-tsa")
        authority = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                authority.handle(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/tsr"

    @property
    def option(self):
        return f"{self.url},{self.root}"

    def path(self, name):
        return os.path.join(self.dir, name)

    def openssl(self, *args, env=None):
        done = subprocess.run(["openssl", *args], capture_output=True, env=dict(os.environ, **(env or {})))
        check(done.returncode == 0, f"openssl {' '.join(args)}: {done.stderr.decode()}")

    def certificates(self, root, tsa):
        """A root, and a certificate of it for time-stamps; the root's path."""
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-subj", f"/CN={self.name} {root}", "-days", DAYS_IN_CERTIFICATE,
                     "-keyout", self.path(root + ".key"), "-out", self.path(root + ".pem"))
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={self.name} {tsa}", "-keyout", self.path(tsa + ".key"),
                     "-out", self.path(tsa + ".csr"))
        with open(self.path("extensions"), "w") as f:
            f.write("extendedKeyUsage=critical,timeStamping\n")
        self.openssl("x509", "-req", "-in", self.path(tsa + ".csr"), "-CA", self.path(root + ".pem"), "-CAkey", self.path(root + ".key"),
                     "-CAcreateserial", "-days", DAYS_IN_CERTIFICATE, "-sha256", "-extfile", self.path("extensions"),
                     "-out", self.path(tsa + ".pem"))
        with open(self.path(tsa + ".conf"), "w") as f:
            f.write(f"[tsa]\ndefault_tsa=t\n[t]\nserial={self.path('serial')}\nsigner_cert={self.path(tsa + '.pem')}\n"
                    f"signer_key={self.path(tsa + '.key')}\nsigner_digest=sha256\ndefault_policy=1.2.3.4\ndigests=sha256\n"
                    "ess_cert_id_alg=sha256\n")
        return self.path(root + ".pem")

    def answer(self, question, tsa="tsa", ahead=None):
        with self.lock:
            with open(self.path("query"), "wb") as f:
                f.write(question)
            self.openssl("ts", "-reply", "-config", self.path(tsa + ".conf"), "-queryfile", self.path("query"), "-out", self.path("reply"),
                         env={"LD_PRELOAD": date_library(), "TEST_DATE_AHEAD": str(int(self.ahead if ahead is None else ahead))})
            return read(self.path("reply"))

    def handle(self, request, question):
        self.asked += 1
        behave = self.behave
        status, reply = 200, b""
        if behave == "old nonce":
            reply = self.first
        elif behave == "other nonce":  # the nonce's last byte stands before the BOOLEAN at the end
            reply = self.answer(question[:-4] + bytes([question[-4] ^ 1]) + question[-3:])
        elif behave == "other root":
            reply = self.answer(question, "strange-tsa")
        elif behave == "liar":
            reply = self.answer(question, ahead=self.ahead + 10 * YEAR)
        elif behave == "nonsense":
            reply = b"It is noon."
        elif behave == "endless":
            reply = bytes(1 << 20)
        elif behave == "down":
            status = 503
        elif behave == "moved":
            status = 302
        else:
            if behave.startswith("slow"):
                time.sleep(float(behave.split()[1]))
            reply = self.answer(question)
            self.first = self.first or reply
        try:
            request.send_response(status)
            if status == 302:
                request.send_header("Location", authorities[-1].url)
            request.send_header("Content-Type", "application/timestamp-reply")
            request.send_header("Content-Length", str(len(reply)))
            request.end_headers()
            request.wfile.write(reply)
        except OSError:
            pass  # whoever asked has gone


need("openssl")
clock = Clock()
authorities = []


def show(store):
    return json.loads(store.run("clock", "show", "--json", store.dir).stdout)


def near(want, got, slack, sentence):
    check(abs(want - got) <= slack, f"{sentence}: wanted {want} within {slack}, got {got}")


def behave(*manners):
    for authority, manner in zip(authorities, manners):
        authority.behave = manner


def off(store, seconds, *manners):
    """The machine is off for that long, its date right again afterwards; then mounted. The authorities behave so from then on: those
    who failed are asked again at once."""
    store.umount()
    clock.now["wall"] += seconds
    clock.reboot()
    for authority in authorities:
        authority.ahead += seconds
    behave(*manners)
    store.mount()


def rises(store, seconds, *manners, off_for=None, sentence="C"):
    """C rises by that much when the store was off for as long (or off_for); on a busy machine at the second time they are asked."""
    before = show(store)["c"]
    off(store, seconds if off_for is None else off_for, *manners)
    if seconds:
        within(30, lambda: show(store)["c"] >= before + seconds - SLACK)
    near(before + seconds, show(store)["c"], SLACK, sentence)


def locked(b, name, period):
    put(b, "bucket.object-lock", "Enabled")
    write(f"{b}/{name}", b"content")
    put(f"{b}/{name}", "retention", f"COMPLIANCE +{period}")
    return history(f"{b}/{name}")[0].path


@case("retention 3")
def off_for_a_year_it_catches_up(store, b):
    month, years = locked(b, "month", "30d"), locked(b, "years", "730d")
    refuses("EPERM", os.unlink, month)
    rises(store, YEAR, "honest", "honest", "honest")
    os.unlink(month)
    refuses("EPERM", os.unlink, years)
    shown = show(store)
    near(0, shown["lag_s"], SLACK, "the store's date is right again")
    same("attested", shown["kind"], "kind")
    same((2, 3), (shown["attested"]["needed"], shown["attested"]["agreed"]), "needed and agreed")
    same([a.url for a in authorities], [a["url"] for a in shown["attested"]["authorities"]], "the authorities")
    check(all(a["agrees"] and a["attested"] and not a["error"] for a in shown["attested"]["authorities"]), "all agree")
    check("CN=one root" in store.run("clock", "show", store.dir).stdout, "a person sees them too")
    check(not any("authorities" in w for w in store.status()["warnings"]), "no warning")


@case("retention 3")
def what_was_attested_survives_a_killed_daemon(store, b):
    rises(store, YEAR, "honest", "honest", "honest")
    before = show(store)["c"]
    store.kill()
    behave("down", "down", "down")
    store.mount()
    near(before, show(store)["c"], SLACK, "C")
    behave("honest", "honest", "honest")


@case("retention 3")
def two_of_three_are_enough(store, b):
    for manner in ("down", "nonsense", "endless", "moved", "old nonce", "other nonce", "other root"):
        rises(store, 90 * 86400, manner, "honest", "honest", sentence=f"C with one {manner}")


@case("retention 3")
def one_liar_of_three_moves_nothing(store, b):
    rises(store, 86400, "honest", "liar", "honest")

    def of_the_liar():
        return show(store)["attested"]["authorities"][1]["error"]
    within(30, lambda: "agree" in of_the_liar())
    error = of_the_liar()
    check("agree" in error, f"what is said of the liar: {error}")
    rises(store, 0, "down", "liar", "honest", off_for=86400, sentence="C with one down besides")
    rises(store, 86400, "honest", "honest", "honest", off_for=0, sentence="later it catches up")


@case("retention 3")
def bad_answers_advance_nothing(store, b):
    lock = locked(b, "f", "30d")
    words = {"old nonce": "refused", "other nonce": "nonce", "other root": "certificate", "nonsense": "response", "endless": "longer",
             "down": "503", "moved": "302"}
    for manner, word in words.items():
        rises(store, 0, manner, manner, manner, off_for=YEAR, sentence=f"C when all are {manner}")
        refuses("EPERM", os.unlink, lock)
        within(30, lambda: all(word in a["error"] for a in show(store)["attested"]["authorities"]))
        for a in show(store)["attested"]["authorities"]:
            check(word in a["error"] and not a["agrees"], f"what is said of {manner}: {a['error']}")
        check(any("authorities" in w for w in store.status()["warnings"]), "status warns")
    rises(store, len(words) * YEAR, "honest", "honest", "honest", off_for=0, sentence="later it catches up")


@case("retention 3")
def time_that_goes_back_lowers_nothing(store, b):
    for authority in authorities:
        authority.ahead -= 3 * YEAR
    rises(store, 0, "honest", "honest", "honest")
    for authority in authorities:
        authority.ahead += 3 * YEAR
    store.remount()


@case("retention 3")
def slow_ones_hold_up_no_mount_and_count_when_they_answer(store, b):
    before = show(store)["c"]
    store.umount()
    clock.reboot()
    for authority in authorities:
        authority.ahead += YEAR
    clock.now["wall"] += YEAR
    behave("slow 5", "slow 5", "slow 5")
    begun = time.monotonic()
    store.mount()
    check(time.monotonic() - begun < 5 * SLOW, f"mounted after {time.monotonic() - begun:.1f} s")
    near(before, show(store)["c"], SLACK, "C at first")
    check(within(30, lambda: show(store)["c"] > before + YEAR - 20), "C when they have answered")
    behave("slow 60", "slow 60", "slow 60")
    store.umount()
    store.mount()
    time.sleep(1.5)
    begun = time.monotonic()
    store.umount()
    check(time.monotonic() - begun < 5 * SLOW, f"unmounted after {time.monotonic() - begun:.1f} s")
    behave("honest", "honest", "honest")
    store.mount()


@case("retention 3")
def they_are_asked_again_each_day(store, b):
    asked, before = authorities[0].asked, show(store)["c"]
    for authority in authorities:
        authority.ahead += 2 * 86400
    clock.passes(86000)
    time.sleep(2.5)
    same(asked, authorities[0].asked, "questions within the day")
    clock.passes(401)
    check(within(20, lambda: authorities[0].asked > asked), "asked after a day")
    check(within(20, lambda: show(store)["c"] > before + 2 * 86400 - 20), "C rose by the two days that were attested")


@case("retention 3")
def without_a_mount_a_command_asks_when_it_changes_something(store, b):
    before = show(store)["c"]
    store.umount()
    clock.reboot()
    for authority in authorities:
        authority.ahead += YEAR
    asked = authorities[0].asked

    def closed_show():
        return json.loads(store.run("clock", "show", "--passphrase-file", store.passphrase, "--json", store.dir).stdout)
    near(before, closed_show()["c"], SLACK, "C, looked at")
    same(asked, authorities[0].asked, "questions of a command that only looks")
    store.run("gc", store.dir, secret=True)
    near(before + YEAR, closed_show()["c"], SLACK, "C after a command that writes")
    store.mount()


@case("retention 3")
def https_needs_a_server_that_the_machine_vouches_for(store, b):
    one = authorities[0]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(one.path("tsa.pem"), one.path("tsa.key"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"https://127.0.0.1:{server.server_address[1]}/,{one.root}"
    secure = Store("--test-store", "--retention-clock", "attested", "--time-authority", url, env=store.env).mount()
    error = show(secure)["attested"]["authorities"][0]["error"]
    check("SSL" in error or "certificate" in error, f"what is said of the server: {error}")
    secure.umount()
    server.shutdown()


@case("retention 3")
def the_start_is_the_first_agreement(store, b):
    behave("down", "down", "honest")
    late = Store("--test-store", *options(), env=store.env)
    behave("honest", "honest", "honest")
    store_on, clock_wall = late.mount(), clock.now["wall"]
    begun = show(store_on)["c"]
    near(clock_wall, begun, SLACK, "C is the date of init")
    rises(late, YEAR, "honest", "honest", "honest")
    late.umount()


@case("retention 3")
def holdfs_conf_does_not_choose_the_clock(store, b):
    store.umount()
    path = os.path.join(store.dir, "holdfs.conf")
    conf = read(path)
    for kind in (b"wall", b"strict"):
        write(path, conf.replace(b"= attested", b"= " + kind))
        status, words = store.try_mount()
        check(status == 1 and "attested" in words, f"mounted as {kind}: {status} {words}")
    write(path, conf)
    store.mount()


@case("retention 3")
def init_refuses_what_cannot_work(store, b):
    def init(*options):
        done = store.run("init", "--retention-clock", "attested", *options, os.path.join(store.scratch, "none"), secret=True, ok=False)
        check(done.returncode != 0 and done.stderr, f"init {options}")
        check(not os.path.exists(os.path.join(store.scratch, "none")), "nothing is made")
    one = authorities[0]
    init()
    init("--time-authority", one.url)
    init("--time-authority", f"ftp://127.0.0.1/,{one.root}")
    init("--time-authority", f"{one.url},/dev/null")
    init("--time-authority", one.option, "--time-authority", one.option)


def options():
    words = ["--retention-clock", "attested"]
    for authority in authorities:
        words += ["--time-authority", authority.option]
    return words


if __name__ == "__main__":
    word = os.path.join(SCRATCH.name, "passphrase")
    with open(os.open(word, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
        f.write(PASSPHRASE)
    done = subprocess.run([find_binary(), "init", "--passphrase-file", word, "--scrypt-log-n", "14", "--test-store", SCRATCH.name + "/probe"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        skip("this build has no test hooks (./configure --enable-test-hooks): " + done.stderr.strip())
    date_library()
    authorities += [Authority("one"), Authority("two"), Authority("three")]
    for authority in authorities:
        authority.ahead = int(clock.now["wall"] - time.time())
    main("--test-store", *options(), env={"HOLDFS_TEST_CLOCK": clock.path, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"})
