/*-------------------------------------------------------------------------
 *
 * docker_network.c
 *	  A network for one container alone, and the ports that are reached through it.
 *
 *	own -> create ...	(Podman's API of its own)
 *	 | 404: net -> create ...
 *
 * Containers have no network unless the entry gives agents that may have one a network
 * of their own: a bridge with nobody else on it. Docker keeps bridges apart by itself.
 * Podman does where it is asked to, which its API like Docker's has no word for, so it is
 * asked in its own words first; Docker does not know those.
 *
 * A network bears its sandbox's name and goes with the container. One that is left behind
 * goes with the next sweep, once nobody can be about to use it.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/docker.h"
#include "lib/json.h"

#define LIBPOD "/v4.0.0/libpod/networks/create"
#define UNUSED_AFTER "10m" /* longer than a creation and its pull takes between network and container */
#define PORTS_MAX 16
#define ADDRESS_DEFAULT "127.0.0.1"

static bool
is_own(const TzEndpoint *to)
{
	return strcmp(tz_docker_config(to, "network", "none"), "own") == 0;
}

bool
tz_docker_networked(const TzEffect *effect, const TzEndpoint *to)
{
	json_t *network = json_object_get(effect->request, "network");

	/* no engine holds a container to a list of hosts: it gets no network, which is within what was allowed */
	return is_own(to) && json_is_true(json_object_get(network, "enabled")) &&
	       json_array_size(json_object_get(network, "allow")) == 0;
}

/* ---------------------------------------------------------------- making it */

/* Both kinds of engine are told the same, each in its own words. */
static TzStatus
append_network(const TzEffect *effect, const char *name, const char *rest, const char *labels, TzBuf *out,
               TzErr *err)
{
	TzSlice tag = {NULL, 0};
	TzSlice instance = {"", 0};
	TzStatus status = tz_docker_tag(effect, &tag, err);

	if (status == TZ_OK)
		status = tz_docker_word(effect, "instance", &instance, err);
	if (status != TZ_OK)
		return status;
	tz_buf_printf(out, "{\"%s\":\"theazo-%.*s\",%s,\"%s\":{", name, (int) tag.len, tag.data, rest, labels);
	tz_docker_labels(tag, instance, out);
	tz_buf_append_cstr(out, "}}");
	return TZ_OK;
}

TzStatus
tz_docker_build_own(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzStatus status = tz_docker_base(to, out, err);

	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(&out->url, LIBPOD);
	return append_network(effect, "name", "\"driver\":\"bridge\",\"options\":{\"isolate\":\"true\"}",
	                      "labels", &out->body, err);
}

/* False: it was not asked for a network. Which request it was stands in the request alone. */
bool
tz_docker_parse_own(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	const TzBuf *url = in->request != NULL ? &in->request->url : NULL;

	if (url == NULL || url->len == 0 || memmem(url->data, url->len, LIBPOD, sizeof(LIBPOD) - 1) == NULL)
		return false;
	if (in->status == 404)
		tz_docker_next(out, "net", json_object());
	else
		tz_docker_parse_net(effect, in, out);
	return true;
}

TzStatus
tz_docker_build_net(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	(void) to;
	tz_buf_append_cstr(&out->url, "/networks/create");
	return append_network(effect, "Name", "\"CheckDuplicate\":true,\"Driver\":\"bridge\"", "Labels",
	                      &out->body, err);
}

void
tz_docker_parse_net(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	/* 409: an earlier attempt made it */
	if (in->status / 100 == 2 || in->status == 409)
		tz_docker_next(out, "create", json_pack("{s:s}", "net", "yes"));
	else
	{
		TzErr said;

		tz_docker_refused(effect, in, out);
		said = out->err;
		tz_err_set(&out->err, TZ_UNAVAILABLE, "the engine could not make a network: it answered %d",
		           in->status);
		tz_err_detail(&out->err, "%s", said.detail);
		tz_err_hint(&out->err, "Each sandbox has one of its own: the engine needs addresses for as many.");
		out->err.http_status = in->status;
	}
}

/* ---------------------------------------------------------------- taking it away */

TzStatus
tz_docker_build_unnet(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice tag = {NULL, 0};
	TzStatus status = tz_docker_tag(effect, &tag, err);

	(void) to;
	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(&out->url, "/networks/theazo-");
	tz_docker_encode(tag, "", &out->url);
	return TZ_OK;
}

/* One that is still in use, because the container is about to go, goes with a sweep. */
void
tz_docker_parse_unnet(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	(void) effect;
	(void) in;
	tz_answer_done(out, json_object());
}

void
tz_docker_leave(const TzEffect *effect, TzOutcome *out)
{
	json_t *state;

	if (tz_docker_text(effect, "net")[0] == '\0' || json_object_get(effect->state, "left") != NULL)
		return;
	state = json_pack("{s:{s:i, s:i, s:s, s:s, s:s, s:s}}", "left", "status", (int) out->err.status, "http",
	                  out->err.http_status, "message", out->err.message, "detail", out->err.detail, "hint",
	                  out->err.hint, "code", out->error_code != NULL ? out->error_code : "provider_error");
	/* without memory the network stays for a sweep */
	if (state == NULL)
		return;
	json_decref(out->result);
	out->result = NULL;
	tz_docker_next(out, "unnet", state);
}

/* Why the creation failed, told once its network is gone. */
void
tz_docker_parse_left(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *left = json_object_get(effect->state, "left");
	const char *message = json_string_value(json_object_get(left, "message"));
	const char *detail = json_string_value(json_object_get(left, "detail"));
	const char *hint = json_string_value(json_object_get(left, "hint"));
	const char *code = json_string_value(json_object_get(left, "code"));
	int status = (int) json_integer_value(json_object_get(left, "status"));

	if (status <= TZ_OK || status > TZ_INTERNAL)
		status = TZ_UNAVAILABLE;
	tz_err_set(&out->err, (TzStatus) status, "%s", message != NULL ? message : "the sandbox was not made");
	if (detail != NULL)
		tz_err_detail(&out->err, "%s", detail);
	if (hint != NULL)
		tz_err_hint(&out->err, "%s", hint);
	tz_answer_fail(in, code != NULL && strcmp(code, "not_found") == 0 ? "not_found" : "provider_error", out);
	out->err.http_status = (int) json_integer_value(json_object_get(left, "http"));
}

TzStatus
tz_docker_build_prune(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice instance = {"", 0};
	TzStatus status = tz_docker_word(effect, "instance", &instance, err);
	TzBuf filters;

	(void) to;
	if (status != TZ_OK)
		return status;
	tz_buf_init(&filters, 1024);
	tz_buf_printf(&filters, "{\"label\":[\"" TZ_DOCKER_INSTANCE "=%.*s\"],\"until\":[\"" UNUSED_AFTER "\"]}",
	              (int) instance.len, instance.data);
	tz_buf_append_cstr(&out->url, "/networks/prune?filters=");
	tz_docker_encode(tz_buf_slice(&filters), "", &out->url);
	tz_buf_free(&filters);
	return TZ_OK;
}

/* What was found stands, whatever became of networks. */
void
tz_docker_parse_prune(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	(void) in;
	tz_answer_done(out, json_pack("{s:O, s:O}", "sandboxes", json_object_get(effect->state, "sandboxes"),
	                              "complete", json_object_get(effect->state, "complete")));
}

/* ---------------------------------------------------------------- ports */

static int
port_at(const TzEndpoint *to, size_t i)
{
	json_t *ports = json_object_get(to->config, "ports");
	json_int_t port = i < PORTS_MAX ? json_integer_value(json_array_get(ports, i)) : 0;

	return port >= 1 && port <= 65535 ? (int) port : 0;
}

/* Behind the other labels, whose object it ends: where ports will be found is settled when the container is made. */
void
tz_docker_append_ports(const TzEndpoint *to, TzBuf *out)
{
	const char *url = tz_docker_config(to, "portUrl", "");
	TzBuf text;

	tz_buf_init(&text, 4096);
	if (url[0] != '\0')
		tz_buf_append_cstr(&text, url);
	else
		tz_buf_printf(&text, "http://%s:{port}", tz_docker_config(to, "portAddress", ADDRESS_DEFAULT));
	tz_buf_append_cstr(out, ",\"" TZ_DOCKER_URL "\":");
	tz_docker_string(tz_buf_slice(&text), out);
	tz_buf_append_cstr(out, "},\"ExposedPorts\":{");
	for (size_t i = 0; port_at(to, i) > 0; i++)
		tz_buf_printf(out, "%s\"%d/tcp\":{}", i > 0 ? "," : "", port_at(to, i));
	tz_buf_append_byte(out, '}');
	tz_buf_free(&text);
}

void
tz_docker_append_bindings(const TzEndpoint *to, TzBuf *out)
{
	tz_buf_append_cstr(out, "\"PortBindings\":{");
	for (size_t i = 0; port_at(to, i) > 0; i++)
	{
		tz_buf_printf(out, "%s\"%d/tcp\":[{\"HostIp\":", i > 0 ? "," : "", port_at(to, i));
		tz_docker_string(tz_slice_cstr(tz_docker_config(to, "portAddress", ADDRESS_DEFAULT)), out);
		tz_buf_append_cstr(out, ",\"HostPort\":\"\"}]");
	}
	tz_buf_append_cstr(out, "},");
}

TzStatus
tz_docker_build_port(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	int64_t port = 0;
	TzStatus status = tz_json_get_int(effect->request, "port", true, 1, 65535, &port, err);
	size_t i = 0;

	if (status != TZ_OK)
		return status;
	if (!is_own(to) || port_at(to, 0) == 0)
	{
		tz_err_set(err, TZ_UNSUPPORTED, "containers of this provider have no ports");
		tz_err_hint(err,
		            "config.network \"own\" and config.ports of the provider's entry give new ones some.");
		return TZ_UNSUPPORTED;
	}
	while (port_at(to, i) != 0 && port_at(to, i) != port)
		i++;
	if (port_at(to, i) == 0)
	{
		tz_err_set(err, TZ_BAD_INPUT, "port %d is not one that containers of this provider publish",
		           (int) port);
		tz_err_hint(
			err,
			"config.ports of the provider's entry names them; it holds for containers that are made then.");
		return TZ_BAD_INPUT;
	}
	return tz_docker_url(effect, "/json", out, err);
}

/* The label's address with the machine's port in it. */
static json_t *
address_of(const char *url, const char *port)
{
	const char *at = strstr(url, "{port}");
	json_t *text = NULL;
	TzBuf out;

	tz_buf_init(&out, 4096);
	tz_buf_append(&out, url, at != NULL ? (size_t) (at - url) : strlen(url));
	if (at != NULL)
		tz_buf_printf(&out, "%s%s", port, at + 6);
	if (out.status == TZ_OK && out.len > 0)
		text = json_stringn(out.data, out.len);
	tz_buf_free(&out);
	return text;
}

void
tz_docker_parse_port(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc = tz_docker_found(effect, in, out);
	json_t *ports = json_object_get(json_object_get(doc, "NetworkSettings"), "Ports");
	const char *url = json_string_value(
		json_object_get(json_object_get(json_object_get(doc, "Config"), "Labels"), TZ_DOCKER_URL));
	const char *host;
	char name[32];

	if (doc == NULL)
		return;
	snprintf(name, sizeof(name), "%d/tcp",
	         (int) json_integer_value(json_object_get(effect->request, "port")));
	host = json_string_value(json_object_get(json_array_get(json_object_get(ports, name), 0), "HostPort"));
	if (url == NULL || host == NULL || host[0] == '\0' || strspn(host, "0123456789") != strlen(host))
	{
		tz_err_set(&out->err, TZ_BAD_INPUT, "port %.*s of this sandbox is not published",
		           (int) strcspn(name, "/"), name);
		tz_err_hint(&out->err,
		            "Its agent must have had a network, and the provider the port, when it was made.");
		tz_answer_fail(in, "invalid_request", out);
	}
	else
		tz_answer_done(out, json_pack("{s:o}", "url", address_of(url, host)));
	json_decref(doc);
}
