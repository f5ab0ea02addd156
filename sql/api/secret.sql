-- secret.sql: setting, naming and deleting secrets. No function here, or anywhere, returns
-- a value: only workers open them.

CREATE OR REPLACE VIEW theazo.secrets WITH (security_barrier) AS
SELECT s.platform_id, NULLIF(s.session_id, '') AS session_id, s.name, s.version,
	   coalesce(s.delivery, (SELECT p.secret_delivery FROM theazo_data.platform p WHERE p.platform_id = s.platform_id)) AS delivery,
	   s.hosts, s.header, s.username, s.master_key_id, s.created_at, s.updated_at, s.last_used_at
  FROM theazo_data.secret s
 WHERE (SELECT theazo_internal.may_read('secret:read'));
COMMENT ON VIEW theazo.secrets IS
'names and dates of secrets, of the platform (no session_id) and of sessions, and how they are delivered; never a value';

CREATE OR REPLACE VIEW theazo.secret_versions WITH (security_barrier) AS
SELECT v.platform_id, NULLIF(v.session_id, '') AS session_id, v.name, v.version, v.actor_kind, v.actor, v.set_at,
	   coalesce(v.ended_at, n.set_at) AS ended_at, coalesce(v.end_reason, CASE WHEN n.version IS NOT NULL THEN 'replaced' END) AS end_reason
  FROM theazo_data.secret_version v
  LEFT JOIN theazo_data.secret_version n
	ON n.platform_id = v.platform_id AND n.session_id = v.session_id AND n.name = v.name AND n.version = v.version + 1
 WHERE (SELECT theazo_internal.may_read('secret:read'))
   AND NOT EXISTS (SELECT FROM theazo_data.secret_version x
					WHERE x.platform_id = v.platform_id AND x.session_id = v.session_id AND x.name = v.name AND x.version = v.version + 100);
COMMENT ON VIEW theazo.secret_versions IS
'every version of every secret: who set it, when, and what ended it; the current one has no end';

-- ---------------------------------------------------------------------------------------
-- checks

CREATE OR REPLACE FUNCTION theazo_internal.secret_name_check(p_field text, p_name text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_name IS NULL OR pg_catalog.octet_length(p_name) > 128 OR NOT p_name OPERATOR(pg_catalog.~) '^[A-Za-z0-9_. -]{1,128}$' THEN
		PERFORM theazo_internal.raise_value(p_field, 'is not a name of a secret',
			'Names have 1 to 128 of letters, digits, _ . - and space.');
	END IF;
	RETURN p_name;
END $$;
COMMENT ON FUNCTION theazo_internal.secret_name_check(text, text) IS 'a secret''s name; the message never repeats it';

-- A variable of these names would change how programs in the sandbox find each other, or who they trust.
CREATE OR REPLACE FUNCTION theazo_internal.secret_env_check(p_name text)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	variable text := theazo_internal.secret_env_name(p_name);
BEGIN
	IF variable IN ('PATH', 'HOME', 'USER', 'SHELL', 'PWD', 'TMPDIR', 'IFS', 'ENV', 'BASH_ENV', 'NODE_OPTIONS', 'PYTHONPATH', 'PYTHONHOME',
			'PYTHONSTARTUP', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY')
		OR variable LIKE 'LD\_%' OR variable LIKE 'THEAZO\_%' THEN
		PERFORM theazo_internal.raise_value('name', pg_catalog.format('is reserved: it would set the variable %s', variable),
			'Choose another name; it becomes a variable of the sandbox, in upper case.');
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.secret_env_check(text) IS '22023 for a secret that would replace a variable sandboxes rely on';

-- Never repeats the value. Control characters but tab and line ends are no text: a variable or
-- a header cannot carry them safely.
CREATE OR REPLACE FUNCTION theazo_internal.secret_set_check(p_value text)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_value IS NULL OR p_value = '' THEN
		PERFORM theazo_internal.raise_value('value', 'must not be empty', 'Delete a secret with theazo.secret_delete().');
	ELSIF pg_catalog.octet_length(p_value) > 65536 THEN
		PERFORM theazo_internal.raise_value('value', 'is longer than 65536 bytes');
	ELSIF p_value OPERATOR(pg_catalog.~) '[\u0001-\u0008\u000b\u000c\u000e-\u001f\u007f]' COLLATE "C" THEN
		PERFORM theazo_internal.raise_value('value', 'contains binary data', 'Encode it, for example with base64, and decode it where it is used.');
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.secret_set_check(text) IS 'a secret''s value: not empty, bounded, text';

-- Where a brokered secret may go. A wildcard over a whole top-level domain, or over digits of
-- an address, is a slip.
CREATE OR REPLACE FUNCTION theazo_internal.secret_hosts_check(p_hosts text[])
RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	host text;
	result text[] := '{}';
BEGIN
	IF pg_catalog.cardinality(p_hosts) > 50 THEN
		PERFORM theazo_internal.raise_value('hosts', 'has more than 50 entries');
	END IF;
	FOREACH host IN ARRAY p_hosts LOOP
		IF NOT host OPERATOR(pg_catalog.~) '^[][*A-Za-z0-9.:_ -]*$' THEN
			-- an address with a password in it, say
			PERFORM theazo_internal.raise_value('hosts', 'has an entry that is no host', 'Use host, *.host, or host:port; without a port 443 is meant.');
		END IF;
		host := theazo_internal.host_rule_check('hosts', pg_catalog.btrim(coalesce(pg_catalog."left"(host, 300), '')));
		IF host OPERATOR(pg_catalog.~) '^\*\.([^.]+|.*\.[0-9]+|0x.*)(:[0-9]+)?$' THEN
			PERFORM theazo_internal.raise_value('hosts', pg_catalog.format('is too wide with %s', theazo_internal.quoted(host)),
				'After *. name at least a domain and its ending, as in *.example.com.');
		ELSIF NOT host = ANY (result) THEN
			result := result || host;
		END IF;
	END LOOP;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.secret_hosts_check(text[]) IS 'hosts of a brokered secret: each checked, in lower case, once';

-- Headers that say how a message travels are the transport's own.
CREATE OR REPLACE FUNCTION theazo_internal.secret_header_check(p_header text, p_username text)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_header <> '' AND p_username <> '' THEN
		PERFORM theazo_internal.raise_value('username', 'cannot be given together with header',
			'A user name means basic authentication, which has a header of its own.');
	END IF;
	IF p_header <> '' AND NOT p_header OPERATOR(pg_catalog.~) '^[A-Za-z0-9!#$%&''*+.^_`|~-]{1,100}$' THEN
		PERFORM theazo_internal.raise_value('header', 'is not a name of a header', 'Give the name alone, for example X-Api-Key.');
	ELSIF pg_catalog.lower(p_header) IN ('host', 'content-length', 'content-type', 'transfer-encoding', 'connection', 'keep-alive', 'te',
			'trailer', 'upgrade', 'expect', 'proxy-authorization', 'proxy-connection') THEN
		PERFORM theazo_internal.raise_value('header', pg_catalog.format('%s belongs to the connection', theazo_internal.quoted(p_header)),
			'Name the header in which the service expects the credential.');
	END IF;
	IF p_username <> '' AND (pg_catalog.octet_length(p_username) > 256 OR pg_catalog.strpos(p_username, ':') > 0
		OR theazo_internal.has_control(p_username)) THEN
		PERFORM theazo_internal.raise_value('username', 'is not a name for basic authentication',
			'It has at most 256 bytes, no colon and no control characters.');
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.secret_header_check(text, text) IS 'header or user name of a brokered secret; an empty one means none';

-- Whose vault is meant, and may the caller touch it. Returns '' for the platform's.
CREATE OR REPLACE FUNCTION theazo_internal.vault_of(p_session text, p_for_change boolean, p_for_removal boolean DEFAULT false)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	s theazo_data.session;
BEGIN
	IF p_session IS NULL THEN
		IF p_for_change THEN
			PERFORM theazo_internal.shared_change_check('a platform secret');
		ELSE
			PERFORM theazo_internal.refuse_narrowed('a platform secret');
		END IF;
		RETURN '';
	END IF;
	-- what is no id is not repeated: it may be a value in the wrong place
	IF NOT p_session OPERATOR(pg_catalog.~) '^[a-z]{2,8}_[0-9A-Za-z]{1,40}$' THEN
		PERFORM theazo_internal.raise_value('session', 'is not an id', 'Pass the id that theazo.session_create() returned.');
	ELSIF NOT p_for_change THEN
		PERFORM theazo_internal.session_shown(p_session);
		RETURN p_session;
	END IF;
	s := theazo_internal.session_lock(p_session);
	-- nothing new for a session that has ended; what it leaves behind can be taken away
	IF s.status = 'terminated' AND NOT p_for_removal THEN
		PERFORM theazo_internal.session_open_check(s.id, s.status, NULL);
	END IF;
	RETURN p_session;
END $$;
COMMENT ON FUNCTION theazo_internal.vault_of(text, boolean, boolean) IS 'the vault a session argument means; locks the session for a change';

-- Platforms are made with their salt; the operator's gets it when it is needed first, and only then is its row locked.
CREATE OR REPLACE FUNCTION theazo_internal.vault_salt(p_platform text)
RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
	result bytea;
BEGIN
	SELECT p.vault_salt INTO STRICT result FROM theazo_data.platform p WHERE p.platform_id = p_platform;
	IF result IS NULL THEN
		UPDATE theazo_data.platform p SET vault_salt = theazo_internal.random_bytes(32)
		 WHERE p.platform_id = p_platform AND p.vault_salt IS NULL;
		-- whoever was first, its salt counts
		SELECT p.vault_salt INTO STRICT result FROM theazo_data.platform p WHERE p.platform_id = p_platform;
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.vault_salt(text) IS 'the platform''s salt, made if it has none';

-- ---------------------------------------------------------------------------------------
-- setting

-- What is not given stays as it was, an empty header, user name or list of hosts means none. It
-- changes together with the value only, so that nobody sends a value elsewhere whom it was not told.
CREATE OR REPLACE FUNCTION theazo_internal.secret_set_merge(
	p_was theazo_data.secret, p_value text, p_delivery text, p_hosts text[], p_header text, p_username text)
RETURNS theazo_data.secret LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	-- who names hosts wants it to go nowhere else
	p_was.delivery := coalesce(p_delivery, p_was.delivery, CASE WHEN pg_catalog.cardinality(p_hosts) > 0 THEN 'brokered' END);
	IF p_was.delivery = 'env' AND (pg_catalog.cardinality(p_hosts) > 0 OR p_header <> '' OR p_username <> '') THEN
		PERFORM theazo_internal.raise_value('delivery', 'is env, which knows no hosts, header or username', 'Pass delivery => ''brokered''.');
	END IF;
	p_was.hosts := coalesce(p_hosts, p_was.hosts, '{}');
	IF p_header <> '' THEN
		p_was.username := NULL;
	ELSIF p_username <> '' THEN
		p_was.header := NULL;
	END IF;
	p_was.header := NULLIF(coalesce(p_header, p_was.header), '');
	p_was.username := NULLIF(coalesce(p_username, p_was.username), '');
	IF (p_was.delivery = 'brokered' OR p_was.delivery IS NULL AND p_was.header IS NOT NULL) AND p_was.username IS NULL
		AND p_value OPERATOR(pg_catalog.~) '[\r\n]' THEN
		PERFORM theazo_internal.raise_value('value', 'has several lines, which no header can carry',
			'A brokered value is sent in a header: give one line, or use delivery => ''env''.');
	END IF;
	RETURN p_was;
END $$;
COMMENT ON FUNCTION theazo_internal.secret_set_merge(theazo_data.secret, text, text, text[], text, text) IS
'delivery of a secret as it is to be: what was given over what it has';

-- The caller has checked who asks; under policies nothing but the caller's platform is reached.
CREATE OR REPLACE FUNCTION theazo_internal.secret_set_row(
	p_platform text, p_vault text, p_name text, p_value text, p_delivery text, p_hosts text[], p_header text, p_username text)
RETURNS theazo_data.secret LANGUAGE plpgsql AS $$
DECLARE
	salt bytea := theazo_internal.vault_salt(p_platform);
	result theazo_data.secret;
	next_version integer;
	box record;
	at timestamptz;
	most bigint := CASE WHEN p_vault = '' THEN 1000 ELSE 200 END;
	held bigint;
	twin text;
	variable text := theazo_internal.secret_env_name(p_name);
BEGIN
	PERFORM theazo_internal.secret_name_check('name', p_name);
	PERFORM theazo_internal.secret_env_check(p_name);
	PERFORM theazo_internal.secret_set_check(p_value);
	-- the version is sealed into the record, so it must be known before; a lost race starts over,
	-- which is rarer than a lock of the row before its change would be dear
	LOOP
		SELECT * INTO result FROM theazo_data.secret s
		 WHERE s.platform_id = p_platform AND s.session_id = p_vault AND s.name = p_name;
		IF FOUND THEN
			next_version := result.version + 1;
		ELSE
			SELECT coalesce(pg_catalog.max(v.version), 0) + 1 INTO next_version FROM theazo_data.secret_version v
			 WHERE v.platform_id = p_platform AND v.session_id = p_vault AND v.name = p_name;
		END IF;
		result := theazo_internal.secret_set_merge(result, p_value, p_delivery, p_hosts, p_header, p_username);
		box := theazo_internal.secret_seal(p_platform, p_vault, p_name, next_version, salt, p_value);
		at := pg_catalog.clock_timestamp();
		IF result.version IS NOT NULL THEN
			UPDATE theazo_data.secret s
			   SET version = next_version, delivery = result.delivery, hosts = result.hosts, header = result.header, username = result.username,
				   master_key_id = box.master_key_id, salt = box.salt, sealed = box.sealed, updated_at = at
			 WHERE s.platform_id = p_platform AND s.session_id = p_vault AND s.name = p_name AND s.version = next_version - 1
			RETURNING * INTO result;
			EXIT WHEN FOUND;
			CONTINUE;
		END IF;
		-- all of a session's may go into one environment (effect_secrets); of two that become one variable it would get one
		SELECT pg_catalog.count(*), pg_catalog.min(s.name) FILTER (
				WHERE pg_catalog.translate(pg_catalog.upper(s.name COLLATE "C"), '. -', '___') IN (variable, pg_catalog.substr(variable, 2))
				  AND theazo_internal.secret_env_name(s.name) = variable)
		  INTO held, twin FROM theazo_data.secret s WHERE s.platform_id = p_platform AND s.session_id = p_vault;
		IF held >= most THEN
			PERFORM theazo_internal.raise_ceiling('secrets in this vault', most, 'Delete those that are not used.');
		ELSIF twin IS NOT NULL THEN
			PERFORM theazo_internal.raise_value('name', pg_catalog.format('becomes the same variable, %s, as the secret %s', variable, theazo_internal.quoted(twin)),
				'Set that one, or delete it first; an agent would get only one of the two.');
		END IF;
		INSERT INTO theazo_data.secret AS s (platform_id, session_id, name, version, delivery, hosts, header, username,
			master_key_id, salt, sealed, created_at, updated_at)
		VALUES (p_platform, p_vault, p_name, next_version, result.delivery, result.hosts, result.header, result.username,
			box.master_key_id, box.salt, box.sealed, at, at)
		ON CONFLICT ON CONSTRAINT secret_pkey DO NOTHING
		RETURNING * INTO result;
		EXIT WHEN FOUND;
	END LOOP;
	INSERT INTO theazo_data.secret_version (platform_id, session_id, name, version, actor_kind, actor, set_at)
	VALUES (p_platform, p_vault, p_name, next_version, coalesce(theazo_internal.current_actor_kind(), 'worker'),
		theazo_internal.current_actor(), at);
	IF next_version > 100 AND next_version % 20 = 0 THEN
		DELETE FROM theazo_data.secret_version v
		 WHERE v.platform_id = p_platform AND v.session_id = p_vault AND v.name = p_name AND v.version <= next_version - 100;
	END IF;
	PERFORM theazo_internal.master_key_record(box.master_key_id);
	PERFORM theazo_internal.event_write(p_platform, 'data', 'secret_set',
		pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('name', p_name, 'version', next_version, 'delivery', result.delivery,
			'hosts', CASE WHEN result.hosts <> '{}' THEN pg_catalog.to_jsonb(result.hosts) END, 'header', result.header, 'username', result.username)),
		NULLIF(p_vault, ''), NULL, NULL, coalesce(theazo_internal.current_environment(), 'live'));
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.secret_set_row(text, text, text, text, text, text[], text, text) IS
'seals one value into a vault and writes its history';

-- As the view shows it, without looking for it again.
CREATE OR REPLACE FUNCTION theazo_internal.secret_as_shown(p_row theazo_data.secret)
RETURNS theazo.secrets LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF p_row.delivery IS NULL THEN
		SELECT p.secret_delivery INTO p_row.delivery FROM theazo_data.platform p WHERE p.platform_id = p_row.platform_id;
	END IF;
	RETURN ROW(p_row.platform_id, NULLIF(p_row.session_id, ''), p_row.name, p_row.version, p_row.delivery, p_row.hosts, p_row.header,
		p_row.username, p_row.master_key_id, p_row.created_at, p_row.updated_at, p_row.last_used_at)::theazo.secrets;
END $$;
COMMENT ON FUNCTION theazo_internal.secret_as_shown(theazo_data.secret) IS 'a row of theazo.secrets made of what was just stored';

CREATE OR REPLACE FUNCTION theazo_internal.secret_delivery_check(p_delivery text, p_hosts text[], p_header text, p_username text)
RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_delivery IS NOT NULL THEN
		-- one_of() would repeat it, and it may be a value in the wrong place
		IF p_delivery NOT IN ('env', 'brokered') THEN
			PERFORM theazo_internal.raise_value('delivery', 'is not known', 'Use one of: env, brokered.');
		END IF;
	END IF;
	PERFORM theazo_internal.secret_header_check(p_header, p_username);
	RETURN CASE WHEN p_hosts IS NOT NULL THEN theazo_internal.secret_hosts_check(p_hosts) END;
END $$;
COMMENT ON FUNCTION theazo_internal.secret_delivery_check(text, text[], text, text) IS
'what a call says about delivery, checked; returns the hosts to store';

-- What theazo.secret_set() does, for every case; the usual one is done in C by the same rules (src/call/secret.c).
CREATE OR REPLACE FUNCTION theazo_internal.secret_set_call(
	name text, value text, session text, delivery text, hosts text[],
	header text, username text, api_key text)
RETURNS theazo.secrets LANGUAGE plpgsql AS $$
DECLARE
	vault text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'secret:write');
	PERFORM theazo_internal.flow_clean('a secret');
	IF delivery IS NOT NULL OR hosts IS NOT NULL OR header IS NOT NULL OR username IS NOT NULL THEN
		hosts := theazo_internal.secret_delivery_check(delivery, hosts, header, username);
	END IF;
	vault := theazo_internal.vault_of(session, true);
	RETURN theazo_internal.secret_as_shown(
		theazo_internal.secret_set_row(theazo_internal.current_platform(), vault, name, value, delivery, hosts, header, username));
END $$;
COMMENT ON FUNCTION theazo_internal.secret_set_call(text, text, text, text, text[], text, text, text) IS
'a call of theazo.secret_set(), from who asks to the row that is shown';

CREATE OR REPLACE FUNCTION theazo.secret_set(
	name text, value text, session text DEFAULT NULL, delivery text DEFAULT NULL, hosts text[] DEFAULT NULL,
	header text DEFAULT NULL, username text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.secrets LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'theazo_secret_set';
COMMENT ON FUNCTION theazo.secret_set(text, text, text, text, text[], text, text, text) IS
'stores or replaces a secret of the platform, or of a session; pass the value as a parameter, not as text of the statement';

CREATE OR REPLACE FUNCTION theazo.secrets_set(
	secrets jsonb, session text DEFAULT NULL, delivery text DEFAULT NULL, hosts text[] DEFAULT NULL,
	header text DEFAULT NULL, username text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.secrets LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	vault text;
	k text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'secret:write');
	PERFORM theazo_internal.flow_clean('a secret');
	hosts := theazo_internal.secret_delivery_check(delivery, hosts, header, username);
	IF secrets IS NULL OR pg_catalog.jsonb_typeof(secrets) <> 'object' OR secrets = '{}' THEN
		PERFORM theazo_internal.raise_value('secrets', 'must be an object of names and values');
	ELSIF (SELECT pg_catalog.count(*) FROM pg_catalog.jsonb_object_keys(secrets)) > 200 THEN
		PERFORM theazo_internal.raise_value('secrets', 'has more than 200 names');
	END IF;
	vault := theazo_internal.vault_of(session, true);
	-- one order for all, so that two calls never wait for each other in a ring
	-- and names alone: what a function in FROM returns, and what is sorted, may be written to a temporary file
	FOR k IN SELECT e.name FROM pg_catalog.jsonb_object_keys(secrets) e (name) ORDER BY e.name COLLATE "C" LOOP
		IF pg_catalog.jsonb_typeof(secrets -> k) <> 'string' THEN
			PERFORM theazo_internal.raise_value('secrets', 'must have strings as values');
		END IF;
		RETURN NEXT theazo_internal.secret_as_shown(
			theazo_internal.secret_set_row(theazo_internal.current_platform(), vault, k, secrets ->> k, delivery, hosts, header, username));
	END LOOP;
END $$;
COMMENT ON FUNCTION theazo.secrets_set(jsonb, text, text, text[], text, text, text) IS
'stores or replaces several secrets at once, all or none; delivery, hosts, header and username are those of each';

-- ---------------------------------------------------------------------------------------
-- reading

CREATE OR REPLACE FUNCTION theazo.secret_list(session text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.secrets LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	vault text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'secret:read');
	vault := NULLIF(theazo_internal.vault_of(session, false), '');
	RETURN QUERY SELECT s.* FROM theazo.secrets s
	 WHERE s.platform_id = theazo_internal.current_platform() AND s.session_id IS NOT DISTINCT FROM vault
	 ORDER BY s.name COLLATE "C";
END $$;
COMMENT ON FUNCTION theazo.secret_list(text, text) IS 'the platform''s secrets, or one session''s: names and dates, no values';

CREATE OR REPLACE FUNCTION theazo.secret_history(name text, session text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.secret_versions LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	vault text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'secret:read');
	vault := NULLIF(theazo_internal.vault_of(session, false), '');
	RETURN QUERY SELECT v.* FROM theazo.secret_versions v
	 WHERE v.platform_id = theazo_internal.current_platform() AND v.session_id IS NOT DISTINCT FROM vault AND v.name = secret_history.name
	 ORDER BY v.version DESC;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('secret', name);
	END IF;
END $$;
COMMENT ON FUNCTION theazo.secret_history(text, text, text) IS
'the versions of a secret, newest first, at most 100, also after it was deleted; no values';

-- ---------------------------------------------------------------------------------------
-- deleting

-- An ended session's own endpoint still has to take down the machines that are left there.
CREATE OR REPLACE FUNCTION theazo_internal.session_has_machines(p_platform text, p_session text)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM theazo_data.sandbox b
					WHERE b.platform_id = p_platform AND b.session_id = p_session AND b.provider_name = p_session
					  AND b.status IN ('creating', 'ready', 'paused', 'destroying', 'held'));
END $$;
COMMENT ON FUNCTION theazo_internal.session_has_machines(text, text) IS 'are there machines left at the endpoint of a session''s own';

-- Whose calls would fail, or miss something, without it. A session's own endpoint looks into the
-- session's vault first, everybody else into the platform's.
CREATE OR REPLACE FUNCTION theazo_internal.secret_users(p_platform text, p_vault text, p_name text)
RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	names text[];
BEGIN
	IF p_vault <> '' THEN
		SELECT ARRAY[pg_catalog.format('session %s', theazo_internal.quoted(s.id))] INTO names
		  FROM theazo_data.session s LEFT JOIN theazo_data.provider p ON p.platform_id = s.platform_id AND p.kind = 'compute' AND p.name = s.id
		 WHERE s.platform_id = p_platform AND s.id = p_vault AND (s.status <> 'terminated' OR s.compute ? 'endpoint' AND theazo_internal.session_has_machines(s.platform_id, s.id))
		   AND (s.compute ? 'endpoint' AND p_name IN (p.credential_ref, p.signing_ref) OR s.models ->> 'credentialRef' = p_name);
		RETURN names[1];
	END IF;
	SELECT pg_catalog.array_agg(u.what ORDER BY u.kind, u.what COLLATE "C") INTO names FROM (
		SELECT 1 AS kind, pg_catalog.format('%s provider %s', p.kind, theazo_internal.quoted(p.name)) AS what
		  FROM theazo_data.provider p
		 WHERE p.platform_id = p_platform AND p_name IN (p.credential_ref, p.signing_ref) AND p.name NOT LIKE 'ses\_%'
		UNION ALL
		SELECT 2, pg_catalog.format('anchor %s', theazo_internal.quoted(n.name))
		  FROM theazo_data.anchor n WHERE n.platform_id = p_platform AND n.credential_ref = p_name
		UNION ALL
		SELECT 2, pg_catalog.format('tool %s', theazo_internal.quoted(t.name))
		  FROM theazo_data.tool t WHERE t.platform_id = p_platform AND t.secret_ref = p_name
		UNION ALL
		SELECT 2, pg_catalog.format('webhook %s', theazo_internal.quoted(w.id))
		  FROM theazo_data.webhook w WHERE w.platform_id = p_platform AND p_name IN (w.secret_ref, w.previous_ref)
		UNION ALL
		SELECT 2, 'the judge of texts' FROM theazo_data.safety_ai a WHERE a.platform_id = p_platform AND a.credential_ref = p_name
		UNION ALL
		SELECT 2, pg_catalog.format('session %s', theazo_internal.quoted(s.id))
		  FROM theazo_data.session s LEFT JOIN theazo_data.provider p ON p.platform_id = s.platform_id AND p.kind = 'compute' AND p.name = s.id
		 WHERE s.platform_id = p_platform AND (s.status <> 'terminated' OR s.compute ? 'endpoint' AND theazo_internal.session_has_machines(s.platform_id, s.id))
		   AND (s.compute ? 'endpoint' AND p_name IN (p.credential_ref, p.signing_ref) OR s.models ->> 'credentialRef' = p_name)
		   AND NOT EXISTS (SELECT FROM theazo_data.secret x
							WHERE x.platform_id = p_platform AND x.session_id = s.id AND x.name = p_name)
		UNION ALL
		SELECT 3, pg_catalog.format('definition %s', theazo_internal.quoted(d.name))
		  FROM theazo_data.definition d
		  JOIN theazo_data.definition_version v ON v.platform_id = d.platform_id AND v.definition_id = d.id AND v.version = d.version
		 WHERE d.platform_id = p_platform AND d.deleted_at IS NULL
		   AND (v.content -> 'secrets' ? p_name OR v.content #>> '{model,credentialRef}' = p_name)
		UNION ALL
		SELECT 4, pg_catalog.format('agent %s', theazo_internal.quoted(a.id))
		  FROM theazo_data.agent a
		 WHERE a.platform_id = p_platform AND a.status <> 'completed'
		   AND (a.options -> 'secrets' ? p_name AND NOT coalesce(a.options -> 'sessionSecrets', '[]') ? p_name
				OR a.options #>> '{model,credentialRef}' = p_name AND NOT coalesce((a.options ->> 'modelNarrowed')::boolean, false))) u;
	RETURN pg_catalog.array_to_string(names[1:10], ', ')
		|| CASE WHEN pg_catalog.cardinality(names) > 10 THEN pg_catalog.format(' and %s more', pg_catalog.cardinality(names) - 10) ELSE '' END;
END $$;
COMMENT ON FUNCTION theazo_internal.secret_users(text, text, text) IS
'who uses a secret by name: providers, sessions, definitions, live agents; null when nobody does';

-- The caller has checked who asks. The row lock keeps a provider from naming it meanwhile.
CREATE OR REPLACE FUNCTION theazo_internal.secret_drop(p_platform text, p_vault text, p_name text, p_force boolean)
RETURNS theazo_data.secret LANGUAGE plpgsql AS $$
DECLARE
	was theazo_data.secret;
	users text;
BEGIN
	SELECT * INTO was FROM theazo_data.secret s
	 WHERE s.platform_id = p_platform AND s.session_id = p_vault AND s.name = p_name FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('secret', p_name);
	END IF;
	users := theazo_internal.secret_users(p_platform, p_vault, p_name);
	IF users IS NOT NULL AND NOT coalesce(p_force, false) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_in_use',
			MESSAGE = pg_catalog.format('secret %s is in use', theazo_internal.quoted(p_name)),
			DETAIL = pg_catalog.format('It is used by %s.', users),
			HINT = 'Change or delete them first, or pass force => true.';
	END IF;
	DELETE FROM theazo_data.secret s WHERE s.platform_id = p_platform AND s.session_id = p_vault AND s.name = p_name;
	UPDATE theazo_data.secret_version v SET ended_at = pg_catalog.clock_timestamp(), end_reason = 'deleted'
	 WHERE v.platform_id = p_platform AND v.session_id = p_vault AND v.name = p_name AND v.version = was.version AND v.ended_at IS NULL;
	PERFORM theazo_internal.event_write(p_platform, 'data', 'secret_deleted',
		pg_catalog.jsonb_build_object('name', p_name, 'version', was.version, 'forced', coalesce(p_force, false), 'users', users),
		NULLIF(p_vault, ''), NULL, NULL, coalesce(theazo_internal.current_environment(), 'live'));
	RETURN was;
END $$;
COMMENT ON FUNCTION theazo_internal.secret_drop(text, text, text, boolean) IS
'deletes a secret, unless it is used and this is not forced; returns what it was';

CREATE OR REPLACE FUNCTION theazo.secret_delete(
	name text, session text DEFAULT NULL, force boolean DEFAULT false, api_key text DEFAULT NULL)
RETURNS theazo.secrets LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	vault text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'secret:write');
	vault := theazo_internal.vault_of(session, true, true);
	RETURN theazo_internal.secret_as_shown(theazo_internal.secret_drop(theazo_internal.current_platform(), vault, name, force));
END $$;
COMMENT ON FUNCTION theazo.secret_delete(text, text, boolean, text) IS
'deletes a secret and its value; refused while providers, sessions, definitions or agents name it, unless forced';
