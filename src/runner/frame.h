/*-------------------------------------------------------------------------
 *
 * frame.h
 *	  Frames between the parent, the zygote and a run.
 *
 * A run speaks over a stream socket: header of 12 bytes, then the payload. The
 * zygote's channel is SOCK_SEQPACKET: the same header, a packet a frame. Linked
 * into the worker and into the program that runs code, so plain C without
 * allocation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_RUNNER_FRAME_H
#define TZ_RUNNER_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TZ_FRAME_HEADER 12
#define TZ_FRAME_VERSION 1 /* of this protocol, said in HELLO */
#define TZ_FRAME_NAME_MAX 32 /* name of a function in CALL */
#define TZ_FRAME_RUN_HEAD 16 /* four numbers in front of a RUN's texts */
#define TZ_FRAME_CONTROL_MAX 256 /* payload on the zygote's channel */

typedef enum TzFrameType
{
	/* to the run */
	TZ_FRAME_RUN = 1, /* u32 memory MB, u32 wall ms, u32 bytes of JSON, u32 bytes of code, JSON, code */
	TZ_FRAME_RET_OK = 2, /* JSON; id of the call */
	TZ_FRAME_RET_ERR = 3, /* {"name", "code", "message"}; id of the call */
	/* from the run */
	TZ_FRAME_LOG = 16, /* {"level", "msg"} */
	TZ_FRAME_CALL = 17, /* u8 length of name, name, JSON array; id 1, 2, 3, ... */
	TZ_FRAME_DONE_OK = 18, /* JSON, or nothing for undefined; id = heap in KB */
	TZ_FRAME_DONE_ERR = 19, /* {"name", "message", "stack", "limit"?}; id = heap in KB */
	/* to the zygote; id is the child's, chosen by the parent */
	TZ_FRAME_SPAWN = 32, /* nothing; one descriptor */
	TZ_FRAME_LIMIT = 33, /* u32 memory MB, u32 wall ms: limits of the process */
	TZ_FRAME_KILL = 34, /* nothing */
	/* from the zygote */
	TZ_FRAME_HELLO = 48, /* u32 version, u32 walls, 10 x u16 errno, 24 bytes engine, 24 bytes version */
	TZ_FRAME_EXITED =
		49, /* u32 status of wait4, u32 errno when it could not be forked, u64 CPU in us, u64 peak KB */
} TzFrameType;

#define TZ_FRAME_HELLO_LEN (4 + 4 + 2 * 10 + 24 + 24)
#define TZ_FRAME_EXITED_LEN (4 + 4 + 8 + 8)

/* What ended a run besides its own code; "limit" of DONE_ERR. */
#define TZ_FRAME_LIMIT_TIME "time"
#define TZ_FRAME_LIMIT_MEMORY "memory"
#define TZ_FRAME_LIMIT_TRAP "trap"

typedef struct TzFrameHead
{
	uint32_t len;
	uint32_t id;
	uint8_t type;
} TzFrameHead;

extern void tz_frame_put_u32(unsigned char *out, uint32_t v);
extern void tz_frame_put_u64(unsigned char *out, uint64_t v);
extern uint32_t tz_frame_get_u32(const unsigned char *in);
extern uint64_t tz_frame_get_u64(const unsigned char *in);
extern void tz_frame_put_head(unsigned char out[TZ_FRAME_HEADER], TzFrameType type, uint32_t id, size_t len);
/* False: a reserved byte is not zero. Type and length are the caller's to judge. */
extern bool tz_frame_get_head(const unsigned char in[TZ_FRAME_HEADER], TzFrameHead *out);

#endif /* TZ_RUNNER_FRAME_H */
