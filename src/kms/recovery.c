/* SPDX-License-Identifier: GPL-3.0-or-later
 * The recovery code: 32 random bytes as a person copies them from paper. Two check bytes tell a slip of the
 * pen from a wrong code before any key is derived (encryption.md §1.1). */
#include "kms/internal.h"
#include "util/text.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

enum {
    SECRET_BYTES = 32,
    CHECK_BYTES = 2,
    CODE_BITS = 8 * (SECRET_BYTES + CHECK_BYTES) + 3, /* up to a whole character */
    CODE_CHARS = CODE_BITS / 5,
    GROUP_CHARS = 5,
    CODE_BYTES = (CODE_BITS + 7) / 8,
};
_Static_assert(CODE_BITS % 5 == 0 && CODE_CHARS == 11 * GROUP_CHARS, "11 groups of 5");

static void recovery_check(const uint8_t secret[SECRET_BYTES], uint8_t out[CHECK_BYTES])
{
    static const char purpose[] = "holdfs/v1/recovery";
    enum { PURPOSE_BYTES = sizeof purpose - 1 };
    uint8_t input[PURPOSE_BYTES + SECRET_BYTES], digest[EVP_MAX_MD_SIZE] = {0};
    aad_put(aad_put(input, purpose, PURPOSE_BYTES), secret, SECRET_BYTES);
    EVP_Digest(input, sizeof input, digest, NULL, EVP_sha256(), NULL);
    memcpy(out, digest, CHECK_BYTES);
    secret_wipe(input, sizeof input);
    secret_wipe(digest, sizeof digest);
}

void recovery_code_format(const uint8_t secret[32], char out[66])
{
    uint8_t code[CODE_BYTES] = {0};
    char chars[CODE_CHARS + 1];
    memcpy(code, secret, SECRET_BYTES);
    recovery_check(secret, code + SECRET_BYTES);
    crockford_format(code, CODE_BITS, chars);
    for (int i = 0; i < CODE_CHARS; i++) {
        if (i && i % GROUP_CHARS == 0)
            *out++ = '-';
        *out++ = chars[i];
    }
    *out = '\0';
    secret_wipe(code, sizeof code);
    secret_wipe(chars, sizeof chars);
}

/* The characters that count; false when there are too many. */
static bool recovery_collect(const char *text, char chars[CODE_CHARS], size_t *ret_len)
{
    size_t len = 0;
    for (; *text; text++) {
        if (strchr(" -\t\r\n", *text))
            continue;
        if (len == CODE_CHARS)
            return false;
        chars[len++] = *text;
    }
    *ret_len = len;
    return true;
}

int recovery_code_parse(const char *text, uint8_t out[32], struct reason *reason)
{
    char chars[CODE_CHARS];
    uint8_t code[CODE_BYTES], check[CHECK_BYTES];
    size_t len;
    bool ok = recovery_collect(text, chars, &len) && crockford_parse(chars, len, code, CODE_BITS) == 0 &&
              code[CODE_BYTES - 1] == 0;
    if (ok) {
        recovery_check(code, check);
        ok = secret_equal(check, code + SECRET_BYTES, CHECK_BYTES);
    }
    if (ok)
        memcpy(out, code, SECRET_BYTES);
    secret_wipe(chars, sizeof chars);
    secret_wipe(code, sizeof code);
    if (ok)
        return 0;
    return reason_fail(reason, EINVAL,
                       "the recovery code is mistyped; it has 11 groups of 5 letters and digits");
}
