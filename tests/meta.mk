# The metadata engine.
check_PROGRAMS += tests/unit/test_meta_vfs tests/unit/test_meta_rowlog tests/engine/test_meta tests/crash/test_meta_kill \
	tests/crash/meta_writer tests/bench/bench_meta
tests_unit_test_meta_vfs_SOURCES = tests/unit/test_meta_vfs.c tests/lib/metastore.h
tests_unit_test_meta_vfs_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
tests_unit_test_meta_rowlog_SOURCES = tests/unit/test_meta_rowlog.c tests/lib/metastore.h
tests_unit_test_meta_rowlog_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
tests_engine_test_meta_SOURCES = tests/engine/test_meta.c tests/lib/metastore.h
tests_engine_test_meta_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
tests_crash_test_meta_kill_SOURCES = tests/crash/test_meta_kill.c tests/crash/meta_load.h tests/lib/metastore.h
tests_crash_test_meta_kill_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
tests_crash_meta_writer_SOURCES = tests/crash/meta_writer.c tests/crash/meta_load.h tests/lib/metastore.h
tests_crash_meta_writer_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
tests_bench_bench_meta_SOURCES = tests/bench/bench_meta.c
tests_bench_bench_meta_LDADD = libholdfs.a $(HOLDFS_LIBS)
TESTS += tests/unit/test_meta_vfs tests/unit/test_meta_rowlog tests/engine/test_meta tests/crash/test_meta_kill \
	tests/crash/meta_powercut.py
EXTRA_DIST += tests/crash/meta_powercut.py tests/fuzz/fuzz_page.c
