// SPDX-License-Identifier: MIT
/* The catalogue of contracts, cases/contracts.tsv, embedded in the binary. */
#include "runner/run.h"

#include <string.h>

extern const char contracts_tsv[], contracts_tsv_end[];

/* Columns, separated by tabs; lines that begin with # are comments. */
enum { COLUMN_ID, COLUMN_TEXT, COLUMN_DOCUMENTED };

/* Copies the nth column of a line to buf. */
static void column(const char *line, const char *end, int n, char *buf, size_t size)
{
	while (n-- > 0 && line < end) {
		const char *tab = memchr(line, '\t', end - line);

		line = tab ? tab + 1 : end;
	}
	const char *tab = memchr(line, '\t', end - line);
	size_t len = (tab ? tab : end) - line;

	if (len >= size)
		len = size - 1;
	memcpy(buf, line, len);
	buf[len] = '\0';
}

struct contract find_contract(const char *id)
{
	struct contract found = { .text = "" };
	size_t len = strlen(id);

	for (const char *line = contracts_tsv; line < contracts_tsv_end;) {
		const char *end = memchr(line, '\n', contracts_tsv_end - line);

		if (!end)
			end = contracts_tsv_end;
		if ((size_t)(end - line) > len && memcmp(line, id, len) == 0 && line[len] == '\t') {
			column(line, end, COLUMN_TEXT, found.text, sizeof found.text);
			column(line, end, COLUMN_DOCUMENTED, found.documented,
			       sizeof found.documented);
			break;
		}
		line = end + 1;
	}
	return found;
}
