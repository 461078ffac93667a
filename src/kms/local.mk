# sources of src/kms
libholdfs_a_SOURCES += \
	src/kms/kms.h src/kms/internal.h src/kms/keys.h \
	src/kms/ask.c src/kms/unlock.c src/kms/recovery.c \
	src/kms/header.c src/kms/header_file.c src/kms/header_line.c \
	src/kms/keys.c src/kms/slot.c src/kms/slots.c src/kms/rotate.c src/kms/header_copy.c src/kms/wrap.c \
	src/kms/provider.h src/kms/provider.c src/kms/provider_local.c src/kms/context.c src/kms/customer.c \
	src/kms/data_keys.h src/kms/data_keys.c src/kms/throttle.h src/kms/throttle.c
