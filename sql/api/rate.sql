-- rate.sql: rate limits: what is set, what holds, and what is left. The buckets themselves are in shared memory (src/gate/rate.c).

-- May the rows that remembered answers are made of.
CREATE OR REPLACE TRIGGER rate_limit_memo AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON theazo_data.rate_limit
	FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.memo_reset();

-- Where nobody has set anything. A limit here is the operator's, so that a platform cannot raise it.
CREATE OR REPLACE FUNCTION theazo_internal.rate_defaults()
RETURNS TABLE (scope text, per_minute numeric, burst integer, what text)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	VALUES ('key', 6000::numeric, 200, 'calls with an API key; theazo.authenticate() counts as one, whatever follows in its transaction'),
		   ('platform', NULL, NULL, 'calls of a platform, whoever makes them'),
		   ('session', NULL, NULL, 'work begun in a session: runs, commands, file work, requests'),
		   ('agent', NULL, NULL, 'work begun of an agent'),
		   ('run', NULL, NULL, 'tool calls of a run; governed agents have those of their template as well'),
		   ('spawn', 10 / 60.0, 10, 'runs that runs of one agent start'),
		   ('provider', NULL, NULL, 'calls to a provider; those of models wait for their turn')
$$;
COMMENT ON FUNCTION theazo_internal.rate_defaults() IS 'scopes of rate limits with what holds where the operator has set nothing';

-- The stricter of both sides; of each, the row that names the subject comes before the one that does not. by_subject:
-- some rows of this scope name one.
CREATE OR REPLACE FUNCTION theazo_internal.rate_of(
	p_scope text, p_platform text, p_subject text, OUT per_minute double precision, OUT burst integer, OUT by_subject boolean, OUT most integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	SELECT min(x.per_minute)::double precision, min(x.burst), max(x.burst) INTO per_minute, burst, most
	  FROM ((SELECT r.per_minute, r.burst FROM theazo_data.rate_limit r
			  WHERE r.platform_id = p_platform AND r.set_by = 'platform' AND r.scope = p_scope AND r.subject IN (p_subject, '')
			  ORDER BY r.subject DESC LIMIT 1)
			UNION ALL
			(SELECT o.per_minute, o.burst
			   FROM (SELECT r.per_minute, r.burst, CASE WHEN r.platform_id <> p_platform THEN 2 WHEN r.subject = '' THEN 1 ELSE 0 END AS place
					   FROM theazo_data.rate_limit r
					  WHERE r.set_by = 'operator' AND r.scope = p_scope
						AND (r.platform_id = p_platform AND r.subject IN (p_subject, '')
							 OR r.platform_id = theazo_internal.operator_platform() AND r.subject = '')
					 UNION ALL
					 SELECT d.per_minute, d.burst, 3 FROM theazo_internal.rate_defaults() d WHERE d.scope = p_scope) o
			  ORDER BY o.place LIMIT 1)) x;
	by_subject := EXISTS (SELECT FROM theazo_data.rate_limit r
						   WHERE r.platform_id = p_platform AND r.scope = p_scope AND r.subject <> '');
END
$$;
COMMENT ON FUNCTION theazo_internal.rate_of(text, text, text) IS
'rate that holds for one subject of a scope, null for none; whether any subject has one of its own; and the larger burst of both sides';

CREATE OR REPLACE FUNCTION theazo_internal.rate_take(p_scope text, p_platform text, p_subject text)
RETURNS bigint LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_rate_take';
COMMENT ON FUNCTION theazo_internal.rate_take(text, text, text) IS
'takes one token of a limit: null, or milliseconds until there is one';

CREATE OR REPLACE FUNCTION theazo_internal.rate_turn(p_platform text, p_provider text)
RETURNS bigint LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_rate_turn';
COMMENT ON FUNCTION theazo_internal.rate_turn(text, text) IS
'takes the next turn of a model call at a provider: milliseconds until then, null when that is more than an hour';

CREATE OR REPLACE FUNCTION theazo_internal.rate_table(OUT buckets bigint, OUT used bigint, OUT crowded bigint, OUT refused bigint)
LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_rate_table';
COMMENT ON FUNCTION theazo_internal.rate_table() IS
'buckets in shared memory, how many are not full, and since the server started: checks that had to share one, and refusals';

-- ----------------------------------------------------------------------------
-- What is set
-- ----------------------------------------------------------------------------
CREATE OR REPLACE VIEW theazo.rate_limits WITH (security_barrier) AS
	SELECT r.scope, r.subject, r.per_minute, r.burst, r.set_by, r.set_at
	  FROM theazo_data.rate_limit r
	 WHERE (SELECT theazo_internal.may_read('limit:read'));
COMMENT ON VIEW theazo.rate_limits IS 'rate limits of the platform, its own and those the operator has set for it; an empty subject stands for all others';

CREATE OR REPLACE VIEW theazo.operator_rate_limits WITH (security_barrier) AS
	SELECT nullif(r.platform_id::text, theazo_internal.operator_platform()::text) AS platform_id, r.scope, r.subject, r.per_minute, r.burst, r.set_by, r.set_at
	  FROM theazo_data.rate_limit r
	UNION ALL
	SELECT NULL, d.scope, '', d.per_minute, d.burst, 'default', NULL
	  FROM theazo_internal.rate_defaults() d
	 WHERE NOT EXISTS (SELECT FROM theazo_data.rate_limit r
						WHERE r.platform_id = theazo_internal.operator_platform() AND r.scope = d.scope AND r.subject = '' AND r.set_by = 'operator');
COMMENT ON VIEW theazo.operator_rate_limits IS 'operator: rate limits of all platforms; no platform_id: for all of them';

CREATE OR REPLACE VIEW theazo.operator_rate_buckets WITH (security_barrier) AS
	SELECT t.buckets, t.used, t.crowded, t.refused FROM theazo_internal.rate_table() t;
COMMENT ON VIEW theazo.operator_rate_buckets IS
'operator: how full the table of rate limits is; where crowded grows, theazo.rate_buckets is too small and limits are stricter than set';

CREATE OR REPLACE FUNCTION theazo_internal.rate_check(p_scope text, p_per_minute numeric, p_burst integer, p_subject text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.one_of('scope', p_scope, 'key', 'platform', 'session', 'agent', 'run', 'spawn', 'provider');
	IF p_subject IS NOT NULL AND p_scope IN ('platform', 'run') THEN
		PERFORM theazo_internal.raise_value('subject', format('cannot be given in scope "%s"', p_scope), 'Leave it out.');
	ELSIF p_subject IS NOT NULL THEN
		PERFORM theazo_internal.name_check('subject', p_subject, 128);
	END IF;
	IF p_per_minute IS NULL OR p_per_minute <= 0 OR p_per_minute > 1000000000 OR p_per_minute = 'NaN' THEN
		PERFORM theazo_internal.raise_value('per_minute', 'must be above 0 and at most 1000000000',
			'To stop everything, use the kill switch: theazo.halt().');
	ELSIF p_burst IS NULL OR p_burst NOT BETWEEN 1 AND 1000000 THEN
		PERFORM theazo_internal.raise_value('burst', 'must be from 1 to 1000000', 'It is how many may come at once.');
	ELSIF p_burst / p_per_minute > 366 * 1440 THEN
		PERFORM theazo_internal.raise_value('burst', 'would take more than a year to come back', 'Give a smaller burst, or a higher per_minute.');
	END IF;
	RETURN coalesce(p_subject, '');
END
$$;
COMMENT ON FUNCTION theazo_internal.rate_check(text, numeric, integer, text) IS 'checks a rate limit that is to be set; returns its subject, empty for all';

CREATE OR REPLACE FUNCTION theazo_internal.rate_put(
	p_platform text, p_set_by text, p_scope text, p_subject text, p_per_minute numeric, p_burst integer)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO theazo_data.rate_limit AS r (platform_id, set_by, scope, subject, per_minute, burst)
	VALUES (p_platform, p_set_by, p_scope, p_subject, p_per_minute, p_burst)
	ON CONFLICT (platform_id, set_by, scope, subject)
	DO UPDATE SET per_minute = EXCLUDED.per_minute, burst = EXCLUDED.burst, set_at = now();
	PERFORM theazo_internal.event_write(p_platform, 'control', 'rate_limit_set',
		jsonb_strip_nulls(jsonb_build_object('by', p_set_by, 'scope', p_scope, 'subject', nullif(p_subject, ''), 'perMinute', p_per_minute, 'burst', p_burst)),
		NULL, NULL, NULL, 'live');
END
$$;
COMMENT ON FUNCTION theazo_internal.rate_put(text, text, text, text, numeric, integer) IS 'stores a rate limit, with its event';

CREATE OR REPLACE FUNCTION theazo_internal.rate_drop(p_platform text, p_set_by text, p_scope text, p_subject text)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM theazo_data.rate_limit r
	 WHERE r.platform_id = p_platform AND r.set_by = p_set_by AND r.scope = p_scope AND r.subject = coalesce(p_subject, '');
	IF FOUND THEN
		PERFORM theazo_internal.event_write(p_platform, 'control', 'rate_limit_deleted',
			jsonb_strip_nulls(jsonb_build_object('by', p_set_by, 'scope', p_scope, 'subject', p_subject)), NULL, NULL, NULL, 'live');
	END IF;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION theazo_internal.rate_drop(text, text, text, text) IS 'deletes a rate limit, with its event; false when there was none';

CREATE OR REPLACE FUNCTION theazo.rate_limit_set(scope text, per_minute numeric, burst integer, subject text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.rate_limits
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_subject	text;
	v_out		theazo.rate_limits;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'limit:write');
	PERFORM theazo_internal.shared_change_check('rate limits');
	v_subject := theazo_internal.rate_check(rate_limit_set.scope, per_minute, burst, rate_limit_set.subject);
	IF (SELECT count(*) FROM theazo_data.rate_limit r
		 WHERE r.platform_id = theazo_internal.current_platform() AND r.set_by = 'platform') >= 1000 THEN
		PERFORM theazo_internal.raise_ceiling('rate limits of the platform', 1000, 'Delete those that are not needed with theazo.rate_limit_delete().');
	END IF;
	PERFORM theazo_internal.rate_put(theazo_internal.current_platform(), 'platform', rate_limit_set.scope, v_subject, per_minute, burst);
	SELECT r.scope, r.subject, r.per_minute, r.burst, r.set_by, r.set_at INTO v_out FROM theazo_data.rate_limit r
	 WHERE r.platform_id = theazo_internal.current_platform() AND r.set_by = 'platform' AND r.scope = rate_limit_set.scope AND r.subject = v_subject;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo.rate_limit_set(text, numeric, integer, text, text) IS
'limits how often something happens: so many a minute, and so many at once; without a subject for each one that has none of its own';

CREATE OR REPLACE FUNCTION theazo.rate_limit_delete(scope text, subject text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'limit:write');
	PERFORM theazo_internal.shared_change_check('rate limits');
	RETURN theazo_internal.rate_drop(theazo_internal.current_platform(), 'platform', rate_limit_delete.scope, rate_limit_delete.subject);
END
$$;
COMMENT ON FUNCTION theazo.rate_limit_delete(text, text, text) IS 'takes back a rate limit of the platform; false when there was none';

CREATE OR REPLACE FUNCTION theazo_internal.operator_target(p_platform text)
RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF p_platform IS NULL THEN
		RETURN theazo_internal.operator_platform();
	END IF;
	PERFORM 1 FROM theazo_data.platform p WHERE p.platform_id = p_platform AND p.state = 'active';
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('platform', p_platform);
	END IF;
	RETURN p_platform;
END
$$;
COMMENT ON FUNCTION theazo_internal.operator_target(text) IS 'the platform an operator names, the operator''s own for none';

CREATE OR REPLACE FUNCTION theazo.operator_rate_limit_set(
	scope text, per_minute numeric, burst integer, platform text DEFAULT NULL, subject text DEFAULT NULL)
RETURNS theazo.operator_rate_limits
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_platform	text;
	v_subject	text;
	v_out		theazo.operator_rate_limits;
BEGIN
	PERFORM theazo_internal.enter_operator();
	v_platform := theazo_internal.operator_target(platform);
	v_subject := theazo_internal.rate_check(operator_rate_limit_set.scope, per_minute, burst, operator_rate_limit_set.subject);
	IF v_subject <> '' AND operator_rate_limit_set.platform IS NULL THEN
		PERFORM theazo_internal.raise_value('subject', 'needs a platform', 'Say whose it is.');
	END IF;
	PERFORM theazo_internal.rate_put(v_platform, 'operator', operator_rate_limit_set.scope, v_subject, per_minute, burst);
	SELECT nullif(r.platform_id::text, theazo_internal.operator_platform()::text), r.scope, r.subject, r.per_minute, r.burst, r.set_by, r.set_at INTO v_out
	  FROM theazo_data.rate_limit r
	 WHERE r.platform_id = v_platform AND r.set_by = 'operator' AND r.scope = operator_rate_limit_set.scope AND r.subject = v_subject;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo.operator_rate_limit_set(text, numeric, integer, text, text) IS
'operator: a rate limit for one platform or for all; platforms can only be stricter';

CREATE OR REPLACE FUNCTION theazo.operator_rate_limit_delete(scope text, platform text DEFAULT NULL, subject text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.enter_operator();
	RETURN theazo_internal.rate_drop(theazo_internal.operator_target(platform), 'operator', operator_rate_limit_delete.scope, operator_rate_limit_delete.subject);
END
$$;
COMMENT ON FUNCTION theazo.operator_rate_limit_delete(text, text, text) IS 'operator: takes back a rate limit; the default holds again';
