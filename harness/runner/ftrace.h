/* SPDX-License-Identifier: MIT */
/*
 * `kvmspec --ftrace`: KVM's own trace events, from an instance of tracefs that is ours alone
 * (Documentation/trace/ftrace.rst, "Instances"): nobody else's tracing changes, and the instance
 * goes when the run does.
 */
#ifndef KVMSPEC_FTRACE_H
#define KVMSPEC_FTRACE_H

#include <jansson.h>

/* The last so many events of a case are kept. */
#define FTRACE_LINES 64

/*
 * Records the events of the cases to come, their threads and children; call it after
 * sandbox_start(). Returns NULL, or why they are not recorded (static buffer).
 */
const char *ftrace_open(void);

/* A case begins. One at a time: what comes until the next one begins is its own. */
void ftrace_mark(void);

/* The last events since ftrace_mark(), oldest first: an array of strings, empty if there are none. */
json_t *ftrace_since_mark(void);

/* Removes the instance. Does nothing if there is none. */
void ftrace_close(void);

#endif
