/* SPDX-License-Identifier: GPL-3.0-or-later
 * Continuation tokens; see token.h. MAC (16 bytes) and key, in Base64 with - and _. */
#include "s3/token.h"
#include "engine/engine.h"
#include "util/cleanup.h"
#include "util/secret.h"
#include "util/text.h"

#include <errno.h>
#include <string.h>

enum { MAC_BYTES = 16, TOKEN_KEY_BYTES = 4096 };

void token_make(struct engine *e, const void *key, size_t len, struct bytes *out)
{
    uint8_t raw[MAC_BYTES + TOKEN_KEY_BYTES];
    char text[(sizeof raw + 2) / 3 * 4 + 1];
    if (len > TOKEN_KEY_BYTES) {
        out->failed = true;
        return;
    }
    engine_mac(e, "s3-list", key, len, raw);
    memcpy(raw + MAC_BYTES, key, len);
    base64_format(raw, MAC_BYTES + len, text);
    for (char *at = text; *at; at++)
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
    bytes_put(out, text, strlen(text));
}

int token_read(struct engine *e, const char *token, struct bytes *out)
{
    char text[(MAC_BYTES + TOKEN_KEY_BYTES + 2) / 3 * 4 + 4];
    uint8_t raw[sizeof text], mac[MAC_BYTES];
    size_t len = strlen(token);
    if (len >= sizeof text)
        return -EINVAL;
    for (size_t n = 0; n <= len; n++)
        text[n] = token[n] == '-' ? '+' : token[n] == '_' ? '/' : token[n];
    if (base64_parse(text, len, raw, sizeof raw, &len) < 0 || len < MAC_BYTES)
        return -EINVAL;
    engine_mac(e, "s3-list", raw + MAC_BYTES, len - MAC_BYTES, mac);
    if (!secret_equal(mac, raw, MAC_BYTES))
        return -EINVAL;
    bytes_put(out, raw + MAC_BYTES, len - MAC_BYTES);
    return out->failed ? -ENOMEM : 0;
}
