# Tests of records, locks, the compliance clock and settings.
check_PROGRAMS += tests/unit/test_engine_record
tests_unit_test_engine_record_SOURCES = tests/unit/test_engine_record.c
tests_unit_test_engine_record_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_engine_record

check_PROGRAMS += tests/unit/test_engine_lock
tests_unit_test_engine_lock_SOURCES = tests/unit/test_engine_lock.c
tests_unit_test_engine_lock_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_engine_lock

check_PROGRAMS += tests/unit/test_engine_compliance
tests_unit_test_engine_compliance_SOURCES = tests/unit/test_engine_compliance.c
tests_unit_test_engine_compliance_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_engine_compliance

check_PROGRAMS += tests/unit/test_engine_tsa
tests_unit_test_engine_tsa_SOURCES = tests/unit/test_engine_tsa.c
tests_unit_test_engine_tsa_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_engine_tsa

# Preloaded into the `openssl ts` of a test's time authority, so no sanitizer and no libtool.
check_PROGRAMS += tests/lib/date.so
tests_lib_date_so_SOURCES = tests/lib/date.c
tests_lib_date_so_CFLAGS = -std=gnu17 -Wall -Wextra -fPIC
tests_lib_date_so_LDFLAGS = -shared

check_PROGRAMS += tests/unit/test_bucket_config
tests_unit_test_bucket_config_SOURCES = tests/unit/test_bucket_config.c
tests_unit_test_bucket_config_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_bucket_config

check_PROGRAMS += tests/unit/test_property_table
tests_unit_test_property_table_SOURCES = tests/unit/test_property_table.c
tests_unit_test_property_table_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_property_table

EXTRA_DIST += tests/engine/clock.h
check_PROGRAMS += tests/engine/test_settle
tests_engine_test_settle_SOURCES = tests/engine/test_settle.c tests/engine/rig.c
tests_engine_test_settle_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/engine/test_settle

check_PROGRAMS += tests/engine/test_locks
tests_engine_test_locks_SOURCES = tests/engine/test_locks.c tests/engine/rig.c
tests_engine_test_locks_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/engine/test_locks
