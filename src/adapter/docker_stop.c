/*-------------------------------------------------------------------------
 *
 * docker_stop.c
 *	  The end of a command whose call was cut.
 *
 *	stop -> kill
 *
 * The engine lets a command go on when nobody reads what it prints, and has no call
 * that ends one. So a second command does: the first has left the number of its shell
 * in a file, which leads a session of its own. What it had put into the background
 * while it ran is of that session and ends, too.
 *
 *-------------------------------------------------------------------------
 */
#include "adapter/docker.h"
#include "adapter/shell.h"
#include "lib/json.h"

/*
 * Nothing but the shell is needed for it. Several looks, because processes make new ones meanwhile. What stands
 * in the file is the command's own to spoil: it ends no more than its own sandbox by that.
 */
static const char script[] =
	"tz_f=$1; read -r tz_s < \".$tz_f.pid\" || exit 0; case $tz_s in ''|*[!0-9]*) exit 0;; esac; "
	"for tz_n in 1 2 3 4 5; do tz_any=; for tz_d in /proc/[0-9]*; do "
	"{ read -r tz_l < \"$tz_d/stat\"; } 2>/dev/null || continue; set -- ${tz_l##*) }; "
	"[ \"$4\" = \"$tz_s\" ] && [ \"$1\" != Z ] && kill -s KILL \"${tz_d#/proc/}\" 2>/dev/null && tz_any=1; done; "
	"[ -n \"$tz_any\" ] || break; done; rm -f \"$tz_f.\"* \".$tz_f.pid\"";

TzStatus
tz_docker_build_stop(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice exec = {NULL, 0};
	TzBuf file;
	TzStatus status = tz_json_get_str(effect->request, "exec", true, TZ_DOCKER_ID_MAX, &exec, err);

	if (status == TZ_OK)
		status = tz_docker_url(effect, "/exec", out, err);
	if (status != TZ_OK)
		return status;
	tz_buf_init(&file, 1024);
	tz_shell_stem(exec.data, &file);
	tz_buf_append_cstr(&out->body,
	                   "{\"AttachStdout\":true,\"AttachStderr\":true,\"Tty\":false,\"WorkingDir\":");
	tz_docker_string(tz_slice_cstr(tz_docker_workdir(to)), &out->body);
	tz_buf_append_cstr(&out->body, ",\"Cmd\":[\"/bin/sh\",\"-c\",");
	tz_docker_string(tz_slice_cstr(script), &out->body);
	tz_buf_append_cstr(&out->body, ",\"sh\",");
	tz_docker_string(tz_buf_slice(&file), &out->body);
	tz_buf_append_cstr(&out->body, "]}");
	status = file.status;
	tz_buf_free(&file);
	return status;
}

void
tz_docker_parse_stop(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	TzSlice id = {NULL, 0};
	json_t *doc;

	/* nothing runs in one that is gone */
	if (in->status == 404)
	{
		tz_answer_done(out, json_object());
		return;
	}
	doc = tz_docker_json(effect, in, out);
	if (doc == NULL)
		return;
	if (tz_docker_exec_id(doc, &id))
		tz_docker_next(out, "kill", json_pack("{s:s%}", "exec", id.data, id.len));
	else
		tz_docker_bad(in, out, "\"Id\" is missing");
	json_decref(doc);
}

void
tz_docker_parse_killed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	if (in->status / 100 == 2 || in->status == 404)
		tz_answer_done(out, json_object());
	else
		tz_docker_refused(effect, in, out);
}
