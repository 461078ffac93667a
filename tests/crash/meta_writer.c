/* SPDX-License-Identifier: GPL-3.0-or-later
 * The two halves of meta_powercut.py: a load on a metadata store that notes what was synced, and a look at
 * what is left. usage: meta_writer make DIR | write DIR NOTES TRANSACTIONS | verify DIR SYNCED */
#include "meta_load.h"

#include <inttypes.h>

static struct metastore store_at(const char *dir)
{
    struct metastore s = {.page_size_bytes = 4096, .cache_bytes = 64 << 10, .ops = meta_find("sqlite")};
    snprintf(s.dir.path, sizeof(s.dir.path), "%s", dir);
    return s;
}

/* How long the record of this process's writes is by now; 0 when nobody records. */
static uint64_t record_bytes(void)
{
    const char *path = getenv("HOLDFS_RECORD_LOG");
    struct stat st;
    return path && stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void run_write(struct metastore *s, const char *notes_path, uint64_t count)
{
    FILE *notes = fopen(notes_path, "we");
    pthread_t thread;
    assert_non_null(notes);
    metastore_open(s);
    assert_int_equal(pthread_create(&thread, NULL, load_checkpoint, s), 0);
    for (uint64_t n = 1; n <= count; n++) {
        assert_int_equal(load_write(s, n), 0);
        if (n % 7 != 0)
            continue;
        assert_int_equal(s->ops->sync(s->meta), 0);
        fprintf(notes, "%" PRIu64 " %" PRIu64 "\n", record_bytes(), n);
        fflush(notes);
    }
    fclose(notes);
    _exit(0); /* as it stands: closing would checkpoint */
}

static void run_verify(struct metastore *s, uint64_t synced)
{
    metastore_open(s);
    uint64_t n = load_verify(s);
    assert_true(n >= synced);
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(load_write(s, n + i), 0);
    assert_int_equal(s->ops->checkpoint(s->meta, true, NULL), 0);
    metastore_close(s);
    metastore_open(s);
    assert_int_equal(load_verify(s), n + 3);
    metastore_close(s);
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    struct metastore s = store_at(argc > 2 ? argv[2] : "");
    if (strcmp(what, "make") == 0 && argc == 3) {
        assert_int_equal(metastore_try_open(&s, true, false), 0);
        metastore_close(&s);
    } else if (strcmp(what, "write") == 0 && argc == 5) {
        run_write(&s, argv[3], strtoull(argv[4], NULL, 10));
    } else if (strcmp(what, "verify") == 0 && argc == 4) {
        run_verify(&s, strtoull(argv[3], NULL, 10));
    } else {
        fprintf(stderr, "usage: meta_writer make DIR | write DIR NOTES TRANSACTIONS | verify DIR SYNCED\n");
        return 2;
    }
    return 0;
}
