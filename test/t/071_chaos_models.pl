# Chaos with models: runs of five tool rounds, with functions of the database and a webhook among the tools, go on while
# processes of every kind are killed with SIGKILL at random moments. The scripted server counts the calls it has answered
# whole and refuses a history that differs by one byte from what it has answered before. Afterwards each run has
# ended once, and that count is the ledger's, except for calls whose answer was lost: those are unknown, charged by
# estimate, flagged. What a tool did is counted where it was done: never twice, and not at all only where that is said.
#
# THEAZO_CHAOS: number of kills (5: one of each kind); with it 300 runs, else 40. THEAZO_CHAOS_RUNS, THEAZO_CHAOS_SEED: as in 070.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoChaos;
use TheazoPath qw(new_server);
use Time::HiRes qw(sleep time);

my $kills = $ENV{THEAZO_CHAOS} || 5;
my $total = $ENV{THEAZO_CHAOS_RUNS} || ($ENV{THEAZO_CHAOS} ? 300 : 40);
my $seed = chaos_seed(20260204);
my $at_once = 8;
# Bytes of a history that are changed for the proof that the server sees it: each, or one in so many.
my $every = $ENV{THEAZO_CHAOS} ? 1 : 5;
my $patience = 180;
diag("seed $seed, $kills kills, $total runs");

# --- the scripted server: five rounds of tools, then a text --------------------
my $rules = PostgreSQL::Test::Utils::tempdir() . '/rules.json';
my $say = { name => 'report_progress', arguments => { message => 'on it' } };
my $look = { name => 'stock', arguments => { sku => 'A1' } };
my $book = { name => 'book', arguments => { sku => 'A1' } };
my $ship = { name => 'ship', arguments => { sku => 'A1' } };
append_to_file($rules, encode_json([ { delay_ms => 60, gap_ms => 5, turns => [
	{ text => 'One.', tools => [$say] }, { tools => [$look] }, { text => 'Three.', tools => [ $say, $look, $ship ] },
	{ tools => [$book] }, { text => 'Five.', tools => [$ship] }, { text => 'Done: 7 pieces.' } ] } ]));
my $pid = open(my $double, '-|', 'python3', "$FindBin::Bin/../mock/model_server.py", '--key', 'sk-chaos', '--linear', '--rules', $rules)
  or die "cannot start the model server: $!";
chomp(my $port = <$double>);
# What handlers of the webhook are sent is on disk before it is answered.
my $dir = PostgreSQL::Test::Utils::tempdir();
my $shop = open(my $handler, '-|', 'python3', "$FindBin::Bin/../mock/recorder.py", '--dir', $dir)
  or die "cannot start the recorder: $!";
my ($shop_port) = split ' ', <$handler>;
END
{
	my $status = $?;
	kill 'KILL', grep { $_ } ($pid, $shop);
	$? = $status;
}
my $http = HTTP::Tiny->new(timeout => 30);
sub seen { return decode_json($http->get("http://127.0.0.1:$port/_control")->{content}) }

# --- the server ------------------------------------------------------------------
my $node = new_server('chaosmodels', "theazo.dispatchers = 2\ntheazo.keeper_interval = 1s\nrestart_after_crash = on\nfsync = on\n");
chaos_server($node, $patience);

# A role of its own: functions of the database are not called with all rights.
sql("CREATE ROLE shop LOGIN; GRANT theazo_app TO shop; CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO shop;"
	  . " CREATE TABLE shop.booking (sku text); GRANT INSERT ON shop.booking TO shop;"
	  . " CREATE FUNCTION shop.stock(sku text) RETURNS integer LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN 7; END';"
	  . " CREATE FUNCTION shop.book(sku text) RETURNS text LANGUAGE plpgsql AS"
	  . " 'BEGIN INSERT INTO shop.booking VALUES (sku); PERFORM pg_sleep(0.1); RETURN ''booked''; END';"
	  . " GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA shop TO shop");
my $platform = sql("SELECT id FROM theazo.platform_create('Chaos')");
sql("SELECT role_name FROM theazo.platform_bind_role('$platform', 'shop')");
sql("SELECT theazo.platform_allow_egress('$platform', allow_http => true, allow_private => true)");
sql("SELECT name FROM theazo.secret_set('model-key', 'sk-chaos')", 'shop');
sql("SELECT name FROM theazo.provider_set('mine', kind => 'model', endpoint => 'http://127.0.0.1:$port/v1', credential_ref => 'model-key',"
	  . " config => '{\"model\": \"chaos-1\"}')", 'shop');
sql("SELECT name FROM theazo.provider_set('claude', kind => 'model', type => 'anthropic', endpoint => 'http://127.0.0.1:$port',"
	  . " credential_ref => 'model-key')", 'shop');
sql("SELECT name FROM theazo.tool_set('stock', 'pieces in stock', sql_function => 'shop.stock')", 'shop');
sql("SELECT name FROM theazo.tool_set('book', 'books a piece', sql_function => 'shop.book', read_only => false)", 'shop');
sql("SELECT name FROM theazo.tool_set('ship', 'ships a piece', '{\"type\": \"object\"}', url => 'http://127.0.0.1:$shop_port/wait?ms=60')", 'shop');
my $session = sql("SELECT id FROM theazo.session_create('chaos-user')", 'shop');

# --- work, and the killer ------------------------------------------------------------
my @victims = ('sql tool', 'dispatcher', 'postmaster', 'keeper', 'launcher', 'backend', 'dispatcher', 'sql tool');
my %killed;
my ($started, $done_kills, $between) = (0, 0, 0);

# One-shot agents, half of them at each protocol; the key makes the start safe to repeat when its answer was lost.
sub start_run
{
	my $n = $started + 1;
	my $model = $n % 2 ? 'chaos-1' : 'claude-sonnet-5-5';
	my $out = try_sql("SELECT id FROM theazo.session_run('$session', 'clerk', 'Count the stock [conv:r$n]',"
		  . " '{\"model\": \"$model\", \"tools\": [\"report_progress\", \"stock\", \"book\", \"ship\"]}', timeout => '900 s', idempotency_key => 'chaos-$n')", 'shop');
	$started++ if defined $out && $out =~ /^run_/;
}

sub kill_one
{
	my ($kind) = @_;
	for (1 .. 60)
	{
		last if seen()->{inflight} > 0;
		sleep 0.05;
	}
	my $waiting = $kind eq 'backend' ? waiting_backend("SELECT pg_sleep(60);\n") : undef;
	# What is there only now and then may be gone when the signal comes.
	my ($victim, $flight);
	for (1 .. 200)
	{
		$victim = victim_pid($kind);
		$flight = seen()->{inflight};
		last if $victim && ($kind eq 'postmaster' || kill 'KILL', $victim);
		$victim = undef;
		keep_busy();
		sleep 0.05;
	}
	return 0 unless $victim;
	$killed{$kind}++;
	$between++ if $flight > 0;
	kill_server() if $kind eq 'postmaster';
	eval { $waiting->kill_kill } if $waiting;
	sql('SELECT 1');
	return 1;
}

my $until = time() + $patience + 6 * $total + 40 * $kills;
my $of = "platform_id = '$platform' AND kind = 'agent'";
# Starts as many as are missing; false when there are enough.
sub keep_busy
{
	my $open = try_sql("SELECT count(*) FROM theazo_data.run WHERE $of AND status IN ('queued', 'running')") // $at_once;
	start_run() for $open + 1 .. $at_once;
	return $open < $at_once;
}
while (($started < $total || $done_kills < $kills) && time() < $until)
{
	keep_busy() or sleep 0.1;
	if ($done_kills < $kills && $started >= ($done_kills + 0.5) * $total / $kills)
	{
		$done_kills++ if kill_one($victims[ $done_kills < @victims ? $done_kills : int(rand(@victims)) ]);
	}
}
cmp_ok($started, '>=', $total, "at least $total runs were started");
is($done_kills, $kills, "$kills kills: " . join(', ', map { "$_ $killed{$_}" } sort keys %killed));
diag("kills while calls were out: $between");

# --- afterwards --------------------------------------------------------------------
ok(wait_for('runs ended', "SELECT count(*) FROM theazo_data.run WHERE $of AND status IN ('completed', 'failed', 'cancelled')", $started),
	'every run has ended');
ok(wait_for('effects settled', "SELECT count(*) FROM theazo_data.effect WHERE platform_id = '$platform'"
		  . " AND state IN ('queued', 'claimed', 'sent', 'held')", '0'), 'no effect is left open');
diag(sql("SELECT string_agg(format('%s%s: %s', status, coalesce(' ' || error_sqlstate || ' ' || error_message, ''), n), ', ') FROM"
	  . " (SELECT status, error_sqlstate, error_message, count(*) AS n FROM theazo_data.run WHERE $of GROUP BY 1, 2, 3 ORDER BY 1, 2) s"));
is(sql("SELECT count(*) FROM theazo_data.run WHERE $of AND NOT (status = 'completed' OR status = 'failed' AND error_sqlstate = 'TZ408'"
		  . " AND outcome_unknown)"), '0', 'a run that did not complete failed because the outcome of a call is unknown, and says so');
cmp_ok(sql("SELECT count(*) FROM theazo_data.run WHERE $of AND status = 'completed'"), '>', $started / 4, 'kills do not stop the rest');
is(sql("SELECT count(*) FROM theazo_data.run r WHERE $of AND (SELECT count(*) FROM theazo_data.event e WHERE e.platform_id = r.platform_id"
		  . " AND e.run_id = r.id AND e.action IN ('execution_completed', 'execution_failed', 'execution_terminated')) <> 1"),
	'0', 'each run ended once');
is(sql("SELECT count(*) FROM theazo_data.run r WHERE $of AND status = 'completed' AND"
		  . " ((SELECT count(*) FROM theazo_data.step s WHERE s.platform_id = r.platform_id AND s.root_id = substr(r.id, 5) AND s.kind = 'model'"
		  . " AND s.state = 'done') <> 6 OR (SELECT count(*) FROM theazo_data.step s WHERE s.platform_id = r.platform_id"
		  . " AND s.root_id = substr(r.id, 5) AND s.kind = 'tool') <> 7)"), '0', 'each completed run has its six model calls and seven tool calls');

# The ledger against what the server has answered, conversation by conversation.
my $seen = seen();
my %ledger;
foreach (split /\n/, sql("SELECT substring(p.input ->> 'task' FROM 'conv:(r[0-9]+)'), count(c.id) FILTER (WHERE NOT c.estimated),"
		  . " count(c.id) FILTER (WHERE c.estimated), (SELECT count(*) FROM theazo_data.step s WHERE s.platform_id = r.platform_id"
		  . " AND s.root_id = substr(r.id, 5) AND s.kind = 'model' AND s.state = 'done'),"
		  . " (SELECT count(*) FROM theazo_data.step s WHERE s.platform_id = r.platform_id"
		  . " AND s.root_id = substr(r.id, 5) AND s.kind = 'model' AND s.state = 'unknown' AND s.estimated)"
		  . " FROM theazo_data.run r JOIN theazo_data.run_payload p ON p.platform_id = r.platform_id AND p.root_id = substr(r.id, 5)"
		  . " LEFT JOIN theazo_data.charge c ON c.platform_id = r.platform_id AND c.root_id = p.root_id AND c.item = 'model.call'"
		  . " WHERE r.platform_id = '$platform' AND r.kind = 'agent' GROUP BY 1, r.platform_id, r.id"))
{
	my ($conv, $booked, $estimated, $done, $unknown) = split /\|/;
	push @{ $ledger{$conv} }, { booked => $booked, estimated => $estimated, done => $done, unknown => $unknown };
}
is(scalar(grep { @$_ != 1 } values %ledger), 0, 'no start was made twice');
my ($wrong, $lost, $answered, $booked, $marked) = (0, 0, 0, 0, 0);
foreach my $conv (sort keys %ledger)
{
	my $l = $ledger{$conv}[0];
	my $count = ($seen->{conversations}{$conv} || {})->{answered} // 0;
	# One answer too many there is one that was lost here, and is marked.
	my $more = $count - $l->{booked};
	$answered += $count;
	$booked += $l->{booked};
	$marked += $l->{estimated};
	$lost += $more;
	next if $l->{booked} == $l->{done} && $l->{estimated} == $l->{unknown} && $more >= 0 && $more <= $l->{estimated};
	$wrong++;
	diag("$conv: the server answered $count, booked $l->{booked} and $l->{estimated} by estimate, steps done $l->{done}, unknown $l->{unknown}");
}
is($wrong, 0, "the server's count of answered calls is the ledger's: $answered answered, $booked booked, $lost lost of $marked marked");
is($seen->{counts}{answered}, $answered, 'the server answered nobody else');
is($seen->{counts}{history_refused} // 0, 0, 'no history differed by a byte') or diag(encode_json($seen->{refused}));
is($seen->{counts}{repeated} // 0, 0, 'no answered call was asked for again');
is($seen->{counts}{refused} // 0, 0, 'the server refused nothing');

# --- tools: what was done, where it was done ------------------------------------------------
my %sent;
foreach my $line (split /\n/, slurp_file("$dir/recorded.jsonl"))
{
	my ($body) = decode_json($line)->{raw} =~ /\r\n\r\n(.*)/s;
	$sent{ decode_json($body)->{callId} }++;
}
my ($shipped, $never, $twice, $more) = (0, 0, 0, 0);
foreach (split /\n/, sql("SELECT 'run_' || root_id || '-' || seq, state FROM theazo_data.step WHERE platform_id = '$platform' AND name = 'ship'"))
{
	my ($call, $state) = split /\|/;
	my $n = delete $sent{$call} // 0;
	$shipped++ if $n > 0;
	$never++ if $n == 0 && $state eq 'done';
	$twice++ if $n > 1;
	$more++ if $n > 0 && $state !~ /^(done|unknown|cancelled)$/;
}
is("$never $twice $more " . keys %sent, '0 0 0 0', "no call of the webhook is booked that was not made, none was made twice, each is in its step: $shipped");
my ($book_done, $book_unknown) = split /\|/, sql("SELECT count(*) FILTER (WHERE state = 'done'), count(*) FILTER (WHERE state <> 'done') FROM theazo_data.step"
	  . " WHERE platform_id = '$platform' AND name = 'book'");
my $booked_there = sql('SELECT count(*) FROM shop.booking');
ok($booked_there >= $book_done && $booked_there <= $book_done + $book_unknown,
	"the function that writes wrote once for each call: $booked_there rows, $book_done done, $book_unknown of which it is not known");
diag(sql("SELECT string_agg(format('%s %s %s', name, state, n), ', ') FROM (SELECT name, state, count(*) AS n FROM theazo_data.step"
	  . " WHERE platform_id = '$platform' AND kind = 'tool' GROUP BY 1, 2 ORDER BY 1, 2) s"));
is(sql("SELECT count(*) FROM theazo_data.step s LEFT JOIN theazo_data.effect e ON e.platform_id = s.platform_id AND e.root_id = s.root_id"
		  . " AND e.step_seq = s.seq WHERE s.platform_id = '$platform' AND s.name IN ('stock', 'report_progress') AND s.state NOT IN ('done', 'cancelled')"
		  . " AND coalesce(e.attempt, 0) < 2"), '0', 'a function that only reads is called again');

is(sql("SELECT count(*) FROM (SELECT id FROM theazo_data.charge WHERE platform_id = '$platform' GROUP BY id HAVING count(*) > 1) s"),
	'0', 'no charge exists twice');
is(sql("SELECT count(*) FROM theazo.integrity_check()"), '0', 'the integrity check finds nothing');
ok(wait_for('events sealed', 'SELECT count(*) FROM theazo.operator_audit_status WHERE unsealed = 0', 1), 'every event is sealed');
is(sql("SELECT chain_valid || ' ' || coalesce(problem, 'nothing') || ' ' || events FROM theazo.audit_verify()", 'shop'),
	'true nothing ' . sql("SELECT count(*) FROM theazo_data.event WHERE platform_id = '$platform'"), 'and the chain of all of them verifies');

# --- does the server see a byte? -----------------------------------------------------------------
# The last request of a run of each protocol, with one byte changed: here, there, everywhere.
$http->delete("http://127.0.0.1:$port/_control");
foreach my $first (1, 2)
{
	my ($conv) = grep { /^r(\d+)$/ && $1 % 2 == $first % 2 && ($seen->{conversations}{$_}{answered} // 0) == 6 } sort keys %ledger;
	my $kept = decode_json($http->post("http://127.0.0.1:$port/_control", { content => encode_json({ history => $conv }) })->{content})->{requests};
	my ($last) = sort { length $b <=> length $a } @$kept;
	utf8::encode($last);
	my ($path, $model) = $first % 2 ? ('/v1/chat/completions', 'chaos-1') : ('/v1/messages', 'claude-sonnet-5-5');
	my $ask = sub {
		return $http->post("http://127.0.0.1:$port$path", {
			headers => { 'x-conversation' => $conv, 'content-type' => 'application/json', 'anthropic-version' => '2023-06-01',
				authorization => 'Bearer sk-chaos', 'x-api-key' => 'sk-chaos' },
			content => "{\"model\":\"$model\",\"max_tokens\":100,\"messages\":[$_[0]]}" })->{status};
	};
	is($ask->($last), 200, "$path: the same once more is taken");
	my ($tried, @taken) = (0);
	for (my $at = $first; $at < length $last; $at += $every)
	{
		my $bent = $last;
		substr($bent, $at, 1) = chr(ord(substr($bent, $at, 1)) ^ 1);
		$tried++;
		push @taken, substr($last, $at < 20 ? 0 : $at - 20, 40) if $ask->($bent) != 400;
	}
	cmp_ok($tried, '>', 100, "$path: a history of " . length($last) . ' bytes');
	is(scalar @taken, 0, "$path: $tried times with one byte changed is refused") or diag(join "\n", @taken);
}

diag("again: THEAZO_CHAOS=$kills THEAZO_CHAOS_RUNS=$total THEAZO_CHAOS_SEED=$seed TESTS=071_chaos_models") unless Test::More->builder->is_passing;
$node->stop('fast');
kill 'TERM', $pid, $shop;
close $double;
close $handler;
done_testing();
