-- webhook_lane.sql: how many deliveries a webhook gets at once.
--
-- Each webhook has a lane: what is queued for it waits with due_at infinity, and a claim takes from the lane as many as the webhook
-- has places for. So a receiver that is slow, or down, keeps its own lane waiting and nobody else. What is under way is counted in the
-- rows themselves, so nothing can be left behind by a crash. An attempt that is repeated is due at its time; where there is no place
-- then, it goes back into the lane.

CREATE OR REPLACE FUNCTION theazo_internal.effect_lanes()
RETURNS boolean LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_effect_lanes';
COMMENT ON FUNCTION theazo_internal.effect_lanes() IS 'does a delivery wait in the lane of its webhook; null where only a statement can say so';

CREATE OR REPLACE FUNCTION theazo_internal.effect_take_lane(
	p_platform text, p_provider text, p_most integer, p_now timestamptz, p_lease timestamptz, p_slot integer, p_incarnation bigint,
	p_kinds text[], p_adapters text[], OUT others theazo_data.effect[], OUT n integer)
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_effect_take_lane';
COMMENT ON FUNCTION theazo_internal.effect_take_lane(text, text, integer, timestamptz, timestamptz, integer, bigint, text[], text[]) IS
'takes the oldest deliveries of a lane, as effect_take() takes what is due; n is null where only a statement can do it';

CREATE OR REPLACE FUNCTION theazo_internal.webhook_freed()
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF theazo_internal.effect_lanes() IS DISTINCT FROM false THEN
		PERFORM theazo_internal.wake();
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.webhook_freed() IS 'wakes a dispatcher when deliveries wait in lanes: one has ended';

-- How many more a webhook takes now. The caller has its lock. Null: it is gone, and whoever asks for its address is told so.
CREATE OR REPLACE FUNCTION theazo_internal.webhook_places(p_platform text, p_provider text)
RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT w.max_in_flight FROM theazo_data.webhook w
			 WHERE w.platform_id = p_platform AND w.id = pg_catalog.substr(p_provider, 9) AND w.status = 'active')
		 - (SELECT pg_catalog.count(*) FROM theazo_data.effect e
			 WHERE e.kind = 'webhook.deliver' AND e.provider_name = p_provider AND e.state IN ('claimed', 'sent'));
END $$;
COMMENT ON FUNCTION theazo_internal.webhook_places(text, text) IS 'how many more deliveries a webhook takes at this moment, null for one that takes none any more';

-- The same by statements. Two: effect_claim() says why.
CREATE OR REPLACE FUNCTION theazo_internal.webhook_take_slowly(
	p_platform text, p_provider text, p_most integer, p_now timestamptz, p_lease timestamptz, p_incarnation bigint)
RETURNS theazo_data.effect[] LANGUAGE plpgsql AS $$
DECLARE
	v_instance	text := theazo_internal.instance();
	v_roots		text[];
	v_ids		text[];
	v_got		theazo_data.effect[];
BEGIN
	SELECT pg_catalog.array_agg(x.root_id), pg_catalog.array_agg(x.id) INTO v_roots, v_ids
	  FROM (SELECT e.root_id, e.id FROM theazo_data.effect e
			 WHERE e.kind = 'webhook.deliver' AND e.state = 'queued' AND e.due_at = 'infinity' AND e.provider_name = p_provider
			   AND e.platform_id = p_platform AND e.instance = v_instance AND e.contract = 1 AND NOT e.cancel_requested
			 ORDER BY e.id LIMIT p_most FOR UPDATE SKIP LOCKED) x;
	WITH taken AS (
		UPDATE theazo_data.effect e
		   SET state = 'claimed', attempt = e.attempt + 1, incarnation = p_incarnation, claimed_at = p_now, lease_until = p_lease,
			   due_at = p_now, sent_at = NULL, held_reason = NULL
		  FROM ROWS FROM (pg_catalog.unnest(v_roots), pg_catalog.unnest(v_ids)) AS p (root_id, id)
		 WHERE e.platform_id = p_platform AND e.root_id = p.root_id AND e.id = p.id
		RETURNING e AS it)
	SELECT pg_catalog.array_agg(t.it) INTO v_got FROM taken t;
	RETURN v_got;
END $$;
COMMENT ON FUNCTION theazo_internal.webhook_take_slowly(text, text, integer, timestamptz, timestamptz, bigint) IS
'takes the oldest deliveries of a lane where effect_take_lane() cannot';

-- Takes the oldest of each lane, by turns: chance decides which lane is first, so that nobody is always last. A lane that another
-- dispatcher looks at is left to it.
CREATE OR REPLACE FUNCTION theazo_internal.webhook_take(p_most integer, p_now timestamptz, p_lease timestamptz, p_slot integer, p_incarnation bigint,
	p_kinds text[], p_adapters text[])
RETURNS theazo_data.effect[] LANGUAGE plpgsql AS $$
DECLARE
	v_left		integer := p_most;
	v_lanes		integer;
	v_n			integer;
	v_got		theazo_data.effect[];
	v_all		theazo_data.effect[];
	l			record;
BEGIN
	FOR l IN
		WITH RECURSIVE lane (platform_id, name) AS (
			(SELECT e.platform_id::text, e.provider_name FROM theazo_data.effect e
			  WHERE e.kind = 'webhook.deliver' AND e.state = 'queued' AND e.due_at = 'infinity' ORDER BY e.provider_name LIMIT 1)
			UNION ALL
			SELECT x.platform_id, x.name FROM lane
			 CROSS JOIN LATERAL (
				SELECT e.platform_id::text, e.provider_name AS name FROM theazo_data.effect e
				 WHERE e.kind = 'webhook.deliver' AND e.state = 'queued' AND e.due_at = 'infinity' AND e.provider_name > lane.name
				 ORDER BY e.provider_name LIMIT 1) x)
		SELECT f.platform_id, f.name, pg_catalog.count(*) OVER () AS n, pg_catalog.row_number() OVER (ORDER BY f.chance) AS at
		  FROM (SELECT lane.platform_id, lane.name, pg_catalog.random() AS chance FROM lane LIMIT 10000) f ORDER BY f.chance
	LOOP
		EXIT WHEN v_left <= 0;
		CONTINUE WHEN NOT theazo_internal.own_lock('webhook', l.name, false);
		v_lanes := least(coalesce(theazo_internal.webhook_places(l.platform_id, l.name), p_most),
						 pg_catalog.ceil(v_left::numeric / (l.n - l.at + 1))::integer);
		CONTINUE WHEN v_lanes <= 0;
		SELECT t.others, t.n INTO v_got, v_n
		  FROM theazo_internal.effect_take_lane(l.platform_id, l.name, v_lanes, p_now, p_lease, p_slot, p_incarnation, p_kinds, p_adapters) t;
		IF v_n IS NULL THEN
			v_got := theazo_internal.webhook_take_slowly(l.platform_id, l.name, v_lanes, p_now, p_lease, p_incarnation);
		END IF;
		v_all := v_all || v_got;
		v_left := v_left - coalesce(pg_catalog.cardinality(v_got), 0);
	END LOOP;
	RETURN v_all;
END $$;
COMMENT ON FUNCTION theazo_internal.webhook_take(integer, timestamptz, timestamptz, integer, bigint, text[], text[]) IS
'takes deliveries that wait in the lanes of their webhooks; for a claim only';

-- What was taken because its time has come, without those for which their webhook has no place now: they go into its lane.
CREATE OR REPLACE FUNCTION theazo_internal.webhook_turn(p_taken theazo_data.effect[])
RETURNS theazo_data.effect[] LANGUAGE plpgsql AS $$
DECLARE
	v_back	text[] := '{}';
	w		record;
	v_over	integer;
BEGIN
	FOR w IN SELECT t.platform_id, t.provider_name, pg_catalog.array_agg(t.id ORDER BY t.id DESC) AS ids FROM pg_catalog.unnest(p_taken) t
			  WHERE t.kind = 'webhook.deliver' GROUP BY 1, 2 ORDER BY 1, 2
	LOOP
		v_over := CASE WHEN theazo_internal.own_lock('webhook', w.provider_name, false)
					   THEN least(-theazo_internal.webhook_places(w.platform_id, w.provider_name), pg_catalog.cardinality(w.ids))
					   ELSE pg_catalog.cardinality(w.ids) END;
		CONTINUE WHEN coalesce(v_over, 0) <= 0;
		v_back := v_back || w.ids[1:v_over];
	END LOOP;
	IF v_back = '{}' THEN
		RETURN p_taken;
	END IF;
	UPDATE theazo_data.effect e
	   SET state = 'queued', due_at = 'infinity', attempt = e.attempt - 1, incarnation = NULL, claimed_at = NULL, lease_until = NULL
	  FROM pg_catalog.unnest(p_taken) t
	 WHERE t.id = ANY (v_back) AND e.platform_id = t.platform_id AND e.root_id = t.root_id AND e.id = t.id;
	RETURN (SELECT pg_catalog.array_agg(t) FROM pg_catalog.unnest(p_taken) t WHERE t.id <> ALL (v_back));
END $$;
COMMENT ON FUNCTION theazo_internal.webhook_turn(theazo_data.effect[]) IS 'puts deliveries back for which their webhook has no place; returns the rest, null for nothing';
