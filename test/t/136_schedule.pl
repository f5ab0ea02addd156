# Schedules with real workers: the keeper begins what is due, a job of pg_cron can, and a time begins once, whatever is killed
# and whoever is promoted while times come.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;
use Time::HiRes qw(sleep);

chomp(my $libdir = `pg_config --pkglibdir`);
my $cron = -e "$libdir/pg_cron.so";
my $name = 'schedule';
my $conf = "restart_after_crash = on\nwal_level = replica\nmax_wal_senders = 5\nhot_standby = on\n"
	. ($cron ? "shared_preload_libraries = 'pg_cron,theazo'\ncron.use_background_workers = on\ncron.database_name = 'postgres'\n" : '');
my $node = new_server($name, $conf);
$node->append_conf('pg_hba.conf', "local replication all trust\n");
$node->reload;
my $p = new_platform($node, 'scheduled');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $recorder = open(our $heard, '-|', 'python3', "$FindBin::RealBin/../mock/recorder.py", '--dir', $dir) or die "cannot start the recorder: $!";
my ($port) = split ' ', scalar <$heard>;
END { my $status = $?; kill 'TERM', $recorder if $recorder; $? = $status; }
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub app { return sql("BEGIN;\nSELECT theazo.authenticate('$p->{key}') \\g /dev/null\n$_[0];\nCOMMIT") }
app("SELECT FROM theazo.governed_register('sweep', 'return {n: input.n * 2}')");
sub schedule { my ($what, @more) = @_; return app("SELECT id FROM theazo.schedule_create('$what', 'governed:sweep', '0 0 1 1 *', input => '{\"n\": 21}'" . join('', map { ", $_" } @more) . ')') }
# its next time is so many seconds from now
sub comes
{
	my ($schedule, $seconds) = @_;
	sql("UPDATE theazo_data.schedule SET due_at = clock_timestamp() + '$seconds s', next_at = clock_timestamp() + '$seconds s' WHERE id = '$schedule';
		SELECT theazo_internal.wake_keeper()");
}
sub history { return "SELECT string_agg(status, ' ' ORDER BY id) FROM theazo.schedule_history('$_[0]', api_key => '$p->{key}')" }

# ---- the keeper -------------------------------------------------------------------------------------------------------------
app("SELECT FROM theazo.webhook_create('http://127.0.0.1:$port/hook', '{schedule.executed,trigger.fired}')");
my $s = schedule('once');
comes($s, 1);
wait_sql($node, history($s), 'completed', 'the keeper begins what is due');
is(app("SELECT e.output ->> 'n' FROM theazo.execution_details e JOIN theazo.schedule_executions x ON x.run_id = e.run_id"), 42, 'with its input');
is(app("SELECT cost >= 1 FROM theazo.schedule_executions"), 't', 'its fee is booked');
is(app("SELECT next_run_at > now() + interval '1 minute' FROM theazo.schedule_get('$s')"), 't', 'and its next time is known');
wait_sql($node, "SELECT string_agg(state, ' ') FROM theazo_data.effect WHERE kind = 'webhook.deliver'", 'done', 'webhooks are told of its end');
# a minute of the clock: only those who look at seconds would miss it
my $now = app("SELECT id FROM theazo.schedule_create('minutes', 'governed:sweep', '* * * * *')");
is(app("SELECT next_run_at = date_trunc('minute', next_run_at) AND next_run_at - now() <= '1 minute' FROM theazo.schedule_get('$now')"), 't', 'every minute means the next one');
app("SELECT FROM theazo.schedule_delete('$now')");

# ---- one behind the other ------------------------------------------------------------------------------------------------------
app("SELECT FROM theazo.governed_register('slow', 'const t = Date.now(); while (Date.now() - t < 300); return 1')");
my $q = app("SELECT id FROM theazo.schedule_create('queue', 'governed:slow', '\@daily', overlap => 'queue')");
app("SELECT FROM theazo.schedule_run('$q')") for 1 .. 3;
wait_sql($node, history($q), 'completed completed completed', 'those that wait begin by themselves');
is(app("SELECT count(*) FROM theazo.schedule_executions a JOIN theazo.schedule_executions b ON b.source_id = a.source_id AND b.id > a.id
	WHERE a.source_id = '$q' AND b.started_at < a.completed_at"), 0, 'never two at once');

# ---- a trigger -------------------------------------------------------------------------------------------------------------------
my ($trg, $secret) = split /\|/, app("SELECT id, secret FROM theazo.trigger_create('hook', 'governed:sweep', 'somebody')");
my $exe = sql("SELECT theazo.trigger_fire('$trg', '{\"n\": 4}', 'sha256=" . hmac_sha256_hex('{"n": 4}', $secret) . "')");
wait_sql($node, "SELECT status FROM theazo.trigger_history('$trg', api_key => '$p->{key}') WHERE id = '$exe'", 'completed', 'a signed call begins its work');
my ($rc, $out, $err) = $node->psql('postgres', "SELECT theazo.trigger_fire('$trg', '{}', '" . hmac_sha256_hex('{"n": 4}', $secret) . "')");
like($err, qr/the signature is not right/, 'another body does not');
wait_sql($node, "SELECT count(*) FROM theazo_data.event WHERE action = 'trigger_refused'", 1, 'which stands in the trail');
unlike(slurp_file($node->logfile), qr/\Q$secret\E/, 'the secret stands in no log');

# ---- killed while times come -------------------------------------------------------------------------------------------------------
my @many = map { schedule("many $_") } 1 .. 30;
sub storm { comes($many[$_], 0.5 + $_ / 10) for 0 .. $#many }
sub once
{
	my ($what, $times) = @_;
	my $list = join ',', map { "'$_'" } @many;
	wait_sql($node, "SELECT count(*) FROM theazo_data.schedule_fire WHERE source_id IN ($list)", $times * @many, "$what: each time has come");
	wait_sql($node, "SELECT count(*) FROM theazo_data.schedule_fire f JOIN theazo_data.run r ON r.id = f.run_id WHERE f.source_id IN ($list) AND r.status IN ('queued', 'running')", 0, "$what: all have ended");
	is(sql("SELECT count(*), count(DISTINCT run_id), count(DISTINCT (source_id, due_at)), bool_and(cause = 'due'), bool_and(run_id IS NOT NULL) FROM theazo_data.schedule_fire WHERE source_id IN ($list)"),
		join('|', ($times * @many) x 3, 't', 't'), "$what: once, with a run each");
	is(sql("SELECT count(*) FROM theazo_data.execution x WHERE x.run_id NOT IN (SELECT f.run_id FROM theazo_data.schedule_fire f WHERE f.run_id IS NOT NULL)"), 0, "$what: nothing ran beside them");
	is(sql("SELECT count(*) - (SELECT count(*) FROM theazo_data.charge WHERE item = 'schedule.execution') FROM theazo_data.schedule_fire WHERE run_id IS NOT NULL AND cause <> 'trigger'"), 0, "$what: one fee each");
}
storm();
for (1 .. 2)
{
	sleep 1;
	my $pid = sql("SELECT pid FROM theazo.workers WHERE kind = 'keeper'") || 0;
	kill 'KILL', $pid if $pid;
	# the server takes all of its processes down, and comes back
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM theazo.workers WHERE kind = 'keeper' AND state = 'running'");
}
once('a killed keeper', 1);

# ---- a standby is promoted while times come ------------------------------------------------------------------------------------------
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
# what the standby has not got is not committed
$node->append_conf('postgresql.conf', "synchronous_standby_names = '*'\n");
$node->reload;
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'");
storm();
sleep 1.5;
$node->stop('immediate');
$standby->promote;
$node = $standby;
$p->{node} = $node;
once('a promoted standby', 2);
is(sql("SELECT count(*) FROM theazo.integrity_check()"), 0, 'everything agrees');

# ---- pg_cron ----------------------------------------------------------------------------------------------------------------------
SKIP: {
	skip 'pg_cron is not installed', 4 if !$cron;
	sql('CREATE EXTENSION pg_cron');
	is(sql("SELECT theazo.operator_pg_cron()"), 'theazo schedules of postgres', 'one job looks at schedules');
	sql('SELECT theazo.operator_pg_cron()');
	is(sql("SELECT string_agg(schedule || ' ' || command, ',') FROM cron.job"), '* * * * * SELECT theazo.operator_schedules_tick()', 'every minute, and once however often it is asked for');
	# it does without a keeper; jobs by time wait for the next minute, these for the next start
	sql("SELECT cron.schedule('now', '\@reboot', 'SELECT theazo.operator_schedules_tick()')");
	sql("SELECT cron.schedule('by hand', '\@reboot', \$c\$SELECT theazo.execution_start('sweep', '{\"n\": 5}', api_key => '$p->{key}')\$c\$)");
	$node->append_conf('postgresql.conf', "theazo.databases = ''\n");
	$node->restart;
	my $ran = sql('SELECT count(*) FROM theazo_data.execution');
	sql("UPDATE theazo_data.schedule SET due_at = clock_timestamp(), next_at = clock_timestamp() WHERE id = '$s'");
	$node->restart;
	wait_sql($node, "SELECT count(*) FROM theazo_data.schedule_fire WHERE source_id = '$s' AND status = 'running'", 1, 'without a keeper the job begins what is due');
	wait_sql($node, "SELECT count(*) >= $ran + 2 FROM theazo_data.execution", 't', 'and a job of one\'s own what it names');
	is(sql("SELECT string_agg(return_message, ', ') FROM cron.job_run_details WHERE status = 'failed' AND return_message <> 'server restarted'"), '', 'no job failed');
	sql('SELECT theazo.operator_pg_cron(false)');
	is(sql("SELECT count(*) FROM cron.job WHERE jobname LIKE 'theazo%'"), 0, 'and it can be taken away');
}
$node->stop;
done_testing();
