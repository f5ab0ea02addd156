# What the operator's judge costs: reserved before it is asked, at every level, and booked; nobody is asked who cannot be paid.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;
use Time::HiRes qw(sleep);

my $secret = 'sk-test-4711-abcdefgh-0815';
our $out;
my $pid = open($out, '-|', 'python3', "$FindBin::RealBin/../mock/model_server.py", '--key', $secret)
  or die "cannot start the scripted server: $!";
my $port = <$out>;
chomp $port;
END
{
	my $status = $?;
	kill 'TERM', $pid if $pid;
	$? = $status;
}

my $http = HTTP::Tiny->new(timeout => 30);

sub control
{
	my ($what) = @_;
	my $answer = $http->post("http://127.0.0.1:$port/_control", { content => encode_json($what) });
	die "the scripted server refused: $answer->{content}" if !$answer->{success};
	return;
}
sub state { return decode_json($http->get("http://127.0.0.1:$port/_control")->{content}) }
sub asked { return state()->{counts}{moderations} // 0 }

sub holding
{
	for (1 .. 1200)
	{
		return 1 if state()->{holding};
		sleep 0.05;
	}
	return 0;
}

# What the model says turn by turn, and what the judge does.
sub rules
{
	my ($judge, @turns) = @_;
	control({ rules => [ { turns => \@turns }, { api => 'moderation', %$judge } ] });
	return;
}

my $node = new_server('judgemoney', "theazo.dispatchers = 2\n");
my $p = new_platform($node, 'careful');
my $key = "api_key => '$p->{key}'";
sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(qq(
SELECT theazo.secret_set('model.key', '$secret', $key);
SELECT theazo.provider_set('double', 'model', 'openai-compatible', endpoint => 'http://127.0.0.1:$port/v1', credential_ref => 'model.key', $key);
UPDATE theazo_data.platform SET allow_http = true, allow_private = true WHERE platform_id = '$p->{id}';
CREATE ROLE app LOGIN; GRANT theazo_app TO app; SELECT theazo.platform_bind_role('$p->{id}', 'app');
SELECT theazo.guardrails_set('{"contentFilter": "moderate", "promptInjection": true, "blockPII": true}', $key);
SELECT theazo.safety_pattern_set('grey', 'grey\\s+heron', 'illicit', 0.3, $key);
));
my $app = $node->connstr('postgres') . ' user=app';
sub app { return $node->safe_psql('postgres', $_[0], connstr => $app) }
my $session = app("SELECT id FROM theazo.session_create('u')");
# No sandbox, which would cost something of its own.
sub begin
{
	my ($task, $more) = @_;
	return app("SELECT id FROM theazo.session_run('$session', NULL, " . quote($task) . ", '{\"model\": \"acme/talker\", \"tools\": []}'" . ($more // '') . ')');
}

sub ended
{
	my ($run) = @_;
	wait_sql($node, "SELECT status IN ('completed', 'failed', 'cancelled') FROM theazo_data.run WHERE id = '$run'", 't', 'the run ends');
	return decode_json(sql("SELECT jsonb_build_object('status', r.status, 'sqlstate', r.error_sqlstate, 'message', r.error_message,
		'output', p.result ->> 'output', 'verdict', p.verdict) FROM theazo_data.run r
		JOIN theazo_data.run_payload p ON p.platform_id = r.platform_id AND p.root_id = substr(r.id, 5) WHERE r.id = '$run'"));
}

# stage/status/rule/scores of the verdicts with a judge
sub verdicts
{
	return sql("SELECT coalesce(string_agg(concat_ws('/', stage, status, rule, toxicity, judge_toxicity::float, judge_injection::float), ' ' ORDER BY created_at, id), '')
		FROM theazo_data.safety_verdict WHERE run_id = '$_[0]' AND judge IS NOT NULL");
}
sub checked { return is(sql("SELECT coalesce(string_agg(to_jsonb(i)::text, ' '), '') FROM theazo.integrity_check() i"), '', "$_[0]: the checker finds nothing") }

my $grey = 'There is a grey heron at the pond.';

# 110 and 1100 millionths of a cent a token; about 1.2 cents a question at most.
sql("SELECT theazo.operator_secret_set('mod.key', '$secret');
	SELECT theazo.operator_provider_set('j', kind => 'model', type => 'openai-compatible', endpoint => 'http://127.0.0.1:$port/v1', credential_ref => 'mod.key');
	SELECT theazo.model_price_set('acme/judge', input => 100, output => 1000); SELECT theazo.operator_safety_ai_set('model', 'acme/judge', provider => 'j', timeout_ms => 20000)");
sub scores { return encode_json({ toxicity => $_[0], injection => $_[1], reason => '' }) }
sub money { return sql("SELECT coalesce(sum(amount), 0) FROM theazo_data.charge WHERE platform_id = '$p->{id}'") }
sub held { return sql("SELECT count(*) || ' ' || coalesce(sum(need), 0) FROM theazo_data.reservation WHERE platform_id = '$p->{id}' AND id LIKE 'eff\\_%'") }
sub dear_judge
{
	my ($more) = @_;
	control({ rules => [ { turns => [ { text => 'Fine.' } ] }, { contains => 'You are a content filter', %{ $more // {} }, answer => { text => scores(0, 0), usage => { output => 'max' } } } ] });
	return;
}
dear_judge();
my $before = state()->{counts}{requests} // 0;
sql("SELECT theazo.budget_set(1, $key)");
my $run = begin($grey);
is(ended($run)->{sqlstate}, 'TZ205', 'a judge that cannot be paid lets nothing pass');
is(verdicts($run), 'input/error/judge_failed/0.30', 'which is no verdict');
like(sql("SELECT reason FROM theazo_data.safety_verdict WHERE run_id = '$run' AND status = 'error'"), qr/the budget of the platform is used up/, 'and says why');
is((state()->{counts}{requests} // 0) - $before, 0, 'it was not asked');
is(money() . ' ' . held(), '0 0 0', 'nothing is spent or reserved');
is(sql("SELECT count(*) FROM theazo_data.event WHERE run_id = '$run' AND action = 'limit_hit' AND decision = 'deny'"), '1', 'there is an event of the limit');
sql("SELECT theazo.budget_set(5, $key)");
dear_judge({ hold => [0] });
$run = begin($grey);
holding();
like(held(), qr/^1 12[0-9]{5}$/, 'what it can cost is reserved while it is asked');
control({ release => JSON::PP::true });
is(ended($run)->{status}, 'completed', 'then the run goes on');
my $one = money();
cmp_ok($one, '>', 1_126_400, "its longest answer is paid: $one");
cmp_ok($one, '<', 1_220_000, 'and no more was reserved');
is(held(), '0 0', 'nothing is reserved any more');
dear_judge({ hold => [0] });
$run = begin($grey);
holding();
$node->stop('immediate');
control({ release => JSON::PP::true });
$node->start;
is(ended($run)->{sqlstate}, 'TZ205', 'after a crash');
is(held(), '0 0', 'nothing is reserved for a question that nobody knows of');
# many at once: two can be paid
sql("SELECT theazo.budget_set(" . (money() / 1e6 + 2.9) . ", $key)");
my ($start, $cap) = (money(), money() + 2_900_000);
dear_judge({ delay_ms => 100 });
my @many = map { begin("$grey $_") } 1 .. 8;
my ($most, $open) = (0, 1);
while ($open)
{
	(my $sum, $open) = split /\|/, sql("SELECT (SELECT coalesce(sum(amount), 0) FROM theazo_data.charge WHERE platform_id = '$p->{id}') + (SELECT coalesce(sum(held), 0) FROM theazo_data.reservation WHERE platform_id = '$p->{id}'),
		(SELECT count(*) FROM theazo_data.run WHERE platform_id = '$p->{id}' AND status IN ('queued', 'running'))");
	$most = $sum if $sum > $most;
}
cmp_ok($most, '<=', $cap, 'questions in parallel never have more spent and reserved than there is');
is(scalar(grep { ended($_)->{status} eq 'completed' } @many), 2, 'as many pass as can be paid');
is(sql("SELECT count(*) FROM theazo_data.reservation WHERE platform_id = '$p->{id}'"), '0', 'nothing is reserved in the end');
# a cap of the run itself, without any budget
sql("SELECT theazo.budget_delete($key)");
is(ended(begin($grey, ', max_cost => 0.5'))->{sqlstate}, 'TZ205', 'nor more than the run may');
checked('a judge that costs');

# A moderation endpoint of the operator's costs what the price list says: nothing, unless there is a price.
sql("SELECT theazo.operator_safety_ai_set('moderation', endpoint => 'http://127.0.0.1:$port/v1/moderations', credential_ref => 'mod.key', timeout_ms => 20000)");
rules({ scores => { hate => 0 } }, { text => 'Fine.' });
is(ended(begin($grey))->{status}, 'completed', 'a moderation endpoint without a price');
is(sql("SELECT count(*) FROM theazo_data.charge WHERE item = 'safety.moderation'"), '0', 'is not booked');
sql("SELECT theazo.price_set('safety.moderation', 0.5)");
$run = begin($grey);
is(ended($run)->{status}, 'completed', 'with one');
is(sql("SELECT string_agg(amount || ' ' || quantity || ' ' || payer, ', ') FROM theazo_data.charge WHERE run_id = '$run' AND item = 'safety.moderation'"), '500000 1 theazo', 'it is');
is(sql("SELECT cost FROM theazo_data.run WHERE id = '$run'"), '500000', 'and is part of what the run cost');
sql("SELECT theazo.budget_set(" . (money() / 1e6 + 0.4) . ", $key)");
$before = asked();
is(ended(begin($grey))->{sqlstate}, 'TZ205', 'where it cannot be paid');
is(asked() - $before, 0, 'it is not asked');
sql("SELECT theazo.budget_delete($key); SELECT theazo.operator_safety_ai_delete()");
$node->stop;
done_testing();
