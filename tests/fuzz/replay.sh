#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs every fuzz target over its seeds and over what fuzzing once found: they are plain tests that way.
set -u
here=$(cd "$(dirname "$0")" && pwd)
programs=$(dirname "${HOLDFS:-$here/../../build/holdfs}")/tests/fuzz
failed=0
for source in "$here"/fuzz_*.c; do
    name=$(basename "$source" .c)
    mapfile -t inputs < <(find "$here/seeds/${name#fuzz_}" "$here/regressions/${name#fuzz_}" -type f 2>/dev/null | sort)
    if [ ${#inputs[@]} -eq 0 ]; then
        echo "FAIL $name has no seeds in tests/fuzz/seeds/${name#fuzz_}"
        failed=1
    elif "$programs/$name" "${inputs[@]}"; then
        echo "ok   $name (${#inputs[@]} inputs)"
    else
        echo "FAIL $name"
        failed=1
    fi
done
exit $failed
