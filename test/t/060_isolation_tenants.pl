# Nobody gets in: two platforms, two end users, live and test data, every role. Every function, view
# and table is read from the catalog: one that has no case here fails the test.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('tenants');
$node->init;
$node->append_conf('postgresql.conf', slurp_file($ENV{THEAZO_CONF})) if $ENV{THEAZO_CONF};
# No workers: what is queued stays as it is. Nothing is allowed beyond the defaults.
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'theazo'
theazo.databases = ''
theazo.egress_allow_http = off
theazo.egress_allow_private = off
});
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION theazo CASCADE;
CREATE ROLE a_role; CREATE ROLE b_role; CREATE ROLE nobody_role; CREATE ROLE auditor_role; CREATE ROLE operator_role;
GRANT theazo_app TO a_role, b_role;
GRANT theazo_auditor TO auditor_role;
GRANT theazo_operator TO operator_role;
CREATE SCHEMA tst;
GRANT USAGE, CREATE ON SCHEMA tst TO PUBLIC;
-- outcome of a statement on one line: the error, or all it returned
CREATE FUNCTION tst.outcome(statement text, is_query boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text; h text; d text;
BEGIN
	IF is_query THEN
		EXECUTE format('SELECT string_agg(x::text, %L) FROM (%s) x', E'\x02', statement) INTO r;
	ELSE
		EXECUTE statement;
	END IF;
	RETURN 'ok ' || replace(coalesce(r, ''), E'\n', ' ');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS h = PG_EXCEPTION_HINT, d = PG_EXCEPTION_DETAIL;
	RETURN replace(SQLSTATE || ' ' || SQLERRM || ' | ' || d || ' | ' || h, E'\n', ' ');
END $$;
});

# ---- two platforms with something of everything ------------------------------------------------
# Every name and value of a platform carries its marker, so that a leak is seen wherever it shows.
sub fill
{
	my ($mark) = @_;
	my $out = $node->safe_psql('postgres', qq{
SELECT id AS plt FROM theazo.platform_create('$mark platform', metadata => '{"mark":"$mark"}') \\gset
SELECT id AS key_id, key AS live FROM theazo.api_key_create('$mark key', platform => :'plt') \\gset
SELECT key AS test FROM theazo.api_key_create('$mark test key', 'test', platform => :'plt') \\gset
SELECT role_name AS role FROM theazo.platform_bind_role(:'plt', '${\lc substr($mark, 0, 1)}_role') \\gset
BEGIN;
SELECT theazo.authenticate(:'live') IS NULL AS x \\gset
SELECT name FROM theazo.secret_set('$mark.secret', '$mark value') \\gset
SELECT name FROM theazo.provider_set('$mark.provider', endpoint => 'https://$mark.example/', credential_ref => '$mark.secret', priority => 500) \\gset
SELECT name FROM theazo.tool_set('$mark-tool', '$mark', '{"type":"object"}', url => 'https://$mark.example/') \\gset
SELECT id AS def FROM theazo.definition_create('$mark.definition', '{"instructions":"$mark"}') \\gset
SELECT id AS ses FROM theazo.session_create('$mark-user', metadata => '{"mark":"$mark"}') \\gset
SELECT id AS ses2 FROM theazo.session_create('$mark-second', metadata => '{"mark":"$mark-second"}') \\gset
SELECT name FROM theazo.secret_set('$mark.own', '$mark value', :'ses') \\gset
SELECT id AS prl FROM theazo.permission_rule_set('deny', tool => '$mark.nothing', subject => :'def') \\gset
SELECT id AS flb FROM theazo.flow_label_set('${\lc $mark}', 'tool', '$mark.nothing') \\gset
SELECT id AS frl FROM theazo.flow_rule_set('${\lc $mark}', 'tool', '$mark.nothing') \\gset
SELECT template FROM theazo.platform_policy_set(max_memory_mb => 2048) \\gset
SELECT theazo.guardrails_set('{"blockedDomains": ["$mark.example"]}') IS NOT NULL AS grd \\gset
SELECT name AS pat FROM theazo.safety_pattern_set('$mark.pattern', '$mark-word', 'abuse', 0.1) \\gset
SELECT theazo.user_budget_set(1000000, user_id => '$mark-user') IS NOT NULL AS bud \\gset
SELECT kind AS jdg FROM theazo.safety_ai_set('moderation', '$mark-judge', endpoint => 'https://${\lc $mark}.example/v1/moderations') \\gset
SELECT id AS agt FROM theazo.agent_create(:'ses', '{"provider":"theazo","metadata":{"custom":{"m":"$mark"}}}') \\gset
SELECT id AS agt2 FROM theazo.agent_create(:'ses2', '{"provider":"theazo","metadata":{"custom":{"m":"$mark-second"}}}') \\gset
SELECT key FROM theazo.agent_context_set(:'agt', '$mark.key', '"$mark"') \\gset
SELECT id AS gov FROM theazo.governed_register('$mark.governed', 'return 1', description => '$mark') \\gset
SELECT run_id AS exe FROM theazo.execution_start(:'gov', '{"mark": "$mark"}') \\gset
SELECT id AS gov2 FROM theazo.governed_register('$mark-second.governed', 'return 1', description => '$mark-second', session => :'ses2') \\gset
SELECT run_id AS exe2 FROM theazo.execution_start(:'gov2', '{"mark": "$mark-second"}') \\gset
SELECT id AS ckpt FROM theazo.checkpoint_create(:'agt', '$mark phase', 50, '{"m": "$mark"}') \\gset
INSERT INTO theazo_data.compute_sweep (platform_id, provider_name, adapter) VALUES (:'plt', '$mark.provider', 'webhook');
SELECT key FROM theazo.agent_context_set(:'agt2', '$mark-second.key', '"$mark-second"') \\gset
SELECT id AS run FROM theazo.exec_start(:'agt', 'python', 'print("$mark")', idempotency_key => '$mark') \\gset
SELECT id AS run2 FROM theazo.exec_start(:'agt2', 'python', 'print("$mark-second")') \\gset
SELECT theazo_internal.verdict_write(r, '{"stage": "input", "status": "passed", "rule": "$mark"}') IS NULL AS x FROM theazo_data.run r WHERE r.id = :'run' \\gset
SELECT theazo_internal.event_write(:'plt', 'safety', 'content_blocked', '{"type": "pii", "message": "$mark"}', :'ses', :'agt', :'run', 'live', 'deny', '$mark',
	true) IS NULL AS x \\gset
SELECT theazo_internal.progress_set(r, 50, '$mark') IS NULL AS x FROM theazo_data.run r WHERE r.id = :'run' \\gset
SELECT theazo_internal.sample_keep(x, '{"cpu_percent": 1}', now()) IS NULL AS x FROM theazo_data.sandbox x WHERE x.agent_id = :'agt' \\gset
SELECT theazo_internal.log_write(:'plt', NULL, 'info', 'system', '$mark log', 'live', :'ses', :'agt', :'run', '$mark-user') IS NULL AS x \\gset
SELECT theazo_internal.span_write(:'plt', theazo_internal.id_root(:'run'), theazo_internal.id_new('tr'), theazo_internal.id_new('tr'), NULL, 'live',
	:'ses', :'agt', :'run', '$mark span', 'running', now(), NULL) IS NULL AS x \\gset
INSERT INTO theazo_data.step (platform_id, root_id, seq, round, kind, state, name) VALUES (:'plt', theazo_internal.id_root(:'run'), 1, 1, 'tool', 'done', '$mark tool');
SELECT theazo_internal.charge_write(:'plt', theazo_internal.id_root(:'run'), theazo_internal.id_new('chg'), 'live', :'ses', :'agt', :'run',
	'$mark-user', NULL, NULL, 'compute.second', 1, 1000000, 'theazo', '$mark') IS NULL AS x \\gset
SELECT theazo_internal.model_health(jsonb_build_object('owner', :'plt', 'provider', '$mark.model'), false, 'transient') IS NULL AS x \\gset
COMMIT;
SELECT sandbox_id AS sbx FROM theazo_data.agent WHERE id = :'agt' \\gset
SELECT id AS evt FROM theazo_data.event WHERE session_id = :'ses' ORDER BY number LIMIT 1 \\gset
SELECT id AS eff FROM theazo_data.effect WHERE run_id = :'run' \\gset
SELECT id AS hses FROM theazo.session_create('$mark-halted', api_key => :'live') \\gset
SELECT id AS hlt FROM theazo.kill(:'hses', '$mark stops it', api_key => :'live') \\gset
SELECT scope FROM theazo.rate_limit_set('session', 1000000, 1000000, '$mark-session', api_key => :'live') \\gset
SELECT id AS wh FROM theazo.webhook_create('https://$mark.example/hook', '{*}', api_key => :'live') \\gset
SELECT id AS whd FROM theazo.webhook_test(:'wh', api_key => :'live') \\gset
SELECT id AS sch FROM theazo.schedule_create('$mark schedule', '$mark.definition', '\@daily', '$mark-user', input => '{"mark": "$mark"}', api_key => :'live') \\gset
SELECT id AS fire FROM theazo.schedule_run(:'sch', api_key => :'live') \\gset
SELECT id AS trg FROM theazo.trigger_create('$mark trigger', '$mark.definition', '$mark-user', api_key => :'live') \\gset
SELECT id AS prq FROM theazo.permission_request_create(:'agt', '{"allow_network": true}', '$mark needs it', 100000000, api_key => :'live') \\gset
SELECT theazo_internal.id_new('apr') AS apr \\gset
INSERT INTO theazo_data.approval (platform_id, id, session_id, agent_id, user_id, environment, run_id, step_seq, action, params, params_hash,
	tool_hash, policy_version, requesters, requested_at, expires_at, default_action, instance)
SELECT :'plt', :'apr', :'ses', :'agt', '$mark-user', 'live', :'run', 1, '$mark tool', '{}', sha256(''), sha256(''), 'v', '{}', now(), now() + '1 hour'::interval, 'deny', 'i';
INSERT INTO theazo_data.approval_vote (platform_id, approval_id, voter, voted_by, verdict, params_hash, reason, voted_at, session_id, environment)
VALUES (:'plt', :'apr', 'key:k', '$mark', 'approve', sha256(''), '$mark', now(), :'ses', 'live');
SELECT id AS tses FROM theazo.session_create('$mark-tester', metadata => '{"mark":"$mark-test"}', api_key => :'test') \\gset
\\echo plt=:plt key_id=:key_id live=:live test=:test ses=:ses ses2=:ses2 agt=:agt agt2=:agt2 run=:run run2=:run2 def=:def wh=:wh whd=:whd prq=:prq apr=:apr sbx=:sbx eff=:eff evt=:evt tses=:tses prl=:prl flb=:flb frl=:frl ckpt=:ckpt gov=:gov gov2=:gov2 exe=:exe exe2=:exe2 sch=:sch fire=:fire trg=:trg
});
	my %p = map { split /=/, $_, 2 } grep { /=/ } split / /, (grep { /^plt=/ } split /\n/, $out)[0];
	$p{mark} = $mark;
	return \%p;
}
# the operator's own, which is no platform's; their agents run on it
$node->safe_psql('postgres', q{SET ROLE operator_role;
SELECT name FROM theazo.operator_secret_set('Oscar.secret', 'Oscar value', hosts => '{oscar.example}');
SELECT name FROM theazo.operator_provider_set('Oscar.provider', endpoint => 'https://oscar.example', credential_ref => 'Oscar.secret')});
# thousands of calls with the same keys
$node->safe_psql('postgres', "SELECT theazo.operator_rate_limit_set('key', 100000000, 1000000)");
my $A = fill('Alpha');
my $B = fill('Bravo');
$node->safe_psql('postgres', "SELECT theazo.price_set('agent.fee', 7, platform => '$A->{plt}')");
# ids that nobody has, of the same form
my %none = map { $_ => ($A->{$_} =~ /^([a-z]+)_/ ? $1 : '') . '_00000000000000000000000000' } keys %$A;
$none{mark} = 'Nobody';

# ---- the cases: for each function, calls that name something of a platform ------------------------
# foreign: with another platform's things each must fail exactly as with things that do not exist.
# own: takes nothing of a platform; what comes back must hold nothing of another.
# operator: not for applications at all.
my %cases = (
	act_as => [foreign => "'{ses}'"],
	agent_context_delete => [foreign => "'{agt}', '{mark}.key'"],
	agent_context_get => [foreign => "'{agt}', '{mark}.key'"],
	agent_context_list => [foreign => "'{agt}'"],
	agent_context_set => [foreign => "'{agt}', '{mark}.key', '1'"],
	agent_run => [foreign => "'{mark}.governed'"],
	execute => [foreign => "'{gov}'"],
	execution_cancel => [foreign => "'{exe}'"],
	execution_get => [foreign => "'{exe}'"],
	execution_list => [foreign => "'{gov}'"],
	execution_statement => [foreign => "'{exe}'"],
	execution_start => [foreign => "'{gov}'", "'{mark}.governed'"],
	execution_wait => [foreign => "'{exe}', '0 s'"],
	secure_agent_audit_log => [foreign => "'{mark}.governed'"],
	secure_agent_configure => [own => "'of mine', '{\"entry_code\": \"return 1\"}'"],
	secure_agent_request_permission => [foreign => "'{mark}.governed', '{\"allow_network\": true}', 'why'"],
	secure_agent_start => [foreign => "'{mark}.governed', '{\"task\": \"t\"}'"],
	secure_agent_stop => [foreign => "'{mark}.governed', 'why'"],
	verify_execution => [foreign => "'{exe}'"],
	governed_delete => [foreign => "'{gov}'"],
	governed_get => [foreign => "'{gov}'", "'{mark}.governed'"],
	governed_list => [own => ''],
	governed_register => [foreign => "'x', session => '{ses}'"],
	governed_update => [foreign => "'{gov}', '{\"version\": \"2\"}'"],
	agent_create => [foreign => "'{ses}'", "'{ses}', '{\"definition\":\"{def}\"}'", "MY:'{ses}', '{\"definition\":\"{def}\"}'",
		"MY:'{ses}', '{\"definition\":\"{mark}.definition\"}'", "MY:'{ses}', '{\"provider\":\"{mark}.provider\"}'", "MY:'{ses}', '{\"providerFallback\":\"{mark}.provider\"}'"],
	agent_get => [foreign => "'{agt}'"],
	agent_list => [foreign => "'{ses}'"],
	agent_pause => [foreign => "'{agt}'"],
	agent_policy => [foreign => "'{agt}'"],
	agent_progress => [foreign => "'{agt}'"],
	agent_resume => [foreign => "'{agt}'"],
	agent_resume_with => [foreign => "'{agt}'", "'{agt}', '{ckpt}'", "MY:'{agt}', '{ckpt}'", "MY:'{agt}', provider => '{mark}.provider'"],
	agent_retry => [foreign => "'{agt}'"],
	agent_send => [foreign => "'{agt}', 'note', 'x'"],
	agent_status => [foreign => "'{agt}'"],
	agent_terminate => [foreign => "'{agt}'"],
	api_key_create => [own => "'x'"],
	api_key_revoke => [foreign => "'{key_id}'"],
	api_key_rotate => [foreign => "'{key_id}'"],
	approval_approve => [foreign => "'{apr}'"],
	approval_bulk_approve => [foreign => "ARRAY['{apr}']"],
	approval_bulk_deny => [foreign => "ARRAY['{apr}']"],
	approval_deny => [foreign => "'{apr}'"],
	approval_get => [foreign => "'{apr}'"],
	approval_list => [foreign => "'{ses}'"],
	approval_wait => [foreign => "'1 ms', '{ses}'"],
	audit_consistency => [own => '1, 1'],
	audit_export => [own => ''],
	audit_follow => [own => "0, timeout => '1 ms'"],
	audit_log => [own => ''],
	audit_proof => [foreign => "'{evt}'"],
	audit_segment_export => [operator => "'2001_01'"],
	audit_verify => [foreign => "'{evt}'"],
	authenticate => [special => ''],
	budget_delete => [own => ''],
	budget_get => [own => ''],
	budget_set => [own => '1000000'],
	checkpoint_create => [foreign => "'{agt}'"],
	checkpoint_delete => [foreign => "'{ckpt}'"],
	checkpoint_get => [foreign => "'{ckpt}'"],
	checkpoint_list => [foreign => "'{agt}'"],
	definition_create => [own => "'x'"],
	definition_delete => [foreign => "'{def}'"],
	definition_get => [foreign => "'{def}'"],
	definition_rollback => [foreign => "'{def}', 1"],
	definition_update => [foreign => "'{def}', '{}'"],
	effects_release => [operator => "'{eff}'"],
	exec => [foreign => "'{agt}', 'python', 'print(1)'"],
	exec_start => [foreign => "'{agt}', 'python', 'print(1)'"],
	file_list => [foreign => "'{agt}'"],
	file_list_start => [foreign => "'{agt}'"],
	flow_label_delete => [foreign => "'{flb}'"],
	flow_label_list => [own => ''],
	flow_label_set => [foreign => "'x', 'tool', 'x', '{agt}'", "'x', 'tool', 'x', '{def}'"],
	flow_rule_delete => [foreign => "'{frl}'"],
	flow_rule_list => [own => ''],
	flow_rule_set => [foreign => "'x', 'tool', 'x', '{agt}'", "'x', 'tool', 'x', '{def}'"],
	guardrails_get => [own => ''],
	guardrails_set => [own => "'{\"maxToolCalls\": 1000}'"],
	guardrails_violations => [own => '', "agent => '{agt}'"],
	halt => [own => "'Bravo stops'"],
	http_fetch => [foreign => "'{agt}', 'https://x.example/'"],
	http_fetch_start => [foreign => "'{agt}', 'https://x.example/'"],
	file_read => [foreign => "'{agt}', '/x'"],
	file_read_start => [foreign => "'{agt}', '/x'"],
	file_write => [foreign => "'{agt}', '/x', 'x'"],
	file_write_start => [foreign => "'{agt}', '/x', 'x'"],
	integrity_check => [operator => ''],
	kill => [foreign => "'{agt}', 'x'", "'{ses}', 'x'", "'{run}', 'x'"],
	metrics_query => [own => "'cost', now() - interval '1 day', now() + interval '1 day', interval '1 day'"],
	metrics_start => [foreign => "'{agt}'"],
	metrics_summary => [own => ''],
	model_price_set => [operator => "'x/y', 1, 2, platform => '{plt}'"],
	operator_anchor_delete => [operator => "'x'"],
	operator_anchor_now => [operator => ''],
	operator_segment_detach => [operator => "'2000_01'"],
	operator_anchor_set => [operator => "'x', 'file', '{\"file\":\"x\"}'"],
	operator_halt_drill => [operator => '1'],
	operator_halt => [operator => "'x', platform => '{plt}'"],
	operator_provider_delete => [operator => "'{mark}.provider'"],
	operator_provider_set => [operator => "'x', endpoint => 'https://x.example'"],
	operator_provider_test => [operator => "'{mark}.provider'"],
	operator_rate_limit_delete => [operator => "'key', platform => '{plt}'"],
	operator_rate_limit_set => [operator => "'key', 100, 10, platform => '{plt}'"],
	operator_pg_cron => [operator => ''],
	operator_schedules_tick => [operator => ''],
	operator_secret_delete => [operator => "'{mark}.secret'"],
	operator_secret_list => [operator => ''],
	operator_secret_set => [operator => "'x', 'y'"],
	operator_unhalt => [operator => "platform => '{plt}'"],
	operator_safety_pattern_delete => [operator => "'x'"],
	operator_safety_pattern_set => [operator => "'x', 'x', 'abuse'"],
	permission_check => [foreign => "'{agt}', 'model.call'", "MY:'{agt}', tool => '{mark}-tool'"],
	permission_rule_delete => [foreign => "'{prl}'"],
	permission_rule_list => [own => ''],
	permission_rule_set => [foreign => "'deny', '*', subject => '{agt}'", "'deny', '*', subject => '{def}'"],
	safety_check => [foreign => "'x', '{agt}'"],
	operator_safety_ai_delete => [operator => ''],
	operator_safety_ai_set => [operator => "'moderation', endpoint => 'https://x.example/'"],
	safety_ai_delete => [own => ''],
	safety_ai_get => [own => ''],
	safety_ai_set => [own => "'moderation', 'bravo-judge', endpoint => 'https://bravo.example/v1/moderations'"],
	safety_pattern_delete => [foreign => "'{mark}.pattern'"],
	safety_pattern_set => [own => "'bravo.own', 'nothing', 'abuse'"],
	permission_request_approve => [foreign => "'{prq}'"],
	permission_request_create => [foreign => "'{agt}', '{\"allow_network\": true}', 'x'"],
	permission_request_deny => [foreign => "'{prq}'"],
	permission_request_get => [foreign => "'{prq}'"],
	permission_request_list => [foreign => "NULL, '{agt}'"],
	permission_request_wait => [foreign => "'{prq}', '1 ms'"],
	operator_budget_delete => [operator => "'{plt}'"],
	operator_budget_get => [operator => "'{plt}'"],
	operator_budget_set => [operator => "1, platform => '{plt}'"],
	platform_allow_egress => [operator => "'{plt}', true"],
	platform_bind_role => [operator => "'{plt}', 'b_role'"],
	platform_create => [operator => "'x'"],
	platform_get => [own => ''],
	platform_policy_set => [own => 'max_memory_mb => 2048'],
	platform_unbind_role => [operator => "'{plt}', 'a_role'"],
	platform_update => [own => ''],
	price_set => [operator => "'agent.fee', 1, platform => '{plt}'"],
	port_expose => [foreign => "'{agt}', 8080"],
	port_expose_start => [foreign => "'{agt}', 8080"],
	provider_delete => [foreign => "'{mark}.provider'"],
	provider_get => [foreign => "'{mark}.provider'"],
	provider_list => [own => ''],
	provider_set => [foreign => "'x', endpoint => 'https://x.example', credential_ref => '{mark}.secret'",
		"'x', endpoint => 'https://x.example', signing_ref => '{mark}.secret'"],
	provider_test => [foreign => "'{mark}.provider'"],
	rate_limit_delete => [own => "'provider'"],
	rate_limit_set => [own => "'provider', 10, 1"],
	resume_halted => [foreign => "'{agt}'", "'{ses}'", "'{run}'"],
	run => [foreign => "'{agt}', 'x'"],
	run_cancel => [foreign => "'{run}'"],
	run_get => [foreign => "'{run}'"],
	run_result => [foreign => "'{run}'"],
	output_tail => [foreign => "'{agt}'"],
	run_follow => [foreign => "'{run}', 0, '1 ms'"],
	run_start => [foreign => "'{agt}', 'x'"],
	run_steps => [foreign => "'{run}'"],
	run_wait => [foreign => "'{run}', '1 ms'"],
	secret_delete => [foreign => "'{mark}.secret'", "'{mark}.own', '{ses}'"],
	secret_history => [foreign => "'{mark}.secret'", "'{mark}.own', '{ses}'"],
	secret_list => [foreign => "'{ses}'"],
	secret_set => [foreign => "'x', 'y', '{ses}'"],
	secrets_set => [foreign => "'{\"x\":\"y\"}', '{ses}'"],
	session_create => [foreign => "'u', compute => '{\"provider\":\"{mark}.provider\"}'"],
	session_for_user => [own => "'Alpha-user'"],
	session_get => [foreign => "'{ses}'"],
	session_list => [own => "'Alpha-user'"],
	session_pause => [foreign => "'{ses}'"],
	session_resume => [foreign => "'{ses}'"],
	session_limits => [foreign => "'{ses}'"],
	session_run => [foreign => "'{ses}', 'tester', 'x'", "MY:'{ses}', '{def}', 'x'"],
	session_token_create => [foreign => "'{ses}'"],
	session_terminate => [foreign => "'{ses}'"],
	session_update_limits => [foreign => "'{ses}', '{}'"],
	session_usage => [foreign => "'{ses}'"],
	tool_delete => [foreign => "'{mark}-tool'"],
	tool_list => [own => ''],
	tool_set => [own => "'x', 'x', '{\"type\":\"object\"}', url => 'https://x.example/'"],
	tool_test => [foreign => "'{agt}', 'web_search', '{\"query\":\"x\"}'"],
	tool_test_start => [foreign => "'{agt}', 'web_search', '{\"query\":\"x\"}'"],
	unhalt => [own => ''],
	usage_by_provider => [own => ''],
	cron_preview => [own => "'\@daily'"],
	schedule_create => [foreign => "'x', '{agt}', '\@daily'", "'x', '{def}', '\@daily', 'x'", "'x', 'governed:{mark}.governed', '\@daily'"],
	schedule_delete => [foreign => "'{sch}'"],
	schedule_get => [foreign => "'{sch}'"],
	schedule_history => [foreign => "'{sch}'"],
	schedule_list => [own => ''],
	schedule_pause => [foreign => "'{sch}'"],
	schedule_resume => [foreign => "'{sch}'"],
	schedule_run => [foreign => "'{sch}'"],
	schedule_update => [foreign => "'{sch}', '{\"overlap\": \"queue\"}'"],
	trigger_create => [foreign => "'x', '{agt}'", "'x', '{def}', 'x'", "'x', 'governed:{mark}.governed'"],
	trigger_delete => [foreign => "'{trg}'"],
	trigger_fire => [foreign => "'{trg}', 'x'"],
	trigger_get => [foreign => "'{trg}'"],
	trigger_history => [foreign => "'{trg}'"],
	trigger_list => [own => ''],
	usage_daily => [own => ''],
	usage_export => [own => ''],
	usage_for_user => [own => "'Alpha-user'"],
	usage_summary => [own => ''],
	user_erase => [foreign => "'{mark}-user'"],
	user_budget_delete => [own => "'somebody'"],
	user_budget_get => [own => "'somebody'"],
	user_budget_set => [own => "1000000, user_id => 'somebody'"],
	user_usage => [own => "'Alpha-user'"],
	vault_forget => [operator => "'0123456789abcdef'"],
	vault_rotate => [operator => ''],
	vault_status => [own => ''],
	whoami => [own => ''],
	webhook_create => [own => "'https://x.example/', '{*}'"],
	webhook_delete => [foreign => "'{wh}'"],
	webhook_delivery_list => [foreign => "'{wh}'"],
	webhook_get => [foreign => "'{wh}'"],
	webhook_list => [own => ''],
	webhook_redeliver => [foreign => "'{whd}'"],
	webhook_rotate => [foreign => "'{wh}'"],
	webhook_test => [foreign => "'{wh}'"],
	webhook_update => [foreign => "'{wh}', active => false"],
);
# for the operator only
my %operator_view = map { $_ => 1 } qw(effects held_effects model_prices operator_compute_sweeps operator_anchors operator_audit_status operator_events operator_gateways operator_halt_drills operator_halts operator_integrity operator_partitions operator_platform_roles
	operator_budget_status operator_platforms operator_provider_health operator_providers operator_rate_buckets operator_rate_limits operator_safety_ai operator_safety_patterns operator_safety_rules operator_safety_words operator_secret_versions operator_secrets prices sandbox_preflight vault_keys vault_rotations workers);
my @tenant_views = qw(agent_contexts agents api_keys approval_votes approvals permission_requests webhook_deliveries webhooks schedules schedule_executions triggers audit_anchors audit_checkpoints audit_events audit_keys audit_status budget_status charges checkpoints compute_capabilities compute_sweeps snapshots definition_versions definitions events execution_details executions flow_labels flow_rules governed_agents governed_versions guardrail_violations halts logs permission_rules platform_policies platforms provider_health providers rate_limits safety_ai safety_patterns safety_verdicts run_results runs
	progress sandbox_metrics sandboxes secret_versions secrets sessions spans steps tools traces);
# what the keeper makes, who is not here: nothing of a platform stands in it yet
my %later = map { $_ => 1 } qw(audit_anchors audit_checkpoints audit_keys audit_status);

sub names { return split /\n/, $node->safe_psql('postgres', $_[0]) }
my %kind = map { split /\|/ } names("SELECT proname, prokind FROM pg_proc WHERE pronamespace = 'theazo'::regnamespace");
is(join(' ', grep { !$cases{$_} } sort keys %kind), '', 'every function of theazo has a case');
is(join(' ', grep { !$kind{$_} } sort keys %cases), '', 'every case has a function');
my @views = names("SELECT relname FROM pg_class WHERE relnamespace = 'theazo'::regnamespace AND relkind IN ('v', 'm') ORDER BY 1");
my %known = map { $_ => 1 } @tenant_views, keys %operator_view;
is(join(' ', grep { !$known{$_} } @views), '', 'every view of theazo has a case');
# what REST shows of one platform to another is the matter of 062_rest
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_proc WHERE pronamespace = 'theazo_api'::regnamespace AND has_function_privilege('a_role', oid, 'EXECUTE')"), 0,
	'an application calls nothing of theazo_api');

# ---- running -----------------------------------------------------------------------------------------
sub put { my ($s, $p) = @_; $s =~ s/\{(\w+)\}/exists $p->{$1} ? $p->{$1} : "{$1}"/ge; return $s }
sub lit { my ($s) = @_; $s =~ s/'/''/g; return "'$s'" }

# Runs statements, each in a transaction of its own that is rolled back, as a role and perhaps with a key; gives an outcome each.
sub outcomes
{
	my ($role, $prelude, @statements) = @_;
	my $sql = "\\set QUIET on\nSET ROLE $role;\n";
	for my $s (@statements)
	{
		my $query = $s =~ /^\s*(SELECT|TABLE)/i ? 'true' : 'false';
		$sql .= "BEGIN;\n$prelude\nSELECT tst.outcome(" . lit($s) . ", $query);\nROLLBACK;\n";
	}
	my ($rc, $out, $err) = $node->psql('postgres', $sql, on_error_stop => 0);
	my @lines = split /\n/, $out, -1;
	die "outcomes: " . @lines . " lines for " . @statements . " statements\n$out\n$err" if @lines != @statements;
	return @lines;
}
# Procedures commit, so each is called at top level; without a transaction the key is an argument.
sub call_outcome
{
	my ($role, $key, $f, $args) = @_;
	$args .= ", api_key => '$key'" if $key;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET ROLE $role;\nCALL theazo.$f($args);", on_error_stop => 0);
	return "ok $out" if $err !~ /ERROR:\s+(\w{5}): (.*)/;
	return "$1 $2 | | " . ($err =~ /HINT:\s+(.*)/ ? $1 : '');
}
sub key { my ($k) = @_; return "SELECT FROM theazo.authenticate('$k') \\g /dev/null" }
sub call
{
	my ($f, $args) = @_;
	return $kind{$f} eq 'p' ? "CALL theazo.$f($args)" : "SELECT * FROM theazo.$f($args)";
}
# MY: the call names a session of the caller's own.
sub fill_args
{
	my ($args, $mine, $theirs) = @_;
	if ($args =~ s/^MY://) { $args =~ s/\{ses\}/$mine->{ses}/ }
	return put($args, $theirs);
}
sub neutral
{
	my ($line) = @_;
	$line =~ s/\b([a-z]+)_[0-9A-HJKMNP-TV-Z]{26}\b/$1_*/g;
	$line =~ s/\b(Alpha|Nobody)\b/*/g;
	return $line;
}
sub leaks
{
	my ($line, $p, @but) = @_;
	my %but = map { $_ => 1 } @but;
	return grep { !$but{$_} && index($line, $p->{$_}) >= 0 } sort keys %$p;
}

# ---- another platform's things, by key and by bound role -----------------------------------------------
for my $as (['its key', 'a_role', $B->{live}], ['its role', 'b_role', ''], ['its test key', 'a_role', $B->{test}])
{
	my ($how, $role, $k) = @$as;
	my $prelude = $k ? key($k) : '';
	# a_role is bound to Alpha: a key given in the transaction stands above it
	my (@what, @foreign, @unknown);
	for my $f (sort grep { $cases{$_}[0] eq 'foreign' } keys %cases)
	{
		my ($type, @args) = @{ $cases{$f} };
		for my $args (@args)
		{
			if ($kind{$f} eq 'p')
			{
				my $o = call_outcome($role, $k, $f, put($args, $A));
				like($o, qr/^42704 /, "Bravo by $how: $f($args) of Alpha is refused");
				is(neutral($o), neutral(call_outcome($role, $k, $f, put($args, \%none))), '... in the words for what does not exist');
				next;
			}
			my $mine = $how eq 'its test key' ? { %$B, ses => $B->{tses} } : $B;
			push @what, "$f($args)";
			push @foreign, call($f, fill_args($args, $mine, $A));
			push @unknown, call($f, fill_args($args, $mine, \%none));
		}
	}
	my @f = outcomes($role, $prelude, @foreign);
	my @u = outcomes($role, $prelude, @unknown);
	for my $i (0 .. $#what)
	{
		# what a platform shares is refused to a test key whoever it belongs to
		like($f[$i], $how eq 'its test key' ? qr/^(42704 |22023 |TZ602 a test key cannot change )/ : qr/^(42704|22023) /, "Bravo by $how: $what[$i] of Alpha is refused");
		is(neutral($f[$i]), neutral($u[$i]), '... in the words for what does not exist');
	}
	my @own = sort grep { $cases{$_}[0] eq 'own' } keys %cases;
	my @o = outcomes($role, $prelude, map { call($_, $cases{$_}[1]) } @own);
	for my $i (0 .. $#own)
	{
		is(join(' ', leaks($o[$i], $A, $own[$i] =~ /_user|session_list/ ? 'mark' : ())), '', "Bravo by $how: $own[$i] holds nothing of Alpha");
	}
	my @v = outcomes($role, $prelude, map { "SELECT * FROM theazo.$_" } @tenant_views);
	for my $i (0 .. $#tenant_views)
	{
		like($v[$i], qr/^ok/, "Bravo by $how reads $tenant_views[$i]");
		is(join(' ', leaks($v[$i], $A)), '', '... and nothing of Alpha');
		isnt(join(' ', leaks($v[$i], $B)), '', '... but something of its own') if $how ne 'its test key' && !$later{ $tenant_views[$i] };
	}
}

# ---- the operator's things: to a platform they do not exist ----------------------------------------------
{
	my %O = (%none, mark => 'Oscar');
	my @calls = map { my $f = $_; map { [$f, $_] } grep { /\{mark\}\.(secret|provider)/ } @{ $cases{$f} }[1 .. $#{ $cases{$f} }] }
	  sort grep { $cases{$_}[0] eq 'foreign' && $kind{$_} ne 'p' } keys %cases;
	push @calls, map { my $c = [@$_]; $c->[1] =~ s/\{mark\}\.provider/theazo:{mark}.provider/ ? $c : () } @calls;
	my $own = sub { my ($args) = @_; $args =~ s/^MY://; $args =~ s/\{ses\}/$B->{ses}/; return $args };
	my @o = outcomes('a_role', key($B->{live}), map { call($_->[0], put($own->($_->[1]), \%O)) } @calls);
	my @u = outcomes('a_role', key($B->{live}), map { call($_->[0], put($own->($_->[1]), \%none)) } @calls);
	cmp_ok(scalar(@calls), '>=', 12, 'calls that name a secret or a provider');
	for my $i (0 .. $#calls)
	{
		like($o[$i], qr/^(42704|22023) /, "$calls[$i][0]($calls[$i][1]) of the operator is refused");
		is($o[$i] =~ s/Oscar/*/gr, $u[$i] =~ s/Nobody/*/gr, '... in the words for what does not exist');
	}
	my @v = outcomes('a_role', key($B->{live}), map { "SELECT * FROM theazo.$_" } @tenant_views);
	is(join(' ', grep { $v[$_] =~ /oscar/i } 0 .. $#v), '', 'no view of a platform holds anything of the operator');
	my @own = sort grep { $cases{$_}[0] eq 'own' } keys %cases;
	my @w = outcomes('a_role', key($B->{live}), map { call($_, $cases{$_}[1]) } @own);
	is(join(' ', grep { $w[$_] =~ /oscar/i } 0 .. $#w), '', 'nor does a function');
	my @e = outcomes('operator_role', '', map { "SELECT * FROM theazo.$_" } qw(operator_secrets operator_secret_versions operator_providers operator_events));
	like($_, qr/^ok .*Oscar/, 'the operator sees it') for @e;
}

# the eye: Alpha itself sees its marker in every view and its calls work
my @eye = outcomes('a_role', key($A->{live}), map { "SELECT * FROM theazo.$_" } @tenant_views);
ok(scalar(leaks($eye[$_], $A)), "Alpha sees Alpha in $tenant_views[$_]") for grep { !$later{ $tenant_views[$_] } } 0 .. $#tenant_views;
my @works = outcomes('a_role', '', map { call($_, put($cases{$_}[1], $A)) } qw(session_get agent_get run_get run_result definition_get provider_get secret_list agent_terminate api_key_revoke));
like($_, qr/^ok /, 'Alpha by its role may: ' . substr($_, 0, 20)) for @works;

# ---- one end user against another ------------------------------------------------------------------------
my $narrow = key($A->{live}) . "\nSELECT FROM theazo.act_as('$A->{ses2}') \\g /dev/null";
my %second = (%$A);
my @nv = outcomes('b_role', $narrow, map { "SELECT * FROM theazo.$_" } @tenant_views);
for my $i (0 .. $#tenant_views)
{
	my $own = $nv[$i] =~ s/Alpha-second//gr;
	is(join(' ', grep { index($own, $_) >= 0 } 'Alpha-user', 'Alpha.own', 'Alpha.secret', 'Alpha.provider', 'Alpha.definition', $A->{ses}, $A->{agt}, $A->{run}, $A->{sbx}),
		'', "the second user reads nothing of the first in $tenant_views[$i]");
}
my @session_calls = map { [$_, call($_, put($cases{$_}[1], $A))] } grep { $kind{$_} ne 'p' && $cases{$_}[0] eq 'foreign' && $cases{$_}[1] =~ /\{(ses|agt|run)\}/ } sort keys %cases;
my @nc = outcomes('b_role', $narrow, map { $_->[1] } @session_calls);
like($nc[$_], qr/^(42704|TZ602) /, "the second user cannot $session_calls[$_][0] what is the first's") for 0 .. $#session_calls;

# ---- live against test data ----------------------------------------------------------------------------------
for my $pair ([test => $A->{test}, 'live'], [live => $A->{live}, 'test'])
{
	my ($how, $k, $other) = @$pair;
	my $hidden = $other eq 'live' ? $A->{ses} : $A->{tses};
	my @tv = outcomes('b_role', key($k), map { "SELECT * FROM theazo.$_" } @tenant_views);
	is(join(' ', grep { index($tv[$_], $hidden) >= 0 } 0 .. $#tv), '', "a $how key sees no $other session in any view");
	my ($o) = outcomes('b_role', key($k), "SELECT * FROM theazo.session_get('$hidden')");
	like($o, qr/^42704 /, "a $how key does not get a $other session");
}

# ---- nobody, and those who hold no key ---------------------------------------------------------------------------
my @all = sort keys %cases;
my @nobody = outcomes('nobody_role', '', map { call($_, put($cases{$_}[1], $A)) } @all);
like($nobody[$_], qr/^42501 /, "a role without grants cannot call $all[$_]") for 0 .. $#all;
my @app = sort grep { $kind{$_} ne 'p' && $cases{$_}[0] =~ /^(foreign|own)$/ } keys %cases;
my @procedures = sort grep { $kind{$_} eq 'p' } keys %cases;
like(call_outcome('theazo_app', '', $_, put($cases{$_}[1], $A)), qr/^TZ601 /, "without a key $_ says who is missing") for @procedures;
my @none = outcomes('theazo_app', '', map { call($_, put($cases{$_}[1] =~ s/^MY://r, $A)) } @app);
like($none[$_], qr/^TZ601 /, "without a key $app[$_] says who is missing") for 0 .. $#app;
my @bad = outcomes('theazo_app', '', map { "SELECT * FROM theazo.authenticate($_)" } "''", "'$A->{live}x'", "substr('$A->{live}', 1, 50)", "upper('$A->{live}')",
	"'" . reverse($A->{live}) . "'", "'$A->{key_id}'", "E'\\\\x00'");
like($_, qr/^TZ601 the API key is not valid/, 'no key, no entry') for @bad;
my @ops = sort grep { $cases{$_}[0] eq 'operator' } keys %cases;
for my $role (qw(a_role auditor_role theazo_worker theazo_gateway))
{
	my @o = outcomes($role, '', map { call($_, put($cases{$_}[1], $A)) } @ops);
	like($o[$_], qr/^42501 /, "$role cannot $ops[$_]") for 0 .. $#ops;
}
# an operator acts for no platform by being one
my @opcalls = outcomes('operator_role', '', map { call($_, put($cases{$_}[1] =~ s/^MY://r, $A)) } grep { $_ ne 'vault_status' } @app);
like($_, qr/^TZ601 /, 'the operator is no platform') for @opcalls;

# ---- views and tables by role ---------------------------------------------------------------------------------------
my %reader = (a_role => 1, auditor_role => 1, operator_role => 1, theazo_gateway => 1);
for my $role (qw(nobody_role a_role auditor_role operator_role theazo_worker theazo_gateway))
{
	my @o = outcomes($role, '', map { "SELECT * FROM theazo.$_" } @views);
	for my $i (0 .. $#views)
	{
		my $may = $operator_view{ $views[$i] } ? $role eq 'operator_role' : $reader{$role};
		like($o[$i], $may ? qr/^ok/ : qr/^42501 /, "$role " . ($may ? 'reads ' : 'does not read ') . $views[$i]);
		is(join(' ', leaks($o[$i], $A)), '', "... with nothing of a platform for $role") if $may && $role ne 'a_role' && !$operator_view{ $views[$i] };
	}
	my @w = outcomes($role, '', map { ("DELETE FROM theazo.$_", "INSERT INTO theazo.$_ DEFAULT VALUES") } @views);
	is(join(' ', grep { !/^(42501|55000|0A000) / } @w), '', "$role writes through no view");
}
my @tables = names("SELECT relname FROM pg_class WHERE relnamespace = 'theazo_data'::regnamespace AND relkind IN ('r', 'p', 'S') ORDER BY 1");
cmp_ok(scalar(@tables), '>', 25, 'tables are listed');
for my $role (qw(nobody_role a_role auditor_role operator_role theazo_worker theazo_gateway))
{
	my @o = outcomes($role, '', map { ("SELECT * FROM theazo_data.$_", "INSERT INTO theazo_data.$_ DEFAULT VALUES", "UPDATE theazo_data.$_ SET platform_id = platform_id",
		"DELETE FROM theazo_data.$_", "TRUNCATE theazo_data.$_", "ALTER TABLE theazo_data.$_ DISABLE ROW LEVEL SECURITY", "CREATE RULE x AS ON INSERT TO theazo_data.$_ DO NOTHING") } @tables);
	is(join("\n", grep { !/^42501 / } @o), '', "$role touches none of " . @tables . ' tables in any of seven ways');
}
my @internal = names(q{SELECT format('%I(%s)', proname, (SELECT string_agg('NULL::' || format_type(t, NULL), ', ' ORDER BY o) FROM unnest(proargtypes::oid[]) WITH ORDINALITY u (t, o)))
	FROM pg_proc WHERE pronamespace = 'theazo_internal'::regnamespace AND prorettype <> 'trigger'::regtype ORDER BY 1});
cmp_ok(scalar(@internal), '>', 80, 'internal functions are listed');
for my $role (qw(nobody_role a_role auditor_role operator_role))
{
	my @o = outcomes($role, '', map { "SELECT theazo_internal.$_" } @internal);
	is(join("\n", grep { !/^42501 / } @o), '', "$role calls none of " . @internal . ' internal functions');
}
# who serves REST calls its operations, and what views ask as the caller
is(join(' ', names(q{SELECT proname FROM pg_proc WHERE pronamespace = 'theazo_internal'::regnamespace AND has_function_privilege('theazo_gateway', oid, 'EXECUTE')
	AND NOT has_function_privilege('theazo_app', oid, 'EXECUTE') AND proname !~ '^(rest|gateway)_' ORDER BY 1})), 'audit_since csv_field duration_check enter id_floor id_new quoted raise_not_found raise_value sql_version',
	'who serves REST calls operations');
# a worker calls what a worker needs, and cannot become a platform or make keys
is(join(' ', names(q{SELECT proname FROM pg_proc WHERE pronamespace = 'theazo_internal'::regnamespace AND has_function_privilege('theazo_worker', oid, 'EXECUTE')
	AND proname ~ '^(identity_|api_key_|platform_|secret_|key_|event_|session_|agent_|charge_|partition_|random_|price_|enter|move|vault_|run_|sandbox_(start|bill))' ORDER BY 1})),
	'', 'a worker cannot become a platform, make keys, seal or open secrets, or write events and charges by itself');

# ---- nobody becomes another ---------------------------------------------------------------------------------------
$node->safe_psql('postgres', 'ALTER ROLE a_role LOGIN');
for my $try ("SET ROLE b_role", "SET ROLE theazo_owner", "SET SESSION AUTHORIZATION b_role", "SET theazo.platform = '$B->{plt}'", "ALTER FUNCTION theazo.whoami(text) SECURITY INVOKER",
	"ALTER VIEW theazo.sessions SET (security_invoker = true)", "CREATE OR REPLACE VIEW theazo.sessions AS SELECT 1", "CREATE FUNCTION theazo.mine() RETURNS int LANGUAGE sql RETURN 1",
	"CREATE TABLE theazo_data.x ()", "GRANT theazo_system TO a_role", "ALTER EXTENSION theazo UPDATE", "DROP EXTENSION theazo", "SET session_replication_role = replica")
{
	my ($rc, $out, $err) = $node->psql('postgres', $try, extra_params => [ '-U', 'a_role' ]);
	isnt($rc, 0, "an application's role cannot: $try");
}
# operators and functions that the caller's search_path puts in front mean nothing inside
my ($rc, $out, $err) = $node->psql('postgres', qq{
CREATE FUNCTION tst.hijack(text, text) RETURNS boolean LANGUAGE plpgsql AS \$\$ BEGIN RAISE EXCEPTION 'hijacked as %', current_user; END \$\$;
CREATE OPERATOR tst.= (LEFTARG = text, RIGHTARG = text, FUNCTION = tst.hijack);
CREATE FUNCTION tst.count(anyelement) RETURNS bigint LANGUAGE plpgsql AS \$\$ BEGIN RAISE EXCEPTION 'hijacked as %', current_user; END \$\$;
SET search_path = tst, pg_catalog;
SELECT user_id FROM theazo.session_list('Alpha-user');
SELECT (theazo.session_for_user('Alpha-user', '{"maxAgents":3}')).user_id;
SELECT (theazo.secret_set('x', 'y')).name;
}, extra_params => [ '-U', 'a_role' ]);
is($err, '', 'nothing of the caller runs inside');
is($out, "Alpha-user\nAlpha-user\nx", '... and the calls work');
# nor do temporary objects
($rc, $out, $err) = $node->psql('postgres', q{
CREATE TEMP TABLE session (id text); CREATE TEMP VIEW pg_class AS SELECT 1;
CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked'; END $$;
SELECT user_id FROM theazo.session_list('Alpha-user');
}, extra_params => [ '-U', 'a_role' ]);
is("$out $err", 'Alpha-user ', 'temporary objects of the caller mean nothing inside');

# ---- the last use of a key, remembered in shared memory, is stored by the keeper
$node->safe_psql('postgres', 'SELECT theazo_internal.keeper_keys()');
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT name, ' ') FROM theazo_data.api_key WHERE last_used_at > now() - interval '1 hour' AND platform_id = '$A->{plt}' AND id = '$A->{key_id}'"),
	'Alpha key', 'the last use of a key is stored');

# ---- off means off --------------------------------------------------------------------------------------------------
my ($http) = outcomes('b_role', '', "SELECT * FROM theazo.provider_set('plain', endpoint => 'http://plain.example')");
like($http, qr/^TZ405 /, 'plain http is refused unless allowed');
$node->append_conf('postgresql.conf', 'theazo.enabled = off');
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('theazo.enabled') = 'off'") or die 'not off';
my @off = outcomes('theazo_operator', key('x') =~ s/SELECT.*//r, map { call($_, put($cases{$_}[1] =~ s/^MY://r, $A)) } grep { $kind{$_} ne 'p' && !/^(effects_release|integrity_check|price_set|model_price_set|authenticate)$/ } @all);
push @off, map { call_outcome('a_role', '', $_, put($cases{$_}[1], $A)) } @procedures;
like($_, qr/^TZ105 /, 'off: ' . substr($_, 0, 30)) for @off;
my @still = outcomes('a_role', '', map { "SELECT * FROM theazo.$_" } @tenant_views);
is(join(' ', grep { !/^ok/ } @still), '', 'views can be read while it is off');
$node->stop;
done_testing();
