# Tests of the engine over a real store.
EXTRA_DIST += tests/engine/store.h
check_PROGRAMS += tests/engine/test_history
tests_engine_test_history_SOURCES = tests/engine/test_history.c tests/engine/store.c
tests_engine_test_history_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/engine/test_history

check_PROGRAMS += tests/engine/test_backup
tests_engine_test_backup_SOURCES = tests/engine/test_backup.c tests/engine/store.c
tests_engine_test_backup_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/engine/test_backup
check_PROGRAMS += tests/engine/test_rotate
tests_engine_test_rotate_SOURCES = tests/engine/test_rotate.c tests/engine/store.c
tests_engine_test_rotate_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/engine/test_rotate

check_PROGRAMS += tests/engine/test_gc
tests_engine_test_gc_SOURCES = tests/engine/test_gc.c tests/engine/store.c
tests_engine_test_gc_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/engine/test_gc

check_PROGRAMS += tests/engine/test_upkeep_stress
tests_engine_test_upkeep_stress_SOURCES = tests/engine/test_upkeep_stress.c tests/engine/store.c
tests_engine_test_upkeep_stress_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/engine/test_upkeep_stress

check_PROGRAMS += tests/engine/test_iam
tests_engine_test_iam_SOURCES = tests/engine/test_iam.c tests/engine/store.c
tests_engine_test_iam_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/engine/test_iam

check_PROGRAMS += tests/engine/test_mfa
tests_engine_test_mfa_SOURCES = tests/engine/test_mfa.c tests/engine/rig.c
tests_engine_test_mfa_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/engine/test_mfa

check_PROGRAMS += tests/engine/test_kms
tests_engine_test_kms_SOURCES = tests/engine/test_kms.c tests/engine/store.c
tests_engine_test_kms_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/engine/test_kms
