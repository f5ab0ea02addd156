# Sealing of events: killed at every line where it matters, in a crash of the server, in a restored database and in a copy; each
# event has exactly one place, and the chain, computed anew from its definition, goes on.
use strict;
use warnings;
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $conf = "theazo.keeper_interval = 500ms\ntheazo.anchor_interval = 1s\nrestart_after_crash = on\nlog_error_verbosity = verbose\n";
my $chain = slurp_file("$FindBin::Bin/../sql/include/chain.sql");

sub new_node
{
	my ($name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', slurp_file($ENV{THEAZO_CONF}) . $conf);
	$node->start;
	return $node;
}

# Events of seven platforms, a commit each.
sub note
{
	my ($node, $n, $action, $db) = @_;
	$node->safe_psql($db // 'postgres', qq{DO \$\$ BEGIN FOR i IN 1..$n LOOP
		PERFORM theazo_internal.event_write('plt_' || lpad((1 + i % 7)::text, 26, '0'), 'control', '$action', '{"n": "é"}', NULL, NULL, NULL, 'live');
		COMMIT; END LOOP; END \$\$});
}

sub all_sealed
{
	my ($node, $what, $db) = @_;
	$db //= 'postgres';
	ok($node->poll_query_until($db, 'SELECT tst.unsealed() = 0 AND NOT EXISTS (SELECT FROM theazo_data.audit_sweep)'), "$what: everything is sealed")
	  or diag($node->safe_psql($db, 'SELECT * FROM theazo.operator_audit_status'));
	is($node->safe_psql($db, 'SELECT * FROM tst.chain_faults()'), '', "$what: each event has one place, and the chain goes on");
}

# Holds the keeper at a point with work before it.
sub hold
{
	my ($node, $point) = @_;
	$node->safe_psql('postgres', "SELECT theazo_internal.pause_point('$point', true)");
	note($node, 30, "before_$point");
	ok($node->poll_query_until('postgres', "SELECT waiting > 0 FROM theazo_internal.pause_points() WHERE name = '$point'"), "$point: the keeper is there");
}

sub keeper
{
	my ($node) = @_;
	return $node->safe_psql('postgres', "SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'keeper'");
}

my $node = new_node('main');
$node->safe_psql('postgres', 'CREATE EXTENSION theazo CASCADE');
$node->safe_psql('postgres', "CREATE SCHEMA tst;\n$chain");
note($node, 300, 'first');
all_sealed($node, 'at rest');
is($node->safe_psql('postgres', 'SELECT unsealed, sweeping FROM theazo.operator_audit_status'), '0|f', 'the status says so');

# A restart of the server follows each kill: a worker that died may have left shared memory half written.
for my $point ('seal-read', 'seal-row', 'seal-cursor', 'seal-commit', 'checkpoint-signed')
{
	hold($node, $point);
	my $pid = keeper($node);
	note($node, 20, 'meanwhile');
	kill('KILL', $pid);
	# the postmaster is heard again when all have been restarted
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM theazo_internal.worker_status() WHERE kind = 'keeper' AND state = 'running' AND pid <> $pid")
	  or die 'the keeper does not come back';
	all_sealed($node, "killed at $point");
}

# The whole server, at the moment before the commit.
hold($node, 'seal-commit');
$node->stop('immediate');
$node->start;
note($node, 10, 'after');
all_sealed($node, 'a server that was killed');

# More than one turn takes, and more than a chunk in one transaction.
$node->safe_psql('postgres', q{SELECT count(theazo_internal.event_write('plt_' || lpad((1 + i % 2)::text, 26, '0'), 'control', 'many', NULL, NULL, NULL, NULL, 'live'))
	FROM generate_series(1, 25000) i});
ok($node->poll_query_until('postgres', 'SELECT tst.unsealed() = 0'), 'a transaction of 25,000 events is sealed');
is($node->safe_psql('postgres', q{SELECT bool_and(events <= 128), bool_and(theazo_internal.id_time(max_id) - theazo_internal.id_time(min_id) < '10 s') FROM theazo_data.seal}),
	't|t', 'no row is longer or wider than it may be');
is($node->safe_psql('postgres', q{SELECT count(*) FROM (SELECT platform_id, first_seq - lag(first_seq + events) OVER (PARTITION BY platform_id ORDER BY first_seq) AS gap FROM theazo_data.seal) g WHERE gap <> 0}),
	'0', 'no place is left out or given twice');
is($node->safe_psql('postgres', q{SELECT count(*) FROM (SELECT platform_id, max(first_seq + events - 1) AS size FROM theazo_data.seal GROUP BY 1) h
	CROSS JOIN (VALUES (8), (16)) l (level) WHERE h.size >> level <> (SELECT count(*) FROM theazo_data.tree_node n WHERE n.platform_id = h.platform_id AND n.level = l.level)}),
	'0', 'every complete subtree has its node');

# Rows that come in by a statement: from another instance, of this one with a transaction long over, with ids far behind.
my $columns = 'platform_id, id, number, occurred_at, xid, instance, environment, actor_kind, actor_id, category, action, body';
my $row = "'plt_00000000000000000000000003', %s, %d, now(), '%d', %s, 'live', 'role', 'restore', 'control', 'restored', '{}'";
$node->safe_psql('postgres', sprintf("INSERT INTO theazo_data.event ($columns) VALUES ($row), ($row), ($row)",
	"'evt_01ARYZ6S41ZZZZZZZZZZZZZZZ1'", 1, 1000000000, "'another:1'",
	"'evt_01ARYZ6S41ZZZZZZZZZZZZZZZ2'", 2, 3, 'theazo_internal.instance()',
	"theazo_internal.id_new('evt')", 3, 4, 'theazo_internal.instance()'));
ok($node->poll_query_until('postgres', 'SELECT tst.unsealed() = 0 AND NOT EXISTS (SELECT FROM theazo_data.audit_sweep)'), 'rows that came by a statement are sealed');
is($node->safe_psql('postgres', q{SELECT s.events, e.action FROM theazo_data.event e JOIN theazo_data.seal s ON s.platform_id = e.platform_id
	AND s.max_id >= e.id AND s.max_id < 'evt_' || theazo_internal.id_floor(theazo_internal.id_time(e.id) + '10 s') || '' AND s.min_id <= e.id WHERE e.id = 'evt_01ARYZ6S41ZZZZZZZZZZZZZZZ2'}),
	'2|restored', 'the seal of an old event is found by its id');

# What nobody can seal stops nothing.
$node->safe_psql('postgres', sprintf("INSERT INTO theazo_data.event ($columns) VALUES ($row)", "'odd_01ARYZ6S41ZZZZZZZZZZZZZZZ1'", 4, 5, "'another:1'"));
note($node, 10, 'beside');
ok($node->poll_query_until('postgres', 'SELECT tst.unsealed() = 1 AND NOT EXISTS (SELECT FROM theazo_data.audit_sweep)'), 'only that one has no seal');
ok($node->wait_for_log(qr/1 events cannot be sealed/), 'and the log says so');

# Signed heads.
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM theazo_internal.checkpoints_due()}), 'every head is signed');
my ($rc, $out, $err) = $node->psql('postgres', 'SELECT theazo_internal.checkpoints_make()');
like($err, qr/only the keeper signs checkpoints/, 'nobody else signs, a superuser neither');
is($node->safe_psql('postgres', 'SELECT count(*), count(retired_at) FROM theazo_data.audit_key'), '1|0', 'all by one key');

# A database that is restored, with events that were not sealed in the dump: they are, under a key of its own.
my $dir = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', "SELECT theazo_internal.pause_point('keeper-seal', true)");
note($node, 10, 'unsealed');
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/dump", '-d', $node->connstr('postgres') ], 'dumped');
$node->safe_psql('postgres', "SELECT theazo_internal.pause_point('keeper-seal', false)");
my $events = $node->safe_psql('postgres', 'SELECT count(*) FROM theazo_data.event');

my $other = new_node('other');
$other->safe_psql('postgres', 'CREATE DATABASE copy');
$other->command_ok([ 'pg_restore', '-1', '--exit-on-error', '-d', $other->connstr('copy'), "$dir/dump" ], 'restored');
is($other->safe_psql('copy', 'SELECT count(*) FROM theazo_data.event') >= $events, 1, 'every event is there');
ok($other->poll_query_until('copy', 'SELECT tst.unsealed() = 1 AND NOT EXISTS (SELECT FROM theazo_data.audit_sweep) AND EXISTS (SELECT FROM theazo_data.audit_cursor WHERE instance = theazo_internal.instance())'),
	'what had no seal has one now, but for the odd one');
note($other, 10, 'here', 'copy');
ok($other->poll_query_until('copy', 'SELECT tst.unsealed() = 1'), 'new events are sealed there');
is($other->safe_psql('copy', q{SELECT count(*) FROM (SELECT id FROM (SELECT s.platform_id, substr(s.ids, 1 + 16 * i, 16) AS id FROM theazo_data.seal s, generate_series(0, s.events - 1) i) x
	GROUP BY platform_id, id HAVING count(*) > 1) y}), '0', 'none twice');
ok($other->poll_query_until('copy', 'SELECT count(*) = 2 AND count(retired_at) = 1 FROM theazo_data.audit_key'), 'and signed with a new key');
ok($other->poll_query_until('copy', q{SELECT count(*) = 0 FROM theazo_internal.checkpoints_due()}), 'every head of it');
$other->stop;

# A cursor that somebody put ahead, so that events are passed over, is not believed.
$node->safe_psql('postgres', "UPDATE theazo_data.audit_cursor SET next_xid = ((next_xid::text)::bigint + 1000000)::text::xid8");
note($node, 11, 'behind the cursor');
ok($node->poll_query_until('postgres', 'SELECT tst.unsealed() = 1 AND NOT EXISTS (SELECT FROM theazo_data.audit_sweep)'), 'behind a cursor that was put ahead events are sealed all the same');

# A head that does not go on from what was signed is not signed.
$node->poll_query_until('postgres', q{SELECT tst.unsealed() = 1 AND NOT EXISTS (SELECT FROM theazo_internal.checkpoints_due())}) or die 'not at rest';
$node->safe_psql('postgres', q{
	SET allow_system_table_mods = on;
	UPDATE pg_class SET relhastriggers = false WHERE oid = 'theazo_data.seal'::regclass;
	UPDATE theazo_data.seal s SET hash = sha256('x') WHERE platform_id = 'plt_00000000000000000000000005'
		AND first_seq = (SELECT max(first_seq) FROM theazo_data.seal t WHERE t.platform_id = s.platform_id);
	UPDATE pg_class SET relhastriggers = true WHERE oid = 'theazo_data.seal'::regclass});
my $signed = $node->safe_psql('postgres', q{SELECT max(tree_size) FROM theazo_data.audit_checkpoint WHERE platform_id = 'plt_00000000000000000000000005'});
note($node, 14, 'afterwards');
ok($node->wait_for_log(qr/TZ501.*audit trail of platform "plt_00000000000000000000000005" does not go on/), 'a changed head is refused, with TZ501');
is($node->safe_psql('postgres', q{SELECT max(tree_size) FROM theazo_data.audit_checkpoint WHERE platform_id = 'plt_00000000000000000000000005'}), $signed, 'and not signed');
ok($node->poll_query_until('postgres', q{SELECT array_agg(platform_id) = ARRAY['plt_00000000000000000000000005'] FROM theazo_internal.checkpoints_due()}), 'the others are');

done_testing();
