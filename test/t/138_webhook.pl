# Webhooks as their receivers see them: events of sessions and agents arrive signed, at the receivers of the documentation in Python and
# Node; what is tampered with, old or signed by somebody else is refused; keys are replaced without a gap; a slow receiver gets no
# more at once than it should, and nobody waits for it; nothing is lost when a dispatcher is killed; and the REST face.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256);
use Encode;
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

my $dir = PostgreSQL::Test::Utils::tempdir();
my $docs = "$FindBin::RealBin/../../docs/webhooks";
my @children;
END { my $status = $?; kill 'TERM', grep { $_ } @children; $? = $status; }
my $recorder = open(our $heard, '-|', 'python3', "$FindBin::RealBin/../mock/recorder.py", '--dir', $dir) or die "cannot start the recorder: $!";
push @children, $recorder;
my ($plain) = split ' ', scalar <$heard>;
my $listen = PostgreSQL::Test::Cluster::get_free_port();
my $node = new_server('webhook', "restart_after_crash = on\ntheazo.dispatchers = 2\ntheazo.gateway_workers = 1\ntheazo.gateway_listen = '127.0.0.1:$listen'\n");
my $p = new_platform($node, 'Hooks');
sub sql { return $node->safe_psql('postgres', $_[0]) }
my $http = HTTP::Tiny->new(timeout => 30);

# ---- the receivers of the documentation -------------------------------------------------------------------------------------------
# A receiver with these keys: its port, process, and the file of the events it took.
sub receiver
{
	my ($name, $port, $secrets) = @_;
	my @command = $name =~ /py$/ ? ('python3', "$docs/$name") : ('node', "$docs/$name");
	my $out = "$dir/$name.out";
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		open(STDOUT, '>>', $out) and open(STDERR, '>>', "$dir/$name.err") or die;
		$ENV{WEBHOOK_SECRET} = $secrets;
		exec @command, $port or exit 127;
	}
	push @children, $pid;
	for (1 .. 200)
	{
		last if $http->post("http://127.0.0.1:$port/", { content => '{}' })->{status} == 401;
		sleep 0.05;
	}
	return { pid => $pid, out => $out };
}

sub stopped
{
	my ($r) = @_;
	kill 'TERM', $r->{pid};
	waitpid $r->{pid}, 0;
	@children = grep { $_ != $r->{pid} } @children;
	return;
}

# Names of the events it printed, in their order by name.
sub taken
{
	my ($r) = @_;
	return map { decode_json($_) } grep { /\S/ } split /\n/, -e $r->{out} ? slurp_file($r->{out}) : '';
}

sub wait_taken
{
	my ($r, $many) = @_;
	for (1 .. 600)
	{
		my @got = taken($r);
		return @got if @got >= $many;
		sleep 0.05;
	}
	return taken($r);
}

sub deliver_now
{
	sql("BEGIN; UPDATE theazo_data.effect SET due_at = now() WHERE kind = 'webhook.deliver' AND state = 'queued' AND due_at < 'infinity'; SELECT theazo_internal.wake(); COMMIT");
	return;
}

foreach my $name (qw(receiver.py receiver.mjs))
{
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my ($hook, $secret) = split /\|/, sql("SELECT id, secret FROM theazo.webhook_create('http://127.0.0.1:$port/hook', '{session.created,session.terminated,webhook.test}', api_key => '$p->{key}')");
	my $r = receiver($name, $port, $secret);
	my $session = sql("SELECT id FROM theazo.session_create('somebody ä', metadata => '{\"plan\": \"a/b\"}', api_key => '$p->{key}')");
	sql("SELECT theazo.session_terminate('$session', api_key => '$p->{key}')");
	my @got = sort { $a->{type} cmp $b->{type} } wait_taken($r, 2);
	is(join(' ', map { $_->{type} } @got), 'session.created session.terminated', "$name is told of a session");
	is($got[0]{data}{sessionId}, $session, '... which');
	is(encode('UTF-8', $got[0]{data}{userId}), 'somebody ä', '... whose');
	is($got[1]{data}{status}, 'terminated', '... and how it is');

	# what somebody sends who has seen a delivery, but not the key
	my $body = '{"id":"evt_1","type":"webhook.test","createdAt":"2026-01-01T00:00:00.000Z","data":{}}';
	my $key = decode_base64(substr($secret, 6));
	my $now = int time;
	my $send = sub {
		my ($id, $stamp, $sign, $text) = @_;
		return $http->post("http://127.0.0.1:$port/hook", { content => $text // $body,
			headers => { 'webhook-id' => $id, 'webhook-timestamp' => $stamp, (defined $sign ? ('webhook-signature' => $sign) : ()) } })->{status};
	};
	my $sign = sub { return 'v1,' . encode_base64(hmac_sha256("$_[0].$_[1]." . ($_[2] // $body), $_[3] // $key), '') };
	is($send->('evt_1', $now, $sign->('evt_1', $now)), 204, '... it takes what is signed');
	is($send->('evt_1', $now, 'v1,AAAA ' . $sign->('evt_1', $now) . ' v1a,BBBB'), 204, '... by one of several signatures');
	is(scalar(grep { $_->{id} eq 'evt_1' } taken($r)), 1, '... and an event once');
	is($send->('evt_1', $now, $sign->('evt_1', $now), "$body "), 401, '... but not another body');
	is($send->('evt_2', $now, $sign->('evt_1', $now)), 401, '... another id');
	is($send->('evt_1', $now + 1, $sign->('evt_1', $now)), 401, '... another time');
	is($send->('evt_1', $now - 301, $sign->('evt_1', $now - 301)), 401, '... what is old');
	is($send->('evt_1', $now + 400, $sign->('evt_1', $now + 400)), 401, '... or from the future');
	is($send->('evt_1', $now, $sign->('evt_1', $now, $body, 'another key')), 401, '... another key');
	is($send->('evt_1', $now, undef), 401, '... nothing');
	is($send->('evt_1', 'soon', $sign->('evt_1', 'soon')), 401, '... no time');
	is($send->('evt_3', $now, $sign->('evt_3', $now)), 401, '... nor another event than it says');
	is($send->('evt_1', $now, $sign->('evt_1', $now, 'x'), 'x'), 401, '... nor what is no event');

	# the key is replaced: the old one is believed until the receiver has the new one, and then that
	my $next = sql("SELECT secret FROM theazo.webhook_rotate('$hook', api_key => '$p->{key}')");
	sql("SELECT theazo.webhook_test('$hook', api_key => '$p->{key}')");
	is(scalar(grep { $_->{type} eq 'webhook.test' && $_->{data}{webhookId} } wait_taken($r, 4)), 1, '... with the key before');
	stopped($r);
	$r = receiver($name, $port, $next);
	sql("SELECT theazo.webhook_test('$hook', api_key => '$p->{key}')");
	is(scalar(grep { $_->{type} eq 'webhook.test' && $_->{data}{webhookId} } wait_taken($r, 5)), 2, '... with the new key');
	sql("UPDATE theazo_data.webhook SET previous_until = now() WHERE id = '$hook'");
	stopped($r);
	$r = receiver($name, $port, $secret);
	my $refused = sql("SELECT id FROM theazo.webhook_test('$hook', api_key => '$p->{key}')");
	wait_sql($node, "SELECT state FROM theazo_data.effect WHERE id = '$refused'", 'failed', 'the old key signs no more');
	stopped($r);
	sql("SELECT theazo.webhook_delete('$hook', api_key => '$p->{key}')");
}

# ---- the REST face ----------------------------------------------------------------------------------------------------------------
sub rest
{
	my ($method, $path, $body, $key) = @_;
	my $answer = $http->request($method, "http://127.0.0.1:$listen$path",
		{ headers => { Authorization => 'Bearer ' . ($key // $p->{key}), 'Content-Type' => 'application/json' }, (defined $body ? (content => encode_json($body)) : ()) });
	return ($answer->{status}, length($answer->{content} // '') ? decode_json($answer->{content}) : undef);
}
for (1 .. 600)
{
	last if ($http->get("http://127.0.0.1:$listen/healthz")->{status} == 200);
	sleep 0.1;
}
my ($status, $doc) = rest('POST', '/v1/webhooks', { url => "http://127.0.0.1:$plain/rest", events => ['webhook.test', 'agent.completed', 'webhook.test'] });
is($status, 201, 'a webhook by REST');
is(join(' ', sort keys %$doc), 'createdAt events id secret url', '... all of it');
like($doc->{secret}, qr/^whsec_[A-Za-z0-9+\/]{43}=$/, '... its secret whole');
is(join(' ', @{ $doc->{events} }), 'agent.completed webhook.test', '... its events');
my $made = $doc->{id};
is((rest('POST', "/v1/webhooks/$made/test"))[0], 204, 'a test answers once the receiver has');
my $refusing = (rest('POST', '/v1/webhooks', { url => "http://127.0.0.1:$plain/status?status=418", events => ['*'] }))[1]{id};
($status, $doc) = rest('POST', "/v1/webhooks/$refusing/test");
is("$status $doc->{error}{code} $doc->{error}{details}{status}", '502 provider_error 418', '... and says what it answered, if that was no 2xx');
my $nowhere = PostgreSQL::Test::Cluster::get_free_port();
my $silent = (rest('POST', '/v1/webhooks', { url => "http://127.0.0.1:$nowhere/", events => ['*'] }))[1]{id};
($status, $doc) = rest('POST', "/v1/webhooks/$silent/test");
is("$status $doc->{error}{code}", '502 provider_error', '... or that nobody was there');
($status, $doc) = rest('GET', '/v1/webhooks');
is(join(' ', map { $_->{id} } @$doc), "$silent $refusing $made", 'the list, newest first');
like(encode('UTF-8', $doc->[2]{secret}), qr/^whsec_.{4}…$/, '... with the beginning of the secret');
foreach my $bad ([{ events => ['*'] }, 'url'], [{ url => 'https://a.example' }, 'events'], [{ url => 'https://a.example', events => [] }, 'events'],
	[{ url => 'https://a.example', events => 'x' }, 'events'], [{ url => 'https://a.example', events => ['x'] }, 'events'], [{ url => 7, events => ['*'] }, 'url'],
	[{ url => 'http://169.254.169.254/', events => ['*'] }, 'url'])
{
	($status, $doc) = rest('POST', '/v1/webhooks', $bad->[0]);
	is("$status $doc->{error}{code} $doc->{error}{details}{field}", "400 invalid_request $bad->[1]", "refused: " . encode_json($bad->[0]));
}
is($doc->{error}{details}{reason}, 'egress_denied', '... as an address that nobody may call');
my $other = new_platform($node, 'Others');
is((rest('POST', "/v1/webhooks/$made/test", undef, $other->{key}))[0], 404, 'another platform does not find it');
is((rest('DELETE', "/v1/webhooks/$made", undef, $other->{key}))[0], 404, '... nor deletes it');
is(scalar(@{ (rest('GET', '/v1/webhooks', undef, $other->{key}))[1] }), 0, '... nor sees it');
is((rest('DELETE', "/v1/webhooks/$_"))[0], 204, 'deleted') foreach $made, $refusing, $silent;
is((rest('DELETE', "/v1/webhooks/$made"))[0], 404, '... once');

# ---- a receiver that is slow ------------------------------------------------------------------------------------------------------
# how many requests to a path were open at once, by when each came and how long it takes
sub crowd
{
	my ($path, $ms) = @_;
	my @at;
	open(my $fh, '<', "$dir/recorded.jsonl") or return (0, 0);
	while (my $line = <$fh>)
	{
		my $entry = eval { decode_json($line) } or next;
		push @at, $entry->{at} if $entry->{raw} =~ m{^POST \Q$path\E };
	}
	@at = sort { $a <=> $b } @at;
	my $most = 0;
	foreach my $i (0 .. $#at)
	{
		# those that began less than their time before this one are still open
		my $open = grep { $at[$_] > $at[$i] - $ms / 1000 } 0 .. $i;
		$most = $open if $open > $most;
	}
	return (scalar(@at), $most);
}
my $slow = sql("SELECT id FROM theazo.webhook_create('http://127.0.0.1:$plain/wait?ms=200', '{webhook.test}', api_key => '$p->{key}')");
sql("SELECT theazo.webhook_update('$slow', max_in_flight => 3, api_key => '$p->{key}')");
my $quick = sql("SELECT id FROM theazo.webhook_create('http://127.0.0.1:$plain/quick', '{approval.expired}', api_key => '$p->{key}')");
sql("SELECT count(theazo_internal.notify('$p->{id}', 'live', 'webhook.test', to_jsonb(i))) FROM generate_series(1, 30) i");
sql("SELECT count(theazo_internal.notify('$p->{id}', 'live', 'approval.expired', to_jsonb(i))) FROM generate_series(1, 20) i");
wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE provider_name = 'webhook.$quick' AND state = 'done'", 20, 'the quick one has everything');
isnt(sql("SELECT count(*) FROM theazo_data.effect WHERE provider_name = 'webhook.$slow' AND state = 'done'"), 30, '... before the slow one');
wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE provider_name = 'webhook.$slow' AND state = 'done'", 30, 'which has it as well in the end');
my ($came, $most) = crowd('/wait?ms=200', 200);
is($came, 30, '... each once');
cmp_ok($most, '<=', 3, '... never more at once than it should');
is(sql("SELECT count(*) FROM theazo_data.event WHERE action = 'secret_opened' AND convert_from(body, 'UTF8')::jsonb #>> '{summary,name}' = 'webhook.$quick'") <= 20 ? 'ok' : 'more', 'ok',
	'a key is opened once for several deliveries at most');

# ---- a dispatcher is killed while deliveries fly ------------------------------------------------------------------------------------
my $lasting = sql("SELECT id FROM theazo.webhook_create('http://127.0.0.1:$plain/wait?ms=50', '{approval.requested}', api_key => '$p->{key}')");
sql("SELECT count(theazo_internal.notify('$p->{id}', 'live', 'approval.requested', to_jsonb(i))) FROM generate_series(1, 150) i");
wait_sql($node, "SELECT count(*) > 20 FROM theazo_data.effect WHERE provider_name = 'webhook.$lasting' AND state = 'done'", 't', 'some have arrived');
my $pid = sql("SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'dispatcher' ORDER BY random() LIMIT 1");
kill 'KILL', $pid;
$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM theazo_internal.worker_status() WHERE kind = 'dispatcher' AND state = 'running' AND pid <> $pid")
  or die 'dispatchers do not come back';
for (1 .. 400)
{
	last if sql("SELECT count(*) FROM theazo_data.effect WHERE provider_name = 'webhook.$lasting' AND state <> 'done'") == 0;
	deliver_now();
	sleep 0.25;
}
is(sql("SELECT count(*) FROM theazo_data.effect WHERE provider_name = 'webhook.$lasting' AND state = 'done'"), 150, 'all have arrived in the end');
my %ids;
open(my $fh, '<', "$dir/recorded.jsonl") or die;
while (my $line = <$fh>)
{
	my $entry = eval { decode_json($line) } or next;
	next if $entry->{raw} !~ m{^POST /wait\?ms=50 };
	my ($id) = $entry->{raw} =~ /^webhook-id: (\S+)/mi;
	$ids{$id}++;
}
is(scalar(keys %ids), 150, '... each at least once');
is(sql("SELECT status FROM theazo.webhook_get('$lasting', '$p->{key}')"), 'active', '... and the webhook is as it was');
is(sql("SELECT string_agg(c::text, E'\\n') FROM theazo.integrity_check() c"), '', 'nothing is out of place');

done_testing();
