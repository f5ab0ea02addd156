/*-------------------------------------------------------------------------
 *
 * flow_note.c
 *	  Labels of what a process has read in the name of a run.
 *
 * A function that a model called may look at other runs and at what agents keep. Its
 * transaction may be read only, and what it has read it can tell in an error as well;
 * so what it has read is no row, but stands beside its answer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "gate/flow_note.h"
#include "lib/buf.h"
#include "pg/convert.h"
#include "pg/export.h"

static char *notes = NULL;

static bool is_noted(TzSlice label);

void
tz_flow_note_at(char *place)
{
	notes = place;
}

/* flow_note(labels): nothing where no run's function works */
THEAZO_FUNCTION(theazo_flow_note)
{
	Datum *values;
	bool *nulls;
	int n;

	if (notes == NULL)
		PG_RETURN_VOID();
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		TzSlice label = nulls[i] ? tz_slice("", 0) : tz_datum_slice(values[i]);
		size_t used = strlen(notes);

		if (label.len == 0 || is_noted(label))
			continue;
		/* what cannot be noted is not read */
		if (used + label.len + 2 > TZ_FLOW_NOTE_BYTES)
			ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			        errmsg("too many labels have been read at once"),
			        errhint("Use fewer labels for sources of data."));
		memcpy(notes + used, label.data, label.len);
		notes[used + label.len + 1] = '\0';
		notes[used + label.len] = '\n';
	}
	PG_RETURN_VOID();
}

/* flow_noted(): labels noted so far */
THEAZO_FUNCTION(theazo_flow_noted)
{
	Datum *labels = palloc((TZ_FLOW_NOTE_BYTES / 2) * sizeof(Datum));
	int n = 0;

	for (const char *p = notes; p != NULL && *p != '\0'; p = strchr(p, '\n') + 1)
		labels[n++] = tz_text_datum(tz_slice(p, (size_t) (strchr(p, '\n') - p)));
	PG_RETURN_ARRAYTYPE_P(construct_array(labels, n, TEXTOID, -1, false, TYPALIGN_INT));
}

static bool
is_noted(TzSlice label)
{
	for (const char *p = notes; *p != '\0'; p = strchr(p, '\n') + 1)
		if (tz_slice_eq(tz_slice(p, (size_t) (strchr(p, '\n') - p)), label))
			return true;
	return false;
}
