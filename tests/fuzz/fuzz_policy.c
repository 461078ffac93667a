/* SPDX-License-Identifier: GPL-3.0-or-later
 * Fuzz target: policies as anybody may put them, and requests judged by them. The first byte picks the kind; up to the first zero
 * stands the policy, after it ACTION, key and a condition value. What is refused has a message; what is taken keeps its text,
 * denies with a sentence, and never denies the owning root its own policy. */
#include "../unit/auth_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* The next piece up to a zero, as text of its own. */
static char *piece(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *zero = *at < end ? memchr(*at, 0, (size_t)(end - *at)) : NULL;
    size_t len = (size_t)((zero ? zero : end) - *at);
    char *text = malloc(len + 1);
    must(text);
    if (len)
        memcpy(text, *at, len);
    text[len] = '\0';
    *at += len + (zero ? 1 : 0);
    return text;
}

static void judge(const struct policy *p, enum policy_kind kind, const char *action, const char *key, const char *value)
{
    struct auth_value values[AUTH_KEY_COUNT];
    for (size_t n = 0; n < AUTH_KEY_COUNT; n++)
        values[n] = (struct auth_value){.key = (enum auth_key)n, .tag = "t", .text = value, .len = strlen(value)};
    struct auth_access_point point = {.arn = POINT_ARN, .account = ACCOUNT1, .policy = kind == POLICY_ACCESS_POINT ? p : NULL};
    for (size_t n = 0; n < sizeof world / sizeof *world; n++) {
        struct reason why = {0};
        struct auth_verdict v;
        struct auth_request q = {.principal = &world[n].p, .action = action, .bucket = "b", .bucket_account = ACCOUNT1, .region = "r",
                                 .key = key[0] ? key : NULL, .key_len = strlen(key), .values = values,
                                 .value_count = n % 2 ? AUTH_KEY_COUNT : 0,
                                 .policies = {.identity = &p, .identity_count = kind == POLICY_IDENTITY ? 1 : 0},
                                 .access_point = kind == POLICY_ACCESS_POINT ? &point : NULL};
        if (kind != POLICY_IDENTITY && kind != POLICY_ACCESS_POINT)
            q.policies.resource = p;
        int r = auth_judge(&q, &v, &why);
        must(r == 0 ? v.outcome == AUTH_ALLOWED : r == -EACCES && why.text[0]);
        q.action = "s3:PutBucketPolicy";
        q.key = NULL;
        q.key_len = 0;
        if (kind == POLICY_BUCKET && world[n].p.kind == PRINCIPAL_ROOT && !strcmp(world[n].p.account, ACCOUNT1))
            must(auth_judge(&q, NULL, NULL) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    const uint8_t *at = data + 1, *end = data + size;
    enum policy_kind kind = (enum policy_kind)(data[0] % (POLICY_VAULT + 1));
    char *text = piece(&at, end), *action = piece(&at, end), *key = piece(&at, end), *value = piece(&at, end);
    struct policy *p = NULL;
    struct reason why = {0};
    int r = world_policy(kind, text, strlen(text), &p, &why);
    must(r == 0 || why.text[0]);
    if (r == 0) {
        size_t len;
        const char *kept = policy_text(p, &len);
        must(len == strlen(text) && memcmp(kept, text, len) == 0);
        policy_by_key(p, "b");
        struct bytes out = {0};
        policy_conditions(p, 0, &out);
        policy_statement(p, 0, &out);
        must(!out.failed);
        bytes_done(&out);
        if (strlen(key) <= 4000)
            judge(p, kind, action, key, value);
        policy_unref(p);
    }
    free(text);
    free(action);
    free(key);
    free(value);
    return 0;
}
