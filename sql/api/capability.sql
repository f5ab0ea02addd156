-- capability.sql: what each kind of compute can do. What one provider lacks beyond this is learnt from it (compute.sql).

-- support: native; emulated, by other means that note names; none, which is refused with TZ406, as is what has no row. Operations are
-- those of the provider interface, stop (the end of a command that is cancelled), and what a sandbox can be asked to have: region, browser, storage, gpu.
CREATE OR REPLACE FUNCTION theazo_internal.compute_operations()
RETURNS TABLE (type text, operation text, support text, note text)
LANGUAGE sql IMMUTABLE
AS $$
	VALUES
	('local', 'create', 'native', NULL),
	('local', 'exec', 'native', NULL),
	('local', 'read', 'native', NULL),
	('local', 'write', 'native', NULL),
	('local', 'list', 'native', NULL),
	('local', 'expose_port', 'none', 'sandboxes have no address of their own'),
	('local', 'pause', 'native', 'processes are frozen in memory'),
	('local', 'resume', 'native', NULL),
	('local', 'metrics', 'native', NULL),
	('local', 'destroy', 'native', NULL),
	('local', 'sweep', 'native', 'each dispatcher knows what it holds'),
	('local', 'renew', 'none', 'a sandbox lives as long as its dispatcher'),
	('local', 'snapshot', 'native', 'files only, 24 MB of them packed, kept in the database'),
	('local', 'forget', 'native', NULL),
	('local', 'stop', 'native', NULL),
	('local', 'region', 'none', 'it is where the database is'),
	('local', 'browser', 'none', 'no browser is installed in it'),
	('local', 'storage', 'none', 'its disk is as large as theazo.sandbox_disk says'),
	('local', 'gpu', 'none', NULL),
	('docker', 'create', 'native', NULL),
	('docker', 'exec', 'native', NULL),
	('docker', 'stop', 'emulated', 'by a command in the container'),
	('docker', 'read', 'native', 'as an archive'),
	('docker', 'write', 'native', 'as an archive'),
	('docker', 'list', 'emulated', 'by a command in the container'),
	('docker', 'expose_port', 'native', 'where the provider''s entry gives containers a network of their own, and names the ports'),
	('docker', 'pause', 'native', 'processes are frozen in memory; lost when the machine restarts'),
	('docker', 'resume', 'native', NULL),
	('docker', 'metrics', 'native', NULL),
	('docker', 'logs', 'native', 'output of PID 1 only'),
	('docker', 'sweep', 'native', 'by the labels of containers'),
	('docker', 'renew', 'native', 'to the lifetime it was made with'),
	('docker', 'forget', 'native', NULL),
	('docker', 'snapshot', 'native', 'files only, by commit; neither processes nor memory'),
	('docker', 'destroy', 'native', NULL),
	('docker', 'region', 'none', 'it is where the engine is'),
	('docker', 'browser', 'none', 'what is installed is what the image has'),
	('docker', 'storage', 'native', 'where the engine''s storage driver has quotas'),
	('docker', 'gpu', 'none', NULL),
	('webhook', 'create', 'native', NULL),
	('webhook', 'exec', 'native', NULL),
	('webhook', 'read', 'native', NULL),
	('webhook', 'write', 'native', NULL),
	('webhook', 'list', 'native', 'where the receiver has it'),
	('webhook', 'expose_port', 'native', 'where the receiver has it'),
	('webhook', 'pause', 'native', 'where the receiver has it'),
	('webhook', 'resume', 'native', 'where the receiver has it'),
	('webhook', 'metrics', 'native', 'where the receiver has it'),
	('webhook', 'destroy', 'native', NULL),
	('webhook', 'sweep', 'none', 'the contract has no list'),
	('webhook', 'renew', 'none', 'the contract has no call for more time'),
	('webhook', 'snapshot', 'emulated', 'a pause and a resume, where the receiver has them'),
	('webhook', 'forget', 'none', NULL),
	('webhook', 'stop', 'none', 'a command that is cancelled goes on until its own limit'),
	('webhook', 'region', 'native', 'handed to the receiver'),
	('webhook', 'browser', 'native', 'handed to the receiver'),
	('webhook', 'storage', 'native', 'handed to the receiver'),
	('webhook', 'gpu', 'native', 'handed to the receiver'),
	('e2b', 'create', 'native', 'size and disk are those of the template'),
	('e2b', 'exec', 'native', NULL),
	('e2b', 'read', 'native', NULL),
	('e2b', 'write', 'native', NULL),
	('e2b', 'list', 'native', NULL),
	('e2b', 'expose_port', 'native', 'anybody who knows the address reaches the port'),
	('e2b', 'pause', 'native', 'memory is kept, and what processes left running hold in it, unless pauseMemory is false'),
	('e2b', 'resume', 'native', NULL),
	('e2b', 'metrics', 'native', NULL),
	('e2b', 'logs', 'native', 'events of the sandbox; what programs print comes with their exec'),
	('e2b', 'destroy', 'native', NULL),
	('e2b', 'sweep', 'native', NULL),
	('e2b', 'renew', 'native', 'up to what the account''s plan allows'),
	('e2b', 'snapshot', 'native', 'with memory, and what processes left running hold in it'),
	('e2b', 'forget', 'native', NULL),
	('e2b', 'stop', 'native', NULL),
	('e2b', 'browser', 'emulated', 'by a template that has one: templates.browser of the provider''s config'),
	('e2b', 'region', 'none', 'the account has one region'),
	('e2b', 'storage', 'none', 'disk is that of the template'),
	('e2b', 'gpu', 'none', NULL),
	('daytona', 'create', 'native', 'size and image come from the snapshot'),
	('daytona', 'exec', 'emulated', 'runs on its own and is looked at; needs a POSIX shell and base64 in the snapshot'),
	('daytona', 'read', 'native', NULL),
	('daytona', 'write', 'native', NULL),
	('daytona', 'list', 'native', NULL),
	('daytona', 'expose_port', 'native', 'a signed address, for a day at most'),
	('daytona', 'pause', 'native', 'containers are stopped: files stay, processes end; virtual machines keep their memory, after what was given secrets has ended'),
	('daytona', 'resume', 'native', NULL),
	('daytona', 'metrics', 'native', 'by a command where the daemon is an old one'),
	('daytona', 'destroy', 'native', NULL),
	('daytona', 'sweep', 'native', NULL),
	('daytona', 'renew', 'native', NULL),
	('daytona', 'snapshot', 'native', 'files; of virtual machines memory, too, after what was given secrets has ended'),
	('daytona', 'forget', 'native', NULL),
	('daytona', 'stop', 'native', NULL),
	('daytona', 'logs', 'none', 'what programs print comes with their exec'),
	('daytona', 'region', 'native', 'the target of the sandbox'),
	('daytona', 'browser', 'emulated', 'by a snapshot that has one: snapshots.browser of the provider''s config'),
	('daytona', 'storage', 'none', 'disk is that of the snapshot'),
	('daytona', 'gpu', 'none', 'size is that of the snapshot'),
	('fly', 'create', 'native', 'machines always have a network'),
	('fly', 'exec', 'emulated', 'runs on its own and is looked at; needs a POSIX shell and base64 in the image'),
	('fly', 'read', 'emulated', 'by a command, as base64'),
	('fly', 'write', 'emulated', 'by a command, as base64'),
	('fly', 'list', 'emulated', 'by a command'),
	('fly', 'expose_port', 'none', 'an address is that of the application, from the creation on'),
	('fly', 'pause', 'native', 'memory is kept as long as the machine stays on its host; what was given secrets is ended before'),
	('fly', 'resume', 'native', NULL),
	('fly', 'metrics', 'emulated', 'by a command'),
	('fly', 'destroy', 'native', NULL),
	('fly', 'sweep', 'native', NULL),
	('fly', 'renew', 'none', 'a machine lives as long as it was made for'),
	('fly', 'snapshot', 'none', 'a suspended machine is its only copy, and not a lasting one'),
	('fly', 'forget', 'none', NULL),
	('fly', 'stop', 'native', NULL),
	('fly', 'logs', 'none', 'what programs print comes with their exec'),
	('fly', 'region', 'native', NULL),
	('fly', 'browser', 'none', 'what is installed is what the image has'),
	('fly', 'storage', 'none', 'disk is that of the image'),
	('fly', 'gpu', 'none', NULL)
$$;
COMMENT ON FUNCTION theazo_internal.compute_operations() IS 'what each kind of compute can do, emulates and lacks';

-- A kind has an adapter when it can make a sandbox.
CREATE OR REPLACE FUNCTION theazo_internal.compute_carried(p_type text)
RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$ SELECT EXISTS (SELECT FROM theazo_internal.compute_operations() o WHERE o.type = p_type AND o.operation = 'create' AND o.support <> 'none') $$;
COMMENT ON FUNCTION theazo_internal.compute_carried(text) IS 'is there an adapter for this kind of compute';

-- Why a kind of compute cannot do something; null when it can.
CREATE OR REPLACE FUNCTION theazo_internal.compute_lacks(p_type text, p_op text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
	o	record;
BEGIN
	SELECT * INTO o FROM theazo_internal.compute_operations() x WHERE x.type = p_type AND x.operation = p_op;
	RETURN CASE WHEN o.support IS NULL THEN 'it is not known of this kind'
				WHEN o.support = 'none' THEN coalesce(o.note, 'this kind of compute has no such thing') END;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_lacks(text, text) IS 'why a kind of compute lacks an operation or a property, null when it has it';

-- Disk that an agent asks for, in whole gigabytes: "20", "20GB", "1.5 TB", "512MB".
CREATE OR REPLACE FUNCTION theazo_internal.storage_gb(p_field text, p_text text)
RETURNS integer
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
	m		text[] := regexp_match(p_text, '^\s*(\d{1,7}(?:\.\d{1,3})?)\s*([MGT]?)(?:i?B)?\s*$', 'i');
	v_gb	numeric := ceil(m[1]::numeric * CASE upper(m[2]) WHEN 'M' THEN 1 / 1024.0 WHEN 'T' THEN 1024 ELSE 1 END);
BEGIN
	IF v_gb IS NULL OR v_gb NOT BETWEEN 1 AND 65536 THEN
		PERFORM theazo_internal.raise_value(p_field, format('%s is no size of a disk', theazo_internal.quoted(p_text)),
			'For example "20GB"; from 1 GB to 64 TB.');
	END IF;
	RETURN v_gb;
END
$$;
COMMENT ON FUNCTION theazo_internal.storage_gb(text, text) IS 'size of a disk in whole gigabytes';

-- What an agent wants its sandbox to have, as members of the request that makes it. A sandbox without them is asked for nothing.
CREATE OR REPLACE FUNCTION theazo_internal.compute_wishes(p_options jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	RETURN jsonb_strip_nulls(jsonb_build_object(
		'region', p_options -> 'region',
		'browser', CASE WHEN (p_options ->> 'browser')::boolean THEN true END,
		'storage_gb', CASE WHEN p_options ? 'storage' THEN theazo_internal.storage_gb('storage', p_options ->> 'storage') END,
		'gpu', CASE WHEN lower(p_options ->> 'gpu') NOT IN ('none', '0') THEN p_options -> 'gpu' END));
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_wishes(jsonb) IS
'region, browser, storage_gb and gpu that an agent''s options ask for, as members of the create request';

-- What of it a kind of compute cannot serve; empty when it can all.
CREATE OR REPLACE FUNCTION theazo_internal.compute_unserved(p_type text, p_wishes jsonb)
RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
	SELECT ARRAY(SELECT w.op FROM (SELECT regexp_replace(k, '_gb$', '') AS op FROM jsonb_object_keys(p_wishes) k) w
				  WHERE theazo_internal.compute_lacks(p_type, w.op) IS NOT NULL ORDER BY 1)
$$;
COMMENT ON FUNCTION theazo_internal.compute_unserved(text, jsonb) IS 'what an agent wants of its sandbox that a kind of compute lacks';
