/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  Definitions of the settings theazo.*, alphabetical.
 *
 * PGC_POSTMASTER for what sizes shared memory or starts workers, PGC_SIGHUP for
 * what workers read. No setting is a secret: the path of one may be.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "pg/compat.h"
#include "lib/checkpoint.h"
#include "pg/guc.h"

char *tz_guc_anchor_directory = NULL;
int tz_guc_anchor_interval_s = 300;
char *tz_guc_audit_origin = NULL;
char *tz_guc_ca_file = NULL;
int tz_guc_claim_batch = 1000;
int tz_guc_claim_interval_ms = 1000;
char *tz_guc_databases = NULL;
int tz_guc_dispatchers = 2;
char *tz_guc_egress_allow = NULL;
bool tz_guc_egress_allow_http = false;
bool tz_guc_egress_allow_private = false;
char *tz_guc_egress_deny = NULL;
bool tz_guc_enabled = true;
int tz_guc_gateway_address_connections = 0;
char *tz_guc_gateway_allow_origins = NULL;
int tz_guc_gateway_connections = 4096;
int tz_guc_gateway_idle_timeout_s = 15;
char *tz_guc_gateway_listen = NULL;
int tz_guc_gateway_max_body_kb = 40 * 1024;
int tz_guc_gateway_max_wait_ms = 300000;
int tz_guc_gateway_statement_timeout_ms = 10000;
bool tz_guc_gateway_tls_in_front = false;
int tz_guc_gateway_workers = 0;
int tz_guc_http_connect_timeout_ms = 5000;
int tz_guc_http_max_body_kb = 40 * 1024;
int tz_guc_http_max_calls = 1000;
int tz_guc_keeper_interval_ms = 10000;
int tz_guc_lease_ms = 60000;
char *tz_guc_master_key_command = NULL;
char *tz_guc_master_key_file = NULL;
char *tz_guc_public_url = NULL;
int tz_guc_rate_buckets = 65536;
char *tz_guc_request_id = NULL;
int tz_guc_max_waiters = 100;
int tz_guc_retention_attestations_days = 0;
int tz_guc_retention_events_days = 0;
int tz_guc_retention_executions_days = 365;
int tz_guc_retention_host_calls_days = 30;
int tz_guc_retention_logs_days = 30;
int tz_guc_retention_runs_days = 30;
int tz_guc_retention_traces_days = 30;
int tz_guc_run_timeout_ms = 60000;
char *tz_guc_sandbox_bwrap = NULL;
int tz_guc_sandbox_disk_mb = 256;
int tz_guc_sandbox_file_size_mb = 64;
char *tz_guc_sandbox_init = NULL;
int tz_guc_metrics_interval_s = 60;
int tz_guc_sandbox_max = 64;
int tz_guc_sandbox_memory_mb = 512;
int tz_guc_sandbox_minimum = TZ_SANDBOX_MINIMUM_NAMESPACES;
int tz_guc_sandbox_processes = 64;
int tz_guc_script_max = 32;
char *tz_guc_script_runner = NULL;
int tz_guc_script_spares = 2;
int tz_guc_stream_buffer_kb = 16 * 1024;
int tz_guc_sql_tool_workers = 4;
char *tz_guc_web_search_header = NULL;
char *tz_guc_web_search_url = NULL;

static const struct config_enum_entry sandbox_minimum_options[] = {
	{"namespaces", TZ_SANDBOX_MINIMUM_NAMESPACES, false},
	{"full", TZ_SANDBOX_MINIMUM_FULL, false},
	{NULL, 0, false},
};

static bool check_databases(char **newval, void **extra, GucSource source);
static bool check_path(char **newval, void **extra, GucSource source);
static bool check_origin(char **newval, void **extra, GucSource source);
static bool check_request_id(char **newval, void **extra, GucSource source);
static bool check_search_header(char **newval, void **extra, GucSource source);
static bool check_search_url(char **newval, void **extra, GucSource source);

static void define_anchors(void);
static void define_engine(void);
static void define_gateway(void);
static void define_outside(void);
static void define_sandbox(void);

/* The commonest shapes, so that the lists below read as lists. */
static void
define_string(const char *name, const char *what, char **var, const char *boot, GucContext context, int flags,
              GucStringCheckHook check)
{
	DefineCustomStringVariable(name, what, NULL, var, boot, context, flags, check, NULL, NULL);
}

static void
define_int(const char *name, const char *what, int *var, int boot, int min, int max, GucContext context,
           int unit)
{
	DefineCustomIntVariable(name, what, NULL, var, boot, min, max, context, unit, NULL, NULL, NULL);
}

static void
define_bool(const char *name, const char *what, bool *var, bool boot)
{
	DefineCustomBoolVariable(name, what, NULL, var, boot, PGC_SIGHUP, 0, NULL, NULL, NULL);
}

void
tz_guc_init(void)
{
	define_anchors();
	define_engine();
	define_gateway();
	define_outside();
	define_sandbox();
	MarkGUCPrefixReserved("theazo");
}

const char *
tz_guc_sandbox_init_path(void)
{
	static char path[MAXPGPATH];

	if (tz_guc_sandbox_init != NULL && tz_guc_sandbox_init[0] != '\0')
		return tz_guc_sandbox_init;
	snprintf(path, sizeof(path), "%s/theazo-init", pkglib_path);
	return path;
}

const char *
tz_guc_script_runner_path(void)
{
	static char path[MAXPGPATH];

	if (tz_guc_script_runner != NULL && tz_guc_script_runner[0] != '\0')
		return tz_guc_script_runner;
	snprintf(path, sizeof(path), "%s/theazo-runner", pkglib_path);
	return path;
}

bool
tz_guc_database_listed(const char *dbname, bool is_template)
{
	char *copy = pstrdup(tz_guc_databases ? tz_guc_databases : "");
	List *names = NIL;
	ListCell *lc;
	bool listed = false;

	if (!SplitGUCList(copy, ',', &names))
		names = NIL; /* cannot happen: the check hook read it */
	foreach (lc, names)
	{
		const char *name = lfirst(lc);

		if (strcmp(name, dbname) == 0 || (strcmp(name, "*") == 0 && !is_template))
			listed = true;
	}
	list_free(names);
	pfree(copy);
	return listed;
}

/* Where the roots of the audit trail go. */
static void
define_anchors(void)
{
	define_string("theazo.anchor_directory", "Directory of the files that anchors of kind file append to.",
	              &tz_guc_anchor_directory, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, check_path);
	define_int("theazo.anchor_interval", "Time between two rounds of anchoring, if there is anything new.",
	           &tz_guc_anchor_interval_s, 300, 1, 86400, PGC_SIGHUP, GUC_UNIT_S);
	define_string("theazo.audit_origin", "What the logs of this server are called in signed checkpoints.",
	              &tz_guc_audit_origin, "theazo", PGC_SIGHUP, 0, check_origin);
}

/* Workers, claims, waits, retention. */
static void
define_engine(void)
{
	define_int("theazo.claim_batch", "Most effects a dispatcher claims in one turn.", &tz_guc_claim_batch,
	           1000, 1, 10000, PGC_SIGHUP, 0);
	define_int("theazo.claim_interval",
	           "Longest time until a dispatcher looks for due work that no commit announced.",
	           &tz_guc_claim_interval_ms, 1000, 10, 60000, PGC_SIGHUP, GUC_UNIT_MS);
	define_string("theazo.databases", "Databases whose workers are started: a list of names, or * for all.",
	              &tz_guc_databases, "*", PGC_SIGHUP, GUC_LIST_INPUT, check_databases);
	define_int("theazo.dispatchers", "Dispatchers for each database that has the extension.",
	           &tz_guc_dispatchers, 2, 1, TZ_DISPATCHERS_MAX, PGC_POSTMASTER, 0);
	define_bool("theazo.enabled", "Off: nothing new is begun and every call is refused.", &tz_guc_enabled,
	            true);
	define_int("theazo.keeper_interval", "Longest time between two turns of the keeper.",
	           &tz_guc_keeper_interval_ms, 10000, 100, 60000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("theazo.lease", "How long a claim is valid before the claimer is checked for life.",
	           &tz_guc_lease_ms, 60000, 1000, 3600000, PGC_SIGHUP, GUC_UNIT_MS);
	define_string("theazo.master_key_command",
	              "Program that prints the master keys; run once by the postmaster.",
	              &tz_guc_master_key_command, "", PGC_POSTMASTER, GUC_SUPERUSER_ONLY, NULL);
	define_string("theazo.master_key_file", "File that holds the master keys.", &tz_guc_master_key_file, "",
	              PGC_POSTMASTER, GUC_SUPERUSER_ONLY, NULL);
	define_int("theazo.max_waiters", "Most callers that may wait for a run at the same time.",
	           &tz_guc_max_waiters, 100, 0, 100000, PGC_POSTMASTER, 0);
	define_int("theazo.metrics_interval", "Time between two samples of a sandbox's use, 0 for none.",
	           &tz_guc_metrics_interval_s, 60, 0, 86400, PGC_SIGHUP, GUC_UNIT_S);
	define_string("theazo.public_url", "Address under which others reach this server, for URLs in answers.",
	              &tz_guc_public_url, "", PGC_SIGHUP, 0, NULL);
	define_int("theazo.rate_buckets", "Rate limits that can be counted at the same time.",
	           &tz_guc_rate_buckets, 65536, 64, 16 * 1024 * 1024, PGC_POSTMASTER, 0);
	define_string("theazo.request_id", "What the caller calls its request; stands in its events.",
	              &tz_guc_request_id, "", PGC_USERSET, 0, check_request_id);
	define_int("theazo.retention_attestations",
	           "Days that signed statements about executions are kept, 0 for ever.",
	           &tz_guc_retention_attestations_days, 0, 0, 36500, PGC_SIGHUP, 0);
	define_int("theazo.retention_events",
	           "Days after which a month of events that was exported is detached, 0 for never.",
	           &tz_guc_retention_events_days, 0, 0, 36500, PGC_SIGHUP, 0);
	define_int("theazo.retention_executions", "Days that executions of governed agents are kept, 0 for ever.",
	           &tz_guc_retention_executions_days, 365, 0, 36500, PGC_SIGHUP, 0);
	define_int("theazo.retention_host_calls",
	           "Days that calls of executions to their host are kept, 0 for ever.",
	           &tz_guc_retention_host_calls_days, 30, 0, 36500, PGC_SIGHUP, 0);
	define_int("theazo.retention_logs", "Days that logs are kept, 0 for ever.", &tz_guc_retention_logs_days,
	           30, 0, 36500, PGC_SIGHUP, 0);
	define_int("theazo.retention_runs", "Days that ended runs are kept, 0 for ever.",
	           &tz_guc_retention_runs_days, 30, 0, 36500, PGC_SIGHUP, 0);
	define_int("theazo.retention_traces", "Days that traces are kept, 0 for ever.",
	           &tz_guc_retention_traces_days, 30, 0, 36500, PGC_SIGHUP, 0);
	define_int("theazo.run_timeout", "Time limit of a run that names none.", &tz_guc_run_timeout_ms, 60000,
	           100, 86400000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("theazo.stream_buffer", "Shared memory for answers that are being streamed.",
	           &tz_guc_stream_buffer_kb, 16 * 1024, 256, 1024 * 1024, PGC_POSTMASTER, GUC_UNIT_KB);
	define_int("theazo.sql_tool_workers", "Most functions of a database that run as tools at the same time.",
	           &tz_guc_sql_tool_workers, 4, 0, 256, PGC_SIGHUP, 0);
}

/* The REST face. */
static void
define_gateway(void)
{
	define_int("theazo.gateway_address_connections",
	           "Most connections of one address to a gateway worker, 0 for any number.",
	           &tz_guc_gateway_address_connections, 0, 0, 100000, PGC_POSTMASTER, 0);
	define_string("theazo.gateway_allow_origins", "Origins whose pages may call the gateway: a list, or *.",
	              &tz_guc_gateway_allow_origins, "", PGC_SIGHUP, 0, NULL);
	define_int("theazo.gateway_connections", "Most connections of a gateway worker.",
	           &tz_guc_gateway_connections, 4096, 8, 100000, PGC_POSTMASTER, 0);
	define_int("theazo.gateway_idle_timeout", "How long a connection may say nothing.",
	           &tz_guc_gateway_idle_timeout_s, 15, 1, 3600, PGC_POSTMASTER, GUC_UNIT_S);
	define_string("theazo.gateway_listen",
	              "Addresses of the gateway: [database=]address:port, separated by commas.",
	              &tz_guc_gateway_listen, "127.0.0.1:8787", PGC_POSTMASTER, 0, NULL);
	define_int("theazo.gateway_max_body", "Largest body of a request.", &tz_guc_gateway_max_body_kb,
	           40 * 1024, 1, 1024 * 1024, PGC_SIGHUP, GUC_UNIT_KB);
	define_int("theazo.gateway_max_wait", "How long a request may wait for a run.",
	           &tz_guc_gateway_max_wait_ms, 300000, 1000, 86400000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("theazo.gateway_statement_timeout", "Time limit of the work in the database for one request.",
	           &tz_guc_gateway_statement_timeout_ms, 10000, 100, 600000, PGC_SIGHUP, GUC_UNIT_MS);
	DefineCustomBoolVariable(
		"theazo.gateway_tls_in_front",
		"Declares that a proxy ends TLS in front: addresses beyond loopback are allowed.", NULL,
		&tz_guc_gateway_tls_in_front, false, PGC_POSTMASTER, 0, NULL, NULL, NULL);
	define_int("theazo.gateway_workers", "Workers that serve the REST face of a database, 0 for none.",
	           &tz_guc_gateway_workers, 0, 0, TZ_GATEWAYS_MAX, PGC_POSTMASTER, 0);
}

/* Calls to the outside. */
static void
define_outside(void)
{
	define_string("theazo.ca_file", "Bundle of certificate authorities to trust as well.", &tz_guc_ca_file,
	              "", PGC_SIGHUP, 0, check_path);
	define_string("theazo.egress_allow", "Address blocks that may always be connected to.",
	              &tz_guc_egress_allow, "", PGC_SIGHUP, GUC_LIST_INPUT, NULL);
	define_bool("theazo.egress_allow_http", "Allows endpoints without TLS.", &tz_guc_egress_allow_http,
	            false);
	define_bool("theazo.egress_allow_private", "Allows private and loopback addresses.",
	            &tz_guc_egress_allow_private, false);
	define_string("theazo.egress_deny", "Address blocks that are never connected to.", &tz_guc_egress_deny,
	              "", PGC_SIGHUP, GUC_LIST_INPUT, NULL);
	define_int("theazo.http_connect_timeout", "Time limit for connecting to an endpoint.",
	           &tz_guc_http_connect_timeout_ms, 5000, 100, 300000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("theazo.http_max_body", "Largest answer that is read.", &tz_guc_http_max_body_kb, 40 * 1024, 1,
	           1024 * 1024, PGC_SIGHUP, GUC_UNIT_KB);
	define_int("theazo.http_max_calls", "Most calls a dispatcher has in flight.", &tz_guc_http_max_calls,
	           1000, 1, 100000, PGC_SIGHUP, 0);
	define_string(
		"theazo.web_search_header",
		"Header of web searches, with the placeholder of an operator's secret: name: tzsecret_NAME.",
		&tz_guc_web_search_header, "", PGC_SIGHUP, 0, check_search_header);
	define_string("theazo.web_search_url", "Address that web_search asks, with {query} and {limit} in it.",
	              &tz_guc_web_search_url, "", PGC_SIGHUP, 0, check_search_url);
}

/* The embedded sandbox. */
static void
define_sandbox(void)
{
	define_string("theazo.sandbox_bwrap", "Path of bubblewrap.", &tz_guc_sandbox_bwrap, "/usr/bin/bwrap",
	              PGC_SIGHUP, 0, check_path);
	define_int("theazo.sandbox_disk", "Size of a sandbox's workspace.", &tz_guc_sandbox_disk_mb, 256, 1,
	           1024 * 1024, PGC_SIGHUP, GUC_UNIT_MB);
	define_int("theazo.sandbox_file_size", "Largest file a sandbox may write.", &tz_guc_sandbox_file_size_mb,
	           64, 1, 1024 * 1024, PGC_SIGHUP, GUC_UNIT_MB);
	define_string("theazo.sandbox_init",
	              "Path of the program that is process 1 in a sandbox; empty for the installed one.",
	              &tz_guc_sandbox_init, "", PGC_SIGHUP, 0, check_path);
	define_int("theazo.sandbox_max", "Most sandboxes a dispatcher holds.", &tz_guc_sandbox_max, 64, 0, 10000,
	           PGC_SIGHUP, 0);
	define_int("theazo.sandbox_memory", "Memory of a sandbox.", &tz_guc_sandbox_memory_mb, 512, 16,
	           1024 * 1024, PGC_SIGHUP, GUC_UNIT_MB);
	DefineCustomEnumVariable("theazo.sandbox_minimum",
	                         "Weakest isolation a local sandbox may be started with.", NULL,
	                         &tz_guc_sandbox_minimum, TZ_SANDBOX_MINIMUM_NAMESPACES, sandbox_minimum_options,
	                         PGC_SIGHUP, 0, NULL, NULL, NULL);
	define_int("theazo.sandbox_processes", "Most processes in a sandbox.", &tz_guc_sandbox_processes, 64, 4,
	           100000, PGC_SIGHUP, 0);
	define_int("theazo.script_max", "Most programs of agents a dispatcher runs at once.", &tz_guc_script_max,
	           32, 1, 256, PGC_SIGHUP, 0);
	define_string("theazo.script_runner",
	              "Path of the program that runs agents' code; empty for the installed one.",
	              &tz_guc_script_runner, "", PGC_SIGHUP, 0, check_path);
	define_int("theazo.script_spares", "Processes a dispatcher keeps ready for programs of agents.",
	           &tz_guc_script_spares, 2, 0, 8, PGC_SIGHUP, 0);
}

/* A list of identifiers; names longer than a database's can be are refused. */
static bool
check_databases(char **newval, void **extra, GucSource source)
{
	char *copy = pstrdup(*newval);
	List *names = NIL;
	ListCell *lc;
	bool ok = true;

	(void) extra;
	(void) source;
	if (!SplitGUCList(copy, ',', &names))
	{
		GUC_check_errdetail("List syntax is invalid.");
		ok = false;
	}
	else
	{
		foreach (lc, names)
		{
			if (strlen(lfirst(lc)) >= NAMEDATALEN)
			{
				GUC_check_errdetail("Database name \"%s\" is too long.", (char *) lfirst(lc));
				ok = false;
			}
		}
	}
	list_free(names);
	pfree(copy);
	return ok;
}

/* Empty or absolute: a worker's directory is the data directory, nobody means that. */
static bool
check_path(char **newval, void **extra, GucSource source)
{
	(void) extra;
	(void) source;
	if (*newval == NULL || (*newval)[0] == '\0' || (*newval)[0] == '/')
		return true;
	GUC_check_errdetail("The path must be absolute.");
	return false;
}

/* A log's name is origin, slash and platform: what verifiers take for a name. */
static bool
check_origin(char **newval, void **extra, GucSource source)
{
	(void) extra;
	(void) source;
	if (*newval != NULL && strlen(*newval) <= TZ_AUDIT_ORIGIN_MAX && tz_origin_ok(tz_slice_cstr(*newval)))
		return true;
	GUC_check_errdetail("It must have 1 to %d printable ASCII characters, no blanks and no plus signs.",
	                    TZ_AUDIT_ORIGIN_MAX);
	return false;
}

/* It is stored with every event: short, and nothing that a reader's terminal obeys. */
static bool
check_request_id(char **newval, void **extra, GucSource source)
{
	const char *value = *newval == NULL ? "" : *newval;

	(void) extra;
	(void) source;
	for (const char *p = value; *p != '\0'; p++)
	{
		if (*p < ' ' || *p > '~')
		{
			GUC_check_errdetail("It must have printable ASCII characters only.");
			return false;
		}
	}
	if (strlen(value) <= TZ_REQUEST_ID_MAX)
		return true;
	GUC_check_errdetail("It has more than %d characters.", TZ_REQUEST_ID_MAX);
	return false;
}

/* Empty or name: value, with a placeholder: the credential itself belongs into the vault. */
static bool
check_search_header(char **newval, void **extra, GucSource source)
{
	(void) extra;
	(void) source;
	if (*newval == NULL || (*newval)[0] == '\0')
		return true;
	if (strchr(*newval, ':') != NULL && strchr(*newval, ':') != *newval &&
	    strstr(*newval, "tzsecret_") != NULL)
		return true;
	GUC_check_errdetail(
		"It must have the form \"name: value\" with a placeholder such as tzsecret_SEARCH in the value.");
	return false;
}

static bool
check_search_url(char **newval, void **extra, GucSource source)
{
	(void) extra;
	(void) source;
	if (*newval == NULL || (*newval)[0] == '\0')
		return true;
	if ((pg_strncasecmp(*newval, "https://", 8) == 0 || pg_strncasecmp(*newval, "http://", 7) == 0) &&
	    strstr(*newval, "{query}") != NULL)
		return true;
	GUC_check_errdetail("It must be an http or https address that contains {query}.");
	return false;
}
