# What programs in a sandbox report with the library that is put there: it becomes logs, spans, progress and the result of their
# own run, and never shows in what they print. What is forged, broken, repeated or too much spoils their own logs and nothing else.
use strict;
use warnings;
use FindBin;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $node = new_server('client', "theazo.dispatchers = 1\n");
my $p = new_platform($node, 'reporters');
my $secret = 'hunter2-hunter2-4711';
$node->safe_psql('postgres', "SELECT theazo.secret_set('DOOR', '$secret', session => '$p->{session}', api_key => '$p->{key}')");
my $agent = new_agent($p, '{"provider": "theazo"}');

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub logs
{
	my ($run, $more) = @_;
	return sql("SELECT string_agg(concat_ws(':', level, source, message), E'\\n' ORDER BY id) FROM theazo_data.log WHERE run_id = '$run'"
		  . " AND message !~ '^exec '" . ($more // ''));
}

# An ended command, with its run.
sub report
{
	my ($language, $code) = @_;
	my $run = start_run($p, 'exec_start', $agent, "'$language', " . quote($code));
	return (wait_run($p, $run), $run);
}

# --- both languages say the same
my %program = (python => <<'PY', node => <<'JS');
import sys
from theazo_sandbox import log, span, progress, complete, track_model
print('before')
log('Searching \u20ac\U0001f600')
log('low', level='warning', metadata={'n': 1})
with span('fetch', {'pages': 3}):
    pass
try:
    with span('broken'):
        raise KeyError('no')
except KeyError:
    pass
progress(50, 'half')
progress(75)
track_model('acme/talker', 10, 20, 0.5)
sys.stderr.write('an error of its own\n')
complete({'answer': 42}, artifacts=['out.csv'])
print('after')
PY
(async () => {
	const { log, span, progress, complete, trackModel } = require('theazo_sandbox');
	console.log('before');
	log.info('Searching \u20ac\u{1f600}');
	log.warn('low', { n: 1 });
	await span('fetch', async () => {}, { pages: 3 });
	try { span('broken', () => { throw new Error('no'); }); } catch (e) {}
	progress(50, 'half');
	progress(75);
	trackModel({ model: 'acme/talker', inputTokens: 10, outputTokens: 20, cost: 0.5 });
	console.error('an error of its own');
	complete({ output: { answer: 42 }, artifacts: ['out.csv'] });
	console.log('after');
})();
JS
foreach my $language (sort keys %program)
{
	my ($r, $run) = report($language, $program{$language});
	is($r->{stdout}, "before\nafter\n", "$language: what it prints is its own");
	is($r->{stderr}, "an error of its own\n", 'its errors as well');
	is($r->{output}, '{"answer": 42}', 'what it hands over');
	is_deeply($r->{artifacts}, ['out.csv'], 'with its files');
	is(logs($run), "info:agent:Searching \xe2\x82\xac\xf0\x9f\x98\x80\nwarn:agent:low\ninfo:agent:half\ninfo:agent:\n"
		  . 'info:model:acme/talker: 10 input tokens, 20 output tokens, as reported', 'log lines in order');
	is(sql("SELECT metadata ->> 'n' FROM theazo_data.log WHERE run_id = '$run' AND message = 'low'"), '1', 'with metadata');
	is(sql("SELECT string_agg(concat_ws(':', name, status, attributes ->> 'pages', attributes ->> 'reported', (attributes ? 'error')::text), ' ' ORDER BY name)"
			. " FROM theazo_data.span WHERE run_id = '$run' AND name IN ('fetch', 'broken') AND parent_id = trace_id"),
		'broken:failed:true:true fetch:completed:3:true:false', 'spans below its trace');
	is(sql("SELECT percentage || ':' || message || ':' || (run_id = '$run')::text FROM theazo_data.progress WHERE agent_id = '$agent'"), '75::true',
		'the newest progress of its agent');
	is(sql("SELECT string_agg(concat_ws(':', type, data ->> 'percentage', data ->> 'message'), ' ' ORDER BY seq)"
			. " FROM theazo.run_follow('$run', api_key => '$p->{key}') WHERE type IN ('progress', 'done')"), 'progress:50:half progress:75: done',
		'who follows the run is told');
	is(sql("SELECT count(*) FROM theazo_data.charge WHERE run_id = '$run' AND item <> 'compute.second'"), '0', 'nothing is booked for what it says');
}

# --- from a shell, from a program it starts, from many at once
my ($r, $run) = report('bash', <<'SH');
for i in 1 2 3 4; do python3 -c "
from theazo_sandbox import log
for j in range(50): log('$i.%d' % j)" & done; wait
node -e "require('theazo_sandbox').log('from node')"
SH
is($r->{stderr}, '', 'nothing shows');
is(sql("SELECT count(*) FROM theazo_data.log WHERE run_id = '$run' AND source = 'agent' AND message ~ '^[1-4][.]'"), '200', 'each of four processes is heard');
is(sql("SELECT count(*) FROM theazo_data.log WHERE run_id = '$run' AND message = 'from node'"), '1', 'and of another language');

# --- secrets are masked in records too, also where frames cut them
($r, $run) = report('python', <<'PY');
import os
from theazo_sandbox import log, complete, span
log('door ' + os.environ['DOOR'], metadata={'x': os.environ['DOOR']})
complete('y' * 3970 + os.environ['DOOR'] + 'z' * 5000)
PY
unlike(logs($run) . sql("SELECT string_agg(metadata::text, ' ') FROM theazo_data.log WHERE run_id = '$run'"), qr/hunter2/, 'no log holds a secret');
is($r->{output}, 'y' x 3970 . '***' . 'z' x 5000, 'nor does what is handed over');

# --- a program that only prints what looks like a record
($r, $run) = report('python', <<'PY');
import os
n = os.environ['THEAZO_RECORDS']
forged = '\x1etheazo1 %s 00000001 1 .{"t":"log","message":"forged"}\n' % ('0' * 32)
os.write(1, forged.encode())
def put(body): os.write(2, ('\x1etheazo1 %s %s\n' % (n, body)).encode())
put('00000001 1 .{"t":"log","message":"one"}')
put('00000001 1 .{"t":"log","message":"one again"}')
put('00000001 2 .{"t":"log"}')
put('00000001 3 .{"t":"kill","run":"all"}')
put('00000001 4 .no json')
put('nothing')
put('00000002 1 +{"t":"log","mess')
put('00000002 3 .age":"a part is missing"}')
put('00000003 1 .{"t":"span","name":"never","start":1,"end":"x"}')
put('00000003 2 .{"t":"log","message":"two","level":"fatal","run_id":"run_x","platform_id":"p","source":"system"}')
put('00000003 3 .{"t":"progress","percentage":1e300,"message":"far"}')
put('00000003 4 .{"t":"model","model":"m","inputTokens":-5,"outputTokens":1e18,"cost":-1}')
os.write(2, b'rest')
PY
like($r->{stdout}, qr/\x1etheazo1 0{32} .*forged/, 'what has another nonce is printed as it is');
is($r->{stderr}, 'rest', 'what has its nonce is not');
is(logs($run), "info:agent:one\ninfo:agent:two\ninfo:agent:far\ninfo:model:m: 0 input tokens, 1000000000000 output tokens, as reported\n"
	  . 'warn:agent:8 records of the program were malformed or came again, 0 were too many or too large', 'what is good is taken, the rest counted');
is(sql("SELECT count(*) FROM theazo_data.span WHERE name = 'never'"), '0', 'a span without an end is none');
is($r->{status}, 'completed', 'the run is what it was');

# --- too many and too large
($r, $run) = report('python', <<'PY');
from theazo_sandbox import log
for i in range(1500): log('line %d' % i)
PY
is(sql("SELECT count(*) FROM theazo_data.log WHERE run_id = '$run' AND message ~ '^line '"), '1000', 'a thousand records a command');
like(logs($run), qr/500 were too many or too large/, 'the rest is counted');
($r, $run) = report('python', <<'PY');
from theazo_sandbox import complete
try:
    complete('x' * 70000)
except ValueError as e:
    print(e)
PY
like($r->{stdout}, qr/too large for the control plane/, 'a result that is too large is said to be');

# --- rows while the command runs, each once
$run = start_run($p, 'exec_start', $agent, "'python', " . quote(<<'PY'));
import os, time
from theazo_sandbox import log, progress, span, complete
def until(name):
    while not os.path.exists(name): time.sleep(0.02)
log('begun ' + os.environ['DOOR'])
until('one')
for i in range(300): log('many %d' % i)
progress(30, 'third')
with span('work'): pass
until('two')
log('over\u0000')
complete('all')
PY
my $running = "(SELECT status = 'running' FROM theazo_data.run WHERE id = '$run')";
wait_sql($node, "SELECT string_agg(message, ' ') || $running FROM theazo_data.log WHERE run_id = '$run' AND source = 'agent'", 'begun ***true',
	'a log line is a row while the command runs, masked');
$node->safe_psql('postgres', "CALL theazo.file_write('$agent', '/one', '', api_key => '$p->{key}')");
wait_sql($node, "SELECT count(*) || ' ' || $running FROM theazo_data.log WHERE run_id = '$run' AND message ~ '^many '", '300 true', 'so are many');
wait_sql($node, "SELECT percentage || message FROM theazo_data.progress WHERE run_id = '$run' AND $running", '30third', 'and progress');
wait_sql($node, "SELECT count(*) || ' ' || $running FROM theazo_data.span WHERE run_id = '$run' AND name = 'work'", '1 true', 'and spans');
$node->safe_psql('postgres', "CALL theazo.file_write('$agent', '/two', '', api_key => '$p->{key}')");
$r = wait_run($p, $run);
is($r->{output}, 'all', 'what it hands over comes with its end');
is(sql("SELECT count(*) || ' ' || count(DISTINCT message) FROM theazo_data.log WHERE run_id = '$run' AND message ~ '^(begun|many|third)'"), '302 302',
	'nothing is written a second time') or diag logs($run);
is(sql("SELECT count(*) FROM theazo_data.span WHERE run_id = '$run' AND name = 'work'"), '1', 'spans neither');
$run = start_run($p, 'exec_start', $agent, "'python', " . quote("from theazo_sandbox import log\nimport time\nlog('told')\ntime.sleep(600)"));
wait_sql($node, "SELECT count(*) FROM theazo_data.log WHERE run_id = '$run' AND message = 'told'", '1', 'what was told');
sql("SELECT theazo.run_cancel('$run', api_key => '$p->{key}')");
wait_run($p, $run);
is(sql("SELECT count(*) FROM theazo_data.log WHERE run_id = '$run' AND message = 'told'"), '1', 'stays when the command is cancelled');

# --- shown live without records, and only once it is certain
$run = start_run($p, 'exec_start', $agent, "'python', " . quote(<<'PY'));
import os, time
n = os.environ['THEAZO_RECORDS']
for c in ('a\x1etheazo1 %s 00000001 1 .{"t":"log","message":"cut"}\nb\x1ec\n' % n).encode():
    os.write(1, bytes([c])); time.sleep(0.001)
PY
my ($after, $told) = (0, '');
while (1)
{
	my @e = map { decode_json($_) } split /\n/, sql("SELECT jsonb_build_object('seq', seq, 'type', type, 'data', data)"
			. " FROM theazo.run_follow('$run', $after, api_key => '$p->{key}')");
	$after = $_->{seq} foreach @e;
	$told .= $_->{data}{text} foreach grep { $_->{type} eq 'stdout' } @e;
	last if grep { $_->{type} =~ /^(done|error)$/ } @e;
}
is($told, "ab\x1ec\n", 'a record that is printed byte by byte is not shown');
is(logs($run), 'info:agent:cut', 'and is read');

# --- the library is read only, and silent elsewhere
($r, $run) = report('bash', 'echo x >> /theazo/theazo_sandbox.py; echo x >> /node_modules/theazo_sandbox/index.js; ls /workspace | wc -l');
like($r->{stderr}, qr/Read-only|Permission/, 'a program cannot change it for the next one');
($r, $run) = report('bash', q(THEAZO_RECORDS= python3 -c "from theazo_sandbox import log; log('x')"; echo $?));
is($r->{stderr} . $r->{stdout}, "0\n", 'without a nonce it says nothing');

# --- the same through a shell at somebody else's endpoint
my $double = new_double('--exec', 'real');
$node->safe_psql('postgres', "SELECT theazo.provider_set('mine', type => 'webhook', endpoint => 'http://127.0.0.1:$double->{port}', api_key => '$p->{key}')");
sql("UPDATE theazo_data.platform SET allow_http = true, allow_private = true WHERE platform_id = '$p->{id}'");
$agent = new_agent($p, '{"provider": "mine"}');
foreach my $language (sort keys %program)
{
	($r, $run) = report($language, $program{$language});
	is($r->{stdout} . $r->{stderr}, "before\nafter\nan error of its own\n", "$language at a webhook's: what it prints is its own");
	is($r->{output}, '{"answer": 42}', 'what it hands over');
	is(sql("SELECT count(*) FROM theazo_data.log WHERE run_id = '$run' AND source IN ('agent', 'model') AND message !~ '^exec '"), '5', 'its records');
}

# --- figures
my $figures = new_agent($p, '{"provider": "theazo"}');
$node->append_conf('postgresql.conf', "theazo.metrics_interval = 1s\n");
$node->reload;
wait_sql($node, "SELECT count(*) >= 3 FROM theazo_data.sandbox_sample WHERE agent_id = '$figures'", 't', 'samples come');
is(sql("SELECT bool_and(memory_mb >= 0 AND disk_mb >= 0 AND cpu_percent >= 0) FROM theazo_data.sandbox_sample WHERE agent_id = '$figures'"), 't',
	'with figures');
like(sql("BEGIN; SET LOCAL ROLE theazo_app; SELECT count(*) FROM theazo.authenticate('$p->{key}');"
		. " SELECT count(*) >= 3 FROM theazo.sandbox_metrics WHERE agent_id = '$figures'; COMMIT"), qr/\nt$/, 'in the view');

$node->stop;
done_testing();
