/* SPDX-License-Identifier: GPL-3.0-or-later
 * Measures a judgement with compiled policies: usage bench_auth [ROUNDS]. Prints nanoseconds a judgement for a plain policy, and
 * for one like those of careful people: ten statements with variables, networks and conditions. */
#include "../unit/auth_world.h"

#include <time.h>

static const char plain[] = "[{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":[\"arn:aws:s3:::b\",\"arn:aws:s3:::b/*\"]}]";
static const char careful_bucket[] =
    "[{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":[\"arn:aws:s3:::b\",\"arn:aws:s3:::b/*\"],"
    "\"Condition\":{\"Bool\":{\"aws:SecureTransport\":\"false\"}}},"
    "{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:PutObject\",\"Resource\":\"arn:aws:s3:::b/*\","
    "\"Condition\":{\"StringNotEquals\":{\"s3:x-amz-server-side-encryption\":\"AES256\"}}},"
    "{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:Put*\",\"Resource\":\"arn:aws:s3:::b/*\","
    "\"Condition\":{\"NotIpAddress\":{\"aws:SourceIp\":[\"10.0.0.0/8\",\"192.168.0.0/16\"]},\"Null\":{\"aws:SourceIp\":\"false\"}}}]";
static const char careful_identity[] =
    "[{\"Effect\":\"Allow\",\"Action\":\"s3:ListBucket\",\"Resource\":\"arn:aws:s3:::b\",\"Condition\":{\"StringLike\":{\"s3:prefix\":\"home/${aws:username}/*\"}}},"
    "{\"Effect\":\"Allow\",\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::b/pub/*\"},"
    "{\"Effect\":\"Allow\",\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::b/team-?/*\"},"
    "{\"Effect\":\"Deny\",\"Action\":\"s3:Delete*\",\"Resource\":\"arn:aws:s3:::b/*/keep/*\"},"
    "{\"Effect\":\"Allow\",\"Action\":\"s3:Put*\",\"Resource\":\"arn:aws:s3:::b/in/*\"},"
    "{\"Effect\":\"Allow\",\"Action\":[\"s3:GetObject\",\"s3:PutObject\",\"s3:DeleteObject\"],\"Resource\":\"arn:aws:s3:::b/home/${aws:username}/*\","
    "\"Condition\":{\"DateLessThan\":{\"aws:CurrentTime\":\"2030-01-01T00:00:00Z\"},\"ArnLike\":{\"aws:PrincipalArn\":\"arn:aws:iam::*:user/*\"}}}]";

static struct policy *parse(enum policy_kind kind, const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    struct policy *p = world_policy_json(kind, json);
    json_decref(json);
    return p;
}

static void measure(const char *what, struct auth_request *q, long rounds)
{
    struct timespec from, to;
    long allowed = 0;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (long n = 0; n < rounds; n++)
        allowed += auth_judge(q, NULL, NULL) == 0;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
    printf("%-24s %7.0f ns  (%s)\n", what, ns / (double)rounds, allowed == rounds ? "allowed" : "denied");
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 200000;
    static const char key[] = "home/alice/projects/2026/report-final.pdf";
    const struct auth_value values[] = {{AUTH_SECURE_TRANSPORT, NULL, "true", 4}, {AUTH_SSE, NULL, "AES256", 6},
                                        {AUTH_OBJECT_CREATION, NULL, "true", 4}};
    const struct policy *identity = parse(POLICY_IDENTITY, plain);
    struct auth_request q = {.principal = world_find("alice"), .action = "s3:PutObject", .bucket = "b", .bucket_account = ACCOUNT1,
                             .key = key, .key_len = strlen(key), .region = "us-east-1", .now_ms = 1795521600000,
                             .values = values, .value_count = 3, .policies = {.identity = &identity, .identity_count = 1}};
    measure("plain", &q, rounds);
    policy_unref(identity);
    identity = parse(POLICY_IDENTITY, careful_identity);
    q.policies.resource = parse(POLICY_BUCKET, careful_bucket);
    measure("careful", &q, rounds);
    q.action = "s3:DeleteObjectVersion";
    measure("careful, refused", &q, rounds);
    q.principal = world_find("root");
    q.action = "s3:PutObject";
    measure("careful, root", &q, rounds);
    policy_unref(identity);
    policy_unref(q.policies.resource);
    return 0;
}
