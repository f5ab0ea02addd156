\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
SELECT platform AS p, live AS k FROM tst.platform('Persons') \gset
SELECT id AS s FROM theazo.session_create('anna@example.org', api_key => :'k') \gset
SELECT id AS t FROM theazo.session_create('bert@example.org', api_key => :'k') \gset

-- what names a person or repeats its words stands in no column in clear, and is shown to the platform
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT theazo_internal.event_write(:'p', 'execution', 'execution_started', '{"task": "Buy a \"gift\" for Ünal", "input": "a\\b", "n": 1, "output": 5}', :'s', NULL, NULL, 'live') AS e \gset
SELECT theazo_internal.event_write(:'p', 'execution', 'execution_started', '{"task": "call Bert"}', :'t', NULL, NULL, 'live') AS f \gset
SELECT theazo_internal.event_write(:'p', 'control', 'of_nobody', '{"task": "no session, no person"}', NULL, NULL, NULL, 'live') AS g \gset
COMMIT;
SELECT convert_from(body, 'UTF8'), regexp_replace(personal, '[0-9a-f]{64}', '(sha256)', 'g'), personal_sealed IS NOT NULL AS sealed FROM theazo_data.event WHERE id IN (:'e', :'f', :'g') ORDER BY number;
SELECT e.summary FROM theazo.authenticate(:'k') CROSS JOIN LATERAL (SELECT * FROM theazo.events x WHERE x.id IN (:'e', :'f', :'g') ORDER BY x.number) e;
SELECT count(*) FROM theazo_data.event e WHERE e.platform_id = :'p' AND (e::text ~ 'Ünal|Bert|anna|bert' OR position('Bert'::bytea in e.body) > 0 OR position('Bert'::bytea in e.personal_sealed) > 0);
-- one key an end user
SELECT count(*) AS keys FROM theazo_data.data_key k WHERE k.platform_id = :'p';

-- the same words leave different traces
BEGIN;
SELECT theazo_internal.event_write(:'p', 'execution', 'execution_started', '{"task": "call Bert"}', :'t', NULL, NULL, 'live') AS h \gset
SELECT count(DISTINCT personal), count(DISTINCT personal_sealed) FROM theazo_data.event WHERE id IN (:'f', :'h');
ROLLBACK;

-- sealed bytes open at their own event only
SELECT theazo_internal.event_personal(:'p', :'e', e.personal, e.personal_sealed), theazo_internal.event_personal(:'p', :'f', e.personal, e.personal_sealed),
	theazo_internal.event_personal(:'p', :'e', e.personal, substr(e.personal_sealed, 1, 40)), theazo_internal.event_personal(:'p', :'e', e.personal, NULL),
	theazo_internal.event_personal(:'p', :'e', e.personal, ''), theazo_internal.event_personal(NULL, :'e', e.personal, e.personal_sealed)
  FROM theazo_data.event e WHERE e.id = :'e';

-- erasure: the key goes, what is hashed stays
CREATE TEMP TABLE before AS SELECT (to_jsonb(e) - 'personal_sealed')::text AS was FROM theazo_data.event e WHERE e.id = :'e';
SELECT action, summary - 'first_key', summary ->> 'first_key' ~ '^uky_' FROM theazo.user_erase('anna@example.org', :'k');
SELECT e.summary FROM theazo.authenticate(:'k') CROSS JOIN LATERAL (SELECT * FROM theazo.events x WHERE x.id IN (:'e', :'f') ORDER BY x.number) e;
SELECT was = (SELECT (to_jsonb(e) - 'personal_sealed')::text FROM theazo_data.event e WHERE e.id = :'e') AS same FROM before;
SELECT count(*) FROM theazo.authenticate(:'k') CROSS JOIN LATERAL (SELECT * FROM theazo.events x WHERE x.summary ->> 'userId' = 'anna@example.org') e;
-- again, and nobody: the first is done already, the second is not known
SELECT summary FROM theazo.user_erase('anna@example.org', :'k');
SELECT tst.try(format('SELECT theazo.user_erase(%L, %L)', 'nobody', :'k'));
SELECT tst.try(format('SELECT theazo.user_erase(NULL, %L)', :'k'));
-- what comes after it is under a new key
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT theazo_internal.event_write(:'p', 'execution', 'execution_started', '{"task": "once more"}', :'s', NULL, NULL, 'live') AS n \gset
SELECT summary FROM theazo.events WHERE id = :'n';
ROLLBACK;
-- another platform's user of the same name is another person
SELECT live AS k2 FROM tst.platform('Others') \gset
SELECT tst.code(format('SELECT theazo.user_erase(%L, %L)', 'bert@example.org', :'k2'));
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id = :'t' FROM theazo.act_as(:'t');
SELECT tst.code('SELECT theazo.user_erase(''bert@example.org'')');
ROLLBACK;
SET ROLE theazo_app;
SELECT tst.code('TABLE theazo_data.data_key'), tst.code($$SELECT theazo_internal.event_personal('a', 'b', 'c', '')$$), tst.code($$SELECT theazo_internal.user_key_find('a', 'b')$$);
RESET ROLE;
