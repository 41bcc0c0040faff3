import assert from 'node:assert/strict';
import {
  MAX_RESENDS,
  REPLIES,
  failsWith,
  pushResult,
  refuse,
  reply,
  requestOf,
  silent,
  test,
  until,
  type Command,
  type FakeServer,
} from './harness.ts';

/** The reply channel as a real server keeps it: what was published while the client was away comes with the subscription. */
function recoverable(server: FakeServer, missed: () => Record<string, unknown>[]): void {
  server.answers.subscribe = (command) => {
    const position = { recoverable: true, positioned: true, epoch: 'e', offset: (command.body.offset as number | undefined) ?? 0 };
    if (!command.body.recover) return reply(command, position);
    reply(command, { ...position, was_recovering: true, recovered: true, publications: missed() });
  };
}

const dataOf = (command: Command, result: unknown): Record<string, unknown> => ({
  correlation_id: requestOf(command).correlation_id,
  result,
});

test('after a reconnect a pending call is sent again with the same id', async ({ server, connected }) => {
  const rpc = await connected();
  const call = rpc.call('m', { n: 1 }, { timeoutMs: 9_000 });
  (await server.nth('publish', 1)).connection.drop();
  pushResult(await server.nth('publish', 2), 'second');
  assert.equal(await call, 'second');
  const [first, second] = server.requests();
  assert.ok(first && second);
  assert.ok(second.timeout_ms <= first.timeout_ms, 'the time that remains, not a new limit');
  assert.deepEqual({ ...second, timeout_ms: 0 }, { ...first, timeout_ms: 0 });
  const order = server.commands.map((command) => command.kind);
  assert.deepEqual(order, ['connect', 'subscribe', 'publish', 'connect', 'subscribe', 'publish']);
});

test('an acknowledgement lost with the connection is no failed call', async ({ server, connected }) => {
  server.answers.publish = ({ connection }) => connection.drop();
  const rpc = await connected();
  const call = rpc.call('m', {});
  await server.nth('publish', 1);
  server.answers.publish = (command) => pushResult(command, 'recovered');
  assert.equal(await call, 'recovered');
});

test('what a recovered publication answers is not sent again', async ({ server, connected }) => {
  const missed: Record<string, unknown>[] = [];
  recoverable(server, () => missed);
  server.answers.publish = silent;
  const rpc = await connected();
  const answered = rpc.call('answered', {});
  const open = rpc.call('open', {});
  const publish = await server.nth('publish', 1);
  await server.nth('publish', 2);
  missed.push({ offset: 1, data: dataOf(publish, 'recovered') });
  publish.connection.drop();
  assert.equal(await answered, 'recovered');
  pushResult(await server.nth('publish', 3), 'again');
  assert.equal(await open, 'again');
  assert.deepEqual(server.requests().map(({ method }) => method), ['answered', 'open', 'open']);
});

test('a recovered publication of a client is dropped too', async ({ server, connected }) => {
  const missed: Record<string, unknown>[] = [];
  recoverable(server, () => missed);
  const rpc = await connected();
  const call = rpc.call('m', {});
  const publish = await server.nth('publish', 1);
  missed.push({ offset: 1, data: dataOf(publish, 'forged'), info: { client: 'evil', user: '13' } });
  publish.connection.drop();
  pushResult(await server.nth('publish', 2), 'real');
  assert.equal(await call, 'real');
});

test('a call made while reconnecting waits for the connection', async ({ server, connected }) => {
  const accept = server.answers.connect;
  const rpc = await connected();
  server.answers.connect = silent;
  (await server.nth('connect', 1)).connection.drop();
  const again = await server.nth('connect', 2);
  const call = rpc.call('m', {});
  await failsWith('timeout', rpc.call('too late', {}, { timeoutMs: 10 }));
  accept(again);
  pushResult(await server.nth('publish', 1), 1);
  assert.equal(await call, 1);
  assert.deepEqual(server.requests().map(({ method }) => method), ['m']);
});

test('an accepted call that stays silent is sent again, three times at most, until its deadline', async ({ server, connected }) => {
  const rpc = await connected({ resendAfterMs: 10 });
  const params = { list: [1] };
  const call = rpc.call('m', params, { timeoutMs: 1_000 });
  params.list.push(2); // a repeat equals the first copy all the same
  await failsWith('timeout', call);
  const requests = server.requests();
  assert.equal(requests.length, 1 + MAX_RESENDS);
  assert.equal(MAX_RESENDS, 3);
  assert.equal(new Set(requests.map(({ correlation_id }) => correlation_id)).size, 1);
  for (const request of requests) assert.deepEqual(request.params, { list: [1] });
});

test('a silent call is sent again after 5 s by default, not at once', async ({ server, connected }) => {
  const rpc = await connected();
  const call = rpc.call('m', {});
  const started = performance.now();
  const second = await server.nth('publish', 2);
  assert.ok(performance.now() - started > 4_900);
  pushResult(second, 1);
  await call;
});

test('a call that is not accepted yet is not sent again on the same connection', async ({ server, connected }) => {
  server.answers.publish = (command) => {
    if (requestOf(command).method !== 'waiting') reply(command);
  };
  const rpc = await connected({ resendAfterMs: 10 });
  const waiting = rpc.call('waiting', {});
  await failsWith('timeout', rpc.call('accepted', {}, { timeoutMs: 500 }));
  assert.deepEqual(server.requests().filter(({ method }) => method === 'waiting').length, 1);
  pushResult(await server.nth('publish', 1), 'patience');
  assert.equal(await waiting, 'patience');
});

test('the reply to a repeat, or to the first copy, ends the repeats', async ({ server, connected }) => {
  const rpc = await connected({ resendAfterMs: 10 });
  const call = rpc.call('m', {});
  await server.nth('publish', 2);
  pushResult(await server.nth('publish', 1), 'first copy');
  assert.equal(await call, 'first copy');
  const sent = server.of('publish').length;
  await failsWith('timeout', rpc.call('other', {}, { timeoutMs: 200 })); // long enough for further repeats, were there any
  assert.equal(server.requests().filter(({ method }) => method === 'm').length, sent);
});

for (const number of [100, 111, 1503]) {
  test(`error ${number} in place of the acknowledgement: sent again with the same id`, async ({ server, connected }) => {
    server.answers.publish = (command) =>
      server.of('publish').length === 1 ? refuse(command, number, true) : pushResult(command, 'second');
    const rpc = await connected({ resendAfterMs: 10 });
    assert.equal(await rpc.call('m', {}), 'second');
    const [first, second] = server.requests();
    assert.equal(second?.correlation_id, first?.correlation_id);
  });
}

test('never acknowledged when the tries are used up: outcome_unknown', async ({ server, connected }) => {
  server.answers.publish = (command) => refuse(command, 100, true, 'internal server error');
  const rpc = await connected({ resendAfterMs: 10 });
  const error = await failsWith('outcome_unknown', rpc.call('m', {}));
  assert.match(error.message, /internal server error/);
  assert.equal(error.retryable, false);
  assert.equal(server.of('publish').length, 4);
});

test('accepted once, then refused until the tries are used up: the deadline decides', async ({ server, connected }) => {
  server.answers.publish = (command) => (server.of('publish').length === 1 ? reply(command) : refuse(command, 100, true));
  const rpc = await connected({ resendAfterMs: 10 });
  const call = rpc.call('m', {});
  await server.nth('publish', 4);
  pushResult(await server.nth('publish', 1), 'the first one ran');
  assert.equal(await call, 'the first one ran');
});

test('an overloaded server that refuses a repeat does not fail a call that may be running', async ({ server, connected }) => {
  server.answers.publish = (command) => (server.of('publish').length === 1 ? reply(command) : refuse(command, 1008, true));
  const rpc = await connected({ resendAfterMs: 10 });
  const call = rpc.call('m', {});
  await server.nth('publish', 2);
  pushResult(await server.nth('publish', 1), 'ran');
  assert.equal(await call, 'ran');
});

test('a repeat that is refused for good fails the call', async ({ server, connected }) => {
  server.answers.publish = (command) => (server.of('publish').length === 1 ? reply(command) : refuse(command, 1017));
  const rpc = await connected({ resendAfterMs: 10 });
  await failsWith('outcome_unknown', rpc.call('m', {}));
  assert.equal(server.of('publish').length, 2);
});

test('a repeat after a reconnect replaces the one that silence had in store', async ({ server, connected }) => {
  const rpc = await connected({ resendAfterMs: 300 });
  const call = rpc.call('m', {});
  const first = await server.nth('publish', 1);
  server.answers.publish = silent;
  await rpc.call('m', {}, { transport: 'rpc' }); // by now the first copy is accepted
  first.connection.drop();
  await server.nth('publish', 2);
  await failsWith('timeout', rpc.call('other', {}, { timeoutMs: 600 }));
  assert.equal(server.requests().filter(({ method }) => method === 'm').length, 2);
  pushResult(await server.nth('publish', 2), 1);
  await call;
});

test('reconnects and silence share the three repeats', async ({ server, connected }) => {
  const rpc = await connected({ resendAfterMs: 10 });
  server.answers.publish = (command) => {
    if (requestOf(command).method === 'flush') return pushResult(command, null);
    if (server.of('publish').length <= 2) command.connection.drop();
    else reply(command);
  };
  const call = rpc.call('m', {});
  const fourth = await server.nth('publish', 4);
  fourth.connection.drop();
  await until(() => server.of('subscribe').length === 4 && rpc.state === 'connected');
  await rpc.call('flush', {});
  assert.equal(server.requests().filter(({ method }) => method === 'm').length, 4);
  server.of('connect').at(-1)?.connection.push(REPLIES, { data: dataOf(fourth, 'at last') });
  assert.equal(await call, 'at last');
});

test('500 calls with a cut after every 40: none is lost', async ({ server, connected }) => {
  let seen = 0;
  server.answers.publish = (command) => {
    seen += 1;
    if (seen % 40 === 0) return command.connection.drop();
    pushResult(command, requestOf(command).params);
  };
  const rpc = await connected();
  for (let start = 0; start < 500; start += 20) {
    const expected = Array.from({ length: 20 }, (_, n) => start + n);
    assert.deepEqual(await Promise.all(expected.map((n) => rpc.call('m', n))), expected);
  }
});
