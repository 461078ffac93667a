# sources of src/meta
libholdfs_a_SOURCES += \
	src/meta/meta.c src/meta/meta.h src/meta/sqlite.c src/meta/sqlite.h \
	src/meta/sqlite_schema.c src/meta/sqlite_rows.c src/meta/sqlite_versions.c \
	src/meta/sqlite_vfs.c src/meta/sqlite_db.c src/meta/sqlite_vfs.h src/meta/sqlite_wal.c src/meta/sqlite_shm.c \
	src/meta/sqlite_ledger.c src/meta/sqlite_rekey.c src/meta/sqlite_redo.c src/meta/sqlite_rowlog.c src/meta/sqlite_page.c src/meta/sqlite_page.h
