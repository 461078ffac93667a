# The live tree, drafts and crashes over a real store (tests/engine/rig.h).
EXTRA_DIST += tests/engine/rig.h
check_PROGRAMS += tests/engine/test_names
tests_engine_test_names_SOURCES = tests/engine/test_names.c tests/engine/rig.c
tests_engine_test_names_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/engine/test_names
check_PROGRAMS += tests/engine/test_rename
tests_engine_test_rename_SOURCES = tests/engine/test_rename.c tests/engine/rig.c
tests_engine_test_rename_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/engine/test_rename
check_PROGRAMS += tests/engine/test_links
tests_engine_test_links_SOURCES = tests/engine/test_links.c tests/engine/rig.c
tests_engine_test_links_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/engine/test_links
