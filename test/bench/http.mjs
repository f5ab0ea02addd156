// The reference of row 9n: a small server of node http and pg that makes a session: looks the key up, inserts the row, answers it.
// http.mjs PORT CONNECTION_STRING: prints "ready" when it listens.
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const { Pool } = createRequire(new URL('../mock/clients/package.json', import.meta.url))('pg');
const [port, connection] = process.argv.slice(2);
const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const id = () => 'ses_' + [...randomBytes(26)].map((b) => digits[b % 32]).join('');
const pool = new Pool({ connectionString: connection, max: 16 });

createServer((request, response) => {
	let body = '';
	request.on('data', (piece) => { body += piece; });
	request.on('end', async () => {
		try {
			const hash = createHash('sha256').update(request.headers.authorization.slice(7)).digest();
			const key = await pool.query({ name: 'key', text: 'SELECT platform_id, environment FROM bench_key WHERE key_hash = $1', values: [hash] });
			if (key.rows.length !== 1) throw new Error('unknown key');
			const made = await pool.query({
				name: 'session',
				text: 'INSERT INTO bench_session (platform_id, id, user_id, environment) VALUES ($1, $2, $3, $4) RETURNING *',
				values: [key.rows[0].platform_id, id(), JSON.parse(body).userId, 'production'],
			});
			response.writeHead(201, { 'Content-Type': 'application/json' }).end(JSON.stringify(made.rows[0]));
		} catch (error) {
			response.writeHead(500).end(String(error));
		}
	});
}).listen(Number(port), '127.0.0.1', () => console.log('ready'));
