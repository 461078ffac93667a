# SPDX-License-Identifier: GPL-3.0-or-later
"""The file behind HOLDFS_TEST_CLOCK: time for stores made with init --test-store, in a build with --enable-test-hooks."""
import atexit
import json
import os
import tempfile

BOOT = "11111111-2222-3333-4444-555555555555"


class Clock:
    def __init__(self, wall=1_800_000_000.0):
        handle, self.path = tempfile.mkstemp(prefix="holdfs-clock.")
        os.close(handle)
        atexit.register(lambda: os.path.exists(self.path) and os.unlink(self.path))
        self.now = {"wall": wall, "mono": 1000.0, "raw": 1000.0, "boot": 1000.0, "boot_id": BOOT}
        self.save()

    def save(self):
        with open(self.path + ".new", "w") as f:
            json.dump(self.now, f)
        os.rename(self.path + ".new", self.path)

    def passes(self, seconds, **rates):
        """Time goes by on every clock, at the given rate for some."""
        for name in ("wall", "mono", "raw", "boot"):
            self.now[name] += seconds * rates.get(name, 1)
        self.save()

    def set(self, **values):
        self.now.update(values)
        self.save()
