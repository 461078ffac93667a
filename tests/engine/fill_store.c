/* SPDX-License-Identifier: GPL-3.0-or-later
 * fill_store STORE PASSPHRASE-FILE COUNT: fills the bucket `bkt` with COUNT files of 1000 bytes in directories of 1000, through the
 * engine and without a mount. For tests and benchmarks that want a large store soon. */
#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fill_dir(struct engine *e, struct caller *c, uint64_t parent, const char *name, uint64_t *ret)
{
    struct engine_attr attr;
    int r = engine_mkdir(e, c, parent, name, strlen(name), 0755, &attr);
    if (r == -EEXIST)
        r = engine_lookup(e, c, parent, name, strlen(name), &attr);
    *ret = attr.ino;
    return r;
}

static int fill_file(struct engine *e, struct caller *c, uint64_t dir, const char *name)
{
    char content[1000];
    memset(content, 'x', sizeof content);
    struct engine_attr attr;
    struct engine_handle *h;
    int r = engine_create(e, c, dir, name, strlen(name), 0644, O_WRONLY, &attr, &h);
    if (r < 0)
        return r;
    ssize_t n = engine_write(h, content, sizeof content, 0);
    r = n < 0 ? (int)n : engine_flush(e, c, h);
    engine_release(h);
    return r;
}

static int fill(struct engine *e, unsigned long count)
{
    struct caller c;
    engine_caller_init(e, &c, 0, 0, 0, "mount");
    uint64_t bucket, dir = 0;
    int r = fill_dir(e, &c, ENGINE_ROOT_INO, "bkt", &bucket);
    for (unsigned long n = 0; r == 0 && n < count; n++) {
        char name[32];
        if (n % 1000 == 0) {
            snprintf(name, sizeof name, "dir-%05lu", n / 1000);
            r = fill_dir(e, &c, bucket, name, &dir);
        }
        snprintf(name, sizeof name, "file-%06lu", n);
        if (r == 0)
            r = fill_file(e, &c, dir, name);
    }
    return r;
}

int main(int argc, char **argv)
{
    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: fill_store STORE PASSPHRASE-FILE COUNT [aws:kms]\n");
        return 2;
    }
    struct reason reason = {0};
    struct unlock unlock;
    int r = unlock_from_file(SLOT_PASSPHRASE, argv[2], &unlock, &reason);
    struct engine *e = NULL;
    struct engine_config config = {.dir = argv[1], .unlock = &unlock, .owner_text = "fill_store", .settle_default_s = 1,
                                   .sse = argc > 4 ? argv[4] : NULL};
    if (r == 0) {
        r = engine_open(&config, &e, &reason);
        secret_free(unlock.secret);
    }
    if (r == 0)
        r = fill(e, strtoul(argv[3], NULL, 10));
    engine_close(e);
    if (r < 0)
        fprintf(stderr, "fill_store: %s %s\n", strerror(-r), reason.text);
    return r < 0;
}
