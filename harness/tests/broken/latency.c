// SPDX-License-Identifier: MIT
/* Kicks that take too long, are lost, or have no limit. */
#include "kvmspec.h"

#include <sys/eventfd.h>

GUEST(long64, spin);
GUEST(long64, count_and_halt);

static struct kick_setup setup_of(struct vcpu *vcpu)
{
	return (struct kick_setup){
		.vcpu = vcpu, .vcpu_cpu = NO_CPU, .sender_cpu = NO_CPU, .samples = 10, .seconds = 60
	};
}

CASE(latency, takes_too_long, .timeout = 60)
{
	expect_kick_latency(setup_of(boot(spin)), "fixture.impossible"); /* ends here */
}

static void stop_listening(struct vcpu *vcpu)
{
	set_kvm_mask(vcpu, KICK_SIGNAL);
}

CASE(latency, is_lost, .timeout = 60)
{
	struct kick_setup setup = setup_of(boot(count_and_halt));

	setup.how = KICK_SIGNAL_MASK;
	setup.on_exit = stop_listening;
	measure_kicks(&setup, measurement_new("fixture.lost")); /* ends here */
}

/* An interrupt by an eventfd that is connected with nothing. */
CASE(latency, is_lost_by_a_vcpu_that_sleeps, .timeout = 60)
{
	struct kick_setup setup = setup_of(boot_with_irqchip(count_and_halt));

	setup.how = KICK_BY_IRQFD;
	setup.sleeps = true;
	setup.irqfd = eventfd(0, EFD_CLOEXEC);
	measure_kicks(&setup, measurement_new("fixture.lost")); /* ends here */
}

CASE(latency, has_no_limit)
{
	expect_kick_latency(setup_of(boot(spin)), "fixture.unlisted");
}

CASE(latency, has_a_limit_that_is_no_number)
{
	expect_kick_latency(setup_of(boot(spin)), "fixture.no_number");
}

CASE(latency, measures_too_often)
{
	for (;;)
		measurement_new("again");
}
