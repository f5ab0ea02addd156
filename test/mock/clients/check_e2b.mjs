// The vendor's own clients against the double of E2B: what they cannot work with, our adapter must
// not be judged by. Prints TAP lines; ends with 1 if any is not ok.
//
//	node check_e2b.mjs [PYTHON]

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as e2b from 'e2b';

const { Sandbox } = e2b;
const here = path.dirname(fileURLToPath(import.meta.url));
const KEY = 'e2b_' + '0123456789abcdef'.repeat(2) + '01234567';
const dir = mkdtempSync(path.join(tmpdir(), 'e2b-'));
const double = spawn(process.argv[2] || 'python3', [path.join(here, '..', 'e2b.py'), '--dir', dir, '--key', KEY, '--no-fsync', '--young', '0'],
  { stdio: ['ignore', 'pipe', 'inherit'] });
let ports = '';
while (!ports.includes('\n')) ports += String(await once(double.stdout, 'data').then(([d]) => d));
const [api, gateway] = ports.trim().split(' ');
const opts = { apiKey: KEY, apiUrl: `http://127.0.0.1:${api}`, sandboxUrl: `http://127.0.0.1:${gateway}`, retries: 0 };

let number = 0;
let failed = 0;
const same = (a, b, what = '') => {
  const x = JSON.stringify(a), y = JSON.stringify(b);
  if (x !== y) throw new Error(`${what} is ${x}, not ${y}`);
};
const truth = (v, what) => { if (!v) throw new Error(what); };
const control = (doc) => fetch(opts.apiUrl + '/_control', { method: doc ? 'POST' : 'GET', body: doc && JSON.stringify(doc) }).then((r) => r.json());
const rulesOff = () => fetch(opts.apiUrl + '/_control', { method: 'DELETE' });

async function test(name, run) {
  number++;
  try {
    await run();
    console.log(`ok ${number} - e2b: ${name}`);
  } catch (e) {
    failed++;
    console.log(`not ok ${number} - e2b: ${name}\n    ${String(e && e.stack || e).split('\n').slice(0, 4).join('\n    ')}`);
  }
  await rulesOff();
}

async function fails(run, kind) {
  let error;
  try { await run(); } catch (e) { error = e; }
  truth(error, 'it did not fail');
  truth(error.constructor.name === kind, `it failed as ${error.constructor.name}: ${error.message}`);
  return error;
}

// which of its own kinds of error it makes of each refusal
const NOT_FOUND = 'SandboxNotFoundError', RATE = 'RateLimitError', AUTH = 'AuthenticationError';

let box;
await test('create, with metadata and a token of its own', async () => {
  box = await Sandbox.create('base', { ...opts, timeoutMs: 120000, metadata: { 'theazo.id': 'sbx_1' }, envs: { GIVEN: 'yes' } });
  const info = await Sandbox.getInfo(box.sandboxId, opts);
  same(info.metadata, { 'theazo.id': 'sbx_1' }, 'metadata');
  same(info.state, 'running', 'state');
});
await test('a command: both streams, environment, exit code 0', async () => {
  let live = '';
  const r = await box.commands.run('echo "$GIVEN $MORE"; echo bad >&2', { envs: { MORE: 'x' }, onStdout: (d) => { live += d; } });
  same([r.stdout, r.stderr, r.exitCode, live], ['yes x\n', 'bad\n', 0, 'yes x\n']);
});
await test('an exit code', async () => {
  const e = await fails(() => box.commands.run('echo out; exit 3'), 'CommandExitError');
  same([e.exitCode, e.stdout], [3, 'out\n']);
});
await test('a program that is missing', async () => {
  const e = await fails(() => box.commands.run('exec /nowhere/prog'), 'CommandExitError');
  same(e.exitCode, 127);
});
await test('characters across chunks', async () => {
  const r = await box.commands.run(`python3 -c "import sys; sys.stdout.write('\\u20ac' * 100000)"`);
  same(r.stdout.length, 100000, 'length');
  truth(/^\u20ac+$/.test(r.stdout), 'a character was broken');
});
await test('a time limit ends the command', async () => {
  await fails(() => box.commands.run('sleep 20', { timeoutMs: 700 }), 'TimeoutError');
});
await test('a working directory that is not there', async () => {
  await fails(() => box.commands.run('true', { cwd: '/nowhere' }), 'InvalidArgumentError');
});
await test('an unknown user', async () => {
  await fails(() => box.commands.run('true', { user: 'nobodyhere' }), AUTH);
});
await test('in the background, listed, killed', async () => {
  const h = await box.commands.run('sleep 30', { background: true });
  truth((await box.commands.list()).some((p) => p.pid === h.pid), 'it is not listed');
  truth(await box.commands.kill(h.pid), 'it was not killed');
  const e = await fails(() => h.wait(), 'CommandExitError');
  truth(e.exitCode !== 0, 'exit code');
  same(await box.commands.kill(h.pid), false, 'killed again');
});
await test('standard input', async () => {
  let out = '';
  const h = await box.commands.run('cat', { background: true, stdin: true, onStdout: (d) => { out += d; } });
  await box.commands.sendStdin(h.pid, 'hello');
  await box.commands.closeStdin(h.pid);
  await h.wait();
  same(out, 'hello');
});
await test('attached again: only what comes after', async () => {
  const h = await box.commands.run('echo first; sleep 1; echo second; exit 5', { background: true });
  await h.disconnect();
  const again = await box.commands.connect(h.pid);
  const e = await fails(() => again.wait(), 'CommandExitError');
  same(e.exitCode, 5);
  truth(e.stdout.includes('second'), 'what came after is missing');
});
await test('files: there and back, by form and by bytes', async () => {
  await box.files.write('d/a.txt', 'text');
  same(await box.files.read('d/a.txt'), 'text');
  await box.files.write('d/b.bin', new Blob([Uint8Array.of(0, 255, 65)]).stream());
  same([...await box.files.read('d/b.bin', { format: 'bytes' })], [0, 255, 65]);
  same(await box.files.read('d/a.txt', { gzip: true }), 'text', 'gzip');
});
await test('directories', async () => {
  const list = await box.files.list('d');
  same(list.map((e) => [e.name, e.type, e.size]), [['a.txt', 'file', 4], ['b.bin', 'file', 3]]);
  truth(await box.files.makeDir('empty'), 'made');
  same(await box.files.makeDir('empty'), false, 'made again');
  same(await box.files.list('empty'), [], 'an empty one');
  await box.files.rename('d/a.txt', 'd/c.txt');
  truth(await box.files.exists('d/c.txt'), 'moved');
  await box.files.remove('d/c.txt');
  same(await box.files.exists('d/c.txt'), false, 'removed');
});
await test('files that are not there, and directories', async () => {
  await fails(() => box.files.read('nothing'), 'FileNotFoundError');
  await fails(() => box.files.list('nothing'), 'FileNotFoundError');
  await fails(() => box.files.read('empty'), 'InvalidArgumentError');
});
await test('a full disk', async () => {
  await fails(() => box.files.write('big', 'x'.repeat(65 * 1024 * 1024)), 'NotEnoughSpaceError');
});
await test('figures', async () => {
  const m = await box.getMetrics();
  truth(m.length > 0 && m[0].cpuCount === 2 && m[0].memTotal > m[0].memUsed, 'figures');
});
await test('a lifetime', async () => {
  await box.setTimeout(300000);
  truth((await box.getInfo()).endAt - Date.now() > 290000, 'it was not drawn out');
});
await test('listed by metadata, page by page', async () => {
  const other = await Sandbox.create('base', { ...opts, timeoutMs: 60000, metadata: { page: 'y' } });
  const third = await Sandbox.create('base', { ...opts, timeoutMs: 60000, metadata: { page: 'y' } });
  const pages = Sandbox.list({ ...opts, query: { metadata: { page: 'y' } }, limit: 1 });
  const found = [];
  while (pages.hasNext) found.push(...await pages.nextItems());
  same(found.map((s) => s.sandboxId).sort(), [other.sandboxId, third.sandboxId].sort());
  truth(await other.kill() && await third.kill(), 'killed');
});
await test('paused and woken: a process goes on', async () => {
  const h = await box.commands.run('i=0; while :; do i=$((i+1)); echo $i > count; sleep 0.05; done', { background: true, timeoutMs: 0 });
  await new Promise((r) => setTimeout(r, 400));
  same(await box.pause(), true, 'paused');
  same(await box.pause(), false, 'paused again');
  await fails(() => box.commands.run('true'), NOT_FOUND).catch(async () => { await fails(() => box.commands.run('true'), 'TimeoutError'); });
  box = await Sandbox.connect(box.sandboxId, { ...opts, timeoutMs: 120000 });
  const before = Number(await box.files.read('count'));
  await new Promise((r) => setTimeout(r, 400));
  truth(Number(await box.files.read('count')) > before, 'it stands still');
  await box.commands.kill(h.pid);
});
await test('a snapshot, and a sandbox of it', async () => {
  await box.files.write('kept.txt', 'kept');
  const s = await box.createSnapshot();
  const copy = await Sandbox.create(s.snapshotId, { ...opts, timeoutMs: 60000 });
  same(await copy.files.read('kept.txt'), 'kept');
  await copy.kill();
  same(await Sandbox.deleteSnapshot(s.snapshotId, opts), true, 'deleted');
  same(await Sandbox.deleteSnapshot(s.snapshotId, opts), false, 'deleted again');
});
await test('split at every byte', async () => {
  await control({ rule: { op: 'exec', slow: true, gap_ms: 0, times: 1 } });
  const r = await box.commands.run('echo slow; echo err >&2');
  same([r.stdout, r.stderr, r.exitCode], ['slow\n', 'err\n', 0]);
});
await test('keep-alives and events nobody knows', async () => {
  await control({ rule: { op: 'exec', mode: 'unknown_event', times: 1 } });
  same((await box.commands.run('echo a')).stdout, 'a\n');
  await control({ rule: { op: 'exec', mode: 'keepalive', times: 1 } });
  same((await box.commands.run('echo b')).stdout, 'b\n');
});
await test('a stream that is cut, and one that ends in an error', async () => {
  await control({ rule: { op: 'exec', cut_at: 60, times: 1 } });
  let error;
  try { await box.commands.run('echo a; sleep 0.2; echo b'); } catch (e) { error = e; }
  truth(error && !(error instanceof e2b.CommandExitError), 'a cut stream was taken for an end');
  await control({ rule: { op: 'exec', mode: 'eos', code: 'invalid_argument', times: 1 } });
  await fails(() => box.commands.run('true'), 'InvalidArgumentError');
});
await test('members nobody knows', async () => {
  await control({ rule: { op: 'ask', mode: 'extra', times: 1 } });
  same((await Sandbox.getInfo(box.sandboxId, opts)).state, 'running');
});
await test('refusals: key, template, rate, number, a gateway', async () => {
  await fails(() => Sandbox.create('base', { ...opts, apiKey: 'e2b_' + 'f'.repeat(40) }), AUTH);
  let error;
  try { await Sandbox.create('nothing', opts); } catch (e) { error = e; }
  truth(error && /404|not found/i.test(error.message), 'an unknown template');
  await control({ rule: { op: 'create', mode: 'rate', times: 1 } });
  await fails(() => Sandbox.create('base', opts), RATE);
  await control({ max_sandboxes: 1 });
  await fails(() => Sandbox.create('base', opts), RATE);
  await control({ max_sandboxes: null });
  await control({ rule: { op: 'create', mode: 'status', status: 503, body: { code: 503, message: 'Failed to place sandbox', error_code: 'sandbox_capacity_unavailable' }, times: 1 } });
  error = undefined;
  try { await Sandbox.create('base', opts); } catch (e) { error = e; }
  truth(error && /place/.test(error.message), 'no capacity');
});
await test('a token that does not hold', async () => {
  await control({ token: box.sandboxId });
  await fails(() => box.commands.run('true'), AUTH);
  box = await Sandbox.connect(box.sandboxId, { ...opts, timeoutMs: 60000 });
  same((await box.commands.run('echo back')).stdout, 'back\n');
});
await test('signed addresses of files', async () => {
  await box.files.write('signed.txt', 'by signature');
  const r = await fetch(await box.downloadUrl('signed.txt', { user: 'user' }), { headers: { 'E2b-Sandbox-Id': box.sandboxId, 'E2b-Sandbox-Port': '49983' } });
  same([r.status, await r.text()], [200, 'by signature']);
});
await test('its clock: over, it is gone', async () => {
  const short = await Sandbox.create('base', { ...opts, timeoutMs: 60000 });
  await control({ expire: short.sandboxId });
  await fails(() => Sandbox.getInfo(short.sandboxId, opts), NOT_FOUND);
  truth(!await short.isRunning(), 'it is running');
  same(await Sandbox.kill(short.sandboxId, opts), false, 'killed');
});
await test('killed: also while it is paused', async () => {
  await box.pause();
  same(await box.kill(), true);
  same(await box.kill(), false, 'again');
});
await test('the code interpreter', async () => {
  // its client finds that server by host name alone, so it is asked by hand
  const code = await Sandbox.create('code-interpreter-v1', { ...opts, timeoutMs: 60000 });
  const ask = (body) => fetch(opts.sandboxUrl + '/execute', { method: 'POST', body: JSON.stringify(body),
    headers: { 'Content-Type': 'application/json', 'E2b-Sandbox-Id': code.sandboxId, 'E2b-Sandbox-Port': '49999', 'X-Access-Token': code.envdAccessToken } });
  const lines = (await (await ask({ code: 'print(6 * 7)' })).text()).trim().split('\n').map((l) => JSON.parse(l));
  same(lines.map((l) => l.type), ['number_of_executions', 'stdout', 'end_of_execution']);
  const bad = (await (await ask({ code: '1/0' })).text()).trim().split('\n').map((l) => JSON.parse(l));
  same(bad[1].name, 'ZeroDivisionError');
  await code.kill();
});

console.log(`# ${number - failed} of ${number} passed`);
double.kill('SIGTERM');
rmSync(dir, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
