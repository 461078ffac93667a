/* SPDX-License-Identifier: GPL-3.0-or-later
 * Fuzz target: line 1 of the store header, which is parsed before its MAC can be checked; and the recovery
 * code, which a person types. A header that reads must write a line that reads as the same. */
#include "kms/internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_header(const uint8_t *data, size_t size)
{
    struct store_header h, again;
    if (header_line_parse((const char *)data, size, &h, NULL) < 0)
        return;
    must(h.slot_count >= 1 && h.slot_count <= LIMIT_SLOTS && h.epoch_count >= 1 &&
         h.epoch_count <= EPOCHS_MAX);
    for (size_t i = 0; i < h.slot_count; i++)
        must(h.slots[i].scrypt_log_n <= LIMIT_SCRYPT_LOG_N_MAX && h.slots[i].scrypt_p <= LIMIT_SCRYPT_P_MAX);
    char *line = header_line_format(&h);
    must(line && !strchr(line, '\n') && header_line_parse(line, strlen(line), &again, NULL) == 0);
    char *line_again = header_line_format(&again);
    must(line_again && strcmp(line, line_again) == 0);
    free(line);
    free(line_again);
}

static void check_recovery(const uint8_t *data, size_t size)
{
    uint8_t secret[32], again[32];
    char code[66], *text = malloc(size + 1);
    if (!text)
        return;
    memcpy(text, data, size);
    text[size] = '\0';
    if (recovery_code_parse(text, secret, NULL) == 0) {
        recovery_code_format(secret, code);
        must(recovery_code_parse(code, again, NULL) == 0 && memcmp(secret, again, 32) == 0);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_header(data, size);
    check_recovery(data, size);
    return 0;
}
