-- storage.sql: what is kept costs by the day, in parts of its month: snapshots (snapshot.sql) and artifacts.
--
-- Artifacts are what runs have written into files by tool: the rows of their steps hold it as long as the run is kept. A run leaves one
-- row of how much that is, and the keeper books each day of a session as one charge once that day is over. What is gone by then is
-- booked up to the day before.

CREATE OR REPLACE FUNCTION theazo_internal.month_seconds(p_at timestamptz)
RETURNS pg_catalog."numeric"
LANGUAGE sql IMMUTABLE
AS $$
	SELECT extract(epoch FROM m + '1 month'::interval - m) FROM (SELECT pg_catalog.date_trunc('month', p_at AT TIME ZONE 'UTC')) x (m)
$$;
COMMENT ON FUNCTION theazo_internal.month_seconds(timestamptz) IS 'seconds of the month that a moment is in, by UTC';

-- Nothing is reserved for storage, so none of its agent's reservations is touched.
CREATE OR REPLACE FUNCTION theazo_internal.storage_charge(
	p_platform text, p_environment text, p_session text, p_agent text, p_user text, p_provider text, p_subject text,
	p_id text, p_quantity numeric, p_from timestamptz, p_to timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_root		text := theazo_internal.id_root(p_id);
	v_amount	bigint := theazo_internal.amount_round(theazo_internal.price_at(p_platform, 'storage.gb_month', p_from) * p_quantity);
BEGIN
	IF EXISTS (SELECT FROM theazo_data.charge c WHERE c.platform_id = p_platform AND c.root_id = v_root AND c.id = p_id) THEN
		RETURN;
	END IF;
	INSERT INTO theazo_data.charge (platform_id, root_id, id, environment, session_id, agent_id, user_id, item, quantity, amount, payer, provider,
		interval_start, interval_end, occurred_at)
	VALUES (p_platform, v_root, p_id, p_environment, p_session, p_agent, p_user, 'storage.gb_month', p_quantity, v_amount, 'theazo', p_provider,
		p_from, p_to, p_to);
	PERFORM theazo_internal.spend_append(p_platform, p_id, p_environment, p_session, p_user, v_amount, p_to, p_subject, false);
END
$$;
COMMENT ON FUNCTION theazo_internal.storage_charge(text, text, text, text, text, text, text, text, numeric, timestamptz, timestamptz) IS 'books storage once';

-- A run has ended: how much its steps hold of files that it wrote.
CREATE OR REPLACE FUNCTION theazo_internal.artifact_keep(l theazo_data.run_loop, r theazo_data.run)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_bytes bigint;
BEGIN
	SELECT pg_catalog.sum(pg_catalog.octet_length(p.input ->> 'content')) INTO v_bytes
	  FROM theazo_data.step s
	  JOIN theazo_data.step_payload p ON p.platform_id = s.platform_id AND p.root_id = s.root_id AND p.seq = s.seq
	 WHERE s.platform_id = l.platform_id AND s.root_id = l.root_id AND s.kind = 'tool' AND s.name = 'write_file' AND s.state = 'done';
	IF v_bytes > 0 THEN
		INSERT INTO theazo_data.artifact (platform_id, root_id, session_id, user_id, environment, size_bytes)
		VALUES (l.platform_id, l.root_id, r.session_id, r.user_id, r.environment, v_bytes)
		ON CONFLICT ON CONSTRAINT artifact_pkey DO NOTHING;
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.artifact_keep(theazo_data.run_loop, theazo_data.run) IS 'notes how much a run that has ended keeps of files it wrote';

-- Books the artifacts of a session up to p_until, each day by itself.
CREATE OR REPLACE FUNCTION theazo_internal.artifact_bill(p_platform text, p_session text, p_until timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	x		record;
	v_from	timestamptz;
	v_to	timestamptz;
	v_size	pg_catalog."numeric";
BEGIN
	SELECT pg_catalog.min(a.created_at) AS since, pg_catalog.min(a.user_id) AS user_id, pg_catalog.min(a.environment) AS environment INTO x
	  FROM theazo_data.artifact a WHERE a.platform_id = p_platform AND a.session_id = p_session;
	v_from := coalesce((SELECT c.billed_until FROM theazo_data.artifact_account c WHERE c.platform_id = p_platform AND c.session_id = p_session), x.since);
	WHILE v_from < p_until
	LOOP
		v_to := least(p_until, (pg_catalog.date_trunc('day', v_from AT TIME ZONE 'UTC') + '1 day'::interval) AT TIME ZONE 'UTC');
		SELECT pg_catalog.sum(a.size_bytes * extract(epoch FROM v_to - greatest(a.created_at, v_from))) INTO v_size
		  FROM theazo_data.artifact a WHERE a.platform_id = p_platform AND a.session_id = p_session AND a.created_at < v_to;
		IF v_size > 0 THEN
			PERFORM theazo_internal.storage_charge(p_platform, x.environment, p_session, NULL, x.user_id, 'theazo', p_session,
				theazo_internal.id_derive('chg', theazo_internal.id_floor(v_from), p_session || '|artifacts|' || extract(epoch FROM v_from)),
				pg_catalog.round(v_size / 1000000000.0 / theazo_internal.month_seconds(v_from), 12), v_from, v_to);
		END IF;
		v_from := v_to;
	END LOOP;
	INSERT INTO theazo_data.artifact_account (platform_id, session_id, billed_until) VALUES (p_platform, p_session, v_from)
	ON CONFLICT ON CONSTRAINT artifact_account_pkey DO UPDATE SET billed_until = EXCLUDED.billed_until;
END
$$;
COMMENT ON FUNCTION theazo_internal.artifact_bill(text, text, timestamptz) IS 'books the artifacts of a session up to a moment, day by day';

-- Once a day, in the turns after midnight.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_artifacts()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_day	timestamptz := date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
	v_whole	text := theazo_internal.operator_platform();
	s		record;
	v_n		integer := 0;
BEGIN
	IF EXISTS (SELECT FROM theazo_data.artifact_account c WHERE c.platform_id = v_whole AND c.session_id = '' AND c.billed_until >= v_day) THEN
		RETURN 0;
	END IF;
	-- Runs that are kept no more hold nothing.
	DELETE FROM theazo_data.artifact a
	 WHERE NOT EXISTS (SELECT FROM theazo_data.run r WHERE r.platform_id = a.platform_id AND r.id = 'run_' || a.root_id);
	FOR s IN
		SELECT a.platform_id, a.session_id FROM theazo_data.artifact a
		  LEFT JOIN theazo_data.artifact_account c ON c.platform_id = a.platform_id AND c.session_id = a.session_id
		 WHERE a.created_at < v_day AND coalesce(c.billed_until, '-infinity') < v_day
		 GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 1000
	LOOP
		PERFORM theazo_internal.artifact_bill(s.platform_id, s.session_id, v_day);
		v_n := v_n + 1;
	END LOOP;
	IF v_n < 1000 THEN
		DELETE FROM theazo_data.artifact_account c
		 WHERE c.session_id <> '' AND NOT EXISTS (SELECT FROM theazo_data.artifact a WHERE a.platform_id = c.platform_id AND a.session_id = c.session_id);
		INSERT INTO theazo_data.artifact_account (platform_id, session_id, billed_until) VALUES (v_whole, '', v_day)
		ON CONFLICT ON CONSTRAINT artifact_account_pkey DO UPDATE SET billed_until = EXCLUDED.billed_until;
	END IF;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_artifacts() IS 'keeper: books by the day what runs keep of files they wrote';
