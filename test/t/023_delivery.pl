# How secrets reach sandboxes, local ones and those behind a webhook: as variables of each process or
# as placeholders, never at the creation of a local one; that what comes back is masked in every form,
# and for how long; and that each opening is an event which says where the value went.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use JSON::PP;
use Digest::SHA qw(sha256_hex);
use MIME::Base64;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;
use Time::HiRes qw(sleep);

my $node = new_server('delivery', "theazo.keeper_interval = '1s'\n");
my $p = new_platform($node, 'delivery');
my $key = "api_key => '$p->{key}'";
my $have_local = $node->safe_psql('postgres', 'SELECT mode FROM theazo_data.preflight') ne 'none';

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

sub set
{
	my ($name, $value, $more) = @_;
	$more = defined $more ? "$more, " : '';
	return sql("SELECT version FROM theazo.secret_set('$name', " . quote($value) . ", $more$key)");
}

# Openings of a run or an agent: use, name, version, vault, host.
sub opened
{
	my ($what, $id) = @_;
	return sql("SELECT string_agg(concat_ws('/', s ->> 'use', s ->> 'name', s ->> 'version', s ->> 'vault', coalesce(s ->> 'host', '-')),"
		  . " ' ' ORDER BY s ->> 'use', s ->> 'name', (s ->> 'version')::int)"
		  . " FROM theazo_data.event e, LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'summary') AS b (s)"
		  . " WHERE action = 'secret_opened' AND ${what}_id = '$id'");
}

# Is it in anything that is stored, as text or as bytes, by what a plain dump of the data shows.
sub dump_has
{
	my ($value) = @_;
	my ($out, $err);
	IPC::Run::run([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-a', 'postgres' ], '>', \$out, '2>', \$err);
	die $err if !defined $out || $out eq '';
	return index($out, $value) >= 0 || index($out, unpack('H*', $value)) >= 0 ? 1 : 0;
}

my $one = 'canary-one-7f3a91c2';
my $two = 'p@ss/w:rd "two" \\ 41';
my $pem = "-----BEGIN KEY-----\nMIIEcanaryPEMline1\nMIIEcanaryPEMline2\n-----END KEY-----\n";

set('one key', $one, "session => '$p->{session}'");
set('two', $two, "session => '$p->{session}'");
set('pem', $pem, "session => '$p->{session}'");
set('held.back', 'canary-brokered-55aa', "session => '$p->{session}', delivery => 'brokered', hosts => '{api.example.com}'");
set('PLATFORM_ONE', 'canary-platform-0b1c');

SKIP:
{
	skip 'this machine offers no local sandboxes', 1 if !$have_local;
	local_sandbox();
}
webhook_sandbox();
done_testing();

sub local_sandbox
{
	my $agent = new_agent($p);
	my ($r, $run, $sandbox);

	$sandbox = sql("SELECT id FROM theazo_data.sandbox WHERE agent_id = '$agent'");
	is(opened(agent => $agent), '', 'a local sandbox is made without any secret');
	is(sql("SELECT count(*) FROM theazo_data.secret_delivered"), '0', 'so nothing was given to it');

	# ---- variables and placeholders ---------------------------------------------
	$r = run_code($p, $agent, 'sh', 'printf %s "$ONE_KEY" | wc -c; echo "$HELD_BACK"; echo "<$PLATFORM_ONE>"');
	is($r->{stdout}, length($one) . "\ntzsecret_HELD_BACK\n<>\n",
		'a session\'s secret is a variable, a brokered one a placeholder, a platform\'s is not there');
	is(opened(run => $r->{id}), 'env/one key/1/session/- env/pem/1/session/- env/two/1/session/-',
		'each opening is an event');
	is(sql("SELECT string_agg(name || version, ' ' ORDER BY name) FROM theazo_data.secret_delivered WHERE sandbox_id = '$sandbox'"),
		'one key1 pem1 two1', 'what was given is remembered, sealed');

	# ---- masking, in every form ----------------------------------------------------
	$r = run_code($p, $agent, 'python', <<'PY');
import base64, json, os, sys, urllib.parse
one, two, pem = os.environ['ONE_KEY'], os.environ['TWO'], os.environ['PEM']
print('raw', one, two)
print('json', json.dumps({'k': two, 'p': pem}))
print('percent', urllib.parse.quote(two), urllib.parse.quote_plus(two), urllib.parse.quote(two, safe=''))
print('base64', base64.b64encode(one.encode()).decode(), base64.urlsafe_b64encode(('user:' + one).encode()).decode())
print('wrapped', base64.encodebytes(('x' * 50 + one + 'y' * 50).encode()).decode().replace(chr(10), '|', 0))
print('lines', pem.split(chr(10))[1], end='.\n')
print('error', one, file=sys.stderr)
PY
	is($r->{status}, 'completed', 'a program may print its variables');
	my $plain = $r->{stdout};
	my $tail = substr($one, 4, 8);
	like($plain, qr/^raw \*\*\* \*\*\*$/m, 'as they are');
	like($plain, qr/^json \{"k": "\*\*\*", "p": "\*\*\*(\\n)?"\}$/m, 'escaped in JSON');
	like($plain, qr/^percent \*\*\* \*\*\* \*\*\*$/m, 'percent-encoded in three ways');
	like($plain, qr/^base64 \*\*\* dXNlcj\S{0,2}\*\*\*$/m, 'in base64, also behind a user name');
	like($plain, qr/^lines \*\*\*\.$/m, 'a line of several');
	is($r->{stderr}, "error ***\n", 'in the errors');
	my ($wrapped) = $plain =~ /^wrapped (.*?)^lines/ms;
	unlike(decode_base64($wrapped // ''), qr/\Q$one\E/, 'in base64 with line breaks');
	unlike($plain, qr/\Q$tail\E/, 'nothing of it is left');

	# a value that the ceiling of output cuts in two
	$r = run_code($p, $agent, 'python', <<'PY', "timeout => '30 s'");
import os, sys
one = os.environ['ONE_KEY']
sys.stdout.write('x' * (1048576 - 10) + one + 'y' * 100000)
PY
	is($r->{truncated}, JSON::PP::true, 'output is cut');
	like($r->{stdout}, qr/x\*\*\*$/, 'a value that was cut in two is masked');

	# ---- files, lists, failures ------------------------------------------------------
	$r = run_code($p, $agent, 'sh', 'env > env.txt; printf "%s" "$ONE_KEY" > "$ONE_KEY"; printf x > small');
	is($r->{exit_code}, 0, 'a program writes them to files');
	$r = wait_run($p, start_run($p, 'file_read_start', $agent, "'env.txt'"));
	like($r->{text}, qr/^ONE_KEY=\*\*\*$/m, 'a file is masked');
	unlike($r->{text}, qr/canary-one/, 'all of it');
	is($r->{text} =~ /canaryPEM/, '', 'lines of it as well');
	is(opened(run => $r->{id}), 'mask/one key/1/session/- mask/pem/1/session/- mask/two/1/session/-',
		'opening them to look for them is an event as well');
	$r = wait_run($p, start_run($p, 'file_list_start', $agent, "'/'"));
	is(join(' ', sort map { $_->{name} } @{ $r->{entries} }), '*** env.txt small', 'a name in a list is masked');
	$r = wait_run($p, start_run($p, 'file_read_start', $agent, "'small'"));
	is($r->{text}, 'x', 'other files are as they were');

	# ---- rotation: the new value from the next process on, the old one is still masked --------
	my $new = 'canary-uno-91d2e7b5';
	is(set('one key', $new, "session => '$p->{session}'"), '2', 'a new value is set');
	$r = run_code($p, $agent, 'sh', 'printf %s "$ONE_KEY" | sha256sum; echo "now $ONE_KEY"; grep ONE_KEY env.txt');
	is($r->{stdout}, sha256_hex($new) . "  -\nnow ***\nONE_KEY=***\n", 'the next process has it; the old and the new one are masked');
	is(opened(run => $r->{id}),
		'env/one key/2/session/- env/pem/1/session/- env/two/1/session/- mask/one key/1/session/-',
		'the event names the version');
	sql("SELECT theazo.secret_delete('two', session => '$p->{session}', $key)");
	$r = run_code($p, $agent, 'sh', 'echo "<$TWO>"; grep TWO env.txt');
	is($r->{stdout}, "<>\nTWO=***\n", 'a deleted one is gone from the next process and still masked');

	# ---- nothing in a command line, in the process of the sandbox or in what is stored ----------
	$run = start_run($p, 'exec_start', $agent, "'sh', 'sleep 601'");
	wait_sql($node, "SELECT status FROM theazo_data.run WHERE id = '$run'", 'running', 'a program runs');
	my (@seen, $there);
	for (1 .. 600)
	{
		foreach my $file (glob '/proc/[0-9]*/cmdline')
		{
			open(my $fh, '<', $file) or next;
			local $/;
			my $text = <$fh> // '';
			push @seen, $file if index($text, $new) >= 0;
			$there = 1 if $text =~ /^sleep\x00601\b/;
		}
		last if $there;
		sleep 0.1;
	}
	ok($there, 'its process is there');
	is("@seen", '', 'no command line has a value');
	sql("SELECT theazo.run_cancel('$run', $key)");
	wait_run($p, $run);

	# ---- a name asked for in the network -------------------------------------------------------
	my $net = new_agent($p, '{"network": {"enabled": true, "allow": ["127.0.0.1", "*.invalid"]}}');
	$r = run_code($p, $net, 'python', <<'PY');
import os, socket, urllib.parse
proxy = urllib.parse.urlparse(os.environ.get('http_proxy') or os.environ.get('HTTP_PROXY') or 'http://127.0.0.1:1')
try:
    s = socket.create_connection((proxy.hostname, proxy.port), 5)
    s.sendall(('CONNECT %s.invalid:443 HTTP/1.1\r\n\r\n' % os.environ['ONE_KEY']).encode())
    print(s.recv(100)[:20])
except OSError as e:
    print(e)
PY
	is($r->{status}, 'completed', 'a program asks for a host named like a secret');
	wait_sql($node, "SELECT count(*) > 0 FROM theazo_data.event WHERE run_id = '$r->{id}' AND convert_from(body, 'UTF8') LIKE '%***.invalid%'",
		't', 'what it asked for is recorded, masked', 10);
	foreach my $value ($one, $two, 'MIIEcanaryPEMline1', $new, 'canary-brokered-55aa')
	{
		is(dump_has($value), 0, "\"" . substr($value, 0, 10) . "...\" is in no row");
	}
	cmp_ok(dump_has('tzsecret_HELD_BACK'), '==', 1, '(and a dump would show what is in rows)');

	# ---- end of the sandbox -----------------------------------------------------------------------
	sql("SELECT theazo.agent_terminate('$agent', $key)");
	wait_sql($node, "SELECT count(*) FROM theazo_data.secret_delivered WHERE sandbox_id = '$sandbox'", '0',
		'what was given to a sandbox is forgotten when it has ended', 30);
	cmp_ok(sql("SELECT count(*) FROM theazo_data.secret_delivered"), '>', 0, 'but for those that live');
	set('one key', $one, "session => '$p->{session}'");
	set('two', $two, "session => '$p->{session}'");

	# ---- more than an environment takes: said with what to do ---------------------------------------
	$agent = new_agent($p);
	sql("SELECT count(*) FROM theazo.secrets_set((SELECT jsonb_object_agg('big' || i, repeat('canary' || i, 8000)) FROM generate_series(1, 5) i), '$p->{session}', $key)");
	$r = run_code($p, $agent, 'sh', 'true');
	is("$r->{status} $r->{error_sqlstate}", 'failed 54000', 'more secrets than an environment takes');
	like($r->{error_hint}, qr/option secrets, or set large ones as brokered/, '... and what to do');
	is(sql("SELECT count(*) FROM theazo_data.secret_delivered WHERE name LIKE 'big%'"), '0', '... and none of them counts as given');
	sql("SELECT count(*) FROM generate_series(1, 5) i, LATERAL theazo.secret_delete('big' || i, '$p->{session}', true, $key)");
	is(run_code($p, $agent, 'sh', 'true')->{status}, 'completed', 'with fewer it goes on');
	sql("SELECT theazo.agent_terminate('$agent', $key)");
}

sub webhook_sandbox
{
	my $credential = 'canary-hook-6e2d77';
	my $double = new_double('--exec', 'real', '--credential', $credential);
	my ($r, $agent, $version);

	set('hook', $credential);
	sql("SELECT theazo.platform_allow_egress('$p->{id}', allow_http => true, allow_private => true)");
	sql("SELECT name FROM theazo.provider_set('hooked', type => 'webhook', endpoint => 'http://127.0.0.1:$double->{port}',"
		  . " credential_ref => 'hook', $key)");
	$version = sql("SELECT version FROM theazo_data.secret WHERE name = 'one key'");
	$agent = new_agent($p, '{"provider": "hooked", "secrets": ["one key", "held.back", "PLATFORM_ONE"]}');
	like(opened(agent => $agent),
		qr{^credential/hook/1/platform/127.0.0.1 env/PLATFORM_ONE/1/platform/127.0.0.1 env/one key/$version/session/127.0.0.1 signing/hook/1/platform/127.0.0.1$},
		'a webhook gets the credential and the variables at creation');
	my ($create) = $double->requests('create');
	my $vars = decode_json($create->{body})->{envVars};
	is("$vars->{ONE_KEY} $vars->{PLATFORM_ONE} $vars->{HELD_BACK}", "$one canary-platform-0b1c tzsecret_HELD_BACK",
		'as values, and the brokered one as its placeholder');
	ok(!exists $vars->{TWO}, 'a list on the agent restricts what it gets');

	# ---- set: visible from the next exec -----------------------------------------------
	my $new = 'canary-eins-44cd90';
	$version = set('one key', $new, "session => '$p->{session}'");
	$r = run_code($p, $agent, 'sh', 'printf %s "$ONE_KEY" | sha256sum; echo "$ONE_KEY $PLATFORM_ONE $HELD_BACK"');
	is($r->{stdout}, sha256_hex($new) . "  -\n*** *** tzsecret_HELD_BACK\n", 'the next process has the new value, and its output is masked');
	like(opened(run => $r->{id}), qr{env/one key/$version/session/127.0.0.1 mask/one key/\d+/session/- }, 'the one given earlier is masked, too');

	# ---- what a provider answers --------------------------------------------------------------
	$double->control({ rule => { op => 'exec', mode => 'answer', times => 1,
		body => { stdout => "old $one", stderr => encode_base64("x:$credential", ''), exitCode => 0, $new => 1 } } });
	$r = run_code($p, $agent, 'sh', 'true');
	is($r->{stdout}, 'old ***', 'an older value that the provider answers is masked');
	like($r->{stderr}, qr/^\S{1,3}\*\*\*$/, 'and the credential');
	foreach my $mode ({ mode => 'echo', status => 400 },
		{ mode => 'status', status => 400, body => { error => ('x' x 180) . " $new and $credential" } },
		{ mode => 'status', status => 400, body => { error => 'Basic ' . encode_base64("user:$credential", '') } })
	{
		$double->control({ rule => { op => 'exec', times => 1, %$mode } });
		$r = run_code($p, $agent, 'sh', 'true');
		is($r->{status}, 'failed', 'a provider refuses');
		my $text = encode_json($r);
		unlike($text, qr/canary-hook|canary-eins|Y2FuYXJ5LWhv|jYW5hcnktaG9va|OmNhbmFyeS1ob29r/, 'its words are masked');
	}
	$double->control({ rule => { op => 'read', mode => 'answer', times => 1, body => { content => encode_base64("has $new.", '') } } });
	$r = wait_run($p, start_run($p, 'file_read_start', $agent, "'x'"));
	is($r->{text}, 'has ***.', 'a file as well');
	$double->control({ rule => { op => 'create', mode => 'answer', times => 1, body => { sandboxId => "box-$new" } } });
	my $bad = new_agent($p, '{"provider": "hooked", "secrets": ["one key"]}', 'failed');
	is(sql("SELECT count(*) FROM theazo_data.sandbox WHERE external_id LIKE '%$new%'"), '0', 'a sandbox cannot be named by a value');
	$double->control({ rule => { op => 'create', mode => 'answer', times => 1,
		body => { sandboxId => 'sb-plain', metadata => { "key $new" => { deep => [ "v $credential", 7, undef ] } } } } });
	my $meta = new_agent($p, '{"provider": "hooked", "secrets": ["one key"]}');
	is(sql("SELECT metadata FROM theazo_data.sandbox WHERE agent_id = '$meta'"),
		'{"key ***": {"deep": ["v ***", 7, null]}}', 'metadata is masked, names and all');
	foreach my $value ($one, $new, $credential, 'canary-platform-0b1c')
	{
		is(dump_has($value), 0, "\"" . substr($value, 0, 11) . "...\" is in no row");
	}

	# ---- more than a handful ---------------------------------------------------------------------
	sql("SELECT count(*) FROM theazo.secrets_set((SELECT jsonb_object_agg('MANY_' || i, 'canary-many-' || i) FROM generate_series(1, 150) i), session => '$p->{session}', $key)");
	my $many = new_agent($p, '{"provider": "hooked"}');
	$r = run_code($p, $many, 'sh', 'echo $MANY_150; env | grep -c canary-many-');
	is($r->{stdout}, "***\n150\n", 'a hundred and fifty secrets');
	return;
}
