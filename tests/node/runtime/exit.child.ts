/** Ends calls in every way, disconnects, and then has nothing left to wait for: every time limit in it is far above the test's. */
import { CentrifugoRPCClient, RPCError, WebSocket } from './harness.ts';

const options = { websocket: WebSocket, timeoutMs: 600_000, resendAfterMs: 600_000, attemptTimeoutMs: 600_000 };
const rpc = new CentrifugoRPCClient(process.argv[2] ?? '', 'token', '42', options);
const codes: string[] = [];
const note = (error: unknown): void => void codes.push(error instanceof RPCError ? error.code : String(error));

await rpc.connect();
await rpc.subscribe('news', () => undefined);
await rpc.call('answered', {});
await rpc.call('silent', {}, { timeoutMs: 10 }).catch(note);
const controller = new AbortController();
const cancelled = rpc.call('silent', {}, { signal: controller.signal }).catch(note);
controller.abort();
await cancelled;
await rpc.call('refused', {}).catch(note);
const pending = rpc.call('silent', {}).catch(note);
await rpc.disconnect();
await pending;
console.log(codes.join());
