/* SPDX-License-Identifier: GPL-3.0-or-later
 * Which keys of a bucket the mount can show, and directories that are nothing but key prefixes (mount.md §2). */
#include "engine/private.h"
#include "util/limits.h"

/* The hidden directories' names are the mount's, and may be renamed there; their usual names count here. */
bool naming_shows(const uint8_t *segment, size_t len)
{
    static const char *const hidden[] = {"", ".", "..", ".versions", ".at"};
    if (len > LIMIT_NAME_BYTES)
        return false;
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        if (len == strlen(hidden[i]) && memcmp(segment, hidden[i], len) == 0)
            return false;
    }
    return true;
}

size_t naming_shown_len(struct span key)
{
    size_t at = 0;
    if (key.len > LIMIT_KEY_BYTES)
        return 0;
    while (at < key.len) {
        const uint8_t *slash = memchr(key.p + at, '/', key.len - at);
        size_t end = slash ? (size_t)(slash - key.p) : key.len;
        if (!naming_shows(key.p + at, end - at))
            return at;
        if (!slash)
            return key.len;
        at = end + 1;
    }
    return at; /* empty, or a slash at its end: the nameless segment behind it does not show */
}

bool naming_key_shows(struct span key)
{
    return key.len && key.p[key.len - 1] != '/' && naming_shown_len(key) == key.len;
}

/* ---- what lies below a directory and does not show ---- */

enum { BELOW_KEYS = 1000 };

struct below {
    struct span prefix;
    uint8_t *found;
    size_t found_len;
    unsigned keys;
    bool any;
};

static int below_row(void *arg, const struct version_row *row)
{
    struct below *s = arg;
    if (row->key.len < s->prefix.len || memcmp(row->key.p, s->prefix.p, s->prefix.len) != 0)
        return 1;
    if (row->flags & VERSION_REPLACED)
        return 0;
    if (++s->keys <= BELOW_KEYS && (row->flags & VERSION_MARKER))
        return META_SKIP_KEY;
    memcpy(s->found, row->key.p, row->key.len); /* too much history to look through counts as something, too */
    s->found_len = row->key.len;
    s->any = true;
    return 1;
}

int naming_below(struct engine *e, const struct bucket *b, struct span dir, uint8_t key[4096], size_t *ret_len)
{
    uint8_t prefix[LIMIT_KEY_BYTES + 2];
    memcpy(prefix, dir.p, dir.len);
    prefix[dir.len] = '/';
    struct below s = {.prefix = span_of(prefix, dir.len + 1), .found = key};
    int r = e->meta_ops->version_scan_heads(e->m, b->number, s.prefix, true, INT64_MAX, below_row, &s);
    if (r < 0)
        return r;
    *ret_len = s.found_len;
    return s.any;
}

/* 1 where the directory goes. */
static int prunable(struct engine *e, struct bucket *b, struct span dir, uint64_t ino)
{
    struct inode_row row;
    struct inode_body body;
    int r = e->meta_ops->inode_get(e->m, ino, &row);
    if (r < 0 || inode_body_decode(row.body.p, row.body.len, &body) < 0)
        return r < 0 ? r : -EIO;
    bool implicit = body.dir && body.record.implicit;
    record_done(&body.record);
    if (!implicit)
        return 0;
    r = tree_dir_empty(e, b, dir);
    if (r < 0)
        return r == -ENOTEMPTY ? 0 : r;
    uint8_t key[4096];
    size_t len;
    r = naming_below(e, b, dir, key, &len);
    return r < 0 ? r : !r;
}

int naming_prune(struct engine *e, struct bucket *b, struct span key)
{
    for (size_t end = key.len; end > 1; end--) {
        if (key.p[end - 1] != '/')
            continue;
        struct span dir = span_of(key.p, end - 1);
        struct tree_row row;
        int r = e->meta_ops->tree_get(e->m, b->number, dir, &row);
        if (r == -ENOENT)
            continue;
        if (r < 0 || row.kind != TREE_DIR)
            return r;
        uint64_t ino = row.ino;
        r = prunable(e, b, dir, ino);
        if (r <= 0)
            return r;
        r = tree_drop_name(e, b, dir, ino);
        if (r == 0)
            r = version_show_next(e, b, dir);
        if (r < 0)
            return r;
        version_wake(e, b->number, dir, ino);
    }
    return 0;
}

int naming_show_dirs(struct engine *e, struct bucket *b, struct span key)
{
    struct version v;
    int r = version_load(e, b->number, key, 0, &v);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    bool object = !(v.flags & VERSION_MARKER);
    version_done(&v);
    return object ? version_make_parents(e, b, span_of(key.p, naming_shown_len(key))) : 0;
}
