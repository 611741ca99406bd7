// SPDX-License-Identifier: Apache-2.0

// A client that uses Janode as it comes from npm. It ends with status 0 when all was as it should be.
//
//     node client.js SCENE URL SDP-FILE
//     node client.js admin URL-OF-THE-ADMIN-API SDP-FILE URL ADMIN-SECRET FOLDER

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import Janode from 'janode';
import EchoTest from 'janode/plugins/echotest';
import Streaming from 'janode/plugins/streaming';
import VideoRoom from 'janode/plugins/videoroom';

const [scene, url, sdpFile] = process.argv.slice(2);
const { CONNECTION_ERROR, HANDLE_HANGUP, HANDLE_DETACHED, SESSION_DESTROYED } = Janode.EVENT;

Janode.Logger.setLevel('warn');

const connect = more => Janode.connect({ address: [{ url }], retry_time_secs: 1, max_retries: 10, ...more });
const offer = () => ({ type: 'offer', sdp: readFileSync(sdpFile, 'utf8').replace(/\r?\n/g, '\r\n') });

// refused is a promise that must fail, with a reason like this.
const refused = (promise, reason) => assert.rejects(promise, { message: reason });

// echo negotiates with the echo test, which answers.
async function echo(session) {
	const handle = await session.attach(EchoTest);
	const { result, jsep } = await handle.start({ audio: true, video: false, bitrate: 64000, jsep: offer() });
	assert.equal(result, 'ok');
	assert.equal(jsep.type, 'answer');
	return handle;
}

const scenes = {
	async echotest() {
		const connection = await connect();
		const info = await connection.getInfo();
		assert.equal(info.janus, 'server_info');
		assert.ok(info.plugins['janus.plugin.echotest']);
		const session = await connection.create(1);
		const handle = await echo(session);
		await handle.trickle({ sdpMid: '0', sdpMLineIndex: 0, candidate: 'candidate:1 1 UDP 2122252543 192.0.2.1 40000 typ host' });
		await handle.trickle([{ sdpMid: '0', candidate: 'candidate:2 1 UDP 2122252542 192.0.2.1 40001 typ host' }]);
		await handle.trickleComplete();
		const hungUp = once(handle, HANDLE_HANGUP);
		await handle.hangup();
		await hungUp;
		const detached = once(handle, HANDLE_DETACHED);
		await handle.detach();
		await detached;
		await refused(session.attach({ id: 'janus.plugin.none' }), /^460 /);
		// The first of its keepalives comes after a second: the session would end itself if that were not answered.
		await new Promise(resolve => setTimeout(resolve, 1500));
		await (await echo(session)).detach();
		const destroyed = once(session, SESSION_DESTROYED);
		await session.destroy();
		await destroyed;
		await connection.close();
	},

	// Two connections, which reach two edges, meet in a room.
	async videoroom() {
		const [one, two] = [await connect(), await connect()];
		const manager = await (await one.create()).attach(VideoRoom);
		const room = 424242;
		assert.deepEqual((await manager.exists({ room })).exists, false);
		await refused(manager.joinPublisher({ room }), /^426 /);
		assert.equal((await manager.create({ room, description: 'a room', max_publishers: 3, secret: 'mine' })).room, room);
		await refused(manager.create({ room }), /^427 /);
		assert.ok((await manager.list()).list.some(r => r.room === room && r.max_publishers === 3));

		const ada = await (await one.create()).attach(VideoRoom);
		const bob = await (await two.create()).attach(VideoRoom);
		const joined = await ada.joinPublisher({ room, feed: 1, display: 'Ada' });
		assert.equal(joined.feed, 1);
		const { jsep } = await bob.joinConfigurePublisher({ room, feed: 2, display: 'Bob', audio: true, video: false, jsep: offer() });
		assert.equal(jsep.type, 'answer');
		const configured = await ada.configure({ audio: true, video: false, jsep: offer() });
		assert.equal(configured.jsep.type, 'answer');
		await ada.trickleComplete();
		const { participants } = await manager.listParticipants({ room });
		assert.deepEqual(participants.map(p => p.display).sort(), ['Ada', 'Bob']);

		const left = once(ada, VideoRoom.EVENT.VIDEOROOM_LEAVING);
		await bob.leave();
		assert.equal((await left)[0].feed, 2);
		await refused(manager.destroy({ room, secret: 'wrong' }), /^433 /);
		const gone = once(ada, VideoRoom.EVENT.VIDEOROOM_DESTROYED);
		await manager.destroy({ room, secret: 'mine' });
		assert.equal((await gone)[0].room, room);
		await Promise.all([one.close(), two.close()]);
	},

	async streaming() {
		const connection = await connect();
		const handle = await (await connection.create()).attach(Streaming);
		const { list } = await handle.list();
		assert.ok(list.some(m => m.id === 2));
		assert.equal((await handle.info({ id: 2 })).id, 2);
		const { jsep } = await handle.watch({ id: 2 });
		assert.equal(jsep.type, 'offer');
		await handle.detach();
		await connection.close();
	},

	async admin() {
		const [api, secret, folder] = process.argv.slice(5);
		const connection = await Janode.connect({ address: [{ url: api }] });
		const session = await connection.create();
		const handle = await session.attach(EchoTest);
		await handle.message({ audio: true });
		const admin = await Janode.connect({ is_admin: true, address: [{ url, apisecret: secret }] });
		assert.equal((await admin.getInfo()).janus, 'server_info');
		assert.ok((await admin.listSessions()).sessions.includes(session.id));
		assert.deepEqual((await admin.listHandles(session.id)).handles, [handle.id]);
		const { info } = await admin.handleInfo(session.id, handle.id);
		assert.equal(info.plugin, 'janus.plugin.echotest');
		assert.equal(info.session_id, session.id);
		await admin.startPcap(session.id, handle.id, folder, 'janode.pcap');
		await admin.stopPcap(session.id, handle.id);
		await refused(admin.listHandles(1), /^458 /);
		const stranger = await Janode.connect({ is_admin: true, address: [{ url, apisecret: 'wrong' }] });
		await refused(stranger.listSessions(), /^403 /);
		await Promise.all([admin.close(), stranger.close(), connection.close()]);
	},

	// Two connections reach two edges; of one the edge dies, and it connects again. Whoever kills that edge waits for "connected".
	async reconnect() {
		const [one, two] = [await connect(), await connect()];
		const sessions = [await one.create(), await two.create()];
		const handles = [await echo(sessions[0]), await echo(sessions[1])];
		const lost = Promise.race([one, two].map(async (c, i) => { await once(c, CONNECTION_ERROR); return i; }));
		process.stdout.write('connected\n');
		const i = await lost;
		const again = await connect();
		await (await echo(await again.create())).detach();
		await handles[1 - i].detach();
		await (await echo(sessions[1 - i])).detach();
		await Promise.all([again.close(), [one, two][1 - i].close()]);
	},
};

await scenes[scene]();
