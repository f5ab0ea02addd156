/*-------------------------------------------------------------------------
 *
 * wasm_rt.c
 *	  What code made by wasm2c wants of its surroundings.
 *
 * One memory: 8 GiB of address space, of which the used part can be touched.
 * An address of the module is 32 bits and its offset 32 more, so whatever the
 * engine reads or writes lies in there or faults. A trap never returns.
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runner/helper/engine.h"
#include "runner/helper/quickjs/wasm_rt.h"

#define PAGE ((uint64_t) 65536)
#define RESERVED ((8ULL << 30) + PAGE)
#define TYPES_MAX 128
#define TYPE_WORDS 32

static bool rt_ready;
bool tz_wasm_refused;

void
wasm_rt_init(void)
{
	rt_ready = true;
}

bool
wasm_rt_is_initialized(void)
{
	return rt_ready;
}

void
wasm_rt_trap(wasm_rt_trap_t why)
{
	switch (why)
	{
		case WASM_RT_TRAP_UNREACHABLE:
			run_trap("the engine gave up");
		case WASM_RT_TRAP_CALL_INDIRECT:
			run_trap("a call to no function");
		default:
			run_trap("the engine's memory wall");
	}
}

/* The same signature gets the same number: this is what indirect calls are checked by. */
uint32_t
wasm_rt_register_func_type(uint32_t params, uint32_t results, ...)
{
	static unsigned char types[TYPES_MAX][TYPE_WORDS + 2];
	static uint32_t ntypes;
	unsigned char want[TYPE_WORDS + 2] = {(unsigned char) params, (unsigned char) results};
	va_list args;

	if (params + results > TYPE_WORDS)
		abort();
	va_start(args, results);
	for (uint32_t i = 0; i < params + results; i++)
		want[2 + i] = (unsigned char) va_arg(args, int);
	va_end(args);
	for (uint32_t i = 0; i < ntypes; i++)
		if (memcmp(types[i], want, sizeof(want)) == 0)
			return i + 1;
	if (ntypes == TYPES_MAX)
		abort();
	memcpy(types[ntypes], want, sizeof(want));
	return ++ntypes;
}

void
wasm_rt_allocate_memory(wasm_rt_memory_t *memory, uint32_t initial_pages, uint32_t max_pages)
{
	void *at = mmap(NULL, RESERVED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED || mprotect(at, initial_pages * PAGE, PROT_READ | PROT_WRITE) != 0)
		abort();
	memory->data = at;
	memory->pages = initial_pages;
	memory->max_pages = max_pages;
	memory->size = (uint32_t) (initial_pages * PAGE);
}

uint32_t
wasm_rt_grow_memory(wasm_rt_memory_t *memory, uint32_t more)
{
	uint32_t old = memory->pages;
	uint64_t pages = (uint64_t) old + more;

	/* The size is kept in 32 bits. */
	if (pages > memory->max_pages || pages >= 65536 ||
	    (more > 0 && mprotect(memory->data + old * PAGE, more * PAGE, PROT_READ | PROT_WRITE) != 0))
	{
		tz_wasm_refused = true;
		return UINT32_MAX;
	}
	memory->pages = (uint32_t) pages;
	memory->size = (uint32_t) (pages * PAGE);
	return old;
}

void
wasm_rt_free_memory(wasm_rt_memory_t *memory)
{
	(void) munmap(memory->data, RESERVED);
}

void
wasm_rt_allocate_funcref_table(wasm_rt_funcref_table_t *table, uint32_t elements, uint32_t max_elements)
{
	table->data = calloc(elements, sizeof(*table->data));
	if (table->data == NULL)
		abort();
	table->size = elements;
	table->max_size = max_elements;
}

void
wasm_rt_free_funcref_table(wasm_rt_funcref_table_t *table)
{
	free(table->data);
}
