# Budgets: money is reserved before it is spent, at every level, so that parallel runs together never spend more than there is; what
# is told to whoever is refused; what becomes of sessions, alerts and sandboxes.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use lib "$FindBin::RealBin";
use TheazoPath;

my $pid = open(my $double, '-|', 'python3', "$FindBin::RealBin/../mock/model_server.py") or die "cannot start the double: $!";
chomp(my $port = <$double>);
END { my $status = $?; kill 'KILL', $pid if $pid; $? = $status; }
my $http = HTTP::Tiny->new(timeout => 30);
sub instruct { $http->post("http://127.0.0.1:$port/_control", { content => encode_json($_[0]) })->{success} or die 'the double refused'; }

my $node = new_server('budget', "theazo.dispatchers = 2\ntheazo.keeper_interval = 1s\nrestart_after_crash = on\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }
# An answer takes as many tokens as it may: what is reserved is what it costs. 110 and 1100 millionths of a cent a token.
sql("SELECT theazo.operator_secret_set('key', 'sk-test')");
sql("SELECT theazo.operator_provider_set('m', kind => 'model', type => 'openai-compatible', endpoint => 'http://127.0.0.1:$port/v1', credential_ref => 'key')");
sql("SELECT theazo.model_price_set('dear', input => 100, output => 1000)");
my $say = { name => 'report_progress', arguments => { message => 'on it' } };
my $all = { usage => { output => 'max' } };
instruct({ rules => [ { delay_ms => 15, turns => [ { %$all, tools => [$say] }, { %$all, text => 'done' } ] } ] });
my $options = '{"model": "dear", "tools": ["report_progress"], "config": {"maxTokens": 60}}';

# What is spent and promised of a level, in one statement, against what the ledger says.
my %where = (platform => 'true', user => "user_id = 'user'", session => "session_id = '%s'");
sub start
{
	my ($p, $n, $more) = @_;
	return sql("SELECT count(*) FROM generate_series(1, $n) i CROSS JOIN LATERAL theazo.session_run('$p->{session}', NULL, 'go ' || i,"
		  . " '$options', timeout => '120 s', api_key => '$p->{key}'" . ($more // '') . ') r');
}
# Runs that are at work; one that the pause of its session holds between two calls is not.
sub open_runs
{
	my ($p) = @_;
	return "(SELECT count(*) FROM theazo_data.run r LEFT JOIN theazo_data.run_loop l ON l.platform_id = r.platform_id AND l.root_id = substr(r.id, 5)"
	  . " WHERE r.platform_id = '$p->{id}' AND r.status IN ('queued', 'running') AND NOT coalesce(l.suspended, false))";
}

# ---- parallel runs against one cap --------------------------------------------------------------------------------------
foreach my $level (qw(platform user session))
{
	my $p = new_platform($node, "p $level");
	my $cap = $level eq 'platform' ? 20 : 4;
	my $kill = $level eq 'platform';
	my $runs = 200;
	sql($level eq 'platform' ? "SELECT theazo.budget_set($cap, api_key => '$p->{key}')"
		: $level eq 'user' ? "SELECT theazo.user_budget_set($cap, user_id => 'user', api_key => '$p->{key}')"
		: "SELECT theazo.session_update_limits('$p->{session}', '{\"maxCost\": {\"amount\": $cap, \"period\": \"month\"}}', api_key => '$p->{key}')");
	is(start($p, $runs), $runs, "$level: $runs runs begin");
	my $of = "platform_id = '$p->{id}' AND " . sprintf($where{$level}, $p->{session});
	my ($most, $samples, $killed, $until) = (0, 0, 0, time() + 90);
	while (time() < $until)
	{
		my ($spent, $held, $open) = split /\|/, sql("SELECT (SELECT coalesce(sum(amount), 0) FROM theazo_data.charge WHERE $of),"
			  . " (SELECT coalesce(sum(held), 0) FROM theazo_data.reservation WHERE $of),"
			  . ' ' . open_runs($p));
		$most = $spent + $held if $spent + $held > $most;
		$samples++;
		last if $open == 0;
		if ($kill && !$killed && $spent > $cap * 300_000)
		{
			my $victim = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'theazo dispatcher' LIMIT 1");
			$killed = 1 if $victim && kill 'KILL', $victim;
			sleep 0.5;
			$node->poll_query_until('postgres', 'SELECT true') or die 'no server';
			# calls that were lost say nothing of their provider here
			sql('DELETE FROM theazo_data.provider_health');
		}
	}
	is(sql('SELECT ' . open_runs($p)), '0', "$level: all runs have ended");
	ok($killed, 'a dispatcher was killed meanwhile') if $kill;
	cmp_ok($most, '<=', $cap * 1e6, "$level: spent and reserved are never more than there is, in $samples looks");
	my $spent = sql("SELECT sum(amount) FROM theazo_data.charge WHERE $of");
	cmp_ok($spent, '<=', $cap * 1e6, "$level: not a millionth of a cent too much: $spent");
	# what prompts were shorter than they might have been comes back when everybody has been refused
	# (under a session's limit its pause stops the others as well)
	cmp_ok($spent, '>', $cap * 700_000, "$level: and little was left") if $level eq 'user';
	is(sql("SELECT count(*) FROM theazo_data.reservation WHERE platform_id = '$p->{id}'"), 0, "$level: nothing is held any more");
	is(sql("SELECT theazo_internal.spent('$p->{id}', 'live', '$level', " . ($level eq 'platform' ? "''" : $level eq 'user' ? "'user'" : "'$p->{session}'")
		  . ", 'month', now())"), $spent, "$level: the sums are the ledger's");
	sql('DELETE FROM theazo_data.provider_health');
	like(sql("SELECT string_agg(DISTINCT concat_ws(' ', status, error_sqlstate, error_code), ', ' ORDER BY concat_ws(' ', status, error_sqlstate, error_code)) FROM theazo_data.run"
		  . " WHERE platform_id = '$p->{id}' AND NOT outcome_unknown AND status <> 'running'"), qr/^(completed, )?failed TZ202 session_limit_exceeded$/, "$level: who came too late is told why");
	is(sql("SELECT count(*) > 0 FROM theazo_data.event WHERE platform_id = '$p->{id}' AND action = 'limit_hit' AND decision = 'deny'"
		  . " AND rule = '" . ($level eq 'session' ? 'limit:maxCost' : "budget:$level") . "'"), 't', "$level: an event says so");
	is(sql("SELECT (convert_from(body, 'UTF8')::jsonb -> 'summary') - 'used' FROM theazo_data.event WHERE platform_id = '$p->{id}' AND action = 'limit_hit' LIMIT 1"),
		qq({"max": $cap, "code": "TZ202", "level": "$level", "limit": "maxCost"}), "$level: with its facts");
	next unless $level eq 'session';
	wait_sql($node, "SELECT paused_reason FROM theazo_data.session WHERE id = '$p->{session}'", 'limit:maxCost', 'its session is paused');
	my (undef, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT theazo.session_run('$p->{session}', NULL, 'go', '$options', api_key => '$p->{key}')");
	like($err, qr/TZ202.*limit maxCost of session.*DETAIL:  \{.*"level": "session".*HINT:  Raise the limit/s, 'who begins is told of the limit, not of the pause');
	(undef, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT theazo.session_resume('$p->{session}', api_key => '$p->{key}')");
	is(sql("SELECT status FROM theazo.session_update_limits('$p->{session}', '{\"maxCost\": {\"amount\": 100, \"period\": \"day\"}}', api_key => '$p->{key}')"),
		'active', 'a higher limit lets it go on at once');
	wait_sql($node, "SELECT count(*) FROM theazo_data.run WHERE platform_id = '$p->{id}' AND status IN ('queued', 'running')", '0', 'with what it was at');
	is(wait_run($p, sql("SELECT id FROM theazo.session_run('$p->{session}', NULL, 'more', '$options', api_key => '$p->{key}')"))->{status}, 'completed', 'and work with it');
}

# ---- a cap that comes while calls are under way for which nothing was reserved ---------------------------------------
{
	my $late = new_platform($node, 'late');
	my $one = '{"model": "dear", "tools": [], "config": {"maxTokens": 60}}';
	instruct({ rules => [ { delay_ms => 3000, answer => { %$all, text => 'done' } } ] });
	my $go = "SELECT count(*) FROM generate_series(1, 3) i CROSS JOIN LATERAL theazo.session_run('$late->{session}', NULL, 'go ' || i, '$one', api_key => '$late->{key}') r";
	sql($go);
	wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE platform_id = '$late->{id}' AND state IN ('claimed', 'sent')", '3', 'three calls are under way');
	sql("SELECT theazo.budget_set(0.3, api_key => '$late->{key}')");
	sql($go);
	wait_sql($node, "SELECT count(*) FROM theazo_data.run WHERE platform_id = '$late->{id}' AND status IN ('queued', 'running')", '0', 'and three more after it');
	my ($spent, $most) = split /\|/, sql("SELECT sum(amount), max(amount) FROM theazo_data.charge WHERE platform_id = '$late->{id}'");
	cmp_ok($spent, '<=', 300_000, 'what began under the cap keeps within it, whatever was under way before');
	cmp_ok($spent, '>', 3 * $most, 'and uses what was left of it');
	# what a run has drawn ahead does not outlive a cap that is lowered
	my $ahead = new_platform($node, 'ahead');
	sql("SELECT theazo.budget_set(1000, api_key => '$ahead->{key}')");
	instruct({ rules => [ { delay_ms => 1500, turns => [ { %$all, tools => [$say] }, { %$all, text => 'done' } ] } ] });
	my $run = sql("SELECT id FROM theazo.session_run('$ahead->{session}', NULL, 'go', '$options', api_key => '$ahead->{key}')");
	wait_sql($node, "SELECT held > need AND need > 0 FROM theazo_data.reservation WHERE id = '$run'", 't', 'a run has drawn ahead');
	sql("SELECT theazo.budget_set(0, api_key => '$ahead->{key}')");
	my $r = wait_run($ahead, $run);
	is("$r->{status} $r->{error_sqlstate}", 'failed TZ202', 'its next call is refused');
	is(sql("SELECT count(*) FROM theazo_data.charge WHERE platform_id = '$ahead->{id}'"), '1', 'and only the one under way was paid');
}

# ---- a provider that counts more than it was allowed ---------------------------------------------------------------------
{
	my $q = new_platform($node, 'more');
	sql("SELECT theazo.budget_set(100, api_key => '$q->{key}')");
	instruct({ rules => [ { conversation => 'over', answer => { text => 'done', usage => { output => 100_000 } } },
		{ conversation => 'ahead', turns => [ { %$all, tools => [$say] }, { %$all, text => 'done' } ], hold => [0] } ] });
	my $ahead = sql("SELECT id FROM theazo.session_run('$q->{session}', NULL, '[conv:ahead] go', '$options', api_key => '$q->{key}')");
	wait_sql($node, "SELECT held > 2 * need AND need > 0 FROM theazo_data.reservation WHERE id = '$ahead'", 't', 'a run has drawn enough for its next call');
	my $over = wait_run($q, sql("SELECT id FROM theazo.session_run('$q->{session}', NULL, '[conv:over] go', '$options', api_key => '$q->{key}')"));
	is($over->{status}, 'completed', 'a call of 60 tokens at most, for which 100000 are billed');
	my $spent = sql("SELECT sum(amount) FROM theazo_data.charge WHERE platform_id = '$q->{id}'");
	cmp_ok($spent, '>=', 110_000_000, "the ledger has what was billed: $spent");
	is(sql("SELECT max || ' ' || (used = $spent) || ' ' || used_up FROM theazo_internal.budget_levels('$q->{id}', 'live', '$q->{session}', 'user', now())"), '100000000 true true', 'so has the budget');
	is(sql("SELECT remaining || ' ' || (percentage > 110) FROM theazo.budget_get(api_key => '$q->{key}')"), '0.000000 true', 'and what is shown of it');
	my (undef, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT theazo.session_run('$q->{session}', NULL, 'go', '$options', api_key => '$q->{key}')");
	like($err, qr/TZ202/, 'nothing begins after it');
	for (1 .. 200)
	{
		instruct({ release => 1 });
		last if sql("SELECT status FROM theazo_data.run WHERE id = '$ahead'") ne 'running';
		sleep 0.1;
	}
	my $r = wait_run($q, $ahead);
	is("$r->{status} $r->{error_sqlstate}", 'failed TZ202', 'nor does what was drawn ahead pay for more');
	is(sql("SELECT count(*) FROM theazo_data.charge WHERE run_id = '$ahead'"), '1', 'than was under way');
	is(sql("SELECT count(*) FROM theazo_data.reservation WHERE platform_id = '$q->{id}'"), '0', 'nothing is held any more');
	# a run's own cap
	sql("SELECT theazo.budget_delete(api_key => '$q->{key}')");
	instruct({ rules => [ { turns => [ { tools => [$say], usage => { output => 100_000 } }, { %$all, text => 'done' } ] } ] });
	$r = wait_run($q, sql("SELECT id FROM theazo.session_run('$q->{session}', NULL, 'go', '$options', max_cost => 50, api_key => '$q->{key}')"));
	is("$r->{status} $r->{error_sqlstate}", 'failed TZ202', 'a run that is billed more than its cap ends');
	is(sql("SELECT count(*) FROM theazo_data.charge WHERE run_id = '$r->{id}'"), '1', 'with that call');
}

# ---- fewer tokens, then none ------------------------------------------------------------------------------------------
my $p = new_platform($node, 'small');
{
	instruct({ rules => [ { %$all, answer => { %$all, text => 'done' } } ] });
	my $plain = '{"model": "dear", "tools": [], "config": {"maxTokens": 5000}}';
	my $run = "SELECT id FROM theazo.session_run('$p->{session}', NULL, 'hi', '$plain', api_key => '$p->{key}'";
	sql("SELECT theazo.budget_set(1, api_key => '$p->{key}')");
	is(wait_run($p, sql("$run)"))->{status}, 'completed', 'a call that cannot have all its tokens gets fewer');
	my ($tokens, $left) = split /\|/, sql("SELECT output_tokens, 1000000 - amount FROM theazo_data.charge WHERE platform_id = '$p->{id}'");
	cmp_ok($tokens, '<', 910, "no more than can be paid: $tokens");
	cmp_ok($tokens, '>', 850, 'and no fewer than that');
	cmp_ok($left, '>=', 0, "$left millionths of a cent are left");
	my $r = wait_run($p, sql("$run)"));
	is("$r->{status} $r->{error_sqlstate}", 'failed TZ202', 'the next one cannot be paid');
	like($r->{error_message}, qr/^the budget of the platform is used up: [0-9.]+ of 1 cents$/, $r->{error_message});
	is(sql("SELECT count(*) FROM theazo_data.effect WHERE run_id = '$r->{id}' AND sent_at IS NOT NULL"), '0', 'it never left');
	is(sql("SELECT count(*) FROM theazo.operator_provider_health"), '0', 'which says nothing of the provider');
	# a run's own cap
	sql("SELECT theazo.budget_delete(api_key => '$p->{key}')");
	$r = wait_run($p, sql("$run, max_cost => 0.5)"));
	is($r->{status}, 'completed', 'a cap of a run');
	cmp_ok(sql("SELECT cost FROM theazo_data.run WHERE id = '$r->{id}'"), '<=', 500_000, 'holds as well');
	$r = wait_run($p, sql("$run, max_cost => 0.01)"));
	is("$r->{error_sqlstate} $r->{error_code}", 'TZ202 session_limit_exceeded', 'one that buys nothing fails');
	# the operator's, above one platform and above all
	sql("SELECT theazo.operator_budget_set(" . sql("SELECT 0.2 + sum(amount) / 1e6 FROM theazo_data.charge WHERE platform_id = '$p->{id}'") . ", platform => '$p->{id}')");
	is(wait_run($p, sql("$run)"))->{status}, 'completed', 'under the operator\'s budget');
	$r = wait_run($p, sql("$run)"));
	is($r->{error_sqlstate}, 'TZ202', 'which is used up then');
	like(sql("SELECT convert_from(body, 'UTF8') FROM theazo_data.event WHERE platform_id = '$p->{id}' AND rule = 'budget:operator' LIMIT 1"), qr/"level": "platform"/, 'and is the platform\'s in what is said');
	sql("SELECT theazo.operator_budget_delete('$p->{id}')");
	sql("SELECT theazo.operator_budget_set(" . sql("SELECT 0.2 + sum(amount) / 1e6 FROM theazo_data.charge") . ")");
	is(wait_run($p, sql("$run)"))->{status} . wait_run($p, sql("$run)"))->{error_sqlstate}, 'completedTZ202', 'the one above all platforms');
	sql('SELECT theazo.operator_budget_delete()');
}

# ---- runs that came of a run ------------------------------------------------------------------------------------------
{
	my $few = '{"model": "dear", "tools": ["report_progress"], "config": {"maxTokens": 200}}';
	instruct({ rules => [ { answer => { %$all, text => 'done' } }, { conversation => 'parent', turns => [ { %$all, tools => [$say] }, { %$all, text => 'done' } ], hold => [0] } ] });
	my $parent = sql("SELECT id FROM theazo.session_run('$p->{session}', NULL, '[conv:parent] lead', '$few', max_cost => 1, api_key => '$p->{key}')");
	wait_sql($node, "SELECT count(*) FROM theazo_data.reservation WHERE id = '$parent' AND need > 0", '1', 'the parent is at work');
	my @children = split /\n/, sql("SELECT r.id FROM generate_series(1, 8) i CROSS JOIN LATERAL theazo.session_run('$p->{session}', NULL, 'child ' || i, '$few', parent => '$parent', api_key => '$p->{key}') r");
	wait_run($p, $_) foreach @children;
	# each of its calls is held
	for (1 .. 200)
	{
		instruct({ release => 1 });
		last if sql("SELECT status FROM theazo_data.run WHERE id = '$parent'") ne 'running';
		sleep 0.1;
	}
	wait_run($p, $parent);
	my $spent = sql("SELECT sum(amount) FROM theazo_data.charge WHERE run_id IN ('$parent', '" . join("', '", @children) . "')");
	cmp_ok($spent, '<=', 1_000_000, "a run and its children stay under its cap together: $spent");
	cmp_ok($spent, '>', 800_000, 'and use it');
	cmp_ok(sql("SELECT count(*) FROM theazo_data.run WHERE parent_id = '$parent' AND error_sqlstate = 'TZ202'"), '>', 0, 'some of them came too late');
	is(sql("SELECT count(*) FROM theazo_data.reservation"), '0', 'nothing is held any more');
}

# ---- a run that came of another user's ---------------------------------------------------------------------------------
{
	my $q = new_platform($node, 'two sessions');
	instruct({ rules => [ { answer => { %$all, text => 'done' } }, { conversation => 'lead', answer => { %$all, text => 'done' }, hold => [0] } ] });
	my $much = '{"model": "dear", "tools": [], "config": {"maxTokens": 3000}}';
	sql("SELECT theazo.budget_set(1000, api_key => '$q->{key}')");
	my $other = sql("SELECT id FROM theazo.session_create('other', limits => '{\"maxCost\": {\"amount\": 1, \"period\": \"day\"}}', api_key => '$q->{key}')");
	my $parent = sql("SELECT id FROM theazo.session_run('$q->{session}', NULL, '[conv:lead] lead', '$much', api_key => '$q->{key}')");
	wait_sql($node, "SELECT count(*) FROM theazo_data.reservation WHERE id = '$parent' AND held > 2 * need", '1', 'the parent has drawn ahead');
	my $child = wait_run($q, sql("SELECT id FROM theazo.session_run('$other', NULL, 'child', '$much', parent => '$parent', api_key => '$q->{key}')"));
	is($child->{status}, 'completed', 'a child in another session');
	cmp_ok(sql("SELECT sum(amount) FROM theazo_data.charge WHERE session_id = '$other'"), '<=', 1_000_000, 'spends what that session may, whatever its parent holds');
	instruct({ release => 1 });
	wait_run($q, $parent);
}

# ---- the fee of an agent on its owner's machines ------------------------------------------------------------------------
{
	my $q = new_platform($node, 'fees');
	instruct({ rules => [ { answer => { %$all, text => 'done' } }, { conversation => 'slow', answer => { %$all, text => 'done' }, hold => [0] } ] });
	my $plain = '{"model": "dear", "tools": [], "config": {"maxTokens": 100}}';
	sql("SELECT theazo.provider_set('own', kind => 'compute', type => 'webhook', endpoint => 'http://127.0.0.1:9/x', api_key => '$q->{key}')");
	my $s = sql("SELECT id FROM theazo.session_create('user', limits => '{\"maxCost\": {\"amount\": 1, \"period\": \"day\"}}', api_key => '$q->{key}')");
	my $r = wait_run($q, sql("SELECT id FROM theazo.session_run('$s', NULL, 'hi', '$plain', api_key => '$q->{key}')"));
	is("$r->{status} $r->{error_sqlstate}", 'failed TZ202', 'a run whose fee cannot be paid');
	is(sql("SELECT count(*) FROM theazo_data.charge WHERE session_id = '$s'"), '0', '... does not owe it');
	$s = sql("SELECT id FROM theazo.session_create('user', limits => '{\"maxCost\": {\"amount\": 3, \"period\": \"day\"}}', api_key => '$q->{key}')");
	sql("SELECT theazo.run_cancel((theazo.session_run('$s', NULL, 'hi', '$plain', api_key => '$q->{key}')).id, api_key => '$q->{key}') FROM generate_series(1, 3)");
	is(sql("SELECT count(*) || ' ' || (SELECT count(*) FROM theazo_data.charge WHERE session_id = '$s') FROM theazo_data.run WHERE session_id = '$s' AND status = 'cancelled'"), '3 0', 'nor does one that ended before its first call');
	my $run = sql("SELECT id FROM theazo.session_run('$s', NULL, '[conv:slow] hi', '$plain', api_key => '$q->{key}')");
	wait_sql($node, "SELECT held || ' ' || need FROM theazo_data.reservation WHERE id = (SELECT agent_id FROM theazo_data.run WHERE id = '$run')", '2000000 2000000', 'it is reserved beside the calls');
	my $late = wait_run($q, sql("SELECT id FROM theazo.session_run('$s', NULL, 'hi', '$plain', api_key => '$q->{key}')"));
	is($late->{error_sqlstate}, 'TZ202', 'and is nobody else\'s');
	instruct({ release => 1 });
	is(wait_run($q, $run)->{status}, 'completed', 'its run ends well');
	is(sql("SELECT sum(amount) FROM theazo_data.charge WHERE session_id = '$s' AND item = 'agent.fee'"), '2000000', 'with its fee');
	cmp_ok(sql("SELECT sum(amount) FROM theazo_data.charge WHERE session_id = '$s'"), '<=', 3_000_000, 'under the cap');
	is(sql("SELECT count(*) FROM theazo_data.reservation WHERE platform_id = '$q->{id}'"), '0', 'nothing is held any more');
}

# ---- nobody else has the lock of a budget --------------------------------------------------------------------------------
{
	my $q = new_platform($node, 'locks');
	sql("SELECT theazo.budget_set(1000, api_key => '$q->{key}')");
	my $taken = sql("BEGIN; SELECT theazo_internal.own_lock('budget', 'x', false); SELECT objsubid IN (1, 2) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid(); COMMIT");
	is($taken, "t\nf", 'a lock of its own, which no function of PostgreSQL takes');
}

# ---- limits of sessions ------------------------------------------------------------------------------------------------
{
	my $q = new_platform($node, 'limits');
	my %is = (maxCost => '{"amount": 0, "period": "day"}', maxComputeMinutes => '0', maxDuration => '{"seconds": 0}');
	foreach my $name (sort keys %is)
	{
		my $s = sql("SELECT id FROM theazo.session_create('user', limits => '{\"$name\": $is{$name}}', api_key => '$q->{key}')");
		my (undef, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT theazo.session_run('$s', NULL, 'go', '{\"model\": \"dear\"}', api_key => '$q->{key}')");
		like($err, qr/TZ202: +limit $name of session|TZ101/, "$name of nothing stops everything");
		wait_sql($node, "SELECT concat_ws(' ', status, paused_reason) FROM theazo_data.session WHERE id = '$s'", "paused limit:$name", "$name pauses the session");
		(undef, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT theazo.agent_create('$s', '{}', api_key => '$q->{key}')");
		like($err, qr/TZ202: +limit $name of session/, 'and goes before the pause');
		(undef, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT theazo.session_resume('$s', api_key => '$q->{key}')");
		like($err, qr/TZ202: +limit $name of session/, 'it cannot be resumed');
		is(sql("SELECT status FROM theazo.session_update_limits('$s', '{\"$name\": null}', api_key => '$q->{key}')"), 'active', 'without the limit it goes on');
	}
	my $s = sql("SELECT id FROM theazo.session_create('user', limits => '{\"maxAgents\": 0}', api_key => '$q->{key}')");
	my (undef, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT theazo.agent_create('$s', '{}', api_key => '$q->{key}')");
	like($err, qr/TZ202: +limit maxAgents of session "$s" is used up: 0 of 0 agents/, 'maxAgents refuses');
	sleep 1.5;
	is(sql("SELECT status FROM theazo_data.session WHERE id = '$s'"), 'active', 'and pauses nothing');
}

# ---- alerts ---------------------------------------------------------------------------------------------------------------
{
	my $q = new_platform($node, 'alerts');
	instruct({ rules => [ { answer => { %$all, text => 'done' } } ] });
	my $plain = '{"model": "dear", "tools": [], "config": {"maxTokens": 500}}';
	my $other = sql("SELECT id FROM theazo.session_create('other', api_key => '$q->{key}')");
	sql("SELECT theazo.budget_set(1.2, '[{\"threshold\": 0.4}, {\"threshold\": 0.8, \"action\": \"pause_user\"}, {\"threshold\": 1, \"action\": \"pause_all\"}]', api_key => '$q->{key}')");
	wait_run($q, sql("SELECT id FROM theazo.session_run('$q->{session}', NULL, 'hi', '$plain', api_key => '$q->{key}')"));
	wait_sql($node, "SELECT count(*) FROM theazo_data.event WHERE platform_id = '$q->{id}' AND action = 'budget_alert'", '1', 'an alert fires');
	is(sql("SELECT status FROM theazo_data.session WHERE id = '$q->{session}'"), 'active', 'that only tells');
	wait_run($q, sql("SELECT id FROM theazo.session_run('$q->{session}', NULL, 'hi', '$plain', api_key => '$q->{key}')"));
	wait_sql($node, "SELECT paused_reason FROM theazo_data.session WHERE id = '$q->{session}'", 'budget:platform', 'the next pauses who spent most');
	is(sql("SELECT status FROM theazo_data.session WHERE id = '$other'"), 'active', 'and nobody else');
	is(sql("SELECT string_agg(concat(a ->> 'threshold', a ->> 'fired'), ' ') FROM theazo.budget_get(api_key => '$q->{key}') b CROSS JOIN jsonb_array_elements(b.alerts) a"),
		'0.4true 0.8true 1false', 'the budget says which have fired');
	wait_sql($node, "SELECT count(*) FROM theazo_data.event WHERE platform_id = '$q->{id}' AND action = 'budget_alert'", '2', 'each once');
}

# ---- sandboxes ---------------------------------------------------------------------------------------------------------
{
	my $q = new_platform($node, 'boxes');
	# ten cents a second
	sql("SELECT theazo.price_set('compute.hour', 36000, platform => '$q->{id}')");
	sql("SELECT theazo.user_budget_set(1000, api_key => '$q->{key}')");
	my $agent = new_agent($q, '{}', 'failed');
	like(sql("SELECT error FROM theazo_data.agent WHERE id = '$agent'"), qr/^the budget of user "user" is used up/, 'a sandbox whose first minutes cannot be paid is not made');
	is(sql("SELECT count(*) FROM theazo_data.charge WHERE platform_id = '$q->{id}'"), '0', 'and costs nothing');
	sql("SELECT theazo.user_budget_set(1240, api_key => '$q->{key}')");
	$agent = new_agent($q, '{}');
	my $run = start_run($q, 'exec_start', $agent, "'sh', 'sleep 60'");
	wait_sql($node, "SELECT concat_ws(' ', status, paused_by) FROM theazo_data.agent WHERE id = '$agent'", 'paused budget', 'one whose next minute cannot be paid is paused');
	my $r = wait_run($q, $run);
	is("$r->{status} $r->{error_sqlstate}", 'failed TZ202', 'and what it did has ended');
	cmp_ok(sql("SELECT sum(amount) FROM theazo_data.charge WHERE platform_id = '$q->{id}'"), '<=', 1_240_000_000, 'under the budget');
	is(sql("SELECT count(*) FROM theazo_data.reservation WHERE platform_id = '$q->{id}'"), '0', 'nothing is held while it is paused');
}

# ---- a dispatcher dies with money reserved: before its call leaves, behind that, and with the answer in its hands ----------
foreach my $point (qw(dispatcher-after-claim dispatcher-after-send dispatcher-before-done))
{
	my $q = new_platform($node, $point);
	sql("SELECT theazo.budget_set(1, api_key => '$q->{key}')");
	instruct({ rules => [ { answer => { %$all, text => 'done' } } ] });
	sql("SELECT theazo_internal.pause_point('$point', true)");
	my $run = sql("SELECT id FROM theazo.session_run('$q->{session}', NULL, 'go', '{\"model\": \"dear\", \"tools\": [], \"config\": {\"maxTokens\": 100}}', api_key => '$q->{key}')");
	wait_sql($node, "SELECT waiting > 0 AND EXISTS (SELECT FROM theazo_data.reservation WHERE id = '$run' AND need > 0) FROM theazo_internal.pause_points() WHERE name = '$point'", 't', "$point: its call is reserved");
	my $victim = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'theazo dispatcher' LIMIT 1");
	kill 'KILL', $victim;
	sleep 0.5;
	$node->poll_query_until('postgres', 'SELECT true') or die 'no server';
	sql('DELETE FROM theazo_data.provider_health');
	like(wait_run($q, $run)->{status}, qr/^(completed|failed)$/, 'after it was killed the run ends');
	wait_sql($node, "SELECT count(*) FROM theazo_data.reservation WHERE platform_id = '$q->{id}'", '0', 'nothing is held any more');
	is(sql("SELECT theazo_internal.spent('$q->{id}', 'live', 'platform', '', 'month', now()) = coalesce((SELECT sum(amount) FROM theazo_data.charge WHERE platform_id = '$q->{id}'), 0)"), 't', 'the sums are the ledger\'s');
	is(sql("SELECT count(*) <= 1 FROM theazo_data.charge WHERE platform_id = '$q->{id}'"), 't', 'and its call is booked once at most');
}
is(sql("SELECT count(*) FROM theazo_data.spend s WHERE s.level = 'platform' AND s.used + coalesce((SELECT sum(amount) FROM theazo_data.spend_delta d WHERE d.platform_id = s.platform_id), 0)"
	  . " <> (SELECT sum(c.amount) FROM theazo_data.charge c WHERE c.platform_id = s.platform_id)"), '0', 'all sums are the ledger\'s');
$node->stop;
kill 'KILL', $pid;
done_testing();
