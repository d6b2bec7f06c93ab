// SPDX-License-Identifier: MIT
#include "runner/context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Contexts: the named objects that Criterion hands to a test's process. A forked child has the
 * runner's memory at the same addresses, so functions and objects need no translation.
 */

struct object {
	char *name;
	void *data;
	size_t size;
	struct object *next;
};

struct bxf_context_s {
	struct object *objects;
};

#define STATIC_OBJECT "static " /* a name that begins so: data of the program itself, by address */

bxf_context context_current;

int bxf_context_init(bxf_context *ctx)
{
	*ctx = calloc(1, sizeof **ctx);
	return *ctx ? 0 : -ENOMEM;
}

int bxf_context_term(bxf_context ctx)
{
	for (struct object *o = ctx->objects, *next; o; o = next) {
		next = o->next;
		free(o->name);
		free(o->data);
		free(o);
	}
	free(ctx);
	return 0;
}

bxf_context bxf_context_current(void)
{
	return context_current;
}

int bxf_context_addobject(bxf_context ctx, const char *name, const void *ptr, size_t size)
{
	struct object *o = malloc(sizeof *o);

	if (!o)
		return -ENOMEM;
	*o = (struct object){
		.name = strdup(name), .data = malloc(size), .size = size, .next = ctx->objects
	};
	ctx->objects = o;
	if (!o->name || !o->data)
		return -ENOMEM;
	memcpy(o->data, ptr, size);
	return 0;
}

void *context_find(bxf_context ctx, const char *name)
{
	for (struct object *o = ctx->objects; o; o = o->next)
		if (strcmp(o->name, name) == 0)
			return o->data;
	return NULL;
}

int bxf_context_getobject(bxf_context ctx, const char *name, void **ptr)
{
	void *data = context_find(ctx, name);

	if (data)
		*ptr = data;
	return data != NULL;
}

int bxf_context_addfnaddr(bxf_context ctx, const char *name, void (*fn)(void))
{
	return bxf_context_addobject(ctx, name, &fn, sizeof fn);
}

int bxf_context_getfnaddr(bxf_context ctx, const char *name, void (**fn)(void))
{
	void *data = context_find(ctx, name);

	if (data)
		memcpy(fn, data, sizeof *fn);
	return data != NULL;
}

int bxf_context_addstatic(bxf_context ctx, const void *ptr, size_t size)
{
	char name[32];

	snprintf(name, sizeof name, STATIC_OBJECT "%p", ptr);
	return bxf_context_addobject(ctx, name, ptr, size);
}

int bxf_context_addarena(bxf_context ctx, bxf_arena arena)
{
	(void)ctx, (void)arena;
	return 0;
}

/* Arenas hold the data of Criterion's parameterised tests, which kvmspec does not use. */

int bxf_arena_init(size_t initial, int flags, bxf_arena *arena)
{
	(void)initial, (void)flags;
	*arena = NULL;
	return 0;
}

int bxf_arena_term(bxf_arena *arena)
{
	(void)arena;
	return 0;
}

bxf_ptr bxf_arena_alloc(bxf_arena *arena, size_t size)
{
	(void)arena, (void)size;
	return -ENOTSUP;
}

bxf_ptr bxf_arena_realloc(bxf_arena *arena, bxf_ptr ptr, size_t newsize)
{
	(void)arena, (void)ptr, (void)newsize;
	return -ENOTSUP;
}

int bxf_arena_free(bxf_arena *arena, bxf_ptr ptr)
{
	(void)arena, (void)ptr;
	return -ENOTSUP;
}

void *bxf_arena_ptr(bxf_arena arena, bxf_ptr ptr)
{
	(void)arena, (void)ptr;
	return NULL;
}

/*
 * On its way to a child: for each object its name, its size and its data. Addresses hold there too,
 * since the zygote is a fork of the runner.
 */

bool context_append_bytes(struct zygote_request *r, const void *data, size_t size)
{
	if (size > ZYGOTE_REQUEST_MAX - r->size)
		return false;
	memcpy((char *)r->data + r->size, data, size);
	r->size += size;
	return true;
}

bool context_append(struct zygote_request *r, bxf_context ctx)
{
	for (struct object *o = ctx->objects; o; o = o->next)
		if (!context_append_bytes(r, o->name, strlen(o->name) + 1) ||
		    !context_append_bytes(r, &o->size, sizeof o->size) ||
		    !context_append_bytes(r, o->data, o->size))
			return false;
	return true;
}

bxf_context context_read(const char *p, const char *end)
{
	bxf_context ctx;

	if (bxf_context_init(&ctx) < 0)
		return NULL;
	while (p < end) {
		const char *name = p, *data = p + strlen(p) + 1 + sizeof(size_t);
		void *address;
		size_t size;

		memcpy(&size, data - sizeof size, sizeof size);
		if (sscanf(name, STATIC_OBJECT "%p", &address) == 1)
			memcpy(address, data, size);
		else if (bxf_context_addobject(ctx, name, data, size) < 0) {
			bxf_context_term(ctx);
			return NULL;
		}
		p = data + size;
	}
	return ctx;
}

/* Criterion's text diffs are not used; without these, libgit2 and half the system come along. */

int git_libgit2_init(void);
int git_libgit2_shutdown(void);
int git_diff_buffers(void);

int git_libgit2_init(void)
{
	return 0;
}

int git_libgit2_shutdown(void)
{
	return 0;
}

int git_diff_buffers(void)
{
	return -1;
}
