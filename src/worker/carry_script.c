/*-------------------------------------------------------------------------
 *
 * carry_script.c
 *	  Carrying out programs of agents, and the requests they make.
 *
 * A program is an effect, and so is each of its requests: it is queued, claimed
 * and sent like any other, and the program gets its answer once that has been
 * settled. Nothing here throws.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "worker/carry_script.h"
#include "worker/script_sql.h"

bool
tz_carry_is_fetch(const TzFlight *f)
{
	return strcmp(f->claim->kind, "http.fetch") == 0;
}

bool
tz_carry_fetch_idle(const TzCarrier *c, const TzFlight *f)
{
	return tz_carry_is_fetch(f) && tz_scripts_fetching(c->scripts, f->claim->id) == NULL;
}

/* What a program had asked for is of no use once it has ended. */
static void
cut_fetches(TzCarrier *c)
{
	TzFlight *f = c->flights.lists[TZ_FLIGHT_FLYING].first;

	while (f != NULL)
	{
		TzFlight *next = f->next;

		if (!f->cancel && tz_carry_fetch_idle(c, f))
			tz_carrier_cancel(c, f);
		f = next;
	}
}

static void
script_done(TzScriptJob *job)
{
	TzFlight *f = job->arg;
	TimestampTz now = GetCurrentTimestamp();

	f->script = NULL;
	switch (job->end)
	{
		case TZ_SCRIPT_UNTOUCHED:
			tz_flight_end(f, "released", now);
			break;
		case TZ_SCRIPT_FAILED:
			tz_flight_fail(f, "failed", &job->err, job->sqlstate, NULL, 0, false, now);
			break;
		case TZ_SCRIPT_CANCELLED:
			f->cancel = true;
			tz_flight_document(f, "cancelled", &job->document, now);
			break;
		case TZ_SCRIPT_ENDED:
			tz_flight_document(f, "done", &job->document, now);
			break;
	}
	tz_script_wipe(job);
	free(job);
	cut_fetches(f->carrier);
}

void
tz_carry_script(TzCarrier *c, TzFlight *f)
{
	TzScriptJob *job = calloc(1, sizeof(TzScriptJob));
	TzErr err;

	tz_err_clear(&err);
	if (job == NULL)
	{
		tz_err_set(&err, TZ_NOMEM, "out of memory");
		tz_flight_fail(f, "failed", &err, NULL, NULL, 0, false, GetCurrentTimestamp());
		return;
	}
	f->carrier = c;
	f->script = job;
	job->platform_id = f->claim->platform_id;
	job->root_id = f->claim->root_id;
	job->effect_id = f->claim->id;
	job->session_id = f->claim->session_id;
	job->agent_id = f->claim->agent_id;
	job->run_id = f->claim->run_id;
	job->request = tz_slice(f->claim->request, f->claim->request_len);
	job->done = script_done;
	job->arg = f;
	tz_flight_move(f, TZ_FLIGHT_FLYING);
	tz_script_start(c->scripts, job);
}

void
tz_carrier_settled(TzCarrier *c, const TzFlight *f)
{
	TzHostCall *call = tz_carry_is_fetch(f) ? tz_scripts_fetching(c->scripts, f->claim->id) : NULL;
	TzSlice error;

	/* given back unsent: its outcome is still to come */
	if (call == NULL || strcmp(f->verdict, "released") == 0)
		return;
	if (strcmp(f->verdict, "done") == 0 && !tz_script_answer_said(f->claim->id, &error))
		tz_host_call_fail(call, "INTERNAL_ERROR", "the host could not keep the answer");
	else if (strcmp(f->verdict, "done") == 0 && error.len > 0)
		tz_host_call_answer(call, false, error);
	else
		tz_script_fetched(call, strcmp(f->verdict, "done") == 0, tz_slice(f->result, f->result_len));
}
