// The reference of rows 8, 8s and 8q: each run in a worker thread of its own with resource limits, the code in a context of vm.
// worker.mjs N: runs the code on standard input N times one after another; median in microseconds.
// worker.mjs N AT_ONCE: for N seconds, so many at once; runs per second.
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

const code = readFileSync(0, 'utf8');
const thread = `
const { parentPort, workerData } = require('node:worker_threads');
const vm = require('node:vm');
const open = new Map();
let last = 0;
const call = (fn, args) => new Promise((resolve, reject) => {
	open.set(++last, { resolve, reject });
	parentPort.postMessage({ call: last, fn, args });
});
parentPort.on('message', (m) => { const w = open.get(m.id); open.delete(m.id); w.resolve(m.value); });
const thetazero = Object.freeze({
	log: (msg, level = 'info') => parentPort.postMessage({ log: String(msg), level }),
	read_context: (key) => call('read_context', [key]),
});
const context = vm.createContext({ thetazero, input: Object.freeze({}) }, { codeGeneration: { strings: false, wasm: false } });
new vm.Script('(async function main() {' + workerData + '\\n})').runInContext(context, { timeout: 10000 })()
	.then((v) => { parentPort.postMessage({ done: JSON.stringify(v) }); process.exit(0); });
`;

function run() {
	return new Promise((resolve, reject) => {
		const w = new Worker(thread, { eval: true, workerData: code, resourceLimits: { maxOldGenerationSizeMb: 128 } });
		let result;
		w.on('message', (m) => {
			if (m.call) w.postMessage({ id: m.call, value: { key: m.args[0] } });
			else if ('done' in m) result = m.done;
		});
		w.on('error', reject);
		w.on('exit', () => resolve(result));
	});
}

async function rate(seconds, atOnce) {
	const until = performance.now() + seconds * 1000;
	let runs = 0;
	await Promise.all(Array.from({ length: atOnce }, async () => {
		for (; performance.now() < until; runs++) await run();
	}));
	return runs / seconds;
}

async function median(n) {
	const times = [];
	for (let i = 0; i < n; i++) {
		const from = process.hrtime.bigint();
		await run();
		times.push(Number(process.hrtime.bigint() - from) / 1000);
	}
	times.sort((a, b) => a - b);
	return times[Math.floor(times.length / 2)];
}

const [n, atOnce] = process.argv.slice(2).map(Number);
console.log(atOnce ? await rate(n, atOnce) : await median(n));
