/* SPDX-License-Identifier: MIT */
/*
 * The kernel's log, watched while the cases run: /dev/kmsg (Documentation/ABI/testing/dev-kmsg).
 *
 * A fault is a line of the kernel's own that says that something is wrong with it: klog.c has the
 * table of them, cases/kernel_log.tsv lists those that are expected. Lines that programs write to
 * the log carry another facility and are never faults.
 *
 * A fault belongs to the case whose thread it names. KVM's messages about any other process belong
 * to nobody here. A report (WARNING, BUG, Oops, …) that names no case's thread, or nobody at all,
 * may be due to any case that runs just then, and is charged to all of them; so is everything where
 * the kernel's process numbers are not ours (in a PID namespace). With one job that is one case.
 */
#ifndef KVMSPEC_KLOG_H
#define KVMSPEC_KLOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The last so many lines are kept; faults are, all of them. */
#define KLOG_LINES 256

/* What the log must know of the cases. */
struct klog_cases {
	/* Process of the case, not yet buried, that has a thread of this number; 0: none has. */
	pid_t (*case_of)(pid_t thread);
	unsigned (*running)(void); /* how many there are that are not buried */
};

/*
 * Opens the log at its end. path: /dev/kmsg, or a file to which such records are appended. Returns
 * NULL, or why it is not watched (static buffer).
 */
const char *klog_open(const char *path, struct klog_cases cases);

/* The position now: a case's lines are those after the position at its start. */
uint64_t klog_position(void);

/*
 * The lines since that position, but not KVM's about another process: cases run side by side. pid:
 * the case's. An array of strings.
 */
json_t *klog_since(uint64_t position, pid_t pid);

/* The first fault since that position that is this case's. */
struct klog_fault {
	const char *text;
	unsigned others; /* cases that ran then, if it may be theirs as well */
};

/* Returns whether there is one. The text stays valid until the next call of a function here. */
bool klog_find_fault(uint64_t position, pid_t pid, struct klog_fault *found);

/*
 * Faults that were charged to no case: between two cases, or after the last one. An array of their
 * texts, for the end of the run.
 */
json_t *klog_strays(void);

/* Whether the kernel overwrote lines before they were read: there may have been faults. */
bool klog_has_gaps(void);

#endif
