/* SPDX-License-Identifier: MIT */
/* Names and one-line descriptions of what KVM returns. */
#ifndef KVMSPEC_NAMES_H
#define KVMSPEC_NAMES_H

#include "evidence.h"

#include <stddef.h>

/* "KVM_EXIT_HLT"; a number that kvmspec does not know: "KVM_EXIT_#123" (static buffer). */
const char *exit_name(uint32_t reason);

/* "EINTR"; a number without a name: "errno 530" (static buffer). */
const char *errno_name(int err);

/*
 * Describes one return of KVM_RUN with every field of its exit, for example
 * "KVM_EXIT_IO out port 0x3f8 size 1 count 1 data 37". Returns buf.
 */
const char *describe_exit(const struct exit_event *e, char *buf, size_t size);

/* "0xfa 37 00" style: bytes in hex, separated by spaces. Returns buf. */
const char *describe_bytes(const void *data, size_t len, char *buf, size_t size);

#endif
