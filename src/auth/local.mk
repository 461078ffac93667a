# sources of src/auth
libholdfs_a_SOURCES += src/auth/auth.h src/auth/policy.h \
	src/auth/action.c src/auth/arena.c src/auth/condition.c src/auth/context.c src/auth/judge.c src/auth/operator.c \
	src/auth/pattern.c src/auth/policy.c src/auth/policy_parse.c src/auth/principal.c src/auth/public.c src/auth/reach.c src/auth/resource.c \
	src/auth/sentence.c src/auth/totp.c src/auth/who.c
