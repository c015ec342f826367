/**
 * A TCP proxy that makes a network bad: latency, bandwidth, tiny writes, black holes, resets, cuts after N bytes,
 * slow closes. Its `conditions` may be changed at any time and hold for open connections too.
 */
import { connect, createServer, type Socket } from 'node:net';
import { type Loopback, listenOnLoopback } from './loopback.js';
import { delay } from './wait.js';

export interface Conditions {
  /** Added to each chunk, in milliseconds, one way. */
  latencyMs: number;
  /** Per connection and direction; undefined for no limit. */
  bytesPerSecond: number | undefined;
  /** Writes at most this many bytes at once; undefined for no limit. */
  sliceBytes: number | undefined;
  /** Takes everything and passes nothing on, without closing. */
  blackhole: boolean;
  /** Resets a connection once the server has sent this many bytes through it; undefined for never. */
  limitBytes: number | undefined;
  /** Time between the end of one side and its passing on, in milliseconds. */
  closeDelayMs: number;
  /** What happens to new connections. */
  accept: 'pass' | 'reset' | 'hang';
}

const FAIR: Conditions = {
  latencyMs: 0,
  bytesPerSecond: undefined,
  sliceBytes: undefined,
  blackhole: false,
  limitBytes: undefined,
  closeDelayMs: 0,
  accept: 'pass',
};

export class ChaosProxy {
  readonly conditions: Conditions = { ...FAIR };
  #targetPort: number;
  #listener: Loopback | undefined;
  readonly #upstream = new Set<Socket>();

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
  }

  /** @param targetPort where connections are passed on to, on loopback */
  static async start(targetPort: number): Promise<ChaosProxy> {
    const proxy = new ChaosProxy(targetPort);
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => proxy.#accept(client));
    proxy.#listener = await listenOnLoopback(server);
    return proxy;
  }

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  get connections(): number {
    return this.#listener?.sockets.size ?? 0;
  }

  /** The same URL, reached through this proxy. */
  through(url: string): string {
    const proxied = new URL(url);
    proxied.host = `127.0.0.1:${this.port}`;
    return proxied.href;
  }

  /** Sends new connections elsewhere. */
  retarget(port: number): void {
    this.#targetPort = port;
  }

  /** Resets both sides of every connection. */
  resetAll(): void {
    for (const socket of [...(this.#listener?.sockets ?? []), ...this.#upstream]) socket.resetAndDestroy();
  }

  /** A fair network again. */
  heal(): void {
    Object.assign(this.conditions, FAIR);
  }

  /** New connections are refused from now on, as where nobody listens; those that are open go on. */
  refuseNew(): void {
    this.#listener?.refuseNew();
  }

  async close(): Promise<void> {
    for (const socket of this.#upstream) socket.destroy();
    await this.#listener?.close();
  }

  #accept(client: Socket): void {
    client.on('error', () => {});
    if (this.conditions.accept === 'reset') client.resetAndDestroy();
    if (this.conditions.accept !== 'pass') return;
    const server = connect({ port: this.#targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    this.#upstream.add(server);
    server.on('close', () => this.#upstream.delete(server));
    // An end is passed on as an end; anything rougher resets the other side.
    server.on('error', () => client.resetAndDestroy());
    client.on('error', () => server.resetAndDestroy());
    void this.#carry(client, server, () => false);
    let sent = 0;
    void this.#carry(server, client, (bytes) => {
      sent += bytes;
      return this.conditions.limitBytes !== undefined && sent > this.conditions.limitBytes;
    });
  }

  /** @param isOverLimit told the size of each chunk; true resets the connection */
  async #carry(from: Socket, to: Socket, isOverLimit: (bytes: number) => boolean): Promise<void> {
    try {
      for await (const chunk of from) {
        if (isOverLimit((chunk as Buffer).length)) {
          from.resetAndDestroy();
          to.resetAndDestroy();
          return;
        }
        if (!this.conditions.blackhole) await this.#write(to, chunk as Buffer);
      }
      await delay(this.conditions.closeDelayMs);
      if (!this.conditions.blackhole) to.end();
    } catch {
      to.destroy();
    }
  }

  async #write(to: Socket, chunk: Buffer): Promise<void> {
    const { latencyMs, bytesPerSecond } = this.conditions;
    if (latencyMs > 0) await delay(latencyMs);
    const sliceBytes = this.conditions.sliceBytes ?? chunk.length;
    for (let start = 0; start < chunk.length; start += sliceBytes) {
      const slice = chunk.subarray(start, start + sliceBytes);
      if (bytesPerSecond !== undefined) await delay((slice.length / bytesPerSecond) * 1000);
      // Waiting for the write keeps each slice a packet of its own and passes back-pressure on.
      await new Promise<void>((resolve, reject) => {
        to.write(slice, (error) => (error ? reject(error) : setImmediate(resolve)));
      });
    }
  }
}
