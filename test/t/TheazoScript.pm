# What TAP files about programs of agents share: a host that answers, programs as bare effects, and what came of them.
package TheazoScript;

use strict;
use warnings;
use Exporter 'import';
use JSON::PP;
use PostgreSQL::Test::Utils;
use TheazoPath;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(script_host script_queue script_wait script_run dispatchers tree_below tree_depth tree_left);

# In place of the real host: read_context answers its arguments, "no" is refused, "boom" throws, "held" waits for a lock.
sub script_host
{
	my ($p) = @_;
	$p->{node}->safe_psql('postgres', <<'SQL');
CREATE TABLE public.asked (call jsonb);
CREATE TABLE public.held (n integer);
INSERT INTO public.held VALUES (1);
GRANT ALL ON public.asked, public.held TO PUBLIC;
CREATE FUNCTION public.fetch_queue(c jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.gate('http.fetch', c ->> 'platform', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
	RETURN jsonb_build_object('effect', theazo_internal.effect_enqueue(c ->> 'platform', c ->> 'root', 'http.fetch', 'http',
		theazo_internal.fetch_check(c -> 'args' ->> 0, coalesce(c -> 'args' ->> 1, 'GET'), c -> 'args' -> 2, c -> 'args' ->> 3),
		p_affinity => (c ->> 'slot')::int, p_deadline => (c ->> 'deadline')::timestamptz));
END $$;
CREATE FUNCTION public.answer(c jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.asked VALUES (c);
	IF c ->> 'fn' = 'http_request' THEN
		RETURN public.fetch_queue(c);
	ELSIF c -> 'args' ->> 0 = 'no' THEN
		RETURN '{"error": {"name": "HostError", "code": "PERMISSION_DENIED", "message": "not permitted"}}';
	ELSIF c -> 'args' ->> 0 = 'boom' THEN
		RAISE EXCEPTION 'boom';
	ELSIF c -> 'args' ->> 0 = 'held' THEN
		UPDATE public.held SET n = n + 1;
	ELSIF c -> 'args' ->> 0 = 'large' THEN
		RETURN jsonb_build_object('ok', repeat('x', 5000000));
	END IF;
	RETURN jsonb_build_object('ok', c -> 'args' -> 0);
END $$;
CREATE OR REPLACE FUNCTION theazo_internal.host_calls(p_calls jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	RETURN (SELECT jsonb_agg(public.answer(c.it) ORDER BY c.ord) FROM jsonb_array_elements(p_calls) WITH ORDINALITY AS c (it, ord));
END $$;
CREATE FUNCTION public.script(p text, code text, more jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.gate('script.run', p, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
	RETURN theazo_internal.effect_enqueue(p, NULL, 'script.run', 'script', jsonb_build_object('execution', 'exe_1', 'execution_id', 7,
		'agent_name', 'tester', 'agent_version', '1.2.3', 'code', code, 'input', '{}'::jsonb, 'time_ms', 10000) || more);
END $$;
SQL
	return;
}

# Ids of programs that were queued in one transaction, one for each code.
sub script_queue
{
	my ($p, $more, @codes) = @_;
	my $json = quote(JSON::PP->new->allow_bignum->encode($more // {}));
	return split /\n/, $p->{node}->safe_psql('postgres', join("\n", map { "SELECT public.script('$p->{id}', " . quote($_) . ", $json);" } @codes));
}

# The outcome of one, with its state, attempt and what SQL says went wrong.
sub script_wait
{
	my ($p, $id, $seconds) = @_;
	wait_sql($p->{node}, "SELECT state NOT IN ('queued', 'claimed', 'sent') FROM theazo_data.effect WHERE id = '$id'", 't', "program $id ends",
		$seconds // 30);
	return decode_json($p->{node}->safe_psql('postgres',
		"SELECT coalesce(p.result, '{}') || jsonb_build_object('state', e.state, 'attempt', e.attempt, 'error_code', e.error_code)"
		  . " FROM theazo_data.effect e LEFT JOIN theazo_data.effect_payload p USING (platform_id, root_id, id) WHERE e.id = '$id'"));
}

sub script_run
{
	my ($p, $code, $more) = @_;
	my ($id) = script_queue($p, $more, $code);
	return script_wait($p, $id);
}

# Pids of the dispatchers.
sub dispatchers
{
	my ($p) = @_;
	return split /\n/, $p->{node}->safe_psql('postgres', "SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'dispatcher' ORDER BY pid");
}

# Of one process: its parent and when it began, or nothing when it is gone.
sub stat_of
{
	my ($pid) = @_;
	open(my $fh, '<', "/proc/$pid/stat") or return;
	my $line = <$fh> // return;
	my @f = split / /, substr($line, rindex($line, ')') + 2);
	return $f[0] eq 'Z' ? () : ($f[1], $f[19]);
}

# "pid begun" of everything below a process, as the kernel tells it.
sub tree_below
{
	my @todo = @_;
	my (%children, %begun, @found);
	foreach my $pid (grep { m{^/proc/\d+$} } glob '/proc/*')
	{
		$pid =~ s{.*/}{};
		my ($parent, $begun) = stat_of($pid) or next;
		push @{ $children{$parent} }, $pid;
		$begun{$pid} = $begun;
	}
	while (defined(my $pid = shift @todo))
	{
		push @found, map { "$_ $begun{$_}" } @{ $children{$pid} // [] };
		push @todo, @{ $children{$pid} // [] };
	}
	return @found;
}

# How far below, by pid.
sub tree_depth
{
	my @roots = @_;
	my %depth = map { $_ => 0 } @roots;
	my @below = map { (split / /)[0] } tree_below(@roots);
	my $found = 1;
	while ($found)
	{
		$found = 0;
		foreach my $pid (grep { !defined $depth{$_} } @below)
		{
			my ($parent) = stat_of($pid) or next;
			next if !defined $depth{$parent};
			$depth{$pid} = $depth{$parent} + 1;
			$found = 1;
		}
	}
	delete $depth{$_} foreach @roots;
	return %depth;
}

# Those of them that still live.
sub tree_alive
{
	return grep {
		my ($pid, $begun) = split / /;
		my (undef, $now) = stat_of($pid);
		defined $now && $now == $begun;
	} @_;
}

# How many are left once they had time to go.
sub tree_left
{
	my @tree = @_;
	my $until = time() + 10;
	sleep 0.05 while time() < $until && tree_alive(@tree);
	return scalar tree_alive(@tree);
}

1;
