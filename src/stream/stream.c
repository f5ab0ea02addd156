/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  What models are saying right now, in shared memory.
 *
 * The area is cut into parts, each with a lock of its own; a run has its part.
 * A part has blocks, given out one after the other and round again, so that the
 * block taken next is always the oldest: its text loses its beginning. A text is
 * a chain of blocks. Places for texts go round in the same way, those of texts
 * that have ended first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "pg/guc.h"
#include "pg/shmem.h"
#include "pg/wake.h"
#include "stream/stream.h"

#define PARTS 16
#define BLOCK_BYTES 1008
#define BLOCKS_PER_TEXT 2 /* so many blocks for each place of a text */
#define TEXTS_LOOKED_AT 32 /* for one that has ended, before one that goes on is given up */
#define RUN_MAX 31
#define NONE (-1)
#define TRANCHE "theazo_stream"

typedef struct TextBlock
{
	int text; /* whose it is, if serial is that one's too */
	uint32 serial;
	int next; /* of the chain */
	uint32 unused;
	char data[BLOCK_BYTES];
} TextBlock;

/* One text. serial 0: none yet. */
typedef struct Text
{
	char run[RUN_MAX];
	bool closed;
	Oid dboid;
	int step;
	int generation;
	uint32 serial; /* moves when the place is given away */
	int chain; /* of its hash bucket */
	int head; /* oldest block */
	int tail;
	int64 begin; /* offset of the head's first byte */
	int64 end;
} Text;

typedef struct Part
{
	LWLock *lock;
	int next_block;
	int next_text;
	uint32 last_serial;
} Part;

typedef struct Area
{
	int blocks; /* of each part */
	int texts;
	Part part[PARTS];
	/* then for each part: hash buckets (as many as texts), texts, blocks */
} Area;

static Area *area = NULL;
static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;

/* ---- the area ------------------------------------------------------------------- */

static int
blocks_per_part(void)
{
	return Max(tz_guc_stream_buffer_kb / PARTS, 8);
}

static int
texts_per_part(void)
{
	return blocks_per_part() / BLOCKS_PER_TEXT;
}

static Size
part_size(void)
{
	Size size = MAXALIGN(mul_size(texts_per_part(), sizeof(int)));

	size = add_size(size, MAXALIGN(mul_size(texts_per_part(), sizeof(Text))));
	return add_size(size, MAXALIGN(mul_size(blocks_per_part(), sizeof(TextBlock))));
}

static Size
area_size(void)
{
	return add_size(MAXALIGN(sizeof(Area)), mul_size(PARTS, part_size()));
}

static char *
part_memory(int part)
{
	return (char *) area + MAXALIGN(sizeof(Area)) + (Size) part * part_size();
}

static int *
buckets_of(int part)
{
	return (int *) (void *) part_memory(part);
}

static Text *
texts_of(int part)
{
	return (Text *) (void *) (part_memory(part) + MAXALIGN(sizeof(int) * (Size) area->texts));
}

static TextBlock *
blocks_of(int part)
{
	return (TextBlock *) (void *) (part_memory(part) + MAXALIGN(sizeof(int) * (Size) area->texts) +
	                               MAXALIGN(sizeof(Text) * (Size) area->texts));
}

static void
stream_request(void)
{
	if (previous_request)
		previous_request();
	RequestAddinShmemSpace(area_size());
	RequestNamedLWLockTranche(TRANCHE, PARTS);
}

static void
area_fill(void)
{
	LWLockPadded *locks = GetNamedLWLockTranche(TRANCHE);

	memset(area, 0, area_size());
	area->blocks = blocks_per_part();
	area->texts = texts_per_part();
	for (int i = 0; i < PARTS; i++)
	{
		area->part[i].lock = &locks[i].lock;
		for (int j = 0; j < area->texts; j++)
			buckets_of(i)[j] = NONE;
	}
}

static void
stream_startup(void)
{
	bool found;

	if (previous_startup)
		previous_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	area = ShmemInitStruct("theazo stream", area_size(), &found);
	if (!found)
		area_fill();
	LWLockRelease(AddinShmemInitLock);
}

void
tz_stream_init(void)
{
	previous_request = shmem_request_hook;
	shmem_request_hook = stream_request;
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = stream_startup;
}

/* ---- places --------------------------------------------------------------------- */

int
tz_stream_generation(const char *effect_id, int attempt)
{
	uint32 h = hash_bytes((const unsigned char *) effect_id, (int) strlen(effect_id));

	return (int) ((h + (uint32) attempt) % TZ_STREAM_GENERATIONS) + 1;
}

static uint32
run_hash(const char *run_id, size_t len)
{
	return hash_bytes((const unsigned char *) run_id, (int) len);
}

static int *
bucket_of(int part, Oid dboid, const char *run_id, int step)
{
	uint32 h = run_hash(run_id, strlen(run_id));

	h = hash_combine(h, murmurhash32(dboid ^ (uint32) step << 16));
	return &buckets_of(part)[h % (uint32) area->texts];
}

/* With the part's lock. */
static int
find_text(int part, Oid dboid, const char *run_id, int step)
{
	Text *texts = texts_of(part);

	for (int i = *bucket_of(part, dboid, run_id, step); i != NONE; i = texts[i].chain)
		if (texts[i].step == step && texts[i].dboid == dboid && strcmp(texts[i].run, run_id) == 0)
			return i;
	return NONE;
}

/* With the lock held for writing, like all below: a place nobody has, or has any longer. */
static int
take_place(int part)
{
	Part *p = &area->part[part];
	Text *texts = texts_of(part);
	int place = p->next_text;
	Text *text;

	for (int i = 0; i < TEXTS_LOOKED_AT && i < area->texts; i++)
	{
		int at = (p->next_text + i) % area->texts;

		if (texts[at].serial == 0 || texts[at].closed)
		{
			place = at;
			break;
		}
	}
	p->next_text = (place + 1) % area->texts;
	text = &texts[place];
	if (text->serial != 0)
	{
		int *at = bucket_of(part, text->dboid, text->run, text->step);

		while (*at != place)
			at = &texts[*at].chain;
		*at = text->chain;
	}
	return place;
}

static void
begin_text(int part, int place)
{
	Text *text = &texts_of(part)[place];

	/* 0 is nobody's */
	if (++area->part[part].last_serial == 0)
		area->part[part].last_serial = 1;
	text->serial = area->part[part].last_serial;
	text->closed = false;
	text->head = text->tail = NONE;
	text->begin = text->end = 0;
}

/* The oldest block, taken from whoever had it. */
static int
take_block(int part, int place)
{
	Part *p = &area->part[part];
	TextBlock *blocks = blocks_of(part);
	int number = p->next_block;
	TextBlock *block = &blocks[number];
	Text *owner = &texts_of(part)[block->text];

	p->next_block = (number + 1) % area->blocks;
	if (block->serial != 0 && block->serial == owner->serial)
	{
		Assert(owner->head == number);
		owner->head = block->next;
		owner->begin = block->next != NONE ? owner->begin + BLOCK_BYTES : owner->end;
		if (owner->head == NONE)
			owner->tail = NONE;
	}
	block->text = place;
	block->serial = texts_of(part)[place].serial;
	block->next = NONE;
	return number;
}

/* Bytes that still fit into the last block. */
static size_t
room_of(const Text *text)
{
	int64 used = (text->end - text->begin) % BLOCK_BYTES;

	if (text->tail == NONE)
		return 0;
	return used == 0 && text->end > text->begin ? 0 : (size_t) (BLOCK_BYTES - used);
}

static void
append(int part, int place, TzSlice bytes)
{
	TextBlock *blocks = blocks_of(part);
	Text *text = &texts_of(part)[place];

	while (bytes.len > 0)
	{
		size_t room = room_of(text);
		size_t n;

		if (room == 0)
		{
			int fresh = take_block(part, place);

			if (text->tail == NONE)
				text->head = fresh;
			else
				blocks[text->tail].next = fresh;
			text->tail = fresh;
			room = BLOCK_BYTES;
		}
		n = Min(room, bytes.len);
		memcpy(blocks[text->tail].data + (BLOCK_BYTES - room), bytes.data, n);
		text->end += (int64) n;
		bytes = tz_slice(bytes.data + n, bytes.len - n);
	}
}

/* ---- writers -------------------------------------------------------------------- */

void
tz_stream_open(TzPen *pen, Oid dboid, const char *run_id, int step, int generation)
{
	int part;
	int place;
	Text *text;

	memset(pen, 0, sizeof(*pen));
	if (area == NULL || strlen(run_id) >= RUN_MAX)
		return;
	part = (int) (run_hash(run_id, strlen(run_id)) % PARTS);
	LWLockAcquire(area->part[part].lock, LW_EXCLUSIVE);
	place = find_text(part, dboid, run_id, step);
	if (place == NONE)
	{
		int *bucket = bucket_of(part, dboid, run_id, step);

		place = take_place(part);
		text = &texts_of(part)[place];
		strlcpy(text->run, run_id, sizeof(text->run));
		text->dboid = dboid;
		text->step = step;
		text->chain = *bucket;
		*bucket = place;
	}
	begin_text(part, place);
	text = &texts_of(part)[place];
	text->generation = generation;
	pen->part = part;
	pen->place = place;
	pen->serial = text->serial;
	LWLockRelease(area->part[part].lock);
	pen->bell = tz_wake_bell(run_id, strlen(run_id));
	pen->dboid = dboid;
}

void
tz_stream_write(const TzPen *pen, TzSlice text)
{
	if (pen->serial == 0 || text.len == 0)
		return;
	LWLockAcquire(area->part[pen->part].lock, LW_EXCLUSIVE);
	if (texts_of(pen->part)[pen->place].serial == pen->serial)
		append(pen->part, pen->place, text);
	LWLockRelease(area->part[pen->part].lock);
	/* the text first: a reader prepares its sleep, then looks at it */
	if (pg_atomic_read_u32(&tz_shared->followers) > 0)
		ConditionVariableBroadcast(&tz_shared->bell[pen->bell]);
	tz_wake_followers(pen->dboid, pen->bell);
}

void
tz_stream_close(TzPen *pen)
{
	if (pen->serial == 0)
		return;
	LWLockAcquire(area->part[pen->part].lock, LW_EXCLUSIVE);
	if (texts_of(pen->part)[pen->place].serial == pen->serial)
		texts_of(pen->part)[pen->place].closed = true;
	LWLockRelease(area->part[pen->part].lock);
	memset(pen, 0, sizeof(*pen));
}

/* ---- readers -------------------------------------------------------------------- */

static size_t
copy_text(int part, const Text *text, int64 offset, char *buf, size_t size)
{
	const TextBlock *blocks = blocks_of(part);
	int64 skip = offset - text->begin;
	int at = text->head;
	size_t done = 0;

	for (; skip >= BLOCK_BYTES; skip -= BLOCK_BYTES)
		at = blocks[at].next;
	while (done < size && offset < text->end)
	{
		size_t n = Min(size - done, (size_t) (BLOCK_BYTES - skip));

		n = Min(n, (size_t) (text->end - offset));
		memcpy(buf + done, blocks[at].data + skip, n);
		done += n;
		offset += (int64) n;
		skip = 0;
		at = blocks[at].next;
	}
	return done;
}

size_t
tz_stream_read(Oid dboid, const char *run_id, int step, int generation, int64 offset, char *buf, size_t size,
               TzStreamView *view)
{
	size_t n = 0;
	int part;
	int place;

	memset(view, 0, sizeof(*view));
	if (area == NULL || strlen(run_id) >= RUN_MAX)
		return 0;
	part = (int) (run_hash(run_id, strlen(run_id)) % PARTS);
	LWLockAcquire(area->part[part].lock, LW_SHARED);
	place = find_text(part, dboid, run_id, step);
	if (place != NONE)
	{
		const Text *text = &texts_of(part)[place];

		view->generation = text->generation;
		view->begin = text->begin;
		view->end = text->end;
		if (generation == text->generation && offset >= text->begin && offset < text->end)
			n = copy_text(part, text, offset, buf, size);
	}
	LWLockRelease(area->part[part].lock);
	return n;
}
