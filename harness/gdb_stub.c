// SPDX-License-Identifier: MIT
#include "gdb_stub.h"

#include "case.h"
#include "evidence.h"
#include "gdb_registers.h"
#include "names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum gdb_when gdb_when;

#define PACKET_MAX  4096
#define BREAKPOINTS 4 /* DR0 to DR3 */
#define PAGE        4096

static int listening = -1, terminal = -1;
static int gdb = -1; /* the connection */
static bool no_ack;  /* gdb asked for QStartNoAckMode */
static bool knows_hwbreak;

static struct vcpu *vcpu; /* the one that is debugged */
static bool is_over;      /* the case has failed: nobody handles exits any more */
static uint64_t breakpoints[BREAKPOINTS];
static bool is_set[BREAKPOINTS];

/* Not kvm_ioctl(): what the debugger does is not in the case's evidence. Returns -errno on error. */
static int kvm(unsigned long request, void *argument)
{
	int result = ioctl(vcpu->kvm_fd.fd, request, argument);

	return result < 0 ? -errno : result;
}

/* Packets: $data#checksum, each acknowledged with +. */

static void send_bytes(const char *bytes, size_t size)
{
	while (gdb >= 0 && size) {
		ssize_t n = send(gdb, bytes, size, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR) {
			close(gdb);
			gdb = -1;
		} else if (n > 0) {
			bytes += n;
			size -= n;
		}
	}
}

static void reply(const char *data)
{
	char packet[2 * PACKET_MAX + 8];
	unsigned char sum = 0;

	for (const char *p = data; *p; p++)
		sum += *p;
	send_bytes(packet, snprintf(packet, sizeof packet, "$%s#%02x", data, sum));
}

/* The next byte, or -1 if gdb has gone. */
static int next_byte(void)
{
	unsigned char c;
	ssize_t n;

	if (gdb < 0)
		return -1;
	do
		n = read(gdb, &c, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? c : -1;
}

/* Reads a packet's data. Returns false if gdb has gone. A wrong checksum cannot be, over TCP. */
static bool receive(char *data)
{
	size_t n = 0;
	int c;

	do
		c = next_byte();
	while (c >= 0 && c != '$');
	while ((c = next_byte()) >= 0 && c != '#')
		if (n < PACKET_MAX - 1)
			data[n++] = (char)c;
	data[n] = '\0';
	if (c < 0 || next_byte() < 0 || next_byte() < 0)
		return false;
	if (!no_ack)
		send_bytes("+", 1);
	return true;
}

static void reply_status(int result)
{
	char error[8];

	snprintf(error, sizeof error, "E%02x", -result & 0xff);
	reply(result < 0 ? error : "OK");
}

/* Text that gdb shows its user. */
static void tell(const char *text)
{
	char packet[1 + 2 * 512 + 1] = "O";
	size_t size = strlen(text);

	gdb_put_hex(packet + 1, text, size < 512 ? size : 512);
	reply(packet);
}

/* Registers. */

static const struct gdb_layout *layout; /* the vCPU's when gdb came */

static int read_state(struct gdb_state *s)
{
	int result = kvm(KVM_GET_REGS, &s->regs);

	if (result == 0)
		result = kvm(KVM_GET_SREGS, &s->sregs);
	s->regs.rip += gdb_pc_base(&s->sregs);
	return result;
}

static int write_state(const struct gdb_state *was, struct gdb_state *now)
{
	int result = 0;

	now->regs.rip -= gdb_pc_base(&was->sregs);
	if (memcmp(&was->sregs, &now->sregs, sizeof now->sregs) != 0)
		result = kvm(KVM_SET_SREGS, &now->sregs);
	return result < 0 ? result : kvm(KVM_SET_REGS, &now->regs);
}

static void read_registers(const char *arguments)
{
	char packet[PACKET_MAX], *end = packet;
	struct gdb_state s;
	int result = read_state(&s);

	(void)arguments;
	if (result < 0) {
		reply_status(result);
		return;
	}
	for (unsigned i = 0; i < layout->count; i++)
		end = gdb_put_register(end, &layout->regs[i], &s);
	reply(packet);
}

static void write_registers(const char *digits)
{
	struct gdb_state was, now;
	int result = read_state(&was);

	now = was;
	for (unsigned i = 0; i < layout->count; i++) {
		if (strlen(digits) < layout->regs[i].bits / 4)
			break;
		gdb_get_register(digits, &layout->regs[i], &now);
		digits += layout->regs[i].bits / 4;
	}
	reply_status(result < 0 ? result : write_state(&was, &now));
}

static void read_register(const char *arguments)
{
	char packet[64];
	unsigned n = UINT_MAX;
	struct gdb_state s;
	int result = read_state(&s);

	sscanf(arguments, "%x", &n);
	if (n >= layout->count)
		result = -EINVAL;
	if (result < 0) {
		reply_status(result);
		return;
	}
	gdb_put_register(packet, &layout->regs[n], &s);
	reply(packet);
}

static void write_register(const char *arguments)
{
	struct gdb_state was, now;
	unsigned n = UINT_MAX;
	int at = 0, result = read_state(&was);

	now = was;
	if (sscanf(arguments, "%x=%n", &n, &at) != 1 || !at || n >= layout->count)
		result = -EINVAL;
	if (result == 0) {
		gdb_get_register(arguments + at, &layout->regs[n], &now);
		result = write_state(&was, &now);
	}
	reply_status(result);
}

static void send_description(const char *arguments)
{
	const char *xml = gdb_describe_target(layout);
	size_t offset, length, size = strlen(xml);
	char packet[PACKET_MAX];

	if (sscanf(arguments, "%zx,%zx", &offset, &length) != 2 || offset > size) {
		reply_status(-EINVAL);
		return;
	}
	if (length > sizeof packet - 2)
		length = sizeof packet - 2;
	snprintf(packet, sizeof packet, "%c%.*s", offset + length < size ? 'm' : 'l', (int)length,
		 xml + offset);
	reply(packet);
}

/* Memory. */

/* HVA of a linear address, or NULL; *size is cut to what lies there in one piece. */
static unsigned char *find_memory(uint64_t address, size_t *size)
{
	struct kvm_translation t = { .linear_address = address };
	size_t in_page = PAGE - address % PAGE;

	if (!vcpu->vm->ram || kvm(KVM_TRANSLATE, &t) < 0 || !t.valid ||
	    t.physical_address >= RAM_SIZE)
		return NULL;
	if (*size > in_page)
		*size = in_page;
	return vcpu->vm->ram + t.physical_address;
}

static void read_memory(const char *arguments)
{
	char packet[PACKET_MAX], *end = packet;
	uint64_t address;
	size_t size, piece;
	unsigned char *memory;

	if (sscanf(arguments, "%lx,%zx", &address, &size) != 2) {
		reply_status(-EINVAL);
		return;
	}
	if (size > (PACKET_MAX - 1) / 2)
		size = (PACKET_MAX - 1) / 2;
	for (; size; size -= piece, address += piece) {
		piece = size;
		memory = find_memory(address, &piece);
		if (!memory)
			break;
		end = gdb_put_hex(end, memory, piece);
	}
	if (end == packet)
		reply_status(-EFAULT);
	else
		reply(packet);
}

static void write_memory(const char *arguments)
{
	unsigned char bytes[PACKET_MAX / 2], *from = bytes, *memory;
	uint64_t address;
	size_t size, piece;
	int at = 0;

	if (sscanf(arguments, "%lx,%zx:%n", &address, &size, &at) != 2 || !at ||
	    size > sizeof bytes || gdb_get_hex(arguments + at, bytes, size) != size) {
		reply_status(-EINVAL);
		return;
	}
	for (; size; size -= piece, address += piece, from += piece) {
		piece = size;
		memory = find_memory(address, &piece);
		if (!memory) {
			reply_status(-EFAULT);
			return;
		}
		memcpy(memory, from, piece);
	}
	reply_status(0);
}

/* Breakpoints and steps. */

/* Z0 and Z1 are the same here: a debug register. Other types are not supported. */
static void change_breakpoint(const char *arguments, bool set)
{
	uint64_t address;
	unsigned type;

	if (sscanf(arguments, "%u,%lx", &type, &address) != 2 || type > 1) {
		reply("");
		return;
	}
	for (int i = 0; i < BREAKPOINTS; i++) {
		if (set ? is_set[i] : !is_set[i] || breakpoints[i] != address)
			continue;
		is_set[i] = set;
		breakpoints[i] = address;
		reply_status(0);
		return;
	}
	reply_status(set ? -ENOSPC : 0);
}

/* Intel SDM volume 3, "Debug Registers": enable bits of DR7, which has bit 10 set always. */
#define DR7_FIXED    (1u << 10)
#define DR7_LOCAL(i) (1u << (2 * (i)))
#define DR6_HIT(i)   (1u << (i))

static int set_guest_debug(bool step)
{
	struct kvm_guest_debug debug = { .arch.debugreg[7] = DR7_FIXED };

	for (int i = 0; i < BREAKPOINTS; i++) {
		if (!is_set[i])
			continue;
		debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
		debug.arch.debugreg[i] = breakpoints[i];
		debug.arch.debugreg[7] |= DR7_LOCAL(i);
	}
	if (step)
		debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	return kvm(KVM_SET_GUEST_DEBUG, &debug);
}

/* gdb's Ctrl-C is a byte that comes while the vCPU runs; the kernel tells us by SIGIO. */
static void on_input(int sig)
{
	(void)sig;
	if (vcpu)
		vcpu->run->immediate_exit = 1;
}

static bool has_input(void)
{
	struct pollfd f = { .fd = gdb, .events = POLLIN };

	return gdb >= 0 && poll(&f, 1, 0) > 0;
}

/* SIGIO for this thread when gdb sends something, or none. */
static void watch_input(bool on)
{
	struct sigaction action = { .sa_handler = on_input };
	struct f_owner_ex owner = { F_OWNER_TID, gettid() };
	sigset_t set;

	if (gdb < 0)
		return;
	if (on) {
		sigaction(SIGIO, &action, NULL);
		sigemptyset(&set);
		sigaddset(&set, SIGIO);
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
		fcntl(gdb, F_SETOWN_EX, &owner);
	}
	fcntl(gdb, F_SETFL, on ? O_ASYNC : 0);
	if (on && has_input()) /* it was earlier */
		vcpu->run->immediate_exit = 1;
}

/* The session. */

static void report_stop(int sig)
{
	uint64_t dr6 = vcpu->run->debug.arch.dr6;
	bool hit = false;
	char packet[32];

	for (int i = 0; i < BREAKPOINTS; i++)
		hit |= is_set[i] && (dr6 & DR6_HIT(i));
	hit = hit && knows_hwbreak && sig == SIGTRAP && vcpu->run->exit_reason == KVM_EXIT_DEBUG;
	snprintf(packet, sizeof packet, "T%02x%s", sig, hit ? "hwbreak:;" : "");
	reply(packet);
}

static void tell_exit(int result)
{
	struct exit_event event;
	char text[1100], exit[1024];

	exit_event_of(vcpu, result, &event);
	snprintf(text, sizeof text, "%s\n", describe_exit(&event, exit, sizeof exit));
	tell(text);
}

static void take_interrupt(void)
{
	vcpu->run->immediate_exit = 0;
	next_byte(); /* 0x03; or gdb has gone, as the next read will say */
}

/* Runs the vCPU of a case that is over until there is something to report. */
static void run_on(void)
{
	int result;

	vcpu->run->immediate_exit = 0;
	kvm(KVM_SET_SIGNAL_MASK, NULL);
	watch_input(true);
	do
		result = kvm(KVM_RUN, NULL);
	while (result == -EINTR && !has_input());
	watch_input(false);
	if (has_input()) {
		take_interrupt();
		report_stop(SIGINT);
		return;
	}
	if (result < 0 || vcpu->run->exit_reason != KVM_EXIT_DEBUG)
		tell_exit(result);
	report_stop(SIGTRAP);
}

/* s or c, from an address if one is given. Returns whether the vCPU is to run. */
static bool prepare_resume(const char *packet)
{
	struct gdb_state was, now;
	uint64_t address;
	int result = set_guest_debug(*packet == 's');

	if (result == 0 && sscanf(packet + 1, "%lx", &address) == 1) {
		result = read_state(&was);
		now = was;
		now.regs.rip = address;
		if (result == 0)
			result = write_state(&was, &now);
	}
	if (result < 0) {
		char text[128];

		snprintf(text, sizeof text, "KVM_SET_GUEST_DEBUG fails with %s\n",
			 errno_name(-result));
		tell(text);
		report_stop(SIGTRAP); /* where it was */
	}
	return result == 0;
}

/* monitor exits: the last returns of KVM_RUN, as the record will have them. */
static void monitor(const char *digits)
{
	uint64_t n = evidence->exit_count, first = n > EVIDENCE_EXITS ? n - EVIDENCE_EXITS : 0;
	char command[64] = "", line[1100], text[1024];

	gdb_get_hex(digits, command, sizeof command - 1);
	if (strcmp(command, "exits") != 0) {
		tell("monitor exits: shows the last returns of KVM_RUN\n");
		reply_status(0);
		return;
	}
	for (; first < n; first++) {
		snprintf(
			line, sizeof line, "%s\n",
			describe_exit(&evidence->exits[first % EVIDENCE_EXITS], text, sizeof text));
		tell(line);
	}
	reply_status(0);
}

static bool begins(const char *packet, const char *with, const char **rest)
{
	*rest = packet + strlen(with);
	return strncmp(packet, with, strlen(with)) == 0;
}

static void query(const char *packet)
{
	const char *rest;

	if (begins(packet, "Supported", &rest)) {
		knows_hwbreak = strstr(rest, "hwbreak+") != NULL;
		reply("PacketSize=1000;qXfer:features:read+;QStartNoAckMode+;hwbreak+");
	} else if (begins(packet, "Xfer:features:read:target.xml:", &rest)) {
		send_description(rest);
	} else if (begins(packet, "Attached", &rest)) {
		reply("1"); /* so gdb detaches when it quits */
	} else if (begins(packet, "Rcmd,", &rest)) {
		monitor(rest);
	} else if (begins(packet, "StartNoAckMode", &rest)) {
		reply_status(0);
		no_ack = true;
	} else {
		reply("");
	}
}

static void hang_up(void)
{
	if (gdb >= 0)
		close(gdb);
	gdb = -1;
}

static void answer_stop(const char *arguments)
{
	(void)arguments;
	report_stop(SIGTRAP);
}

static void answer_thread(const char *arguments)
{
	(void)arguments; /* of several threads there is one: the vCPU */
	reply_status(0);
}

static void set_breakpoint(const char *arguments)
{
	change_breakpoint(arguments, true);
}

static void remove_breakpoint(const char *arguments)
{
	change_breakpoint(arguments, false);
}

static void detach(const char *arguments)
{
	(void)arguments;
	reply_status(0);
	hang_up();
}

static void kill_target(const char *arguments)
{
	(void)arguments;
	hang_up();
	if (!is_over)
		error("killed from gdb");
}

/* Each gets what follows its letter. */
static void (*const answers[128])(const char *arguments) = {
	['?'] = answer_stop,   ['g'] = read_registers, ['G'] = write_registers,
	['p'] = read_register, ['P'] = write_register, ['m'] = read_memory,
	['M'] = write_memory,  ['Z'] = set_breakpoint, ['z'] = remove_breakpoint,
	['H'] = answer_thread, ['q'] = query,          ['Q'] = query,
	['D'] = detach,        ['k'] = kill_target,
};

/* Answers gdb until it wants the vCPU to run; returns false when it has gone. */
static bool serve(void)
{
	char packet[PACKET_MAX];

	while (gdb >= 0 && receive(packet)) {
		if ((*packet == 's' || *packet == 'c') && prepare_resume(packet))
			return true;
		if (*packet == 's' || *packet == 'c')
			continue;
		if (*packet > 0 && answers[(unsigned char)*packet])
			answers[(unsigned char)*packet](packet + 1);
		else
			reply(""); /* not supported */
	}
	hang_up();
	memset(is_set, 0, sizeof is_set);
	set_guest_debug(false); /* the case may go on */
	return false;
}

/* Meeting gdb. */

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vdprintf(terminal, format, args);
	va_end(args);
}

/* The guest's ELF file where make put it, next to this program; "" if it is not there. */
static const char *elf_file(char *path, size_t size)
{
	char program[PATH_MAX], here[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
	size_t prefix;

	program[n < 0 ? 0 : n] = '\0';
	snprintf(path, size, "%s/guests/%s.elf", dirname(program),
		 vcpu->vm->image ? vcpu->vm->image->name : "");
	if (access(path, R_OK) != 0)
		return "";
	prefix = getcwd(here, sizeof here) ? strlen(here) : 0;
	if (prefix > 1 && strncmp(path, here, prefix) == 0 && path[prefix] == '/')
		return path + prefix + 1;
	return path;
}

/* Returns whether gdb has come. */
static bool meet(void)
{
	struct sockaddr_in address = { 0 };
	socklen_t size = sizeof address;
	char path[PATH_MAX + 32];
	struct gdb_state s;
	int one = 1, result = read_state(&s);

	if (result < 0) {
		say("kvmspec: nothing for gdb: KVM_GET_REGS fails with %s\n", errno_name(-result));
		return false;
	}
	layout = gdb_layout_of(&s.sregs);
	getsockname(listening, (struct sockaddr *)&address, &size);
	say("kvmspec: the vCPU waits for gdb; «detach» lets go of it:\n"
	    "  gdb %s -ex 'set architecture %s' -ex 'target remote 127.0.0.1:%u'\n",
	    elf_file(path, sizeof path), layout->architecture, ntohs(address.sin_port));
	do
		gdb = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	while (gdb < 0 && errno == EINTR);
	if (gdb < 0)
		return false;
	setsockopt(gdb, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return true;
}

int gdb_listen(unsigned *port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(*port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof address;
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one); /* an earlier run's remains */
	if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
		int err = errno;

		close(fd);
		return -err;
	}
	*port = ntohs(address.sin_port);
	return fd;
}

void gdb_begin(enum gdb_when when, int listening_, int terminal_)
{
	gdb_when = when;
	listening = listening_;
	terminal = terminal_;
}

/* Whether an exit is of the debugger's making. */
static bool is_ours(int result)
{
	return result == -EINTR ? has_input()
				: result == 0 && vcpu->run->exit_reason == KVM_EXIT_DEBUG;
}

int gdb_run(struct vcpu *runs)
{
	static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
	bool is_first;
	int result;

	pthread_mutex_lock(&first);
	is_first = !vcpu;
	if (is_first)
		vcpu = runs;
	pthread_mutex_unlock(&first);
	if (is_first && meet())
		serve();
	if (runs != vcpu || gdb < 0)
		return x_try(runs, KVM_RUN);
	for (;;) {
		watch_input(true);
		result = x_try(runs, KVM_RUN);
		watch_input(false);
		if (!is_ours(result))
			break;
		if (result == -EINTR)
			take_interrupt();
		report_stop(result == -EINTR ? SIGINT : SIGTRAP);
		serve();
	}
	tell_exit(result);
	return result;
}

void gdb_serve_failure(struct vcpu *failed)
{
	char text[400];

	say("kvmspec: the case failed at %s:%u\n  expected: %s\n  got: %s\n", evidence->file,
	    evidence->line, evidence->expected, evidence->got);
	if (!failed || !evidence->has_regs) {
		say("kvmspec: nothing for gdb: %s\n",
		    failed ? "the vCPU does not leave the guest" : "no vCPU has run");
		return;
	}
	vcpu = failed;
	is_over = true;
	if (gdb >= 0) { /* it waits for the case since its last «continue» */
		snprintf(text, sizeof text, "the case failed at %s:%u\n", evidence->file,
			 evidence->line);
		tell(text);
		report_stop(SIGTRAP);
	} else if (gdb_when == GDB_AT_START || !meet()) {
		return;
	}
	while (serve())
		run_on();
}

void gdb_end(void)
{
	if (gdb >= 0)
		reply("W00");
	else if (gdb_when == GDB_AT_FAILURE && !vcpu)
		say("kvmspec: the case did not fail; --gdb-at=start has gdb before its first run\n");
}
