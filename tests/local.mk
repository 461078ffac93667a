# tests

TEST_EXTENSIONS = .sh .py
if SANITIZED
LOG_COMPILER = $(top_srcdir)/tests/lib/sanitized
endif
SH_LOG_COMPILER = $(LOG_COMPILER) bash
PY_LOG_COMPILER = $(LOG_COMPILER) python3
AM_TESTS_ENVIRONMENT = HOLDFS='$(abs_top_builddir)/holdfs'; PYTHONDONTWRITEBYTECODE=1; export HOLDFS PYTHONDONTWRITEBYTECODE;
EXTRA_DIST += tests/lib/holdfs.sh tests/lib/holdfs.py tests/lib/users.py tests/lib/testclock.py tests/lib/sanitized tests/lib/lsan.supp tests/lib/tsan.supp $(E2E_TESTS) $(CRASH_TESTS) tests/crash/replay.py tests/crash/workload.py

# One story each, runnable alone: make check TESTS=tests/e2e/rsync.sh
E2E_TESTS = \
	tests/e2e/acl.sh \
	tests/e2e/append.py \
	tests/e2e/backup.sh \
	tests/e2e/basics.sh \
	tests/e2e/borg.sh \
	tests/e2e/bucketmount.sh \
	tests/e2e/checkpoints.py \
	tests/e2e/clock.py \
	tests/e2e/clock-attested.py \
	tests/e2e/coreutils.sh \
	tests/e2e/drafts.py \
	tests/e2e/fstab.sh \
	tests/e2e/fullfs.sh \
	tests/e2e/git.sh \
	tests/e2e/header.sh \
	tests/e2e/hidden.sh \
	tests/e2e/history-modes.sh \
	tests/e2e/inode.sh \
	tests/e2e/key-rotate.sh \
	tests/e2e/kernel.py \
	tests/e2e/key-slots.sh \
	tests/e2e/kms.sh \
	tests/e2e/kms-end.py \
	tests/e2e/lock-attempts.py \
	tests/e2e/locks.sh \
	tests/e2e/many.py \
	tests/e2e/mfa.py \
	tests/e2e/memory.py \
	tests/e2e/names.sh \
	tests/e2e/reader.sh \
	tests/e2e/rebuild.sh \
	tests/e2e/readonly.sh \
	tests/e2e/recipes.sh \
	tests/e2e/rekey.sh \
	tests/e2e/restic.sh \
	tests/e2e/restore.sh \
	tests/e2e/rollback.sh \
	tests/e2e/rsync.sh \
	tests/e2e/scale.sh \
	tests/e2e/secret-at-rest.sh \
	tests/e2e/sharing.sh \
	tests/e2e/sqlite.py \
	tests/e2e/ssec.sh \
	tests/e2e/stop.sh \
	tests/e2e/stress.py \
	tests/e2e/tamper.py \
	tests/e2e/tar.sh \
	tests/e2e/upkeep.sh \
	tests/e2e/users.py \
	tests/e2e/vim.sh \
	tests/e2e/xattr.sh
TESTS += $(E2E_TESTS)
check_PROGRAMS += tests/engine/fill_store
tests_engine_fill_store_SOURCES = tests/engine/fill_store.c
tests_engine_fill_store_LDADD = libholdfs.a $(HOLDFS_LIBS)

# What a killed daemon and a power cut leave. The library records the daemon's writes; it is preloaded, so no sanitizer and no libtool.
CRASH_TESTS = tests/crash/kill.py tests/crash/powercut.py
check_PROGRAMS += tests/crash/record.so
tests_crash_record_so_SOURCES = tests/crash/record.c
tests_crash_record_so_CFLAGS = -std=gnu17 -Wall -Wextra $(WERROR) -pthread -fPIC
tests_crash_record_so_LDFLAGS = -shared
TESTS += $(CRASH_TESTS)

# make bench BENCHFLAGS='--short' ; fs.py --help tells the flags
EXTRA_DIST += tests/bench/fs.py
check_PROGRAMS += tests/bench/fsload
tests_bench_fsload_SOURCES = tests/bench/fsload.c
bench: holdfs$(EXEEXT) tests/bench/fsload$(EXEEXT)
	HOLDFS='$(abs_builddir)/holdfs' python3 $(srcdir)/tests/bench/fs.py --fsload '$(abs_builddir)/tests/bench/fsload' $(BENCHFLAGS)
.PHONY: bench

# Small things, and keys.
EXTRA_DIST += tests/unit/unit.h tests/unit/tempdir.h tests/lib/killstep.h
check_PROGRAMS += tests/unit/test_util_clock
tests_unit_test_util_clock_SOURCES = tests/unit/test_util_clock.c
tests_unit_test_util_clock_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_util_clock
check_PROGRAMS += tests/unit/test_util_log
tests_unit_test_util_log_SOURCES = tests/unit/test_util_log.c
tests_unit_test_util_log_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_util_log
check_PROGRAMS += tests/unit/test_util_secret
tests_unit_test_util_secret_SOURCES = tests/unit/test_util_secret.c
tests_unit_test_util_secret_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_util_secret
check_PROGRAMS += tests/unit/test_util_text
tests_unit_test_util_text_SOURCES = tests/unit/test_util_text.c
tests_unit_test_util_text_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_util_text
check_PROGRAMS += tests/unit/test_util_timeform
tests_unit_test_util_timeform_SOURCES = tests/unit/test_util_timeform.c
tests_unit_test_util_timeform_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_util_timeform
check_PROGRAMS += tests/unit/test_util_xaes
tests_unit_test_util_xaes_SOURCES = tests/unit/test_util_xaes.c
tests_unit_test_util_xaes_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_util_xaes
check_PROGRAMS += tests/unit/test_kms_header
tests_unit_test_kms_header_SOURCES = tests/unit/test_kms_header.c
tests_unit_test_kms_header_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_kms_header
check_PROGRAMS += tests/unit/test_kms_recovery
tests_unit_test_kms_recovery_SOURCES = tests/unit/test_kms_recovery.c
tests_unit_test_kms_recovery_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_kms_recovery
check_PROGRAMS += tests/unit/test_kms_slots
tests_unit_test_kms_slots_SOURCES = tests/unit/test_kms_slots.c
tests_unit_test_kms_slots_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_kms_slots
check_PROGRAMS += tests/unit/test_kms_unlock
tests_unit_test_kms_unlock_SOURCES = tests/unit/test_kms_unlock.c
tests_unit_test_kms_unlock_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_kms_unlock
check_PROGRAMS += tests/unit/test_kms_vectors
tests_unit_test_kms_vectors_SOURCES = tests/unit/test_kms_vectors.c
tests_unit_test_kms_vectors_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_kms_vectors
check_PROGRAMS += tests/unit/test_kms_provider
tests_unit_test_kms_provider_SOURCES = tests/unit/test_kms_provider.c
tests_unit_test_kms_provider_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_kms_provider

include $(top_srcdir)/tests/pipeline.mk
include $(top_srcdir)/tests/meta.mk
include $(top_srcdir)/tests/engine.mk
include $(top_srcdir)/tests/tree.mk
include $(top_srcdir)/tests/lock.mk
include $(top_srcdir)/tests/auth.mk
include $(top_srcdir)/tests/audit.mk
include $(top_srcdir)/tests/cmd.mk
include $(top_srcdir)/tests/s3.mk
include $(top_srcdir)/tests/fuzz.mk
