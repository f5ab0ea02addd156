# Fair claims: one platform with ten thousand queued effects, another with one, which is begun within two claim turns.
# Shown by the order of claims, not by time.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Test::More;
use TheazoPath;

my $many = 10000;
my $batch = 100;
my $node = new_server('fairness', "theazo.dispatchers = 1\ntheazo.claim_batch = $batch\n");
my $crowd = new_platform($node, 'crowd');
my $single = new_platform($node, 'single');

sub enqueue
{
	my ($p, $n) = @_;
	$node->safe_psql('postgres', "SELECT count(theazo_internal.effect_enqueue('$p->{id}', NULL, 'probe.noop', 'noop'))"
		  . " FROM generate_series(1, $n)");
	return;
}

# Turns held one by one: the worker stands behind each claim until it is told to go on.
$node->safe_psql('postgres', "SELECT theazo_internal.pause_point('dispatcher-after-claim', true)");
enqueue($crowd, $many);
wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE state = 'claimed'", $batch, 'the first batch is claimed');
is($node->safe_psql('postgres', "SELECT count(*) FROM theazo_data.effect WHERE state = 'queued'"), $many - $batch,
	'the rest of the crowd is queued');
enqueue($single, 1);
$node->safe_psql('postgres', "SELECT theazo_internal.pause_point('dispatcher-after-claim', false)");
wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE state <> 'done'", 0, 'all are carried out', 180);

# Each claim is one transaction, so one claimed_at.
my $turns = $node->safe_psql('postgres', <<'SQL');
WITH turn AS (SELECT claimed_at, row_number() OVER (ORDER BY claimed_at) AS n
				FROM (SELECT DISTINCT claimed_at FROM theazo_data.effect) x)
SELECT t.n FROM theazo_data.effect e JOIN turn t USING (claimed_at)
 WHERE e.platform_id = (SELECT platform_id FROM theazo_data.platform WHERE name = 'single')
SQL
my $total = $node->safe_psql('postgres', 'SELECT count(DISTINCT claimed_at) FROM theazo_data.effect');
diag("begun in claim turn $turns of $total");
cmp_ok($total, '>=', $many / $batch, 'the crowd took many turns');
cmp_ok($turns, '<=', 3, 'the single effect was begun within two turns after it was queued');
is($node->safe_psql('postgres', 'SELECT max(attempt) FROM theazo_data.effect'), 1, 'nothing was claimed twice');

$node->stop;
done_testing();
