# What every kind of compute does the same, by one list of operations and failures. What a kind can do is what its rows in
# theazo.compute_capabilities say: that must work, and what it lacks must be refused before anything is sent. The table is printed.
use strict;
use warnings;
use FindBin;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoCompute;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $node = new_server('conformance', "theazo.dispatchers = 2\n");
my $p = new_platform($node, 'conforming');
my $key = "api_key => '$p->{key}'";
sub sql { return $node->safe_psql('postgres', $_[0]) }
sql("UPDATE theazo_data.platform SET allow_http = true, allow_private = true WHERE platform_id = '$p->{id}'");
sql("SELECT theazo.secret_set('SHOWN', 'shown-4711-abcdef', session => '$p->{session}', $key)");

# --- the kinds: how each is set up; the provider's name is that of the kind ------------------------------------------
my @kinds = compute_kinds($node, $p, ports => 1);

# --- operations: each returns nothing, or what went wrong --------------------------------------------------------------
my %live = map { $_ => 1 } qw(local docker e2b);	# output is told as it comes; elsewhere whole, at the end
my %can;		# type => operation => support
my $agent;
sub run_sh { return run_code($p, $agent, 'sh', @_) }
sub same
{
	my ($got, $want, $what) = @_;
	return if defined $got && $got eq $want;
	$got = defined $got ? substr($got, 0, 200) : 'null';
	return "$what is \"$got\"";
}
sub work
{
	my ($function, @arguments) = @_;
	my $run = $node->safe_psql('postgres', "SELECT id FROM theazo.$function(" . join(', ', "'$agent'", @arguments, $key) . ')');
	wait_sql($node, "SELECT status IN ('completed', 'failed', 'cancelled') FROM theazo_data.run WHERE id = '$run'", 't', "run $run ends");
	return decode_json(sql("SELECT to_jsonb(r) FROM theazo.run_result('$run', $key) r"));
}
sub sqlstate_of
{
	my ($call) = @_;
	my (undef, undef, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$call");
	return $err =~ /ERROR:\s+(\w{5})/ ? $1 : '';
}

my @operations = (
	[ 'create', 'create', sub {
		$agent = sql("SELECT id FROM theazo.agent_create('$p->{session}', '{\"provider\": \"$_[0]\"" . ($_[1]{options} // '') . "}', $key)");
		wait_sql($node, "SELECT status IN ('ready', 'failed') FROM theazo_data.agent WHERE id = '$agent'", 't', 'the agent is made', 90);
		return same(sql("SELECT concat_ws(' ', status, error) FROM theazo_data.agent WHERE id = '$agent'"), 'ready', 'the agent');
	} ],
	[ 'exec', 'exec', sub {
		my $r = run_sh('printf out; printf err >&2; exit 7');
		my $apart = same($r->{stdout}, 'out', 'stdout') // same($r->{stderr}, 'err', 'stderr');
		return same($r->{exit_code}, 7, 'the exit code') // ($_[1]{merges} ? same($r->{stdout} . $r->{stderr}, 'outerr', 'the output') : $apart);
	} ],
	[ 'exit code 0, no output', 'exec', sub { my $r = run_sh('true'); return same("$r->{exit_code}$r->{stdout}", '0', 'the result') } ],
	[ 'output in any bytes', 'exec', sub {
		my $r = run_sh(q(printf 'a\\377b\\303\\244'));
		return same($r->{stdout}, "a\x{fffd}b\x{e4}", 'stdout');
	} ],
	[ 'much output is cut', 'exec', sub {
		my $r = run_sh('head -c 3000000 /dev/zero | tr "\\0" x');
		return $r->{truncated} && length($r->{stdout}) <= 1048576 && length($r->{stdout}) > 1000000 ? undef : 'it is not: ' . length($r->{stdout} // '');
	} ],
	[ 'output while it runs', 'exec', sub {
		my ($after, $told, $early) = (0, '', '');
		my $run = start_run($p, 'exec_start', $agent, q('sh', 'echo first; n=0; while [ ! -e go ] && [ $n -lt 300 ]; do sleep 0.1; n=$((n + 1)); done; echo second', '60 s'));
		# where it comes whole, it need not wait
		work('file_write_start', "'go'", "''::bytea") if !$live{ $_[1]{type} };
		for (1 .. 40)
		{
			my @e = map { decode_json($_) } split /\n/, sql("SELECT jsonb_build_object('seq', seq, 'type', type, 'data', data) FROM theazo.run_follow('$run', $after, '5 s', $key)");
			$after = $_->{seq} foreach @e;
			foreach (@e)
			{
				# what was told is void: it is told again, whole
				$told = '' if $_->{type} eq 'gap' && $_->{data}{reason} eq 'restart' && ($_->{data}{stream} // 'stdout') eq 'stdout';
				$told .= $_->{data}{text} if $_->{type} eq 'stdout';
			}
			if ($early eq '' && $told ne '' && $live{ $_[1]{type} })
			{
				$early = $told . sql("SELECT status FROM theazo_data.run WHERE id = '$run'");
				work('file_write_start', "'go'", "''::bytea");
			}
			last if grep { $_->{type} =~ /^(done|error)$/ } @e;
		}
		return same($told, "first\nsecond\n", 'what is told') // ($live{ $_[1]{type} } ? same($early, "first\nrunning", 'what is told while it runs') : undef);
	} ],
	# Where there is no interpreter the frame is written by hand, where the library lies.
	[ 'programs report', 'exec', sub {
		my $run = start_run($p, 'exec_start', $agent, "'sh', " . quote(<<'SH'));
frame() { printf '\036theazo1 %s 0000000%s 1 .{"t":"log","message":"%s"}\n' "$THEAZO_RECORDS" "$1" "$2" >&2; }
if command -v python3 > /dev/null; then python3 -c "from theazo_sandbox import log; log('from python')"
else [ -s "$PYTHONPATH/theazo_sandbox.py" ] && frame 1 'from python'; fi
if command -v node > /dev/null; then node -e "require('theazo_sandbox').log('from node')"
else [ -s "$NODE_PATH/theazo_sandbox/index.js" ] && frame 2 'from node'; fi
echo said
SH
		my $r = wait_run($p, $run);
		return same("$r->{stdout}$r->{stderr}", "said\n", 'what it prints')
		  // same(sql("SELECT string_agg(message, ', ' ORDER BY message) FROM theazo_data.log WHERE run_id = '$run' AND message ~ '^from '"), 'from node, from python', 'its log');
	} ],
	[ 'a secret in the environment', 'exec', sub { my $r = run_sh('[ "$SHOWN" = shown-4711-abcdef ] && echo "$SHOWN"'); return same($r->{stdout}, "***\n", 'what it prints') } ],
	[ 'variables of one exec', 'exec', sub { my $r = work('exec_start', "'sh'", q('printf "$A"'), q(env => '{"A": "it''s"}')); return same($r->{stdout}, "it's", 'it') } ],
	[ 'a time limit', 'exec', sub {
		my $r = run_sh('sleep 60', "'2 s'");
		return same($r->{status}, 'failed', 'the run') if ($r->{exit_code} // 0) != 124 && $r->{status} ne 'failed';
		return same(run_sh('echo on')->{stdout}, "on\n", 'the next');
	} ],
	[ 'a cancelled command ends', 'stop', sub {
		my $run = sql("SELECT id FROM theazo.exec_start('$agent', 'sh', 'while :; do date +%s%N > t; mv t tick; sleep 0.1; done', $key)");
		wait_sql($node, "SELECT status FROM theazo_data.run WHERE id = '$run'", 'running', 'it runs');
		sleep 1;
		sql("SELECT theazo.run_cancel('$run', $key)");
		wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE agent_id = '$agent' AND state IN ('queued', 'claimed', 'sent')", '0', 'it is cancelled') or return 'it is not settled';
		my ($then, $later) = split /\n/, run_sh('cat tick; sleep 0.5; cat tick')->{stdout} // '';
		return $then && $then eq $later ? undef : 'it goes on';
	} ],
	[ 'write', 'write', sub { return same(work('file_write_start', "'d/all.bin'", "decode('000102fdfeff0a', 'hex')")->{status}, 'completed', 'the run') } ],
	[ 'read', 'read', sub {
		my $r = work('file_read_start', "'d/all.bin'");
		return same($r->{content}, '\\x000102fdfeff0a', 'the content');
	} ],
	[ 'an empty file', 'read', sub { work('file_write_start', "'none'", "''::bytea"); return same(work('file_read_start', "'none'")->{content}, '\\x', 'the content') } ],
	[ 'commands see files', 'write', sub { return same(run_sh('wc -c < d/all.bin | tr -d " "')->{stdout}, "7\n", 'the size') } ],
	[ 'no such file', 'read', sub { return same(work('file_read_start', "'d/nothing'")->{error_sqlstate}, '58P01', 'the SQLSTATE') } ],
	[ 'list', 'list', sub {
		my $r = work('file_list_start', "'d'");
		return same(join(' ', map { "$_->{name} $_->{size} " . ($_->{is_dir} ? 'd' : 'f') } @{ $r->{entries} }), 'all.bin 7 f', 'the entry');
	} ],
	[ 'metrics', 'metrics', sub {
		my $r = work('metrics_start');
		return "it says $r->{error_message}" if $r->{status} ne 'completed' || $r->{metrics}{memory_mb} < 0;
		return if $_[1]{type} !~ /^(local|docker)$/;
		# real ones, not those of a double: they rise with load, by what the kernel says of it
		run_sh('sh -c \'x=$(head -c 40000000 /dev/zero | tr "\\0" x); echo "$$" > load.new; mv load.new load; while :; do :; done\' > /dev/null 2>&1 & while ! test -s load; do sleep 0.1; done; sleep 0.5');
		my ($kib) = run_sh('grep VmRSS /proc/$(cat load)/status')->{stdout} =~ /(\d+) kB/ or return 'the kernel does not say how much it is';
		my $m = work('metrics_start')->{metrics};
		run_sh('kill -9 $(cat load)');
		my $rise = $m->{memory_mb} - $r->{metrics}{memory_mb};
		return "memory rises by $rise MB, the kernel says " . $kib / 1024 if abs($rise - $kib / 1024) > 12;
		return $m->{cpu_percent} > 1 ? undef : "a busy loop is $m->{cpu_percent} %";
	} ],
	[ 'expose_port', 'expose_port', sub { my $r = work('port_expose_start', 8080); return $r->{url} && $r->{url} =~ m{^https?://} ? undef : "no address: $r->{error_message}" } ],
	[ 'pause and resume', 'pause', sub {
		my $awake = $_[1]{type} =~ /^(local|docker|e2b)$/;	# what runs there goes on afterwards
		run_sh('echo kept > kept; sh -c \'n=0; while :; do n=$((n + 1)); echo "$n $$" > n.new; mv n.new n; sleep 0.05; done\' > /dev/null 2>&1 & while ! test -s n; do sleep 0.1; done');
		my ($n, $pid) = split ' ', run_sh('cat n')->{stdout};
		sql("SELECT theazo.agent_pause('$agent', $key)");
		wait_sql($node, "SELECT status FROM theazo_data.sandbox WHERE agent_id = '$agent' ORDER BY id DESC LIMIT 1", 'paused', 'the sandbox sleeps') or return 'it does not sleep';
		sql("SELECT theazo.agent_resume('$agent', $key)");
		my $lost = same(run_sh('cat kept')->{stdout}, "kept\n", 'what was kept');
		my ($later, $same) = split ' ', run_sh('sleep 0.3; cat n; kill $(cut -d " " -f 2 n)')->{stdout};
		return $lost if defined $lost || !$awake;
		return same($same, $pid, 'the process that counts') // ($later > $n ? undef : "it does not count on: $n, then $later");
	} ],
	[ 'back to a checkpoint', 'snapshot', sub {
		my $whole = $can{ $_[1]{type} }{snapshot} eq 'native';
		run_sh('echo one > point; mkdir -p deep; echo x > deep/x');
		my $point = sql("SELECT id FROM theazo.checkpoint_create('$agent', 'one', 10, $key)");
		wait_sql($node, "SELECT files FROM theazo.checkpoint_get('$point', $key)", 'kept', 'files are kept') or return 'nothing is kept';
		run_sh('echo two > point; rm -r deep');
		my $before = sql("SELECT sandbox_id FROM theazo_data.agent WHERE id = '$agent'");
		sql("SELECT theazo.agent_resume_with('$agent', '$point', $key)");
		my $r = run_sh('cat point deep/x');
		# where a pause is what keeps them, the receiver decides what comes back
		return same($r->{status}, 'completed', 'work') if !$whole;
		return 'it is the same sandbox' if $before eq sql("SELECT sandbox_id FROM theazo_data.agent WHERE id = '$agent'");
		return same($r->{stdout}, "one\nx\n", 'what is there');
	} ],
	[ 'destroy', 'destroy', sub {
		sql("SELECT theazo.agent_terminate('$agent', $key)");
		return wait_sql($node, "SELECT string_agg(DISTINCT status, ' ') FROM theazo_data.sandbox WHERE agent_id = '$agent'", 'destroyed', 'it is gone') ? undef : 'it is there';
	} ],
);

my %table;
foreach my $kind (@kinds)
{
	my $type = $kind->{type};
	$kind->{start}->($kind);
	$can{$type} = { map { split /\|/ } split /\n/, sql("SELECT operation, support FROM theazo_internal.compute_operations() WHERE type = '$type'") };
	foreach my $o (@operations)
	{
		my ($what, $operation, $do) = @$o;
		my $support = $can{$type}{$operation} // 'none';
		$table{$what}{$type} = $support;
		next if $operation eq 'expose_port' && $kind->{portless};
		my $wrong;
		if ($support eq 'none')
		{
			my $call = { expose_port => "port_expose_start('$agent', 8080, $key)", metrics => "metrics_start('$agent', $key)", list => "file_list_start('$agent', '/', $key)" }->{$operation};
			$wrong = same(sqlstate_of("SELECT theazo.$call"), 'TZ406', 'the refusal') if defined $call;
		}
		else
		{
			$wrong = $do->($kind->{provider}, $kind);
		}
		is($wrong, undef, "$type: $what" . ($support eq 'none' ? ', refused' : ''));
		$table{$what}{$type} = defined $wrong ? 'WRONG' : $support;
		last if $operation eq 'create' && defined $wrong;
	}
	# each started second is charged once, and nobody knows a secret
	is(sql("SELECT count(*) FROM theazo_data.sandbox WHERE status NOT IN ('destroyed', 'lost', 'failed')"), 0, "$type: nothing is left");
}
# what came of it, as docs/providers/index.md has it
my @types = map { $_->{type} } @kinds;
my $found = join('', map { "| $_ |\n" } join(' | ', 'operation', @types), join(' | ', ('---') x (@types + 1)),
	map { my $o = $_->[0]; join(' | ', $o, map { $table{$o}{$_} // 'not tried' } @types) } @operations);
note($found);
my ($documented) = slurp_file("$FindBin::RealBin/../../docs/providers/index.md") =~ /<!-- 119_conformance -->\n(.*?)\n\n/s;
is($found, ($documented // '') . "\n", 'the table in docs is what was found');
is(sql(q{SELECT string_agg(rule || ' ' || object || ' ' || coalesce(detail, ''), E'\n') FROM theazo.integrity_check()}), '', 'all rows fit');
$node->stop;
done_testing();
