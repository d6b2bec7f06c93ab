/* SPDX-License-Identifier: MIT */
/* Halts, and halts again whenever it is resumed. */
#include "guest.h"

entry:
	hlt
after_hlt:
	jmp	entry
