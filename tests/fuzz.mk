# Fuzz targets. Ordinary builds run each over its seeds and regressions (tests/fuzz/replay.sh); `make fuzz` searches on with
# libFuzzer. To add one: tests/fuzz/fuzz_NAME.c, seeds/NAME/ and its lines here.
if ENABLE_FUZZ
fuzz_main =
else
fuzz_main = tests/fuzz/standalone_main.c
endif
fuzz_libs = $(FUZZ_ENGINE) libcmd.a libholdfs.a $(FUSE_LIBS) $(HOLDFS_LIBS)
fuzz_programs = tests/fuzz/fuzz_cmd tests/fuzz/fuzz_extmap tests/fuzz/fuzz_frame tests/fuzz/fuzz_header tests/fuzz/fuzz_page tests/fuzz/fuzz_policy tests/fuzz/fuzz_property tests/fuzz/fuzz_record tests/fuzz/fuzz_s3_chunked tests/fuzz/fuzz_s3_message tests/fuzz/fuzz_s3_xml tests/fuzz/fuzz_timeform
check_PROGRAMS += $(fuzz_programs)
tests_fuzz_fuzz_cmd_SOURCES = tests/fuzz/fuzz_cmd.c $(fuzz_main)
tests_fuzz_fuzz_cmd_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_extmap_SOURCES = tests/fuzz/fuzz_extmap.c $(fuzz_main)
tests_fuzz_fuzz_extmap_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_frame_SOURCES = tests/fuzz/fuzz_frame.c $(fuzz_main)
tests_fuzz_fuzz_frame_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_header_SOURCES = tests/fuzz/fuzz_header.c $(fuzz_main)
tests_fuzz_fuzz_header_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_page_SOURCES = tests/fuzz/fuzz_page.c $(fuzz_main)
tests_fuzz_fuzz_page_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_policy_SOURCES = tests/fuzz/fuzz_policy.c $(fuzz_main)
tests_fuzz_fuzz_policy_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_property_SOURCES = tests/fuzz/fuzz_property.c $(fuzz_main)
tests_fuzz_fuzz_property_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_record_SOURCES = tests/fuzz/fuzz_record.c $(fuzz_main)
tests_fuzz_fuzz_record_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_s3_chunked_SOURCES = tests/fuzz/fuzz_s3_chunked.c $(fuzz_main)
tests_fuzz_fuzz_s3_chunked_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_s3_message_SOURCES = tests/fuzz/fuzz_s3_message.c $(fuzz_main)
tests_fuzz_fuzz_s3_message_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_s3_xml_SOURCES = tests/fuzz/fuzz_s3_xml.c $(fuzz_main)
tests_fuzz_fuzz_s3_xml_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_timeform_SOURCES = tests/fuzz/fuzz_timeform.c $(fuzz_main)
tests_fuzz_fuzz_timeform_LDADD = $(fuzz_libs)

.PHONY: fuzz-programs
fuzz-programs: $(fuzz_programs)
TESTS += tests/fuzz/replay.sh
EXTRA_DIST += tests/fuzz/replay.sh tests/fuzz/run tests/fuzz/seeds tests/fuzz/regressions
