-- effect.sql: the engine of the one path. What must happen outside is a row; workers claim rows,
-- carry them out and settle them. Nothing here knows what a kind means: each area has a handler.
--
-- Order of locks, everywhere: agent, sandbox, effect, run. Settling several agents goes by agent id.

-- ----------------------------------------------------------------------------
-- Kinds and what may be done when the outcome of one is unknown: data, not code.
-- ----------------------------------------------------------------------------
-- repeat: harmless, goes out again with the same idempotency key and a higher attempt number.
-- reconcile: asked again with step_state {"reconcile": true}, so that the adapter asks what happened.
-- neither: it ends with "outcome unknown".
-- No SET here: only so can the planner put the rows themselves into a query.
CREATE OR REPLACE FUNCTION theazo_internal.effect_kinds()
RETURNS TABLE (adapter text, kind text, contract smallint, recovery text)
LANGUAGE sql IMMUTABLE
AS $$
	VALUES ('noop', 'probe.noop', 1::pg_catalog.int2, 'repeat'),
		   -- In flight until it is cut, or its deadline: what drills of the kill switch cut.
		   ('noop', 'probe.hold', 1, 'repeat'),
		   -- Creating again could leave a machine behind that nobody knows and somebody pays.
		   ('webhook', 'compute.create', 1, 'neither'),
		   ('webhook', 'compute.exec', 1, 'neither'),
		   ('webhook', 'compute.write', 1, 'repeat'),
		   ('webhook', 'compute.read', 1, 'repeat'),
		   ('webhook', 'compute.list', 1, 'repeat'),
		   ('webhook', 'compute.metrics', 1, 'repeat'),
		   ('webhook', 'compute.expose_port', 1, 'neither'),
		   ('webhook', 'compute.sample', 1, 'repeat'),
		   ('webhook', 'compute.pause', 1, 'neither'),
		   ('webhook', 'compute.resume', 1, 'neither'),
		   ('webhook', 'compute.destroy', 1, 'repeat'),
		   -- Found again by the tag it carries; asking for what is paused or awake already changes nothing.
		   ('e2b', 'compute.create', 1, 'reconcile'),
		   ('e2b', 'compute.exec', 1, 'neither'),
		   ('e2b', 'compute.write', 1, 'repeat'),
		   ('e2b', 'compute.read', 1, 'repeat'),
		   ('e2b', 'compute.list', 1, 'repeat'),
		   ('e2b', 'compute.metrics', 1, 'repeat'),
		   ('e2b', 'compute.expose_port', 1, 'repeat'),
		   ('e2b', 'compute.sample', 1, 'repeat'),
		   ('e2b', 'compute.logs', 1, 'repeat'),
		   ('e2b', 'compute.stop', 1, 'repeat'),
		   ('e2b', 'compute.pause', 1, 'repeat'),
		   ('e2b', 'compute.resume', 1, 'repeat'),
		   ('e2b', 'compute.destroy', 1, 'repeat'),
		   ('e2b', 'compute.sweep', 1, 'repeat'),
		   ('e2b', 'compute.renew', 1, 'repeat'),
		   ('e2b', 'compute.snapshot', 1, 'neither'),
		   ('e2b', 'compute.forget', 1, 'repeat'),
		   -- A container is named after its sandbox: whoever makes it again meets the first.
		   ('docker', 'compute.create', 1, 'repeat'),
		   ('docker', 'compute.exec', 1, 'neither'),
		   ('docker', 'compute.write', 1, 'repeat'),
		   ('docker', 'compute.read', 1, 'repeat'),
		   ('docker', 'compute.list', 1, 'repeat'),
		   ('docker', 'compute.expose_port', 1, 'repeat'),
		   ('docker', 'compute.metrics', 1, 'repeat'),
		   ('docker', 'compute.sample', 1, 'repeat'),
		   ('docker', 'compute.logs', 1, 'repeat'),
		   ('docker', 'compute.stop', 1, 'repeat'),
		   ('docker', 'compute.sweep', 1, 'repeat'),
		   ('docker', 'compute.renew', 1, 'repeat'),
		   ('docker', 'compute.pause', 1, 'repeat'),
		   ('docker', 'compute.resume', 1, 'repeat'),
		   ('docker', 'compute.snapshot', 1, 'repeat'),
		   ('docker', 'compute.forget', 1, 'repeat'),
		   ('docker', 'compute.destroy', 1, 'repeat'),
		   -- A sandbox is found by its label; a command is a job that is started once; moves are looked at before they are asked for.
		   ('daytona', 'compute.create', 1, 'reconcile'),
		   ('daytona', 'compute.exec', 1, 'repeat'),
		   ('daytona', 'compute.write', 1, 'repeat'),
		   ('daytona', 'compute.read', 1, 'repeat'),
		   ('daytona', 'compute.list', 1, 'repeat'),
		   ('daytona', 'compute.metrics', 1, 'repeat'),
		   ('daytona', 'compute.sample', 1, 'repeat'),
		   ('daytona', 'compute.stop', 1, 'repeat'),
		   ('daytona', 'compute.renew', 1, 'repeat'),
		   -- named by us, and that name is taken once
		   ('daytona', 'compute.snapshot', 1, 'repeat'),
		   ('daytona', 'compute.forget', 1, 'repeat'),
		   ('daytona', 'compute.pause', 1, 'repeat'),
		   ('daytona', 'compute.resume', 1, 'repeat'),
		   ('daytona', 'compute.destroy', 1, 'repeat'),
		   ('daytona', 'compute.expose_port', 1, 'repeat'),
		   ('daytona', 'compute.sweep', 1, 'repeat'),
		   -- As there: found by its metadata, named once.
		   ('fly', 'compute.create', 1, 'reconcile'),
		   ('fly', 'compute.exec', 1, 'repeat'),
		   ('fly', 'compute.write', 1, 'repeat'),
		   ('fly', 'compute.read', 1, 'repeat'),
		   ('fly', 'compute.list', 1, 'repeat'),
		   ('fly', 'compute.metrics', 1, 'repeat'),
		   ('fly', 'compute.sample', 1, 'repeat'),
		   ('fly', 'compute.stop', 1, 'repeat'),
		   ('fly', 'compute.pause', 1, 'repeat'),
		   ('fly', 'compute.resume', 1, 'repeat'),
		   ('fly', 'compute.destroy', 1, 'repeat'),
		   ('fly', 'compute.sweep', 1, 'repeat'),
		   -- Boxes die with the dispatcher that holds them, so a creation leaves nothing behind.
		   ('local', 'compute.create', 1, 'repeat'),
		   ('local', 'compute.exec', 1, 'neither'),
		   ('local', 'compute.write', 1, 'repeat'),
		   ('local', 'compute.read', 1, 'repeat'),
		   ('local', 'compute.list', 1, 'repeat'),
		   ('local', 'compute.metrics', 1, 'repeat'),
		   ('local', 'compute.sample', 1, 'repeat'),
		   ('local', 'compute.pause', 1, 'repeat'),
		   ('local', 'compute.resume', 1, 'repeat'),
		   ('local', 'compute.snapshot', 1, 'repeat'),
		   ('local', 'compute.destroy', 1, 'repeat'),
		   ('local', 'compute.sweep', 1, 'repeat'),
		   -- No provider of models knows a key that makes a call count once.
		   ('anthropic', 'model.call', 1, 'neither'),
		   ('openai', 'model.call', 1, 'neither'),
		   ('openai-compatible', 'model.call', 1, 'neither'),
		   ('tool_webhook', 'tool.webhook', 1, 'neither'),
		   ('sql', 'tool.sql', 1, 'neither'),
		   -- Any method but GET and HEAD could act a second time.
		   ('http', 'http.get', 1, 'repeat'),
		   ('http', 'http.request', 1, 'neither'),
		   -- Code that has begun may have done anything; what it asked for is of no use without it.
		   ('script', 'script.run', 1, 'neither'),
		   ('http', 'http.fetch', 1, 'neither'),
		   -- A stamp too many does no harm; a line that is there is not written again; a transaction is looked for by its nonce.
		   ('rfc3161', 'anchor.rfc3161', 1, 'repeat'),
		   ('file', 'anchor.file', 1, 'repeat'),
		   ('evm', 'anchor.evm', 1, 'reconcile'),
		   -- At least once: receivers know a delivery by its id.
		   ('webhook_out', 'webhook.deliver', 1, 'repeat'),
		   -- A verdict that nobody saw is none, and a text without one is blocked.
		   ('moderation', 'safety.judge', 1, 'neither'),
		   ('judge', 'safety.judge', 1, 'neither')
$$;
COMMENT ON FUNCTION theazo_internal.effect_kinds() IS
'kinds of effects by adapter, the contract version understood and what may be done when an outcome is unknown';

-- Both are known once a statement is planned: no SET here either.
CREATE OR REPLACE FUNCTION theazo_internal.effect_kind_names()
RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
	SELECT ARRAY(SELECT DISTINCT k.kind FROM theazo_internal.effect_kinds() k)
$$;
COMMENT ON FUNCTION theazo_internal.effect_kind_names() IS 'kinds that this version carries';

CREATE OR REPLACE FUNCTION theazo_internal.effect_adapter_names()
RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
	SELECT ARRAY(SELECT DISTINCT k.adapter FROM theazo_internal.effect_kinds() k)
$$;
COMMENT ON FUNCTION theazo_internal.effect_adapter_names() IS 'adapters that this version carries kinds with';

CREATE OR REPLACE FUNCTION theazo_internal.effect_recovery(p_adapter text, p_kind text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce((SELECT k.recovery FROM theazo_internal.effect_kinds() k
					  WHERE k.adapter = p_adapter AND k.kind = p_kind), 'neither');
END
$$;
COMMENT ON FUNCTION theazo_internal.effect_recovery(text, text) IS
'repeat, reconcile or neither: what may be done when the outcome of such an effect is unknown';

-- ----------------------------------------------------------------------------
-- Enqueue
-- ----------------------------------------------------------------------------
-- One row, a payload row only when there is something to carry, a latch at commit. Hot, so it inserts without a statement and
-- asks no privilege: only the owners may call it.
CREATE OR REPLACE FUNCTION theazo_internal.effect_enqueue(
	p_platform text, p_root text, p_kind text, p_adapter text, p_request jsonb DEFAULT NULL,
	p_run text DEFAULT NULL, p_session text DEFAULT NULL, p_agent text DEFAULT NULL, p_sandbox text DEFAULT NULL,
	p_provider text DEFAULT NULL, p_timeout_ms integer DEFAULT 30000, p_max_attempts integer DEFAULT 1,
	p_affinity integer DEFAULT NULL, p_due timestamptz DEFAULT now(), p_deadline timestamptz DEFAULT NULL,
	p_content bytea DEFAULT NULL, p_step_seq integer DEFAULT NULL)
RETURNS text LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_effect_enqueue';
COMMENT ON FUNCTION theazo_internal.effect_enqueue(text, text, text, text, jsonb, text, text, text, text, text,
	integer, integer, integer, timestamptz, timestamptz, bytea, integer) IS
'queues an effect in the current transaction and wakes a dispatcher at commit; returns its id';

-- Many of one kind at once, as one statement; a null request carries nothing. Returns their ids in order.
CREATE OR REPLACE FUNCTION theazo_internal.effect_enqueue_many(
	p_platform text, p_kind text, p_adapter text, p_requests jsonb[], p_timeout_ms integer DEFAULT 30000,
	p_max_attempts integer DEFAULT 1)
RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_ids text[] := ARRAY(SELECT theazo_internal.id_new('eff') FROM generate_series(1, cardinality(p_requests)));
BEGIN
	-- Each effect of such a kind passes the gate by itself.
	IF EXISTS (SELECT FROM theazo_internal.gate_kinds() k WHERE k.kind = p_kind AND k.exempt IS NULL) THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ602', MESSAGE = format('effects of kind "%s" are queued one by one', p_kind), DETAIL = 'Reason: gate.',
			HINT = 'Have each pass theazo_internal.gate() and queue it with effect_enqueue().';
	END IF;
	INSERT INTO theazo_data.effect (platform_id, root_id, id, kind, adapter, max_attempts, timeout_ms, instance)
	SELECT p_platform, substr(u.id, 5), u.id, p_kind, p_adapter, p_max_attempts, p_timeout_ms, theazo_internal.instance()
	  FROM unnest(v_ids) AS u (id);
	INSERT INTO theazo_data.effect_payload (platform_id, root_id, id, request)
	SELECT p_platform, substr(u.id, 5), u.id, u.request
	  FROM unnest(v_ids, p_requests) AS u (id, request) WHERE u.request IS NOT NULL;
	PERFORM theazo_internal.wake();
	RETURN v_ids;
END
$$;
COMMENT ON FUNCTION theazo_internal.effect_enqueue_many(text, text, text, jsonb[], integer, integer) IS
'queues many effects of one kind at once and returns their ids';

-- ----------------------------------------------------------------------------
-- Claim
-- ----------------------------------------------------------------------------
-- Where a call goes: url and flags of the provider entry, null for what needs no address.
CREATE OR REPLACE FUNCTION theazo_internal.effect_endpoint(p_platform text, p_session text, p_provider text, p_adapter text)
RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_out jsonb;
BEGIN
	-- Models have model_endpoint().
	IF p_adapter IN ('local', 'noop', 'sql', 'script', 'anthropic', 'openai', 'openai-compatible') THEN
		RETURN NULL;
	END IF;
	-- An anchor is the operator's, and may be anywhere; null once it is deleted.
	IF p_adapter IN ('rfc3161', 'evm', 'file') THEN
		RETURN (SELECT jsonb_build_object('url', a.config ->> 'url', 'allow_http', true, 'allow_private', true, 'config', a.config - 'ca',
					'provider', a.name, 'credential_ref', a.credential_ref, 'owner', a.platform_id)
				  FROM theazo_data.anchor a WHERE a.platform_id = p_platform AND a.name = p_provider AND a.kind = p_adapter);
	END IF;
	-- The operator's search may be anywhere, and its credential is the operator's.
	IF p_adapter = 'http' AND p_provider = 'theazo:web_search' THEN
		RETURN jsonb_build_object('allow_http', true, 'allow_private', true, 'brokered_by', theazo_internal.operator_platform());
	END IF;
	-- A tool of the platform; null once it is deleted.
	IF p_adapter = 'tool_webhook' THEN
		RETURN (SELECT jsonb_build_object('url', t.url, 'allow_http', p.allow_http, 'allow_private', p.allow_private, 'provider', t.name,
					'signing_ref', t.secret_ref, 'owner', p.platform_id, 'vault', 'platform')
				  FROM theazo_data.tool t JOIN theazo_data.platform p ON p.platform_id = t.platform_id
				 WHERE t.platform_id = p_platform AND t.name = substr(p_provider, 6) AND t.type = 'webhook');
	END IF;
	-- A server that wants to be told; null once it is deleted or has said that it is gone.
	IF p_adapter = 'webhook_out' THEN
		RETURN (SELECT jsonb_build_object('url', w.url, 'allow_http', p.allow_http, 'allow_private', p.allow_private, 'provider', w.id,
					'signing_ref', w.secret_ref, 'owner', p.platform_id, 'vault', 'platform')
					-- after a change of the key both sign for a while
					|| CASE WHEN w.previous_until > clock_timestamp() THEN jsonb_build_object('previous_ref', w.previous_ref) ELSE '{}' END
				  FROM theazo_data.webhook w JOIN theazo_data.platform p ON p.platform_id = w.platform_id
				 WHERE w.platform_id = p_platform AND w.id = substr(p_provider, 9) AND w.status = 'active');
	END IF;
	-- Who judges texts, as it is now; null once nobody does.
	IF p_adapter IN ('moderation', 'judge') THEN
		RETURN theazo_internal.safety_ai_endpoint(p_platform, p_provider, p_adapter);
	END IF;
	-- An address of its own, so no provider.
	IF p_adapter = 'http' THEN
		RETURN (SELECT jsonb_build_object('allow_http', p.allow_http, 'allow_private', p.allow_private)
				  FROM theazo_data.platform p WHERE p.platform_id = p_platform);
	END IF;
	-- An entry of the operator's goes with the operator's secrets and flags, and platforms know it as theazo.
	SELECT jsonb_build_object(
				'url', v.endpoint, 'allow_http', p.allow_http OR n.managed, 'allow_private', p.allow_private OR n.managed,
				'config', v.config, 'provider', CASE WHEN n.managed THEN 'theazo' ELSE v.name END, 'credential_ref', v.credential_ref,
				'signing_ref', coalesce(v.signing_ref, v.config ->> 'signingSecretRef', v.config ->> 'signing_secret_ref'),
				'owner', v.platform_id)
			-- An engine's socket is the operator's to name.
			|| CASE WHEN p_adapter = 'docker' THEN jsonb_build_object('allow_socket', n.managed) ELSE '{}' END
	  INTO v_out
	  FROM (SELECT p_provider LIKE 'theazo:%' AS managed) n
	  JOIN theazo_data.provider v ON v.platform_id = CASE WHEN n.managed THEN theazo_internal.operator_platform() ELSE p_platform END
		   AND v.kind = 'compute' AND v.name = CASE WHEN n.managed THEN substr(p_provider, 8) ELSE p_provider END
	  JOIN theazo_data.platform p ON p.platform_id = p_platform;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo_internal.effect_endpoint(text, text, text, text) IS
'address, flags and references of the provider an effect goes to';


-- What else a dispatcher must know of effects it has just taken, apart from models' and no-ops.
CREATE OR REPLACE FUNCTION theazo_internal.effect_described(p_taken theazo_data.effect[])
RETURNS TABLE (
	platform_id text, root_id text, id text, kind text, adapter text, contract smallint, step smallint, attempt integer,
	timeout_ms integer, deadline timestamptz, run_id text, session_id text, agent_id text, sandbox_id text,
	request jsonb, content bytea, step_state jsonb, endpoint jsonb, needs_secrets boolean, trace text)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH
	-- Once for each provider, not for each call; a no-op has none.
	provided AS MATERIALIZED (
		SELECT x.platform_id, x.provider_name, x.adapter, v.endpoint,
			   v.endpoint ->> 'credential_ref' IS NOT NULL OR v.endpoint ->> 'signing_ref' IS NOT NULL OR v.endpoint ? 'brokered_by' AS named,
			   EXISTS (SELECT FROM theazo_data.secret y WHERE y.platform_id = x.platform_id) AS secrets
		  FROM (SELECT DISTINCT t.platform_id, t.provider_name, t.adapter FROM unnest(p_taken) t WHERE t.adapter <> 'noop') x
		 CROSS JOIN LATERAL (SELECT theazo_internal.effect_endpoint(x.platform_id, NULL, x.provider_name, x.adapter)
							 OFFSET 0) AS v (endpoint))
	SELECT c.platform_id::text, c.root_id::text, c.id::text, c.kind, c.adapter, c.contract, c.step, c.attempt,
		   c.timeout_ms, c.deadline, c.run_id::text, c.session_id::text, c.agent_id::text, c.sandbox_id::text,
		   -- The provider's id of the sandbox is looked up now: it may have changed since this was queued.
		   CASE WHEN s.external_id IS NOT NULL AND c.kind <> 'compute.create'
				THEN coalesce(CASE WHEN c.run_id IS NULL OR c.step_seq IS NOT NULL THEN ep.request ELSE rp.input END, '{}')
					 || jsonb_build_object('sandbox', s.external_id)
					 -- It was made before anybody knew for whom.
					 || CASE WHEN s.assigned_at IS NOT NULL AND c.kind = 'compute.exec'
							 THEN jsonb_build_object('env', coalesce(CASE WHEN c.run_id IS NULL OR c.step_seq IS NOT NULL THEN ep.request ELSE rp.input END -> 'env', '{}')
								|| jsonb_build_object('THEAZO_AGENT_ID', c.agent_id, 'THEAZO_SESSION_ID', c.session_id)) ELSE '{}' END
					 -- What else bears its name goes with it.
					 || CASE WHEN c.kind = 'compute.destroy' AND n.endpoint #>> '{config,network}' = 'own'
							 THEN jsonb_build_object('tag', c.sandbox_id) ELSE '{}' END
				-- of a program's calls there are several in one run
				WHEN c.run_id IS NULL OR c.step_seq IS NOT NULL OR c.kind = 'http.fetch' THEN ep.request
				-- the code lies with its version, not with each execution
				WHEN c.kind = 'script.run' THEN rp.input || theazo_internal.script_code(c.platform_id, c.agent_id, rp.input)
				ELSE rp.input END,
		   CASE WHEN c.kind = 'compute.create' AND c.adapter = 'local' AND s.snapshot_id IS NOT NULL
				THEN (SELECT x.content FROM theazo_data.snapshot_content x WHERE x.platform_id = c.platform_id AND x.id = s.snapshot_id)
				WHEN c.run_id IS NULL OR c.step_seq IS NOT NULL THEN ep.content ELSE rp.content END,
		   ep.step_state, n.endpoint,
		   coalesce(n.named
			OR n.secrets AND (c.kind IN ('compute.exec', 'http.get', 'http.request', 'http.fetch') OR c.kind = 'compute.create' AND c.adapter = 'webhook')
			   AND EXISTS (SELECT FROM theazo_data.secret x
							WHERE x.platform_id = c.platform_id AND x.session_id IN (c.session_id, ''))
			OR c.sandbox_id IS NOT NULL
			   AND EXISTS (SELECT FROM theazo_data.secret_delivered x
							WHERE x.platform_id = c.platform_id AND x.sandbox_id = c.sandbox_id), false),
		   CASE WHEN c.run_id IS NOT NULL THEN 'tr_' || c.root_id END
	  FROM unnest(p_taken) c
	  LEFT JOIN provided n
			 ON n.platform_id = c.platform_id AND n.adapter = c.adapter AND n.provider_name IS NOT DISTINCT FROM c.provider_name
	  LEFT JOIN theazo_data.effect_payload ep
			 ON ep.platform_id = c.platform_id AND ep.root_id = c.root_id AND ep.id = c.id
	  LEFT JOIN theazo_data.run_payload rp
			 ON c.run_id IS NOT NULL AND rp.platform_id = c.platform_id AND rp.root_id = c.root_id
	  LEFT JOIN theazo_data.sandbox s
			 ON c.sandbox_id IS NOT NULL AND s.platform_id = c.platform_id AND s.id = c.sandbox_id;
END
$$;
COMMENT ON FUNCTION theazo_internal.effect_described(theazo_data.effect[]) IS
'request, content, address and needs of effects that were just taken';

-- What a claim looks for, without statements; only the owners may call these.
CREATE OR REPLACE FUNCTION theazo_internal.effect_queue(OUT platforms text[], OUT gated boolean, OUT lanes boolean)
LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_effect_queue';
COMMENT ON FUNCTION theazo_internal.effect_queue() IS
'platforms that have something queued, whether a model call waits at its provider''s gate, and whether a delivery waits in its webhook''s lane; null where only statements can say so';

CREATE OR REPLACE FUNCTION theazo_internal.effect_gated()
RETURNS boolean LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_effect_gated';
COMMENT ON FUNCTION theazo_internal.effect_gated() IS 'does a model call wait at its provider''s gate; null where only a statement can say so';

CREATE OR REPLACE FUNCTION theazo_internal.effect_take(
	p_platforms text[], p_share integer, p_most integer, p_now timestamptz, p_lease timestamptz, p_slot integer, p_incarnation bigint,
	p_kinds text[], p_adapters text[],
	OUT noops theazo_data.effect[], OUT models theazo_data.effect[], OUT others theazo_data.effect[], OUT n integer)
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_effect_take';
COMMENT ON FUNCTION theazo_internal.effect_take(text[], integer, integer, timestamptz, timestamptz, integer, bigint, text[], text[]) IS
'takes due effects, the oldest first: claimed, or held where kind or adapter are not known; n is null where only a statement can do it';

-- A call that was taken and is refused by the claim itself: it is settled as failed by whoever took it, and has not left should
-- that one die before. Whatever takes it next, or ends it, takes the mark away.
CREATE OR REPLACE FUNCTION theazo_internal.effect_unsent(e theazo_data.effect)
RETURNS void
LANGUAGE sql
AS $$
	UPDATE theazo_data.effect x SET held_reason = 'refused'
	 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.id = e.id AND x.state = 'claimed'
$$;
COMMENT ON FUNCTION theazo_internal.effect_unsent(theazo_data.effect) IS 'marks a call as refused by its claim, so that recovery knows that it never left';

-- Fair: every platform with due work gets an equal share of the batch, what is left over goes round again.
-- The planner must not be clever here: without statistics it would read whole partitions.
CREATE OR REPLACE FUNCTION theazo_internal.effect_claim(p_slot integer, p_incarnation bigint, p_max integer, p_lease interval)
RETURNS TABLE (
	platform_id text, root_id text, id text, kind text, adapter text, contract smallint, step smallint, attempt integer,
	timeout_ms integer, deadline timestamptz, run_id text, session_id text, agent_id text, sandbox_id text,
	request jsonb, content bytea, step_state jsonb, endpoint jsonb, needs_secrets boolean, trace text, refusal jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	l			theazo_data.run_loop;
	v_tokens	integer;
	v_now		timestamptz := clock_timestamp();
	v_lease		timestamptz := clock_timestamp() + p_lease;
	v_instance	text := theazo_internal.instance();
	v_kinds		text[] := theazo_internal.effect_kind_names();
	v_adapters	text[] := theazo_internal.effect_adapter_names();
	v_platforms	text[];
	v_noops		theazo_data.effect[];
	v_models	theazo_data.effect[];
	v_others	theazo_data.effect[];
	v_held		text[];
	v_run		theazo_data.run;
	c			theazo_data.effect;
	v_gated		boolean;
	v_lanes		boolean;
	v_left		integer := least(greatest(p_max, 0), 10000);
	v_share		integer;
	v_turns		jsonb;
	v_tids		tid[];
	v_owners	text[];
	v_roots		text[];
	v_ids		text[];
	v_n			integer;
	v_scripts	integer := 0;
BEGIN
	-- A provider that has asked for a pause is not called before it is over, also where calls were queued before.
	IF EXISTS (SELECT FROM theazo_data.provider_health h WHERE h.model <> '' AND h.open_until > v_now) THEN
		PERFORM theazo_internal.model_hold();
	END IF;
	-- Platforms with queued work: one index probe each, however many rows they have queued. The same by statements where the
	-- table is not as usual.
	SELECT q.platforms, q.gated, q.lanes INTO v_platforms, v_gated, v_lanes FROM theazo_internal.effect_queue() q;
	IF v_gated IS NULL THEN
		v_lanes := EXISTS (SELECT FROM theazo_data.effect e WHERE e.kind = 'webhook.deliver' AND e.state = 'queued' AND e.due_at = 'infinity');
		v_gated := EXISTS (SELECT FROM theazo_data.effect e WHERE e.kind = 'model.call' AND e.state = 'queued' AND e.due_at = 'infinity');
		v_platforms := ARRAY(SELECT DISTINCT e.platform_id::text FROM theazo_data.effect e WHERE e.state = 'queued');
	END IF;
	-- Calls that wait for a place at their provider, or for it to be well again.
	IF v_gated THEN
		PERFORM theazo_internal.model_gate();
	END IF;
	-- Deliveries wait in lanes of their own: for them half of the batch, and what is left of it in the end.
	IF v_lanes THEN
		v_others := theazo_internal.webhook_take(greatest(1, v_left / 2), v_now, v_lease, p_slot, p_incarnation, v_kinds, v_adapters);
		v_n := coalesce(cardinality(v_others), 0);
		v_lanes := v_n >= greatest(1, v_left / 2);
		v_left := v_left - v_n;
		RETURN QUERY SELECT d.*, NULL::jsonb FROM theazo_internal.effect_described(v_others) d WHERE v_n > 0;
	END IF;
	-- More platforms than places in the batch: chance decides, so that nobody is always last.
	IF cardinality(v_platforms) > v_left THEN
		v_platforms := ARRAY(SELECT u.x FROM unnest(v_platforms) AS u(x)
							  WHERE EXISTS (SELECT FROM theazo_data.effect e
											 WHERE e.platform_id = u.x AND e.state = 'queued' AND e.due_at <= v_now)
							  ORDER BY random() LIMIT v_left);
	END IF;

	FOR v_pass IN 1..3
	LOOP
		EXIT WHEN v_left <= 0 OR coalesce(cardinality(v_platforms), 0) = 0;
		v_share := CASE WHEN v_pass = 1 THEN greatest(1, v_left / cardinality(v_platforms)) ELSE v_left END;
		SELECT t.noops, t.models, t.others, t.n INTO v_noops, v_models, v_others, v_n
		  FROM theazo_internal.effect_take(v_platforms, v_share, v_left, v_now, v_lease, p_slot, p_incarnation, v_kinds, v_adapters) t;
		IF v_n IS NULL THEN
			-- Two statements: PostgreSQL 18 may crash where one looks a row up in its partition, at run time, after another part
			-- of it has locked a row that had changed meanwhile.
			SELECT array_agg(x.tid), array_agg(x.platform_id), array_agg(x.root_id), array_agg(x.id)
			  INTO v_tids, v_owners, v_roots, v_ids
			  FROM (SELECT y.*
					  FROM unnest(v_platforms) AS pl (platform_id)
					 CROSS JOIN LATERAL (
						SELECT e.ctid AS tid, e.platform_id::text, e.root_id::text, e.id::text
						  FROM theazo_data.effect e
						 WHERE e.platform_id = pl.platform_id AND e.state = 'queued' AND e.due_at <= v_now
						   AND e.instance = v_instance AND (e.affinity IS NULL OR e.affinity = p_slot)
						   AND NOT e.cancel_requested AND (e.deadline IS NULL OR e.deadline > v_now)
						   AND (theazo_internal.halt_of(e.platform_id, NULL, e.session_id, e.agent_id, e.run_id) IS NULL OR theazo_internal.halt_spares(e.kind))
						 ORDER BY e.due_at
						 LIMIT v_share
						   FOR UPDATE SKIP LOCKED) y
					 LIMIT v_left) x;
			WITH taken AS (
				-- What this library does not know is held, not failed: another one will know it.
				UPDATE theazo_data.effect e
				   SET state = CASE WHEN e.contract = 1 AND e.kind = ANY (v_kinds) AND e.adapter = ANY (v_adapters) THEN 'claimed' ELSE 'held' END,
					   held_reason = CASE WHEN e.contract = 1 AND e.kind = ANY (v_kinds) AND e.adapter = ANY (v_adapters) THEN NULL ELSE 'unknown kind' END,
					   attempt = e.attempt + 1, incarnation = p_incarnation, claimed_at = v_now, lease_until = v_lease,
					   affinity = CASE WHEN e.adapter = 'local' THEN p_slot ELSE e.affinity END, sent_at = NULL
				  -- By place, which the root narrows down to one partition.
				  FROM unnest(v_tids, v_owners, v_roots, v_ids) AS p (tid, platform_id, root_id, id)
				 WHERE e.ctid = p.tid AND e.platform_id = p.platform_id AND e.root_id = p.root_id AND e.id = p.id
				RETURNING e AS it, CASE WHEN e.state <> 'claimed' THEN 'held' WHEN e.kind = 'model.call' THEN 'model'
										WHEN e.adapter = 'noop' AND e.step = 0 THEN 'noop' ELSE 'other' END AS sort)
			SELECT array_agg(t.it) FILTER (WHERE t.sort = 'noop'), array_agg(t.it) FILTER (WHERE t.sort = 'model'),
				   array_agg(t.it) FILTER (WHERE t.sort = 'other'), count(*) FILTER (WHERE t.sort <> 'held'),
				   array_agg((t.it).platform_id::text) FILTER (WHERE t.sort = 'held')
			  INTO v_noops, v_models, v_others, v_n, v_held FROM taken t;
			PERFORM theazo_internal.event_write(h.owner, 'control', 'effects_held', '{"reason": "unknown kind"}', NULL, NULL, NULL, 'live')
			   FROM unnest(v_held) AS h (owner);
		END IF;
		-- A no-op carries nothing: no look at other tables. One that is made in several steps may.
		IF v_noops IS NOT NULL THEN
			RETURN QUERY
			SELECT c.platform_id::text, c.root_id::text, c.id::text, c.kind, c.adapter, c.contract, c.step, c.attempt,
				   c.timeout_ms, c.deadline, c.run_id::text, c.session_id::text, c.agent_id::text, c.sandbox_id::text,
				   '{}'::jsonb, NULL::bytea, NULL::jsonb, NULL::jsonb, false, NULL::text, NULL::jsonb
			  FROM unnest(v_noops) c;
		END IF;
		-- Code of agents needs no address and no secrets: its input lies with the run, and itself with its version.
		FOREACH c IN ARRAY coalesce(v_others, '{}')
		LOOP
			CONTINUE WHEN c.kind <> 'script.run' OR c.run_id IS NULL;
			v_run := theazo_internal.run_begin(c.platform_id, c.run_id, v_now);
			IF v_run.id IS NOT NULL THEN
				PERFORM theazo_internal.event_write(v_run.platform_id, 'execution', 'execution_started', jsonb_build_object('kind', v_run.kind),
					v_run.session_id, v_run.agent_id, v_run.id, v_run.environment);
			END IF;
			request := (theazo_internal.run_payload_read(c.platform_id, c.root_id)).input;
			RETURN QUERY VALUES (c.platform_id::text, c.root_id::text, c.id::text, c.kind, c.adapter, c.contract, c.step, c.attempt,
				c.timeout_ms, c.deadline, c.run_id::text, c.session_id::text, c.agent_id::text, c.sandbox_id::text,
				request || theazo_internal.script_code(c.platform_id, c.agent_id, request), NULL::bytea, NULL::jsonb, NULL::jsonb, false,
				'tr_' || c.root_id, NULL::jsonb);
			v_scripts := v_scripts + 1;
		END LOOP;
		IF v_scripts > 0 THEN
			v_others := CASE WHEN v_scripts < cardinality(v_others)
				THEN (SELECT array_agg(t) FROM unnest(v_others) t WHERE t.kind <> 'script.run' OR t.run_id IS NULL) END;
			v_scripts := 0;
		END IF;
		-- A sandbox that cannot be paid is not made, nor one whose provider rests or is at its ceiling, and a judge that cannot be paid not asked.
		IF v_others IS NOT NULL AND EXISTS (SELECT FROM unnest(v_others) t WHERE t.kind IN ('compute.create', 'safety.judge', 'webhook.deliver')) THEN
			v_others := theazo_internal.webhook_turn(v_others);
			SELECT coalesce(jsonb_object_agg(t.id, t.refusal), '{}') INTO v_turns FROM theazo_internal.compute_turn(v_others) t;
			FOREACH c IN ARRAY coalesce(v_others, '{}')
			LOOP
				CONTINUE WHEN c.kind NOT IN ('compute.create', 'safety.judge');
				refusal := CASE WHEN c.kind = 'safety.judge' THEN theazo_internal.budget_judge(c)
								WHEN NOT v_turns ? c.id THEN theazo_internal.budget_create(c)
								WHEN v_turns -> c.id ->> 'code' = 'busy' THEN theazo_internal.budget_put_off(c)
								ELSE v_turns -> c.id END;
				CONTINUE WHEN refusal IS NULL;
				v_others := ARRAY(SELECT t FROM unnest(v_others) t WHERE t.id <> c.id);
				CONTINUE WHEN refusal ->> 'code' = 'busy';
				PERFORM theazo_internal.effect_unsent(c);
				RETURN QUERY
				SELECT c.platform_id::text, c.root_id::text, c.id::text, c.kind, c.adapter, c.contract, c.step, c.attempt,
					   c.timeout_ms, c.deadline, c.run_id::text, c.session_id::text, c.agent_id::text, c.sandbox_id::text,
					   '{}'::jsonb, NULL::bytea, NULL::jsonb, NULL::jsonb, false, NULL::text, refusal;
			END LOOP;
		END IF;
		IF v_others IS NOT NULL THEN
			FOR v_run IN
				UPDATE theazo_data.run r
				   SET status = 'running', started_at = coalesce(r.started_at, v_now)
				  FROM unnest(v_others) t
				 WHERE t.run_id IS NOT NULL AND r.platform_id = t.platform_id AND r.id = t.run_id AND r.status = 'queued'
				RETURNING r.*
			LOOP
				PERFORM theazo_internal.event_write(v_run.platform_id, 'execution', 'execution_started', jsonb_build_object('kind', v_run.kind),
					v_run.session_id, v_run.agent_id, v_run.id, v_run.environment);
			END LOOP;
			RETURN QUERY SELECT d.*, NULL::jsonb FROM theazo_internal.effect_described(v_others) d;
		END IF;
		-- What a model is asked is made now, from the history as it stands.
		FOREACH c IN ARRAY coalesce(v_models, '{}')
		LOOP
			platform_id := c.platform_id;
			root_id := c.root_id;
			id := c.id;
			kind := c.kind;
			adapter := c.adapter;
			contract := c.contract;
			step := c.step;
			attempt := c.attempt;
			timeout_ms := c.timeout_ms;
			deadline := c.deadline;
			run_id := c.run_id;
			session_id := c.session_id;
			agent_id := c.agent_id;
			v_tokens := NULL;
			refusal := NULL;
			SELECT x.* INTO l FROM theazo_data.run_loop x
			 WHERE x.platform_id = c.platform_id AND x.root_id = c.root_id
			   AND (x.cost_cap IS NOT NULL OR x.parent_root IS NOT NULL OR theazo_internal.budget_limited(c.platform_id, c.session_id));
			IF FOUND THEN
				SELECT b.max_tokens, b.refusal INTO v_tokens, refusal FROM theazo_internal.budget_reserve(c, l) b;
				-- Back in the queue.
				CONTINUE WHEN refusal ->> 'code' = 'busy';
				IF refusal IS NOT NULL THEN
					PERFORM theazo_internal.effect_unsent(c);
				END IF;
			END IF;
			SELECT m.request, m.content INTO request, content FROM theazo_internal.model_request(c.platform_id, c.root_id) m;
			IF v_tokens IS NOT NULL THEN
				request := request || jsonb_build_object('max_tokens', v_tokens);
			END IF;
			endpoint := theazo_internal.model_endpoint(c.platform_id, c.root_id);
			needs_secrets := coalesce(endpoint ->> 'credential_ref' IS NOT NULL, false);
			trace := 'tr_' || c.root_id;
			RETURN NEXT;
		END LOOP;
		v_left := v_left - v_n;
		EXIT WHEN v_n = 0 OR cardinality(v_platforms) = 1;
	END LOOP;
	IF v_lanes AND v_left > 0 THEN
		RETURN QUERY SELECT d.*, NULL::jsonb
		  FROM theazo_internal.effect_described(theazo_internal.webhook_take(v_left, v_now, v_lease, p_slot, p_incarnation, v_kinds, v_adapters)) d;
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.effect_claim(integer, bigint, integer, interval) IS
'takes due effects for a dispatcher, an equal share of each platform; its commit is the intent to send';

-- p_programs: of agents, too; whoever has no place for one waits for a place, not for them.
CREATE OR REPLACE FUNCTION theazo_internal.effect_next_due(p_slot integer, p_programs boolean DEFAULT true)
RETURNS timestamptz
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	v_instance	text := theazo_internal.instance();
	v_due		timestamptz;
BEGIN
	WITH RECURSIVE p (platform_id) AS (
		(SELECT e.platform_id FROM theazo_data.effect e WHERE e.state = 'queued' ORDER BY e.platform_id LIMIT 1)
		UNION ALL
		SELECT (SELECT e.platform_id FROM theazo_data.effect e
				 WHERE e.state = 'queued' AND e.platform_id > p.platform_id ORDER BY e.platform_id LIMIT 1)
		  FROM p WHERE p.platform_id IS NOT NULL)
	SELECT min((SELECT e.due_at FROM theazo_data.effect e
				 WHERE e.platform_id = p.platform_id AND e.state = 'queued' AND e.due_at < 'infinity'
				   AND e.instance = v_instance AND (e.affinity IS NULL OR e.affinity = p_slot)
				   AND NOT e.cancel_requested AND (e.deadline IS NULL OR e.deadline > clock_timestamp())
				   AND (p_programs OR e.kind <> 'script.run')
				 ORDER BY e.due_at LIMIT 1)) INTO v_due
	  FROM p WHERE p.platform_id IS NOT NULL;
	-- A provider of models whose rest is over lets the next call through.
	RETURN least(v_due, (SELECT min(h.open_until) FROM theazo_data.provider_health h WHERE h.open_until > clock_timestamp()));
END
$$;
COMMENT ON FUNCTION theazo_internal.effect_next_due(integer, boolean) IS 'when the next queued effect of this dispatcher is due, or null';

-- Which of these calls are still this worker's to send: a worker that was stopped past its lease asks first.
CREATE OR REPLACE FUNCTION theazo_internal.effect_verify(p_incarnation bigint, p_root_ids text[], p_ids text[], p_attempts integer[])
RETURNS TABLE (ord integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_nestloop = off
AS $$
BEGIN
	RETURN QUERY
		SELECT d.ord::integer
		  FROM unnest(p_root_ids, p_ids, p_attempts) WITH ORDINALITY AS d (root_id, id, attempt, ord)
		 WHERE EXISTS (SELECT FROM theazo_data.effect e
						WHERE e.incarnation = p_incarnation AND e.state IN ('claimed', 'sent')
						  AND e.root_id = d.root_id AND e.id = d.id AND e.attempt = d.attempt
						  AND NOT e.cancel_requested);
END
$$;
COMMENT ON FUNCTION theazo_internal.effect_verify(bigint, text[], text[], integer[]) IS
'positions of the calls that are still this attempt''s to send';

CREATE OR REPLACE FUNCTION theazo_internal.effect_sent(p_root_ids text[], p_ids text[], p_attempts integer[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_nestloop = off
AS $$
BEGIN
	UPDATE theazo_data.effect e
	   SET state = 'sent', sent_at = clock_timestamp()
	  FROM unnest(p_root_ids, p_ids, p_attempts) AS d (root_id, id, attempt)
	 WHERE e.root_id = d.root_id AND e.id = d.id AND e.attempt = d.attempt AND e.state = 'claimed'
	   AND e.incarnation IS NOT NULL;
END
$$;
COMMENT ON FUNCTION theazo_internal.effect_sent(text[], text[], integer[]) IS 'marks calls that are still in flight after a turn';

CREATE OR REPLACE FUNCTION theazo_internal.effect_cancels(p_incarnation bigint)
RETURNS TABLE (root_id text, id text, attempt integer)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
	SELECT e.root_id::text, e.id::text, e.attempt FROM theazo_data.effect e
	 WHERE e.incarnation = p_incarnation AND e.state IN ('claimed', 'sent') AND e.cancel_requested
$$;
COMMENT ON FUNCTION theazo_internal.effect_cancels(bigint) IS 'calls in flight of this dispatcher that must be cut';
