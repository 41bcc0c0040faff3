/** A scripted Centrifugo: the subset of its client protocol that the base client uses, with every answer in the test's hands. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';

export type Kind = 'connect' | 'subscribe' | 'unsubscribe' | 'publish' | 'rpc' | 'refresh' | 'sub_refresh';
type Json = Record<string, unknown>;

export interface Command {
  readonly id: number;
  readonly kind: Kind;
  readonly body: Json;
  readonly connection: Connection;
}

/** What a call publishes on the request channel. */
export interface Request {
  readonly method: string;
  readonly params: unknown;
  readonly correlation_id: string;
  readonly reply_to: string;
  readonly timeout_ms: number;
}

export type Answer = (command: Command) => void;

export class Connection {
  readonly #socket: WebSocket;
  #held: (() => void)[] | undefined = [];

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  /** Nothing is answered before the connect command is, even what came in the same frame. */
  whenAccepted(work: () => void): void {
    if (this.#held) this.#held.push(work);
    else work();
  }

  accepted(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const work of held) work();
  }

  /** One frame, one line per message. */
  send(...messages: unknown[]): void {
    this.#socket.send(messages.map((message) => JSON.stringify(message)).join('\n'));
  }

  push(channel: string, pub: Json): void {
    this.send({ push: { channel, pub } });
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  /** Without a closing handshake, as when the network fails. */
  drop(): void {
    this.#socket.terminate();
  }
}

export function reply(command: Command, result: Json = {}): void {
  command.connection.send({ id: command.id, [command.kind]: result });
  if (command.kind === 'connect') command.connection.accepted();
}

export function refuse(command: Command, code: number, temporary = false, message = `number ${code}`): void {
  command.connection.send({ id: command.id, error: { code, message, ...(temporary && { temporary }) } });
}

export function requestOf(command: Command): Request {
  return command.body.data as Request;
}

export const USER = '42';
export const REPLIES = `user#${USER}`;

export function pushResult(command: Command, result: unknown): void {
  command.connection.push(REPLIES, { data: { correlation_id: requestOf(command).correlation_id, result } });
}

export function pushError(command: Command, error: unknown): void {
  command.connection.push(REPLIES, { data: { correlation_id: requestOf(command).correlation_id, error } });
}

export const silent: Answer = () => undefined;

export class FakeServer {
  readonly url: string;
  readonly commands: Command[] = [];
  readonly answers: Record<Kind, Answer> = {
    connect: (command) => reply(command, { client: 'c', version: 'fake', ping: 25, pong: true }),
    subscribe: (command) => reply(command),
    unsubscribe: (command) => reply(command),
    publish: (command) => reply(command),
    rpc: (command) => reply(command, { data: command.body.data }),
    refresh: (command) => reply(command),
    sub_refresh: (command) => reply(command),
  };
  readonly #server: WebSocketServer;
  readonly #watchers = new Set<() => void>();

  private constructor(server: WebSocketServer) {
    this.#server = server;
    this.url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/connection/websocket`;
    server.on('connection', (socket) => {
      const connection = new Connection(socket);
      socket.on('error', () => undefined); // a frame above the limit, say; the close that follows is what counts
      socket.on('message', (frame: Buffer) => this.#receive(connection, frame.toString()));
    });
  }

  static async start(options: { maxPayload?: number } = {}): Promise<FakeServer> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, ...options });
    await once(server, 'listening');
    return new FakeServer(server);
  }

  async stop(): Promise<void> {
    for (const socket of this.#server.clients) socket.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  of(kind: Kind): Command[] {
    return this.commands.filter((command) => command.kind === kind);
  }

  requests(): Request[] {
    return this.of('publish').map(requestOf);
  }

  /** The nth command of that kind, counted from 1; the test's own time limit bounds the wait. */
  async nth(kind: Kind, n: number): Promise<Command> {
    for (;;) {
      const command = this.of(kind)[n - 1];
      if (command) return command;
      await new Promise<void>((resolve) => this.#watchers.add(resolve));
    }
  }

  #receive(connection: Connection, frame: string): void {
    for (const line of frame.split('\n').filter(Boolean)) {
      const { id, ...rest } = JSON.parse(line) as { id?: number } & Json;
      const kind = Object.keys(rest)[0] as Kind | undefined;
      if (id === undefined || kind === undefined) continue; // a pong
      const command = { id, kind, body: rest[kind] as Json, connection };
      if (kind === 'connect') this.#answer(command);
      else connection.whenAccepted(() => this.#answer(command));
    }
  }

  #answer(command: Command): void {
    this.commands.push(command);
    this.answers[command.kind](command);
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const watcher of watchers) watcher();
  }
}
