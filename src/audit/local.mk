# sources of src/audit
libholdfs_a_SOURCES += src/audit/audit.h src/audit/canonical.c src/audit/chain.c src/audit/head.c src/audit/record.c src/audit/verify.c
