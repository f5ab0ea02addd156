-- provider.sql: the compute and model providers a platform configured. The choice among
-- them for an agent is in compute.sql.
--
-- Compute that runs on the operator's own machine or account is managed; whoever pays
-- follows from that, so a platform cannot declare the local sandbox its own.

CREATE OR REPLACE VIEW theazo.providers WITH (security_barrier) AS
SELECT p.platform_id, p.kind, p.name, p.type, p.mode, p.endpoint, p.credential_ref, p.signing_ref, p.config,
	   p.priority, p.limits, p.capabilities, p.created_at, p.updated_at, p.tested
  FROM theazo_data.provider p
 WHERE (SELECT theazo_internal.may_read('provider:read')) AND theazo_internal.current_session() IS NULL AND p.name NOT LIKE 'ses\_%';
COMMENT ON VIEW theazo.providers IS 'the platform''s compute and model providers; tested is what theazo.provider_test() last found';

-- What each kind of compute can do, then what each provider of the platform can: its kind, less what was learnt of it.
CREATE OR REPLACE VIEW theazo.compute_capabilities WITH (security_barrier) AS
SELECT NULL::text AS provider, o.type, o.operation, o.support, o.note, false AS learnt
  FROM theazo_internal.compute_operations() o
 WHERE (SELECT theazo_internal.may_read('provider:read'))
UNION ALL
SELECT p.name, o.type, o.operation, CASE WHEN l.learnt THEN 'none' ELSE o.support END,
	   CASE WHEN l.learnt THEN 'the provider has answered 501' ELSE o.note END, l.learnt
  FROM theazo_data.provider p
  JOIN theazo_internal.compute_operations() o ON o.type OPERATOR(pg_catalog.=) p.type
 CROSS JOIN LATERAL (SELECT coalesce(p.capabilities OPERATOR(pg_catalog.->) o.operation OPERATOR(pg_catalog.=) 'false'::pg_catalog.jsonb, false)) l (learnt)
 WHERE (SELECT theazo_internal.may_read('provider:read')) AND theazo_internal.current_session() IS NULL
   AND p.kind OPERATOR(pg_catalog.=) 'compute' AND p.name OPERATOR(pg_catalog.!~~) 'ses\_%';
COMMENT ON VIEW theazo.compute_capabilities IS
'what each kind of compute can do (provider is null), and each compute provider of the platform: native, emulated or none; learnt says that it was found out by asking';

CREATE OR REPLACE FUNCTION theazo_internal.provider_shown(p_kind text, p_name text)
RETURNS theazo.providers LANGUAGE plpgsql STABLE AS $$
DECLARE
	result theazo.providers;
BEGIN
	PERFORM theazo_internal.one_of('kind', p_kind, 'compute', 'model');
	SELECT * INTO result FROM theazo.providers p
	 WHERE p.platform_id = theazo_internal.current_platform() AND p.kind = p_kind AND p.name = p_name;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found(p_kind || ' provider', p_name);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.provider_shown(text, text) IS 'a provider of the caller, or 42704';

-- What an agent or a session may name: an entry of the platform's, or the operator's compute.
CREATE OR REPLACE FUNCTION theazo_internal.compute_named(p_name text)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	-- not by the view: whoever makes an agent need not be allowed to read it
	IF p_name NOT IN ('theazo', 'local') AND NOT EXISTS (SELECT FROM theazo_data.provider p
			WHERE p.platform_id = theazo_internal.current_platform() AND p.kind = 'compute' AND p.name = p_name AND p.name NOT LIKE 'ses\_%') THEN
		PERFORM theazo_internal.raise_not_found('compute provider', p_name);
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.compute_named(text) IS '42704 unless compute of that name exists for the caller';

CREATE OR REPLACE FUNCTION theazo_internal.provider_type(p_kind text, p_name text, p_type text, p_endpoint text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_kind = 'model' THEN
		RETURN theazo_internal.one_of('type', coalesce(p_type,
			CASE WHEN p_name IN ('anthropic', 'openai') THEN p_name ELSE 'openai-compatible' END),
			'anthropic', 'openai', 'openai-compatible');
	END IF;
	IF p_type IS NOT NULL THEN
		RETURN theazo_internal.one_of('type', CASE p_type WHEN 'custom' THEN 'webhook' ELSE p_type END,
			'local', 'webhook', 'docker', 'e2b', 'daytona', 'fly');
	ELSIF p_name IN ('local', 'docker', 'e2b', 'daytona', 'fly') THEN
		RETURN p_name;
	ELSIF p_endpoint IS NULL AND p_name <> 'custom' THEN
		PERFORM theazo_internal.raise_value('endpoint', pg_catalog.format('is needed for provider %s', theazo_internal.quoted(p_name)),
			'Names without a built-in adapter are webhooks and need the address of yours.');
	END IF;
	RETURN 'webhook';
END $$;
COMMENT ON FUNCTION theazo_internal.provider_type(text, text, text, text) IS
'the adapter that a provider''s name, type and endpoint mean';

-- Members of a compute provider's configuration beside those that all have, and what each may be: name (text of up to max characters),
-- url, host, path, pem, key (Ed25519, public), boolean, integer or number (from min to max), word (one of words), names (an array), ports (an array), integers (an object of
-- them), runtimes (an object: a name for each runtime, and for sandboxes with a browser). Kinds that are not here keep what they are given.
CREATE OR REPLACE FUNCTION theazo_internal.compute_members()
RETURNS TABLE (type text, member text, shape text, min numeric, max numeric, words text[], what text)
LANGUAGE sql IMMUTABLE
AS $$
	VALUES
	('webhook', 'attestationKey', 'key', 1::numeric, 1024::numeric, NULL::text[], 'Ed25519 public key that documents about sandboxes are signed with'),
	('webhook', 'attestationTee', 'boolean', NULL, NULL, NULL, 'a signed document that tells of a hardware quote is believed'),
	('docker', 'image', 'name', 1, 255, NULL, 'image of the sandboxes'),
	('docker', 'images', 'runtimes', 1, 255, NULL, 'image for each runtime'),
	('docker', 'pull', 'boolean', NULL, NULL, NULL, 'an image that the engine lacks is fetched'),
	('docker', 'user', 'name', 1, 64, NULL, 'user that commands run as'),
	('docker', 'workdir', 'path', 1, 255, NULL, 'working directory'),
	('docker', 'memoryMb', 'integer', 16, 1048576, NULL, 'memory of a sandbox'),
	('docker', 'cpus', 'number', 0.01, 1024, NULL, 'processors of a sandbox'),
	('docker', 'pids', 'integer', 8, 100000, NULL, 'processes of a sandbox'),
	('docker', 'ulimits', 'integers', 0, 1000000000, NULL, 'resource limits by name'),
	('docker', 'runtime', 'name', 1, 64, NULL, 'runtime of the engine, such as runsc'),
	('docker', 'init', 'boolean', NULL, NULL, NULL, 'a process that reaps is put in front'),
	('docker', 'ca', 'pem', 1, 16384, NULL, 'certificate of the authority that signed the engine''s'),
	('docker', 'apiVersion', 'name', 1, 16, NULL, 'version of the engine''s API'),
	('docker', 'network', 'word', NULL, NULL, '{none,own}', 'what agents that may have a network get: none, or one of their sandbox''s own'),
	('docker', 'ports', 'ports', 1, 16, NULL, 'ports that a sandbox with a network publishes'),
	('docker', 'portAddress', 'name', 1, 64, NULL, 'address of the engine''s machine that ports are published at'),
	('docker', 'portUrl', 'url', 1, 2048, NULL, 'what callers are told of a port; may hold {port}'),
	('e2b', 'template', 'name', 1, 128, NULL, 'template of the sandboxes'),
	('e2b', 'templates', 'runtimes', 1, 128, NULL, 'template for each runtime, and for sandboxes with a browser'),
	('e2b', 'domain', 'host', 1, 253, NULL, 'domain of API and sandboxes, where they are not the vendor''s'),
	('e2b', 'sandboxUrl', 'url', 1, 2048, NULL, 'address of the sandboxes'' gateway; may hold {port} and {id}'),
	('e2b', 'routing', 'word', NULL, NULL, '{shared,host}', 'how a sandbox is named: in headers to a shared host, or in the host name'),
	('e2b', 'user', 'name', 1, 64, NULL, 'user that commands run as'),
	('e2b', 'secure', 'boolean', NULL, NULL, NULL, 'sandboxes ask for a token of their own'),
	('e2b', 'publicTraffic', 'boolean', NULL, NULL, NULL, 'exposed ports can be reached without a token'),
	('e2b', 'autoPause', 'boolean', NULL, NULL, NULL, 'paused instead of ended when the lifetime is over'),
	('e2b', 'pauseMemory', 'boolean', NULL, NULL, NULL, 'a pause keeps memory and processes'),
	('e2b', 'maxLifetimeSeconds', 'integer', 60, 2592000, NULL, 'longest lifetime that the account may ask for'),
	('daytona', 'snapshot', 'name', 1, 255, NULL, 'snapshot of the sandboxes'),
	('daytona', 'snapshots', 'runtimes', 1, 255, NULL, 'snapshot for each runtime, and for sandboxes with a browser'),
	('daytona', 'target', 'name', 1, 128, NULL, 'region, where the agent names none'),
	('daytona', 'organization', 'name', 1, 128, NULL, 'organization of the credential'),
	('daytona', 'user', 'name', 1, 64, NULL, 'user that commands run as'),
	('daytona', 'toolboxUrl', 'url', 1, 2048, NULL, 'address of the toolboxes, where it is not the one that the API tells'),
	('daytona', 'previewSeconds', 'integer', 1, 86400, NULL, 'how long the address of an exposed port is good'),
	('fly', 'app', 'name', 1, 128, NULL, 'application that the machines belong to'),
	('fly', 'region', 'name', 1, 64, NULL, 'region, where the agent names none'),
	('fly', 'image', 'name', 1, 255, NULL, 'image of the machines'),
	('fly', 'images', 'runtimes', 1, 255, NULL, 'image for each runtime'),
	('fly', 'size', 'name', 1, 64, NULL, 'kind of processor: shared or performance'),
	('fly', 'cpus', 'integer', 1, 128, NULL, 'processors of a machine'),
	('fly', 'memory_mb', 'integer', 256, 1048576, NULL, 'memory of a machine, a multiple of 256')
$$;
COMMENT ON FUNCTION theazo_internal.compute_members() IS 'members of a compute provider''s configuration by kind, and what each may be';

-- 32 bytes in base64, or what SubjectPublicKeyInfo puts before them as well, with or without the lines of a PEM.
CREATE OR REPLACE FUNCTION theazo_internal.ed25519_key(p_field text, p_text text)
RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v_text text := pg_catalog.regexp_replace(pg_catalog.regexp_replace(p_text, '-----(BEGIN|END) PUBLIC KEY-----', '', 'g'), '[[:space:]]', '', 'g');
BEGIN
	IF NOT v_text OPERATOR(pg_catalog.~) '^(MCowBQYDK2VwAyEA)?[A-Za-z0-9+/]{43}=$' THEN
		PERFORM theazo_internal.raise_value(p_field, 'is no Ed25519 public key', 'Give it as PEM text or as base64 of its 32 bytes.');
	END IF;
	RETURN pg_catalog.decode(pg_catalog."right"(v_text, 44), 'base64');
END $$;
COMMENT ON FUNCTION theazo_internal.ed25519_key(text, text) IS 'the 32 bytes of an Ed25519 public key given as base64 or PEM, or 22023';

CREATE OR REPLACE FUNCTION theazo_internal.compute_config_check(p_type text, p_config jsonb)
RETURNS void
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	m	record;
	f	text;
	v	jsonb;
	k	text;
BEGIN
	-- what else a webhook's entry holds is its owner's business
	IF p_type <> 'webhook' AND EXISTS (SELECT FROM theazo_internal.compute_members() x WHERE x.type OPERATOR(pg_catalog.=) p_type) THEN
		PERFORM theazo_internal.object_check('config', p_config, 16384, ARRAY(
			SELECT x.member FROM theazo_internal.compute_members() x WHERE x.type OPERATOR(pg_catalog.=) p_type
			UNION ALL SELECT pg_catalog.unnest(ARRAY['endpoint', 'baseUrl', 'signingSecretRef', 'signing_secret_ref'])));
	END IF;
	FOR m IN SELECT x.* FROM theazo_internal.compute_members() x WHERE x.type OPERATOR(pg_catalog.=) p_type AND p_config OPERATOR(pg_catalog.?) x.member LOOP
		f := 'config.' || m.member;
		v := p_config -> m.member;
		CASE m.shape
			WHEN 'name' THEN
				PERFORM theazo_internal.name_check(f, theazo_internal.text_check(f, v, m.max::integer), m.max::integer);
			WHEN 'path' THEN
				IF NOT theazo_internal.text_check(f, v, m.max::integer) OPERATOR(pg_catalog.~) '^/[^[:cntrl:]]*$' THEN
					PERFORM theazo_internal.raise_value(f, 'must be an absolute path');
				END IF;
			WHEN 'integers' THEN
				PERFORM theazo_internal.object_check(f, v, 4096);
				PERFORM theazo_internal.integer_check(f || '.' || theazo_internal.name_check(f, e.key, 64), e.value, m.min::bigint, m.max::bigint)
				   FROM pg_catalog.jsonb_each(v) e;
			WHEN 'pem' THEN
				IF theazo_internal.text_check(f, v, m.max::integer) NOT LIKE '-----BEGIN CERTIFICATE-----%' THEN
					PERFORM theazo_internal.raise_value(f, 'is no certificate', 'Give it as PEM text.');
				END IF;
			WHEN 'key' THEN
				PERFORM theazo_internal.ed25519_key(f, theazo_internal.text_check(f, v, m.max::integer));
			WHEN 'host' THEN
				IF theazo_internal.host_rule_check(f, theazo_internal.text_check(f, v, m.max::integer)) LIKE '*%' THEN
					PERFORM theazo_internal.raise_value(f, 'must be one host');
				END IF;
			WHEN 'url' THEN
				-- braces stand for what the adapter puts there
				PERFORM theazo_internal.endpoint_check(f, pg_catalog.replace(pg_catalog.replace(
					theazo_internal.text_check(f, v, m.max::integer), '{port}', '1'), '{id}', 'x'), true);
			WHEN 'boolean' THEN
				PERFORM theazo_internal.boolean_check(f, v);
			WHEN 'integer' THEN
				PERFORM theazo_internal.integer_check(f, v, m.min::bigint, m.max::bigint);
			WHEN 'number' THEN
				IF pg_catalog.jsonb_typeof(v) <> 'number' OR (v #>> '{}')::numeric NOT BETWEEN m.min AND m.max THEN
					PERFORM theazo_internal.raise_value(f, pg_catalog.format('must be a number from %s to %s', m.min, m.max));
				END IF;
			WHEN 'word' THEN
				PERFORM theazo_internal.one_of(f, theazo_internal.text_check(f, v, 64), VARIADIC m.words);
			WHEN 'names' THEN
				PERFORM theazo_internal.names_check(f, v, 100, m.max::integer);
			WHEN 'ports' THEN
				IF pg_catalog.jsonb_typeof(v) <> 'array' OR pg_catalog.jsonb_array_length(v) NOT BETWEEN m.min::integer AND m.max::integer THEN
					PERFORM theazo_internal.raise_value(f, pg_catalog.format('must be an array of %s to %s ports', m.min, m.max));
				END IF;
				PERFORM theazo_internal.integer_check(f || '[]', e.value, 1, 65535) FROM pg_catalog.jsonb_array_elements(v) e;
			WHEN 'runtimes' THEN
				PERFORM theazo_internal.object_check(f, v, 8192, ARRAY['python', 'node', 'go', 'browser']);
				FOR k IN SELECT pg_catalog.jsonb_object_keys(v) LOOP
					PERFORM theazo_internal.name_check(f || '.' || k, theazo_internal.text_check(f || '.' || k, v -> k, m.max::integer), m.max::integer);
				END LOOP;
		END CASE;
	END LOOP;
	IF p_config -> 'attestationTee' = 'true' AND p_type = 'webhook' AND NOT p_config ? 'attestationKey' THEN
		PERFORM theazo_internal.raise_value('config.attestationTee', 'needs config.attestationKey', 'Only a document whose signature is checked can be believed.');
	ELSIF p_type = 'fly' AND NOT p_config ? 'app' THEN
		PERFORM theazo_internal.raise_value('config.app', 'is needed', 'Machines belong to an application: make one at fly.io and name it here.');
	ELSIF p_type = 'fly' AND (p_config ->> 'memory_mb')::integer % 256 <> 0 THEN
		PERFORM theazo_internal.raise_value('config.memory_mb', 'must be a multiple of 256');
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.compute_config_check(text, jsonb) IS '22023 for a compute provider''s configuration that its adapter could not read';

-- Where the vendor is, for entries that give no address.
CREATE OR REPLACE FUNCTION theazo_internal.compute_base(p_type text, p_config jsonb)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN CASE p_type
		WHEN 'e2b' THEN 'https://api.' || coalesce(pg_catalog.lower(p_config ->> 'domain'), 'e2b.app')
		WHEN 'daytona' THEN 'https://app.daytona.io/api'
		WHEN 'fly' THEN 'https://api.machines.dev' END;
END $$;
COMMENT ON FUNCTION theazo_internal.compute_base(text, jsonb) IS 'address of a vendor of compute, null where there is no vendor';

-- Where the calls of a compute provider go. A socket is a way into the operator's own machine, so only the operator can name one.
CREATE OR REPLACE FUNCTION theazo_internal.compute_endpoint(p_type text, p_endpoint text, p_config jsonb, p_operators boolean)
RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF p_type = 'local' AND p_endpoint IS NOT NULL THEN
		PERFORM theazo_internal.raise_value('endpoint', 'cannot be given for the local provider');
	ELSIF p_type = 'docker' AND p_operators AND coalesce(p_endpoint, 'unix:///var/run/docker.sock') LIKE 'unix:%' THEN
		p_endpoint := coalesce(p_endpoint, 'unix:///var/run/docker.sock');
		IF NOT p_endpoint OPERATOR(pg_catalog.~) '^unix:///[!-~]+$' OR p_endpoint OPERATOR(pg_catalog.~) '(^|/)\.\.?(/|$)|/$|[?#%\\"]'
			OR pg_catalog.octet_length(p_endpoint) - 7 > 107 THEN
			PERFORM theazo_internal.raise_value('endpoint', 'is no path of a socket', 'Give unix:///path, at most 107 bytes of path, without blanks.');
		END IF;
		RETURN p_endpoint;
	ELSIF p_type = 'docker' AND p_endpoint LIKE 'unix:%' THEN
		PERFORM theazo_internal.raise_value('endpoint', 'cannot be a socket of the server',
			'Give the https address of your engine. A socket is for theazo.operator_provider_set() only.');
	END IF;
	p_endpoint := coalesce(p_endpoint, theazo_internal.compute_base(p_type, p_config));
	IF p_endpoint IS NOT NULL THEN
		RETURN theazo_internal.endpoint_check('endpoint', p_endpoint, p_operators OR theazo_internal.platform_http());
	ELSIF p_type <> 'local' THEN
		PERFORM theazo_internal.raise_value('endpoint', pg_catalog.format('is needed for a %s provider', p_type),
			CASE p_type WHEN 'docker' THEN 'Give the https address of your engine.' ELSE 'Give the https address of your webhook.' END);
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.compute_endpoint(text, text, jsonb, boolean) IS
'address of a compute provider: as given, else its vendor''s; checked';

-- Checks an entry and stores it. The caller has checked who asks; the operator's own entries are
-- managed, go to any address and are named by nobody else.
CREATE OR REPLACE FUNCTION theazo_internal.provider_put(
	p_platform text, p_name text, p_kind text, p_type text, p_mode text, p_endpoint text, p_credential_ref text, p_signing_ref text,
	p_config jsonb, p_priority integer, p_limits jsonb)
RETURNS theazo_data.provider LANGUAGE plpgsql AS $$
DECLARE
	is_operators boolean := p_platform = theazo_internal.operator_platform();
	ref text;
	result theazo_data.provider;
BEGIN
	PERFORM theazo_internal.name_check('name', p_name, 128);
	IF p_name = 'theazo' OR p_name LIKE 'theazo:%' OR p_name LIKE 'ses\_%' THEN
		PERFORM theazo_internal.raise_value('name', pg_catalog.format('%s is reserved', theazo_internal.quoted(p_name)), 'Choose another name.');
	END IF;
	PERFORM theazo_internal.one_of('kind', p_kind, 'compute', 'model');
	p_config := theazo_internal.object_check('config', p_config, 16384);
	p_endpoint := coalesce(p_endpoint, p_config ->> 'endpoint', p_config ->> 'baseUrl');
	p_signing_ref := coalesce(p_signing_ref, p_config ->> 'signingSecretRef', p_config ->> 'signing_secret_ref');
	p_type := theazo_internal.provider_type(p_kind, p_name, p_type, p_endpoint);
	IF p_kind = 'compute' THEN
		PERFORM theazo_internal.compute_config_check(p_type, p_config);
		p_endpoint := theazo_internal.compute_endpoint(p_type, p_endpoint, p_config, is_operators);
	ELSIF p_endpoint IS NOT NULL THEN
		p_endpoint := theazo_internal.endpoint_check('endpoint', p_endpoint, is_operators OR theazo_internal.platform_http());
	END IF;
	p_mode := coalesce(p_mode, CASE p_type WHEN 'local' THEN 'managed' ELSE 'byoi' END);
	PERFORM theazo_internal.one_of('mode', p_mode, 'byoi', 'managed');
	IF p_kind = 'compute' AND NOT is_operators AND (p_type = 'local') <> (p_mode = 'managed') THEN
		PERFORM theazo_internal.raise_value('mode', pg_catalog.format('%s does not fit a provider of type "%s"', theazo_internal.quoted(p_mode), p_type),
			CASE p_type WHEN 'local' THEN 'The local sandbox is the operator''s: managed.' ELSE 'The operator has no account there: byoi.' END);
	END IF;
	IF p_priority IS NULL OR p_priority NOT BETWEEN 0 AND 1000000 THEN
		PERFORM theazo_internal.raise_value('priority', 'must be from 0 to 1000000');
	END IF;
	IF p_kind = 'model' THEN
		PERFORM theazo_internal.model_config_check('config', p_config);
		IF p_mode = 'managed' AND NOT is_operators THEN
			-- Back to the operator's account: what the platform had of its own there goes.
			p_endpoint := NULL;
			p_credential_ref := NULL;
			p_signing_ref := NULL;
		END IF;
	END IF;
	p_limits := theazo_internal.object_check('limits', p_limits, 1024, ARRAY['maxConcurrent']);
	IF p_limits ? 'maxConcurrent' THEN
		PERFORM theazo_internal.integer_check('limits.maxConcurrent', p_limits -> 'maxConcurrent', 0, 1000000);
	END IF;
	FOREACH ref IN ARRAY pg_catalog.array_remove(ARRAY[p_credential_ref, p_signing_ref], NULL) LOOP
		-- the share lock keeps a delete of the secret from passing this check
		PERFORM 1 FROM theazo_data.secret s WHERE s.platform_id = p_platform AND s.session_id = '' AND s.name = ref FOR SHARE;
		IF NOT FOUND THEN
			PERFORM theazo_internal.raise_value(CASE WHEN ref = p_credential_ref THEN 'credential_ref' ELSE 'signing_ref' END,
				pg_catalog.format('names no stored secret: %s', theazo_internal.quoted(ref)),
				CASE WHEN is_operators THEN 'Store it first with theazo.operator_secret_set().' ELSE 'Store it first with theazo.secret_set().' END);
		END IF;
	END LOOP;
	IF (SELECT pg_catalog.count(*) FROM theazo_data.provider p WHERE p.platform_id = p_platform AND p.name NOT LIKE 'ses\_%') >= 200 THEN
		PERFORM 1 FROM theazo_data.provider p WHERE p.platform_id = p_platform AND p.kind = p_kind AND p.name = p_name;
		IF NOT FOUND THEN
			PERFORM theazo_internal.raise_ceiling('providers', 200, 'Delete those that are not used.');
		END IF;
	END IF;
	INSERT INTO theazo_data.provider AS p (platform_id, kind, name, type, mode, endpoint, credential_ref, signing_ref, config, priority, limits)
	VALUES (p_platform, p_kind, p_name, p_type, p_mode, p_endpoint, p_credential_ref, p_signing_ref, p_config, p_priority, p_limits)
	ON CONFLICT ON CONSTRAINT provider_pkey DO UPDATE
	   SET type = excluded.type, mode = excluded.mode, endpoint = excluded.endpoint, credential_ref = excluded.credential_ref,
		   signing_ref = excluded.signing_ref, config = excluded.config, priority = excluded.priority, limits = excluded.limits,
		   capabilities = '{}', tested = NULL, updated_at = pg_catalog.now()
	RETURNING * INTO result;
	PERFORM theazo_internal.provider_changed(p_platform, p_kind, p_name);
	PERFORM theazo_internal.event_write(p_platform, 'control', 'provider_set',
		pg_catalog.jsonb_build_object('kind', result.kind, 'name', result.name, 'type', result.type, 'mode', result.mode,
			'endpoint', result.endpoint, 'credentialRef', result.credential_ref, 'signingRef', result.signing_ref, 'priority', result.priority),
		NULL, NULL, NULL, coalesce(theazo_internal.current_environment(), 'live'));
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.provider_put(text, text, text, text, text, text, text, text, jsonb, integer, jsonb) IS
'creates or replaces a provider of a platform, or of the operator';

CREATE OR REPLACE FUNCTION theazo.provider_set(
	name text, kind text DEFAULT 'compute', type text DEFAULT NULL, mode text DEFAULT NULL, endpoint text DEFAULT NULL,
	credential_ref text DEFAULT NULL, signing_ref text DEFAULT NULL, config jsonb DEFAULT '{}',
	priority integer DEFAULT 100, limits jsonb DEFAULT '{}', api_key text DEFAULT NULL)
RETURNS theazo.providers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	here text;
	result theazo.providers;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'provider:write');
	PERFORM theazo_internal.shared_change_check('a provider');
	here := theazo_internal.current_platform();
	PERFORM theazo_internal.provider_put(here, name, kind, type, mode, endpoint, credential_ref, signing_ref, config, priority, limits);
	SELECT * INTO STRICT result FROM theazo.providers p
	 WHERE p.platform_id = here AND p.kind = provider_set.kind AND p.name = provider_set.name;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.provider_set(text, text, text, text, text, text, text, jsonb, integer, jsonb, text) IS
'creates or replaces a provider; replacing forgets what was learnt of it';

CREATE OR REPLACE FUNCTION theazo.provider_get(name text, kind text DEFAULT 'compute', api_key text DEFAULT NULL)
RETURNS theazo.providers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'provider:read');
	PERFORM theazo_internal.refuse_narrowed('a provider');
	RETURN theazo_internal.provider_shown(kind, name);
END $$;
COMMENT ON FUNCTION theazo.provider_get(text, text, text) IS 'one provider';

CREATE OR REPLACE FUNCTION theazo.provider_list(kind text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.providers LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'provider:read');
	PERFORM theazo_internal.refuse_narrowed('a provider');
	IF kind IS NOT NULL THEN
		PERFORM theazo_internal.one_of('kind', kind, 'compute', 'model');
	END IF;
	RETURN QUERY
	SELECT p.* FROM theazo.providers p
	 WHERE p.platform_id = theazo_internal.current_platform() AND (provider_list.kind IS NULL OR p.kind = provider_list.kind)
	 ORDER BY p.kind, p.priority, p.name COLLATE "C";
END $$;
COMMENT ON FUNCTION theazo.provider_list(text, text) IS 'providers in the order in which they are tried';

-- The caller has checked who asks, and that it is there.
CREATE OR REPLACE FUNCTION theazo_internal.provider_drop(p_platform text, p_kind text, p_name text, p_force boolean)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	is_operators boolean := p_platform = theazo_internal.operator_platform();
	live bigint := 0;
BEGIN
	IF p_kind = 'compute' THEN
		SELECT pg_catalog.count(*) INTO live FROM theazo_data.sandbox b
		 WHERE (is_operators OR b.platform_id = p_platform) AND b.provider_name = CASE WHEN is_operators THEN 'theazo:' ELSE '' END || p_name
		   AND b.status IN ('creating', 'ready', 'paused', 'destroying', 'held');
		live := live + (SELECT pg_catalog.count(*) FROM theazo_data.provider p
						 WHERE p.platform_id = p_platform AND p.kind = 'compute' AND p.name = p_name AND theazo_internal.provider_testing(p.tested));
	END IF;
	IF live > 0 AND NOT coalesce(p_force, false) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_in_use',
			MESSAGE = pg_catalog.format('provider %s holds %s live sandboxes', theazo_internal.quoted(p_name), live),
			DETAIL = 'Without the provider they cannot be destroyed.',
			HINT = 'Terminate their agents first, or pass force => true and remove the sandboxes yourself.';
	END IF;
	DELETE FROM theazo_data.provider p WHERE p.platform_id = p_platform AND p.kind = p_kind AND p.name = p_name;
	PERFORM theazo_internal.provider_changed(p_platform, p_kind, p_name);
	PERFORM theazo_internal.event_write(p_platform, 'control', 'provider_deleted',
		pg_catalog.jsonb_build_object('kind', p_kind, 'name', p_name, 'liveSandboxes', live),
		NULL, NULL, NULL, coalesce(theazo_internal.current_environment(), 'live'));
END $$;
COMMENT ON FUNCTION theazo_internal.provider_drop(text, text, text, boolean) IS
'deletes a provider of a platform, or of the operator, unless it holds sandboxes and this is not forced';

CREATE OR REPLACE FUNCTION theazo.provider_delete(name text, kind text DEFAULT 'compute', force boolean DEFAULT false, api_key text DEFAULT NULL)
RETURNS theazo.providers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result theazo.providers;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'provider:write');
	PERFORM theazo_internal.shared_change_check('a provider');
	result := theazo_internal.provider_shown(kind, name);
	PERFORM theazo_internal.provider_drop(result.platform_id, result.kind, result.name, force);
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.provider_delete(text, text, boolean, text) IS
'deletes a provider; refused while it holds sandboxes, unless forced';
