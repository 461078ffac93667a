# Tests of the audit trail.
check_PROGRAMS += tests/unit/test_audit
tests_unit_test_audit_SOURCES = tests/unit/test_audit.c
tests_unit_test_audit_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_audit
TESTS += tests/e2e/audit.py tests/e2e/audit-s3.py
EXTRA_DIST += tests/e2e/audit.py tests/e2e/audit-s3.py
check_PROGRAMS += tests/engine/test_trail
tests_engine_test_trail_SOURCES = tests/engine/test_trail.c tests/engine/store.c
tests_engine_test_trail_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/engine/test_trail
