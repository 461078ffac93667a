/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs init: makes a store and says what its owner must know: the clock, the recovery code (this once), the
 * next command. */
#include "cmd/command.h"
#include "cmd/secrets.h"
#include "engine/engine.h"
#include "util/limits.h"
#include "util/text.h"
#include "util/timeform.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int init_scrypt_log_n(const struct invocation *inv, unsigned *ret, struct reason *reason)
{
    const char *text = invocation_value(inv, "scrypt-log-n");
    *ret = 0;
    if (!text)
        return 0;
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*end || n < LIMIT_SCRYPT_LOG_N_MIN || n > LIMIT_SCRYPT_LOG_N_MAX)
        return reason_fail(reason, EINVAL, "--scrypt-log-n takes a number from 14 to 20");
    *ret = (unsigned)n;
    return 0;
}

/* One more than may be given, so that it is refused and not dropped. */
static void init_authorities(const struct invocation *inv, const char *list[LIMIT_TIME_AUTHORITIES + 2])
{
    size_t n = 0;
    for (size_t i = 0; i < inv->given_count && n <= LIMIT_TIME_AUTHORITIES; i++)
        if (!strcmp(inv->given[i].option->name, "time-authority"))
            list[n++] = inv->given[i].value;
    list[n] = NULL;
}

static void public_key_read(const char *dir, char pem[256])
{
    char path[4200];
    snprintf(path, sizeof path, "%s/audit.pub", dir);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(pem, 1, 255, f) : 0;
    pem[n] = '\0';
    if (f)
        fclose(f);
}

static void init_report(const struct invocation *inv, const char *dir, const struct store_conf *conf,
                        const char *recovery)
{
    char id[37], clock[40];
    char pem[256] = "";
    public_key_read(dir, pem);
    uuid_format(conf->store_id, id);
    timeform_format_ms(conf->created_s * 1000, clock);
    if (inv->json) {
        json_t *doc = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s*}", "audit_public_key", pem, "store", dir, "store_id", id,
                                "account_id", conf->account_id, "region", conf->region, "clock", clock,
                                "retention_clock", conf->retention_clock, "recovery_code", recovery);
        json_dumpf(doc, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(doc);
        return;
    }
    printf("store      %s\nid         %s\naccount    %s\nregion     %s\nclock      %s (%s)\n", dir, id,
           conf->account_id, conf->region, clock, conf->retention_clock);
    printf("\nWhoever is to check the audit trail needs this key, which is also in %s/audit.pub:\n\n%s", dir, pem);
    if (recovery)
        printf("\nRecovery code, shown this once. It opens the store when the passphrase is lost; keep it "
               "elsewhere:\n\n"
               "  %s\n",
               recovery);
    printf("\nNext:\n  holdfs mount %s MOUNTPOINT\n", dir);
}

static int init_store(const struct invocation *inv, struct engine_init_params *p,
                      const struct secret_source *source)
{
    struct reason reason = {0};
    struct unlock unlock = {0};
    int r = secret_obtain(source, true, &unlock, &reason);
    if (r < 0)
        return command_refuse_reason(&reason, r, "reading the secret");
    if (unlock.kind == SLOT_PASSPHRASE && secret_len(unlock.secret) < LIMIT_PASSPHRASE_SHORT_BYTES)
        fprintf(stderr,
                "holdfs: the passphrase is shorter than %d bytes; whoever copies the store may guess it\n",
                LIMIT_PASSPHRASE_SHORT_BYTES);
    p->unlock = &unlock;

    uint8_t code[32] = {0};
    char text[66];
    r = engine_init_store(p, code, &reason);
    p->unlock = NULL;
    secret_free(unlock.secret);
    if (r < 0)
        return command_refuse_reason(&reason, r, p->dir);
    struct store_conf conf;
    r = store_conf_read(p->dir, &conf, &reason);
    if (r < 0)
        return command_refuse_reason(&reason, r, p->dir);
    recovery_code_format(code, text);
    char *dir = realpath(p->dir, NULL);
    init_report(inv, dir ? dir : p->dir, &conf, p->recovery ? text : NULL);
    free(dir);
    secret_wipe(code, sizeof code);
    secret_wipe(text, sizeof text);
    return EXIT_DONE;
}

static int init_run(const struct invocation *inv)
{
    struct reason reason = {0};
    struct secret_source source;
    const char *authorities[LIMIT_TIME_AUTHORITIES + 2];
    const char *clock = invocation_value(inv, "retention-clock");
    init_authorities(inv, authorities);
    struct engine_init_params p = {
        .dir = inv->operands[0],
        .recovery = !invocation_has(inv, "no-recovery"),
        .region = invocation_value(inv, "region"),
        .account_id = invocation_value(inv, "account-id"),
        .canonical_id = invocation_value(inv, "canonical-id"),
        .display_name = invocation_value(inv, "display-name"),
        .email = invocation_value(inv, "email"),
        .retention_clock = clock ? clock : "strict",
        .time_authorities = authorities[0] ? authorities : NULL,
        .owner_uid = getuid(),
        .test_store = invocation_has(inv, "test-store"),
    };
    if (init_scrypt_log_n(inv, &p.scrypt_log_n, &reason) < 0 || secret_source_of(inv, &source, &reason) < 0)
        return command_usage(inv, "%s", reason.text);
    if (source.kind == SLOT_RECOVERY)
        return command_usage(
            inv, "a new store has no recovery code yet; give a passphrase, a key file or a credential");
    if (!strcmp(p.retention_clock, "attested") != (p.time_authorities != NULL))
        return command_usage(inv, "--time-authority and --retention-clock attested belong together");
    return init_store(inv, &p, &source);
}

static const struct option init_options[] = {
    {"region", "R", "the region clients see; default us-east-1", NULL, false},
    {"account-id", "N", "twelve digits for the first account; default: made", NULL, false},
    {"canonical-id", "H", "64 hex digits, its canonical id; default: made", NULL, false},
    {"display-name", "D", "its display name", NULL, false},
    {"email", "E", "its address", NULL, false},
    {"no-recovery", NULL, "make no recovery code", NULL, false},
    {"scrypt-log-n", "N", "cost of a passphrase, 14..20; default 17", NULL, false},
    {"retention-clock", "K", "how locks tell time: strict, attested or wall", "strict|attested|wall", false},
    {"time-authority", "A", "URL,CA.pem of a time authority (RFC 3161); again for each", NULL, true},
    {"test-store", NULL, "a store for tests, whose clock may be set", NULL, false},
    {0},
};

const struct command command_init = {
    .name = "init",
    .operands = "STORE",
    .summary = "make a store",
    .text = "Makes a store in an empty or missing directory, and prints the recovery code once. Whoever runs "
            "it, and "
            "root, own the first account. RETENTION CLOCK in holdfs(1) tells the clocks apart.",
    .options = init_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs init /srv/store", "Make a store; asks for a passphrase twice"},
                 {"holdfs init --key-file /root/store.key /srv/store",
                  "With a key file instead of a passphrase"}},
    .run = init_run,
};
