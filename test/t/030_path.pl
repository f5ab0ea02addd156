# The one path, end to end, on the embedded sandbox: code, files, limits, cancellation, the network relay.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;

my $node = new_server('path');
my $mode = $node->safe_psql('postgres', 'SELECT mode FROM theazo_data.preflight');
diag("isolation: $mode");
plan skip_all => 'this machine offers no local sandboxes' if $mode eq 'none';
my $p = new_platform($node, 'path');
my $agent = new_agent($p);
my $r;

# ---- code --------------------------------------------------------------------
$r = run_code($p, $agent, 'python', "import sys\nprint('out', 6 * 7)\nprint('err', file=sys.stderr)\nsys.exit(3)");
is($r->{status}, 'completed', 'a program that fails has completed');
is($r->{exit_code}, 3, 'its exit code is told');
is($r->{stdout}, "out 42\n", 'its output');
is($r->{stderr}, "err\n", 'its errors');
cmp_ok($r->{duration_ms}, '>=', 0, 'its duration');
is(run_code($p, $agent, 'shell', 'pwd; echo $0 | grep -c workspace')->{stdout}, "/workspace\n0\n",
	'the working directory is /workspace and the program is not in it');
like(run_code($p, $agent, 'sh', 'env')->{stdout}, qr/^THEAZO_AGENT_ID=\Q$agent\E$/m, 'bridge variables are there');
is(run_code($p, $agent, 'bash', 'echo "$A-$B"', q(env => '{"A": "x", "B": "y z"}'))->{stdout}, "x-y z\n",
	'variables of the call');
is(run_code($p, $agent, 'python', 'print(chr(233), chr(0x1f600))')->{stdout}, "\x{e9} \x{1f600}\n", 'text beyond ASCII');
is(run_code($p, $agent, 'python', 'import sys; sys.stdout.buffer.write(b"a\\xff\\x00b")')->{stdout}, "a\x{fffd}\x{fffd}b",
	'bytes that are no text are replaced');
SKIP:
{
	skip 'node is not installed', 1
	  if $node->safe_psql('postgres', "SELECT ok FROM theazo.sandbox_preflight WHERE name = 'node'") ne 't';
	is(run_code($p, $agent, 'javascript', 'console.log(require("path").join("a", "b"))')->{stdout}, "a/b\n", 'node');
}

# ---- a runtime that is missing, a language nobody knows --------------------------
$r = run_code($p, $agent, 'go', "package main\nfunc main() { println(1) }");
if ($node->safe_psql('postgres', "SELECT ok FROM theazo.sandbox_preflight WHERE name = 'go'") eq 't')
{
	is($r->{exit_code}, 0, 'go runs');
	ok(1) for 1 .. 2;
}
else
{
	is($r->{error_sqlstate}, 'TZ409', 'a missing runtime has its SQLSTATE');
	like($r->{error_message}, qr/"go"/, 'is named');
	ok($r->{error_hint}, 'and there is a hint');
}
my ($rc, undef, $err) = $node->psql('postgres',
	"SELECT theazo.exec_start('$agent', 'cobol', 'x', api_key => '$p->{key}')");
isnt($rc, 0, 'an unknown language is refused at once');
like($err, qr/cobol/, 'by name');

# ---- files ------------------------------------------------------------------------
$r = wait_run($p, start_run($p, 'file_write_start', $agent, "'/data/in.csv', '\\x612c620a'::bytea"));
is($r->{status}, 'completed', 'a file is written');
is(run_code($p, $agent, 'sh', 'cat data/in.csv; cp data/in.csv out.csv')->{stdout}, "a,b\n", 'and is where code looks for it');
is(wait_run($p, start_run($p, 'file_read_start', $agent, "'out.csv'"))->{text}, "a,b\n", 'and read back');
$r = wait_run($p, start_run($p, 'file_list_start', $agent, "'/'"));
is(join(' ', sort map { "$_->{name}:" . ($_->{is_dir} ? 'd' : $_->{size}) } @{ $r->{entries} }), 'data:d out.csv:4', 'listed');
$r = wait_run($p, start_run($p, 'file_read_start', $agent, "'missing'"));
is($r->{status}, 'failed', 'a missing file is a failure');
is($r->{error_code}, 'not_found', 'called not found');
run_code($p, $agent, 'sh', 'ln -s /etc/passwd link; mkfifo pipe; : > empty');
isnt($node->psql('postgres', "SELECT theazo.file_read_start('$agent', '../etc/passwd', api_key => '$p->{key}')"), 0,
	'a path that leaves is refused at once');
foreach my $path ('link', 'pipe')
{
	is(wait_run($p, start_run($p, 'file_read_start', $agent, "'$path'"))->{status}, 'failed', "\"$path\" cannot be read");
}
$r = wait_run($p, start_run($p, 'file_read_start', $agent, "'empty'"));
is("$r->{status} $r->{text}", 'completed ', 'an empty file is a file');
$node->safe_psql('postgres', "CREATE TABLE big AS SELECT decode(repeat('00ff', 3000000), 'hex') AS content");
$r = wait_run($p, $node->safe_psql('postgres',
		"SELECT (theazo.file_write_start('$agent', 'big', content, api_key => '$p->{key}')).id FROM big"));
is($r->{status}, 'completed', 'six million bytes go in');
my $run = start_run($p, 'file_read_start', $agent, "'big'");
wait_sql($node, "SELECT status FROM theazo_data.run WHERE id = '$run'", 'completed', 'they are read');
is($node->safe_psql('postgres',
		"SELECT r.content = b.content FROM theazo.run_result('$run', api_key => '$p->{key}') r, big b"), 't', 'and come out the same');

# ---- limits -----------------------------------------------------------------------
$r = run_code($p, $agent, 'sh', 'echo begun; sleep 600', "timeout => '5 s'");
is("$r->{status} $r->{error_sqlstate}", 'failed TZ403', 'a program that runs too long is stopped');
is($r->{exit_code}, 124, 'with the exit code of a timeout');
is($r->{stdout}, "begun\n", 'what it had said is kept');
$r = run_code($p, $agent, 'python', "while True: print('x' * 1000)", "timeout => '20 s'");
is($r->{truncated}, JSON::PP::true, 'endless output is cut');
cmp_ok(length($r->{stdout}), '<=', 1048576, 'at a mebibyte');
is(run_code($p, $agent, 'sh', 'echo alive')->{stdout}, "alive\n", 'the sandbox lives on');

# ---- cancellation -------------------------------------------------------------------
$run = start_run($p, 'exec_start', $agent, "'sh', 'sleep 600 & sleep 600'");
wait_sql($node, "SELECT status FROM theazo_data.run WHERE id = '$run'", 'running', 'the run is under way');
$node->safe_psql('postgres', "SELECT theazo.run_cancel('$run', api_key => '$p->{key}')");
is(wait_run($p, $run)->{status}, 'cancelled', 'a run in flight is cut');
is(run_code($p, $agent, 'sh', 'cat /proc/[0-9]*/comm 2>/dev/null | grep -c "^sleep"')->{stdout}, "0\n",
	'and leaves no process behind');

# ---- the end of a sandbox ---------------------------------------------------------------
my $other = new_agent($p);
$node->safe_psql('postgres', "SELECT theazo.agent_terminate('$other', api_key => '$p->{key}')");
wait_sql($node, "SELECT status FROM theazo_data.sandbox WHERE agent_id = '$other'", 'destroyed', 'a terminated agent loses its sandbox');
wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE agent_id = '$other' AND state <> 'done'", '0', 'and nothing of it is left to do');
my $crowd = new_agent($p);
my $pid = $node->safe_psql('postgres', "SELECT w.pid FROM theazo_internal.worker_status() w JOIN theazo_data.sandbox s"
	  . " ON s.incarnation = w.incarnation AND s.agent_id = '$crowd'");
kill 'TERM', $pid;
wait_sql($node, "SELECT status FROM theazo_data.sandbox WHERE agent_id = '$crowd'", 'lost', 'sandboxes of a dispatcher that ended are lost');
is(run_code($p, $crowd, 'sh', 'echo again')->{stdout}, "again\n", 'the next exec makes a new one');

# ---- the network: nothing unless asked for -------------------------------------------------
my $dir = PostgreSQL::Test::Utils::tempdir();
system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost',
	'-addext', 'subjectAltName=DNS:localhost', '-keyout', "$dir/key.pem", '-out', "$dir/cert.pem");
append_to_file("$dir/server.py", <<'PY');
import http.server, ssl, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'hello from outside\n'
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a):
        pass
s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)
c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
c.load_cert_chain(sys.argv[1] + '/cert.pem', sys.argv[1] + '/key.pem')
s.socket = c.wrap_socket(s.socket, server_side=True)
print(s.server_address[1], flush=True)
s.serve_forever()
PY
my $server_pid = open(my $server, '-|', 'python3', "$dir/server.py", $dir) or die "cannot start the HTTPS server: $!";
my $port = <$server>;
chomp $port;
my $fetch = <<'PY';
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile='/workspace/ca.pem')
for url in URLS:
    try:
        print(urllib.request.urlopen(url, context=context, timeout=10).read().decode().strip())
    except Exception as e:
        print('refused', type(e).__name__)
PY
my $cert = unpack('H*', slurp_file("$dir/cert.pem"));

sub fetch
{
	my ($who, @urls) = @_;
	wait_run($p, start_run($p, 'file_write_start', $who, "'ca.pem', '\\x$cert'::bytea"));
	# What the sandbox sets spares loopback the way through the proxy, which is where our server listens.
	return run_code($p, $who, 'python', 'URLS = [' . join(', ', map { "'$_'" } @urls) . "]\n$fetch",
		q(env => '{"NO_PROXY": "", "no_proxy": ""}'))->{stdout};
}
my $net = new_agent($p, qq({"network": {"enabled": true, "allow": ["localhost:$port"]}}));
is(fetch($crowd, "https://localhost:$port/") =~ s/refused \w+/refused/r, "refused\n", 'an agent without network reaches nothing');
is(fetch($net, "https://localhost:$port/"), "hello from outside\n", 'an allowed host is reached');
is(fetch($net, 'https://example.com/', "https://127.0.0.1:$port/") =~ s/refused \w+/refused/gr, "refused\nrefused\n",
	'others are not, nor the same by its address');
is($node->safe_psql('postgres', "SELECT count(*) FROM theazo_data.log WHERE message LIKE 'connection to localhost:$port allowed'"), 1,
	'the connection that was made is recorded');
is($node->safe_psql('postgres', "SELECT count(*) FROM theazo_data.log WHERE message LIKE 'connection to % refused'"), 2,
	'and those that were refused');
is($node->safe_psql('postgres', "SELECT count(*) FROM theazo_data.event WHERE action = 'connection'"), 3, 'as events too');
$node->append_conf('postgresql.conf', 'theazo.egress_allow_private = off');
$node->reload;
wait_sql($node, 'SHOW theazo.egress_allow_private', 'off', 'the operator forbids private addresses');
like(fetch($net, "https://localhost:$port/"), qr/^refused/, 'the policy judges the address, whatever the list says');
kill 'TERM', $server_pid;

# ---- what must hold at the end ------------------------------------------------------------
is($node->safe_psql('postgres', 'SELECT count(*) FROM theazo.integrity_check()'), 0, 'the rows fit together');
$node->stop;
done_testing();
