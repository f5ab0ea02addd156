/*-------------------------------------------------------------------------
 *
 * frame.c
 *	  Numbers and headers of frames, little endian.
 *
 *-------------------------------------------------------------------------
 */
#include "runner/frame.h"

void
tz_frame_put_u32(unsigned char *out, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		out[i] = (unsigned char) (v >> (8 * i));
}

void
tz_frame_put_u64(unsigned char *out, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		out[i] = (unsigned char) (v >> (8 * i));
}

uint32_t
tz_frame_get_u32(const unsigned char *in)
{
	return (uint32_t) in[0] | (uint32_t) in[1] << 8 | (uint32_t) in[2] << 16 | (uint32_t) in[3] << 24;
}

uint64_t
tz_frame_get_u64(const unsigned char *in)
{
	return tz_frame_get_u32(in) | (uint64_t) tz_frame_get_u32(in + 4) << 32;
}

void
tz_frame_put_head(unsigned char out[TZ_FRAME_HEADER], TzFrameType type, uint32_t id, size_t len)
{
	tz_frame_put_u32(out, (uint32_t) len);
	out[4] = (unsigned char) type;
	out[5] = out[6] = out[7] = 0;
	tz_frame_put_u32(out + 8, id);
}

bool
tz_frame_get_head(const unsigned char in[TZ_FRAME_HEADER], TzFrameHead *out)
{
	out->len = tz_frame_get_u32(in);
	out->type = in[4];
	out->id = tz_frame_get_u32(in + 8);
	return in[5] == 0 && in[6] == 0 && in[7] == 0;
}
