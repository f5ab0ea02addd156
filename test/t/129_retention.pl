# What is kept of executions and for how long: what is gone by retention is told from what was taken away, and what was signed stays so.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;

my $node = new_server('retention', "theazo.keeper_interval = 500ms\ntheazo.anchor_interval = 1s\ntheazo.retention_runs = 0\ntheazo.retention_executions = 0\n");
my $p = new_platform($node, 'retention');
my $json = JSON::PP->new->canonical->allow_nonref;
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub app { return sql("BEGIN;\nSELECT theazo.authenticate('$p->{key}') \\g /dev/null\n$_[0];\nCOMMIT") }
sub set { sql("ALTER SYSTEM SET $_[0]"); sql('SELECT pg_reload_conf()'); return }
sub verify { return app("SELECT concat_ws(' ', valid, chain_valid, tee_mode, problem, kept_no_longer) FROM theazo.verify_execution('$_[0]')") }

app("SELECT FROM theazo.governed_register('old', 'await thetazero.read_context(\"k\"); return input.n')");
my @ids = map { (split /\|/, sql("CALL theazo.execute('old', '{\"n\": $_}', api_key => '$p->{key}')"))[0] } 1 .. 3;
wait_sql($node, 'SELECT count(*) FROM theazo_data.attestation', 3, 'all have their statements');

# The first two ended four hundred days ago; what is signed about them is what they are now.
sql(<<"SQL");
BEGIN;
CREATE FUNCTION public.aged(t text) RETURNS text LANGUAGE sql AS \$\$ SELECT substr(theazo_internal.id_floor(theazo_internal.id_time('x_' || t) - '400 days'::interval), 1, 10) || substr(t, 11) \$\$;
DELETE FROM theazo_data.attestation WHERE number IN ($ids[0], $ids[1]);
UPDATE theazo_data.run_payload SET root_id = public.aged(root_id) WHERE root_id IN (SELECT substr(run_id, 5) FROM theazo_data.execution WHERE number IN ($ids[0], $ids[1]));
UPDATE theazo_data.host_call SET root_id = public.aged(root_id) WHERE root_id IN (SELECT substr(run_id, 5) FROM theazo_data.execution WHERE number IN ($ids[0], $ids[1]));
UPDATE theazo_data.execution SET attestation = NULL, run_id = 'run_' || public.aged(substr(run_id, 5)), created_at = created_at - '400 days'::interval,
	started_at = started_at - '400 days'::interval, ended_at = ended_at - '400 days'::interval WHERE number IN ($ids[0], $ids[1]);
-- and a provider has said something of the machine
UPDATE theazo_data.execution SET evidence = \$j\${"sandbox": "sbx_01JZZZZZZZZZZZZZZZZZZZZZZZ", "adapter": "webhook", "state": "unverified", "tee": false,
	"document": {"statement": "{\\"sandbox\\": \\"sbx_01JZZZZZZZZZZZZZZZZZZZZZZZ\\"}", "signature": "wVuEgVSTbyVxp4esUMlt3cZEFn2aJJkb7o+LcA/l15Wvrn0j7ZXTqUdN61KbKzL2YHdoXsap6QdGW38CqUFZCQ=="}}\$j\$ WHERE number = $ids[1];
COMMIT;
SQL
wait_sql($node, 'SELECT count(*) FROM theazo_data.attestation', 3, 'both are signed anew');
is(verify($ids[0]), 't t local_sandbox', 'everything is there');
wait_sql($node, "SELECT theazo.execution_statement('$ids[0]', api_key => '$p->{key}') ->> 'proof' IS NOT NULL", 't', 'a signed head covers it');
my $statement = app("SELECT theazo.execution_statement('$ids[0]')");
my $dir = PostgreSQL::Test::Utils::tempdir();
sub outside
{
	my ($doc, @more) = @_;
	open my $f, '>', "$dir/statement.json" or die;
	print $f $doc;
	close $f;
	my ($stdout, $stderr);
	IPC::Run::run([ $node->config_data('--bindir') . '/theazo-verify', '--statement', "$dir/statement.json", '-k', $json->decode($doc)->{vkey}, '-j', @more ], '>', \$stdout, '2>', \$stderr);
	my $said = $stdout =~ /"provider_document":"(unchecked|verified)"/ ? " $1" : '';
	return ($? >> 8) . ' ' . ($stdout =~ /"field":"([^"]*)"/ ? $1 : $stdout =~ /"placed":true/ ? "placed$said" : "$stdout$stderr");
}
is(outside($statement), '0 placed', 'and outside of the server');

# what the provider of a machine says of it
wait_sql($node, "SELECT theazo.execution_statement('$ids[1]', api_key => '$p->{key}') ->> 'proof' IS NOT NULL", 't', 'a signed head covers the other');
my $provided = app("SELECT theazo.execution_statement('$ids[1]')");
my $key = 'i4eawjawO4BSvExf/rGVdzaVVe4jVFY1fJjiIv474BY=';
append_to_file("$dir/provider.pem", "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA$key\n-----END PUBLIC KEY-----\n");
is(outside($provided), '0 placed unchecked', 'a document of a provider is told of');
is(outside($provided, '--provider-key', $key), '0 placed verified', 'and checked with its key');
is(outside($provided, '--provider-key', "$dir/provider.pem"), '0 placed verified', 'which may be a file');
is(outside($provided, '--provider-key', 'i4eawjawO4BSvExf/rGVdzaVVe4jVFY1fJjiIv474BA='), '1 provider_document', 'not with another');
is(outside($statement, '--provider-key', $key), '1 provider_document', 'where there is none it is missed');
is(outside($provided =~ s/(\\"state\\": \\")unverified/$1verified/r), '1 evidence_sha256', 'what was found of it cannot be changed');

# calls of the host go by a setting of their own
wait_sql($node, "SELECT count(*) FROM theazo_data.host_call", 1, 'calls of the host that are older than a month are gone');
is(sql("SELECT count(*) FROM theazo_data.run_payload p JOIN theazo_data.execution x ON p.root_id = substr(x.run_id, 5)"), 3, 'inputs and outputs, kept for ever now, are not');

# inputs and outputs
set('theazo.retention_runs = 30');
wait_sql($node, "SELECT count(*) FROM theazo_data.run_payload p JOIN theazo_data.execution x ON p.root_id = substr(x.run_id, 5)", 1, 'inputs and outputs of that month go');
my $parts = '{input_sha256,output_sha256,helper_sha256,engine,engine_version,isolation}';
is(verify($ids[0]), "t t local_sandbox $parts", 'what they were is kept no longer; the rest is as it was signed');
is(verify($ids[2]), 't t local_sandbox', 'a newer one has all its parts');
is(sql("SELECT count(*) FROM theazo_data.event WHERE platform_id = theazo_internal.operator_platform() AND action = 'rows_expired'"
	. " AND convert_from(body, 'UTF8')::jsonb #>> '{summary,table}' = 'run_payload'"), 1, 'the trail of the operator says what went');

# told from what was taken away
sub within { my ($change, $id) = @_; return sql("BEGIN;\n$change;\nSELECT theazo.authenticate('$p->{key}') \\g /dev/null\nSELECT concat_ws(' ', valid, problem) FROM theazo.verify_execution('$id');\nROLLBACK") }
is(within("DELETE FROM theazo_data.run_payload p USING theazo_data.execution x WHERE x.number = $ids[2] AND p.root_id = substr(x.run_id, 5)", $ids[2]), 'f input_sha256', 'a payload that is not old enough was taken away');
is(within("DELETE FROM theazo_data.run_payload p USING theazo_data.execution x WHERE x.number = $ids[2] AND p.root_id = substr(x.run_id, 5);\n"
	. "UPDATE theazo_data.expiry SET to_at = now() + '1 day'::interval WHERE what = 'run_payload'", $ids[2]), 'f input_sha256', 'also when a note of what expired is made to say so');
is(within("DELETE FROM theazo_data.expiry", $ids[0]), 'f input_sha256', 'and without a note');
is(within("UPDATE theazo_data.execution SET status = 'failed' WHERE number = $ids[0]", $ids[0]), 'f status', 'what is left is held against the statement');
is(within("DELETE FROM theazo_data.attestation WHERE number = $ids[2]", $ids[2]), 'f attestation_id', 'a statement that is gone and not old was taken away');

# executions
set('theazo.retention_executions = 365');
wait_sql($node, 'SELECT count(*) FROM theazo_data.execution', 1, 'executions older than a year go');
is(app("SELECT count(*) FROM theazo.executions"), 1, 'and are not shown');
like(verify($ids[0]), qr/^t t local_sandbox \{run,agent,.*evidence_sha256\}$/, 'the statement about one still holds, and says what it can be held against no longer');
is(within("DELETE FROM theazo_data.execution WHERE number = $ids[2]", $ids[2]), 'f execution', 'one that is not old was taken away');
is(within("UPDATE theazo_data.attestation SET statement = replace(statement, 'completed', 'failed') WHERE number = $ids[0]", $ids[0]), 'f attestation_id', 'a statement that was changed is told');
is(outside($statement), '0 placed', 'what was exported holds');
is(outside(app("SELECT theazo.execution_statement('$ids[1]')"), '--provider-key', $key), '0 placed verified', 'and what is exported now');
is(sql("SELECT string_agg(DISTINCT rule, ', ') FROM theazo.integrity_check()"), 'run without payload', 'the runs, whose payload was made older here, are all that misses something');

# statements
sql("UPDATE theazo_data.attestation SET created_at = created_at - '400 days'::interval WHERE number IN ($ids[0], $ids[1])");
set('theazo.retention_attestations = 365');
wait_sql($node, 'SELECT count(*) FROM theazo_data.attestation', 1, 'statements go by a setting of their own');
my ($rc, $out, $err) = $node->psql('postgres', "SELECT theazo.verify_execution('$ids[0]', api_key => '$p->{key}')");
like($err, qr/execution "$ids[0]" does not exist/, 'then nothing is known of the execution');
is(outside($statement), '0 placed', 'but to whoever has exported its statement');
is(app("SELECT string_agg(summary ->> 'table' || ' ' || (summary ->> 'days') || ' ' || (summary ->> 'rows'), ', ' ORDER BY number) FROM theazo.events WHERE action = 'rows_expired'"),
	'execution 365 2, attestation 365 2', 'the trail of the platform says so');
is(app('SELECT chain_valid FROM theazo.audit_verify()'), 't', 'and its chain holds');
done_testing();
