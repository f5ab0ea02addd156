// The realm of a run: what code may see, and how it talks to the host.
//
// Evaluated first, before any foreign code, as one expression. Takes private copies of what it needs, then takes away
// every global that is not on the list. Only the process is a wall: whatever code does to its own realm confuses code.
(function (hostLog, hostCall, hostDone) {
	'use strict';
	const { stringify, parse } = JSON;
	const { apply, ownKeys, getPrototypeOf } = Reflect;
	const { defineProperty, freeze, create, setPrototypeOf } = Object;
	const PromiseCtor = Promise, then = Promise.prototype.then;
	const ErrorCtor = Error, TypeErrorCtor = TypeError, InternalErrorCtor = globalThis.InternalError || RangeError, StringCtor = String;
	const { slice, indexOf } = String.prototype;
	const global = globalThis;

	const allowed = ('globalThis Infinity NaN undefined isFinite isNaN parseFloat parseInt ' +
		'decodeURI decodeURIComponent encodeURI encodeURIComponent escape unescape ' +
		'Object Array ArrayBuffer DataView BigInt BigInt64Array BigUint64Array Boolean Date Function ' +
		'Error AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError InternalError ' +
		'SuppressedError FinalizationRegistry WeakRef Float16Array Float32Array Float64Array ' +
		'Int8Array Int16Array Int32Array Uint8Array Uint8ClampedArray Uint16Array Uint32Array ' +
		'Iterator JSON Map Math Number Promise Proxy Reflect RegExp Set String Symbol WeakMap WeakSet ' +
		'DisposableStack AsyncDisposableStack').split(' ');
	const keep = create(null);
	for (const k of allowed) keep[k] = true;

	// No code from strings: neither by name nor by the constructor of any kind of function.
	const refuse = function Function() { throw new TypeErrorCtor('code generation from strings is not allowed'); };
	for (const f of [function () {}, async function () {}, function* () {}, async function* () {}])
		defineProperty(getPrototypeOf(f), 'constructor', { value: refuse, writable: false, enumerable: false, configurable: false });
	defineProperty(refuse, 'prototype', { value: getPrototypeOf(refuse), writable: false });
	defineProperty(global, 'Function', { value: refuse, writable: true, enumerable: false, configurable: true });
	for (const k of ownKeys(global)) if (typeof k === 'string' && keep[k] !== true) delete global[k];

	// --- the host's functions ------------------------------------------------
	const open = create(null); // id -> [resolve, reject] of calls without an answer
	let opened = 0, last = 0, ended = false;

	const text = function (v, max) {
		let s;
		try {
			s = typeof v === 'string' ? v : StringCtor(v);
			if (typeof s !== 'string') s = '';
		} catch (e) {
			s = '';
		}
		return s.length > max ? apply(slice, s, [0, max]) : s;
	};

	// The author's part of a stack: below it is how we came to call his code, in the words of either engine.
	const ours = ['    at apply (native)\n    at start (bridge.js', 'main@agent.js:1:22\nstart@bridge.js'];
	const trace = function (stack) {
		let at = apply(indexOf, stack, [ours[0]]);
		if (at < 0) at = apply(indexOf, stack, [ours[1]]);
		return at < 0 ? text(stack, 16000) : apply(slice, stack, [0, at < 16000 ? at : 16000]);
	};

	// What was thrown, without asking more of it than must be; getters of its own may throw as they like.
	const describe = function (e) {
		const d = create(null);
		d.name = 'Error';
		d.message = '';
		d.stack = '';
		if (typeof e === 'object' && e !== null || typeof e === 'function') {
			try { if (e.name !== undefined) d.name = text(e.name, 200) || 'Error'; } catch (x) { /* as it is */ }
			try { d.message = e.message === undefined ? text(e, 8000) : text(e.message, 8000); } catch (x) { /* as it is */ }
			try { if (typeof e.stack === 'string') d.stack = trace(e.stack); } catch (x) { /* as it is */ }
			// an engine that gives no stack to an error in the code's syntax
			try { if (d.stack === '' && typeof e.line === 'number') d.stack = text(e.sourceURL, 200) + ':' + e.line; } catch (x) { /* as it is */ }
		} else {
			d.message = typeof e === 'symbol' ? 'a symbol' : text(e, 8000);
		}
		return d;
	};

	const call = function (name, args) {
		if (ended) throw new ErrorCtor('the execution has ended');
		const json = stringify(args);
		const id = last + 1;
		// May throw: then no call was made and the id is free.
		hostCall(id, name, json);
		last = id;
		opened++;
		return new PromiseCtor(function (resolve, reject) { open[id] = [resolve, reject]; });
	};

	// A call that cannot be made rejects, as one that fails does.
	const rejected = function (e) { return new PromiseCtor(function (resolve, reject) { reject(e); }); };
	const attempt = function (name, make) {
		try { return call(name, make()); } catch (e) { return rejected(e); }
	};

	const levels = freeze({ __proto__: null, debug: 'debug', info: 'info', warn: 'warn', warning: 'warn', error: 'error' });
	const settled = new PromiseCtor(function (resolve) { resolve(undefined); });
	// An array that inherits nothing: code cannot have put a toJSON into it.
	const plain = function (a) { return setPrototypeOf(a, null); };

	const thetazero = create(null);
	thetazero.log = function log(msg, level) {
		const line = create(null);
		line.level = (typeof level === 'string' && levels[level]) || 'info';
		let m = msg;
		if (typeof m === 'object' && m !== null) {
			if (m instanceof ErrorCtor) {
				const d = describe(m);
				m = d.name + ': ' + d.message + (d.stack ? '\n' + d.stack : '');
			} else {
				m = stringify(m);
			}
		}
		line.msg = typeof m === 'string' ? m : typeof m === 'symbol' ? 'a symbol' : StringCtor(m);
		if (ended) throw new ErrorCtor('the execution has ended');
		hostLog(stringify(line));
		return settled;
	};
	thetazero.http_request = function http_request(url, method, headers, body) {
		return attempt('http_request', function () {
			return plain([StringCtor(url), method === undefined || method === null ? 'GET' : StringCtor(method),
				headers === undefined ? null : headers, body === undefined ? null : body]);
		});
	};
	thetazero.read_context = function read_context(key) {
		return attempt('read_context', function () { return plain([StringCtor(key)]); });
	};
	thetazero.write_context = function write_context(key, value) {
		return attempt('write_context', function () { return plain([StringCtor(key), value === undefined ? null : value]); });
	};
	thetazero.write_result = function write_result(output) {
		return attempt('write_result', function () { return plain([output === undefined ? null : output]); });
	};
	for (const k of ownKeys(thetazero)) freeze(thetazero[k]);

	// Before any foreign code: nothing of the realm is changed yet.
	const deepFreeze = function (root) {
		const todo = [root];
		while (todo.length > 0) {
			const v = todo.pop();
			if (typeof v !== 'object' || v === null) continue;
			freeze(v);
			for (const k of ownKeys(v)) todo.push(v[k]);
		}
		return root;
	};
	const fixed = function (name, value) {
		defineProperty(global, name, { value, writable: false, enumerable: true, configurable: false });
	};

	// --- the end -----------------------------------------------------------------
	const finish = function (ok, json, memory) {
		if (ended) return;
		ended = true;
		hostDone(ok, json, memory);
	};
	// Out of memory is an InternalError, or null where there was no memory for one.
	const noMemory = function (e) {
		try {
			return e === null || (e instanceof InternalErrorCtor && (e.message === 'out of memory' || e.message === 'Out of memory'));
		} catch (x) {
			return false;
		}
	};
	const failed = function (e) {
		finish(false, stringify(describe(e)), noMemory(e));
	};
	const returned = function (v) {
		let json;
		try {
			json = stringify(v);
		} catch (e) {
			failed(e);
			return;
		}
		finish(true, json, false);
	};

	// --- what C calls ------------------------------------------------------------
	const prepare = function (json) {
		const about = parse(json);
		thetazero.agentName = about.agentName;
		thetazero.agentVersion = about.agentVersion;
		thetazero.executionId = about.executionId;
		freeze(thetazero);
		fixed('thetazero', thetazero);
		fixed('input', deepFreeze(about.input === undefined ? {} : about.input));
	};
	// The compiled code, or what compiling it threw.
	const start = function (compiled, main) {
		if (!compiled) {
			failed(main);
			return;
		}
		try {
			apply(then, apply(main, undefined, []), [returned, failed]);
		} catch (e) {
			failed(e);
		}
	};
	const hidden = function (o, k, value) {
		if (value !== undefined) defineProperty(o, k, { __proto__: null, value, writable: true, enumerable: false, configurable: true });
	};
	const answer = function (id, ok, json) {
		const w = open[id];
		if (w === undefined) return;
		delete open[id];
		opened--;
		let v;
		try {
			v = parse(json);
		} catch (e) {
			w[1](e);
			return;
		}
		if (ok) {
			w[0](v);
			return;
		}
		const e = new ErrorCtor('');
		hidden(e, 'message', text(v.message, 8000));
		hidden(e, 'name', v.name);
		hidden(e, 'code', v.code);
		w[1](e);
	};
	// Nothing is left to run; ends the run when nothing will come either.
	const idle = function () {
		if (ended || opened > 0) return;
		const d = create(null);
		d.name = 'Error';
		d.message = 'the code waits for something that never settles';
		d.stack = '';
		finish(false, stringify(d), false);
	};
	return freeze({ __proto__: null, prepare, start, answer, idle });
})
