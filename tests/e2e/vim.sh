#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Editors on the mount: vim in its ways of saving, sed -i, and what they leave in the history.
# Cases: mount 8; retention 18*.
. "$(dirname "$0")/../lib/holdfs.sh"
need vim sed

store_new
store_mount
B=$MNT/bkt
export HOME=$T
edit() { vim -u NONE -i NONE -N -e -s -c 'set backupskip=' "${@:2}" -c '%s/old/new/' -c 'wq' "$1" </dev/null; }
fresh() { mkdir "$1" && echo "old text" >"$1/f" && settle "$1/f"; }
kinds() { # one word for a history: v for a version, M for a marker
    local n kinds=""
    for n in $(seq "$(versions "$1")"); do
        if is_marker "$(version_path "$1" "$n")"; then kinds+=M; else kinds+=v; fi
    done
    echo "$kinds"
}
mkdir "$B"

fresh "$B/default"
check "vim saves" edit "$B/default/f" -c 'set writebackup backupcopy=no'
is "the text" "new text" "$(cat "$B/default/f")"
is "f: the old version, a marker, the new version" vMv "$(kinds "$B/default/f")"
is "the old text is in the history" "old text" "$(cat "$(version_path "$B/default/f" 1)")"
is "nothing under f~ or 4913" "" "$(names_in "$B/default/.versions" | grep -E '~$|^4913$')"

fresh "$B/copy"
check "vim with backupcopy=yes" edit "$B/copy/f" -c 'set writebackup backupcopy=yes'
is "adds one version" vv "$(kinds "$B/copy/f")"
is "the text" "new text" "$(cat "$B/copy/f")"

fresh "$B/backup"
check "vim keeping a backup" edit "$B/backup/f" -c 'set backup backupcopy=no'
is "f~ has the old text" "old text" "$(cat "$B/backup/f~")"

fresh "$B/sed"
check "sed -i" sed -i s/old/new/ "$B/sed/f"
is "adds one version" vv "$(kinds "$B/sed/f")"
is "no temporary name has a history" f "$(names_in "$B/sed/.versions" | xargs)"

fresh "$B/fsync"
check "vim with fsync" edit "$B/fsync/f" -c 'set fsync writebackup backupcopy=no'
is "the same history" vMv "$(kinds "$B/fsync/f")"
store_remount
is "all texts are there after a remount" "new text new text new text new text" "$(cat "$B"/{default,copy,sed,fsync}/f | xargs)"
