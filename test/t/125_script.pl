# Programs of agents at the dispatcher: their outcome, what they ask of their host, limits, and who may end them.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Digest::SHA;
use IO::Socket::INET;
use Math::BigInt;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;
use TheazoScript;
use Time::HiRes qw(sleep time);

my $node = new_server('script', "theazo.dispatchers = 1\ntheazo.script_max = 8\n");
my $p = new_platform($node, 'script');
script_host($p);
my $r;

# ---- what comes of one -----------------------------------------------------------
is($node->safe_psql('postgres', "SELECT ok FROM theazo.sandbox_preflight WHERE name = 'script runner'"), 't', 'the machine was asked what it offers');
$r = script_run($p, "thetazero.log('hello'); thetazero.log('oh', 'warn'); const {agentName, agentVersion, executionId} = thetazero; return {input, agentName, agentVersion, executionId}",
	{ input => { n => 5, deep => [ [ { x => undef } ] ] } });
is("$r->{state} $r->{status} $r->{attempt}", 'done completed 1', 'a program that returns has completed');
is_deeply($r->{output}, { input => { n => 5, deep => [ [ { x => undef } ] ] }, agentName => 'tester', agentVersion => '1.2.3', executionId => 7 },
	'it knows its input and whom it is');
is_deeply([ map { "$_->{level} $_->{message}" } @{ $r->{logs} } ], [ 'info hello', 'warn oh' ], 'what it logged is kept in order');
like($r->{logs}[0]{at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'with its time');
is("$r->{log_calls} $r->{host_calls} $r->{api_calls}", '2 0 0', 'and counted');
ok($r->{begun} && $r->{returned}, 'it began, and returned something');
my $libdir = $node->config_data('--pkglibdir');
is($r->{helper_sha256}, Digest::SHA->new(256)->addfile("$libdir/theazo-runner", 'b')->hexdigest, 'by this very program');
like($r->{engine}, qr/^\w/, "engine $r->{engine} $r->{engine_version}");
like($r->{isolation}{mode}, qr/^(full|seccomp)$/, "behind the walls of mode $r->{isolation}{mode}");
ok($r->{isolation}{seccomp} && $r->{isolation}{capabilities}, 'of which two always stand');
cmp_ok($r->{usage}{cpu_us}, '>', 0, 'processor time as the kernel counted it');
cmp_ok($r->{usage}{memory_mb}, '>', 0, 'and memory');

$r = script_run($p, "thetazero.write_result({a: 1}); await thetazero.write_result({b: 12345.5}); thetazero.log('x')");
is_deeply([ $r->{written}, $r->{returned}, $r->{output} ], [ { b => 12345.5 }, JSON::PP::false, undef ], 'the last result that was written is kept');
is_deeply([ map { "$_->{fn} $_->{args_summary}" } @{ $r->{host_calls_local} } ], [ 'write_result {"a":1}', 'write_result {"b":12345.5}' ], 'with a record of both');
$r = script_run($p, "return input.n", { input => { n => Math::BigInt->new('123456789012345678901234567890') } });
is($r->{status}, 'completed', 'numbers of any size go in and come out');
$r = script_run($p, "thetazero.log('before');\nthrow new TypeError('no good')");
is("$r->{state} $r->{status} $r->{error}{code} $r->{error}{name} $r->{error}{message}", 'done failed EXECUTION_ERROR TypeError no good', 'what it threw is told');
is(scalar @{ $r->{logs} }, 1, 'with its log');
is(script_run($p, 'return (')->{error}{name}, 'SyntaxError', 'code that does not parse has failed');

# ---- limits ------------------------------------------------------------------------
$r = script_run($p, "thetazero.log('still here'); thetazero.write_result([1]); for (;;);", { time_ms => 1500 });
is("$r->{state} $r->{status} $r->{error}{code}", 'done terminated TIME_LIMIT', 'over its time it is stopped');
is_deeply([ $r->{logs}[0]{message}, $r->{written} ], [ 'still here', [1] ], 'and what had arrived is kept');
$r = script_run($p, 'Array(5e8).join("x")', { time_ms => 300, memory_mb => 2048 });
is($r->{status}, 'terminated', 'also where the engine cannot stop itself');
$r = script_run($p, 'const a = []; for (;;) a.push(new Array(1000).fill(a.length))', { memory_mb => 32 });
is("$r->{status} $r->{error}{code}", 'terminated MEMORY_LIMIT', 'over its memory, too');
is(script_run($p, 'return 1', { memory_mb => 1 })->{error_code}, 'invalid_request', 'a limit that is none is refused');
$r = script_run($p, 'for (let i = 0; i < 1500; i++) thetazero.log("line " + i); return 1');
is(scalar(@{ $r->{logs} }) . " $r->{logs_dropped} $r->{log_calls}", '1000 500 1500', 'so many lines of a log are kept, the rest is counted');

# ---- what it asks of its host ------------------------------------------------------------
$r = script_run($p, 'return [await thetazero.read_context("k"), await thetazero.read_context(7)]');
is_deeply($r->{output}, [ "k", "7" ], 'the host answers');
is($node->safe_psql('postgres', "SELECT string_agg(concat_ws(' ', call ->> 'fn', call ->> 'call', call ->> 'execution', call ->> 'slot', call ? 'deadline'), ', ' ORDER BY call -> 'call') FROM asked"),
	'read_context 1 exe_1 0 t, read_context 2 exe_1 0 t', 'and knows who asks');
$r = script_run($p, 'try { await thetazero.read_context("no") } catch (e) { thetazero.log(e.code + ": " + e.message) } return "went on"');
is("$r->{output} $r->{logs}[0]{message}", 'went on PERMISSION_DENIED: not permitted', 'a refusal rejects the call, and the program goes on');
$r = script_run($p, <<'JS');
const all = ['a', 'boom', 'b', 'large', 'c'].map(k => thetazero.read_context(k).catch(e => e.code));
return Promise.all(all);
JS
is_deeply($r->{output}, [ 'a', 'INTERNAL_ERROR', 'b', 'TOO_LARGE', 'c' ], 'a call that SQL throws for fails alone');
$r = script_run($p, 'let n = 0; for (let i = 0; i < 30; i++) { try { await thetazero.read_context("k" + i); n++ } catch (e) { thetazero.log(e.code) } } return n',
	{ max_api_calls => 5 });
is("$r->{output} $r->{api_calls} $r->{calls_refused} $r->{logs}[0]{message}", '15 30 15 RATE_LIMITED', 'far beyond its limit SQL is not asked any more');
$r = script_run($p, 'for (let i = 0; i < 40; i++) thetazero.read_context("k"); return 1');
is($r->{status}, 'completed', 'a program that does not wait for its answers ends');

# somebody's open transaction holds one call up, and no other
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; UPDATE held SET n = 0');
my ($held, $free) = script_queue($p, {}, 'return await thetazero.read_context("held")', 'return await thetazero.read_context("free")');
is(script_wait($p, $free)->{output}, 'free', 'a call is answered while another waits for a lock');
is($node->safe_psql('postgres', "SELECT state IN ('claimed', 'sent') FROM theazo_data.effect WHERE id = '$held'"), 't', 'that one waits');
is(script_run($p, 'return 2')->{output}, 2, 'and so does nobody else');
$holder->query_safe('COMMIT');
$holder->quit;
is(script_wait($p, $held)->{output}, 'held', 'until it is free');

# ---- requests ------------------------------------------------------------------------------
my $double = new_double();
$r = script_run($p, "const a = await thetazero.http_request('http://127.0.0.1:$double->{port}/x'); return [a.status, a.body, a.headers['content-type']]");
is_deeply($r->{output}, [ 401, { error => 'not authorized' }, 'application/json' ], 'a request is sent, and JSON comes as a value');
$r = script_run($p, "return thetazero.http_request('http://127.0.0.1:1/x').catch(e => e.code)");
is($r->{output}, 'NETWORK_ERROR', 'one that nobody answers fails at once');
my $silent = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "cannot listen: $!";
my $url = 'http://127.0.0.1:' . $silent->sockport . '/';
$r = script_run($p, "thetazero.http_request('$url'); await thetazero.read_context('k'); return 'did not wait'");
is($r->{output}, 'did not wait', 'a program need not wait for its request');
wait_sql($node, "SELECT string_agg(state, ' ' ORDER BY id) FROM theazo_data.effect WHERE kind = 'http.fetch'", 'done failed cancelled', 'which is cut');
$r = script_run($p, "await thetazero.http_request('$url')", { time_ms => 400 });
is($r->{error}{code}, 'TIME_LIMIT', 'waiting counts');
wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE kind = 'http.fetch' AND state NOT IN ('done', 'failed', 'cancelled')", '0', 'and leaves no request behind');

# ---- many ------------------------------------------------------------------------------------
my ($dispatcher) = dispatchers($p);
my $fds = sub { scalar(() = glob "/proc/$dispatcher/fd/*") };
script_wait($p, $_) foreach script_queue($p, {}, ('return await thetazero.read_context("k")') x 20);
my $before = $fds->();
my @ids = script_queue($p, {}, ('return await thetazero.read_context("k")') x 200);
script_wait($p, $ids[-1], 60);
wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE kind = 'script.run' AND state NOT IN ('done', 'failed', 'cancelled')", '0', 'two hundred of them end');
is($node->safe_psql('postgres', "SELECT count(*) FROM theazo_data.effect e JOIN theazo_data.effect_payload p USING (platform_id, root_id, id) WHERE e.id IN ("
	  . join(', ', map { quote($_) } @ids) . ") AND p.result ->> 'status' = 'completed' AND p.result ->> 'output' = 'k' AND e.attempt = 1"), '200', 'all of them well, each begun once');
cmp_ok($fds->(), '<=', $before + 4, 'without a descriptor left over');

# ---- who may end them ----------------------------------------------------------------------------
my $spin = "thetazero.log('in'); await thetazero.read_context('begun'); for (;;);";
sub begun
{
	$node->safe_psql('postgres', 'DELETE FROM asked');
	my @ids = script_queue($p, { time_ms => 60000 }, @_);
	wait_sql($node, "SELECT count(*) >= least(" . @ids . ", 8) FROM asked WHERE call -> 'args' ->> 0 = 'begun'", 't', 'they are under way');
	return @ids;
}
my ($id) = begun($spin);
$node->safe_psql('postgres', "UPDATE theazo_data.effect SET cancel_requested = true WHERE id = '$id'; SELECT theazo_internal.wake_cancel()");
$r = script_wait($p, $id);
is("$r->{state} $r->{status} $r->{error}{code} $r->{logs}[0]{message}", 'cancelled terminated CANCELLED in', 'one that is cancelled is cut, and its log kept');
# more than may run: those that wait have not begun
@ids = begun(($spin) x 12);
my $at = time();
$node->safe_psql('postgres', "SELECT theazo.halt('test', api_key => '$p->{key}')");
my %states;
foreach my $one (@ids)
{
	$r = script_wait($p, $one);
	$states{"$r->{state} " . ($r->{begun} ? 'begun' : 'not begun')}++;
}
is_deeply(\%states, { 'cancelled begun' => 8, 'cancelled not begun' => 4 }, 'a halt cuts all of them, and what waits for a place');
diag(sprintf('halted within %.0f ms', (time() - $at) * 1000));
$node->safe_psql('postgres', "SELECT theazo.unhalt(api_key => '$p->{key}')");
is(script_run($p, 'return 1')->{output}, 1, 'and when it is lifted programs run again');

# ---- the program itself ---------------------------------------------------------------------------
my $own = PostgreSQL::Test::Utils::tempdir();
append_to_file("$own/text", "no program\n");
foreach my $case ([ "$own/none", 'is not there' ], [ "$own/text", 'may not be executed' ])
{
	$node->append_conf('postgresql.conf', "theazo.script_runner = '$case->[0]'");
	$node->reload;
	wait_sql($node, 'SHOW theazo.script_runner', $case->[0], 'the setting is read');
	# the dispatcher reads it when it wakes
	my $until = time() + 10;
	do { $r = script_run($p, 'return 1') } while ($r->{state} eq 'done' && time() < $until);
	is("$r->{state} $r->{attempt}", 'failed 1', "where the runner $case->[1] a program fails");
	like($r->{message}, qr/could not start/, 'and says so');
	ok($r->{hint}, 'with a hint');
}
$node->append_conf('postgresql.conf', "theazo.script_runner = ''");
$node->reload;
my $until = time() + 15;
do { $r = script_run($p, 'return 1') } while ($r->{state} ne 'done' && time() < $until);
is($r->{output}, 1, 'once it is there again programs run');

# ---- what must hold at the end ------------------------------------------------------------
is($node->safe_psql('postgres', 'SELECT count(*) FROM theazo.integrity_check()'), 0, 'the rows fit together');
my @tree = tree_below(dispatchers($p));
ok(@tree > 0, 'the runner and its spare processes are there');
$node->stop;
is(tree_left(@tree), 0, 'and go with the server');
done_testing();
