# sources of src/util
libholdfs_a_SOURCES += \
	src/util/reason.c src/util/reason.h src/util/cleanup.h \
	src/util/bytes.c src/util/bytes.h \
	src/util/banned.h src/util/limits.h \
	src/util/checksum.c src/util/checksum.h src/util/clock.c src/util/clock.h \
	src/util/http_post.c src/util/http_post.h \
	src/util/log.c src/util/log.h \
	src/util/hidden.h src/util/hidden.c src/util/secret.c src/util/secret.h \
	src/util/text.c src/util/text.h \
	src/util/timeform.c src/util/timeform.h \
	src/util/random.c src/util/xaes.c src/util/xaes.h
libholdfs_a_SOURCES += src/util/xmldoc.c src/util/xmldoc.h
