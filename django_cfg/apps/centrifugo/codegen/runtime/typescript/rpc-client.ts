/// <reference lib="es2022.error" />
/// <reference lib="esnext.disposable" />
/**
 * The base client under the generated one: calls over Centrifugo, matched to their replies by correlation id or by its native RPC.
 *
 * In this order: what a call can fail with, the options, the client, the pure decisions about a call.
 */
import { Centrifuge, type Options, type PublicationContext, type Subscription } from 'centrifuge';

export const REQUEST_CHANNEL = 'rpc.requests';
/** The number of the first `RPCErrorCode` where Centrifugo carries the error; the others follow in their order. */
export const FIRST_ERROR_NUMBER = 1001;
export const DEFAULT_TIMEOUT_MS = 30_000;
export const DEFAULT_MAX_PENDING_CALLS = 10_000;
/** The server's limit is for the whole frame, which holds a little more than the request. */
export const DEFAULT_MAX_REQUEST_BYTES = 262_144 - 1_024;
export const DEFAULT_RESEND_AFTER_MS = 5_000;
export const DEFAULT_ATTEMPT_TIMEOUT_MS = 10_000;
export const MAX_RESENDS = 3;
const MAX_TIMER_MS = 2_147_483_647; // a longer delay fires at once

/** Why a call failed; codes that a method declares itself are plain text beside these. The order is part of the wire. */
export const RPCErrorCode = {
  TIMEOUT: 'timeout',
  METHOD_NOT_FOUND: 'method_not_found',
  INVALID_PARAMS: 'invalid_params',
  VALIDATION_ERROR: 'validation_error',
  UNAUTHORIZED: 'unauthorized',
  RATE_LIMIT_EXCEEDED: 'rate_limit_exceeded',
  INTERNAL_ERROR: 'internal_error',
  SERVICE_UNAVAILABLE: 'service_unavailable',
  USER_NOT_CONNECTED: 'user_not_connected',
  ROOM_NOT_FOUND: 'room_not_found',
  RESOURCE_NOT_FOUND: 'resource_not_found',
  CONNECTION_ERROR: 'connection_error',
  REDIS_ERROR: 'redis_error',
  PERMISSION_DENIED: 'permission_denied',
  APPLICATION_ERROR: 'application_error',
  CANCELLED: 'cancelled',
  OUTCOME_UNKNOWN: 'outcome_unknown',
  CONTRACT_MISMATCH: 'contract_mismatch',
} as const;
export type RPCErrorCode = (typeof RPCErrorCode)[keyof typeof RPCErrorCode];

const RETRYABLE: ReadonlySet<string> = new Set([
  'timeout',
  'rate_limit_exceeded',
  'service_unavailable',
  'connection_error',
  'redis_error',
] satisfies RPCErrorCode[]);

export interface RPCErrorOptions {
  details?: Record<string, unknown> | null | undefined;
  retryable?: boolean | undefined;
  retry_after?: number | null | undefined;
  cause?: unknown;
}

/** The one error that calls, `connect` and `subscribe` reject with. `retry_after` is in seconds. */
export class RPCError extends Error {
  readonly code: RPCErrorCode | (string & {}); // completes the known codes in editors, accepts any other
  readonly details: Record<string, unknown> | null;
  /** Whether the same call may simply be made again. */
  readonly retryable: boolean;
  readonly retry_after: number | null;

  constructor(code: RPCErrorCode | (string & {}), message = '', options: RPCErrorOptions = {}) {
    super(message || code.replace(/_/g, ' '), 'cause' in options ? { cause: options.cause } : undefined);
    this.name = 'RPCError';
    this.code = code;
    this.details = options.details ?? null;
    this.retryable = options.retryable ?? RETRYABLE.has(code);
    this.retry_after = options.retry_after ?? null;
  }
}

/** `publish`: request and reply are publications, which survive a lost connection. `rpc`: Centrifugo's own RPC, which does not. */
export type Transport = 'publish' | 'rpc';
/** `connected` includes the subscription of the reply channel: calls flow. */
export type ClientState = 'connecting' | 'connected' | 'disconnected';
type MaybePromise<T> = T | Promise<T>;

/** The part of a WebSocket class that is needed here: the browsers' own one and that of npm `ws` both fit. */
export type WebSocketClass = new (url: string) => {
  close(): void;
  addEventListener(type: 'message' | 'close', listener: () => void, options?: { once?: boolean }): void;
};

export interface CallOptions {
  timeoutMs?: number | undefined;
  /** Ends the wait with the code `cancelled`; the server is not told. */
  signal?: AbortSignal | undefined;
  transport?: Transport | undefined;
}

export interface ClientOptions {
  /** The default for calls, and the time that `connect` and `subscribe` may take. */
  timeoutMs?: number | undefined;
  transport?: Transport | undefined;
  /** Gives the tokens after the first, which is the constructor's. */
  getToken?: (() => MaybePromise<string>) | undefined;
  maxRequestBytes?: number | undefined;
  maxPendingCalls?: number | undefined;
  onState?: ((state: ClientState) => void) | undefined;
  /** What no call can report: exceptions of handlers, failing reconnects, refused tokens. Default: `console.error`. */
  onError?: ((error: unknown) => void) | undefined;
  /** Where there is no global WebSocket (Node before 22): the class `WebSocket` of npm `ws`. */
  websocket?: WebSocketClass | undefined;
  /** Advanced: the silence after which an accepted call is sent again (its worker may have died). */
  resendAfterMs?: number | undefined;
  /** Advanced: how long one attempt to connect may take before the next one. */
  attemptTimeoutMs?: number | undefined;
  /** Advanced: further options of the SDK, such as its reconnect delays. */
  centrifuge?: Omit<Partial<Options>, 'token' | 'getToken' | 'timeout' | 'websocket'> | undefined;
}

export interface ChannelSubscription {
  readonly channel: string;
  unsubscribe(): void;
}

type Timer = ReturnType<typeof setTimeout>;
type Outcome = RPCError | { readonly result: unknown };

interface Request {
  readonly method: string;
  readonly params: unknown;
  readonly correlation_id: string;
  readonly reply_to: string;
}

/** A `connect` or `subscribe` under way. */
interface Opening {
  readonly done: Promise<void>;
  opened(): void;
  failed(error: RPCError): void;
}

/** One user's connection. */
export class CentrifugoRPCClient {
  readonly #options: ClientOptions;
  readonly #timeoutMs: number;
  readonly #replyChannel: string;
  readonly #centrifuge: Centrifuge;
  readonly #replies: Subscription;
  readonly #pending = new Map<string, Call>();
  readonly #handlers = new Map<string, Set<(data: unknown) => unknown>>();
  readonly #openings = new Set<Opening>();
  #connecting: Opening | undefined;
  /** Nothing has connected yet since `connect`: a failing attempt then ends it, where later ones are tried again. */
  #dialling = false;
  #state: ClientState = 'disconnected';

  constructor(url: string, token: string, userId: string, options: ClientOptions = {}) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#replyChannel = `user#${userId}`;
    const { getToken, websocket = globalThis.WebSocket as WebSocketClass | undefined } = options;
    this.#centrifuge = new Centrifuge(url, {
      ...options.centrifuge,
      token,
      ...(getToken && { getToken: async () => getToken() }),
      // The SDK has one timeout for all it does and would cut a long RPC with it. So it gets none, and the socket limits the attempts.
      timeout: MAX_TIMER_MS,
      ...(websocket && { websocket: withAttemptTimeout(websocket, options.attemptTimeoutMs ?? DEFAULT_ATTEMPT_TIMEOUT_MS) }),
    });
    this.#replies = this.#centrifuge.newSubscription(this.#replyChannel);
    this.#listen();
  }

  get state(): ClientState {
    return this.#state;
  }

  /** Resolves when the reply channel is subscribed, before which no reply could arrive. A first connection that fails is given up. */
  connect(): Promise<void> {
    if (this.#state === 'connected') return Promise.resolve();
    if (this.#connecting) return this.#connecting.done;
    const dialling = (this.#dialling = this.#state === 'disconnected');
    const connecting = (this.#connecting = this.#open(this.#replyChannel, () => {
      this.#connecting = undefined;
      if (dialling) this.#centrifuge.disconnect();
    }));
    try {
      this.#replies.subscribe(); // first, because its command then travels in the frame that connects
      this.#centrifuge.connect();
    } catch (error) {
      connecting.failed(new RPCError('connection_error', `cannot connect: ${textOf(error)}`, { cause: error }));
    }
    return connecting.done;
  }

  /** Fails what is pending: with `outcome_unknown` what was sent, with `connection_error` what was not. */
  disconnect(): Promise<void> {
    this.#centrifuge.disconnect();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  /** The method's result. While the connection is being restored the call waits, within its own time. Rejects with an RPCError. */
  call<T>(method: string, params: unknown, options: CallOptions = {}): Promise<T> {
    const { timeoutMs = this.#timeoutMs, transport = this.#options.transport ?? 'publish', signal } = options;
    return new Promise<T>((resolve, reject) => {
      this.#admit(signal);
      const envelope = { method, params: params === undefined ? {} : params, correlation_id: randomId(), reply_to: this.#replyChannel };
      // A copy, because a repeat must equal the first one even when the caller changes the parameters meanwhile.
      const request = copyWithin(this.#options.maxRequestBytes ?? DEFAULT_MAX_REQUEST_BYTES, envelope);
      const call = new Call(request, transport, timeoutMs, signal, (outcome) => {
        this.#pending.delete(request.correlation_id);
        if (outcome instanceof RPCError) reject(outcome);
        else resolve(outcome.result as T);
      });
      this.#pending.set(request.correlation_id, call); // before it is sent, because the reply may overtake the acknowledgement
      this.#transmit(call);
    });
  }

  /** `handler(data)` for the server's pushes of that name. Returns what removes it. */
  on<T = unknown>(event: string, handler: (data: T) => void): () => void {
    const handlers = this.#handlers.get(event) ?? new Set();
    const registered = (data: unknown): unknown => handler(data as T); // its own object, so that one handler can be registered twice
    this.#handlers.set(event, handlers.add(registered));
    return () => void handlers.delete(registered);
  }

  /** `handler(data)` for publications of another channel, from when this resolves; a function as `token` is asked again when it expires. */
  async subscribe<T = unknown>(
    channel: string,
    handler: (data: T) => void,
    options: { token?: string | (() => Promise<string>) | undefined } = {},
  ): Promise<ChannelSubscription> {
    if (this.#state === 'disconnected') throw new RPCError('connection_error', 'not connected');
    if (this.#centrifuge.getSubscription(channel)) throw new RPCError('validation_error', `${channel} is subscribed already`);
    const { token } = options;
    const source = typeof token === 'function' ? { getToken: async () => token() } : token ? { token } : {};
    const subscription = this.#centrifuge.newSubscription(channel, source);
    const remove = (): void => this.#centrifuge.removeSubscription(subscription);
    const opening = this.#open(channel, remove);
    const refused = (reason: string): void => {
      if (this.#centrifuge.getSubscription(channel) !== subscription) return; // our own doing
      const error = new RPCError('unauthorized', `${channel}: ${reason}`);
      if (!this.#openings.has(opening)) this.#report(error);
      opening.failed(error);
      remove();
    };
    subscription.on('publication', this.#contained(({ data }) => this.#run(handler as (data: unknown) => unknown, data)));
    subscription.on('subscribed', this.#contained(() => opening.opened()));
    subscription.on('unsubscribed', this.#contained(({ reason }) => refused(reason)));
    subscription.on('error', this.#contained(({ type, error }) => this.#failed(`${channel}: ${type}`, error)));
    subscription.subscribe();
    await opening.done;
    return { channel, unsubscribe: remove };
  }

  #listen(): void {
    this.#centrifuge.on('connecting', this.#contained(() => this.#enter('connecting')));
    this.#centrifuge.on('disconnected', this.#contained(({ code, reason }) => this.#disconnected(code, reason)));
    this.#centrifuge.on('error', this.#contained(({ type, error }) => this.#failed(type, error)));
    this.#replies.on('publication', this.#contained((publication) => this.#received(publication)));
    this.#replies.on('subscribing', this.#contained(() => {
      if (this.#centrifuge.state !== 'disconnected') this.#enter('connecting'); // a disconnect puts subscriptions into this state too
    }));
    // The SDK delivers recovered replies right after this event, in the same task: what they answer need not be sent again.
    this.#replies.on('subscribed', this.#contained(() => queueMicrotask(this.#contained(() => this.#resume()))));
    this.#replies.on('unsubscribed', this.#contained(({ reason }) => this.#repliesRefused(reason)));
    this.#replies.on('error', this.#contained(({ type, error }) => this.#failed(`${this.#replyChannel}: ${type}`, error)));
  }

  /** Throws what refuses a call before anything of it is built. */
  #admit(signal: AbortSignal | undefined): void {
    if (signal?.aborted) throw cancelled(signal);
    if (this.#state === 'disconnected') throw new RPCError('connection_error', 'not connected');
    const limit = this.#options.maxPendingCalls ?? DEFAULT_MAX_PENDING_CALLS;
    if (this.#pending.size >= limit) throw new RPCError('service_unavailable', `${limit} calls are waiting for a reply already`);
  }

  /** The first send and every repeat; without a connection nothing is lost, because `#resume` comes here again. */
  #transmit(call: Call): void {
    if (this.#state !== 'connected' || !call.sendable) return;
    call.sends += 1;
    const { method, params } = call.request;
    if (call.transport === 'rpc') {
      this.#centrifuge.rpc(method, params).then(
        ({ data }) => call.settle({ result: data }),
        (refusal: Refusal) => this.#notAccepted(call, refusal),
      );
    } else {
      this.#centrifuge.publish(REQUEST_CHANNEL, { ...call.request, timeout_ms: call.remainingMs }).then(
        () => this.#accepted(call),
        (refusal: Refusal) => this.#notAccepted(call, refusal),
      );
    }
  }

  #accepted(call: Call): void {
    call.accepted = true;
    this.#repeatLater(call);
  }

  #notAccepted(call: Call, refusal: Refusal): void {
    const error = errorOfRefusal(call, refusal);
    if (error) call.settle(error);
    else if (isReply(refusal)) this.#repeatLater(call); // otherwise the connection is lost, whose return repeats the call
  }

  #repeatLater(call: Call): void {
    const resendAfterMs = this.#options.resendAfterMs ?? DEFAULT_RESEND_AFTER_MS;
    call.repeatAfter(resendAfterMs * (1 + Math.random() / 4), () => this.#transmit(call)); // jitter, so that callers spread
  }

  /** Drops what carries `info` (a client published it: a forgery here) and replies to other tabs or to calls given up. */
  #received({ info, data }: PublicationContext): void {
    const message: unknown = data;
    if (info !== undefined || !isRecord(message)) return;
    const { correlation_id, event } = message;
    if (typeof correlation_id === 'string') this.#pending.get(correlation_id)?.settle(outcomeOfReply(message));
    else if (typeof event === 'string') this.#handlers.get(event)?.forEach((handler) => this.#run(handler, message.data));
  }

  /** The reply channel is subscribed, for the first time or again. */
  #resume(): void {
    if (this.#replies.state !== 'subscribed') return; // it may have been lost again
    this.#dialling = false;
    this.#enter('connected');
    this.#connecting?.opened();
    this.#connecting = undefined;
    for (const call of this.#pending.values()) this.#transmit(call);
  }

  #disconnected(code: number, reason: string): void {
    const error = new RPCError(REFUSED.has(code) ? 'unauthorized' : 'connection_error', `disconnected: ${reason} (${code})`);
    if (code !== CALLED && this.#openings.size === 0) this.#report(error);
    this.#end(error);
    this.#enter('disconnected');
  }

  /** Without the reply channel no reply can arrive, so the connection is of no use. */
  #repliesRefused(reason: string): void {
    const error = new RPCError('unauthorized', `${this.#replyChannel}: ${reason}`);
    if (this.#openings.size === 0) this.#report(error);
    this.#end(error);
    this.#centrifuge.disconnect();
  }

  /** Nothing more will arrive for what is under way. */
  #end(error: RPCError): void {
    for (const opening of this.#openings) opening.failed(error);
    for (const call of this.#pending.values()) call.settle(errorOfEnd(call, error.message));
  }

  #failed(type: string, { code, message }: { code: number; message: string }): void {
    if (code === TOKEN_EXPIRED) return; // the SDK asks for a new one
    const dialled = this.#dialling && type === 'transport';
    const error = new RPCError('connection_error', `${dialled ? 'cannot connect' : type}: ${message}`);
    if (dialled) this.#connecting?.failed(error);
    else this.#report(error);
  }

  #open(channel: string, undo: () => void): Opening {
    let resolve!: () => void;
    let reject!: (error: RPCError) => void;
    const done = new Promise<void>((yes, no) => ((resolve = yes), (reject = no)));
    const end = (): boolean => (clearTimeout(timer), this.#openings.delete(opening));
    const opening: Opening = {
      done,
      opened: () => void (end() && resolve()),
      failed: (error) => void (end() && (undo(), reject(error))),
    };
    const late = new RPCError('connection_error', `${channel}: not subscribed within ${this.#timeoutMs} ms`);
    const timer = setTimeout(() => opening.failed(late), Math.min(this.#timeoutMs, MAX_TIMER_MS));
    this.#openings.add(opening);
    return opening;
  }

  #enter(state: ClientState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#run(this.#options.onState, state);
  }

  /** Calls a user's handler; one that is async may fail later. */
  #run<T>(handler: ((data: T) => unknown) | undefined, data: T): void {
    try {
      Promise.resolve(handler?.(data)).catch((error: unknown) => this.#report(error));
    } catch (error) {
      this.#report(error);
    }
  }

  /** For the SDK's listeners: one that throws ends the connection for good, or froze it before 5.8. */
  #contained<A extends unknown[]>(listener: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      try {
        listener(...args);
      } catch (error) {
        this.#report(error);
      }
    };
  }

  #report(error: unknown): void {
    try {
      (this.#options.onError ?? console.error)(error);
    } catch (failure) {
      console.error(failure);
    }
  }
}

/** A call in flight: what is known about it, and its timers. */
class Call {
  sends = 0;
  accepted = false;
  readonly request: Request;
  readonly transport: Transport;
  readonly #deadline: number; // of `performance.now()`, which no change of the clock moves
  readonly #done: (outcome: Outcome) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #expiry: Timer;
  #repeat: Timer | undefined;
  #settled = false;

  constructor(request: Request, transport: Transport, timeoutMs: number, signal: AbortSignal | undefined, done: (outcome: Outcome) => void) {
    this.request = request;
    this.transport = transport;
    this.#deadline = performance.now() + timeoutMs;
    this.#done = done;
    this.#signal = signal;
    const expired = (): void => this.settle(new RPCError('timeout', `${request.method}: no reply within ${timeoutMs} ms`));
    this.#expiry = setTimeout(expired, Math.min(timeoutMs, MAX_TIMER_MS));
    signal?.addEventListener('abort', this.#aborted);
  }

  get sendable(): boolean {
    const inTime = performance.now() < this.#deadline;
    return inTime && !this.#settled && this.sends <= (this.transport === 'rpc' ? 0 : MAX_RESENDS);
  }

  /** What the server is told: at least 1. */
  get remainingMs(): number {
    return Math.max(1, Math.ceil(this.#deadline - performance.now()));
  }

  repeatAfter(delayMs: number, repeat: () => void): void {
    clearTimeout(this.#repeat);
    if (this.sendable) this.#repeat = setTimeout(repeat, delayMs);
  }

  /** The first outcome counts. */
  settle(outcome: Outcome): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#expiry);
    clearTimeout(this.#repeat);
    this.#signal?.removeEventListener('abort', this.#aborted);
    this.#done(outcome);
  }

  readonly #aborted = (): void => this.settle(cancelled(this.#signal));
}

/** How the SDK rejects: the server's error reply, with a code from 100 on, or a fault of its own, with one below or none. */
interface Refusal {
  readonly code?: number;
  readonly message?: string;
  readonly temporary?: boolean;
}

const CALLED = 0; // the code of a disconnect that the client's owner asked for
const TOKEN_EXPIRED = 109;
const REFUSED: ReadonlySet<number> = new Set([1, 101, 103, 109, 110, 3500, 3507]); // the SDK's own code, error replies, close codes

function isReply({ code = 0 }: Refusal): boolean {
  return code >= 100;
}

function isApplication(code: number): boolean {
  return code >= FIRST_ERROR_NUMBER && code < FIRST_ERROR_NUMBER + Object.keys(RPCErrorCode).length;
}

function codeOfNumber(number: number): RPCErrorCode {
  if (isApplication(number)) return Object.values(RPCErrorCode)[number - FIRST_ERROR_NUMBER] ?? 'internal_error';
  switch (number) {
    case 101:
    case 103:
      return 'permission_denied';
    case 104:
      return 'method_not_found';
    case 106:
    case 111:
      return 'rate_limit_exceeded';
    case 107:
      return 'validation_error';
    case 108:
      return 'service_unavailable';
    case 109:
    case 110:
      return 'unauthorized';
    default:
      return 'internal_error';
  }
}

/** What an error in place of the acknowledgement, or of an RPC's reply, means; undefined: nothing final. */
function errorOfRefusal(call: Call, refusal: Refusal): RPCError | undefined {
  const { code = 0, temporary = false } = refusal;
  const message = refusal.message || `error ${code}`;
  const error = new RPCError(codeOfNumber(code), message, { retryable: temporary });
  if (call.transport === 'rpc') {
    return isReply(refusal) && code !== 100 ? error : new RPCError('outcome_unknown', `interrupted: ${message}; the call may have run`);
  }
  if (!isReply(refusal)) return undefined; // the acknowledgement is lost with the connection, which says nothing about the call
  // An overloaded server that refuses a repeat says nothing about the copy before it, which may be running.
  if ((!temporary && code !== 100) || (isApplication(code) && call.sends === 1)) return error;
  if (call.sendable || call.accepted) return undefined;
  return new RPCError('outcome_unknown', `sent ${call.sends} times, never acknowledged: ${message}`);
}

/** What the end of the connection means for a call: it may have run if it was ever sent. */
function errorOfEnd(call: Call, reason: string): RPCError {
  return call.sends > 0
    ? new RPCError('outcome_unknown', `${reason}; the call was sent and may have run`)
    : new RPCError('connection_error', `${reason}; the call was not sent`);
}

/** Fields of an unexpected type in an error count as missing. */
function outcomeOfReply({ error, result }: Record<string, unknown>): Outcome {
  if (error === undefined || error === null) return { result };
  const { code, message, details, retryable, retry_after } = isRecord(error) ? error : { message: error };
  return new RPCError(typeof code === 'string' && code ? code : 'internal_error', typeof message === 'string' ? message : '', {
    details: isRecord(details) ? details : null,
    retryable: typeof retryable === 'boolean' ? retryable : undefined,
    retry_after: typeof retry_after === 'number' ? retry_after : null,
  });
}

/** Throws a `validation_error`; a frame above the server's limit would end the connection for good. */
function copyWithin(limitBytes: number, request: Request): Request {
  let text: string;
  try {
    text = JSON.stringify(request);
  } catch (error) {
    throw new RPCError('validation_error', `the parameters are not JSON: ${textOf(error)}`, { cause: error });
  }
  // No character takes more than three bytes, so most requests need not be encoded to be measured.
  const bytes = text.length * 3 > limitBytes ? new TextEncoder().encode(text).length : 0;
  if (bytes > limitBytes) throw new RPCError('validation_error', `the request has ${bytes} bytes, the limit is ${limitBytes} bytes`);
  return JSON.parse(text) as Request;
}

/** 128 random bits; not `crypto.randomUUID()`, which pages over plain http do not have. */
function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A socket that closes itself when the first message, the answer to the connect command, does not come in time. */
function withAttemptTimeout(base: WebSocketClass, limitMs: number): WebSocketClass {
  return class extends base {
    constructor(url: string) {
      super(url);
      const timer = setTimeout(() => this.close(), limitMs);
      for (const type of ['message', 'close'] as const) this.addEventListener(type, () => clearTimeout(timer), { once: true });
    }
  };
}

function cancelled(signal: AbortSignal | undefined): RPCError {
  return new RPCError('cancelled', 'the call was cancelled', { cause: signal?.reason as unknown });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
