# sources of src/auth
libholdfs_a_SOURCES += src/auth/auth.h src/auth/judge.c src/auth/principal.c
