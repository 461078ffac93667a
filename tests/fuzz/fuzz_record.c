/* SPDX-License-Identifier: GPL-3.0-or-later
 * Fuzz target: bodies of version and inode rows (engine/record.h). What is read must write and read again as the same. */
#include "engine/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_record(const uint8_t *body, size_t len, const uint8_t *inline_data, size_t inline_len)
{
    struct record r, again;
    if (record_decode(body, len, inline_data, inline_len, &r) < 0)
        return;
    struct bytes first = {0}, second = {0};
    record_encode(&r, &first);
    must(!first.failed);
    must(record_decode(first.data, first.len, inline_data, inline_len, &again) == 0);
    record_encode(&again, &second);
    must(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    struct attr_item item;
    for (size_t at = 0; attrs_next(&r.attrs, &at, &item);) {
        const uint8_t *value;
        size_t value_len;
        must(attrs_get(&r.attrs, item.kind, item.name, item.name_len, &value, &value_len) == 0 && value == item.value);
    }
    bytes_done(&first);
    bytes_done(&second);
    record_done(&r);
    record_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    size_t inline_len = data[0] < size ? data[0] : 0; /* the first bytes may travel beside the body */
    check_record(data + 1 + inline_len, inline_len < size ? size - 1 - inline_len : 0, data + 1, inline_len);
    struct inode_body body;
    if (inode_body_decode(data, size, &body) == 0)
        record_done(&body.record);
    return 0;
}
