/*-------------------------------------------------------------------------
 *
 * job_follow.c
 *	  What a job prints, told as each look brings it.
 *
 * The answer to a look is a document, whole or worthless: nothing is read in pieces.
 * Each look is told from the beginning, so who follows sees the latest one instead of
 * those before.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "adapter/job.h"

struct TzStream
{
	TzJobFollower to;
};

TzStream *
tz_job_stream_new(const TzEffect *effect, const TzEndpoint *to, TzDeltaFn on_delta, void *arg)
{
	TzStream *stream = calloc(1, sizeof(*stream));

	(void) effect;
	(void) to;
	if (stream != NULL)
		stream->to = (TzJobFollower){on_delta, arg};
	return stream;
}

bool
tz_job_stream_wants(const TzEffect *effect, const TzHttpResponse *head)
{
	(void) effect;
	(void) head;
	return false;
}

TzStatus
tz_job_stream_feed(TzStream *stream, TzSlice bytes, TzErr *err)
{
	(void) stream;
	(void) bytes;
	return tz_err_set(err, TZ_INTERNAL, "an answer was fed that is not read in pieces");
}

bool
tz_job_stream_whole(const TzStream *stream)
{
	(void) stream;
	return false;
}

void
tz_job_stream_free(TzStream *stream)
{
	free(stream);
}

const TzJobFollower *
tz_job_stream_to(const TzStream *stream)
{
	return &stream->to;
}

static void
tell(const TzJobFollower *to, TzDeltaKind kind, const TzBuf *bytes)
{
	TzDelta delta = {.kind = kind};

	if (to->on_delta == NULL || bytes->len == 0)
		return;
	delta.text = tz_buf_slice(bytes);
	to->on_delta(to->arg, &delta);
}

void
tz_job_tell(const TzJobFollower *to, const TzJobReport *report)
{
	if (report->state != TZ_JOB_DONE && report->state != TZ_JOB_RUNNING)
		return;
	tell(to, TZ_DELTA_STDOUT, &report->out);
	tell(to, TZ_DELTA_STDERR, &report->err);
}
