-- keeper.sql: upkeep. The keeper calls each job in a transaction of its own, so that one that fails
-- harms no other; keeper_turn() says when to come again. Jobs of an area that has more to say about them stand there.

CREATE OR REPLACE FUNCTION theazo_internal.keeper_jobs()
RETURNS SETOF text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	VALUES ('keeper_halts'), ('keeper_schedules'), ('keeper_hold'), ('keeper_leases'), ('keeper_expire'), ('keeper_rotate'),
		   -- once per partitioned table
		   ('keeper_partition'), ('keeper_partition'), ('keeper_partition'), ('keeper_partition'),
		   ('keeper_partition'), ('keeper_partition'), ('keeper_partition'), ('keeper_partition'),
		   ('keeper_partition'), ('keeper_partition'), ('keeper_partition'), ('keeper_partition'), ('keeper_partition'), ('keeper_partition'),
		   ('keeper_anchor'), ('keeper_approvals'), ('keeper_permission_requests'), ('keeper_meter'), ('keeper_samples'), ('keeper_spend'), ('keeper_minutes'), ('keeper_alerts'), ('keeper_limits'), ('keeper_reservations'), ('keeper_reap'), ('keeper_sweep'), ('keeper_renew'), ('keeper_pool'), ('keeper_snapshots'), ('keeper_artifacts'), ('keeper_agents'), ('keeper_retries'), ('keeper_keys'), ('keeper_webhooks'), ('keeper_prune'), ('keeper_delivered'), ('keeper_retention'), ('keeper_records'), ('keeper_checkpoints'), ('keeper_attest'), ('keeper_segments'), ('keeper_fires')
$$;
COMMENT ON FUNCTION theazo_internal.keeper_jobs() IS 'names of the upkeep jobs, in order';

-- When to call again: sooner when a minute of idle uptime or a deadline is about to be due. At most a minute.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_turn()
RETURNS interval
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_next	timestamptz;
	v_due	timestamptz := theazo_internal.vault_rotation_due();
BEGIN
	SELECT min(s.billed_until) + '1 minute'::interval INTO v_next FROM theazo_data.sandbox s WHERE s.status IN ('ready', 'warm');
	v_next := least(v_next, theazo_internal.renewals_next(), (SELECT min(a.retry_at) FROM theazo_data.agent a WHERE a.retry_at IS NOT NULL),
					-- what waits for a sandbox or a dispatcher, and will not wait for ever
					(SELECT min(e.deadline) FROM theazo_data.effect e WHERE e.state = 'queued'),
					theazo_internal.anchors_due(), theazo_internal.approvals_next(), theazo_internal.permission_requests_next());
	RETURN least('1 minute'::interval, greatest('1 second'::interval, coalesce(v_next - clock_timestamp(), '1 minute'::interval)),
				 theazo_internal.halts_due(), theazo_internal.schedules_due(), theazo_internal.attest_due(), theazo_internal.sample_interval(),
				 CASE WHEN v_due IS NOT NULL THEN greatest('0'::interval, v_due - clock_timestamp()) END);
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_turn() IS 'when upkeep is due again, at most a minute from now';

-- The newest events are those of the newest transactions.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_numbers()
RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT theazo_internal.number_reach(max(n.number))
	  FROM (SELECT e.number FROM theazo_data.event e ORDER BY e.xid DESC LIMIT 1000) n
$$;
COMMENT ON FUNCTION theazo_internal.keeper_numbers() IS 'keeper, when it starts: numbers of events go on behind those there are, whatever the clock says';

CREATE OR REPLACE FUNCTION theazo_internal.keeper_hold()
RETURNS integer
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$ SELECT theazo_internal.effects_hold() + theazo_internal.sandboxes_hold() $$;
COMMENT ON FUNCTION theazo_internal.keeper_hold() IS 'keeper: holds effects and sandboxes that came by restore or clone';

CREATE OR REPLACE FUNCTION theazo_internal.keeper_leases()
RETURNS integer
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$ SELECT theazo_internal.leases_reclaim(theazo_internal.workers_alive()) $$;
COMMENT ON FUNCTION theazo_internal.keeper_leases() IS 'keeper: takes back what dead workers had claimed';

CREATE OR REPLACE FUNCTION theazo_internal.keeper_expire()
RETURNS integer
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$ SELECT theazo_internal.effects_expire() $$;
COMMENT ON FUNCTION theazo_internal.keeper_expire() IS 'keeper: ends queued effects past their deadline';

CREATE OR REPLACE FUNCTION theazo_internal.keeper_meter()
RETURNS integer
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$ SELECT theazo_internal.sandboxes_meter() $$;
COMMENT ON FUNCTION theazo_internal.keeper_meter() IS 'keeper: books whole minutes of idle uptime';

-- Attaching makes writers of that table wait until the commit. Writers take several tables, so a transaction
-- that held two of them could meet one of theirs in a ring: one table a transaction.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_partition()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN CASE WHEN theazo_internal.partitions_due() THEN theazo_internal.partitions_keep(false) ELSE 0 END;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_partition() IS 'keeper: partitions of the first table that needs some';

CREATE OR REPLACE FUNCTION theazo_internal.keeper_partitions()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN CASE WHEN theazo_internal.partitions_due() THEN theazo_internal.partitions_keep(true) ELSE 0 END;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_partitions() IS
'keeper: makes partitions three months ahead and turns a default partition that holds rows into a dated one';

-- Failed agents whose lifecycle says retry. What keeps one from starting again waits for the next turn.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_retries()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a	theazo_data.agent;
	v_n	integer := 0;
BEGIN
	FOR a IN
		SELECT x.* FROM theazo_data.agent x WHERE x.retry_at <= clock_timestamp() ORDER BY x.retry_at LIMIT 100
	LOOP
		SELECT x.* INTO a FROM theazo_data.agent x
		 WHERE x.platform_id = a.platform_id AND x.id = a.id AND x.retry_at IS NOT NULL FOR UPDATE SKIP LOCKED;
		CONTINUE WHEN NOT FOUND;
		UPDATE theazo_data.agent x SET retry_at = NULL WHERE x.platform_id = a.platform_id AND x.id = a.id;
		CONTINUE WHEN a.status <> 'failed' OR a.run_id IS NOT NULL
			OR NOT EXISTS (SELECT FROM theazo_data.session s WHERE s.platform_id = a.platform_id AND s.id = a.session_id AND s.status = 'active');
		BEGIN
			PERFORM theazo_internal.run_again(a);
			v_n := v_n + 1;
		EXCEPTION WHEN OTHERS THEN
			PERFORM theazo_internal.log_write(a.platform_id, NULL, 'error', 'system', format('agent %s could not be tried again: %s', a.id, SQLERRM),
				a.key_environment, a.session_id, a.id, NULL, a.user_id);
		END;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_retries() IS 'keeper: gives failed agents their last task again where their lifecycle says so';

CREATE OR REPLACE FUNCTION theazo_internal.keeper_keys()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_n integer;
BEGIN
	UPDATE theazo_data.api_key k SET last_used_at = t.used_at
	  FROM (SELECT x.platform_id, x.key_id, max(x.used_at) AS used_at
			  FROM theazo_internal.keys_touched() x GROUP BY 1, 2) t
	 WHERE k.platform_id = t.platform_id AND k.id = t.key_id
	   AND (k.last_used_at IS NULL OR k.last_used_at < t.used_at);
	GET DIAGNOSTICS v_n = ROW_COUNT;
	-- their events stay
	DELETE FROM theazo_data.api_key k WHERE k.session_id IS NOT NULL AND k.expires_at < now() - '30 days'::interval;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_keys() IS 'keeper: stores when API keys were last used, and drops tokens of sessions a month after they have expired';

-- Idempotency keys count for 24 hours. A small table; bounded batches.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_prune()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_n integer;
BEGIN
	DELETE FROM theazo_data.idempotency_key k
	 USING (SELECT x.platform_id, x.scope, x.key FROM theazo_data.idempotency_key x
			 WHERE x.created_at < now() - '24 hours'::interval ORDER BY x.created_at LIMIT 10000) o
	 WHERE k.platform_id = o.platform_id AND k.scope = o.scope AND k.key = o.key;
	GET DIAGNOSTICS v_n = ROW_COUNT;
	DELETE FROM theazo_data.rest_reply r
	 USING (SELECT x.platform_id, x.environment, x.session_id, x.key FROM theazo_data.rest_reply x
			 WHERE x.created_at < now() - '24 hours'::interval ORDER BY x.created_at LIMIT 10000) o
	 WHERE r.platform_id = o.platform_id AND r.environment = o.environment AND r.session_id = o.session_id AND r.key = o.key;
	-- Inputs that a run has read stand in its history.
	DELETE FROM theazo_data.agent_input i
	 USING (SELECT x.platform_id, x.id FROM theazo_data.agent_input x
			 WHERE x.run_id IS NOT NULL AND x.created_at < now() - '24 hours'::interval ORDER BY x.created_at LIMIT 10000) o
	 WHERE i.platform_id = o.platform_id AND i.id = o.id;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_prune() IS 'keeper: drops idempotency keys, answers kept for them, and read inputs older than a day';
