/*-------------------------------------------------------------------------
 *
 * docker_create.c
 *	  Making a container: what it may do, its image, its working directory.
 *
 *	create -> work -> start -> done
 *	  | 404: pull -> create
 *	  | 409: find -> done (runs), work (was made), clear -> create (has ended)
 *	start, refused: undo -> failed
 *
 * The name is the sandbox's, so whoever sends a create a second time, not knowing
 * what became of the first, meets what that one made and goes on with it.
 *
 * PID 1 counts down the lifetime and ends, and the container goes with it, should
 * nobody be left to remove it. It counts time in which it runs: a container that
 * was paused for an hour has an hour left.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/docker.h"
#include "adapter/shell.h"
#include "lib/json.h"
#include "lib/tar.h"
#include "lib/utf8.h"

#define TAG_MAX 64
#define LIFETIME_MAX_S (30 * 24 * 3600)
#define TICK_S 5
#define CLEARS_MAX 10 /* of what an earlier attempt left behind */
#define CLEAR_MS 300
#define USER_DEFAULT "65534:65534"

/* What holds for every container. */
#define CONFINED                                                                              \
	"\"CapDrop\":[\"ALL\"],\"SecurityOpt\":[\"no-new-privileges:true\"],\"AutoRemove\":true," \
	"\"LogConfig\":{\"Type\":\"json-file\",\"Config\":{\"max-size\":\"10m\"}}"

static TzStatus append_env(const TzEffect *effect, const TzEndpoint *to, TzBuf *out, TzErr *err);
static void append_limits(const TzEffect *effect, const TzEndpoint *to, TzBuf *out);

/* Letters, digits, _, -, : and .: it becomes part of a label. */
TzStatus
tz_docker_word(const TzEffect *effect, const char *key, TzSlice *word, TzErr *err)
{
	TzStatus status = tz_json_get_str(effect->request, key, false, TAG_MAX, word, err);

	if (status != TZ_OK)
		return status;
	for (size_t i = 0; i < word->len; i++)
		if (!isalnum((unsigned char) word->data[i]) && strchr("_-:.", word->data[i]) == NULL)
			return tz_err_set(err, TZ_BAD_INPUT, "\"%s\" of the sandbox is not valid", key);
	return TZ_OK;
}

/* Part of a name, too. */
TzStatus
tz_docker_tag(const TzEffect *effect, TzSlice *tag, TzErr *err)
{
	TzStatus status;

	*tag = tz_slice_cstr(effect->id);
	status = tz_docker_word(effect, "tag", tag, err);
	if (status != TZ_OK)
		return status;
	return tag->len > 0 ? TZ_OK : tz_err_set(err, TZ_BAD_INPUT, "tag of the sandbox is empty");
}

void
tz_docker_labels(TzSlice tag, TzSlice instance, TzBuf *out)
{
	tz_buf_printf(out, "\"" TZ_DOCKER_LABEL "\":\"%.*s\",\"" TZ_DOCKER_INSTANCE "\":\"%.*s\"", (int) tag.len,
	              tag.data, (int) instance.len, instance.data);
}

/* Of the request only: a container shows its environment to whoever inspects it. */
static TzStatus
append_env(const TzEffect *effect, const TzEndpoint *to, TzBuf *out, TzErr *err)
{
	json_t *env = NULL;
	json_t *value;
	const char *name;
	TzBuf entry;
	TzStatus status = tz_json_get_object(effect->request, "env", false, &env, err);

	if (status != TZ_OK)
		return status;
	tz_buf_init(&entry, 64 * 1024);
	tz_buf_printf(&entry, "HOME=%s", tz_docker_workdir(to));
	tz_docker_string(tz_buf_slice(&entry), out);
	json_object_foreach (env, name, value)
	{
		if (!tz_shell_name_ok(name) || !json_is_string(value))
		{
			status = tz_err_set(err, TZ_BAD_INPUT,
			                    "environment variable \"%.64s\" has a bad name or is no string", name);
			break;
		}
		tz_buf_reset(&entry);
		tz_buf_printf(&entry, "%s=", name);
		tz_buf_append(&entry, json_string_value(value), json_string_length(value));
		tz_buf_append_byte(out, ',');
		tz_docker_string(tz_buf_slice(&entry), out);
	}
	if (status == TZ_OK && entry.status != TZ_OK)
		status = tz_err_set(err, entry.status, "environment is too large");
	tz_buf_free(&entry);
	return status;
}

/* Names and numbers of the configuration; without, as many open files as a program needs. */
static void
append_ulimits(const TzEndpoint *to, TzBuf *out)
{
	json_t *limits = json_object_get(to->config, "ulimits");
	const char *name;
	json_t *value;
	bool first = true;

	if (!json_is_object(limits))
	{
		tz_buf_append_cstr(out, "\"Ulimits\":[{\"Name\":\"nofile\",\"Soft\":1024,\"Hard\":1024}],");
		return;
	}
	tz_buf_append_cstr(out, "\"Ulimits\":[");
	json_object_foreach (limits, name, value)
	{
		long long most = (long long) json_integer_value(value);

		tz_buf_append_cstr(out, first ? "{\"Name\":" : ",{\"Name\":");
		tz_docker_string(tz_slice_cstr(name), out);
		tz_buf_printf(out, ",\"Soft\":%lld,\"Hard\":%lld}", most, most);
		first = false;
	}
	tz_buf_append_cstr(out, "],");
}

static void
append_limits(const TzEffect *effect, const TzEndpoint *to, TzBuf *out)
{
	int64_t memory_mb = tz_docker_config_int(to, "memoryMb", 16, 1024 * 1024, 512);
	int64_t cpus_m = 1000;
	int64_t wanted = 0;
	int64_t disk_gb = 0;
	double cpus = 0;
	const char *runtime = tz_docker_config(to, "runtime", "");
	json_t *limits = json_object_get(effect->request, "limits");

	if (tz_json_get_int(limits, "memory_mb", false, 16, 1024 * 1024, &wanted, NULL) == TZ_OK && wanted > 0)
		memory_mb = wanted;
	if (tz_json_get_real(to->config, "cpus", false, &cpus, NULL) == TZ_OK && cpus >= 0.01 && cpus <= 1024)
		cpus_m = (int64_t) (cpus * 1000);
	tz_buf_printf(out, "\"Memory\":%lld,\"MemorySwap\":%lld,\"NanoCpus\":%lld,\"PidsLimit\":%lld,",
	              (long long) memory_mb << 20, (long long) memory_mb << 20, (long long) cpus_m * 1000000,
	              (long long) tz_docker_config_int(to, "pids", 8, 100000, 256));
	if (runtime[0] != '\0')
	{
		tz_buf_append_cstr(out, "\"Runtime\":");
		tz_docker_string(tz_slice_cstr(runtime), out);
		tz_buf_append_byte(out, ',');
	}
	append_ulimits(to, out);
	if (json_is_true(json_object_get(to->config, "init")))
		tz_buf_append_cstr(out, "\"Init\":true,");
	if (tz_json_get_int(effect->request, "storage_gb", false, 1, 100000, &disk_gb, NULL) == TZ_OK &&
	    disk_gb > 0)
		tz_buf_printf(out, "\"StorageOpt\":{\"size\":\"%lldG\"},", (long long) disk_gb);
}

TzStatus
tz_docker_build_create(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzBuf *body = &out->body;
	TzSlice tag = {NULL, 0};
	TzSlice instance = {"", 0};
	TzSlice image;
	int64_t lifetime_s = 3600;
	bool networked;
	TzStatus status = tz_docker_tag(effect, &tag, err);

	if (status == TZ_OK)
		status = tz_docker_word(effect, "instance", &instance, err);
	if (status == TZ_OK)
		status = tz_docker_image(effect, to, &image, err);
	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "lifetime_s", false, 1, LIFETIME_MAX_S, &lifetime_s, err);
	if (status != TZ_OK)
		return status;
	networked = tz_docker_networked(effect, to);
	if (networked && tz_docker_text(effect, "net")[0] == '\0')
		return tz_docker_build_own(effect, to, out, err);
	tz_buf_printf(&out->url, "/containers/create?name=theazo-%.*s", (int) tag.len, tag.data);
	tz_buf_append_cstr(body, "{\"Image\":");
	tz_docker_string(image, body);
	/* the image's own entry point would take what is given as command for its arguments */
	tz_buf_printf(body,
	              ",\"Entrypoint\":[\"/bin/sh\",\"-c\",\"trap 'n=%lld' USR1; n=%lld; while [ $n -gt 0 ]; do "
	              "sleep %d; n=$((n - %d)); done\"],\"Cmd\":[],\"User\":",
	              (long long) lifetime_s, (long long) lifetime_s, TICK_S, TICK_S);
	tz_docker_string(tz_slice_cstr(tz_docker_config(to, "user", USER_DEFAULT)), body);
	tz_buf_append_cstr(body, ",\"WorkingDir\":");
	tz_docker_string(tz_slice_cstr(tz_docker_workdir(to)), body);
	tz_buf_append_cstr(body, ",\"Labels\":{");
	tz_docker_labels(tag, instance, body);
	tz_buf_printf(body, ",\"" TZ_DOCKER_LIFETIME "\":\"%lld\"", (long long) lifetime_s);
	if (networked)
		tz_docker_append_ports(to, body);
	else
		tz_buf_append_byte(body, '}');
	tz_buf_append_cstr(body, ",\"Env\":[");
	status = append_env(effect, to, body, err);
	tz_buf_append_cstr(body, "],\"HostConfig\":{");
	if (networked)
	{
		tz_buf_printf(body, "\"NetworkMode\":\"theazo-%.*s\",", (int) tag.len, tag.data);
		tz_docker_append_bindings(to, body);
	}
	else
		tz_buf_append_cstr(body, "\"NetworkMode\":\"none\",");
	append_limits(effect, to, body);
	tz_buf_append_cstr(body, CONFINED "}}");
	return status;
}

void
tz_docker_parse_create(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	TzSlice id = {NULL, 0};
	json_t *doc;

	if (tz_docker_parse_own(effect, in, out))
		return;
	if (in->status == 404 && tz_docker_text(effect, "pulled")[0] == '\0')
	{
		tz_docker_next(out, "pull", json_object());
		out->next_ms = TZ_DOCKER_PULL_MS;
		return;
	}
	/* the name is taken; Podman says so with 500, and that may be anything */
	if (in->status == 409 || in->status == 500)
	{
		TzOutcome said;

		tz_outcome_init(&said, 0);
		tz_answer_status(effect, TZ_REPEAT_NEVER, in, &said);
		tz_docker_next(out, "find", json_pack("{s:i, s:s}", "status", in->status, "said", said.err.detail));
		tz_outcome_free(&said);
		return;
	}
	doc = tz_docker_json(effect, in, out);
	if (doc == NULL)
	{
		if (in->status == 404)
			tz_err_hint(&out->err, "Have the image pulled on the engine's machine, or name another one.");
		return;
	}
	if (tz_json_get_str(doc, "Id", true, TZ_DOCKER_ID_MAX, &id, NULL) != TZ_OK || id.len == 0)
		tz_docker_bad(in, out, "\"Id\" is missing");
	else
		tz_docker_next(out, "work", json_pack("{s:s%}", "id", id.data, id.len));
	json_decref(doc);
}

/* ---------------------------------------------------------------- one that is there already */

TzStatus
tz_docker_build_find(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice tag = {NULL, 0};
	TzStatus status = tz_docker_tag(effect, &tag, err);

	(void) to;
	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(&out->url, "/containers/json?all=1&filters=");
	tz_docker_filter(TZ_DOCKER_LABEL, TZ_DOCKER_LABEL, tag, &out->url);
	return TZ_OK;
}

void
tz_docker_parse_find(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc = tz_docker_json(effect, in, out);
	json_t *first = json_array_get(doc, 0);
	TzSlice id = {NULL, 0};
	const char *state = json_string_value(json_object_get(first, "State"));

	if (doc == NULL)
		return;
	if (!json_is_array(doc) ||
	    (first != NULL && tz_json_get_str(first, "Id", true, TZ_DOCKER_ID_MAX, &id, NULL) != TZ_OK))
		tz_docker_bad(in, out, "list of containers is none");
	else if (first == NULL)
	{
		bool taken = json_integer_value(json_object_get(effect->state, "status")) != 500;

		tz_err_set(&out->err, TZ_UNAVAILABLE, "the engine does not make the container: it answered %d",
		           taken ? 409 : 500);
		tz_err_detail(&out->err, "%s", tz_docker_text(effect, "said"));
		tz_err_hint(&out->err, "Check the image and the limits of the provider's entry.");
		tz_answer_fail(in, "provider_error", out);
		/* the name was taken and is not any more, or is not shown yet: another look */
		out->verdict = taken && effect->attempt < 5 ? TZ_V_RETRY : TZ_V_FAILED;
	}
	else if (state != NULL && (strcmp(state, "running") == 0 || strcmp(state, "paused") == 0))
		tz_docker_next(out, "policy", json_pack("{s:s%}", "id", id.data, id.len));
	else if (state != NULL && (strcmp(state, "created") == 0 || strcmp(state, "configured") == 0 ||
	                           strcmp(state, "initialized") == 0))
		tz_docker_next(out, "work", json_pack("{s:s%}", "id", id.data, id.len));
	else
		tz_docker_next(out, "clear", json_pack("{s:s%}", "id", id.data, id.len));
	json_decref(doc);
}

TzStatus
tz_docker_build_clear(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	(void) to;
	return tz_docker_url(effect, "?force=1&v=1", out, err);
}

void
tz_docker_parse_clear(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	int64_t tries = json_integer_value(json_object_get(effect->state, "tries"));

	if (in->status / 100 != 2 && in->status != 404 && in->status != 409)
		tz_docker_refused(effect, in, out);
	else if (tries >= CLEARS_MAX)
	{
		tz_err_set(&out->err, TZ_UNAVAILABLE, "an earlier container of the sandbox does not go away");
		tz_err_hint(&out->err, "The engine's log says more.");
		tz_answer_fail(in, "provider_error", out);
	}
	else
	{
		tz_docker_next(out, "create", json_pack("{s:I}", "tries", (json_int_t) tries + 1));
		/* its removal is under way already */
		if (in->status == 409)
			out->retry_after_ms = CLEAR_MS;
	}
}

/* ---------------------------------------------------------------- working directory */

bool
tz_docker_owner(const TzEndpoint *to, unsigned *uid, unsigned *gid)
{
	const char *user = tz_docker_config(to, "user", USER_DEFAULT);
	char *end;

	*uid = *gid = 0;
	if (!isdigit((unsigned char) user[0]))
		return false;
	*uid = (unsigned) strtoul(user, &end, 10);
	*gid = *uid;
	if (*end == ':' && isdigit((unsigned char) end[1]))
		*gid = (unsigned) strtoul(end + 1, &end, 10);
	return *end == '\0';
}

/* Engines make it root's, and what runs in there is not root. */
TzStatus
tz_docker_build_work(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzTarOwner owner = {0, 0, effect->now_ms / 1000};
	unsigned mode = tz_docker_owner(to, &owner.uid, &owner.gid) ? 0755 : 01777;
	TzSlice dir = tz_slice_cstr(tz_docker_workdir(to) + 1);
	TzStatus status = tz_docker_url(effect, "/archive?path=%2F", out, err);

	if (status == TZ_OK)
		status = tz_tar_add_dir(&out->body, dir, mode, &owner, err);
	tz_tar_end(&out->body);
	return status;
}

void
tz_docker_parse_work(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	/* a root that is not to be written to is somebody's wish: it has its own places to write */
	if (in->status / 100 == 2 || in->status == 400 || in->status == 403)
		tz_docker_next(out, "start", json_pack("{s:s}", "id", tz_docker_text(effect, "id")));
	else
		tz_docker_refused(effect, in, out);
}

/* ---------------------------------------------------------------- start */

TzStatus
tz_docker_build_start(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	(void) to;
	return tz_docker_url(effect, "/start", out, err);
}

/* One that does not start is taken away before anybody is told. */
void
tz_docker_parse_start(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	TzOutcome said;

	if (in->status / 100 == 2 || in->status == 304)
	{
		tz_docker_next(out, "policy", json_pack("{s:s}", "id", tz_docker_text(effect, "id")));
		return;
	}
	tz_outcome_init(&said, 0);
	tz_answer_status(effect, TZ_REPEAT_NEVER, in, &said);
	tz_docker_next(out, "undo",
	               json_pack("{s:s, s:i, s:s}", "id", tz_docker_text(effect, "id"), "status", in->status,
	                         "said", said.err.detail));
	tz_outcome_free(&said);
}

/* What the engine says of the container that runs now; without its word the policy is what was asked for. */
void
tz_docker_parse_policy(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc = in->status / 100 == 2 ? tz_docker_json(effect, in, out) : NULL;
	json_t *host = json_object_get(doc, "HostConfig");
	const char *network = json_string_value(json_object_get(host, "NetworkMode"));
	json_t *policy = json_object();
	int64_t number = 0;

	if (in->status == 404)
	{
		json_decref(policy);
		tz_docker_gone(in, out);
		return;
	}
	tz_err_clear(&out->err);
	if (network != NULL)
		json_object_set_new(policy, "network", json_boolean(strcmp(network, "none") != 0));
	if (tz_json_get_int(host, "Memory", false, 1, INT64_MAX, &number, NULL) == TZ_OK && number > 0)
		json_object_set_new(policy, "memory_mb", json_integer(number >> 20));
	number = 0;
	if (tz_json_get_int(host, "PidsLimit", false, 1, INT64_MAX, &number, NULL) == TZ_OK && number > 0)
		json_object_set_new(policy, "processes", json_integer(number));
	json_decref(doc);
	tz_answer_done(out, json_pack("{s:s, s:s, s:{}, s:o}", "sandbox", tz_docker_text(effect, "id"),
	                              "isolation", "container", "metadata", "policy", policy));
}

void
tz_docker_parse_undo(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	int status = (int) json_integer_value(json_object_get(effect->state, "status"));

	if (in->status / 100 != 2 && in->status != 404 && in->status != 409)
	{
		tz_docker_refused(effect, in, out);
		return;
	}
	tz_err_set(&out->err, TZ_UNAVAILABLE, "the engine could not start the container: it answered %d", status);
	tz_err_detail(&out->err, "%s", tz_docker_text(effect, "said"));
	tz_err_hint(&out->err, "Check that the image has /bin/sh, and the limits of the provider's entry.");
	tz_answer_fail(in, "provider_error", out);
}
