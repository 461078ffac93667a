/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs key list-slots, add-slot, change-slot, remove-slot, new-recovery.
 *
 * They work on the header's files themselves, also while a daemon has the store open: M does not change with a slot, so the
 * daemon need not know, and neither the old secret nor the new one leaves this process. Who may write the header and holds
 * a secret that opens is who may change it. */
#include "cmd/key.h"
#include "cmd/render.h"
#include "cmd/secrets.h"
#include "cmd/target.h"
#include "engine/engine.h"
#include "util/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the store, and the two secrets ---- */

struct slot_job {
    struct target target;
    struct store_conf conf;
    struct unlock unlock, new_unlock;
    struct slot_change change;
};

static void slot_job_done(struct slot_job *job)
{
    secret_free(job->unlock.secret);
    secret_free(job->new_unlock.secret);
}

static int slot_store(const struct invocation *inv, struct slot_job *job, struct reason *reason)
{
    int r = target_find(inv->operands[0], &job->target, reason);
    if (r == 0 && *job->target.path)
        r = reason_fail(reason, EINVAL, "%s is in a store; slots belong to the store: %s", inv->operands[0],
                        job->target.store);
    return r < 0 ? r : store_conf_read(job->target.store, &job->conf, reason);
}

/* Where the new secret comes from: asked for where no option says. -EINVAL for two. */
static int new_source_of(const struct invocation *inv, struct secret_source *ret, struct reason *reason)
{
    static const struct {
        const char *option;
        enum slot_kind kind;
    } kinds[] = {{"new-passphrase-file", SLOT_PASSPHRASE},
                 {"new-key-file", SLOT_KEYFILE},
                 {"new-credential", SLOT_CREDENTIAL}};
    *ret = (struct secret_source){.kind = SLOT_PASSPHRASE};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!invocation_has(inv, kinds[i].option))
            continue;
        if (ret->chosen)
            return reason_fail(reason, EINVAL,
                               "one new secret is enough: --new-passphrase-file, --new-key-file and --new-credential "
                               "exclude each other");
        *ret = (struct secret_source){kinds[i].kind, invocation_value(inv, kinds[i].option), true};
    }
    return 0;
}

static bool source_is_stdin(const struct secret_source *s)
{
    return s->kind == SLOT_PASSPHRASE && s->from && !strcmp(s->from, "-");
}

static int scrypt_log_n_of(const struct invocation *inv, unsigned *ret, struct reason *reason)
{
    const char *text = invocation_value(inv, "scrypt-log-n");
    char *end = NULL;
    unsigned long n = text ? strtoul(text, &end, 10) : 0;
    if (text && (*end || n < LIMIT_SCRYPT_LOG_N_MIN || n > LIMIT_SCRYPT_LOG_N_MAX))
        return reason_fail(reason, EINVAL, "--scrypt-log-n takes a number from %d to %d", LIMIT_SCRYPT_LOG_N_MIN,
                           LIMIT_SCRYPT_LOG_N_MAX);
    *ret = (unsigned)n;
    return 0;
}

static int secrets_read(struct slot_job *job, const struct secret_source *old_source,
                        const struct secret_source *new_source, struct reason *reason)
{
    int r = secret_obtain(old_source, false, &job->unlock, reason);
    if (r == 0 && new_source)
        r = secret_obtain(new_source, true, &job->new_unlock, reason);
    if (r == 0 && job->new_unlock.secret && job->new_unlock.kind == SLOT_PASSPHRASE &&
        secret_len(job->new_unlock.secret) < LIMIT_PASSPHRASE_SHORT_BYTES)
        fprintf(stderr, "holdfs: the passphrase is shorter than %d bytes; whoever copies the store may guess it\n",
                LIMIT_PASSPHRASE_SHORT_BYTES);
    return r;
}

/* All that a change needs, read and checked. An exit status. */
static int slot_job_begin(const struct invocation *inv, bool with_new, struct slot_job *job)
{
    struct reason reason = {0};
    struct secret_source old_source, new_source = {0};
    unsigned log_n = 0;
    if (secret_source_of(inv, &old_source, &reason) < 0 ||
        (with_new && (new_source_of(inv, &new_source, &reason) < 0 || scrypt_log_n_of(inv, &log_n, &reason) < 0)))
        return command_usage(inv, "%s", reason.text);
    if (with_new && source_is_stdin(&old_source) && source_is_stdin(&new_source))
        return command_usage(inv, "standard input can give one secret, not two");
    int r = slot_store(inv, job, &reason);
    if (r == 0)
        r = secrets_read(job, &old_source, with_new ? &new_source : NULL, &reason);
    if (r < 0)
        return command_refuse_reason(&reason, r, inv->operands[0]);
    job->change = (struct slot_change){.dir = job->target.store,
                                       .store_id = job->conf.store_id,
                                       .unlock = &job->unlock,
                                       .new_unlock = with_new ? &job->new_unlock : NULL,
                                       .scrypt_log_n = log_n};
    return EXIT_DONE;
}

/* The operand N; false: it is none. */
static bool slot_number(const char *text, unsigned *ret)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    *ret = (unsigned)n;
    return *text >= '0' && *text <= '9' && !*end && n < LIMIT_SLOTS;
}

/* For the audit trail of a store that this command has not open. */
static void slot_tell(const struct slot_job *job, const char *event, int n, int r, const struct reason *reason)
{
    if (r < 0 && r != -EACCES)
        return;
    json_t *params = n >= 0 ? json_pack("{s:i}", "slot", n) : json_object();
    engine_audit_pending(job->target.store, getuid(), getpid(), event, r < 0 ? reason->text : NULL, params);
}

/* ---- the verbs ---- */

static const char *slot_kind_name(enum slot_kind kind)
{
    static const char *const names[] = {[SLOT_PASSPHRASE] = "passphrase",
                                        [SLOT_KEYFILE] = "key-file",
                                        [SLOT_CREDENTIAL] = "credential",
                                        [SLOT_RECOVERY] = "recovery",
                                        [SLOT_KMS] = "kms"};
    return names[kind];
}

static int list_slots_run(const struct invocation *inv)
{
    struct slot_job job = {0};
    struct reason reason = {0};
    struct slot_info slots[LIMIT_SLOTS];
    int n = slot_store(inv, &job, &reason);
    if (n == 0)
        n = store_header_slots(job.target.store, job.conf.store_id, slots, &reason);
    if (n < 0)
        return command_refuse_reason(&reason, n, inv->operands[0]);
    json_t *list = json_array(), *answer = json_pack("{s:o}", "slots", list);
    for (int i = 0; i < n; i++) {
        json_t *slot = json_pack("{s:i, s:s}", "n", slots[i].n, "kind", slot_kind_name(slots[i].kind));
        if (slots[i].kind == SLOT_PASSPHRASE)
            json_object_set_new(slot, "scrypt_log_n", json_integer(slots[i].scrypt_log_n));
        json_array_append_new(list, slot);
    }
    if (inv->json)
        return render_answer(answer, true);
    static const struct render_column columns[] = {{"n", "SLOT"}, {"kind", "KIND"}, {"scrypt_log_n", "SCRYPT LOG N"}, {0}};
    render_table(list, columns);
    json_decref(answer);
    return EXIT_DONE;
}

static int add_slot_run(const struct invocation *inv)
{
    CLEANUP(slot_job_done) struct slot_job job = {0};
    struct reason reason = {0};
    int status = slot_job_begin(inv, true, &job);
    if (status != EXIT_DONE)
        return status;
    unsigned n;
    int r = store_slot_add(&job.change, &n, &reason);
    slot_tell(&job, "AddKeySlot", r < 0 ? -1 : (int)n, r, &reason);
    if (r < 0)
        return command_refuse_reason(&reason, r, inv->operands[0]);
    printf("slot %u\n", n);
    return EXIT_DONE;
}

static int change_slot_run(const struct invocation *inv)
{
    CLEANUP(slot_job_done) struct slot_job job = {0};
    struct reason reason = {0};
    unsigned n;
    if (!slot_number(inv->operands[1], &n))
        return command_usage(inv, "`%s` is no slot; they are numbered from 0 to %d", inv->operands[1], LIMIT_SLOTS - 1);
    int status = slot_job_begin(inv, true, &job);
    if (status != EXIT_DONE)
        return status;
    int r = store_slot_change(&job.change, n, &reason);
    slot_tell(&job, "ChangeKeySlot", (int)n, r, &reason);
    return r < 0 ? command_refuse_reason(&reason, r, inv->operands[0]) : EXIT_DONE;
}

static int remove_slot_run(const struct invocation *inv)
{
    CLEANUP(slot_job_done) struct slot_job job = {0};
    struct reason reason = {0};
    unsigned n;
    if (!slot_number(inv->operands[1], &n))
        return command_usage(inv, "`%s` is no slot; they are numbered from 0 to %d", inv->operands[1], LIMIT_SLOTS - 1);
    int status = slot_job_begin(inv, false, &job);
    if (status != EXIT_DONE)
        return status;
    int r = store_slot_remove(&job.change, n, &reason);
    slot_tell(&job, "RemoveKeySlot", (int)n, r, &reason);
    return r < 0 ? command_refuse_reason(&reason, r, inv->operands[0]) : EXIT_DONE;
}

static int new_recovery_run(const struct invocation *inv)
{
    CLEANUP(slot_job_done) struct slot_job job = {0};
    struct reason reason = {0};
    int status = slot_job_begin(inv, false, &job);
    if (status != EXIT_DONE)
        return status;
    unsigned n;
    uint8_t secret[32];
    char code[66];
    int r = store_slot_new_recovery(&job.change, &n, secret, &reason);
    slot_tell(&job, "NewRecoveryCode", r < 0 ? -1 : (int)n, r, &reason);
    if (r < 0)
        return command_refuse_reason(&reason, r, inv->operands[0]);
    recovery_code_format(secret, code);
    if (inv->json)
        printf("{\"slot\": %u, \"recovery_code\": \"%s\"}\n", n, code);
    else
        printf("Recovery code, shown this once; an earlier one opens nothing any more. Keep it elsewhere:\n\n  %s\n", code);
    secret_wipe(secret, sizeof secret);
    secret_wipe(code, sizeof code);
    return EXIT_DONE;
}

/* ---- the table ---- */

static const struct option new_options[] = {
    {"new-passphrase-file", "F", "the new passphrase is in the file F; - is stdin", NULL, false},
    {"new-key-file", "F", "the new secret is the key file F", NULL, false},
    {"new-credential", "NAME", "the new secret is the systemd credential NAME", NULL, false},
    {"scrypt-log-n", "N", "cost of a new passphrase, 14..20; default 17", NULL, false},
    {0},
};

const struct command key_list_slots = {
    .name = "key list-slots",
    .operands = "STORE|MNT",
    .summary = "list what opens a store",
    .text = "Lists the slots by number and kind, as the store's header says; no secret is asked for.",
    .flags = COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs key list-slots /srv/store", "Which secrets open it"},
                 {"holdfs key list-slots --json /mnt/hold", "For a script"}},
    .run = list_slots_run,
};

const struct command key_add_slot = {
    .name = "key add-slot",
    .operands = "STORE|MNT",
    .summary = "let a further secret open a store",
    .text = "Adds a slot: opens with one secret, then takes the new one, asked for twice unless an option names it. "
            "The store may be in use.",
    .options = new_options,
    .flags = COMMAND_SECRETS,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs key add-slot --new-key-file /etc/holdfs/store.key /srv/store", "A key file beside"},
                 {"holdfs key add-slot --key-file /root/a.key /srv/store", "A passphrase beside; asks"}},
    .run = add_slot_run,
};

const struct command key_change_slot = {
    .name = "key change-slot",
    .operands = "STORE|MNT N",
    .summary = "put another secret in a slot's place",
    .text = "Slot N opens with the new secret from now on, and no longer with the old. Nothing else changes. Any "
            "working secret may be given.",
    .options = new_options,
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs key change-slot /srv/store 0", "Another passphrase; asks"},
                 {"holdfs key change-slot --recovery /srv/store 0", "When it is forgotten"}},
    .run = change_slot_run,
};

const struct command key_remove_slot = {
    .name = "key remove-slot",
    .operands = "STORE|MNT N",
    .summary = "let a secret open a store no longer",
    .text = "Removes slot N; the last one cannot be removed. Who copied the store before still opens that "
            "copy with it; what comes after rotate-master it does not.",
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs key remove-slot /srv/store 2", "Asks for a passphrase"},
                 {"holdfs key remove-slot --key-file /root/a.key /srv/store 2", "Opens with a key file"}},
    .run = remove_slot_run,
};

const struct command key_new_recovery = {
    .name = "key new-recovery",
    .operands = "STORE|MNT",
    .summary = "make a new recovery code",
    .text = "Makes a recovery code and prints it once. One made earlier opens nothing any more.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs key new-recovery /srv/store", "Asks for a passphrase"},
                 {"holdfs key new-recovery --key-file /root/a.key /srv/store", "Opens with a key file"}},
    .run = new_recovery_run,
};
