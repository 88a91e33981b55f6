# unrolld: `make help` lists the targets.
SAN ?=
ifneq ($(filter-out asan tsan,$(SAN)),)
$(error SAN is '$(SAN)', expected asan, tsan or nothing)
endif
VARIANT := $(if $(SAN),$(SAN),release)
BUILD ?= build
B := $(BUILD)/$(VARIANT)

CC := gcc
AR := gcc-ar
ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))

PKGS := libmicrohttpd libuv jansson sqlite3 libsystemd libxxhash
CPPFLAGS += -Iinclude -Isrc -D_GNU_SOURCE -MMD -MP
CPPFLAGS += $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wwrite-strings -Wvla -Wformat=2 -Wno-unused-parameter
# FMAs are written where they are meant: the same bits in every tile.
BITS := -ffp-contract=off
CFLAGS := -std=gnu17 -g -pthread $(WARN) $(BITS) -fPIE -fno-semantic-interposition
LDFLAGS := -pthread -pie -Wl,-z,relro,-z,now
LDLIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -linih -lm -ldl
ifeq ($(SAN),)
CFLAGS += -O3 -fstack-protector-strong
CPPFLAGS += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
ifeq ($(ARCH),x86_64)
CFLAGS += -fcf-protection
endif
else ifeq ($(SAN),asan)
CFLAGS += -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
LDFLAGS += -fsanitize=address,undefined
else
CFLAGS += -O1 -fno-omit-frame-pointer -fsanitize=thread
LDFLAGS += -fsanitize=thread
endif

# Sources in these folders hold vector code: each is compiled once per
# instruction set with -DISA=..., into const tables chosen at start.
VECTOR_DIRS := src/math/kernels src/nn/cells src/nn/optimizers
ifeq ($(ARCH),x86_64)
ISAS := generic avx2 avx512
else
ISAS := generic
endif
ISA_CFLAGS_generic :=
ISA_CFLAGS_avx2 := -mavx2 -mfma -mtune=haswell
ISA_CFLAGS_avx512 := -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma \
	-mtune=icelake-server -mprefer-vector-width=512

VECTOR_SRCS := $(sort $(wildcard $(addsuffix /*.c,$(VECTOR_DIRS))))
SRCS := $(sort $(wildcard src/*/*.c))
LIB_SRCS := $(filter-out src/app/main.c,$(SRCS))
LIB_OBJS := $(LIB_SRCS:src/%.c=$(B)/%.o) \
	$(foreach i,$(ISAS),$(VECTOR_SRCS:src/%.c=$(B)/%.$(i).o))
# The layers that compute, once more in double: the tests' oracle for gradients.
F64_SRCS := $(filter src/base/%.c src/math/%.c src/nn/%.c,$(LIB_SRCS))
F64_OBJS := $(F64_SRCS:src/%.c=$(B)/f64/%.o) \
	$(VECTOR_SRCS:src/%.c=$(B)/f64/%.generic.o)
LIB := $(B)/libunrolld.a
LIB_F64 := $(B)/libunrolld-f64.a
EXE := $(B)/unrolld

TEST_SRCS := $(sort $(wildcard tests/*/test_*.c))
TESTS := $(TEST_SRCS:tests/%.c=$(B)/tests/%)

.PHONY: all
all: $(EXE)

# A change of flags rebuilds: objects depend on a stamp that holds them.
STAMP := $(B)/flags
FLAGS_NOW := $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(LDLIBS) $(ISAS)
$(shell mkdir -p $(B) && echo '$(FLAGS_NOW)' | cmp -s - $(STAMP) || \
	echo '$(FLAGS_NOW)' > $(STAMP))

define isa_rule
$(B)/%.$(1).o: src/%.c $(STAMP)
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) $$(CFLAGS) $$(ISA_CFLAGS_$(1)) -DISA=$(1) -DISA_$(1) -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(eval $(call isa_rule,$(i))))

$(B)/f64/%.generic.o: src/%.c $(STAMP)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -DREAL_IS_DOUBLE $(CFLAGS) -DISA=generic -DISA_generic -c -o $@ $<

$(B)/f64/%.o: src/%.c $(STAMP)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -DREAL_IS_DOUBLE $(CFLAGS) -c -o $@ $<

$(B)/%.o: src/%.c $(STAMP)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(LIB): $(LIB_OBJS)
	@rm -f $@
	$(AR) rcs $@ $^

$(LIB_F64): $(F64_OBJS)
	@rm -f $@
	$(AR) rcs $@ $^

$(EXE): $(B)/app/main.o $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/tests/%_f64: tests/%_f64.c $(LIB_F64) $(STAMP)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -DREAL_IS_DOUBLE -Itests $(CFLAGS) $(LDFLAGS) -o $@ $< $(LIB_F64) -lcmocka $(LDLIBS)

$(B)/tests/%: tests/%.c $(LIB) $(STAMP)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests $(CFLAGS) $(LDFLAGS) -o $@ $< $(LIB) -lcmocka $(LDLIBS)

.PHONY: clean
clean:
	rm -rf $(BUILD)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
