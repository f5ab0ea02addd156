# The audit tables against an administrator: what cannot run inside a transaction, what a restore with --clean tries, what
# logical replication brings, and what leaves a line in the server log.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('guard');
$node->init(allows_streaming => 'logical');
$node->append_conf('postgresql.conf', slurp_file($ENV{THEAZO_CONF}));
$node->append_conf('postgresql.conf', "theazo.databases = '*'\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION theazo CASCADE');
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub refused { my ($text, $db) = @_; my ($rc, $out, $err) = $node->psql($db // 'postgres', "\\set VERBOSITY verbose\n$text"); return $err =~ /ERROR:\s+(\w{5}):/ ? $1 : 'ok' }
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM theazo_internal.partition_list('event') WHERE NOT is_default") or die 'no partitions';
my $part = sql("SELECT 'theazo_data.' || partition FROM theazo_internal.partition_list('event') WHERE NOT is_default ORDER BY 1 LIMIT 1");
my $p = sql("SELECT (theazo.platform_create('Guard')).id");
my $events = sql('SELECT count(*) FROM theazo_data.event');
cmp_ok($events, '>', 0, 'events');

# ---- upkeep goes on
is(refused($_), 'ok', $_) for 'VACUUM FULL theazo_data.event', "VACUUM (FREEZE) $part", "CLUSTER $part USING " . ($part =~ s/.*\.//r) . '_pkey', "REINDEX TABLE CONCURRENTLY $part",
  "CREATE INDEX CONCURRENTLY mine ON $part (action)", 'DROP INDEX CONCURRENTLY theazo_data.mine', 'VACUUM FULL theazo_data.seal', 'REINDEX SCHEMA theazo_data';

# ---- months and detaching
is(refused($_), 'TZ502', $_) for "DROP TABLE $part", "TRUNCATE $part", "DELETE FROM $part", "ALTER TABLE theazo_data.event DETACH PARTITION $part", "ALTER TABLE theazo_data.event DETACH PARTITION $part CONCURRENTLY",
  "ALTER TABLE $part SET UNLOGGED", "CREATE SCHEMA theazo_archive; ALTER TABLE $part SET SCHEMA theazo_archive",
  "SET session_replication_role = replica; UPDATE $part SET action = 'x'", "MERGE INTO $part e USING (SELECT 1) x ON true WHEN MATCHED THEN DELETE";
sql('DROP SCHEMA theazo_archive');
# not by whoever owns them, either
is(refused("SET ROLE theazo_guard; $_"), 'TZ502', "as the owner: $_") for "DROP TABLE $part", "ALTER TABLE $part DISABLE TRIGGER ALL", "TRUNCATE $part";
# and others hear what the server says
sql('CREATE ROLE nobody_here');
is(refused("SET ROLE nobody_here; $_"), '42501', "as nobody: $_") for "DROP TABLE $part", "ALTER TABLE $part DISABLE TRIGGER ALL", "TRUNCATE $part";

# ---- each table of the guard carries it, or is state
is(sql("SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relowner = 'theazo_guard'::regrole AND (
	SELECT count(DISTINCT g.tgtype) FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgenabled = 'A' AND g.tgfoid = 'theazo_internal.event_guard'::regproc) < 2"),
	'audit_cursor audit_sweep', 'all tables of the guard are guarded for rows and truncation, but for what is state');

# ---- a restore over it is refused, and leaves everything
my $dir = PostgreSQL::Test::Utils::tempdir();
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/dump", '-d', $node->connstr('postgres') ], 'dumped');
$node->command_fails([ 'pg_restore', '--clean', '-1', '-d', $node->connstr('postgres'), "$dir/dump" ], 'pg_restore --clean into the same database fails');
cmp_ok(sql('SELECT count(*) FROM theazo_data.event'), '>=', $events, 'nothing is gone');

# ---- changes that come by logical replication
sql("CREATE DATABASE origin");
$node->safe_psql('origin', "CREATE SCHEMA theazo_data; CREATE TABLE theazo_data.audit_round (platform_id text, id text PRIMARY KEY, created_at timestamptz, size int, root bytea);
	CREATE PUBLICATION p FOR TABLE theazo_data.audit_round; SELECT pg_create_logical_replication_slot('guarded', 'pgoutput')");
sql('CREATE SUBSCRIPTION s CONNECTION $c$' . $node->connstr('origin') . '$c$ PUBLICATION p WITH (create_slot = false, slot_name = guarded, copy_data = false'
	  # from 16 on rows are applied as the owner of the table, whom policies keep out: here the superuser tries
	  . ($node->pg_version >= 16 ? ', run_as_owner = true' : '') . ')');
$node->safe_psql('origin', "INSERT INTO theazo_data.audit_round VALUES ('plt_00000000000000000000000000', 'rnd_00000000000000000000000000', now(), 1, decode(repeat('00', 32), 'hex'))");
$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM theazo_data.audit_round') or die 'not replicated';
my $offset = -s $node->logfile;
$node->safe_psql('origin', 'UPDATE theazo_data.audit_round SET size = 2');
ok($node->poll_query_until('postgres', "SELECT pg_read_file('" . $node->logfile . "', $offset, 10000000) ~ 'events are immutable'"), 'a replicated UPDATE is refused');
is(sql('SELECT size FROM theazo_data.audit_round'), 1, 'and changes nothing');
sql('ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s');

# ---- taking it away as a whole leaves a line in the log
sql('CREATE DATABASE going');
$node->safe_psql('going', 'CREATE EXTENSION theazo CASCADE');
$offset = -s $node->logfile;
is(refused('DROP EXTENSION theazo', 'going'), 'ok', 'DROP EXTENSION');
like(slurp_file($node->logfile, $offset), qr/the audit tables of database "going" were dropped with the extension/, 'is logged');
$node->safe_psql('going', 'CREATE EXTENSION theazo');
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'going' AND backend_type = 'theazo keeper'") or die 'no keeper';
$offset = -s $node->logfile;
is(refused('DROP DATABASE going'), 'ok', 'DROP DATABASE');
like(slurp_file($node->logfile, $offset), qr/database "going" is being dropped with its audit tables/, 'is logged');
$node->stop;
done_testing();
