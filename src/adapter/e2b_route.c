/*-------------------------------------------------------------------------
 *
 * e2b_route.c
 *	  E2B: addresses of both planes, and what each is shown of secrets.
 *
 * A sandbox is reached in one of two forms: by a host name of its own, which names
 * the port and the sandbox, or by one host for all with the same in two headers.
 * Both headers are always sent, as the vendor's client does. The account's key goes
 * to the control plane only, the token of a sandbox to that sandbox only.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "adapter/e2b.h"
#include "adapter/signed.h"
#include "lib/json.h"
#include "lib/sign.h"
#include "lib/utf8.h"

#define DOMAIN_DEFAULT "e2b.app"
#define USER_MAX 64
#define TOKEN_MAX 2048

/* Those whose gateways take the headers. */
static const char *const shared_domains[] = {"e2b.app", "e2b.dev", "e2b.pro", "e2b-staging.dev"};

static TzStatus append_base(const char *url, TzBuf *out, TzErr *err);
static TzSlice domain_of(const TzEndpoint *to, const TzE2bKept *kept);
static TzStatus append_gateway(const TzEndpoint *to, const TzE2bKept *kept, TzSlice id, bool direct,
                               TzBuf *out, TzErr *err);
static TzStatus add_user(const char *user, TzHttpRequest *out, TzErr *err);
static bool printable(TzSlice text);
static const char *config_text(const TzEndpoint *to, const char *key);

TzStatus
tz_e2b_control(const TzEffect *effect, const TzEndpoint *to, const char *method, TzHttpRequest *out,
               TzErr *err)
{
	TzSlice key = tz_effect_secret(effect, "credential");
	TzStatus status = TZ_OK;

	out->method = method;
	if (to->url != NULL)
		status = append_base(to->url, &out->url, err);
	else
	{
		TzSlice domain = domain_of(to, NULL);

		if (!tz_e2b_host_ok(domain))
			return tz_err_set(err, TZ_BAD_INPUT, "domain of the sandboxes is not valid");
		tz_buf_printf(&out->url, "https://api.%.*s", (int) domain.len, domain.data);
	}
	if (status == TZ_OK && key.len > 0)
		status = tz_credential_header(out, "X-API-Key", "", key, err);
	return status;
}

/* direct: by the sandbox's own host name, from which that of another port can be told. */
TzStatus
tz_e2b_envd(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, const char *method,
            bool direct, TzHttpRequest *out, TzErr *err)
{
	char text[TZ_E2B_ID_MAX + 1];
	TzSlice id;
	TzStatus status = tz_e2b_sandbox(effect, &id, err);

	if (status != TZ_OK)
		return status;
	out->method = method;
	status = append_gateway(to, kept, id, direct, &out->url, err);
	if (status != TZ_OK)
		return status;
	snprintf(text, sizeof(text), "%.*s", (int) id.len, id.data);
	status = tz_http_request_header(out, "E2b-Sandbox-Id", text, false, err);
	snprintf(text, sizeof(text), "%d", TZ_E2B_ENVD_PORT);
	if (status == TZ_OK)
		status = tz_http_request_header(out, TZ_E2B_PORT_HEADER, text, false, err);
	if (status == TZ_OK && kept->token.len > 0)
	{
		status = tz_http_request_mask(out, kept->token, err);
		if (status == TZ_OK)
			status = tz_credential_header(out, "X-Access-Token", "", kept->token, err);
	}
	if (status == TZ_OK)
		status = add_user(tz_e2b_user(to, kept), out, err);
	return status;
}

/* Every secret of the call is masked in what is said about its answer. */
TzStatus
tz_e2b_auth(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	TzStatus status = TZ_OK;
	bool typed = false;

	for (int i = 0; status == TZ_OK && i < effect->nsecrets; i++)
		status = tz_http_request_mask(out, effect->secrets[i].value, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Accept", "application/json", false, err);
	for (int i = 0; i < out->nheaders; i++)
		typed |= strcmp(out->headers[i].name, "Content-Type") == 0;
	if (status == TZ_OK && out->body.len > 0 && !typed)
		status = tz_http_request_header(out, "Content-Type", "application/json", false, err);
	return status;
}

/* An older form of id has a second part, which is not its name. */
TzStatus
tz_e2b_sandbox(const TzEffect *effect, TzSlice *id, TzErr *err)
{
	json_t *made = json_object_get(effect->state, "made");
	const char *dash;
	TzStatus status;

	*id = tz_slice(NULL, 0);
	status =
		tz_json_get_str(made != NULL ? made : effect->request, "sandbox", true, 2 * TZ_E2B_ID_MAX, id, err);
	if (status != TZ_OK)
		return status;
	dash = id->len > 0 ? memchr(id->data, '-', id->len) : NULL;
	if (dash != NULL)
		id->len = (size_t) (dash - id->data);
	if (!tz_e2b_id_ok(*id))
		return tz_err_set(err, TZ_BAD_INPUT, "id of the sandbox is not valid");
	return TZ_OK;
}

bool
tz_e2b_id_ok(TzSlice id)
{
	for (size_t i = 0; i < id.len; i++)
		if (!isdigit((unsigned char) id.data[i]) && (id.data[i] < 'a' || id.data[i] > 'z'))
			return false;
	return id.len > 0 && id.len <= TZ_E2B_ID_MAX;
}

/* A host name in lower case, with a port if need be. */
bool
tz_e2b_host_ok(TzSlice host)
{
	bool port = false;

	if (host.len == 0 || host.len > TZ_E2B_HOST_MAX || host.data[0] == '.' || host.data[0] == '-' ||
	    host.data[0] == ':')
		return false;
	for (size_t i = 0; i < host.len; i++)
	{
		char c = host.data[i];

		if (c == ':' && !port && i + 1 < host.len)
			port = true;
		else if (!isdigit((unsigned char) c) && (port || ((c < 'a' || c > 'z') && c != '-' && c != '.')))
			return false;
	}
	return true;
}

void
tz_e2b_kept_read(TzSlice text, TzE2bKept *kept)
{
	TzSlice *lines[] = {&kept->token, &kept->domain, &kept->version};

	memset(kept, 0, sizeof(*kept));
	kept->known = text.len > 0;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
	{
		const char *end = text.len > 0 ? memchr(text.data, '\n', text.len) : NULL;
		size_t len = end != NULL ? (size_t) (end - text.data) : text.len;

		*lines[i] = tz_slice(text.data, len);
		text.data += end != NULL ? len + 1 : len;
		text.len -= end != NULL ? len + 1 : len;
	}
}

bool
tz_e2b_keep(const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	TzSlice token = {NULL, 0};
	TzSlice domain = {NULL, 0};
	TzSlice version = {NULL, 0};

	if (tz_json_get_str(doc, "envdAccessToken", false, TOKEN_MAX, &token, NULL) != TZ_OK ||
	    !printable(token) || tz_json_get_str(doc, "domain", false, TZ_E2B_HOST_MAX, &domain, NULL) != TZ_OK ||
	    (domain.len > 0 && !tz_e2b_host_ok(domain)))
	{
		tz_answer_bad(in, out, "\"envdAccessToken\" or \"domain\" is not valid");
		return false;
	}
	(void) tz_json_get_str(doc, "envdVersion", false, 32, &version, NULL);
	if (!printable(version))
		version = tz_slice(NULL, 0);
	tz_buf_reset(&out->kept);
	tz_buf_append(&out->kept, token.data, token.len);
	tz_buf_append_byte(&out->kept, '\n');
	tz_buf_append(&out->kept, domain.data, domain.len);
	tz_buf_append_byte(&out->kept, '\n');
	tz_buf_append(&out->kept, version.data, version.len);
	out->keep = true;
	return true;
}

void
tz_e2b_forget(TzOutcome *out)
{
	tz_buf_reset(&out->kept);
	out->keep = true;
}

json_t *
tz_e2b_document(const TzHttpResponse *in)
{
	TzBuf scratch;
	json_t *doc;

	tz_buf_init(&scratch, SIZE_MAX);
	doc = tz_answer_document(tz_buf_slice(&in->body), &scratch, NULL, NULL);
	tz_buf_free(&scratch);
	return doc;
}

/* One that is not known is taken for a new one. */
bool
tz_e2b_older(const TzE2bKept *kept, int major, int minor, int patch)
{
	char text[33];
	int found[3] = {0, 0, 0};
	const int wanted[3] = {major, minor, patch};

	snprintf(text, sizeof(text), "%.*s", (int) kept->version.len,
	         kept->version.data != NULL ? kept->version.data : "");
	if (sscanf(text, "%4d.%4d.%4d", &found[0], &found[1], &found[2]) < 2)
		return false;
	for (int i = 0; i < 3; i++)
		if (found[i] != wanted[i])
			return found[i] < wanted[i];
	return false;
}

/* Everything but RFC 3986's unreserved characters. */
void
tz_e2b_append_encoded(TzSlice text, TzBuf *out)
{
	for (size_t i = 0; i < text.len; i++)
	{
		unsigned char c = (unsigned char) text.data[i];

		if (c != 0 && ((isascii(c) && isalnum(c)) || strchr("-._~", c) != NULL))
			tz_buf_append_byte(out, (char) c);
		else
			tz_buf_printf(out, "%%%02X", c);
	}
}

bool
tz_e2b_from_sandbox(const TzHttpResponse *in)
{
	if (in->request == NULL)
		return true;
	for (int i = 0; i < in->request->nheaders; i++)
		if (strcmp(in->request->headers[i].name, TZ_E2B_PORT_HEADER) == 0)
			return true;
	return false;
}

/* Without its trailing slashes. */
static TzStatus
append_base(const char *url, TzBuf *out, TzErr *err)
{
	size_t len = strlen(url);

	while (len > 0 && url[len - 1] == '/')
		len--;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char) url[i] <= 0x20 || url[i] == 0x7f || strchr("?#\\", url[i]) != NULL)
			len = 0;
	if (len == 0)
	{
		tz_err_set(err, TZ_BAD_INPUT, "provider's endpoint is no base URL");
		tz_err_hint(err, "Give a URL without query, fragment and blanks.");
		return TZ_BAD_INPUT;
	}
	tz_buf_append(out, url, len);
	return TZ_OK;
}

static const char *
config_text(const TzEndpoint *to, const char *key)
{
	return json_string_value(json_object_get(to->config, key));
}

/* What the provider said of this sandbox, else the entry, else the vendor's own. */
static TzSlice
domain_of(const TzEndpoint *to, const TzE2bKept *kept)
{
	const char *domain = config_text(to, "domain");

	if (kept != NULL && kept->domain.len > 0)
		return kept->domain;
	return tz_slice_cstr(domain != NULL ? domain : DOMAIN_DEFAULT);
}

static bool
is_shared(const TzEndpoint *to, TzSlice domain)
{
	const char *routing = config_text(to, "routing");

	if (routing != NULL)
		return strcmp(routing, "shared") == 0;
	for (size_t i = 0; i < sizeof(shared_domains) / sizeof(shared_domains[0]); i++)
		if (tz_slice_eq_cstr(domain, shared_domains[i]))
			return true;
	return false;
}

/* The entry's own gateway, in whose address {port} and {id} may stand. */
static TzStatus
append_own(const char *url, TzSlice id, bool direct, TzBuf *out, TzErr *err)
{
	TzBuf text;
	TzStatus status;
	bool placed = strstr(url, "{port}") != NULL && strstr(url, "{id}") != NULL;

	if (direct && !placed)
	{
		tz_err_set(err, TZ_UNSUPPORTED, "ports of these sandboxes have no address of their own");
		tz_err_detail(err, "capability_unsupported");
		tz_err_hint(err,
		            "The provider's sandboxUrl has no {port} and {id}, so all of them share one address.");
		return TZ_UNSUPPORTED;
	}
	tz_buf_init(&text, 4096);
	for (const char *p = url; *p != '\0';)
	{
		if (strncmp(p, "{port}", 6) == 0)
		{
			tz_buf_printf(&text, "%d", TZ_E2B_ENVD_PORT);
			p += 6;
		}
		else if (strncmp(p, "{id}", 4) == 0)
		{
			tz_buf_append(&text, id.data, id.len);
			p += 4;
		}
		else
			tz_buf_append_byte(&text, *p++);
	}
	status = text.len > 0 && text.status == TZ_OK
	             ? append_base(text.data, out, err)
	             : tz_err_set(err, TZ_BAD_INPUT, "sandboxUrl is no base URL");
	tz_buf_free(&text);
	return status;
}

static TzStatus
append_gateway(const TzEndpoint *to, const TzE2bKept *kept, TzSlice id, bool direct, TzBuf *out, TzErr *err)
{
	const char *own = config_text(to, "sandboxUrl");
	TzSlice domain = domain_of(to, kept);

	if (own != NULL)
		return append_own(own, id, direct, out, err);
	if (!tz_e2b_host_ok(domain))
		return tz_err_set(err, TZ_BAD_INPUT, "domain of the sandboxes is not valid");
	if (!direct && is_shared(to, domain))
		tz_buf_printf(out, "https://sandbox.%.*s", (int) domain.len, domain.data);
	else
		tz_buf_printf(out, "https://%d-%.*s.%.*s", TZ_E2B_ENVD_PORT, (int) id.len, id.data, (int) domain.len,
		              domain.data);
	return TZ_OK;
}

/* Whom commands and files belong to; NULL: whom the template says, which old daemons cannot look up. */
const char *
tz_e2b_user(const TzEndpoint *to, const TzE2bKept *kept)
{
	const char *user = config_text(to, "user");

	if (user == NULL && tz_e2b_older(kept, 0, 4, 0))
		return "user";
	return user;
}

/* Basic, without a password. */
static TzStatus
add_user(const char *user, TzHttpRequest *out, TzErr *err)
{
	TzStatus status = TZ_OK;
	TzBuf text;
	TzBuf value;

	if (user == NULL)
		return TZ_OK;
	tz_buf_init(&text, USER_MAX + 2);
	tz_buf_init(&value, 4 * USER_MAX);
	tz_buf_append_cstr(&text, user);
	tz_buf_append_byte(&text, ':');
	tz_buf_append_cstr(&value, "Basic ");
	if (text.status != TZ_OK || tz_base64_append(&value, text.data, text.len) != TZ_OK)
		status = tz_err_set(err, TZ_BAD_INPUT, "user of the sandboxes is not valid");
	else
		status = tz_http_request_header(out, "Authorization", value.data, false, err);
	tz_buf_free(&text);
	tz_buf_free(&value);
	return status;
}

/* What can stand in a header and on a line. */
static bool
printable(TzSlice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char) text.data[i] <= 0x20 || (unsigned char) text.data[i] >= 0x7f)
			return false;
	return true;
}
