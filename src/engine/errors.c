/* SPDX-License-Identifier: GPL-3.0-or-later
 * user.s3.last-error: the last refusal of each uid, in words (auth.md §7). In memory only, a bounded number of uids.
 *
 * Called by fronts with no lock held: the path is looked up under the meta lock before the list's own leaf lock. */
#include "engine/private.h"

#include <stdio.h>

enum {
    ERRORS_UIDS = 256,       /* the uids that were refused last; a host with more at once loses the oldest */
    ERRORS_TEXT_BYTES = 4096 /* auth.md §7 */
};

struct refusal {
    struct refusal *next; /* newest first */
    uint32_t uid;
    char *text;
};

struct errors {
    pthread_mutex_t lock; /* guards what follows */
    struct refusal *newest;
    size_t count;
};

int errors_open(struct engine *e)
{
    struct errors *errors = calloc(1, sizeof *errors);
    if (!errors)
        return -ENOMEM;
    pthread_mutex_init(&errors->lock, NULL);
    e->errors = errors;
    return 0;
}

static void refusal_free(struct refusal *r)
{
    free(r->text);
    free(r);
}

void errors_close(struct engine *e)
{
    struct errors *errors = e->errors;
    if (!errors)
        return;
    while (errors->newest) {
        struct refusal *r = errors->newest;
        errors->newest = r->next;
        refusal_free(r);
    }
    pthread_mutex_destroy(&errors->lock);
    free(errors);
    e->errors = NULL;
}

/* Takes the uid's refusal out of the list; NULL. Lock held. */
static struct refusal *refusal_take(struct errors *errors, uint32_t uid)
{
    for (struct refusal **at = &errors->newest; *at; at = &(*at)->next) {
        if ((*at)->uid == uid) {
            struct refusal *r = *at;
            *at = r->next;
            errors->count--;
            return r;
        }
    }
    return NULL;
}

static void drop_oldest(struct errors *errors)
{
    struct refusal **at = &errors->newest;
    while (*at && (*at)->next)
        at = &(*at)->next;
    if (*at) {
        refusal_free(*at);
        *at = NULL;
        errors->count--;
    }
}

static const char *code_of(int error)
{
    switch (error) {
    case -EPERM:
    case -EACCES:
        return "AccessDenied";
    case -EINVAL:
    case -ERANGE:
        return "InvalidArgument";
    case -EROFS:
        return "MethodNotAllowed";
    case -EOPNOTSUPP:
        return "NotImplemented";
    case -EIO:
        return "InternalError";
    default:
        return "";
    }
}

/* What programs meet all day and what says itself is no news; with a sentence it is. */
static bool is_ordinary(int error)
{
    return error == -ENOENT || error == -ENODATA || error == -EEXIST || error == -EINTR || error == -EAGAIN ||
           error == -ERANGE || error == -ENOTDIR || error == -EISDIR;
}

static void put_path(struct engine *e, uint64_t ino, const char *name, size_t name_len, struct bytes *out)
{
    uint32_t number = 0;
    uint8_t key[4096];
    size_t len = 0;
    if (ino != ENGINE_ROOT_INO && engine_place_of(e, ino, &number, key, &len) == 0) {
        LOCK_SCOPE(&e->meta);
        struct bucket *b = bucket_by_number(e, number);
        bytes_printf(out, "/%s", b ? b->name : "?");
    }
    if (len) {
        bytes_put(out, "/", 1);
        bytes_put(out, key, len);
    }
    if (name_len || !out->len)
        bytes_put(out, "/", 1);
    bytes_put(out, name, name_len);
}

static void put_lines(const struct caller *c, const char *operation, const struct bytes *path, int error, struct bytes *out)
{
    char arn[128], time_text[40], words[128];
    if (c->reason.text[0])
        bytes_printf(out, "%s\n", c->reason.text);
    else
        bytes_printf(out, "%s: %s\n", operation, strerror_r(-error, words, sizeof words));
    const char *code = c->reason.code[0] ? c->reason.code : code_of(error);
    if (code[0])
        bytes_printf(out, "code: %s\n", code);
    if (c->denied_action)
        bytes_printf(out, "action: %s\n", c->denied_action);
    if (c->denial[0])
        bytes_printf(out, "%s", c->denial);
    bytes_printf(out, "operation: %s\n", operation);
    principal_arn(&c->principal, arn);
    if (c->principal.kind != PRINCIPAL_ANONYMOUS)
        bytes_printf(out, "principal: %s\n", arn);
    timeform_format_ms(clock_wall_ns() / 1000000, time_text);
    bytes_printf(out, "time: %s\npath: ", time_text);
    bytes_put(out, path->data, path->len);
}

/* Cut to the limit, never within a character. */
static void cut(struct bytes *text)
{
    if (text->len <= ERRORS_TEXT_BYTES - 1)
        return;
    size_t len = ERRORS_TEXT_BYTES - 1;
    while (len > 0 && (text->data[len] & 0xc0) == 0x80)
        len--;
    text->len = len;
}

void engine_refused(struct engine *e, struct caller *c, const char *operation, uint64_t ino, const char *name,
                    size_t name_len, int error)
{
    engine_audit_refused(e, c, operation, error);
    if (!c->reason.text[0] && is_ordinary(error))
        return;
    struct bytes path = {0}, text = {0};
    put_path(e, ino, name, name_len, &path);
    put_lines(c, operation, &path, error, &text);
    bytes_done(&path);
    cut(&text);
    struct refusal *fresh = calloc(1, sizeof *fresh);
    char *words = bytes_text(&text);
    if (!fresh || !words) {
        free(fresh);
        bytes_done(&text);
        return; /* out of memory: the errno alone has to do */
    }
    *fresh = (struct refusal){.uid = c->uid, .text = words}; /* takes the buffer over */

    LOCK_SCOPE(&e->errors->lock);
    struct refusal *old = refusal_take(e->errors, c->uid);
    if (old)
        refusal_free(old);
    fresh->next = e->errors->newest;
    e->errors->newest = fresh;
    if (++e->errors->count > ERRORS_UIDS)
        drop_oldest(e->errors);
}

int engine_last_error(struct engine *e, uint32_t uid, struct bytes *out)
{
    LOCK_SCOPE(&e->errors->lock);
    for (const struct refusal *r = e->errors->newest; r; r = r->next) {
        if (r->uid == uid) {
            bytes_put(out, r->text, strlen(r->text));
            return out->failed ? -ENOMEM : 0;
        }
    }
    return -ENODATA;
}

void engine_last_error_forget(struct engine *e, uint32_t uid)
{
    LOCK_SCOPE(&e->errors->lock);
    struct refusal *r = refusal_take(e->errors, uid);
    if (r)
        refusal_free(r);
}
