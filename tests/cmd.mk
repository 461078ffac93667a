# The command, and the house rules.
cmd_test_libs = libcmd.a libholdfs.a $(FUSE_LIBS) $(HOLDFS_LIBS) $(CMOCKA_LIBS)
cmd_tests = tests/unit/test_cmd_command tests/unit/test_cmd_mount_options tests/unit/test_cmd_target tests/unit/test_cmd_wire
check_PROGRAMS += $(cmd_tests)
tests_unit_test_cmd_command_SOURCES = tests/unit/test_cmd_command.c
tests_unit_test_cmd_command_LDADD = $(cmd_test_libs)
tests_unit_test_cmd_mount_options_SOURCES = tests/unit/test_cmd_mount_options.c
tests_unit_test_cmd_mount_options_LDADD = $(cmd_test_libs)
tests_unit_test_cmd_target_SOURCES = tests/unit/test_cmd_target.c
tests_unit_test_cmd_target_LDADD = $(cmd_test_libs)
tests_unit_test_cmd_wire_SOURCES = tests/unit/test_cmd_wire.c
tests_unit_test_cmd_wire_LDADD = $(cmd_test_libs)

cmd_stories = tests/e2e/cmd-control.py tests/e2e/cmd-help.py tests/e2e/cmd-mount.py tests/e2e/cmd-terminal.py
TESTS += $(cmd_tests) $(cmd_stories) tests/tidy
EXTRA_DIST += $(cmd_stories) tests/tidy tests/tidy-exceptions

# The house rules alone.
tidy:
	$(srcdir)/tests/tidy $(srcdir)
.PHONY: tidy
