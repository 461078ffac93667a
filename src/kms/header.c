/* SPDX-License-Identifier: GPL-3.0-or-later
 * The store header as a whole: made by init, opened with one secret by everything else (encryption.md §1.1).
 *
 * Of the two files the valid one with the higher seq counts. Valid means: its MAC fits under the M its own
 * slots give. A wrong secret, a missing kind of slot and an altered slot take the same path and the same
 * time. */
#include "kms/keys.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/timeform.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* ---- making ---- */

/* The whole file, in *ret (caller frees). */
static int header_file_compose(const struct store_keys *k, char **ret, size_t *ret_len)
{
    CLEANUP_FREE char *line = header_line_format(&k->header);
    size_t line_len = line ? strlen(line) : 0;
    char *file = line ? malloc(line_len + 1 + HEADER_MAC_CHARS + 1 + 1) : NULL;
    if (!file)
        return -ENOMEM;
    memcpy(file, line, line_len);
    file[line_len] = '\n';
    header_mac_format(k, line, line_len, file + line_len + 1);
    *ret_len = line_len + 1 + HEADER_MAC_CHARS + 1;
    file[*ret_len - 1] = '\n';
    *ret = file;
    return 0;
}

/* Twin first: should the machine stop in between, the older header is still whole under its own name. */
int header_write(int dir_fd, const struct store_keys *k)
{
    CLEANUP_FREE char *file = NULL;
    size_t len;
    int r = header_file_compose(k, &file, &len);
    if (r == 0)
        r = header_file_write(dir_fd, header_file_names[1], file, len);
    if (r == 0)
        r = header_file_write(dir_fd, header_file_names[0], file, len);
    return r;
}

static int header_check_params(const struct store_header_params *p, struct reason *reason)
{
    if (p->scrypt_log_n < LIMIT_SCRYPT_LOG_N_MIN || p->scrypt_log_n > LIMIT_SCRYPT_LOG_N_MAX)
        return reason_fail(reason, EINVAL, "scrypt's log N is %u; it must be from %d to %d", p->scrypt_log_n,
                           LIMIT_SCRYPT_LOG_N_MIN, LIMIT_SCRYPT_LOG_N_MAX);
    uint32_t size = p->page_size_bytes;
    if (size < LIMIT_PAGE_MIN_BYTES || size > LIMIT_PAGE_MAX_BYTES || size & (size - 1))
        return reason_fail(reason, EINVAL,
                           "the page size is %u; it must be a power of two from %d to %d bytes", size,
                           LIMIT_PAGE_MIN_BYTES, LIMIT_PAGE_MAX_BYTES);
    return 0;
}

static int header_add_slots(struct store_header *h, const struct store_header_params *p,
                            const uint8_t *master, const struct unlock *recovery)
{
    int r = slot_make(0, p->unlock, p->scrypt_log_n, h->store_id, master, &h->slots[0]);
    h->slot_count = 1;
    if (r == 0 && recovery) {
        r = slot_make(1, recovery, 0, h->store_id, master, &h->slots[1]);
        h->slot_count = 2;
    }
    return r;
}

static void header_begin(struct store_header *h, const struct store_header_params *p)
{
    *h = (struct store_header){
        .seq = 1, .page_size_bytes = p->page_size_bytes, .page_generation = 1, .epoch_count = 1};
    memcpy(h->store_id, p->store_id, 16);
    timeform_format_ms(clock_wall_ns() / 1000000, h->created);
    h->epochs[0].e = 1;
    random_bytes(h->epochs[0].secret, KEY_BYTES);
}

static int header_create_at(int dir_fd, const struct store_header_params *params,
                            const struct unlock *recovery, struct store_keys **ret)
{
    struct secret *master = secret_new(KEY_BYTES);
    if (!master)
        return -ENOMEM;
    random_bytes(secret_bytes(master), KEY_BYTES);
    struct store_header h;
    header_begin(&h, params);
    int r = header_add_slots(&h, params, secret_peek(master), recovery);
    if (r < 0) {
        secret_free(master);
        return r;
    }
    struct store_keys *keys = store_keys_new(&h, master);
    if (!keys)
        return -ENOMEM;
    r = header_write(dir_fd, keys);
    if (r < 0) {
        for (int i = 0; i < 2; i++)
            unlinkat(dir_fd, header_file_names[i], 0);
        store_keys_free(keys);
        return r;
    }
    *ret = keys;
    return 0;
}

int store_header_create(const char *dir, const struct store_header_params *params, struct store_keys **ret,
                        uint8_t ret_recovery[32], struct reason *reason)
{
    int r = header_check_params(params, reason);
    if (r < 0)
        return r;
    CLEANUP_FD int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return reason_fail(reason, errno, "the folder %s cannot be opened: %s", dir, strerror(errno));
    for (int i = 0; i < 2; i++) {
        if (faccessat(dir_fd, header_file_names[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return reason_fail(reason, EEXIST, "%s/%s is there already: this folder holds a store", dir,
                               header_file_names[i]);
    }
    if (params->unlock->kind == SLOT_PASSPHRASE &&
        secret_len(params->unlock->secret) < LIMIT_PASSPHRASE_SHORT_BYTES)
        log_warning("the passphrase has fewer than %d bytes; who takes the disk may guess it",
                    LIMIT_PASSPHRASE_SHORT_BYTES);
    CLEANUP(secret_cleanup) struct secret *recovery = secret_new(KEY_BYTES);
    if (!recovery)
        return reason_fail(reason, ENOMEM, "there is not enough memory for the keys");
    random_bytes(secret_bytes(recovery), KEY_BYTES);
    const struct unlock recovery_unlock = {SLOT_RECOVERY, recovery};
    r = header_create_at(dir_fd, params, params->recovery ? &recovery_unlock : NULL, ret);
    if (r < 0)
        return reason_fail(reason, -r, "the store header cannot be made in %s: %s", dir, strerror(-r));
    if (params->recovery)
        memcpy(ret_recovery, secret_peek(recovery), KEY_BYTES);
    return 0;
}

/* ---- opening ---- */

struct candidate {
    struct header_file file;
    struct store_header header;
    bool parsed; /* header is filled and of this store */
};

/* What the slots tried last gave, so that twins with the same slots cost one derivation. */
struct attempt {
    const struct store_header *of; /* NULL: none yet */
    struct secret *master;         /* NULL: no slot opened */
    bool known;                    /* M came from the caller: no slot is asked */
};

static void attempt_done(struct attempt *a)
{
    secret_free(a->master);
}

static void candidates_done(struct candidate (*c)[2])
{
    for (int i = 0; i < 2; i++) {
        header_file_done(&(*c)[i].file);
        secret_wipe(&(*c)[i].header, sizeof(*c)[i].header);
    }
}

static void candidate_read(int dir_fd, const char *name, const uint8_t store_id[16], struct candidate *c,
                           struct reason *reason)
{
    struct reason why = {0};
    header_file_read(dir_fd, name, &c->file);
    if (!c->file.bytes)
        return;
    if (!c->file.mac)
        reason_fail(&why, EBADMSG, "the store header has been altered");
    else if (header_line_parse(c->file.bytes, c->file.line_len, &c->header, &why) == 0)
        c->parsed = memcmp(c->header.store_id, store_id, 16) == 0;
    if (!c->parsed && reason)
        *reason = why;
}

static bool slots_equal(const struct store_header *a, const struct store_header *b)
{
    if (a->slot_count != b->slot_count)
        return false;
    for (size_t i = 0; i < a->slot_count; i++) {
        const struct slot *x = &a->slots[i], *y = &b->slots[i];
        if (x->n != y->n || x->kind != y->kind || x->scrypt_log_n != y->scrypt_log_n ||
            x->scrypt_p != y->scrypt_p || memcmp(x->salt, y->salt, sizeof x->salt) != 0 ||
            memcmp(x->wrapped, y->wrapped, sizeof x->wrapped) != 0)
            return false;
    }
    return true;
}

/* Derives as a passphrase slot would, for headers that have none: the time tells nothing. */
static int derive_for_nothing(const struct unlock *unlock, uint8_t *key)
{
    const struct slot slot = {
        .kind = SLOT_PASSPHRASE, .scrypt_log_n = LIMIT_SCRYPT_LOG_N_DEFAULT, .scrypt_r = 8, .scrypt_p = 1};
    return unlock->kind == SLOT_PASSPHRASE ? slot_key_derive(&slot, unlock, key) : 0;
}

/* Leaves M, or NULL when no slot opens, in a->master. */
static int header_try_slots(const struct store_header *h, const struct unlock *unlock, struct attempt *a)
{
    if (a->known || (a->of && slots_equal(a->of, h)))
        return 0;
    attempt_done(a);
    *a = (struct attempt){.of = h};
    CLEANUP(secret_cleanup) struct secret *key = secret_new(KEY_BYTES);
    CLEANUP(secret_cleanup) struct secret *master = secret_new(KEY_BYTES);
    if (!key || !master)
        return -ENOMEM;
    bool tried = false;
    for (size_t i = 0; i < h->slot_count && !a->master; i++) {
        const struct slot *s = &h->slots[i];
        if (!slot_takes(s, unlock->kind))
            continue;
        tried = true;
        int r = slot_key_derive(s, unlock, secret_bytes(key));
        if (r == 0)
            r = slot_open(s, h->store_id, secret_peek(key), secret_bytes(master));
        if (r == 0) {
            a->master = master;
            master = NULL;
        } else if (r != -EBADMSG) {
            return r;
        }
    }
    return tried ? 0 : derive_for_nothing(unlock, secret_bytes(key));
}

static bool candidate_mac_fits(const struct candidate *c, const struct store_keys *k)
{
    char mac[HEADER_MAC_CHARS + 1];
    header_mac_format(k, c->file.bytes, c->file.line_len, mac);
    return secret_equal(mac, c->file.mac, HEADER_MAC_CHARS);
}

/* Tries one candidate: keys in *ret when it is valid. 0; -EACCES no slot opens, -EBADMSG the MAC does not
 * fit. */
static int candidate_open(const struct candidate *c, const struct unlock *unlock, struct attempt *a,
                          struct store_keys **ret)
{
    int r = header_try_slots(&c->header, unlock, a);
    if (r < 0)
        return r;
    if (!a->master)
        return -EACCES;
    struct secret *master = secret_copy(secret_peek(a->master), KEY_BYTES);
    struct store_keys *k = master ? store_keys_new(&c->header, master) : NULL;
    if (!k)
        return -ENOMEM;
    if (!candidate_mac_fits(c, k)) {
        store_keys_free(k);
        return -EBADMSG;
    }
    *ret = k;
    return 0;
}

/* The index of the valid candidate, its keys in *ret; or a negative errno. */
static int candidates_choose(struct candidate c[2], const struct header_opener *by, struct store_keys **ret)
{
    CLEANUP(attempt_done) struct attempt attempt = {.known = by->keys != NULL};
    if (by->keys && !(attempt.master = secret_copy(secret_peek(by->keys->master), KEY_BYTES)))
        return -ENOMEM;
    int first = c[1].parsed && (!c[0].parsed || c[1].header.seq > c[0].header.seq);
    bool altered = false, shut = false;
    for (int i = 0; i < 2; i++) {
        int at = i ? !first : first;
        if (!c[at].parsed)
            continue;
        int r = candidate_open(&c[at], by->unlock, &attempt, ret);
        if (r == 0)
            return at;
        if (r != -EACCES && r != -EBADMSG)
            return r;
        altered |= r == -EBADMSG;
        shut |= r == -EACCES;
    }
    return altered || !shut ? -EBADMSG : -EACCES;
}

/* Makes the other file what the chosen one is. A store on a full or read-only disk still opens. */
static bool candidate_repair(int dir_fd, const struct candidate c[2], int chosen)
{
    const struct header_file *good = &c[chosen].file, *bad = &c[!chosen].file;
    if (bad->bytes && bad->len == good->len && memcmp(bad->bytes, good->bytes, good->len) == 0)
        return false;
    int r = header_file_write(dir_fd, header_file_names[!chosen], good->bytes, good->len);
    if (r < 0)
        log_warning("%s differs from its twin and cannot be repaired: %s", header_file_names[!chosen],
                    strerror(-r));
    return r == 0;
}

/* Why no candidate could even be tried. */
static int candidates_explain(const char *dir, const struct candidate c[2], const struct reason *why,
                              struct reason *reason)
{
    if (c[0].file.error && c[1].file.error) {
        int e = c[0].file.error;
        return reason_fail(reason, e, "the store header %s/%s cannot be read: %s", dir, header_file_names[0],
                           strerror(e));
    }
    if (why->text[0])
        return reason_fail(reason, EBADMSG, "%s", why->text);
    return reason_fail(reason, EBADMSG,
                       "the store header in %s is another store's: its id is not that of holdfs.conf", dir);
}

static int open_failed(int r, struct reason *reason)
{
    if (r == -EACCES)
        return reason_fail(reason, EACCES, "no slot opens with this key");
    if (r == -EBADMSG)
        return reason_fail(reason, EBADMSG, "the store header has been altered");
    return reason_fail(reason, -r, "the store header cannot be opened: %s", strerror(-r));
}

int header_load(int dir_fd, const char *dir, const uint8_t store_id[16], const struct header_opener *by, bool read_only,
                struct store_keys **ret, bool *ret_repaired, struct reason *reason)
{
    CLEANUP(candidates_done) struct candidate c[2] = {0};
    struct reason why = {0};
    for (int i = 0; i < 2; i++)
        candidate_read(dir_fd, header_file_names[i], store_id, &c[i], &why);
    if (!c[0].parsed && !c[1].parsed)
        return candidates_explain(dir, c, &why, reason);
    struct store_keys *keys;
    int chosen = candidates_choose(c, by, &keys);
    if (chosen < 0)
        return open_failed(chosen, reason);
    *ret_repaired = !read_only && candidate_repair(dir_fd, c, chosen);
    *ret = keys;
    return 0;
}

int store_header_open(const char *dir, const uint8_t store_id[16], const struct unlock *unlock,
                      bool read_only, struct store_keys **ret, bool *ret_repaired, struct reason *reason)
{
    CLEANUP_FD int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return reason_fail(reason, errno, "the folder %s cannot be opened: %s", dir, strerror(errno));
    /* Repairing must not meet an edit half-way; a filesystem without locks leaves it to chance. */
    if (!read_only)
        header_lock(dir_fd);
    const struct header_opener by = {.unlock = unlock};
    return header_load(dir_fd, dir, store_id, &by, read_only, ret, ret_repaired, reason);
}

int store_header_slots(const char *dir, const uint8_t store_id[16], struct slot_info ret[LIMIT_SLOTS], struct reason *reason)
{
    CLEANUP_FD int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return reason_fail(reason, errno, "the folder %s cannot be opened: %s", dir, strerror(errno));
    CLEANUP(candidates_done) struct candidate c[2] = {0};
    struct reason why = {0};
    for (int i = 0; i < 2; i++)
        candidate_read(dir_fd, header_file_names[i], store_id, &c[i], &why);
    if (!c[0].parsed && !c[1].parsed)
        return candidates_explain(dir, c, &why, reason);
    const struct store_header *h = &c[c[1].parsed && (!c[0].parsed || c[1].header.seq > c[0].header.seq)].header;
    for (size_t i = 0; i < h->slot_count; i++)
        ret[i] = (struct slot_info){h->slots[i].n, (enum slot_kind)h->slots[i].kind, h->slots[i].scrypt_log_n};
    return (int)h->slot_count;
}
