# The gateway: what it answers, what it makes of anything but HTTP, requests that wait, keys that are sent twice, leaving and coming back.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoHttp;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $node = new_server('gateway', qq(
theazo.gateway_workers = 2
theazo.gateway_listen = 'postgres=127.0.0.1:$port'
theazo.gateway_idle_timeout = 3s
theazo.gateway_allow_origins = 'https://app.example'
theazo.gateway_max_body = 64kB
restart_after_crash = on
));
my $p = new_platform($node, 'callers');
my $q = new_platform($node, 'others');
$node->safe_psql('postgres', "SELECT theazo.operator_rate_limit_set('key', 60000, 10000)");

# Operations of this test's own, behind routes beside the real ones.
$node->safe_psql('postgres', q{
ALTER FUNCTION theazo_internal.rest_routes() RENAME TO rest_routes_real;
CREATE FUNCTION theazo_internal.rest_routes() RETURNS TABLE (method text, path text, operation text, status integer, flags text[], parameters jsonb, summary text)
LANGUAGE sql IMMUTABLE AS $$
	SELECT * FROM theazo_internal.rest_routes_real() UNION ALL
	VALUES ('POST', '/test/echo/:id', 'test_echo', 200, '{share}'::text[], '[]'::jsonb, ''),
		   ('GET', '/test/echo/:id', 'test_echo', 200, '{}', '[]', ''), ('GET', '/test/echo/mine', 'test_who', 200, '{}', '[]', ''),
		   ('GET', '/test/files/*path', 'test_echo', 200, '{}', '[]', ''),
		   ('POST', '/test/fail', 'test_fail', 200, '{share}', '[]', ''), ('POST', '/test/nothing', 'test_nothing', 204, '{}', '[]', ''),
		   ('GET', '/test/who', 'test_who', 200, '{public}', '[]', ''), ('POST', '/test/raw', 'test_echo', 202, '{public,raw}', '[]', ''),
		   ('POST', '/test/body', 'test_echo', 200, '{body}', '[]', ''), ('GET', '/api/test/fail', 'test_fail', 200, '{snake}', '[]', ''),
		   ('POST', '/test/wait', 'test_wait', 200, '{wait}', '[]', ''), ('GET', '/test/text', 'test_text', 200, '{}', '[]', ''),
		   ('POST', '/test/secret', 'test_secret', 201, '{}', '[]', ''), ('GET', '/test/slow', 'test_slow', 200, '{}', '[]', '')
$$;
CREATE FUNCTION theazo_internal.rest_test_echo(a jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT a';
CREATE FUNCTION theazo_internal.rest_test_nothing(a jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
CREATE FUNCTION theazo_internal.rest_test_slow(a jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(pg_sleep(30)::text) $$;
CREATE FUNCTION theazo_internal.rest_test_who(a jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT jsonb_build_object('platform', theazo_internal.current_platform(), 'user', current_user, 'request', current_setting('theazo.request_id')) $$;
CREATE FUNCTION theazo_internal.rest_test_secret(a jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('secret', 'whsec_0123456789abcdef0123456789') $$;
CREATE FUNCTION theazo_internal.rest_test_text(a jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT theazo_internal.rest_answer(206, '{"Content-Type": "text/csv", "X-Next-Cursor": "c"}'); SELECT to_jsonb(E'a,b\n1,2\n'::text) $$;
CREATE FUNCTION theazo_internal.rest_test_fail(a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.session_create(coalesce(a ->> 'user', 'lost'));
	RAISE EXCEPTION USING ERRCODE = coalesce(a ->> 'code', 'TZ103'), MESSAGE = 'it failed', DETAIL = '{"status": "x"}', HINT = 'Do otherwise.';
END $$;
CREATE FUNCTION theazo_internal.rest_test_wait(a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN jsonb_build_object('$wait', (theazo.exec_start(a ->> 'agent', 'sh', a ->> 'code')).id, '$then', 'test_waited', '$args', jsonb_build_object('agent', a -> 'agent', 'given', a -> 'given'));
END $$;
CREATE FUNCTION theazo_internal.rest_test_waited(a jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT jsonb_build_object('given', a -> 'given', 'platform', theazo_internal.current_platform(), 'runs', (SELECT count(*) FROM theazo.runs r WHERE r.agent_id = a ->> 'agent')) $$;
DO $$ DECLARE f regprocedure; BEGIN
	FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'theazo_internal'::regnamespace AND proname ~ '^rest_(test|routes)' LOOP
		EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO theazo_gateway', f);
	END LOOP;
END $$;
});
wait_gateway($port);
# a worker that looked at its routes before they were changed looks again after a miss
for (my $hits = 0, my $until = time() + 60; $hits < 20 && time() < $until; )
{
	$hits = ask($port, 'GET', '/test/who')->{status} == 200 ? $hits + 1 : 0;
	sleep 0.05;
}

sub code { my ($a) = @_; return $a->{doc} ? ($a->{doc}{error}{code} // '-') : '?'; }
sub sessions { return $node->safe_psql('postgres', "SELECT count(*) FROM theazo_data.session WHERE user_id = '$_[0]'"); }
my %k = (key => $p->{key});

# ---- health --------------------------------------------------------------------
my $a = ask($port, 'GET', '/healthz');
is($a->{body}, '{"status":"ok"}', 'healthz');
like($a->{headers}{'x-request-id'}, qr/^req_[0-9A-Z]{26}$/, 'every answer has an id');
is(ask($port, 'GET', '/readyz')->{status}, 200, 'readyz');
$a = ask($port, 'POST', '/healthz');
is("$a->{status} $a->{headers}{allow}", '405 GET, HEAD, OPTIONS', 'healthz is only read');

# ---- what a request is ---------------------------------------------------------------
$a = ask($port, 'POST', '/v1/sessions', %k, body => { userId => 'one' });
is("$a->{status} $a->{doc}{userId}", '201 one', 'a session is made');
is(sessions('one'), 1, 'once');
$a = ask($port, 'POST', '/v1/sessions', headers => { 'X-API-Key' => $p->{key} }, body => { userId => 'two' });
is($a->{status}, 201, 'X-API-Key');
is(ask($port, 'POST', '/v1/sessions', %k, headers => { 'X-API-Key' => $p->{key} }, body => { userId => 'two' })->{status}, 201, 'both headers, the same key');
is(ask($port, 'POST', '/v1/sessions', %k, headers => { 'X-API-Key' => $q->{key} }, body => { userId => 'x' })->{status}, 401, 'both, two keys');
$a = ask($port, 'POST', '/v1/sessions', body => { userId => 'x' });
is("$a->{status} " . code($a) . " $a->{headers}{'www-authenticate'}", '401 unauthorized Bearer', 'no key');
is($a->{doc}{requestId}, $a->{headers}{'x-request-id'}, 'errors repeat the id');
is(ask($port, 'POST', '/v1/sessions', key => 'th_live_wrong', body => {})->{status}, 401, 'a wrong key');
is(ask($port, 'POST', '/v1/sessions', key => "caf\xc3\xa9", body => {})->{status}, 401, 'no key at all');
$a = ask($port, 'POST', '/test/echo/a%2Fb%20c?x=1&y=a+b&x=2&$raw=q&id=query', %k, body => '{"id": "body", "z": {"deep": [1, null]}, "$headers": 1, "y": 3}');
is_deeply($a->{doc}, { id => 'a/b c', x => '2', y => 'a b', z => { deep => [1, undef] } }, 'body, query, path: the later wins, nothing of the face comes from outside');
is_deeply(ask($port, 'POST', '/test/echo/e', %k)->{doc}, { id => 'e' }, 'an empty body is an empty object');
is_deeply(ask($port, 'GET', '/test/files/a/b%2Fc/%7Ed', %k)->{doc}, { path => 'a/b/c/~d' }, 'a rest of several segments');
is(ask($port, 'GET', '/test/echo/mine', %k)->{doc}{user}, 'theazo_gateway', 'the more exact route wins');
is_deeply(ask($port, 'POST', '/test/body', %k, body => { A => 'b' })->{doc}, { '$body' => { A => 'b' } }, 'a body that stays together');
$a = ask($port, 'POST', '/test/raw', body => "{ \"b\":1}", headers => { 'Webhook-Id' => 'w', Cookie => 'c', Accept => 'text/x' });
is_deeply($a->{doc}, { b => 1, '$raw' => '{ "b":1}', '$headers' => { 'webhook-id' => 'w' }, '$accept' => 'text/x' }, 'what only the face says');
$a = ask($port, 'POST', '/test/nothing', %k, body => {});
is("$a->{status} '$a->{body}'", "204 ''", 'nothing');
$a = ask($port, 'GET', '/test/text', %k);
is("$a->{status} $a->{headers}{'content-type'} $a->{headers}{'x-next-cursor'} $a->{body}", "206 text/csv c a,b\n1,2\n", 'a text with its own type, status and headers');
$a = ask($port, 'HEAD', '/test/text', %k);
is("$a->{status} $a->{headers}{'content-type'} '$a->{body}'", "206 text/csv ''", 'HEAD');
is(ask($port, 'GET', '/nothing/here', %k)->{status}, 404, 'unknown path');
$a = ask($port, 'DELETE', '/test/echo/x', %k);
is("$a->{status} $a->{headers}{allow}", '405 POST, GET, HEAD, OPTIONS', 'unknown method');
is(code(ask($port, 'GET', '/api/nothing')), 'NOT_FOUND', 'an unknown path of the other family');
$a = ask($port, 'GET', '/api/test/fail', %k);
is_deeply([ @{ $a->{doc} }{qw(success)}, $a->{doc}{error}{code} ], [ JSON::PP::false, 'CONFLICT' ], 'and its envelope');

# ---- who asks ------------------------------------------------------------------------------
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
$node->safe_psql('postgres', "INSERT INTO theazo_data.platform_role (platform_id, role_name, environment, scopes) VALUES ('$p->{id}', '$superuser', 'live', '{*}')");
is(ask($port, 'GET', '/test/who')->{doc}{platform}, undef, 'nobody asks where no key is needed, whatever the server itself is bound to');
$node->safe_psql('postgres', "DELETE FROM theazo_data.platform_role WHERE role_name = '$superuser'");
{
	my $s = dial($port);
	my $left = '';
	say_raw($s, request('GET', '/test/echo/mine', %k) . request('GET', '/test/who') . request('GET', '/test/echo/mine', key => $q->{key}));
	is_deeply([ map { hear($s, \$left)->{doc}{platform} } 1 .. 3 ], [ $p->{id}, undef, $q->{id} ], 'requests of one connection share nothing');
}
$a = ask($port, 'GET', '/test/who');
is($a->{doc}{request}, $a->{headers}{'x-request-id'}, 'the id stands in events as well');

# ---- errors ---------------------------------------------------------------------------------
$a = ask($port, 'POST', '/test/fail', %k, body => {});
is_deeply($a->{doc}{error}, { code => 'conflict', message => 'it failed', details => { status => 'x', hint => 'Do otherwise.' } }, 'an error with its details');
$a = ask($port, 'POST', '/test/fail', %k, body => { code => 'XX000' });
is("$a->{status} $a->{doc}{error}{message}", '500 internal error', 'an unexpected one says nothing');
is(sessions('lost'), 0, 'what failed left nothing behind');
is_deeply([ map { ask($port, 'POST', '/test/fail', %k, body => { code => $_ })->{status} } qw(40001 40P01 55P03) ], [ 503, 503, 503 ], 'another transaction in the way');
{
	# together in one transaction, or not: each for itself
	my @s = map { dial($port) } 1 .. 20;
	say_raw($s[$_], request('POST', $_ % 2 ? '/test/fail' : '/v1/sessions', %k, body => { user => 'mixed', userId => 'mixed' })) for 0 .. 19;
	is(join(' ', map { hear($_)->{status} } @s), join(' ', (201, 409) x 10), 'those that fail take nobody along');
	is(sessions('mixed'), 10, 'and those that do not are committed');
}
$node->safe_psql('postgres', "ALTER SYSTEM SET theazo.gateway_statement_timeout = '200ms'; SELECT pg_reload_conf()");
sleep 0.3;
is(ask($port, 'GET', '/test/slow', %k)->{status}, 503, 'work that takes too long');
$node->safe_psql('postgres', "ALTER SYSTEM RESET theazo.gateway_statement_timeout; SELECT pg_reload_conf()");

# Where two answers are named, versions of the library differ.
# ---- anything but HTTP --------------------------------------------------------------------------
my $auth = "Host: x\r\nAuthorization: Bearer $p->{key}\r\n";
my $post = "POST /test/echo/x HTTP/1.1\r\n$auth";
my @bad = (
	[ 'a line without end', 'GET /' . 'a' x 70000, '414|400|431|0' ],
	[ 'a path too long', 'GET /' . ('a' x 9000) . " HTTP/1.1\r\nHost: x\r\n\r\n", '400' ],
	[ 'a header too long', "GET /healthz HTTP/1.1\r\nHost: x\r\nX: " . ('a' x 70000) . "\r\n\r\n", '431' ],
	[ 'too many headers', "GET /healthz HTTP/1.1\r\nHost: x\r\n" . ("X: b\r\n" x 9000) . "\r\n", '431' ],
	[ 'a NUL in the path', "GET /test/echo/a\0b HTTP/1.1\r\n$auth\r\n", '400|0' ],
	[ 'an encoded NUL', "GET /test/echo/a%00b HTTP/1.1\r\n$auth\r\n", '400' ],
	[ 'an encoded line end', "GET /test/echo/a%0d%0aX HTTP/1.1\r\n$auth\r\n", '400' ],
	[ 'a broken escape', "GET /test/echo/a%4 HTTP/1.1\r\n$auth\r\n", '400' ],
	[ 'bytes that are no UTF-8', "GET /test/echo/\xff\xfe HTTP/1.1\r\n$auth\r\n", '400' ],
	[ 'the same, encoded', "GET /test/echo/%c3%28 HTTP/1.1\r\n$auth\r\n", '400' ],
	[ 'the same in the query', "GET /test/echo/x?a=%ff HTTP/1.1\r\n$auth\r\n", '400' ],
	[ 'a query of too many parts', 'GET /test/echo/x?' . join('&', map { "a$_=1" } 1 .. 200) . " HTTP/1.1\r\n$auth\r\n", '400' ],
	[ 'length and chunks', "${post}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", '400', 1 ],
	[ 'chunks and length', "${post}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", '400', 1 ],
	[ 'two lengths', "${post}Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", '400', 1 ],
	[ 'two equal lengths', "${post}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", '400', 1 ],
	[ 'a negative length', "${post}Content-Length: -2\r\n\r\n{}", '400' ],
	[ 'a length with a sign', "${post}Content-Length: +2\r\n\r\n{}", '400' ],
	[ 'a length in hex', "${post}Content-Length: 0x2\r\n\r\n{}", '400' ],
	[ 'a length beyond numbers', "${post}Content-Length: 99999999999999999999999\r\n\r\n{}", '413|400' ],
	[ 'an unknown coding', "${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", '400|501', 1 ],
	[ 'two codings', "${post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", '400|501', 1 ],
	[ 'chunked twice', "${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", '400', 1 ],
	[ 'a blank before the colon', "${post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", '400', 1 ],
	[ 'a chunk of no number', "${post}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", '400' ],
	[ 'a chunk longer than said', "${post}Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}\r\n0\r\n\r\n", '400' ],
	[ 'two hosts', "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", '400' ],
	[ 'no host', "GET /healthz HTTP/1.1\r\n\r\n", '400' ],
	[ 'a header without colon', "GET /healthz HTTP/1.1\r\nHost: x\r\nfoo\r\n\r\n", '400' ],
	[ 'an address with a host', "GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n", '400' ],
	[ 'a tunnel', "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", '400' ],
	[ 'an unknown method', "FOO /test/echo/x HTTP/1.1\r\n$auth\r\n", '405' ],
	[ 'a method in small letters', "get /test/echo/x HTTP/1.1\r\n$auth\r\n", '405' ],
	[ 'HTTP/2', "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", '505|400' ],
	[ 'TLS', "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" . ("\0" x 100) . "\r\n\r\n", '400|0' ],
	[ 'noise', join('', map { chr(($_ * 7919) % 256) } 1 .. 2000) . "\r\n\r\n", '400|414|431|505|0' ],
	[ 'a body too large, as said', "${post}Content-Length: 90000\r\n\r\n" . ('a' x 90000), '413' ],
	[ 'a body far too large, as said', "${post}Content-Length: 900000000\r\n\r\n", '413' ],
	[ 'a body too large, in chunks', "${post}Transfer-Encoding: chunked\r\n\r\n" . ("1000\r\n" . ('a' x 4096) . "\r\n") x 20 . "0\r\n\r\n", '413' ],
	[ 'a body without JSON', "${post}Content-Length: 5\r\n\r\nhello", '400' ],
	[ 'a body with a list', "${post}Content-Length: 2\r\n\r\n[]", '400' ],
	[ 'a body with a NUL', "${post}Content-Length: 9\r\n\r\n{\"a\":\"\0\"}", '400' ],
	[ 'a body with an encoded NUL', "${post}Content-Length: 14\r\n\r\n{\"a\":\"\\u0000\"}", '400' ],
	[ 'a body that is no UTF-8', "${post}Content-Length: 9\r\n\r\n{\"a\":\"\xff\"}", '400' ],
	[ 'a body without bottom', "${post}Content-Length: 60005\r\n\r\n{\"a\":" . ('[' x 60000), '400' ],
);
for (@bad)
{
	my ($what, $bytes, $want, $ends) = @$_;
	my $s = dial($port);
	my $left = '';
	say_raw($s, $bytes);
	my $got = hear($s, \$left, 10);
	my $status = $got ? $got->{status} : 0;
	like($status, qr/^(?:$want)$/, "$what: $want");
	is(hear($s, \$left, 5), undef, '... and nothing behind it is taken for a request') if $ends;
	close $s;
}
is(ask($port, 'POST', '/test/echo/x', %k, body => {})->{status}, 200, 'all of which harmed nobody');

{
	my $s = dial($port);
	my $left = '';
	say_raw($s, join('', map { request('POST', "/test/echo/$_", %k, body => {}) } 1 .. 30));
	is(join(' ', map { hear($s, \$left)->{doc}{id} } 1 .. 30), join(' ', 1 .. 30), 'requests in a row are answered in their order');
	say_raw($s, $_) && sleep 0.003 for split //, request('POST', '/test/echo/slow', %k, body => { a => 1 });
	is_deeply(hear($s, \$left)->{doc}, { id => 'slow', a => 1 }, 'byte by byte');
	say_raw($s, "${post}Transfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n4;x=y\r\n: 2}\r\n0\r\nX-T: 1\r\n\r\n");
	is_deeply(hear($s, \$left)->{doc}, { id => 'x', a => 2 }, 'in chunks');
	say_raw($s, "${post}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
	sleep 0.1;
	say_raw($s, '{}');
	is(hear($s, \$left)->{status}, 200, 'after asking whether it may');
}
{
	my @s = map { dial($port) } 1 .. 200;
	say_raw($_, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Sl") for @s;
	is(ask($port, 'POST', '/test/echo/x', %k, body => {})->{status}, 200, 'half headers of others hinder nobody');
	my $half = dial($port);
	say_raw($half, "${post}Content-Length: 100\r\n\r\n{");
	my $drip = dial($port);
	my $began = time();
	say_raw($drip, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: ");
	my $alive = 1;
	while ($alive && time() - $began < 20)
	{
		$alive = say_raw($drip, 'a') && !IO::Select->new($drip)->can_read(0.3);
	}
	ok(!$alive, 'a drip of headers is cut');
	is(hear($half, undef, 20), undef, 'half a body is given up');
	is(hear($s[0], undef, 20), undef, 'half headers too');
}

# Requests with some of their bytes changed, left out or doubled: whatever is answered, the workers live on.
{
	my $pids = "SELECT string_agg(pid::text, ' ' ORDER BY slot) FROM theazo_internal.worker_status() WHERE kind = 'gateway'";
	my $before = $node->safe_psql('postgres', $pids);
	my @good = (request('POST', '/test/echo/a%2Fb?x=1&y=%C3%A9', %k, body => { a => [ 1, 'x' ] }), request('GET', '/test/files/a/b?limit=1', %k),
		"${post}Transfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n4\r\n: 2}\r\n0\r\n\r\n");
	srand(4711);
	for my $n (1 .. 400)
	{
		my $bytes = $good[ $n % @good ];
		for (1 .. 1 + rand 4)
		{
			my $at = int rand length $bytes;
			my $how = int rand 4;
			substr($bytes, $at, 1) = chr rand 256 if $how == 0;
			substr($bytes, $at, 1 + rand 8) = '' if $how == 1;
			substr($bytes, $at, 0) = substr($bytes, rand length $bytes, 1 + rand 16) if $how == 2;
			substr($bytes, $at, 0) = (chr(0), "\r\n", '%', "\xff", ' ', ':', '0' x 40)[ rand 7 ] if $how == 3;
		}
		my $s = dial($port);
		say_raw($s, $bytes);
		shutdown($s, 1);
		hear($s, undef, 0.02);
		close $s;
	}
	is($node->safe_psql('postgres', $pids), $before, 'no worker died of noise');
	is(ask($port, 'POST', '/test/echo/x', %k, body => {})->{status}, 200, 'and they serve');
	# each a key of its own: looked up at a bounded rate, and nobody else is held up
	my %tried;
	for my $n (1 .. 12)
	{
		my $s = dial($port);
		my $left = '';
		say_raw($s, join '', map { request('GET', '/test/echo/x', key => "th_live_$n-$_") } 1 .. 100);
		for (1 .. 100) { my $r = hear($s, \$left, 10) or last; $tried{ $r->{status} }++; }
	}
	cmp_ok($tried{429} // 0, '>', 0, 'keys cannot be tried without end');
	is(ask($port, 'POST', '/test/echo/x', %k, body => {})->{status}, 200, 'while a known one passes');
}

# ---- pages of other origins -----------------------------------------------------------------------
$a = ask($port, 'OPTIONS', '/v1/sessions', headers => { Origin => 'https://app.example', 'Access-Control-Request-Method' => 'POST', 'Access-Control-Request-Headers' => 'authorization' });
is(join('|', $a->{status}, @{ $a->{headers} }{qw(access-control-allow-origin access-control-allow-methods access-control-allow-headers)}),
	'204|https://app.example|POST, GET, HEAD, OPTIONS|authorization', 'a page that asks whether it may');
is(ask($port, 'GET', '/healthz', headers => { Origin => 'https://app.example' })->{headers}{'access-control-allow-origin'}, 'https://app.example', 'may');
is(ask($port, 'GET', '/healthz', headers => { Origin => 'https://evil.example' })->{headers}{'access-control-allow-origin'}, undef, 'another may not');

# ---- keys sent twice ----------------------------------------------------------------------------------
{
	my @s = map { dial($port) } 1 .. 20;
	say_raw($_, request('POST', '/v1/sessions', %k, headers => { 'Idempotency-Key' => 'twenty' }, body => { userId => 'once' })) for @s;
	my @a = map { hear($_) } @s;
	my %ids = map { ($_->{doc}{id} // '?') => 1 } @a;
	is(join(' ', scalar(keys %ids), map { $_->{status} } @a), join(' ', 1, (201) x 20), 'twenty at once get one answer');
	is(scalar(grep { ($_->{headers}{'idempotent-replay'} // '') eq 'true' } @a), 19, 'nineteen of them a repeated one');
	is(sessions('once'), 1, 'and one session is made');
}
my %i = (headers => { 'Idempotency-Key' => 'i' });
is(ask($port, 'POST', '/v1/sessions', %k, %i, body => { userId => 'once' })->{status}, 201, 'a key');
$a = ask($port, 'POST', '/v1/sessions', %k, %i, body => { userId => 'twice' });
is("$a->{status} " . code($a), '409 conflict', 'with another body');
is(ask($port, 'POST', '/test/echo/x', %k, %i, body => { userId => 'once' })->{status}, 409, 'at another path');
is(ask($port, 'POST', '/v1/sessions', key => $q->{key}, %i, body => { userId => 'q' })->{doc}{userId}, 'q', 'of another platform');
is(ask($port, 'POST', '/v1/sessions', %k, headers => { 'Idempotency-Key' => 'a' x 256 }, body => {})->{status}, 400, 'too long');
my @ids = map { ask($port, 'POST', '/test/fail', %k, headers => { 'Idempotency-Key' => 'f' }, body => {})->{doc}{requestId} } 1 .. 2;
is($ids[0], $ids[1], 'a refusal is repeated');
@ids = map { ask($port, 'POST', '/test/fail', %k, headers => { 'Idempotency-Key' => 'g' }, body => { code => 'XX000' })->{doc}{requestId} } 1 .. 2;
isnt($ids[0], $ids[1], 'a failure is not');
@ids = map { ask($port, 'POST', '/test/secret', %k, headers => { 'Idempotency-Key' => 's' }, body => {})->{status} } 1 .. 2;
is("@ids", '201 409', 'a credential is shown once');
is($node->safe_psql('postgres', "SELECT count(*) FROM theazo_data.rest_reply WHERE body LIKE '%whsec%'"), 0, 'and kept nowhere');
$node->safe_psql('postgres', "UPDATE theazo_data.rest_reply SET created_at = now() - '25 hours'::interval");
is(ask($port, 'POST', '/v1/sessions', %k, %i, body => { userId => 'twice' })->{status}, 201, 'after a day a key is a new one');
$node->safe_psql('postgres', "UPDATE theazo_data.rest_reply SET created_at = now() - '25 hours'::interval; SELECT theazo_internal.keeper_prune()");
is($node->safe_psql('postgres', 'SELECT count(*) FROM theazo_data.rest_reply'), 0, 'and the answers are gone');

# ---- keys that see one end user, and keys that end -------------------------------------------------------
{
	my @s = map { $node->safe_psql('postgres', "SELECT id FROM theazo.session_create('$_', api_key => '$p->{key}')") } qw(ann bob);
	my @t = map { $node->safe_psql('postgres', "SELECT key FROM theazo.session_token_create('$_', '1 hour', api_key => '$p->{key}')") } @s;
	my @r = map { ask($port, 'POST', '/test/echo/x', key => $_, headers => { 'Idempotency-Key' => 'mine' }, body => {}) } @t, $t[0];
	is_deeply([ map { $_->{headers}{'idempotent-replay'} // '-' } @r ], [ '-', '-', 'true' ], 'an Idempotency-Key is the end user\'s own');
	is(ask($port, 'POST', '/v1/sessions', key => $t[0], body => { userId => 'eve' })->{status}, 403, 'which makes no sessions');
	my $short = $node->safe_psql('postgres', "SELECT key FROM theazo.api_key_create('short', expires_at => now() + '1500 ms'::interval, api_key => '$p->{key}')");
	is(ask($port, 'POST', '/test/echo/x', key => $short, body => {})->{status}, 200, 'a key that ends soon');
	sleep 1.6;
	is(ask($port, 'POST', '/test/echo/x', key => $short, body => {})->{status}, 401, 'and has ended');
}

# ---- waiting ---------------------------------------------------------------------------------------------
my $agent = new_agent($p);
my $go = $node->basedir . '/go';
{
	my @s = map { dial($port) } 1 .. 8;
	say_raw($_, request('POST', '/test/wait', %k, body => { agent => $agent, code => 'sleep 1', given => 7 }, headers => { 'Idempotency-Key' => 'w' })) for @s;
	wait_sql($node, "SELECT sum(waiting) FROM theazo.operator_gateways", 8, 'eight wait');
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'theazo gateway' AND xact_start IS NOT NULL"), 0, 'no transaction is held');
	is(ask($port, 'POST', '/test/echo/x', %k, body => {})->{status}, 200, 'others are served meanwhile');
	my @a = map { hear($_) } @s;
	is(join(' ', map { "$_->{status}/$_->{doc}{given}/" . ($_->{doc}{platform} eq $p->{id}) } @a), join(' ', ('200/7/1') x 8), 'all get the end of the run');
	is($a[0]{doc}{runs}, 1, 'of which there is one');
}
{
	my $s = dial($port);
	say_raw($s, request('POST', '/test/wait', %k, body => { agent => $agent, code => 'sleep 1; echo done' }));
	wait_sql($node, "SELECT sum(waiting) FROM theazo.operator_gateways", 1, 'one waits');
	close $s;
	wait_sql($node, "SELECT string_agg(status, ' ') FROM theazo_data.run WHERE agent_id = '$agent'", 'completed completed', 'work goes on without its client');
}
$node->safe_psql('postgres', "ALTER SYSTEM SET theazo.gateway_max_wait = '1s'; SELECT pg_reload_conf()");
sleep 0.3;
$a = ask($port, 'POST', '/test/wait', %k, body => { agent => $agent, code => 'sleep 4' });
is("$a->{status} $a->{doc}{status}", '202 running', 'nobody waits for ever');
like($a->{doc}{runId}, qr/^run_/, 'and is told for what');
$node->safe_psql('postgres', "ALTER SYSTEM RESET theazo.gateway_max_wait; SELECT pg_reload_conf()");
sleep 0.3;

# ---- leaving and coming back ---------------------------------------------------------------------------------
{
	my $s = dial($port);
	my $other = new_agent($p);
	say_raw($s, request('POST', '/test/wait', %k, body => { agent => $other, code => 'sleep 3' }));
	wait_sql($node, "SELECT sum(waiting) FROM theazo.operator_gateways", 1, 'one waits');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM theazo_internal.worker_status() WHERE kind = 'gateway'");
	$a = hear($s);
	is("$a->{status} $a->{headers}{connection}", '202 close', 'who waits when a worker leaves is told where to look');
	wait_gateway($port);
	is(ask($port, 'POST', '/test/echo/x', %k, body => {})->{status}, 200, 'workers come back');
}
$node->safe_psql('postgres', "ALTER SYSTEM SET theazo.enabled = off; SELECT pg_reload_conf()");
wait_sql($node, 'SHOW theazo.enabled', 'off', 'switched off');
sleep 0.3;
is(ask($port, 'GET', '/readyz')->{status} . ask($port, 'GET', '/healthz')->{status} . ask($port, 'POST', '/test/echo/x', %k, body => {})->{status},
	'503200503', 'switched off: alive, not ready');
$node->safe_psql('postgres', "ALTER SYSTEM RESET theazo.enabled; SELECT pg_reload_conf()");
wait_gateway($port);
my $revoked = $node->safe_psql('postgres', "SELECT key FROM theazo.api_key_create('k2', api_key => '$p->{key}')");
is(ask($port, 'GET', '/test/echo/x', key => $revoked)->{status}, 200, 'a key');
$node->safe_psql('postgres', "SELECT theazo.api_key_revoke(id, api_key => '$p->{key}') FROM theazo_data.api_key WHERE name = 'k2'");
is(ask($port, 'GET', '/test/echo/x', key => $revoked)->{status}, 401, 'no longer');
$node->safe_psql('postgres', "SELECT theazo.operator_rate_limit_set('key', 60, 3)");
my @rated = map { ask($port, 'GET', '/test/echo/x', %k) } 1 .. 6;
is($rated[-1]{status} . ' ' . code($rated[-1]), '429 rate_limited', 'too many requests');
cmp_ok($rated[-1]{headers}{'retry-after'}, '>=', 1, 'and when to come back');
$node->safe_psql('postgres', "SELECT theazo.operator_rate_limit_set('key', 60000, 10000)");

my $kept = dial($port);
say_raw($kept, "GET /healthz HTTP/1.1\r\n");
$node->safe_psql('postgres', 'DROP EXTENSION theazo CASCADE');
$node->safe_psql('postgres', 'CREATE EXTENSION theazo CASCADE');
wait_gateway($port);
$p = new_platform($node, 'again');
is(ask($port, 'POST', '/v1/sessions', key => $p->{key}, body => { userId => 'u' })->{status}, 201, 'DROP and CREATE EXTENSION');

# ---- killed under load ------------------------------------------------------------------------------------------
{
	my (%made, $kills);
	for my $round (1 .. 3)
	{
		my @s = eval { map { [ "$round-$_", dial($port) ] } 1 .. 30 };
		say_raw($_->[1], request('POST', '/v1/sessions', key => $p->{key}, headers => { 'Idempotency-Key' => $_->[0] }, body => { userId => $_->[0] })) for @s;
		kill 'KILL', split ' ', $node->safe_psql('postgres', "SELECT string_agg(pid::text, ' ') FROM theazo_internal.worker_status() WHERE kind = 'gateway' AND pid IS NOT NULL") // '';
		hear($_->[1], undef, 5) for @s[0 .. 2];
		$node->poll_query_until('postgres', 'SELECT true');
		wait_gateway($port);
		for my $n (1 .. 30)
		{
			my $r = ask($port, 'POST', '/v1/sessions', key => $p->{key}, headers => { 'Idempotency-Key' => "$round-$n" }, body => { userId => "$round-$n" });
			$made{ $r->{status} }++;
		}
	}
	is_deeply(\%made, { 201 => 90 }, 'each is answered in the end');
	is($node->safe_psql('postgres', "SELECT count(*) || ' ' || count(DISTINCT user_id) FROM theazo_data.session WHERE user_id ~ '^[123]-'"), '90 90', 'and done once');
}

# ---- addresses -------------------------------------------------------------------------------------------------------
my $far = PostgreSQL::Test::Cluster::get_free_port();
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION theazo CASCADE');
my $note = "SELECT DISTINCT note FROM theazo_internal.worker_status() WHERE kind = 'gateway'";
wait_sql($node, "SELECT true", 't', 'up');
ok($node->poll_query_until('second', "SELECT bool_and(note = 'theazo.gateway_listen has no address for this database') FROM theazo_internal.worker_status() WHERE kind = 'gateway'"),
	'a database without an address says so');
$node->append_conf('postgresql.conf', "theazo.gateway_listen = 'postgres=127.0.0.1:$port, second=0.0.0.0:$far, third=nonsense'");
$node->restart;
ok($node->poll_query_until('second', "SELECT bool_and(note LIKE '%is not loopback%gateway_tls_in_front%') FROM theazo_internal.worker_status() WHERE kind = 'gateway'"),
	'nothing beyond loopback is listened on');
is(IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $far, Timeout => 2), undef, '... really');
like(slurp_file($node->logfile), qr/not an address and a port: "nonsense"/, 'what is no address is logged');
$node->append_conf('postgresql.conf', 'theazo.gateway_tls_in_front = on');
$node->restart;
ok(wait_gateway($far), 'unless TLS is declared');
ok(wait_gateway($port), 'each database has its own');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11|signal 6/, 'nothing crashed by itself');
done_testing();
