# A dump carries everything and restores in one transaction: before the keeper ever ran (rows in the default
# partitions), after it made partitions, with months that are long over, and from a restored database again. What the
# copy would send is held until an operator lets it go.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $src = PostgreSQL::Test::Cluster->new('src');
my $dst = PostgreSQL::Test::Cluster->new('dst');
for my $node ($src, $dst)
{
	$node->init;
	$node->append_conf('postgresql.conf', slurp_file($ENV{THEAZO_CONF})) if $ENV{THEAZO_CONF};
	# No worker until the end: tables are compared as they are.
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'theazo'\nmax_worker_processes = 20\ntheazo.databases = ''\n");
	$node->start;
}
my $dir = PostgreSQL::Test::Utils::tempdir();
my $n = 0;

# Rows of every table and parent, as digests; what stands where in the catalog.
my $rows = q{
	SELECT string_agg(x.line, E'\n' ORDER BY x.line) FROM (
		SELECT format('%s %s', c.relname, (xpath('/row/d/text()', query_to_xml(format(
			'SELECT count(*) || '':'' || coalesce(md5(string_agg(t::text, ''|'' ORDER BY t::text)), '''') AS d FROM theazo_data.%I t', c.relname),
			false, true, '')))[1]) AS line
		  FROM pg_class c WHERE c.relnamespace = 'theazo_data'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname NOT IN ('audit_cursor', 'audit_sweep') AND c.relname !~ '_default$') x};
my $defaults = $rows;
$defaults =~ s/!~ '_default\$'/~ '_default\$'/;
my $catalog = q{
	SELECT string_agg(x.line, E'\n' ORDER BY x.line) FROM (
		SELECT format('%s %s %s %s %s %s', c.relname, c.relkind, c.relowner::regrole, c.relrowsecurity, c.relforcerowsecurity,
			CASE WHEN c.relkind IN ('r', 'p') THEN ARRAY(SELECT a::text FROM unnest(c.relacl) a ORDER BY 1)::text END)
			|| coalesce(' ' || pg_get_expr(c.relpartbound, c.oid), '') AS line
		  FROM pg_class c WHERE c.relnamespace = 'theazo_data'::regnamespace
		UNION ALL
		SELECT format('index %s', pg_get_indexdef(i.indexrelid)) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
		 WHERE c.relnamespace = 'theazo_data'::regnamespace
		UNION ALL
		SELECT format('trigger %s %s %s', g.tgrelid::regclass, g.tgname, g.tgenabled) FROM pg_trigger g WHERE g.tgname ~ '^(event|audit)'
		UNION ALL
		SELECT format('constraint %s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
		 WHERE connamespace = 'theazo_data'::regnamespace AND contype IN ('c', 'p')
		UNION ALL
		SELECT format('policy %s %s %s', p.polrelid::regclass, p.polname, pg_get_expr(p.polqual, p.polrelid)) FROM pg_policy p
		UNION ALL
		SELECT format('member %s', d.objid::regclass) FROM pg_depend d
		 WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'theazo')
		   AND d.objid::regclass::text LIKE 'theazo_data.%') x};

# Dumps one database and restores it into a new one on another node, in one transaction.
sub copy
{
	my ($from, $db, $to, $what) = @_;
	my $file = "$dir/dump" . ++$n;
	my $copy = "copy$n";
	$from->command_ok([ 'pg_dump', '-Fc', '-f', $file, '-d', $from->connstr($db) ], "$what: dumped");
	$to->safe_psql('postgres', "CREATE DATABASE $copy");
	$to->command_ok([ 'pg_restore', '-1', '--exit-on-error', '-d', $to->connstr($copy), $file ], "$what: restored in one transaction");
	is($to->safe_psql($copy, $rows), $from->safe_psql($db, $rows), "$what: rows are equal");
	my @empty = grep { $from->safe_psql($db, "SELECT count(*) FROM theazo_data.$_") == 0 }
	  qw(governed_agent governed_version governed_session execution host_call attestation agent_context permission_request);
	is("@empty", '', "$what: secure agents among them");
	is($to->safe_psql($copy, $defaults), $from->safe_psql($db, $defaults), "$what: rows of the default partitions are equal");
	is($to->safe_psql($copy, $catalog), $from->safe_psql($db, $catalog), "$what: the catalog is equal");
	is($to->safe_psql($copy, 'SELECT rule, object, detail FROM theazo.integrity_check()'), '', "$what: the checker finds nothing");
	is($to->safe_psql($copy, 'SELECT count(*) FROM theazo_data.audit_sweep'), 1, "$what: what was restored is noted for sealing, once");
	for my $statement ('DELETE FROM theazo_data.event', 'TRUNCATE theazo_data.event',
		"SET session_replication_role = replica; UPDATE theazo_data.event SET action = 'x'")
	{
		my ($rc, $out, $err) = $to->psql($copy, $statement);
		like($err, qr/events are immutable/, "$what: refused: $statement");
	}
	my ($rc, $out, $err) = $to->psql($copy,
		"SET session_replication_role = replica; DO \$\$ DECLARE p text; BEGIN FOR p IN SELECT partition FROM theazo_internal.partition_list('event') LOOP"
		  . " BEGIN EXECUTE format('TRUNCATE theazo_data.%I', p); RAISE EXCEPTION 'open: %', p; EXCEPTION WHEN SQLSTATE 'TZ502' THEN NULL; END; END LOOP; END \$\$");
	is($rc, 0, "$what: every partition of events is guarded") or diag($err);
	return $copy;
}

# Some life: agents, runs that ended, one waiting, one in flight, money, logs, a secret, an operator's price.
my $life = q{
DO $$
DECLARE
	p text := (theazo.platform_create('Dumped')).id;
	k text := (theazo.api_key_create('k', platform => p)).key;
	s text; a text; b text; c record;
BEGIN
	PERFORM set_config('dump.key', k, false);
	s := (theazo.session_create('user', metadata => '{"a": "b"}', api_key => k)).id;
	IF theazo_internal.master_keys_ready() THEN
		PERFORM theazo.secret_set('token', 'value', session => s, api_key => k);
		PERFORM theazo.secret_set('token', 'next', session => s, hosts => '{a.example}', header => 'X-Key', api_key => k);
		PERFORM theazo.operator_secret_set('account', 'value');
		PERFORM theazo.operator_provider_set('spare', endpoint => 'https://spare.example', credential_ref => 'account', priority => 900);
	END IF;
	PERFORM theazo.operator_provider_set('here', type => 'local');
	PERFORM theazo.price_set('compute.hour', 11.5);
	a := (theazo.agent_create(s, api_key => k)).id;
	b := (theazo.agent_create(s, api_key => k)).id;
	FOR i IN 1..4 LOOP
		FOR c IN SELECT * FROM theazo_internal.effect_claim(0, 5, 100, '60 s') LOOP
			PERFORM theazo_internal.effect_done(ARRAY[c.platform_id], ARRAY[c.root_id], ARRAY[c.id], ARRAY[c.attempt], ARRAY['done'],
				ARRAY[CASE c.kind WHEN 'compute.create' THEN jsonb_build_object('sandbox', 'box') ELSE '{"stdout": "out", "stderr": "", "exit_code": 0}' END],
				ARRAY[NULL::bytea], ARRAY[clock_timestamp()], ARRAY[clock_timestamp() + interval '1 s']);
		END LOOP;
		IF i < 4 THEN
			PERFORM theazo.exec_start(a, 'sh', 'echo ' || i, api_key => k);
		END IF;
	END LOOP;
	-- code of a secure agent that kept something, with its statement; a version before it
	PERFORM theazo.governed_register('books', 'return 0', api_key => k);
	PERFORM theazo.secure_agent_request_permission('books', '{"memory_limit_mb": 256}', 'large books', api_key => k);
	PERFORM theazo.governed_register('books', 'return 1', api_key => k);
	PERFORM theazo.execution_start('books', '{"n": 1}', api_key => k);
	FOR c IN SELECT * FROM theazo_internal.effect_claim(0, 5, 100, '60 s') LOOP
		PERFORM theazo_internal.host_calls(jsonb_build_array(jsonb_build_object('platform', p, 'root', c.root_id, 'call', 1, 'fn', 'write_context',
			'args', '["n", 1]'::jsonb)));
		PERFORM theazo_internal.effect_done(ARRAY[c.platform_id], ARRAY[c.root_id], ARRAY[c.id], ARRAY[c.attempt], ARRAY['done'],
			ARRAY['{"status": "completed", "returned": true, "output": 1, "usage": {"cpu_ms": 1, "memory_mb": 2}, "host_calls": 1}'::jsonb],
			ARRAY[NULL::bytea], ARRAY[clock_timestamp()], ARRAY[clock_timestamp()]);
	END LOOP;
	INSERT INTO theazo_data.attestation (platform_id, number, id, agent_id, session_id, environment, statement, key_id, signature)
	SELECT x.platform_id, x.number, 'att_' || repeat('0', 64), x.agent_id, x.session_id, x.environment, E'line\n', theazo_internal.id_new('key'), repeat('x', 64)::bytea
	  FROM theazo_data.execution x WHERE x.platform_id = p AND x.status = 'completed';
	-- a run of the loop between its first step and its next
	PERFORM theazo.provider_set('gate', 'model', 'openai-compatible', endpoint => 'https://gate.invalid/v1', api_key => k);
	PERFORM theazo.session_run(s, 'helper', 'two steps', '{"model": "openai/gpt-5.4"}', api_key => k);
	FOR c IN SELECT * FROM theazo_internal.effect_claim(0, 5, 100, '60 s') LOOP
		PERFORM theazo_internal.effect_done(ARRAY[c.platform_id], ARRAY[c.root_id], ARRAY[c.id], ARRAY[c.attempt], ARRAY['done'],
			ARRAY['{"text": "", "stop": "tool_use", "wire": "{}", "usage": {"input": 1, "output": 1},
				"tool_calls": [{"id": "1", "name": "report_progress", "arguments": {"message": "half"}}]}'::jsonb],
			ARRAY[NULL::bytea], ARRAY[clock_timestamp()], ARRAY[clock_timestamp()]);
	END LOOP;
	-- in flight
	PERFORM theazo.exec_start(b, 'sh', 'sleep 1', api_key => k);
	PERFORM count(*) FROM theazo_internal.effect_claim(0, 5, 100, '60 s');
	-- waiting
	PERFORM theazo.session_run(s, 'helper', 'waiting', '{"model": "openai/gpt-5.4"}', api_key => k);
	PERFORM theazo.file_write_start(a, 'x.bin', '\x00ff', k);
	PERFORM theazo_internal.effect_enqueue(p, NULL, 'probe.noop', 'noop');
	PERFORM theazo_internal.effect_enqueue(p, NULL, 'probe.noop', 'noop', '{"with": "payload"}');
END $$};
# secrets need a master key; without one the rest is enough
my $with_key = $ENV{THEAZO_CONF} ? 'true' : 'false';
$life =~ s/theazo_internal\.master_keys_ready\(\)/$with_key/;

sub rows_of_month
{
	my ($month) = @_;
	return qq{
	INSERT INTO theazo_data.event (platform_id, id, number, occurred_at, xid, instance, environment, actor_kind, actor_id, category, action, body)
		SELECT platform_id, 'evt_' || theazo_internal.id_floor('$month'), 1, '$month', '3', 'x', 'live', 'worker', 'x', 'lifecycle', 'old', 'old' FROM theazo_data.platform WHERE name = 'Dumped';
	INSERT INTO theazo_data.charge (platform_id, root_id, id, environment, item, quantity, amount, payer, occurred_at)
		SELECT platform_id, theazo_internal.id_floor('$month'), 'chg_' || theazo_internal.id_floor('$month'), 'live', 'agent.fee', 1, 2000000, 'theazo', '$month' FROM theazo_data.platform WHERE name = 'Dumped';
	INSERT INTO theazo_data.log (platform_id, root_id, id, environment, occurred_at, level, source, message)
		SELECT platform_id, theazo_internal.id_floor('$month'), 'log_' || theazo_internal.id_floor('$month'), 'live', '$month', 'info', 'system', 'old' FROM theazo_data.platform WHERE name = 'Dumped'};
}

# ---- before the keeper ever ran: everything lies in the default partitions -------------
$src->safe_psql('postgres', 'CREATE EXTENSION theazo CASCADE');
$src->safe_psql('postgres', $life);
is($src->safe_psql('postgres', 'SELECT count(*) FROM theazo_internal.partition_list() WHERE NOT is_default'), 0, 'no dated partition yet');
cmp_ok($src->safe_psql('postgres', 'SELECT count(*) FROM theazo_data.event_default'), '>', 10, 'events in the default partition');
my $one = copy($src, 'postgres', $dst, 'before the keeper');

# ---- the keeper of the copy takes over: rows of the default partitions get their own ---
cmp_ok($dst->safe_psql($one, 'SELECT theazo_internal.keeper_partitions()'), '>=', 32, 'the keeper makes partitions in the copy');
is($dst->safe_psql($one, 'SELECT count(*) FROM theazo_data.event_default'), 0, 'the default partition of the copy is empty again');
is($dst->safe_psql($one, $rows =~ s/c\.relname !~ '_default\$'/c.relkind = 'p'/r), $src->safe_psql('postgres', $rows =~ s/c\.relname !~ '_default\$'/c.relkind = 'p'/r),
	'no row was lost on the way');

# ---- after the keeper, with new rows and rows in the default ---------------------------
$src->safe_psql('postgres', 'SELECT theazo_internal.keeper_partitions()');
$src->safe_psql('postgres', q{
	SELECT theazo_internal.event_write(platform_id, 'data', 'later', '{"n": 1}', NULL, NULL, NULL, 'live'),
		theazo_internal.log_write(platform_id, NULL, 'info', 'system', 'later', 'live') FROM theazo_data.platform WHERE name = 'Dumped'});
copy($src, 'postgres', $dst, 'after the keeper');

# ---- in a later month: partitions that are over, rows of a month nobody made one for ---
$src->safe_psql('postgres', q{
	SELECT theazo_internal.partition_make(p, '2020-03-01 00:00+00') FROM unnest(ARRAY['event', 'charge', 'log']) p});
$src->safe_psql('postgres', rows_of_month('2020-03-10 00:00+00'));
$src->safe_psql('postgres', rows_of_month('2020-05-10 00:00+00'));
my $later = copy($src, 'postgres', $dst, 'in a later month');
$dst->safe_psql($later, 'SELECT theazo_internal.keeper_partitions()');
is($dst->safe_psql($later, "SELECT DISTINCT tableoid::regclass::text FROM theazo_data.event WHERE action = 'old' ORDER BY 1"),
	"theazo_data.event_2020_03\ntheazo_data.event_2020_05", 'the keeper of the copy makes a partition of the default one');
is($dst->safe_psql($later, "SELECT count(*) FROM theazo.operator_partitions WHERE parent = 'event' AND from_time > now()"), 3, 'three months ahead');

# ---- a copy of the copy -----------------------------------------------------------------
copy($dst, $later, $src, 'a copy of the copy');

# ---- the keeper comes while pg_dump stands between its snapshot and its locks ----------------
{
	$src->safe_psql('postgres', 'CREATE DATABASE early');
	# older than what the extension makes, so it is locked before
	$src->safe_psql('early', 'CREATE TABLE first ()');
	$src->safe_psql('early', 'CREATE EXTENSION theazo CASCADE');
	$src->safe_psql('early', $life);
	my ($in, $out, $err) = ('', '', '');
	my $holder = IPC::Run::start([ 'psql', '-XAtq', '-d', $src->connstr('early') ], '<', \$in, '>', \$out, '2>', \$err);
	$in = "BEGIN; LOCK TABLE first; SELECT 'held';\n";
	$holder->pump until $out =~ /held/;
	# its own name, not that of the test
	delete local $ENV{PGAPPNAME};
	my $dump = IPC::Run::start([ 'pg_dump', '-Fc', '-f', "$dir/early", '-d', $src->connstr('early') ], '2>', \my $said);
	ok($src->poll_query_until('early', "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'"),
		'pg_dump has its snapshot and waits for a table');
	$src->safe_psql('early', 'SELECT theazo_internal.keeper_partitions()');
	my ($rc, $o, $e) = $src->psql('early', "SELECT theazo_internal.partition_adopt('event', theazo_internal.month_floor(now()), theazo_internal.month_next(now()))");
	like($e, qr/the database is being dumped/, 'nobody renames the default partition under it');
	$in .= "COMMIT;\n\\q\n";
	$holder->finish;
	ok($dump->finish, 'it ends well') or diag($said);
	$dst->safe_psql('postgres', 'CREATE DATABASE early');
	$dst->command_ok([ 'pg_restore', '-1', '--exit-on-error', '-d', $dst->connstr('early'), "$dir/early" ], 'is restored');
	my $all = $rows =~ s/c\.relname !~ '_default\$'/c.relkind = 'p'/r;
	is($dst->safe_psql('early', $all), $src->safe_psql('early', $all), 'with every row');
	$src->safe_psql('early', 'SELECT theazo_internal.keeper_partitions()');
	is($src->safe_psql('early', 'SELECT count(*) FROM theazo_data.event_default'), 0, 'and the keeper does its work after');
}

# ---- what the copy would send is held ---------------------------------------------------
my $held_before = $dst->safe_psql($later, q{SELECT string_agg(kind || ' ' || state, ',' ORDER BY kind, state) FROM theazo_data.effect
	WHERE state IN ('queued', 'claimed', 'sent')});
like($held_before, qr/probe\.noop queued/, 'the dump carries queued effects');
$dst->append_conf('postgresql.conf', "theazo.databases = '$later'\n");
$dst->reload;
ok($dst->poll_query_until($later, "SELECT count(*) >= 3 FROM theazo_internal.worker_status() WHERE state = 'running'"), 'workers of the copy start');
ok($dst->poll_query_until($later, "SELECT count(*) = 0 FROM theazo_data.effect WHERE state IN ('queued', 'claimed', 'sent')"), 'the keeper holds what came along');
is($dst->safe_psql($later, "SELECT count(*) FROM theazo_data.effect WHERE state = 'done' AND kind = 'probe.noop'"), 0, 'nothing was sent');
is($dst->safe_psql($later, q{SELECT kind, on_release, count(*) FROM theazo.held_effects GROUP BY 1, 2 ORDER BY 1, 2}),
	"compute.exec|ends with outcome unknown|1\ncompute.write|is sent|1\nmodel.call|ends with outcome unknown|1\nmodel.call|is sent|1\nprobe.noop|is sent|2",
	'held_effects says what release would do') or diag($held_before);
$dst->safe_psql($later, 'SELECT theazo.effects_release()');
ok($dst->poll_query_until($later, "SELECT count(*) = 2 FROM theazo_data.effect WHERE state = 'done' AND kind = 'probe.noop'"), 'released effects are carried out');
ok($dst->poll_query_until($later, "SELECT count(*) = 0 FROM theazo_data.run WHERE status IN ('queued', 'running')"), 'every run ends');
is($dst->safe_psql($later, "SELECT count(*) FROM theazo_data.run WHERE outcome_unknown"), 2, 'what was in flight ends as unknown');
is($dst->safe_psql($later, 'SELECT rule, object, detail FROM theazo.integrity_check()'), '', 'the checker finds nothing at the end');
is($dst->safe_psql($later, "SELECT count(*) FROM theazo_data.sandbox WHERE status IN ('ready', 'creating')"), 0, 'boxes of the other machine are lost');

done_testing();
