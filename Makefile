# unrolld: `make help` lists the targets.
VERSION := 0.1.0

SAN ?=
ifneq ($(filter-out asan tsan fuzz,$(SAN)),)
$(error SAN is '$(SAN)', expected asan, tsan or nothing)
endif
VARIANT := $(or $(SAN),release)
BUILD ?= build
B := $(BUILD)/$(VARIANT)

prefix ?= /usr/local
bindir ?= $(prefix)/bin
datadir ?= $(prefix)/share
sysconfdir ?= /etc
unitdir ?= $(prefix)/lib/systemd/system
mandir ?= $(datadir)/man
completiondir ?= $(datadir)/bash-completion/completions

ifeq ($(origin CC),default)
CC := $(if $(filter fuzz,$(SAN)),clang,gcc)
endif
ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))
CORES := $(shell nproc)
# What runs here the programs of a compiler for another processor: an emulator.
EMULATOR ?=

# CPPFLAGS, CFLAGS, LDFLAGS and LDLIBS of the user's go after these.
PKGS := libmicrohttpd gnutls zlib libuv jansson sqlite3 libsystemd libxxhash libcurl \
	libjpeg libpng
CPP_ALL := -Iinclude -Isrc -D_GNU_SOURCE -DUNROLLD_VERSION='"$(VERSION)"' \
	-MMD -MP $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wwrite-strings -Wvla -Wformat=2 -Wno-unused-parameter \
	-Wno-format-truncation
# FMAs are written where they are meant: the same bits in every tile.
BITS := -ffp-contract=off
C_ALL := -std=gnu17 -g -pthread $(WARN) $(BITS) -fPIE -fno-semantic-interposition
LD_ALL := -pthread -pie -Wl,-z,relro,-z,now
# gcc 12 fails to compile some loops over fmax for arm64.
ifeq ($(ARCH),aarch64)
C_ALL += $(addprefix -fno-builtin-,fmax fmaxf fmin fminf)
endif
# libcurl is opened by who needs it: see src/app/http_client.c.
LIBS_ALL := $(shell pkg-config --libs $(filter-out libcurl,$(PKGS)) 2>/dev/null) -linih -lm -ldl
PROTECT_BRANCHES_x86_64 := -fcf-protection
PROTECT_BRANCHES_aarch64 := -mbranch-protection=standard
ASAN_ALL := -O1 -fno-omit-frame-pointer -fno-sanitize-recover=undefined
ifeq ($(VARIANT),release)
C_ALL += -O3 -fstack-protector-strong
CPP_ALL += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
C_ALL += $(PROTECT_BRANCHES_$(ARCH))
else ifeq ($(VARIANT),asan)
C_ALL += $(ASAN_ALL) -fsanitize=address,undefined
LD_ALL += -fsanitize=address,undefined
else ifeq ($(VARIANT),fuzz)
C_ALL += $(ASAN_ALL) -fsanitize=address,undefined,fuzzer-no-link
LD_ALL += -fsanitize=address,undefined
else
C_ALL += -O1 -fno-omit-frame-pointer -fsanitize=thread
LD_ALL += -fsanitize=thread
endif
CPP_ALL += $(CPPFLAGS)
C_ALL += $(CFLAGS)
LD_ALL += $(LDFLAGS)
LIBS_ALL += $(LDLIBS)

# Sources in these folders hold vector code: each is compiled once per
# instruction set with -DISA=..., into const tables chosen at start.
VECTOR_DIRS := src/math/kernels src/nn/cells src/nn/optimizers
ifeq ($(ARCH),x86_64)
ISAS := generic avx2 avx512 avx512vnni avx512bf16
else
ISAS := generic
endif
ISA_CFLAGS_generic :=
ISA_CFLAGS_avx2 := -mavx2 -mfma -mtune=haswell
ISA_CFLAGS_avx512 := -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma \
	-mtune=icelake-server -mprefer-vector-width=512
ISA_CFLAGS_avx512vnni := $(ISA_CFLAGS_avx512) -mavx512vnni
ISA_CFLAGS_avx512bf16 := $(ISA_CFLAGS_avx512vnni) -mavx512bf16

VECTOR_SRCS := $(sort $(wildcard $(addsuffix /*.c,$(VECTOR_DIRS))))
SRCS := $(sort $(wildcard src/*/*.c))
LIB_SRCS := $(filter-out src/app/main.c,$(SRCS))
LIB_OBJS := $(LIB_SRCS:src/%.c=$(B)/%.o) \
	$(foreach i,$(ISAS),$(VECTOR_SRCS:src/%.c=$(B)/%.$(i).o))
# The layers that compute, once more in double: the tests' oracle for gradients.
F64_SRCS := $(filter src/base/%.c src/math/%.c src/nn/%.c,$(LIB_SRCS))
F64_OBJS := $(F64_SRCS:src/%.c=$(B)/f64/%.o) \
	$(VECTOR_SRCS:src/%.c=$(B)/f64/%.generic.o)
# The page's files, and the chart library that it uses, from Debian's package.
DYGRAPHS ?= /usr/share/javascript/dygraphs
WEB := $(sort $(wildcard src/web/*.html src/web/*.css src/web/*.js)) \
	$(DYGRAPHS)/dygraph.min.js $(DYGRAPHS)/dygraph.min.css
LIB_OBJS += $(B)/web/files.o
LIB := $(B)/libunrolld.a
LIB_F64 := $(B)/libunrolld-f64.a
EXE := $(B)/unrolld

TEST_SRCS := $(sort $(wildcard tests/*/test_*.c))
TESTS := $(TEST_SRCS:tests/%.c=$(B)/tests/%)
# What builds images, boots systemd and installs packages is test-deploy's.
DEPLOY_TESTS := $(sort $(wildcard tests/deploy/*.bats))
TEST_SCRIPTS := $(filter-out $(DEPLOY_TESTS),\
	$(sort $(wildcard tests/*/test_*.sh tests/*/*.bats)))
FUZZ_SRCS := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZERS := $(FUZZ_SRCS:tests/%.c=$(B)/tests/%)
BENCHES := $(patsubst tests/%.c,$(B)/tests/%,\
	$(sort $(wildcard tests/bench/bench_*.c)))
# TESTS_ONLY: words; what holds one of them in its name is built and run.
TESTS_ONLY ?=
holds = $(strip $(foreach w,$(TESTS_ONLY),$(findstring $w,$(1))))
RUN_TESTS := $(foreach t,$(TESTS) $(FUZZERS) $(TEST_SCRIPTS),\
	$(if $(TESTS_ONLY),$(if $(call holds,$t),$t),$t))

C_FILES := $(sort $(wildcard src/*/*.c src/*/*/*.c tests/*/*.c))
H_FILES := $(sort $(wildcard include/*/*.h src/*/*.h src/*/*/*.h tests/*/*.h))

# One short line per step, or with V=1 the command.
say = $(if $(V),,@echo '  $(1) $@' && )

# Recipes that call make again, once packages are there, use all cores unless
# told otherwise.
AGAIN = @+$(MAKE) --no-print-directory \
	$(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(CORES))

# python-jieba's data (Debian's python3-jieba), which make compiles for the jieba
# tokenizer. Without it all the rest works.
JIEBA ?= /usr/lib/python3/dist-packages/jieba
JIEBA_DATA := $(wildcard $(JIEBA)/dict.txt $(JIEBA)/finalseg/prob_*.py)
JIEBA_DICT := $(if $(JIEBA_DATA),$(B)/jieba.dict)

.PHONY: all
all: $(EXE) $(JIEBA_DICT) ## build the daemon, build/release/unrolld (SAN=asan|tsan: theirs)

# A change of flags or of the compiler rebuilds: objects depend on a stamp that
# holds them. $(file) writes them as they are, whatever quotes they hold.
STAMP := $(B)/flags
FLAGS_NOW := $(CC) $(shell $(CC) -dumpfullversion 2>/dev/null) $(CPP_ALL) \
	$(C_ALL) $(LD_ALL) $(LIBS_ALL) $(ISAS)
$(shell mkdir -p $(B))
$(file >$(STAMP).now,$(FLAGS_NOW))
$(shell cmp -s $(STAMP).now $(STAMP) || mv $(STAMP).now $(STAMP))

# What a bare machine lacks is said once, and how to get it.
.PHONY: toolchain
toolchain:
	@command -v $(CC) >/dev/null && pkg-config --exists $(PKGS) || { \
		echo "unrolld: no $(CC), or not all of $(PKGS):" \
			"'make deps' installs what the build needs" >&2; \
		exit 1; }
	@test -e $(DYGRAPHS)/dygraph.min.js || { \
		echo "unrolld: no $(DYGRAPHS)/dygraph.min.js: 'make deps'" \
			"installs what the build needs" >&2; \
		exit 1; }

# Vector code is written in gcc's terms, and nobody fuzzes it.
ifeq ($(VARIANT),fuzz)
CC_ISA := gcc
C_ISA := $(filter-out -fsanitize=%,$(C_ALL))
else
CC_ISA := $(CC)
C_ISA := $(C_ALL)
endif
define isa_rule
$(B)/%.$(1).o: src/%.c $(STAMP) | toolchain
	@mkdir -p $$(@D)
	$$(call say,CC)$$(CC_ISA) $$(CPP_ALL) $$(C_ISA) $$(ISA_CFLAGS_$(1)) -DISA=$(1) -DISA_$(1) -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(eval $(call isa_rule,$(i))))

$(B)/web/files.c: src/web/embed.sh $(WEB) $(B)/web/list | toolchain
	$(call say,WEB)src/web/embed.sh $(@D) $(WEB) >$@.part && mv $@.part $@

$(B)/web/files.o: $(B)/web/files.c $(STAMP)
	$(call say,CC)$(CC) $(CPP_ALL) $(C_ALL) -c -o $@ $<

$(DYGRAPHS)/%: | toolchain ;

$(shell mkdir -p $(B)/web)
$(file >$(B)/web/list.now,$(WEB))
$(shell cmp -s $(B)/web/list.now $(B)/web/list || \
	mv $(B)/web/list.now $(B)/web/list)

$(B)/f64/%.generic.o: src/%.c $(STAMP) | toolchain
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPP_ALL) -DREAL_IS_DOUBLE $(C_ALL) -DISA=generic -DISA_generic -c -o $@ $<

$(B)/f64/%.o: src/%.c $(STAMP) | toolchain
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPP_ALL) -DREAL_IS_DOUBLE $(C_ALL) -c -o $@ $<

$(B)/%.o: src/%.c $(STAMP) | toolchain
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPP_ALL) $(C_ALL) -c -o $@ $<

# The list is a prerequisite: a source that went away leaves the archive.
$(LIB): $(LIB_OBJS) $(B)/sources
	@rm -f $@
	$(call say,AR)$(AR) rcs $@ $(LIB_OBJS)

$(LIB_F64): $(F64_OBJS) $(B)/sources
	@rm -f $@
	$(call say,AR)$(AR) rcs $@ $(F64_OBJS)

$(file >$(B)/sources.now,$(SRCS) $(VECTOR_SRCS))
$(shell cmp -s $(B)/sources.now $(B)/sources || \
	mv $(B)/sources.now $(B)/sources)

$(EXE): $(B)/app/main.o $(LIB)
	$(call say,LD)$(CC) $(LD_ALL) -o $@ $^ $(LIBS_ALL)

# As tests/run.sh: gcc 12's TSan can't map its shadow otherwise.
$(B)/jieba.dict: $(JIEBA_DATA) $(patsubst %,$(B)/text/jieba_%.o,build file model trie words) | $(EXE)
	$(call say,DICT)$(if $(filter tsan,$(VARIANT)),setarch -R) $(EMULATOR) $(EXE) dictionary --from $(JIEBA) -o $@ >/dev/null

$(B)/tests/%_f64: tests/%_f64.c $(LIB_F64) $(STAMP)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(CPP_ALL) -DREAL_IS_DOUBLE -Itests $(C_ALL) $(LD_ALL) -o $@ $< $(LIB_F64) -lcmocka $(LIBS_ALL)

# A fuzz target runs under libFuzzer, or under a driver that replays its corpus.
ifeq ($(VARIANT),fuzz)
$(B)/tests/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(LIB) $(STAMP)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(CPP_ALL) -Itests $(C_ALL) $(LD_ALL) -fsanitize=fuzzer -o $@ $< $(LIB) $(LIBS_ALL)
else
$(B)/tests/fuzz/fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(LIB) $(STAMP)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(CPP_ALL) -Itests $(C_ALL) $(LD_ALL) -o $@ $< tests/fuzz/replay.c $(LIB) $(LIBS_ALL)
endif

$(B)/tests/%: tests/%.c $(LIB) $(STAMP)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(CPP_ALL) -Itests $(C_ALL) $(LD_ALL) -o $@ $< $(LIB) -lcmocka $(LIBS_ALL)

.PHONY: deps deps-test deps-lint deps-fuzz deps-deploy deps-deb deps-arm64
deps: ## install the packages that the build needs (conf/packages.txt)
	@conf/packages.sh run
deps-test: ## those that the tests need, too
	@conf/packages.sh run test
deps-lint:
	@conf/packages.sh run test lint
deps-deb:
	@conf/packages.sh run deb
deps-deploy:
	@conf/packages.sh run test deb deploy
deps-arm64:
	@conf/packages.sh run arm64
deps-fuzz:
	@conf/packages.sh run fuzz

# Each of these calls make again: what was looked up above, on a bare machine,
# was looked up before the packages were there.
.PHONY: run test test-build check-format lint lint-build
run: deps ## install what is missing, build, serve on 127.0.0.1:8080 (ARGS="--http.port 9000")
	$(AGAIN) all
	@exec $(EXE) serve $(ARGS)

test: deps-test ## install what is missing, build, run all tests (SAN=asan|tsan, TESTS_ONLY="base http/x")
	$(AGAIN) test-build
	@VARIANT=$(VARIANT) UNROLLD_EXE=$(abspath $(EXE)) tests/run.sh \
		$(B)/tests $(RUN_TESTS)

# Scripts run the daemon, and so do the programs of app.
test-build: $(filter $(B)/%,$(RUN_TESTS)) $(JIEBA_DICT) \
	$(if $(filter tests/% $(B)/tests/app/%,$(RUN_TESTS)),$(EXE))

# With Debian's cross compiler, against arm64's libraries that are unpacked below
# the build tree, on the first of the 64-bit cores. qemu is slow: the layers that
# compute and keep, not those that start daemons.
ARM64_ROOT := $(abspath $(BUILD))/arm64-root
ARM64_TESTS ?= base/ math/ text/ store/ nn/ golden/ fuzz/
.PHONY: test-arm64 test-emulated
test-arm64: deps-arm64 ## compile for arm64, run its unit tests under qemu (TESTS_ONLY="nn")
	@conf/sysroot.sh arm64 $(ARM64_ROOT) run test
	@+env PKG_CONFIG_SYSROOT_DIR=$(ARM64_ROOT) \
		PKG_CONFIG_LIBDIR=$(ARM64_ROOT)/usr/lib/aarch64-linux-gnu/pkgconfig \
		$(MAKE) --no-print-directory \
		$(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(CORES)) \
		BUILD=$(BUILD)/arm64 EMULATOR='qemu-aarch64-static -cpu cortex-a53 -L $(ARM64_ROOT)' \
		CC='$(filter ccache,$(CC)) aarch64-linux-gnu-gcc --sysroot=$(ARM64_ROOT)' \
		TESTS_ONLY='$(or $(TESTS_ONLY),$(ARM64_TESTS))' test-emulated

test-emulated: $(filter $(B)/%,$(RUN_TESTS)) $(EXE) $(JIEBA_DICT)
	@$(EMULATOR) $(EXE) version
	@VARIANT=$(VARIANT) TEST_EMULATOR='$(EMULATOR)' \
		TEST_TIMEOUT=$${TEST_TIMEOUT:-1500} tests/run.sh \
		$(B)/tests $(filter $(B)/%,$(RUN_TESTS))

DEPLOY_SECONDS ?= 2400
.PHONY: test-deploy
test-deploy: deps-deploy ## build and run image, units and package, as root (TESTS_ONLY="image")
	$(AGAIN) deb-build
	@UNROLLD_EXE=$(abspath $(EXE)) TEST_TIMEOUT=$(DEPLOY_SECONDS) \
		tests/run.sh $(B)/tests-deploy $(if $(TESTS_ONLY),$(foreach t,\
		$(DEPLOY_TESTS),$(if $(call holds,$t),$t)),$(DEPLOY_TESTS))

.PHONY: test-web
test-web: deps ## drive the web page with a real browser (installs chromium, nodejs and npm packages)
	$(AGAIN) $(EXE)
	@UNROLLD_EXE=$(abspath $(EXE)) WEB_ARTEFACTS=$(abspath $(BUILD)/web) \
		tests/web/run.sh

.PHONY: test-clients
test-clients: deps-test ## drive the API with OpenAI's clients (installs nodejs and npm packages)
	$(AGAIN) $(EXE)
	@UNROLLD_EXE=$(abspath $(EXE)) tests/http/clients.sh

check-format: deps-lint ## check the layout of all sources against .clang-format
	@clang-format --dry-run -Werror $(C_FILES) $(H_FILES)
	@echo "check-format: $(words $(C_FILES) $(H_FILES)) files are laid out as .clang-format says"

lint: deps-lint ## clang-tidy and cppcheck
	$(AGAIN) lint-build
	@echo "lint: clang-tidy and cppcheck find nothing"

LINT := $(BUILD)/lint
# Vector code is written in gcc's terms; cppcheck reads that, too.
TIDY_SRCS := $(SRCS)
lint-build: $(TIDY_SRCS:%.c=$(LINT)/%.tidy) $(LINT)/cppcheck

$(LINT)/%.tidy: %.c .clang-tidy $(H_FILES)
	@mkdir -p $(@D)
	@echo clang-tidy $<
	@clang-tidy --quiet $< -- $(CPP_ALL) -std=gnu17 -DISA=generic \
		-DISA_generic 2>$@.log || { cat $@.log; exit 1; }
	@touch $@

$(LINT)/cppcheck: $(SRCS) $(VECTOR_SRCS) $(H_FILES)
	@mkdir -p $@.d
	$(if $(V),,@echo cppcheck &&) cppcheck --quiet --std=c11 --enable=warning,performance,portability \
		--inline-suppr --error-exitcode=1 --cppcheck-build-dir=$@.d \
		--suppress=ctunullpointer --suppress=uninitvar \
		--suppress=missingInclude --suppress=unknownMacro \
		-Iinclude -Isrc -D_GNU_SOURCE -D__x86_64__ -DISA=generic -DISA_generic \
		-j $(CORES) $(SRCS) $(VECTOR_SRCS)
	@touch $@

.PHONY: layers
layers: ## check every #include against src/LAYERS
	@awk -f .ci/layers.awk src/LAYERS $(filter src/%,$(C_FILES)) \
		$(filter src/% include/%,$(H_FILES))

FUZZ_SECONDS ?= 60
.PHONY: fuzz fuzz-run
fuzz: deps-fuzz ## fuzz each target for FUZZ_SECONDS (60) with libFuzzer
	$(AGAIN) SAN=fuzz fuzz-run

fuzz-run: $(FUZZERS)
	@set -e; for f in $(FUZZERS); do \
		name=$${f##*/fuzz_}; \
		echo "fuzz: $$name for $(FUZZ_SECONDS) s"; \
		mkdir -p $(B)/corpus/$$name $(B)/crashes; \
		seeds=tests/fuzz/corpus/$$name; \
		[ -d $$seeds ] || seeds=; \
		$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
			-rss_limit_mb=1024 -print_final_stats=0 -verbosity=0 \
			-artifact_prefix=$(B)/crashes/$$name- \
			$(B)/corpus/$$name $$seeds; \
	done

.PHONY: bench
bench: deps-test ## benchmarks, as JSON lines (ARGS="kernels step train text jieba memory serve sessions durable jobs captions cnn captioner")
	$(AGAIN) all $(BENCHES)
	@UNROLLD_EXE=$(abspath $(EXE)) BENCH_PROGRAMS=$(abspath $(B)/tests/bench) \
		tests/bench/run.sh $(ARGS)

SCENES ?= $(B)/scenes
.PHONY: caption-demo
caption-demo: deps-test ## draw scenes, train a captioner of them, score it
	$(AGAIN) $(EXE) $(B)/tests/tools/make_scenes
	$(B)/tests/tools/make_scenes $(SCENES)
	$(EXE) train-caption $(SCENES)/train.jsonl -o $(SCENES)/scenes.safetensors \
		--dtype bf16 --hidden 128 --embedding 32 --batch 32 \
		--learning-rate 0.002 --warmup 200 --weight-decay 0.2 \
		--word-dropout 0.9 --epochs 20 --max-steps 12000 $(ARGS)
	@for split in test holdout; do \
		echo "$$split:"; \
		$(EXE) eval-caption $(SCENES)/scenes.safetensors $(SCENES)/$$split.jsonl; \
	done
	@echo "test, each caption of the next image:"
	@$(EXE) eval-caption $(SCENES)/scenes.safetensors $(SCENES)/test.jsonl --shuffled

.PHONY: sample
sample: $(EXE) ## write conf/unrolld.conf.sample from the option table
	env -i $(EXE) serve --print-config > $(B)/unrolld.conf.sample
	mv $(B)/unrolld.conf.sample conf/unrolld.conf.sample

# From what the program prints of its tables.
MANUAL := $(B)/unrolld.1 $(B)/unrolld.conf.5
.PHONY: manual
manual: $(MANUAL) ## write unrolld(1) and unrolld.conf(5) into the build tree
$(MANUAL): $(EXE) $(wildcard conf/manual/*)
	$(call say,MAN)conf/manual/manual.sh $(subst .,,$(suffix $@)) $(EMULATOR) $(EXE) > $@.new
	@mv $@.new $@

.PHONY: install uninstall
UNITS := $(wildcard systemd/*.service systemd/*.socket)
MODELS := $(wildcard conf/models/*.safetensors)
install: $(EXE) $(JIEBA_DICT) $(MANUAL) ## install under prefix (/usr/local), below DESTDIR
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(datadir)/unrolld/models \
		$(DESTDIR)$(sysconfdir)/unrolld
	install -m 755 $(EXE) $(DESTDIR)$(bindir)/unrolld
	install -d $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(mandir)/man5 \
		$(DESTDIR)$(completiondir)
	install -m 644 $(B)/unrolld.1 $(DESTDIR)$(mandir)/man1/
	install -m 644 $(B)/unrolld.conf.5 $(DESTDIR)$(mandir)/man5/
	install -m 644 conf/manual/completion.bash \
		$(DESTDIR)$(completiondir)/unrolld
	$(if $(wildcard conf/unrolld.conf.sample),install -m 644 \
		conf/unrolld.conf.sample $(DESTDIR)$(sysconfdir)/unrolld/)
	$(if $(MODELS),install -m 644 $(MODELS) $(DESTDIR)$(datadir)/unrolld/models/)
	$(if $(JIEBA_DICT),install -m 644 $(JIEBA_DICT) $(DESTDIR)$(datadir)/unrolld/)
	$(if $(UNITS),install -d $(DESTDIR)$(unitdir))
	set -e; for unit in $(UNITS); do \
		sed 's|@bindir@|$(bindir)|g' $$unit \
			> $(DESTDIR)$(unitdir)/$${unit##*/}; \
	done

uninstall: ## remove what install put there; configuration and state stay
	rm -f $(DESTDIR)$(bindir)/unrolld \
		$(DESTDIR)$(mandir)/man1/unrolld.1 \
		$(DESTDIR)$(mandir)/man5/unrolld.conf.5 \
		$(DESTDIR)$(completiondir)/unrolld \
		$(DESTDIR)$(sysconfdir)/unrolld/unrolld.conf.sample \
		$(DESTDIR)$(datadir)/unrolld/jieba.dict \
		$(addprefix $(DESTDIR)$(datadir)/unrolld/models/,$(notdir $(MODELS))) \
		$(addprefix $(DESTDIR)$(unitdir)/,$(notdir $(UNITS)))
	-rmdir $(DESTDIR)$(datadir)/unrolld/models $(DESTDIR)$(datadir)/unrolld \
		$(DESTDIR)$(sysconfdir)/unrolld 2>/dev/null || true

DOCKER ?= $(firstword $(foreach t,docker podman,$(shell command -v $t)) docker)
.PHONY: docker
docker: ## build the image, unrolld:latest (DOCKER=podman)
	$(DOCKER) build -f docker/Dockerfile -t unrolld --build-arg \
		VERSION=$(VERSION) --build-arg \
		REVISION="$$(git rev-parse HEAD 2>/dev/null)" .

DEB := $(abspath $(BUILD))/deb
.PHONY: deb deb-build
deb: deps-deb ## build a Debian package, build/deb/unrolld_*.deb
	$(AGAIN) deb-build

deb-build: $(EXE) $(JIEBA_DICT) $(MANUAL)
	@rm -rf $(DEB) && mkdir -p $(DEB)/unrolld
	@cp -r conf/debian $(DEB)/unrolld/
	@sed -i 's/@version@/$(VERSION)/' $(DEB)/unrolld/debian/changelog
	@cd $(DEB)/unrolld && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL \
		TOP=$(CURDIR) TOP_BUILD=$(BUILD) CC='$(CC)' dpkg-buildpackage \
		--no-sign --build=binary --no-check-builddeps >$(DEB)/log 2>&1 || \
		{ cat $(DEB)/log; exit 1; }
	@ls $(DEB)/*.deb

.PHONY: clean help
clean: ## remove the build tree
	rm -rf $(BUILD)

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))

-include $(shell find $(B) -name '*.d' 2>/dev/null)
