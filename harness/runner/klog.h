/* SPDX-License-Identifier: MIT */
/* The kernel's log, watched while the cases run: /dev/kmsg (Documentation/ABI/testing/dev-kmsg). */
#ifndef KVMSPEC_KLOG_H
#define KVMSPEC_KLOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The last so many lines are kept. */
#define KLOG_LINES 256

/* Opens the log at its end. is_case: whether a process is a case's. Returns NULL, or why it is not watched (static buffer). */
const char *klog_open(const char *path, bool (*is_case)(pid_t pid));

/* The position now: a case's lines are those after the position at its start. */
uint64_t klog_position(void);

/*
 * The lines since that position, but not KVM's about another case: cases run side by side. pid: the
 * case's. An array of strings.
 */
json_t *klog_since(uint64_t position, pid_t pid);

#endif
