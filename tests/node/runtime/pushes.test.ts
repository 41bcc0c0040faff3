import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { REPLIES, failsWith, pushResult, refuse, reply, silent, test, until, type World } from './harness.ts';

async function push(server: World['server'], data: unknown, channel = REPLIES): Promise<void> {
  (await server.nth('connect', 1)).connection.push(channel, { data });
}

test('on: the handlers of an event, in order, until they are removed', async ({ server, connected }) => {
  const rpc = await connected();
  const heard: unknown[] = [];
  const remove = rpc.on<{ id: number }>('task.done', ({ id }) => heard.push(['a', id]));
  rpc.on('task.done', (data) => heard.push(['b', data]));
  rpc.on('other', () => assert.fail('another event'));
  await push(server, { event: 'task.done', data: { id: 1 } });
  await until(() => heard.length === 2);
  assert.deepEqual(heard, [['a', 1], ['b', { id: 1 }]]);
  remove();
  remove();
  await push(server, { event: 'nobody listens', data: 1 });
  await push(server, { event: 'task.done', data: { id: 2 } });
  await until(() => heard.length === 3);
  assert.deepEqual(heard.at(-1), ['b', { id: 2 }]);
});

test('on: one handler registered twice is called twice, and removed once', async ({ server, connected }) => {
  const rpc = await connected();
  let calls = 0;
  const handler = (): void => void (calls += 1);
  const remove = rpc.on('e', handler);
  rpc.on('e', handler);
  await push(server, { event: 'e' });
  await until(() => calls === 2);
  remove();
  await push(server, { event: 'e' });
  await push(server, { event: 'last' });
  await until(() => calls === 3);
});

test('on: handlers outlive a reconnect', async ({ server, connected }) => {
  const rpc = await connected();
  const heard: unknown[] = [];
  rpc.on('e', (data) => heard.push(data));
  (await server.nth('connect', 1)).connection.drop();
  const { connection } = await server.nth('subscribe', 2);
  connection.push(REPLIES, { data: { event: 'e', data: 'still here' } });
  await until(() => heard.length === 1);
});

test('exceptions of handlers are reported and change nothing', async ({ server, connected, reported }) => {
  const rpc = await connected({ onState: () => { throw new Error('from onState'); } });
  const heard: unknown[] = [];
  rpc.on('e', () => { throw new Error('from a handler'); });
  rpc.on('e', async () => { await Promise.resolve(); throw new Error('from an async handler'); });
  rpc.on('e', (data) => heard.push(data));
  await push(server, { event: 'e', data: 1 });
  await push(server, { event: 'e', data: 2 });
  await until(() => heard.length === 2 && reported.length === 6);
  server.answers.publish = (command) => pushResult(command, 'alive');
  assert.equal(await rpc.call('m', {}), 'alive');
  const texts = reported.splice(0).map((error) => (error as Error).message);
  assert.deepEqual(texts.sort(), [
    'from a handler', 'from a handler', 'from an async handler', 'from an async handler', 'from onState', 'from onState',
  ]);
  await rpc.disconnect();
  assert.equal((reported.pop() as Error).message, 'from onState');
});

test('an exception of onError goes to the console', async ({ server, connected }) => {
  const log = mock.method(console, 'error', () => undefined);
  try {
    const rpc = await connected({ onError: () => { throw new Error('from onError'); } });
    rpc.on('e', () => { throw new Error('from a handler'); });
    await push(server, { event: 'e' });
    await until(() => log.mock.callCount() === 1);
    assert.equal((log.mock.calls[0]?.arguments[0] as Error).message, 'from onError');
    const quiet = await connected({ onError: undefined });
    quiet.on('e', () => { throw new Error('nobody asked'); });
    (await server.nth('connect', 2)).connection.push(REPLIES, { data: { event: 'e' } });
    await until(() => log.mock.callCount() === 2);
    assert.equal((log.mock.calls[1]?.arguments[0] as Error).message, 'nobody asked');
    server.answers.publish = (command) => pushResult(command, 'alive');
    assert.equal(await rpc.call('m', {}), 'alive');
  } finally {
    log.mock.restore();
  }
});

test('a fault of the client itself does not reach the SDK, which would stop', async ({ server, connected, reported }) => {
  const rpc = await connected();
  const get = Map.prototype.get;
  const fault = mock.method(Map.prototype, 'get', function (this: Map<unknown, unknown>, key: unknown): unknown {
    if (key === 'poison') throw new Error('a fault');
    return get.call(this, key);
  });
  try {
    await push(server, { correlation_id: 'poison', result: 1 });
    await until(() => reported.length === 1);
  } finally {
    fault.mock.restore();
  }
  assert.equal((reported.pop() as Error).message, 'a fault');
  server.answers.publish = (command) => pushResult(command, 'alive');
  assert.equal(await rpc.call('m', {}), 'alive');
});

test('a handler may call, and may disconnect', async ({ server, connected }) => {
  server.answers.publish = (command) => pushResult(command, 'from a handler');
  const rpc = await connected();
  const heard: unknown[] = [];
  rpc.on('call', async () => { heard.push(await rpc.call('m', {})); });
  rpc.on('bye', () => rpc.disconnect());
  await push(server, { event: 'call' });
  await until(() => heard.length === 1);
  await push(server, { event: 'bye' });
  await until(() => rpc.state === 'disconnected');
});

test('subscribe: publications of a channel, until unsubscribed', async ({ server, connected }) => {
  const rpc = await connected();
  const heard: unknown[] = [];
  const subscription = await rpc.subscribe('news', (data) => heard.push(data), { token: 'subscription token' });
  assert.deepEqual([subscription.channel, (await server.nth('subscribe', 2)).body.token], ['news', 'subscription token']);
  await push(server, { any: 'thing' }, 'news');
  await push(server, 'text', 'news');
  await until(() => heard.length === 2);
  assert.deepEqual(heard, [{ any: 'thing' }, 'text']);
  subscription.unsubscribe();
  assert.equal((await server.nth('unsubscribe', 1)).body.channel, 'news');
  await rpc.subscribe('news', () => undefined); // the name is free again
});

test('subscribe: a token from a function, asked again when it expires', async ({ server, connected }) => {
  const rpc = await connected();
  server.answers.subscribe = (command) => reply(command, { expires: true, ttl: 1 });
  server.answers.sub_refresh = (command) => reply(command, { expires: true, ttl: 600 });
  let n = 0;
  await rpc.subscribe('news', () => undefined, { token: () => Promise.resolve(`token ${(n += 1)}`) });
  assert.equal((await server.nth('subscribe', 2)).body.token, 'token 1');
  assert.equal((await server.nth('sub_refresh', 1)).body.token, 'token 2');
});

test('subscribe: a token function that fails is reported, and asked again', async ({ server, connected, reported }) => {
  const rpc = await connected();
  let asked = 0;
  const token = (): Promise<string> => {
    asked += 1;
    if (asked === 1) throw new Error('token service is down');
    return Promise.resolve('late');
  };
  await rpc.subscribe('news', () => undefined, { token });
  assert.equal((await server.nth('subscribe', 2)).body.token, 'late');
  assert.match(String(reported.pop()), /news.*token service is down/);
});

test('subscribe: refused, and possible again later', async ({ server, connected }) => {
  const rpc = await connected();
  server.answers.subscribe = (command) => refuse(command, 103, false, 'permission denied');
  const error = await failsWith('unauthorized', rpc.subscribe('news', () => undefined));
  assert.match(error.message, /news: permission denied/);
  server.answers.subscribe = (command) => reply(command);
  await rpc.subscribe('news', () => undefined);
  assert.equal(rpc.state, 'connected');
});

test('subscribe: an expired token that cannot be replaced', async ({ server, connected, reported }) => {
  const rpc = await connected();
  server.answers.subscribe = (command) => refuse(command, 109, false, 'token expired');
  await failsWith('unauthorized', rpc.subscribe('news', () => undefined, { token: 'old' }));
  for (const error of reported.splice(0)) assert.match(String(error), /getToken/);
});

test('subscribe: no channel twice, and not the reply channel', async ({ connected }) => {
  const rpc = await connected();
  await rpc.subscribe('news', () => undefined);
  await failsWith('validation_error', rpc.subscribe('news', () => undefined));
  await failsWith('validation_error', rpc.subscribe(REPLIES, () => undefined));
});

test('subscribe: not connected, no answer, disconnected meanwhile', async ({ server, client }) => {
  const rpc = client({ timeoutMs: 200 });
  await failsWith('connection_error', rpc.subscribe('news', () => undefined));
  await rpc.connect();
  server.answers.subscribe = silent;
  await failsWith('connection_error', rpc.subscribe('news', () => undefined));
  const subscribing = rpc.subscribe('news', () => undefined);
  await server.nth('subscribe', 3);
  await rpc.disconnect();
  await failsWith('connection_error', subscribing);
});

test('subscribe: a channel that the server takes away is reported', async ({ server, connected, reported }) => {
  const rpc = await connected();
  await rpc.subscribe('news', () => undefined);
  (await server.nth('connect', 1)).connection.send({ push: { channel: 'news', unsubscribe: { code: 2000, reason: 'server unsubscribe' } } });
  await until(() => reported.length === 1);
  assert.match(String(reported.pop()), /news: server unsubscribe/);
  await rpc.subscribe('news', () => undefined);
});

test('subscribe: an exception of the handler is reported', async ({ server, connected, reported }) => {
  const rpc = await connected();
  await rpc.subscribe('news', () => { throw new Error('from a handler'); });
  await push(server, 1, 'news');
  await until(() => reported.length === 1);
  assert.equal((reported.pop() as Error).message, 'from a handler');
  assert.equal(rpc.state, 'connected');
});
