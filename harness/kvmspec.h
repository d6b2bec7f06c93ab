/* SPDX-License-Identifier: MIT */
/* All that a case includes. */
#ifndef KVMSPEC_H
#define KVMSPEC_H

#include "bad_input.h"
#include "case.h"
#include "evidence.h"
#include "expect.h"
#include "guest.h"
#include "host.h"
#include "ioctl.h"
#include "kick.h"
#include "kvm_compat.h"
#include "latency.h"
#include "memory.h"
#include "names.h"
#include "pause.h"
#include "vm.h"

#include <errno.h>
#include <string.h>

#endif
