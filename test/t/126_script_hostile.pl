# A runner that cannot be trusted: whatever it says, the program ends once, as it should, and the next one runs.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;
use TheazoScript;

# Scripts are not executed in its place, so the double gets a program around it.
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/runner.c", qq(#include <unistd.h>\nint main(void) { execl("/usr/bin/python3", "python3", "$FindBin::RealBin/../mock/runner.py", NULL); return 1; }\n));
system_or_bail($ENV{CC} // 'cc', '-o', "$dir/runner", "$dir/runner.c");
my $node = new_server('hostile', "theazo.dispatchers = 1\ntheazo.script_max = 64\ntheazo.script_runner = '$dir/runner'\n");
my $p = new_platform($node, 'hostile');
script_host($p);
my ($dispatcher) = dispatchers($p);

# What is out of place ends the program as a fault; what is merely no answer, at its limit.
my %faults = map { $_ => 1 } qw(empty longest over unknown flags reserved same backwards zero name nobody noname text object utf8 log badvalue
	within sigsys gone flood);
my %others = (
	ok => [ 'completed', undef ],
	hugeid => [ 'completed', undef ],
	lies => [ 'completed', undef ],
	deep => [ 'terminated', 'TIME_LIMIT' ],
	mute => [ 'terminated', 'TIME_LIMIT' ],
	deaf => [ 'terminated', 'TIME_LIMIT' ],
	slow => [ 'terminated', 'TIME_LIMIT' ]);
my @modes = (sort(keys %faults), sort keys %others);
my @ids = script_queue($p, { time_ms => 5000 }, @modes);
foreach my $i (0 .. $#modes)
{
	my $r = script_wait($p, $ids[$i]);
	my ($status, $code) = $faults{ $modes[$i] } ? ('failed', 'EXECUTION_ERROR') : @{ $others{ $modes[$i] } };
	is_deeply([ $r->{state}, $r->{attempt}, $r->{status}, $r->{error}{code} ], [ 'done', 1, $status, $code ], "$modes[$i]: the program ends, once");
	ok($r->{fault}, "$modes[$i]: the operator is told: " . ($r->{fault} // 'nothing')) if $faults{ $modes[$i] };
}
is(script_run($p, 'ok')->{status}, 'completed', 'the runner is still in use');

# two results: the first counts, or none
my $r = script_run($p, 'twice');
like($r->{status}, qr/^(completed|failed)$/, 'of two results none counts twice');
# words before there was work
script_run($p, 'early');
my $early = 0;
for (my $n = 0; $n < 8; $n++)
{
	$r = script_run($p, 'ok');
	$early++ if ($r->{fault} // '') eq 'words before its work';
	last if $early && $r->{status} eq 'completed';
	fail('what was said before there was work is no result') if $r->{status} eq 'completed' && !ref $r->{output};
}
cmp_ok($early, '>', 0, 'a process that spoke before it had work gets none');
is_deeply($r->{output}, { n => 1 }, 'the next one is in order');

# what the program itself says out of place ends all that it runs, and it is started anew
script_run($p, 'ok') foreach 1 .. 3;
foreach my $mode (qw(channel double die))
{
	my ($other, $it) = script_queue($p, { time_ms => 30000 }, 'mute', $mode);
	$r = script_wait($p, $it);
	is("$r->{state} $r->{attempt}", 'done 1', "$mode: the program has ended, once");
	$r = script_wait($p, $other);
	is("$r->{state} $r->{attempt} $r->{status} $r->{error}{code}", 'done 1 failed EXECUTION_ERROR', "$mode: and so has its neighbour");
	is(script_run($p, 'ok')->{status}, 'completed', "$mode: the runner is started again");
}

is((dispatchers($p))[0], $dispatcher, 'the dispatcher has seen it all through');
is($node->safe_psql('postgres', "SELECT count(*) FROM theazo_data.effect WHERE state NOT IN ('done', 'failed', 'cancelled')"), 0, 'nothing is left open');
is($node->safe_psql('postgres', 'SELECT count(*) FROM theazo.integrity_check()'), 0, 'the rows fit together');
my @tree = tree_below($dispatcher);
$node->stop('immediate');
is(tree_left(@tree), 0, 'no process outlives the server');
done_testing();
