/* A walk through the steps of an adapter for containers: what is asked, and what becomes of an answer. */
#ifndef TZ_LIB_DOCKER_H
#define TZ_LIB_DOCKER_H

#include "tz_test.h"

#include "adapter/adapter.h"

extern const char *const verdicts[];

typedef struct Walk
{
	const TzAdapter *adapter;
	TzEffect effect;
	TzEndpoint to;
	json_t *config;
	json_t *request;
	json_t *state;
	TzHttpRequest req;
	TzOutcome out;
	TzErr err;
} Walk;

extern void walk_begin(Walk *w, const char *op, const char *request, const char *config);
extern void walk_end(Walk *w);
/* What is asked next: "METHOD path". */
extern void asks(Walk *w, const char *method, const char *path);
/* The same of an address that is not of the API's usual version. */
extern void asks_at(Walk *w, const char *method, const char *url);
extern const char *body(const Walk *w);
extern void answer_bytes(Walk *w, int status, const void *bytes, size_t len);
extern void answers(Walk *w, int status, const char *text, const char *verdict);
extern void result_is(Walk *w, const char *text);

#endif /* TZ_LIB_DOCKER_H */
