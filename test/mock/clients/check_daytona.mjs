// Daytona's own client against the scripted Daytona: only a double that this client is content with
// may judge the adapter. Prints TAP lines; ends with 1 if any is not ok.
//
//	node check_daytona.mjs [PYTHON]

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Daytona } from '@daytonaio/sdk';

const here = path.dirname(fileURLToPath(import.meta.url));
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'daytona-double-'));
const KEY = 'dtn_client_test';
const server = spawn(process.argv[2] || 'python3', [path.join(here, '..', 'daytona.py'), '--dir', dir, '--key', KEY, '--hold-ms', '0'],
  { stdio: ['ignore', 'pipe', 'inherit'] });
const port = String(await once(server.stdout, 'data').then(([d]) => d)).trim();
const base = `http://127.0.0.1:${port}`;
const config = { apiKey: KEY, apiUrl: `${base}/api`, target: 'us', useDeprecatedPolling: true };
const daytona = new Daytona(config);

let number = 0;
let failed = 0;
const control = (doc) => fetch(base + '/_control', { method: 'POST', body: JSON.stringify(doc) }).then((r) => r.json());
const truth = (v, what) => { if (!v) throw new Error(what); };
const same = (a, b, what = '') => truth(JSON.stringify(a) === JSON.stringify(b), `${what} is ${JSON.stringify(a)}, not ${JSON.stringify(b)}`);

async function test(name, run) {
  number++;
  try {
    await run();
    console.log(`ok ${number} - daytona: ${name}`);
  } catch (e) {
    failed++;
    console.log(`not ok ${number} - daytona: ${name}\n    ${String((e && e.stack) || e).split('\n').slice(0, 4).join('\n    ')}`);
  }
}

async function fails(run, status, like) {
  let error;
  try { await run(); } catch (e) { error = e; }
  truth(error, 'it did not fail');
  truth(status === undefined || error.statusCode === status, `status ${error.statusCode}: ${error.message}`);
  truth(like.test(error.message), `it failed otherwise: ${error.message}`);
}

let box;
await test('creates, seen as creating first', async () => {
  box = await daytona.create({ snapshot: 'py-agent', envVars: { RUN: '7' }, labels: { 'theazo.id': 'sbx_1' }, ttlMinutes: 30,
    networkBlockAll: true, autoStopInterval: 0 });
  same(box.state, 'started', 'state');
  same(box.labels['theazo.id'], 'sbx_1', 'label');
  truth(box.networkBlockAll, 'the network is closed');
});
await test('a size beside a snapshot is refused with 400', () =>
  fails(() => daytona.create({ snapshot: 'py-agent', resources: { cpu: 2 } }), 400, /Cannot specify/));
await test('an unknown snapshot is 400, not 404', () => fails(() => daytona.create({ snapshot: 'nowhere' }), 400, /not found/));
await test('a name is taken once', async () => {
  const one = await daytona.create({ name: 'mine' });
  await fails(() => daytona.create({ name: 'mine' }), 409, /already exists/);
  await one.delete();
});
await test('quota is 400', async () => {
  await control({ rule: { op: 'create', times: 1, quota: true } });
  await fails(() => daytona.create(), 400, /Total CPU limit exceeded/);
});
await test('429 of a named limit', async () => {
  await control({ rule: { op: 'create', times: 10, throttle: 'sandbox-create' } });
  await fails(() => daytona.create(), 429, /Too Many Requests/);
  await fetch(base + '/_control', { method: 'DELETE' });
});
await test('one that does not start fails', async () => {
  await control({ rule: { op: 'create', times: 1, fail_start: true } });
  await fails(() => daytona.create({ labels: { doomed: 'yes' } }), undefined, /fail|error/i);
});
await test('finds by label', async () => {
  const found = [];
  for await (const s of daytona.list({ labels: { 'theazo.id': 'sbx_1' } })) found.push(s.id);
  same(found, [box.id], 'found');
  const broken = [];
  for await (const s of daytona.list({ labels: { doomed: 'yes' } })) broken.push(s);
  same(broken.map((s) => s.state), ['error'], 'the one that failed');
  await broken[0].delete();
});
await test('gets by id and by name', async () => {
  same((await daytona.get(box.id)).id, box.id, 'id');
  await fails(() => daytona.get('nobody'), 404, /not found/);
});
await test('runs a command, both streams in one', async () => {
  const r = await box.process.executeCommand('echo out; echo err >&2; printf %s "$K$RUN"; exit 3', undefined, { K: 'v' }, 10);
  same([r.exitCode, r.result], [3, 'out\nerr\nv7'], 'result');
});
await test('a command on standard input eats what follows it', async () => {
  const r = await box.process.executeCommand('cat >/dev/null\necho never', undefined, undefined, 10);
  same(r.result, '', 'result');
});
await test('a command that takes too long is 408', () =>
  fails(() => box.process.executeCommand('echo lost; sleep 20', undefined, undefined, 1), 408, /timeout/));
await test('death by a signal is -1', async () => same((await box.process.executeCommand('kill -9 $$')).exitCode, -1, 'exit code'));
await test('runs code', async () => {
  const r = await box.process.codeRun('print(6 * 7)');
  same([r.exitCode, r.result], [0, '42\n'], 'result');
});
await test('a session keeps the streams apart', async () => {
  await box.process.createSession('s');
  await fails(() => box.process.createSession('s'), 409, /exists/);
  const r = await box.process.executeSessionCommand('s', { command: 'printf out; echo err >&2; exit 2' });
  same([r.exitCode, r.stdout, r.stderr], [2, 'out\n', 'err\n'], 'streams');
  truth(r.output.includes('\u0001\u0001\u0001out'), 'output with marks');
});
await test('a session command in the background', async () => {
  const r = await box.process.executeSessionCommand('s', { command: 'sleep 0.4; echo late', runAsync: true });
  same([r.exitCode, r.output], [undefined, undefined], 'nothing yet');
  same((await box.process.getSessionCommand('s', r.cmdId)).exitCode, undefined, 'no code while it runs');
  await new Promise((go) => setTimeout(go, 800));
  same((await box.process.getSessionCommand('s', r.cmdId)).exitCode, 0, 'code');
  const logs = await box.process.getSessionCommandLogs('s', r.cmdId);
  same([logs.stdout, logs.stderr], ['late\n', ''], 'logs');
  await box.process.deleteSession('s');
  await fails(() => box.process.getSessionCommand('s', r.cmdId), 404, /not found/);
});
await test('files there and back', async () => {
  const bytes = Buffer.from([0, 255, 65, 13, 10, 10, 45, 45]);
  await box.fs.uploadFile(bytes, 'data/in put.bin');
  same([...(await box.fs.downloadFile('data/in put.bin'))], [...bytes], 'bytes');
  same((await box.fs.listFiles('data')).map((f) => [f.name, f.size, f.isDir]), [['in put.bin', 8, false]], 'list');
  same((await box.fs.getFileDetails('data/in put.bin')).size, 8, 'details');
  await fails(() => box.fs.downloadFile('nothing'), undefined, /not found/);
  await box.fs.deleteFile('data/in put.bin');
  same(await box.fs.listFiles('data'), [], 'after deletion');
});
await test('previews want a token', async () => {
  const link = await box.getPreviewLink(8080);
  same((await fetch(link.url, { redirect: 'manual' })).status, 307, 'without');
  same((await fetch(link.url, { redirect: 'manual', headers: { 'x-daytona-preview-token': link.token } })).status, 200, 'with');
  same((await fetch((await box.getSignedPreviewUrl(8080, 60)).url, { redirect: 'manual' })).status, 200, 'signed');
});
await test('containers do not pause', () => fails(() => box.pause(), 422, /does not support/));
await test('stops and starts', async () => {
  await box.stop();
  same(box.state, 'stopped', 'state');
  await fails(() => box.process.executeCommand('true'), 400, /Is the Sandbox started/);
  await box.start();
  same((await box.process.executeCommand('echo back')).result, 'back\n', 'result');
});
await test('virtual machines pause', async () => {
  await control({ kind: 'linux-vm' });
  const vm = await daytona.create();
  await vm.pause();
  same(vm.state, 'paused', 'state');
  await vm.start();
  await vm.delete();
});
await test('a wrong key is 401', () =>
  fails(() => new Daytona({ ...config, apiKey: 'other' }).get(box.id), 401, /./));
await test('deletes, and is gone later', async () => {
  await box.delete(60, true);
  await fails(() => daytona.get(box.id), 404, /not found/);
});

server.kill();
fs.rmSync(dir, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
