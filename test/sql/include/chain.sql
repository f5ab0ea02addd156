-- Recomputes chain, tree and leaves in SQL, from the definition; a line for each thing that is wrong.
CREATE FUNCTION tst.netstring(p bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS
$$ SELECT CASE WHEN p IS NULL THEN '-'::bytea ELSE convert_to(octet_length(p) || ':', 'UTF8') || p || ','::bytea END $$;
CREATE FUNCTION tst.netstring(p text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
$$ SELECT tst.netstring(convert_to(p, 'UTF8')) $$;
CREATE FUNCTION tst.leaf(e theazo_data.event) RETURNS bytea LANGUAGE sql AS $$
	SELECT sha256('\x00'::bytea || 'theazo event 2'::bytea || '\x0a'::bytea
		|| tst.netstring(e.platform_id) || tst.netstring(e.id) || tst.netstring(e.number::text)
		|| tst.netstring((extract(epoch FROM e.occurred_at) * 1000000)::bigint::text) || tst.netstring(e.xid::text)
		|| tst.netstring(e.instance) || tst.netstring(e.environment) || tst.netstring(e.session_id) || tst.netstring(e.agent_id)
		|| tst.netstring(e.run_id) || tst.netstring(e.actor_kind) || tst.netstring(e.actor_id) || tst.netstring(e.request_id)
		|| tst.netstring(e.category) || tst.netstring(e.action) || tst.netstring(e.permission_state) || tst.netstring(e.decision)
		|| tst.netstring(e.rule) || tst.netstring(CASE WHEN e.is_violation THEN 't' ELSE 'f' END) || tst.netstring(e.personal)
		|| tst.netstring(e.body))
$$;
-- 16 bytes as the 26 digits of an id
CREATE FUNCTION tst.event_id(p bytea) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT 'evt_' || string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + substring(b.bits FROM 3 + 5 * i FOR 5)::bit(5)::int, 1), '' ORDER BY i)
	  FROM (SELECT ('x0' || encode(p, 'hex'))::bit(132) AS bits) b, generate_series(0, 25) i
$$;
CREATE FUNCTION tst.node(l bytea, r bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT sha256('\x01'::bytea || l || r) $$;
CREATE FUNCTION tst.chain_faults() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	s		theazo_data.seal;
	e		theazo_data.event;
	v_plt	text := '';
	v_seq	bigint;
	v_hash	bytea;
	v_leaf	bytea;
	v_stack	bytea[];
	v_n		bigint;
	v_id	text;
	v_last	text;
BEGIN
	FOR s IN SELECT * FROM theazo_data.seal ORDER BY platform_id, first_seq
	LOOP
		IF s.platform_id <> v_plt THEN
			v_plt := s.platform_id;
			v_seq := 1;
			v_stack := '{}';
			v_hash := sha256('theazo chain 1'::bytea || '\x0a'::bytea || convert_to(v_plt, 'UTF8'));
		END IF;
		IF s.first_seq <> v_seq THEN RETURN NEXT format('seal %s/%s: expected to begin at %s', v_plt, s.first_seq, v_seq); END IF;
		IF s.prev_hash <> v_hash THEN RETURN NEXT format('seal %s/%s: chain does not go on', v_plt, s.first_seq); END IF;
		v_hash := sha256(v_hash || int8send(s.first_seq) || int4send(s.events) || int8send((extract(epoch FROM s.sealed_at) * 1000000)::bigint));
		v_last := '';
		FOR i IN 0..s.events - 1 LOOP
			v_id := tst.event_id(substr(s.ids, 1 + 16 * i, 16));
			v_leaf := substr(s.leaves, 1 + 32 * i, 32);
			IF v_id <= v_last COLLATE "C" THEN RETURN NEXT format('seal %s/%s: ids do not ascend', v_plt, s.first_seq); END IF;
			v_last := v_id;
			SELECT * INTO e FROM theazo_data.event x WHERE x.platform_id = v_plt AND x.id = v_id;
			IF NOT FOUND THEN
				RETURN NEXT format('event %s: sealed and not there', v_id);
			ELSIF tst.leaf(e) <> v_leaf THEN
				RETURN NEXT format('event %s: another leaf', v_id);
			END IF;
			v_hash := sha256(v_hash || v_leaf);
			v_n := v_seq - 1 + i;
			WHILE v_n % 2 = 1 LOOP
				v_leaf := tst.node(v_stack[array_length(v_stack, 1)], v_leaf);
				v_stack := v_stack[1:array_length(v_stack, 1) - 1];
				v_n := v_n / 2;
			END LOOP;
			v_stack := v_stack || v_leaf;
		END LOOP;
		IF s.min_id <> tst.event_id(substr(s.ids, 1, 16)) OR s.max_id <> v_last THEN RETURN NEXT format('seal %s/%s: other bounds', v_plt, s.first_seq); END IF;
		IF theazo_internal.id_time(s.max_id) - theazo_internal.id_time(s.min_id) >= '10 s' THEN RETURN NEXT format('seal %s/%s: too wide', v_plt, s.first_seq); END IF;
		IF s.hash <> v_hash THEN RETURN NEXT format('seal %s/%s: another hash', v_plt, s.first_seq); END IF;
		IF s.frontier <> (SELECT string_agg(h, '' ORDER BY o) FROM unnest(v_stack) WITH ORDINALITY u(h, o)) THEN RETURN NEXT format('seal %s/%s: another frontier', v_plt, s.first_seq); END IF;
		v_seq := v_seq + s.events;
	END LOOP;
	-- each event once
	RETURN QUERY SELECT format('event %s: sealed %s times', x.id, count(*))
		FROM (SELECT s2.platform_id, tst.event_id(substr(s2.ids, 1 + 16 * i, 16)) AS id FROM theazo_data.seal s2, generate_series(0, s2.events - 1) i) x
		GROUP BY x.platform_id, x.id HAVING count(*) > 1;
	-- and the kept nodes are those of the leaves
	RETURN QUERY SELECT format('node %s/%s/%s: missing or more than there are', t.platform_id, t.level, t.index)
		FROM (SELECT s3.platform_id, max(s3.first_seq + s3.events - 1) / 256 AS n FROM theazo_data.seal s3 GROUP BY 1) h
		FULL JOIN (SELECT platform_id, 8 AS level, count(*) AS index FROM theazo_data.tree_node WHERE level = 8 GROUP BY 1) t USING (platform_id)
		WHERE coalesce(h.n, 0) <> coalesce(t.index, 0);
END $$;
CREATE FUNCTION tst.unsealed() RETURNS bigint LANGUAGE sql AS
$$ SELECT (SELECT count(*) FROM theazo_data.event) - (SELECT coalesce(sum(events), 0) FROM theazo_data.seal)::bigint $$;
