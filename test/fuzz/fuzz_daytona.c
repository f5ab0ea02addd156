/* Answers of Daytona, of the control plane and of toolboxes: see compute.h. */
#include "compute.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const states[] = {
		"{}",
		"{\"phase\":\"poll\",\"id\":\"s1\",\"since\":1}",
		"{\"phase\":\"look\",\"why\":\"w\",\"said\":\"s\",\"empty\":2,\"taken\":1}",
		"{\"phase\":\"named\",\"refused\":1}",
		"{\"phase\":\"drop\",\"id\":\"s1\",\"why\":\"w\"}",
		"{\"phase\":\"find\",\"trips\":4,\"missing\":1}",
		"{\"phase\":\"work\"}",
		"{\"phase\":\"watch\",\"job\":1,\"looks\":3,\"since\":1699999999000}",
		"{\"phase\":\"clear\",\"then\":\"stop\",\"clears\":2}",
		"{\"phase\":\"sample\"}",
		"{\"phase\":\"shoot\",\"vm\":1}",
		"{\"phase\":\"shot\",\"conflicts\":1}",
		"{\"phase\":\"ttl\"}",
		"{\"phase\":\"sweep\",\"found\":[],\"cursor\":\"c\"}",
		"{\"phase\":\"unlimit\",\"then\":\"pause\"}",
		"{\"reconcile\":true}",
	};

	return fuzz_compute(
		"daytona",
		"{\"sandbox\":\"s1\",\"tag\":\"sbx_1\",\"max_bytes\":100,\"max_output\":20,\"timeout_ms\":10,\"port\":80,"
		"\"snapshot\":\"n\",\"instance\":\"i\",\"stream\":true,\"exec\":\"eff_2\",\"lifetime_s\":60}",
		states, sizeof(states) / sizeof(states[0]), data, size);
}
