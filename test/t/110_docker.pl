# Containers as sandboxes, at a real engine: the whole life of one, what it may
# not do, where secrets are not to be found, and what is left when calls are lost.
use strict;
use warnings;
use FindBin;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoEngine;
use Time::HiRes qw(sleep time);

my $socket = $ENV{THEAZO_ENGINE} // '';
unless (ok(-S $socket, 'there is an engine'))
{
	diag('run the suite as root, or name the socket of an engine in THEAZO_ENGINE');
	done_testing();
	exit 1;
}
my $image = 'localhost/theazo-test:1';
my $canary = 'env-canary-3141-qrstuv';

sub engine { return ask($socket, @_) }

# Those of this server.
my $instance = '';

sub containers
{
	my $list = engine('GET', '/containers/json?all=1');
	return map { ($_->{Labels}{'theazo.instance'} // '') eq $instance ? $_->{Labels}{'theazo.id'} : () } @$list;
}

# --- server ---------------------------------------------------------------------
my $node = PostgreSQL::Test::Cluster->new('docker');
$node->init;
$node->append_conf('postgresql.conf', slurp_file($ENV{THEAZO_CONF}));
$node->append_conf('postgresql.conf', qq(
theazo.dispatchers = 1
log_statement = 'all'
));
$node->start;
my $db = 'postgres';
$node->safe_psql($db, 'CREATE EXTENSION theazo CASCADE');

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql($db, $sql);
}

sub failure
{
	my ($sql) = @_;
	my ($out, $err);
	$node->psql($db, "\\set VERBOSITY verbose\n$sql", stdout => \$out, stderr => \$err, on_error_stop => 1, timeout => 90);
	my ($state, $message) = $err =~ /ERROR:  ([0-9A-Z]{5}): (.*)/;
	my ($hint) = $err =~ /HINT:  (.*)/;
	return { state => $state // 'none', message => $message // $err, hint => $hint // '', all => $err };
}

sub refused
{
	my ($sql, $state, $like, $name) = @_;
	my $f = failure($sql);
	is($f->{state}, $state, "$name: SQLSTATE") or diag($f->{all});
	like($f->{message}, $like, "$name: message");
	isnt($f->{hint}, '', "$name: a hint") or diag($f->{all});
	return $f;
}

$instance = sql('SELECT theazo_internal.instance()');
my $platform = sql("SELECT id FROM theazo.platform_create('Boxes')");
my $key = sql("SELECT key FROM theazo.api_key_create('test', platform => '$platform')");
my $k = "api_key => '$key'";
my $session = sql("SELECT id FROM theazo.session_create('user-1', $k)");

sub agent
{
	my ($options) = @_;
	return sql("SELECT id FROM theazo.agent_create('$session', '" . ($options // '{}') . "', $k)");
}

sub exec_sql
{
	my ($agent, $code, $more) = @_;
	return "CALL theazo.exec('$agent', 'sh', \$code\$$code\$code\$, $k" . ($more // '') . ')';
}

sub sandbox
{
	my ($agent) = @_;
	return split /\|/, sql("SELECT s.id, s.external_id FROM theazo_data.sandbox s "
		. "WHERE s.agent_id = '$agent' ORDER BY s.created_at DESC LIMIT 1");
}

sub settled
{
	my ($what) = @_;
	ok($node->poll_query_until($db, "SELECT count(*) = 0 FROM theazo_data.effect WHERE state IN ('queued', 'claimed', 'sent')"
			. " AND kind LIKE 'compute.%'"), "$what: settled");
}

# --- who may name a socket -----------------------------------------------------------
refused("SELECT theazo.provider_set('mine', type => 'docker', endpoint => 'unix://$socket', $k)", '22023', qr/endpoint/,
	'a platform cannot name a socket of the machine');
refused("SELECT theazo.operator_provider_set('boxes', type => 'docker', endpoint => 'unix://../engine')", '22023', qr/endpoint/, 'no path');
sub boxes
{
	my ($at, %more) = @_;
	my $config = encode_json({ image => $image, pull => JSON::PP::false, memoryMb => 128, ulimits => { nofile => 1024, nproc => 4096 }, %more });
	sql("SELECT name FROM theazo.operator_provider_set('boxes', type => 'docker', endpoint => 'unix://$at', config => '$config')");
	return;
}

boxes($socket);

# --- commands ---------------------------------------------------------------------------
my $agent = agent();
like(sql(exec_sql($agent, 'echo out; echo err >&2; exit 3')), qr/\|out\n\|err\n\|3\|\d+\|/, 'stdout, stderr, exit code');
my ($id, $container) = sandbox($agent);
like($container, qr/^[0-9a-f]{64}$/, 'the sandbox is a container');
is_deeply([ containers() ], [$id], 'which carries the name of the sandbox');
like(sql(exec_sql($agent, 'printf %s "$A"', q{, env => $j${"A": "it's \\"quoted\\" $HOME"}$j$})),
	qr/\|it's "quoted" \$HOME\|/, 'environment of one call');

# more than is kept of either stream, in frames of the engine's choice
my $long = sql(exec_sql($agent, 'head -c 3000000 /dev/zero | tr "\\000" a; echo end >&2'));
like($long, qr/\|end\n\|0\|/, 'three megabytes, and the other stream whole');
is(scalar(() = $long =~ /a/g), 1048576, 'of which one is kept');
like(sql(exec_sql($agent, 'printf "\\377\\303\\244"')), qr/\|\x{ef}\x{bf}\x{bd}\x{c3}\x{a4}\|/, 'bytes that are no text are made text');
like(sql(exec_sql($agent, 'kill -9 $$')), qr/\|137\|/, 'a signal');
like(sql(exec_sql($agent, '# ' . ('x' x 400_000) . "\necho long")), qr/\|long\n\|/, 'a program longer than an argument may be');
refused(exec_sql($agent, 'sleep 60', ", timeout => '1 s'"), 'TZ403', qr/longer than 1000 ms/, 'too long');
is(sql(exec_sql($agent, 'ps | grep -c "[s]leep 60"')) =~ /\|0\n\|/ ? 1 : 0, 1, 'and it is ended in there');

# a call that is cut leaves nothing behind, either
sub processes
{
	my ($box) = @_;
	my $top = engine('GET', "/containers/$box/top");
	return join "\n", map { join ' ', @$_ } @{ $top->{Processes} // [] };
}

sub runs_there
{
	my ($box, $what) = @_;
	for (1 .. 200)
	{
		return 1 if processes($box) =~ /$what/;
		sleep 0.05;
	}
	return 0;
}

my $cut = sql("SELECT id FROM theazo.exec_start('$agent', 'sh', 'sleep 61 & setsid sleep 62 & sleep 63', timeout => '5 min', $k)");
ok(runs_there($container, 'sleep 61') && runs_there($container, 'sleep 63'), 'a command runs, and what it has started');
sql("SELECT theazo.run_cancel('$cut', $k)");
ok($node->poll_query_until($db, "SELECT status = 'cancelled' FROM theazo_data.run WHERE id = '$cut'"), 'it is cancelled');
settled('its end');
unlike(processes($container), qr/sleep 6[13]/, 'and ended, with what it had started');
like(processes($container), qr/sleep 62/, 'but for what went its own way');
like(sql(exec_sql($agent, 'ls -a | grep -c "^.\\?theazo-"')), qr/\|2\n\|/, 'only files of the command that looks are there');

# --- what it may not do -------------------------------------------------------------------
my $inside = sql(exec_sql($agent, 'id -u; grep -E "CapEff|NoNewPrivs" /proc/self/status; ls /sys/class/net; touch /etc/x 2>&1'));
like($inside, qr/\|65534\n/, 'nobody of importance');
like($inside, qr/CapEff:\s+0+\n/, 'without capabilities');
like($inside, qr/NoNewPrivs:\s+1\n/, 'and none to be had');
like($inside, qr/\nlo\n.*Permission denied/s, 'loopback only, and the system is not its own');
my $policy = engine('GET', "/containers/$container/json")->{HostConfig};
is($policy->{Memory}, 128 * 1048576, 'limit of memory');
is($policy->{PidsLimit}, 256, 'limit of processes');

# --- files ----------------------------------------------------------------------------------
sql("CALL theazo.file_write('$agent', '/data/in put.bin', '\\x00ff41'::bytea, $k)");
like(sql("CALL theazo.file_read('$agent', '/data/in put.bin', $k)"), qr/\|\\x00ff41$/, 'a file there and back');
like(sql(exec_sql($agent, 'od -An -tx1 "data/in put.bin"; echo more > data/b')), qr/00 ff 41/, 'the command sees it, and may write beside it');
sql(exec_sql($agent, 'ln -s ../data/b data/link; ln -s nowhere data/broken; mkdir data/sub'));
like(sql("CALL theazo.file_read('$agent', '/data/link', $k)"), qr/\|\\x6d6f72650a$/, 'a link is followed');
refused("CALL theazo.file_read('$agent', '/data/broken', $k)", '58P01', qr/no such file/, 'one that leads nowhere is not');
refused("CALL theazo.file_read('$agent', '/data/sub', $k)", '58P01', qr/directory/, 'a directory is no file');
refused("CALL theazo.file_read('$agent', '/nothing', $k)", '58P01', qr/no such file/, 'nor is nothing');
my $list = sql("CALL theazo.file_list('$agent', '/data', $k)");
like($list, qr/"in put\.bin"/, 'list');
like($list, qr/"sub"[^}]*"is_?[dD]ir": ?true|"is_?[dD]ir": ?true[^}]*"sub"/, 'of directories too');
refused("CALL theazo.file_list('$agent', '/nowhere', $k)", '58P01', qr/no such directory/, 'none that is not there');
sql("CALL theazo.file_write('$agent', '/large', convert_to(repeat('x', 3000000), 'UTF8'), $k)");
like(sql(exec_sql($agent, 'wc -c < large')), qr/\|\s*3000000\n/, 'a large file');

# --- secrets: in the process and nowhere else ------------------------------------------------
sql("SELECT name FROM theazo.secret_set('service_token', '$canary', session => '$session', $k)");
my $secret_agent = agent();
like(sql(exec_sql($secret_agent, 'printf %s "$SERVICE_TOKEN" | cut -c1-10; sleep 0.2')), qr/\|env-canary\n\|/, 'a secret in the environment');
my (undef, $secret_box) = sandbox($secret_agent);
unlike(sql(exec_sql($secret_agent, 'cat /proc/1/environ | tr "\\000" "\\n"; cat /proc/*/cmdline | tr "\\000" " "')), qr/canary/,
	'not in that of PID 1, nor on a command line');
unlike((engine('GET', "/containers/$secret_box/json"))[1], qr/\Q$canary\E/, 'not in what inspecting shows');
sql(exec_sql($secret_agent, 'echo kept > kept; mkdir d; echo 2 > d/two'));

# --- a snapshot, and another box from it -------------------------------------------------------
sub effect
{
	my ($kind, $request) = @_;
	my $effect = sql("SELECT theazo_internal.effect_enqueue('$platform', NULL, 'compute.$kind', 'docker', '" . encode_json($request)
		  . "', p_provider => 'theazo:boxes')");
	ok($node->poll_query_until($db, "SELECT state NOT IN ('queued', 'claimed', 'sent') FROM theazo_data.effect WHERE id = '$effect'"), "$kind: settled");
	my ($state, $result) = split /\|/, sql("SELECT e.state, p.result FROM theazo_data.effect e LEFT JOIN theazo_data.effect_payload p "
		. "ON p.platform_id = e.platform_id AND p.root_id = e.root_id AND p.id = e.id WHERE e.id = '$effect'"), 2;
	return ($state, $result, $effect);
}

my ($state, undef, $snapshot) = effect('snapshot', { sandbox => $secret_box });
is($state, 'done', 'a snapshot');
my $made = engine('GET', "/images/localhost/theazo/snapshot:$snapshot/json");
like($made->{Id} // '', qr/[0-9a-f]{64}/, 'it is an image');
unlike((engine('GET', "/images/localhost/theazo/snapshot:$snapshot/json"))[1], qr/\Q$canary\E/, 'without the secret in what it is made of');
unlike((engine('GET', "/images/localhost/theazo/snapshot:$snapshot/get"))[1], qr/\Q$canary\E/, 'nor in its files');
boxes($socket, image => "localhost/theazo/snapshot:$snapshot");
my $second = agent();
like(sql(exec_sql($second, 'cat kept d/two; printf %s "$SERVICE_TOKEN" | cut -c1-3')), qr/\|kept\n2\nenv\n\|/, 'a box made from it has the same files');
my (undef, $second_box) = sandbox($second);
isnt($second_box, $secret_box, 'and is another one');

# --- two boxes do not reach each other --------------------------------------------------------
sql(exec_sql($secret_agent, 'nc -l -p 7777 -e cat > /dev/null 2>&1 & sleep 0.1'));
like(sql(exec_sql($second, 'for a in 127.0.0.1 10.88.0.1 10.88.0.2 172.17.0.2; do echo x | nc -w 1 $a 7777 && echo reached; done; echo tried')),
	qr/\|tried\n\|/, 'no way to another box');

# --- networks of their own, and ports -----------------------------------------------------------
sub networks
{
	my $list = engine('GET', '/networks');
	return grep { ($_->{Labels}{'theazo.instance'} // '') eq $instance } @$list;
}

refused("CALL theazo.port_expose('$agent', 7777, $k)", 'TZ406', qr/no ports/, 'ports of containers without a network');
SKIP:
{
	skip 'this engine has no networks to give on this machine', 17 unless bridges($socket, $image);
	boxes($socket, network => 'own', ports => [ 7777, 8080 ]);
	my $closed = agent();
	like(sql(exec_sql($closed, 'ls /sys/class/net')), qr/\|lo\n\|/, 'an agent that may have no network has none');
	refused("CALL theazo.port_expose('$closed', 7777, $k)", '22023', qr/not published/, 'and no ports');
	my $listed = agent('{"network": {"enabled": true, "allow": ["example.com"]}}');
	like(sql(exec_sql($listed, 'ls /sys/class/net')), qr/\|lo\n\|/, 'nor has one that may speak to some hosts only');
	my @open = map { agent('{"network": {"enabled": true}}') } 1, 2;
	sql(exec_sql($open[$_], "(while :; do echo box-$_ | nc -l -p 7777; done) > /dev/null 2>&1 &")) for 0, 1;
	my @address;
	my $gateway;
	for (@open)
	{
		my (undef, $box) = sandbox($_);
		my ($network) = values %{ engine('GET', "/containers/$box/json")->{NetworkSettings}{Networks} };
		push @address, $network->{IPAddress};
		$gateway = $network->{Gateway};
	}
	is(scalar(networks()), 2, 'two boxes, each with a network of its own');
	my $machine = IO::Socket::INET->new(LocalAddr => $gateway, Listen => 5, ReuseAddr => 1) or die "cannot listen at $gateway: $!";
	for my $n (0, 1)
	{
		my $other = $address[ 1 - $n ];
		my $tried = sql(exec_sql($open[$n], "for a in 127.0.0.1 $other; do nc -w 1 \$a 7777 < /dev/null; done; echo tried"));
		like($tried, qr/box-$n\n/, "box $n reaches itself");
		unlike($tried, qr/box-@{[1 - $n]}\n/, 'and not the other');
	}
	my $answering = fork // die;
	unless ($answering)
	{
		my $caller = $machine->accept;
		print $caller "machine\n" if $caller;
		close $caller;
		POSIX::_exit(0);
	}
	like(sql(exec_sql($open[1], "timeout 5 nc -w 2 $gateway @{[$machine->sockport]} < /dev/null")), qr/\|machine\n/, 'though the way out is open');
	kill 'KILL', $answering;
	waitpid $answering, 0;
	my ($url) = sql("CALL theazo.port_expose('$open[0]', 7777, $k)") =~ m{(http://127\.0\.0\.1:\d+)};
	ok($url, 'a port has an address');
	my $said = '';
	for (1 .. 50)
	{
		my $web = IO::Socket::INET->new(PeerAddr => substr($url // '', 7), Timeout => 2);
		$said = $web ? readline($web) // '' : '';
		last if $said ne '';
		sleep 0.1;
	}
	is($said, "box-0\n", 'which leads into the box');
	refused("CALL theazo.port_expose('$open[0]', 9999, $k)", '22023', qr/not one/, 'a port that is not published');
	sql("SELECT theazo.agent_terminate('$_', $k)") for @open, $closed, $listed;
	settled('the end of boxes with networks');
	is_deeply([ networks() ], [], 'networks go with their boxes');
	boxes($socket, image => "localhost/theazo/snapshot:$snapshot");
}

# --- pause and resume -------------------------------------------------------------------------
sql(exec_sql($agent, '(n=0; while :; do n=$((n+1)); echo "$n $$" > counter.new; mv counter.new counter; sleep 0.05; done) > /dev/null 2>&1 &'));
sleep 0.3;
sql("SELECT theazo.agent_pause('$agent', $k)");
settled('pause');
is(engine('GET', "/containers/$container/json")->{State}{Status}, 'paused', 'the engine has paused it');
sleep 0.5;
refused(exec_sql($agent, 'true'), 'TZ103', qr/paused/, 'a paused agent takes no work');
sql("SELECT theazo.agent_resume('$agent', $k)");
settled('resume');
my ($first_n, $first_pid) = sql(exec_sql($agent, 'cat counter')) =~ /\|(\d+) (\d+)\n/;
sleep 0.3;
my ($later_n, $later_pid) = sql(exec_sql($agent, 'cat counter')) =~ /\|(\d+) (\d+)\n/;
is($later_pid, $first_pid, 'the same process goes on');
cmp_ok($later_n, '>', $first_n, 'from where it was');

# --- figures ------------------------------------------------------------------------------------
sql(exec_sql($agent, '(while :; do :; done) > /dev/null 2>&1 & head -c 5000000 /dev/zero > big'));
my $measured = sql("SELECT id FROM theazo.metrics_start('$agent', $k)");
sql("SELECT theazo.run_wait('$measured', api_key => '$key')");
my $metrics = sql("SELECT to_jsonb(r) FROM theazo.run_result('$measured', $k) r");
my $stats = engine('GET', "/containers/$container/stats?stream=false&one-shot=true");
my ($cpu) = $metrics =~ /cpu_?[pP]ercent"?: ?([0-9.]+)/;
my ($memory) = $metrics =~ /memory_?[mM]b"?: ?([0-9.]+)/;
my ($disk) = $metrics =~ /disk_?[mM]b"?: ?([0-9.]+)/;
diag("$metrics") unless defined $cpu && defined $memory && defined $disk;
cmp_ok($cpu // 0, '>', 1, 'a busy loop shows');
my $engines = ($stats->{memory_stats}{usage} - ($stats->{memory_stats}{stats}{inactive_file} // 0)) / 1048576;
cmp_ok(abs(($memory // 0) - $engines), '<', 20, "memory is what the engine says ($engines)");
cmp_ok($disk // 0, '>', 4.5, 'disk has the new file');

# --- the rest of what the adapter can --------------------------------------------------------------
($state) = effect('logs', { sandbox => $container, tail => 10 });
is($state, 'done', 'logs of PID 1');
($state) = effect('renew', { sandbox => $container, lifetime_s => 100 });
is($state, 'done', 'renewal');
is(engine('GET', "/containers/$container/json")->{State}{Status}, 'running', 'which PID 1 takes well');
($state) = effect('forget', { snapshot => "localhost/theazo/snapshot:none" });
is($state, 'done', 'to forget what is not there is done');

# --- gone behind our back -----------------------------------------------------------------------
engine('DELETE', "/containers/$second_box?force=1");
refused(exec_sql($second, 'true'), 'TZ410', qr/gone/, 'a container that somebody removed');
like(sql(exec_sql($second, 'cat kept')), qr/\|kept\n\|/, 'the next command gets a new one');
(undef, $second_box) = sandbox($second);
engine('DELETE', "/containers/$second_box?force=1");
sql("SELECT theazo.agent_terminate('$second', $k)");
settled('the end of what is gone');
is(sql("SELECT status FROM theazo_data.sandbox WHERE external_id = '$second_box'"), 'destroyed', 'to destroy what is gone is done');

# --- answers that are lost --------------------------------------------------------------------------
# A socket between us and the engine, which keeps an answer to itself: for ever, or until it is cut.
my $between = PostgreSQL::Test::Utils::tempdir_short() . '/between.sock';
my $wish = "$between.wish";

sub between
{
	my $listen = IO::Socket::UNIX->new(Local => $between, Listen => 20) or die "socket: $!";
	$SIG{CHLD} = 'IGNORE';
	while (1)
	{
		my $client = $listen->accept or next;
		next if fork;
		my $engine = IO::Socket::UNIX->new(Peer => $socket) or POSIX::_exit(0);
		my $kept = 0;
		while (1)
		{
			my $r = '';
			vec($r, fileno $client, 1) = 1;
			vec($r, fileno $engine, 1) = 1;
			select($r, undef, undef, undef);
			if (vec($r, fileno $client, 1))
			{
				sysread($client, my $bytes, 65536) or POSIX::_exit(0);
				if (-s $wish && $bytes =~ m{^POST \S*/containers/create})
				{
					$kept = slurp_file($wish) =~ /hold/ ? 'hold' : 'cut';
					unlink $wish;
				}
				syswrite $engine, $bytes;
			}
			if (vec($r, fileno $engine, 1))
			{
				sysread($engine, my $bytes, 65536) or POSIX::_exit(0);
				POSIX::_exit(0) if $kept eq 'cut';
				if ($kept eq 'hold')
				{
					append_to_file("$wish.held", "held\n");
					sleep 20;
					POSIX::_exit(0);
				}
				syswrite $client, $bytes;
			}
		}
	}
}

my $proxy = fork // die;
unless ($proxy)
{
	between();
	POSIX::_exit(0);
}

END
{
	kill 'TERM', $proxy if $proxy;
}
$node->poll_query_until($db, 'SELECT true') until -S $between;
boxes($between);
my $before = containers();
append_to_file($wish, "cut\n");
my $unlucky = agent();
like(sql(exec_sql($unlucky, 'echo found')), qr/\|found\n\|/, 'an answer to a create is lost: it is sent again');
ok(!-e $wish, 'it was lost indeed');
my ($unlucky_id) = sandbox($unlucky);
is(scalar(grep { $_ eq $unlucky_id } containers()), 1, 'there is one container for it');
is(scalar(containers()) - $before, 1, 'and no other');

# --- the server dies while one is made ------------------------------------------------------------------
append_to_file($wish, "hold\n");
my $orphan = agent();
sql("SELECT id FROM theazo.exec_start('$orphan', 'sh', 'echo alive', $k)");
for (1 .. 200)
{
	last if -e "$wish.held";
	sleep 0.05;
}
ok(-e "$wish.held", 'the engine has made it, nobody knows');
my ($orphan_id) = sandbox($orphan);
is(scalar(grep { $_ eq $orphan_id } containers()), 1, 'there it is');
my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
$node->kill9;
# it is gone once somebody has been told of its death
for (1 .. 600)
{
	last unless kill 0, $postmaster;
	sleep 0.05;
}
$node->start;
ok($node->poll_query_until($db, "SELECT status = 'ready' FROM theazo_data.sandbox WHERE id = '$orphan_id'"), 'after the restart it is found');
is(scalar(grep { $_ eq $orphan_id } containers()), 1, 'still one');

# --- end -----------------------------------------------------------------------------------
sql("SELECT theazo.agent_terminate(id, $k) FROM theazo_data.agent WHERE status NOT IN ('completed', 'failed')");
settled('the end');
is_deeply([ containers() ], [], 'every container is gone');
engine('DELETE', "/images/localhost/theazo/snapshot:$snapshot?force=1");
my $log = slurp_file($node->logfile);
is(scalar(() = $log =~ /PANIC|TRAP:|terminated by signal (6|11)/g), 0, 'nothing died');

$node->stop;
done_testing();
