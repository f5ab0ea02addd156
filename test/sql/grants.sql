\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include

CREATE VIEW tst.funcs AS
SELECT p.oid, n.nspname AS schema, p.proname AS name, p.prosecdef, p.proconfig, r.rolname AS owner
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner WHERE n.nspname ~ '^theazo';
CREATE VIEW tst.rels AS
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.relispartition AS part, r.rolname AS owner
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
 WHERE n.nspname ~ '^theazo' AND c.relkind IN ('r', 'p', 'v', 'S', 'm', 'f');
CREATE VIEW tst.roles AS SELECT unnest('{theazo_app,theazo_auditor,theazo_operator,theazo_worker,theazo_gateway}'::name[]) AS role;

-- the roles themselves
SELECT rolname, rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles WHERE rolname ~ '^theazo_' ORDER BY 1;
SELECT m.roleid::regrole, m.member::regrole FROM pg_auth_members m WHERE m.roleid::regrole::text ~ '^theazo_' AND m.member::regrole::text ~ '^theazo_' ORDER BY 1, 2;

-- owners: tables of theazo_owner, events of theazo_guard, nothing of a superuser
SELECT owner, kind, count(*) > 0 FROM tst.rels GROUP BY 1, 2 ORDER BY 1, 2;
SELECT name, part FROM tst.rels WHERE owner = 'theazo_guard' AND NOT part ORDER BY 1;
SELECT bool_and(name ~ '^event_') FROM tst.rels WHERE owner = 'theazo_guard' AND part;
SELECT name FROM tst.rels WHERE owner = 'theazo_system' ORDER BY 1;
SELECT DISTINCT owner FROM tst.funcs ORDER BY 1;
SELECT schema, name FROM tst.funcs WHERE owner = CASE schema WHEN 'theazo_internal' THEN 'theazo_owner' ELSE 'theazo_system' END OR owner = 'theazo_guard' ORDER BY 1, 2;
SELECT n.nspname, n.nspowner::regrole FROM pg_namespace n WHERE n.nspname ~ '^theazo' ORDER BY 1;

-- nothing for PUBLIC, on anything
SELECT 'schema', n.nspname FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a WHERE n.nspname ~ '^theazo' AND a.grantee = 0
UNION ALL SELECT 'function', p.oid::regprocedure::text FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE p.pronamespace::regnamespace::text ~ '^theazo' AND a.grantee = 0
UNION ALL SELECT 'relation', c.oid::regclass::text FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace::regnamespace::text ~ '^theazo' AND a.grantee = 0
UNION ALL SELECT 'domain', t.oid::regtype::text FROM pg_type t, aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) a WHERE t.typnamespace::regnamespace::text ~ '^theazo' AND t.typtype = 'd' AND a.grantee = 0;

-- schemas
SELECT role, string_agg(nspname, ' ' ORDER BY nspname) FROM tst.roles, pg_namespace WHERE nspname ~ '^theazo' AND has_schema_privilege(role, oid, 'USAGE') GROUP BY 1 ORDER BY 1;
SELECT role, nspname FROM tst.roles, pg_namespace WHERE nspname ~ '^theazo' AND has_schema_privilege(role, oid, 'CREATE');
-- tables: none of these roles holds anything on any
SELECT role, name FROM tst.roles, tst.rels WHERE schema = 'theazo_data'
   AND has_table_privilege(role, oid, 'SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER');
-- views are read, never written
SELECT role, name FROM tst.roles, tst.rels WHERE kind = 'v' AND has_table_privilege(role, oid, 'INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER');
-- nobody writes events but their guard
SELECT r.rolname, x.name FROM pg_roles r, tst.rels x WHERE x.name ~ '^event' AND x.schema = 'theazo_data' AND r.rolname ~ '^theazo_' AND r.rolname <> 'theazo_guard'
   AND has_table_privilege(r.oid, x.oid, 'INSERT,UPDATE,DELETE,TRUNCATE');

-- functions: what only the operator calls
SELECT name FROM tst.funcs WHERE schema = 'theazo' AND has_function_privilege('theazo_operator', oid, 'EXECUTE') AND NOT has_function_privilege('theazo_app', oid, 'EXECUTE') ORDER BY 1;
SELECT name FROM tst.funcs WHERE schema = 'theazo' AND NOT has_function_privilege('theazo_operator', oid, 'EXECUTE');
-- what an auditor calls
SELECT name FROM tst.funcs WHERE schema = 'theazo' AND has_function_privilege('theazo_auditor', oid, 'EXECUTE') ORDER BY 1;
-- workers call nothing of theazo; the role that serves REST calls what an application does
SELECT name FROM tst.funcs WHERE schema = 'theazo' AND has_function_privilege('theazo_worker', oid, 'EXECUTE');
SELECT name FROM tst.funcs WHERE schema = 'theazo' AND has_function_privilege('theazo_gateway', oid, 'EXECUTE') <> has_function_privilege('theazo_app', oid, 'EXECUTE');
SELECT name FROM tst.funcs WHERE schema = 'theazo_api' AND NOT has_function_privilege('theazo_gateway', oid, 'EXECUTE');
SELECT role, name FROM tst.funcs, tst.roles WHERE schema = 'theazo_api' AND role <> 'theazo_gateway' AND has_function_privilege(role, oid, 'EXECUTE');
-- what an application's role could reach of theazo_internal, if it could name it: what the views need
SELECT name FROM tst.funcs WHERE schema = 'theazo_internal' AND has_function_privilege('theazo_app', oid, 'EXECUTE') ORDER BY 1;
SELECT name FROM tst.funcs WHERE schema = 'theazo_internal' AND has_function_privilege('theazo_worker', oid, 'EXECUTE') ORDER BY 1;
-- and the role that serves REST, beside that and the operations
SELECT name FROM tst.funcs f WHERE schema = 'theazo_internal' AND has_function_privilege('theazo_gateway', oid, 'EXECUTE')
   AND NOT has_function_privilege('theazo_app', oid, 'EXECUTE') AND name !~ '^rest_' ORDER BY 1;
SELECT name FROM tst.funcs WHERE schema = 'theazo_internal' AND name ~ '^rest_' AND (prosecdef OR proconfig IS NOT NULL);

-- definer functions: search_path pinned, pg_temp last
SELECT schema, name FROM tst.funcs WHERE prosecdef AND NOT coalesce(proconfig, '{}') @> '{"search_path=pg_catalog, pg_temp"}';
-- every public function that an application calls is a definer function of theazo_owner, or a procedure that commits
SELECT name FROM tst.funcs f JOIN pg_proc p USING (oid) WHERE schema = 'theazo' AND NOT (f.prosecdef AND owner IN ('theazo_owner', 'theazo_system')) AND p.prokind <> 'p';

-- each view, read by each role: what is refused
CREATE FUNCTION tst.reads() RETURNS SETOF text LANGUAGE sql AS $$
SELECT current_user || ': ' || code || ': ' || string_agg(name, ' ' ORDER BY name) FROM (
	SELECT v.relname AS name, tst.code(format('SELECT count(x::text) FROM theazo.%I x', v.relname)) AS code
	  FROM pg_class v WHERE v.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'theazo') AND v.relkind = 'v') x
 WHERE code <> 'ok' GROUP BY code ORDER BY code $$;
BEGIN;
SELECT live AS k FROM tst.platform('Grants') \gset
SELECT theazo.authenticate(:'k');
SELECT status FROM theazo.agent_create((theazo.session_create('u')).id);
SET ROLE theazo_operator;
SELECT tst.reads();
SET ROLE theazo_app;
SELECT tst.reads();
SET ROLE theazo_auditor;
SELECT tst.reads();
SET ROLE theazo_gateway;
SELECT tst.reads();
ROLLBACK;

-- row-level security on every table; one policy each, partitions have none
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'theazo_data'::regnamespace AND c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity);
SELECT c.relname, string_agg(p.polname, ' ' ORDER BY p.polname) FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid
 WHERE c.relnamespace = 'theazo_data'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
 GROUP BY 1 HAVING count(*) <> 1 OR bool_or(p.polname IS DISTINCT FROM c.relname || '_tenant') ORDER BY 1;
SELECT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid WHERE c.relispartition;
-- every policy compares the platform
SELECT c.relname, p.polname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = 'theazo_data'::regnamespace
   AND pg_get_expr(p.polqual, p.polrelid) !~ '^\(+platform_id\)::text = \( SELECT theazo_internal.current_platform\(\)' ORDER BY 1, 2;
-- every table and sequence of the extension is registered for pg_dump, whole, but for state of this cluster
SELECT c.oid::regclass FROM pg_depend d JOIN pg_class c ON c.oid = d.objid JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'theazo'
 WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND c.relkind IN ('r', 'p', 'S')
   AND c.relname NOT IN ('audit_cursor', 'audit_sweep')
   AND (array_position(e.extconfig, c.oid) IS NULL OR e.extcondition[array_position(e.extconfig, c.oid)] <> '');
-- the version of the objects is the extension's
SELECT theazo_internal.sql_version() = e.extversion, theazo_internal.library_version() = e.extversion FROM pg_extension e WHERE e.extname = 'theazo';
DROP VIEW tst.funcs, tst.rels, tst.roles;
DROP FUNCTION tst.reads;
