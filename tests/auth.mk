# Tests of who may.
EXTRA_DIST += tests/unit/auth_world.h tests/unit/auth-cases.json tests/fuzz/fuzz_policy.c tests/fuzz/seeds/policy/sse tests/fuzz/seeds/policy/home
auth_tests = tests/unit/test_auth_cases tests/unit/test_auth_judge tests/unit/test_auth_policy tests/unit/test_auth_tables tests/unit/test_auth_totp
check_PROGRAMS += $(auth_tests) tests/bench/bench_auth
TESTS += $(auth_tests)
tests_unit_test_auth_cases_SOURCES = tests/unit/test_auth_cases.c
tests_unit_test_auth_cases_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
tests_unit_test_auth_judge_SOURCES = tests/unit/test_auth_judge.c
tests_unit_test_auth_judge_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
tests_unit_test_auth_policy_SOURCES = tests/unit/test_auth_policy.c
tests_unit_test_auth_policy_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
tests_unit_test_auth_tables_SOURCES = tests/unit/test_auth_tables.c
tests_unit_test_auth_tables_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
tests_unit_test_auth_totp_SOURCES = tests/unit/test_auth_totp.c
tests_unit_test_auth_totp_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
tests_bench_bench_auth_SOURCES = tests/bench/bench_auth.c
tests_bench_bench_auth_LDADD = libholdfs.a $(HOLDFS_LIBS)

# Who may, over both fronts.
TESTS += tests/e2e/s3-users.py
EXTRA_DIST += tests/e2e/s3-users.py
