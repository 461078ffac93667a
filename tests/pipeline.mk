# Tests of the pipeline and of the segment store.
check_PROGRAMS += tests/unit/test_pipeline_frame
tests_unit_test_pipeline_frame_SOURCES = tests/unit/test_pipeline_frame.c
tests_unit_test_pipeline_frame_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_pipeline_frame

check_PROGRAMS += tests/unit/test_pipeline_extmap
tests_unit_test_pipeline_extmap_SOURCES = tests/unit/test_pipeline_extmap.c
tests_unit_test_pipeline_extmap_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_pipeline_extmap

check_PROGRAMS += tests/unit/test_pipeline_extmap_codec
tests_unit_test_pipeline_extmap_codec_SOURCES = tests/unit/test_pipeline_extmap_codec.c
tests_unit_test_pipeline_extmap_codec_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_pipeline_extmap_codec

check_PROGRAMS += tests/unit/test_pipeline_stages
tests_unit_test_pipeline_stages_SOURCES = tests/unit/test_pipeline_stages.c
tests_unit_test_pipeline_stages_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/unit/test_pipeline_stages

check_PROGRAMS += tests/engine/test_block
tests_engine_test_block_SOURCES = tests/engine/test_block.c
tests_engine_test_block_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
tests_engine_test_block_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=pwrite,--wrap=fdatasync,--wrap=fsync
TESTS += tests/engine/test_block

check_PROGRAMS += tests/engine/test_content
tests_engine_test_content_SOURCES = tests/engine/test_content.c
tests_engine_test_content_LDADD = libholdfs.a $(HOLDFS_LIBS) $(CMOCKA_LIBS)
TESTS += tests/engine/test_content

# Run by hand; what they report is no verdict.
check_PROGRAMS += tests/bench/bench_pipeline
tests_bench_bench_pipeline_SOURCES = tests/bench/bench_pipeline.c
tests_bench_bench_pipeline_LDADD = libholdfs.a $(HOLDFS_LIBS)

EXTRA_DIST += tests/unit/extmap_samples.h tests/fuzz/fuzz_frame.c tests/fuzz/fuzz_extmap.c \
	tests/fuzz/seeds/frame/hello tests/fuzz/seeds/extmap/edited-file tests/fuzz/seeds/extmap/empty
