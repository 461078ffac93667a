# What is installed beside the program, and the targets that build in directories of their own.
EXTRA_DIST += contrib/audit-verify contrib/check contrib/holdfs-read contrib/configure-in contrib/install-packages contrib/packages contrib/quickstart contrib/holdfs@.service.in

# -- shell completion, made by the program from its own tables
bashcompletiondir = $(datadir)/bash-completion/completions
bashcompletion_DATA = contrib/completion/holdfs
zshcompletiondir = $(datadir)/zsh/site-functions
zshcompletion_DATA = contrib/completion/_holdfs
CLEANFILES += contrib/completion/holdfs contrib/completion/_holdfs
contrib/completion/holdfs: holdfs$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) contrib/completion && ./holdfs$(EXEEXT) help --completion bash >$@.new && mv $@.new $@
contrib/completion/_holdfs: holdfs$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) contrib/completion && ./holdfs$(EXEEXT) help --completion zsh >$@.new && mv $@.new $@

# -- the systemd unit
systemdunitdir = $(systemdsystemunitdir)
systemdunit_DATA = contrib/holdfs@.service
CLEANFILES += contrib/holdfs@.service
contrib/holdfs@.service: $(srcdir)/contrib/holdfs@.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) contrib && sed 's|@bindir[@]|$(bindir)|g' $(srcdir)/contrib/holdfs@.service.in >$@.new && mv $@.new $@

# -- the mount helper: mount(8) looks for it in /sbin, so --prefix=/usr puts it where it is found first; with another
#    prefix mount(8) falls back to mount.fuse3, which runs `holdfs` from the PATH
noinst_DATA = mount.fuse.holdfs
CLEANFILES += mount.fuse.holdfs
mount.fuse.holdfs: holdfs$(EXEEXT)
	$(AM_V_GEN)ln -sf holdfs$(EXEEXT) $@
install-exec-hook:
	$(MKDIR_P) '$(DESTDIR)$(sbindir)'
	target=$$(realpath -m --relative-to='$(sbindir)' '$(bindir)/holdfs') && \
	ln -sf "$$target" '$(DESTDIR)$(sbindir)/mount.fuse.holdfs' && ln -sf "$$target" '$(DESTDIR)$(sbindir)/mount.holdfs'
uninstall-hook:
	rm -f '$(DESTDIR)$(sbindir)/mount.fuse.holdfs' '$(DESTDIR)$(sbindir)/mount.holdfs'

# -- builds in directories of their own, configured from this source tree
CONFIGURE_IN = $(srcdir)/contrib/configure-in
ASAN_FLAGS = --enable-test-hooks --disable-werror --enable-sanitize=address,undefined CFLAGS='-O1 -g'
TSAN_FLAGS = --enable-test-hooks --disable-werror --enable-sanitize=thread CFLAGS='-O1 -g'
FUZZ_FLAGS = --enable-test-hooks --disable-werror --enable-fuzz --enable-sanitize=address,undefined CC=clang CFLAGS='-O1 -g'

.PHONY: asan tsan asan-check tsan-check fuzz lint lint-tidy lint-format lint-shell format man
asan:
	$(CONFIGURE_IN) build-asan $(ASAN_FLAGS)
	$(MAKE) -C build-asan
tsan:
	$(CONFIGURE_IN) build-tsan $(TSAN_FLAGS)
	$(MAKE) -C build-tsan
asan-check: asan
	$(MAKE) -C build-asan check
tsan-check: tsan
	$(MAKE) -C build-tsan check
# Each target for FUZZ_SECONDS from its seeds; what it finds stays in build-fuzz/.
FUZZ_SECONDS = 60
fuzz:
	$(CONFIGURE_IN) build-fuzz $(FUZZ_FLAGS)
	$(MAKE) -C build-fuzz fuzz-programs
	$(srcdir)/tests/fuzz/run build-fuzz $(FUZZ_SECONDS)
C_FILES = $$(git ls-files 'src/*.[ch]' 'tests/*.[ch]')
SHELL_FILES = $$(git ls-files bootstrap doc/insert-tables contrib/configure-in .ci/run contrib/check contrib/quickstart \
	contrib/install-packages tests/lib/sanitized '*.sh')
lint: lint-tidy lint-format lint-shell
lint-tidy:
	cd $(srcdir) && tests/tidy
lint-format:
	cd $(srcdir) && clang-format --dry-run --Werror $(C_FILES)
lint-shell:
	cd $(srcdir) && shellcheck -x -P SCRIPTDIR -S warning $(SHELL_FILES)
format:
	cd $(srcdir) && clang-format -i $(C_FILES)
