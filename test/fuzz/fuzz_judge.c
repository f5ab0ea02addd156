/*
 * fuzz_judge.c: whatever is given as an export, nothing is said to be signed by a key that nobody has, and
 * what is tampered with or unreadable says why
 */
#include <stdlib.h>
#include <string.h>

#include "verify/judge.h"
#include "verify/report.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const TzFinding *f, bool published)
{
	TzBuf out;

	if (published && (f->signed_seq != 0 || f->anchored_seq != 0))
		abort();
	if (f->signed_seq > f->last_seq || f->anchored_seq > f->signed_seq || f->claimed_seq > f->signed_seq)
		abort();
	if ((f->verdict == TZ_VERDICT_FINE) != (f->problem[0] == '\0'))
		abort();
	tz_buf_init(&out, 1 << 20);
	if (tz_report_text(f, "file", &out) != TZ_OK || tz_report_json(f, "file", &out) != TZ_OK)
		abort();
	tz_buf_free(&out);
}

static void
judge(const uint8_t *data, size_t size, const TzTrust *trust)
{
	const char *at = (const char *) data;
	const char *end = at + size;
	bool more = true;
	TzJudge *j;

	if (tz_judge_new(&j, trust, NULL, NULL, NULL) != TZ_OK)
		abort();
	tz_judge_file(j);
	while (more && at < end)
	{
		const char *feed = memchr(at, '\n', (size_t) (end - at));
		size_t len = feed == NULL ? (size_t) (end - at) : (size_t) (feed - at);

		more = tz_judge_line(j, tz_slice(at, len));
		at += len + 1;
	}
	if (more)
		tz_judge_file_end(j);
	check(tz_judge_end(j), trust->nkeys > 0);
	tz_judge_free(j);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t nobody[TZ_ED25519_LEN] = {0x8a, 0x88, 0xe3, 0xdd, 0x74, 0x09, 0xf1, 0x95,
	                                               0xfd, 0x52, 0xdb, 0x2d, 0x3c, 0xba, 0x5d, 0x73,
	                                               0xca, 0x67, 0x09, 0xbf, 0x1d, 0x94, 0x12, 0x1b,
	                                               0xf3, 0x74, 0x88, 0x01, 0xb4, 0x0f, 0x6f, 0x5c};
	TzTrust trust;
	TzErr err;

	tz_trust_init(&trust);
	if (tz_trust_ready(&trust, &err) != TZ_OK)
		abort();
	judge(data, size, &trust);
	trust.nkeys = 1;
	memcpy(trust.key[0].name, "theazo/x", 8);
	memcpy(trust.key[0].key, nobody, sizeof(nobody));
	judge(data, size, &trust);
	/* the same bytes as what an auditor brings along */
	tz_trust_add_tx(&trust, tz_slice((const char *) data, size), &err);
	tz_trust_add_checkpoint(&trust, tz_slice((const char *) data, size), &err);
	tz_trust_add_line(&trust, tz_slice((const char *) data, size), &err);
	tz_trust_ready(&trust, &err);
	tz_trust_free(&trust);
	return 0;
}
