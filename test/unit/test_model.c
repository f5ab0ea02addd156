/* model*.c: recorded answers read, whole and streamed. */
#include "tz_test.h"

#include "lib_model.h"

static void
test_anthropic(void **state)
{
	(void) state;
	model_run_file("test/unit/model/anthropic.json");
}

static void
test_chat(void **state)
{
	(void) state;
	model_run_file("test/unit/model/chat.json");
}

static void
test_responses(void **state)
{
	(void) state;
	model_run_file("test/unit/model/responses.json");
}

static void
test_errors(void **state)
{
	(void) state;
	model_run_file("test/unit/model/errors.json");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anthropic),
		cmocka_unit_test(test_chat),
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
