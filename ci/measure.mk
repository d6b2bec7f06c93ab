# SPDX-License-Identifier: MIT
#
# The project's own code under instruments: a compiler's, valgrind, a fuzzer; each in a build
# directory of its own. Included by the Makefile.

SANITIZE := build/sanitize
COVERAGE := build/coverage
FUZZ := build/fuzz
VALGRIND := build/valgrind

# Per cent of the lines and branches of harness/ that the tests must reach.
COVERAGE_LINES ?= 90
COVERAGE_BRANCHES ?= 80

SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# Signals stay what they are: fixtures crash on purpose, and the runner must see how. Leaks are
# looked for where a program ends by exit(); a case leaves by _exit(), and its memory with it.
# What is found goes to files, since a fixture's output and status are expected to be bad; static
# libraries, since two shared ones disagree about which file.
sanitize: export ASAN_OPTIONS := detect_leaks=1:handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigill=0:handle_sigfpe=0:detect_stack_use_after_return=1:log_path=$(CURDIR)/$(SANITIZE)/found
sanitize: export UBSAN_OPTIONS := print_stacktrace=1:log_path=$(CURDIR)/$(SANITIZE)/found
sanitize: ## run all tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@rm -rf $(SANITIZE)/found.* $(SANITIZE)/results
	@$(MAKE) --no-print-directory test NO_BOOTS=1 BUILD=$(SANITIZE) OUT=$(SANITIZE)/results \
		CFLAGS='-O1 -g $(SANITIZERS)' LDFLAGS='-static-libasan -static-libubsan'; \
		status=$$?; ! cat $(SANITIZE)/found.* 2>/dev/null && exit $$status

# -u: case_exit() has a weak reference only, which would not take __gcov_dump() out of its archive.
# Processes that are killed leave no counts: what a time-out or a crash reached last is missing.
coverage: ## run all tests and say which lines and branches of harness/ they reach
	@mkdir -p $(COVERAGE)/html
	@find $(COVERAGE) -name '*.gcda' -delete
	@rm -rf $(COVERAGE)/results
	@$(MAKE) --no-print-directory test NO_BOOTS=1 BUILD=$(COVERAGE) OUT=$(COVERAGE)/results \
		CFLAGS='-O0 -g --coverage -fprofile-update=atomic' \
		LDFLAGS='-static -Wl,-u,__gcov_dump'
	@lcov --quiet --capture --rc lcov_branch_coverage=1 --directory $(COVERAGE) \
		--include '$(CURDIR)/harness/*' --exclude '*/harness/tests/*' --exclude '*/harness/bench/*' \
		--output-file $(COVERAGE)/lcov.info 2>$(COVERAGE)/lcov.log || { cat $(COVERAGE)/lcov.log; false; }
	@genhtml --quiet --branch-coverage --prefix '$(CURDIR)' --output-directory $(COVERAGE)/html \
		$(COVERAGE)/lcov.info
	@gcovr --root . --filter harness/ --exclude harness/tests/ --exclude harness/bench/ --txt \
		--xml $(COVERAGE)/cobertura.xml --print-summary \
		--fail-under-line $(COVERAGE_LINES) --fail-under-branch $(COVERAGE_BRANCHES) $(COVERAGE)

# Seconds for each target; libFuzzer comes with clang.
FUZZ_SECONDS ?= 60
fuzz: ## attack what reads input that we did not write (FUZZ_SECONDS=60 for each target)
	@$(MAKE) --silent fuzz-targets BUILD=$(FUZZ) \
		CC=clang CFLAGS='-O1 -g -fsanitize=fuzzer-no-link $(SANITIZERS)' \
		LDFLAGS='-fsanitize=fuzzer $(SANITIZERS)'
	@$(PYTHON) ci/fuzz.py '$(FUZZ)' '$(FUZZ_SECONDS)' $(if $(FILTER),'$(FILTER)')

# Not static, or valgrind could not see malloc(). KVM writes to what valgrind knows nothing of: mapped
# memory, which counts as written. A case leaves by _exit() with its memory: leaks are the runner's.
valgrind: ## run the unit tests, the lists and fixtures under valgrind's memcheck
	@mkdir -p $(VALGRIND)
	@$(MAKE) --silent BUILD=$(VALGRIND) CFLAGS='-O1 -g' LDFLAGS= \
		$(addprefix $(VALGRIND)/,unit-tests kvmspec kvmspec-broken)
	@ci/valgrind '$(VALGRIND)'

.PHONY: sanitize coverage fuzz valgrind
