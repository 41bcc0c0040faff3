/// <reference lib="es2022.error" />
/// <reference lib="esnext.disposable" />
/**
 * The base client under the generated one: calls over Centrifugo, matched to their replies by correlation id, or
 * made with its native RPC.
 *
 * In this order: what a call can fail with, the options, the client, a call in flight, the pure decisions about it.
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

/** Why a call failed; a method's own codes are plain text beside these. Their order is part of the wire. */
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

/** `publish`: request and reply are publications, which survive a lost connection; Centrifugo's own `rpc` does not. */
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
  #closing = false;
  #state: ClientState = 'disconnected';

  constructor(url: string, token: string, userId: string, options: ClientOptions = {}) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#replyChannel = `user#${userId}`;
    const { getToken, attemptTimeoutMs = DEFAULT_ATTEMPT_TIMEOUT_MS } = options;
    const websocket = options.websocket ?? (globalThis.WebSocket as WebSocketClass | undefined);
    this.#centrifuge = new Centrifuge(url, {
      ...options.centrifuge,
      token,
      ...(getToken && { getToken: async () => getToken() }),
      // The SDK has one timeout for all that it does and would cut a long RPC with it. So it gets none, and attempts
      // to connect are limited by their socket.
      timeout: MAX_TIMER_MS,
      ...(websocket && { websocket: withAttemptTimeout(websocket, attemptTimeoutMs) }),
    });
    this.#replies = this.#centrifuge.newSubscription(this.#replyChannel);
    this.#listen();
  }

  get state(): ClientState {
    return this.#state;
  }

  /**
   * Resolves when the reply channel is subscribed, before which no reply could arrive. Rejects with an RPCError: a
   * first connection that fails is given up, one that has stood is restored for as long as it takes.
   */
  connect(): Promise<void> {
    if (this.#state === 'connected') return Promise.resolve();
    if (this.#connecting) return this.#connecting.done;
    this.#close();
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
  async disconnect(): Promise<void> {
    this.#closing = true;
    this.#end(new RPCError('connection_error', 'disconnected'));
    this.#enter('disconnected');
    // The SDK sends a command one turn after it got it: one that then met a closed connection would keep its timer.
    await Promise.resolve();
    this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  /** The method's result, or an RPCError. While the connection is being restored, the call waits within its time. */
  call<T>(method: string, params: unknown, options: CallOptions = {}): Promise<T> {
    const { timeoutMs = this.#timeoutMs, transport = this.#options.transport ?? 'publish', signal } = options;
    return new Promise<T>((resolve, reject) => {
      this.#admit(signal);
      const id = randomId();
      const given = { method, params: params ?? {}, correlation_id: id, reply_to: this.#replyChannel };
      const request = copyWithin(this.#options.maxRequestBytes ?? DEFAULT_MAX_REQUEST_BYTES, given);
      const call = new Call(request, checkedTransport(transport), timeoutMs, signal, (outcome) => {
        this.#pending.delete(id);
        if (outcome instanceof RPCError) reject(outcome);
        else resolve(outcome.result as T);
      });
      this.#pending.set(id, call); // before it is sent, because the reply may overtake the acknowledgement
      this.#transmit(call);
    });
  }

  /** `handler(data)` for the server's pushes of that name. Returns what removes it. */
  on<T = unknown>(event: string, handler: (data: T) => void): () => void {
    const handlers = this.#handlers.get(event) ?? new Set();
    const registered = (data: unknown): unknown => handler(data as T); // so that one handler can be registered twice
    this.#handlers.set(event, handlers.add(registered));
    return () => void handlers.delete(registered);
  }

  /**
   * `handler(data)` for publications of another channel, from when this resolves. A function as `token` is asked
   * again when its token expires. Rejects with an RPCError.
   */
  async subscribe<T = unknown>(
    channel: string,
    handler: (data: T) => void,
    { token }: { token?: string | (() => Promise<string>) | undefined } = {},
  ): Promise<ChannelSubscription> {
    const sdk = this.#centrifuge;
    if (this.#state === 'disconnected') throw new RPCError('connection_error', 'not connected');
    if (sdk.getSubscription(channel)) throw new RPCError('validation_error', `${channel} is subscribed already`);
    const source = typeof token === 'function' ? { getToken: async () => token() } : { token: token ?? '' };
    const subscription = sdk.newSubscription(channel, source);
    const remove = (): void => sdk.removeSubscription(subscription);
    const opening = this.#open(channel, remove);
    subscription.on('publication', this.#contained(({ data }) => this.#run(handler, data as T)));
    subscription.on('subscribed', this.#contained(() => opening.opened()));
    subscription.on('error', this.#contained(({ type, error }) => this.#failed(`${channel}: ${type}`, error)));
    subscription.on('unsubscribed', this.#contained(({ reason }) => {
      if (sdk.getSubscription(channel) !== subscription) return; // removed here, not by the server
      const error = new RPCError('unauthorized', `${channel}: ${reason}`);
      if (this.#openings.has(opening)) opening.failed(error);
      else this.#report(error);
      remove();
    }));
    subscription.subscribe();
    await opening.done;
    return { channel, unsubscribe: remove };
  }

  #listen(): void {
    const [sdk, replies] = [this.#centrifuge, this.#replies];
    sdk.on('connecting', this.#contained(() => this.#enter('connecting')));
    sdk.on('disconnected', this.#contained(({ code, reason }) => this.#disconnected(code, reason)));
    sdk.on('error', this.#contained(({ type, error }) => this.#failed(type, error)));
    replies.on('publication', this.#contained((publication) => this.#received(publication)));
    replies.on('subscribing', this.#contained(() => {
      if (sdk.state !== 'disconnected') this.#enter('connecting'); // the end of the connection causes this event too
    }));
    // The SDK delivers recovered replies right after this event, in the same task: those calls are not sent again.
    replies.on('subscribed', this.#contained(() => queueMicrotask(this.#contained(() => this.#resume()))));
    replies.on('unsubscribed', this.#contained(({ reason }) => this.#repliesRefused(reason)));
    replies.on('error', this.#contained(({ type, error }) => this.#failed(`${this.#replyChannel}: ${type}`, error)));
  }

  /** Throws what refuses a call before anything of it is built. */
  #admit(signal: AbortSignal | undefined): void {
    if (signal?.aborted) throw cancelled(signal);
    if (this.#state === 'disconnected') throw new RPCError('connection_error', 'not connected');
    const limit = this.#options.maxPendingCalls ?? DEFAULT_MAX_PENDING_CALLS;
    if (this.#pending.size < limit) return;
    throw new RPCError('service_unavailable', `${limit} calls are waiting for a reply already`);
  }

  /** The first send and every repeat; without a connection nothing is lost, because `#resume` comes here again. */
  #transmit(call: Call): void {
    if (this.#state !== 'connected' || !call.sendable) return;
    call.sent();
    const { request, remainingMs } = call;
    const refused = (refusal: Refusal): void => this.#refused(call, refusal);
    if (call.transport === 'rpc') {
      const answered = ({ data }: { data: unknown }): void => call.settle({ result: data });
      this.#centrifuge.rpc(request.method, request.params).then(answered, refused);
    } else {
      const accepted = (): void => this.#accepted(call);
      this.#centrifuge.publish(REQUEST_CHANNEL, { ...request, timeout_ms: remainingMs }).then(accepted, refused);
    }
  }

  #accepted(call: Call): void {
    call.accepted = true;
    this.#repeatLater(call);
  }

  #refused(call: Call, refusal: Refusal): void {
    const error = errorOfRefusal(call, refusal);
    if (error) call.settle(error);
    else if (isReply(refusal)) this.#repeatLater(call); // else the connection is lost, whose return repeats the call
  }

  #repeatLater(call: Call): void {
    const jitter = 1 + Math.random() / 4; // so that clients that lost the same worker spread
    const delayMs = (this.#options.resendAfterMs ?? DEFAULT_RESEND_AFTER_MS) * jitter;
    call.repeatAfter(delayMs, () => this.#transmit(call));
  }

  /** Drops what carries `info` (a client published it: a forgery), and replies to other tabs or to calls given up. */
  #received({ info, data }: PublicationContext): void {
    const message: unknown = data;
    if (info !== undefined || !isRecord(message)) return;
    const { correlation_id, event } = message;
    if (typeof correlation_id === 'string') this.#pending.get(correlation_id)?.settle(outcomeOfReply(message));
    else if (typeof event === 'string') this.#handlers.get(event)?.forEach((handle) => this.#run(handle, message.data));
  }

  /** The reply channel is subscribed, for the first time or again. */
  #resume(): void {
    if (this.#closing || this.#replies.state !== 'subscribed') return; // it may have been lost again
    this.#dialling = false;
    this.#enter('connected');
    this.#connecting?.opened();
    this.#connecting = undefined;
    for (const call of this.#pending.values()) this.#transmit(call);
  }

  #disconnected(code: number, reason: string): void {
    const why = REFUSED.has(code) ? 'unauthorized' : 'connection_error';
    const error = new RPCError(why, `disconnected: ${reason} (${code})`);
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
    for (const call of this.#pending.values()) call.settle(errorOfEnd(call, error.message));
    for (const opening of this.#openings) opening.failed(error);
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

  /** What `disconnect` has begun, unless `connect` did it meanwhile. */
  #close(): void {
    if (!this.#closing) return;
    this.#closing = false;
    this.#centrifuge.disconnect();
  }

  #enter(state: ClientState): void {
    if (state === this.#state || (this.#closing && state !== 'disconnected')) return;
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

  constructor(
    request: Request,
    transport: Transport,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    done: (outcome: Outcome) => void,
  ) {
    this.request = request;
    this.transport = transport;
    this.#deadline = performance.now() + timeoutMs;
    this.#done = done;
    this.#signal = signal;
    const late = `${request.method}: no reply within ${timeoutMs} ms`;
    this.#expiry = setTimeout(() => this.settle(new RPCError('timeout', late)), Math.min(timeoutMs, MAX_TIMER_MS));
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

  sent(): void {
    this.sends += 1;
    clearTimeout(this.#repeat);
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

/** How the SDK rejects: the server's error, with a code from 100 on, or a fault of its own, with one below or none. */
interface Refusal {
  readonly code?: number;
  readonly message?: string;
  readonly temporary?: boolean;
}

const CALLED = 0; // the code of a disconnect that the client's owner asked for
const TOKEN_EXPIRED = 109;
/** Ends that mean a refused token: the SDK's own code, error replies, close codes. */
const REFUSED: ReadonlySet<number> = new Set([1, 101, 103, 109, 110, 3500, 3507]);

/** Centrifugo's own numbers. */
const BUILT_IN: ReadonlyMap<number, RPCErrorCode> = new Map([
  [101, 'permission_denied'],
  [103, 'permission_denied'],
  [104, 'method_not_found'],
  [106, 'rate_limit_exceeded'],
  [107, 'validation_error'],
  [108, 'service_unavailable'],
  [109, 'unauthorized'],
  [110, 'unauthorized'],
  [111, 'rate_limit_exceeded'],
]);

function isReply({ code = 0 }: Refusal): boolean {
  return code >= 100;
}

function applicationCode(number: number): RPCErrorCode | undefined {
  return Object.values(RPCErrorCode)[number - FIRST_ERROR_NUMBER];
}

/** What an error in place of the acknowledgement, or of an RPC's reply, means; undefined: nothing final. */
function errorOfRefusal(call: Call, refusal: Refusal): RPCError | undefined {
  const { code = 0, temporary = false } = refusal;
  const message = refusal.message || `error ${code}`;
  const error = new RPCError(applicationCode(code) ?? BUILT_IN.get(code) ?? 'internal_error', message, {
    retryable: temporary,
  });
  if (call.transport === 'rpc') {
    if (isReply(refusal) && code !== 100) return error;
    return new RPCError('outcome_unknown', `interrupted: ${message}; the call may have run`);
  }
  if (!isReply(refusal)) return undefined; // the acknowledgement is lost, which says nothing about the call
  // An overloaded server that refuses a repeat says nothing about the copy before it, which may be running.
  const mayRun = !(applicationCode(code) && call.sends === 1);
  if (!(mayRun && (temporary || code === 100))) return error;
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
  const known = typeof code === 'string' && code ? code : 'internal_error';
  return new RPCError(known, typeof message === 'string' ? message : '', {
    details: isRecord(details) ? details : null,
    retryable: typeof retryable === 'boolean' ? retryable : undefined,
    retry_after: typeof retry_after === 'number' ? retry_after : null,
  });
}

/**
 * A copy, because a repeat must equal the first one even when the caller changes the parameters meanwhile. Throws a
 * `validation_error`: the server would end the connection for good over a frame above its limit.
 */
function copyWithin(limitBytes: number, request: Request): Request {
  let text: string;
  try {
    text = JSON.stringify(request);
    if (text.includes('null')) JSON.stringify(request, refuseLostNumber);
  } catch (error) {
    throw new RPCError('validation_error', `the parameters are not JSON: ${textOf(error)}`, { cause: error });
  }
  // No character takes more than three bytes, so most requests need not be encoded to be measured.
  const bytes = text.length * 3 > limitBytes ? new TextEncoder().encode(text).length : 0;
  if (bytes <= limitBytes) return JSON.parse(text) as Request;
  throw new RPCError('validation_error', `the request has ${bytes} bytes, the limit is ${limitBytes} bytes`);
}

function refuseLostNumber(key: string, value: unknown): unknown {
  if (typeof value !== 'number' || Number.isFinite(value)) return value;
  throw new TypeError(`${key} is ${value}, which JSON would turn into null`);
}

function checkedTransport(transport: Transport): Transport {
  if (transport === 'publish' || transport === 'rpc') return transport;
  throw new RPCError('validation_error', `the transport is 'publish' or 'rpc', not '${String(transport)}'`);
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
      const answered = (): void => clearTimeout(timer);
      this.addEventListener('message', answered, { once: true });
      this.addEventListener('close', answered, { once: true });
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
