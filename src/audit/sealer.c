/*-------------------------------------------------------------------------
 *
 * sealer.c
 *	  Gives events their places: rows of seal and tree_node.
 *
 * Where a chain ends is read once and then remembered by the process, as it is
 * the only one that writes there. That another one did after all is seen by the
 * cursor's row, and at the latest by the keys of the rows: places are unique.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "audit/sealer.h"
#include "lib/merkle.h"
#include "pg/append.h"
#include "pg/convert.h"
#include "pg/errors.h"
#include "pg/pausepoint.h"
#include "pg/spi.h"
#include "pg/wake.h"

#define CHUNK 8192 /* events kept before they are written */
#define HEADS_MAX 2000 /* platforms remembered, 2 KB each */
#define NODES_MAX (TZ_MERKLE_LEVELS / TZ_MERKLE_KEPT_LEVELS + 1) /* that 128 leaves can complete */

typedef struct SealItem
{
	char platform[TZ_ID_MAX + 1];
	uint8_t id[TZ_ID_BYTES];
	TzHash leaf;
} SealItem;

/* The end of a platform's chain and tree. */
typedef struct SealHead
{
	char platform[TZ_ID_MAX + 1]; /* key */
	TzHash hash;
	TzFrontier frontier; /* its size is the last sequence number */
} SealHead;

typedef struct SealNode
{
	int level;
	uint64_t index;
	TzHash hash;
} SealNode;

typedef struct SealNodes
{
	int n;
	SealNode node[NODES_MAX];
} SealNodes;

struct TzSealer
{
	MemoryContext row_context; /* reset after every row that is written */
	TimestampTz sealed_at;
	SealItem *item;
	int n;
	uint64 sealed;
	uint64 odd;
};

static TzHasher *hasher = NULL;
static TzBuf entry_bytes;
static HTAB *heads = NULL;

static void heads_make(bool hold);
static SealHead *head_of(const char *platform);
static void head_read(SealHead *head);
static int item_compare(const void *a, const void *b);
static int64 id_ms(const uint8_t id[TZ_ID_BYTES]);
static int64 month_end_ms(int64 ms);
static int run_length(const SealItem *item, int n);
static void seal_run(TzSealer *sealer, SealHead *head, const SealItem *item, int n);
static TzStatus keep_node(void *arg, int level, uint64_t index, const TzHash *hash, TzErr *err);
static void head_broken(const char *platform);
static void write_seal(TzSealer *sealer, const SealHead *head, const TzHash *prev, const SealItem *item,
                       int n);
static void write_node(const char *platform, const SealNode *node);
static Datum id_datum(const uint8_t id[TZ_ID_BYTES]);
static Datum hash_datum(const TzHash *hash);

TzSealer *
tz_sealer_begin(bool heads_hold)
{
	TzSealer *sealer = palloc0(sizeof(*sealer));
	TzErr err;

	if (hasher == NULL)
	{
		tz_check(tz_hasher_new(&hasher, &err), &err);
		tz_buf_init(&entry_bytes, TZ_ENTRY_MAX);
	}
	heads_make(heads_hold);
	sealer->row_context = AllocSetContextCreate(CurrentMemoryContext, "theazo seal", ALLOCSET_DEFAULT_SIZES);
	sealer->sealed_at = GetCurrentTimestamp();
	sealer->item = palloc(sizeof(SealItem) * CHUNK);
	return sealer;
}

bool
tz_sealer_add(TzSealer *sealer, const Datum *values, const bool *nulls)
{
	SealItem *item = &sealer->item[sealer->n];
	MemoryContext old = MemoryContextSwitchTo(sealer->row_context);
	TzEventNumbers numbers;
	TzEntry entry;
	TzSlice prefix;
	TzSlice root;
	TzSlice *id = &entry.field[TZ_ENTRY_ID];
	TzSlice *platform = &entry.field[TZ_ENTRY_PLATFORM];
	TzErr err;
	bool ok;

	tz_event_entry(values, nulls, &numbers, &entry);
	ok = !nulls[TZ_SEAL_FORMAT] && DatumGetInt16(values[TZ_SEAL_FORMAT]) == TZ_ENTRY_FORMAT &&
	     platform->len <= TZ_ID_MAX && tz_id_split(*id, &prefix, &root, &err) == TZ_OK &&
	     tz_slice_eq_cstr(prefix, "evt") && tz_id_pack(*id, item->id, &err) == TZ_OK;
	if (ok)
	{
		memcpy(item->platform, platform->data, platform->len);
		item->platform[platform->len] = '\0';
		tz_buf_reset(&entry_bytes);
		ok = tz_entry_append(&entry, &entry_bytes) == TZ_OK;
	}
	if (ok)
	{
		tz_check(tz_merkle_leaf(hasher, tz_buf_slice(&entry_bytes), &item->leaf, &err), &err);
		sealer->n++;
	}
	else
		sealer->odd++;
	MemoryContextSwitchTo(old);
	if (sealer->n == CHUNK)
		tz_sealer_flush(sealer);
	else if (MemoryContextMemAllocated(sealer->row_context, false) > 256 * 1024)
		MemoryContextReset(sealer->row_context);
	return ok;
}

void
tz_sealer_flush(TzSealer *sealer)
{
	int i = 0;

	qsort(sealer->item, sealer->n, sizeof(SealItem), item_compare);
	while (i < sealer->n)
	{
		int n = run_length(&sealer->item[i], sealer->n - i);

		seal_run(sealer, head_of(sealer->item[i].platform), &sealer->item[i], n);
		sealer->sealed += n;
		i += n;
	}
	sealer->n = 0;
	MemoryContextReset(sealer->row_context);
}

uint64
tz_sealer_sealed(const TzSealer *sealer)
{
	return sealer->sealed;
}

uint64
tz_sealer_odd(const TzSealer *sealer)
{
	return sealer->odd;
}

/* ---- where chains end ---------------------------------------------------- */

static void
heads_make(bool hold)
{
	HASHCTL ctl;

	if (heads != NULL && hold && hash_get_num_entries(heads) <= HEADS_MAX)
		return;
	if (heads != NULL)
		hash_destroy(heads);
	heads = NULL;
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(((SealHead *) NULL)->platform);
	ctl.entrysize = sizeof(SealHead);
	ctl.hcxt = TopMemoryContext;
	heads = hash_create("theazo heads", 128, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

static SealHead *
head_of(const char *platform)
{
	bool found;
	SealHead *head = hash_search(heads, platform, HASH_FIND, &found);
	SealHead fresh;

	if (head != NULL)
		return head;
	/* what throws must not leave an entry without contents */
	strlcpy(fresh.platform, platform, sizeof(fresh.platform));
	head_read(&fresh);
	head = hash_search(heads, platform, HASH_ENTER, &found);
	head->hash = fresh.hash;
	head->frontier = fresh.frontier;
	return head;
}

static void
head_read(SealHead *head)
{
	static TzStmt last = {"SELECT s.first_seq + s.events - 1, s.hash, s.frontier FROM theazo_data.seal s"
	                      " WHERE s.platform_id = $1 ORDER BY s.first_seq DESC LIMIT 1",
	                      1,
	                      {TEXTOID}};
	Datum values[1] = {CStringGetTextDatum(head->platform)};
	TzErr err;

	if (tz_spi_exec(&last, values, NULL, 1) == 0)
	{
		tz_frontier_init(&head->frontier);
		tz_check(tz_chain_genesis(hasher, tz_slice_cstr(head->platform), &head->hash, &err), &err);
	}
	else
	{
		TzSlice hash = tz_spi_bytea(0, 2);

		if (hash.len != TZ_HASH_LEN)
			head_broken(head->platform);
		memcpy(head->hash.bytes, hash.data, TZ_HASH_LEN);
		if (tz_frontier_load(&head->frontier, (uint64_t) tz_spi_int64(0, 1, 0), tz_spi_bytea(0, 3), &err) !=
		    TZ_OK)
			head_broken(head->platform);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* ---- runs ------------------------------------------------------------------ */

static int
item_compare(const void *a, const void *b)
{
	const SealItem *x = a;
	const SealItem *y = b;
	int order = strcmp(x->platform, y->platform);

	return order != 0 ? order : memcmp(x->id, y->id, TZ_ID_BYTES);
}

/* How many of them go into one row. */
static int
run_length(const SealItem *item, int n)
{
	int64 first_ms = id_ms(item[0].id);
	int64 end_ms = Min(first_ms + TZ_SEAL_SPAN_MS, month_end_ms(first_ms));
	int len = 1;

	while (len < n && len < TZ_SEAL_EVENTS_MAX && id_ms(item[len].id) < end_ms &&
	       strcmp(item[len].platform, item[0].platform) == 0)
		len++;
	return len;
}

static int64
id_ms(const uint8_t id[TZ_ID_BYTES])
{
	int64 ms = 0;

	for (int i = 0; i < 6; i++)
		ms = (ms << 8) | id[i];
	return ms;
}

/* First millisecond of the next calendar month, UTC: where the next partition begins. */
static int64
month_end_ms(int64 ms)
{
	const int64 day_ms = USECS_PER_DAY / 1000;
	static int64 from = 0;
	static int64 to = 0;

	if (ms < from || ms >= to)
	{
		int year;
		int month;
		int day;

		j2date((int) (ms / day_ms) + UNIX_EPOCH_JDATE, &year, &month, &day);
		from = (int64) (date2j(year, month, 1) - UNIX_EPOCH_JDATE) * day_ms;
		to = (int64) (date2j(year + month / 12, month % 12 + 1, 1) - UNIX_EPOCH_JDATE) * day_ms;
	}
	return to;
}

/* One row, and the nodes it completes. The head moves when both are written. */
static void
seal_run(TzSealer *sealer, SealHead *head, const SealItem *item, int n)
{
	MemoryContext old = MemoryContextSwitchTo(sealer->row_context);
	SealHead next = *head;
	SealNodes nodes = {0};
	TzErr err;

	tz_check(tz_chain_header(hasher, &head->hash, head->frontier.size + 1, (uint32_t) n,
	                         TZ_UNIX_US(sealer->sealed_at), &next.hash, &err),
	         &err);
	for (int i = 0; i < n; i++)
	{
		tz_check(tz_chain_link(hasher, &next.hash, &item[i].leaf, &next.hash, &err), &err);
		tz_check(tz_frontier_append(hasher, &next.frontier, &item[i].leaf, keep_node, &nodes, &err), &err);
	}
	write_seal(sealer, &next, &head->hash, item, n);
	for (int i = 0; i < nodes.n; i++)
		write_node(head->platform, &nodes.node[i]);
	*head = next;
	MemoryContextSwitchTo(old);
	MemoryContextReset(sealer->row_context);
	TZ_PAUSE_POINT("seal-row");
}

static TzStatus
keep_node(void *arg, int level, uint64_t index, const TzHash *hash, TzErr *err)
{
	SealNodes *nodes = arg;

	if (level % TZ_MERKLE_KEPT_LEVELS != 0)
		return TZ_OK;
	if (nodes->n == NODES_MAX)
		return tz_err_set(err, TZ_INTERNAL, "a seal completes too many nodes");
	nodes->node[nodes->n].level = level;
	nodes->node[nodes->n].index = index;
	nodes->node[nodes->n].hash = *hash;
	nodes->n++;
	return TZ_OK;
}

/* ---- rows ------------------------------------------------------------------ */

/* Somebody changed the row: nothing can go on from it. */
static void
head_broken(const char *platform)
{
	ereport(ERROR, errcode(ERRCODE_TZ_CHAIN_BROKEN),
	        errmsg("the last seal of platform \"%s\" is not what was written", platform),
	        errdetail("Its hash or its frontier does not have the length that its place says."),
	        errhint("theazo.audit_verify() says what is wrong; restore the row from a backup."));
}

static void
write_seal(TzSealer *sealer, const SealHead *head, const TzHash *prev, const SealItem *item, int n)
{
	static TzAppend seals = {"seal",
	                         11,
	                         {"platform_id", "first_seq", "events", "sealed_at", "prev_hash", "hash",
	                          "min_id", "max_id", "ids", "leaves", "frontier"},
	                         NULL};
	char *ids = palloc(n * TZ_ID_BYTES);
	char *leaves = palloc(n * TZ_HASH_LEN);
	bool nulls[11] = {false};
	Datum values[11];

	for (int i = 0; i < n; i++)
	{
		memcpy(ids + i * TZ_ID_BYTES, item[i].id, TZ_ID_BYTES);
		memcpy(leaves + i * TZ_HASH_LEN, item[i].leaf.bytes, TZ_HASH_LEN);
	}
	values[0] = CStringGetTextDatum(head->platform);
	values[1] = Int64GetDatum((int64) head->frontier.size - n + 1);
	values[2] = Int32GetDatum(n);
	values[3] = TimestampTzGetDatum(sealer->sealed_at);
	values[4] = hash_datum(prev);
	values[5] = hash_datum(&head->hash);
	values[6] = id_datum(item[0].id);
	values[7] = id_datum(item[n - 1].id);
	values[8] = tz_bytea_datum(tz_slice(ids, (size_t) n * TZ_ID_BYTES));
	values[9] = tz_bytea_datum(tz_slice(leaves, (size_t) n * TZ_HASH_LEN));
	values[10] = tz_bytea_datum(tz_frontier_slice(&head->frontier));
	tz_append(&seals, values, nulls);
	/* whoever follows the trail live waits at the platform's bell */
	tz_wake_run_moved_at_commit(head->platform, strlen(head->platform));
}

static void
write_node(const char *platform, const SealNode *node)
{
	static TzAppend nodes = {"tree_node", 4, {"platform_id", "level", "index", "hash"}, NULL};
	bool nulls[4] = {false};
	Datum values[4];

	values[0] = CStringGetTextDatum(platform);
	values[1] = Int16GetDatum((int16) node->level);
	values[2] = Int64GetDatum((int64) node->index);
	values[3] = hash_datum(&node->hash);
	tz_append(&nodes, values, nulls);
}

static Datum
id_datum(const uint8_t id[TZ_ID_BYTES])
{
	char text[TZ_ID_MAX + 1];
	TzErr err;

	tz_check(tz_id_unpack(tz_slice_cstr("evt"), id, text, &err), &err);
	return CStringGetTextDatum(text);
}

static Datum
hash_datum(const TzHash *hash)
{
	return tz_bytea_datum(tz_slice((const char *) hash->bytes, TZ_HASH_LEN));
}
