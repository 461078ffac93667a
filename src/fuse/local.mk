# sources of src/fuse
libholdfs_a_SOURCES += \
	src/fuse/fuse_front.c src/fuse/fuse_front.h src/fuse/loop.c src/fuse/loop.h src/fuse/front.h src/fuse/call.c \
	src/fuse/options.c src/fuse/options.h src/fuse/wire.c src/fuse/wire.h \
	src/fuse/tune.c src/fuse/tune.h src/fuse/stop.c src/fuse/stop.h \
	src/fuse/notify.c src/fuse/notify.h src/fuse/buffer.c src/fuse/buffer.h \
	src/fuse/ops_tree.c src/fuse/ops_names.c src/fuse/ops_file.c \
	src/fuse/ops_ioctl.c src/fuse/key_ioctl.h src/fuse/ops_xattr.c src/fuse/ops_xattr.h src/fuse/dir.c src/fuse/dir.h \
	src/fuse/hidden.c src/fuse/hidden.h src/fuse/hidden_ops.c \
	src/fuse/hidden_versions.c src/fuse/hidden_at.c \
	src/fuse/mountinfo.c src/fuse/mountinfo.h
