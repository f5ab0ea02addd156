// A server that is told by theazo's webhooks, and believes only what is signed.
//
//     WEBHOOK_SECRET=whsec_... node receiver.mjs 8080
//
// Prints a line for each event, once. While a key is being replaced, give both, with a space between them.
// Node 18 or later, nothing else; verify() is all you need in a server of your own.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'

const TOLERANCE_S = 300
const BODY_MAX = 4 * 1024 * 1024

/** The event, or an Error. headers: names in lower case; body: a Buffer of the bytes as they came. */
export function verify(secrets, headers, body, now = Date.now() / 1000) {
	const id = headers['webhook-id'] ?? ''
	const stamp = headers['webhook-timestamp'] ?? ''
	if (!/^[0-9]+$/.test(stamp) || Math.abs(now - Number(stamp)) > TOLERANCE_S) {
		throw new Error('too old, or from the future')
	}
	const given = (headers['webhook-signature'] ?? '').split(' ').map((one) => Buffer.from(one))
	for (const secret of secrets) {
		const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
		const good = Buffer.from('v1,' + createHmac('sha256', key).update(`${id}.${stamp}.`).update(body).digest('base64'))
		if (given.some((one) => one.length === good.length && timingSafeEqual(one, good))) {
			const event = JSON.parse(body)
			if (event.id !== id) throw new Error('another event than it says')
			return event
		}
	}
	throw new Error('not signed by a key that is known')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const secrets = process.env.WEBHOOK_SECRET.split(' ').filter((one) => one !== '')
	const seen = new Set() // of events; one that comes again was handled already
	createServer(async (request, response) => {
		const parts = []
		let length = 0
		try {
			for await (const part of request) {
				length += part.length
				if (length > BODY_MAX) return response.writeHead(413, { Connection: 'close' }).end()
				parts.push(part)
			}
			const event = verify(secrets, request.headers, Buffer.concat(parts))
			if (!seen.has(event.id)) {
				seen.add(event.id)
				console.log(JSON.stringify(event))
			}
			response.writeHead(204).end()
		} catch (error) {
			console.error(`refused: ${error.message}`)
			if (!response.destroyed) response.writeHead(401).end()
		}
	}).listen(Number(process.argv[2]), '127.0.0.1')
}
