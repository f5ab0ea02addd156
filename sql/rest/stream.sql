-- stream.sql: what streams tell, a look at a time.
--
-- An operation checks that its caller may, and says what to follow: {"$stream": kind, "what": {...}, "at": place, "hello": text}.
-- The gateway then calls rest_stream_look() in the name of the same caller: everything behind a place, ready to be sent,
-- and the next place. Callers that follow the same thing from the same place share a look.

-- One event as it is sent. JSON has no line ends of its own.
CREATE OR REPLACE FUNCTION theazo_internal.rest_sse(p_id text, p_event text, p_data text)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN p_id IS NULL THEN '' ELSE 'id: ' || p_id || E'\n' END || CASE WHEN p_event IS NULL THEN '' ELSE 'event: ' || p_event || E'\n' END
	|| 'data: ' || p_data || E'\n\n';
COMMENT ON FUNCTION theazo_internal.rest_sse(text, text, text) IS
'one server-sent event';

CREATE OR REPLACE FUNCTION theazo_internal.rest_last_event_bad()
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.rest_bad('Last-Event-ID', 'is not the id of an event of this stream',
		'Send the id of the last event that this stream told, or leave the header out.');
END $$;
COMMENT ON FUNCTION theazo_internal.rest_last_event_bad() IS
'raises that Last-Event-ID names nothing that was ever told';

-- ---------------------------------------------------------------------------------------
-- agents: the place is a run and what of it was told, or empty while none has begun

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent_stream(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	x		theazo.agents;
	v_last	text := nullif(a ->> '$lastEventId', '');
	v_run	text;
	v_base	text;
	v_step	bigint;
BEGIN
	PERFORM theazo_internal.enter(NULL, 'run:read');
	x := theazo.agent_get(a ->> 'id');
	SELECT pg_catalog.max(r.id) INTO v_base FROM theazo.runs r WHERE r.agent_id = x.id AND r.kind = 'agent';
	IF v_last IS NOT NULL THEN
		IF v_last !~ '^run_[0-9A-HJKMNP-TV-Z]{26}/[0-9]{1,16}$' THEN
			PERFORM theazo_internal.rest_last_event_bad();
		END IF;
		v_run := pg_catalog.split_part(v_last, '/', 1);
		SELECT coalesce(pg_catalog.max(s.seq), 0) + 1 INTO v_step FROM theazo.steps s WHERE s.run_id = v_run;
		IF NOT EXISTS (SELECT FROM theazo.runs r WHERE r.id = v_run AND r.agent_id = x.id AND r.kind = 'agent')
		   OR pg_catalog.split_part(v_last, '/', 2)::bigint >> 40 > v_step THEN
			PERFORM theazo_internal.rest_last_event_bad();
		END IF;
	ELSIF EXISTS (SELECT FROM theazo.runs r WHERE r.id = v_base AND r.status IN ('queued', 'running')) THEN
		v_last := v_base || '/0';
	END IF;
	RETURN pg_catalog.jsonb_build_object('$stream', 'agent', 'what', pg_catalog.jsonb_build_object('agent', x.id, 'base', v_base), 'at', coalesce(v_last, ''));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agent_stream(jsonb) IS
'GET /v1/agents/:id/stream: the run in progress from its beginning, else the next one';

CREATE OR REPLACE FUNCTION theazo_internal.rest_look_agent(p_what jsonb, p_at text, OUT at text, OUT frames text, OUT over boolean, OUT more boolean,
	OUT idle boolean, OUT bell text, OUT step integer, OUT place bigint)
LANGUAGE plpgsql AS $$
DECLARE
	v_run	text := nullif(pg_catalog.split_part(p_at, '/', 1), '');
	v_seq	bigint;
	e		record;
BEGIN
	frames := '';
	over := false;
	more := false;
	idle := false;
	IF v_run IS NULL THEN
		SELECT pg_catalog.min(r.id) INTO v_run FROM theazo.runs r
		 WHERE r.agent_id = p_what ->> 'agent' AND r.kind = 'agent' AND r.id > coalesce(p_what ->> 'base', '');
		IF v_run IS NULL THEN
			at := p_at;
			idle := true;
			bell := p_what ->> 'agent';
			RETURN;
		END IF;
	END IF;
	bell := v_run;
	v_seq := coalesce(nullif(pg_catalog.split_part(p_at, '/', 2), '')::bigint, 0);
	FOR e IN SELECT f.seq, f.type, f.data FROM theazo.run_follow(v_run, v_seq, '0 s') f LOOP
		IF pg_catalog.length(frames) > 65536 THEN
			more := true;
			EXIT;
		END IF;
		v_seq := e.seq;
		-- what a command prints is in its result
		CONTINUE WHEN e.type = 'tool_output';
		frames := frames || theazo_internal.rest_sse(v_run || '/' || v_seq, NULL, ((e.data - 'step') || pg_catalog.jsonb_build_object('type', e.type)
			|| CASE e.type WHEN 'done' THEN pg_catalog.jsonb_build_object(
				'cost', theazo_internal.rest_cost(pg_catalog.round((e.data -> 'cost' ->> 'amount')::numeric)::bigint),
				'duration', theazo_internal.rest_duration((e.data ->> 'durationMs')::bigint)) ELSE '{}' END)::text);
		over := e.type IN ('done', 'error');
	END LOOP;
	at := v_run || '/' || v_seq;
	-- whoever comes back behind the end
	IF NOT over AND NOT more AND frames = '' THEN
		over := NOT EXISTS (SELECT FROM theazo.runs r WHERE r.id = v_run AND r.status IN ('queued', 'running'));
	END IF;
	IF over THEN
		frames := frames || E'data: [DONE]\n\n';
	ELSIF NOT more THEN
		SELECT pg_catalog.max(s.seq) INTO step FROM theazo.steps s WHERE s.run_id = v_run AND s.kind = 'model' AND s.state = 'queued';
		-- a text that was lost to the reader is waited for as a row
		place := CASE WHEN v_seq >> 40 <> step THEN 0 WHEN v_seq >> 35 & 1 = 0 THEN v_seq END;
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_look_agent(jsonb, text) IS
'AgentEvents behind a place; step and place are those of the text that may go on without a commit';

-- ---------------------------------------------------------------------------------------
-- logs: ids are made before they are committed, so the place is a time from which on lines are looked at again, and those told since

CREATE OR REPLACE FUNCTION theazo_internal.rest_log_stream(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_last	text := nullif(a ->> '$lastEventId', '');
	v_now	text := theazo_internal.id_new('log');
BEGIN
	PERFORM theazo_internal.enter(NULL, 'log:read');
	IF v_last !~ '^log_[0-7][0-9A-HJKMNP-TV-Z]{25}$' OR v_last COLLATE "C" > v_now COLLATE "C" THEN
		PERFORM theazo_internal.rest_last_event_bad();
	END IF;
	RETURN pg_catalog.jsonb_build_object('$stream', 'log', 'at', coalesce(v_last, v_now), 'what', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
		'bell', 'logs:' || theazo_internal.current_platform(),
		'session', theazo_internal.rest_text(a, 'sessionId', false, 100), 'agent', theazo_internal.rest_text(a, 'agentId', false, 100),
		'level', theazo_internal.rest_one_of(a, 'level', false, 'debug', 'info', 'warn', 'error'))));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_log_stream(jsonb) IS
'GET /v1/logs/stream: entries written from now on';

CREATE OR REPLACE FUNCTION theazo_internal.rest_look_log(p_what jsonb, p_at text, OUT at text, OUT frames text, OUT over boolean, OUT more boolean,
	OUT idle boolean, OUT bell text, OUT step integer, OUT place bigint)
LANGUAGE plpgsql AS $$
DECLARE
	most	CONSTANT integer := 200;
	v_told	text[] := pg_catalog.string_to_array(p_at, ' ');
	v_floor	text := v_told[1];
	v_next	text := 'log_' || theazo_internal.id_floor(pg_catalog.clock_timestamp() - '5 s'::interval);
	l		record;
	n		integer := 0;
BEGIN
	frames := '';
	over := false;
	more := false;
	idle := false;
	bell := p_what ->> 'bell';
	v_told := v_told[2:];
	FOR l IN
		SELECT t.* FROM theazo.logs t
		 WHERE t.id > v_floor AND t.id <> ALL (v_told)
		   -- says the same for the index: an id is made when its line is
		   AND t.occurred_at >= theazo_internal.id_time(v_floor) - '1 s'::interval
		   AND (NOT p_what ? 'session' OR t.session_id = p_what ->> 'session') AND (NOT p_what ? 'agent' OR t.agent_id = p_what ->> 'agent')
		   AND (NOT p_what ? 'level' OR t.level = p_what ->> 'level')
		 ORDER BY t.id LIMIT most + 1
	LOOP
		n := n + 1;
		IF n > most THEN
			more := true;
			EXIT;
		END IF;
		v_told := v_told || l.id::text;
		frames := frames || theazo_internal.rest_sse(l.id, NULL, (pg_catalog.jsonb_build_object(
			'id', l.id, 'timestamp', theazo_internal.rest_at(l.occurred_at), 'level', l.level, 'source', l.source, 'agentId', coalesce(l.agent_id, ''),
			'sessionId', coalesce(l.session_id, ''), 'userId', coalesce(l.user_id, ''), 'provider', coalesce(l.provider, ''), 'message', l.message)
			|| pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('metadata', l.metadata, 'traceId', l.trace_id)))::text);
	END LOOP;
	-- What was written a while ago has been committed, or is given up. A burst may not make the place grow.
	IF pg_catalog.cardinality(v_told) > 2 * most THEN
		v_next := greatest(v_next COLLATE "C", (SELECT x.t FROM pg_catalog.unnest(v_told) x (t) ORDER BY x.t COLLATE "C" DESC OFFSET most LIMIT 1));
	END IF;
	IF NOT more AND v_next COLLATE "C" > v_floor COLLATE "C" OR pg_catalog.cardinality(v_told) > 2 * most THEN
		v_floor := v_next;
		v_told := ARRAY(SELECT x.t FROM pg_catalog.unnest(v_told) x (t) WHERE x.t COLLATE "C" > v_floor COLLATE "C");
	END IF;
	at := pg_catalog.array_to_string(v_floor || v_told, ' ');
END $$;
COMMENT ON FUNCTION theazo_internal.rest_look_log(jsonb, text) IS
'LogEntries behind a place';

-- ---------------------------------------------------------------------------------------
-- audit: the place is a sequence number of the chain

CREATE OR REPLACE FUNCTION theazo_internal.rest_audit_stream(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_last	text := nullif(a ->> '$lastEventId', '');
	v_since	timestamptz := theazo_internal.rest_time(a, 'since');
	v_end	bigint;
BEGIN
	PERFORM theazo_internal.enter(NULL, 'event:read');
	v_end := theazo_internal.audit_since('infinity');
	IF v_last !~ '^[0-9]{1,18}$' OR v_last::bigint > v_end THEN
		PERFORM theazo_internal.rest_last_event_bad();
	END IF;
	RETURN pg_catalog.jsonb_build_object('$stream', 'audit',
		'at', coalesce(v_last, CASE WHEN v_since IS NOT NULL THEN theazo_internal.audit_since(v_since)::text END, v_end::text),
		'what', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('bell', theazo_internal.current_platform(),
			'run', theazo_internal.rest_execution_run(a), 'agent', theazo_internal.rest_governed_id(a), 'since', v_since)),
		'hello', theazo_internal.rest_sse(NULL, 'connected', pg_catalog.jsonb_build_object('connected_at', theazo_internal.rest_at(pg_catalog.clock_timestamp()))::text));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_audit_stream(jsonb) IS
'GET /api/sdk/audit/stream: audit rows as they are sealed';

CREATE OR REPLACE FUNCTION theazo_internal.rest_look_audit(p_what jsonb, p_at text, OUT at text, OUT frames text, OUT over boolean, OUT more boolean,
	OUT idle boolean, OUT bell text, OUT step integer, OUT place bigint)
LANGUAGE plpgsql AS $$
DECLARE
	v_since	timestamptz := (p_what ->> 'since')::timestamptz;
	v_ids	text[];
	v_seq	bigint;
	v_docs	jsonb;
BEGIN
	over := false;
	idle := false;
	bell := p_what ->> 'bell';
	SELECT pg_catalog.array_agg(f.data ->> 'id') FILTER (WHERE f.type = 'event'), pg_catalog.max(f.seq) INTO v_ids, v_seq
	  FROM theazo.audit_follow(p_at::bigint, NULL, false, NULL, p_what ->> 'agent', p_what ->> 'run', '0 s') f;
	at := coalesce(v_seq::text, p_at);
	more := v_ids IS NOT NULL;
	frames := '';
	IF more THEN
		v_docs := theazo_internal.rest_audit_rows(ARRAY(SELECT x FROM theazo.audit_events x WHERE x.id = ANY (v_ids) AND (v_since IS NULL OR x.occurred_at >= v_since)));
		SELECT coalesce(pg_catalog.string_agg(theazo_internal.rest_sse(x.seq::text, 'audit', d.doc::text), '' ORDER BY x.seq), '') INTO frames
		  FROM pg_catalog.jsonb_array_elements(v_docs) d (doc)
		  JOIN theazo.audit_events x ON x.id = ANY (v_ids) AND x.number = (d.doc ->> 'id')::bigint;
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_look_audit(jsonb, text) IS
'audit rows behind a place, in the order of the chain';

CREATE OR REPLACE FUNCTION theazo_internal.rest_stream_look(p_kind text, p_what jsonb, p_at text, OUT at text, OUT frames text, OUT over boolean,
	OUT more boolean, OUT idle boolean, OUT bell text, OUT step integer, OUT place bigint)
LANGUAGE plpgsql AS $$
BEGIN
	IF p_kind = 'agent' THEN
		SELECT * INTO at, frames, over, more, idle, bell, step, place FROM theazo_internal.rest_look_agent(p_what, p_at);
	ELSIF p_kind = 'log' THEN
		SELECT * INTO at, frames, over, more, idle, bell, step, place FROM theazo_internal.rest_look_log(p_what, p_at);
	ELSE
		SELECT * INTO at, frames, over, more, idle, bell, step, place FROM theazo_internal.rest_look_audit(p_what, p_at);
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_stream_look(text, jsonb, text) IS
'what a stream tells behind a place: the events as they are sent, the next place, whether that was the end, whether there is more at once, whether it waits for something to begin, the bell to wake at';
