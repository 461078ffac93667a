#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Help, manual pages and completion say the same, because they come from the same tables; help fits a screen."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from holdfs import find_binary

HOLDFS = find_binary()
DOC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "doc")

failures = 0


def check(sentence, condition, detail=""):
    global failures
    print(f"{'ok  ' if condition else 'FAIL'} {sentence}" + (f"\n{detail}" if not condition else ""), flush=True)
    failures += not condition


def run(*args):
    return subprocess.run([HOLDFS, *args], capture_output=True, text=True, stdin=subprocess.DEVNULL)


def verbs_of(command):
    """The command, and every verb below it."""
    out = run(*command, "--help").stdout
    yield command
    if "VERB --help" in out:
        name = " ".join(command)
        for verb in re.findall(rf"^(?:Usage:|      ) holdfs {name} ([a-z-]+)\b(?! \.\.\.)", out, re.M):
            yield from verbs_of([*command, verb])


def commands():
    """Every command and verb that --help of its parent lists."""
    overview = run("help").stdout
    for name in re.findall(r"^  (?!holdfs )([a-z-]+) +\S", overview, re.M):
        yield from verbs_of([name])


def table_part(page):
    text = open(os.path.join(DOC, page)).read()
    return re.search(r'^\.\\" tables begin\n(.*)^\.\\" tables end', text, re.M | re.S).group(1)


for command in commands():
    name = " ".join(command)
    help_run = run(*command, "--help")
    lines = help_run.stdout.rstrip("\n").split("\n")
    check(f"{name} --help: exit 0, nothing on stderr", help_run.returncode == 0 and not help_run.stderr)
    check(f"{name} --help fits 24 lines of 80 columns", len(lines) <= 24 and max(map(len, lines)) <= 79, help_run.stdout)
    examples = [line for line in lines[-2:] if line.startswith("  ") and "holdfs " in line]
    check(f"{name} --help ends with two examples", len(examples) == 2 and lines[-3] == "Examples:", help_run.stdout)
    for line in examples:
        words = line[line.index("holdfs "):].split("|")[0].split()[1:]
        words = words[2:] if words[0] == "--debug" else words
        check(f"the example of {name} names a command: {line.strip()}", run("help", words[0]).returncode == 0)
    wrong = run(*command, "--no-such-option")
    check(f"{name}: a wrong option exits 2 and is told on stderr", wrong.returncode == 2 and wrong.stderr and not wrong.stdout)

check("an unknown command exits 2", run("nosuch").returncode == 2)
check("no command exits 2", run().returncode == 2)
check("holdfs --version", run("--version").stdout.startswith("holdfs "))

manual = run("help", "--man").stdout
check("holdfs(1) has what the tables say (make man)", table_part("holdfs.1") == manual)
check("mount.fuse.holdfs(8) has what the table says (make man)", table_part("mount.fuse.holdfs.8") == run("help", "--man-mount").stdout)
plain = manual.replace("\\-", "-")
for command in commands():
    if "VERB --help" in run(*command, "--help").stdout:
        continue
    check(f"holdfs(1) tells of {' '.join(command)}", f'"holdfs {" ".join(command)}' in plain)

bash = run("help", "--completion", "bash").stdout


def completed(*words):
    script = bash + f'\nCOMP_WORDS=({" ".join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}; _holdfs; printf "%s\\n" "${{COMPREPLY[@]}}"'
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True).stdout.split()


check("bash completes commands", completed("holdfs", "in") == ["init"])
check("bash completes verbs", completed("holdfs", "bucket", "cr") == ["create"])
check("bash completes verbs of verbs", completed("holdfs", "user", "key", "rot") == ["rotate"])
check("bash completes their options", completed("holdfs", "user", "key", "rotate", "--gr") == ["--grace"])
check("bash completes options", completed("holdfs", "bucket", "create", "--obj") == ["--object-lock"])
check("bash completes values", completed("holdfs", "init", "--retention-clock", "st") == ["strict"])
if shutil.which("zsh"):
    zsh = run("help", "--completion", "zsh").stdout
    check("zsh reads its completion", subprocess.run(["zsh", "-n", "/dev/stdin"], input=zsh, text=True).returncode == 0)
if shutil.which("man"):
    for page in ("holdfs.1", "mount.fuse.holdfs.8", "holdfs-xattr.7"):
        out = subprocess.run(["man", "--warnings=all", "-l", os.path.join(DOC, page)], capture_output=True, text=True,
                             env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
        check(f"{page} is clean roff", out.returncode == 0 and not out.stderr, out.stderr)
sys.exit(1 if failures else 0)
