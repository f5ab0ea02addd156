/*-------------------------------------------------------------------------
 *
 * wasm_rt.h
 *	  The generated engine and its memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_RUNNER_WASM_RT_H
#define TZ_RUNNER_WASM_RT_H

#include "qjs.h"

/* True once growing was refused. */
extern bool tz_wasm_refused;

/* The one instance; a place in its memory, checked; a copy of a text in it (0: no memory). */
extern Z_qjs_instance_t tz_js;
extern char *tz_js_at(uint32_t addr, uint64_t len);
extern uint32_t tz_js_copy_in(const char *s, uint32_t len);

#endif /* TZ_RUNNER_WASM_RT_H */
