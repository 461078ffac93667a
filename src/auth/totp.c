/* SPDX-License-Identifier: GPL-3.0-or-later
 * One-time codes of authenticator devices: RFC 6238 over RFC 4226, and what a device's owner may get wrong (retention.md §4). */
#include "auth/auth.h"
#include "util/secret.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { WRONG_MAX = 5, LOCK_FIRST_S = 300, LOCK_MOST_S = 86400, SHA1_BYTES = 20 };

void totp_code(const uint8_t secret[TOTP_SECRET_BYTES], uint64_t step, char out[TOTP_DIGITS + 1])
{
    uint8_t counter[8], mac[SHA1_BYTES];
    unsigned len = sizeof mac;
    for (int n = 0; n < 8; n++)
        counter[n] = (uint8_t)(step >> (56 - 8 * n));
    const void *done = HMAC(EVP_sha1(), secret, TOTP_SECRET_BYTES, counter, sizeof counter, mac, &len);
    assert(done && len == sizeof mac);
    const uint8_t *at = mac + (mac[SHA1_BYTES - 1] & 0xf); /* RFC 4226, 5.3: dynamic truncation */
    uint32_t number = (uint32_t)(at[0] & 0x7f) << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    snprintf(out, TOTP_DIGITS + 1, "%06u", number % 1000000);
    secret_wipe(mac, sizeof mac);
}

bool totp_code_valid(const char *text)
{
    return strlen(text) == TOTP_DIGITS && strspn(text, "0123456789") == TOTP_DIGITS;
}

uint64_t totp_step(int64_t wall_s)
{
    return wall_s > 0 ? (uint64_t)wall_s / TOTP_STEP_S : 0;
}

bool totp_matches(const uint8_t secret[TOTP_SECRET_BYTES], uint64_t step, const char *code)
{
    char right[TOTP_DIGITS + 1];
    totp_code(secret, step, right);
    bool same = totp_code_valid(code) && secret_equal(right, code, TOTP_DIGITS);
    secret_wipe(right, sizeof right);
    return same;
}

/* Of the steps that count now the one the code is of; 0: none. Step 0 is never now. */
static uint64_t step_of(const uint8_t secret[TOTP_SECRET_BYTES], uint64_t now, const char *code)
{
    uint64_t found = 0;
    for (uint64_t step = now ? now - 1 : 0; step <= now + 1; step++) {
        if (totp_matches(secret, step, code))
            found = step;
    }
    return found;
}

static void count_wrong(struct totp_state *s, int64_t clock_s)
{
    if (s->wrong < UINT32_MAX)
        s->wrong++;
    if (s->wrong < WRONG_MAX)
        return;
    int64_t lock = LOCK_FIRST_S;
    for (uint32_t n = WRONG_MAX; n < s->wrong && lock < LOCK_MOST_S; n++)
        lock *= 2;
    s->locked_until_s = clock_s + (lock < LOCK_MOST_S ? lock : LOCK_MOST_S);
}

enum totp_answer totp_judge(struct totp_state *s, const uint8_t secret[TOTP_SECRET_BYTES], const char *code, int64_t wall_s, int64_t clock_s)
{
    if (clock_s < s->locked_until_s)
        return TOTP_LOCKED; /* the code is not looked at: a lock cannot be guessed through */
    uint64_t step = step_of(secret, totp_step(wall_s), code);
    if (!step) {
        count_wrong(s, clock_s);
        return TOTP_WRONG;
    }
    if (step <= s->last_step)
        return TOTP_REPLAYED;
    *s = (struct totp_state){.last_step = step};
    return TOTP_RIGHT;
}
