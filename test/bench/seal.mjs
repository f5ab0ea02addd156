// Opening 64 bytes with node:crypto: a key by HKDF, then AES-256-GCM.
//
//	node seal.mjs SECONDS		prints: node open OPERATIONS-A-SECOND of CPU time
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const seconds = Number(process.argv[2] ?? 1);
const [base, salt, iv] = [randomBytes(32), randomBytes(32), randomBytes(12)];
const aad = Buffer.from('plt_01ARYZ6S410000000000000000');
const key = () => Buffer.from(hkdfSync('sha256', base, salt, 'theazo record v1', 32));

const c = createCipheriv('aes-256-gcm', key(), iv);
c.setAAD(aad);
const box = Buffer.concat([c.update(Buffer.alloc(64, 's')), c.final()]);
const tag = c.getAuthTag();

function open() {
	const d = createDecipheriv('aes-256-gcm', key(), iv);
	d.setAAD(aad);
	d.setAuthTag(tag);
	const value = d.update(box);
	d.final();
	return value;
}

for (let i = 0; i < 2000; i++) open();
const used = () => (process.cpuUsage().user + process.cpuUsage().system) / 1e6;
const start = used();
let n = 0;
while (used() - start < seconds) {
	for (let i = 0; i < 100; i++) open();
	n += 100;
}
console.log(`node open ${Math.round(n / (used() - start))}`);
