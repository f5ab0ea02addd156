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

#endif /* TZ_RUNNER_WASM_RT_H */
