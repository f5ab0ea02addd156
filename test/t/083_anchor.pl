# Anchors against the real things: `openssl ts` as authority behind a small HTTP server, anvil as EVM chain behind a proxy
# that loses, holds and falsifies what it is told to, a file. Crashes included: no root is ever sent twice.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoAnchor;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $stranger_to = '0x70997970c51812dc3a010c7d01b50e0d17dc79c8';
start_chain();
start_tsa();

# --- the server ----------------------------------------------------------------------
my $files = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('anchor', "theazo.anchor_directory = '$files'\ntheazo.anchor_interval = '1h'\n");
sub sql { return $node->safe_psql('postgres', $_[0]); }

# Checkpoints as the keeper signs them, of a platform that has nothing else.
sql("INSERT INTO theazo_data.platform (platform_id, name) SELECT theazo_internal.id_new('plt'), 'anchored' FROM generate_series(1, 5)");
my $size = 0;

sub checkpoint
{
	$size++;
	sql("INSERT INTO theazo_data.audit_checkpoint (platform_id, tree_size, signed_at, root, chain, key_id, note)
		 SELECT p.platform_id, $size, now(), sha256('r'), sha256('c'), theazo_internal.id_new('aky'), 'theazo/' || p.platform_id || E'\\n$size\\n'
		   FROM theazo_data.platform p WHERE p.name = 'anchored'");
}

# A round with something new in it, at once; returns its id.
sub new_round
{
	my $before = sql('SELECT coalesce(max(id::text), \'\') FROM theazo_data.audit_round');
	checkpoint();
	sql('SELECT count(*) FROM theazo.operator_anchor_now()');
	wait_sql($node, "SELECT max(r.id::text) > '$before' AND (SELECT c.asked_at IS NULL FROM theazo_data.anchor_clock c) FROM theazo_data.audit_round r",
		't', 'a round is made');
	return sql("SELECT max(id::text) FROM theazo_data.audit_round");
}

sub again
{
	sql('SELECT count(*) FROM theazo.operator_anchor_now()');
	wait_sql($node, 'SELECT asked_at IS NULL FROM theazo_data.anchor_clock', 't', 'the keeper has looked');
}

sub newest { return sql('SELECT max(id::text) FROM theazo_data.audit_round'); }

# Blocks are made while this is waited for.
sub wait_mining
{
	my ($query, $want, $what, $seconds) = @_;
	my $until = time() + ($seconds // 60);
	my $got = '';
	while (time() < $until)
	{
		rpc('evm_mine');
		$got = sql($query);
		return pass($what) if $got eq $want;
		sleep 0.1;
	}
	diag(sql("SELECT json_agg(t) FROM theazo_data.anchor_attempt t"), sql('SELECT json_agg(a) FROM theazo.operator_anchors a'));
	is($got, $want, $what);
}

sub confirmed
{
	my ($name, $what, $seconds) = @_;
	wait_mining("SELECT EXISTS (SELECT FROM theazo_data.audit_anchor WHERE name = '$name' AND round_id = (SELECT max(id::text) FROM theazo_data.audit_round))",
		't', $what, $seconds);
}

sub data_of
{
	my ($round) = @_;
	return '0x' . sql("SELECT encode('tzan'::bytea || '\\x01' || int8send(size) || root, 'hex') FROM theazo_data.audit_round WHERE id = '$round'");
}

# Transactions on the chain that carry a round.
sub landed
{
	my ($round) = @_;
	my $data = data_of($round);
	return grep { $_->{input} eq $data } map { @{ $_->{transactions} } } blocks();
}

# Every root that is on the chain is there once.
sub once_each
{
	my ($what) = @_;
	my %seen;
	$seen{ $_->{input} }++ foreach grep { $_->{input} =~ /^0x747a616e/ } map { @{ $_->{transactions} } } blocks();
	cmp_ok(scalar keys %seen, '>', 15, 'roots are on the chain');
	is(scalar(grep { $_ > 1 } values %seen), 0, $what);
}

sub anchor_error
{
	my ($name, $pattern, $what) = @_;
	wait_sql($node, "SELECT coalesce(error ~ '$pattern', false) FROM theazo.operator_anchors WHERE name = '$name'", 't', $what)
	  and pass($what);
}

# --- a file --------------------------------------------------------------------------
sql("SELECT name FROM theazo.operator_anchor_set('file', 'file')");
my $round = new_round();
wait_sql($node, "SELECT count(*) FROM theazo_data.audit_anchor WHERE round_id = '$round'", '1', 'a file is written');
my $line = sql("SELECT evidence ->> 'line' FROM theazo_data.audit_anchor WHERE round_id = '$round'");
my ($root, $leaves) = split /\|/, sql("SELECT encode(root, 'hex'), size FROM theazo_data.audit_round WHERE id = '$round'");
like($line, qr/^theazo-anchor-1 $round \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z $leaves $root$/, 'its line says the round, the time, the size, the root');
like(slurp_file("$files/file.log"), qr/^\Q$line\E$/m, 'and it is in the file');

# A torn line, as a crash or a full disk leaves it, is ended and stays.
append_to_file("$files/file.log", 'theazo-anchor-1 rnd_torn');
new_round();
confirmed('file', 'a line is added behind a torn one');
like(slurp_file("$files/file.log"), qr/^theazo-anchor-1 rnd_torn\ntheazo-anchor-1 rnd_/m, 'which was ended');

# A crash between the line and the row: the line is there once.
sql("SELECT theazo_internal.pause_point('dispatcher-before-done', true)");
my $before = () = slurp_file("$files/file.log") =~ /\n/g;
$round = new_round();
my $until = time() + 30;
sleep 0.05 while time() < $until && slurp_file("$files/file.log") !~ /$round/;
$node->stop('immediate');
$node->start;
confirmed('file', 'a round whose row was lost in a crash is confirmed');
is(scalar(() = slurp_file("$files/file.log") =~ /$round/g), 1, 'and stands in the file once');

# Not through a link, not in the data directory.
rename "$files/file.log", "$files/moved.log";
symlink "$files/moved.log", "$files/file.log";
new_round();
anchor_error('file', 'could not open the file', 'a link is not followed');
is(sql("SELECT state FROM theazo.operator_anchors WHERE name = 'file'"), 'failing', 'the operator sees that it fails');
is(sql("SELECT count(*) FROM theazo.operator_events WHERE action = 'anchor_failed'"), '1', 'and an event says so, once');
unlink "$files/file.log";
again();
confirmed('file', 'then it goes on');
is(sql("SELECT state, failing_since IS NULL, error IS NULL, age < '1 hour' FROM theazo.operator_anchors WHERE name = 'file'"), 'idle|t|t|t', 'all is well again');
mkdir $node->data_dir . '/inside';
$node->append_conf('postgresql.conf', "theazo.anchor_directory = '" . $node->data_dir . "/inside'");
$node->reload;
wait_sql($node, "SELECT theazo_internal.anchor_directory_fault()", 'theazo.anchor_directory is inside the data directory', 'the setting is seen');
my ($code, $stdout, $stderr) = $node->psql('postgres', "SELECT theazo.operator_anchor_set('inner', 'file')");
like($stderr, qr/inside the data directory/, 'no file inside the data directory');
new_round();
anchor_error('file', 'inside the data directory', 'and none is written there');
is(scalar(glob($node->data_dir . '/inside/*')), undef, 'nothing is there');
$node->append_conf('postgresql.conf', "theazo.anchor_directory = '$files'");
$node->reload;
sql("SELECT name FROM theazo.operator_anchor_delete('file')");

# --- an authority ------------------------------------------------------------------------
sub set_tsa
{
	my ($ca, $credential) = @_;
	my $pem = slurp_file(tsa_dir() . "/$ca.pem");
	sql("SELECT name FROM theazo.operator_anchor_set('stamp', 'rfc3161', jsonb_build_object('url', '" . tsa_url() . "', 'ca', '$pem'), " . quote($credential) . ')');
}
set_tsa('ca');
$round = new_round();
confirmed('stamp', 'a root is stamped');
$round = newest();
my $token = sql("SELECT encode(token, 'hex') FROM theazo_data.audit_anchor WHERE round_id = '$round'");
my $out = PostgreSQL::Test::Utils::tempdir();
open(my $fh, '>:raw', "$out/answer") or die;
print $fh pack('H*', $token);
close $fh;
open($fh, '>:raw', "$out/data") or die;
print $fh pack('H*', substr(data_of($round), 2));
close $fh;
is(system("openssl ts -verify -data $out/data -in $out/answer -CAfile " . tsa_dir() . "/ca.pem >/dev/null 2>&1"), 0, 'openssl verifies the stamp of the 45 bytes');
like(sql("SELECT evidence ->> 'signer' FROM theazo_data.audit_anchor WHERE round_id = '$round'"), qr/test signer/, 'the evidence names the signer');

my %trouble = (
	reject => 'reject|unrecognized|algorithm',
	garbage => '.',
	empty => '.',
	error => '500',
	drop => '.',
	replay => '.');
foreach my $mode (sort keys %trouble)
{
	tsa($mode);
	my $failed = new_round();
	wait_sql($node, "SELECT tries > 0 FROM theazo_data.anchor_attempt WHERE round_id = '$failed'", 't', "$mode: it fails");
	like(sql("SELECT error FROM theazo.operator_anchors WHERE name = 'stamp'"), qr/$trouble{$mode}/i, "$mode: the operator sees why");
	is(sql("SELECT count(*) FROM theazo_data.audit_anchor WHERE round_id = '$failed'"), '0', "$mode: nothing is confirmed");
}
tsa('slow');
my $newer = new_round();
confirmed('stamp', 'a slow answer is taken; the newest round is stamped');
is(sql("SELECT string_agg(DISTINCT state, ' ') FROM theazo_data.anchor_attempt WHERE name = 'stamp' AND round_id < '$newer' AND round_id > '$round'"),
	'superseded', 'the older ones are in it and are passed over');
tsa('ok');
set_tsa('other');
new_round();
wait_sql($node, "SELECT state FROM theazo.operator_anchors WHERE name = 'stamp'", 'failing', 'an authority that is not the one trusted');
set_tsa('ca');
confirmed('stamp', 'the right one again, at once');

# It asks who is there.
post(tsa_url() . '/_control', { credential => 'tsa-canary-31415' });
new_round();
anchor_error('stamp', 'answered 401', 'without its credential an authority refuses');
sql("SELECT name FROM theazo.operator_secret_set('tsa.key', 'tsa-canary-31415')");
set_tsa('ca', 'tsa.key');
confirmed('stamp', 'with a secret of the operator it stamps');
cmp_ok(sql("SELECT count(*) FROM theazo.operator_events WHERE action = 'secret_opened' AND summary ->> 'name' = 'tsa.key'"), '>=', 1, 'each use is an event');
unlike(slurp_file($node->logfile), qr/tsa-canary-31415/, 'and it is not in the log');
post(tsa_url() . '/_control', { credential => undef });
sql("SELECT name FROM theazo.operator_anchor_delete('stamp')");

# --- a chain -------------------------------------------------------------------------------
sub set_chain
{
	my $config = chain_config(@_);
	sql("SELECT name FROM theazo.operator_anchor_set('chain', 'evm', '$config')");
}
set_chain();
$round = new_round();
confirmed('chain', 'a root is on the chain');
$round = newest();
my @tx = landed($round);
is(scalar @tx, 1, 'in one transaction');
is(sql("SELECT tx_hash FROM theazo_internal.anchor_latest((SELECT platform_id FROM theazo_data.platform WHERE name = 'anchored' LIMIT 1))"),
	$tx[0]{hash}, 'whose hash is the evidence of every platform');
is($tx[0]{to}, $account, 'from the account to itself');

# The answer to the send is lost: found by its nonce.
rules({ method => 'eth_sendTransaction', lose => 1, times => 1 });
my $sends = calls_of('eth_sendTransaction');
new_round();
confirmed('chain', 'the answer to a send was lost: confirmed');
is(scalar landed(newest()), 1, '... and it is there once');
rules();

# The server dies with a send under way, and again with the answer in hand.
rules({ method => 'eth_sendTransaction', hold => 1, times => 1 });
$sends = () = calls_of('eth_sendTransaction');
new_round();
$until = time() + 30;
sleep 0.05 while time() < $until && calls_of('eth_sendTransaction') == $sends;
$node->stop('immediate');
rules();
$node->start;
confirmed('chain', 'killed while a send was under way: confirmed');
is(scalar landed(newest()), 1, '... and it is there once');

rules({ method => 'eth_sendTransaction', before => 1, times => 1 });
$sends = () = calls_of('eth_sendTransaction');
new_round();
$until = time() + 30;
sleep 0.05 while time() < $until && calls_of('eth_sendTransaction') == $sends;
sql("SELECT theazo_internal.pause_point('dispatcher-before-done', true)");
rules();
$until = time() + 30;
sleep 0.05 while time() < $until && @{ rpc('eth_getBlockByNumber', 'pending', JSON::PP::true)->{transactions} } == 0;
$node->stop('immediate');
$node->start;
confirmed('chain', 'killed before the hash was stored: confirmed');
is(scalar landed(newest()), 1, '... and it is there once');

# Sent before the kill, mined while the server was down.
rules({ method => 'eth_sendTransaction', hold => 1, times => 1 });
$sends = () = calls_of('eth_sendTransaction');
new_round();
$until = time() + 30;
sleep 0.05 while time() < $until && @{ rpc('eth_getBlockByNumber', 'pending', JSON::PP::true)->{transactions} } == 0;
$node->stop('immediate');
rules();
rpc('evm_mine') for 1 .. 3;
$node->start;
confirmed('chain', 'mined while the server was down: confirmed');
is(scalar landed(newest()), 1, '... and it is there once');

# The node forgets what it had taken.
new_round();
$until = time() + 30;
sleep 0.05 while time() < $until && sql("SELECT count(*) FROM theazo_data.effect e JOIN theazo_data.effect_payload p USING (platform_id, root_id, id) WHERE e.state IN ('queued', 'claimed', 'sent') AND p.step_state ? 'hash'") eq '0';
rpc('anvil_dropAllTransactions');
is(scalar landed(newest()), 0, 'a transaction is forgotten');
confirmed('chain', '... sent again and confirmed');
is(scalar landed(newest()), 1, '... and is there once');

# A reorganisation takes its block away.
my $snapshot = rpc('evm_snapshot');
new_round();
$until = time() + 30;
sleep 0.05 while time() < $until && @{ rpc('eth_getBlockByNumber', 'pending', JSON::PP::true)->{transactions} } == 0;
rpc('evm_mine');
wait_sql($node, "SELECT count(*) FROM theazo_data.effect e JOIN theazo_data.effect_payload p USING (platform_id, root_id, id) WHERE e.state IN ('queued', 'claimed', 'sent') AND p.step_state ? 'block_hash'", '1', 'its block is seen');
rpc('evm_revert', $snapshot);
is(scalar landed(newest()), 0, 'a reorganisation takes it away');
confirmed('chain', '... sent again and confirmed');
is(scalar landed(newest()), 1, '... and is there once');
is(sql("SELECT evidence ->> 'block_hash' FROM theazo_data.audit_anchor WHERE round_id = '" . newest() . "'"), (landed(newest()))[0]{blockHash},
	'the evidence names the block that stayed');

# It waits too long: more gas, the same nonce.
set_chain(resend_ms => 1000);
$sends = () = calls_of('eth_sendTransaction');
new_round();
$until = time() + 30;
sleep 0.05 while time() < $until && calls_of('eth_sendTransaction') < $sends + 2;
my @sent = map { $_->{params}[0] } (calls_of('eth_sendTransaction'))[-2, -1];
is($sent[0]{nonce}, $sent[1]{nonce}, 'what waits too long is sent again with the same nonce');
cmp_ok(hex($sent[1]{gasPrice}), '>=', hex($sent[0]{gasPrice}) * 1.125, '... for an eighth more');
confirmed('chain', '... and confirmed');
is(scalar landed(newest()), 1, '... once');
set_chain();

# Somebody else uses the account between nonce and send.
rules({ method => 'eth_gasPrice', before => 1, times => 1 });
my $prices = () = calls_of('eth_gasPrice');
new_round();
$until = time() + 30;
sleep 0.05 while time() < $until && calls_of('eth_gasPrice') == $prices;
rpc('eth_sendTransaction', { from => $account, to => $stranger_to, value => '0x1' });
rpc('evm_mine');
rules();
confirmed('chain', 'its nonce was used by somebody else: a new one, confirmed');
is(scalar landed(newest()), 1, '... once');

# A node on another chain is not sent anything.
rules({ method => 'eth_chainId', result => '0x1' });
$sends = () = calls_of('eth_sendTransaction');
new_round();
anchor_error('chain', 'is on chain 1 and not on 365', 'a node on another chain');
is(scalar(() = calls_of('eth_sendTransaction')), $sends, '... is sent nothing');
rules();
again();
confirmed('chain', '... until it is the right one');

# A node that lies is not believed.
my $lie = '0x' . 'ab' x 32;
foreach my $case (
	[ 'a receipt of another transaction', 'eth_getTransactionReceipt', { transactionHash => $lie }, 'another transaction' ],
	[ 'a block that does not hold it', 'eth_getBlockByNumber', { transactions => [] }, 'does not hold the transaction' ],
	[ 'a transaction with other data', 'eth_getTransactionByHash', { input => '0x00' }, 'does not carry the root' ])
{
	my ($what, $method, $change, $pattern) = @$case;
	rules({ method => $method, change => $change });
	new_round();
	wait_mining("SELECT coalesce(error ~ '$pattern', false) FROM theazo.operator_anchors WHERE name = 'chain'", 't', "$what is not believed");
	is(sql("SELECT count(*) FROM theazo_data.audit_anchor WHERE round_id = '" . newest() . "'"), '0', '... and not confirmed');
	rules();
	again();
	wait_mining("SELECT count(*) = 0 FROM theazo_data.anchor_attempt WHERE state IN ('waiting', 'sending')", 't', '... goes on once the truth is told');
}

# It is down, or answers nonsense; then it is back.
foreach my $rule ({ method => 'eth_chainId', refuse => 1 }, { method => 'eth_sendTransaction', status => 502, times => 2 },
	{ method => 'eth_sendTransaction', garbage => 1, times => 1 })
{
	my ($how) = grep { $_ ne 'method' && $_ ne 'times' } keys %$rule;
	rules($rule);
	new_round();
	$until = time() + 1;
	rpc('evm_mine'), sleep 0.1 while time() < $until;
	rules();
	again();
	wait_mining("SELECT count(*) = 0 FROM theazo_data.anchor_attempt WHERE state IN ('waiting', 'sending')", 't', "$rule->{method} $how: confirmed once it is well");
}
once_each('no root is on the chain twice');

# What everybody sees.
is(sql("SELECT count(*) FROM theazo_data.platform p WHERE p.name = 'anchored'"
	  . " AND (SELECT l.tree_size FROM theazo_internal.anchor_latest(p.platform_id) l) = $size"), '5', 'each platform has its newest checkpoint anchored');
is(sql('SELECT count(*) FROM theazo.operator_anchors WHERE age IS NULL'), '0', 'each anchor has an age');

# What was sealed, from its events to what the outside holds: by SQL, and offline with each anchor alone.
sql("SELECT name FROM theazo.operator_anchor_set('file', 'file')");
set_tsa('ca');
my $p = new_platform($node, 'Auditee');
wait_sql($node, "SELECT coalesce(sum(events), 0) >= 3 FROM theazo_data.seal WHERE platform_id = '$p->{id}'", 't', 'its events are sealed');
new_round();
wait_mining("SELECT count(*) FROM theazo_data.audit_anchor WHERE round_id = (SELECT max(id::text) FROM theazo_data.audit_round)", '3', 'three anchors hold one root');
my ($tx) = landed(newest());
is(sql("SELECT v.chain_valid, v.problem IS NULL, v.anchor_tx_hash, v.anchored_seq = v.last_seq, v.anchor_age < '1 hour' FROM theazo.audit_verify(api_key => '$p->{key}') v"),
	"t|t|$tx->{hash}|t|t", 'SQL verifies the chain up to the transaction');
my $export = $node->safe_psql('postgres', "SELECT theazo.audit_export('jsonl', api_key => '$p->{key}')");
append_to_file("$out/trail.jsonl", "$export\n");
append_to_file("$out/tx.json", encode_json($tx));
my $verify = $node->config_data('--bindir') . '/theazo-verify';
foreach my $with ([ '--tsa-ca', tsa_dir() . '/ca.pem' ], [ '--anchor-file', "$files/file.log" ], [ '--evm-tx', "$out/tx.json" ])
{
	command_ok([ $verify, '--require-anchored', 'all', @$with, "$out/trail.jsonl" ], "theazo-verify believes $with->[0]");
}
command_fails([ $verify, '--require-anchored', 'all', '--tsa-ca', tsa_dir() . '/other.pem', "$out/trail.jsonl" ], '... and no other authority');
sql("SELECT name FROM theazo.operator_anchor_delete('file')");
sql("SELECT name FROM theazo.operator_anchor_delete('stamp')");

# A restored copy uses none of them.
sql("UPDATE theazo_data.anchor SET instance = 'another'");
checkpoint();
sql('SELECT count(*) FROM theazo.operator_anchor_now()');
is(sql("SELECT state FROM theazo.operator_anchors WHERE name = 'chain'"), 'held: came from another instance', 'a copy does not use them');
sql('SELECT theazo.effects_release()');
again();
confirmed('chain', 'until the operator says so');

$node->stop;
done_testing();
