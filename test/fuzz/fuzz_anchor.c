/*
 * Answers of nodes of a chain and of time-stamp authorities, and lines of files. First byte: which of them and the step,
 * second: status and bits for a transport error; the rest is the body. A verdict is always given; what is done was
 * said by an answer that could only come from a whole walk; a line that is read is written again as it was.
 */
#include "outcome.h"

#include "lib/anchor.h"

static const int statuses[] = {200, 201, 204, 301, 404, 429, 500, 200};

static const char *const steps[] = {"chain", "head",  "count",  "price", "send", "receipt", "known",
                                    "depth", "block", "reread", "look",  "scan", "pending"};

#define HASH "0x2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f"

static void
read_line(const uint8_t *data, size_t size)
{
	TzSlice line = tz_slice((const char *) data, size);
	TzAnchor anchor;
	TzBuf again;

	if (tz_anchor_line_read(line, &anchor, NULL) != TZ_OK)
		return;
	tz_buf_init(&again, TZ_ANCHOR_LINE_MAX);
	must(tz_anchor_line(&anchor, &again, NULL) == TZ_OK);
	if (line.data[line.len - 1] != '\n')
		again.len--;
	must(tz_slice_eq(line, tz_buf_slice(&again)));
	tz_buf_free(&again);
}

static json_t *
state_at(int step)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:s, s:i, s:s, s:i, s:i, s:i}", "phase",
	                 steps[(size_t) step % (sizeof(steps) / sizeof(steps[0]))], "ticket", "eff_1 1", "nonce",
	                 7, "gas_price", 1000, "hash", HASH, "block_number", 5, "block_hash", HASH, "start", 1,
	                 "scan", 2, "missing", 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static json_t *request;
	const TzAdapter *adapter;
	TzEffect effect = {.id = "eff_1", .attempt = 1, .step = 3, .now_ms = INT64_C(1700000000000)};
	TzHttpResponse in;
	TzOutcome out;

	if (size < 2)
		return 0;
	if ((data[0] & 15) == 15)
	{
		read_line(data + 2, size - 2);
		return 0;
	}
	if (request == NULL)
		request =
			json_pack("{s:s, s:i, s:i, s:s, s:i, s:s, s:i, s:s, s:s}", "round", "rnd_1", "at_us", 1, "size",
		              3, "root", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		              "chain_id", 365, "from", "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266", "confirmations",
		              3, "nonce", "0011223344556677", "ca", "");
	adapter = tz_adapter_find((data[0] & 15) == 14 ? "rfc3161" : "evm");
	effect.op = adapter->ops[0];
	effect.request = request;
	effect.state = state_at(data[0] & 15);
	tz_http_response_init(&in, 1024 * 1024);
	in.status = statuses[data[1] & 7];
	if ((data[1] & 0x38) == 0x38)
	{
		tz_err_set(&in.err, (TzStatus) (1 + data[0] % TZ_INTERNAL), "transport");
		in.maybe_sent = (data[1] & 64) != 0;
	}
	tz_buf_append(&in.body, data + 2, size - 2);
	tz_outcome_init(&out, 1000);
	adapter->parse(&effect, &in, &out);
	check_outcome(&out);
	check_named(&out, "phase");
	must(out.verdict != TZ_V_DONE || (data[0] & 15) != 0);
	/* what was sent is never taken for unsent */
	if (effect.state != NULL && out.verdict == TZ_V_RETRY && in.maybe_sent)
		must(strcmp(json_string_value(json_object_get(effect.state, "phase")), "send") != 0 ||
		     adapter->ops[0][0] == 'r');
	tz_outcome_free(&out);
	tz_http_response_free(&in);
	json_decref(effect.state);
	return 0;
}
