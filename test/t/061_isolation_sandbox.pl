# Attacks on the server from inside a sandbox, through SQL. Each is one python program that succeeds where the
# server runs and is refused inside. The longer list, without a server, is test/box.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;

$ENV{THEAZO_PLANTED} = 'planted-in-the-environment';
my $node = new_server('walls', "listen_addresses = '127.0.0.1'\n");
my $mode = $node->safe_psql('postgres', 'SELECT mode FROM theazo_data.preflight');
plan skip_all => 'this machine offers no local sandboxes' if $mode eq 'none';
diag("isolation: $mode, user: " . ($> == 0 ? 'root' : 'ordinary'));
my $p = new_platform($node, 'walls');
my $agent = new_agent($p);
my $neighbour = new_agent($p);

my ($data, $port, $socket) = ($node->data_dir, $node->port, $node->host);
my $postmaster = (split /\n/, slurp_file("$data/postmaster.pid"))[0];
my $worker = $node->safe_psql('postgres', "SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'dispatcher' LIMIT 1");

# A port on loopback that a program finds open, as the server's or a neighbour's is.
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die "no port: $!";
my $open_port = $listener->sockport;

sub outside
{
	my ($code) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/attack.py';
	append_to_file($file, $code);
	my ($out, $err);
	IPC::Run::run([ '/usr/bin/python3', '-I', $file ], '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	return $out . $err;
}

my %attacks = (
	'read the data directory' => "print('W' 'ON' if open('$data/PG_VERSION').read() else '')",
	'list the data directory' => "import os; print('W' 'ON' if 'base' in os.listdir('$data') else '')",
	'read the postmaster\'s environment' =>
	  "print('W' 'ON' if b'THEAZO_PLANTED' in open('/proc/$postmaster/environ', 'rb').read() else '')",
	'find the server in /proc' => "import os\nfor p in os.listdir('/proc'):\n  try:\n"
	  . "    if b'postgres' in open('/proc/%s/cmdline' % p, 'rb').read(): print('W' 'ON'); break\n  except OSError: pass",
	'signal the postmaster' => "import os; os.kill($postmaster, 0); print('W' 'ON')",
	'signal the dispatcher' => "import os; os.kill($worker, 0); print('W' 'ON')",
	'look into the postmaster' => "import os; os.listdir('/proc/$postmaster/fd'); print('W' 'ON')",
	'connect to the server\'s unix socket' =>
	  "import socket; socket.socket(socket.AF_UNIX).connect('$socket/.s.PGSQL.$port'); print('W' 'ON')",
	'connect to the server\'s port' => "import socket; socket.create_connection(('127.0.0.1', $port), 5); print('W' 'ON')",
	'connect to another port of the machine' =>
	  "import socket; socket.create_connection(('127.0.0.1', $open_port), 5); print('W' 'ON')",
	'use the server\'s shared memory' => "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
	  . "key = [l.split() for l in open('/proc/sysvipc/shm')][1:]\n"
	  . "print('W' 'ON' if any(libc.shmget(int(k[0]), 0, 0) >= 0 for k in key) else '')",
	'list the server\'s POSIX shared memory' =>
	  "import os; print('W' 'ON' if any(n.startswith('PostgreSQL') for n in os.listdir('/dev/shm')) else '')",
);
foreach my $name (sort keys %attacks)
{
	my $shown = outside($attacks{$name});
	SKIP:
	{
		skip "$name: not possible here outside either", 1 if $shown !~ /WON/ && $name =~ /shared memory/;
		like($shown, qr/WON/, "$name: succeeds without the sandbox");
	}
	my $r = run_code($p, $agent, 'python', $attacks{$name});
	is($r->{status}, 'completed', "$name: ran inside");
	unlike($r->{stdout} . $r->{stderr}, qr/WON/, "$name: refused inside");
}

# A dispatcher is closed even to the server's own user: it holds values of secrets.
unlike(outside("import os; os.listdir('/proc/$worker/fd'); print('W' 'ON')"), qr/WON/, 'nobody but root looks into a dispatcher');

# ---- environment: what the caller gave, nothing of the server's ------------------------
my $env = run_code($p, $agent, 'sh', 'env; cat /proc/1/environ 2>&1')->{stdout};
unlike($env, qr/planted|PGDATA|PGHOST|THEAZO_CONF/, 'nothing of the server\'s environment is inside');
unlike(run_code($p, $agent, 'sh', 'cat /proc/1/cmdline; cat /proc/mounts')->{stdout}, qr/\Q$data\E/,
	'nor does a path of the server\'s show');

# ---- another agent of the same session --------------------------------------------------
# What a command leaves in the background goes on.
run_code($p, $neighbour, 'bash', "echo mine > secret.txt\ncat > server.py <<'X'\nimport socket, time\n"
	  . "s = socket.socket(); s.bind(('127.0.0.1', 7777)); s.listen(5)\n"
	  . "a = socket.socket(socket.AF_UNIX); a.bind('\\0neighbour'); a.listen(5)\nopen('ready', 'w'); time.sleep(300)\nX\n"
	  . "python3 server.py > /dev/null 2>&1 &\nuntil [ -e ready ]; do sleep 0.05; done");
my $reach = "import os, socket\n"
  . "print(os.path.exists('/workspace/secret.txt'))\n"
  . "for f in (lambda: socket.create_connection(('127.0.0.1', 7777), 2),\n"
  . "          lambda: socket.socket(socket.AF_UNIX).connect('\\0neighbour')):\n"
  . "  try: f(); print('W' 'ON')\n  except OSError as e: print('refused')\n";
is(run_code($p, $neighbour, 'python', $reach)->{stdout}, "True\nWON\nWON\n", 'an agent reaches what is its own');
is(run_code($p, $agent, 'python', $reach)->{stdout}, "False\nrefused\nrefused\n", 'and nothing of another agent of its session');

# ---- bombs: the run ends, the sandbox and the server go on --------------------------------
my $r = run_code($p, $agent, 'bash', ':(){ :|:& };: ; sleep 30', "timeout => '3 s'");
ok($r->{status} =~ /^(completed|failed)$/, 'a fork bomb ends');
is(run_code($p, $agent, 'sh', 'echo alive')->{stdout}, "alive\n", 'and the sandbox goes on');
$r = run_code($p, $agent, 'python', "import os, time\nfor i in range(30):\n  if os.fork() == 0:\n"
	  . "    x = bytearray(os.urandom(1)) * (60 << 20)\n    time.sleep(200)\n    os._exit(0)\ntime.sleep(200)", "timeout => '200 s'");
is($r->{exit_code}, 137, 'a memory bomb is killed');
is(run_code($p, $agent, 'sh', 'echo alive')->{stdout}, "alive\n", 'and the sandbox goes on');
$r = run_code($p, $agent, 'sh', 'for i in 1 2 3 4 5 6 7 8 9; do head -c 50000000 /dev/zero > fill$i || break; done; rm -f fill*');
like($r->{stderr}, qr/No space left/, 'the disk has an end');
is($node->safe_psql('postgres', 'SELECT 1'), '1', 'the server never noticed');
ok(!$node->log_contains('was terminated by signal|database system was interrupted', 0), 'nor did any of its processes die');

# ---- after a stop nothing is left -----------------------------------------------------------
my @before = boxes();
cmp_ok(scalar @before, '>=', 2, 'the sandboxes are processes of this machine');
$node->stop('fast');
my $until = time() + 60;
select(undef, undef, undef, 0.05) while boxes() && time() < $until;
is(scalar boxes(), 0, 'and are gone with the server');

# Isolation programs below this server, by the settings' path of the init in their command line.
sub boxes
{
	my @found;
	foreach my $dir (glob '/proc/[0-9]*')
	{
		open(my $fh, '<', "$dir/cmdline") or next;
		local $/;
		my $line = <$fh> // '';
		next if $line !~ /^bwrap\0--args/;
		open(my $st, '<', "$dir/status") or next;
		my ($uid) = (<$st> // '') =~ /^Uid:\s+(\d+)/m;
		push @found, $dir if defined $uid && $uid == $> && started_by($dir);
	}
	return @found;
}

# Only those of this server: others may run tests on the same machine.
sub started_by
{
	my ($dir) = @_;
	our %ours;
	open(my $fh, '<', "$dir/status") or return 0;
	local $/;
	my ($ppid) = (<$fh> // '') =~ /^PPid:\s+(\d+)/m;
	return 0 if !defined $ppid;
	open(my $pfh, '<', "/proc/$ppid/status") or return $ours{$dir} // 0;
	my ($grand) = (<$pfh> // '') =~ /^PPid:\s+(\d+)/m;
	$ours{$dir} = 1 if defined $grand && $grand == $postmaster;
	return $ours{$dir} // 0;
}

done_testing();
