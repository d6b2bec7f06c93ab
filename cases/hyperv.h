/* SPDX-License-Identifier: MIT */
/* Guests of Hyper-V's, by Microsoft's Top Level Functional Specification (TLFS). */
#ifndef KVMSPEC_HYPERV_H
#define KVMSPEC_HYPERV_H

#include "kvmspec.h"

#define HV_MSR_GUEST_OS_ID    0x40000000
#define HV_MSR_HYPERCALL      0x40000001
#define HV_MSR_VP_INDEX       0x40000002
#define HV_MSR_RESET          0x40000003
#define HV_MSR_TIME_REF_COUNT 0x40000020
#define HV_MSR_REFERENCE_TSC  0x40000021
#define HV_MSR_EOI            0x40000070
#define HV_MSR_TPR            0x40000072
#define HV_MSR_VP_ASSIST      0x40000073
#define HV_MSR_SCONTROL       0x40000080
#define HV_MSR_SIEFP          0x40000082
#define HV_MSR_SIMP           0x40000083
#define HV_MSR_DEBUG_CONTROL  0x400000f1
#define HV_MSR_DEBUG_SEND     0x400000f3
#define HV_MSR_DEBUG_RECEIVE  0x400000f4
#define HV_MSR_DEBUG_PENDING  0x400000f5
#define HV_MSR_CRASH_P0       0x40000100
#define HV_MSR_CRASH_CTL      0x40000105

#define HV_ENABLE 1 /* in the MSRs that name pages */

#define HV_CPUID_VENDOR         0x40000000
#define HV_CPUID_INTERFACE      0x40000001
#define HV_CPUID_FEATURES       0x40000003
#define HV_CPUID_ENLIGHTENMENTS 0x40000004
#define HV_CPUID_SYNDBG         0x40000082

#define HV_INTERFACE 0x31237648 /* "Hv#1" */

#define HV_FLUSH_ADDRESS_SPACE   0x02
#define HV_NOTIFY_LONG_SPIN_WAIT 0x08
#define HV_SEND_IPI              0x0b
#define HV_POST_MESSAGE          0x5c

#define HV_FAST          (1 << 16) /* in a hypercall's input: its parameters are in registers */
#define HV_SUCCESS       0
#define HV_INVALID_CODE  2
#define HV_ACCESS_DENIED 6

#endif
