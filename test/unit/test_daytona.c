/* daytona*.c: each operation from its first request to its end, and what may come in between. */
#include "tz_test.h"

#include "lib_walk.h"

#define API "https://app.daytona.io/api"
#define S API "/sandbox/s1"
#define TOOL "https://proxy.example/toolbox"
#define T TOOL "/s1"
#define EXECUTE "POST " T "/process/execute"
#define BOX "{\"sandbox\":\"s1\"}"
#define STATE_OF(s, kind)                                                                          \
	"{\"id\":\"s1\",\"state\":\"" s "\",\"sandboxClass\":\"" kind "\",\"toolboxProxyUrl\":\"" TOOL \
	"\",\"networkBlockAll\":true,"                                                                 \
	"\"memory\":1,\"disk\":3,\"labels\":{\"theazo.id\":\"sbx_1\"}}"
#define STATE(s) STATE_OF(s, "container")
#define NEW "{\"tag\":\"sbx_1\",\"instance\":\"i\",\"lifetime_s\":61}"
#define LOOK "GET " API "/sandbox?labels=%7B%22theazo.id%22%3A%22sbx_1%22%7D&limit=10"
#define FOUND(s) "{\"items\":[" STATE(s) "],\"nextCursor\":null}"
#define NONE "{\"items\":[],\"nextCursor\":null}"
#define MADE                                                                                                                \
	"{\"sandbox\":\"s1\",\"isolation\":\"container\",\"metadata\":{\"sandboxClass\":\"container\",\"memory\":1,\"disk\":3," \
	"\"networkBlockAll\":true},\"policy\":{\"network\":false,\"memory_mb\":1024,\"disk_mb\":3072}}"
#define EXEC "{\"sandbox\":\"s1\",\"language\":\"sh\",\"code\":\"true\",\"timeout_ms\":5000}"
#define SAYS(text) "{\"exitCode\":0,\"result\":\"" text "\"}"
#define DONE SAYS("\\n@theazo eff_1 done 0 1 4 0\\nb3V0Cg==\\n@\\n@\\n@end\\n")
#define RUNNING SAYS("\\n@theazo eff_1 running 0 0 4 0\\nb3V0Cg==\\n@\\n@\\n@end\\n")
#define STOPPED SAYS("\\n@theazo stopped\\n")
#define SAID(code, text) "{\"statusCode\":" #code ",\"error\":\"x\",\"message\":\"" text "\"}"

static void
test_create(void **arg)
{
	(void) arg;
	/* the state in the answer is that of the moment before, and states nobody knows are none to act on */
	walk(&(Walk){"daytona", "create", NEW, .verdict = TZ_V_DONE, .result = MADE,
	             .steps = {{"POST " API "/sandbox", "\"ttlMinutes\":2", 200, STATE("creating")},
	                       {"GET " S, NULL, 200, STATE("creating")},
	                       {"GET " S, NULL, 200, STATE("polishing"), .wait_ms = 100},
	                       {"GET " S, NULL, 502, "<html>"},
	                       {"GET " S, NULL, 200, STATE("started")}}});
	walk(&(
		Walk){"daytona", "create", "{\"tag\":\"sbx_1\",\"snapshot\":\"theazo-snap-1\"}",
	          "{\"snapshot\":\"py\"}", .verdict = TZ_V_NEXT,
	          .steps = {{"POST " API "/sandbox", "\"snapshot\":\"theazo-snap-1\"", 200, STATE("creating")}}});
	walk(&(Walk){"daytona", "create", "{\"tag\":\"sbx_1\",\"region\":\"eu\"}", "{\"target\":\"us\"}",
	             .verdict = TZ_V_NEXT,
	             .steps = {{"POST " API "/sandbox", "\"target\":\"eu\"", 200, STATE("creating")}}});
	/* held, and failed: 400 without an id, and a row that is left */
	walk(&(Walk){"daytona", "create", NEW, .verdict = TZ_V_FAILED, .error = "answered 400",
	             .steps = {{"POST " API "/sandbox", NULL, 400, SAID(400, "Sandbox failed to start: x")},
	                       {LOOK, NULL, 200, FOUND("error")},
	                       {"DELETE " S, NULL, 500, "oops"},
	                       {"DELETE " S, NULL, 200, STATE("error")}}});
	walk(&(Walk){"daytona", "create", NEW, .verdict = TZ_V_FAILED, .error = "answered 400",
	             .steps = {{"POST " API "/sandbox", NULL, 400, SAID(400, "Total CPU limit exceeded")},
	                       {LOOK, NULL, 200, NONE}}});
	walk(&(Walk){"daytona", "create", NEW, .verdict = TZ_V_FAILED, .error = "failed to start",
	             .steps = {{"POST " API "/sandbox", NULL, 200, STATE("creating")},
	                       {"GET " S, NULL, 200, STATE("error")},
	                       {"DELETE " S, NULL, 404, "{}"}}});
	walk(&(Walk){"daytona", "create", NEW, .verdict = TZ_V_FAILED, .error = "answered 403",
	             .steps = {{"POST " API "/sandbox", NULL, 403, SAID(403, "Region mars")}}});
	/* the time is told in a header of the limit's name */
	walk(&(Walk){"daytona", "create", NEW, .verdict = TZ_V_NEXT,
	             .steps = {{"POST " API "/sandbox", NULL, 429, SAID(429, "slow"),
	                        "Retry-After-sandbox-create: 7", .wait_ms = 7000},
	                       {"POST " API "/sandbox", NULL, 200, STATE("creating"), .wait_ms = 0}}});
}

static void
test_lost(void **arg)
{
	static const struct
	{
		int status;
		const char *body;
	} answers[] = {{0, NULL},        {500, "oops"}, {502, ""},
	               {200, "garbage"}, {200, "{}"},   {409, SAID(409, "name exists")}};

	(void) arg;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		walk(&(Walk){"daytona", "create", NEW, .verdict = TZ_V_DONE, .result = MADE,
		             .steps = {{"POST " API "/sandbox", NULL, answers[i].status, answers[i].body,
		                        .lost = TZ_TIMEOUT},
		                       {LOOK, NULL, 200, FOUND("creating")},
		                       {"GET " S, NULL, 200, STATE("started")}}});
	walk(&(Walk){"daytona", "create", NEW, .state = "{\"reconcile\":true}", .verdict = TZ_V_DONE,
	             .steps = {{LOOK, NULL, 200, NONE},
	                       {LOOK, NULL, 200, NONE},
	                       {LOOK, NULL, 200, NONE},
	                       {"POST " API "/sandbox", NULL, 409, SAID(409, "name exists")},
	                       {LOOK, NULL, 200, NONE},
	                       {"GET " API "/sandbox/theazo-sbx-1", NULL, 200, STATE("started")},
	                       {"GET " S, NULL, 200, STATE("started")}}});
}

static void
test_exec(void **arg)
{
	const char *told;

	(void) arg;
	told = walk(&(Walk){
		"daytona", "exec", "{\"sandbox\":\"s1\",\"language\":\"sh\",\"code\":\"true\",\"stream\":true}",
		.kept = TOOL, .streamed = true, .verdict = TZ_V_DONE,
		.result =
			"{\"stdout\":\"out\\n\",\"stderr\":\"\",\"exit_code\":0,\"truncated\":false,\"timed_out\":false}",
		.steps = {{EXECUTE, NULL, 200, RUNNING}, {EXECUTE, NULL, 200, DONE}}});
	assert_string_equal(told, "out:out\n|out:out\n|");
	/* whoever does not know where its toolbox is asks; one that sleeps is started */
	walk(&(Walk){"daytona", "exec", EXEC, .verdict = TZ_V_DONE,
	             .steps = {{"GET " S, NULL, 200, STATE("stopped")},
	                       {"POST " S "/start", NULL, 200, STATE("stopped")},
	                       {"GET " S, NULL, 200, STATE("starting")},
	                       {"GET " S, NULL, 200, STATE("started")},
	                       {EXECUTE, "eff_1", 200, DONE}}});
	walk(&(Walk){"daytona", "exec", EXEC, .kept = TOOL, .verdict = TZ_V_DONE,
	             .steps = {{EXECUTE, NULL, 400, SAID(400, "no IP address found. Is the Sandbox started?")},
	                       {"GET " S, NULL, 200, STATE("started")},
	                       {EXECUTE, NULL, 502, ""},
	                       {"GET " S, NULL, 200, STATE("started"), .wait_ms = 0},
	                       {EXECUTE, NULL, 408, SAID(408, "command execution timeout")},
	                       {EXECUTE, NULL, 200, DONE}}});
	walk(&(Walk){"daytona", "exec", EXEC, .kept = TOOL, .verdict = TZ_V_FAILED, .status = TZ_GONE,
	             .steps = {{EXECUTE, NULL, 404, SAID(404, "sandbox container not found")},
	                       {"GET " S, NULL, 404, SAID(404, "no")}}});
	walk(&(Walk){"daytona", "exec", EXEC, .kept = TOOL, .verdict = TZ_V_FAILED,
	             .error = "could not be started",
	             .steps = {{EXECUTE, NULL, 200, "{\"exitCode\":-1,\"result\":\"exec /bin/zsh\"}"}}});
	walk(&(Walk){"daytona", "exec", EXEC, .kept = TOOL, .verdict = TZ_V_FAILED,
	             .steps = {{EXECUTE, NULL, 401, SAID(401, "no")}}});
}

static void
test_stop(void **arg)
{
	static const char stop[] = "{\"sandbox\":\"s1\",\"exec\":\"eff_9\"}";

	(void) arg;
	walk(&(Walk){"daytona", "stop", stop, .kept = TOOL, .verdict = TZ_V_DONE, .result = "{}",
	             .steps = {{EXECUTE, "eff_9", 200, STOPPED}}});
	walk(&(Walk){"daytona", "stop", stop, .verdict = TZ_V_DONE, .result = "{}",
	             .steps = {{"GET " S, NULL, 200, STATE("paused")}}});
	walk(&(Walk){"daytona", "stop", stop, .verdict = TZ_V_DONE,
	             .steps = {{"GET " S, NULL, 404, SAID(404, "no")}}});
	walk(&(Walk){"daytona", "stop", stop, .kept = TOOL, .verdict = TZ_V_FAILED,
	             .steps = {{EXECUTE, NULL, 200, SAYS("sh?")}}});
}

static void
test_moves(void **arg)
{
	(void) arg;
	/* a limit would go on counting while it sleeps */
	walk(&(Walk){"daytona", "pause", BOX, .verdict = TZ_V_DONE,
	             .result = "{\"snapshot\":\"s1\",\"supported\":true}",
	             .steps = {{"GET " S, NULL, 200, STATE("started")},
	                       {EXECUTE, "THEAZO_HELD", 200, STOPPED},
	                       {"POST " S "/ttl/0", NULL, 404, SAID(404, "no such path")},
	                       {"POST " S "/stop", NULL, 200, STATE("started")},
	                       {"GET " S, NULL, 200, STATE("stopping")},
	                       {"GET " S, NULL, 200, STATE("stopped")}}});
	/* 422: a class that cannot; 409: in between two states */
	walk(&(Walk){"daytona", "pause", BOX, .verdict = TZ_V_DONE,
	             .steps = {{"GET " S, NULL, 200, STATE_OF("started", "linux-vm")},
	                       {EXECUTE, NULL, 500, "oops"},
	                       {EXECUTE, NULL, 200, STOPPED},
	                       {"POST " S "/ttl/0", NULL, 200, STATE("started")},
	                       {"POST " S "/pause", NULL, 422, SAID(422, "class cannot pause")},
	                       {"POST " S "/stop", NULL, 409, SAID(409, "in progress")},
	                       {"GET " S, NULL, 200, STATE("stopped")}}});
	walk(&(Walk){"daytona", "resume", "{\"sandbox\":\"s1\",\"lifetime_s\":90}", .verdict = TZ_V_DONE,
	             .result = "{\"sandbox\":\"s1\",\"lifetime_s\":120}",
	             .steps = {{"GET " S, NULL, 200, STATE("stopped")},
	                       {"POST " S "/start", NULL, 200, STATE("stopped")},
	                       {"GET " S, NULL, 200, STATE("started")},
	                       {"POST " S "/ttl/2", NULL, 200, STATE("started")}}});
	walk(&(Walk){"daytona", "resume", BOX, .verdict = TZ_V_DONE, .result = "{\"sandbox\":\"s1\"}",
	             .steps = {{"GET " S, NULL, 200, STATE("started")}}});
	walk(&(Walk){"daytona", "destroy", BOX, .verdict = TZ_V_DONE, .result = "{}",
	             .steps = {{"DELETE " S, NULL, 200, STATE("started")},
	                       {"GET " S, NULL, 200, STATE("destroying")},
	                       {"GET " S, NULL, 404, SAID(404, "no")}}});
	walk(&(Walk){"daytona", "destroy", BOX, .verdict = TZ_V_DONE,
	             .steps = {{"DELETE " S, NULL, 404, SAID(404, "no")}}});
	walk(&(Walk){"daytona", "destroy", BOX, .verdict = TZ_V_DONE,
	             .steps = {{"DELETE " S, NULL, 409, SAID(409, "in progress")},
	                       {"GET " S, NULL, 404, SAID(404, "no")}}});
}

static void
test_keep(void **arg)
{
	static const char snapshot[] = "{\"sandbox\":\"s1\",\"tag\":\"snap_1\"}";
	static const char named[] = "GET " API "/snapshots/theazo-snap-1";

	(void) arg;
	walk(&(Walk){"daytona", "renew", "{\"sandbox\":\"s1\",\"lifetime_s\":61}", .verdict = TZ_V_DONE,
	             .result = "{\"lifetime_s\":120}",
	             .steps = {{"POST " S "/ttl/2", NULL, 200, STATE("started")}}});
	walk(&(Walk){"daytona", "renew", "{\"sandbox\":\"s1\",\"lifetime_s\":60}", .verdict = TZ_V_FAILED,
	             .status = TZ_GONE, .steps = {{"POST " S "/ttl/1", NULL, 404, SAID(404, "no")}}});
	/* a copy of files; the rest ends first */
	walk(&(Walk){
		"daytona", "snapshot", snapshot, .verdict = TZ_V_DONE,
		.result = "{\"snapshot\":\"theazo-snap-1\",\"size_bytes\":536870912}",
		.steps = {{"GET " S, NULL, 200, STATE("started")},
	              {EXECUTE, "THEAZO_HELD", 200, STOPPED},
	              {"POST " S "/snapshot", "{\"name\":\"theazo-snap-1\",\"includeMemory\":false}", 200,
	               STATE("started")},
	              {named, NULL, 404, SAID(404, "not yet")},
	              {named, NULL, 200, "{\"name\":\"theazo-snap-1\",\"state\":\"snapshotting\",\"size\":null}",
	               .wait_ms = 500},
	              {named, NULL, 200, "{\"name\":\"theazo-snap-1\",\"state\":\"active\",\"size\":0.5}"}}});
	/* asked for before: the name is taken. In between two states: asked again */
	walk(&(Walk){"daytona", "snapshot", snapshot, .state = "{\"phase\":\"shoot\",\"vm\":1}",
	             .verdict = TZ_V_DONE,
	             .steps = {{"POST " S "/snapshot", "\"includeMemory\":true", 409, SAID(409, "exists")},
	                       {named, NULL, 404, SAID(404, "no")},
	                       {"POST " S "/snapshot", NULL, 409, SAID(409, "exists")},
	                       {named, NULL, 200, "{\"name\":\"theazo-snap-1\",\"state\":\"active\"}"}}});
	walk(&(Walk){"daytona", "snapshot", snapshot, .state = "{\"phase\":\"shoot\"}", .verdict = TZ_V_FAILED,
	             .status = TZ_UNSUPPORTED,
	             .steps = {{"POST " S "/snapshot", NULL, 422, SAID(422, "class")}}});
	walk(
		&(Walk){"daytona", "snapshot", snapshot, .state = "{\"phase\":\"shot\"}", .verdict = TZ_V_FAILED,
	            .error = "snapshot failed",
	            .steps = {{named, NULL, 200,
	                       "{\"name\":\"theazo-snap-1\",\"state\":\"error\",\"errorReason\":\"no room\"}"}}});
	walk(&(Walk){"daytona", "snapshot", snapshot, .state = "{\"phase\":\"shot\"}", .verdict = TZ_V_FAILED,
	             .status = TZ_TIMEOUT,
	             .steps = {{named, NULL, 404, SAID(404, "not yet")},
	                       {named, NULL, 404, SAID(404, "not yet"), .after_ms = 3600000}}});
	walk(&(Walk){"daytona", "forget", "{\"snapshot\":\"theazo-snap-1\"}", .verdict = TZ_V_DONE,
	             .result = "{}",
	             .steps = {{"DELETE " API "/snapshots/theazo-snap-1", NULL, 404, SAID(404, "no")}}});
	walk(&(Walk){"daytona", "forget", "{\"snapshot\":\"theazo-snap-1\"}", .verdict = TZ_V_DONE,
	             .steps = {{"DELETE " API "/snapshots/theazo-snap-1", NULL, 200, ""}}});
}

static void
test_work(void **arg)
{
	(void) arg;
	/* who says that there is no such file: the daemon, or somebody before it who is asked about */
	walk(&(
		Walk){"daytona", "read", "{\"sandbox\":\"s1\",\"path\":\"/a b\"}", .kept = TOOL,
	          .verdict = TZ_V_FAILED, .status = TZ_NOT_FOUND,
	          .steps = {{"GET " T "/files/download?path=a%20b", NULL, 404,
	                     "{\"statusCode\":404,\"code\":\"FILE_NOT_FOUND\",\"source\":\"DAYTONA_DAEMON\"}"}}});
	walk(&(Walk){"daytona", "read", "{\"sandbox\":\"s1\",\"path\":\"a\"}", .kept = TOOL,
	             .verdict = TZ_V_FAILED, .status = TZ_NOT_FOUND,
	             .steps = {{"GET " T "/files/download?path=a", NULL, 404, SAID(404, "Not Found")},
	                       {"GET " S, NULL, 200, STATE("started")}}});
	walk(&(Walk){"daytona", "write", "{\"sandbox\":\"s1\",\"path\":\"a\"}", .kept = TOOL,
	             .content = {"out\n", 4}, .verdict = TZ_V_DONE,
	             .steps = {{"POST " T "/files/bulk-upload", "out\n", 200, "{\"files\":[]}"}}});
	walk(&(Walk){"daytona", "list", "{\"sandbox\":\"s1\",\"dir\":\"/\"}", .kept = TOOL, .verdict = TZ_V_DONE,
	             .result = "{\"entries\":[{\"name\":\"a\",\"size\":7,\"is_dir\":false,\"modified\":\"t\"}]}",
	             .steps = {{"GET " T "/files", NULL, 200,
	                        "[{\"name\":\"a\",\"isDir\":false,\"size\":7,\"modTime\":\"t\"}]"}}});
	walk(&(Walk){"daytona", "expose_port", "{\"sandbox\":\"s1\",\"port\":80}", .verdict = TZ_V_DONE,
	             .result = "{\"url\":\"https://p.example/\"}",
	             .steps = {{"GET " S "/ports/80/signed-preview-url?expiresInSeconds=86400", NULL, 200,
	                        "{\"url\":\"https://p.example/\"}"}}});
	walk(&(Walk){"daytona", "expose_port", "{\"sandbox\":\"s1\",\"port\":80}", .verdict = TZ_V_FAILED,
	             .error = "answered 307",
	             .steps = {{"GET " S "/ports/80/signed-preview-url?expiresInSeconds=86400", NULL, 307, ""}}});
	walk(&(Walk){"daytona", "metrics", BOX, .kept = TOOL, .verdict = TZ_V_DONE,
	             .steps = {{"GET " T "/system/metrics", NULL, 404, SAID(404, "404 page not found")},
	                       {EXECUTE, NULL, 200, SAYS("@theazo metrics 1000 251000 1048576 1024\\n")}},
	             .result = "{\"cpu_percent\":50.0,\"memory_mb\":1.0,\"disk_mb\":1.0}"});
	walk(&(Walk){
		"daytona", "sweep", "{\"instance\":\"i\"}", .verdict = TZ_V_DONE,
		.result =
			"{\"sandboxes\":[{\"sandbox\":\"s1\",\"tag\":\"sbx_1\"},{\"sandbox\":\"s1\",\"tag\":\"sbx_1\"}],\"complete\":true}",
		.steps = {{"GET " API "/sandbox?labels=%7B%22theazo.instance%22%3A%22i%22%7D&limit=200", NULL, 200,
	               "{\"items\":[" STATE("started") "],\"nextCursor\":\"n\"}"},
	              {"GET " API "/sandbox?labels=%7B%22theazo.instance%22%3A%22i%22%7D&limit=200&cursor=n",
	               NULL, 200,
	               "{\"items\":[" STATE("stopped") "," STATE("destroying") "],\"nextCursor\":null}"}}});
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create), cmocka_unit_test(test_lost),  cmocka_unit_test(test_exec),
		cmocka_unit_test(test_stop),   cmocka_unit_test(test_moves), cmocka_unit_test(test_keep),
		cmocka_unit_test(test_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
