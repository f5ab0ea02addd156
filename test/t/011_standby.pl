# A standby runs no worker; promotion starts all of them.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', slurp_file($ENV{THEAZO_CONF})) if $ENV{THEAZO_CONF};
$primary->append_conf('postgresql.conf', q{
shared_preload_libraries = 'theazo'
theazo.dispatchers = 2
});
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION theazo CASCADE');
my $running = "SELECT count(*) = 4 FROM theazo_internal.worker_status() WHERE state = 'running'";
ok($primary->poll_query_until('postgres', $running), 'workers run on the primary');

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));

is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'theazo%'"),
	0, 'no worker on the standby');
is($standby->safe_psql('postgres', 'SELECT DISTINCT note FROM theazo_internal.worker_status()'),
	'the server is a standby', 'and its status says why');
is($standby->safe_psql('postgres', 'SELECT theazo_internal.workers_alive()'), '{}', 'nobody is alive there');

$primary->stop('immediate');
$standby->promote;
ok($standby->poll_query_until('postgres', $running), 'workers run after promotion');
$standby->stop;
done_testing();
