// SPDX-License-Identifier: Apache-2.0

// A client that uses janus-gateway-js as it comes from npm: node gateway-js.cjs URL SDP-FILE. It ends with status 0 when all was
// as it should be.

const assert = require('node:assert/strict');
const { readFileSync } = require('node:fs');
const Janus = require('janus-gateway-js');

const [url, sdpFile] = process.argv.slice(2);
const offer = () => ({ type: 'offer', sdp: readFileSync(sdpFile, 'utf8').replace(/\r?\n/g, '\r\n') });

async function main() {
	const client = new Janus.Client(url, { keepalive: 1000 });
	const connection = await client.createConnection('a connection');
	const session = await connection.createSession();
	const plugin = await session.attachPlugin('janus.plugin.echotest');
	const answer = await plugin.sendWithTransaction({ body: { audio: true }, jsep: offer() });
	assert.equal(answer.getPlainMessage().jsep.type, 'answer');
	for (let n = 1; n <= 10; n++) {
		const event = await plugin.sendWithTransaction({ body: { audio: true, bitrate: 1000 * n } });
		assert.equal(event.getPlainMessage().plugindata.data.result, 'ok');
	}
	const hungUp = new Promise(resolve => plugin.on('message', message => message.get('janus') === 'hangup' && resolve()));
	await plugin.send({ janus: 'hangup', transaction: 'no more' });
	await hungUp;
	await plugin.detach(); // waits for the event
	await session.destroy();
}

// Its connection keeps the process alive, even when closed.
main().then(() => process.exit(0), error => {
	console.error(error);
	process.exit(1);
});
