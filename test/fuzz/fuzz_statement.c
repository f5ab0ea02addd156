/* fuzz_statement.c: whatever is given as a statement is judged within bounds, and nothing holds that a given key did not sign */
#include <stdlib.h>
#include <string.h>

#include "verify/statement.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static TzTrust nothing;
	static TzTrust ours;
	static const TzStatementAsk none;
	static const TzStatementAsk file = {.file = {{"helper_sha256", {1}}}, .nfiles = 1};
	static const TzStatementAsk provider = {.has_provider_key = true, .provider_key = {1}};
	TzStatementFinding finding;
	TzBuf out;
	TzErr err;

	if (ours.nkeys == 0)
	{
		ours.nkeys = 1;
		memset(ours.key[0].key, 1, TZ_ED25519_LEN);
	}
	if (tz_statement_check(tz_slice((const char *) data, size), &ours, &none, &finding, &err) == TZ_OK &&
	    finding.fine)
		abort();
	if (tz_statement_check(tz_slice((const char *) data, size), &nothing, &file, &finding, &err) == TZ_OK &&
	    finding.fine)
		abort();
	if (tz_statement_check(tz_slice((const char *) data, size), &nothing, &provider, &finding, &err) ==
	        TZ_OK &&
	    finding.fine)
		abort();
	if (tz_statement_check(tz_slice((const char *) data, size), &nothing, &none, &finding, &err) == TZ_OK)
	{
		tz_buf_init(&out, 4096);
		if (tz_statement_report(&finding, true, &out) != TZ_OK ||
		    tz_statement_report(&finding, false, &out) != TZ_OK)
			abort();
		tz_buf_free(&out);
	}
	return 0;
}
