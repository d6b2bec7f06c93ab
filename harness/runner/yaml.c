// SPDX-License-Identifier: MIT
/* As much YAML as TAP 14's diagnostic blocks need. */
#include "runner/run.h"

#include <string.h>
#include <strings.h>

/* What YAML 1.1 reads as a truth value or null, in lower case. */
static bool is_keyword(const char *s)
{
	static const char *const keywords[] = { "y",   "n",    "yes",   "no",  "on",
						"off", "true", "false", "null" };

	for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
		if (strcasecmp(s, keywords[i]) == 0)
			return true;
	return false;
}

/* A scalar that needs no quotes in any YAML reader; all others are quoted as JSON. */
static bool is_plain(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "_-./+=(),;:' ";
	size_t len = strlen(s);

	return len && strspn(s, safe) == len && strchr(letters, s[0]) && s[len - 1] != ' ' &&
	       s[len - 1] != ':' && !strstr(s, ": ") && !is_keyword(s);
}

static void write_block(FILE *f, const char *s, int indent)
{
	fputs("|\n", f);
	while (*s) {
		int len = (int)strcspn(s, "\n");

		fprintf(f, "%*s%.*s\n", len ? indent + 2 : 0, "", len, s);
		s += len + (s[len] == '\n');
	}
}

/*
 * Not |: it could not keep a first line that is indented, a tab there, or the last newline's lack.
 * Perl's TAP harness ends a block at an empty line.
 */
static bool fits_block(const char *s)
{
	return strchr(s, '\n') && s[0] != ' ' && s[0] != '\t' && s[0] != '\n' &&
	       s[strlen(s) - 1] == '\n' && !strstr(s, "\n\n");
}

static void write_scalar(FILE *f, const json_t *value, int indent)
{
	const char *s = json_string_value(value);

	if (s && is_plain(s)) {
		fprintf(f, "%s\n", s);
	} else if (s && fits_block(s)) {
		write_block(f, s, indent);
	} else {
		json_dumpf(value, f, JSON_ENCODE_ANY);
		fputc('\n', f);
	}
}

static bool is_collection(const json_t *value)
{
	return (json_is_object(value) && json_object_size(value)) ||
	       (json_is_array(value) && json_array_size(value));
}

static void write_value(FILE *f, const json_t *value, int indent)
{
	if (is_collection(value)) {
		fputc('\n', f);
		yaml_write(f, value, indent + 2);
	} else {
		fputc(' ', f);
		write_scalar(f, value, indent);
	}
}

void yaml_write(FILE *f, const json_t *value, int indent)
{
	const char *key;
	json_t *member;
	size_t i;

	if (json_is_object(value)) {
		json_object_foreach((json_t *)value, key, member) {
			fprintf(f, "%*s%s:", indent, "", key);
			write_value(f, member, indent);
		}
	} else {
		json_array_foreach(value, i, member) {
			fprintf(f, "%*s-", indent, "");
			write_value(f, member, indent);
		}
	}
}
