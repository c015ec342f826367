/**
 * Stands between a Node server and its connections: plain requests are read and answered here, at a fraction of the cost; every connection
 * that carries anything else goes to Node, from its first byte that is none of ours.
 */
import type { Server } from 'node:http';
import { Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { type BrokenRequest, PlainConnection, type PlainService } from './plain-connection.js';
import type { ServedRequest, ServedResponse } from './types.js';

export interface PlainHandlers {
  /** Whether requests of this target are served here; if not, they are Node's. */
  takes(url: string): boolean;
  serve(request: ServedRequest, response: ServedResponse): void;
  /** A request did not come in time or not to its end, and nothing of its answer was sent. */
  answerBroken(error: { readonly code: string }, socket: Socket): void;
}

/** Deadlines of connections are ten seconds and more. */
const TICK_MS = 1000;

export class PlainFront implements PlainService {
  readonly #server: Server;
  readonly #handlers: PlainHandlers;
  readonly #toNode: (socket: Socket) => void;
  readonly #connections = new Set<PlainConnection>();
  nowMs = performance.now();
  httpDate = new Date().toUTCString();

  /** @param server Not listening yet. */
  constructor(server: Server, handlers: PlainHandlers) {
    this.#server = server;
    this.#handlers = handlers;
    const event = server instanceof TlsServer ? 'secureConnection' : 'connection';
    const [toNode] = server.listeners(event);
    if (toNode === undefined) throw new Error('this server has nobody who takes its connections');
    this.#toNode = (socket) => void Reflect.apply(toNode, server, [socket]);
    server.removeAllListeners(event);
    server.on(event, (socket: Socket) => this.#connections.add(new PlainConnection(this, socket)));
    server.once('listening', () => {
      const timer = setInterval(() => this.#tick(), TICK_MS).unref();
      server.once('close', () => clearInterval(timer));
    });
  }

  get isClosing(): boolean {
    return !this.#server.listening;
  }

  takes(url: string): boolean {
    return this.#handlers.takes(url);
  }

  serve(request: ServedRequest, response: ServedResponse): void {
    this.#handlers.serve(request, response);
  }

  handOver(connection: PlainConnection, socket: Socket): void {
    this.#connections.delete(connection);
    this.#toNode(socket);
  }

  answerBroken(socket: Socket, code: BrokenRequest): void {
    this.#handlers.answerBroken({ code }, socket);
  }

  closed(connection: PlainConnection): void {
    this.#connections.delete(connection);
  }

  /** Cuts connections that are between two requests. */
  closeIdle(): void {
    for (const connection of this.#connections) if (connection.isIdle) connection.cut();
  }

  closeAll(): void {
    for (const connection of this.#connections) connection.cut();
  }

  #tick(): void {
    this.nowMs = performance.now();
    this.httpDate = new Date().toUTCString();
    for (const connection of this.#connections) connection.checkDeadline(this.nowMs);
  }
}
