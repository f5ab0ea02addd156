# Walks the documents of test/rest: sends each request through a face and compares what comes, both ways.
#
# A face is a function: face(method, path, key, body) -> (status, headers as a hash, document or undef, raw body). The path
# is percent-encoded and may have a query; body is a Perl value or undef.
package TheazoRest;

use strict;
use warnings;
use Encode qw(encode_utf8 decode_utf8);
use Exporter 'import';
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath qw(quote);
use Time::HiRes qw(sleep time);

our @EXPORT = qw(rest_walk rest_sql_face rest_http_face rest_differs);

my $json = JSON::PP->new->canonical->allow_nonref;

my %kinds = (
	time => qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
	text => qr/./s,
	duration => qr/^(?:\d{1,2}\.\ds|\d{1,2}m \d{1,2}s|\d{1,2}h \d{1,2}m \d{1,2}s|\d+d \d{1,2}h \d{1,2}m)$/,
	int => qr/^-?\d+$/,
	number => qr/^-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?$/,
	cursor => qr/^[A-Za-z0-9_-]+$/,
	key => qr/^(?:th_live|th_test|tzk)_[A-Za-z0-9]{32,}$/,
	keyid => qr/^key_[0-9A-HJKMNP-TV-Z]{26}$/,
	any => qr/^/,
);

sub is_number { my ($v) = @_; return !ref $v && defined $v && $json->encode($v) !~ /^"/ }

# The first difference between what came and what is wanted, '' when there is none.
sub rest_differs
{
	my ($got, $want, $at) = @_;
	$at //= '';
	my $what = $at eq '' ? 'the document' : $at;
	if (!defined $want)
	{
		return defined $got ? "$what is " . $json->encode($got) . ', not null' : '';
	}
	if (!ref $want && $want =~ /^<(or-null:)?([a-z]+)>$/)
	{
		my ($null, $kind) = ($1, $2);
		return '' if $null && !defined $got;
		return '' if $kind eq 'any';
		return "$what is " . $json->encode($got) if !defined $got || ref $got;
		return "$what is no number: " . $json->encode($got) if $kind =~ /^(?:int|number)$/ && !is_number($got);
		return "$what is a number" if $kind !~ /^(?:int|number)$/ && is_number($got);
		my $form = $kinds{$kind} // qr/^\Q$kind\E_[0-9A-HJKMNP-TV-Z]{26}$/;
		return $got =~ $form ? '' : "$what is $got, no $kind";
	}
	if (ref $want ne ref $got)
	{
		return "$what is " . $json->encode($got) . ', wanted ' . $json->encode($want);
	}
	if (ref $want eq 'HASH')
	{
		foreach my $key (sort keys %$want)
		{
			return "$what lacks $key" if !exists $got->{$key};
			my $d = rest_differs($got->{$key}, $want->{$key}, $at eq '' ? $key : "$at.$key");
			return $d if $d ne '';
		}
		my @more = grep { !exists $want->{$_} } sort keys %$got;
		return @more ? "$what also has @more" : '';
	}
	if (ref $want eq 'ARRAY')
	{
		my @want = @$want;
		my $open = @want && defined $want[-1] && !ref $want[-1] && $want[-1] eq '...';
		pop @want if $open;
		push @want, $want[-1] while $open && @want < @$got;
		return "$what has " . @$got . ' elements, wanted ' . @want if @$got != @want;
		for my $i (0 .. $#want)
		{
			my $d = rest_differs($got->[$i], $want[$i], "$at\[$i]");
			return $d if $d ne '';
		}
		return '';
	}
	return '' if $json->encode($got) eq $json->encode($want);
	# 0 and 0.0 are one number
	return '' if is_number($got) && is_number($want) && $got == $want;
	return "$what is " . $json->encode($got) . ', wanted ' . $json->encode($want);
}

sub error_differs
{
	my ($got, $want, $snake) = @_;
	return 'no envelope: ' . $json->encode($got) if ref $got ne 'HASH' || ref $got->{error} ne 'HASH';
	my %envelope = (error => '<any>', requestId => '<req>', $snake ? (success => JSON::PP::false) : ());
	my $d = rest_differs($got, \%envelope);
	return $d if $d ne '';
	my $e = $got->{error};
	return "code is $e->{code}: " . ($e->{message} // '') if $e->{code} ne $want->{error};
	return 'no message' if ($e->{message} // '') eq '';
	return "message is $e->{message}" if defined $want->{message} && $e->{message} ne $want->{message};
	my @odd = grep { !/^(?:code|message|details)$/ } keys %$e;
	return "the error has @odd" if @odd;
	my %details = %{ $e->{details} // {} };
	delete $details{hint} if !exists $want->{details}{hint};
	# whatever was kept, an id in an error is a text
	my %wanted = %{ $want->{details} // {} };
	$wanted{id} = "$wanted{id}" if defined $wanted{id};
	return rest_differs(\%details, \%wanted, 'details');
}

# {name} in strings, at any depth.
sub filled
{
	my ($what, $kept) = @_;
	return { map { $_ => filled($what->{$_}, $kept) } keys %$what } if ref $what eq 'HASH';
	return [ map { filled($_, $kept) } @$what ] if ref $what eq 'ARRAY';
	return $what if !defined $what || ref $what || is_number($what);
	# a number alone stays one
	return $kept->{$1} + 0 if $what =~ /^\{([a-z_][a-z0-9_]*)\}$/ && $kept->{numbers}{$1};
	$what =~ s/\{([a-z_][a-z0-9_]*)\}/exists $kept->{$1} ? $kept->{$1} : "{$1}"/ge;
	return $what;
}

sub member
{
	my ($document, $path) = @_;
	foreach my $part (split /\./, $path)
	{
		$document = ref $document eq 'ARRAY' ? $document->[$part] : ref $document eq 'HASH' ? $document->{$part} : undef;
	}
	return $document;
}

# rest_walk(file, face, name of the face, what is kept already: values, and keys a, b, test, reader as {keys})
sub rest_walk
{
	my ($file, $face, $named, $kept) = @_;
	my %kept = (%$kept, numbers => {});
	my $cases = JSON::PP->new->utf8->decode(slurp_file("$FindBin::RealBin/../rest/$file.json"));
	foreach my $case (@$cases)
	{
		my $name = "$named, $file: $case->{name}";
		my ($method, $path) = filled($case->{request}, \%kept) =~ /^(\S+) (.*)$/ or die "$name: what request is this?";
		my $as = $case->{as} // 'a';
		my $key = $as eq 'none' ? undef : $as eq 'bad' ? "$kept{keys}{a}x" : $kept{keys}{$as} // $kept{$as};
		my $body = filled($case->{body}, \%kept);
		my ($status, $headers, $document, $raw);
		my $until = time() + 60;
		while (1)
		{
			($status, $headers, $document, $raw) = $face->($method, $path, $key, $body);
			last if !$case->{until} || time() > $until;
			last if !grep { (member($document, $_) // '') ne $case->{until}{$_} } keys %{ $case->{until} };
			sleep 0.1;
		}
		my $want = filled($case->{document}, \%kept);
		my $d = $status != $case->{status} ? "status $status, wanted $case->{status}: " . ($raw // '')
		  : !exists $case->{document} ? (defined $document ? "a body: $raw" : '')
		  : ref $want eq 'HASH' && defined $want->{error} && !grep({ !/^(?:error|details|message)$/ } keys %$want) ? error_differs($document, $want, $path =~ m{^/api/})
		  : rest_differs($document, $want);
		foreach my $h ($d eq '' ? sort keys %{ $case->{headers} // {} } : ())
		{
			my $v = $headers->{ lc $h } // 'missing';
			$d = "header $h is $v" if $v ne $case->{headers}{$h};
		}
		is($d, '', $name);
		return if $d ne '' && $case->{keep};
		foreach my $name (keys %{ $case->{keep} // {} })
		{
			$kept{$name} = member($document, $case->{keep}{$name});
			$kept{numbers}{$name} = is_number($kept{$name});
		}
	}
	return \%kept;
}

# ---- the operations themselves, as a face calls them ---------------------------------------------------------------
sub decoded { my ($s) = @_; $s =~ s/%([0-9a-fA-F]{2})/chr hex $1/ge; return decode_utf8($s) }

sub rest_sql_face
{
	my ($node) = @_;
	$node->safe_psql('postgres', q{
CREATE SCHEMA IF NOT EXISTS tst;
GRANT USAGE ON SCHEMA tst TO theazo_gateway;
CREATE OR REPLACE FUNCTION tst.face(op text, ok integer, a jsonb, api_key text, snake boolean) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	document jsonb; said record; s text; m text; d text; h text; c text; y text; t text;
BEGIN
	PERFORM set_config('theazo.request_id', theazo_internal.id_new('req'), true);
	IF api_key IS NOT NULL THEN
		PERFORM theazo.authenticate(api_key);
	END IF;
	PERFORM theazo_internal.rest_answer_reset();
	EXECUTE format('SELECT theazo_internal.%I($1)', 'rest_' || op) INTO document USING a;
	SELECT * INTO said FROM theazo_internal.rest_answered();
	RETURN jsonb_build_object('status', coalesce(said.status, CASE WHEN document IS NULL THEN 204 ELSE ok END), 'headers', coalesce(said.headers, '{}'),
		'nothing', document IS NULL, 'document', document);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS s = RETURNED_SQLSTATE, m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT, c = COLUMN_NAME, y = PG_DATATYPE_NAME, t = TABLE_NAME;
	RETURN (SELECT jsonb_build_object('status', e.status, 'headers', jsonb_strip_nulls(jsonb_build_object('Retry-After', e.retry_after)), 'nothing', false, 'document', e.document,
				'said', s || ' ' || m)
			  FROM theazo_internal.rest_envelope(s, m, d, h, c, y, t, theazo_internal.rest_request_id(), snake) e);
END $$;
});
	my @routes = map { my ($method, $path, $operation, $status, $flags) = split /\|/;
		{ method => $method, path => $path, parts => [ split m{/}, $path, -1 ], operation => $operation, status => $status, flags => { map { $_ => 1 } split /,/, $flags } } }
	  split /\n/, $node->safe_psql('postgres', "SELECT method, path, operation, status, array_to_string(flags, ',') FROM theazo_internal.rest_routes()");
	my $call = sub {
		my ($operation, $ok, $a, $key, $snake) = @_;
		my $out = $node->safe_psql('postgres', 'SET ROLE theazo_gateway; SELECT tst.face(' . quote($operation) . ", $ok, "
			  . quote(JSON::PP->new->utf8->encode($a)) . '::jsonb, ' . quote($key) . ', ' . ($snake ? 'true' : 'false') . ')');
		return JSON::PP->new->utf8->allow_nonref->decode($out);
	};
	return sub {
		my ($method, $url, $key, $body) = @_;
		my ($path, $query) = split /\?/, $url, 2;
		my @parts = split m{/}, $path, -1;
		my ($route, %in);
		foreach my $r (grep { $_->{method} eq $method } @routes)
		{
			my @want = @{ $r->{parts} };
			my @have = @parts;
			%in = ();
			if ($want[-1] =~ /^\*/ && @have >= @want)
			{
				@have = (@have[0 .. $#want - 1], join '/', @have[$#want .. $#have]);
			}
			next if @have != @want;
			next if grep { $want[$_] =~ /^[:*]/ ? ($in{ substr $want[$_], 1 } = decoded($have[$_])) eq '' : $want[$_] ne $have[$_] } 0 .. $#want;
			$route = $r;
			last;
		}
		die "$method $path is no route" if !$route;
		my %a = $route->{flags}{body} ? ('$body' => $body // {}) : %{ $body // {} };
		foreach (split /&/, $query // '')
		{
			my ($k, $v) = split /=/, $_, 2;
			$a{ decoded($k) } = decoded($v // '');
		}
		my $got = $call->($route->{operation}, $route->{status}, { %a, %in }, $key, $route->{flags}{snake});
		my $until = time() + 60;
		while (ref $got->{document} eq 'HASH' && $got->{document}{'$wait'} && time() < $until)
		{
			sleep 0.05;
			$got = $call->($got->{document}{'$then'}, $route->{status}, $got->{document}{'$args'}, $key, $route->{flags}{snake});
		}
		return ($got->{status}, { map { lc $_ => $got->{headers}{$_} } keys %{ $got->{headers} } }, $got->{nothing} ? undef : $got->{document},
			JSON::PP->new->utf8->canonical->allow_nonref->encode($got->{document}) . ' ' . ($got->{said} // ''));
	};
}

# ---- over HTTP -------------------------------------------------------------------------------------------------------
sub rest_http_face
{
	my ($base, $header) = @_;
	my $http = HTTP::Tiny->new(timeout => 70, keep_alive => 1);
	return sub {
		my ($method, $url, $key, $body) = @_;
		my %headers = ('Content-Type' => 'application/json');
		if (defined $key)
		{
			if ($header) { $headers{$header} = $key }
			else { $headers{Authorization} = "Bearer $key" }
		}
		my $got = $http->request($method, "$base$url", { headers => \%headers, defined $body ? (content => JSON::PP->new->utf8->encode($body)) : () });
		my $document = ($got->{content} // '') eq '' ? undef : eval { JSON::PP->new->utf8->allow_nonref->decode($got->{content}) };
		return ($got->{status}, $got->{headers}, $document, $got->{content});
	};
}

1;
