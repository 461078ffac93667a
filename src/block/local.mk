# sources of src/block
libholdfs_a_SOURCES += \
	src/block/block.h src/block/block.c \
	src/block/local.c src/block/local_dir.c src/block/local_dir.h src/block/local_fds.c src/block/local_fds.h src/block/copy.c
