// SPDX-License-Identifier: MIT
/* The files of contracts and deviations: any text, with any id looked up in it. */
#include "runner/catalogue.c" // NOLINT(bugprone-suspicious-include)

#include "fuzz.h"

static void check_string(const char *s, size_t size)
{
	must(memchr(s, '\0', size));
	must(!strpbrk(s, "\t\n"));
}

/* The first line is what is looked up, and this host; the rest is the file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size ? size : 1), *end = text + size, *file, id[64];
	struct contract_search contract = { .id = id };
	struct deviation_search deviation = { .id = id, .got = id };

	memcpy(text, data, size);
	file = size ? memchr(text, '\n', size) : NULL;
	file = file ? file + 1 : end;
	snprintf(id, sizeof id, "%.*s", file > text ? (int)(file - text - 1) : 0, text);
	snprintf(host.vendor, sizeof host.vendor, "%s", id);
	snprintf(host.kernel, sizeof host.kernel, "%s", id);
	host.engine = "host";

	if (each_line(file, end, is_contract, &contract)) {
		check_string(contract.found.text, sizeof contract.found.text);
		check_string(contract.found.documented, sizeof contract.found.documented);
	}
	each_line(file, end, is_deviation, &deviation);
	if (deviation.is_listed) {
		check_string(deviation.found.fails_as, sizeof deviation.found.fails_as);
		check_string(deviation.found.reason, sizeof deviation.found.reason);
		check_string(deviation.found.link, sizeof deviation.found.link);
	}
	each_line(file, end, is_expected_line, id);
	free(text);
	return 0;
}
