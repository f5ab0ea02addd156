# What is paid, counted by the one who would send the invoice: attempts that broke off, calls that were lost or cancelled, prompts
# that are kept; and a provider that said when to come back is not called before.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use lib "$FindBin::RealBin";
use TheazoPath;

my @doubles;
END { my $status = $?; kill 'TERM', $_->{pid} foreach @doubles; $? = $status; }
my $http = HTTP::Tiny->new(timeout => 30);

sub model_double
{
	my $journal = PostgreSQL::Test::Utils::tempdir() . '/journal';
	my $pid = open(my $out, '-|', 'python3', "$FindBin::RealBin/../mock/model_server.py", '--journal', $journal) or die "cannot start the double: $!";
	my $port = <$out>;
	chomp $port;
	push @doubles, { pid => $pid, out => $out, port => $port, journal => $journal };
	return $doubles[-1];
}
sub instruct { my ($double, $what) = @_; $http->post("http://127.0.0.1:$double->{port}/_control", { content => encode_json($what) })->{success} or die "the double refused"; }
sub counts { my ($double) = @_; return decode_json($http->get("http://127.0.0.1:$double->{port}/_control")->{content})->{counts}; }
sub journal { my ($double) = @_; return map { decode_json($_) } split /\n/, slurp_file($double->{journal}); }

my ($one, $two) = (model_double(), model_double());
my $node = new_server('money', "theazo.dispatchers = 2\n");
my $p = new_platform($node, 'money');
sub sql { return $node->safe_psql('postgres', $_[0]) }

# ---- one of them managed, so that each token has a price: 100 cents a million in, 10 out of a cache, 125 into it, 1000 out, and 10
# percent on it; the others at addresses of a session's own
sql("SELECT theazo.operator_secret_set('key', 'sk-test')");
my %model = (chat => 'chatty', messages => 'claude-kept', responses => 'thinker');
sql("SELECT theazo.operator_provider_set('messages', kind => 'model', type => 'anthropic', endpoint => 'http://127.0.0.1:$one->{port}', credential_ref => 'key', config => '{\"cache\": \"5m\"}')");
sql("SELECT theazo.model_price_set('claude-kept', input => 100, output => 1000, cache_read => 10, cache_write_5m => 125)");
my %session = (messages => $p->{session});
$session{$_} = sql("SELECT id FROM theazo.session_create('user', api_key => '$p->{key}', models => "
	  . quote(encode_json({ provider => 'openai-compatible', endpoint => "http://127.0.0.1:$one->{port}/v1", config => { api => $_ } })) . ')') foreach qw(chat responses);

my $n = 0;
sub begin
{
	my ($api, $rules, %with) = @_;
	my $name = 'm' . ++$n;
	# the newest that fits counts
	instruct($one, { rule => { conversation => $name, %$_ } }) foreach reverse @$rules;
	my $session = $session{$api};
	my $more = join '', map { ", $_ => $with{$_}" } grep { $_ ne 'tools' } keys %with;
	return sql("SELECT id FROM theazo.session_run('$session', NULL, " . quote("[conv:$name] Do it.") . ', '
		  . quote(encode_json({ model => $model{$api}, tools => $with{tools} // [] })) . "$more, api_key => '$p->{key}')");
}
sub charges
{
	my ($run) = @_;
	return sql("SELECT coalesce(string_agg(format('%s in, %s out%s', CASE WHEN input_tokens + cached_tokens > 0 THEN input_tokens + cached_tokens END, output_tokens, CASE WHEN estimated THEN ', estimated' END), '; ' ORDER BY interval_start), 'nothing') FROM theazo_data.charge WHERE run_id = '$run' AND item = 'model.call'");
}
sub booked { return sql("SELECT count(*) FROM theazo_data.charge WHERE item = 'model.call'"); }
my $whole = { text => 'x' x 40, usage => { input => 1000, output => 10 } };

# ---- attempts that broke off
foreach my $api (qw(chat messages responses))
{
	# text of three deltas at least, then nothing more; then the whole of it
	my $run = begin($api, [ { answer => { %$whole, text => 'y' x 120 }, cut_after => 8, times => 1 }, { answer => $whole } ]);
	is(wait_run($p, $run)->{output}, 'x' x 40, "$api: an answer that broke off is asked for again");
	my $charges = charges($run);
	like($charges, qr/^\d+ in, [1-9]\d* out, estimated; 1000 in, 10 out$/, "$api: both are booked: $charges");
	like($charges, qr/^1000 in/, "$api: with what the first one had told") if $api eq 'messages';
	is(sql("SELECT input_tokens || ' ' || output_tokens || ' ' || estimated FROM theazo_data.step WHERE root_id = substr('$run', 5)"),
		sql("SELECT sum(input_tokens) || ' ' || sum(output_tokens) || ' true' FROM theazo_data.charge WHERE run_id = '$run'"), "$api: the step has both");
	is(sql("SELECT cost FROM theazo_data.run WHERE id = '$run'"), sql("SELECT sum(amount) FROM theazo_data.charge WHERE run_id = '$run'"), "$api: the run costs both");
	# reset in the middle, then an error in the stream, then cut again: three attempts, all of them booked
	$run = begin($api, [ { answer => $whole, cut_after => 6, close => 'reset', times => 1 }, { answer => $whole, error_after => 6, times => 1 }, { answer => $whole, cut_after => 6 } ]);
	is(wait_run($p, $run)->{status}, 'failed', "$api: three times broken");
	is(scalar(() = charges($run) =~ /estimated/g), 3, "$api: three estimates: " . charges($run));
	# nothing said before the error: nobody pays
	$run = begin($api, [ { answer => $whole, error_after => 0, times => 1 }, { answer => $whole } ]);
	is(wait_run($p, $run)->{status}, 'completed', "$api: an error instead of an answer");
	is(charges($run), '1000 in, 10 out', "$api: costs nothing");
	$run = begin($api, [ { fault => 'overloaded', times => 1 }, { fault => 'rate_ms', times => 1 }, { answer => $whole } ]);
	wait_run($p, $run);
	is(charges($run), '1000 in, 10 out', "$api: nor do refusals");
	# nobody knows
	$run = begin($api, [ { fault => 'reset' } ]);
	is(wait_run($p, $run)->{error_sqlstate}, 'TZ408', "$api: a call that was lost");
	like(charges($run), qr/^\d+ in, 0 out, estimated$/, "$api: its prompt is booked");
	$run = begin($api, [ { answer => { %$whole, text => 'z' x 400 }, gap_ms => 200 } ]);
	wait_sql($node, "SELECT count(*) > 0 FROM theazo.run_follow('$run', timeout => '5 s', api_key => '$p->{key}') f WHERE f.type = 'text'", 't', 'text arrives');
	sql("SELECT theazo.run_cancel('$run', api_key => '$p->{key}')");
	is(wait_run($p, $run)->{status}, 'cancelled', "$api: a stream that is cancelled");
	wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE run_id = '$run' AND state IN ('claimed', 'sent')", '0', 'and has ended');
	like(charges($run), qr/^\d+ in, [1-9]\d* out, estimated$/, "$api: is booked with what had come");
}
is(booked(), counts($one)->{billed}, 'as many are booked as were or may have been billed');
is(counts($one)->{history_refused} // 0, 0, 'no history was another one');

# ---- prompts that are kept
{
	my $tool = { name => 'report_progress', arguments => { message => 'on it' } };
	my $before = counts($one);
	my $run = begin('messages', [ { turns => [ { tools => [$tool] }, { tools => [ { %$tool, arguments => { message => 'more' } } ] }, { text => 'done' } ] } ], tools => ['report_progress']);
	is(wait_run($p, $run)->{output}, 'done', 'three rounds');
	my $after = counts($one);
	is(sql("SELECT sum(cache_read_tokens) || ' ' || sum(cache_write_tokens) || ' ' || sum(input_tokens) FROM theazo_data.step WHERE root_id = substr('$run', 5) AND kind = 'model'"),
		($after->{cache_read} - ($before->{cache_read} // 0)) . ' ' . ($after->{cache_written} - ($before->{cache_written} // 0)) . ' 0', 'what was kept and read again is what the provider says');
	cmp_ok($after->{cache_read}, '>', 0, 'something was read');
	is(sql("SELECT bool_and(cost = floor((input_tokens * 100 + cache_read_tokens * 10 + cache_write_tokens * 125 + output_tokens * 1000) * 1.1 + 0.5)) FROM theazo_data.step WHERE root_id = substr('$run', 5) AND kind = 'model'"), 't', 'at its own price');
	is($after->{history_refused} // 0, 0, 'and the history is the same, byte for byte');
	# asked once: not worth it
	$run = begin('messages', [ { answer => $whole } ]);
	wait_run($p, $run);
	is(sql("SELECT coalesce(sum(cache_write_tokens), 0) FROM theazo_data.step WHERE root_id = substr('$run', 5)"), '0', 'what is asked once is not kept');
}
is(booked(), counts($one)->{billed}, 'as many are booked as were or may have been billed');

# ---- a provider that says when to come back
instruct($one, { rules => [ { answer => $whole }, { fault => 'rate_seconds', headers => { 'retry-after' => '4' }, times => 1 } ] });
sql("SELECT name FROM theazo.provider_set('busy', kind => 'model', endpoint => 'http://127.0.0.1:$one->{port}/v1', priority => 1, api_key => '$p->{key}')");
sub start
{
	my ($n) = @_;
	return split /\n/, sql("SELECT (theazo.session_run('$p->{session}', NULL, 'hello ' || i, '{\"model\":\"m\",\"tools\":[]}', api_key => '$p->{key}')).id FROM generate_series(1, $n) i");
}
# All that the double saw since, and when: seconds after the first refusal.
sub after_refusal
{
	my @seen = @_;
	shift @seen while @seen && $seen[0]{event} ne 'refused';
	my $t = $seen[0]{at};
	return map { $_->{at} - $t } @seen[ 1 .. $#seen ];
}
my $mark = () = journal($one);
my @runs = start(1);
wait_sql($node, "SELECT string_agg(concat_ws(' ', name, model, state, failures), ',') FROM theazo.operator_provider_health", 'busy m paused 0', 'the pause is seen');
push @runs, start(4);
is(wait_run($p, $_)->{status}, 'completed', 'a run that waited') foreach @runs;
my @journal = journal($one);
my @when = after_refusal(@journal[ $mark .. $#journal ]);
is(scalar(@when), 5, 'five calls');
is(scalar(grep { $_ < 3.9 } @when), 0, 'none of them before the time that was said');
wait_sql($node, "SELECT count(*) FROM theazo.operator_provider_health", '0', 'and all is well');

# by the reset of a limit; another provider of the model answers meanwhile
sql("SELECT name FROM theazo.provider_set('free', kind => 'model', endpoint => 'http://127.0.0.1:$two->{port}/v1', priority => 2, api_key => '$p->{key}')");
instruct($one, { rules => [ { answer => $whole }, { fault => 'rate_none', headers => { 'x-ratelimit-remaining-requests' => '0', 'x-ratelimit-reset-requests' => '5m0s' }, times => 1 } ] });
my $before = counts($one)->{requests};
@runs = start(1);
wait_run($p, $runs[0]);
push @runs, start(6);
is(wait_run($p, $_)->{status}, 'completed', 'a run that need not wait') foreach @runs;
is(counts($one)->{requests} - $before, 1, 'the one that is paused was asked once');
is(counts($two)->{answered}, 7, 'the other one answered all');
is(sql("SELECT string_agg(concat_ws(' ', name, model, state, failures, open_until > now() + interval '4 min'), ',') FROM theazo.operator_provider_health"), 'busy m paused 0 t', 'and the pause goes on');
# no money left is another thing: never again
sql("SELECT name FROM theazo.provider_set('busy', kind => 'model', endpoint => 'http://127.0.0.1:$one->{port}/v1', priority => 1, api_key => '$p->{key}')");
instruct($one, { rules => [ { fault => 'quota', headers => { 'retry-after' => '1' } } ] });
$before = counts($one)->{requests};
is(wait_run($p, (start(1))[0])->{status}, 'completed', 'no budget left there');
is(counts($one)->{requests} - $before, 1, 'asked once, whatever it says of when');
is(sql("SELECT string_agg(concat_ws(' ', name, state, last_error), ',') FROM theazo.operator_provider_health"), 'busy resting quota', 'it rests');

is(booked(), counts($one)->{billed} + counts($two)->{billed}, 'as many are booked as were or may have been billed');
is(sql("SELECT string_agg(c::text, chr(10)) FROM theazo.integrity_check() c"), '', 'the ledger agrees');
is(sql("SELECT (SELECT sum(amount) FROM theazo_data.charge) = (SELECT sum(cost) FROM theazo_data.run)"), 't', 'and the runs with it');

$node->stop;
done_testing();
