# sources of src/pipeline
libholdfs_a_SOURCES += \
	src/pipeline/thread.c src/pipeline/thread.h \
	src/pipeline/gcm.c src/pipeline/gcm.h \
	src/pipeline/compress.c src/pipeline/compress.h \
	src/pipeline/frame.c src/pipeline/frame.h \
	src/pipeline/frame_cache.c src/pipeline/frame_cache.h \
	src/pipeline/extmap.c src/pipeline/extmap_chunks.c src/pipeline/extmap_chunks.h \
	src/pipeline/extmap_query.c src/pipeline/extmap_codec.c src/pipeline/extmap_run.h src/pipeline/extmap.h \
	src/pipeline/content.c src/pipeline/content_key.c src/pipeline/content_read.c src/pipeline/content_private.h \
	src/pipeline/content.h \
	src/pipeline/stages.c src/pipeline/stage_zstd.c src/pipeline/stage.h
