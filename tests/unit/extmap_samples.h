/* SPDX-License-Identifier: GPL-3.0-or-later
 * What the tests of extent maps share: extents and maps to start from, and numbers from a seed that is printed. */
#ifndef HOLDFS_TESTS_EXTMAP_SAMPLES_H
#define HOLDFS_TESTS_EXTMAP_SAMPLES_H

#include "unit.h"

#include "pipeline/extmap.h"
#include "pipeline/extmap_run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

static uint64_t seed;

static inline uint32_t next_random(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 32);
}

static inline uint64_t random_below(uint64_t n)
{
    return next_random() % n;
}

static inline int seed_from_clock(void **state)
{
    (void)state;
    const char *given = getenv("SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("SEED=%" PRIu64 "\n", seed);
    return 0;
}

static inline struct extmap_dek some_dek(uint8_t n)
{
    struct extmap_dek d;
    memset(&d, n, sizeof d);
    return d;
}

static inline struct extent one_frame(uint64_t offset, uint32_t plain, uint64_t place, uint64_t number)
{
    return (struct extent){
        .offset_bytes = offset, .length_bytes = plain, .segment = 1, .place_bytes = place, .number = number,
        .plain_bytes = plain, .cipher_bytes = plain, .last_plain_bytes = plain, .last_cipher_bytes = plain,
        .frames = 1,
    };
}

/* A file of `bytes` in frames of `unit`, appended in pieces of 1 MiB to segments of 64 MiB. */
static inline struct extmap *written_in_order(uint64_t bytes, uint32_t unit)
{
    struct extmap *m = extmap_new();
    struct extmap_dek d = some_dek(1);
    uint64_t place = 0, number = 0;
    uint32_t segment = 1;
    assert_int_equal(extmap_dek_index(m, &d), 0);
    for (uint64_t at = 0; at < bytes; at += 1 << 20) {
        uint32_t frames = (1 << 20) / unit;
        uint64_t piece = frames * ((uint64_t)unit + FRAME_OVERHEAD_BYTES);
        if (place + piece > 64 << 20) {
            segment++;
            place = 0;
        }
        struct extent e = one_frame(at, unit, place, number);
        e.segment = segment;
        e.frames = frames;
        e.length_bytes = 1 << 20;
        assert_int_equal(extmap_put(m, &e), 0);
        place += piece;
        number += frames;
    }
    return m;
}

#endif
