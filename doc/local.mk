# Manual pages and prose. The COMMANDS of holdfs(1) and the OPTIONS of mount.fuse.holdfs(8) are made from the program's
# tables: `make man` after a change there; tests/e2e/cmd-help.py compares them.
dist_man_MANS += doc/holdfs.1 doc/mount.fuse.holdfs.8 doc/holdfs-xattr.7
EXTRA_DIST += doc/architecture.md doc/s3.md doc/cli-abi.md doc/operations.md doc/threats.md \
	doc/on-disk-format.md doc/stages/zstd.md

man: holdfs$(EXEEXT)
	$(srcdir)/doc/insert-tables ./holdfs$(EXEEXT) $(srcdir)/doc
EXTRA_DIST += doc/insert-tables
