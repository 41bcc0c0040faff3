import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import {
  DEFAULT_MAX_REQUEST_BYTES,
  FIRST_ERROR_NUMBER,
  REPLIES,
  RPCError,
  RPCErrorCode,
  failsWith,
  failure,
  isOpen,
  pushError,
  pushResult,
  refuse,
  reply,
  requestOf,
  silent,
  test,
  until,
} from './harness.ts';

test('the request on the wire', async ({ server, connected }) => {
  const rpc = await connected();
  rpc.call('tasks.get_stats', { limit: 3 }, { timeoutMs: 4_000 }).catch(() => undefined);
  const publish = await server.nth('publish', 1);
  assert.equal(publish.body.channel, 'rpc.requests');
  const { correlation_id, timeout_ms, ...rest } = requestOf(publish);
  assert.deepEqual(rest, { method: 'tasks.get_stats', params: { limit: 3 }, reply_to: REPLIES });
  assert.match(correlation_id, /^[0-9a-f]{32}$/);
  assert.ok(Number.isInteger(timeout_ms) && timeout_ms > 0 && timeout_ms <= 4_000);
});

test('ids differ, also on a page over plain http', async ({ server, connected }) => {
  const randomUUID = crypto.randomUUID;
  Object.defineProperty(crypto, 'randomUUID', { value: undefined, configurable: true, writable: true });
  try {
    server.answers.publish = (command) => pushResult(command, null);
    const rpc = await connected();
    await Promise.all(Array.from({ length: 100 }, () => rpc.call('m', {})));
    assert.equal(new Set(server.requests().map((request) => request.correlation_id)).size, 100);
  } finally {
    crypto.randomUUID = randomUUID;
  }
});

test('no params are an empty object', async ({ server, connected }) => {
  server.answers.publish = (command) => pushResult(command, requestOf(command).params);
  const rpc = await connected();
  assert.deepEqual(await rpc.call('m', undefined), {});
  assert.deepEqual(await rpc.call('m', null), {});
});

test('the acknowledgement, then the reply', async ({ server, connected }) => {
  server.answers.publish = (command) => {
    reply(command);
    pushResult(command, { ok: true });
  };
  assert.deepEqual(await (await connected()).call('m', {}), { ok: true });
});

test('the reply, then the acknowledgement, in one frame', async ({ server, connected }) => {
  server.answers.publish = (command) => {
    const data = { correlation_id: requestOf(command).correlation_id, result: 'first' };
    command.connection.send({ push: { channel: REPLIES, pub: { data } } }, { id: command.id, publish: {} });
  };
  const rpc = await connected();
  assert.equal(await rpc.call('m', {}), 'first');
  assert.equal(await rpc.call('m', {}), 'first');
});

test('a reply without an acknowledgement', async ({ server, connected }) => {
  server.answers.publish = (command) => pushResult(command, [1]);
  assert.deepEqual(await (await connected()).call('m', {}), [1]);
});

test('an error in place of the acknowledgement, after the reply, changes nothing', async ({ server, connected }) => {
  server.answers.publish = (command) => {
    pushResult(command, 'done');
    refuse(command, 1007);
  };
  assert.equal(await (await connected()).call('m', {}), 'done');
});

test('200 calls at once, answered in a different order', async ({ server, connected }) => {
  const rpc = await connected();
  const calls = Array.from({ length: 200 }, (_, n) => rpc.call<number>('m', { n }));
  await server.nth('publish', 200);
  for (const command of server.of('publish').reverse()) pushResult(command, requestOf(command).params);
  assert.deepEqual(await Promise.all(calls), Array.from({ length: 200 }, (_, n) => ({ n })));
});

test('the codes are those of the server, in its order', () => {
  const python = readFileSync('../../django_cfg/errors.py', 'utf8');
  const members = [...python.matchAll(/^ {4}([A-Z_]+) = "([a-z_]+)"$/gm)].map(([, name, value]) => [name, value]);
  assert.ok(members.length >= 18);
  assert.deepEqual(Object.entries(RPCErrorCode), members);
  assert.equal(String(FIRST_ERROR_NUMBER), /^FIRST_NUMBER = (\d+)$/m.exec(python)?.[1]);
  const block = /_RETRYABLE = frozenset\(\s*\{([^}]*)\}/.exec(python)?.[1] ?? '';
  const retryable = [...block.matchAll(/RPCErrorCode\.([A-Z_]+)/g)].map(([, name]) => name);
  const ours = Object.entries(RPCErrorCode).filter(([, code]) => new RPCError(code).retryable);
  assert.deepEqual(ours.map(([name]) => name).sort(), retryable.sort());
  return Promise.resolve();
});

test('a refused publish fails the call at once, with the code of its number', async ({ server, connected }) => {
  const rpc = await connected();
  const expected: [number, string][] = [
    [101, 'permission_denied'],
    [103, 'permission_denied'],
    [104, 'method_not_found'],
    [106, 'rate_limit_exceeded'],
    [107, 'validation_error'],
    [108, 'service_unavailable'],
    [109, 'unauthorized'],
    [110, 'unauthorized'],
    [102, 'internal_error'],
    [1019, 'internal_error'],
    [1500, 'internal_error'],
    ...Object.values(RPCErrorCode).map((code, position): [number, string] => [1001 + position, code]),
  ];
  for (const [number, code] of expected) {
    server.answers.publish = (command) => refuse(command, number, false, `because of ${number}`);
    const error = await failsWith(code, rpc.call('m', {}));
    assert.equal(error.message, `because of ${number}`);
    assert.equal(error.retryable, false);
    assert.equal(error.details, null);
  }
  assert.equal(server.of('publish').length, expected.length);
});

test('a refused publish is retryable when the server says temporary, and still final', async ({ server, connected }) => {
  server.answers.publish = (command) => refuse(command, 1008, true);
  const error = await failsWith('service_unavailable', (await connected()).call('m', {}));
  assert.equal(error.retryable, true);
});

test('an error reply with everything', async ({ server, connected }) => {
  const wire = { code: 'rate_limit_exceeded', message: 'slow down', details: { limit: 5 }, retryable: true, retry_after: 1.5 };
  server.answers.publish = (command) => pushError(command, wire);
  const error = await failure((await connected()).call('m', {}));
  const { code, message, details, retryable, retry_after } = error;
  assert.deepEqual({ code, message, details, retryable, retry_after }, wire);
  assert.ok(error instanceof Error);
  assert.match(String(error), /slow down/);
});

test('an error reply with a code of the method, or with hardly anything', async ({ server, connected }) => {
  const rpc = await connected();
  const fail = (wire: unknown): Promise<RPCError> => {
    server.answers.publish = (command) => pushError(command, wire);
    return failure(rpc.call('m', {}));
  };
  const own = await fail({ code: 'task_locked', message: 'locked' });
  assert.deepEqual([own.code, own.message, own.details, own.retryable, own.retry_after], ['task_locked', 'locked', null, false, null]);
  const inherited = await fail({ code: 'constructor', message: 'm' });
  assert.deepEqual([inherited.code, inherited.retryable], ['constructor', false]);
  const bare = await fail({ code: 'timeout' });
  assert.deepEqual([bare.code, bare.message, bare.retryable], ['timeout', 'timeout', true]);
  const wrong = await fail({ code: 7, message: null, details: [1], retryable: 'yes', retry_after: '1' });
  assert.deepEqual([wrong.code, wrong.message, wrong.details, wrong.retryable, wrong.retry_after], ['internal_error', 'internal error', null, false, null]);
  const text = await fail('broken');
  assert.deepEqual([text.code, text.message], ['internal_error', 'broken']);
});

test('a reply with an error of null is a result', async ({ server, connected }) => {
  server.answers.publish = (command) =>
    command.connection.push(REPLIES, { data: { correlation_id: requestOf(command).correlation_id, result: 3, error: null, extra: 1 } });
  assert.equal(await (await connected()).call('m', {}), 3);
});

test('what a client published, unknown ids, and what is no object are dropped', async ({ server, connected }) => {
  const rpc = await connected();
  const heard: unknown[] = [];
  rpc.on('event', (data) => heard.push(data));
  const call = rpc.call('m', {});
  const publish = await server.nth('publish', 1);
  const { correlation_id } = requestOf(publish);
  const info = { client: 'evil', user: '13' };
  publish.connection.push(REPLIES, { data: { correlation_id, result: 'forged' }, info });
  publish.connection.push(REPLIES, { data: { correlation_id, result: 'forged' }, info: {} });
  publish.connection.push(REPLIES, { data: { event: 'event', data: 'forged' }, info });
  publish.connection.push(REPLIES, { data: { correlation_id: 'unknown', result: 1 } });
  publish.connection.push(REPLIES, { data: { correlation_id: { $ne: 1 }, result: 1 } });
  for (const data of ['text', 7, null, true, [correlation_id], {}]) publish.connection.push(REPLIES, { data });
  publish.connection.push(REPLIES, { data: { event: 'event', data: 'real' } });
  await until(() => heard.length > 0);
  assert.ok(await isOpen(call));
  assert.deepEqual(heard, ['real']);
  pushResult(publish, 'real');
  assert.equal(await call, 'real');
});

test('a reply that comes twice', async ({ server, connected }) => {
  server.answers.publish = (command) => {
    pushResult(command, 'one');
    pushResult(command, 'two');
  };
  const rpc = await connected();
  assert.equal(await rpc.call('m', {}), 'one');
  assert.equal(await rpc.call('m', {}), 'one');
});

test('the deadline, after which the reply is unknown', async ({ server, connected }) => {
  const rpc = await connected();
  const error = await failsWith('timeout', rpc.call('slow', {}, { timeoutMs: 20 }));
  assert.equal(error.retryable, true);
  assert.match(error.message, /slow: no reply within 20 ms/);
  pushResult(await server.nth('publish', 1), 'late');
  server.answers.publish = (command) => pushResult(command, 'in time');
  assert.equal(await rpc.call('m', {}), 'in time');
});

test('the deadline of the constructor, and one too long for a timer', async ({ server, connected }) => {
  const rpc = await connected({ timeoutMs: 100 });
  await failsWith('timeout', rpc.call('m', {}));
  server.answers.publish = silent;
  const call = rpc.call('m', {}, { timeoutMs: 2 ** 40 });
  const publish = await server.nth('publish', 2);
  assert.ok(await isOpen(call));
  pushResult(publish, 1);
  assert.equal(await call, 1);
});

test('a call without time is not sent', async ({ server, connected }) => {
  const rpc = await connected();
  await failsWith('timeout', rpc.call('m', {}, { timeoutMs: 0 }));
  assert.equal(server.of('publish').length, 0);
});

test('a signal aborted before the call', async ({ server, connected }) => {
  const rpc = await connected();
  const reason = new Error('navigated away');
  const error = await failsWith('cancelled', rpc.call('m', {}, { signal: AbortSignal.abort(reason) }));
  assert.equal(error.cause, reason);
  assert.equal(server.of('publish').length, 0);
});

test('a signal aborted during the call', async ({ server, connected }) => {
  const rpc = await connected({ maxPendingCalls: 1 });
  const controller = new AbortController();
  const call = rpc.call('m', {}, { signal: controller.signal });
  const publish = await server.nth('publish', 1);
  controller.abort();
  await failsWith('cancelled', call);
  pushResult(publish, 'late');
  server.answers.publish = (command) => pushResult(command, 'next');
  assert.equal(await rpc.call('m', {}), 'next'); // its place among the pending calls is free again
});

test('a signal keeps no finished call alive', async ({ server, connected }) => {
  server.answers.publish = (command) => pushResult(command, 1);
  const rpc = await connected();
  const { signal } = new AbortController();
  const call = rpc.call('m', {}, { signal });
  assert.equal(getEventListeners(signal, 'abort').length, 1);
  await call;
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('an oversized request is refused before it is sent, with both sizes', async ({ server, connected }) => {
  const rpc = await connected({ maxRequestBytes: 1_000 });
  for (const transport of ['publish', 'rpc'] as const) {
    const error = await failsWith('validation_error', rpc.call('m', { text: 'é'.repeat(500) }, { transport }));
    assert.match(error.message, /11\d\d bytes.* 1000 bytes/);
  }
  assert.equal(server.of('publish').length + server.of('rpc').length, 0);
  server.answers.publish = (command) => pushResult(command, 1);
  assert.equal(await rpc.call('m', { text: 'e'.repeat(500) }), 1);
});

test('the largest request that passes by default fits into the frame limit of the server', async ({ server, connected }) => {
  server.answers.publish = (command) => pushResult(command, 'fits');
  const rpc = await connected();
  const overhead = 200; // of the request around the text, at most
  const longest = DEFAULT_MAX_REQUEST_BYTES - overhead;
  assert.equal(await rpc.call('m', { text: 'x'.repeat(longest) }), 'fits');
  await failsWith('validation_error', rpc.call('m', { text: 'x'.repeat(DEFAULT_MAX_REQUEST_BYTES) }));
});

test('numbers that JSON would turn into null are refused before they are sent', async ({ server, connected }) => {
  const rpc = await connected();
  for (const params of [{ limit: NaN }, { deep: [{ x: -Infinity }] }]) {
    const error = await failsWith('validation_error', rpc.call('m', params));
    assert.match(error.message, /JSON would turn into null/);
  }
  assert.equal(server.of('publish').length, 0);
  server.answers.publish = (command) => pushResult(command, 1);
  assert.equal(await rpc.call('m', { limit: null, text: 'null' }), 1);
});

test('an unknown transport is refused', async ({ connected }) => {
  const rpc = await connected();
  await failsWith('validation_error', rpc.call('m', {}, { transport: 'RPC' as 'rpc' }));
});

test('parameters that are no JSON', async ({ connected }) => {
  const rpc = await connected();
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  await failsWith('validation_error', rpc.call('m', circular));
  await failsWith('validation_error', rpc.call('m', { big: 1n }));
});

test('more pending calls than allowed', async ({ server, connected }) => {
  const rpc = await connected({ maxPendingCalls: 2 });
  const first = rpc.call('m', {});
  rpc.call('m', {}).catch(() => undefined);
  const error = await failsWith('service_unavailable', rpc.call('m', {}));
  assert.match(error.message, /2 calls/);
  pushResult(await server.nth('publish', 1), 1);
  await first;
  server.answers.publish = (command) => pushResult(command, 2);
  assert.equal(await rpc.call('m', {}), 2);
});

test('disconnect fails what is pending, and calls after it fail at once', async ({ server, connected }) => {
  const rpc = await connected();
  const sent = rpc.call('m', {});
  await server.nth('publish', 1);
  server.answers.connect = silent;
  (await server.nth('connect', 1)).connection.drop();
  await until(() => rpc.state === 'connecting');
  const unsent = rpc.call('m', {});
  await rpc.disconnect();
  const unknown = await failsWith('outcome_unknown', sent);
  assert.equal(unknown.retryable, false);
  const error = await failsWith('connection_error', unsent);
  assert.equal(error.retryable, true);
  await failsWith('connection_error', rpc.call('m', {}));
  assert.equal(server.of('publish').length, 1);
});

test('a call before connect fails at once', async ({ client }) => {
  await failsWith('connection_error', client().call('m', {}));
});

for (const [code, reason] of [[3503, 'force disconnect'], [4500, 'custom'], [1009, '']] as const) {
  test(`close code ${code} of the server is the end`, async ({ server, connected, reported }) => {
    const rpc = await connected();
    const call = rpc.call('m', {});
    (await server.nth('publish', 1)).connection.close(code, reason);
    await failsWith('outcome_unknown', call);
    assert.equal(rpc.state, 'disconnected');
    await failsWith('connection_error', rpc.call('m', {}));
    assert.equal(reported.length, 1);
    assert.match(String(reported.pop()), reason ? new RegExp(reason) : /message size limit/);
  });
}
