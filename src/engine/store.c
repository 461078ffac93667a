/* SPDX-License-Identifier: GPL-3.0-or-later
 * A store's directory: holdfs.conf, the owner lock, and making a new store. Opening one is engine.c's.
 *
 * holdfs.conf is plain text, "name = value" a line: what must be known before a key is there. */
#include "engine/compliance_tsa.h"
#include "engine/iam.h"
#include "engine/trail.h"
#include "util/limits.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { STORE_FORMAT = 1 };

/* ---- holdfs.conf ---- */

static int conf_value(struct store_conf *c, const char *name, const char *value)
{
    if (!strcmp(name, "format"))
        c->format = (unsigned)strtoul(value, NULL, 10);
    else if (!strcmp(name, "store-id"))
        return uuid_parse(value, c->store_id);
    else if (!strcmp(name, "account-id"))
        snprintf(c->account_id, sizeof c->account_id, "%.*s", (int)sizeof c->account_id - 1, value);
    else if (!strcmp(name, "region"))
        snprintf(c->region, sizeof c->region, "%.*s", (int)sizeof c->region - 1, value);
    else if (!strcmp(name, "retention-clock"))
        snprintf(c->retention_clock, sizeof c->retention_clock, "%.*s", (int)sizeof c->retention_clock - 1, value);
    else if (!strcmp(name, "owner-uid"))
        c->owner_uid = (uint32_t)strtoul(value, NULL, 10);
    else if (!strcmp(name, "test-store"))
        c->test_store = !strcmp(value, "yes");
    else if (!strcmp(name, "created"))
        c->created_s = strtoll(value, NULL, 10);
    return 0; /* a later version may say more */
}

int store_conf_read(const char *dir, struct store_conf *ret, struct reason *reason)
{
    char path[4200], line[512];
    snprintf(path, sizeof path, "%s/holdfs.conf", dir);
    FILE *f = fopen(path, "re");
    if (!f)
        return reason_fail(reason, errno, "'%s' is no holdfs store: it has no holdfs.conf (%s); 'holdfs init %s' makes one", dir,
                           strerror(errno), dir);
    struct store_conf c = {0};
    int r = 0;
    while (r == 0 && fgets(line, sizeof line, f)) {
        char name[64], value[256];
        if (sscanf(line, " %63[a-z-] = %255[^\n]", name, value) == 2)
            r = conf_value(&c, name, value);
    }
    fclose(f);
    if (r < 0 || !c.format)
        return reason_fail(reason, EINVAL, "'%s' is damaged: it lacks a format or a store id; restore it from a copy", path);
    if (c.format > STORE_FORMAT)
        return reason_fail(reason, EPROTO, "store '%s' has format %u; this holdfs reads up to %u: use a newer holdfs", dir,
                           c.format, STORE_FORMAT);
    *ret = c;
    return 0;
}

static int conf_write(const char *dir, const struct store_conf *c, const struct engine_init_params *p, struct reason *reason)
{
    char path[4200], id[37];
    snprintf(path, sizeof path, "%s/holdfs.conf", dir);
    uuid_format(c->store_id, id);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return reason_fail(reason, errno, "cannot make '%s': %s", path, strerror(errno));
    FILE *f = fdopen(fd, "w");
    fprintf(f, "# a holdfs store; its content is encrypted, this file holds nothing secret\n");
    fprintf(f, "format = %u\nstore-id = %s\naccount-id = %s\nregion = %s\nretention-clock = %s\nowner-uid = %u\ncreated = %lld\n",
            c->format, id, c->account_id, c->region, c->retention_clock, c->owner_uid, (long long)c->created_s);
    if (p->display_name)
        fprintf(f, "display-name = %s\n", p->display_name);
    if (c->test_store)
        fprintf(f, "test-store = yes\n");
    int r = fflush(f) || fsync(fd) ? -errno : 0;
    if (fclose(f) && r == 0)
        r = -errno;
    return r < 0 ? reason_fail(reason, -r, "cannot write '%s': %s", path, strerror(-r)) : 0;
}

/* ---- the owner lock ---- */

static void lock_read_owner(int fd, char out[256])
{
    ssize_t n = pread(fd, out, 255, 0);
    out[n > 0 ? n : 0] = 0;
    out[strcspn(out, "\n")] = 0;
}

int store_lock(const char *dir, bool read_only, const char *owner_text, int *ret_fd, struct reason *reason)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/lock", dir);
    int fd = open(path, read_only ? O_RDONLY | O_CLOEXEC : O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return reason_fail(reason, errno, "cannot open '%s': %s", path, strerror(errno));
    struct flock want = {.l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &want) < 0) {
        char owner[256];
        lock_read_owner(fd, owner);
        close(fd);
        return reason_fail(reason, EBUSY, "store '%s' is open already: %s", dir, owner[0] ? owner : "by another process");
    }
    if (!read_only) {
        char host[128] = "", text[512];
        gethostname(host, sizeof host - 1);
        int n = snprintf(text, sizeof text, "pid %d on %s, %s\n", (int)getpid(), host, owner_text ? owner_text : "holdfs");
        if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
            log_warning("cannot write '%s': %s", path, strerror(errno));
    }
    *ret_fd = fd;
    return 0;
}

/* ---- init ---- */

static int init_directory(const char *dir, struct reason *reason)
{
    if (mkdir(dir, 0711) == 0)
        return 0;
    if (errno != EEXIST)
        return reason_fail(reason, errno, "cannot make '%s': %s", dir, strerror(errno));
    DIR *d = opendir(dir);
    if (!d)
        return reason_fail(reason, errno, "cannot read '%s': %s", dir, strerror(errno));
    char found[256] = "";
    for (struct dirent *entry; (entry = readdir(d));) {
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            snprintf(found, sizeof found, "%s", entry->d_name);
        if (!strcmp(found, "holdfs.conf"))
            break;
    }
    closedir(d);
    if (!strcmp(found, "holdfs.conf"))
        return reason_fail(reason, EEXIST, "'%s' is a holdfs store already", dir);
    if (found[0])
        return reason_fail(reason, ENOTEMPTY, "'%s' is not empty: it holds '%s'; a store wants a directory of its own", dir, found);
    return chmod(dir, 0711) < 0 ? reason_fail(reason, errno, "cannot set the mode of '%s': %s", dir, strerror(errno)) : 0;
}

static int init_conf(const struct engine_init_params *p, struct store_conf *c, struct reason *reason)
{
    *c = (struct store_conf){.format = STORE_FORMAT, .owner_uid = p->owner_uid, .test_store = p->test_store};
    uuid_random(c->store_id);
    c->created_s = clock_wall_ns() / 1000000000;
    if (p->account_id && (strlen(p->account_id) != 12 || strspn(p->account_id, "0123456789") != 12))
        return reason_fail(reason, EINVAL, "account id '%s' is not 12 digits", p->account_id);
    if (p->account_id) {
        memcpy(c->account_id, p->account_id, 13);
    } else {
        uint64_t random;
        random_bytes(&random, sizeof random);
        snprintf(c->account_id, sizeof c->account_id, "%012llu", (unsigned long long)(random % 1000000000000ull));
    }
    const char *region = p->region ? p->region : "us-east-1";
    if (!*region || strlen(region) >= sizeof c->region || strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(region))
        return reason_fail(reason, EINVAL, "region '%s' is not lower-case letters, digits and '-' (at most 63)", region);
    snprintf(c->region, sizeof c->region, "%s", region);
    const char *kind = p->retention_clock ? p->retention_clock : "strict";
    if (strcmp(kind, "strict") && strcmp(kind, "attested") && strcmp(kind, "wall"))
        return reason_fail(reason, EINVAL, "retention clock '%s' is not strict, attested or wall", kind);
    if (!strcmp(kind, "attested") != (p->time_authorities != NULL))
        return reason_fail(reason, EINVAL, "time authorities and the retention clock 'attested' belong together");
    snprintf(c->retention_clock, sizeof c->retention_clock, "%s", kind);
    return 0;
}

/* `pinned`: NULL unless the clock is attested. */
static int init_contents(struct engine *e, const struct engine_init_params *p, const struct tsa_authorities *pinned, struct reason *reason)
{
    {
        LOCK_SCOPE(&e->meta);
        int r = txn_begin(e);
        if (r < 0)
            return r;
        r = compliance_init_values(e);
        if (r == 0)
            r = iam_init_values(e, p);
        if (r == 0 && pinned)
            r = tsa_init_values(e, pinned);
        if (r == 0)
            r = trail_note(e, NULL, &(struct trail_event){.name = "StoreCreated",
                                                          .source = TRAIL_HOLDFS,
                                                          .params = json_pack("{s:s, s:s, s:i}", "accountId", e->conf.account_id, "retentionClock",
                                                                              e->conf.retention_clock, "ownerUid", (int)e->conf.owner_uid)});
        r = txn_end(e, r);
        if (r == 0 && pinned)
            r = compliance_open(e, reason);
        if (r == 0 && pinned)
            r = tsa_open(e, reason);
        if (r < 0)
            return r;
    }
    tsa_ask_at_init(e); /* the attested start; where it fails, the first round that agrees is the start */
    return 0;
}

static int init_store(const struct engine_init_params *p, const struct store_conf *conf, const struct tsa_authorities *pinned,
                      uint8_t ret_recovery[32], struct reason *reason)
{
    int r = init_directory(p->dir, reason);
    if (r < 0)
        return r;
    struct store_header_params header = {
        .page_size_bytes = p->page_size_bytes ? p->page_size_bytes : LIMIT_PAGE_DEFAULT_BYTES,
        .unlock = p->unlock,
        .scrypt_log_n = p->scrypt_log_n ? p->scrypt_log_n : LIMIT_SCRYPT_LOG_N_DEFAULT,
        .recovery = p->recovery,
    };
    memcpy(header.store_id, conf->store_id, 16);
    struct store_keys *keys;
    r = store_header_create(p->dir, &header, &keys, ret_recovery, reason);
    if (r < 0)
        return r;
    struct engine *e;
    r = engine_open_with(p->dir, conf, keys, &e, reason);
    if (r < 0)
        return r;
    r = init_contents(e, p, pinned, reason);
    engine_close(e);
    if (r < 0)
        return reason_fail(reason, -r, "cannot write the new store's metadata: %s", strerror(-r));
    /* Last: with it the directory is a store. */
    return conf_write(p->dir, conf, p, reason);
}

int engine_init_store(const struct engine_init_params *p, uint8_t ret_recovery[32], struct reason *reason)
{
    struct store_conf conf;
    struct tsa_authorities pinned = {.count = 0};
    int r = init_conf(p, &conf, reason);
    if (r == 0 && p->test_store && clock_test_enable() < 0)
        r = reason_fail(reason, EOPNOTSUPP, "test stores need a build with --enable-test-hooks");
    if (r == 0 && p->time_authorities)
        r = tsa_authorities_read(p->time_authorities, &pinned, reason);
    if (r == 0)
        r = init_store(p, &conf, p->time_authorities ? &pinned : NULL, ret_recovery, reason);
    tsa_authorities_done(&pinned);
    return r;
}
