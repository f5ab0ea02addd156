# Chaos with programs of agents: while they run, ask their host and send requests, the runner, one of its processes, the
# dispatcher and the whole server are killed with SIGKILL. Afterwards each has ended once, none was begun twice, those
# that had no place yet have run, and no process is left.
#
# THEAZO_CHAOS: number of kills (4: one of each kind); THEAZO_CHAOS_SEED: as in 070.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoChaos;
use TheazoPath;
use TheazoScript;
use Time::HiRes qw(sleep time);

my $kills = $ENV{THEAZO_CHAOS} || 4;
my $seed = chaos_seed(20261122);
my $patience = 120;
my $places = 4;
diag("seed $seed, $kills kills");

my $node = new_server('chaosscript', "restart_after_crash = on\ntheazo.dispatchers = 2\ntheazo.script_max = $places\ntheazo.keeper_interval = 1s\n");
chaos_server($node, $patience);
my $p = new_platform($node, 'chaos');
script_host($p);
my $double = new_double();

# Says that it begins, sends a request, computes, says that it ends.
sub code
{
	my ($i) = @_;
	return "await thetazero.read_context('s$i'); await thetazero.http_request('http://127.0.0.1:$double->{port}/$i');"
	  . " const t = Date.now() + 150; while (Date.now() < t); thetazero.log('late'); await thetazero.read_context('e$i'); return $i";
}

my $begun = "(SELECT count(*) FROM asked WHERE call -> 'args' ->> 0 LIKE 's%')";
my $open = "(SELECT count(*) FROM theazo_data.effect WHERE kind = 'script.run' AND state NOT IN ('done', 'failed', 'cancelled', 'unknown'))";
my @kinds = qw(runner child dispatcher server);
my %killed;
my $i = 0;

# ---- far more than there are places for -------------------------------------------------
# Who has none is queued: for the other dispatcher, and for whoever comes after a kill.
my $held = "(SELECT count(*) FROM theazo_data.effect WHERE kind = 'script.run' AND state IN ('claimed', 'sent'))";
my $left = "(SELECT count(*) FROM theazo_data.effect WHERE kind = 'script.run' AND state = 'queued')";
script_queue($p, { time_ms => 20000 }, map { code($i++) } 1 .. 60);
ok(wait_for('both are at it', "SELECT $held = 2 * $places AND (SELECT count(DISTINCT incarnation) FROM theazo_data.effect"
	  . " WHERE kind = 'script.run' AND state IN ('claimed', 'sent')) = 2", 't'), 'two dispatchers take as many as they have places for');
cmp_ok(try_sql("SELECT $left"), '>', 2 * $places, 'the others are queued');
my $one = (dispatchers($p))[0];
ok(kill('KILL', $one), 'one of the two is killed') and $killed{dispatcher}++;
ok(wait_for('the server answers', "SELECT count(*) FROM theazo.workers WHERE pid = $one", '0'), 'with it the server begins anew');
ok(wait_for('they end', "SELECT $open", '0'), 'all programs end');
cmp_ok(try_sql("SELECT count(*) FROM theazo_data.effect WHERE kind = 'script.run' AND state <> 'done'"), '<=', 2 * $places,
	'nobody knows only of those that had a place');
is(try_sql("SELECT count(*) FROM theazo_data.effect e JOIN theazo_data.effect_payload x USING (platform_id, root_id, id)"
	  . " WHERE e.kind = 'script.run' AND e.state = 'done' AND x.result ->> 'status' <> 'completed'"), 0, 'the others have completed');

# ---- kills of each kind ------------------------------------------------------------------
for my $n (0 .. $kills - 1)
{
	my $kind = $n < @kinds ? $kinds[$n] : $kinds[ int rand @kinds ];
	my $before = try_sql("SELECT $begun") // 0;
	my @more = map { code($i++) } 1 .. 10;
	ok(wait_for('the server answers', 'SELECT 1', '1'), "$kind: the server answers");
	script_queue($p, { time_ms => 20000 }, @more);
	wait_for('programs begin', "SELECT $begun > $before OR $open = 0", 't');
	sleep rand 0.4;
	my @dispatchers = dispatchers($p);
	my @tree = tree_below(@dispatchers);
	# a process in between makes the zygote the first of its namespace; its children are those that run code
	my %depth = tree_depth(@dispatchers);
	my @runners = grep { $depth{$_} == 1 } sort keys %depth;
	my @children = grep { $depth{$_} > 2 } sort keys %depth;
	my @victims = $kind eq 'runner' ? @runners : $kind eq 'child' ? @children : $kind eq 'dispatcher' ? @dispatchers : ();
	my $victim = $victims[ rand @victims ];
	if ($kind eq 'server')
	{
		$node->stop('immediate');
		is(tree_left(@tree), 0, 'server: no process of a runner outlives it');
		$node->start;
	}
	elsif (defined $victim && kill 'KILL', $victim)
	{
		# with a dispatcher all processes go, and the server begins anew
		is(tree_left(@tree), 0, 'dispatcher: no process of a runner outlives it') if $kind eq 'dispatcher';
		$killed{$kind}++;
	}
}
ok(wait_for('all programs end', "SELECT $open", '0'), 'all programs end');
is(try_sql("SELECT count(*) FROM theazo_data.effect WHERE kind = 'script.run'"), $i, 'each of them');
is(try_sql("SELECT count(*) FROM (SELECT call -> 'args' ->> 0 FROM asked WHERE call ->> 'fn' = 'read_context' GROUP BY 1 HAVING count(*) > 1) x"), '0',
	'none was begun twice');
is(try_sql("SELECT count(*) FROM theazo_data.effect e JOIN theazo_data.effect_payload x USING (platform_id, root_id, id)"
	  . " WHERE e.kind = 'script.run' AND x.result ->> 'status' = 'completed'"
	  . " AND (SELECT count(*) FROM asked a WHERE a.call -> 'args' ->> 0 IN ('s' || (x.result ->> 'output'), 'e' || (x.result ->> 'output'))) <> 2"), '0',
	'what completed had said all that it had to say');
is(try_sql("SELECT count(*) FROM theazo_data.effect e LEFT JOIN theazo_data.effect_payload x USING (platform_id, root_id, id) WHERE e.kind = 'script.run'"
	  . " AND NOT (e.state = 'done' AND x.result ->> 'status' IN ('completed', 'failed') OR e.state = 'unknown')"), '0',
	'the others failed, or nobody knows');
my $ends = try_sql("SELECT string_agg(concat_ws(' ', n, state, status), ', ') FROM (SELECT count(*) AS n, e.state, x.result ->> 'status' AS status"
	  . " FROM theazo_data.effect e LEFT JOIN theazo_data.effect_payload x USING (platform_id, root_id, id) WHERE e.kind = 'script.run' GROUP BY 2, 3) y");
diag("ends: $ends; killed: " . join(' ', map { "$_ $killed{$_}" } sort keys %killed));
ok(wait_for('requests', "SELECT count(*) FROM theazo_data.effect WHERE kind = 'http.fetch' AND state NOT IN ('done', 'failed', 'cancelled', 'unknown')", '0'),
	'no request is left open');
is(script_run($p, 'return 1')->{output}, 1, 'programs run');
is(try_sql('SELECT count(*) FROM theazo.integrity_check()'), 0, 'the rows fit together');
my @tree = tree_below(dispatchers($p));
$node->stop;
is(tree_left(@tree), 0, 'no process is left');
done_testing();
