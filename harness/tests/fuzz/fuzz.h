/* SPDX-License-Identifier: MIT */
/*
 * Fuzz targets (https://llvm.org/docs/LibFuzzer.html): one file for each thing that reads what we
 * did not write, linked with the harness under AddressSanitizer and UndefinedBehaviorSanitizer.
 * `make fuzz` runs them; ci/fuzz says how. A target may include the source that it tests, to reach
 * what is static there: it is then named after that source, which is left out of its link.
 */
#ifndef KVMSPEC_FUZZ_H
#define KVMSPEC_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv); /* optional */

/* What must hold for every input; otherwise the input is kept as one that crashes. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: this does not hold: %s\n", __FILE__, __LINE__,     \
				#condition);                                                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif
