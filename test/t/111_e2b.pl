# The E2B adapter against a double of both of its planes: the whole life of a sandbox, its token kept out of every
# row, creations whose answer is lost, streams that break, refusals of every form.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoDouble;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $key_of_account = 'e2b_c0ffee0123456789abcdef0123456789abcdef01';
my $env_secret = 'env-canary-e2b-2718-mnopqr';

# --- the double ---------------------------------------------------------------------
my $double = double_start('e2b.py', '--key', $key_of_account, '--max-timeout', 7200);
my ($api, $gateway) = map { "http://127.0.0.1:$_" } @{ $double->{ports} };
sub control { return $double->control(@_); }
sub rule { return $double->rule(@_); }
sub rules_off { return $double->rules_off; }
sub journal { return $double->journal(@_); }
sub asked { return $double->asked(@_); }

# --- the server -------------------------------------------------------------------
my $node = new_server('e2b', "theazo.dispatchers = 1\ntheazo.http_max_body = '16MB'\nlog_statement = 'all'\n");
my $db = 'postgres';

sub sql { my ($sql) = @_; return $node->safe_psql($db, $sql); }
sub failure { return sql_failure($node, @_); }
sub refused { return sql_refused($node, qr/\Q$key_of_account\E|envd-[0-9a-f]{32}/, @_); }

my $platform = sql("SELECT id FROM theazo.platform_create('Boxes')");
my $key = sql("SELECT key FROM theazo.api_key_create('test', platform => '$platform')");
my $k = "api_key => '$key'";
sql("SELECT theazo.platform_allow_egress('$platform', allow_private => true, allow_http => true)");
sql("SELECT name FROM theazo.secret_set('account', '$key_of_account', $k)");

sub provider
{
	my ($name, $config) = @_;
	sql("SELECT name FROM theazo.provider_set('$name', type => 'e2b', endpoint => '$api', credential_ref => 'account', "
		  . "config => '" . encode_json({ sandboxUrl => $gateway, %{ $config // {} } }) . "', $k)");
	return;
}

my $session = sql("SELECT id FROM theazo.session_create('user-1', $k)");

sub agent
{
	my ($provider, $options) = @_;
	return sql("SELECT id FROM theazo.agent_create('$session', '" . encode_json({ provider => $provider, %{ $options // {} } }) . "', $k)");
}

sub exec_sql
{
	my ($agent, $code, $more) = @_;
	return "CALL theazo.exec('$agent', 'sh', \$code\$$code\$code\$, $k" . ($more // '') . ')';
}

sub boxes { return @{ control({})->{sandboxes} }; }

sub settled
{
	my ($agent, $name) = @_;
	ok($node->poll_query_until($db, "SELECT count(*) = 0 FROM theazo_data.effect WHERE state IN ('queued', 'claimed', 'sent')"
			. " AND kind LIKE 'compute.%' AND agent_id = '$agent'"), "$name: settled");
	return;
}

provider('box');

# --- a life --------------------------------------------------------------------------
my $agent = agent('box');
like(sql(exec_sql($agent, 'echo out; echo err >&2; exit 3')), qr/\|out\n\|err\n\|3\|\d+\|/, 'stdout, stderr, exit code');
like(sql(exec_sql($agent, 'echo again')), qr/\|again\n\|\|0\|/, 'an exit code that is left out is 0');
like(sql(exec_sql($agent, 'printf %s "$A"', q{, env => $j${"A": "it's \"quoted\" $HOME"}$j$})),
	qr/\|it's "quoted" \$HOME\|/, 'environment of one call');
like(sql("CALL theazo.exec('$agent', 'python', 'print(6 * 7)', $k)"), qr/\|42\n\|/, 'python');
my ($create) = journal(event => 'request', op => 'create');
my $sandbox = sql("SELECT sandbox_id FROM theazo_data.agent WHERE id = '$agent'");
my $made = decode_json($create->{body});
is($made->{metadata}{'theazo.id'}, $sandbox, 'it carries the name it has here');
is($made->{templateID}, 'base', 'of the usual template');
is($made->{timeout}, 3600, 'its lifetime is said, which would be 15 seconds');
ok($made->{secure}, 'with a token of its own');
ok(defined $made->{allow_internet_access} && !$made->{allow_internet_access}, 'without a network');
is(asked('ask'), 1, 'its token was at hand all the time but when it was made');
is(sql("SELECT policy_found ->> 'network' FROM theazo_data.sandbox WHERE id = '$sandbox'"), 'false', 'what it has was read back');

# --- files -----------------------------------------------------------------------------
sql("CALL theazo.file_write('$agent', '/data/in put.bin', '\\x00ff41'::bytea, $k)");
like(sql("CALL theazo.file_read('$agent', '/data/in put.bin', $k)"), qr/\|\\x00ff41$/, 'a file there and back');
like(sql(exec_sql($agent, 'od -An -tx1 "data/in put.bin"')), qr/00 ff 41/, 'the command sees the file');
sql("CALL theazo.file_write('$agent', '/empty', ''::bytea, $k)");
like(sql("CALL theazo.file_read('$agent', '/empty', $k)"), qr/\|\\x$/, 'an empty file');
like(sql("CALL theazo.file_list('$agent', '/data', $k)"), qr/"in put\.bin"/, 'list');
refused("CALL theazo.file_read('$agent', '/nothing', $k)", '58P01', qr/no such file/, 'a file that is not there');
refused("CALL theazo.file_read('$agent', '/data', $k)", '22023', qr/does not take/, 'a directory is no file');
control({ envd_version => '0.5.6' });
my $old = agent('box');
sql("CALL theazo.file_write('$old', '/old.bin', '\\x0d0a2d2d'::bytea, $k)");
like(sql("CALL theazo.file_read('$old', '/old.bin', $k)"), qr/\|\\x0d0a2d2d$/, 'an old daemon takes a form');
like(sql("SELECT theazo.agent_terminate('$old', $k)"), qr/$old/, 'and goes');
control({ envd_version => '0.6.13' });

# --- what is printed ---------------------------------------------------------------------
like(sql(exec_sql($agent, 'printf "\\\\377a\\\\000b"')), qr/\|\x{ef}\x{bf}\x{bd}a\x{ef}\x{bf}\x{bd}b\|/, 'bytes that are no text');
sql(exec_sql($agent, 'head -c 1500000 /dev/zero | tr "\\0" x'));
is(sql("SELECT length(p.result ->> 'stdout') || ' ' || (p.result ->> 'truncated') FROM theazo_data.run_payload p WHERE length(p.result ->> 'stdout') > 9999"),
	'1048576 true', 'a megabyte of output is kept');
{
	my $code = ('# ' . 'x' x 90 . "\n") x 1500 . "print('long')\n";
	like(sql("CALL theazo.exec('$agent', 'python', \$code\$$code\$code\$, $k)"), qr/\|long\n\|/, 'code that is too long for a command line');
	unlike(sql(exec_sql($agent, 'ls -a')), qr/\.code|\.py/, 'none of it is left');
}
refused(exec_sql($agent, 'echo so far; sleep 600', ", timeout => '1 s'"), 'TZ403', qr/longer than 1000 ms/, 'a command beyond its limit');
refused(exec_sql($agent, 'trap "" TERM; while :; do sleep 1; done', ", timeout => '1 s'"), 'TZ403', qr/longer than 1000 ms/, 'one that does not listen');
rule(op => 'exec', slow => JSON::PP::true, gap_ms => 0, times => 1);
like(sql(exec_sql($agent, 'echo slowly; echo e >&2')), qr/\|slowly\n\|e\n\|0\|/, 'a stream byte by byte');
rule(op => 'exec', mode => 'unknown_event', times => 1);
like(sql(exec_sql($agent, 'echo new')), qr/\|new\n\|/, 'events nobody knows');

# --- secrets ---------------------------------------------------------------------------------
sql("SELECT name FROM theazo.secret_set('service_token', '$env_secret', session => '$session', $k)");
my $with_secret = agent('box');
like(sql(exec_sql($with_secret, 'printf %s "$SERVICE_TOKEN" | cut -c1-10')), qr/\|env-canary\n\|/, 'a secret in the environment');
like(sql(exec_sql($with_secret, 'echo "$SERVICE_TOKEN"')), qr/\|\*\*\*\n\|/, 'is masked in what is printed');
{
	my %in = map { $_->{op} => 1 } grep { encode_json($_) =~ /\Q$env_secret\E/ } journal(event => 'request');
	is_deeply(\%in, { exec => 1 }, 'it goes with commands and not into the sandbox');
	my ($start) = grep { $_->{body} =~ /\Q$env_secret\E/ } journal(event => 'request', op => 'exec');
	unlike(join(' ', @{ decode_json(substr $start->{body}, 5)->{process}{args} }), qr/\Q$env_secret\E/, 'nor into a command line');
}
is(scalar(grep { ($_->{key} // $key_of_account) ne $key_of_account || defined $_->{token} } journal(event => 'request', plane => 'api')), 0,
	'the control plane gets the account\'s key and no token');
is(scalar(grep { defined $_->{key} || !defined $_->{token} && $_->{op} ne 'health' } journal(event => 'request', plane => 'sandbox')), 0,
	'sandboxes get their token and no key');

# --- the token of a sandbox --------------------------------------------------------------------
my $asked = asked('ask');
$node->restart;
like(sql(exec_sql($agent, 'echo restarted')), qr/\|restarted\n\|/, 'after a restart');
is(asked('ask') - $asked, 1, 'the token is asked for again');
my $box = sql("SELECT external_id FROM theazo_data.sandbox WHERE id = '$sandbox'");
control({ token => $box });
like(sql(exec_sql($agent, 'echo renewed')), qr/\|renewed\n\|/, 'a token that does not hold any more');
is(asked('ask') - $asked, 2, 'is asked for once');
control({ token => $box });
like(sql("CALL theazo.file_list('$agent', '/data', $k)"), qr/"in put\.bin"/, 'the same for files');

# --- pause and resume ------------------------------------------------------------------------
sql(exec_sql($agent, 'sh -c "i=0; while :; do i=\$((i+1)); echo \$i > c; mv c count; sleep 0.05; done" > /dev/null 2>&1 & sleep 0.5'));
sql("SELECT theazo.agent_pause('$agent', $k)");
settled($agent, 'paused');
is((grep { $_->{id} eq $box } boxes())[0]{state}, 'paused', 'it sleeps at the provider');
sql("SELECT theazo.agent_resume('$agent', $k)");
my ($one, $two) = sql(exec_sql($agent, 'cat count; sleep 0.5; cat count')) =~ /\|(\d+)\n(\d+)\n\|/;
cmp_ok($two, '>', $one, 'a process goes on where it was');
cmp_ok($one, '>', 3, 'and did not begin anew');
sql("SELECT theazo.agent_pause('$agent', $k)");
settled($agent, 'paused again');
rule(op => 'pause', mode => 'normal');
sql("SELECT theazo.agent_resume('$agent', $k)");
like(sql(exec_sql($agent, 'echo awake')), qr/\|awake\n\|/, 'twice');
rules_off();

# --- a command that is cancelled -------------------------------------------------------------
{
	my $run = sql("SELECT id FROM theazo.exec_start('$agent', 'sh', 'echo \$\$ >leader; sleep 613 & echo \$! >child; wait', $k)");
	for (1 .. 200) { last if glob("$double->{dir}/sandbox-*/child"); sleep 0.05; }
	my @pids = map { slurp_file($_) =~ /(\d+)/ } glob("$double->{dir}/sandbox-*/leader"), glob("$double->{dir}/sandbox-*/child");
	is(scalar(grep { kill 0, $_ } @pids), 2, 'a command and what it has started run');
	sql("SELECT theazo.run_cancel('$run', $k)");
	settled($agent, 'the cancelled command');
	for (1 .. 200) { last unless grep { kill 0, $_ } @pids; sleep 0.05; }
	is(scalar(grep { kill 0, $_ } @pids), 0, 'both have ended');
	is_deeply([ map { decode_json($_->{body})->{signal} } journal(event => 'request', op => 'process.SendSignal') ], ['SIGNAL_SIGKILL'], 'itself by a signal');
}

# --- its log, which nobody but us asks for -----------------------------------------------------
{
	my $effect = sql("SELECT theazo_internal.effect_enqueue('$platform', NULL, 'compute.logs', 'e2b', '" . encode_json({ sandbox => $box, tail => 1 }) . "', p_provider => 'box')");
	ok($node->poll_query_until($db, "SELECT state NOT IN ('queued', 'claimed', 'sent') FROM theazo_data.effect WHERE id = '$effect'"), 'logs: settled');
	is(sql("SELECT state FROM theazo_data.effect WHERE id = '$effect'"), 'done', 'the sandbox has a log');
	is(asked('logs'), 1, 'it was asked for once');
}

# --- figures and ports ---------------------------------------------------------------------------
is(sql("SELECT m.state FROM theazo.metrics_start('$agent', $k) s, LATERAL (SELECT s.status AS state) m"), 'queued', 'figures are asked for');
settled($agent, 'figures');
is(sql("SELECT count(*) FROM theazo_data.run WHERE agent_id = '$agent' AND kind = 'metrics' AND status = 'completed'"), 1, 'and come');
provider('named', { sandboxUrl => "http://{port}-{id}.localhost:$double->{ports}[1]" });
my $named = agent('named');
like(sql(exec_sql($named, 'echo by name')), qr/\|by name\n\|/, 'by a host name of its own');
sql("SELECT id FROM theazo.port_expose_start('$named', 8080, $k)");
settled($named, 'a port');
my $named_box = sql("SELECT external_id FROM theazo_data.sandbox WHERE agent_id = '$named'");
is(sql("SELECT p.result ->> 'url' FROM theazo_data.run_payload p WHERE p.result ? 'url'"), "http://8080-$named_box.localhost:$double->{ports}[1]", 'its address');

# --- creations nobody saw the end of ------------------------------------------------------------
my $made = control({})->{made};
foreach my $how ({ mode => 'close' }, { mode => 'close_after_headers' }, { mode => 'half' }, { mode => 'garbage' }, { mode => 'twice' },
	{ mode => 'html502', execute => JSON::PP::true })
{
	my $name = "create, $how->{mode}";
	rule(op => 'create', times => 1, %$how);
	my $lost = agent('box');
	like(sql(exec_sql($lost, 'echo found')), qr/\|found\n\|/, "$name: found again");
	my $id = sql("SELECT sandbox_id FROM theazo_data.agent WHERE id = '$lost'");
	is(scalar(grep { ($_->{metadata}{'theazo.id'} // '') eq $id } boxes()), 1, "$name: there is one");
	is(control({})->{made} - $made, $how->{mode} eq 'twice' ? 2 : 1, "$name: no more were made");
	$made = control({})->{made};
	sql("SELECT theazo.agent_terminate('$lost', $k)");
}
{
	# the server dies while the provider is making one
	rule(op => 'create', ms => 1500, times => 1);
	my $n = asked('create');
	my $orphan = agent('box');
	for (1 .. 600) { last if asked('create') > $n; sleep 0.05; }
	$node->stop('immediate');
	$node->start;
	like(sql(exec_sql($orphan, 'echo found')), qr/\|found\n\|/, 'create, and the server dies: found again');
	is(control({})->{made} - $made, 1, 'no more were made');
	is(asked('create') - $n, 1, 'nor asked for');
	sql("SELECT theazo.agent_terminate('$orphan', $k)");
}
rule(op => 'create', mode => 'rate', retry_after => 1, times => 1);
like(sql(exec_sql(agent('box'), 'echo later')), qr/\|later\n\|/, 'told to come back: it goes again');
rule(op => 'create', mode => 'status', status => 503,
	body => { code => 503, message => 'Failed to place sandbox', error_code => 'sandbox_capacity_unavailable' });
refused(exec_sql(agent('box'), 'true'), 'TZ402', qr/answered 503/, 'no capacity');
rules_off();
refused("SELECT theazo.agent_create('$session', '{\"provider\": \"box\", \"gpu\": true}', $k)", 'TZ406', qr/gpu|GPU/i, 'what it has not')
  if failure("SELECT theazo.agent_create('$session', '{\"provider\": \"box\", \"gpu\": true}', $k)")->{state} ne '22023';

# --- bad answers ------------------------------------------------------------------------------------
my @bad = (
	[ { cut_at => 70 }, 'TZ408', qr/unknown/ ],
	[ { cut_at => 3 }, 'TZ408', qr/unknown/ ],
	[ { mode => 'no_eos' }, 'TZ408', qr/unknown/ ],
	[ { mode => 'close', execute => JSON::PP::false }, 'TZ408', qr/unknown/ ],
	[ { mode => 'close_after_headers' }, 'TZ408', qr/unknown/ ],
	[ { mode => 'eos_after', code => 'unavailable' }, 'TZ408', qr/unknown/ ],
	[ { mode => 'eos', code => 'invalid_argument', message => 'cwd' }, 'TZ401', qr/invalid_argument/ ],
	[ { mode => 'eos', code => 'resource_exhausted' }, 'TZ401', qr/resource_exhausted/ ],
	[ { mode => 'no_end' }, 'TZ404', qr/without the end/ ],
	[ { mode => 'flag', flag => 1 }, 'TZ404', qr/compressed/ ],
	[ { mode => 'flag', flag => 16 }, 'TZ404', qr/flags/ ],
	[ { mode => 'huge' }, 'TZ404', qr/message of more/ ],
	[ { mode => 'not_json' }, 'TZ404', qr/no JSON/ ],
	[ { mode => 'bad_base64' }, 'TZ404', qr/base64/ ],
	[ { content_type => 'text/html' }, 'TZ404', qr/content type/ ],
	[ { mode => 'html502' }, 'TZ402', qr/502/ ],
	[ { mode => 'status', status => 403, body => { sandboxId => 'x', code => 403, message => 'no' } }, 'TZ401', qr/answered 403/ ],
	[ { mode => 'status', status => 415 }, 'TZ401', qr/answered 415/ ],
	[ { mode => 'status', status => 307, headers => { Location => 'http://169.254.169.254/' } }, 'TZ401', qr/answered 307/ ],
	[ { mode => 'status', status => 500, body => { code => 500, message => "$key_of_account" } }, 'TZ402', qr/answered 500/ ],
);
my $patient = agent('box');
sql(exec_sql($patient, 'true'));
foreach my $case (@bad)
{
	my ($rule, $state, $like) = @$case;
	my $name = 'exec, ' . join(' ', map { ref $rule->{$_} ? () : "$_ $rule->{$_}" } sort keys %$rule);
	my $n = asked('exec');
	rule(op => 'exec', times => 1, %$rule);
	refused(exec_sql($patient, 'echo hello'), $state, $like, $name);
	is(asked('exec') - $n, 1, "$name: sent once");
	rules_off();
}
rule(op => 'exec', mode => 'status', status => 502, times => 2, body => { sandboxId => 'x', port => 49983, code => 502, message => 'port is not open' });
like(sql(exec_sql($patient, 'echo up again')), qr/\|up again\n\|/, 'nobody listened yet');
rule(op => 'exec', mode => 'status', status => 409, times => 1, body => { sandboxId => 'x', code => 409, message => 'transition' });
like(sql(exec_sql($patient, 'echo settled')), qr/\|settled\n\|/, 'a transition');
rule(op => 'list', mode => 'extra', times => 1);
like(sql("CALL theazo.file_list('$patient', '/', $k)"), qr/"is_dir"/, 'members nobody knows');

# --- sandboxes that are gone ----------------------------------------------------------------------------
my $victim = agent('box');
sql(exec_sql($victim, 'touch here'));
control({ kill => sql("SELECT external_id FROM theazo_data.sandbox WHERE agent_id = '$victim'") });
refused(exec_sql($victim, 'true'), 'TZ410', qr/gone/, 'a sandbox that is gone');
like(sql(exec_sql($victim, 'ls here 2>&1')), qr/cannot access/, 'the next exec gets a new one');
is(sql("SELECT string_agg(status, ' ' ORDER BY id) FROM theazo_data.sandbox WHERE agent_id = '$victim'"), 'lost ready', 'as the rows say');
provider('sleepy', { autoPause => JSON::PP::true });
my $sleepy = agent('sleepy');
sql(exec_sql($sleepy, 'echo kept > kept'));
control({ expire => sql("SELECT external_id FROM theazo_data.sandbox WHERE agent_id = '$sleepy'") });
like(sql(exec_sql($sleepy, 'cat kept')), qr/\|kept\n\|/, 'one that went to sleep by itself is woken');
sql("SELECT theazo.agent_pause('$sleepy', $k)");
settled($sleepy, 'asleep');
sql("SELECT theazo.agent_terminate('$sleepy', $k)");
settled($sleepy, 'ended in its sleep');

# --- the end -----------------------------------------------------------------------------------------
my @tokens = grep { defined } map { $_->{token} } journal(event => 'request');
sql("SELECT theazo.session_terminate('$session', $k)");
ok($node->poll_query_until($db, "SELECT count(*) = 0 FROM theazo_data.effect WHERE state IN ('queued', 'claimed', 'sent')"), 'everything is settled');
is(scalar(boxes()), 0, 'nothing is left') or diag(encode_json(control({})));
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '--file', $dump, $node->connstr($db) ], 'dump');
my ($log, $rows) = (slurp_file($node->logfile), slurp_file($dump));
cmp_ok(scalar(@tokens), '>', 20, 'tokens were used');
is(scalar(grep { index($log, $_) >= 0 || index($rows, $_) >= 0 } @tokens), 0, 'no token is in a row or in the log');
foreach my $secret ($key_of_account, $env_secret)
{
	(my $said = $log) =~ s/secret_set\([^)]*\)//g;
	unlike($said, qr/\Q$secret\E/, substr($secret, 0, 6) . '... is not in the server log');
	unlike($rows, qr/\Q$secret\E/, substr($secret, 0, 6) . '... is not in a dump');
}

$node->stop;
done_testing();
