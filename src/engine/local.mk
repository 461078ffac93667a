# sources of src/engine
libholdfs_a_SOURCES += \
	src/engine/engine.h src/engine/private.h src/engine/record.h \
	src/engine/attrs.c src/engine/record.c src/engine/errors.c \
	src/engine/walk.c src/engine/walk.h \
	src/engine/history.c src/engine/at.c
