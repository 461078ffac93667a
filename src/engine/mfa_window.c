/* SPDX-License-Identifier: GPL-3.0-or-later
 * For whom an MFA code is in force, and what asks for one (retention.md §4). In memory only: gone at unmount. */
#include "engine/mfa.h"
#include "engine/trail.h"

enum { NS_PER_S = 1000000000, WINDOWS_MAX = 256 };

struct mfa_window {
    struct mfa_window *next;
    uint32_t uid, bucket; /* 0: all buckets of the account */
    uint64_t seq;         /* not 0: that version alone, once */
    char account[13];
    int64_t opened_ns, until_ns; /* CLOCK_MONOTONIC */
    size_t key_len;
    uint8_t key[];
};

/* ---- codes in what was typed ---- */

static bool take_word(struct mfa_code *code, const char *word, size_t len)
{
    if (len == TOTP_DIGITS && strspn(word, "0123456789") >= TOTP_DIGITS) {
        memcpy(code->code, word, len);
        code->code[len] = '\0';
        return true;
    }
    if (len >= sizeof code->serial || strncmp(word, "arn:aws:iam:", 12) != 0)
        return false;
    memcpy(code->serial, word, len);
    code->serial[len] = '\0';
    return true;
}

static const char *word_next(const char *at, size_t *ret_len)
{
    at += strspn(at, " ");
    *ret_len = strcspn(at, " ");
    return at;
}

/* Every code and serial among the words. -EINVAL: two codes, two serials, or a serial alone. */
static int codes_find(const char *text, struct mfa_code *ret)
{
    unsigned codes = 0, serials = 0;
    size_t len;
    for (const char *word = word_next(text, &len); len; word = word_next(word + len, &len)) {
        if (!take_word(ret, word, len))
            continue;
        if (*word == 'a')
            serials++;
        else
            codes++;
    }
    return codes > 1 || serials > codes ? -EINVAL : 0;
}

int mfa_code_cut(char *text, struct mfa_code *ret)
{
    *ret = (struct mfa_code){0};
    if (text[strspn(text, " \t\r\n")] == '<')
        return 0; /* a document has no code in it */
    int r = codes_find(text, ret);
    if (r < 0 || !ret->code[0])
        return r;
    struct mfa_code gone;
    char *out = text;
    size_t len;
    for (const char *word = word_next(text, &len); len; word = word_next(word + len, &len)) {
        if (take_word(&gone, word, len))
            continue;
        if (out != text)
            *out++ = ' ';
        memmove(out, word, len);
        out += len;
    }
    secret_wipe(&gone, sizeof gone);
    secret_wipe(out, strlen(out));
    return 0;
}

/* ---- windows ---- */

static struct span window_key(const struct version *v)
{
    return v ? span_of(v->key, v->key_len) : span_of("", 0);
}

static bool is_of(const struct mfa_window *w, uint32_t uid, uint32_t bucket, struct span key, uint64_t seq)
{
    return w->uid == uid && w->bucket == bucket && w->seq == seq && w->key_len == key.len && memcmp(w->key, key.p, key.len) == 0;
}

static void window_free(struct mfa *m, struct mfa_window **at)
{
    struct mfa_window *w = *at;
    *at = w->next;
    m->window_count--;
    free(w);
}

/* Takes away those that are of it, and all that have run out; every one of the uid's with `all`. Lock held. */
static bool close_all(struct mfa *m, uint32_t uid, uint32_t bucket, struct span key, uint64_t seq, bool all)
{
    int64_t now = clock_mono_ns();
    bool any = false;
    for (struct mfa_window **at = &m->windows; *at;) {
        bool mine = all ? (*at)->uid == uid : is_of(*at, uid, bucket, key, seq);
        any |= mine && (*at)->until_ns > now;
        if (mine || (*at)->until_ns <= now)
            window_free(m, at);
        else
            at = &(*at)->next;
    }
    return any;
}

int mfa_window_open(struct engine *e, const struct caller *c, const char *account, uint32_t bucket, const struct version *v, int64_t seconds)
{
    struct span key = window_key(v);
    struct mfa_window *w = calloc(1, sizeof *w + key.len + 1);
    if (!w)
        return -ENOMEM;
    w->uid = c->uid;
    w->bucket = bucket;
    w->seq = v ? v->seq : 0;
    memcpy(w->account, account, strlen(account) + 1);
    w->opened_ns = clock_mono_ns();
    w->until_ns = w->opened_ns + seconds * NS_PER_S;
    w->key_len = key.len;
    if (key.len)
        memcpy(w->key, key.p, key.len);
    LOCK_SCOPE(&e->mfa->lock);
    close_all(e->mfa, c->uid, bucket, key, w->seq, false);
    w->next = e->mfa->windows;
    e->mfa->windows = w;
    if (++e->mfa->window_count <= WINDOWS_MAX)
        return 0;
    struct mfa_window **oldest = &e->mfa->windows;
    while ((*oldest)->next)
        oldest = &(*oldest)->next;
    window_free(e->mfa, oldest);
    return 0;
}

int mfa_window_close(struct engine *e, const struct caller *c, uint32_t bucket, const struct version *v)
{
    LOCK_SCOPE(&e->mfa->lock);
    return close_all(e->mfa, c->uid, bucket, window_key(v), v ? v->seq : 0, !bucket) ? 0 : -ENODATA;
}

void mfa_windows_free(struct engine *e)
{
    while (e->mfa->windows)
        window_free(e->mfa, &e->mfa->windows);
}

bool mfa_in_force(struct engine *e, const struct caller *c, const struct bucket *b, struct span key, uint64_t seq, int64_t *ret_age_s)
{
    *ret_age_s = 0;
    if (c->mfa)
        return true;
    if (strcmp(c->front, "s3") == 0)
        return false; /* each request brings its own */
    if (c->principal.kind != PRINCIPAL_ROOT)
        return false;
    LOCK_SCOPE(&e->mfa->lock);
    int64_t now = clock_mono_ns();
    for (const struct mfa_window *w = e->mfa->windows; w; w = w->next) {
        bool here = w->seq ? seq && b && is_of(w, c->uid, b->number, key, seq) : !w->bucket || (b && w->bucket == b->number);
        if (w->uid != c->uid || !here || w->until_ns <= now || strcmp(w->account, c->principal.account) != 0)
            continue;
        *ret_age_s = (now - w->opened_ns) / NS_PER_S;
        return true;
    }
    return false;
}

void mfa_used(struct engine *e, const struct caller *c, const struct version *v)
{
    LOCK_SCOPE(&e->mfa->lock);
    close_all(e->mfa, c->uid, v->bucket, window_key(v), v->seq, false);
}

/* ---- what asks for one ---- */

int mfa_root_demanded(struct engine *e, struct caller *c, const char *action, const struct bucket *b, const struct version *v)
{
    char id[33] = "";
    int64_t age_s;
    struct span key = window_key(v);
    bool root = c->principal.kind == PRINCIPAL_ROOT && strcmp(c->principal.account, b->account) == 0;
    if (root && mfa_in_force(e, c, b, key, v ? v->seq : 0, &age_s)) {
        c->mfa = true; /* for the record of what it does */
        return 0;
    }
    if (v)
        version_id_text(v, id);
    trail_refuse(c, action, "mfa", b, key, id);
    if (!root)
        return reason_fail_s3(&c->reason, EACCES, "AccessDenied", "Only the account root may do this on a bucket with MFA Delete");
    bool told = strcmp(c->front, "s3") == 0;
    return reason_fail_s3(&c->reason, EACCES, "AccessDenied", "Mfa Authentication must be used for this request%s",
                          told ? "" : "; `holdfs mfa unlock MNT CODE` gives a code for a minute, or setfattr -n user.s3.mfa -v CODE");
}

int mfa_demanded(struct engine *e, struct caller *c, const char *action, const struct bucket *b, const struct version *v)
{
    return b->mfa_delete == MFA_DELETE_ENABLED ? mfa_root_demanded(e, c, action, b, v) : 0;
}
