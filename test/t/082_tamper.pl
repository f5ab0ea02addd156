# The audit trail, changed by a superuser who got round triggers and hooks: in catalogs, in files, and with the
# signing key. Every change is found and named by theazo.audit_verify() and by theazo-verify.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;

my $outside = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('tampered', "theazo.anchor_directory = '$outside'\n");
my $program = $node->config_data('--bindir') . '/theazo-verify';
my $p = new_platform($node, 'watched');
my $q = new_platform($node, 'beside');
sub sql { return $node->safe_psql('postgres', $_[0]) }

sub load
{
	my ($platform, $n) = @_;
	sql("SELECT count(theazo_internal.event_write('$platform', 'lifecycle', 'thing_done', jsonb_build_object('n', g, 'mark', 'marker-' || g || '-end'),"
		  . " NULL, NULL, NULL, 'live', 'allowed', 'rule 1', false, 'granted')) FROM generate_series(1, $n) g");
	wait_sql($node, "SELECT count(*) = (SELECT sum(events) FROM theazo_data.seal) FROM theazo_data.event", 't', 'everything is sealed');
	return;
}

sub anchored
{
	my ($platform) = @_;
	sql('SELECT FROM theazo.operator_anchor_now()');
	wait_sql($node,
		"SELECT coalesce(max(l.tree_size), 0) = (SELECT sum(events) FROM theazo_data.seal WHERE platform_id = '$platform')"
		  . " FROM theazo_data.audit_round_leaf l JOIN theazo_data.audit_anchor a ON a.round_id = l.round_id WHERE l.platform_id = '$platform'",
		't', 'what is sealed is anchored');
	return;
}

sql("SELECT FROM theazo.operator_anchor_set('worm', 'file')");
load($p->{id}, 600);
load($q->{id}, 3);
anchored($p->{id});
load($p->{id}, 20);
my $total = sql("SELECT sum(events) FROM theazo_data.seal WHERE platform_id = '$p->{id}'");
my ($vkey) = split /\n/, sql("SELECT theazo_internal.audit_vkey('theazo/$p->{id}', public_key) FROM theazo_data.audit_key");
append_to_file("$outside/kept", sql("SELECT note FROM theazo_data.audit_checkpoint WHERE platform_id = '$p->{id}' ORDER BY tree_size LIMIT 1") . "\n");

# verified FILE OPTION...: exit status and the result.
sub verified
{
	my ($file, @options) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ $program, '--json', '--vkey', $vkey, @options, $file ], '>', \$out, '2>', \$err);
	my $status = $? >> 8;
	return ($status, $out eq '' ? { problem => $err } : decode_json($out));
}

my $case = 0;

# What both say after a change that nobody commits.
sub changed
{
	my ($change) = @_;
	my $file = "$outside/export" . $case++;
	my $answer = sql(qq(
BEGIN;
SET LOCAL allow_system_table_mods = on;
UPDATE pg_class SET relhastriggers = false, relchecks = 0
 WHERE relnamespace = 'theazo_data'::regnamespace AND relowner = 'theazo_guard'::regrole AND relkind IN ('r', 'p');
$change;
SELECT to_json(c) FROM theazo_internal.audit_check('$p->{id}', NULL, NULL, NULL) c;
\\o $file
SELECT theazo_internal.audit_export_lines('$p->{id}', 1, 9223372036854775807, NULL);
\\o
ROLLBACK;));
	my ($status, $found) = verified($file, '--anchor-file', "$outside/worm.log", '--checkpoint', "$outside/kept");
	return (decode_json($answer), $status, $found);
}

my ($sql, $status, $found) = changed('SELECT');
ok($sql->{chain_valid}, 'unchanged: all is well') or diag explain $sql;
is($sql->{events}, $total, 'unchanged: every event was looked at');
is("$status $found->{last_seq}", "0 $total", 'unchanged: outside too') or diag explain $found;
cmp_ok($found->{anchored_seq}, '>=', 600, 'unchanged: anchored as far as the file goes');

my $seq = 300;
my ($seal) = split /\n/, sql("SELECT first_seq FROM theazo_data.seal WHERE platform_id = '$p->{id}' AND first_seq <= $seq ORDER BY first_seq DESC LIMIT 1");
my $end = sql("SELECT first_seq + events - 1 FROM theazo_data.seal WHERE platform_id = '$p->{id}' AND first_seq = $seal");
my ($id, $next) = split /\n/, sql("SELECT u.id FROM theazo_data.seal s, unnest(theazo_internal.seal_ids(s.ids)) WITH ORDINALITY u(id, n)"
	  . " WHERE s.platform_id = '$p->{id}' AND s.first_seq + u.n - 1 BETWEEN $seq AND $seq + 1 ORDER BY s.first_seq, u.n");
my $event = "UPDATE theazo_data.event SET %s WHERE platform_id = '$p->{id}' AND id = '$id'";
my $of_seal = "platform_id = '$p->{id}' AND first_seq = $seal";

# found NAME, CHANGE, TABLE, SEQ, STATUS OUTSIDE [, TABLE OUTSIDE]: both name the row.
sub found
{
	my ($name, $change, $table, $at, $outside_status, $outside_table) = @_;
	my ($in, $code, $out) = changed($change);
	is(join(' ', $in->{chain_valid} ? 'valid' : 'broken', $in->{bad_table} // '', $in->{bad_seq} // ''), "broken $table $at", "$name: named by SQL")
	  or diag explain $in;
	my $want = $outside_status == 0 ? '0' : join ' ', 1, $outside_table // $table, $at;
	is($outside_status == 0 ? $code : join(' ', $code, $out->{bad_table} // '', $out->{bad_seq} // ''), $want, "$name: named outside")
	  or diag explain $out;
	return ($in, $out);
}

# ---- every column of an event -------------------------------------------------------------------------------
my %value = (
	platform_id => "'$q->{id}'", id => "left(id, 29) || CASE right(id, 1) WHEN 'Z' THEN 'Y' ELSE 'Z' END", number => 'number + 1',
	occurred_at => "occurred_at + '1 us'::interval", xid => "(xid::text::numeric + 1)::text::xid8", is_violation => 'NOT is_violation',
	body => "set_byte(body, 5, get_byte(body, 5) # 1)", actor_kind => "'worker'",
	session_id => "'ses_01M80000000000000000000000'", agent_id => "'agt_01M80000000000000000000000'", run_id => "'run_01M80000000000000000000000'");
for my $column (split /\n/, sql("SELECT attname FROM pg_attribute WHERE attrelid = 'theazo_data.event'::regclass AND attnum > 0 AND NOT attisdropped"
	  . " AND attname NOT IN ('personal_sealed', 'format') ORDER BY attnum"))
{
	my ($in) = found("event.$column", sprintf($event, "$column = " . ($value{$column} // "coalesce($column, '') || 'x'")), 'event', $seq, 1);
	is($in->{bad_event}, $id, "event.$column: by its id");
}
found('event.rule set to null', sprintf($event, 'rule = NULL'), 'event', $seq, 1);
my ($format) = changed(sprintf($event, 'format = 1'));
is("$format->{bad_table} $format->{bad_seq}", "event $seq", 'event.format');
my ($erased, $erased_status) = changed(sprintf($event, 'personal_sealed = NULL'));
ok($erased->{chain_valid} && $erased_status == 0, 'a personal field that is gone changes nothing');

# ---- rows ---------------------------------------------------------------------------------------------------
found('event deleted', "DELETE FROM theazo_data.event WHERE platform_id = '$p->{id}' AND id = '$id'", 'event', $seq, 1);
found('events deleted', "DELETE FROM theazo_data.event WHERE platform_id = '$p->{id}' AND id >= '$id'", 'event', $seq, 1);
my $copy = "CREATE TEMP TABLE c ON COMMIT DROP AS SELECT * FROM theazo_data.event WHERE platform_id = '$p->{id}' AND id IN ('$id', '$next');";
my ($in) = changed("$copy UPDATE c SET id = left(id, 29) || CASE right(id, 1) WHEN 'Z' THEN 'Y' ELSE 'Z' END WHERE id = '$id';"
	  . " INSERT INTO theazo_data.event SELECT * FROM c WHERE id <> '$next'");
is(join(' ', $in->{chain_valid} ? 'valid' : 'broken', $in->{bad_table}), 'broken event', 'event inserted: found');
like($in->{problem}, qr/^inserted: it has no seal/, 'event inserted: named');
found('events swapped', "$copy DELETE FROM theazo_data.event e USING c WHERE e.platform_id = c.platform_id AND e.id = c.id;"
	  . " UPDATE c SET id = CASE id WHEN '$id' THEN '$next' ELSE '$id' END; INSERT INTO theazo_data.event SELECT * FROM c", 'event', $seq, 1);
my $after = "platform_id = '$p->{id}' AND first_seq >= $seal";
found('tail of the seals cut off', "DELETE FROM theazo_data.seal WHERE $after", 'seal', $seal, 1);
is(sql("BEGIN; SET LOCAL allow_system_table_mods = on; UPDATE pg_class SET relhastriggers = false WHERE oid = 'theazo_data.seal'::regclass;"
	  . " DELETE FROM theazo_data.seal WHERE $after; SELECT chain_valid, bad_table, bad_seq FROM theazo_internal.audit_check('$p->{id}', $seal + 200, NULL, NULL); ROLLBACK"),
	'f|seal|' . ($seal + 200), 'tail of the seals cut off: named by a range behind it too');
found('tail of seals and heads cut off', "DELETE FROM theazo_data.seal WHERE $after; DELETE FROM theazo_data.audit_checkpoint WHERE platform_id = '$p->{id}'",
	'tree_node', $seal, 1, 'seal');
my ($cut, $cut_status, $cut_found) = changed("DELETE FROM theazo_data.event e USING theazo_data.seal s WHERE e.platform_id = s.platform_id AND e.id BETWEEN s.min_id AND s.max_id"
	  . " AND s.platform_id = '$p->{id}' AND s.first_seq >= $seal; DELETE FROM theazo_data.seal WHERE $after;"
	  . join(' ', map { "DELETE FROM theazo_data.$_ WHERE platform_id = '$p->{id}';" } qw(tree_node audit_checkpoint audit_round_leaf)));
is("$cut_status $cut_found->{bad_table} $cut_found->{bad_seq}", "1 seal $seal", 'tail cut off with all that tells of it: a checkpoint that was kept finds it');

# ---- every column of a seal ---------------------------------------------------------------------------------
my $at = $seq - $seal;
my %seal = (
	sealed_at => [ "sealed_at + '1 us'::interval", 1 ], prev_hash => [ 'set_byte(prev_hash, 3, get_byte(prev_hash, 3) # 1)', 1 ],
	hash => [ 'set_byte(hash, 31, get_byte(hash, 31) # 1)', 1 ], events => [ 'events - 1', 1 ], first_seq => [ 'first_seq + 1', 1 ],
	platform_id => [ "'$q->{id}'", 1 ], frontier => [ 'set_byte(frontier, 0, get_byte(frontier, 0) # 1)', 0 ]);
for my $column (sort keys %seal)
{
	found("seal.$column", "UPDATE theazo_data.seal SET $column = $seal{$column}[0] WHERE $of_seal", 'seal', $seal, $seal{$column}[1]);
}
found('seal.leaves', "UPDATE theazo_data.seal SET leaves = set_byte(leaves, 32 * $at, get_byte(leaves, 32 * $at) # 1) WHERE $of_seal", 'seal', $seq, 1);
found('seal.ids', "UPDATE theazo_data.seal SET ids = set_byte(ids, 16 * $at + 15, get_byte(ids, 16 * $at + 15) # 1) WHERE $of_seal", 'seal', $seq, 1, 'event');
found('seal.min_id', "UPDATE theazo_data.seal SET min_id = '$id' WHERE $of_seal", 'seal', $seal, 1, 'event');
my ($max) = changed("UPDATE theazo_data.seal SET max_id = '$id' WHERE $of_seal");
is("$max->{bad_table} $max->{bad_seq}", "seal $seal", 'seal.max_id');
found('seal deleted', "DELETE FROM theazo_data.seal WHERE $of_seal", 'seal', $seal, 1);

# ---- tree nodes and signed heads ----------------------------------------------------------------------------
for my $change ('hash = set_byte(hash, 7, get_byte(hash, 7) # 1)', 'index = 77', 'level = 16')
{
	found("tree_node: $change", "UPDATE theazo_data.tree_node SET $change WHERE platform_id = '$p->{id}' AND level = 8 AND index = 1", 'tree_node', 512, 0);
}
found('tree_node deleted', "DELETE FROM theazo_data.tree_node WHERE platform_id = '$p->{id}' AND index = 1", 'tree_node', 512, 0);
my $size = sql("SELECT max(tree_size) FROM theazo_data.audit_checkpoint WHERE platform_id = '$p->{id}'");
my $head = "UPDATE theazo_data.audit_checkpoint SET %s WHERE platform_id = '$p->{id}' AND tree_size = $size";
found('checkpoint.root', sprintf($head, 'root = set_byte(root, 0, get_byte(root, 0) # 1)'), 'audit_checkpoint', $size, 0);
found('checkpoint.chain', sprintf($head, 'chain = set_byte(chain, 0, get_byte(chain, 0) # 1)'), 'audit_checkpoint', $size, 0);
found('checkpoint.key_id', sprintf($head, "key_id = 'aky_01M80000000000000000000000'"), 'audit_checkpoint', $size, 0);
found('checkpoint.note', sprintf($head, "note = regexp_replace(note, '.\\n\$', E'A\\n')"), 'audit_checkpoint', $size, 1);
my ($gone) = changed("DELETE FROM theazo_data.audit_checkpoint WHERE platform_id = '$p->{id}' AND tree_size = $size");
is("$gone->{bad_table} $gone->{bad_seq}", "audit_checkpoint $size", 'checkpoint deleted: its round tells');
found('round_leaf.path', "UPDATE theazo_data.audit_round_leaf SET path = set_byte(path, 0, get_byte(path, 0) # 1) WHERE platform_id = '$p->{id}' AND tree_size = $size",
	'audit_round_leaf', $size, 1);
found('round.root', "UPDATE theazo_data.audit_round SET root = set_byte(root, 0, get_byte(root, 0) # 1)", 'audit_round_leaf', sql("SELECT min(tree_size) FROM theazo_data.audit_round_leaf WHERE platform_id = '$p->{id}'"), 1);

# ---- ranges, proofs and the month's archive -----------------------------------------------------------------
sub exported
{
	my ($file, $lines) = @_;
	sql("\\o $file\nSELECT $lines;");
	return $file;
}
my $near = sql("SELECT min(tree_size) FROM theazo_data.audit_checkpoint WHERE platform_id = '$p->{id}' AND tree_size >= 300");
my @first = verified(exported("$outside/first", "theazo_internal.audit_export_lines('$p->{id}', 1, 300, NULL)"));
is("$first[0] $first[1]->{last_seq} $first[1]->{events}", "0 $near 300", 'a range goes on to the signed head behind it, by leaves') or diag explain $first[1];
my @range = verified(exported("$outside/range", "theazo_internal.audit_export_lines('$p->{id}', 250, 300, NULL)"), '--anchor-file', "$outside/worm.log");
is("$range[0] $range[1]->{events} $range[1]->{signed_seq} $range[1]->{anchored_seq}", "0 51 $near $near", 'a range in the middle') or diag explain $range[1];
my $lines = slurp_file("$outside/range");
append_to_file("$outside/begin", $lines =~ s/("frontier" : \[")(.)/$1 . ($2 eq 'A' ? 'B' : 'A')/er);
is((verified("$outside/begin"))[0], 1, 'that begins with another tree');
append_to_file("$outside/cut", substr($lines, 0, length($lines) / 2));
isnt((verified("$outside/cut"))[0], 0, 'that is cut off');
my $month = sql("SELECT to_char(theazo_internal.id_time('$id') AT TIME ZONE 'UTC', 'YYYY_MM')");
exported("$outside/month", "theazo.audit_segment_export('$month')");
my ($whole) = run_command([ $program, '--json', "$outside/month" ]);
my @found = map { decode_json($_) } split /\n/, $whole;
is(join(' ', map { $_->{result} } @found), join(' ', ('fine') x 3), 'the archive of a month: all platforms');
is((grep { $_->{platform} eq $p->{id} } @found)[0]{events}, $total, 'with all events of one');
my ($sum) = split ' ', (run_command([ 'sha256sum', "$outside/month" ]))[0];
is(sql("SELECT encode(digest, 'hex') FROM theazo_data.audit_segment WHERE month = '$month' AND what = 'exported'"), $sum, 'its digest is that of the file');

# ---- bytes of a file ----------------------------------------------------------------------------------------
# A row that nothing above has touched, so that the file has one version of it.
my $calm = 200;
my ($still, $beside) = split /\n/, sql("SELECT u.id FROM theazo_data.seal s, unnest(theazo_internal.seal_ids(s.ids)) WITH ORDINALITY u(id, n)"
	  . " WHERE s.platform_id = '$p->{id}' AND s.first_seq + u.n - 1 BETWEEN $calm AND $calm + 1 ORDER BY s.first_seq, u.n");
my ($place) = split /\n/, sql("SELECT pg_relation_filepath(tableoid::regclass) FROM theazo_data.event WHERE id = '$still'");
my $marker = sql("SELECT convert_from(body, 'UTF8')::jsonb #>> '{summary,mark}' FROM theazo_data.event WHERE id = '$still'");

sub swap_bytes
{
	my ($from, $to) = @_;
	$node->stop;
	# Whoever changes a page mends its checksum as well.
	IPC::Run::run([ $node->config_data('--bindir') . '/pg_checksums', '--disable', '-D', $node->data_dir ], '>', \my $said, '2>', \my $moaned);
	my $path = $node->data_dir . "/$place";
	open my $fh, '+<:raw', $path or die "$path: $!";
	my $bytes = do { local $/; <$fh> };
	my $n = $bytes =~ s/\Q$from\E/$to/g;
	seek $fh, 0, 0;
	print $fh $bytes;
	close $fh;
	$node->start;
	return $n;
}
my $other = $marker =~ s/^marker/merker/r;
is(swap_bytes(qq("$marker"), qq("$other")), 1, 'a byte of a table file is changed');
my $answer = decode_json(sql("SELECT to_json(c) FROM theazo_internal.audit_check('$p->{id}', NULL, NULL, NULL) c"));
is("$answer->{bad_table} $answer->{bad_seq} $answer->{bad_event}", "event $calm $still", 'the row is named');
$answer = decode_json(sql("SELECT to_json(c) FROM theazo_internal.audit_check('$p->{id}', NULL, NULL, '$still') c"));
is("$answer->{bad_table} $answer->{bad_seq}", "event $calm", 'also when it is asked about alone');
ok(decode_json(sql("SELECT to_json(c) FROM theazo_internal.audit_check('$p->{id}', NULL, NULL, '$beside') c"))->{chain_valid}, 'its neighbour is well');
is(swap_bytes(qq("$other"), qq("$marker")), 1, 'and back');
ok(decode_json(sql("SELECT to_json(c) FROM theazo_internal.audit_check('$p->{id}', NULL, NULL, NULL) c"))->{chain_valid}, 'all is well again');

# ---- the signing key ----------------------------------------------------------------------------------------
# Another past, sealed and signed by the keeper itself: whoever has the key can do no more.
IPC::Run::run([ 'cp', "$outside/worm.log", "$outside/copy.log" ]);
my $bypass = "SET LOCAL allow_system_table_mods = on; UPDATE pg_class SET relhastriggers = %s"
  . " WHERE relnamespace = 'theazo_data'::regnamespace AND relowner = 'theazo_guard'::regrole AND relkind IN ('r', 'p');";
sql("BEGIN; " . sprintf($bypass, 'false') . sprintf($event, "action = 'nothing_done'") . ';'
	  . join(' ', map { "DELETE FROM theazo_data.$_ WHERE platform_id = '$p->{id}';" } qw(seal tree_node audit_checkpoint))
	  . "INSERT INTO theazo_data.audit_sweep VALUES (theazo_internal.operator_platform(), theazo_internal.id_new('asw'), pg_current_xact_id()); " . sprintf($bypass, 'true') . ' COMMIT');
$node->restart;
wait_sql($node, "SELECT count(*) = (SELECT sum(events) FROM theazo_data.seal) FROM theazo_data.event", 't', 'everything is sealed anew');
my $again = sql("SELECT to_json(c) FROM theazo_internal.audit_check('$p->{id}', NULL, NULL, NULL) c");
is(decode_json($again)->{bad_table}, 'audit_checkpoint', 'signed anew: the anchored head is missed') or diag $again;
sql("BEGIN; " . sprintf($bypass, 'false') . "DELETE FROM theazo_data.audit_round_leaf WHERE platform_id = '$p->{id}'; " . sprintf($bypass, 'true') . ' COMMIT');
load($p->{id}, 1);
anchored($p->{id});
my $forged = exported("$outside/forged", "theazo_internal.audit_export_lines('$p->{id}', 1, 9223372036854775807, NULL)");
($status, $found) = verified($forged);
is($status, 0, 'signed anew with all its traces removed: signatures alone do not tell') or diag explain $found;
($status, $found) = verified($forged, '--anchor-file', "$outside/copy.log");
is($status, 1, 'an anchor file does') or diag explain $found;
like($found->{problem}, qr/signed anew/, 'in these words');
($status, $found) = verified($forged, '--checkpoint', "$outside/kept");
is("$status $found->{bad_table}", '1 seal', 'a checkpoint that was kept does') or diag explain $found;

$node->stop;
done_testing();
