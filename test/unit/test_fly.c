/* fly*.c: each operation from its first request to its end, and what may come in between. */
#include "tz_test.h"

#include "lib_walk.h"
#include "lib/sign.h"

#define API "https://api.machines.dev/v1/apps/boxes/machines"
#define M API "/m1"
#define APP "{\"app\":\"boxes\"}"
#define BOX "{\"sandbox\":\"m1\"}"
#define STATE(s) "{\"id\":\"m1\",\"state\":\"" s "\",\"region\":\"ams\",\"name\":\"n\"}"
#define TAGGED                                                                                    \
	"[{\"id\":\"m0\",\"state\":\"started\",\"config\":{\"metadata\":{\"theazo.id\":\"sbx_2\"}}}," \
	"{\"id\":\"m1\",\"state\":\"created\",\"config\":{\"metadata\":{\"theazo.id\":\"sbx_1\"}}}]"
#define NEW "{\"tag\":\"sbx_1\",\"instance\":\"i\",\"runtime\":\"python\",\"lifetime_s\":90}"
#define WAIT M "/wait?state=started&timeout=20"
#define SUSPENDED M "/wait?state=suspended&timeout=20"
#define OK "{\"ok\":true}"
#define EXEC "{\"sandbox\":\"m1\",\"language\":\"sh\",\"code\":\"true\",\"timeout_ms\":5000}"
#define SAYS(text) "{\"stdout\":\"" text "\"}"
#define DONE SAYS("\\n@theazo eff_1 done 0 1 4 0\\nb3V0Cg==\\n@\\n@\\n@end\\n")
#define RUNNING SAYS("\\n@theazo eff_1 running 0 0 4 0\\nb3V0Cg==\\n@\\n@\\n@end\\n")
#define STOPPED SAYS("\\n@theazo stopped\\n")
#define MADE \
	"{\"sandbox\":\"m1\",\"isolation\":\"microvm\",\"metadata\":{\"region\":\"ams\",\"name\":\"n\"},\"policy\":{\"network\":true}}"

static void
test_create(void **arg)
{
	(void) arg;
	/* a created machine is none yet; a wait that ends in vain is looked at; what is asked for stands in the body */
	walk(&(Walk){"fly", "create", NEW, APP, .verdict = TZ_V_DONE, .result = MADE,
	             .steps = {{"POST " API, "\"auto_destroy\":true", 200, STATE("created")},
	                       {"GET " WAIT, NULL, 408, "{\"error\":\"deadline\"}"},
	                       {"GET " M, NULL, 200, STATE("starting")},
	                       {"GET " WAIT, NULL, 200, OK},
	                       {"GET " M, NULL, 200, STATE("started")}}});
	walk(&(Walk){"fly", "create", "{\"tag\":\"sbx_1\",\"region\":\"fra\"}",
	             "{\"app\":\"boxes\",\"region\":\"ams\"}", .verdict = TZ_V_NEXT,
	             .steps = {{"POST " API, "\"region\":\"fra\"", 200, STATE("created")}}});
	walk(&(Walk){"fly", "create", "{\"tag\":\"sbx_1\"}", "{\"app\":\"boxes\",\"region\":\"ams\"}",
	             .verdict = TZ_V_NEXT,
	             .steps = {{"POST " API, "\"region\":\"ams\"", 200, STATE("created")}}});
	walk(&(Walk){"fly", "create", NEW, APP, .verdict = TZ_V_NEXT,
	             .steps = {{"POST " API, "[\"/bin/sleep\",\"90\"]", 200, STATE("created")}}});
	/* started, and stopped since: it is not left behind */
	walk(&(Walk){"fly", "create", NEW, APP, .verdict = TZ_V_FAILED, .error = "does not stay started",
	             .steps = {{"POST " API, NULL, 200, STATE("created")},
	                       {"GET " WAIT, NULL, 200, OK},
	                       {"GET " M, NULL, 200, STATE("stopped")},
	                       {"DELETE " M "?force=true", NULL, 409,
	                        "{\"error\":\"lease held\",\"status\":\"unknown\"}"},
	                       {"DELETE " M "?force=true", NULL, 200, OK}}});
}

static void
test_lost(void **arg)
{
	(void) arg;
	/* nobody heard the answer, or the name is taken: looked for by our id before anything is made again */
	static const struct
	{
		int status;
		const char *body;
	} answers[] = {{0, NULL},        {500, "oops"},
	               {502, "<html>"},  {409, "{\"error\":\"name is already taken\",\"status\":\"name_taken\"}"},
	               {200, "garbage"}, {200, "{}"}};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		walk(&(Walk){"fly", "create", NEW, APP, .verdict = TZ_V_DONE, .result = MADE,
		             .steps = {{"POST " API, NULL, answers[i].status, answers[i].body, .lost = TZ_TIMEOUT},
		                       {"GET " API "?metadata.theazo.id=sbx_1", NULL, 200, TAGGED},
		                       {"GET " WAIT, NULL, 200, OK},
		                       {"GET " M, NULL, 200, STATE("started")}}});
	walk(&(Walk){"fly", "create", NEW, APP, .state = "{\"reconcile\":true}", .verdict = TZ_V_DONE,
	             .result = MADE,
	             .steps = {{"GET " API "?metadata.theazo.id=sbx_1", NULL, 200, "[]"},
	                       {"GET " API "?metadata.theazo.id=sbx_1", NULL, 200, "[]"},
	                       {"GET " API "?metadata.theazo.id=sbx_1", NULL, 200, "[]"},
	                       {"POST " API, NULL, 200, STATE("created")},
	                       {"GET " WAIT, NULL, 200, OK},
	                       {"GET " M, NULL, 200, STATE("started")}}});
	/* no room: nothing was made, and nothing is sent again; both forms of errors are told */
	walk(&(Walk){"fly", "create", NEW, APP, .verdict = TZ_V_FAILED,
	             .steps = {{"POST " API, NULL, 422,
	                        "{\"status\":\"error\",\"message\":\"invalid config.guest\"}"},
	                       {"GET " API "?metadata.theazo.id=sbx_1", NULL, 200, "[]"},
	                       {"GET " API "?metadata.theazo.id=sbx_1", NULL, 200, "[]"},
	                       {"GET " API "?metadata.theazo.id=sbx_1", NULL, 200, "[]"}}});
	/* one request a second is what it takes */
	walk(&(Walk){"fly", "create", NEW, APP, .verdict = TZ_V_NEXT,
	             .steps = {{"POST " API, NULL, 429, "{\"error\":\"rate limit\"}", .wait_ms = 1500},
	                       {"POST " API, NULL, 200, STATE("created")}}});
}

static void
test_exec(void **arg)
{
	const char *told;

	(void) arg;

	/* twice looked at; what leads to it is seen by who follows */
	told = walk(&(Walk){
		"fly", "exec", "{\"sandbox\":\"m1\",\"language\":\"sh\",\"code\":\"true\",\"stream\":true}", APP,
		.streamed = true, .verdict = TZ_V_DONE,
		.result =
			"{\"stdout\":\"out\\n\",\"stderr\":\"\",\"exit_code\":0,\"truncated\":false,\"timed_out\":false}",
		.steps = {{"POST " M "/exec", "THEAZO_HELD", 200, RUNNING, .wait_ms = 1000},
	              {"POST " M "/exec", NULL, 200, DONE}}});
	assert_string_equal(told, "out:out\n|out:out\n|");
	/* asleep, or its guest is not reached: looked at, woken, asked again under the same name */
	walk(&(Walk){"fly", "exec", EXEC, APP, .verdict = TZ_V_DONE,
	             .steps = {{"POST " M "/exec", NULL, 412,
	                        "{\"error\":\"machine not running\",\"status\":\"unknown\"}"},
	                       {"GET " M, NULL, 200, STATE("suspended")},
	                       {"POST " M "/start", NULL, 200,
	                        "{\"previous_state\":\"suspended\",\"migrated\":false,\"new_host\":\"\"}"},
	                       {"GET " WAIT, NULL, 200, OK},
	                       {"GET " M, NULL, 200, STATE("started")},
	                       {"POST " M "/exec", "eff_1", 200, DONE}}});
	walk(&(Walk){"fly", "exec", EXEC, APP, .verdict = TZ_V_DONE,
	             .steps = {{"POST " M "/exec", NULL, 408, "{\"error\":\"deadline_exceeded\"}"},
	                       {"GET " M, NULL, 200, STATE("started")},
	                       {"POST " M "/exec", NULL, 429, "{\"error\":\"slow down\"}", .wait_ms = 1500},
	                       {"POST " M "/exec", NULL, 200, DONE}}});
	/* a cold start, or a fresh disk: the job is gone */
	walk(&(Walk){"fly", "exec", EXEC, APP, .verdict = TZ_V_FAILED, .error = "stopped from outside",
	             .steps = {{"POST " M "/exec", NULL, 200, RUNNING},
	                       {"POST " M "/exec", NULL, 200,
	                        SAYS("\\n@theazo eff_1 lost 0 0 4 0\\n@\\n@\\n@end\\n")}}});
	walk(&(Walk){"fly", "exec", EXEC, APP, .verdict = TZ_V_FAILED, .error = "stopped from outside",
	             .steps = {{"POST " M "/exec", NULL, 200, RUNNING},
	                       {"POST " M "/exec", NULL, 200,
	                        SAYS("\\n@theazo eff_1 none 0 0 0 0\\n@\\n@\\n@end\\n")}}});
	walk(&(Walk){"fly", "exec", EXEC, APP, .verdict = TZ_V_FAILED, .status = TZ_GONE,
	             .steps = {{"POST " M "/exec", NULL, 404, "{\"error\":\"machine not found\"}"},
	                       {"GET " M, NULL, 404, "{\"error\":\"machine not found\"}"}}});
	walk(&(
		Walk){"fly", "exec", EXEC, APP, .verdict = TZ_V_FAILED, .error = "shell did not report",
	          .steps = {{"POST " M "/exec", NULL, 200, "{\"exit_code\":127,\"stderr\":\"sh: not found\"}"}}});
}

static void
test_stop(void **arg)
{
	static const char stop[] = "{\"sandbox\":\"m1\",\"exec\":\"eff_9\"}";

	(void) arg;

	walk(&(Walk){"fly", "stop", stop, APP, .verdict = TZ_V_DONE, .result = "{}",
	             .steps = {{"POST " M "/exec", "eff_9", 200, STOPPED}}});
	/* what sleeps is not woken for it */
	walk(&(Walk){"fly", "stop", stop, APP, .verdict = TZ_V_DONE,
	             .steps = {{"POST " M "/exec", NULL, 412, "{\"error\":\"not running\"}"},
	                       {"GET " M, NULL, 200, STATE("suspended")}}});
	walk(&(Walk){"fly", "stop", stop, APP, .verdict = TZ_V_DONE,
	             .steps = {{"POST " M "/exec", NULL, 404, "{\"error\":\"not found\"}"},
	                       {"GET " M, NULL, 404, "{}"}}});
	walk(&(Walk){"fly", "stop", stop, APP, .verdict = TZ_V_FAILED,
	             .steps = {{"POST " M "/exec", NULL, 200, "{}"}}});
}

static void
test_moves(void **arg)
{
	(void) arg;
	/* what was given secrets ends first */
	walk(&(Walk){"fly", "pause", BOX, APP, .verdict = TZ_V_DONE,
	             .result = "{\"snapshot\":\"m1\",\"supported\":true}",
	             .steps = {{"POST " M "/exec", "THEAZO_HELD", 200, STOPPED},
	                       {"POST " M "/suspend", NULL, 200, OK},
	                       {"GET " SUSPENDED, NULL, 200, OK},
	                       {"GET " M, NULL, 200, STATE("suspended")}}});
	/* it is tried again, but not for ever; a lease of somebody else's is waited for */
	walk(&(Walk){"fly", "pause", BOX, APP, .verdict = TZ_V_DONE,
	             .steps = {{"POST " M "/exec", NULL, 500, "{\"error\":\"oops\"}", .wait_ms = 1000},
	                       {"POST " M "/exec", NULL, 200, "{}"},
	                       {"POST " M "/exec", NULL, 429, "{}"},
	                       {"POST " M "/suspend", NULL, 409, "{\"error\":\"machine has an active lease\"}"},
	                       {"GET " M, NULL, 200, STATE("started")},
	                       {"POST " M "/suspend", NULL, 200, OK},
	                       {"GET " SUSPENDED, NULL, 200, OK},
	                       {"GET " M, NULL, 200, STATE("suspended")}}});
	walk(&(Walk){"fly", "pause", BOX, APP, .verdict = TZ_V_DONE,
	             .steps = {{"POST " M "/exec", NULL, 412, "{\"error\":\"not running\"}"},
	                       {"POST " M "/suspend", NULL, 412, "{\"error\":\"not started\"}"},
	                       {"GET " M, NULL, 200, STATE("suspended")}}});
	walk(&(Walk){"fly", "resume", BOX, APP, .verdict = TZ_V_DONE, .result = "{\"sandbox\":\"m1\"}",
	             .steps = {{"POST " M "/start", NULL, 409, "{\"error\":\"lease\"}"},
	                       {"GET " M, NULL, 200, STATE("suspended")},
	                       {"POST " M "/start", NULL, 200, OK},
	                       {"GET " WAIT, NULL, 200, OK},
	                       {"GET " M, NULL, 200, STATE("started")}}});
	walk(&(Walk){"fly", "resume", BOX, APP, .verdict = TZ_V_FAILED, .status = TZ_GONE,
	             .steps = {{"POST " M "/start", NULL, 404, "{}"}}});
	walk(&(Walk){"fly", "destroy", BOX, APP, .verdict = TZ_V_DONE, .result = "{}",
	             .steps = {{"DELETE " M "?force=true", NULL, 409, "{\"error\":\"lease\"}"},
	                       {"DELETE " M "?force=true", NULL, 200, OK},
	                       {"GET " M, NULL, 200, STATE("destroying")},
	                       {"GET " M, NULL, 404, "{}"}}});
	walk(&(Walk){"fly", "destroy", BOX, APP, .verdict = TZ_V_DONE,
	             .steps = {{"DELETE " M "?force=true", NULL, 404, "{}"}}});
}

static void
test_work(void **arg)
{
	(void) arg;
	walk(&(Walk){"fly", "read", "{\"sandbox\":\"m1\",\"path\":\"/a\"}", APP, .verdict = TZ_V_DONE,
	             .result = "{\"size\":4}",
	             .steps = {{"POST " M "/exec", "./a", 200, SAYS("@theazo file 4\\nb3V0\\nCg==\\n@end\\n")}}});
	walk(&(Walk){"fly", "read", "{\"sandbox\":\"m1\",\"path\":\"a\",\"max_bytes\":3}", APP,
	             .verdict = TZ_V_FAILED, .status = TZ_TOO_LARGE,
	             .steps = {{"POST " M "/exec", NULL, 200, SAYS("@theazo file 4\\nb3V0Cg==\\n@end\\n")}}});
	walk(&(Walk){"fly", "read", "{\"sandbox\":\"m1\",\"path\":\"a\"}", APP, .verdict = TZ_V_FAILED,
	             .status = TZ_NOT_FOUND, .steps = {{"POST " M "/exec", NULL, 200, SAYS("@theazo none\\n")}}});
	walk(&(Walk){"fly", "write", "{\"sandbox\":\"m1\",\"path\":\"it's\"}", APP, .content = {"out\n", 4},
	             .verdict = TZ_V_DONE,
	             .steps = {{"POST " M "/exec", "b3V0Cg==", 200, SAYS("@theazo written\\n")}}});
	walk(&(Walk){"fly", "write", "{\"sandbox\":\"m1\",\"path\":\"a\"}", APP, .verdict = TZ_V_FAILED,
	             .error = "could not be written",
	             .steps = {{"POST " M "/exec", NULL, 200, SAYS("@theazo unwritten\\n")}}});
	walk(&(Walk){
		"fly", "list", "{\"sandbox\":\"m1\",\"dir\":\"/\"}", APP, .verdict = TZ_V_DONE,
		.result =
			"{\"entries\":[{\"name\":\"out\\n\",\"size\":7,\"is_dir\":false},{\"name\":\"d\",\"size\":0,\"is_dir\":true}]}",
		.steps = {{"POST " M "/exec", NULL, 200, SAYS("@theazo list\\n7 b3V0Cg==\\nd ZA==\\n@end\\n")}}});
	walk(&(Walk){"fly", "metrics", BOX, APP, .verdict = TZ_V_DONE,
	             .result = "{\"cpu_percent\":50.0,\"memory_mb\":1.0,\"disk_mb\":2.0}",
	             .steps = {
					 {"POST " M "/exec", NULL, 200, SAYS("@theazo metrics 100 100 150 150 1024 2048\\n")}}});
	walk(&(Walk){"fly", "metrics", BOX, APP, .verdict = TZ_V_FAILED,
	             .steps = {{"POST " M "/exec", NULL, 200, SAYS("@theazo metrics 1 2\\n")}}});
	walk(&(Walk){
		"fly", "sweep", "{\"instance\":\"i\"}", APP, .verdict = TZ_V_DONE,
		.result =
			"{\"sandboxes\":[{\"sandbox\":\"m0\",\"tag\":\"sbx_2\"},{\"sandbox\":\"m1\",\"tag\":\"sbx_1\"}],\"complete\":true}",
		.steps = {{"GET " API "?metadata.theazo.instance=i", NULL, 200, TAGGED}}});
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create), cmocka_unit_test(test_lost),  cmocka_unit_test(test_exec),
		cmocka_unit_test(test_stop),   cmocka_unit_test(test_moves), cmocka_unit_test(test_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
