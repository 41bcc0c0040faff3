import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import {
  CentrifugoRPCClient,
  DEFAULT_TIMEOUT_MS,
  REPLIES,
  WebSocket,
  failsWith,
  isOpen,
  pushResult,
  refuse,
  reply,
  requestOf,
  silent,
  test,
  until,
  type ClientState,
} from './harness.ts';

test('connect resolves when the reply channel is subscribed, not before', async ({ server, client }) => {
  server.answers.subscribe = silent;
  const rpc = client();
  const connecting = rpc.connect();
  const subscribe = await server.nth('subscribe', 1);
  assert.equal(subscribe.body.channel, REPLIES);
  assert.ok(await isOpen(connecting));
  assert.equal(rpc.state, 'connecting');
  reply(subscribe);
  await connecting;
  assert.equal(rpc.state, 'connected');
});

test('connect uses the token of the constructor', async ({ server, connected }) => {
  await connected({ getToken: () => assert.fail('asked for a second token') });
  assert.equal((await server.nth('connect', 1)).body.token, 'first');
});

test('connect called twice opens one connection', async ({ server, client }) => {
  const rpc = client();
  await Promise.all([rpc.connect(), rpc.connect()]);
  await rpc.connect();
  assert.equal(server.of('connect').length, 1);
});

test('a call made while connecting waits for the reply channel', async ({ server, client }) => {
  server.answers.subscribe = silent;
  server.answers.publish = (command) => pushResult(command, 1);
  const rpc = client();
  const connecting = rpc.connect();
  const call = rpc.call('m', {});
  const subscribe = await server.nth('subscribe', 1);
  assert.equal(server.of('publish').length, 0);
  reply(subscribe);
  await connecting;
  assert.equal(await call, 1);
});

for (const code of [3500, 3507]) {
  test(`connect: a token refused by close code ${code} is unauthorized`, async ({ server, client }) => {
    server.answers.connect = ({ connection }) => connection.close(code, 'refused');
    const rpc = client();
    await failsWith('unauthorized', rpc.connect());
    assert.equal(rpc.state, 'disconnected');
  });
}

for (const code of [101, 103]) {
  test(`connect: a token refused by error ${code} is unauthorized`, async ({ server, client }) => {
    server.answers.connect = (command) => refuse(command, code);
    await failsWith('unauthorized', client().connect());
  });
}

test('connect: an expired token without getToken is unauthorized', async ({ server, client, reported }) => {
  server.answers.connect = (command) => refuse(command, 109, false, 'token expired');
  await failsWith('unauthorized', client().connect());
  assert.match(String(reported.pop()), /getToken/);
});

test('connect: a refused reply channel is unauthorized, and the client is disconnected', async ({ server, client }) => {
  server.answers.subscribe = (command) => refuse(command, 103, false, 'permission denied');
  const rpc = client();
  const error = await failsWith('unauthorized', rpc.connect());
  assert.match(error.message, /user#42: permission denied/);
  assert.equal(rpc.state, 'disconnected');
});

test('connect: any other end is connection_error', async ({ server, client }) => {
  server.answers.connect = ({ connection }) => connection.close(3504, 'connection limit');
  const error = await failsWith('connection_error', client().connect());
  assert.match(error.message, /connection limit/);
});

test('connect: nobody listens', async ({ server, client }) => {
  await server.stop();
  const rpc = client();
  await failsWith('connection_error', rpc.connect());
  assert.equal(rpc.state, 'disconnected');
});

test('connect: an address that is no WebSocket address', async () => {
  const rpc = new CentrifugoRPCClient('http://127.0.0.1:1/', 't', '42', { websocket: WebSocket });
  await failsWith('connection_error', rpc.connect());
});

test('connect: no WebSocket in this environment', async ({ server }) => {
  if ('WebSocket' in globalThis) return; // Node 22 has one
  const rpc = new CentrifugoRPCClient(server.url, 't', '42');
  const error = await failsWith('connection_error', rpc.connect());
  assert.match(error.message, /WebSocket/);
});

test('connect: a server that never answers', async ({ server, client }) => {
  server.answers.subscribe = silent;
  const rpc = client({ timeoutMs: 50 });
  const error = await failsWith('connection_error', rpc.connect());
  assert.match(error.message, /50 ms/);
  assert.equal(rpc.state, 'disconnected');
});

test('connect: a socket that never opens', async ({ reported }) => {
  const mute = createServer().listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const { port } = mute.address() as AddressInfo;
  const options = { websocket: WebSocket, attemptTimeoutMs: 50, onError: (error: unknown) => reported.push(error) };
  const rpc = new CentrifugoRPCClient(`ws://127.0.0.1:${port}/`, 't', '42', options);
  try {
    const error = await failsWith('connection_error', rpc.connect());
    assert.match(error.message, /cannot connect/);
  } finally {
    mute.close();
  }
});

test('connect: an attempt that hangs is followed by another one', async ({ server, client, reported }) => {
  const accept = server.answers.connect;
  server.answers.connect = silent;
  const connecting = client({ attemptTimeoutMs: 100 }).connect();
  await server.nth('connect', 1);
  server.answers.connect = accept;
  await connecting;
  assert.ok(server.of('connect').length > 1);
  assert.match(String(reported.pop()), /connection closed/);
});

test('disconnect during connect', async ({ server, client }) => {
  server.answers.connect = silent;
  const rpc = client();
  const connecting = rpc.connect();
  await server.nth('connect', 1);
  await rpc.disconnect();
  await failsWith('connection_error', connecting);
});

test('connect right after a disconnect that ended another connect', async ({ server, client }) => {
  server.answers.publish = (command) => pushResult(command, 'again');
  const rpc = client();
  const first = rpc.connect();
  void rpc.disconnect();
  const second = rpc.connect();
  await failsWith('connection_error', first);
  await second;
  assert.equal(await rpc.call('m', {}), 'again');
});

test('connect after disconnect', async ({ server, connected }) => {
  server.answers.publish = (command) => pushResult(command, 'again');
  const rpc = await connected();
  await rpc.disconnect();
  await failsWith('connection_error', rpc.call('m', {}));
  await rpc.connect();
  assert.equal(await rpc.call('m', {}), 'again');
});

test('connect while reconnecting waits for the connection', async ({ server, connected }) => {
  const accept = server.answers.connect;
  const rpc = await connected();
  server.answers.connect = silent;
  (await server.nth('connect', 1)).connection.drop();
  const again = await server.nth('connect', 2);
  const connecting = rpc.connect();
  assert.ok(await isOpen(connecting));
  accept(again);
  await connecting;
  assert.equal(rpc.state, 'connected');
});

test('while nobody listens, a connection that has stood is tried again, and every failure is reported', async ({ server, connected, reported }) => {
  const rpc = await connected();
  await server.stop();
  await until(() => reported.length > 0);
  const connecting = rpc.connect();
  const seen = reported.length;
  await until(() => reported.length > seen);
  assert.ok(await isOpen(connecting));
  assert.equal(rpc.state, 'connecting');
  await rpc.disconnect();
  await failsWith('connection_error', connecting);
  for (const error of reported.splice(0)) assert.match(String(error), /transport/);
});

test('a reconnect that fails is reported, and tried again', async ({ server, connected, reported }) => {
  const rpc = await connected();
  let refused = false;
  server.answers.connect = (command) => {
    if (refused) return reply(command, { client: 'c', ping: 25, pong: true });
    refused = true;
    refuse(command, 100, true, 'internal server error');
  };
  (await server.nth('connect', 1)).connection.drop();
  await until(() => rpc.state === 'connected' && server.of('connect').length === 3);
  assert.match(String(reported.pop()), /internal server error/);
});

test('states', async ({ server, client }) => {
  const states: ClientState[] = [];
  const rpc = client({ onState: (state) => states.push(state) });
  assert.equal(rpc.state, 'disconnected');
  await rpc.connect();
  assert.deepEqual(states, ['connecting', 'connected']);
  (await server.nth('connect', 1)).connection.drop();
  await until(() => states.length === 4);
  await rpc.disconnect();
  assert.deepEqual(states, ['connecting', 'connected', 'connecting', 'connected', 'disconnected']);
});

test('a reply channel that the server takes away for a moment', async ({ server, connected }) => {
  const states: ClientState[] = [];
  const rpc = await connected({ onState: (state) => states.push(state) });
  server.answers.publish = (command) => pushResult(command, 'back');
  states.length = 0;
  (await server.nth('connect', 1)).connection.send({ push: { channel: REPLIES, unsubscribe: { code: 2500, reason: 'insufficient state' } } });
  await until(() => states.includes('connecting'));
  assert.equal(await rpc.call('m', {}), 'back');
  assert.equal(server.of('subscribe').length, 2);
});

test('a reply channel that the server takes away for good ends the connection', async ({ server, connected, reported }) => {
  const rpc = await connected();
  const call = rpc.call('m', {});
  const { connection } = await server.nth('publish', 1);
  connection.send({ push: { channel: REPLIES, unsubscribe: { code: 2000, reason: 'server unsubscribe' } } });
  await failsWith('outcome_unknown', call);
  assert.equal(rpc.state, 'disconnected');
  assert.match(String(reported.pop()), /server unsubscribe/);
});

test('a token that expires is refreshed with getToken', async ({ server, connected }) => {
  server.answers.connect = (command) => reply(command, { client: 'c', ping: 25, pong: true, expires: true, ttl: 1 });
  server.answers.refresh = (command) => reply(command, { expires: true, ttl: 600 });
  await connected({ getToken: () => Promise.resolve('second') });
  assert.equal((await server.nth('refresh', 1)).body.token, 'second');
});

test('a token that expired before the connect is replaced with getToken', async ({ server, connected }) => {
  const accept = server.answers.connect;
  server.answers.connect = (command) => (command.body.token === 'second' ? accept(command) : refuse(command, 109));
  await connected({ getToken: () => 'second' });
  assert.deepEqual(server.of('connect').map(({ body }) => body.token), ['first', 'second']);
});

test('await using disconnects', async ({ server, client }) => {
  const states: ClientState[] = [];
  {
    await using rpc = client({ onState: (state) => states.push(state) });
    await rpc.connect();
  }
  assert.equal(states.at(-1), 'disconnected');
  assert.equal(server.of('connect').length, 1);
});

test('the default time limit is 30 s', async ({ server, connected }) => {
  assert.equal(DEFAULT_TIMEOUT_MS, 30_000);
  const rpc = await connected();
  rpc.call('m', {}).catch(() => undefined);
  const { timeout_ms } = requestOf(await server.nth('publish', 1));
  assert.ok(timeout_ms > 20_000 && timeout_ms <= 30_000, String(timeout_ms));
});
