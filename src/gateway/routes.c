/*-------------------------------------------------------------------------
 *
 * routes.c
 *	  The routes of rest_routes(), kept in memory.
 *
 * They are part of the extension's script, so they change only with functions,
 * which moves the memo generation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "gateway/gateway.h"
#include "pg/convert.h"
#include "pg/memo.h"
#include "pg/spi.h"
#include "pg/worker.h"

#define ROUTES_MAX 1024

typedef struct Routes
{
	MemoryContext context;
	int n;
	TzRoute route[FLEXIBLE_ARRAY_MEMBER];
} Routes;

static Routes *routes = NULL;
static uint64 routes_generation = 0;

static void route_fill(TzRoute *route, uint64 row);
static int route_flags(uint64 row, int col);

void
tz_routes_load(void)
{
	static TzStmt stmt = {
		"SELECT r.method, r.path, r.operation, r.status, r.flags FROM theazo_internal.rest_routes() r",
		0,
		{0}};
	uint64 generation = tz_memo_generation();
	MemoryContext context;
	MemoryContext old;
	Routes *fresh;
	uint64 n;

	if (routes != NULL && routes_generation == generation)
		return;
	context = AllocSetContextCreate(tz_worker_context(), "theazo gateway routes", ALLOCSET_SMALL_SIZES);
	n = tz_spi_exec(&stmt, NULL, NULL, ROUTES_MAX);
	old = MemoryContextSwitchTo(context);
	fresh = palloc0(offsetof(Routes, route) + sizeof(TzRoute) * n);
	fresh->context = context;
	for (uint64 row = 0; row < n; row++)
		route_fill(&fresh->route[fresh->n++], row);
	MemoryContextSwitchTo(old);
	/* requests look their route up again in their turn, so nobody holds one of the old */
	if (routes != NULL)
		MemoryContextDelete(routes->context);
	routes = fresh;
	routes_generation = generation;
}

static void
route_fill(TzRoute *route, uint64 row)
{
	TzErr err;

	route->method = tz_spi_text(row, 1);
	route->path = tz_spi_text(row, 2);
	route->operation = tz_spi_text(row, 3);
	route->status = tz_spi_int32(row, 4, 200);
	route->flags = route_flags(row, 5);
	tz_check(tz_route_pattern_read(tz_slice_cstr(route->path), &route->pattern, &err), &err);
}

static int
route_flags(uint64 row, int col)
{
	static const struct
	{
		const char *name;
		int flag;
	} known[] = {
		{"public", TZ_ROUTE_PUBLIC}, {"share", TZ_ROUTE_SHARE}, {"wait", TZ_ROUTE_WAIT},
		{"stream", TZ_ROUTE_STREAM}, {"raw", TZ_ROUTE_RAW},     {"snake", TZ_ROUTE_SNAKE},
		{"body", TZ_ROUTE_BODY},     {"write", TZ_ROUTE_WRITE}, {"key", TZ_ROUTE_KEY},
	};
	bool isnull;
	Datum value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, col, &isnull);
	Datum *items;
	bool *nulls;
	int n = 0;
	int flags = 0;

	if (!isnull)
		deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &n);
	for (int i = 0; i < n; i++)
		for (size_t k = 0; k < lengthof(known); k++)
			if (!nulls[i] && tz_slice_eq_cstr(tz_datum_slice(items[i]), known[k].name))
				flags |= known[k].flag;
	return flags;
}

bool
tz_routes_known(void)
{
	return routes != NULL;
}

TzRoute *
tz_routes_find(const TzPath *path, const char *method, const char **allow)
{
	static char methods[128];
	TzRoute *best = NULL;
	TzRoute *other = NULL; /* the most exact one of any method */

	*allow = "";
	if (routes == NULL)
		return NULL;
	for (int i = 0; i < routes->n; i++)
	{
		TzRoute *route = &routes->route[i];

		if (!tz_route_pattern_fits(&route->pattern, path))
			continue;
		if (other == NULL || tz_route_pattern_compare(&route->pattern, &other->pattern) < 0)
			other = route;
		if (strcmp(route->method, method) == 0 &&
		    (best == NULL || tz_route_pattern_compare(&route->pattern, &best->pattern) < 0))
			best = route;
	}
	if (best != NULL || other == NULL)
		return best;
	methods[0] = '\0';
	for (int i = 0; i < routes->n; i++)
	{
		TzRoute *route = &routes->route[i];

		if (!tz_route_pattern_fits(&route->pattern, path) || strstr(methods, route->method) != NULL)
			continue;
		strlcat(methods, route->method, sizeof(methods));
		strlcat(methods, strcmp(route->method, "GET") == 0 ? ", HEAD, " : ", ", sizeof(methods));
	}
	strlcat(methods, "OPTIONS", sizeof(methods));
	*allow = methods;
	return NULL;
}
