-- anchor_round.sql: rounds of anchoring, and what becomes of each at each anchor.
--
-- A round signs a checkpoint for every platform that has new seals and makes a small tree of them, whose root is
-- all the outside sees: one transaction or stamp serves every platform and shows none of them to another. What
-- was not confirmed when the next round begins is in that round as well, so the newest one says everything and
-- older ones that have not left are passed over.

-- ---------------------------------------------------------------------------------------
-- the tree of a round (RFC 9162: neighbours are paired, the odd one out goes up as it is)

CREATE OR REPLACE FUNCTION theazo_internal.round_tree(p_leaves bytea[], OUT root bytea, OUT paths bytea[])
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_level	bytea[] := p_leaves;
	v_next	bytea[];
	v_n		integer := cardinality(p_leaves);
	v_size	integer := cardinality(p_leaves);
	v_place	integer;
	v_depth	integer := 0;
BEGIN
	paths := array_fill(''::bytea, ARRAY[v_size]);
	WHILE v_n > 1
	LOOP
		FOR i IN 1..v_size
		LOOP
			-- the neighbour of the node above this leaf
			v_place := ((i - 1) >> v_depth) # 1;
			IF v_place < v_n THEN
				paths[i] := paths[i] || v_level[v_place + 1];
			END IF;
		END LOOP;
		v_next := '{}';
		FOR i IN 1..v_n BY 2
		LOOP
			v_next[(i + 1) / 2] := CASE WHEN i = v_n THEN v_level[i] ELSE sha256('\x01'::bytea || v_level[i] || v_level[i + 1]) END;
		END LOOP;
		v_level := v_next;
		v_n := cardinality(v_level);
		v_depth := v_depth + 1;
	END LOOP;
	root := v_level[1];
END
$$;
COMMENT ON FUNCTION theazo_internal.round_tree(bytea[]) IS 'root of a tree of these leaves, and the path of each from the leaf to the root';

-- ---------------------------------------------------------------------------------------
-- rounds

-- The one way into audit_round and its leaves.
CREATE OR REPLACE FUNCTION theazo_internal.round_record(
	p_round text, p_root bytea, p_platforms text[], p_sizes bigint[], p_paths bytea[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO theazo_data.audit_round (platform_id, id, created_at, size, root)
	VALUES (theazo_internal.operator_platform(), p_round, clock_timestamp(), cardinality(p_platforms), p_root);
	INSERT INTO theazo_data.audit_round_leaf (platform_id, round_id, index, tree_size, path)
	SELECT u.platform, p_round, u.ord - 1, u.size, u.path
	  FROM unnest(p_platforms, p_sizes, p_paths) WITH ORDINALITY AS u (platform, size, path, ord);
END
$$;
COMMENT ON FUNCTION theazo_internal.round_record(text, bytea, text[], bigint[], bytea[]) IS 'writes a round and its leaves';

-- Anchors that are used here.
CREATE OR REPLACE FUNCTION theazo_internal.anchors_used()
RETURNS SETOF theazo_data.anchor
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT n.* FROM theazo_data.anchor n
	 WHERE n.platform_id = theazo_internal.operator_platform() AND n.instance = theazo_internal.instance()
	 ORDER BY n.name
$$;
COMMENT ON FUNCTION theazo_internal.anchors_used() IS 'anchors of this very database';

-- The newest checkpoint of each platform that is not confirmed at every anchor. fresh: it is in no round yet; loose:
-- it is not even on its way to some anchor.
CREATE OR REPLACE FUNCTION theazo_internal.round_due()
RETURNS TABLE (platform_id text, tree_size bigint, note text, fresh boolean, loose boolean, wanted text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_here	text := theazo_internal.operator_platform();
	v_names	text[] := ARRAY(SELECT n.name FROM theazo_internal.anchors_used() n);
BEGIN
	RETURN QUERY
	SELECT x.platform_id, x.tree_size, x.note, x.fresh,
		   EXISTS (SELECT FROM unnest(x.wanted) AS n (name)
					WHERE NOT EXISTS (SELECT FROM theazo_data.audit_round_leaf l
									   JOIN theazo_data.anchor_attempt t ON t.platform_id = v_here AND t.round_id = l.round_id AND t.name = n.name
											AND t.state IN ('waiting', 'sending')
									  WHERE l.platform_id = x.platform_id AND l.tree_size = x.tree_size)),
		   x.wanted
	  FROM (SELECT p.platform_id::text, c.tree_size, c.note,
				   NOT EXISTS (SELECT FROM theazo_data.audit_round_leaf l
								WHERE l.platform_id = p.platform_id AND l.tree_size = c.tree_size) AS fresh,
				   ARRAY(SELECT n.name FROM unnest(v_names) AS n (name)
						  WHERE NOT EXISTS (SELECT FROM theazo_data.audit_round_leaf l
											  JOIN theazo_data.audit_anchor a ON a.platform_id = v_here AND a.round_id = l.round_id AND a.name = n.name
											 WHERE l.platform_id = p.platform_id AND l.tree_size = c.tree_size)) AS wanted
			  FROM theazo_data.platform p
			 CROSS JOIN LATERAL (SELECT k.tree_size, k.note FROM theazo_data.audit_checkpoint k
								  WHERE k.platform_id = p.platform_id ORDER BY k.tree_size DESC LIMIT 1) c) x
	 WHERE cardinality(x.wanted) > 0
	 ORDER BY x.platform_id COLLATE "C";
END
$$;
COMMENT ON FUNCTION theazo_internal.round_due() IS
'newest checkpoints that are not confirmed everywhere, by platform, and the anchors where each is wanted';

-- Returns the round, or null when there is nothing to anchor. Without being asked the operator's own events make
-- no round for an hour of intervals: anchoring leaves some itself, and would never come to rest.
CREATE OR REPLACE FUNCTION theazo_internal.round_make(p_asked boolean)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_here		text := theazo_internal.operator_platform();
	v_round		text := theazo_internal.id_new('rnd');
	v_interval	interval := current_setting('theazo.anchor_interval')::interval;
	v_owners	text[];
	v_sizes		bigint[];
	v_leaves	bytea[];
	v_names		text[];
	v_fresh		boolean;
	v_others	boolean;
	v_loose		boolean;
	v_root		bytea;
	v_paths		bytea[];
BEGIN
	WITH due AS MATERIALIZED (SELECT * FROM theazo_internal.round_due())
	SELECT array_agg(d.platform_id), array_agg(d.tree_size), array_agg(sha256('\x00'::bytea || convert_to(d.note, 'UTF8'))),
		   bool_or(d.fresh), bool_or(d.fresh AND d.platform_id <> v_here), bool_or(d.loose),
		   ARRAY(SELECT DISTINCT w.name FROM due x CROSS JOIN LATERAL unnest(x.wanted) AS w (name))
	  INTO v_owners, v_sizes, v_leaves, v_fresh, v_others, v_loose, v_names
	  FROM due d;
	IF v_owners IS NULL OR NOT (v_fresh OR p_asked AND v_loose) THEN
		RETURN NULL;
	ELSIF NOT (p_asked OR v_others) AND EXISTS (SELECT FROM theazo_data.audit_round r
												 WHERE r.platform_id = v_here AND r.created_at > clock_timestamp() - 12 * v_interval) THEN
		RETURN NULL;
	END IF;
	SELECT t.root, t.paths INTO v_root, v_paths FROM theazo_internal.round_tree(v_leaves) t;
	PERFORM theazo_internal.round_record(v_round, v_root, v_owners, v_sizes, v_paths);
	-- What has not left is in this round too.
	UPDATE theazo_data.anchor_attempt t SET state = 'superseded', updated_at = clock_timestamp()
	 WHERE t.platform_id = v_here AND t.name = ANY (v_names) AND t.state = 'waiting' AND NOT coalesce(t.step_state ? 'nonce', false);
	INSERT INTO theazo_data.anchor_attempt (platform_id, round_id, name, due_at)
	SELECT v_here, v_round, u.name, clock_timestamp() FROM unnest(v_names) AS u (name);
	RETURN v_round;
END
$$;
COMMENT ON FUNCTION theazo_internal.round_make(boolean) IS
'makes a round of what is signed and not anchored and queues it for every anchor that lacks it; returns its id or null';

-- ---------------------------------------------------------------------------------------
-- attempts

CREATE OR REPLACE FUNCTION theazo_internal.anchor_send(p_anchor theazo_data.anchor, p_attempt theazo_data.anchor_attempt)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_request	jsonb;
	v_effect	text;
BEGIN
	SELECT jsonb_build_object('round', r.id, 'at_us', (extract(epoch FROM r.created_at) * 1000000)::bigint, 'size', r.size, 'root', encode(r.root, 'hex'))
	  INTO STRICT v_request
	  FROM theazo_data.audit_round r WHERE r.platform_id = p_attempt.platform_id AND r.id = p_attempt.round_id;
	IF p_anchor.kind = 'rfc3161' THEN
		v_request := v_request || jsonb_build_object('ca', p_anchor.config -> 'ca',
			'nonce', encode(substr(uuid_send(gen_random_uuid()), 9, 8), 'hex'));
	ELSIF p_anchor.kind = 'evm' THEN
		v_request := v_request || p_anchor.config - 'url';
	END IF;
	v_effect := theazo_internal.effect_enqueue(p_anchor.platform_id, NULL, 'anchor.' || p_anchor.kind, p_anchor.kind, v_request,
		p_provider => p_anchor.name, p_timeout_ms => 30000, p_max_attempts => 3);
	-- A transaction that has its nonce goes on from there; which chain it is is asked again.
	IF p_attempt.step_state ? 'nonce' THEN
		UPDATE theazo_data.effect_payload x
		   SET step_state = p_attempt.step_state - 'ticket' || jsonb_build_object('phase', 'chain', 'then',
				CASE WHEN p_attempt.step_state ->> 'phase' = 'chain' THEN coalesce(p_attempt.step_state ->> 'then', 'look')
					 ELSE p_attempt.step_state ->> 'phase' END)
		 WHERE x.platform_id = p_anchor.platform_id AND x.root_id = substr(v_effect, 5) AND x.id = v_effect;
	END IF;
	UPDATE theazo_data.anchor_attempt t SET state = 'sending', effect_id = v_effect, updated_at = clock_timestamp()
	 WHERE t.platform_id = p_attempt.platform_id AND t.round_id = p_attempt.round_id AND t.name = p_attempt.name;
END
$$;
COMMENT ON FUNCTION theazo_internal.anchor_send(theazo_data.anchor, theazo_data.anchor_attempt) IS 'queues the effect that takes a round to an anchor';

-- It failed: tried again after 5 s, doubling to ten minutes, unless a newer round waits that says the same.
CREATE OR REPLACE FUNCTION theazo_internal.anchor_failed(p_attempt theazo_data.anchor_attempt, p_state jsonb, p_error text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_error		text := left(theazo_internal.text_mask(p_error), 1000);
	v_first		boolean;
BEGIN
	UPDATE theazo_data.anchor_attempt t
	   SET state = CASE WHEN NOT coalesce(p_state ? 'nonce', false)
							 AND EXISTS (SELECT FROM theazo_data.anchor_attempt x
										  WHERE x.platform_id = t.platform_id AND x.name = t.name AND x.state = 'waiting' AND x.round_id > t.round_id)
						THEN 'superseded' ELSE 'waiting' END,
		   tries = t.tries + 1, step_state = p_state, error = v_error, updated_at = clock_timestamp(),
		   due_at = clock_timestamp() + least(600, 5 * 2 ^ least(t.tries, 10)) * '1 second'::interval
	 WHERE t.platform_id = p_attempt.platform_id AND t.round_id = p_attempt.round_id AND t.name = p_attempt.name;
	UPDATE theazo_data.anchor n SET failing_since = coalesce(n.failing_since, clock_timestamp()), error = v_error
	 WHERE n.platform_id = p_attempt.platform_id AND n.name = p_attempt.name
	RETURNING n.failing_since >= p_attempt.updated_at INTO v_first;
	-- Once, when it begins: each event would be something new to anchor.
	IF v_first THEN
		PERFORM theazo_internal.event_write(p_attempt.platform_id, 'control', 'anchor_failed',
			jsonb_build_object('name', p_attempt.name, 'round', p_attempt.round_id, 'reason', left(v_error, 300)), NULL, NULL, NULL, 'live');
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.anchor_failed(theazo_data.anchor_attempt, jsonb, text) IS 'an attempt at an anchor has failed: when to try again';

-- For each anchor with nothing under way the attempt that is next: one that may have left before, else the newest.
CREATE OR REPLACE FUNCTION theazo_internal.anchors_pump(p_name text DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	n		theazo_data.anchor;
	t		theazo_data.anchor_attempt;
	v_sent	integer := 0;
BEGIN
	FOR n IN SELECT x.* FROM theazo_internal.anchors_used() x WHERE p_name IS NULL OR x.name = p_name
	LOOP
		-- the settings do not change meanwhile, and two do not send at once
		PERFORM 1 FROM theazo_data.anchor x WHERE x.platform_id = n.platform_id AND x.name = n.name FOR UPDATE SKIP LOCKED;
		CONTINUE WHEN NOT FOUND;
		-- settlement threw, or the effect is gone with its partition
		FOR t IN
			SELECT x.* FROM theazo_data.anchor_attempt x
			 WHERE x.platform_id = n.platform_id AND x.name = n.name AND x.state = 'sending'
			   AND NOT EXISTS (SELECT FROM theazo_data.effect e
								WHERE e.platform_id = x.platform_id AND e.root_id = substr(x.effect_id, 5) AND e.id = x.effect_id
								  AND e.state IN ('queued', 'claimed', 'sent', 'held'))
		LOOP
			PERFORM theazo_internal.anchor_failed(t, theazo_internal.anchor_left_at(t.platform_id, t.effect_id), 'the outcome could not be stored');
		END LOOP;
		SELECT x.* INTO t FROM theazo_data.anchor_attempt x
		 WHERE x.platform_id = n.platform_id AND x.name = n.name AND x.state IN ('waiting', 'sending')
		 ORDER BY x.state = 'sending' DESC, coalesce(x.step_state ? 'nonce', false) DESC, x.round_id DESC LIMIT 1;
		CONTINUE WHEN NOT FOUND OR t.state = 'sending' OR t.due_at > clock_timestamp();
		PERFORM theazo_internal.anchor_send(n, t);
		v_sent := v_sent + 1;
	END LOOP;
	RETURN v_sent;
END
$$;
COMMENT ON FUNCTION theazo_internal.anchors_pump(text) IS 'queues what is due at each anchor, or at one, that has nothing under way; returns how many';

-- What an effect had stored when it ended.
CREATE OR REPLACE FUNCTION theazo_internal.anchor_left_at(p_platform text, p_effect text)
RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT x.step_state FROM theazo_data.effect_payload x
	 WHERE x.platform_id = p_platform AND x.root_id = substr(p_effect, 5) AND x.id = p_effect
$$;
COMMENT ON FUNCTION theazo_internal.anchor_left_at(text, text) IS 'the state in which an anchor''s effect ended';

-- The one way into audit_anchor. A round is confirmed once at each anchor; a second time says the same.
CREATE OR REPLACE FUNCTION theazo_internal.anchor_record(p_round text, p_name text, p_kind text, p_at timestamptz, p_evidence jsonb, p_token bytea)
RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO theazo_data.audit_anchor (platform_id, round_id, name, kind, confirmed_at, evidence, token)
	VALUES (theazo_internal.operator_platform(), p_round, p_name, p_kind, p_at, p_evidence, p_token)
	ON CONFLICT ON CONSTRAINT audit_anchor_pkey DO NOTHING
$$;
COMMENT ON FUNCTION theazo_internal.anchor_record(text, text, text, timestamptz, jsonb, bytea) IS 'writes a confirmed anchor of a round';

-- No event says that it is confirmed: the row in audit_anchor does, and an event would be something new to anchor.
CREATE OR REPLACE FUNCTION theazo_internal.anchor_settle(e theazo_data.effect, p_state text, p_result jsonb, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t		theazo_data.anchor_attempt;
	v_left	jsonb;
BEGIN
	SELECT * INTO t FROM theazo_data.anchor_attempt x
	 WHERE x.platform_id = e.platform_id AND x.name = e.provider_name AND x.effect_id = e.id AND x.state IN ('sending', 'abandoned') FOR UPDATE;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	IF p_state = 'done' THEN
		-- also where the anchor was deleted meanwhile: it is there
		PERFORM theazo_internal.anchor_record(t.round_id, t.name, split_part(e.kind, '.', 2), p_finished, p_result - 'token', decode(p_result ->> 'token', 'base64'));
		UPDATE theazo_data.anchor_attempt x SET state = 'confirmed', error = NULL, step_state = NULL, updated_at = clock_timestamp()
		 WHERE x.platform_id = t.platform_id AND x.round_id = t.round_id AND x.name = t.name;
		UPDATE theazo_data.anchor n SET failing_since = NULL, error = NULL
		 WHERE n.platform_id = t.platform_id AND n.name = t.name AND n.failing_since IS NOT NULL;
	ELSIF t.state = 'sending' THEN
		v_left := CASE WHEN p_result ->> 'code' IS DISTINCT FROM 'anchor_void' THEN theazo_internal.anchor_left_at(e.platform_id, e.id) END;
		PERFORM theazo_internal.anchor_failed(t, v_left, concat_ws(' ', p_result ->> 'message', p_result ->> 'detail'));
	END IF;
	PERFORM theazo_internal.anchors_pump(t.name);
END
$$;
COMMENT ON FUNCTION theazo_internal.anchor_settle(theazo_data.effect, text, jsonb, timestamptz) IS
'what the end of an anchor''s effect means: confirmed, or when it is tried again';

-- ---------------------------------------------------------------------------------------
-- upkeep

-- When the keeper is wanted: for the next round, or for what is tried again. Null without anchors.
CREATE OR REPLACE FUNCTION theazo_internal.anchors_due()
RETURNS timestamptz
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_here	text := theazo_internal.operator_platform();
	c		theazo_data.anchor_clock;
BEGIN
	IF NOT EXISTS (SELECT FROM theazo_internal.anchors_used()) THEN
		RETURN NULL;
	END IF;
	SELECT * INTO c FROM theazo_data.anchor_clock x WHERE x.platform_id = v_here;
	RETURN least(coalesce(c.asked_at, c.looked_at + current_setting('theazo.anchor_interval')::interval, clock_timestamp()),
				 -- the one of each anchor that is next
				 (SELECT min(y.due_at) FILTER (WHERE y.state = 'waiting')
					FROM (SELECT DISTINCT ON (t.name) t.state, t.due_at FROM theazo_data.anchor_attempt t
						   WHERE t.platform_id = v_here AND t.state IN ('waiting', 'sending')
						   ORDER BY t.name, t.state = 'sending' DESC, coalesce(t.step_state ? 'nonce', false) DESC, t.round_id DESC) y));
END
$$;
COMMENT ON FUNCTION theazo_internal.anchors_due() IS 'when anchoring wants the keeper, or null without anchors';

CREATE OR REPLACE FUNCTION theazo_internal.keeper_anchor()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_here	text := theazo_internal.operator_platform();
	c		theazo_data.anchor_clock;
BEGIN
	IF NOT EXISTS (SELECT FROM theazo_internal.anchors_used()) THEN
		RETURN 0;
	END IF;
	SELECT * INTO c FROM theazo_data.anchor_clock x WHERE x.platform_id = v_here;
	IF c.platform_id IS NULL OR c.asked_at IS NOT NULL
		OR clock_timestamp() >= c.looked_at + current_setting('theazo.anchor_interval')::interval THEN
		-- whoever asks after this waits, and is heard the next time
		SELECT * INTO c FROM theazo_data.anchor_clock x WHERE x.platform_id = v_here FOR UPDATE;
		INSERT INTO theazo_data.anchor_clock AS x (platform_id, looked_at) VALUES (v_here, clock_timestamp())
		ON CONFLICT ON CONSTRAINT anchor_clock_pkey DO UPDATE SET looked_at = excluded.looked_at, asked_at = NULL;
		-- who asks does not want to hear of waiting
		UPDATE theazo_data.anchor_attempt t SET due_at = clock_timestamp()
		 WHERE c.asked_at IS NOT NULL AND t.platform_id = v_here AND t.state = 'waiting';
		PERFORM theazo_internal.checkpoints_make();
		PERFORM theazo_internal.round_make(c.asked_at IS NOT NULL);
		-- ended ones are of interest for some days
		DELETE FROM theazo_data.anchor_attempt t
		 WHERE t.platform_id = v_here AND t.state NOT IN ('waiting', 'sending') AND t.round_id < 'rnd_' || theazo_internal.id_floor(now() - '7 days'::interval);
	END IF;
	RETURN theazo_internal.anchors_pump();
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_anchor() IS 'keeper: makes rounds when they are due and sends them to the anchors';

-- Anchors of another instance came with a restore or a clone.
CREATE OR REPLACE FUNCTION theazo_internal.anchors_release()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_n	integer;
BEGIN
	UPDATE theazo_data.anchor n SET instance = theazo_internal.instance()
	 WHERE n.platform_id = theazo_internal.operator_platform() AND n.instance <> theazo_internal.instance();
	GET DIAGNOSTICS v_n = ROW_COUNT;
	IF v_n > 0 THEN
		PERFORM theazo_internal.wake_keeper();
	END IF;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.anchors_release() IS 'lets anchors that came with a restore or a clone be used here; returns how many';
