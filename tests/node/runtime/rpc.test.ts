import assert from 'node:assert/strict';
import { REPLIES, RPCErrorCode, failsWith, refuse, reply, silent, test, until } from './harness.ts';

test('bare params, bare result, no publication', async ({ server, connected }) => {
  server.answers.rpc = (command) => reply(command, { data: { total: 3 } });
  const rpc = await connected({ transport: 'rpc' });
  assert.deepEqual(await rpc.call('tasks.get_stats', { limit: 3 }), { total: 3 });
  assert.deepEqual((await server.nth('rpc', 1)).body, { method: 'tasks.get_stats', data: { limit: 3 } });
  assert.equal(server.of('publish').length, 0);
});

test('the transport of one call', async ({ server, connected }) => {
  const rpc = await connected();
  await rpc.call('m', {}, { transport: 'rpc' });
  assert.deepEqual([server.of('rpc').length, server.of('publish').length], [1, 0]);
  const other = await connected({ transport: 'rpc', timeoutMs: 50 });
  await failsWith('timeout', other.call('m', {}, { transport: 'publish' }));
  assert.deepEqual([server.of('rpc').length, server.of('publish').length], [1, 1]);
});

test('the codes of the numbers', async ({ server, connected }) => {
  const rpc = await connected({ transport: 'rpc' });
  const expected: [number, string][] = [
    [103, 'permission_denied'],
    [104, 'method_not_found'],
    [108, 'service_unavailable'],
    [111, 'rate_limit_exceeded'],
    ...Object.values(RPCErrorCode).map((code, position): [number, string] => [1001 + position, code]),
  ];
  for (const [number, code] of expected) {
    const temporary = number % 2 === 1;
    server.answers.rpc = (command) => refuse(command, number, temporary, `because of ${number}`);
    const error = await failsWith(code, rpc.call('m', {}));
    assert.deepEqual([error.message, error.retryable], [`because of ${number}`, temporary]);
  }
});

test('error 100: outcome_unknown, not sent again', async ({ server, connected }) => {
  server.answers.rpc = (command) => refuse(command, 100, true, 'internal server error');
  const rpc = await connected({ transport: 'rpc', resendAfterMs: 5 });
  const error = await failsWith('outcome_unknown', rpc.call('m', {}));
  assert.equal(error.retryable, false);
  await failsWith('outcome_unknown', rpc.call('m', {}));
  assert.equal(server.of('rpc').length, 2);
});

test('a lost connection: outcome_unknown, not sent again', async ({ server, connected }) => {
  server.answers.rpc = ({ connection }) => connection.drop();
  const rpc = await connected({ transport: 'rpc' });
  await failsWith('outcome_unknown', rpc.call('m', {}));
  server.answers.rpc = (command) => reply(command, { data: 'next' });
  assert.equal(await rpc.call('m', {}), 'next'); // which waited for the connection
  assert.equal(server.of('rpc').length, 2);
});

test('a reply channel subscribed again leaves a running call alone', async ({ server, connected }) => {
  server.answers.rpc = silent;
  const rpc = await connected({ transport: 'rpc' });
  const call = rpc.call('m', {});
  const command = await server.nth('rpc', 1);
  command.connection.send({ push: { channel: REPLIES, unsubscribe: { code: 2500, reason: 'insufficient state' } } });
  await server.nth('subscribe', 2);
  await until(() => rpc.state === 'connected');
  server.answers.rpc = (other) => reply(other, { data: 'other' });
  assert.equal(await rpc.call('m', {}), 'other');
  assert.equal(server.of('rpc').length, 2);
  reply(command, { data: 'first' });
  assert.equal(await call, 'first');
});

test('a call that was never sent is not unknown', async ({ server, connected }) => {
  const rpc = await connected({ transport: 'rpc' });
  server.answers.connect = silent;
  (await server.nth('connect', 1)).connection.drop();
  await server.nth('connect', 2);
  const call = rpc.call('m', {});
  await rpc.disconnect();
  await failsWith('connection_error', call);
});

test('disconnect: outcome_unknown', async ({ server, connected }) => {
  server.answers.rpc = silent;
  const rpc = await connected({ transport: 'rpc' });
  const call = rpc.call('m', {});
  await server.nth('rpc', 1);
  await rpc.disconnect();
  await failsWith('outcome_unknown', call);
});

test('a reply without its result', async ({ server, connected }) => {
  server.answers.rpc = ({ id, connection }) => connection.send({ id });
  await failsWith('outcome_unknown', (await connected({ transport: 'rpc' })).call('m', {}));
});

test('deadline and signal', async ({ server, connected }) => {
  server.answers.rpc = silent;
  const rpc = await connected({ transport: 'rpc' });
  await failsWith('timeout', rpc.call('m', {}, { timeoutMs: 20 }));
  const controller = new AbortController();
  const call = rpc.call('m', {}, { signal: controller.signal });
  await server.nth('rpc', 2);
  controller.abort();
  await failsWith('cancelled', call);
});

test('the 5 s of the SDK do not cut a longer call', async ({ server, connected }) => {
  server.answers.rpc = (command) => void setTimeout(() => reply(command, { data: 'slow' }), 5_500);
  const rpc = await connected({ transport: 'rpc' });
  assert.equal(await rpc.call('m', {}), 'slow');
});
