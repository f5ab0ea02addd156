# What is refused stays on record although the caller's transaction fails: in READ ONLY transactions, in subtransactions,
# with a stuck keeper, with a full ring (the gap is an event), across a stop of the server; never with the key itself.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('ring');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', slurp_file($ENV{THEAZO_CONF}));
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION theazo CASCADE');
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub served { $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM theazo.workers WHERE kind = 'keeper' AND state = 'running'") or die 'no keeper' }
sub refused { my ($text, %more) = @_; my ($rc, $out, $err) = $node->psql('postgres', $text, %more); return $err }
served();

my $p = sql("SELECT (theazo.platform_create('Ring')).id");
my ($live, $key) = split /\|/, sql("SELECT key, id FROM theazo.api_key_create('live', platform => '$p')");
my ($narrow) = split /\|/, sql("SELECT key FROM theazo.api_key_create('narrow', platform => '$p', scopes => '{session:read}')");
my ($dead, $dead_id) = split /\|/, sql("SELECT key, id FROM theazo.api_key_create('dead', platform => '$p')");
my ($old, $old_id) = split /\|/, sql("SELECT key, id FROM theazo.api_key_create('old', platform => '$p')");
sql("SELECT theazo.api_key_revoke('$dead_id', api_key => '$live')");
sql("UPDATE theazo_data.api_key SET expires_at = now() - interval '1 s' WHERE id = '$old_id'");
my $events = "SELECT string_agg(concat_ws(' ', action, rule, actor_kind, is_violation, permission_state, decision), E'\\n' ORDER BY number) FROM theazo_data.event WHERE decision = 'deny' AND ";

# ---- who fails to authenticate
like(refused("SELECT theazo.authenticate('tzk_not-a-key-at-all')"), qr/not valid/, 'a wrong key is refused');
is(sql($events . "platform_id = theazo_internal.operator_platform()"), 'authentication_failed key_unknown operator f denied deny', 'and recorded when the error arrives');
refused("SELECT theazo.authenticate('$dead')");
refused("SELECT theazo.authenticate('$old')");
is(sql("SELECT string_agg(rule || ' ' || (summary ->> 'key_id'), ' ' ORDER BY number) FROM theazo_data.event e, LATERAL (SELECT convert_from(body, 'UTF8')::jsonb -> 'summary') s (summary)"
	  . " WHERE action = 'authentication_failed' AND platform_id = '$p'"), "key_revoked $dead_id key_expired $old_id", 'a revoked and an expired key are named by their id, with their platform');
for my $k ('tzk_not-a-key-at-all', $dead, $old)
{
	my $part = substr($k, -12);
	is(sql("SELECT count(*) FROM theazo_data.event e WHERE e::text || convert_from(e.body, 'UTF8') LIKE '%$part%'"), 0, 'the key itself is nowhere');
}
sql('CREATE ROLE stranger IN ROLE theazo_app');
refused("SET ROLE stranger; SELECT theazo.session_create('u')");
is(sql("SELECT actor_kind || ' ' || actor_id || ' ' || rule FROM theazo_data.event WHERE actor_id = 'stranger'"), 'role stranger no_identity', 'who gives no key is named by role');

# ---- who may not do it
refused("BEGIN READ ONLY; SELECT theazo.session_create('u', api_key => '$narrow')");
is(sql($events . "action = 'permission_denied' AND platform_id = '$p'"), 'permission_denied scope_missing key t denied deny', 'in a READ ONLY transaction');
sql(qq{DO \$\$ BEGIN PERFORM theazo.session_create('u', api_key => '$narrow'); EXCEPTION WHEN SQLSTATE 'TZ602' THEN NULL; END \$\$});
is(sql("SELECT count(*) FROM theazo_data.event WHERE action = 'permission_denied' AND platform_id = '$p'"), 2, 'caught by an exception handler');
refused("SET ROLE stranger; SELECT theazo_internal.raise_scope('a', 'b', 'c')");
is(sql("SELECT count(*) FROM theazo_data.event WHERE rule = 'b'"), 0, 'what is refused by the server itself is not ours to record');
my ($id, $at) = split /\|/, sql("SELECT id, occurred_at FROM theazo_data.event WHERE action = 'permission_denied' ORDER BY number LIMIT 1");
is(sql("SELECT occurred_at - theazo_internal.id_time(id) BETWEEN '-1 s' AND '1 s' FROM theazo_data.event WHERE id = '$id'"), 't', 'the time is the caller\'s');

# ---- what else is refused
my $s = sql("SELECT id FROM theazo.session_create('u', api_key => '$live')");
my $a = sql("SELECT id FROM theazo.agent_create('$s', api_key => '$live')");
sql("CREATE FUNCTION public.f(x int) RETURNS int LANGUAGE sql RETURN x; SELECT FROM theazo.tool_set('careful', 'd', '{\"type\":\"object\"}', url => 'https://a.example/', requires_approval => true, api_key => '$live')");
for my $c (["SELECT theazo.run_start('$a', 'x', max_cost => 0, api_key => '$live')", 'limit_hit max_cost'],
	["SELECT theazo.run_start('$a', 'x', api_key => '$live')", 'capability_refused no_provider'],
	["SET ROLE stranger; SELECT theazo.tool_set('f', 'd', sql_function => 'public.f', api_key => '$live')", 'permission_denied function_not_granted'],
	["SELECT theazo.tool_test_start('$a', 'careful', api_key => '$live')", 'permission_denied approval_needed'],
	["SELECT theazo.effects_release('x', api_key => '$live')", ''],
	["SET ROLE stranger; SELECT theazo.price_set('a', 1)", ''],
	["BEGIN; SELECT theazo.authenticate('$live'); SELECT theazo.act_as('$s'); SELECT theazo.tool_delete('careful')", 'permission_denied session_only'])
{
	my $before = sql('SELECT coalesce(max(number), 0) FROM theazo_data.event');
	refused($c->[0]);
	is(sql("SELECT coalesce(string_agg(action || ' ' || rule, ' '), '') FROM theazo_data.event WHERE number > $before AND decision = 'deny'"), $c->[1], $c->[1] || 'the server itself refuses');
}

# ---- a keeper that is stuck: one caller waits for it, a full ring says so, and the gap is an event
my $keeper = sql("SELECT pid FROM theazo.workers WHERE kind = 'keeper'");
kill 'STOP', $keeper;
my ($rc, $out, $err) = $node->psql('postgres', q{
	DO $$ BEGIN FOR i IN 1..300 LOOP BEGIN PERFORM theazo.authenticate('tzk_full'); EXCEPTION WHEN SQLSTATE 'TZ601' THEN NULL; END; END LOOP; END $$});
is(scalar(() = $err =~ /WARNING:  the refusal could not be recorded in time/g), 44, 'each that finds no room is told');
kill 'CONT', $keeper;
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM theazo_data.event WHERE action = 'audit_gap'") or die 'no gap';
is(sql("SELECT convert_from(body, 'UTF8')::jsonb #>> '{summary,events}' FROM theazo_data.event WHERE action = 'audit_gap'"), 44, 'the gap is an event and tells how many');
is(sql("SELECT count(*) FROM theazo_data.event WHERE rule = 'key_unknown' AND actor_kind = 'operator'"), 1 + 256, 'all others are there');
like(refused("SELECT theazo.authenticate('tzk_after')"), qr/^(?!.*WARNING).*not valid/s, 'and it goes on');
is(sql("SELECT count(*) FROM theazo_data.event WHERE rule = 'key_unknown' AND actor_kind = 'operator'"), 1 + 256 + 1, '... at once');

# ---- what is in the ring when the server stops is written before
SKIP:
{
	skip 'needs a build with pause points', 1 unless sql("SELECT count(*) FROM pg_proc WHERE proname = 'pause_point'");
	sql("SELECT theazo_internal.pause_point('ring drain', true)");
	refused("SELECT theazo.authenticate('tzk_stop')");
	refused("SELECT theazo.authenticate('tzk_stop')");
	is(sql("SELECT count(*) FROM theazo_data.event WHERE rule = 'key_unknown' AND actor_kind = 'operator'"), 258, 'held');
	$node->stop('fast');
	$node->start;
	is(sql("SELECT count(*) FROM theazo_data.event WHERE rule = 'key_unknown' AND actor_kind = 'operator'"), 260, 'written before the server stopped');
	served();
}
refused("SELECT theazo.authenticate('tzk_crash')");
$node->stop('immediate');
$node->start;
is(sql("SELECT count(*) FROM theazo_data.event WHERE rule = 'key_unknown' AND actor_kind = 'operator'"), 261, 'who was refused had it committed: a crash takes nothing back');

# ---- a standby cannot record, and says so
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
($rc, $out, $err) = $standby->psql('postgres', "SELECT theazo.authenticate('tzk_standby')");
like($err, qr/WARNING:  the refusal is not recorded: this server is a standby.*not valid/s, 'a standby says that it does not record');
$standby->stop;
$node->stop;
done_testing();
