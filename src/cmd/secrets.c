/* SPDX-License-Identifier: GPL-3.0-or-later
 * Where a command gets the secret that opens a store; reading and checking it is the kms room's. */
#include "cmd/secrets.h"
#include "cmd/daemon.h"

#include <errno.h>
#include <stdlib.h>

const struct option secret_options[] = {
    {"passphrase-file", "F", "read the passphrase from the file F; - is standard input", NULL, false},
    {"key-file", "F", "open with the key file F, which only its owner may read", NULL, false},
    {"credential", "NAME", "open with the systemd credential NAME of this service", NULL, false},
    {"recovery", NULL, "ask for the recovery code that init printed", NULL, false},
    {0},
};

const char secret_help[] =
    "Secret: asked for, or --passphrase-file F (- = stdin), --key-file F, --credential NAME, "
    "--recovery, or $HOLDFS_PASSPHRASE_FILE.";

const char secret_text[] = "A command that opens a store asks for its passphrase on the terminal unless one "
                           "of these options, or the "
                           "environment variable HOLDFS_PASSPHRASE_FILE (the name of a file), says where to "
                           "find a secret. A secret itself never "
                           "stands in an argument or in the environment. A command that finds the store open "
                           "talks to the daemon that has it "
                           "and needs no secret.";

int secret_source_of(const struct invocation *inv, struct secret_source *ret, struct reason *reason)
{
    static const struct {
        const char *option;
        enum slot_kind kind;
    } kinds[] = {
        {"passphrase-file", SLOT_PASSPHRASE},
        {"key-file", SLOT_KEYFILE},
        {"credential", SLOT_CREDENTIAL},
        {"recovery", SLOT_RECOVERY},
    };
    *ret = (struct secret_source){.kind = SLOT_PASSPHRASE};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!invocation_has(inv, kinds[i].option))
            continue;
        if (ret->chosen)
            return reason_fail(reason, EINVAL,
                               "one secret is enough: --passphrase-file, --key-file, --credential "
                               "and --recovery exclude each other");
        *ret = (struct secret_source){kinds[i].kind, invocation_value(inv, kinds[i].option), true};
    }
    const char *file = getenv("HOLDFS_PASSPHRASE_FILE");
    if (!ret->chosen && file && *file)
        *ret = (struct secret_source){SLOT_PASSPHRASE, file, true};
    return 0;
}

int secret_obtain(const struct secret_source *source, bool make_new, struct unlock *ret,
                  struct reason *reason)
{
    daemon_hide_memory(true);
    if (source->kind == SLOT_CREDENTIAL)
        return unlock_from_credential(source->from, ret, reason);
    if (source->from)
        return unlock_from_file(source->kind, source->from, ret, reason);
    if (source->kind == SLOT_RECOVERY)
        return unlock_ask(SLOT_RECOVERY, "Recovery code: ", false, ret, reason);
    return unlock_ask(SLOT_PASSPHRASE, make_new ? "New passphrase: " : "Passphrase: ", make_new, ret, reason);
}

int secret_unlock(const struct invocation *inv, struct unlock *ret, struct reason *reason)
{
    struct secret_source source;
    int r = secret_source_of(inv, &source, reason);
    return r < 0 ? r : secret_obtain(&source, false, ret, reason);
}
