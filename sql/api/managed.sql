-- managed.sql: what the operator brings: accounts at providers, for the compute that platforms
-- know as "theazo" and nothing else, and the secrets of those accounts.
--
-- Both belong to the operator's platform, for which no key and no role can speak: the policies
-- hide its rows from every platform, names are looked up in the caller's platform only, and an
-- endpoint is paired with the secrets of the platform that owns the endpoint. So an operator's
-- secret reaches no address but one the operator gave. In sandboxes and effects an entry is named
-- "theazo:" and its name, which no platform may use (provider.sql).

CREATE OR REPLACE VIEW theazo.operator_secrets WITH (security_barrier) AS
SELECT s.name, s.version, coalesce(s.delivery, 'env') AS delivery, s.hosts, s.header, s.username, s.master_key_id,
	   s.created_at, s.updated_at, s.last_used_at
  FROM theazo_data.secret s
 WHERE s.platform_id = theazo_internal.operator_platform();
COMMENT ON VIEW theazo.operator_secrets IS 'operator: names and dates of the secrets of managed accounts; never a value';

CREATE OR REPLACE VIEW theazo.operator_secret_versions WITH (security_barrier) AS
SELECT v.name, v.version, v.actor_kind, v.actor, v.set_at, coalesce(v.ended_at, n.set_at) AS ended_at,
	   coalesce(v.end_reason, CASE WHEN n.version IS NOT NULL THEN 'replaced' END) AS end_reason
  FROM theazo_data.secret_version v
  LEFT JOIN theazo_data.secret_version n
	ON n.platform_id = v.platform_id AND n.session_id = v.session_id AND n.name = v.name AND n.version = v.version + 1
 WHERE v.platform_id = theazo_internal.operator_platform()
   AND NOT EXISTS (SELECT FROM theazo_data.secret_version x
					WHERE x.platform_id = v.platform_id AND x.session_id = v.session_id AND x.name = v.name AND x.version = v.version + 100);
COMMENT ON VIEW theazo.operator_secret_versions IS 'operator: every version of the secrets of managed accounts, without values';

CREATE OR REPLACE VIEW theazo.operator_providers WITH (security_barrier) AS
SELECT p.kind, p.name, p.type, p.endpoint, p.credential_ref, p.signing_ref, p.config, p.priority, p.limits, p.capabilities,
	   p.created_at, p.updated_at, p.tested
  FROM theazo_data.provider p
 WHERE p.platform_id = theazo_internal.operator_platform();
COMMENT ON VIEW theazo.operator_providers IS 'operator: managed accounts; the first compute entry by priority is what platforms know as theazo';

CREATE OR REPLACE VIEW theazo.operator_events WITH (security_barrier) AS
SELECT e.id, e.occurred_at, e.actor_kind, e.actor_id, e.category, e.action, pg_catalog.convert_from(e.body, 'UTF8')::jsonb -> 'summary' AS summary
  FROM theazo_data.event e
 WHERE e.platform_id = theazo_internal.operator_platform();
COMMENT ON VIEW theazo.operator_events IS 'operator: audit events of the operator''s own, each use of a managed account among them';

-- The row that operator secrets and entries hang on comes with the first of them: the install
-- script inserts nothing. Its state lets nobody make a key or bind a role.
CREATE OR REPLACE FUNCTION theazo_internal.operator_platform_ready()
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	here text := theazo_internal.operator_platform();
BEGIN
	INSERT INTO theazo_data.platform (platform_id, name, state) VALUES (here, 'operator', 'reserved')
	ON CONFLICT ON CONSTRAINT platform_pkey DO NOTHING;
	RETURN here;
END $$;
COMMENT ON FUNCTION theazo_internal.operator_platform_ready() IS 'makes the operator''s platform row if it is missing; returns its id';

-- ---------------------------------------------------------------------------------------
-- secrets

CREATE OR REPLACE FUNCTION theazo.operator_secret_set(
	name text, value text, delivery text DEFAULT NULL, hosts text[] DEFAULT NULL, header text DEFAULT NULL, username text DEFAULT NULL)
RETURNS theazo.operator_secrets LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result theazo.operator_secrets;
BEGIN
	PERFORM theazo_internal.enter_operator();
	hosts := theazo_internal.secret_delivery_check(delivery, hosts, header, username);
	PERFORM theazo_internal.secret_set_row(theazo_internal.operator_platform_ready(), '', name, value, delivery, hosts, header, username);
	SELECT * INTO STRICT result FROM theazo.operator_secrets s WHERE s.name = operator_secret_set.name;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.operator_secret_set(text, text, text, text[], text, text) IS
'operator: stores or replaces the secret of a managed account; pass the value as a parameter, not as text of the statement';

CREATE OR REPLACE FUNCTION theazo.operator_secret_list()
RETURNS SETOF theazo.operator_secrets LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter_operator();
	RETURN QUERY SELECT s.* FROM theazo.operator_secrets s ORDER BY s.name COLLATE "C";
END $$;
COMMENT ON FUNCTION theazo.operator_secret_list() IS 'operator: secrets of managed accounts: names and dates, no values';

CREATE OR REPLACE FUNCTION theazo.operator_secret_delete(name text, force boolean DEFAULT false)
RETURNS theazo.operator_secrets LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	here text := theazo_internal.operator_platform();
	result theazo.operator_secrets;
BEGIN
	PERFORM theazo_internal.enter_operator();
	PERFORM 1 FROM theazo_data.secret s WHERE s.platform_id = here AND s.session_id = '' AND s.name = operator_secret_delete.name FOR UPDATE;
	SELECT * INTO result FROM theazo.operator_secrets s WHERE s.name = operator_secret_delete.name;
	PERFORM theazo_internal.secret_drop(here, '', name, force);
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.operator_secret_delete(text, boolean) IS
'operator: deletes the secret of a managed account; refused while an entry names it, unless forced';

-- ---------------------------------------------------------------------------------------
-- entries

CREATE OR REPLACE FUNCTION theazo.operator_provider_set(
	name text, kind text DEFAULT 'compute', type text DEFAULT NULL, endpoint text DEFAULT NULL, credential_ref text DEFAULT NULL,
	signing_ref text DEFAULT NULL, config jsonb DEFAULT '{}', priority integer DEFAULT 100, limits jsonb DEFAULT '{}')
RETURNS theazo.operator_providers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result theazo.operator_providers;
BEGIN
	PERFORM theazo_internal.enter_operator();
	-- an entry that nothing here can carry would leave every platform without managed compute
	IF kind = 'compute' AND NOT theazo_internal.compute_carried(
			theazo_internal.provider_type(kind, name, type, coalesce(endpoint, config ->> 'endpoint', config ->> 'baseUrl'))) THEN
		PERFORM theazo_internal.raise_value('type', pg_catalog.format('%s cannot be managed yet', theazo_internal.quoted(coalesce(type, name))),
			'This version has no adapter for it.');
	END IF;
	PERFORM theazo_internal.provider_put(theazo_internal.operator_platform_ready(), name, kind, type, 'managed', endpoint,
		credential_ref, signing_ref, config, priority, limits);
	SELECT * INTO STRICT result FROM theazo.operator_providers p WHERE p.kind = operator_provider_set.kind AND p.name = operator_provider_set.name;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.operator_provider_set(text, text, text, text, text, text, jsonb, integer, jsonb) IS
'operator: creates or replaces a managed account; platforms use it as theazo, and pay by the operator''s prices';

CREATE OR REPLACE FUNCTION theazo.operator_provider_delete(name text, kind text DEFAULT 'compute', force boolean DEFAULT false)
RETURNS theazo.operator_providers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result theazo.operator_providers;
BEGIN
	PERFORM theazo_internal.enter_operator();
	PERFORM theazo_internal.one_of('kind', kind, 'compute', 'model');
	SELECT * INTO result FROM theazo.operator_providers p
	 WHERE p.kind = operator_provider_delete.kind AND p.name = operator_provider_delete.name;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found(kind || ' provider', name);
	END IF;
	PERFORM theazo_internal.provider_drop(theazo_internal.operator_platform(), kind, name, force);
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.operator_provider_delete(text, text, boolean) IS
'operator: deletes a managed account; refused while it holds sandboxes, unless forced';
