# Chaos of anchors: rounds go to a chain, an authority and a file while processes and the server are killed at random
# moments, the chain is reorganised and answers are lost. Afterwards the newest round is confirmed everywhere, no root is
# on the chain or in the file twice, and what is recorded as confirmed is there.
#
# THEAZO_CHAOS: number of kills (3). THEAZO_CHAOS_SEED: repeats a run.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoAnchor;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $kills = $ENV{THEAZO_CHAOS} || 3;
my $seed = $ENV{THEAZO_CHAOS_SEED} || 20261121;
srand($seed);
diag("seed $seed, $kills kills");
start_chain();
start_tsa();

my $files = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('chaosanchor', "theazo.anchor_directory = '$files'\ntheazo.anchor_interval = '1s'\nrestart_after_crash = on\n");
sub sql { return $node->safe_psql('postgres', $_[0]); }
my $pem = slurp_file(tsa_dir() . '/ca.pem');
sql("INSERT INTO theazo_data.platform (platform_id, name) SELECT theazo_internal.id_new('plt'), 'anchored' FROM generate_series(1, 3)");
sql("SELECT name FROM theazo.operator_anchor_set('file', 'file')");
sql("SELECT name FROM theazo.operator_anchor_set('stamp', 'rfc3161', jsonb_build_object('url', '" . tsa_url() . "', 'ca', '$pem'))");
sql("SELECT name FROM theazo.operator_anchor_set('chain', 'evm', '" . chain_config(resend_ms => 2000) . "')");

my $size = 0;

sub checkpoint
{
	$size++;
	$node->psql('postgres', "INSERT INTO theazo_data.audit_checkpoint (platform_id, tree_size, signed_at, root, chain, key_id, note)
		 SELECT p.platform_id, $size, now(), sha256('r'), sha256('c'), theazo_internal.id_new('aky'), 'theazo/' || p.platform_id || E'\\n$size\\n'
		   FROM theazo_data.platform p WHERE p.name = 'anchored'; SELECT count(*) FROM theazo.operator_anchor_now()");
}

sub up
{
	for (1 .. 600)
	{
		return if $node->psql('postgres', 'SELECT 1') == 0;
		sleep 0.1;
	}
	die 'the server does not come back';
}

sub kill_something
{
	my $what = (qw(dispatcher keeper server))[ int(rand(3)) ];
	if ($what eq 'server')
	{
		$node->stop('immediate');
		$node->start;
		return $what;
	}
	my (undef, $pids) = $node->psql('postgres', "SELECT string_agg(pid::text, ' ') FROM theazo_internal.worker_status() WHERE kind = '$what' AND pid > 0");
	my @pids = split / /, $pids // '';
	kill 'KILL', $pids[ int(rand(@pids)) ] if @pids;
	sleep 0.1;
	up();
	return $what;
}

my @trouble = (
	sub { rules({ method => 'eth_sendTransaction', lose => 1, times => 1 }) },
	sub { rules({ method => 'eth_sendTransaction', hold => 1, times => 1 }) },
	sub { rules({ method => 'eth_getTransactionReceipt', status => 502, times => 2 }) },
	sub { rpc('anvil_dropAllTransactions') },
	sub { tsa('drop') },
	sub { rules() },
	# what it takes away is less deep than a confirmation
	sub { my $snapshot = rpc('evm_snapshot'); checkpoint(); sleep rand(0.7); rpc('evm_mine'); sleep rand(0.5); rpc('evm_revert', $snapshot) });

my %killed;
for my $n (1 .. $kills)
{
	checkpoint();
	$trouble[ int(rand(@trouble)) ]->();
	my $until = time() + rand(1.5);
	while (time() < $until)
	{
		rpc('evm_mine') if rand() < 0.6;
		sleep rand(0.2);
	}
	$killed{ kill_something() }++;
	tsa('ok');
	rules() if rand() < 0.5;
}
rules();
tsa('ok');
diag(join(', ', map { "$_ $killed{$_}" } sort keys %killed));

checkpoint();
my $until = time() + 120;
my $got = '';
while (time() < $until)
{
	rpc('evm_mine');
	$got = sql("SELECT count(DISTINCT a.name) FROM theazo_data.audit_anchor a JOIN theazo_data.audit_round_leaf l ON l.round_id = a.round_id"
		  . " JOIN theazo_data.platform p ON p.platform_id = l.platform_id AND p.name = 'anchored' WHERE l.tree_size = $size");
	last if $got eq '3';
	sleep 0.1;
}
is($got, '3', 'what was signed last is anchored everywhere')
  or diag(sql('SELECT json_agg(t) FROM theazo_data.anchor_attempt t WHERE state IN (\'waiting\', \'sending\')'));

my (%on_chain, %hash);
foreach my $tx (map { @{ $_->{transactions} } } blocks())
{
	$on_chain{ $tx->{input} }++;
	$hash{ $tx->{hash} } = $tx->{input};
}
is(join(' ', grep { $on_chain{$_} > 1 } keys %on_chain), '', 'no root is on the chain twice');
my %in_file;
$in_file{$_}++ foreach grep { /^theazo-anchor-1 / } split /\n/, slurp_file("$files/file.log");
is(join(' ', grep { $in_file{$_} > 1 } keys %in_file), '', 'nor in the file');

my @missing;
foreach my $row (split /\n/, sql("SELECT a.kind, a.evidence ->> 'tx_hash', a.evidence ->> 'line', '0x' || encode('tzan'::bytea || '\\x01' || int8send(r.size) || r.root, 'hex')"
		  . " FROM theazo_data.audit_anchor a JOIN theazo_data.audit_round r ON r.id = a.round_id"))
{
	my ($kind, $tx, $line, $data) = split /\|/, $row;
	push @missing, $row if $kind eq 'evm' && ($hash{$tx} // '') ne $data || $kind eq 'file' && !$in_file{$line};
}
is(join("\n", @missing), '', 'what is recorded as confirmed is there');
is(sql("SELECT count(*) FROM theazo_data.audit_anchor WHERE kind = 'rfc3161' AND token IS NULL"), '0', 'every stamp is kept');
is(sql("SELECT count(*) FROM theazo.integrity_check()"), '0', 'all rows agree');
$node->stop;
done_testing();
