/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  Taking due effects: theazo_internal.effect_claim and its rows.
 *
 * The claim's commit is the intent: a row says that attempt 3 begins before
 * anything leaves. Rows are copied into malloc'ed memory, because the calls
 * they become live outside transactions and memory contexts. Secrets are opened
 * in the same transaction, so that the event about the opening and the claim
 * commit together; how to open is the caller's, because this layer does not
 * know the vault.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "effect/claim.h"
#include "lib/broker.h"
#include "pg/convert.h"
#include "pg/objects.h"
#include "pg/spi.h"

/* More than effect_secrets ever gives: all of them must be known to be kept out of what comes back. */
#define SECRETS_PER_EFFECT 1024
#define SECRET_BYTES_MAX (64 * 1024)

static TzStmt claim_stmt = {
	"SELECT platform_id, root_id, id, kind, adapter, contract, step, attempt, timeout_ms, deadline,"
	" run_id, session_id, agent_id, sandbox_id, request, content, step_state, endpoint, needs_secrets, refusal"
	" FROM theazo_internal.effect_claim($1, $2, $3, $4 * interval '1 millisecond')",
	4,
	{INT4OID, INT8OID, INT4OID, FLOAT8OID}};

static TzStmt secrets_stmt = {
	"SELECT use, env_name, owner, session_id, name, version, master_key_id, salt, sealed, platform_salt,"
	" hosts, header, username"
	" FROM theazo_internal.effect_secrets($1, $2, $3, $4::jsonb)",
	4,
	{TEXTOID, TEXTOID, TEXTOID, TEXTOID}};

static TzStmt next_due_stmt = {"SELECT theazo_internal.effect_next_due($1, $2) AS due",
                               2,
                               {INT4OID, BOOLOID}};

/* As the statement names them. */
enum
{
	COL_PLATFORM_ID,
	COL_ROOT_ID,
	COL_ID,
	COL_KIND,
	COL_ADAPTER,
	COL_CONTRACT,
	COL_STEP,
	COL_ATTEMPT,
	COL_TIMEOUT_MS,
	COL_DEADLINE,
	COL_RUN_ID,
	COL_SESSION_ID,
	COL_AGENT_ID,
	COL_SANDBOX_ID,
	COL_REQUEST,
	COL_CONTENT,
	COL_STEP_STATE,
	COL_ENDPOINT,
	COL_NEEDS_SECRETS,
	COL_REFUSAL,
	CLAIM_COLUMNS
};

static const Oid claim_types[CLAIM_COLUMNS] = {TEXTOID,  TEXTOID,  TEXTOID,  TEXTOID, TEXTOID,
                                               INT2OID,  INT2OID,  INT4OID,  INT4OID, TIMESTAMPTZOID,
                                               TEXTOID,  TEXTOID,  TEXTOID,  TEXTOID, JSONBOID,
                                               BYTEAOID, JSONBOID, JSONBOID, BOOLOID, JSONBOID};

/* A row of the claim, taken apart once: asking for columns one by one would walk it each time. */
typedef struct ClaimRow
{
	Datum values[CLAIM_COLUMNS];
	bool nulls[CLAIM_COLUMNS];
} ClaimRow;

/* Rows come apart by position, so the types must be what the statement is known to give. */
static void
check_columns(TupleDesc desc)
{
	if (desc->natts != CLAIM_COLUMNS)
		tz_objects_differ("effect_claim() returns %d columns, not %d.", desc->natts, CLAIM_COLUMNS);
	for (int i = 0; i < CLAIM_COLUMNS; i++)
	{
		if (getBaseType(TupleDescAttr(desc, i)->atttypid) != claim_types[i])
			tz_objects_differ("Column %d of effect_claim() is of another type.", i + 1);
	}
}

typedef struct SecretColumns
{
	int use;
	int env_name;
	int owner;
	int session_id;
	int name;
	int version;
	int master_key_id;
	int salt;
	int sealed;
	int platform_salt;
	int hosts;
	int header;
	int username;
} SecretColumns;

static void
secret_columns(SecretColumns *col)
{
	col->use = tz_spi_column("use");
	col->env_name = tz_spi_column("env_name");
	col->owner = tz_spi_column("owner");
	col->session_id = tz_spi_column("session_id");
	col->name = tz_spi_column("name");
	col->version = tz_spi_column("version");
	col->master_key_id = tz_spi_column("master_key_id");
	col->salt = tz_spi_column("salt");
	col->sealed = tz_spi_column("sealed");
	col->platform_salt = tz_spi_column("platform_salt");
	col->hosts = tz_spi_column("hosts");
	col->header = tz_spi_column("header");
	col->username = tz_spi_column("username");
}

static void
out_of_memory(void)
{
	ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
}

/* malloc'ed copy of a text column, NULL when NULL; its length in *len if asked. */
static char *
copy_text(uint64 row, int col, size_t *len)
{
	char *text = tz_spi_text(row, col);
	char *copy;
	size_t n;

	if (len != NULL)
		*len = 0;
	if (text == NULL)
		return NULL;
	n = strlen(text);
	copy = malloc(n + 1);
	if (copy == NULL)
		out_of_memory();
	memcpy(copy, text, n + 1);
	if (len != NULL)
		*len = n;
	pfree(text);
	return copy;
}

/* malloc'ed copy with a NUL behind, which belongs to nobody's length. */
static char *
copy_bytes(const char *data, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy == NULL)
		out_of_memory();
	memcpy(copy, data, len);
	copy[len] = '\0';
	return copy;
}

/* The strings of a row into one block: a claim of a thousand would make ten thousand small ones. */
static void
decode_words(TzClaimed *c, const ClaimRow *row)
{
	const struct
	{
		int col;
		char **out;
	} words[] = {
		{COL_PLATFORM_ID, &c->platform_id},
		{COL_ROOT_ID, &c->root_id},
		{COL_ID, &c->id},
		{COL_KIND, &c->kind},
		{COL_ADAPTER, &c->adapter},
		{COL_RUN_ID, &c->run_id},
		{COL_SESSION_ID, &c->session_id},
		{COL_AGENT_ID, &c->agent_id},
		{COL_SANDBOX_ID, &c->sandbox_id},
	};
	TzSlice found[lengthof(words)];
	size_t size = 0;
	char *at;

	for (size_t i = 0; i < lengthof(words); i++)
	{
		found[i] = tz_slice(NULL, 0);
		if (row->nulls[words[i].col])
			continue;
		found[i] = tz_datum_slice(row->values[words[i].col]);
		size += found[i].len + 1;
	}
	at = c->words = malloc(Max(size, 1));
	if (at == NULL)
		out_of_memory();
	for (size_t i = 0; i < lengthof(words); i++)
	{
		if (found[i].data == NULL)
			continue;
		memcpy(at, found[i].data, found[i].len);
		at[found[i].len] = '\0';
		*words[i].out = at;
		at += found[i].len + 1;
	}
	if (c->platform_id == NULL || c->root_id == NULL || c->id == NULL || c->kind == NULL ||
	    c->adapter == NULL)
		elog(ERROR, "claimed effect lacks its identity");
}

static char *
copy_json(const ClaimRow *row, int col, size_t *len)
{
	char *text;
	char *copy;

	*len = 0;
	if (row->nulls[col])
		return NULL;
	text = DatumGetCString(DirectFunctionCall1(jsonb_out, row->values[col]));
	*len = strlen(text);
	copy = copy_bytes(text, *len);
	pfree(text);
	return copy;
}

/* Calls to one provider come in a row: the text is made, and later parsed, for the first of them. */
static void
decode_endpoint(TzClaimed *c, const ClaimRow *row, const TzClaimed *before, TzSlice *last)
{
	TzSlice raw = tz_slice(NULL, 0);
	char *text;
	size_t len;

	if (!row->nulls[COL_ENDPOINT])
		raw = tz_datum_slice(row->values[COL_ENDPOINT]);
	if (raw.data == NULL)
		return;
	if (before != NULL && before->endpoint != NULL && last->len == raw.len &&
	    memcmp(last->data, raw.data, raw.len) == 0)
	{
		c->endpoint = before->endpoint;
		c->endpoint->refs++;
		return;
	}
	*last = raw;
	text = DatumGetCString(DirectFunctionCall1(jsonb_out, row->values[COL_ENDPOINT]));
	len = strlen(text);
	c->endpoint = malloc(offsetof(TzEndpointDoc, text) + len + 1);
	if (c->endpoint == NULL)
		out_of_memory();
	c->endpoint->refs = 1;
	c->endpoint->doc = NULL;
	c->endpoint->len = len;
	memcpy(c->endpoint->text, text, len + 1);
	pfree(text);
}

/* What a limit says of a call: sqlstate, message, detail, hint. */
static void
decode_refusal(TzClaimed *c, const ClaimRow *row)
{
	size_t len;
	char *text = copy_json(row, COL_REFUSAL, &len);
	json_t *doc = json_loadb(text, len, 0, NULL);
	const char *sqlstate = json_string_value(json_object_get(doc, "sqlstate"));
	const char *message = json_string_value(json_object_get(doc, "message"));
	const char *detail = json_string_value(json_object_get(doc, "detail"));
	const char *hint = json_string_value(json_object_get(doc, "hint"));

	c->refused = true;
	tz_err_set(&c->refused_err, TZ_REFUSED, "%s", message != NULL ? message : "refused");
	if (detail != NULL)
		tz_err_detail(&c->refused_err, "%s", detail);
	if (hint != NULL)
		tz_err_hint(&c->refused_err, "%s", hint);
	strlcpy(c->refused_sqlstate, sqlstate != NULL ? sqlstate : "TZ202", sizeof(c->refused_sqlstate));
	json_decref(doc);
	free(text);
}

static void
decode_row(TzClaimed *c, const ClaimRow *row, const TzClaimed *before, TzSlice *last)
{
	decode_words(c, row);
	c->attempt = DatumGetInt32(row->values[COL_ATTEMPT]);
	c->deadline = row->nulls[COL_DEADLINE] ? DT_NOEND : DatumGetTimestampTz(row->values[COL_DEADLINE]);
	/* Carried by nobody, so the rest of the row is of no use. */
	if (strcmp(c->adapter, "noop") == 0)
		return;
	c->contract = DatumGetInt16(row->values[COL_CONTRACT]);
	c->step = DatumGetInt16(row->values[COL_STEP]);
	c->timeout_ms = DatumGetInt32(row->values[COL_TIMEOUT_MS]);
	c->request = copy_json(row, COL_REQUEST, &c->request_len);
	c->step_state = copy_json(row, COL_STEP_STATE, &c->step_state_len);
	decode_endpoint(c, row, before, last);
	if (!row->nulls[COL_CONTENT])
	{
		TzSlice content = tz_datum_slice(row->values[COL_CONTENT]);

		c->content = copy_bytes(content.data, content.len);
		c->content_len = content.len;
	}
	if (!row->nulls[COL_REFUSAL])
		decode_refusal(c, row);
}

static void
secret_failed(TzClaimed *c, int sqlstate)
{
	c->secret_failed = true;
	strlcpy(c->secret_sqlstate, unpack_sql_state(sqlstate), sizeof(c->secret_sqlstate));
}

/* What is wrong with a managed account is for the operator, who reads the server log. */
static void
operators_secret_failed(TzClaimed *c)
{
	ereport(LOG,
	        (errmsg("theazo: a secret of a managed provider cannot be opened: %s", c->secret_err.message),
	         c->secret_err.detail[0] != '\0' ? errdetail("%s", c->secret_err.detail) : 0,
	         c->secret_err.hint[0] != '\0' ? errhint("%s", c->secret_err.hint) : 0));
	tz_err_clear(&c->secret_err);
	tz_err_set(&c->secret_err, TZ_CRYPTO, "the credential of the managed provider cannot be opened");
	tz_err_hint(&c->secret_err, "The operator finds the reason in the server log.");
}

/* The elements of a text[] column as malloc'ed strings, NULL-terminated; NULL when NULL or empty. */
static char **
copy_texts(uint64 row, int col)
{
	bool isnull;
	Datum value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, col, &isnull);
	Datum *elements;
	char **list;
	int n;

	if (isnull)
		return NULL;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &n);
	if (n == 0)
		return NULL;
	list = calloc((size_t) n + 1, sizeof(char *));
	for (int i = 0; list != NULL && i < n; i++)
	{
		list[i] = strdup(TextDatumGetCString(elements[i]));
		if (list[i] == NULL)
			out_of_memory();
	}
	if (list == NULL)
		out_of_memory();
	return list;
}

/* A row without a value stands for its placeholder. */
static TzStatus
placeholder_value(TzClaimedSecret *s)
{
	tz_buf_append_cstr(&s->value, TZ_PLACEHOLDER_PREFIX);
	return tz_buf_append_cstr(&s->value, s->env_name != NULL ? s->env_name : "");
}

/* One row of effect_secrets, opened into the claim. */
static void
open_secret(TzClaimed *c, uint64 row, const SecretColumns *col, TzSecretOpen open)
{
	TzClaimedSecret *s = &c->secrets[c->nsecrets];
	int sqlstate = ERRCODE_INTERNAL_ERROR;
	TzSealedSecret sealed = {
		.platform_id = tz_spi_text(row, col->owner),
		.session_id = tz_spi_text(row, col->session_id),
		.name = tz_spi_text(row, col->name),
		.version = tz_spi_int32(row, col->version, 0),
		.master_key_id = tz_spi_text(row, col->master_key_id),
		.platform_salt = tz_spi_bytea(row, col->platform_salt),
		.salt = tz_spi_bytea(row, col->salt),
		.sealed = tz_spi_bytea(row, col->sealed),
	};

	if (sealed.session_id == NULL)
		sealed.session_id = "";
	c->nsecrets++;
	tz_buf_init_secret(&s->value, SECRET_BYTES_MAX);
	s->use = copy_text(row, col->use, NULL);
	s->name = copy_text(row, col->name, NULL);
	s->env_name = copy_text(row, col->env_name, NULL);
	s->hosts = copy_texts(row, col->hosts);
	s->header = copy_text(row, col->header, NULL);
	s->username = copy_text(row, col->username, NULL);
	if (s->use == NULL || s->name == NULL || sealed.platform_id == NULL)
		elog(ERROR, "secret of an effect lacks its identity");
	if (sealed.sealed.data == NULL)
	{
		if (placeholder_value(s) != TZ_OK)
			out_of_memory();
		return;
	}
	s->sealed = true;
	s->operators = strcmp(sealed.platform_id, c->platform_id) != 0;
	if (open(&sealed, &s->value, &sqlstate, &c->secret_err) != TZ_OK)
	{
		if (s->operators)
			operators_secret_failed(c);
		secret_failed(c, sqlstate);
	}
}

static void
open_secrets(TzClaimed *c, TzSecretOpen open)
{
	Datum values[4] = {0};
	bool nulls[4] = {false, false, false, c->endpoint == NULL};
	SPITupleTable *mine;
	SecretColumns col;
	uint64 n;

	values[0] = CStringGetTextDatum(c->platform_id);
	values[1] = CStringGetTextDatum(c->root_id);
	values[2] = CStringGetTextDatum(c->id);
	if (c->endpoint != NULL)
		values[3] = CStringGetTextDatum(c->endpoint->text);
	n = tz_spi_exec(&secrets_stmt, values, nulls, SECRETS_PER_EFFECT);
	mine = SPI_tuptable;
	if (n > 0)
	{
		c->secrets = calloc(n, sizeof(TzClaimedSecret));
		if (c->secrets == NULL)
			out_of_memory();
		secret_columns(&col);
		for (uint64 i = 0; i < n && !c->secret_failed; i++)
			open_secret(c, i, &col, open);
	}
	SPI_freetuptable(mine);
}

/* The same, and what throws becomes the claim's failure. */
static void
open_secrets_careful(TzClaimed *c, TzSecretOpen open)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		open_secrets(c, open);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *e;

		MemoryContextSwitchTo(context);
		e = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		tz_err_set(&c->secret_err, TZ_INTERNAL, "%s", e->message != NULL ? e->message : "");
		if (e->detail != NULL)
			tz_err_detail(&c->secret_err, "%s", e->detail);
		if (e->hint != NULL)
			tz_err_hint(&c->secret_err, "%s", e->hint);
		secret_failed(c, e->sqlerrcode);
		FreeErrorData(e);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

/* What was opened for one delivery to a webhook serves the next one of the same claim; nothing of it is the delivery's own. */
static bool
same_secrets(const TzClaimed *c, const TzClaimed *before)
{
	return before != NULL && before->endpoint != NULL && before->endpoint == c->endpoint &&
	       !before->secret_failed && strcmp(c->adapter, "webhook_out") == 0 &&
	       strcmp(before->adapter, "webhook_out") == 0;
}

static void
copy_secrets(TzClaimed *c, const TzClaimed *from)
{
	c->secrets = calloc(Max(from->nsecrets, 1), sizeof(TzClaimedSecret));
	if (c->secrets == NULL)
		out_of_memory();
	for (int i = 0; i < from->nsecrets; i++)
	{
		TzClaimedSecret *s = &c->secrets[c->nsecrets++];

		tz_buf_init_secret(&s->value, SECRET_BYTES_MAX);
		s->sealed = from->secrets[i].sealed;
		s->operators = from->secrets[i].operators;
		s->use = strdup(from->secrets[i].use);
		s->name = strdup(from->secrets[i].name);
		if (s->use == NULL || s->name == NULL ||
		    tz_buf_append(&s->value, from->secrets[i].value.data, from->secrets[i].value.len) != TZ_OK)
			out_of_memory();
	}
}

int
tz_effect_claim(int slot, int64 incarnation, int max, int64 lease_ms, bool careful, TzSecretOpen open,
                TzClaimed **list)
{
	Datum values[4];
	ClaimRow row;
	TzSlice last = tz_slice(NULL, 0);
	TzClaimed *before = NULL;
	TzClaimed **tail = list;
	TzClaimed *c;
	TzClaimed **first;
	uint64 n;
	bool *needs;

	values[0] = Int32GetDatum(slot);
	values[1] = Int64GetDatum(incarnation);
	values[2] = Int32GetDatum(max);
	values[3] = Float8GetDatum((double) lease_ms);
	n = tz_spi_exec(&claim_stmt, values, NULL, 0);
	if (n == 0)
		return 0;
	while (*tail != NULL)
		tail = &(*tail)->next;
	first = tail;
	needs = palloc(n * sizeof(bool));
	check_columns(SPI_tuptable->tupdesc);
	for (uint64 i = 0; i < n; i++)
	{
		c = calloc(1, sizeof(TzClaimed));
		if (c == NULL)
			out_of_memory();
		*tail = c;
		tail = &c->next;
		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, row.values, row.nulls);
		decode_row(c, &row, before, &last);
		if (c->endpoint != NULL)
			before = c;
		needs[i] =
			!c->refused && !row.nulls[COL_NEEDS_SECRETS] && DatumGetBool(row.values[COL_NEEDS_SECRETS]);
	}
	/* Only now: each call below replaces the result that the rows were read from. */
	before = NULL;
	c = *first;
	for (uint64 i = 0; i < n; before = c, c = c->next, i++)
	{
		if (!needs[i])
			continue;
		if (same_secrets(c, before))
			copy_secrets(c, before);
		else if (careful)
			open_secrets_careful(c, open);
		else
			open_secrets(c, open);
	}
	return (int) n;
}

TimestampTz
tz_effect_next_due(int slot, bool programs)
{
	Datum values[2];

	values[0] = Int32GetDatum(slot);
	values[1] = BoolGetDatum(programs);
	if (tz_spi_exec(&next_due_stmt, values, NULL, 1) == 0)
		return DT_NOEND;
	return tz_spi_timestamptz(0, tz_spi_column("due"), DT_NOEND);
}

void
tz_claimed_wipe(TzClaimed *c)
{
	for (int i = 0; i < c->nsecrets; i++)
	{
		TzClaimedSecret *s = &c->secrets[i];

		for (char **host = s->hosts; host != NULL && *host != NULL; host++)
			free(*host);
		free(s->hosts);
		free(s->use);
		free(s->name);
		free(s->env_name);
		free(s->header);
		free(s->username);
		tz_buf_wipe(&s->value);
	}
	free(c->secrets);
	c->secrets = NULL;
	c->nsecrets = 0;
}

void
tz_claimed_free(TzClaimed *c)
{
	if (c == NULL)
		return;
	tz_claimed_wipe(c);
	free(c->words);
	free(c->request);
	free(c->step_state);
	if (c->endpoint != NULL && --c->endpoint->refs == 0)
	{
		json_decref(c->endpoint->doc);
		free(c->endpoint);
	}
	free(c->content);
	free(c);
}

void
tz_claimed_free_list(TzClaimed **list)
{
	while (*list != NULL)
	{
		TzClaimed *c = *list;

		*list = c->next;
		tz_claimed_free(c);
	}
}
