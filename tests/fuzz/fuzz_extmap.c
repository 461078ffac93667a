/* SPDX-License-Identifier: GPL-3.0-or-later
 * Fuzzing of packed extent maps: what decodes encodes to the same bytes, and every operation on it keeps it sound. */
#include "pipeline/extmap.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void require_sound(const struct extmap *m)
{
    uint64_t end = 0;
    size_t count = 0;
    struct extmap_cursor at = {0};
    for (const struct extent *e; (e = extmap_next(m, &at)); count++) {
        require(e->offset_bytes >= end && e->length_bytes > 0 && e->dek < m->dek_count && e->frames > 0);
        end = e->offset_bytes + e->length_bytes;
        require(end > e->offset_bytes && end <= m->size_bytes);
    }
    require(count == m->count);
}

static void require_same_form(const struct extmap *m, const uint8_t *data, size_t size)
{
    struct bytes packed = {0};
    extmap_encode(m, &packed);
    require(!packed.failed && packed.len == size && !memcmp(packed.data, data, size));
    bytes_done(&packed);
}

static void ask(const struct extmap *m, uint64_t at)
{
    struct extmap_piece f;
    uint64_t found;
    for (int i = 0; i < 100 && extmap_at(m, at, UINT64_MAX, &f); i++)
        at += f.length;
    (void)extmap_seek_data(m, at, &found);
    (void)extmap_seek_hole(m, at, &found);
    (void)extmap_data_bytes(m);
    (void)extmap_stored_bytes(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct extmap *m;
    if (extmap_decode(data, size, &m) < 0)
        return 0;
    require_sound(m);
    require_same_form(m, data, size);
    ask(m, 0);
    ask(m, m->size_bytes / 2);
    struct extmap *copy = extmap_copy(m), *shared = extmap_new();
    require(copy && shared);
    (void)extmap_share(shared, 5, m, m->size_bytes / 3, m->size_bytes / 2);
    require_sound(shared);
    require(extmap_punch(copy, m->size_bytes / 3, m->size_bytes / 5) == 0);
    require_sound(copy);
    require(extmap_resize(copy, m->size_bytes / 2) == 0);
    (void)extmap_tidy(copy);
    require_sound(copy);
    extmap_unref(shared);
    extmap_unref(copy);
    extmap_unref(m);
    return 0;
}
