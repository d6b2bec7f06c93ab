/* SPDX-License-Identifier: MIT */
/*
 * What a case leaves behind: written by the case while it runs, in memory that it shares with the
 * runner, so that a crash, a hang or a kill loses nothing. Plain data, raw and undecoded; the runner
 * turns it into the case's record (runner/record.c).
 */
#ifndef KVMSPEC_EVIDENCE_H
#define KVMSPEC_EVIDENCE_H

#include "ioctl.h"
#include "x86/run_fields.h"

#include <stdint.h>

struct guest_image;

enum verdict {
	VERDICT_RUNNING, /* still unknown: a case that ends so crashed or was killed */
	VERDICT_PASS,
	VERDICT_FAIL,
	VERDICT_SKIP,  /* this host lacks what the case needs */
	VERDICT_KNOWN, /* failed, as a listed deviation says; decided by the runner */
	VERDICT_ERROR, /* harness, guest or time-out got in the way; no statement about KVM */
};

#define EVIDENCE_EXITS   16 /* the last returns of KVM_RUN */
#define EVIDENCE_THREADS 64
#define EVIDENCE_UNION   256 /* bytes of kvm_run's exit union: all of it */
#define EVIDENCE_CODE    128 /* bytes of guest code around RIP */
#define EVIDENCE_GATES   512 /* bytes of the IDT: the gates of 32 vectors in long mode */
#define EVIDENCE_MEMORY  256 /* bytes of memory that differs, a multiple of 16 */
#define EVIDENCE_ERRNOS  135 /* 0: success; EHWPOISON (133) is the highest; the last: any other */
#define EVIDENCE_REASONS 64  /* exit reasons; the last: any other */
#define EVIDENCE_CAPS    512 /* capabilities: KVM's are below 300 */

/* One return of KVM_RUN. */
struct exit_event {
	int32_t result; /* 0, or -errno */
	uint32_t exit_reason;
	uint32_t vcpu_id;
	uint16_t flags; /* as in kvm_run */
	uint64_t cr8;
	uint8_t data[EVIDENCE_UNION]; /* kvm_run from .hw on */
	uint8_t io_data[8];           /* KVM_EXIT_IO: the first bytes at data_offset */
};

/* Guest memory that is not as expected: what surrounds the first difference. */
struct memory_difference {
	uint64_t gpa;       /* of the first byte kept */
	uint32_t size;      /* bytes kept; 0: no such failure */
	uint32_t differing; /* bytes that differ, in all that was compared */
	uint8_t want[EVIDENCE_MEMORY], got[EVIDENCE_MEMORY];
};

/* What a number of samples looks like: nanoseconds, up to UINT32_MAX. */
#define DISTRIBUTION_BUCKETS 104
struct distribution {
	uint32_t count;
	uint32_t min, p10, p50, p90, p99, max;
	uint32_t buckets[DISTRIBUTION_BUCKETS]; /* how many fell in each: see latency.h */
};

/* What was measured, and what it is compared with, interleaved in the same run. */
#define EVIDENCE_MEASUREMENTS 16
struct measurement {
	char name[64];
	uint32_t clock;         /* what the reads of the clock add to each sample: ns */
	uint32_t looks;         /* how often it was measured: the last one is kept */
	uint32_t limit_percent; /* of the baseline that the value may be; 0: it is not judged */
	struct distribution value, baseline;
};

/* What a case has to do with a capability: the more, the higher. */
enum cap_use {
	CAP_UNUSED,
	CAP_CHECKED, /* it asserts what KVM_CHECK_EXTENSION answers */
	CAP_NEEDED,  /* it runs because the host has it */
	CAP_REFUSED, /* KVM_ENABLE_CAP failed */
	CAP_ENABLED, /* KVM_ENABLE_CAP succeeded */
};

/* What a case has to do with a field of kvm_run: the more, the higher. */
enum field_use {
	FIELD_UNUSED,
	FIELD_SET,      /* KVM_RUN was entered with what KVM had not left there */
	FIELD_ASSERTED, /* its value was compared */
};

struct evidence {
	/* The threads that asked KVM for something, of the case and of its children. */
	uint32_t thread_count;
	int32_t threads[EVIDENCE_THREADS];

	/* enum verdict; written last, atomically */
	uint32_t verdict;

	/* What is being checked, or what failed. */
	char file[128];
	uint32_t line;
	char expected[1024];
	char got[2048];
	char reason[1024]; /* of a skip or an error */

	/* The vCPU at the failure, and what its last KVM_RUN returned. */
	uint32_t vcpu_id;
	uint8_t has_last;
	struct exit_event last;
	uint8_t has_regs, has_loaded; /* no bool: a case that goes wild may write anything here */
	char guest[64];               /* "real16/hlt_loop" */
	char rip_label[96];           /* "entry+0x1", or "" outside of the image */
	struct kvm_regs loaded, regs;
	struct kvm_sregs loaded_sregs, sregs;
	uint64_t code_address;           /* of the first byte of code: a label before RIP, or RIP */
	uint32_t code_size;              /* 0: no RAM there */
	uint8_t code[EVIDENCE_CODE];     /* as it is in the guest's RAM now */
	const struct guest_image *image; /* the same address in the runner, which forked us */
	uint32_t gates_size;             /* 0: the IDT is not in RAM, or does not matter */
	uint8_t gates[EVIDENCE_GATES];

	struct memory_difference memory;

	uint64_t exit_count; /* the ring's next slot is exit_count % EVIDENCE_EXITS */
	struct exit_event exits[EVIDENCE_EXITS];

	uint32_t measurement_count;
	struct measurement measurements[EVIDENCE_MEASUREMENTS];

	/* How often each ioctl returned success (0) and each errno; saturating. */
	uint16_t ioctls[PAIR_COUNT][EVIDENCE_ERRNOS];
	uint16_t exit_reasons[EVIDENCE_REASONS]; /* how often KVM_RUN returned each; saturating */
	uint8_t caps[EVIDENCE_CAPS];             /* enum cap_use */
	uint8_t fields[FIELD_COUNT];             /* enum field_use */
};

/* Of the case that runs in this process. Outside of a case: memory that nobody reads. */
extern struct evidence *evidence;

/* Adds one, up to UINT16_MAX: two threads may lose a count, never make one up. */
static inline void evidence_count(uint16_t *count)
{
	uint16_t seen = __atomic_load_n(count, __ATOMIC_RELAXED);

	if (seen < UINT16_MAX)
		__atomic_store_n(count, seen + 1, __ATOMIC_RELAXED);
}

/* Notes that the case uses a capability; KVM knows none of these numbers if it is out of range. */
static inline void evidence_cap(uint32_t cap, enum cap_use use)
{
	if (cap < EVIDENCE_CAPS && evidence->caps[cap] < use)
		evidence->caps[cap] = use;
}

static inline void evidence_field(enum run_field field, enum field_use use)
{
	if (evidence->fields[field] < use)
		evidence->fields[field] = use;
}

#endif
