# sources of src/meta
libholdfs_a_SOURCES += \
	src/meta/meta.c src/meta/meta.h src/meta/sqlite.c src/meta/sqlite.h \
	src/meta/sqlite_schema.c src/meta/sqlite_rows.c src/meta/sqlite_versions.c
