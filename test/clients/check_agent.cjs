// Drives docs/clients/theazo-agent.cjs against a gateway; prints "ok NAME" or "not ok NAME" for each check.
// Address and key come from THEAZO_BASE_URL and THEAZO_API_KEY.
'use strict';
const { isDeepStrictEqual } = require('node:util');
const { setTimeout: sleep } = require('node:timers/promises');
const { SecureAgent, SDKError } = require('../../docs/clients/theazo-agent.cjs');

const check = (name, got, want) => {
	const good = isDeepStrictEqual(got, want);
	console.log(`${good ? 'ok' : `not ok (${JSON.stringify(got)}, wanted ${JSON.stringify(want)})`} ${name}`);
};
const fails = async (name, code, call) => {
	try {
		await call();
		check(name, 'no error', code);
	} catch (e) {
		check(name, e instanceof SDKError ? e.code : String(e), code);
	}
};
const raw = async (method, path, body) => (await fetch(process.env.THEAZO_BASE_URL + path, {
	method, body: body && JSON.stringify(body), headers: { Authorization: `Bearer ${process.env.THEAZO_API_KEY}` },
})).json();
const decide = async (what) => {
	for (;;) {
		const { requests } = await raw('GET', '/api/sdk/permission-requests?status=pending');
		if (requests.length > 0) return raw('POST', `/api/sdk/permission-requests/${requests[0].id}/${what}`, { reason: 'so' });
		await sleep(50);
	}
};

(async () => {
	const agent = new SecureAgent({
		name: 'churn', permissions: SecureAgent.permissions.CODER, limits: { maxMemoryMb: 512, maxExecutionTimeSec: 300 }, sandbox: 'STANDARD',
	});
	const record = await agent.configure();
	check('configure', [record.status, record.config.memory_limit_mb, record.sandbox], ['ready', 512, 'STANDARD']);
	check('configure again keeps permissions', (await new SecureAgent({ name: 'churn' }).configure()).permissions, record.permissions);
	check('configure without permissions grants none', (await new SecureAgent({ name: 'bare' }).configure()).permissions, []);

	await agent.deploy('thetazero.log("begun"); return { hello: input.name ?? input.task, data: input.data }');
	const result = (await agent.run({ input: { name: 'Alice' } })).raiseForStatus();
	check('output', result.output, { hello: 'Alice' });
	check('a task with data', (await agent.run({ task: 'analyse', data: { users: [1] } })).output, { hello: 'analyse', data: { users: [1] } });
	check('logs', result.logs.map((l) => l.message), ['begun']);
	check('executions', (await agent.executions({ status: 'completed' })).length, 2);
	check('getExecution', (await agent.getExecution(result.executionId)).host_call_audit[0].fn, 'log');
	check('getAgent', (await agent.getAgent()).version, '1.0.0');
	check('listAgents', (await agent.listAgents()).map((a) => a.name).includes('churn'), true);
	check('update', (await agent.update({ description: 'of users' })).description, 'of users');
	await agent.update({ entry_code: 'throw new Error("no")' });
	check('raiseForStatus throws', await agent.run().then((r) => r.raiseForStatus()).catch((e) => e.message.includes('no')), true);

	await agent.setContext('a/b c', [1]);
	check('context', await agent.context(), { 'a/b c': [1] });
	await agent.deleteContext('a/b c');
	check('context deleted', await agent.context(), {});

	const ask = { permissions: { max_api_calls_per_run: 60 }, justification: 'weather', timeoutMs: 20000 };
	decide('approve');
	check('requestPermission approved', (await agent.requestPermission(ask)).status, 'approved');
	decide('deny');
	await fails('requestPermission denied', 'PERMISSION_DENIED', () => agent.requestPermission(ask));
	await fails('requestPermission without an answer', 'PERMISSION_TIMEOUT', () => agent.requestPermission({ ...ask, timeoutMs: 1000 }));

	const told = [];
	const stream = agent.streamAuditLog({ agentId: agent.agentId }, (type, data) => told.push([type, data]));
	await stream.opened;
	await agent.run();
	for (const until = Date.now() + 60000; told.length < 2 && Date.now() < until;) await sleep(50);
	check('streamAuditLog begins', told[0][0], 'connected');
	check('streamAuditLog tells what is done', [told[1][0], told[1][1].agent_id, told[1][1].hash.length], ['audit', agent.agentId, 64]);
	stream.close();
	await stream.done;

	const log = await agent.getAuditLog({ actionTypes: ['permission_approved', 'permission_refused'], limit: 10 });
	check('getAuditLog', log.events.map((e) => e.action_type).slice(-2), ['permission_refused', 'permission_approved']);
	check('exportAuditLog as csv', (await agent.exportAuditLog('csv')).slice(0, 13), 'id,timestamp,');
	check('exportAuditLog as json', (await agent.exportAuditLog('json')).length > 5, true);
	let proof = await agent.verifyExecution(result.executionId);
	for (const until = Date.now() + 60000; !proof.chain_valid && Date.now() < until; proof = await agent.verifyExecution(result.executionId)) await sleep(200);
	check('verifyExecution', [proof.chain_valid, proof.attestation_id.slice(0, 4)], [true, 'att_']);
	check('verifyAuditRecord', (await agent.verifyAuditRecord(log.events.at(-1).id)).chain_valid, true);

	check('stop', (await agent.stop('halting')).agent.status, 'halted');
	await fails('a halted agent does not run', 'AGENT_HALTED', () => agent.run());
	await agent.delete();
	await fails('deleted', 'NOT_FOUND', () => agent.getAgent());
	await fails('a wrong key', 'UNAUTHORIZED', () => new SecureAgent({ apiKey: 'tzk_wrong' }).listAgents());
	await fails('nobody there', 'CONNECTION_ERROR', () => new SecureAgent({ baseUrl: 'http://127.0.0.1:1' }).listAgents());
})().catch((e) => {
	console.log(`not ok (${e.stack}) the script`);
});
