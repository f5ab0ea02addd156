# The REST contract: the documents of test/rest, written by hand, against the operations themselves and through the gateway.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;
use TheazoRest;

my $rules = PostgreSQL::Test::Utils::tempdir() . '/rules.json';
append_to_file($rules, q([
 {"contains": "Say hello", "answer": {"text": "Hello."}},
 {"contains": "Take your time", "answer": {"text": "Done."}, "delay_ms": 1500},
 {"contains": "Break down", "fault": "model"},
 {"contains": "Pay the bill", "turns": [{"text": "", "tools": [{"name": "pay", "arguments": {"amount": 7}}]}, {"text": "Paid."}]},
 {"contains": "Write the file", "turns": [
	{"text": "", "tools": [{"name": "write_file", "arguments": {"path": "/data/out.txt", "content": "x"}}]}, {"text": "Written."}]}]));
our $model_out;
my $model = open($model_out, '-|', 'python3', "$FindBin::RealBin/../mock/model_server.py", '--rules', $rules) or die "cannot start the model server: $!";
chomp(my $model_port = <$model_out>);
# what tools are handled by
our $tool_out;
my $tools = open($tool_out, '-|', 'python3', "$FindBin::RealBin/../mock/recorder.py", '--dir', PostgreSQL::Test::Utils::tempdir()) or die "cannot start the recorder: $!";
my ($tool_port) = split ' ', scalar <$tool_out>;
END { my $status = $?; kill 'KILL', grep { $_ } $model, $tools; $? = $status; }

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $node = new_server('rest', "theazo.dispatchers = 1\ntheazo.gateway_workers = 1\ntheazo.gateway_listen = '127.0.0.1:$port'\ntheazo.gateway_rate = 0\n");
my $double = new_double('--exec', 'real');
sub sql { return $node->safe_psql('postgres', $_[0]) }

# Each walk has platforms of its own, so that both begin with nothing.
sub kept
{
	my ($name) = @_;
	my %kept = (model_url => "http://127.0.0.1:$model_port/v1", tool_url => "http://127.0.0.1:$tool_port", large => 'x' x 65537);
	foreach my $p ('a', 'b')
	{
		my $id = sql("SELECT id FROM theazo.platform_create('$name $p')");
		sql("SELECT theazo.platform_allow_egress('$id', allow_private => true, allow_http => true)");
		$kept{keys}{$p} = sql("SELECT key FROM theazo.api_key_create('k', platform => '$id')");
		next if $p eq 'b';
		$kept{keys}{test} = sql("SELECT key FROM theazo.api_key_create('t', 'test', platform => '$id')");
		$kept{keys}{reader} = sql("SELECT key FROM theazo.api_key_create('r', scopes => '{session:read}', platform => '$id')");
	}
	sql("SELECT theazo.provider_set('hooked', type => 'webhook', endpoint => 'http://127.0.0.1:$double->{port}', api_key => '$kept{keys}{a}')");
	sql("SELECT theazo.provider_set('gate', 'model', 'openai-compatible', endpoint => 'http://127.0.0.1:$model_port/v1', api_key => '$kept{keys}{a}')");
	return \%kept;
}

my @files = $ENV{REST_FILES} ? split(/ /, $ENV{REST_FILES}) : map { m{([a-z_]+)\.json$} } sort glob("$FindBin::RealBin/../rest/*.json");
my %faces = (operations => rest_sql_face($node), gateway => rest_http_face("http://127.0.0.1:$port"));
foreach my $named (sort keys %faces)
{
	foreach my $file (@files)
	{
		# secrets and definitions of one file are not another's matter
		my $kept = kept("$named $file");
		rest_walk($file, $faces{$named}, $named, $kept);
	}
	# what the test says itself in plain SQL stands there
	is(scalar(() = slurp_file($node->logfile) =~ /value-canary|sk-inline-canary/g), 0, 'no secret in the server log') if $named eq 'gateway';
}

# ---- what only reads does so in a transaction that can do nothing else, as PostgREST makes one for a GET ------------------
{
	my $kept = kept('reading');
	my %id = (sessions => sql("SELECT id FROM theazo.session_create('u', api_key => '$kept->{keys}{a}')"),
		'agent-definitions' => sql("SELECT id FROM theazo.definition_create('d', api_key => '$kept->{keys}{a}')"));
	$id{agents} = sql("SELECT id FROM theazo.agent_create('$id{sessions}', api_key => '$kept->{keys}{a}')");
	my $n = 0;
	foreach (split /\n/, sql("SELECT path, operation FROM theazo_internal.rest_routes() WHERE method = 'GET' AND operation <> 'not_built' AND NOT flags && '{wait,stream,write,public}' AND path LIKE '/v1/%'"))
	{
		my ($path, $operation) = split /\|/;
		my ($of) = $path =~ m{^/v1/([a-z-]+)/:id};
		next if $path =~ /:/ && !($of && $id{$of});
		my $out = $node->psql('postgres', "SET ROLE theazo_gateway; BEGIN READ ONLY; SELECT theazo_internal.rest_call('$operation', '" . ($of ? "{\"id\": \"$id{$of}\"}" : '{}') . "', '$kept->{keys}{a}')",
			stderr => \my $said);
		unlike($said, qr/read-only/, "GET $path writes nothing");
		$n++;
	}
	cmp_ok($n, '>=', 15, 'routes that read');
}

# ---- what a token of a session sees ------------------------------------------------------------------------------------
my $kept = kept('token');
my $face = $faces{operations};
my @s = map { my ($status, $h, $d) = $face->('POST', '/v1/sessions', $kept->{keys}{a}, { userId => $_ }); $d->{id} } 'mine', 'other';
my $token = sql("SELECT key FROM theazo.session_token_create('$s[0]', '5 min', api_key => '$kept->{keys}{a}')");
my @agents = map { sql("SELECT id FROM theazo.agent_create('$_', api_key => '$kept->{keys}{a}')") } @s;
my %of = (id => [@s], agent => [@agents]);
sub told { my ($status, undef, $d, $raw) = $face->(@_); return ($status, $d, $raw) }
my ($status, $d) = told('GET', '/v1/sessions', $token);
is(join(' ', map { $_->{id} } @{ $d->{data} }), $s[0], 'a token sees its session');
($status, $d) = told('GET', '/v1/agents', $token);
is(join(' ', map { $_->{id} } @{ $d->{data} }), $agents[0], '... and its agents');
my @routes = map { [ split /\|/ ] } split /\n/, sql("SELECT method, path, operation FROM theazo_internal.rest_routes() WHERE operation <> 'not_built' AND NOT flags && '{public,stream}' ORDER BY path, method");
cmp_ok(scalar(@routes), '>', 40, 'routes are listed');
foreach my $r (@routes)
{
	my ($method, $path, $operation) = @$r;
	next if $path !~ m{^/v1/(sessions|agents)/:id};
	my ($good, $bad) = @{ $of{ $1 eq 'sessions' ? 'id' : 'agent' } };
	my %body = (userId => 'u', agent => 'x', task => 'x', language => 'sh', code => 'true', path => '/x', data => 'x', port => 80, type => 'x', content => 'x', maxAgents => 5, A => 'x');
	%body = (A => 'x') if $path =~ /secrets/;
	my $call = $path =~ s/:id/$bad/r =~ s/:name/A/r =~ s/\*path/x/r;
	my ($at, $doc) = told($method, $call, $token, $method =~ /^(?:GET|DELETE)$/ ? undef : \%body);
	ok($at == 404 || $at == 403, "a token of another session: $method $path is $at");
	my ($none, $no) = told($method, $call =~ s/$bad/substr($bad, 0, 4) . '0' x 26/er, $token, $method =~ /^(?:GET|DELETE)$/ ? undef : \%body);
	is($at, $none, '... as for one that is not there');
}
foreach ([ 'POST', '/v1/sessions', { userId => 'mine' } ], [ 'POST', '/v1/sessions/by-user/mine', {} ], [ 'POST', '/v1/secrets', { A => 'x' } ], [ 'GET', '/v1/secrets' ],
	[ 'POST', '/v1/agent-definitions', { name => 'x' } ], [ 'POST', "/v1/sessions/$s[0]/terminate" ], [ 'PATCH', "/v1/sessions/$s[0]/limits", { maxAgents => 100 } ])
{
	my ($at) = told($_->[0], $_->[1], $token, $_->[2]);
	is($at, 403, "a token may not: $_->[0] $_->[1]");
}
# what is of the platform is not a token's, and lists show its own
foreach ([ 'GET', '/v1/api-keys' ], [ 'POST', '/v1/api-keys', { name => 'x', environment => 'live' } ], [ 'GET', '/v1/platform' ], [ 'PATCH', '/v1/platform', { name => 'x' } ],
	[ 'GET', '/v1/providers' ], [ 'GET', '/v1/providers/hooked' ], [ 'PUT', '/v1/providers/e2b', {} ], [ 'DELETE', '/v1/providers/hooked' ],
	[ 'POST', '/v1/tools', { name => 'x', description => 'x', parameters => { type => 'object' }, handler => { url => 'https://x.example/' } } ], [ 'POST', '/v1/tools/web_search/test', { query => 'x' } ],
	[ 'PUT', '/v1/guardrails', { blockPII => JSON::PP::false } ], [ 'POST', '/api/sdk/kill-switch/global', { halted => JSON::PP::true } ])
{
	my ($at) = told($_->[0], $_->[1], $token, $_->[2]);
	is($at, 403, "a token may not: $_->[0] $_->[1]");
}
foreach my $path ('/v1/logs', '/v1/traces', '/v1/approvals', '/v1/guardrails/violations', '/v1/usage/export?period=month&format=json', '/api/v1/sdk/agents', '/api/sdk/audit', '/api/sdk/permission-requests')
{
	my ($at, undef, $raw) = told('GET', $path, $token);
	ok($at == 403 || $at == 200 && $raw !~ /\Q$s[1]\E|\Q$agents[1]\E/, "a token sees nothing of another session: GET $path is $at");
}
($status) = told('POST', "/v1/sessions/$s[0]/terminate", $kept->{keys}{a});
is($status, 204, 'the session ends');
($status, $d) = told('GET', '/v1/sessions', $token);
is($status, 401, '... and its token with it');

# ---- the same through theazo_api, in plain SQL ---------------------------------------------------------------------------
is(sql("SET ROLE theazo_gateway; SELECT theazo_api.session_create(\"userId\" => 'by name', api_key => '$kept->{keys}{a}') ->> 'userId'"), 'by name', 'named arguments in plain SQL');
is(sql("SELECT string_agg(proname, ' ') FROM pg_proc WHERE pronamespace = 'theazo_api'::regnamespace AND obj_description(oid, 'pg_proc') !~ E'^[^\\n]+\\n(GET|POST|PUT|PATCH|DELETE) /'"), '',
	'each says what it does and which route it is');
is(sql("SELECT string_agg(r.operation, ' ') FROM theazo_internal.rest_routes() r WHERE to_regprocedure('theazo_internal.rest_' || r.operation || '(jsonb)') IS NULL"), '',
	'each route has its operation');
is(sql("SELECT count(*) FROM theazo_internal.rest_routes() GROUP BY method, regexp_replace(path, '[:*][a-zA-Z]+', ':', 'g') HAVING count(*) > 1"), '', 'no two routes are one');

$node->stop;
done_testing();
