# Approvals from end to end: a model asks for a tool that needs one, nothing happens until somebody decides, and what was decided
# happens once, whatever is killed in between. Who waits for requests is told at once, in the database and by webhooks, whose
# deliveries are signed, tried again and given up as documented.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256 hmac_sha256_hex);
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use lib "$FindBin::RealBin";
use TheazoPath;

our $out;
my $model = open($out, '-|', 'python3', "$FindBin::RealBin/../mock/model_server.py") or die "cannot start the model server: $!";
my $port = <$out>;
chomp $port;
my $dir = PostgreSQL::Test::Utils::tempdir();
my $recorder = open(our $heard, '-|', 'python3', "$FindBin::RealBin/../mock/recorder.py", '--dir', $dir) or die "cannot start the recorder: $!";
my ($plain) = split ' ', scalar <$heard>;
END { my $status = $?; kill 'TERM', grep { $_ } $model, $recorder; $? = $status; }
my $http = HTTP::Tiny->new(timeout => 30);

sub control
{
	my ($what) = @_;
	my $answer = $http->post("http://127.0.0.1:$port/_control", { content => encode_json($what) });
	die "the model server refused: $answer->{content}" if !$answer->{success};
	return;
}

# Requests that the recorder was sent at a path: head lines by lower-case name, and the body.
sub heard
{
	my ($path) = @_;
	my @found;
	open(my $fh, '<', "$dir/recorded.jsonl") or return ();
	while (my $line = <$fh>)
	{
		my $entry = eval { decode_json($line) } or next;
		my ($head, $body) = split /\r\n\r\n/, $entry->{raw}, 2;
		my ($first, @lines) = split /\r\n/, $head;
		next if $first !~ m{^POST \Q$path\E };
		push @found, { body => $body, at => $entry->{at}, map { my ($n, $v) = split /:\s*/, $_, 2; (lc $n => $v) } @lines };
	}
	return @found;
}

sub wait_heard
{
	my ($path, $many) = @_;
	for (1 .. 600)
	{
		my @got = heard($path);
		return @got if @got >= $many;
		sleep 0.05;
	}
	fail("$path hears $many requests");
	return heard($path);
}

my $node = new_server('approval', "theazo.dispatchers = 2\nrestart_after_crash = on\n");
my $p = new_platform($node, 'Approval');
sub sql { return $node->safe_psql('postgres', $_[0]) }
my $judge = sql("SELECT key FROM theazo.api_key_create('judge', platform => '$p->{id}')");
sql("SELECT theazo.secret_set('model.key', 'sk-test', api_key => '$p->{key}')");
my $models = encode_json({ provider => 'openai-compatible', endpoint => "http://127.0.0.1:$port/v1", credentialRef => 'model.key' });
my $session = sql("SELECT id FROM theazo.session_create('user', models => '$models', api_key => '$p->{key}')");
sql("SELECT FROM theazo.tool_set('pay', 'Pays.', '{\"type\": \"object\"}', url => 'http://127.0.0.1:$plain/pay', requires_approval => true, api_key => '$p->{key}')");

my $n = 0;
# A run whose model calls pay with these arguments and then ends.
sub begin
{
	my ($arguments, $approvals) = @_;
	my $name = 'a' . ++$n;
	control({ rule => { conversation => $name, turns => [ { tools => [ { name => 'pay', arguments => $arguments } ] }, { text => 'Done.' } ] } });
	my %options = (model => 'chatty/one', tools => ['pay'], $approvals ? (approvals => $approvals) : ());
	return sql("SELECT id FROM theazo.session_run('$session', 'payer', " . quote("[conv:$name] Pay.") . ', ' . quote(encode_json(\%options)) . ", api_key => '$p->{key}')");
}

sub asked
{
	my ($run) = @_;
	wait_sql($node, "SELECT count(*) FROM theazo_data.approval WHERE run_id = '$run' AND status = 'pending'", 1, "run $run asks");
	return sql("SELECT id FROM theazo_data.approval WHERE run_id = '$run'");
}
sub result { return wait_run($p, $_[0], 60) }
sub paid { return scalar grep { decode_json($_->{body})->{callId} =~ /^$_[0]-/ } heard('/pay') }

# ---- asked, waited for, told ------------------------------------------------------------------------------------------
my ($hook, $secret) = split /\|/, sql("SELECT id, secret FROM theazo.webhook_create('http://127.0.0.1:$plain/hook?v=1', '{approval.requested,approval.resolved,approval.expired}', api_key => '$p->{key}')");
open(my $sleeper, '-|', 'psql', '-XAt', '-d', $node->connstr('postgres'), '-c', "SELECT id, action FROM theazo.approval_wait('25 s', api_key => '$judge')") or die "cannot start psql: $!";
wait_sql($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND wait_event_type = 'Extension'", 1, 'somebody sleeps');
my $run = begin({ amount => 5 });
my $ap = asked($run);
is(join('', <$sleeper>), "$ap|pay\n", 'who waits for requests is woken by one');
close $sleeper;
my ($told) = wait_heard('/hook?v=1', 1);
my $doc = decode_json($told->{body});
is($doc->{type}, 'approval.requested', 'a webhook is told');
is_deeply([ @{ $doc->{data} }{qw(id runId action status)}, $doc->{data}{params}{amount} ], [ $ap, $run, 'pay', 'pending', 5 ], '... of this approval');
like($told->{body}, qr/^\{"id":"evt_[0-9A-Z]{26}","type":"approval\.requested","createdAt":"[0-9T:.-]+Z","data":\{/, '... in the documented order, without spaces');
is($told->{'x-theazo-event'}, 'approval.requested', '... by name');
is($told->{'x-theazo-delivery'}, $doc->{id}, '... with its id');
is($told->{'x-theazo-signature'}, 'sha256=' . hmac_sha256_hex($told->{body}, $secret), '... signed over the body');
my $key = decode_base64($secret =~ s/^whsec_//r);
is($told->{'webhook-signature'}, 'v1,' . encode_base64(hmac_sha256("$told->{'webhook-id'}.$told->{'webhook-timestamp'}.$told->{body}", $key), ''),
	'... and as Standard Webhooks verify it');
is($told->{'webhook-id'}, $doc->{id}, '... under the id of the event');
is(sql("SELECT status FROM theazo.run_get('$run', api_key => '$p->{key}')"), 'running', 'the run waits');
is(sql("SELECT count(*) FROM theazo_data.effect WHERE run_id = '$run' AND state IN ('queued', 'claimed', 'sent')"), 0, '... and nothing of it is under way');

# ---- it survives everything --------------------------------------------------------------------------------------------
is(paid($run), 0, 'nobody was paid');
$node->restart;
wait_sql($node, "SELECT count(*) FROM theazo_internal.worker_status() WHERE kind = 'dispatcher' AND state = 'running'", 2, 'workers are back');
is(sql("SELECT status FROM theazo.approval_get('$ap', api_key => '$judge')"), 'pending', 'a restart changes nothing');
# decided and killed before anybody could carry it out: a SIGKILL of a dispatcher takes the whole server down
my $second = asked(my $run2 = begin({ amount => 6 }));
my @workers = split /\n/, sql("SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'dispatcher'");
kill 'STOP', @workers;
is(sql("SELECT status FROM theazo.approval_approve('$ap', api_key => '$judge')"), 'approved', 'somebody approves');
is(sql("SELECT status FROM theazo.approval_approve('$second', '{\"amount\": 1}', api_key => '$judge')"), 'approved', '... and changes an amount');
kill 'KILL', @workers;
$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM theazo_internal.worker_status() WHERE kind = 'dispatcher' AND state = 'running' AND NOT pid IN (" . join(', ', @workers) . ')');
is(result($_)->{status}, 'completed', 'the run goes on') for $run, $run2;
is(paid($_), 1, '... and paid once') for $run, $run2;
is_deeply([ map { decode_json($_->{body})->{input} } grep { decode_json($_->{body})->{callId} =~ /^$run2-/ } heard('/pay') ], [ { amount => 1 } ], '... what was approved');
is(sql("SELECT count(*) FROM theazo_data.charge WHERE run_id IN ('$run', '$run2') AND item = 'approval.cycle'"), 2, 'each cycle is booked once');
my @hooks = wait_heard('/hook?v=1', 4);
is(join(' ', sort map { decode_json($_->{body})->{type} } @hooks), join(' ', ('approval.requested') x 2, ('approval.resolved') x 2), 'webhooks heard of each once')
  if @hooks == 4;

# ---- denied, and by nobody ----------------------------------------------------------------------------------------------
my $denied = begin({ amount => 7 });
sql("SELECT theazo.approval_deny('" . asked($denied) . "', 'too dear', api_key => '$p->{key}')");
is(result($denied)->{status}, 'completed', 'a run goes on without');
is(sql("SELECT output FROM theazo.run_steps('$denied', api_key => '$p->{key}') WHERE kind = 'tool'"), 'denied: too dear', '... and was told why');
my $late = begin({ amount => 8 }, { timeout => '1s' });
my $later = begin({ amount => 9 }, { timeout => '1s', defaultAction => 'approve' });
is(result($late)->{status}, 'completed', 'the keeper ends what nobody decides');
is(result($later)->{status}, 'completed', '... either way');
is(join(' ', map { paid($_) } $denied, $late, $later), '0 0 1', '... as the default says');
is(sql("SELECT string_agg(status || ' ' || resolved_by, ', ') FROM theazo.approvals a JOIN unnest('{$late,$later}'::text[]) r ON r = a.run_id") || '(not shown)', '(not shown)', 'nobody sees them without a key');
is(sql("SELECT string_agg(DISTINCT status || ' ' || resolved_by, ', ') FROM theazo_data.approval a WHERE run_id IN ('$late', '$later')"), 'expired default_action', 'they expired');

# ---- ended from outside while it waits -------------------------------------------------------------------------------------
my $cut = begin({ amount => 10 });
my $open = asked($cut);
sql("SELECT theazo.kill('$cut', 'stop', api_key => '$p->{key}')");
wait_sql($node, "SELECT status FROM theazo_data.approval WHERE id = '$open'", 'expired', 'a run that is halted asks for nothing any more');
is(($node->psql('postgres', "SELECT theazo.approval_approve('$open', api_key => '$judge')"))[0], 3, '... and cannot be approved');
is(paid($cut), 0, '... nobody was paid');

# ---- deliveries that fail -----------------------------------------------------------------------------------------------------
my $bad = sql("SELECT id FROM theazo.webhook_create('http://127.0.0.1:$plain/status?status=500', '{permission.requested}', api_key => '$p->{key}')");
my $gone = sql("SELECT id FROM theazo.webhook_create('http://127.0.0.1:$plain/status?status=410', '{permission.requested}', api_key => '$p->{key}')");
my $tested = sql("SELECT id FROM theazo.webhook_test('$hook', api_key => '$p->{key}')");
wait_sql($node, "SELECT state FROM theazo_data.effect WHERE id = '$tested'", 'done', 'a test is delivered');
my $once = sql("SELECT id FROM theazo.webhook_test('$bad', api_key => '$p->{key}')");
wait_sql($node, "SELECT state || ' ' || attempt FROM theazo_data.effect WHERE id = '$once'", 'failed 1', '... or fails at once');
my $agent = sql("SELECT id FROM theazo.agent_create('$session', api_key => '$p->{key}')");
sql("SELECT FROM theazo.permission_request_create('$agent', '{\"allow_network\": true}', 'to look', 600000, api_key => '$p->{key}')");
wait_sql($node, "SELECT status FROM theazo_data.webhook WHERE id = '$gone'", 'disabled', '410 disables a webhook');
wait_sql($node, "SELECT state || ' ' || attempt FROM theazo_data.effect WHERE provider_name = 'webhook.$bad' AND id <> '$once'", 'queued 1', 'what failed waits');
my $waits = 0;
foreach my $attempt (1 .. 7)
{
	$waits += sql("SELECT round(extract(epoch FROM due_at - now())) BETWEEN (theazo_internal.webhook_waits())[$attempt] / 1000 - 60 AND (theazo_internal.webhook_waits())[$attempt] / 1000 FROM theazo_data.effect WHERE provider_name = 'webhook.$bad' AND id <> '$once'") eq 't';
	sql("BEGIN; UPDATE theazo_data.effect SET due_at = now() WHERE provider_name = 'webhook.$bad' AND state = 'queued'; SELECT theazo_internal.wake(); COMMIT");
	wait_sql($node, "SELECT attempt FROM theazo_data.effect WHERE provider_name = 'webhook.$bad' AND id <> '$once' AND state IN ('queued', 'failed')", $attempt + 1, "attempt $attempt failed");
}
is($waits, 7, '... longer each time');
is(sql("SELECT state FROM theazo_data.effect WHERE provider_name = 'webhook.$bad' AND id <> '$once'"), 'failed', '... and is given up after eight attempts');
my @same = grep { $_->{'x-theazo-event'} eq 'permission.requested' } heard('/status?status=500');
is(scalar(@same), 8, 'the receiver was asked eight times');
is(scalar(keys %{ { map { ("$_->{body} $_->{'webhook-id'}" => 1) } @same } }), 1, '... with the same body and id');
cmp_ok(scalar(keys %{ { map { ($_->{'webhook-timestamp'} => 1) } @same } }), '>=', 1, '... and the time of the attempt');
is(sql("SELECT string_agg(action, ' ' ORDER BY action) FROM theazo_data.event WHERE action IN ('webhook_disabled', 'webhook_given_up')"), 'webhook_disabled webhook_given_up webhook_given_up', 'which is in the trail');
unlike(join("\n", sql('SELECT * FROM theazo_data.event'), slurp_file($node->logfile)), qr/\Q$secret\E/, 'nowhere stands the key');

# ---- permissions asked for ------------------------------------------------------------------------------------------------------
my $short = sql("SELECT id FROM theazo.permission_request_create('$agent', '{\"allow_network\": true}', 'to look', 1000, api_key => '$p->{key}')");
is(sql("SELECT status FROM theazo.permission_request_wait('$short', api_key => '$judge')"), 'expired', 'who waits for an answer is told that none came');

is(sql('SELECT count(*) FROM theazo.integrity_check()'), 0, 'the checker finds nothing');
$node->stop;
done_testing();
