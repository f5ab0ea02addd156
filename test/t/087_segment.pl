# A month of events leaves when it was exported, sealed and signed, and not before; a crash on the way takes it back whole; the
# trail verifies over it.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', slurp_file($ENV{THEAZO_CONF}) . "theazo.keeper_interval = 500ms\ntheazo.anchor_interval = 1s\ntheazo.retention_events = 30\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION theazo CASCADE');
# Rows that come before the keeper made a partition would make one of several months.
$node->poll_query_until('postgres', "SELECT to_regclass('theazo_data.event_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')) IS NOT NULL") or die 'no partition';
my $platform = $node->safe_psql('postgres', q{SELECT (theazo.platform_create('shop')).id});
my $month = $node->safe_psql('postgres', q{SELECT to_char(now() - '100 days'::interval, 'YYYY_MM')});

# As a restore brings them: the keeper seals them and makes the default partition the month's.
sub bring
{
	my ($m, $n, $tail) = @_;
	$node->safe_psql('postgres', qq{
		INSERT INTO theazo_data.event (platform_id, id, number, occurred_at, xid, instance, environment, actor_kind, actor_id, category, action, body)
		SELECT '$platform', 'evt_' || substr(theazo_internal.id_floor(to_timestamp('$m', 'YYYY_MM') + '10 days'::interval + i * '1 s'::interval), 1, 20) || '$tail', i, now(), '5',
			'another:1', 'live', 'role', 'r', 'control', 'old', '{}' FROM generate_series(1, $n) i});
	ok($node->poll_query_until('postgres', qq{SELECT NOT EXISTS (SELECT FROM theazo_data.audit_sweep) AND to_regclass('theazo_data.event_$m') IS NOT NULL
		AND NOT EXISTS (SELECT FROM theazo_internal.checkpoints_due())}), "$n events of $m are sealed and signed");
}

sub stays
{
	my ($m, $why) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "SELECT theazo.operator_segment_detach('$m')");
	like($err, qr/DETAIL:  $why/, "stays: $why");
}

sub exported
{
	my ($m, $events) = @_;
	$node->safe_psql('postgres', "INSERT INTO theazo_data.audit_segment VALUES (theazo_internal.operator_platform(), '$m', 'exported', clock_timestamp(), $events, sha256('file'))");
}

bring($month, 300, '000000');
my ($rc, $out, $err) = $node->psql('postgres', "SELECT theazo.operator_segment_detach('1999_01')");
like($err, qr/"1999_01" is no month that has a partition/, 'no such month');
stays($month, 'It was not exported');
exported($month, 299);
stays($month, 'It has 300 events, its last export 299');
my $now = $node->safe_psql('postgres', q{SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')});
exported($now, 1);
stays($now, 'It is not over yet');

# nor by hand, past what judges it
for my $by_hand ($month, $now)
{
	($rc, $out, $err) = $node->psql('postgres', "SELECT theazo_internal.event_segment_move('$by_hand')");
	like($err, qr/month $by_hand of events stays/, 'not by hand');
}

# With the keeper held, what came is not sealed.
$node->safe_psql('postgres', "SELECT theazo_internal.pause_point('keeper-seal', true)");
$node->safe_psql('postgres', "DO \$\$ BEGIN PERFORM theazo_internal.event_write('$platform', 'control', 'wake', NULL, NULL, NULL, NULL, 'live'); END \$\$");
$node->poll_query_until('postgres', q{SELECT waiting > 0 FROM theazo_internal.pause_points() WHERE name = 'keeper-seal'}) or die 'the keeper is not held';
$node->safe_psql('postgres', qq{
	INSERT INTO theazo_data.event (platform_id, id, number, occurred_at, xid, instance, environment, actor_kind, actor_id, category, action, body)
	SELECT '$platform', 'evt_' || substr(min(id), 5, 20) || '000001', 1, now(), '5', 'another:1', 'live', 'role', 'r', 'control', 'late', '{}' FROM theazo_data.event_$month});
exported($month, 301);
stays($month, 'Not all of its events are sealed');
$node->safe_psql('postgres', "SELECT theazo_internal.pause_point('keeper-seal', false)");
ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM theazo_data.audit_sweep) AND NOT EXISTS (SELECT FROM theazo_internal.checkpoints_due())'), 'sealed and signed');

is($node->safe_psql('postgres', "SELECT count(*) FROM theazo.audit_segment_export('$month') x WHERE x LIKE '{\"t\":\"event\",%'"), '301', 'exported');

# The server dies when the month is on its way.
$node->safe_psql('postgres', "SELECT theazo_internal.pause_point('segment-moved', true)");
my $psql = $node->background_psql('postgres', on_error_stop => 0);
$psql->query_until(qr//, "SELECT theazo.operator_segment_detach('$month');\n");
ok($node->poll_query_until('postgres', q{SELECT waiting > 0 FROM theazo_internal.pause_points() WHERE name = 'segment-moved'}), 'it is moved, not committed');
$node->stop('immediate');
eval { $psql->quit };
$node->start;
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM theazo_internal.worker_status() WHERE kind = 'keeper' AND state = 'running'") or die 'no keeper';

# The keeper looks when it starts: what is exported and old enough goes.
ok($node->poll_query_until('postgres', "SELECT to_regclass('theazo_archive.event_$month') IS NOT NULL"), 'after the crash the keeper moves it');
is($node->safe_psql('postgres', "SELECT count(*) FROM theazo_archive.event_$month"), '301', 'whole');
is($node->safe_psql('postgres', "SELECT count(*) FROM theazo_data.event WHERE action IN ('old', 'late')"), '0', 'and out of the trail');
is($node->safe_psql('postgres', "SELECT what, events FROM theazo_data.audit_segment WHERE month = '$month' AND what = 'detached'"), 'detached|301', 'which says so');
is($node->safe_psql('postgres', "SELECT count(*) FROM theazo_data.event WHERE action = 'segment_detached' AND convert_from(body, 'UTF8') ~ '\\m$month\\M'"), '1', 'and an event');
is($node->safe_psql('postgres', "SELECT chain_valid, archived, coalesce(problem, '-') FROM theazo_internal.audit_check('$platform', 1, 9223372036854775807, NULL)"), 't|301|-', 'the chain verifies over it');

# It travels with a dump, and can be dropped.
my $dir = PostgreSQL::Test::Utils::tempdir();
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/dump", '-d', $node->connstr('postgres') ], 'dumped');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_restore', '-1', '--exit-on-error', '-d', $node->connstr('copy'), "$dir/dump" ], 'restored');
is($node->safe_psql('copy', "SELECT count(*) FROM theazo_archive.event_$month"), '301', 'with its segment');
$node->safe_psql('postgres', "DROP TABLE theazo_archive.event_$month");
pass('dropped');

# The server dies when all of an export was sent, before it has committed: nothing says that the month was exported, so it stays.
my $other = $node->safe_psql('postgres', q{SELECT to_char(now() - '160 days'::interval, 'YYYY_MM')});
bring($other, 300, '000000');
my $export = $node->background_psql('postgres', on_error_stop => 0);
$export->query_until(qr/^1$/m, "BEGIN;\nCOPY (SELECT x FROM theazo.audit_segment_export('$other') x) TO '/dev/null';\n"
	. "SELECT count(*) FROM theazo_data.audit_segment WHERE month = '$other';\n");
kill 'KILL', split /\n/, $node->safe_psql('postgres', "SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'keeper'");
$node->stop('immediate', fail_ok => 1);
eval { $export->quit };
$node->start;
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM theazo_internal.worker_status() WHERE kind = 'keeper' AND state = 'running'") or die 'no keeper';
is($node->safe_psql('postgres', "SELECT count(*) FROM theazo_data.audit_segment WHERE month = '$other'"), '0', 'an export that did not commit is not noted');
stays($other, 'It was not exported');
is($node->safe_psql('postgres', "SELECT chain_valid, coalesce(problem, '-') FROM theazo_internal.audit_check('$platform', 1, 9223372036854775807, NULL)"), 't|-', 'and the chain verifies');

done_testing();
