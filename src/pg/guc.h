/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  The settings theazo.*, as C sees them. docs/settings.md explains each.
 *
 * Times are in milliseconds and sizes in bytes unless the name says otherwise.
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_GUC_H
#define TZ_GUC_H

#define TZ_DISPATCHERS_MAX 16
#define TZ_GATEWAYS_MAX 16

#define TZ_REQUEST_ID_MAX 128
#define TZ_AUDIT_ORIGIN_MAX 128

extern char *tz_guc_ca_file;
extern int tz_guc_claim_batch;
extern char *tz_guc_anchor_directory;
extern int tz_guc_anchor_interval_s;
extern char *tz_guc_audit_origin;
extern int tz_guc_claim_interval_ms;
extern char *tz_guc_databases;
extern int tz_guc_dispatchers;
extern char *tz_guc_egress_allow;
extern bool tz_guc_egress_allow_http;
extern bool tz_guc_egress_allow_private;
extern char *tz_guc_egress_deny;
extern bool tz_guc_enabled;
extern int tz_guc_gateway_address_connections;
extern char *tz_guc_gateway_allow_origins;
extern int tz_guc_gateway_connections;
extern int tz_guc_gateway_idle_timeout_s;
extern char *tz_guc_gateway_listen;
extern int tz_guc_gateway_max_body_kb;
extern int tz_guc_gateway_max_wait_ms;
extern int tz_guc_gateway_statement_timeout_ms;
extern bool tz_guc_gateway_tls_in_front;
extern int tz_guc_gateway_workers;
extern int tz_guc_http_connect_timeout_ms;
extern int tz_guc_http_max_body_kb;
extern int tz_guc_http_max_calls;
extern int tz_guc_keeper_interval_ms;
extern int tz_guc_lease_ms;
extern char *tz_guc_master_key_command;
extern char *tz_guc_master_key_file;
extern char *tz_guc_public_url;
extern int tz_guc_rate_buckets;
extern char *tz_guc_request_id; /* of the caller; may be empty or NULL */
extern int tz_guc_max_waiters;
extern int tz_guc_retention_attestations_days;
extern int tz_guc_retention_events_days;
extern int tz_guc_retention_executions_days;
extern int tz_guc_retention_host_calls_days;
extern int tz_guc_retention_logs_days;
extern int tz_guc_retention_runs_days;
extern int tz_guc_retention_traces_days;
extern int tz_guc_run_timeout_ms;
extern char *tz_guc_sandbox_bwrap;
extern int tz_guc_sandbox_disk_mb;
extern int tz_guc_sandbox_file_size_mb;
extern char *tz_guc_sandbox_init;
extern int tz_guc_metrics_interval_s;
extern int tz_guc_sandbox_max;
extern int tz_guc_sandbox_memory_mb;
extern int tz_guc_sandbox_minimum; /* TzSandboxMinimum */
extern int tz_guc_sandbox_processes;
extern int tz_guc_script_max;
extern char *tz_guc_script_runner;
extern int tz_guc_script_spares;
extern int tz_guc_stream_buffer_kb;
extern int tz_guc_sql_tool_workers;
extern char *tz_guc_web_search_header;
extern char *tz_guc_web_search_url;

/* Numbers equal those of TzBoxMode in sandbox/box.h. */
typedef enum TzSandboxMinimum
{
	TZ_SANDBOX_MINIMUM_NAMESPACES = 2,
	TZ_SANDBOX_MINIMUM_FULL = 3
} TzSandboxMinimum;

/* Defines them; called once, while the postmaster loads libraries. */
extern void tz_guc_init(void);

/* Path of the program that is PID 1 in a box: the setting, or where it was installed. */
extern const char *tz_guc_sandbox_init_path(void);

/* Path of the program that runs agents' code: the setting, or where it was installed. */
extern const char *tz_guc_script_runner_path(void);

/* Does theazo.databases name this database? A template only when listed by name. */
extern bool tz_guc_database_listed(const char *dbname, bool is_template);

#endif /* TZ_GUC_H */
