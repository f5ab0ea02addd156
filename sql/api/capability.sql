-- capability.sql: what each kind of compute can do. What one provider lacks beyond this is learnt from it (compute.sql).

-- support: native; emulated, by other means that note names; none, which is refused with TZ406. Operations are those of the
-- provider interface, and what a sandbox can be asked to have.
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
	('local', 'snapshot', 'none', 'files live as long as the sandbox'),
	('local', 'forget', 'none', NULL),
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
	('e2b', 'browser', 'emulated', 'by a template that has one: templates.browser of the provider''s config'),
	('e2b', 'region', 'none', 'the account has one region'),
	('e2b', 'storage', 'none', 'disk is that of the template'),
	('e2b', 'gpu', 'none', NULL)
$$;
COMMENT ON FUNCTION theazo_internal.compute_operations() IS 'what each kind of compute can do, emulates and lacks';
