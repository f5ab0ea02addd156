\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set worker :abs_srcdir '/sql/include/worker.psql'

-- The tree of a round is the one of RFC 9162: its vectors, and a recursion that is not ours level by level.
CREATE FUNCTION tst.mth(l bytea[]) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	n int := cardinality(l);
	k int := 1;
BEGIN
	IF n = 1 THEN
		RETURN l[1];
	END IF;
	WHILE k * 2 < n LOOP
		k := k * 2;
	END LOOP;
	RETURN sha256('\x01'::bytea || tst.mth(l[1:k]) || tst.mth(l[k + 1:n]));
END $$;
-- what the path of a leaf leads to
CREATE FUNCTION tst.climb(leaf bytea, index int, size int, path bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	fn int := index;
	sn int := size - 1;
	r bytea := leaf;
	p bytea;
BEGIN
	FOR i IN 0..octet_length(path) / 32 - 1 LOOP
		p := substr(path, i * 32 + 1, 32);
		IF sn = 0 THEN
			RETURN NULL;
		END IF;
		IF fn & 1 = 1 OR fn = sn THEN
			r := sha256('\x01'::bytea || p || r);
			WHILE fn & 1 = 0 AND fn <> 0 LOOP
				fn := fn >> 1;
				sn := sn >> 1;
			END LOOP;
		ELSE
			r := sha256('\x01'::bytea || r || p);
		END IF;
		fn := fn >> 1;
		sn := sn >> 1;
	END LOOP;
	RETURN CASE WHEN sn = 0 THEN r END;
END $$;
CREATE VIEW tst.leaves AS
	SELECT n, array_agg(sha256('\x00'::bytea || int4send(i)) ORDER BY i) AS l
	  FROM generate_series(1, 40) n CROSS JOIN LATERAL generate_series(1, n) i GROUP BY n;
SELECT count(*), bool_and(t.root = tst.mth(x.l)) FROM tst.leaves x CROSS JOIN LATERAL theazo_internal.round_tree(x.l) t;
SELECT count(*), bool_and(tst.climb(x.l[i], i - 1, x.n, t.paths[i]) = t.root)
  FROM tst.leaves x CROSS JOIN LATERAL theazo_internal.round_tree(x.l) t CROSS JOIN LATERAL generate_series(1, x.n) i;
SELECT encode(t.root, 'hex') FROM theazo_internal.round_tree(ARRAY(
	SELECT sha256('\x00'::bytea || u.d) FROM unnest(ARRAY['\x', '\x00', '\x10', '\x2021', '\x3031', '\x40414243', '\x5051525354555657',
		'\x606162636465666768696a6b6c6d6e6f']::bytea[]) WITH ORDINALITY AS u (d, o) ORDER BY u.o)) t;

-- Who may: the operator.
SELECT tst.code($$SELECT theazo.operator_anchor_set('x', 'file')$$);
SET ROLE theazo_app;
SELECT tst.code($$SELECT theazo.operator_anchor_set('x', 'file')$$), tst.code($$SELECT theazo.operator_anchor_delete('x')$$), tst.code($$SELECT theazo.operator_anchor_now()$$);
SELECT tst.code($$SELECT * FROM theazo.operator_anchors$$);
RESET ROLE;

-- What is refused.
SELECT tst.try(format('SELECT (theazo.operator_anchor_set(%L, %L, %L, %L)).name', n, k, c, s)) FROM (VALUES
	(1, NULL, 'evm', '{}', NULL), (2, '-x', 'evm', '{}', NULL), (3, 'x', 'carrier pigeon', '{}', NULL), (4, 'x', 'rfc3161', '[]', NULL),
	(5, 'x', 'rfc3161', '{}', NULL), (6, 'x', 'rfc3161', '{"url": "ftp://x"}', NULL), (7, 'x', 'rfc3161', '{"url": "https://x.example"}', NULL),
	(8, 'x', 'rfc3161', '{"url": "https://x.example", "ca": "no"}', NULL),
	(9, 'x', 'rfc3161', '{"url": "https://x.example", "ca": "-----BEGIN CERTIFICATE-----", "chain_id": 1}', NULL),
	(10, 'x', 'evm', '{"url": "https://x.example"}', NULL), (11, 'x', 'evm', '{"url": "https://x.example", "chain_id": 1.5}', NULL),
	(12, 'x', 'evm', '{"url": "https://x.example", "chain_id": 1, "from": "0x12"}', NULL),
	(13, 'x', 'evm', '{"url": "https://x.example", "chain_id": 1, "from": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "confirmations": 0}', NULL),
	(14, 'x', 'evm', '{"url": "https://x.example", "chain_id": 1, "from": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "max_gas_price": "1e9"}', NULL),
	(15, 'x', 'evm', '{"url": "https://x.example", "chain_id": 1, "from": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "to": "me"}', NULL),
	(16, 'x', 'evm', '{"url": "https://x.example", "chain_id": 1, "from": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"}', 'none'),
	(17, 'x', 'file', '{"file": "../x"}', NULL), (18, 'x', 'file', '{"file": "a/b"}', NULL), (19, 'x', 'file', '{}', NULL)) v (o, n, k, c, s) ORDER BY o;
SELECT tst.try($$SELECT theazo.operator_anchor_delete('x')$$);

-- What is stored. Everything in one transaction and of one snapshot, so that no keeper sees it or is seen.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT name, kind, config, credential_ref, state, age FROM theazo.operator_anchor_set('chain', 'evm',
	'{"url": "https://x.example/", "chain_id": 361, "from": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "max_gas_price": "8000000000000"}');
SELECT tst.try($$SELECT (theazo.operator_anchor_set('other', 'evm', '{"url": "https://y.example", "chain_id": 361, "from": "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"}')).name$$);
SELECT name FROM theazo.operator_anchor_set('other', 'evm', '{"url": "https://y.example", "chain_id": 365, "from": "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"}');
SELECT name FROM theazo.operator_secret_set('rpc.key', 'not-a-real-one');
SELECT name, credential_ref, config FROM theazo.operator_anchor_set('stamp', 'rfc3161', '{"url": "https://tsa.example", "ca": "-----BEGIN CERTIFICATE-----"}', 'rpc.key');
SELECT tst.try($$SELECT (theazo.operator_secret_delete('rpc.key')).name$$);
SELECT count(*) FROM theazo.operator_anchor_now();
SELECT name FROM theazo.operator_anchor_delete('other');
SELECT action, description, summary FROM (SELECT action, NULL AS description, summary, id FROM theazo.operator_events WHERE action ~ '^anchor') e ORDER BY id;

-- Rounds: platforms with something new, in their order.
INSERT INTO theazo_data.platform (platform_id, name) SELECT 'plt_0000000000000000000000000' || x, 'anchored' FROM unnest('{A,B,C}'::text[]) x;
CREATE FUNCTION tst.sign(p text, n bigint) RETURNS void LANGUAGE sql AS $$
	INSERT INTO theazo_data.audit_checkpoint (platform_id, tree_size, signed_at, root, chain, key_id, note)
	VALUES ('plt_0000000000000000000000000' || p, n, now(), sha256('r'), sha256('c'), 'aky_00000000000000000000000000', p || n) $$;
CREATE VIEW tst.leaf AS SELECT l.round_id, right(l.platform_id, 1) AS p, l.index, l.tree_size FROM theazo_data.audit_round_leaf l;
CREATE VIEW tst.attempt AS
	SELECT dense_rank() OVER (ORDER BY t.round_id) AS round, t.name, t.state, t.tries, t.step_state, t.error FROM theazo_data.anchor_attempt t;
SELECT tst.sign('A', 1), tst.sign('B', 7);
SELECT theazo_internal.round_make(false) AS round \gset
SELECT p, tree_size FROM tst.leaf WHERE round_id = :'round' AND p IN ('A', 'B', 'C') ORDER BY index;
SELECT r.size = count(*), r.root = (theazo_internal.round_tree(array_agg(sha256('\x00'::bytea || convert_to(c.note, 'UTF8')) ORDER BY l.index))).root
  FROM theazo_data.audit_round r JOIN theazo_data.audit_round_leaf l ON l.round_id = r.id
  JOIN theazo_data.audit_checkpoint c ON c.platform_id = l.platform_id AND c.tree_size = l.tree_size WHERE r.id = :'round' GROUP BY r.size, r.root;
-- nothing new: none; what was asked for is on its way
SELECT theazo_internal.round_make(false), theazo_internal.round_make(true);
SELECT theazo_internal.anchors_pump();
SELECT round, name, state FROM tst.attempt ORDER BY 1, 2;
\i :worker
SELECT * FROM tst.claim();
SELECT c.kind, c.request - 'at_us' - 'round' - 'root' - 'nonce' - 'size', (c.request ->> 'size')::int = r.size, c.request ->> 'root' = encode(r.root, 'hex'), length(c.request ->> 'nonce'),
	   c.endpoint ->> 'url', c.endpoint ->> 'credential_ref', c.endpoint -> 'config' ? 'ca', c.step_state
  FROM tst.claimed c JOIN theazo_data.audit_round r ON r.id = :'round' ORDER BY c.kind;
-- one is stamped; the other stores its nonce and fails
SELECT tst.settle('anchor.rfc3161', 'done', '{"time_us": 1, "token": "AAEC"}');
SELECT tst.settle('anchor.evm', 'next', '{"state": {"phase": "price", "nonce": 7}}');
SELECT tst.due();
SELECT * FROM tst.claim();
SELECT c.step, c.step_state FROM tst.claimed c;
SELECT tst.settle('anchor.evm', 'failed', '{"message": "insufficient funds"}');
SELECT name, kind, evidence, token FROM theazo_data.audit_anchor WHERE round_id = :'round';
SELECT round, name, state, tries, step_state, error FROM tst.attempt ORDER BY 1, 2;
SELECT name, state, age IS NOT NULL AS age, open_tries, failing_since IS NOT NULL AS failing, error FROM theazo.operator_anchors ORDER BY name;
SELECT tree_size, name, kind, tx_hash FROM theazo_internal.anchor_latest('plt_0000000000000000000000000A');
SELECT count(*) FROM theazo_internal.anchor_latest('plt_0000000000000000000000000C');
-- a newer round: the one that has its nonce goes first, and goes on where it stood
SELECT tst.sign('C', 2);
SELECT theazo_internal.round_make(false) AS round2 \gset
SELECT p, tree_size FROM tst.leaf WHERE round_id = :'round2' AND p IN ('A', 'B', 'C') ORDER BY index;
UPDATE theazo_data.anchor_attempt SET due_at = clock_timestamp();
SELECT theazo_internal.anchors_pump();
SELECT round, name, state FROM tst.attempt ORDER BY 1, 2;
SELECT * FROM tst.claim();
SELECT c.step, c.step_state FROM tst.claimed c WHERE c.kind = 'anchor.evm';
SELECT tst.settle('anchor.evm', 'done', '{"tx_hash": "0xab"}'), tst.settle('anchor.rfc3161', 'failed', '{"message": "rejected"}');
-- then the newest; what never left is passed over
SELECT round, name, state, tries FROM tst.attempt ORDER BY 1, 2;
SELECT tst.sign('A', 5);
SELECT theazo_internal.round_make(false) IS NOT NULL;
SELECT round, name, state, tries FROM tst.attempt ORDER BY 1, 2;
-- the operator's own events alone make no round so soon, unless somebody asks
INSERT INTO theazo_data.audit_checkpoint (platform_id, tree_size, signed_at, root, chain, key_id, note)
VALUES (theazo_internal.operator_platform(), 1000000000, now(), sha256('r'), sha256('c'), 'aky_00000000000000000000000000', 'operator');
SAVEPOINT asked;
SELECT theazo_internal.round_make(false) IS NULL, theazo_internal.round_make(true) IS NOT NULL;
ROLLBACK TO asked;
-- a transaction that the chain refused begins anew
SELECT * FROM tst.claim();
SELECT tst.settle('anchor.evm', 'next', '{"state": {"phase": "price", "nonce": 8}}');
SELECT tst.due();
SELECT * FROM tst.claim();
SELECT tst.settle('anchor.evm', 'failed', '{"code": "anchor_void", "message": "reverted"}');
SELECT round, name, state, tries, step_state FROM tst.attempt ORDER BY 1, 2;
-- a settlement that threw is noticed
UPDATE theazo_data.anchor_attempt SET due_at = clock_timestamp() WHERE state = 'waiting';
SELECT theazo_internal.anchors_pump();
UPDATE theazo_data.effect SET state = 'failed' WHERE kind ~ '^anchor' AND state IN ('queued', 'claimed');
SELECT theazo_internal.anchors_pump();
SELECT name, state, error FROM theazo.operator_anchors ORDER BY name;
-- deleted: given up, what was confirmed stays
SELECT name FROM theazo.operator_anchor_delete('stamp');
SELECT DISTINCT name, state FROM tst.attempt WHERE name = 'stamp' ORDER BY 1, 2;
SELECT count(*) FROM theazo_data.audit_anchor WHERE name = 'stamp';
-- a copy of the database holds them
UPDATE theazo_data.anchor SET instance = 'another';
SELECT theazo_internal.anchors_due(), theazo_internal.keeper_anchor(), (SELECT state FROM theazo.operator_anchors);
SELECT theazo.effects_release() >= 0;
SELECT state ~ 'held' FROM theazo.operator_anchors;
ROLLBACK;

-- A platform sees its own checkpoints with the rounds that have them, and nobody else's.
BEGIN;
SELECT platform, live FROM tst.platform('anchor one') \gset one_
SELECT platform, live FROM tst.platform('anchor two') \gset two_
INSERT INTO theazo_data.audit_checkpoint (platform_id, tree_size, signed_at, root, chain, key_id, note)
SELECT u.p, u.n, now(), sha256('r'), sha256('c'), 'aky_00000000000000000000000000', 'note' FROM (VALUES (:'one_platform', 3), (:'one_platform', 9), (:'two_platform', 4)) u (p, n);
SELECT theazo_internal.round_record('rnd_00000000000000000000000001', sha256('x'), ARRAY[:'one_platform', :'two_platform'], '{3,4}', ARRAY['', '']::bytea[]);
SELECT theazo_internal.anchor_record('rnd_00000000000000000000000001', 'a', 'evm', now() - interval '1 hour', '{"tx_hash": "0x1"}', NULL);
SET LOCAL ROLE theazo_auditor;
SELECT theazo.authenticate(:'one_live') IS NOT NULL;
SELECT tree_size, round_index, round_size, name, kind, tx_hash, age > interval '59 minutes' AS age FROM theazo.audit_anchors ORDER BY tree_size;
RESET ROLE;
ROLLBACK;
