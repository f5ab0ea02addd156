# The life of sandboxes with real dispatchers: pools, checkpoints at a webhook, reaping of both sides, a dispatcher that dies with what waits.
use strict;
use warnings;
use File::Temp qw(tempfile);
use FindBin;
use lib $FindBin::RealBin;
use MIME::Base64 ();
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;

my $node = new_server('life', "theazo.dispatchers = 1\n");
my $double = new_double('--exec', 'real');
my $p = new_platform($node, 'Life');
my $k = "api_key => '$p->{key}'";
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub keeper { return sql("SELECT theazo_internal.$_[0]()") }
# What stands between the dispatcher and process 1 of each of its boxes.
sub boxes
{
	my $dispatcher = sql("SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'dispatcher'");
	return join ' ', map { /^\s*(\d+)\s+$dispatcher\s+bwrap/ ? $1 : () } split /\n/, `ps -eo pid,ppid,comm`;
}
# So many of them, soon.
sub fewer
{
	my ($wanted) = @_;
	foreach (1 .. 300)
	{
		return 1 if scalar(split / /, boxes()) <= $wanted;
		select undef, undef, undef, 0.1;
	}
	return 0;
}
sql("SELECT theazo.provider_set('hooked', type => 'webhook', endpoint => 'http://127.0.0.1:$double->{port}', $k)");
sql("UPDATE theazo_data.platform SET allow_http = true, allow_private = true WHERE platform_id = '$p->{id}'");

# ---- a pool ---------------------------------------------------------------------------------------------------------
sql("SELECT theazo.secret_set('token', 'canary-of-the-pool', '$p->{session}', $k)");
my $definition = sql("SELECT id FROM theazo.definition_create('helper', '{\"provider\": \"theazo\", \"warmPool\": 1}', $k)");
wait_sql($node, "SELECT status FROM theazo_data.sandbox WHERE definition_id = '$definition'", 'warm', 'the keeper makes one ahead');
my ($box, $external) = split /\|/, sql("SELECT id, external_id FROM theazo_data.sandbox WHERE definition_id = '$definition' AND status = 'warm'");
my $before = boxes();
isnt($before, '', 'it is a process');
my $agent = sql("SELECT id FROM theazo.agent_create('$p->{session}', '{\"definition\": \"$definition\"}', $k)");
is(sql("SELECT status || ' ' || sandbox_id FROM theazo_data.agent WHERE id = '$agent'"), "ready $box", 'an agent has it at once');
my ($first) = split / /, $before;
my $run = run_code($p, $agent, 'sh', 'echo $THEAZO_AGENT_ID $THEAZO_SESSION_ID $TOKEN');
is($run->{status}, 'completed', 'work runs in it');
is($run->{stdout}, "$agent $p->{session} ***\n", 'programs know whose it is, and have the secrets of its session') or diag(explain($run));
ok(grep({ $_ == $first } split / /, boxes()), 'the same process as before');
is(sql("SELECT count(*) FROM theazo_data.effect WHERE kind = 'compute.create' AND sandbox_id = '$box'"), 1, 'created once');
is(sql("SELECT policy FROM theazo_data.sandbox WHERE id = '$box'"), 'confirmed', 'what it is held to is read back');
wait_sql($node, "SELECT count(*) FROM theazo_data.sandbox WHERE definition_id = '$definition' AND status = 'warm'", 1, 'and the next one waits');
is(sql("SELECT count(*) FROM theazo_data.secret_delivered WHERE sandbox_id IN (SELECT id FROM theazo_data.sandbox WHERE status = 'warm')"), 0,
	'with nobody\'s secrets in it');

# ---- asleep here: frozen, and the same process goes on ---------------------------------------------------------------
# Processes of the boxes, those inside too, with their states.
sub states
{
	my %below = map { $_ => 1 } split / /, boxes();
	my @all = map { [/^\s*(\d+)\s+(\d+)\s+(\S)\S*\s+(\S+)/] } split /\n/, `ps -eo pid,ppid,stat,comm`;
	for (my $n = -1; $n != keys %below;)
	{
		$n = keys %below;
		$below{ $_->[0] } = 1 foreach grep { $below{ $_->[1] } } @all;
	}
	return map { "$_->[2] $_->[3]" } grep { $below{ $_->[0] } } @all;
}
my $counts = 'i=0; while :; do i=$((i+1)); echo "$$ $i" > .n; mv .n n; sleep 0.02; done';
run_code($p, $agent, 'sh', "sh -c '$counts' counter > /dev/null 2>&1 & while ! test -s n; do sleep 0.05; done");
my ($counter, $then) = split / /, run_code($p, $agent, 'sh', 'cat n')->{stdout};
ok(!grep({ /^T/ } states()), 'nothing stands still');
sql("SELECT theazo.agent_pause('$agent', $k)");
wait_sql($node, "SELECT state FROM theazo_data.effect WHERE kind = 'compute.pause' AND sandbox_id = '$box'", 'done', 'the dispatcher is asked');
# all but process 1, which answers, and the monitors' own parent; the box that waits in the pool goes on
is(scalar(grep { /^[^T] (?:sh|sleep|mv)$/ } states()), 0, 'what runs in it stands still');
cmp_ok(scalar(grep { /^T sh$/ } states()), '>=', 1, 'and is there');
keeper('keeper_meter');
is(sql("SELECT billed_seconds <= ceil(extract(epoch FROM paused_at - started_at) - paused_seconds) FROM theazo_data.sandbox WHERE id = '$box'"), 't', 'no time is booked from then on');
sql("SELECT theazo.agent_resume('$agent', $k)");
my $later = run_code($p, $agent, 'sh', 'n=$(cat n); while test "$(cat n)" = "$n"; do sleep 0.05; done; cat n');
my ($same, $now) = split / /, $later->{stdout};
is($same, $counter, 'the same process');
cmp_ok($now, '>', $then, 'counts on');
is(sql("SELECT count(*) FROM theazo_data.effect WHERE kind = 'compute.resume' AND sandbox_id = '$box' AND state = 'done'"), 1, 'once it was woken');

# ---- its files, in a new box -------------------------------------------------------------------------------------------
run_code($p, $agent, 'sh', 'pkill -f counter; echo $TOKEN | wc -c > told; mkdir -p a/b; printf one > a/b/one; chmod 640 a/b/one; ln -s b/one a/link; touch -d @1000000000 a/b/one; head -c 100000 /dev/urandom > noise');
my $list = 'find . -mindepth 1 ! -name told | sort | while read f; do stat -c "%A %s %N" "$f"; done; stat -c %Y a/b/one; sha256sum noise a/b/one a/link';
my $files = run_code($p, $agent, 'sh', $list)->{stdout};
like($files, qr/-rw-r----- 3 .*1000000000/s, 'files as they are to be');
my $mark = sql("SELECT id FROM theazo.checkpoint_create('$agent', 'files', 50, $k)");
wait_sql($node, "SELECT files FROM theazo.checkpoint_get('$mark', $k)", 'kept', 'they are kept');
my $packed = sql("SELECT encode(content, 'base64') FROM theazo_data.snapshot_content");
{
	my ($fh, $archive) = tempfile();
	print $fh MIME::Base64::decode_base64($packed);
	close $fh;
	is(`zcat $archive | grep -c canary-of-the-pool`, "0\n", 'the secret of its session is not among them');
	like(`tar -tzf $archive`, qr{^\./a/b/one$}m, 'the files are');
	is(sql("SELECT size_bytes FROM theazo_data.snapshot WHERE status = 'kept' AND agent_id = '$agent'"), -s $archive, 'as large as it says');
}
run_code($p, $agent, 'sh', 'rm -r a noise; echo other > other');
sql("SELECT theazo.agent_resume_with('$agent', '$mark', $k)");
is(run_code($p, $agent, 'sh', $list)->{stdout}, $files, 'the same files in a new box');
isnt(sql("SELECT sandbox_id FROM theazo_data.agent WHERE id = '$agent'"), $box, 'which is another one');
is(sql("SELECT count(*) FROM theazo_data.snapshot_content"), 1, 'what is kept stays');
sql("SELECT theazo.checkpoint_delete('$mark', $k)");
is(sql("SELECT count(*) FROM theazo_data.snapshot_content"), 0, 'until it is deleted');
$box = sql("SELECT sandbox_id FROM theazo_data.agent WHERE id = '$agent'");

# ---- the server dies, and the dispatcher that holds them with it ------------------------------------------------------------------------------
$node->stop('immediate');
$node->start;
wait_sql($node, "SELECT status FROM theazo_data.sandbox WHERE id = '$box'", 'lost', 'its row ends');
wait_sql($node, "SELECT count(*) > 0 FROM theazo_data.sandbox WHERE definition_id = '$definition' AND status = 'warm'", 't', 'the pool is filled again', 120);

# ---- a dispatcher's own list -------------------------------------------------------------------------------------------
my $other = new_agent($p, '{"provider": "theazo"}');
my ($kept) = sql("SELECT sandbox_id FROM theazo_data.agent WHERE id = '$other'");
# a row that has ended while its box lives: as after a settlement that could not be stored
my $orphan = new_agent($p, '{"provider": "theazo"}');
my $lost = sql("SELECT sandbox_id FROM theazo_data.agent WHERE id = '$orphan'");
sql("UPDATE theazo_data.agent SET sandbox_id = NULL WHERE id = '$orphan'; UPDATE theazo_data.sandbox SET status = 'unknown', ended_at = clock_timestamp() WHERE id = '$lost'");
# and a row whose box is not there
my $ghost = new_agent($p, '{"provider": "theazo"}');
my $gone = sql("SELECT sandbox_id FROM theazo_data.agent WHERE id = '$ghost'");
sql("UPDATE theazo_data.sandbox SET external_id = 'no-such-box' WHERE id = '$gone'");
my $count = scalar split / /, boxes();
sleep 1;
sql('UPDATE theazo_data.compute_sweep SET due_at = clock_timestamp(); SELECT theazo_internal.keeper_sweep()');
wait_sql($node, "SELECT status FROM theazo_data.sandbox WHERE id = '$gone'", 'lost', 'a row without a box is lost');
wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE kind = 'compute.destroy' AND sandbox_id IS NULL AND state = 'done'", 2,
	'boxes without a row are destroyed, also the one that the lost row had');
is(sql("SELECT status FROM theazo_data.sandbox WHERE id = '$kept'"), 'ready', 'what is in order stays');
ok(fewer($count - 2), 'two processes fewer');
is(run_code($p, $other, 'sh', 'echo here')->{stdout}, "here\n", 'and works');
is(run_code($p, $ghost, 'sh', 'echo new')->{stdout}, "new\n", 'the agent of the lost one has another');

# ---- a checkpoint at a webhook ---------------------------------------------------------------------------------------------
my $hooked = new_agent($p, '{"provider": "hooked"}');
is(run_code($p, $hooked, 'sh', 'echo one > state')->{status}, 'completed', 'a file at the webhook');
my $point = sql("SELECT id FROM theazo.checkpoint_create('$hooked', 'one', 10, $k)");
is(run_code($p, $hooked, 'sh', 'cat state')->{stdout}, "one\n", 'the agent works on');
wait_sql($node, "SELECT files FROM theazo.checkpoint_get('$point', $k)", 'kept', 'its files are kept');
is(sql("SELECT status FROM theazo.agent_get('$hooked', $k)"), 'ready', 'it is not paused');
is(scalar($double->requests('pause')), scalar($double->requests('resume')), 'the provider was asked to pause and to go on');
sql("SELECT theazo.agent_resume_with('$hooked', '$point', $k)");
wait_sql($node, "SELECT s.status FROM theazo_data.sandbox s JOIN theazo_data.agent a ON a.sandbox_id = s.id WHERE a.id = '$hooked'", 'ready', 'taken back');
my @resumed = $double->requests('resume');
like($resumed[-1]{body}, qr/"snapshotId":"snap-/, 'by its snapshot');
is(run_code($p, $hooked, 'sh', 'cat state')->{stdout}, "one\n", 'and works');

# ---- elsewhere: at another provider, in another region, and back at a checkpoint of where it was ------------------------------
my $mover = new_agent($p, '{"provider": "theazo"}');
run_code($p, $mover, 'sh', 'echo here > where');
my $home = sql("SELECT id FROM theazo.checkpoint_create('$mover', 'home', 1, $k)");
wait_sql($node, "SELECT files FROM theazo.checkpoint_get('$home', $k)", 'kept', 'its files are kept');
sql("SELECT theazo.agent_pause('$mover', $k)");
is(sql("SELECT status || ' ' || provider FROM theazo.agent_resume_with('$mover', provider => 'hooked', region => 'eu-west-1', $k)"), 'ready hooked', 'from here to a webhook');
is(run_code($p, $mover, 'sh', 'cat where || echo nothing')->{stdout}, "nothing\n", 'it works there, and its files stayed behind');
like(($double->requests('create'))[-1]{body}, qr/"region":"eu-west-1"/, 'in the region that was asked for');
is(sql("SELECT count(*) FROM theazo_data.log WHERE agent_id = '$mover' AND level = 'warn' AND message LIKE 'files of agent % stay behind%'"), 1, 'as the log says');
wait_sql($node, "SELECT string_agg(status, ' ' ORDER BY id) FROM theazo_data.sandbox WHERE agent_id = '$mover'", 'destroyed ready', 'the one here is gone');
my (undef, undef, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT theazo.agent_resume_with('$mover', '$home', 'theazo', $k)");
like($err, qr/TZ406/, 'nobody here serves a region');
my $second = new_agent($p, '{"provider": "hooked"}');
run_code($p, $second, 'sh', 'echo there > where');
sql("SELECT theazo.agent_resume_with('$second', provider => 'theazo', $k)");
is(run_code($p, $second, 'sh', 'cat where || echo nothing')->{stdout}, "nothing\n", 'from a webhook to here');
run_code($p, $second, 'sh', 'echo new > where');
my $at_home = sql("SELECT id FROM theazo.checkpoint_create('$second', 'home', 1, $k)");
wait_sql($node, "SELECT files FROM theazo.checkpoint_get('$at_home', $k)", 'kept', 'its files are kept');
sql("SELECT theazo.agent_resume_with('$second', provider => 'hooked', $k)");
is(run_code($p, $second, 'sh', 'cat where || echo nothing')->{stdout}, "nothing\n", 'there again without them');
sql("SELECT theazo.agent_resume_with('$second', '$at_home', 'theazo', $k)");
is(run_code($p, $second, 'sh', 'cat where')->{stdout}, "new\n", 'and back here with them');

# ---- asleep when idle, awake with work -------------------------------------------------------------------------------------
my $sleeper = new_agent($p, '{"provider": "hooked", "hibernateAfterIdle": "1h"}');
sql("UPDATE theazo_data.agent SET created_at = created_at - interval '2 h' WHERE id = '$sleeper'");
keeper('keeper_agents');
is(sql("SELECT status || ' ' || paused_by FROM theazo_data.agent WHERE id = '$sleeper'"), 'paused idle', 'it fell asleep');
wait_sql($node, "SELECT status FROM theazo_data.snapshot WHERE agent_id = '$sleeper' AND origin = 'pause'", 'kept', 'at its provider');
is(run_code($p, $sleeper, 'sh', 'echo awake')->{stdout}, "awake\n", 'work wakes it');
is(sql("SELECT status FROM theazo_data.snapshot WHERE agent_id = '$sleeper' AND origin = 'pause'"), 'ended', 'what was kept is used up');

# ---- the end ----------------------------------------------------------------------------------------------------------------
sql("SELECT theazo.session_terminate('$p->{session}', $k)");
sql("SELECT theazo.definition_delete('$definition', $k)");
keeper('keeper_pool');
wait_sql($node, "SELECT count(*) FROM theazo_data.sandbox WHERE status IN ('creating', 'warm', 'ready', 'paused', 'destroying')", 0, 'nothing lives on');
ok(fewer(0), 'here');
is(scalar(@{ JSON::PP::decode_json($double->{http}->get("http://127.0.0.1:$double->{port}/_control")->{content})->{sandboxes} }), 0, 'and there');
is(sql('SELECT count(*) FROM theazo.integrity_check()'), 0, 'rows and charges agree');
$node->stop;
done_testing();
