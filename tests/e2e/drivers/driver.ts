// The TypeScript driver; see README.md.
import { createInterface } from 'node:readline';
import WebSocket from 'ws';
import { APIClient, CentrifugoRPCClient, RPCError } from './clients/typescript/index.js';

interface Command {
  id: number;
  op: string;
  client: string;
  url: string;
  token: string;
  tokens?: string[];
  user_id: string;
  timeout?: number;
  transport?: 'publish' | 'rpc';
  max_request_bytes?: number;
  method: string;
  params: unknown;
  text: string;
  event: string;
  channel: string;
  of: number;
}

const clients = new Map<string, CentrifugoRPCClient>();
const states = new Map<string, string[]>();
const running = new Map<number, AbortController>();
const write = (line: unknown): void => void process.stdout.write(JSON.stringify(line) + '\n');

function described(error: unknown): unknown {
  if (!(error instanceof RPCError)) return { code: 'not an RPCError', message: String(error) };
  const { code, message, details, retryable, retry_after } = error;
  return { code, message, details: details ?? null, retryable, retry_after: retry_after ?? null };
}

function clientOf(c: Command): CentrifugoRPCClient {
  const client = clients.get(c.client);
  if (client === undefined) throw new Error(`no client ${c.client}`);
  return client;
}

function call(c: Command, params: unknown, signal: AbortSignal): Promise<unknown> {
  return clientOf(c).call(c.method, params, {
    signal,
    ...(c.timeout === undefined ? {} : { timeoutMs: c.timeout * 1000 }),
    ...(c.transport === undefined ? {} : { transport: c.transport }),
  });
}

const operations: Record<string, (c: Command, signal: AbortSignal) => Promise<unknown>> = {
  async connect(c) {
    const tokens = [...(c.tokens ?? [])];
    const seen: string[] = [];
    states.set(c.client, seen);
    const client = new CentrifugoRPCClient(c.url, c.token, c.user_id, {
      websocket: WebSocket,
      onState: (state) => void seen.push(state),
      ...(tokens.length > 0 ? { getToken: () => Promise.resolve(tokens.shift() ?? '') } : {}),
      ...(c.timeout === undefined ? {} : { timeoutMs: c.timeout * 1000 }),
      ...(c.transport === undefined ? {} : { transport: c.transport }),
      ...(c.max_request_bytes === undefined ? {} : { maxRequestBytes: c.max_request_bytes }),
    });
    clients.set(c.client, client);
    await client.connect();
  },
  disconnect: (c) => clientOf(c).disconnect(),
  call: (c, signal) => call(c, c.params, signal),
  many: (c, signal) =>
    Promise.all(
      (c.params as unknown[]).map((params) =>
        call(c, params, signal).then(
          (ok) => ({ ok }),
          (error: unknown) => ({ error: described(error) }),
        ),
      ),
    ),
  async cancel(c) {
    running.get(c.of)?.abort();
  },
  async typed(c) {
    const { text, number, user_id } = await new APIClient(clientOf(c)).echoSay({ text: c.text });
    return { text, number, user_id };
  },
  async on(c) {
    clientOf(c).on(c.event, (data) => write({ event: c.event, client: c.client, data }));
  },
  async subscribe(c) {
    await clientOf(c).subscribe(c.channel, (data) => write({ channel: c.channel, client: c.client, data }), { token: c.token });
  },
  async state(c) {
    return states.get(c.client) ?? [];
  },
};

async function answer(c: Command): Promise<void> {
  const abort = new AbortController();
  running.set(c.id, abort);
  try {
    write({ id: c.id, ok: (await operations[c.op]?.(c, abort.signal)) ?? null });
  } catch (error) {
    write({ id: c.id, error: described(error) });
  } finally {
    running.delete(c.id);
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => void answer(JSON.parse(line) as Command))
  .on('close', () => process.exit(0));
