/*-------------------------------------------------------------------------
 *
 * docker_frame.c
 *	  Two streams in one body: frames with a head of eight bytes.
 *
 * A head is the kind of stream, three zero bytes and the length of what follows,
 * most significant byte first. Frames may be empty, may be larger than what is
 * kept, and arrive in pieces of any size. What is beyond the ceiling is read and
 * dropped, so that the command at the other end never waits for us.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "adapter/docker.h"

#define SAID_MAX 4096

enum
{
	KIND_STDIN = 0,
	KIND_STDOUT = 1,
	KIND_STDERR = 2,
	KIND_ENGINE = 3
};

void
tz_docker_frames_init(TzDockerFrames *frames, size_t max, TzDeltaFn on_delta, void *arg)
{
	memset(frames, 0, sizeof(*frames));
	frames->max = max;
	tz_buf_init_secret(&frames->texts[0], max);
	tz_buf_init_secret(&frames->texts[1], max);
	tz_buf_init(&frames->said, SAID_MAX);
	frames->on_delta = on_delta;
	frames->arg = arg;
}

void
tz_docker_frames_free(TzDockerFrames *frames)
{
	tz_buf_wipe(&frames->texts[0]);
	tz_buf_wipe(&frames->texts[1]);
	tz_buf_free(&frames->said);
}

static TzStatus
take_payload(TzDockerFrames *frames, TzSlice bytes)
{
	bool is_error = frames->kind == KIND_STDERR;
	TzBuf *text = frames->kind == KIND_ENGINE ? &frames->said : &frames->texts[is_error];
	size_t room = text->max - text->len;
	TzStatus status = TZ_OK;

	if (bytes.len < room)
		room = bytes.len;
	if (frames->kind != KIND_ENGINE)
	{
		frames->cut |= room < bytes.len;
		if (frames->on_delta != NULL && room > 0)
		{
			TzDelta delta = {.kind = is_error ? TZ_DELTA_STDERR : TZ_DELTA_STDOUT,
			                 .text = tz_slice(bytes.data, room)};

			frames->on_delta(frames->arg, &delta);
		}
	}
	if (room > 0)
		status = tz_buf_append(text, bytes.data, room);
	return status;
}

TzStatus
tz_docker_frames_feed(TzDockerFrames *frames, TzSlice bytes, TzErr *err)
{
	while (bytes.len > 0)
	{
		size_t n;

		if (frames->left > 0)
		{
			n = bytes.len < frames->left ? bytes.len : frames->left;
			if (take_payload(frames, tz_slice(bytes.data, n)) != TZ_OK)
				return tz_err_set(err, TZ_NOMEM, "out of memory");
			frames->left -= (uint32_t) n;
		}
		else
		{
			n = sizeof(frames->head) - frames->nhead;
			if (n > bytes.len)
				n = bytes.len;
			memcpy(frames->head + frames->nhead, bytes.data, n);
			frames->nhead += n;
			if (frames->nhead == sizeof(frames->head))
			{
				const unsigned char *h = frames->head;

				if (h[0] > KIND_ENGINE || h[1] != 0 || h[2] != 0 || h[3] != 0)
					return tz_err_set(err, TZ_BAD_ANSWER, "output is not framed");
				frames->kind = h[0];
				frames->left = (uint32_t) h[4] << 24 | (uint32_t) h[5] << 16 | (uint32_t) h[6] << 8 | h[7];
				frames->nhead = 0;
			}
		}
		bytes.data += n;
		bytes.len -= n;
	}
	return TZ_OK;
}
