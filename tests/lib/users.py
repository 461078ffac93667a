# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by the stories of who may: users with uids and policies of their own, and doing a thing as a uid."""
import errno
import json
import os
import pickle
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from holdfs import Broken, S3, check, same, shorten

ALICE, BOB, CAROL, NOBODY = 1001, 1002, 1003, 1099


def arn(path):
    return "arn:aws:s3:::" + path


def allow(actions, *resources, condition=None, effect="Allow", **more):
    """A statement; resources are BUCKET/KEY, or * for all."""
    names = [actions] if isinstance(actions, str) else list(actions)
    out = {"Effect": effect, "Action": [n if ":" in n or n == "*" else "s3:" + n for n in names],
           "Resource": [r if r == "*" or r.startswith("arn:") else arn(r) for r in (resources or ("*",))], **more}
    if condition:
        out["Condition"] = condition
    return out


def deny(actions, *resources, condition=None, **more):
    return allow(actions, *resources, condition=condition, effect="Deny", **more)


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Denied(OSError):
    pass


def act(uid, function, *args):
    """What the function returns when that uid calls it, in a process of its own; its OSError is raised here."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            os.chdir("/")
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.umask(0)
            try:
                answer = ("ok", function(*args))
            except OSError as e:
                answer = ("errno", e.errno)
            with os.fdopen(writer, "wb") as f:
                pickle.dump(answer, f)
            status = 0
        except BaseException as e:
            print(f"     as uid {uid}: {type(e).__name__}: {e}", flush=True)
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as f:
        data = f.read()
    same(0, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), f"exit of what uid {uid} did")
    kind, value = pickle.loads(data)
    if kind == "errno":
        raise OSError(value, os.strerror(value))
    return value


def outcome(uid, function, *args):
    """0, or the name of the errno."""
    try:
        act(uid, function, *args)
        return 0
    except OSError as e:
        return errno.errorcode[e.errno]


def works(uid, function, *args):
    got = outcome(uid, function, *args)
    if got:
        raise Broken(f"{getattr(function, '__name__', function)}{shorten(args)} by uid {uid}: wanted it to work, got {got}: {words(uid, args)}")


def denied(uid, function, *args, by="EACCES"):
    got = outcome(uid, function, *args)
    if got != by:
        raise Broken(f"{getattr(function, '__name__', function)}{shorten(args)} by uid {uid}: wanted {by}, got {got or 'that it works'}")


def words(uid, args):
    for path in args:
        if isinstance(path, str) and path.startswith("/"):
            where = path
            while where != "/" and not os.path.ismount(where):
                where = os.path.dirname(where)
            return last_error_of(uid, where)
    return ""


def last_error_of(uid, path):
    try:
        return act(uid, os.getxattr, path, S3 + "last-error").decode()
    except OSError:
        return ""


def forget(uid, path):
    try:
        act(uid, os.removexattr, path, S3 + "last-error")
    except OSError:
        pass


def as_uid(uid, store, *words):
    """A holdfs command of that uid; its CompletedProcess."""
    return subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", store.binary, *words],
                          capture_output=True, text=True, cwd="/", stdin=subprocess.DEVNULL, env=store.env)


class Users:
    """alice (uid 1001) and bob (1002) of the first account, carol (1003) of a second one; nobody has a policy."""

    def __init__(self, store):
        self.store = store
        os.chmod(store.scratch, 0o711)
        store.run("user", "create", "--uid", str(ALICE), store.mnt, "alice")
        store.run("user", "create", "--uid", str(BOB), store.mnt, "bob")
        store.run("account", "create", store.mnt, "second")
        store.run("user", "create", "--account", "second", "--uid", str(CAROL), store.mnt, "carol")
        self.account = json.loads(store.run("account", "show", "--json", store.mnt, "main").stdout)["id"]
        self.second = json.loads(store.run("account", "show", "--json", store.mnt, "second").stdout)["id"]

    def user_arn(self, name):
        return f"arn:aws:iam::{self.second if name == 'carol' else self.account}:user/{name}"

    def _account(self, name):
        return ["--account", "second"] if name == "carol" else []

    def policy(self, user, *statements, name="policy", ok=True):
        with tempfile.NamedTemporaryFile("w", dir=self.store.scratch) as f:
            f.write(document(*statements))
            f.flush()
            return self.store.run("user", "policy", *self._account(user), "--name", name, self.store.mnt, user, f.name, ok=ok)

    def no_policy(self, *users):
        for user in users or ("alice", "bob", "carol"):
            listed = json.loads(self.store.run("user", "policy", *self._account(user), "--list", "--json", self.store.mnt, user).stdout)
            for policy in listed["policies"]:
                self.store.run("user", "policy", *self._account(user), "--delete", policy["name"], self.store.mnt, user)

    def bucket_policy(self, bucket, *statements):
        os.setxattr(bucket, S3 + "bucket.policy", document(*statements).encode())

    def no_bucket_policy(self, bucket):
        try:
            os.removexattr(bucket, S3 + "bucket.policy")
        except OSError as e:
            if e.errno != errno.ENODATA:
                raise

    def can(self, user, action, resource, **context):
        """The answer of `user can`, as a dict."""
        words_ = []
        for key, value in context.items():
            words_ += ["--context", f"{key.replace('__', ':').replace('_', '-')}={value}"]
        who = [str(user)] if not isinstance(user, int) else []
        uid = ["--uid", str(user)] if isinstance(user, int) else []
        account = self._account(user) if isinstance(user, str) else []
        done = self.store.run("user", "can", "--json", *account, *uid, *words_, self.store.mnt, *who,
                              action if ":" in action else "s3:" + action, resource, ok=False)
        check(done.stdout, f"user can {user} {action} {resource}: {done.stderr}")
        answer = json.loads(done.stdout)
        same(0 if answer["allowed"] else 1, done.returncode, "exit status of user can")
        return answer

    def decides(self, want, user, action, resource, **context):
        got = self.can(user, action, resource, **context)
        if got["decision"] != want:
            raise Broken(f"user can {user} {action} {resource} {context}: wanted {want}, got {got}")
