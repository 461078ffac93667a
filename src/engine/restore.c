/* SPDX-License-Identifier: GPL-3.0-or-later
 * Making an earlier state current again (`holdfs restore --at`), as new versions that share frames.
 *
 * First the whole scope is looked at and counted, and everything that would refuse is met; then it is gone
 * through again and changed in transactions of a bounded size. Nothing is destroyed where versions are kept:
 * what did not exist then gets a marker. The result names the instant to which one restores to undo it. */
#include "engine/walk.h"
#include "engine/trail.h"

#include <assert.h>
#include <inttypes.h>

enum {
    RESTORE_BATCH_KEYS = 500,   /* changed in one transaction */
    RESTORE_BATCH_LOOKS = 4000, /* looked at in one hold of the lock */
    RESTORE_BLOCKED_MAX = 20,   /* names told in full */
};

enum verdict {
    SAME,    /* shows what it showed, or showed nothing and shows nothing */
    CHANGED, /* another version is current */
    DELETED, /* showed, does not now */
    CREATED, /* shows now, did not then */
    OTHERS,  /* differs, but not by the principal asked for */
    VERDICTS,
};

struct restore {
    struct engine *e;
    struct caller *c;
    const struct engine_restore_params *params;
    struct engine_progress progress;
    int64_t at_ns, first_ns;
    uint64_t counts[VERDICTS];
    uint64_t restored, removed, skipped;
    uint64_t todo;
    json_t *by; /* principal: count */
    json_t *blocked;
    int64_t undo_ns;
};

/* ---- what happened to a key ---- */

struct key_state {
    enum verdict verdict;
    uint64_t then_seq, now_seq; /* 0: showed nothing */
    char made_by[128];
};

struct key_scan {
    struct restore *r;
    struct key_state *s;
    bool newest_seen, others_last;
    bool same;            /* what is to be shown again is what shows */
    struct record newest; /* since the instant; owned */
};

/* Newest first: down to the version that is to be shown again. With `by` that is the one below that
 * principal's latest work. */
static int key_scan_row(void *arg, const struct version_row *row)
{
    struct key_scan *k = arg;
    if (row->flags & VERSION_REPLACED)
        return 0;
    const char *by = k->r->params->by;
    struct record record;
    int r = record_decode(row->body.p, row->body.len, row->data.p, row->data.len, &record);
    if (r < 0)
        return r == -EBADMSG ? -EIO : r;
    bool since = row->publish_ns > k->r->at_ns;
    bool theirs = by && !strcmp(record.made_by, by);
    bool found = !since || (by && !theirs);
    if (found) {
        k->s->then_seq = row->flags & VERSION_MARKER ? 0 : row->seq;
        k->same = k->s->then_seq && k->s->now_seq && record_same(&record, &k->newest);
    }
    if (!k->newest_seen) {
        k->newest_seen = true;
        k->s->now_seq = row->flags & VERSION_MARKER ? 0 : row->seq;
        k->others_last = by && since && !theirs;
        memcpy(k->s->made_by, record.made_by, sizeof k->s->made_by);
        k->newest = record;
    } else {
        record_done(&record);
    }
    return found;
}

/* M. */
static int key_judge(struct restore *r, uint32_t bucket, struct span key, struct key_state *ret)
{
    *ret = (struct key_state){.verdict = SAME};
    struct walk_head head;
    int q = walk_version_at(r->e, bucket, key, INT64_MAX, &head, NULL);
    if (q < 0)
        return q == -ENOENT ? 0 : q;
    if (head.publish_ns <= r->at_ns) { /* untouched since: the usual case, without decoding anything */
        ret->now_seq = ret->then_seq = walk_shows(&head) ? head.seq : 0;
        return 0;
    }
    struct key_scan k = {.r = r, .s = ret};
    q = r->e->meta_ops->version_scan(r->e->m, bucket, key, UINT64_MAX, key_scan_row, &k);
    record_done(&k.newest);
    if (q < 0)
        return q;
    if (k.others_last)
        ret->verdict = OTHERS;
    else if (ret->then_seq && ret->now_seq)
        ret->verdict = k.same || ret->then_seq == ret->now_seq ? SAME : CHANGED; /* the same: restored before */
    else if (ret->then_seq)
        ret->verdict = DELETED;
    else if (ret->now_seq)
        ret->verdict = CREATED;
    return 0;
}

static bool verdict_wanted(const struct restore *r, enum verdict v)
{
    if (v == CREATED)
        return r->params->delete_newer && !r->params->only_deletes;
    return v == DELETED || (v == CHANGED && !r->params->only_deletes);
}

/* ---- what stands in the way ---- */

/* A file where a directory is needed, or a directory where a file was. *ret_stands: so much of the key is in
 * the tree. M */
static int key_blocked(struct restore *r, uint32_t bucket, struct span key, size_t *ret_stands)
{
    struct tree_row row;
    int q = r->e->meta_ops->tree_get(r->e->m, bucket, key, &row);
    *ret_stands = key.len;
    if (q == 0)
        return row.kind == TREE_DIR;
    for (size_t end = key.len; q == -ENOENT && end > 0; end--) {
        *ret_stands = 0;
        if (key.p[end - 1] != '/')
            continue;
        *ret_stands = end - 1;
        q = r->e->meta_ops->tree_get(r->e->m, bucket, span_of(key.p, end - 1), &row);
        if (q == 0)
            return row.kind != TREE_DIR;
    }
    return q == -ENOENT ? 0 : q;
}

static void note_blocked(struct restore *r, const struct bucket *b, struct span key)
{
    r->skipped++;
    if (json_array_size(r->blocked) < RESTORE_BLOCKED_MAX)
        json_array_append_new(r->blocked, json_string(engine_show(b, key)));
}

static int permitted(struct restore *r, const struct bucket *b, struct span key, enum verdict v)
{
    if (v == CREATED)
        return engine_may(r->e, r->c, "s3:DeleteObject", b, key);
    int q = engine_may(r->e, r->c, "s3:GetObjectVersion", b, key);
    return q < 0 ? q : engine_may(r->e, r->c, "s3:PutObject", b, key);
}

/* A version that would be hidden must not be locked (retention.md §2.8): said before the first change. M */
static int newer_locked(struct restore *r, uint32_t bucket, struct span key, uint64_t seq)
{
    struct version v;
    int q = version_load(r->e, bucket, key, seq, &v);
    if (q < 0)
        return q;
    if (lock_in_force(r->e, &v))
        q = lock_forbids(r->e, r->c, &v, false);
    version_done(&v);
    return q;
}

/* ---- first round: count ---- */

static void note_by(struct restore *r, const char *who)
{
    json_int_t n = json_integer_value(json_object_get(r->by, who));
    json_object_set_new(r->by, who, json_integer(n + 1));
}

static int count_key(struct restore *r, struct bucket *b, struct span key)
{
    struct key_state s;
    int q = key_judge(r, b->number, key, &s);
    if (q < 0)
        return q;
    r->counts[s.verdict]++;
    if (!verdict_wanted(r, s.verdict))
        return 0;
    note_by(r, s.made_by);
    q = permitted(r, b, key, s.verdict);
    if (q == 0 && s.verdict == CREATED)
        q = newer_locked(r, b->number, key, s.now_seq);
    r->todo += q == 0;
    return q;
}

static int oldest_row(void *arg, const struct version_row *row)
{
    int64_t *first = arg;
    if (row->flags & VERSION_REPLACED)
        return 0;
    if (row->publish_ns < *first)
        *first = row->publish_ns;
    return 1;
}

/* ---- second round: change ---- */

static void wake(struct engine *e, uint32_t bucket, struct span key)
{
    size_t slash = key.len;
    while (slash && key.p[slash - 1] != '/')
        slash--;
    struct tree_row row;
    struct inode *dir;
    if (e->meta_ops->tree_get(e->m, bucket, span_of(key.p, slash ? slash - 1 : 0), &row) < 0)
        return;
    uint64_t ino = row.ino;
    if (inode_get(e, ino, &dir) == 0) {
        inode_touch_dir(e, dir);
        inode_put(e, dir);
    }
    if (e->watcher)
        e->watcher->entry_changed(e->watcher->arg, ino, (const char *)key.p + slash, key.len - slash);
}

/* A file with several names goes back under this one alone: it becomes a file of its own. M, txn */
static int split_linked(struct engine *e, struct bucket *b, struct span key)
{
    struct tree_row row;
    int q = e->meta_ops->tree_get(e->m, b->number, key, &row);
    if (q < 0)
        return q == -ENOENT ? 0 : q;
    uint64_t ino = row.ino;
    struct inode_row inode;
    struct inode_body body;
    q = e->meta_ops->inode_get(e->m, ino, &inode);
    if (q < 0)
        return q == -ENOENT ? 0 : q;
    if (inode_body_decode(inode.body.p, inode.body.len, &body) < 0)
        return -EIO;
    record_done(&body.record);
    return body.nlink > 1 ? tree_drop_name(e, b, key, ino) : 0;
}

static int put_back(struct restore *r, struct bucket *b, struct span key, const struct key_state *s)
{
    size_t stands;
    int q = key_blocked(r, b->number, key, &stands);
    if (q != 0) {
        if (q > 0)
            note_blocked(r, b, key);
        return q < 0 ? q : 0;
    }
    struct version v;
    q = version_load(r->e, b->number, key, s->then_seq, &v);
    if (q < 0)
        return q;
    struct record shared;
    q = record_share(r->e, b, b, &v.record, &shared);
    version_done(&v);
    if (q < 0)
        return q;
    shared.made_by[0] = 0;
    shared.ctime = instant_now();
    attrs_remove(&shared.attrs, ATTR_FACT, "tied", 4);
    uint64_t seq;
    q = split_linked(r->e, b, key);
    if (q ==
        0) /* where a default retention waits, the new version settles first, so that a slip can be undone */
        q = version_publish(r->e, r->c, b, key, 0, &shared, b->default_mode == LOCK_NONE, &seq);
    record_done(&shared);
    if (q == 0)
        r->restored++;
    for (size_t end = stands + 1; q == 0 && end <= key.len;
         end++) { /* the name, and directories that came back with it */
        if (end == key.len || key.p[end] == '/')
            wake(r->e, b->number, span_of(key.p, end));
    }
    return q;
}

static int take_away(struct restore *r, struct bucket *b, struct span key, const struct key_state *s)
{
    int q = newer_locked(r, b->number, key, s->now_seq);
    if (q < 0)
        return q;
    struct tree_row row;
    q = r->e->meta_ops->tree_get(r->e->m, b->number, key, &row);
    if (q < 0 && q != -ENOENT)
        return q;
    bool in_tree = q == 0 && row.kind != TREE_DIR;
    uint64_t ino = in_tree ? row.ino : 0;
    if (b->versioning == VERSIONING_UNVERSIONED) {
        struct version v;
        q = version_load(r->e, b->number, key, s->now_seq, &v);
        if (q == 0) {
            q = version_remove(r->e, r->c, &v, REMOVE_DURABLE);
            version_done(&v);
        }
    } else {
        q = version_put_marker(r->e, r->c, b, key, ino);
    }
    if (q == 0 && in_tree)
        q = tree_drop_name(r->e, b, key, ino);
    if (q == 0) {
        r->removed++;
        wake(r->e, b->number, key);
    }
    return q;
}

/* ---- going through a place ---- */

struct round {
    struct restore *r;
    const struct engine_place *place;
    bool taking; /* second round: CREATED keys; else the others */
    bool apply;
    struct walk_key at, prefix;
    enum { ROUND_SELF, ROUND_BELOW, ROUND_END } stage;
};

static void round_start(struct round *o)
{
    walk_key_set(&o->at, o->place->key);
    o->stage = o->place->key.len ? ROUND_SELF : ROUND_BELOW;
}

/* The next key of the place. -ENOENT at the end. M */
static int round_next(struct round *o, struct walk_key *ret)
{
    if (o->stage == ROUND_SELF) {
        o->stage = ROUND_BELOW;
        walk_key_set(ret, o->place->key);
        return walk_prefix(&o->at, o->place->key);
    }
    if (o->stage == ROUND_END)
        return -ENOENT;
    int q = walk_next_key(o->r->e, o->place->bucket, walk_span(&o->prefix), walk_span(&o->at), false, ret);
    if (q == -ENOENT)
        o->stage = ROUND_END;
    else if (q == 0)
        walk_key_set(&o->at, walk_span(ret));
    return q;
}

/* M. 1 when it changed something. */
static int round_key(struct round *o, struct bucket *b, struct span key)
{
    struct restore *r = o->r;
    if (!o->apply) {
        int64_t first = r->first_ns;
        int q = r->first_ns <= r->at_ns
                    ? 0
                    : r->e->meta_ops->version_scan_up(r->e->m, b->number, key, 0, oldest_row, &first);
        r->first_ns = first;
        return q < 0 ? q : count_key(r, b, key);
    }
    struct key_state s;
    int q = key_judge(r, b->number, key, &s);
    if (q < 0 || !verdict_wanted(r, s.verdict) || (s.verdict == CREATED) != o->taking)
        return q;
    q = s.verdict == CREATED ? take_away(r, b, key, &s) : put_back(r, b, key, &s);
    return q < 0 ? q : 1;
}

/* As many keys as one hold of the lock, and one transaction, may take. 1 when there are more. */
static int round_batch(struct round *o)
{
    struct restore *r = o->r;
    LOCK_SCOPE(&r->e->meta);
    struct bucket *b = bucket_by_number(r->e, o->place->bucket);
    if (!b)
        return reason_fail(&r->c->reason, ENOENT, "the bucket was removed meanwhile");
    int q = o->apply ? txn_begin(r->e) : 0;
    if (q < 0)
        return q;
    unsigned looks = 0, changes = 0;
    unsigned looks_max = o->apply ? RESTORE_BATCH_LOOKS : WALK_BATCH_ROWS;
    struct walk_key key;
    while (q >= 0 && looks < looks_max && changes < RESTORE_BATCH_KEYS) {
        q = round_next(o, &key);
        if (q < 0)
            break;
        q = round_key(o, b, walk_span(&key));
        looks++;
        changes += q > 0;
    }
    bool end = q == -ENOENT && o->stage == ROUND_END;
    if (end)
        q = 0;
    if (o->apply)
        q = txn_end(r->e, q < 0 ? q : 0);
    return q < 0 ? q : !end;
}

static int round_run(struct round *o)
{
    struct restore *r = o->r;
    int q = walk_prefix(&o->prefix, o->place->key);
    round_start(o);
    while (q >= 0 && (q = round_batch(o)) > 0) {
        uint64_t done = o->apply ? r->restored + r->removed + r->skipped : r->todo;
        if (r->progress.fn && r->progress.fn(r->progress.arg, o->apply ? "restoring" : "comparing", done,
                                             o->apply ? r->todo : 0))
            return -ECANCELED;
    }
    return q;
}

static int rounds(struct restore *r, const struct engine_place *const *places, size_t count, bool apply,
                  bool taking)
{
    CLEANUP_FREE struct round *o = malloc(sizeof *o);
    if (!o)
        return -ENOMEM;
    int q = 0;
    for (size_t i = 0; q == 0 && i < count; i++) {
        *o = (struct round){.r = r, .place = places[i], .apply = apply, .taking = taking};
        q = round_run(o);
    }
    return q;
}

/* ---- directories that did not exist then ---- */

struct newer_dirs {
    struct walk_key prefix, last;
    struct walk_key *list;
    size_t count, cap;
    unsigned left;
    bool more;
};

static int newer_dirs_row(void *arg, const struct tree_row *row)
{
    struct newer_dirs *d = arg;
    if (row->key.len < d->prefix.len || (d->prefix.len && memcmp(row->key.p, d->prefix.p, d->prefix.len)))
        return 1;
    walk_key_set(&d->last, row->key);
    if (row->kind == TREE_DIR && row->key.len > d->prefix.len) {
        if (d->count == d->cap)
            return 1;
        walk_key_set(&d->list[d->count++], row->key);
    }
    d->more = --d->left == 0;
    return d->more;
}

/* Removes a directory that was not there then, if nothing is in it. M, txn */
static int newer_dir_remove(struct restore *r, struct bucket *b, struct span key)
{
    struct tree_row row;
    int q = r->e->meta_ops->tree_get(r->e->m, b->number, key, &row);
    if (q < 0 || row.kind != TREE_DIR)
        return q == -ENOENT ? 0 : q;
    uint64_t ino = row.ino;
    struct inode *i;
    q = inode_get(r->e, ino, &i);
    if (q < 0)
        return q == -ESTALE ? 0 : q;
    struct instant made = i->record.btime;
    inode_put(r->e, i);
    if (made.sec * 1000000000 + made.nsec <= r->at_ns || tree_dir_empty(r->e, b, key) < 0)
        return 0;
    q = tree_drop_name(r->e, b, key, ino);
    if (q == 0)
        wake(r->e, b->number, key);
    return q;
}

/* Deepest first, as the keys' order has it backwards. A page of names at a time; parents that empty later are
 * met in a further pass. */
static int newer_dirs_page(struct restore *r, const struct engine_place *place, struct newer_dirs *d,
                           bool *ret_removed)
{
    LOCK_SCOPE(&r->e->meta);
    struct bucket *b = bucket_by_number(r->e, place->bucket);
    if (!b)
        return -ENOENT;
    d->count = 0;
    d->left = RESTORE_BATCH_LOOKS;
    d->more = false;
    struct walk_key from = d->last;
    int q = r->e->meta_ops->tree_scan(r->e->m, b->number, walk_span(&from), false, newer_dirs_row, d);
    bool more = d->more || d->count == d->cap;
    if (q == 0)
        q = txn_begin(r->e);
    if (q < 0)
        return q;
    for (size_t i = d->count; q == 0 && i > 0; i--) {
        q = newer_dir_remove(r, b, walk_span(&d->list[i - 1]));
        struct tree_row row;
        if (q == 0 &&
            r->e->meta_ops->tree_get(r->e->m, b->number, walk_span(&d->list[i - 1]), &row) == -ENOENT)
            *ret_removed = true;
    }
    q = txn_end(r->e, q);
    return q < 0 ? q : more;
}

static int newer_dirs_run(struct restore *r, const struct engine_place *place)
{
    enum { PAGE_DIRS = 256 };
    CLEANUP_FREE struct walk_key *list = malloc(PAGE_DIRS * sizeof *list);
    CLEANUP_FREE struct newer_dirs *d = calloc(1, sizeof *d);
    if (!list || !d)
        return -ENOMEM;
    bool removed = true;
    int q = 0;
    while (q == 0 && removed) {
        removed = false;
        *d = (struct newer_dirs){.list = list, .cap = PAGE_DIRS};
        q = walk_prefix(&d->prefix, place->key);
        walk_key_set(&d->last, walk_span(&d->prefix));
        while (q >= 0 && (q = newer_dirs_page(r, place, d, &removed)) > 0)
            continue;
    }
    return q;
}

/* ---- the whole ---- */

static void show_ns(int64_t ns, char out[48])
{
    timeform_format_ns(ns / 1000000000, (uint32_t)(ns % 1000000000), out);
}

static json_t *result_json(struct restore *r)
{
    json_t *out = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:O, s:O}", "changed",
                            (json_int_t)r->counts[CHANGED], "deleted", (json_int_t)r->counts[DELETED],
                            "created", (json_int_t)r->counts[CREATED], "unchanged",
                            (json_int_t)(r->counts[SAME] + r->counts[OTHERS]), "todo", (json_int_t)r->todo,
                            "restored", (json_int_t)r->restored, "removed", (json_int_t)r->removed, "dry_run",
                            r->params->dry_run, "by", r->by, "blocked", r->blocked);
    char text[48];
    if (out && r->undo_ns) {
        show_ns(r->undo_ns, text);
        json_object_set_new(out, "undo", json_string(text));
    }
    if (out && r->first_ns != INT64_MAX) {
        show_ns(r->first_ns, text);
        json_object_set_new(out, "first", json_string(text));
    }
    return out;
}

static int refuse_too_early(struct restore *r)
{
    char first[48], at[48];
    if (r->first_ns == INT64_MAX)
        return reason_fail(&r->c->reason, ENOENT, "nothing there has any history");
    show_ns(r->first_ns, first);
    show_ns(r->at_ns, at);
    return reason_fail(&r->c->reason, EINVAL, "%s is before the first version there, which is of %s", at,
                       first);
}

static int restore_apply(struct restore *r, const struct engine_place *const *places, size_t count)
{
    r->undo_ns = clock_wall_ns();
    int q = 0;
    if (r->params->delete_newer && !r->params->only_deletes) {
        q = rounds(r, places, count, true, true);
        for (size_t i = 0; q == 0 && i < count; i++)
            q = newer_dirs_run(r, places[i]);
    }
    if (q == 0)
        q = rounds(r, places, count, true, false);
    int synced = durable_advance(r->e);
    return q < 0 ? q : synced;
}

static int restore_run(struct restore *r, const struct engine_place *const *places, size_t count)
{
    int q = r->by && r->blocked ? 0 : -ENOMEM;
    for (size_t i = 0; q == 0 && !r->params->dry_run && i < count; i++)
        q = seal_below(r->e, r->c, places[i]);
    if (q == 0)
        q = rounds(r, places, count, false, false);
    if (q == 0 && r->first_ns > r->at_ns)
        q = refuse_too_early(r);
    if (q == 0 && !r->params->dry_run)
        q = restore_apply(r, places, count);
    return q;
}

int engine_restore(struct engine *e, struct caller *c, const struct engine_place *const *places, size_t count,
                   const struct engine_restore_params *params, struct engine_progress progress, json_t **ret)
{
    struct caller command =
        *c; /* what it publishes does not come from the mount: the kernel must hear of it */
    command.front = "command";
    struct restore r = {.e = e, .c = &command, .params = params, .progress = progress, .first_ns = INT64_MAX};
    if (__builtin_mul_overflow(params->at.sec, (int64_t)1000000000, &r.at_ns) ||
        __builtin_add_overflow(r.at_ns, (int64_t)params->at.nsec, &r.at_ns))
        return reason_fail(&c->reason, EINVAL, "that instant is out of range");
    if (e->read_only && !params->dry_run)
        return reason_fail(&c->reason, EROFS, "the store is open for reading only");
    r.by = json_object();
    r.blocked = json_array();
    int q = restore_run(&r, places, count);
    if (q == 0) {
        *ret = result_json(&r);
        q = *ret ? 0 : -ENOMEM;
    }
    if (q == 0 && !params->dry_run)
        q = trail_report(e, c, q, "Restore", NULL, *ret);
    c->reason = command.reason;
    c->refused = command.refused;
    json_decref(r.by);
    json_decref(r.blocked);
    return q;
}
