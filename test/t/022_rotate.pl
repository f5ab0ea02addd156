# Rotation of the vault: with SIGKILL of the keeper and of the whole server in the middle, under secrets that are
# set and calls that need them; keys that are missing, lost, found; rows that are held or do not open.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $dir = PostgreSQL::Test::Utils::tempdir();
my %key = map { my $f = $_ * 37; $_ => join('', map { sprintf '%02x', ($_ * $f + $f) % 256 } 1 .. 32) } 1 .. 4;

# What the server finds when it starts next.
sub keys_are
{
	my @n = @_;
	open my $fh, '>', "$dir/master.key" or die $!;
	print $fh map { "$key{$_}\n" } @n;
	close $fh;
	chmod 0600, "$dir/master.key";
	return;
}

keys_are(1);
my $node = new_server('rotate', qq(
theazo.master_key_file = '$dir/master.key'
theazo.keeper_interval = 500ms
restart_after_crash = on
autovacuum = off
statement_timeout = 60s
));
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub fails
{
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$_[0]");
	return $err;
}
sub up_again
{
	$node->poll_query_until('postgres',
		"SELECT count(*) = 3 FROM theazo_internal.worker_status() WHERE kind IN ('dispatcher', 'keeper') AND state = 'running'")
	  or die 'workers do not come back';
	return;
}
sub restart_with { keys_are(@_); $node->restart; up_again(); return }
# The newest rotation.
sub rotation { return sql("SELECT $_[0] FROM theazo.vault_rotations ORDER BY started_at DESC LIMIT 1") }
sub rotation_ends
{
	wait_sql($node, "SELECT state <> 'running' FROM theazo.vault_rotations ORDER BY started_at DESC LIMIT 1", 't', 'the rotation ends', 120);
	return rotation('state');
}
# Rows that do not open, those whose length says that they were wrapped twice, and those that repeat a salt.
my $wrong = q{SELECT count(*) FILTER (WHERE NOT theazo_internal.secret_opens(s.platform_id, s.session_id, s.name, s.version, p.vault_salt, s.master_key_id, s.salt, s.sealed))
		|| ' ' || count(*) FILTER (WHERE length(s.sealed) <> CASE WHEN s.name LIKE 'long%' THEN 60017 WHEN s.name LIKE 'many%' THEN 25 ELSE length(s.sealed) END)
		|| ' ' || count(*) - count(DISTINCT s.salt)
	FROM theazo_data.secret s JOIN theazo_data.platform p ON p.platform_id = s.platform_id};
sub all_open { my ($what) = @_; is(sql($wrong), '0 0 0', "$what: every secret opens, none is wrapped twice"); return }

# ---- secrets of platforms, sessions and the operator ---------------------------------------------------
my $p = new_platform($node, 'rotating');
my @others = map { new_platform($node, "other $_") } 1 .. 2;
my $value = "value-'\"\\-" . 'x' x 100;
my $sum = `printf %s "\$V" | sha256sum` if local $ENV{V} = $value;
($sum) = $sum =~ /^(\w+)/;
sql("SELECT FROM theazo.secret_set('watched', " . quote($value) . ", '$p->{session}', api_key => '$p->{key}')");
for my $o ($p, @others)
{
	sql("SELECT count(*) FROM generate_series(1, 5) i, LATERAL theazo.secrets_set("
		. "(SELECT jsonb_object_agg('many ' || i || ' ' || j, 'val-' || 1000 + j) FROM generate_series(1, 190) j), api_key => '$o->{key}')");
	sql("SELECT FROM theazo.secret_set('long', repeat('x', 60000), api_key => '$o->{key}')");
}
sql("SELECT FROM theazo.operator_secret_set('managed', 'value of the operator')");
my $total = sql('SELECT count(*) FROM theazo_data.secret');
cmp_ok($total, '>', 2800, 'there are secrets enough to be interrupted');
my $agent = new_agent($p);
sub watched_opens
{
	my ($what) = @_;
	is(run_code($p, $agent, 'sh', 'printf %s "$WATCHED" | sha256sum | cut -c1-64')->{stdout}, "$sum\n", "$what: the value that arrives is the one that was set");
	return;
}
sub new_box { $agent = new_agent($p); return }
watched_opens('before');
my $one = sql('SELECT theazo_internal.master_key_current()');
is(sql("SELECT state || ' ' || secrets || ' ' || removable FROM theazo.vault_keys"), "current $total false", 'one key');

# ---- nothing to do: a rotation to the key that everything is under ends at once ---------------------------
like(sql('SELECT * FROM theazo.vault_rotate(500)'), qr/\|running\|500\|0\|0\|0\|0\|/, 'a rotation with nothing to do begins');
is(rotation_ends(), 'done', 'and is done');

# ---- bad calls ------------------------------------------------------------------------------------------------
like(fails("SELECT theazo.vault_rotate($_)"), qr/ERROR:  22023: batch must be between 1 and 10000/, "batch $_") for 0, 10001, 'NULL';
like(fails("SET ROLE theazo_app; SELECT theazo.$_"), qr/ERROR:  42501/, "an application cannot call $_") for 'vault_rotate()', "vault_forget('$one')";
like(fails("SELECT theazo.vault_forget('$one')"), qr/ERROR:  TZ103: master key "$one" is not lost/, 'a key that is held is not lost');
like(fails("SELECT theazo.vault_forget('0123456789abcdef')"), qr/ERROR:  42704: master key "0123456789abcdef" does not exist/, 'a key that never was');
like(fails("SELECT theazo_internal.secret_reseal(s.platform_id, s.session_id, s.name, s.version, p.vault_salt, s.master_key_id, s.salt, s.sealed, '$one')"
	. " FROM theazo_data.secret s JOIN theazo_data.platform p ON p.platform_id = s.platform_id LIMIT 1"),
	qr/ERROR:  42501: only workers seal secrets anew/, 'nobody but a worker seals anew');

# ---- two live keys ------------------------------------------------------------------------------------------------
restart_with(2, 1);
my $two = sql('SELECT theazo_internal.master_key_current()');
isnt($two, $one, 'the new key is the current one');
new_box();
watched_opens('under the old key while the new one seals');
sql("SELECT FROM theazo.secret_set('fresh', 'x', api_key => '$p->{key}')");
is(sql("SELECT master_key_id FROM theazo_data.secret WHERE name = 'fresh'"), $two, 'what is set now lies under the new key');
is(sql("SELECT string_agg(state || ' ' || removable, ', ' ORDER BY current) FROM theazo.vault_keys"), 'live false, current false', 'neither can be removed');

# ---- SIGKILL of the keeper inside a batch ------------------------------------------------------------------------------
sub rotate_until
{
	my ($batch, $some) = @_;
	sql("SELECT FROM theazo.vault_rotate($batch)");
	wait_sql($node, "SELECT done >= $some FROM theazo.vault_rotations ORDER BY started_at DESC LIMIT 1", 't', 'some are done');
	sql("SELECT theazo_internal.pause_point('vault-reseal', true)");
	wait_sql($node, "SELECT waiting FROM theazo_internal.pause_points() WHERE name = 'vault-reseal'", '1', 'the keeper is held inside a batch');
	my $done = rotation('done');
	cmp_ok($done, '<', $total, 'it is not done');
	return $done;
}
my $done = rotate_until(5, 50);
like(fails('SELECT theazo.vault_rotate()'), qr/ERROR:  55006: the vault is being rotated already/, 'no second one beside it');
is(rotation('done + remaining = total'), 't', 'what is done and what is left is all there is');
kill 'KILL', sql("SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'keeper'");
$node->poll_query_until('postgres', 'SELECT true') or die;
up_again();
is(rotation_ends(), 'done', 'after a SIGKILL of the keeper the next one finishes it');
is(rotation('total - done BETWEEN 0 AND 3'), 't', 'and each value was sealed anew once (copies of ended sandboxes go away meanwhile)');
all_open('after the SIGKILL of the keeper');
new_box();
watched_opens('after the SIGKILL of the keeper');
is(sql("SELECT state || ' ' || secrets || ' ' || removable FROM theazo.vault_keys WHERE id = '$one'"), 'retired 0 true', 'the old key can be removed');

# ---- SIGKILL of the whole server inside a batch; the old key is removed after ----------------------------------------------
restart_with(3, 2);
my $three = sql('SELECT theazo_internal.master_key_current()');
$done = rotate_until(10, 100);
my @pids = split /\n/, sql("SELECT pid FROM pg_stat_activity");
kill 'KILL', @pids;
$node->kill9;
for (1 .. 1200) { last if !grep { kill 0, $_ } @pids; sleep 0.05 }
$node->start;
up_again();
is(rotation_ends(), 'done', 'after a SIGKILL of the server it is finished');
is(rotation('total - done BETWEEN 0 AND 3'), 't', 'and each value was sealed anew once (copies of ended sandboxes go away meanwhile)');
all_open('after the SIGKILL of the server');
restart_with(3);
all_open('without the old key');
new_box();
watched_opens('without the old key');
sql("SELECT FROM theazo.secret_set('fresh', 'y', api_key => '$p->{key}')");
is(sql("SELECT theazo.vault_status() ->> 'ready'"), 'true', 'the vault is ready');

# ---- while secrets are set and used ------------------------------------------------------------------------------------------
restart_with(4, 3);
my $four = sql('SELECT theazo_internal.master_key_current()');
my $script = "$dir/set.sql";
append_to_file($script, "\\set j random(1, 190)\n"
	. "SELECT FROM theazo.secret_set('many 1 ' || :j, 'val-1000', api_key => '$p->{key}');\n"
	. "SELECT FROM theazo.secrets_set(jsonb_build_object('many 5 ' || :j, 'val-1000', 'many 2 ' || :j, 'val-2000'), api_key => '$others[1]{key}');\n");
my ($in, $out, $err) = ('', '', '');
my $bench = IPC::Run::start([ 'pgbench', '-n', '-c', '3', '-T', '4', '-f', $script, '-d', $node->connstr('postgres') . ' application_name=pgbench' ], \$in, \$out, \$err);
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'pgbench'") or die 'pgbench did not start';
sql('SELECT FROM theazo.vault_rotate(20)');
is(join('', map { run_code($p, $agent, 'sh', 'printf %s "$WATCHED" | sha256sum | cut -c1-64')->{stdout} } 1 .. 10), "$sum\n" x 10,
	'calls open what they need at any moment');
is(rotation_ends(), 'done', 'a rotation beside them ends');
$bench->finish;
like($out, qr/number of failed transactions: 0 /, 'and no one of those who set secrets failed') or diag($err);
all_open('beside others');
is(sql("SELECT count(*) FROM theazo_data.secret WHERE master_key_id <> '$four'"), 0, 'everything is under the new key');

# ---- a row that somebody holds: met again later ---------------------------------------------------------------------------------
restart_with(3, 4);
new_box();
watched_opens('before a row is held');
# what was given to a sandbox is kept for masking, and sealed anew as well
my $copies = "SELECT count(*) FROM theazo_data.secret_delivered d JOIN theazo_data.platform p ON p.platform_id = d.platform_id"
	# those of the boxes that went with the server may still be there
	. " JOIN theazo_data.sandbox b ON b.platform_id = d.platform_id AND b.id = d.sandbox_id AND b.agent_id = '$agent'"
	. " WHERE theazo_internal.secret_opens(d.platform_id, d.session_id, d.name, d.version, p.vault_salt, d.master_key_id, d.salt, d.sealed) AND d.master_key_id = ";
is(sql("$copies '$four'"), 1, 'a copy of what was given to the sandbox is under the old key');
my ($hin, $hout, $herr) = ('', '', '');
my $held = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$hin, '>', \$hout, '2>', \$herr);
$hin = "BEGIN; SELECT 'held' FROM theazo.secret_set('watched', " . quote($value) . ", '$p->{session}', api_key => '$p->{key}');\n";
$held->pump until $hout =~ /held/;
sql('SELECT FROM theazo.vault_rotate()');
wait_sql($node, "SELECT waiting FROM theazo.vault_rotations ORDER BY started_at DESC LIMIT 1", '1 values are held by other transactions', 'says what it waits for');
is(rotation('state'), 'running', 'it goes on waiting');
$hin .= "COMMIT;\n\\q\n";
$held->finish;
is(rotation_ends(), 'done', 'and is done once the row is let go');
all_open('after a held row');
is(sql("$copies '$three'"), 1, 'the copy is under the new one');

# ---- an old key that becomes the current one again is no retired one ------------------------------------------------------------------
is(sql("SELECT state FROM theazo.vault_keys WHERE id = '$three'"), 'current', 'a retired key that seals again is in use');

# ---- a row that does not open: named, and nothing else stops -------------------------------------------------------------------------------
restart_with(2, 3);
sql("UPDATE theazo_data.secret SET sealed = set_byte(sealed, 5, get_byte(sealed, 5) # 1) WHERE name = 'long' AND platform_id = '$p->{id}'");
sql("UPDATE theazo_data.secret SET master_key_id = '0123456789abcdef' WHERE name = 'long' AND platform_id = '$others[0]{id}'");
sql('SELECT FROM theazo.vault_rotate()');
is(rotation_ends(), 'incomplete', 'a rotation with rows that do not open is incomplete');
is(rotation('failed'), 2, 'two of them');
my $failures = rotation('failures');
like($failures, qr/"name": "long", "reason": "secret \\"long\\" does not authenticate", "version": 1, "platform": "$p->{id}"/, 'the changed one is named');
like($failures, qr/"reason": "master key \\"0123456789abcdef\\" is missing"/, 'the one of a key that never was as well');
is(sql("SELECT count(*) FROM theazo_data.secret WHERE master_key_id <> '$two'"), 2, 'all others are under the new key');
is(sql("SELECT state || ' ' || removable FROM theazo.vault_keys WHERE id = '$three'"), 'live false', 'the old key is not given up');
sql("SELECT FROM theazo.secret_set('long', repeat('x', 60000), api_key => '$_->{key}')") for $p, $others[0];
sql('SELECT FROM theazo.vault_rotate()');
is(rotation_ends(), 'done', 'once they are set again all is well');
is(sql("SELECT state || ' ' || removable FROM theazo.vault_keys WHERE id = '$three'"), 'retired true', 'and the old key can go');
all_open('after rows that did not open');

# ---- the server comes back without a key that is in use ------------------------------------------------------------------------------------------
my $mark = -s $node->logfile;
restart_with(4);
my $log = substr(slurp_file($node->logfile), $mark);
my @said = $log =~ /WARNING:  theazo: master key "$two" is missing/g;
is(scalar(@said), 3, 'keeper and dispatchers say it once each');
my $set = "SELECT FROM theazo.secret_set('late', 'x', api_key => '$p->{key}')";
like(fails($set), qr/ERROR:  TZ303: master key "$two" is missing/, 'nothing is sealed under another key meanwhile');
like(fails($set), qr/HINT:  .*further line of what theazo.master_key_file gives.*vault_forget\('$two'\)/, 'and the hint says what to do');
like(fails('SELECT theazo.vault_rotate()'), qr/ERROR:  TZ303: master key "$two" is missing/, 'nor rotated');
is(sql("SELECT theazo.vault_status() ->> 'ready'"), 'false', 'the vault is not ready');
like(sql("SELECT theazo.vault_status() ->> 'hint'"), qr/"$two"/, 'and says which key it lacks');
like(sql("SELECT theazo.vault_status('$p->{key}') ->> 'hint'"), qr/"$two"/, 'to a platform, too');
new_box();
my $r = run_code($p, $agent, 'sh', 'echo x');
is("$r->{status} $r->{error_sqlstate}", 'failed TZ303', 'a call that needs a secret fails');
like($r->{error_message}, qr/"$two"/, 'and names the key');
my $bare = new_platform($node, 'without secrets');
is(run_code($bare, new_agent($bare), 'sh', 'echo fine')->{stdout}, "fine\n", 'one that needs none works');

# ---- given up ---------------------------------------------------------------------------------------------------------------------------------------
is(sql("SELECT state || ' ' || loaded || ' ' || (secrets > 2800) FROM theazo.vault_forget('$two')"), 'lost false true', 'the key is given up');
sql($set);
is(sql("SELECT count(*) FROM theazo_data.secret WHERE master_key_id = '$two'") + 1, sql('SELECT count(*) FROM theazo_data.secret'), 'names stay, and new values can be set');
sql('SELECT FROM theazo.vault_rotate()');
is(rotation_ends() . rotation('total'), 'done0', 'a rotation leaves alone what nothing can open');
sql("SELECT FROM theazo.secret_set('watched', " . quote($value) . ", '$p->{session}', api_key => '$p->{key}')");
new_box();
watched_opens('set again after the loss');

# ---- and found after all -----------------------------------------------------------------------------------------------------------------------------------
restart_with(4, 2);
wait_sql($node, "SELECT state FROM theazo.vault_keys WHERE id = '$two'", 'live', 'a lost key that is loaded again is in use');
all_open('after the key was found');

# ---- the key it goes to is gone in the middle: it waits, and goes on ------------------------------------------------------------------------------------------
$done = rotate_until(10, 20);
keys_are(2);
$node->stop;
$node->start;
up_again();
wait_sql($node, 'SELECT waiting FROM theazo.vault_rotations ORDER BY started_at DESC LIMIT 1', "master key \"$four\" is missing", 'waits for its key');
restart_with(2, 4);
wait_sql($node, 'SELECT waiting FROM theazo.vault_rotations ORDER BY started_at DESC LIMIT 1', "master key \"$four\" is not the current one", 'and for its place');
restart_with(4, 2);
is(rotation_ends(), 'done', 'and goes on where it was');
is(rotation('total - done BETWEEN 0 AND 3'), 't', 'without doing anything twice');
all_open('after the detour');

# ... or another takes its place
restart_with(3, 4);
$done = rotate_until(10, 20);
keys_are(4, 3);
$node->restart;
up_again();
sql('SELECT FROM theazo.vault_rotate()');
is(rotation_ends(), 'done', 'a rotation back takes the place of one to a key that is not current any more');
is(sql("SELECT count(*) FROM theazo.vault_rotations WHERE state = 'incomplete' AND waiting LIKE 'rotation vrt_% took its place'"), 1, 'which says so');
is(sql("SELECT count(*) FROM theazo_data.secret WHERE master_key_id <> '$four'"), 0, 'all is back');
all_open('after going back');

# ---- restored beside another key -----------------------------------------------------------------------------------------------------------------------------------
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/dump", '-d', $node->connstr('postgres') ], 'a dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->stop;
keys_are(1);
$node->start;
$node->command_ok([ 'pg_restore', '-1', '--exit-on-error', '-d', $node->connstr('copy'), "$dir/dump" ], 'is restored where the key is another');
my ($rc, $o, $e) = $node->psql('copy', "\\set VERBOSITY verbose\n$set");
like($e, qr/ERROR:  TZ303: master key "$four" is missing/, 'the first secret that is set names the missing key');
is($node->safe_psql('copy', "SELECT theazo.vault_status() ->> 'ready'"), 'false', 'and so does the status');

# ---- nothing of it is in the log ---------------------------------------------------------------------------------------------------------------------------------------
my $all = slurp_file($node->logfile);
ok(index($all, 'value-') < 0 && index($all, 'val-1') < 0, 'no value is in the log');
ok(!(grep { index($all, $_) >= 0 } values %key), 'nor a key');

$node->stop;
done_testing();
