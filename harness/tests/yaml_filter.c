// SPDX-License-Identifier: MIT
/* Reads a JSON object on stdin and writes it as our YAML, for test_yaml.py to read back. */
#include "runner/run.h"

int main(void)
{
	json_error_t err;
	json_t *value = json_loadf(stdin, 0, &err);

	if (!value) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	yaml_write(stdout, value, 0);
	json_decref(value);
	return 0;
}
