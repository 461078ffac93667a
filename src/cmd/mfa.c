/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs mfa: devices of an account's root, and for how long a code is in force on a mount (retention.md §4).
 *
 * The secret of a new device is made here and shown on the terminal alone; the store gets it together with two codes that prove that
 * a device has it. */
#include "cmd/qr.h"
#include "cmd/user.h"
#include "util/cleanup.h"
#include "util/secret.h"
#include "util/text.h"
#include "util/timeform.h"
#include "util/xaes.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { BASE32_CHARS = TOTP_SECRET_BYTES * 8 / 5, TRIES = 3, LINE_BYTES = 64 };

/* ---- enrolling ---- */

struct terminal {
    FILE *in, *out;
};

static void terminal_close(struct terminal *t)
{
    if (t->in)
        fclose(t->in);
    if (t->out)
        fclose(t->out);
}

/* One line typed at the terminal, without spaces around it. -ENODATA: the end of the input. */
static int line_ask(const struct terminal *t, const char *prompt, char out[LINE_BYTES])
{
    char line[LINE_BYTES];
    fprintf(t->out, "%s: ", prompt);
    fflush(t->out);
    if (!fgets(line, sizeof line, t->in))
        return -ENODATA;
    size_t skip = strspn(line, " \t"), len = strcspn(line + skip, " \t\r\n");
    memcpy(out, line + skip, len);
    out[len] = '\0';
    return 0;
}

static void secret_show(FILE *tty, const char *name, const char *base32)
{
    char uri[256], upper[BASE32_CHARS + 1];
    for (size_t n = 0; n <= BASE32_CHARS; n++)
        upper[n] = (char)toupper((unsigned char)base32[n]);
    snprintf(uri, sizeof uri, "otpauth://totp/holdfs:%s?secret=%s&issuer=holdfs&algorithm=SHA1&digits=6&period=30", name, upper);
    fprintf(tty, "%s\n\n", uri);
    if (qr_show(tty, uri) < 0)
        fputs("(built without libqrencode: type or paste the line above into the device)\n", tty);
    fputs("\nThis is shown once. Give it to the device, then type two codes it shows one after the other.\n", tty);
    secret_wipe(uri, sizeof uri);
    secret_wipe(upper, sizeof upper);
}

/* Asks for the two codes and enrolls, until they fit or three times. */
static int enroll_try(const struct invocation *inv, struct session *s, const struct terminal *t, const char *base32, json_t **ret)
{
    for (int n = 0; n < TRIES; n++) {
        struct reason reason = {0};
        char one[LINE_BYTES], two[LINE_BYTES];
        if (line_ask(t, "Code", one) < 0 || line_ask(t, "The next code", two) < 0)
            return command_refuse("nothing was typed, so no device is enrolled");
        json_t *args = user_args(inv, "name", inv->operands[1]);
        json_object_set_new(args, "options", json_pack("{s:s, s:[s, s]}", "secret", base32, "codes", one, two));
        int r = session_call(s, "mfa.enroll", args, -1, ret, &reason);
        if (r == 0)
            return EXIT_DONE;
        if (r != -EACCES || n + 1 == TRIES)
            return command_refuse_reason(&reason, r, inv->operands[0]);
        fprintf(t->out, "%s\n", reason.text);
    }
    return EXIT_REFUSED;
}

static int enroll(const struct invocation *inv, struct session *s, const struct terminal *t)
{
    uint8_t secret[TOTP_SECRET_BYTES];
    char base32[BASE32_CHARS + 1];
    json_t *answer = NULL;
    random_bytes(secret, sizeof secret);
    base32_format(secret, sizeof secret, base32);
    secret_show(t->out, inv->operands[1], base32);
    int status = enroll_try(inv, s, t, base32, &answer);
    secret_wipe(secret, sizeof secret);
    secret_wipe(base32, sizeof base32);
    return status == EXIT_DONE ? render_answer(answer, inv->json) : status;
}

static int mfa_enroll_run(const struct invocation *inv)
{
    struct target target;
    struct reason reason = {0};
    json_t *answer = NULL;
    CLEANUP(terminal_close) struct terminal terminal = {fopen("/dev/tty", "re"), fopen("/dev/tty", "we")};
    if (!terminal.in || !terminal.out)
        return command_refuse("a device is enrolled at a terminal, where its secret is shown; there is none here");
    int r = target_find(inv->operands[0], &target, &reason);
    if (r < 0)
        return command_refuse_reason(&reason, r, inv->operands[0]);
    CLEANUP(session_cleanup) struct session *s = session_open(inv, &target, false);
    if (!s)
        return EXIT_REFUSED;
    r = session_call(s, "mfa.enroll", user_args(inv, "name", inv->operands[1]), -1, &answer, &reason); /* may it be? */
    json_decref(answer);
    return r < 0 ? command_refuse_reason(&reason, r, inv->operands[0]) : enroll(inv, s, &terminal);
}

/* ---- the other verbs ---- */

static int mfa_list_run(const struct invocation *inv)
{
    static const struct render_column columns[] = {{"serial", "SERIAL"}, {"enrolled", "ENROLLED"}, {"last_used", "LAST USED"},
                                                   {"locked_for_s", "LOCKED FOR S"}, {0}};
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "mfa.list", user_args(inv, "name", ""), &answer);
    if (status != EXIT_DONE || inv->json)
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    if (json_array_size(json_object_get(answer, "devices")))
        render_table(json_object_get(answer, "devices"), columns);
    json_decref(answer);
    return EXIT_DONE;
}

static int mfa_remove_run(const struct invocation *inv)
{
    const char *code = invocation_value(inv, "mfa");
    if (!code)
        return command_usage(inv, "--mfa CODE is needed, of any device of the account");
    json_t *args = user_args(inv, "name", inv->operands[1]);
    json_object_set_new(args, "code", json_string(code));
    return user_operate(inv, "mfa.remove", args);
}

static int mfa_unlock_run(const struct invocation *inv)
{
    const char *length = invocation_value(inv, "for");
    int64_t seconds = 60;
    if (length && (timeform_duration(length, &seconds) < 0 || seconds < 1 || seconds > 600))
        return command_usage(inv, "--for takes 1 to 600 seconds");
    return user_operate(inv, "mfa.unlock", json_pack("{s:s, s:I}", "code", inv->operands[1], "seconds", (json_int_t)seconds));
}

static int mfa_lock_run(const struct invocation *inv)
{
    return user_operate(inv, "mfa.lock", json_object());
}

static const struct option remove_options[] = {
    {"mfa", "CODE", "a code of any of the account's devices", NULL, false},
    USER_ACCOUNT_OPTION,
    {0},
};

static const struct option unlock_options[] = {
    {"for", "SECONDS", "how long the code is in force: 60, at most 600", NULL, false},
    {0},
};

static const struct command mfa_enroll = {
    .name = "mfa enroll",
    .operands = "STORE|MNT NAME",
    .summary = "enroll a device that shows one-time codes",
    .text = "Makes a secret for an authenticator (TOTP, RFC 6238), shows it once on the terminal, as a line and as a QR code, and asks "
            "for two codes in a row. Only the account's own root may. NAME is how the device is called.",
    .options = user_account_option,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs mfa enroll /mnt/hold phone", "Of the first account's root"},
                 {"holdfs mfa enroll --account printshop /mnt/hold safe", "Of a tenant's"}},
    .run = mfa_enroll_run,
};

static const struct command mfa_list = {
    .name = "mfa list",
    .operands = "STORE|MNT",
    .summary = "list the devices",
    .text = "Lists the serials of an account's devices, when each was enrolled and last used, and for how long wrong codes lock it.",
    .options = user_account_option,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs mfa list /mnt/hold", "Of a mount"}, {"holdfs mfa list --json /srv/store", "For a script"}},
    .run = mfa_list_run,
};

static const struct command mfa_remove = {
    .name = "mfa remove",
    .operands = "STORE|MNT NAME",
    .summary = "remove a device",
    .text = "Removes a device; it takes a code of any device of the account. The last one stays while a bucket has MFA delete.",
    .options = remove_options,
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs mfa remove --mfa 123456 /mnt/hold phone", "Of the first account's root"},
                 {"holdfs mfa remove --mfa 123456 --account printshop /mnt/hold safe", "Of a tenant's"}},
    .run = mfa_remove_run,
};

static const struct command mfa_unlock = {
    .name = "mfa unlock",
    .operands = "MNT CODE",
    .summary = "let the account's root remove versions for a minute",
    .text = "Where a bucket has MFA delete, its account's root removes versions only with a code. This brings one into force for the "
            "caller, on the whole mount or, with MNT/BUCKET, on one bucket. A code serves once.",
    .options = unlock_options,
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs mfa unlock /mnt/hold 123456", "For a minute"},
                 {"holdfs mfa unlock --for 300 /mnt/hold/vault 123456", "On one bucket, for five"}},
    .run = mfa_unlock_run,
};

static const struct command mfa_lock = {
    .name = "mfa lock",
    .operands = "MNT",
    .summary = "end what unlock began",
    .text = "Takes all codes of the caller out of force, or with MNT/BUCKET those on one bucket.",
    .flags = COMMAND_SECRETS,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs mfa lock /mnt/hold", "On the whole mount"}, {"holdfs mfa lock /mnt/hold/vault", "On one bucket"}},
    .run = mfa_lock_run,
};

static const struct command *const mfa_verbs[] = {&mfa_enroll, &mfa_list, &mfa_remove, &mfa_unlock, &mfa_lock, NULL};

const struct command command_mfa = {
    .name = "mfa",
    .operands = "",
    .summary = "one-time codes without which root removes no version",
    .text = "A bucket with MFA delete (user.s3.bucket.versioning `Enabled MfaDelete=Enabled CODE`) loses no version for good but by its "
            "account's root with a code of an enrolled device.",
    .examples = {{"holdfs mfa enroll /mnt/hold phone", ""}, {"holdfs mfa unlock /mnt/hold 123456", ""}},
    .verbs = mfa_verbs,
};
