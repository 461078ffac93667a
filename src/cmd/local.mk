# The command: main.c dispatches, one file a subcommand (commands.def), the rest is shared by them.
noinst_LIBRARIES += libcmd.a
libcmd_a_SOURCES = \
	src/cmd/account.c src/cmd/backup.c src/cmd/bucket.c src/cmd/clock.c src/cmd/compact.c src/cmd/debug.c src/cmd/du.c \
	src/cmd/export.c src/cmd/fsck.c src/cmd/import.c src/cmd/scrub.c src/cmd/stream.c src/cmd/stream.h \
	src/cmd/gc.c src/cmd/help_command.c src/cmd/init.c src/cmd/key.c src/cmd/key_slots.c src/cmd/key_rotate.c src/cmd/key_customer.c src/cmd/key.h src/cmd/kms.h src/cmd/kms.c src/cmd/kms_keys.c src/cmd/operations_kms.c src/cmd/legal_hold.c src/cmd/mfa.c src/cmd/qr.h src/cmd/mount.c \
	src/cmd/restore.c src/cmd/serve.c src/cmd/serving.h src/cmd/serving.c src/cmd/retention.c src/cmd/stat.c src/cmd/status.c src/cmd/version.c \
	src/cmd/user.c src/cmd/user.h src/cmd/user_key.c src/cmd/user_policy.c src/cmd/versions.c \
	src/cmd/command.c src/cmd/command.h src/cmd/commands.def src/cmd/completion.c \
	src/cmd/control.h src/cmd/control_client.c src/cmd/control_ops.c src/cmd/control_server.c \
	src/cmd/control_wire.c src/cmd/control_wire.h src/cmd/daemon.c src/cmd/daemon.h src/cmd/help.c src/cmd/help.h \
	src/cmd/mount.h src/cmd/mount_options.c src/cmd/operation.h src/cmd/operation_path.c src/cmd/operations_bucket.c src/cmd/operations_iam.c src/cmd/operations_mfa.c \
	src/cmd/operations_object.c src/cmd/operations_upkeep.c src/cmd/progress.c src/cmd/progress.h src/cmd/render.c \
	src/cmd/render.h src/cmd/secrets.c src/cmd/secrets.h src/cmd/target.c \
	src/cmd/target.h

if HAVE_QRENCODE
libcmd_a_SOURCES += src/cmd/qr_encode.c
else
libcmd_a_SOURCES += src/cmd/qr_none.c
endif

libcmd_a_SOURCES += src/cmd/audit.c src/cmd/audit.h src/cmd/audit_anchor.c src/cmd/audit_export.c src/cmd/audit_read.c src/cmd/audit_tail.c src/cmd/audit_verify.c \
	src/cmd/operations_audit.c

bin_PROGRAMS += holdfs
holdfs_SOURCES = src/cmd/main.c
holdfs_LDADD = libcmd.a libholdfs.a $(FUSE_LIBS) $(HOLDFS_LIBS)
