// SPDX-License-Identifier: MIT
/* clean_text() on any bytes: what comes out must be text for every report, and stay as it is. */
#include "fuzz.h"

#include "runner/run.h"

/* Whether the character at s, of valid UTF-8, is one that XML 1.0 and YAML 1.1 both hold. */
static bool is_allowed(const unsigned char *s)
{
	if (s[0] < 0x80)
		return s[0] == '\n' || s[0] == '\t' || (s[0] >= 0x20 && s[0] != 0x7f);
	if (s[0] == 0xc2)
		return s[1] >= 0xa0;
	if (s[0] == 0xe2 && s[1] == 0x80)
		return s[2] != 0xa8 && s[2] != 0xa9;
	return !(s[0] == 0xef && s[1] == 0xbf && s[2] >= 0xbe);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *clean = clean_text((const char *)data, size), *again;
	const char *text = json_string_value(clean);
	FILE *f = fopen("/dev/null", "w");

	must(text); /* jansson holds nothing but UTF-8 */
	for (const unsigned char *s = (const unsigned char *)text; *s; s++)
		must((*s & 0xc0) == 0x80 || is_allowed(s));
	again = clean_text(text, strlen(text));
	must(json_equal(clean, again));
	must(f);
	yaml_write(f, again, 0);
	fclose(f);
	json_decref(again);
	json_decref(clean);
	return 0;
}
