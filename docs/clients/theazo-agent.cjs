// Governed agents over HTTP, in one file without dependencies. Node 18 or newer.
//
//   const { SecureAgent } = require('./theazo-agent.cjs');
//   const agent = new SecureAgent({ apiKey: 'tzk_...', baseUrl: 'http://127.0.0.1:8700', name: 'hello',
//                                   permissions: SecureAgent.permissions.READONLY, sandbox: 'STANDARD' });
//   await agent.deploy('return { hello: input.name }');
//   const result = (await agent.run({ input: { name: 'Alice' } })).raiseForStatus();
//   console.log(result.output);
//
// The key may come from THEAZO_API_KEY, the address from THEAZO_BASE_URL.
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');

/** An answer that is no success: code, message, status, details, requestId. */
class SDKError extends Error {
	constructor(code, message, { status = 0, details = {}, requestId = null } = {}) {
		super(`${code}: ${message}`);
		this.name = 'SDKError';
		this.code = code;
		this.status = status;
		this.details = details;
		this.requestId = requestId;
	}
}

/** One execution as the server tells it; raw is its whole document. */
class ExecutionResult {
	constructor(raw) {
		this.raw = raw;
		this.executionId = raw.execution_id;
		this.agentId = raw.agent_id;
		this.status = raw.status;
		this.output = raw.output;
		this.error = raw.error;
		this.durationMs = raw.duration_ms;
		this.resourceUsage = raw.resource_usage ?? {};
		this.hostCallAudit = raw.host_call_audit ?? [];
		this.violationCount = raw.violation_count ?? 0;
		this.wasTerminated = raw.was_terminated ?? false;
		this.logs = raw.logs ?? [];
		this.auditTrailUrl = raw.audit_trail_url;
	}

	get ok() { return this.status === 'completed'; }

	/** Throws unless the execution completed; answers itself. */
	raiseForStatus() {
		if (!this.ok) throw new Error(`execution ${this.executionId} ${this.status}: ${this.error?.message ?? ''}`);
		return this;
	}
}

const PRESETS = ['READONLY', 'WRITER', 'RESEARCHER', 'CODER', 'ANALYST', 'FULL'];

const decode = (text) => {
	try { return JSON.parse(text); } catch { return null; }
};

const failure = (response, text) => {
	const answer = decode(text);
	const error = answer?.error;
	if (!error?.code) {
		return new SDKError(`HTTP_${response.status}`, 'the answer has no error document',
			{ status: response.status, requestId: response.headers.get('x-request-id') });
	}
	return new SDKError(error.code, error.message,
		{ status: response.status, details: error.details, requestId: answer.requestId });
};

const present = (object) => Object.fromEntries(Object.entries(object).filter(([, v]) => v !== undefined && v !== null));

/** Reads named events off a response until it ends. */
async function* events(body) {
	const decoder = new TextDecoder();
	let rest = '', type = 'message', data = [];
	for await (const piece of body) {
		const lines = (rest + decoder.decode(piece, { stream: true })).split('\n');
		rest = lines.pop();
		for (const raw of lines) {
			const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
			if (line === '') {
				if (data.length > 0) yield [type, decode(data.join('\n'))];
				type = 'message';
				data = [];
			} else if (line.startsWith('event:')) {
				type = line.slice(6).trim();
			} else if (line.startsWith('data:')) {
				data.push(line.slice(line[5] === ' ' ? 6 : 5));
			}
		}
	}
}

class SecureAgent {
	/** Names of the presets: the server knows what each allows. Or give an array of scopes. */
	static permissions = Object.freeze(Object.fromEntries(PRESETS.map((p) => [p, p])));

	#apiKey;

	constructor({ apiKey, baseUrl, name, description, version, permissions, sandbox, limits, compliance, config } = {}) {
		this.#apiKey = apiKey ?? process.env.THEAZO_API_KEY ?? process.env.THETAZERO_API_KEY;
		if (!this.#apiKey) throw new SDKError('UNAUTHORIZED', 'no API key: give apiKey or set THEAZO_API_KEY');
		this.baseUrl = (baseUrl ?? process.env.THEAZO_BASE_URL ?? 'http://127.0.0.1:8700').replace(/\/+$/, '');
		this.name = name ?? 'secure-agent';
		this.agentId = null;
		this.fields = { name: this.name, description, version, permissions, sandbox, limits, compliance, config };
	}

	// --- the wire ---------------------------------------------------------------

	async #open(method, path, { body, query, accept = 'application/json', signal } = {}) {
		const search = new URLSearchParams(Object.entries(present(query ?? {})).map(([k, v]) => [k, String(v)]));
		const url = `${this.baseUrl}${path}${search.size > 0 || String(search) ? `?${search}` : ''}`;
		let response;
		try {
			response = await fetch(url, {
				method, signal, body: body === undefined ? undefined : JSON.stringify(body),
				headers: { Authorization: `Bearer ${this.#apiKey}`, 'Content-Type': 'application/json', Accept: accept },
			});
		} catch (e) {
			if (signal?.aborted) throw e;
			throw new SDKError('CONNECTION_ERROR', `cannot reach ${this.baseUrl}: ${e.cause?.message ?? e.message}`);
		}
		if (!response.ok) throw failure(response, await response.text());
		return response;
	}

	async #call(method, path, options) {
		const text = await (await this.#open(method, path, options)).text();
		return text === '' ? null : JSON.parse(text);
	}

	async #path(...rest) {
		if (this.agentId === null) await this.getAgent();
		return ['/api/v1/sdk/agents', this.agentId, ...rest.map((r) => encodeURIComponent(r))].join('/');
	}

	// --- the agent ----------------------------------------------------------------

	/** Registers the agent, or replaces the one of this name. Its record. */
	async deploy(entryCode, fields = {}) {
		const body = present({ ...this.fields, entry_code: entryCode, ...fields });
		const { agent } = await this.#call('POST', '/api/v1/sdk/agents', { body });
		this.agentId = agent.id;
		return agent;
	}

	/**
	 * Registers the agent with the permissions, limits and template it was made with. Without permissions a new agent
	 * has none; one that exists keeps those it has.
	 */
	async configure() {
		const isNew = !(await this.listAgents()).some((a) => a.name === this.name);
		const permissions = this.fields.permissions ?? (isNew ? [] : undefined);
		return this.deploy(undefined, { status: 'ready', permissions });
	}

	async getAgent() {
		if (this.agentId === null) {
			const found = (await this.listAgents()).find((a) => a.name === this.name);
			if (!found) throw new SDKError('NOT_FOUND', `no agent is named "${this.name}": deploy() it first`, { status: 404 });
			this.agentId = found.id;
		}
		return (await this.#call('GET', await this.#path())).agent;
	}

	async listAgents() {
		const agents = [];
		for (let page = 1; ; page++) {
			const answer = await this.#call('GET', '/api/v1/sdk/agents', { query: { page, limit: 100 } });
			agents.push(...answer.agents);
			if (answer.agents.length === 0 || agents.length >= answer.total) return agents;
		}
	}

	/** Changes fields: entry_code, config (merged), status, permissions, ... */
	async update(fields) { return (await this.#call('PATCH', await this.#path(), { body: fields })).agent; }

	/** The agent and its executions, for good. Audit rows stay. */
	async delete() {
		await this.#call('DELETE', await this.#path());
		this.agentId = null;
	}

	/** Halts the agent at once; what runs ends. */
	async stop(reason) {
		await this.#path();
		return this.#call('POST', `/api/sdk/agents/${this.agentId}/kill`, { body: present({ reason }) });
	}

	// --- executions -----------------------------------------------------------------

	/** Runs the code with { input }, or { task, data } through the model loop. Waits for its end. */
	async run({ input, task, data } = {}) {
		const body = task === undefined ? { input: input ?? {} } : present({ task, data });
		return new ExecutionResult(await this.#call('POST', await this.#path('execute'), { body }));
	}

	/** Past executions, newest first: { page, limit, status }. */
	async executions(query = {}) {
		return (await this.#call('GET', await this.#path('executions'), { query })).executions;
	}

	/** One execution with its logs and the audit of its host calls. */
	async getExecution(id) { return (await this.#call('GET', await this.#path('executions', id))).execution; }

	/** Signature, hashes and place in the audit chain: tee_mode, attestation_id, chain_valid. */
	verifyExecution(id) { return this.#call('GET', `/api/sdk/executions/${encodeURIComponent(id)}/verify`); }

	// --- context --------------------------------------------------------------------

	async context() { return (await this.#call('GET', await this.#path('context'))).context; }
	async setContext(key, value) { await this.#call('PUT', await this.#path('context', key), { body: { value } }); }
	async deleteContext(key) { await this.#call('DELETE', await this.#path('context', key)); }

	// --- permissions ------------------------------------------------------------------

	/** Asks the account's owner and waits. SDKError PERMISSION_DENIED, _EXPIRED or _TIMEOUT unless approved. */
	async requestPermission({ permissions, justification, timeoutMs = 120000 }) {
		await this.#path();
		const until = Date.now() + timeoutMs;
		let { request } = await this.#call('POST', '/api/sdk/permission-requests',
			{ body: { agent_id: this.agentId, permissions, justification, timeout_ms: timeoutMs } });
		for (let wait = 200; request.status === 'pending' && Date.now() < until; wait = Math.min(wait * 1.5, 2000)) {
			await sleep(Math.max(0, Math.min(wait, until - Date.now())));
			({ request } = await this.#call('GET', `/api/sdk/permission-requests/${request.id}`));
		}
		const code = { denied: 'PERMISSION_DENIED', expired: 'PERMISSION_EXPIRED', pending: 'PERMISSION_TIMEOUT' }[request.status];
		if (code) throw new SDKError(code, request.reason ?? 'the request was not approved', { details: request });
		return request;
	}

	// --- audit ------------------------------------------------------------------------

	/** Events: { from, to, actionTypes, violationsOnly, limit, executionId, cursor }. */
	getAuditLog(query = {}) {
		const actionTypes = query.actionTypes?.join(',');
		return this.#call('GET', '/api/sdk/audit', { query: { agentId: this.agentId, ...query, actionTypes } });
	}

	verifyAuditRecord(id) { return this.#call('GET', `/api/sdk/audit/${encodeURIComponent(id)}/verify`); }

	/** The audit log as CSV text, or as a list with format 'json'. */
	async exportAuditLog(format = 'csv', query = {}) {
		const accept = format === 'csv' ? 'text/csv' : 'application/json';
		const text = await (await this.#open('GET', '/api/sdk/audit/export', { query: { ...query, format }, accept })).text();
		return format === 'csv' ? text : JSON.parse(text);
	}

	/**
	 * Calls onEvent(type, data) for each event as it happens. Answers a handle: close() leaves, and opened and done
	 * are promises of the connection and of its end.
	 */
	streamAuditLog(query, onEvent) {
		const leave = new AbortController();
		const opened = this.#open('GET', '/api/sdk/audit/stream', { query, accept: 'text/event-stream', signal: leave.signal });
		const done = opened.then(async (response) => {
			for await (const [type, data] of events(response.body)) onEvent(type, data);
		}).catch((e) => {
			if (!leave.signal.aborted) throw e;
		});
		const ready = opened.then(() => undefined);
		// Whoever does not look at these is not to be stopped by them.
		ready.catch(() => {});
		done.catch(() => {});
		return { opened: ready, done, close: () => leave.abort() };
	}
}

module.exports = { SecureAgent, ExecutionResult, SDKError };
