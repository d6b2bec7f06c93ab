# SPDX-License-Identifier: MIT
#
# The framework's own tests. Included by the Makefile.

# Debian's: the one that has python3-yaml, python3-junitparser and python3-tap.
PYTHON ?= /usr/bin/python3

TESTS := harness/tests
BROKEN := $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(TESTS)/broken/*.c))
UNITS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(TESTS)/unit_*.c))

# The runner with cases that fail in every way, in place of cases/.
$(BUILD)/kvmspec-broken: $(HARNESS) $(BROKEN) $(GUEST_OBJECTS) $(BUILD)/$(TESTS)/broken/catalogue.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/$(TESTS)/broken/catalogue.o: harness/embed_catalogue.S $(wildcard $(TESTS)/broken/*.tsv)
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(CC) -c -DCATALOGUE=$(TESTS)/broken -o $@ $<

# With Criterion as it is: its own main and sandbox. ioctl() can be made to lie (unit_host.c).
$(BUILD)/unit-tests: $(filter-out %/main.o %/plan.o %/sandbox.o %/context.o,$(HARNESS)) $(UNITS) $(GUEST_OBJECTS) \
		$(BUILD)/$(TESTS)/broken/catalogue.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -Wl,--wrap=ioctl -o $@ $^ -lcriterion -ljansson -lcapstone -ldw -lelf -lz

# The cases, on a KVM that can be told to differ from what it is.
$(BUILD)/kvmspec-shim: $(HARNESS) $(CASES) $(GUEST_OBJECTS) $(BUILD)/catalogue.o $(BUILD)/ci/tests/shim.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -Wl,--wrap=ioctl -o $@ $^ $(LDLIBS)

$(BUILD)/yaml-filter: $(BUILD)/$(TESTS)/yaml_filter.o $(BUILD)/harness/runner/yaml.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ -ljansson

# One program for each file, without the source that it includes (fuzz/fuzz.h).
FUZZERS := $(patsubst $(TESTS)/fuzz/%.c,%,$(wildcard $(TESTS)/fuzz/*.c))
comma := ,
define FUZZER
$(BUILD)/fuzz-$1: $(BUILD)/$(TESTS)/fuzz/$1.o $(filter-out %/runner/main.o %/runner/$1.o,$(HARNESS)) \
		$(BROKEN) $(GUEST_OBJECTS) $(BUILD)/$(TESTS)/broken/catalogue.o
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(LDFLAGS) $(if $(filter command_line,$1),-Wl$(comma)--wrap=exit) -o $$@ $$^ $$(LDLIBS)
endef
$(foreach f,$(FUZZERS),$(eval $(call FUZZER,$f)))
fuzz-targets: $(FUZZERS:%=$(BUILD)/fuzz-%)
	@:

test-framework: $(BUILD)/kvmspec $(BUILD)/kvmspec-broken $(BUILD)/unit-tests $(BUILD)/yaml-filter ## run the framework's own tests
	@CC='$(CC)' BUILD='$(BUILD)' $(PYTHON) $(TESTS)/run.py $(if $(FILTER),'$(FILTER)')

expectations: $(BUILD)/kvmspec-broken ## write the expected diagnoses anew (RESULTS= of a lab), to look at the diff
	@BUILD='$(BUILD)' $(PYTHON) $(TESTS)/expectations.py $(if $(RESULTS),'$(RESULTS)')

test-lab: $(BUILD)/kvmspec $(BUILD)/kvmspec-broken $(BUILD)/kvmspec-shim ## run the lab's own tests: a dozen boots
	@BUILD='$(BUILD)' $(PYTHON) $(TESTS)/run.py -C ci/tests $(if $(FILTER),'$(FILTER)')

.PHONY: test-framework test-lab fuzz-targets expectations
