/* SPDX-License-Identifier: GPL-3.0-or-later
 * Lines over the control socket: whole, in pieces, with a descriptor, and what no client of ours would send.
 */
#include "unit.h"

#include "cmd/control.h"
#include "cmd/control_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct ends {
    int here, there;
    struct wire wire; /* of there */
};

static struct ends ends_new(void)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    return (struct ends){.here = pair[0], .there = pair[1]};
}

static void ends_done(struct ends *e)
{
    close(e->here);
    close(e->there);
    wire_done(&e->wire);
}

static void send_text(struct ends *e, const char *text)
{
    assert_int_equal(write(e->here, text, strlen(text)), strlen(text));
}

static void a_descriptor_goes_with_its_line(void **state)
{
    (void)state;
    struct ends e = ends_new();
    int pipe_ends[2], fd = -1;
    char byte = 0;
    json_t *value = json_pack("{s:i}", "n", 7), *got = NULL;
    assert_int_equal(pipe(pipe_ends), 0);
    assert_int_equal(wire_write(e.here, value, pipe_ends[1]), 0);
    assert_int_equal(wire_read(&e.wire, e.there, &got, &fd), 1);
    assert_true(json_equal(value, got));
    assert_true(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(read(pipe_ends[0], &byte, 1), 1);
    json_decref(value);
    json_decref(got);
    close(fd);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    ends_done(&e);
}

static void lines_come_apart_and_together(void **state)
{
    (void)state;
    struct ends e = ends_new();
    json_t *got = NULL;
    send_text(&e, "{\"a\":1}\n{\"b\":2}\n{\"c\"");
    assert_int_equal(wire_read(&e.wire, e.there, &got, NULL), 1);
    assert_non_null(json_object_get(got, "a"));
    json_decref(got);
    assert_int_equal(wire_read(&e.wire, e.there, &got, NULL), 1);
    assert_non_null(json_object_get(got, "b"));
    json_decref(got);
    send_text(&e, ":3}\n");
    assert_int_equal(wire_read(&e.wire, e.there, &got, NULL), 1);
    assert_non_null(json_object_get(got, "c"));
    json_decref(got);
    ends_done(&e);
}

static void what_is_no_request_is_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "\n", "[]\n", "7\n", "{\n", "{\"a\":1}x\n", "{\"a\":1,\"a\":2}\n", "{\"a\":\"\xff\"}\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct ends e = ends_new();
        json_t *got = NULL;
        send_text(&e, lines[i]);
        assert_int_equal(wire_read(&e.wire, e.there, &got, NULL), -EBADMSG);
        assert_null(got);
        ends_done(&e);
    }
}

static void a_line_that_never_ends_is_refused(void **state)
{
    (void)state;
    struct ends e = ends_new();
    char *text = malloc(65536);
    json_t *got = NULL;
    assert_non_null(text);
    memset(text, ' ', 65536);
    assert_int_equal(fcntl(e.here, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(fcntl(e.there, F_SETFL, O_NONBLOCK), 0);
    int r = -EAGAIN;
    for (int i = 0; i < 1000 && r == -EAGAIN; i++) {
        ssize_t n = write(e.here, text, 65536);
        assert_true(n > 0 || errno == EAGAIN);
        r = wire_read(&e.wire, e.there, &got, NULL);
    }
    assert_int_equal(r, -EBADMSG);
    assert_true(e.wire.pending.len < 2 * CONTROL_LINE_BYTES);
    free(text);
    ends_done(&e);
}

static void the_end_is_told_from_half_a_line(void **state)
{
    (void)state;
    for (int half = 0; half < 2; half++) {
        struct ends e = ends_new();
        json_t *got = NULL;
        if (half)
            send_text(&e, "{\"a\"");
        shutdown(e.here, SHUT_WR);
        assert_int_equal(wire_read(&e.wire, e.there, &got, NULL), half ? -EBADMSG : 0);
        ends_done(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_descriptor_goes_with_its_line),
        cmocka_unit_test(lines_come_apart_and_together),
        cmocka_unit_test(what_is_no_request_is_refused),
        cmocka_unit_test(a_line_that_never_ends_is_refused),
        cmocka_unit_test(the_end_is_told_from_half_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
