// SPDX-License-Identifier: MIT
/*
 * Cases in which nothing is wrong but what the kernel logs. A program cannot write to the kernel's
 * log under the kernel's name, so test_kernel_log.py has the runner watch a file, and these append
 * to it. It knows what must be reported.
 */
#include "kvmspec.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOG_ERROR = 3, LOG_WARNING = 4, LOG_INFORMATION = 6, BY_A_PROGRAM = 1 << 3 };

static int open_log(int flags)
{
	const char *path = getenv("KVMSPEC_TEST_LOG");
	int fd = path ? open(path, flags) : -1;

	if (fd < 0)
		error("cannot open $KVMSPEC_TEST_LOG");
	return fd;
}

__attribute__((format(printf, 2, 3))) static void log_line(int priority, const char *format, ...)
{
	char text[256], record[512];
	int fd = open_log(O_WRONLY | O_APPEND), n;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	n = snprintf(record, sizeof record, "%d,1,1,-;%s\n SUBSYSTEM=test\n", priority, text);
	if (write(fd, record, n) != n)
		error("cannot write to $KVMSPEC_TEST_LOG");
	close(fd);
}

static void wait_for_line(const char *words)
{
	char log[65536];
	ssize_t n;

	do {
		int fd = open_log(O_RDONLY);

		n = read(fd, log, sizeof log - 1);
		close(fd);
		log[n > 0 ? n : 0] = '\0';
		usleep(1000);
	} while (!strstr(log, words));
}

static void log_report(int thread)
{
	log_line(LOG_WARNING, "------------[ cut here ]------------");
	log_line(LOG_WARNING, "WARNING: arch/x86/kvm/x86.c:1 at kvm_test+0x1/0x2 [kvm]");
	log_line(LOG_WARNING, "CPU: 1 UID: 0 PID: %d Comm: kvmspec Not tainted 6.18.0", thread);
	log_line(LOG_WARNING, "---[ end trace 0000000000000000 ]---");
}

CASE(kernel_log, logs_a_warning, .on_request = true)
{
	log_report(getpid());
}

static void *log_report_of_this_thread(void *unused)
{
	x(&host.kvm, KVM_GET_API_VERSION);
	log_report(gettid());
	return unused;
}

CASE(kernel_log, logs_an_error_of_kvm, .on_request = true)
{
	log_line(LOG_ERROR, "kvm_amd: kvm [%d]: vcpu0: something is wrong", getpid());
}

CASE(kernel_log, logs_after_it_passed, .on_request = true)
{
	evidence->verdict = VERDICT_PASS;
	log_line(LOG_ERROR, "kvm: too late");
	_exit(0);
}

CASE(kernel_log, logs_and_is_skipped, .on_request = true)
{
	log_line(LOG_ERROR, "kvm: skipped");
	skip("there is no moon here");
}

CASE(kernel_log, logs_and_fails, .on_request = true)
{
	log_line(LOG_ERROR, "kvm: failed");
	fail("the sky is blue", "it is grey");
}

CASE(kernel_log, logs_and_fails_as_listed, .on_request = true)
{
	log_line(LOG_ERROR, "kvm: failed");
	fail("the sky is blue", "it is listed as grey");
}

CASE(kernel_log, logs_and_crashes, .on_request = true)
{
	log_line(LOG_ERROR, "kvm: crashed");
	abort();
}

CASE(kernel_log, logs_an_error_that_is_listed, .on_request = true)
{
	log_line(LOG_ERROR, "kvm: listed error");
}

/* None of these is a fault of the kernel's here. */
CASE(kernel_log, logs_what_is_no_fault, .on_request = true)
{
	log_line(LOG_WARNING, "kvm: a warning of KVM's");
	log_line(LOG_INFORMATION, "kvm [%d]: vcpu0: all is well", getpid());
	log_line(LOG_ERROR, "kvm [1]: vcpu0: another process has trouble");
	log_line(LOG_ERROR, "usb 1-1: device not accepting address 2");
	log_line(LOG_ERROR, "kvm: expected of these hosts");
	log_line(BY_A_PROGRAM | LOG_ERROR, "kvm: a program says so");
}

CASE(kernel_log, logs_an_error_expected_elsewhere, .on_request = true)
{
	log_line(LOG_ERROR, "kvm: expected elsewhere");
}

/* These two run at the same time. */

CASE(company, is_innocent, .on_request = true)
{
	log_line(LOG_INFORMATION, "company is here");
	wait_for_line("end of the company");
}

CASE(company, logs_a_warning_of_its_thread, .on_request = true)
{
	pthread_t thread;

	wait_for_line("company is here");
	if (pthread_create(&thread, NULL, log_report_of_this_thread, NULL) != 0)
		error("pthread_create");
	pthread_join(thread, NULL);
	log_line(LOG_INFORMATION, "end of the company");
}

CASE(company, logs_a_stall, .on_request = true)
{
	wait_for_line("company is here");
	log_line(LOG_ERROR, "rcu: INFO: rcu_sched self-detected stall on CPU");
	log_line(LOG_INFORMATION, "end of the company");
}

/* The real one. What is written to it is a program's. */

static void write_to_kernel_log(const char *record)
{
	int fd = open("/dev/kmsg", O_WRONLY);

	if (fd < 0)
		skip("cannot write to /dev/kmsg");
	if (write(fd, record, strlen(record)) < 0)
		error("cannot write to /dev/kmsg");
	close(fd);
}

CASE(kmsg, a_programs_words_are_no_fault)
{
	write_to_kernel_log("<3>kvm: kvmspec tests that this is no fault\n");
}

CASE(kmsg, a_programs_words_are_shown)
{
	write_to_kernel_log("<6>kvmspec tests that this is shown\n");
	fail("the sky is blue", "it is grey");
}
