/* Answers of Fly, and what commands in its machines print: see compute.h. */
#include "compute.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const states[] = {
		"{}",
		"{\"phase\":\"look\",\"why\":\"w\",\"said\":\"s\",\"empty\":1}",
		"{\"phase\":\"wait\",\"id\":\"m1\",\"goal\":\"started\",\"since\":1699999999000}",
		"{\"phase\":\"check\",\"id\":\"m1\",\"goal\":\"started\",\"since\":1}",
		"{\"phase\":\"check\",\"checks\":3,\"asked\":true}",
		"{\"phase\":\"watch\",\"job\":1,\"begun\":1699999999000,\"looks\":2}",
		"{\"phase\":\"drop\",\"id\":\"m1\",\"tries\":3}",
		"{\"reconcile\":true}",
	};

	return fuzz_compute(
		"fly",
		"{\"sandbox\":\"m1\",\"tag\":\"sbx_1\",\"max_bytes\":100,\"max_output\":20,\"timeout_ms\":10,\"instance\":\"i\","
		"\"stream\":true,\"exec\":\"eff_2\"}",
		states, sizeof(states) / sizeof(states[0]), data, size);
}
