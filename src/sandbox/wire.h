/*-------------------------------------------------------------------------
 *
 * wire.h
 *	  Frames between the parent and the init of a box.
 *
 * One SOCK_SEQPACKET socket, one frame a packet: 12 bytes of header (length of
 * the payload u32 LE, type u8, flags u8 = 0, reserved u16 = 0, id u32 LE), then
 * the payload. Linked into both programs, so it knows neither the server nor
 * our library. Both sides check every frame with the same code.
 *
 * src/sandbox/README.md has the table of frames and who may send what when.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_WIRE_H
#define TZ_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TZ_WIRE_VERSION 1
#define TZ_WIRE_HEADER 12
/*
 * The kernel cuts a packet into several from about half the send buffer or
 * 48 kB on, whichever is less; below that one send is one packet.
 */
#define TZ_WIRE_FRAME_MAX 32768
#define TZ_WIRE_PAYLOAD_MAX (TZ_WIRE_FRAME_MAX - TZ_WIRE_HEADER)

/* Ceilings both sides know. */
#define TZ_WIRE_OPS_MAX 64 /* operations at once */
#define TZ_WIRE_CONNS_MAX 64 /* relayed connections at once */
#define TZ_WIRE_PATH_MAX 4096 /* with the end */
#define TZ_WIRE_SPEC_MAX (256 * 1024) /* argv, env and cwd of one command */
#define TZ_WIRE_CODE_MAX (8 * 1024 * 1024)
#define TZ_WIRE_STDIN_MAX (24 * 1024 * 1024) /* a part of the run directory, which is memory */
#define TZ_WIRE_ARGS_MAX 1024 /* argv or env elements */
#define TZ_WIRE_HOST_MAX 253
#define TZ_WIRE_REASON_MAX 200
#define TZ_WIRE_WINDOW (64 * 1024) /* bytes of a connection under way, each direction */

typedef enum TzWireType
{
	/* parent to init */
	TZ_WIRE_CONFIG = 1, /* TzWireConfig; first and once */
	TZ_WIRE_EXEC = 2, /* TzWireExec, then DATA frames: spec, code, stdin */
	TZ_WIRE_DATA = 3, /* bytes of EXEC or WRITE */
	TZ_WIRE_READ = 4, /* u64 most bytes, path */
	TZ_WIRE_WRITE = 5, /* u64 size, path; then DATA frames */
	TZ_WIRE_LIST = 6, /* u32 most entries, path */
	TZ_WIRE_STAT = 7, /* path */
	TZ_WIRE_DELETE = 8, /* path */
	TZ_WIRE_KILL = 9, /* id = operation; nothing happens if it is over */
	TZ_WIRE_PAUSE = 10,
	TZ_WIRE_RESUME = 11,
	TZ_WIRE_METRICS = 12,
	TZ_WIRE_CONN_OK = 13, /* id = connection */
	TZ_WIRE_CONN_REFUSED = 14, /* reason */
	TZ_WIRE_LIMIT = 15, /* u32 TzWireReason: kill all commands */

	/* both ways, id = connection */
	TZ_WIRE_CONN_DATA = 32,
	TZ_WIRE_CONN_EOF = 33, /* no more from this side */
	TZ_WIRE_CONN_WINDOW = 34, /* u32: so many bytes were taken, send more */
	TZ_WIRE_CONN_RESET = 35, /* over, forget it */

	/* init to parent */
	TZ_WIRE_READY = 64, /* u32 version, u32 TZ_WIRE_HAS_... */
	TZ_WIRE_STDOUT = 65,
	TZ_WIRE_STDERR = 66,
	TZ_WIRE_EXIT = 67, /* TzWireExit */
	TZ_WIRE_CHUNK = 68, /* bytes of READ */
	TZ_WIRE_ENTRIES = 69, /* entries of LIST or STAT */
	TZ_WIRE_DONE = 70, /* end of READ, WRITE, LIST, STAT, DELETE, PAUSE, RESUME; METRICS: TzWireMetrics */
	TZ_WIRE_FAIL = 71, /* u32 TzWireFailure, message */
	TZ_WIRE_CONN_OPEN = 72 /* u16 port, host */
} TzWireType;

typedef enum TzWireReason
{
	TZ_WIRE_EXITED = 0,
	TZ_WIRE_SIGNALED = 1,
	TZ_WIRE_TIMED_OUT = 2,
	TZ_WIRE_OUT_OF_MEMORY = 3, /* the whole box was over its memory */
	TZ_WIRE_OUTPUT = 4, /* a stream was over its ceiling */
	TZ_WIRE_KILLED = 5, /* by KILL */
	TZ_WIRE_TOO_MANY = 6 /* processes or files of the whole box */
} TzWireReason;

typedef enum TzWireFailure
{
	TZ_WIRE_F_BAD = 1, /* path or request refused */
	TZ_WIRE_F_NOT_FOUND = 2,
	TZ_WIRE_F_TOO_LARGE = 3, /* over a ceiling, or disk full */
	TZ_WIRE_F_SYSTEM = 4
} TzWireFailure;

/* Bits of READY. */
#define TZ_WIRE_HAS_PROC 1
#define TZ_WIRE_HAS_SECCOMP 2
#define TZ_WIRE_HAS_RELAY 4

typedef struct TzWireFrame
{
	TzWireType type;
	uint32_t id;
	const unsigned char *data;
	size_t len;
} TzWireFrame;

typedef struct TzWireConfig
{
	uint64_t memory_bytes;
	uint64_t file_bytes;
	uint32_t processes;
	uint32_t open_files;
	uint32_t cpu_seconds;
	uint32_t network; /* 0 or 1 */

} TzWireConfig;

typedef struct TzWireExec
{
	uint32_t timeout_ms;
	uint64_t max_output;
	uint32_t spec_len;
	uint32_t code_len;
	uint32_t stdin_len;
} TzWireExec;

typedef struct TzWireExit
{
	uint32_t code; /* exit code, or 128 + signal */
	uint32_t reason; /* TzWireReason */
	uint64_t cpu_us;
	uint64_t peak_rss_kb;
	uint64_t wall_us;
} TzWireExit;

typedef struct TzWireMetrics
{
	uint64_t memory_kb;
	uint64_t disk_kb;
	uint64_t cpu_us; /* of all that ever ran */
	uint32_t processes;
} TzWireMetrics;

/* Reads in order; after a failure everything answers zero and ok stays false. */
typedef struct TzWireReader
{
	const unsigned char *data;
	size_t len;
	size_t pos;
	bool ok;
} TzWireReader;

/* Writes in order into memory of the caller; ok turns false instead of overflowing. */
typedef struct TzWireWriter
{
	unsigned char *data;
	size_t cap;
	size_t len;
	bool ok;
} TzWireWriter;

/* Writes a header in front of len bytes of payload. */
extern void tz_wire_header(unsigned char out[TZ_WIRE_HEADER], TzWireType type, uint32_t id, size_t len);
/* One received packet -> one frame, pointing into it. False: not a frame a correct peer sends. */
extern bool tz_wire_parse(const unsigned char *packet, size_t len, bool from_init, TzWireFrame *out);

extern void tz_wire_reader(TzWireReader *r, const unsigned char *data, size_t len);
extern uint32_t tz_wire_get_u16(TzWireReader *r);
extern uint32_t tz_wire_get_u32(TzWireReader *r);
extern uint64_t tz_wire_get_u64(TzWireReader *r);
/* u32 length and so many bytes without NUL, at most max; NULL on failure. Not terminated. */
extern const char *tz_wire_get_str(TzWireReader *r, size_t max, size_t *len);
/* What is left, without NUL, between 1 and max bytes; the reader must be at its end with it. */
extern const char *tz_wire_get_rest(TzWireReader *r, size_t max, size_t *len);
/* Everything was read and nothing failed. */
extern bool tz_wire_end(const TzWireReader *r);

extern void tz_wire_writer(TzWireWriter *w, void *data, size_t cap);
extern void tz_wire_put_u16(TzWireWriter *w, uint32_t v);
extern void tz_wire_put_u32(TzWireWriter *w, uint32_t v);
extern void tz_wire_put_u64(TzWireWriter *w, uint64_t v);
extern void tz_wire_put_str(TzWireWriter *w, const char *s, size_t len);
extern void tz_wire_put_bytes(TzWireWriter *w, const void *s, size_t len);

/* Fixed payloads: encode answers the length, decode whether it was exactly one. */
extern size_t tz_wire_put_config(unsigned char *out, size_t cap, const TzWireConfig *in);
extern bool tz_wire_get_config(const TzWireFrame *f, TzWireConfig *out);
extern size_t tz_wire_put_exec(unsigned char *out, size_t cap, const TzWireExec *in);
extern bool tz_wire_get_exec(const TzWireFrame *f, TzWireExec *out);
extern size_t tz_wire_put_exit(unsigned char *out, size_t cap, const TzWireExit *in);
extern bool tz_wire_get_exit(const TzWireFrame *f, TzWireExit *out);
extern size_t tz_wire_put_metrics(unsigned char *out, size_t cap, const TzWireMetrics *in);
extern bool tz_wire_get_metrics(const TzWireFrame *f, TzWireMetrics *out);

/*
 * The spec of a command, bounded on both sides:
 * u32 argc, argv strings; u32 envc, env strings; cwd string; code name string.
 */
typedef struct TzWireSpec
{
	uint32_t argc;
	uint32_t envc;
	TzWireReader argv; /* positioned at the first string */
	TzWireReader env;
	const char *cwd;
	size_t cwd_len;
	const char *code_name;
	size_t code_name_len;
} TzWireSpec;

extern bool tz_wire_get_spec(const unsigned char *data, size_t len, TzWireSpec *out);
/* A name without slash, not "." or "..", at most 64 bytes of letters, digits, dot, dash, underscore. */
extern bool tz_wire_name_ok(const char *name, size_t len);

/* One entry of ENTRIES: u64 size, i64 modified ms, u16 flags (1 = directory), u32 length, name. */
typedef struct TzWireEntry
{
	uint64_t size;
	int64_t modified_ms;
	bool is_dir;
	const char *name;
	size_t name_len;
} TzWireEntry;

extern void tz_wire_put_entry(TzWireWriter *w, const TzWireEntry *in);
extern bool tz_wire_get_entry(TzWireReader *r, TzWireEntry *out);

/*
 * Head of a proxy request: "CONNECT host:port HTTP/1.x" and its header lines
 * up to the empty line. Answers 0 while more bytes are needed, the length of
 * the head when it is complete and good, or -1 with an HTTP status to refuse
 * it with. host gets the name, terminated.
 */
extern int tz_wire_connect_head(const char *data, size_t len, size_t max, char host[TZ_WIRE_HOST_MAX + 1],
                                int *port, int *status);

#endif /* TZ_WIRE_H */
