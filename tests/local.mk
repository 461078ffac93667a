# tests

TEST_EXTENSIONS = .sh .py
SH_LOG_COMPILER = bash
PY_LOG_COMPILER = python3
AM_TESTS_ENVIRONMENT = HOLDFS='$(abs_top_builddir)/holdfs'; PYTHONDONTWRITEBYTECODE=1; export HOLDFS PYTHONDONTWRITEBYTECODE;
EXTRA_DIST += tests/lib/holdfs.sh tests/lib/holdfs.py $(E2E_TESTS)

# One story each, runnable alone: make check TESTS=tests/e2e/rsync.sh
E2E_TESTS = \
	tests/e2e/basics.sh \
	tests/e2e/drafts.py \
	tests/e2e/hidden.sh \
	tests/e2e/lock-attempts.py \
	tests/e2e/locks.sh \
	tests/e2e/names.sh \
	tests/e2e/xattr.sh
TESTS += $(E2E_TESTS)

# The pipeline and the segment store.
check_PROGRAMS += tests/unit/test_pipeline_frame
tests_unit_test_pipeline_frame_SOURCES = tests/unit/test_pipeline_frame.c
tests_unit_test_pipeline_frame_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_pipeline_frame
check_PROGRAMS += tests/engine/test_content
tests_engine_test_content_SOURCES = tests/engine/test_content.c
tests_engine_test_content_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/engine/test_content
