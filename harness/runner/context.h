/* SPDX-License-Identifier: MIT */
/*
 * What Criterion expects of libraries that kvmspec does without: boxfort's contexts and arenas, and
 * libgit2. A context holds the named objects that Criterion hands to a test's process.
 */
#ifndef KVMSPEC_CONTEXT_H
#define KVMSPEC_CONTEXT_H

#include "runner/zygote.h"

#include <boxfort.h>
#include <stdbool.h>

/* In a child: the one that it was started with. */
extern bxf_context context_current;

/* The object's data, or NULL. */
void *context_find(bxf_context ctx, const char *name);

/* Appends bytes, or all objects, to a request; false if they are too many. */
bool context_append_bytes(struct zygote_request *r, const void *data, size_t size);
bool context_append(struct zygote_request *r, bxf_context ctx);

/*
 * In the child: makes a context of what context_append() wrote, and puts data of the program's own,
 * which is known by its address, where it belongs. NULL: out of memory.
 */
bxf_context context_read(const char *p, const char *end);

#endif
