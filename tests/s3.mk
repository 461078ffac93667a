# The S3 front.
s3_tests = tests/unit/test_s3_sigv4 tests/unit/test_util_checksum
check_PROGRAMS += $(s3_tests)
tests_unit_test_s3_sigv4_SOURCES = tests/unit/test_s3_sigv4.c
tests_unit_test_s3_sigv4_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
tests_unit_test_util_checksum_SOURCES = tests/unit/test_util_checksum.c
tests_unit_test_util_checksum_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)

s3_stories = tests/e2e/s3-objects.py tests/e2e/s3-multipart.py tests/e2e/s3-versions.py tests/e2e/s3-auth.py tests/e2e/s3-serve.py tests/e2e/s3-clients.sh
TESTS += $(s3_tests) $(s3_stories)
EXTRA_DIST += tests/lib/s3.py $(s3_stories)
