// SPDX-License-Identifier: MIT
#include "x86/modes.h"

#include "vm.h"

#include <string.h>

#define CR0_PE   (1u << 0)
#define CR0_PG   (1u << 31)
#define CR4_PSE  (1u << 4)
#define CR4_PAE  (1u << 5)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)

#define PTE_P  (1u << 0)
#define PTE_RW (1u << 1)
#define PTE_PS (1u << 7) /* this entry maps a large page */

/* The descriptors' caches are set; there is no GDT until a guest loads one. */
#define CODE_SELECTOR 0x08
#define DATA_SELECTOR 0x10

static void set_flat_segments(struct kvm_sregs *s, bool long_mode)
{
	struct kvm_segment code = {
		.limit = 0xffffffff,
		.selector = CODE_SELECTOR,
		.type = 11, /* execute, read, accessed */
		.present = 1,
		.db = !long_mode,
		.s = 1,
		.l = long_mode,
		.g = 1,
	};
	struct kvm_segment data = code;

	data.selector = DATA_SELECTOR;
	data.type = 3; /* read, write, accessed */
	data.db = 1;
	data.l = 0;
	s->cs = code;
	s->ds = s->es = s->fs = s->gs = s->ss = data;
}

void mode_set_sregs(enum cpu_mode mode, struct kvm_sregs *s)
{
	switch (mode) {
	case MODE_REAL16:
		s->cs.base = 0;
		s->cs.selector = 0;
		return;
	case MODE_PROT32:
		set_flat_segments(s, false);
		s->cr0 |= CR0_PE;
		return;
	case MODE_PAGED32:
		set_flat_segments(s, false);
		s->cr3 = PAGE_TABLES;
		s->cr4 |= CR4_PSE;
		s->cr0 |= CR0_PE | CR0_PG;
		return;
	case MODE_LONG64:
		set_flat_segments(s, true);
		s->cr3 = PAGE_TABLES;
		s->cr4 |= CR4_PAE;
		s->efer |= EFER_LME | EFER_LMA;
		s->cr0 |= CR0_PE | CR0_PG;
		return;
	case MODE_COUNT:
		break;
	}
}

void mode_write_page_tables(enum cpu_mode mode, unsigned char *ram)
{
	if (mode == MODE_PAGED32) { /* one directory of 1024 pages of 4 MiB */
		uint32_t *pd = (uint32_t *)(void *)(ram + PAGE_TABLES);

		for (uint32_t i = 0; i < 1024; i++)
			pd[i] = i << 22 | PTE_PS | PTE_RW | PTE_P;
	} else if (mode ==
		   MODE_LONG64) { /* one entry each, and one directory of 512 pages of 2 MiB */
		uint64_t *pml4 = (uint64_t *)(void *)(ram + PAGE_TABLES);
		uint64_t *pdpt = pml4 + 512, *pd = pdpt + 512;

		pml4[0] = (PAGE_TABLES + 0x1000) | PTE_RW | PTE_P;
		pdpt[0] = (PAGE_TABLES + 0x2000) | PTE_RW | PTE_P;
		for (uint64_t i = 0; i < 512; i++)
			pd[i] = i << 21 | PTE_PS | PTE_RW | PTE_P;
	}
}
