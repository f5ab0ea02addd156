-- script.sql: programs of agents, as the engine carries them out: what a program asks of its host, and what came of it.

-- Judges what programs ask for, in the dispatcher's transaction. In: an array of {platform, root, effect, run, session, agent, slot,
-- execution, call, fn, args, at, deadline}. Out, in the same order: {"ok": value}, {"error": {name, code, message}}, or {"effect": id} of a
-- request that was queued and whose outcome is the answer. A refusal is an answer and never an error.
CREATE OR REPLACE FUNCTION theazo_internal.host_calls(p_calls jsonb)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
BEGIN
	RETURN (SELECT jsonb_agg(jsonb_build_object('error', jsonb_build_object('name', 'HostError', 'code', 'UNKNOWN_FUNCTION',
				'message', format('thetazero.%s is not known', c.it ->> 'fn'))) ORDER BY c.ord)
			  FROM jsonb_array_elements(p_calls) WITH ORDINALITY AS c (it, ord));
END
$$;
COMMENT ON FUNCTION theazo_internal.host_calls(jsonb) IS 'judges and carries out what running programs ask of their host';

-- A request of a program has ended.
CREATE OR REPLACE FUNCTION theazo_internal.host_called(
	e theazo_data.effect, p_state text, p_result jsonb, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	UPDATE theazo_data.effect_payload x SET result = p_result
	 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.id = e.id;
END
$$;
COMMENT ON FUNCTION theazo_internal.host_called(theazo_data.effect, text, jsonb, timestamptz, timestamptz) IS
'what the end of a request of a program means for its record';

CREATE OR REPLACE FUNCTION theazo_internal.script_settle(
	e theazo_data.effect, p_state text, p_result jsonb, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	UPDATE theazo_data.effect_payload x SET result = p_result
	 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.id = e.id;
END
$$;
COMMENT ON FUNCTION theazo_internal.script_settle(theazo_data.effect, text, jsonb, timestamptz, timestamptz) IS
'what the end of a program means for its execution';
