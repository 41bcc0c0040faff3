import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test as nodeTest } from 'node:test';
import { WebSocket } from 'ws';
import { CentrifugoRPCClient, RPCError, type ClientOptions } from '../../../django_cfg/apps/centrifugo/codegen/runtime/typescript/rpc-client.ts';
import { FakeServer, USER } from './fake-server.ts';

export * from '../../../django_cfg/apps/centrifugo/codegen/runtime/typescript/rpc-client.ts';
export * from './fake-server.ts';
export { WebSocket };

const LIMIT_MS = 15_000;

export interface World {
  readonly server: FakeServer;
  /** What reached `onError`, of all clients of the test. */
  readonly reported: unknown[];
  /** A client of that server that is not connected yet. */
  client(options?: ClientOptions, token?: string): CentrifugoRPCClient;
  connected(options?: ClientOptions): Promise<CentrifugoRPCClient>;
}

/** A test with a server of its own. Nothing may be reported through `onError` unless the test takes it out of `reported`. */
export function test(name: string, body: (world: World) => Promise<void>): void {
  void nodeTest(name, { timeout: LIMIT_MS }, async ({ signal }) => {
    const server = await FakeServer.start({ maxPayload: 262_144 });
    const reported: unknown[] = [];
    const clients: CentrifugoRPCClient[] = [];
    const client = (options: ClientOptions = {}, token = 'first'): CentrifugoRPCClient => {
      const made = new CentrifugoRPCClient(server.url, token, USER, {
        websocket: WebSocket,
        onError: (error) => reported.push(error),
        centrifuge: { minReconnectDelay: 1, maxReconnectDelay: 10 },
        ...options,
      });
      clients.push(made);
      return made;
    };
    const connected = async (options: ClientOptions = {}): Promise<CentrifugoRPCClient> => {
      const made = client(options);
      await made.connect();
      return made;
    };
    try {
      // A test that is late never ends by itself, and its server would keep the process from ending.
      await Promise.race([body({ server, reported, client, connected }), once(signal, 'abort')]);
      assert.deepEqual(reported, []);
    } finally {
      await Promise.all(clients.map((made) => made.disconnect()));
      await server.stop();
    }
  });
}

export async function failure(promise: Promise<unknown>): Promise<RPCError> {
  const outcome = await promise.then(
    (value) => assert.fail(`resolved with ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );
  assert.ok(outcome instanceof RPCError, `rejected with ${String(outcome)}`);
  return outcome;
}

export async function failsWith(code: string, promise: Promise<unknown>): Promise<RPCError> {
  const error = await failure(promise);
  assert.equal(error.code, code, error.message);
  return error;
}

/** Whether the promise is still open when everything that the event loop holds has run. */
export async function isOpen(promise: Promise<unknown>): Promise<boolean> {
  const open = Symbol('open');
  const turn = new Promise((resolve) => setImmediate(() => setImmediate(() => resolve(open))));
  return (await Promise.race([promise.catch(() => undefined), turn])) === open;
}

/** Polls, because what the client does by itself tells nobody. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `never came true: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
