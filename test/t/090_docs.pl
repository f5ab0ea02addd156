# Every command and every SQL block of these pages, run as written.
#
# ```sql blocks of one page (indented ones too) run in one psql, in order. ```sh blocks run in a shell
# whose psql talks to the same server; of `make` lines it is checked that the target
# exists, because this test is itself part of one of them. A block marked ```text is
# output or configuration and is not run. Pages that need a model get the scripted server
# by THEAZO_MODEL_URL, as a reader gives them one.
use strict;
use warnings;
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rules = PostgreSQL::Test::Utils::tempdir() . '/rules.json';
append_to_file($rules, q([
 {"contains": "pieces of article A1", "turns": [
	{"text": "I look it up.", "tools": [{"name": "in_stock", "arguments": {"sku": "A1"}}]}, {"text": "There are 7 pieces of A1 in stock."}]},
 {"contains": "Name a city", "answer": {"text": "{\"city\": \"Basel\", \"country\": \"Switzerland\"}"}},
 {"contains": "Count to three", "answer": {"text": "One, two, three.", "usage": {"input": 1300, "cache_read": 700, "output": 90}}}]));
my $double = open(my $double_out, '-|', 'python3', "$FindBin::RealBin/../mock/model_server.py", '--rules', $rules)
  or die "cannot start the model server: $!";
chomp(my $double_port = <$double_out>);
$ENV{THEAZO_MODEL_URL} = "http://127.0.0.1:$double_port/v1";
$ENV{THEAZO_MODEL} = 'llama3.1';
END
{
	my $status = $?;
	kill 'KILL', $double if $double;
	$? = $status;
}

my $node = PostgreSQL::Test::Cluster->new('docs');
$node->init;
$node->append_conf('postgresql.conf', slurp_file($ENV{THEAZO_CONF}));
$node->start;

sub blocks
{
	my ($file) = @_;
	my (@out, $lang, $text);
	my $line = 0;
	foreach (split /\n/, slurp_file($file))
	{
		$line++;
		if (defined $lang)
		{
			if (/^\s*```\s*$/)
			{
				push @out, { lang => $lang, text => $text, line => $line };
				undef $lang;
				next;
			}
			$text .= "$_\n";
		}
		elsif (/^\s*```(\w+)/)
		{
			($lang, $text) = ($1, '');
		}
	}
	return @out;
}

sub run_shell
{
	my ($where, $text, $db) = @_;
	# Continuation lines belong together.
	$text =~ s/\\\n\s*/ /g;
	foreach my $cmd (grep { /\S/ && !/^\s*#/ } split /\n/, $text)
	{
		$cmd =~ s/\s+#.*$//;
		if ($cmd =~ /^\s*(?:sudo )?make(?:\s|$)/)
		{
			my $dry = $cmd;
			$dry =~ s/^\s*(?:sudo )?make/make -n/;
			is(system("$dry > /dev/null 2>&1"), 0, "$where: $cmd is a target");
			next;
		}
		if ($cmd =~ /^\s*(?:git|cd|sudo|apt-get|systemctl)\b/)
		{
			next;
		}
		local $ENV{PGHOST} = $node->host;
		local $ENV{PGPORT} = $node->port;
		local $ENV{PGDATABASE} = $db;
		is(system('sh', '-c', "$cmd > /dev/null"), 0, "$where: $cmd");
	}
}

# The figures of docs/models.md: what its own lines say, and what test/sql/model_cost.sql gets for the four kinds of payers.
sub check_models
{
	my ($out) = @_;
	like($out, qr/^45\.000000\|49\.500000$/m, 'tokens of the example cost what the table says');
	my ($cost, $by_hand) = $out =~ /^\d+\|1300\|700\|90\|([\d.]+)\|([\d.]+)$/m;
	ok(defined $cost && $cost > 0 && $cost == $by_hand, 'a step costs what one gets by hand');
	like($out, qr/^1\|1$/m, 'an order that is rolled back has no run');
	like($out, qr/^3\|A1\|completed\|t$/m, 'an order starts its run by a trigger');
	my @got = slurp_file('expected/model_cost.out') =~
	  /session_run\(:'s[1-4]', NULL, 'task', :'model'\)\)\.id\);\ncompleted\|([\d.]+)\|[\d.]+\|[\d.]+\|([\d.]+|\(null\))\|/g;
	my @rows = slurp_file('docs/models.md') =~ /^\| (managed|yours) \| (managed|yours) \| ([\d.]+) \| ([\d.]+) \|$/mg;
	is(join(' ', @rows[ 0, 1, 4, 5, 8, 9, 12, 13 ]), 'managed managed yours managed yours yours managed yours', 'the four kinds in their order');
	foreach my $kind (0 .. 3)
	{
		my ($sum, $fee) = @got[ $kind * 2, $kind * 2 + 1 ];
		$fee = 0 if $fee eq '(null)';
		my ($there, $made) = @rows[ $kind * 4 + 2, $kind * 4 + 3 ];
		ok($made == $sum && $there == $sum - $fee, "sandbox $rows[$kind * 4], model $rows[$kind * 4 + 1]: $made cents, $there without the fee");
	}
}

foreach my $page ('README.md', 'docs/tutorial.md', 'docs/howto.md', 'docs/operations.md', 'docs/vault.md', 'docs/models.md', 'docs/agents-secure.md', 'docs/providers/index.md')
{
	my ($db) = $page =~ /(\w+)\.md$/;
	$db = lc $db;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	my @blocks = blocks($page);
	cmp_ok(scalar(@blocks), '>', 1, "$page has blocks");
	my $sql = join "\n", map { $_->{text} } grep { $_->{lang} eq 'sql' } @blocks;
	$sql = "CREATE EXTENSION IF NOT EXISTS theazo CASCADE;\n$sql" unless $sql =~ /CREATE EXTENSION/;
	my ($out, $err);
	my $rc = $node->psql($db, $sql, stdout => \$out, stderr => \$err, timeout => 600);
	is($rc, 0, "$page: the SQL runs to its end") or diag($err);
	unlike($err, qr/^(psql:.*)?(ERROR|FATAL)/m, "$page: without an error");
	check_models($out) if $page eq 'docs/models.md';
	run_shell("$page:$_->{line}", $_->{text}, $db) foreach grep { $_->{lang} eq 'sh' } @blocks;
}

# The demo is its own script; the README shows its lines.
{
	my $readme = slurp_file('README.md');
	my $demo = slurp_file('docs/demo.sql');
	my @lines = grep { /\S/ && !/^\s*(--|\\echo|\\pset)/ } split /\n/, $demo;
	my @missing = grep { index($readme, $_) < 0 } @lines;
	is(join("\n", @missing), '', 'the README shows every line of docs/demo.sql');
}

$node->stop;
kill 'KILL', $double;
close $double_out;
done_testing();
