-- anchor.sql: where the roots of the audit trail go: settings of the operator, and what everybody sees of it.
--
-- Each round (anchor_round.sql) takes one root out of the database; an anchor is a place that keeps it where
-- nobody here can change it: a time-stamp authority, a chain, a file on another's storage.

-- ---------------------------------------------------------------------------------------
-- what is seen

-- The newest round that is confirmed somewhere and has a checkpoint of this platform.
CREATE OR REPLACE FUNCTION theazo_internal.anchor_latest(p_platform text)
RETURNS TABLE (tree_size bigint, round_id text, name text, kind text, confirmed_at timestamptz, age interval, tx_hash text, evidence jsonb)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT l.tree_size, l.round_id::text, a.name, a.kind, a.confirmed_at, clock_timestamp() - a.confirmed_at,
		   a.evidence ->> 'tx_hash', a.evidence
	  FROM theazo_data.audit_round_leaf l
	  JOIN theazo_data.audit_anchor a ON a.platform_id = theazo_internal.operator_platform() AND a.round_id = l.round_id
	 WHERE l.platform_id = p_platform
	 -- A transaction first among those that say the same: it can be looked up by anybody.
	 ORDER BY l.tree_size DESC, a.kind = 'evm' DESC, a.confirmed_at DESC, a.name
	 LIMIT 1
$$;
COMMENT ON FUNCTION theazo_internal.anchor_latest(text) IS
'the last confirmed anchor of a platform: up to which sequence number, where, and how old it is; no row when there is none';

CREATE OR REPLACE VIEW theazo.audit_anchors WITH (security_barrier) AS
	SELECT c.tree_size, c.signed_at, l.round_id, r.created_at AS round_at, l.index AS round_index, r.size AS round_size, r.root AS round_root,
		   a.name, a.kind, a.confirmed_at, clock_timestamp() - a.confirmed_at AS age, a.evidence ->> 'tx_hash' AS tx_hash, a.evidence, a.token
	  FROM theazo_data.audit_checkpoint c
	  LEFT JOIN theazo_data.audit_round_leaf l ON l.platform_id = c.platform_id AND l.tree_size = c.tree_size
	  LEFT JOIN theazo_data.audit_round r ON r.platform_id = theazo_internal.operator_platform() AND r.id = l.round_id
	  LEFT JOIN theazo_data.audit_anchor a ON a.platform_id = theazo_internal.operator_platform() AND a.round_id = l.round_id
	 WHERE (SELECT theazo_internal.may_read('event:read'));
COMMENT ON VIEW theazo.audit_anchors IS
'signed checkpoints of the platform, the rounds they went into and where those are anchored; without a confirmed anchor confirmed_at is null';

CREATE OR REPLACE VIEW theazo.operator_anchors WITH (security_barrier) AS
	SELECT n.name, n.kind, n.config, n.credential_ref,
		   CASE WHEN n.instance <> theazo_internal.instance() THEN 'held: came from another instance'
				WHEN n.failing_since IS NOT NULL THEN 'failing'
				WHEN o.state = 'sending' THEN 'sending'
				WHEN o.state = 'waiting' THEN 'waiting'
				ELSE 'idle' END AS state,
		   c.round_id AS last_round, c.confirmed_at AS last_confirmed_at, clock_timestamp() - c.confirmed_at AS age,
		   c.evidence AS last_evidence, o.round_id AS open_round, o.tries AS open_tries, o.due_at AS next_try_at,
		   n.failing_since, n.error, n.created_at, n.updated_at
	  FROM theazo_data.anchor n
	  LEFT JOIN LATERAL (
			SELECT a.round_id, a.confirmed_at, a.evidence FROM theazo_data.audit_anchor a
			 WHERE a.platform_id = n.platform_id AND a.name = n.name ORDER BY a.round_id DESC LIMIT 1) c ON true
	  LEFT JOIN LATERAL (
			SELECT t.* FROM theazo_data.anchor_attempt t
			 WHERE t.platform_id = n.platform_id AND t.name = n.name AND t.state IN ('waiting', 'sending')
			 ORDER BY t.state = 'sending' DESC, t.round_id DESC LIMIT 1) o ON true
	 WHERE n.platform_id = theazo_internal.operator_platform();
COMMENT ON VIEW theazo.operator_anchors IS
'operator: where roots of the audit trail go, how old the last confirmed one is, and what keeps the next from being confirmed';

-- ---------------------------------------------------------------------------------------
-- settings

CREATE OR REPLACE FUNCTION theazo_internal.anchor_directory_fault()
RETURNS text LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'theazo_anchor_directory_fault';
COMMENT ON FUNCTION theazo_internal.anchor_directory_fault() IS 'why files cannot be anchors here, or null';

CREATE OR REPLACE FUNCTION theazo_internal.anchor_address_check(p_field text, p_value jsonb)
RETURNS text LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_text text := theazo_internal.text_check(p_field, p_value, 42);
BEGIN
	IF v_text !~ '^0x[0-9a-fA-F]{40}$' THEN
		PERFORM theazo_internal.raise_value(p_field, 'is no address', 'An address is 0x and 40 hex digits.');
	END IF;
	RETURN lower(v_text);
END
$$;
COMMENT ON FUNCTION theazo_internal.anchor_address_check(text, jsonb) IS 'an account of an EVM chain; returns it in lower case';

CREATE OR REPLACE FUNCTION theazo_internal.anchor_evm_check(p_config jsonb)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_out jsonb;
BEGIN
	v_out := jsonb_build_object(
		'chain_id', theazo_internal.integer_check('config.chain_id', p_config -> 'chain_id', 1, 9007199254740991),
		'from', theazo_internal.anchor_address_check('config.from', p_config -> 'from'),
		'confirmations', theazo_internal.integer_check('config.confirmations', coalesce(p_config -> 'confirmations', '12'), 1, 10000),
		'poll_ms', theazo_internal.integer_check('config.poll_ms', coalesce(p_config -> 'poll_ms', '5000'), 100, 600000),
		'resend_ms', theazo_internal.integer_check('config.resend_ms', coalesce(p_config -> 'resend_ms', '180000'), 1000, 86400000));
	IF p_config ? 'to' THEN
		v_out := v_out || jsonb_build_object('to', theazo_internal.anchor_address_check('config.to', p_config -> 'to'));
	END IF;
	IF p_config ? 'gas' THEN
		v_out := v_out || jsonb_build_object('gas', theazo_internal.integer_check('config.gas', p_config -> 'gas', 21000, 30000000));
	END IF;
	IF p_config ? 'max_gas_price' THEN
		IF NOT coalesce(p_config ->> 'max_gas_price' ~ '^[0-9]{1,18}$', false) THEN
			PERFORM theazo_internal.raise_value('config.max_gas_price', 'must be a number of wei', 'Give at most 18 digits.');
		END IF;
		v_out := v_out || jsonb_build_object('max_gas_price', p_config ->> 'max_gas_price');
	END IF;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo_internal.anchor_evm_check(jsonb) IS 'settings of an anchor on an EVM chain, with defaults in their places';

CREATE OR REPLACE FUNCTION theazo_internal.anchor_config_check(p_name text, p_kind text, p_config jsonb)
RETURNS jsonb LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_out	jsonb := '{}';
	v_text	text;
BEGIN
	p_config := theazo_internal.object_check('config', p_config, 300000, CASE p_kind
		WHEN 'rfc3161' THEN ARRAY['url', 'ca']
		WHEN 'evm' THEN ARRAY['url', 'chain_id', 'from', 'to', 'gas', 'max_gas_price', 'confirmations', 'poll_ms', 'resend_ms']
		ELSE ARRAY['file'] END);
	IF p_kind <> 'file' THEN
		v_out := jsonb_build_object('url', theazo_internal.endpoint_check('config.url',
			theazo_internal.text_check('config.url', p_config -> 'url', 2048), true));
	END IF;
	IF p_kind = 'rfc3161' THEN
		-- Without it a stamp of anybody's would be taken.
		v_text := theazo_internal.text_check('config.ca', p_config -> 'ca', 262144);
		IF v_text !~ '-----BEGIN CERTIFICATE-----' THEN
			PERFORM theazo_internal.raise_value('config.ca', 'holds no certificate', 'Give the authority''s root certificates as PEM text.');
		END IF;
		RETURN v_out || jsonb_build_object('ca', v_text);
	ELSIF p_kind = 'evm' THEN
		RETURN v_out || theazo_internal.anchor_evm_check(p_config);
	END IF;
	v_text := coalesce(p_config ->> 'file', p_name || '.log');
	IF v_text !~ '^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$' THEN
		PERFORM theazo_internal.raise_value('config.file', 'is no usable name',
			'Give the name of a file in theazo.anchor_directory: letters, digits, dots, dashes and underscores.');
	END IF;
	IF theazo_internal.anchor_directory_fault() IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = '55000',
			MESSAGE = theazo_internal.anchor_directory_fault(),
			HINT = 'Set theazo.anchor_directory to a directory outside the data directory that the server may write to, and reload.';
	END IF;
	RETURN v_out || jsonb_build_object('file', v_text);
END
$$;
COMMENT ON FUNCTION theazo_internal.anchor_config_check(text, text, jsonb) IS 'settings of an anchor by its kind, with defaults in their places';

-- Two anchors must not share a place: nonces of one account and lines of one file have one writer.
CREATE OR REPLACE FUNCTION theazo_internal.anchor_place_check(p_name text, p_kind text, p_config jsonb)
RETURNS void LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_other text;
BEGIN
	SELECT n.name INTO v_other FROM theazo_data.anchor n
	 WHERE n.platform_id = theazo_internal.operator_platform() AND n.name <> p_name AND n.kind = p_kind
	   AND CASE p_kind WHEN 'evm' THEN n.config -> 'chain_id' = p_config -> 'chain_id' AND n.config -> 'from' = p_config -> 'from'
					   WHEN 'file' THEN n.config -> 'file' = p_config -> 'file' ELSE false END
	 LIMIT 1;
	IF FOUND THEN
		PERFORM theazo_internal.raise_value('config', format('names the same %s as anchor %s',
			CASE p_kind WHEN 'evm' THEN 'account' ELSE 'file' END, theazo_internal.quoted(v_other)), 'Give each anchor its own.');
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.anchor_place_check(text, text, jsonb) IS 'refuses an account or a file that another anchor writes to';

-- What is under way to an anchor is given up; what has left stays where it went.
CREATE OR REPLACE FUNCTION theazo_internal.anchor_abandon(p_name text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_here	text := theazo_internal.operator_platform();
	v_ids	text[];
BEGIN
	WITH given_up AS (
		UPDATE theazo_data.anchor_attempt t SET state = 'abandoned', updated_at = clock_timestamp()
		 WHERE t.platform_id = v_here AND t.name = p_name AND t.state IN ('waiting', 'sending')
		RETURNING t.effect_id)
	SELECT array_agg(g.effect_id::text) INTO v_ids FROM given_up g WHERE g.effect_id IS NOT NULL;
	UPDATE theazo_data.effect e SET cancel_requested = true
	 WHERE e.platform_id = v_here AND e.id = ANY (v_ids) AND e.root_id = ANY (ARRAY(SELECT substr(u.x, 5) FROM unnest(v_ids) AS u(x)))
	   AND e.state IN ('queued', 'claimed', 'sent', 'held');
	IF FOUND THEN
		PERFORM theazo_internal.wake_cancel();
		PERFORM theazo_internal.wake_keeper();
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.anchor_abandon(text) IS 'gives up what is under way to an anchor';

-- The next turn of the keeper makes a round if anything is not anchored, and tries again what failed.
CREATE OR REPLACE FUNCTION theazo_internal.anchor_ask()
RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO theazo_data.anchor_clock AS c (platform_id, looked_at, asked_at)
	VALUES (theazo_internal.operator_platform_ready(), '-infinity', clock_timestamp())
	ON CONFLICT ON CONSTRAINT anchor_clock_pkey DO UPDATE SET asked_at = clock_timestamp();
	PERFORM theazo_internal.wake_keeper();
END
$$;
COMMENT ON FUNCTION theazo_internal.anchor_ask() IS 'has the keeper make a round now';

CREATE OR REPLACE FUNCTION theazo.operator_anchor_set(name text, kind text, config jsonb DEFAULT '{}', credential text DEFAULT NULL)
RETURNS theazo.operator_anchors LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	here	text;
	was		theazo_data.anchor;
	result	theazo.operator_anchors;
BEGIN
	PERFORM theazo_internal.enter_operator();
	IF NOT coalesce(name ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$', false) THEN
		PERFORM theazo_internal.raise_value('name', 'is no usable name', 'Use letters, digits, dots, dashes and underscores, at most 64.');
	END IF;
	PERFORM theazo_internal.one_of('kind', kind, 'rfc3161', 'evm', 'file');
	config := theazo_internal.anchor_config_check(name, kind, config);
	here := theazo_internal.operator_platform_ready();
	IF credential IS NOT NULL THEN
		IF kind = 'file' THEN
			PERFORM theazo_internal.raise_value('credential', 'does not go with a file');
		END IF;
		-- the share lock keeps a delete of the secret from passing this check
		PERFORM 1 FROM theazo_data.secret s WHERE s.platform_id = here AND s.session_id = '' AND s.name = credential FOR SHARE;
		IF NOT FOUND THEN
			PERFORM theazo_internal.raise_value('credential', format('names no stored secret: %s', theazo_internal.quoted(credential)),
				'Store it first with theazo.operator_secret_set().');
		END IF;
	END IF;
	PERFORM 1 FROM theazo_data.platform p WHERE p.platform_id = here FOR UPDATE;
	PERFORM theazo_internal.anchor_place_check(name, kind, config);
	SELECT * INTO was FROM theazo_data.anchor n WHERE n.platform_id = here AND n.name = operator_anchor_set.name FOR UPDATE;
	-- What was begun elsewhere cannot be ended here.
	IF was.name IS NOT NULL AND (was.kind <> kind OR was.config -> 'from' IS DISTINCT FROM config -> 'from'
								 OR was.config -> 'chain_id' IS DISTINCT FROM config -> 'chain_id') THEN
		PERFORM theazo_internal.anchor_abandon(name);
	END IF;
	INSERT INTO theazo_data.anchor AS n (platform_id, name, kind, config, credential_ref, instance)
	VALUES (here, name, kind, config, credential, theazo_internal.instance())
	ON CONFLICT ON CONSTRAINT anchor_pkey DO UPDATE
	   SET kind = excluded.kind, config = excluded.config, credential_ref = excluded.credential_ref, instance = excluded.instance,
		   updated_at = now();
	PERFORM theazo_internal.event_write(here, 'control', 'anchor_set',
		jsonb_strip_nulls(jsonb_build_object('name', name, 'kind', kind, 'host', theazo_internal.url_host(config ->> 'url'),
			'chain', config -> 'chain_id', 'from', config -> 'from', 'file', config -> 'file', 'credentialRef', credential)),
		NULL, NULL, NULL, 'live');
	PERFORM theazo_internal.anchor_ask();
	SELECT * INTO STRICT result FROM theazo.operator_anchors a WHERE a.name = operator_anchor_set.name;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.operator_anchor_set(text, text, jsonb, text) IS
'operator: adds or changes a place that roots of the audit trail go to: rfc3161, evm or file; credential names an operator''s secret';

CREATE OR REPLACE FUNCTION theazo.operator_anchor_delete(name text)
RETURNS theazo.operator_anchors LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	here	text := theazo_internal.operator_platform();
	result	theazo.operator_anchors;
BEGIN
	PERFORM theazo_internal.enter_operator();
	PERFORM 1 FROM theazo_data.anchor n WHERE n.platform_id = here AND n.name = operator_anchor_delete.name FOR UPDATE;
	SELECT * INTO result FROM theazo.operator_anchors a WHERE a.name = operator_anchor_delete.name;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('anchor', name);
	END IF;
	PERFORM theazo_internal.anchor_abandon(name);
	DELETE FROM theazo_data.anchor n WHERE n.platform_id = here AND n.name = operator_anchor_delete.name;
	PERFORM theazo_internal.event_write(here, 'control', 'anchor_deleted',
		jsonb_build_object('name', name, 'kind', result.kind), NULL, NULL, NULL, 'live');
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.operator_anchor_delete(text) IS
'operator: stops anchoring there; what was confirmed stays';

CREATE OR REPLACE FUNCTION theazo.operator_anchor_now()
RETURNS SETOF theazo.operator_anchors LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter_operator();
	PERFORM theazo_internal.anchor_ask();
	PERFORM theazo_internal.event_write(theazo_internal.operator_platform(), 'control', 'anchor_asked', '{}', NULL, NULL, NULL, 'live');
	RETURN QUERY SELECT a.* FROM theazo.operator_anchors a ORDER BY a.name COLLATE "C";
END $$;
COMMENT ON FUNCTION theazo.operator_anchor_now() IS
'operator: has what is not anchored yet anchored now, without waiting for the interval; returns the anchors as they stand';
