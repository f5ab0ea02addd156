-- Checks of an installed extension. Each query gives the offenders, one a row.
-- Ours: what lies in one of the four schemas, whether member of the extension or
-- made later (partitions).

-- check: definer functions pin search_path, pg_temp last
SELECT p.oid::regprocedure, p.proconfig
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname ~ '^theazo' AND p.prosecdef
  AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c
				  WHERE c ~ '^search_path=("?[a-z_]+"?, *)*"?pg_temp"?$')
ORDER BY 1;

-- check: no function is executable by PUBLIC
SELECT p.oid::regprocedure
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace,
	LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
WHERE n.nspname ~ '^theazo' AND a.grantee = 0
ORDER BY 1;

-- check: no relation or column is granted to PUBLIC
SELECT c.oid::regclass, a.privilege_type
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
	LATERAL aclexplode(c.relacl) a
WHERE n.nspname ~ '^theazo' AND a.grantee = 0
UNION ALL
SELECT c.oid::regclass, t.attname || ' ' || a.privilege_type
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_attribute t ON t.attrelid = c.oid,
	LATERAL aclexplode(t.attacl) a
WHERE n.nspname ~ '^theazo' AND a.grantee = 0
ORDER BY 1, 2;

-- check: no schema is granted to PUBLIC
SELECT n.nspname, a.privilege_type
FROM pg_namespace n, LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
WHERE n.nspname ~ '^theazo' AND a.grantee = 0
ORDER BY 1, 2;

-- check: application roles reach no table directly
SELECT c.oid::regclass, a.grantee::regrole, a.privilege_type
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL aclexplode(c.relacl) a
WHERE n.nspname = 'theazo_data'
  AND a.grantee::regrole::text IN ('theazo_app', 'theazo_auditor', 'theazo_operator', 'theazo_worker', 'theazo_gateway')
ORDER BY 1, 2, 3;

-- check: no view and no definer function belongs to a superuser
SELECT c.oid::regclass::text, r.rolname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
WHERE n.nspname ~ '^theazo' AND c.relkind IN ('v', 'm') AND r.rolsuper
UNION ALL
SELECT p.oid::regprocedure::text, r.rolname
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner
WHERE n.nspname ~ '^theazo' AND p.prosecdef AND r.rolsuper
ORDER BY 1;

-- check: no table belongs to a superuser
SELECT c.oid::regclass, r.rolname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
WHERE n.nspname ~ '^theazo' AND c.relkind IN ('r', 'p', 'S') AND r.rolsuper
ORDER BY 1;

-- check: the owners cannot log in, theazo_owner and theazo_guard do not bypass policies
SELECT rolname, rolcanlogin, rolbypassrls, rolsuper
FROM pg_roles
WHERE rolname IN ('theazo_owner', 'theazo_system', 'theazo_guard')
  AND (rolcanlogin OR rolsuper OR rolbypassrls <> (rolname = 'theazo_system'));

-- check: every table and sequence is registered for pg_dump, but for state of this cluster
SELECT c.oid::regclass
FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'theazo'
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
  AND c.relkind IN ('r', 'p', 'S')
  AND NOT c.oid = ANY (coalesce(e.extconfig, '{}'))
  AND c.relname NOT IN ('audit_cursor', 'audit_sweep')
ORDER BY 1;

-- check: dated partitions are no members of the extension
SELECT c.oid::regclass
FROM pg_depend d JOIN pg_class c ON c.oid = d.objid JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'theazo'
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
  AND c.relispartition AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT'
ORDER BY 1;

-- check: a fresh installation holds no row in a registered table but the keeper's
SELECT 'platform' FROM theazo_data.platform
UNION ALL SELECT 'api_key' FROM theazo_data.api_key
UNION ALL SELECT 'event' FROM theazo_data.event
UNION ALL SELECT 'price' FROM theazo_data.price;

-- check: row-level security is on and forced on every table
SELECT c.oid::regclass, c.relrowsecurity, c.relforcerowsecurity
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'theazo_data' AND c.relkind IN ('r', 'p')
  AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
ORDER BY 1;

-- check: every table that is no partition has a policy
SELECT c.oid::regclass
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'theazo_data' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid)
ORDER BY 1;

-- check: every unique index begins with platform_id
SELECT i.indexrelid::regclass
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'theazo_data' AND i.indisunique
  AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = i.indkey[0] AND a.attname = 'platform_id')
ORDER BY 1;

-- check: partitioned parents carry no index and no foreign key
SELECT c.oid::regclass, i.indexrelid::regclass::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_index i ON i.indrelid = c.oid
WHERE n.nspname = 'theazo_data' AND c.relkind = 'p'
UNION ALL
SELECT c.oid::regclass, o.conname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_constraint o ON o.conrelid = c.oid
WHERE n.nspname = 'theazo_data' AND c.relkind = 'p' AND o.contype IN ('p', 'u', 'f')
ORDER BY 1, 2;

-- check: partitions of one table have the same indexes
WITH idx AS (
	SELECT inh.inhparent::regclass AS parent, c.oid::regclass AS part,
		(SELECT string_agg(regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', ''), ' | ' ORDER BY
			regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', '')) FROM pg_index i WHERE i.indrelid = c.oid) AS defs
	FROM pg_inherits inh JOIN pg_class c ON c.oid = inh.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = 'theazo_data' AND c.relkind = 'r')
SELECT DISTINCT a.part, a.defs FROM idx a JOIN idx b ON b.parent = a.parent
WHERE a.defs IS DISTINCT FROM b.defs OR a.defs IS NULL
ORDER BY 1;

-- check: views are security barriers
SELECT c.oid::regclass
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'theazo' AND c.relkind = 'v' AND NOT coalesce(c.reloptions, '{}') && '{security_barrier=true,security_barrier=on}'
ORDER BY 1;

-- check: every function has a comment
SELECT p.oid::regprocedure
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('theazo', 'theazo_internal', 'theazo_api') AND obj_description(p.oid, 'pg_proc') IS NULL
ORDER BY 1;

-- check: every view has a comment
SELECT c.oid::regclass
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('theazo', 'theazo_api') AND c.relkind = 'v' AND obj_description(c.oid, 'pg_class') IS NULL
ORDER BY 1;

-- check: no overloads
SELECT n.nspname, p.proname, count(*)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname ~ '^theazo'
GROUP BY 1, 2 HAVING count(*) > 1
ORDER BY 1, 2;

-- check: every entry function takes api_key last
SELECT p.oid::regprocedure
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'theazo' AND p.prosecdef AND has_function_privilege('theazo_app', p.oid, 'EXECUTE')
  AND p.proname NOT IN ('authenticate', 'act_as', 'whoami')
  AND p.proname !~ '^current_'
  AND (p.pronargs = 0 OR p.proargnames[p.pronargs] <> 'api_key')
ORDER BY 1;

-- check: plpgsql bodies name no unqualified relation of ours
SELECT p.oid::regprocedure
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname ~ '^theazo' AND p.prolang = (SELECT oid FROM pg_language WHERE lanname = 'plpgsql')
  AND p.prosrc ~* '\m(from|join|update|into)\s+(agent|session|run|effect|event|charge|platform|sandbox|secret|provider)\s+(where|set|\(|[a-z]\s)'
  AND p.prosrc !~* '\minto\s+(strict\s+)?(agent|session|run|effect|event|charge|platform|sandbox|secret|provider)\s*;'
ORDER BY 1;
