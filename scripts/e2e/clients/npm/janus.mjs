// SPDX-License-Identifier: Apache-2.0

// A client that uses the newest janus.js as it comes from npm, without media: node janus.mjs URL. It ends with status 0 when all
// was as it should be. Over HTTP it speaks as Node.js does, which keeps connections and sends several requests at once.

import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import WebSocket from 'ws';

// The library is a module that does not say so, and expects a browser.
const dist = new URL('node_modules/janus-gateway/npm/dist/', import.meta.url);
copyFileSync(new URL('janus.es.js', dist), new URL('janus.es.mjs', dist));
globalThis.window = globalThis;
globalThis.addEventListener = () => {};
globalThis.RTCPeerConnection = class {};
Object.defineProperty(globalThis, 'navigator', { value: { mediaDevices: { getDisplayMedia() {} } } });
const { default: Janus } = await import(new URL('janus.es.mjs', dist));

const [server] = process.argv.slice(2);
const made = (what, options) => new Promise((success, error) => what({ ...options, success, error }));

await new Promise(callback => Janus.init({ debug: false, callback, dependencies: Janus.useDefaultDependencies({ WebSocket, adapter: { browserDetails: {} } }) }));

let janus;
await made(callbacks => { janus = new Janus({ ...callbacks, server, keepAlivePeriod: 1000 }); });

// echo attaches a handle and returns a function that sends a message, and returns the event that answers it.
async function echo() {
	let next;
	const handle = await made(o => janus.attach(o), { plugin: 'janus.plugin.echotest', onmessage: message => next(message) });
	const ask = async body => {
		const event = new Promise(resolve => { next = resolve; });
		await made(o => handle.send(o), { message: body });
		return event;
	};
	return { handle, ask };
}

const info = await made(o => janus.getInfo(o));
assert.equal(info.janus, 'server_info');
await assert.rejects(made(o => janus.attach(o), { plugin: 'janus.plugin.none' }), error => /No such plugin/.test(error));
const echoes = await Promise.all([echo(), echo(), echo()]);
await Promise.all(echoes.map(async ({ ask }) => {
	for (let n = 1; n <= 10; n++)
		assert.equal((await ask({ audio: true, bitrate: 1000 * n })).result, 'ok');
}));
const session = janus.getSessionId();
await made(o => janus.reconnect(o)); // claims the session
assert.equal(janus.getSessionId(), session);
assert.equal((await echoes[0].ask({ audio: false })).result, 'ok');
const streaming = await made(o => janus.attach(o), { plugin: 'janus.plugin.streaming' });
const { list } = await made(o => streaming.send(o), { message: { request: 'list' } });
assert.ok(list.some(stream => stream.id === 2));
await made(o => streaming.detach(o));
await made(o => janus.destroy(o));
process.exit(0); // what polls, polls until the session's end is told
