-- provider_test.sql: does a compute provider work? A sandbox is made, a command runs in it, and it is destroyed: the way of every other
-- sandbox, without an agent. What came of it stays with the entry.
--
-- The effects of one test carry its id (pvt_) where others carry that of a sandbox, and in their request what the next one needs. Nothing
-- is charged. Should everything die in between, the sandbox ends by itself: it is asked to live for two minutes.

CREATE OR REPLACE FUNCTION theazo_internal.provider_tests(p_sandbox text)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	RETURN coalesce(p_sandbox OPERATOR(pg_catalog.~~) 'pvt\_%', false);
END
$$;
COMMENT ON FUNCTION theazo_internal.provider_tests(text) IS 'is this, where an effect names its sandbox, the test of a provider';

-- Is a test under way? One whose effects were lost does not hold up others for ever.
CREATE OR REPLACE FUNCTION theazo_internal.provider_testing(p_tested jsonb)
RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	RETURN coalesce(p_tested ->> 'status' = 'running' AND (p_tested ->> 'at')::timestamptz > clock_timestamp() - '5 minutes'::interval, false);
END
$$;
COMMENT ON FUNCTION theazo_internal.provider_testing(jsonb) IS 'is a test of a provider under way';

-- The caller has checked who asks.
CREATE OR REPLACE FUNCTION theazo_internal.provider_test_begin(p_owner text, p_name text, p_environment text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v			theazo_data.provider;
	v_test		jsonb;
	v_refusal	jsonb;
BEGIN
	SELECT * INTO v FROM theazo_data.provider x WHERE x.platform_id = p_owner AND x.kind = 'compute' AND x.name = p_name FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('compute provider', p_name);
	ELSIF theazo_internal.provider_testing(v.tested) THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ103', MESSAGE = format('provider %s is being tested', theazo_internal.quoted(p_name)),
			HINT = 'Its column tested says when the test is over.';
	ELSIF NOT theazo_internal.compute_carried(v.type) THEN
		PERFORM theazo_internal.event_refused(p_owner, 'execution', 'capability_refused',
			jsonb_build_object('code', 'TZ406', 'provider', p_name, 'op', 'create'), p_environment => p_environment, p_rule => 'unsupported');
		RAISE EXCEPTION USING ERRCODE = 'TZ406', MESSAGE = format('this version has no adapter for compute of type "%s"', v.type),
			HINT = 'theazo.compute_capabilities shows what there is.';
	END IF;
	v_test := jsonb_build_object('id', theazo_internal.id_new('pvt'), 'owner', p_owner, 'name', p_name, 'environment', p_environment);
	v_refusal := theazo_internal.gate('compute.create', p_owner, p_environment, NULL, NULL, NULL, NULL, NULL, NULL, p_name);
	IF v_refusal ? 'sqlstate' THEN
		PERFORM theazo_internal.gate_raise(v_refusal, 'compute.create', p_owner, p_environment, NULL, NULL, NULL);
	END IF;
	UPDATE theazo_data.provider x
	   SET tested = jsonb_build_object('id', v_test -> 'id', 'status', 'running', 'at', clock_timestamp(), 'ms', '{}'::jsonb)
	 WHERE x.platform_id = p_owner AND x.kind = 'compute' AND x.name = p_name;
	PERFORM theazo_internal.effect_enqueue(
		p_owner, NULL, 'compute.create', v.type,
		jsonb_build_object('runtime', 'python', 'tag', v_test -> 'id', 'lifetime_s', 120, 'env', '{}'::jsonb,
			'network', '{"enabled": false, "allow": []}'::jsonb, 'limits', '{}'::jsonb, 'test', v_test),
		p_sandbox => v_test ->> 'id', p_timeout_ms => 60000, p_deadline => clock_timestamp() + '2 minutes'::interval,
		p_provider => CASE WHEN p_owner <> theazo_internal.operator_platform() THEN p_name WHEN v.type <> 'local' THEN 'theazo:' || p_name END);
	PERFORM theazo_internal.event_write(p_owner, 'control', 'provider_test_started',
		jsonb_build_object('kind', 'compute', 'name', p_name, 'test', v_test -> 'id'), NULL, NULL, NULL, p_environment);
END
$$;
COMMENT ON FUNCTION theazo_internal.provider_test_begin(text, text, text) IS 'begins the test of a compute provider of a platform, or of the operator';

CREATE OR REPLACE FUNCTION theazo.provider_test(name text, api_key text DEFAULT NULL)
RETURNS theazo.providers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'provider:write');
	PERFORM theazo_internal.shared_change_check('a provider');
	PERFORM theazo_internal.provider_test_begin(theazo_internal.current_platform(), name, theazo_internal.current_environment());
	RETURN theazo_internal.provider_shown('compute', name);
END $$;
COMMENT ON FUNCTION theazo.provider_test(text, text) IS
'tries a compute provider after the commit: a sandbox is made, a command runs in it, and it is destroyed; tested of theazo.providers says what came of it';

CREATE OR REPLACE FUNCTION theazo.operator_provider_test(name text)
RETURNS theazo.operator_providers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result theazo.operator_providers;
BEGIN
	PERFORM theazo_internal.enter_operator();
	PERFORM theazo_internal.provider_test_begin(theazo_internal.operator_platform(), name, 'live');
	SELECT * INTO STRICT result FROM theazo.operator_providers p WHERE p.kind = 'compute' AND p.name = operator_provider_test.name;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.operator_provider_test(text) IS
'operator: tries a managed compute account after the commit; tested of theazo.operator_providers says what came of it';

-- What a step has found goes to the entry, unless that is another one by now.
CREATE OR REPLACE FUNCTION theazo_internal.provider_test_note(p_test jsonb, p_more jsonb, p_step text, p_ms bigint)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE theazo_data.provider x
	   SET tested = CASE WHEN p_ms IS NULL THEN x.tested ELSE jsonb_set(x.tested, ARRAY['ms', p_step], to_jsonb(p_ms)) END || p_more
	 WHERE x.platform_id = p_test ->> 'owner' AND x.kind = 'compute' AND x.name = p_test ->> 'name' AND x.tested ->> 'id' = p_test ->> 'id';
END
$$;
COMMENT ON FUNCTION theazo_internal.provider_test_note(jsonb, jsonb, text, bigint) IS 'stores what a step of the test of a provider has found';

-- The test is over: with an error it has failed.
CREATE OR REPLACE FUNCTION theazo_internal.provider_test_end(p_test jsonb, p_error jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_status	text := CASE WHEN p_error IS NULL THEN 'passed' ELSE 'failed' END;
BEGIN
	PERFORM theazo_internal.provider_test_note(p_test,
		jsonb_strip_nulls(jsonb_build_object('status', v_status, 'finished', clock_timestamp(), 'error', p_error)), NULL, NULL);
	PERFORM theazo_internal.event_write(p_test ->> 'owner', 'control', 'provider_tested',
		jsonb_strip_nulls(jsonb_build_object('kind', 'compute', 'name', p_test -> 'name', 'test', p_test -> 'id', 'status', v_status,
			'step', p_error -> 'step', 'code', p_error -> 'sqlstate', 'error', theazo_internal.mask_left(p_error ->> 'message', 200))),
		NULL, NULL, NULL, p_test ->> 'environment');
	IF p_error IS NOT NULL THEN
		PERFORM theazo_internal.log_write(p_test ->> 'owner', NULL, 'warn', 'provider',
			format('test of provider "%s" failed at %s: %s', p_test ->> 'name', p_error ->> 'step', p_error ->> 'message'),
			p_test ->> 'environment', p_provider => p_test ->> 'name');
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.provider_test_end(jsonb, jsonb) IS 'ends the test of a provider';

-- One step has ended; the next one is queued.
CREATE OR REPLACE FUNCTION theazo_internal.provider_test_settle(
	e theazo_data.effect, p_state text, p_result jsonb, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_op		text := split_part(e.kind, '.', 2);
	v_request	jsonb;
	v_test		jsonb;
	v_error		jsonb;
	v_refusal	jsonb;
	v_box		text;
BEGIN
	SELECT p.request INTO v_request FROM theazo_data.effect_payload p
	 WHERE p.platform_id = e.platform_id AND p.root_id = e.root_id AND p.id = e.id;
	v_test := v_request -> 'test';
	v_box := CASE v_op WHEN 'create' THEN CASE WHEN p_state = 'done' THEN p_result ->> 'sandbox' END ELSE v_request ->> 'sandbox' END;
	IF p_state <> 'done' THEN
		v_error := p_result;
	ELSIF v_op = 'exec' AND (p_result ->> 'exit_code' IS DISTINCT FROM '0' OR rtrim(p_result ->> 'stdout', E'\r\n') IS DISTINCT FROM v_test ->> 'id') THEN
		v_error := jsonb_build_object('sqlstate', 'TZ404', 'message', format('the command ended with %s and did not print what it was told to',
			coalesce(p_result ->> 'exit_code', 'nothing')), 'hint', 'Sandboxes need a POSIX shell as sh.');
	END IF;
	IF v_error IS NOT NULL THEN
		v_error := jsonb_strip_nulls(jsonb_build_object('step', v_op, 'sqlstate', coalesce(v_error ->> 'sqlstate', 'TZ402'),
			'message', left(theazo_internal.text_mask(coalesce(v_error ->> 'message', p_state)), 500), 'hint', theazo_internal.mask_left(v_error ->> 'hint', 500)));
	END IF;
	PERFORM theazo_internal.provider_test_note(v_test, '{}', v_op,
		CASE WHEN p_started IS NOT NULL THEN round(extract(epoch FROM p_finished - p_started) * 1000)::bigint END);
	IF v_op = 'create' AND v_error IS NULL THEN
		v_refusal := theazo_internal.gate('compute.exec', e.platform_id, v_test ->> 'environment', NULL, NULL, NULL, NULL, NULL, NULL, v_test ->> 'name');
		IF v_refusal ? 'sqlstate' THEN
			v_error := jsonb_build_object('step', 'exec', 'sqlstate', v_refusal -> 'sqlstate', 'message', v_refusal -> 'message');
		ELSE
			PERFORM theazo_internal.effect_enqueue(e.platform_id, NULL, 'compute.exec', e.adapter,
				jsonb_build_object('sandbox', v_box, 'language', 'sh', 'code', format('echo %s', v_test ->> 'id'), 'timeout_ms', 20000,
					'env', '{}'::jsonb, 'max_output', 65536, 'test', v_test),
				p_sandbox => e.sandbox_id, p_provider => e.provider_name, p_timeout_ms => 25000, p_deadline => clock_timestamp() + '1 minute'::interval,
				p_affinity => CASE WHEN e.adapter = 'local' THEN e.affinity END);
			RETURN;
		END IF;
	END IF;
	-- Whatever was found, what was made goes.
	IF v_op <> 'destroy' AND v_box IS NOT NULL THEN
		PERFORM theazo_internal.effect_enqueue(e.platform_id, NULL, 'compute.destroy', e.adapter,
			jsonb_build_object('sandbox', v_box, 'test', v_test || jsonb_strip_nulls(jsonb_build_object('error', v_error))),
			p_sandbox => e.sandbox_id, p_provider => e.provider_name, p_max_attempts => 5,
			p_affinity => CASE WHEN e.adapter = 'local' THEN e.affinity END);
		RETURN;
	END IF;
	PERFORM theazo_internal.provider_test_end(v_test - 'error', coalesce(v_test -> 'error', v_error));
END
$$;
COMMENT ON FUNCTION theazo_internal.provider_test_settle(theazo_data.effect, text, jsonb, timestamptz, timestamptz) IS
'the end of one step of the test of a provider: the next one, or the verdict';
