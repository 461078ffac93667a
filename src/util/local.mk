libholdfs_a_SOURCES += \
	src/util/reason.c src/util/reason.h src/util/cleanup.h \
	src/util/bytes.c src/util/bytes.h
