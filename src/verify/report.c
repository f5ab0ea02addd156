/*-------------------------------------------------------------------------
 *
 * report.c
 *	  A finding in words, or as one JSON object.
 *
 * Texts of an export are somebody else's: control characters in them never
 * reach a terminal.
 *
 *-------------------------------------------------------------------------
 */
#include "verify/report.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/json.h"

static const char *const verdicts[] = {
	[TZ_VERDICT_FINE] = "fine", [TZ_VERDICT_TAMPERED] = "tampered", [TZ_VERDICT_UNREADABLE] = "unreadable"};

static void report_text(TzBuf *out, const char *text);
static void report_line(TzBuf *out, const char *label, const char *text);
static void report_seen(const TzFinding *f, TzBuf *out);
static void report_covered(const TzFinding *f, TzBuf *out);
static void report_bad(const TzFinding *f, const char *file, TzBuf *out);
static void report_time(int64_t us, char out[40]);
static void set_text(json_t *object, const char *key, const char *text);
static void set_number(json_t *object, const char *key, uint64_t number);

TzStatus
tz_report_text(const TzFinding *f, const char *file, TzBuf *out)
{
	if (f->platform[0] != '\0')
		report_seen(f, out);
	if (f->last_seq > 0)
		report_covered(f, out);
	if (f->verdict != TZ_VERDICT_FINE)
		report_bad(f, file, out);
	report_line(out, "result", verdicts[f->verdict]);
	return out->status;
}

TzStatus
tz_report_json(const TzFinding *f, const char *file, TzBuf *out)
{
	json_t *doc = json_object();
	char at[40];
	TzStatus status;

	set_text(doc, "result", verdicts[f->verdict]);
	set_text(doc, "platform", f->platform);
	set_text(doc, "origin", f->origin);
	set_number(doc, "first_seq", f->first_seq);
	set_number(doc, "last_seq", f->last_seq);
	json_object_set_new(doc, "events", json_integer((json_int_t) f->events));
	json_object_set_new(doc, "leaves_only", json_integer((json_int_t) f->leaves));
	set_number(doc, "signed_seq", f->signed_seq);
	set_text(doc, "signed_by", f->signed_by);
	json_object_set_new(doc, "published_keys", json_boolean(f->published_keys));
	set_number(doc, "anchored_seq", f->anchored_seq);
	set_text(doc, "anchored_by", f->anchored_by);
	report_time(f->anchored_at_us, at);
	set_text(doc, "anchored_at", at);
	set_text(doc, "anchor_tx_hash", f->anchor_tx_hash);
	set_number(doc, "claimed_seq", f->claimed_seq);
	set_number(doc, "kept_seq", f->kept_seq);
	if (f->verdict != TZ_VERDICT_FINE)
	{
		set_text(doc, "bad_table", f->bad_table);
		set_number(doc, "bad_seq", f->bad_seq);
		set_text(doc, "bad_id", f->bad_id);
		set_text(doc, "file", file);
		set_number(doc, "line", f->line);
		set_text(doc, "problem", f->problem);
	}
	status = tz_json_dump(doc, out, NULL);
	json_decref(doc);
	if (status == TZ_OK)
		status = tz_buf_append_byte(out, '\n');
	return status;
}

static void
report_seen(const TzFinding *f, TzBuf *out)
{
	char text[200];

	report_line(out, "platform", f->platform);
	report_line(out, "origin", f->origin);
	if (f->last_seq == 0)
	{
		report_line(out, "events", "none");
		return;
	}
	snprintf(text, sizeof(text), "%llu to %llu (%llu rows, %llu by their leaf hash only)",
	         (unsigned long long) f->first_seq, (unsigned long long) f->last_seq,
	         (unsigned long long) f->events, (unsigned long long) f->leaves);
	report_line(out, "events", text);
}

static void
report_covered(const TzFinding *f, TzBuf *out)
{
	char text[1000];
	char at[40];

	if (f->signed_seq == 0)
		report_line(out, "signed", "nothing");
	else
	{
		snprintf(text, sizeof(text), "up to %llu by %s (%s)", (unsigned long long) f->signed_seq,
		         f->signed_by,
		         f->published_keys ? "a given key" : "a key that the export itself names: give --vkey");
		report_line(out, "signed", text);
	}
	if (f->kept_seq > 0)
	{
		snprintf(text, sizeof(text), "goes on from the kept checkpoint of %llu",
		         (unsigned long long) f->kept_seq);
		report_line(out, "kept", text);
	}
	if (f->anchored_seq > 0)
	{
		report_time(f->anchored_at_us, at);
		snprintf(text, sizeof(text), "up to %llu%s%s by %s", (unsigned long long) f->anchored_seq,
		         at[0] == '\0' ? "" : " at ", at, f->anchored_by);
		report_line(out, "anchored", text);
	}
	else
		report_line(out, "anchored", "nothing that could be checked with what was given");
	if (f->claimed_seq > f->anchored_seq)
	{
		snprintf(text, sizeof(text), "anchors up to %llu that nothing given can check: proves nothing",
		         (unsigned long long) f->claimed_seq);
		report_line(out, "claimed", text);
	}
	if (f->last_seq > f->anchored_seq)
	{
		snprintf(text, sizeof(text), "%llu to %llu: whoever has the signing key could still change these",
		         (unsigned long long) (f->anchored_seq + 1 > f->first_seq ? f->anchored_seq + 1
		                                                                  : f->first_seq),
		         (unsigned long long) f->last_seq);
		report_line(out, "not anchored", text);
	}
}

static void
report_bad(const TzFinding *f, const char *file, TzBuf *out)
{
	char text[1200];

	if (f->verdict == TZ_VERDICT_TAMPERED)
	{
		snprintf(text, sizeof(text), "%s", f->bad_table);
		if (f->bad_seq > 0)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), ", sequence number %llu",
			         (unsigned long long) f->bad_seq);
		if (f->bad_id[0] != '\0')
			snprintf(text + strlen(text), sizeof(text) - strlen(text), ", %s", f->bad_id);
		report_line(out, "first bad row", text);
	}
	report_line(out, "problem", f->problem);
	if (f->line > 0)
	{
		snprintf(text, sizeof(text), "%.900s, line %llu", file, (unsigned long long) f->line);
		report_line(out, "where", text);
	}
}

static void
report_line(TzBuf *out, const char *label, const char *text)
{
	tz_buf_printf(out, "%-15s", label);
	report_text(out, text);
	tz_buf_append_byte(out, '\n');
}

static void
report_text(TzBuf *out, const char *text)
{
	for (const unsigned char *p = (const unsigned char *) text; *p != '\0'; p++)
		tz_buf_append_byte(out, (char) (*p < 0x20 || *p == 0x7f ? '?' : *p));
}

static void
report_time(int64_t us, char out[40])
{
	time_t seconds = (time_t) (us / 1000000);
	struct tm tm;

	out[0] = '\0';
	if (us != INT64_MIN && gmtime_r(&seconds, &tm) != NULL)
		strftime(out, 40, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void
set_text(json_t *object, const char *key, const char *text)
{
	if (text[0] == '\0')
		json_object_set_new(object, key, json_null());
	else
		tz_json_set_text(object, key, tz_slice_cstr(text), NULL);
}

static void
set_number(json_t *object, const char *key, uint64_t number)
{
	json_object_set_new(object, key, number == 0 ? json_null() : json_integer((json_int_t) number));
}
