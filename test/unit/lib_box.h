/* Real boxes for tests: create, do one thing, wait for its end. */
#ifndef TEST_LIB_BOX_H
#define TEST_LIB_BOX_H

#include "sandbox/box.h"

#define BOX_OUT_MAX (1 << 20)

/* Copy of a result that outlives the callback. */
typedef struct Got
{
	bool done;
	TzErr err;
	int exit_code;
	bool timed_out, out_of_memory, truncated;
	const char *note;
	char *out;
	size_t out_len;
	char *errout;
	size_t errout_len;
	int nentries;
	char names[64][256];
	long long sizes[64];
	bool dirs[64];
	int64_t peak_rss_kb, memory_kb, disk_kb;
	int nprocesses;
	double cpu_percent;
} Got;

extern TzMux *lib_mux;
extern TzBoxConfig lib_config;
extern TzBoxPreflight lib_preflight;
extern int lib_gone; /* how often a box was gone by itself */

/* False: no boxes here (the reason is printed). */
extern bool lib_box_setup(void);
extern void lib_box_teardown(void);
extern TzBox *lib_box_new(const TzBoxCallbacks *cb);
extern void lib_box_turn(TzBox *box, int ms);
extern void lib_box_wait(TzBox *box, Got *got, int max_ms);
extern void lib_box_done(void *arg, const TzBoxResult *res); /* arg: Got */
extern void lib_got_free(Got *got);

/* argv ends with NULL. */
extern uint32_t lib_box_start(TzBox *box, Got *got, int timeout_ms, const char *const *argv);
extern void lib_box_sh(TzBox *box, Got *got, const char *script);

#endif /* TEST_LIB_BOX_H */
