# Streams of the gateway: runs of an agent, logs, the audit trail; coming back, leaving, being slow, being many.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use IO::Select;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoHttp;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $secret = 'sk-test-4711-abcdefgh-0815';
our $out;
my $pid = open($out, '-|', 'python3', "$FindBin::RealBin/../mock/model_server.py", '--key', $secret)
  or die "cannot start the scripted server: $!";
my $model = <$out>;
chomp $model;
END
{
	my $status = $?;
	kill 'TERM', $pid if $pid;
	$? = $status;
}

sub script
{
	my ($what) = @_;
	my $answer = HTTP::Tiny->new->post("http://127.0.0.1:$model/_control", { content => encode_json($what) });
	die "the scripted server refused: $answer->{content}" if !$answer->{success};
}

# Lets go an answer that waits at a place of its rule, once it has come there.
sub held
{
	for (1 .. 1200)
	{
		return if decode_json(HTTP::Tiny->new->get("http://127.0.0.1:$model/_control")->{content})->{holding} > 0;
		sleep 0.05;
	}
	die "no answer is held";
}

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $node = new_server('streams', qq(
theazo.dispatchers = 1
theazo.gateway_workers = 1
theazo.gateway_listen = 'postgres=127.0.0.1:$port'
theazo.gateway_idle_timeout = 3s
theazo.gateway_connections = 1200
restart_after_crash = on
));
my $p = new_platform($node, 'talkers');
my $q = new_platform($node, 'others');
$node->safe_psql('postgres', qq(
SELECT theazo.operator_rate_limit_set('key', 60000, 10000);
SELECT theazo.secret_set('model.key', '$secret', api_key => '$p->{key}');
SELECT theazo.provider_set('double', 'model', 'openai-compatible', endpoint => 'http://127.0.0.1:$model/v1', credential_ref => 'model.key',
	api_key => '$p->{key}');
UPDATE theazo_data.platform SET allow_http = true, allow_private = true WHERE platform_id = '$p->{id}';
));
my $agent = new_agent($p, '{"model": "acme/talker"}');
# Streams that end sooner than real ones do.
$node->safe_psql('postgres', q{
ALTER FUNCTION theazo_internal.rest_routes() RENAME TO rest_routes_real;
CREATE FUNCTION theazo_internal.rest_routes() RETURNS TABLE (method text, path text, operation text, status integer, flags text[], parameters jsonb, summary text)
LANGUAGE sql IMMUTABLE AS $$
	SELECT * FROM theazo_internal.rest_routes_real() UNION ALL
	VALUES ('GET', '/short/audit', 'short_audit', 200, '{stream}'::text[], '[]'::jsonb, ''), ('GET', '/short/agent/:id', 'short_agent', 200, '{stream}', '[]', ''),
		   ('GET', '/short/log', 'short_log', 200, '{stream}', '[]', '')
$$;
CREATE FUNCTION theazo_internal.rest_short_audit(a jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT theazo_internal.rest_audit_stream(a) || '{"pingMs": "300", "limitMs": "1000"}' $$;
CREATE FUNCTION theazo_internal.rest_short_agent(a jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT theazo_internal.rest_agent_stream(a) || '{"pingMs": "300", "limitMs": "1000"}' $$;
CREATE FUNCTION theazo_internal.rest_short_log(a jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT theazo_internal.rest_log_stream(a) || '{"pingMs": "200"}' $$;
DO $$ DECLARE f regprocedure; BEGIN
	FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'theazo_internal'::regnamespace AND proname ~ '^rest_(short|routes)' LOOP
		EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO theazo_gateway', f);
	END LOOP;
END $$;
});
wait_gateway($port);

# ---- a stream as a client reads it ----------------------------------------------------
sub listen_to
{
	my ($path, %more) = @_;
	my $s = dial($port);
	say_raw($s, request('GET', $path, key => $p->{key}, %more));
	my $l = { socket => $s, raw => '', text => '', events => [] };
	more($l, 0.01) until defined $l->{status} || $l->{closed};
	return $l;
}

# Reads what there is, for so long.
sub more
{
	my ($l, $seconds) = @_;
	return 0 if $l->{closed};
	return 0 if !IO::Select->new($l->{socket})->can_read($seconds);
	my $n = sysread($l->{socket}, my $bytes, 65536);
	$l->{closed} = 1 if !$n;
	$l->{raw} .= $bytes // '';
	if (!defined $l->{status})
	{
		return 1 if $l->{raw} !~ s/^HTTP\/1\.1 (\d\d\d)[^\r\n]*\r\n(.*?)\r\n\r\n//s;
		$l->{status} = $1;
		$l->{headers} = { map { my ($k, $v) = split /:\s*/, $_, 2; (lc $k => $v) } split /\r\n/, $2 };
		$l->{chunked} = ($l->{headers}{'transfer-encoding'} // '') eq 'chunked';
	}
	if (!$l->{chunked})
	{
		$l->{text} = $l->{raw};
		return 1;
	}
	while ($l->{raw} =~ /^([0-9a-fA-F]+)[^\r\n]*\r\n/)
	{
		my ($size, $head) = (hex $1, length $&);
		last if length $l->{raw} < $head + $size + 2;
		$l->{ended} = 1 if $size == 0;
		$l->{text} .= substr($l->{raw}, $head, $size);
		substr($l->{raw}, 0, $head + $size + 2, '');
	}
	while ($l->{text} =~ s/^(.*?)\n\n//s)
	{
		my %e = (raw => $1);
		foreach my $line (split /\n/, $1)
		{
			$e{$1} = $2 if $line =~ /^(id|event|data): (.*)$/;
			$e{comment} = 1 if $line =~ /^:/;
		}
		$e{doc} = eval { JSON::PP->new->utf8->decode($e{data}) } if defined $e{data};
		push @{ $l->{events} }, \%e;
	}
	return 1;
}

# Reads until something holds, or the time is over.
sub until_true
{
	my ($l, $what, $seconds) = @_;
	my $until = time() + ($seconds // 60);
	while (!$what->($l))
	{
		return 0 if $l->{closed} || time() >= $until;
		more($l, 0.2);
	}
	return 1;
}

sub data { my ($l) = @_; return grep { defined $_->{data} } @{ $l->{events} }; }
sub docs { my ($l) = @_; return grep { defined } map { $_->{doc} } data($l); }
sub to_end { my ($l, $seconds) = @_; return until_true($l, sub { $_[0]{ended} }, $seconds); }
sub leave { close $_->{socket} foreach @_; }
sub types { my $t = join ' ', map { $_->{type} // '?' } @_; $t =~ s/\btext( text)+/text/g; return $t; }

sub begin_run
{
	my ($a) = @_;
	return $node->safe_psql('postgres', "SELECT id FROM theazo.run_start('" . ($a // $agent) . "', 'Tell me.', api_key => '$p->{key}')");
}

sub streams { return $node->safe_psql('postgres', 'SELECT streams FROM theazo.operator_gateways'); }

# ---- the audit trail -------------------------------------------------------------------
my $l = listen_to('/api/sdk/audit/stream');
is("$l->{status} $l->{headers}{'content-type'} $l->{headers}{'cache-control'}", '200 text/event-stream no-cache', 'headers come before anything happens');
ok(until_true($l, sub { data($_[0]) }), 'and a first event');
is($l->{events}[0]{event}, 'connected', 'connected');
is_deeply([ keys %{ $l->{events}[0]{doc} } ], ['connected_at'], 'since when');
$node->safe_psql('postgres', "SELECT theazo.session_create('seen', api_key => '$p->{key}')");
# what was done before may be sealed just now
sub made { return grep { ($_->{event} // '') eq 'audit' && $_->{doc}{action_type} eq 'session_created' } data($_[0]); }
ok(until_true($l, sub { made($_[0]) }), 'what is done is told');
my ($row) = made($l);
is($row->{event}, 'audit', 'as an audit row');
is(join(' ', sort keys %{ $row->{doc} }),
	'action_category action_type agent_id anchored description execution_id hash id input_summary is_violation output_summary permission_state prev_hash timestamp',
	'with its members');
like($row->{doc}{hash}, qr/^[0-9a-f]{64}$/, 'sealed');
leave($l);

my $back = listen_to('/api/sdk/audit/stream', headers => { 'Last-Event-ID' => $row->{id} - 1 });
ok(until_true($back, sub { data($_[0]) > 1 }), 'who comes back');
is_deeply((data($back))[1], $row, 'is told the same again');
leave($back);
$back = listen_to('/api/sdk/audit/stream?since=2020-01-01T00:00:00Z');
ok(until_true($back, sub { grep { ($_->{id} // 0) == $row->{id} } data($_[0]) }), 'since replays');
my @ids = map { $_->{id} } grep { ($_->{event} // '') eq 'audit' } data($back);
is(join(' ', @ids), join(' ', sort { $a <=> $b } @ids), 'in the order of the chain');
leave($back);
is(listen_to("/api/sdk/audit/stream", headers => { 'Last-Event-ID' => $_ })->{status}, 400, "Last-Event-ID $_") foreach ('99999999', 'x', '-1', '1' x 30);
is(listen_to('/api/sdk/audit/stream?since=yesterday-ish')->{status}, 400, 'since is a time');
is(listen_to('/api/sdk/audit/stream?agentId=777')->{status}, 404, 'of an agent that is not there');
is(ask($port, 'GET', "/api/sdk/audit/stream")->{status}, 401, 'without a key');
$l = listen_to("/api/sdk/audit/stream?key=$p->{key}", key => undef);
is($l->{status}, 200, 'a key in the query, as browsers need it');
leave($l);
is(ask($port, 'GET', "/v1/sessions?key=$p->{key}")->{status}, 401, 'here only');

# another platform's stream
$l = listen_to('/api/sdk/audit/stream', key => $q->{key});
$back = listen_to('/api/sdk/audit/stream');
$node->safe_psql('postgres', "SELECT theazo.session_create('mine', api_key => '$p->{key}')");
ok(until_true($back, sub { data($_[0]) > 1 }), 'told here');
more($l, 0.5);
is(scalar(data($l)), 1, 'and not there');
leave($l, $back);

# keepalive, timeout
$l = listen_to('/short/audit');
ok(to_end($l, 20), 'it ends by itself');
my $names = join ' ', map { $_->{event} } data($l);
like($names, qr/^connected( audit)*( keepalive)+ timeout$/, 'keepalive, then timeout') or diag($names);

# ---- an agent ------------------------------------------------------------------------------
script({ rules => [ { turn => 0, gap_ms => 20, answer =>
	{ text => 'First a look.', tools => [{ name => 'report_progress', arguments => { message => 'half', percentage => 50 } }] } },
	{ turn => 1, gap_ms => 20, hold => [4], answer => { text => "Gr\x{fc}\x{df}e, the key $secret is none of your business. " . 'And on it goes. ' x 4, piece => 7 } } ] });
my $idle = listen_to("/v1/agents/$agent/stream");
is($idle->{status}, 200, 'a stream of an idle agent');
more($idle, 0.5);
is(scalar(data($idle)), 0, 'says nothing yet');
my $run = begin_run();
held();
ok(until_true($idle, sub { grep { $_->{type} eq 'text' && $_->{text} =~ /Gr/ } docs($_[0]) }), 'the first words of an answer that has not ended');
my $late = listen_to("/v1/agents/$agent/stream");
ok(until_true($late, sub { grep { $_->{type} eq 'text' && $_->{text} =~ /Gr/ } docs($_[0]) }), 'who comes late is told from the beginning');
my $place = (grep { $_->{doc} && $_->{doc}{type} eq 'tool_result' } data($late))[0]{id};
script({ release => JSON::PP::true });
ok(to_end($_), 'the end') foreach $idle, $late;
my $output = $node->safe_psql('postgres', "SELECT output FROM theazo.run_result('$run', api_key => '$p->{key}')");
utf8::decode($output);
foreach my $x ([ $idle, 'idle' ], [ $late, 'late' ])
{
	my ($s, $name) = @$x;
	my @d = docs($s);
	is(types(@d), 'text tool_call progress tool_result text done', "$name: events in their order");
	my $after = 0;
	my $text = '';
	foreach my $e (@d) { $text = '' if $e->{type} eq 'tool_result'; $text .= $e->{text} if $e->{type} eq 'text'; }
	is($text, $output, "$name: the pieces are the output");
	is((data($s))[-1]{data}, '[DONE]', "$name: [DONE] at the end");
}
my ($done) = grep { $_->{type} eq 'done' } docs($late);
is(join(' ', sort keys %$done), 'artifacts cost duration durationMs output type', 'members of done');
is(join(' ', map { join ',', sort keys %$_ } grep { $_->{type} =~ /tool|progress/ } docs($late)), 'input,tool,type message,percentage,type output,tool,type', 'members of the others');
unlike($idle->{raw} . join('', map { $_->{raw} } @{ $idle->{events} }), qr/\Q$secret\E/, 'the secret is not in it');

$back = listen_to("/v1/agents/$agent/stream", headers => { 'Last-Event-ID' => $place });
ok(to_end($back), 'who comes back after the end');
is(types(docs($back)), 'text done', 'is told the rest, from rows');
my $last = (grep { $_->{doc} && $_->{doc}{type} eq 'done' } data($late))[0]{id};
$back = listen_to("/v1/agents/$agent/stream", headers => { 'Last-Event-ID' => $last });
ok(to_end($back) && (data($back))[0]{data} eq '[DONE]', 'behind the end there is only the end');
is(listen_to("/v1/agents/$agent/stream", headers => { 'Last-Event-ID' => $_ })->{status}, 400, "Last-Event-ID $_")
  foreach ('x', "$run/", "$run/9007199254740991", 'run_00000000000000000000000000/0', "$run/-1");
is(listen_to("/v1/agents/$agent/stream", key => $q->{key})->{status}, 404, 'another platform');
is(listen_to('/v1/agents/agt_00000000000000000000000000/stream')->{status}, 404, 'no agent');
$l = listen_to("/short/agent/$agent");
ok(to_end($l, 20), 'nobody waits for ever for a run');
is_deeply([ map { $_->{data} =~ /^\{/ ? "$_->{doc}{type} $_->{doc}{code}" : $_->{data} } data($l) ], [ 'error timeout', '[DONE]' ], 'an error and the end');
ok((grep { $_->{comment} && $_->{raw} eq ': keepalive' } @{ $l->{events} }), 'signs of life meanwhile');

# a session's key
my $session = $node->safe_psql('postgres', "SELECT id FROM theazo.session_create('apart', api_key => '$p->{key}')");
my $token = $node->safe_psql('postgres', "SELECT key FROM theazo.session_token_create('$session', '1 hour', api_key => '$p->{key}')");
is(listen_to("/v1/agents/$agent/stream", key => $token)->{status}, 404, 'an agent of another end user');

# ---- logs ------------------------------------------------------------------------------------
sub log_line
{
	my ($level, $message) = @_;
	return "SELECT theazo_internal.log_write('$p->{id}', NULL, '$level', 'system', '$message', 'live', '$p->{session}')";
}
$l = listen_to('/v1/logs/stream');
my $errors = listen_to('/v1/logs/stream?level=error');
my $other = listen_to('/v1/logs/stream', key => $q->{key});
my $narrow = listen_to('/v1/logs/stream', key => $token);
is($narrow->{status}, 200, 'an end user follows logs');
# written first, committed last
my $slow = $node->background_psql('postgres');
$slow->query_safe('BEGIN');
$slow->query_safe(log_line('info', 'early and late'));
$node->safe_psql('postgres', log_line($_, "line $_")) foreach qw(info error);
ok(until_true($l, sub { docs($_[0]) >= 2 }), 'lines as they are written');
$slow->query_safe('COMMIT');
$slow->quit;
ok(until_true($l, sub { docs($_[0]) >= 3 }), 'and one that was committed late');
is(join('|', sort map { $_->{message} } docs($l)), 'early and late|line error|line info', 'each once');
is(join(' ', sort keys %{ (docs($l))[0] }), 'agentId id level message provider sessionId source timestamp userId', 'members of an entry');
ok(until_true($errors, sub { docs($_[0]) >= 1 }), 'one level');
is(join('|', map { $_->{message} } docs($errors)), 'line error', 'only that');
more($other, 0.3);
is(scalar(docs($other)), 0, 'nothing of another platform');
more($narrow, 0.1);
is(scalar(docs($narrow)), 0, 'nothing of another end user');
$node->safe_psql('postgres', "SELECT theazo_internal.log_write('$p->{id}', NULL, 'info', 'system', 'own', 'live', '$session')");
ok(until_true($narrow, sub { docs($_[0]) }), 'but what is their own');
my $first = (data($l))[0]{id};
$back = listen_to('/v1/logs/stream?level=error', headers => { 'Last-Event-ID' => $first });
ok(until_true($back, sub { docs($_[0]) >= 1 }), 'coming back');
is(listen_to('/v1/logs/stream', headers => { 'Last-Event-ID' => $_ })->{status}, 400, "Last-Event-ID $_") foreach ('log_7ZZZZZZZZZZZZZZZZZZZZZZZZZ', 'x');
is(listen_to('/v1/logs/stream?level=loud')->{status}, 400, 'no such level');
leave($l, $errors, $other, $back, $narrow);

# ---- a key that is revoked -------------------------------------------------------------------
my ($key_id, $key) = split /\|/, $node->safe_psql('postgres', "SELECT id, key FROM theazo.api_key_create('passing', platform => '$p->{id}')");
$l = listen_to('/short/log', key => $key);
is($l->{status}, 200, 'a key that is good');
$node->safe_psql('postgres', "SELECT theazo.api_key_revoke('$key_id', api_key => '$p->{key}')");
ok(to_end($l, 30), 'and revoked ends its stream');
is((docs($l))[-1]{code}, 'unauthorized', 'and says why');

# ---- who takes nothing ------------------------------------------------------------------------
$l = listen_to('/short/log');
my $before = streams();
$node->safe_psql('postgres', "SELECT theazo_internal.log_write('$p->{id}', NULL, 'info', 'system', repeat('x', 3900), 'live', '$p->{session}') FROM generate_series(1, 4000)");
ok($node->poll_query_until('postgres', "SELECT streams < $before FROM theazo.operator_gateways"), 'a client that takes nothing is cut');
leave($l);
is(ask($port, 'GET', '/healthz')->{status}, 200, 'the others are served');

# ---- a thousand --------------------------------------------------------------------------------
ok($node->poll_query_until('postgres', 'SELECT streams = 0 FROM theazo.operator_gateways'), 'streams whose clients left are gone') or diag(streams());
my @many = map { my $s = dial($port); say_raw($s, request('GET', '/api/sdk/audit/stream', key => $p->{key})); { socket => $s, raw => '', text => '', events => [] } } 1 .. 1000;
ok($node->poll_query_until('postgres', 'SELECT streams = 1000 FROM theazo.operator_gateways'), 'a thousand streams') or diag(streams());
$node->safe_psql('postgres', "SELECT theazo.session_create('for all', api_key => '$p->{key}')");
is(scalar(grep { until_true($_, sub { grep { ($_->{event} // '') eq 'audit' } data($_[0]) }) } @many), 1000, 'each is told');
is(ask($port, 'GET', '/v1/sessions', key => $p->{key})->{status}, 200, 'requests are answered beside them');
leave(@many);

# ---- at real length, where there is time ---------------------------------------------------------
if ($ENV{THEAZO_CHAOS})
{
	my ($audit, $agents) = (listen_to('/api/sdk/audit/stream'), listen_to("/v1/agents/$agent/stream"));
	my $opened = time();
	ok(to_end($audit, 660), 'the audit stream ends by itself');
	cmp_ok(time() - $opened, '>=', 599, 'after ten minutes');
	is((data($audit))[-1]{event}, 'timeout', 'saying so');
	cmp_ok(scalar(grep { ($_->{event} // '') eq 'keepalive' } data($audit)), '>=', 38, 'with a sign of life every 15 s');
	ok(to_end($agents, 60), 'so does the one of an agent without a task');
	is((data($agents))[-1]{data}, '[DONE]', 'with its mark');
}

# ---- the worker leaves --------------------------------------------------------------------------
$l = listen_to('/api/sdk/audit/stream');
$idle = listen_to("/v1/agents/$agent/stream");
my $log = listen_to('/v1/logs/stream');
$node->stop('fast');
ok(to_end($_, 10), 'told that it leaves') foreach $l, $idle, $log;
is((data($l))[-1]{event}, 'timeout', 'audit: timeout');
is((data($idle))[-1]{data}, '[DONE]', 'agent: an error, and the end');
done_testing();
