/* SPDX-License-Identifier: GPL-3.0-or-later
 * rename(2), RENAME_EXCHANGE and link(2), by the rules S1, S5, S6 of retention.md §1.6.
 *
 * A rename takes every live name of the source (one, or a directory's whole subtree) off the tree and puts it on again under its
 * new key, in one transaction (E5). An unsettled version moves (S1); a settled one stays as history and its content is
 * published under the new key, sharing frames (S5). */
#include "engine/private.h"

#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>

enum { RENAME_KEY_MAX = 4095 };

/* One live name on its way. Keys are owned. */
struct moving {
    uint64_t ino;
    uint8_t kind;
    uint8_t *from, *to;
    size_t from_len, to_len;
    bool has_version, moves;
    bool older; /* it moves, and an older version is left behind that would show again */
    struct version v;
    struct version *behind; /* hidden rows, newest first, that show again should v, which is not yet durable, roll back */
    size_t behind_count;
};

struct moving_list {
    struct moving *items;
    size_t count, cap;
    struct span from_prefix, to_prefix; /* the two keys given */
};

static void moving_list_done(struct moving_list *list)
{
    for (size_t n = 0; n < list->count; n++) {
        free(list->items[n].from);
        free(list->items[n].to);
        if (list->items[n].has_version)
            version_done(&list->items[n].v);
        for (size_t k = 0; k < list->items[n].behind_count; k++)
            version_done(&list->items[n].behind[k]);
        free(list->items[n].behind);
    }
    free(list->items);
}

static int moving_add(struct moving_list *list, const struct tree_row *row)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 8;
        struct moving *items = realloc(list->items, cap * sizeof *items);
        if (!items)
            return -ENOMEM;
        list->items = items;
        list->cap = cap;
    }
    size_t rest = row->key.len - list->from_prefix.len;
    struct moving m = {.ino = row->ino, .kind = row->kind, .from_len = row->key.len, .to_len = list->to_prefix.len + rest};
    if (m.to_len > RENAME_KEY_MAX)
        return -ENAMETOOLONG;
    m.from = malloc(m.from_len + 1);
    m.to = malloc(m.to_len + 1);
    if (!m.from || !m.to) {
        free(m.from);
        free(m.to);
        return -ENOMEM;
    }
    memcpy(m.from, row->key.p, m.from_len);
    memcpy(m.to, list->to_prefix.p, list->to_prefix.len);
    memcpy(m.to + list->to_prefix.len, row->key.p + list->from_prefix.len, rest);
    list->items[list->count++] = m;
    return 0;
}

static int moving_row(void *arg, const struct tree_row *row)
{
    struct moving_list *list = arg;
    size_t n = list->from_prefix.len;
    if (row->key.len <= n || memcmp(row->key.p, list->from_prefix.p, n) || row->key.p[n] != '/')
        return 1;
    return moving_add(list, row);
}

/* The name itself and, for a directory, all below it. */
static int moving_collect(struct engine *e, struct bucket *b, const struct tree_row *top, struct moving_list *list)
{
    struct tree_row row = *top;
    row.key = list->from_prefix;
    int r = moving_add(list, &row);
    if (r < 0 || row.kind != TREE_DIR)
        return r;
    uint8_t buf[RENAME_KEY_MAX + 2];
    memcpy(buf, list->from_prefix.p, list->from_prefix.len);
    buf[list->from_prefix.len] = '/';
    return e->meta_ops->tree_scan(e->m, b->number, span_of(buf, list->from_prefix.len + 1), true, moving_row, list);
}

static int moving_keep_behind(struct moving *m, const struct version *hidden)
{
    struct version *behind = realloc(m->behind, (m->behind_count + 1) * sizeof *behind);
    if (!behind)
        return -ENOMEM;
    m->behind = behind;
    behind[m->behind_count++] = *hidden;
    return 0;
}

/* What stands hidden behind a version that moves has no use at the old name: where it would be asked for, the log holds the rename.
 * It goes along up to the first that is durable. */
static int moving_take_behind(struct engine *e, struct caller *c, struct moving *m)
{
    bool wanted = m->v.seq > e->durable_seq;
    for (;;) {
        struct version hidden;
        int r = version_behind(e, &m->v, &hidden);
        if (r < 0)
            return r == -ENOENT ? 0 : r;
        uint64_t seq = hidden.seq;
        r = version_remove(e, c, &hidden, REMOVE_REPLACED);
        if (r == 0 && wanted)
            r = moving_keep_behind(m, &hidden);
        if (r < 0 || !wanted)
            version_done(&hidden);
        if (r < 0)
            return r;
        wanted = wanted && seq > e->durable_seq;
    }
}

/* Takes a name and what moves with it off its place. */
/* The history of what it holds stays at its old name. */
static int moving_note_dir(struct engine *e, struct bucket *b, const struct moving *m)
{
    struct inode *i;
    int r = inode_get(e, m->ino, &i);
    if (r < 0)
        return r;
    r = gone_note(e, b, span_of(m->from, m->from_len), &i->record);
    inode_put(e, i);
    return r;
}

static int moving_detach(struct engine *e, struct caller *c, struct bucket *b, struct moving *m)
{
    struct span from = span_of(m->from, m->from_len);
    int r = e->meta_ops->tree_del(e->m, b->number, from);
    if (r == 0 && m->kind == TREE_DIR)
        return moving_note_dir(e, b, m);
    if (r < 0)
        return r;
    r = version_load(e, b->number, from, 0, &m->v);
    if (r == -ENOENT)
        return 0; /* a draft that was never published */
    if (r < 0)
        return r;
    m->has_version = true;
    if (m->v.flags & VERSION_MARKER) {
        version_done(&m->v);
        m->has_version = false;
        return 0;
    }
    m->moves = b->versioning == VERSIONING_UNVERSIONED || (settle_waiting(e, m->v.seq) && !lock_in_force(e, &m->v));
    if (!m->moves)
        return 0;
    bool any;
    r = version_others(e, &m->v, &any, &m->older);
    if (r == 0)
        r = moving_take_behind(e, c, m);
    return r < 0 ? r : version_remove(e, c, &m->v, REMOVE_MOVED);
}

/* Where no other file has taken the name, what is left of its history must not show again (S1, S5). */
static int moving_vacate(struct engine *e, struct caller *c, struct bucket *b, const struct moving *m)
{
    if (!m->has_version || (m->moves && !m->older))
        return 0;
    struct span from = span_of(m->from, m->from_len);
    struct tree_row row;
    int r = e->meta_ops->tree_get(e->m, b->number, from, &row);
    if (r == 0 && row.kind != TREE_DIR)
        return 0;
    return r < 0 && r != -ENOENT ? r : version_put_marker(e, c, b, from, m->ino);
}

/* The inode learns its new name. */
static int moving_rename_inode(struct engine *e, struct bucket *b, struct moving *m)
{
    struct span from = span_of(m->from, m->from_len), to = span_of(m->to, m->to_len);
    struct inode *i;
    int r = inode_get_name(e, m->ino, &i);
    if (r < 0)
        return r;
    r = txn_touch(e, i);
    if (r < 0) {
        inode_put(e, i);
        return r;
    }
    if (i->key_len == from.len && !memcmp(i->key, from.p, from.len)) {
        r = inode_rekey(e, i, to);
    } else {
        r = e->meta_ops->link_del(e->m, i->ino, b->number, from);
        if (r == 0)
            r = e->meta_ops->link_put(e->m, i->ino, b->number, to);
    }
    i->record.ctime = instant_now();
    inode_put(e, i);
    return r;
}

static int version_set_key(struct version *v, struct span to)
{
    uint8_t *key = key_copy(to);
    if (!key)
        return -ENOMEM;
    free(v->key);
    v->key = key;
    v->key_len = to.len;
    return 0;
}

/* S5: the version stays, another one at the new name shares its content. */
static int moving_share(struct engine *e, struct caller *c, struct bucket *b, struct moving *m)
{
    struct record shared;
    int r = record_share(e, b, b, &m->v.record, &shared);
    if (r < 0)
        return r;
    uint64_t seq;
    shared.made_by[0] = 0; /* its maker is who renames */
    r = version_tie(&shared, &m->v);
    if (r == 0)
        r = version_publish(e, c, b, span_of(m->to, m->to_len), m->ino, &shared, false, &seq);
    record_done(&shared);
    return r;
}

static int moving_put_behind(struct engine *e, struct bucket *b, struct moving *m)
{
    struct span to = span_of(m->to, m->to_len);
    int r = 0;
    for (size_t n = m->behind_count; r == 0 && n > 0; n--) {
        struct version *hidden = &m->behind[n - 1];
        r = version_set_key(hidden, to);
        if (r < 0)
            break;
        hidden->seq = seq_next(e);
        r = version_store(e, hidden);
        if (r == 0)
            r = settle_add_replaced(e, b->number, to, hidden->seq);
    }
    return r;
}

/* S1: the version itself, with what stands behind it. */
static int moving_move(struct engine *e, struct caller *c, struct bucket *b, struct moving *m)
{
    struct span from = span_of(m->from, m->from_len), to = span_of(m->to, m->to_len);
    int r = version_make_room(e, c, b, to);
    if (r == 0)
        r = moving_put_behind(e, b, m);
    if (r == 0)
        r = version_set_key(&m->v, to);
    if (r < 0)
        return r;
    uint64_t from_seq = m->v.seq;
    m->v.seq = seq_next(e);
    m->v.record.ctime = instant_now();
    r = version_publish_time(e, b->number, to, m->v.publish_ns, &m->v.publish_ns);
    if (r == 0)
        r = version_store(e, &m->v);
    return r < 0 ? r : settle_move(e, b->number, from, from_seq, to, m->v.seq);
}

static int moving_attach(struct engine *e, struct caller *c, struct bucket *b, struct moving *m)
{
    struct span to = span_of(m->to, m->to_len);
    struct tree_row row = {.bucket = b->number, .key = to, .ino = m->ino, .kind = m->kind};
    int r = e->meta_ops->tree_put(e->m, &row);
    if (r == 0 && m->has_version)
        r = m->moves ? moving_move(e, c, b, m) : moving_share(e, c, b, m);
    if (r == 0)
        r = moving_rename_inode(e, b, m);
    return r;
}

/* After commit: cached inodes see the version that is theirs now. */
static void moving_refresh(struct engine *e, struct moving_list *list)
{
    for (size_t n = 0; n < list->count; n++) {
        struct inode *i = inode_cached(e, list->items[n].ino);
        if (!i || i->dir)
            continue;
        if (!draft_open(i)) {
            inode_reload(e, i);
        } else if (list->items[n].moves) {
            i->seq = list->items[n].v.seq;
        }
    }
}

/* What a rename meets at its target. */
static int rename_check_target(struct engine *e, struct bucket *b, const struct tree_row *from, const struct tree_row *to,
                               struct span to_key)
{
    if (from->kind == TREE_DIR && to->kind != TREE_DIR)
        return -ENOTDIR;
    if (from->kind != TREE_DIR && to->kind == TREE_DIR)
        return -EISDIR;
    return to->kind == TREE_DIR ? tree_dir_empty(e, b, to_key) : 0;
}

static int rename_hide_history(struct engine *e, struct caller *c, struct bucket *b, struct span key, uint64_t ino)
{
    struct version v;
    int r = version_load(e, b->number, key, 0, &v);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (!(v.flags & VERSION_MARKER)) {
        if (b->versioning == VERSIONING_UNVERSIONED)
            r = version_remove(e, c, &v, REMOVE_UNLINKED);
        else
            r = version_put_marker(e, c, b, key, ino);
    }
    version_done(&v);
    return r;
}

static int moving_detach_all(struct engine *e, struct caller *c, struct bucket *b, struct moving_list *list)
{
    int r = 0;
    for (size_t n = 0; r == 0 && n < list->count; n++)
        r = moving_detach(e, c, b, &list->items[n]);
    return r;
}

static int moving_attach_all(struct engine *e, struct caller *c, struct bucket *b, struct moving_list *list)
{
    int r = 0;
    for (size_t n = 0; r == 0 && n < list->count; n++)
        r = moving_attach(e, c, b, &list->items[n]);
    return r;
}

static int moving_vacate_all(struct engine *e, struct caller *c, struct bucket *b, struct moving_list *list)
{
    int r = 0;
    for (size_t n = 0; r == 0 && n < list->count; n++)
        r = moving_vacate(e, c, b, &list->items[n]);
    return r;
}

static int rename_replace(struct engine *e, struct caller *c, struct bucket *b, struct moving_list *list,
                          const struct tree_row *target)
{
    int r = moving_detach_all(e, c, b, list);
    if (r == 0 && target)
        r = tree_drop_name(e, b, list->to_prefix, target->ino);
    /* A draft that was never published displaces nothing in history: what the target showed must not stay current. */
    if (r == 0 && target && target->kind != TREE_DIR && !list->items[0].has_version)
        r = rename_hide_history(e, c, b, list->to_prefix, target->ino);
    if (r == 0)
        r = moving_attach_all(e, c, b, list);
    return r < 0 ? r : moving_vacate_all(e, c, b, list);
}

static int rename_exchange(struct engine *e, struct caller *c, struct bucket *b, struct moving_list *one,
                           struct moving_list *two)
{
    int r = moving_detach_all(e, c, b, one);
    if (r == 0)
        r = moving_detach_all(e, c, b, two);
    if (r == 0)
        r = moving_attach_all(e, c, b, one);
    if (r == 0)
        r = moving_attach_all(e, c, b, two);
    if (r == 0)
        r = moving_vacate_all(e, c, b, one);
    return r < 0 ? r : moving_vacate_all(e, c, b, two);
}

/* PutObject as S3 would see it: a copy of that source (auth.md §4.3). */
static int copy_may(struct engine *e, struct caller *c, struct bucket *b, struct span from, struct span to, bool dir, bool exclusive)
{
    char source[RENAME_KEY_MAX + 80];
    int len = snprintf(source, sizeof source, "%s/%.*s", b->name, (int)from.len, (const char *)from.p);
    struct auth_value values[] = {
        {.key = AUTH_COPY_SOURCE, .text = source, .len = (size_t)len},
        {.key = AUTH_METADATA_DIRECTIVE, .text = "COPY", .len = 4},
        {.key = AUTH_IF_NONE_MATCH, .text = "*", .len = 1},
    };
    return engine_may_with(e, c, "s3:PutObject", b, to, &(struct may){.values = values, .count = exclusive ? 3 : 2, .directory = dir});
}

/* One name on its way: a directory has no content to be read. */
static int rename_may(struct engine *e, struct caller *c, struct bucket *b, const struct moving *m, unsigned flags)
{
    bool dir = m->kind == TREE_DIR;
    struct span from = span_of(m->from, m->from_len), to = span_of(m->to, m->to_len);
    int r = dir ? 0 : engine_may(e, c, "s3:GetObject", b, from);
    if (r == 0)
        r = engine_may_with(e, c, "s3:DeleteObject", b, from, &(struct may){.directory = dir});
    return r < 0 ? r : copy_may(e, c, b, from, to, dir, flags & RENAME_NOREPLACE);
}

/* Every key below a directory, all or nothing (auth.md §4.6). */
static int rename_may_all(struct engine *e, struct caller *c, struct bucket *b, const struct moving_list *list, unsigned flags)
{
    int r = 0;
    for (size_t n = 0; r == 0 && n < list->count && !engine_free(e, c, b); n++)
        r = rename_may(e, c, b, &list->items[n], flags);
    return r;
}

/* `a` lies strictly below `b`. */
static bool rename_below(struct span a, struct span b)
{
    return a.len > b.len && !memcmp(a.p, b.p, b.len) && a.p[b.len] == '/';
}

static int rename_in_bucket(struct engine *e, struct caller *c, struct bucket *b, struct span from, struct span to,
                            unsigned flags)
{
    struct tree_row src, dst;
    int r = e->meta_ops->tree_get(e->m, b->number, from, &src);
    if (r < 0)
        return r;
    r = e->meta_ops->tree_get(e->m, b->number, to, &dst);
    if (r < 0 && r != -ENOENT)
        return r;
    bool there = r == 0;
    if (there && (flags & RENAME_NOREPLACE))
        return -EEXIST;
    if (there && src.ino == dst.ino)
        return 0;
    if ((flags & RENAME_EXCHANGE) && !there)
        return -ENOENT;
    if (rename_below(to, from) || ((flags & RENAME_EXCHANGE) && rename_below(from, to)))
        return -EINVAL;

    struct moving_list one = {.from_prefix = from, .to_prefix = to}, two = {.from_prefix = to, .to_prefix = from};
    r = moving_collect(e, b, &src, &one);
    if (r == 0 && (flags & RENAME_EXCHANGE))
        r = moving_collect(e, b, &dst, &two);
    if (r == 0)
        r = rename_may_all(e, c, b, &one, flags);
    if (r == 0)
        r = rename_may_all(e, c, b, &two, flags);
    if (r == 0 && there && !(flags & RENAME_EXCHANGE))
        r = rename_check_target(e, b, &src, &dst, to);
    if (r == 0)
        r = txn_begin(e);
    if (r == 0) {
        if (flags & RENAME_EXCHANGE)
            r = rename_exchange(e, c, b, &one, &two);
        else
            r = rename_replace(e, c, b, &one, there ? &dst : NULL);
        r = txn_end(e, r);
        if (r == 0) {
            moving_refresh(e, &one);
            moving_refresh(e, &two);
        }
    }
    moving_list_done(&one);
    moving_list_done(&two);
    return r;
}

/* A file that is being written and has no version yet, by name; 0 if it is anything else. M. */
static uint64_t rename_unpublished(struct engine *e, struct inode *dir, const char *name, size_t len, bool *ret_there)
{
    struct inode *i;
    *ret_there = tree_lookup(e, dir, name, len, &i) == 0;
    if (!*ret_there)
        return 0;
    uint64_t ino = draft_open(i) && !i->seq && !i->dir ? i->ino : 0;
    inode_put(e, i);
    return ino;
}

/* What takes another file's place before its first close is published first: killed in between, the daemon would have
 * neither the old content nor the new. */
static int rename_publish_first(struct engine *e, struct caller *c, uint64_t dir_ino, const char *name, size_t len,
                                uint64_t to_dir_ino, const char *to_name, size_t to_len, unsigned flags)
{
    uint64_t from = 0, to = 0;
    {
        LOCK_SCOPE(&e->meta);
        struct inode *dir = NULL, *to_dir = NULL;
        bool there;
        if (tree_dir(e, dir_ino, &dir) == 0 && tree_dir(e, to_dir_ino, &to_dir) == 0 && dir->bucket && to_dir->bucket) {
            from = rename_unpublished(e, dir, name, len, &there);
            to = rename_unpublished(e, to_dir, to_name, to_len, &there);
            if (!there || (flags & RENAME_NOREPLACE))
                from = to = 0;
        }
        inode_put(e, dir);
        inode_put(e, to_dir);
    }
    int r = from ? inode_publish(e, c, from) : 0;
    return r == 0 && to && (flags & RENAME_EXCHANGE) ? inode_publish(e, c, to) : r;
}

int engine_rename(struct engine *e, struct caller *c, uint64_t dir_ino, const char *name, size_t len, uint64_t to_dir_ino,
                  const char *to_name, size_t to_len, unsigned flags)
{
    if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    int r = rename_publish_first(e, c, dir_ino, name, len, to_dir_ino, to_name, to_len, flags);
    if (r < 0)
        return r;
    LOCK_SCOPE(&e->meta);
    struct inode *dir = NULL, *to_dir = NULL;
    uint8_t from_buf[RENAME_KEY_MAX + 1], to_buf[RENAME_KEY_MAX + 1];
    struct span from, to;
    r = tree_dir(e, dir_ino, &dir);
    if (r == 0)
        r = tree_dir(e, to_dir_ino, &to_dir);
    if (r == 0 && (!dir->bucket || !to_dir->bucket))
        r = reason_fail(&c->reason, EPERM, "a bucket keeps its name, and only buckets stand at the top of the mount");
    if (r == 0 && dir->bucket != to_dir->bucket)
        r = -EXDEV;
    if (r == 0 && to_dir->orphan)
        r = -ENOENT;
    if (r == 0)
        r = tree_name_check(c, to_name, to_len);
    if (r == 0)
        r = tree_child_key(dir, name, len, from_buf, &from);
    if (r == 0)
        r = tree_child_key(to_dir, to_name, to_len, to_buf, &to);
    if (r == 0)
        r = rename_in_bucket(e, c, dir->bucket, from, to, flags);
    if (r == 0) {
        inode_touch_dir(e, dir);
        inode_touch_dir(e, to_dir);
    }
    inode_put(e, dir);
    inode_put(e, to_dir);
    return r;
}

/* ---- link ---- */

/* Publishes the inode's current content under one more key; a draft follows at its next publish. M, txn. */
static int link_publish(struct engine *e, struct caller *c, struct inode *i, struct span key)
{
    struct version v;
    int r = version_load(e, i->bucket->number, span_of(i->key, i->key_len), 0, &v);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (!(v.flags & VERSION_MARKER) && v.ino == i->ino) {
        uint64_t seq;
        r = version_publish(e, c, i->bucket, key, i->ino, &v.record, false, &seq);
    }
    version_done(&v);
    return r;
}

static int link_rows(struct engine *e, struct caller *c, struct inode *i, struct span key)
{
    int r = e->meta_ops->tree_put(e->m, &(struct tree_row){.bucket = i->bucket->number,
                                                           .key = key,
                                                           .ino = i->ino,
                                                           .kind = tree_kind_of(i->record.mode)});
    if (r < 0)
        return r;
    r = txn_touch(e, i);
    if (r < 0)
        return r;
    if (i->orphan) { /* O_TMPFILE: its first name */
        i->orphan = false;
        i->nlink = 1;
        int err = inode_rekey(e, i, key);
        /* As for a created file: recovery takes the name back if it is never closed or synced. */
        return err < 0 ? err : e->meta_ops->draft_put(e->m, &(struct draft_row){.ino = i->ino});
    }
    r = e->meta_ops->link_put(e->m, i->ino, i->bucket->number, key);
    if (r == 0) {
        i->nlink++;
        r = inode_save(e, i);
    }
    if (r == 0)
        r = link_publish(e, c, i, key);
    return r;
}

/* The new name, judged as a copy of the old one. */
static int link_begin(struct engine *e, struct caller *c, const struct inode *i, struct inode *dir, const char *name, size_t len,
                      uint8_t *buf, struct span *key)
{
    char source[RENAME_KEY_MAX + 80];
    int source_len = snprintf(source, sizeof source, "%s/%.*s", i->bucket->name, (int)i->key_len, (const char *)i->key);
    struct auth_value values[] = {
        {.key = AUTH_IF_NONE_MATCH, .text = "*", .len = 1},
        {.key = AUTH_COPY_SOURCE, .text = source, .len = (size_t)source_len},
        {.key = AUTH_METADATA_DIRECTIVE, .text = "COPY", .len = 4},
    };
    return tree_create_begin(e, c, dir, name, len, buf, key, &(struct may){.values = values, .count = i->orphan ? 1 : 3});
}

int engine_link(struct engine *e, struct caller *c, uint64_t ino, uint64_t dir_ino, const char *name, size_t len,
                struct engine_attr *ret)
{
    LOCK_SCOPE(&e->meta);
    struct inode *dir = NULL, *i = NULL;
    uint8_t buf[RENAME_KEY_MAX + 1];
    struct span key;
    int r = tree_dir(e, dir_ino, &dir);
    if (r == 0)
        r = inode_get(e, ino, &i);
    if (r == 0 && i->dir)
        r = -EPERM;
    if (r == 0)
        r = link_begin(e, c, i, dir, name, len, buf, &key);
    if (r == 0 && i->bucket != dir->bucket)
        r = -EXDEV;
    if (r == 0 && i->orphan && !draft_open(i))
        r = -ENOENT;
    if (r == 0)
        r = engine_may_inode(e, c, "s3:GetObject", i, NULL);
    if (r == 0)
        r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, link_rows(e, c, i, key));
    if (r == 0) {
        i->record.ctime = instant_now();
        inode_touch_dir(e, dir);
        inode_attr(e, i, ret);
    }
    inode_put(e, i);
    inode_put(e, dir);
    return r;
}
