// SPDX-License-Identifier: MIT
/*
 * Cases that write where they must not: the evidence, which the runner reads. What the fuzz target
 * for it found (../fuzz/evidence.c) stays found here.
 */
#include "kvmspec.h"

#include <string.h>
#include <unistd.h>

GUEST(real16, hlt_loop);

CASE(wild, scribbles_everywhere)
{
	memset(evidence, 0xff, sizeof *evidence);
	_exit(1);
}

/* A failure in form; what it is about is garbage. */
CASE(wild, fails_with_garbage)
{
	memset(evidence, 0x80, sizeof *evidence);
	evidence->verdict = VERDICT_FAIL;
	strcpy(evidence->file, "a:b\n\xff");
	evidence->image = hlt_loop;
	evidence->code_size = EVIDENCE_CODE;
	evidence->code_address = 0x1000;
	evidence->regs.rip = 1ull << 40;
	evidence->exit_count = UINT64_MAX;
	evidence->exits[0].result = INT32_MIN;
	_exit(1);
}

CASE(wild, says_that_it_is_known)
{
	evidence->verdict = VERDICT_KNOWN;
	_exit(0);
}

CASE(wild, skips_without_a_reason)
{
	evidence->verdict = VERDICT_SKIP;
	_exit(0);
}

CASE(wild, passes_with_a_reason)
{
	strcpy(evidence->reason, "because");
}
