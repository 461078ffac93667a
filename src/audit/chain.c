/* SPDX-License-Identifier: GPL-3.0-or-later
 * The hash chain (logs.md §3.3): each record's hash covers the one before, so that none can be changed, dropped or moved alone. */
#include "audit/audit.h"
#include "util/text.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

static const char genesis_line[] = "holdfs-audit-genesis-1\n";
static const char record_line[] = "holdfs-audit-record-1\n";

static EVP_MD *sha256; /* looked up once: a fetch costs more than the hash of a record */
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void sha256_find(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

struct part {
    const void *p;
    size_t len;
};

static int hash_parts(const struct part *parts, size_t count, uint8_t ret[AUDIT_HASH_BYTES])
{
    pthread_once(&sha256_once, sha256_find);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && sha256 && EVP_DigestInit_ex2(ctx, sha256, NULL);
    for (size_t n = 0; ok && n < count; n++)
        ok = EVP_DigestUpdate(ctx, parts[n].p, parts[n].len);
    ok = ok && EVP_DigestFinal_ex(ctx, ret, NULL);
    EVP_MD_CTX_free(ctx);
    return ok ? 0 : -ENOMEM;
}

int audit_digest(const void *text, size_t len, uint8_t ret[AUDIT_HASH_BYTES])
{
    return hash_parts(&(struct part){text, len}, 1, ret);
}

int audit_genesis(const char *chain, struct audit_place *ret)
{
    ret->seq = 0;
    return hash_parts((struct part[]){{genesis_line, sizeof genesis_line - 1}, {chain, strlen(chain)}}, 2, ret->hash);
}

int audit_link(const struct audit_place *before, const void *text, size_t len, struct audit_place *ret)
{
    uint64_t seq = before->seq + 1, be = __builtin_bswap64(seq);
    struct audit_place place = {.seq = seq};
    int r = hash_parts((struct part[]){{record_line, sizeof record_line - 1}, {&be, 8}, {before->hash, AUDIT_HASH_BYTES}, {text, len}}, 4,
                       place.hash);
    if (r == 0)
        *ret = place;
    return r;
}

int audit_line(const char *chain, const struct audit_place *before, const struct audit_place *place, const void *text, size_t len,
               struct bytes *out)
{
    const uint8_t *p = text;
    char hash[65], prev[65];
    hex_format(place->hash, AUDIT_HASH_BYTES, hash);
    hex_format(before->hash, AUDIT_HASH_BYTES, prev);
    if (len < 2 || p[len - 1] != '}')
        return -EINVAL;
    bytes_put(out, text, len - 1);
    bytes_printf(out, "%s\"chain\":{\"hash\":\"%s\",\"name\":\"%s\",\"prev\":\"%s\",\"seq\":%" PRIu64 "}}", len > 2 ? "," : "", hash, chain,
                 prev, place->seq);
    return out->failed ? -ENOMEM : 0;
}
