# Chaos of every kind of compute: a dispatcher, or the whole server, is killed with SIGKILL while sandboxes are being made, run
# commands, fall asleep and are destroyed. Afterwards each kind's double, engine or process list is asked: no sandbox is left on
# either side, no command ran twice, and each second of uptime is charged once, not more of them than the provider says it lived.
#
# Of each round each kind does something, and its call is held: before it is carried out, behind that, or until its outcome is
# about to be settled. THEAZO_CHAOS: all rounds, else one. THEAZO_CHAOS_SEED: repeats a run.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoChaos;
use TheazoCompute;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $seed = chaos_seed(20261121);
my $patience = 90;
diag("seed $seed");

my $node = new_server('chaos_compute', "theazo.dispatchers = 2\nrestart_after_crash = on\ntheazo.keeper_interval = 1s\n");
chaos_server($node, $patience);
my $p = new_platform($node, 'chaos');
my $key = "api_key => '$p->{key}'";

sub comes
{
	my ($sql, $want, $what, $seconds) = @_;
	return wait_for($what, $sql, $want, $seconds) || ok(0, $what);
}

sql("UPDATE theazo_data.platform SET allow_http = true, allow_private = true WHERE platform_id = '$p->{id}'");
my @kinds = compute_kinds($node, $p, hold => 1);
$_->{start}->($_) foreach @kinds;
my %kind = map { $_->{type} => $_ } @kinds;

# --- what is done, and how its call is held at the double --------------------------------------------------------------
# The double's name of the operation; a container's is the line of the request.
my %held = (
	webhook => { create => 'create', exec => 'exec', pause => 'pause', resume => 'resume', destroy => 'destroy' },
	e2b => { create => 'create', exec => 'exec', pause => 'pause', resume => 'connect', destroy => 'destroy' },
	daytona => { create => 'create', exec => 'toolbox /process/execute', pause => 'stop', resume => 'start', destroy => 'delete' },
	fly => { create => 'create', exec => 'exec', pause => 'suspend', resume => 'start', destroy => 'delete' },
	docker => { create => 'POST /v[0-9.]+/containers/(create|[^/]+/start)', exec => 'POST .*/exec', pause => 'POST .*/pause',
		resume => 'POST .*/unpause', destroy => 'DELETE /v[0-9.]+/containers' },
);

sub hold
{
	my ($type, $op, $moment) = @_;
	return if $type eq 'local' || $moment eq 'settling';
	my $ms = 1200 + int(rand(800));
	my $rule = { op => $held{$type}{$op}, times => 1 };
	if ($type eq 'webhook' || $type eq 'e2b')
	{
		%$rule = (%$rule, $moment eq 'before' ? (mode => 'delay', ms => $ms) : (after_ms => $ms));
	}
	else
	{
		$rule->{ $moment eq 'before' ? 'before_ms' : $type eq 'docker' ? 'after_ms' : 'delay_ms' } = $ms;
		$rule->{match} = delete $rule->{op} if $type eq 'docker';
	}
	$kind{$type}{control}->('POST', { rule => $rule });
	return;
}

# Has it come to the call that is held?
sub is_held
{
	my ($c) = @_;
	my $flying = sql("SELECT count(*) FROM theazo_data.effect WHERE agent_id = '$c->{agent}' AND kind = 'compute.$c->{op}' AND state IN ('claimed', 'sent')");
	return $flying if $c->{type} eq 'local' || $c->{moment} eq 'settling';
	return $kind{ $c->{type} }{control}->('GET')->{rules}[0]{times} == 0;
}

my $serial = 0;
my %started = (
	create => sub {
		my ($c) = @_;
		$c->{agent} = sql("SELECT id FROM theazo.agent_create('$p->{session}', '{\"provider\": \"$kind{ $c->{type} }{provider}\"}', $key)");
	},
	exec => sub {
		my ($c) = @_;
		$c->{run} = sql("SELECT id FROM theazo.exec_start('$c->{agent}', 'sh', 'echo ran >> ran; sleep 1', $key)");
	},
	pause => sub { sql("SELECT theazo.agent_pause('$_[0]{agent}', $key)") },
	resume => sub { sql("SELECT theazo.agent_resume('$_[0]{agent}', $key)"); $_[0]{run} = sql("SELECT id FROM theazo.exec_start('$_[0]{agent}', 'sh', 'echo ran >> ran', $key)") },
	destroy => sub { sql("SELECT theazo.agent_terminate('$_[0]{agent}', $key)") },
);

# --- killing ------------------------------------------------------------------------------------------------------------
sub kill_it
{
	my ($victim) = @_;
	my $pid = $victim eq 'server' ? $node->{_pid}
	  : sql("SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'dispatcher' AND state = 'running' ORDER BY random() LIMIT 1");
	my $before = sql('SELECT pg_postmaster_start_time() || (SELECT string_agg(pid::text, $$ $$ ORDER BY pid) FROM theazo_internal.worker_status())');
	my $at = time();
	$victim eq 'server' ? kill_server() : kill('KILL', $pid);
	comes("SELECT count(*) = 2 AND pg_postmaster_start_time() || (SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM theazo_internal.worker_status()) <> '$before'"
		. " FROM theazo_internal.worker_status() WHERE kind = 'dispatcher' AND state = 'running'", 't', 'dispatchers run again');
	return $at;
}

# --- what providers say ---------------------------------------------------------------------------------------------------
# Containers of this database, by our id; what has the command line of a box, below this server.
sub engine_has
{
	my $instance = sql('SELECT theazo_internal.instance()');
	my $list = `curl -s --unix-socket $kind{docker}{engine} 'http://localhost/v1.41/containers/json?all=1'`;
	return map { ($_->{Labels}{'theazo.instance'} // '') eq $instance ? $_->{Labels}{'theazo.id'} : () } @{ decode_json($list) };
}

sub below
{
	my ($pid) = @_;
	for (1 .. 12)
	{
		return 1 if $pid == ($node->{_pid} // -1);
		my ($ppid) = (eval { slurp_file("/proc/$pid/stat") } // return 0) =~ /^\d+ \(.*\) \S (\d+)/s;
		return 0 if !$ppid || $ppid <= 1;
		$pid = $ppid;
	}
	return 0;
}

sub boxes { return grep { my ($pid) = m{(\d+)}; (eval { slurp_file("/proc/$pid/cmdline") } // '') =~ /theazo-init|bwrap/ && below($pid) } glob '/proc/[0-9]*' }

sub provider_has
{
	my ($type) = @_;
	return boxes() if $type eq 'local';
	return engine_has() if $type eq 'docker';
	return grep { !defined $_->{to} } @{ $kind{$type}{control}->('GET')->{lives} };
}

# --- one round --------------------------------------------------------------------------------------------------------------
my @done;

sub round_of
{
	my ($victim, @calls) = @_;
	my $what = "$victim, " . join(' ', map { "$_->{type}:$_->{op}:$_->{moment}" } @calls);
	note($what);
	foreach my $c (grep { $_->{op} ne 'create' } @calls)
	{
		$started{create}->($c);
	}
	foreach my $c (grep { $_->{op} ne 'create' } @calls)
	{
		comes("SELECT status FROM theazo_data.agent WHERE id = '$c->{agent}'", 'ready', "$c->{type}: an agent to work with") or return;
	}
	foreach my $c (grep { $_->{op} eq 'resume' } @calls)
	{
		sql("SELECT theazo.agent_pause('$c->{agent}', $key)");
		settled($c, "$c->{type}: asleep") or return;
	}
	hold($_->{type}, $_->{op}, $_->{moment}) foreach @calls;
	# the ones that nobody holds last
	my $settling = grep { $_->{moment} eq 'settling' } @calls;
	my @order = sort { ($a->{type} eq 'local') <=> ($b->{type} eq 'local') } @calls;
	$started{ $_->{op} }->($_) foreach grep { $_->{moment} ne 'settling' && $_->{type} ne 'local' } @order;
	foreach my $c (grep { $_->{moment} ne 'settling' && $_->{type} ne 'local' } @order)
	{
		my $until = time() + 20;
		sleep 0.02 while !is_held($c) && time() < $until;
		diag("$c->{type}: $c->{op} was not held") if time() >= $until;
	}
	sql("SELECT theazo_internal.pause_point('dispatcher-before-done', true)") if $settling;
	$started{ $_->{op} }->($_) foreach grep { $_->{moment} eq 'settling' || $_->{type} eq 'local' } @order;
	comes("SELECT coalesce(sum(waiting), 0) > 0 FROM theazo_internal.pause_points() WHERE name = 'dispatcher-before-done'", 't', 'an outcome waits to be settled', 20) if $settling;
	sleep rand(0.15);
	my $at = kill_it($victim);
	foreach my $c (@calls)
	{
		$kind{ $c->{type} }{control}->('DELETE') if $c->{type} ne 'local';
		push @done, { %$c, killed => $at };
	}
	foreach my $c (@calls)
	{
		after($c);
	}
	return;
}

# Nothing of this agent is under way any more.
sub settled
{
	my ($c, $what) = @_;
	return comes("SELECT count(*) FROM theazo_data.effect WHERE agent_id = '$c->{agent}' AND kind <> 'compute.sample' AND (state IN ('claimed', 'sent') OR state = 'queued' AND due_at < 'infinity')",
		0, "$what: all is settled");
}

# What came of it, and that its agent can be worked with.
sub after
{
	my ($c) = @_;
	my $what = "$c->{type}, killed during $c->{op} ($c->{moment})";
	settled($c, $what) or return;
	my $status = sql("SELECT status FROM theazo_data.agent WHERE id = '$c->{agent}'");
	if ($c->{op} eq 'create')
	{
		ok($status =~ /^(ready|failed)$/, "$what: the agent is ready, or says that it failed") or diag($status);
	}
	elsif ($c->{op} eq 'exec' || $c->{op} eq 'resume')
	{
		ok(sql("SELECT status IN ('completed', 'failed') FROM theazo_data.run WHERE id = '$c->{run}'") eq 't', "$what: the run has ended");
		my $run = run_code($p, $c->{agent}, 'sh', 'wc -l < ran 2> /dev/null || echo none');
		my ($n) = ($run->{stdout} // '') =~ /(\d+)/;
		ok($run->{status} eq 'completed' && ($n // 0) <= 1, "$what: it ran at most once, and the agent works") or diag(explain($run));
	}
	elsif ($c->{op} eq 'pause')
	{
		is($status, 'paused', "$what: the agent sleeps");
		sql("SELECT theazo.agent_resume('$c->{agent}', $key)");
		is(run_code($p, $c->{agent}, 'sh', 'echo on')->{stdout}, "on\n", "$what: and works when it is woken");
	}
	if ($c->{op} ne 'destroy')
	{
		sql("SELECT theazo.agent_terminate('$c->{agent}', $key)");
	}
	return;
}

# Nothing is left, on either side.
sub nothing_left
{
	comes("SELECT count(*) FROM theazo_data.sandbox WHERE status IN ('creating', 'warm', 'ready', 'paused', 'destroying')", 0, 'no row is left open');
	foreach my $type (map { $_->{type} } @kinds)
	{
		# one that its provider made late goes with the second look, 75 s behind the first
		my $until = time() + 100;
		sleep 0.2 while provider_has($type) && time() < $until;
		my @left = provider_has($type);
		is(scalar @left, 0, "$type has nothing left") or diag(explain(\@left));
	}
	return;
}

# Each second once: intervals do not overlap, their sum is the uptime, and the provider's own record has room for it.
sub charges
{
	my $sold = decode_json(sql(q{
		SELECT coalesce(jsonb_agg(to_jsonb(x)), '[]') FROM (
			SELECT s.id, s.adapter, s.external_id, s.status, s.billed_seconds, coalesce(c.seconds, 0) AS seconds, coalesce(c.overlaps, 0) AS overlaps, coalesce(c.estimated, false) AS estimated,
				   ceil(extract(epoch FROM s.ended_at - s.started_at) - s.paused_seconds - CASE WHEN s.paused_at IS NOT NULL THEN extract(epoch FROM s.ended_at - s.paused_at) ELSE 0 END) AS uptime,
				   extract(epoch FROM s.started_at) AS started, extract(epoch FROM s.ended_at) AS ended
			  FROM theazo_data.sandbox s
			  LEFT JOIN (SELECT y.sandbox_id, sum(y.quantity) AS seconds, count(*) FILTER (WHERE y.interval_start < y.before) AS overlaps,
								bool_or(y.estimated AND y.run_id IS NULL) AS estimated
						   FROM (SELECT z.*, lag(z.interval_end) OVER (PARTITION BY z.sandbox_id ORDER BY z.interval_start, z.interval_end) AS before
								   FROM theazo_data.charge z WHERE z.item = 'compute.second') y GROUP BY 1) c ON c.sandbox_id = s.id
			 ORDER BY s.created_at) x}));
	my %life;
	foreach my $kind (grep { $_->{type} !~ /^(local|docker)$/ } @kinds)
	{
		$life{ $_->{id} } = $life{ $_->{tag} // '' } = $_ foreach @{ $kind->{control}->('GET')->{lives} };
	}
	my (@wrong, %n);
	foreach my $s (@$sold)
	{
		my $own = $life{ $s->{external_id} // $s->{id} };
		my @why;
		push @why, 'intervals overlap' if $s->{overlaps};
		push @why, "charged $s->{seconds}, metered $s->{billed_seconds}" if $s->{seconds} != $s->{billed_seconds};
		push @why, "charged $s->{seconds} without ever having run" if !defined $s->{started} && $s->{seconds} > 0;
		push @why, "charged $s->{seconds} of $s->{uptime}"
		  if defined $s->{started} && ($s->{status} eq 'lost' ? $s->{seconds} > $s->{uptime} + 1 : abs($s->{seconds} - $s->{uptime}) > 1);
		push @why, sprintf 'charged %d of the %.1f that it says', $s->{seconds}, $own->{to} - $own->{from}
		  # what was found later is charged from when it was asked for, as an estimate
		  if $own && $own->{to} && !$s->{estimated} && $s->{seconds} > $own->{to} - $own->{from} + 1;
		push @why, 'charged, and unknown to its provider' if !$own && exists $kind{ $s->{adapter} }{port} && $s->{adapter} ne 'docker' && $s->{seconds} > 0;
		push @wrong, "$s->{adapter} $s->{id} $s->{status}: " . join(', ', @why) if @why;
		$n{ $s->{adapter} } += $s->{seconds};
	}
	is(join("\n", @wrong), '', 'each second is charged once');
	note('seconds charged: ' . join(', ', map { "$_ $n{$_}" } sort keys %n));
	return;
}

# A provider so slow that what was asked for before the kill is there only when it has been looked for in vain.
sub slow
{
	my $c = { type => 'e2b', op => 'create', moment => 'before' };
	$kind{e2b}{control}->('POST', { rule => { op => 'create', mode => 'delay', ms => 40000, times => 1 } });
	$started{create}->($c);
	sleep 0.02 while !is_held($c);
	my $box = sql("SELECT sandbox_id FROM theazo_data.agent WHERE id = '$c->{agent}'");
	my $there = sub { return scalar grep { ($_->{tag} // '') eq $box && !defined $_->{to} } @{ $kind{e2b}{control}->('GET')->{lives} } };
	kill_it('dispatcher');
	comes("SELECT status FROM theazo_data.sandbox WHERE id = '$box'", 'unknown', 'a slow provider: nobody knows whether it makes it') or return;
	my $until = time() + 60;
	sleep 0.2 while !$there->() && time() < $until;
	is($there->(), 1, 'it does');
	sql("UPDATE theazo_data.sandbox SET reap_at = now() WHERE id = '$box'");
	comes("SELECT status FROM theazo_data.sandbox WHERE id = '$box'", 'destroyed', 'it is found when it is looked for again');
	sql("SELECT theazo.agent_terminate('$c->{agent}', $key)");
	return;
}

my @ops = qw(create exec pause resume destroy);
my @moments = qw(before after settling);
my @types = map { $_->{type} } @kinds;
if ($ENV{THEAZO_CHAOS})
{
	foreach my $moment (@moments)
	{
		foreach my $i (0 .. 4)
		{
			# each kind does another thing, and each does all
			round_of('dispatcher', map { { type => $types[$_], op => $ops[ ($i + $_) % 5 ], moment => $moment } } 0 .. $#types);
			nothing_left();
		}
	}
	slow();
	nothing_left();
	round_of('server', map { { type => $_, op => $ops[ int(rand(5)) ], moment => $moments[ int(rand(2)) ] } } @types);
}
else
{
	round_of('dispatcher', map { { type => $_, op => $ops[ int(rand(5)) ], moment => $moments[ int(rand(2)) ] } } @types);
}
nothing_left();
charges();
is(sql('SELECT count(*) FROM theazo_data.effect WHERE state IN ($$claimed$$, $$sent$$)'), 0, 'no call is open');
is(sql(q{SELECT string_agg(rule || ' ' || object || ' ' || coalesce(detail, ''), E'\n') FROM theazo.integrity_check()}), '', 'all rows fit');
is(sql("SELECT chain_valid FROM theazo.audit_verify($key)"), 't', 'and the chain of events verifies');
$node->stop;
done_testing();
