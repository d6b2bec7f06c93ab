# SPDX-License-Identifier: MIT
#
# `make help` lists what there is to make.

VERSION := 0.1.0
BUILD := build

CC ?= cc
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
PYTHON ?= /usr/bin/python3
# V=1 prints the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s%s\n' '$1' '$2')

CPPFLAGS += -D_GNU_SOURCE -DKVMSPEC_VERSION='"$(VERSION)"' -Iharness -I$(BUILD)
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-vla \
	-Wno-override-init -Wno-initializer-overrides -Werror=incompatible-pointer-types -Werror=int-conversion \
	-Werror=implicit-function-declaration
ALL_CFLAGS := -std=gnu11 $(WARNINGS) $(CFLAGS) -pthread
LDLIBS := -l:libcriterion.a -l:libprotobuf-nanopb.a -l:libffi.a -l:libjansson.a -l:libcapstone.a \
	-l:libdw.a -l:libelf.a -l:libz.a -l:liblzma.a -l:libbz2.a -pthread

# By default the binary is static: it starts fast, and runs in an initramfs as it is.
LDFLAGS ?= -static

HARNESS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard harness/*.c harness/x86/*.c harness/runner/*.c))
CASES := $(patsubst %.c,$(BUILD)/%.o,$(wildcard cases/*.c))

# Guests: guests/<mode>/<name>.S, and guests/any/<name>.S once for each mode.
MODES := real16 prot32 paged32 long64
MODE_real16 := 0
MODE_prot32 := 1
MODE_paged32 := 2
MODE_long64 := 3
BITS_real16 := 32
BITS_prot32 := 32
BITS_paged32 := 32
BITS_long64 := 64
EMULATION_32 := elf_i386
EMULATION_64 := elf_x86_64
ANY := $(basename $(notdir $(wildcard guests/any/*.S)))
GUESTS := $(sort $(foreach m,$(MODES),$(addprefix $(m)/,$(ANY) $(basename $(notdir $(wildcard guests/$m/*.S))))))
GUEST_ELFS := $(GUESTS:%=$(BUILD)/guests/%.elf)
GUEST_OBJECTS := $(GUESTS:%=$(BUILD)/guests/%.embedded.o)

# What compiles waits for `make deps` if both were asked for.
AFTER_DEPS := $(filter deps,$(MAKECMDGOALS))

.SUFFIXES:
.SECONDARY:
.DELETE_ON_ERROR:

all: $(BUILD)/kvmspec ## build everything

$(BUILD)/kvmspec: $(HARNESS) $(CASES) $(GUEST_OBJECTS) $(BUILD)/catalogue.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/%.o: %.c $(BUILD)/capabilities.inc
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/catalogue.o: harness/embed_catalogue.S $(wildcard cases/*.tsv) | $(AFTER_DEPS)
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(CC) -c -o $@ $<

# Every capability that the headers know, for host.json.
$(BUILD)/capabilities.inc: harness/kvm_compat.h | $(AFTER_DEPS)
	@mkdir -p $(@D)
	$(Q)$(CC) -E -dM $< | sed -nE 's/^#define (KVM_CAP_[A-Z0-9_]+) [0-9]+$$/CAPABILITY(\1)/p' | sort > $@

define GUEST_MODE
$(BUILD)/guests/$1/%.o: guests/$1/%.S $$(wildcard guests/*.h) | $(AFTER_DEPS)
	@mkdir -p $$(@D)
	$$(call say,GUEST,$$@)
	$$(Q)$(CC) -m$(BITS_$1) -g -DMODE_$1 -Iguests -c -o $$@ $$<
$(BUILD)/guests/$1/%.o: guests/any/%.S $$(wildcard guests/*.h) | $(AFTER_DEPS)
	@mkdir -p $$(@D)
	$$(call say,GUEST,$$@)
	$$(Q)$(CC) -m$(BITS_$1) -g -DMODE_$1 -Iguests -c -o $$@ $$<
$(BUILD)/guests/$1/%.elf: $(BUILD)/guests/$1/%.o guests/guest.ld
	$$(Q)$(LD) -m $(EMULATION_$(BITS_$1)) -n --no-warn-rwx-segments -T guests/guest.ld -o $$@ $$<
$(BUILD)/guests/$1/%.embedded.o: $(BUILD)/guests/$1/%.elf harness/embed_guest.S
	$$(Q)$(CC) -c -DNAME=$1_$$* -DTITLE='"$1/$$*"' -DMODE=$(MODE_$1) -DFILE_NAME='"$$<"' \
		-o $$@ harness/embed_guest.S
endef
$(foreach m,$(MODES),$(eval $(call GUEST_MODE,$m)))

RUN_OPTIONS = $(if $(JOBS),--jobs='$(JOBS)') $(if $(OUT),--out='$(OUT)')
RUN = $(BUILD)/kvmspec $(RUN_OPTIONS) $(if $(TRACE),--trace)
LAB_OPTIONS = $(if $(KERNEL),--kernel='$(KERNEL)') $(if $(ENGINE),--engine='$(ENGINE)')

deps: ## install what is needed (Debian packages; says how where it cannot)
	@ci/deps

# Without a usable KVM, and with nothing said of the engine, the lab has one.
check: $(BUILD)/kvmspec ## run the cases against this host's KVM, or in the lab if there is none
	@$(if $(ENGINE)$(TRACE),,ci/check) $(if $(filter-out host,$(ENGINE)),ci/lab run \
		--engine='$(ENGINE)' --program=$< $(RUN_OPTIONS),$(RUN)) $(if $(FILTER),'$(FILTER)')

test: all ## run the framework's own tests, then the cases, here and in the lab
	@ci/test $(if $(NO_BOOTS),--no-boots) $(MAKE)

list: $(BUILD)/kvmspec ## list the cases
	@$(BUILD)/kvmspec --list $(if $(FILTER),'$(FILTER)')

lab: $(BUILD)/kvmspec ## run the cases on another kernel: KERNEL=6.12, ENGINE=bochs-intel
	@ci/lab run --program=$< $(LAB_OPTIONS) $(RUN_OPTIONS) $(LAB) $(if $(FILTER),'$(FILTER)')

matrix: $(BUILD)/kvmspec ## run the cases on many: KERNELS='6.1 6.12', ENGINES='tcg-amd host'
	@ci/lab matrix $(if $(KERNELS),--kernels='$(KERNELS)') $(if $(ENGINES),--engines='$(ENGINES)') \
		$(if $(OUT),--out='$(OUT)') $(if $(FILTER),'$(FILTER)')

compare: ## what changed between two runs: BASE=results/runs/… NEW=… (default: results/latest)
	@ci/report compare '$(or $(BASE),$(error BASE=run is missing: a directory, an archive, or a baseline))' $(if $(NEW),'$(NEW)') $(if $(FORMAT),--format='$(FORMAT)')

# One of the runs fails, or cannot start: no baseline is written.
baselines: KERNELS ?= 6.1 6.12 7.2
baselines: ENGINES ?= tcg-amd host
baselines: $(BUILD)/kvmspec ## run the cases, and make the committed baselines of that: KERNELS= ENGINES=
	@rm -rf $(BUILD)/baselines
	@ci/lab matrix --kernels='$(KERNELS)' --engines='$(ENGINES)' --out=$(BUILD)/baselines
	@ci/report baseline write $(BUILD)/baselines/*/

check-baseline: ## compare the last run with its baseline (OUT= another one)
	@ci/report baseline check $(if $(OUT),'$(OUT)')

# Of the latest run, unless RUNS names others; WRITE=1 commits what they reached together.
api-coverage: ## what of KVM's API runs have reached, and how: RUNS='results/latest ...'
	@ci/report coverage $(or $(RUNS),results/latest) $(if $(JSON),--json) $(if $(WRITE),--write)

mutants: $(BUILD)/kvmspec ## put faults into KVM, and see which cases catch them: MUTANTS='kick_lost'
	@ci/mutants run $(LAB_OPTIONS) $(if $(OUT),--out='$(OUT)') $(if $(FILTER),--cases='$(FILTER)') $(MUTANTS)

doctor: $(BUILD)/kvmspec ## say whether this host is fit for VMMs: VMMS='qemu crosvm'
	@$(BUILD)/kvmspec doctor $(RUN_OPTIONS) $(VMMS)

# Among Debian's packages, or with TREE among the commits of a kernel's repository.
BISECT_OPTIONS = $(foreach case,$(CASE),--case='$(case)') --good='$(GOOD)' --bad='$(BAD)' \
	$(if $(QUESTION),--question='$(QUESTION)') $(if $(ENGINE),--engine='$(ENGINE)') \
	$(if $(LAB),--lab='$(LAB)') $(if $(OUT),--out='$(OUT)')
bisect: $(BUILD)/kvmspec ## find the change that broke a case: CASE='registers/*' GOOD=6.12.43 BAD=6.12, or TREE=~/linux GOOD=v6.1 …
	@$(if $(and $(CASE),$(GOOD),$(BAD)),,echo "CASE, GOOD and BAD are needed: make help" >&2; exit 2;) \
		$(if $(TREE),ci/bisect commits --tree='$(TREE)',ci/bisect packages) $(BISECT_OPTIONS)

stress: $(BUILD)/kvmspec ## run what takes minutes: a million kicks
	@$(RUN) --timeout-scale=10 stress

# One job: two would measure each other. What was measured before an interrupt is shown, too.
latency: OUT ?= $(BUILD)/latency
latency: $(BUILD)/kvmspec ## measure how long kicks take, and how they scale: a table and plots
	@$(if $(KERNEL)$(ENGINE),ci/lab run --program=$< $(LAB_OPTIONS) --cpus=2 $(LAB),$<) --jobs=1 \
		--out='$(OUT)' $(if $(FILTER),'$(FILTER)',latency scalability); \
		status=$$?; $(PYTHON) ci/latency.py '$(OUT)' && exit $$status

bench: $(BUILD)/kvmspec $(BUILD)/bare ## measure what a case costs, against a bare program
	@$(PYTHON) ci/bench.py $^

$(BUILD)/bare: harness/bench/bare.c | $(AFTER_DEPS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $<

lint: $(BUILD)/kvmspec ## check the sources: style, static analysis, contracts against cases
	@ci/lint $<

install: $(BUILD)/kvmspec ## install the program to $(PREFIX)/bin
	install -D -m 755 $< '$(DESTDIR)$(PREFIX)/bin/kvmspec'

clean: ## remove what was built (results stay)
	rm -rf $(BUILD)

help: ## show this
	@echo 'Targets:'
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | sort | expand -t 18
	@echo 'Variables:'
	@printf '  %-15s %s\n' \
		FILTER= "cases to run or list: FILTER='immediate_exit/*', FILTER=signals" \
		JOBS= 'cases to run at a time (default: the number of CPUs)' \
		OUT= 'directory for the results (default: a new one, see results/latest)' \
		TRACE=1 'print every ioctl of the cases (for more about one case: kvmspec --help)' \
		KERNEL= 'a series (6.1), Debian package, .deb, build tree or bzImage: see ci/lab --help' \
		ENGINE= 'host, tcg-amd, bochs-intel, kvm or auto: see ci/lab engines' \
		'BASE= NEW=' 'runs to compare: directories, archives, names of baselines' \
		LAB= 'more options of ci/lab run: LAB=--modparam=kvm_amd.npt=0' \
		VMMS= "for make doctor: VMMS='qemu kvmtool' (default: all that it knows)" \
		PREFIX= 'where to install (default: /usr/local); DESTDIR is put before it' \
		'CASE= GOOD= BAD=' 'of make bisect: cases, and kernels (6.12.43, 6.1; with TREE= commits)' \
		QUESTION= 'of make bisect, if not fails: changes, skips, slower-than=40us, logs=WARNING' \
		V=1 'print the commands' \
		'CC= CFLAGS=' 'the compiler and its options'

.PHONY: all deps check test list lab matrix api-coverage compare baselines check-baseline mutants bisect doctor stress \
	latency bench lint install clean help

include harness/tests/tests.mk
include ci/measure.mk
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
