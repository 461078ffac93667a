/* SPDX-License-Identifier: GPL-3.0-or-later
 * Reading a command line by a command's tables, and numbers as people read them. */
#include "unit.h"

#include "cmd/command.h"
#include "cmd/render.h"

#include <errno.h>
#include <string.h>

static const struct option options[] = {
    {"at", "TIME", "a time", NULL, false},
    {"only", "WHAT", "a choice", "deletes|renames", false},
    {"o", "OPT", "may be repeated", NULL, true},
    {"f", NULL, "a switch", NULL, false},
    {0},
};

static const struct command command = {.name = "test",
                                       .operands = "A [B]",
                                       .options = options,
                                       .flags = COMMAND_JSON,
                                       .min_operands = 1,
                                       .max_operands = 2};

static int parse(const char *line, struct invocation *inv, struct reason *reason)
{
    static char text[256];
    static char *words[32];
    int count = 0;
    char *save = NULL;
    memccpy(text, line, 0, sizeof text);
    for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save))
        words[count++] = w;
    return invocation_parse(&command, count, words, inv, reason);
}

static void options_and_operands_mix(void **state)
{
    (void)state;
    struct invocation inv;
    struct reason reason = {0};
    assert_int_equal(parse("a --at=1 -o x -oy -f b --json", &inv, &reason), 0);
    assert_int_equal(inv.operand_count, 2);
    assert_string_equal(inv.operands[0], "a");
    assert_string_equal(inv.operands[1], "b");
    assert_string_equal(invocation_value(&inv, "at"), "1");
    assert_string_equal(invocation_value(&inv, "o"), "y");
    assert_true(invocation_has(&inv, "f") && inv.json);
    assert_false(invocation_has(&inv, "only"));
    assert_int_equal(parse("--at -5m -- -f", &inv, &reason), 0);
    assert_string_equal(invocation_value(&inv, "at"), "-5m");
    assert_string_equal(inv.operands[0], "-f");
    assert_int_equal(parse("-", &inv, &reason), 0);
    assert_string_equal(inv.operands[0], "-");
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *line, *word;
    } cases[] = {
        {"", "A [B]"},
        {"a b c", "`c`"},
        {"a --nosuch", "--nosuch"},
        {"a --at", "TIME"},
        {"a -x", "-x"},
        {"a --f", "--f"},
        {"a -at 1", "-a"},
        {"a --json=1", "--json"},
        {"a -fx", "-f"},
        {"a --only all", "deletes|renames"},
        {"a --at 1 --at 2", "twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct invocation inv;
        struct reason reason = {0};
        assert_int_equal(parse(cases[i].line, &inv, &reason), -EINVAL);
        assert_non_null(strstr(reason.text, cases[i].word));
    }
}

static void help_needs_no_operands(void **state)
{
    (void)state;
    struct invocation inv;
    struct reason reason = {0};
    assert_int_equal(parse("--help", &inv, &reason), 0);
    assert_true(inv.help);
}

static void verbs_and_aliases_are_found(void **state)
{
    (void)state;
    int used = 0;
    char *bucket[] = {"bucket", "create", "x"}, *alias[] = {"rollback"}, *unknown[] = {"bucket", "nosuch"};
    assert_string_equal(command_of_arguments(3, bucket, &used)->name, "bucket create");
    assert_int_equal(used, 2);
    assert_string_equal(command_of_arguments(1, alias, &used)->name, "restore");
    assert_string_equal(command_of_arguments(2, unknown, &used)->name, "bucket");
    assert_int_equal(used, 1);
    assert_null(command_of_arguments(1, &unknown[1], &used));
}

static void numbers_read_well(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(render_count(0, out), "0");
    assert_string_equal(render_count(18204, out), "18,204");
    assert_string_equal(render_count(UINT64_MAX, out), "18,446,744,073,709,551,615");
    assert_string_equal(render_bytes(1023, out), "1023 B");
    assert_string_equal(render_bytes(1536, out), "1.5 KiB");
    assert_string_equal(render_bytes(UINT64_MAX, out), "16.0 EiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_operands_mix), cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(help_needs_no_operands),   cmocka_unit_test(verbs_and_aliases_are_found),
        cmocka_unit_test(numbers_read_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
