/**
 * Brings a connection back: asks every 250 ms whether the server can be worked with, and opens a fresh connection when
 * there is no answer for 2 s. Connecting again after a lost connection is the client's own work.
 */
import type { Clock } from '../core/clock.js';
import type { RedisCommands } from './client.js';
import { checkHealth, ReadonlyServerError, type ServerFacts } from './health.js';

const INTERVAL_MS = 250;
const FRESH_CONNECTION_AFTER_MS = 2000;
/** A server that is slower than this would be lost again with the next command. */
const MAX_ANSWER_MS = 100;

export interface RecoveryListener {
  /** It answers, and in time; nothing more is asked. */
  onHealthy(facts: ServerFacts): void;
  /** It does not; asking goes on. */
  onRefusal(error: unknown): void;
}

export class Recovery {
  readonly #client: RedisCommands;
  readonly #clock: Clock;
  readonly #listener: RecoveryListener;
  #timer: NodeJS.Timeout | undefined;
  #isAsking = false;
  /** When the client or the server last showed a sign of life, or was given another chance. */
  #lastSignMs = 0;

  constructor(client: RedisCommands, clock: Clock, listener: RecoveryListener) {
    this.#client = client;
    this.#clock = clock;
    this.#listener = listener;
    for (const event of ['connect', 'close', 'end']) client.on(event, () => this.#noteSign());
    client.on('ready', () => {
      this.#noteSign();
      if (this.#timer !== undefined) this.#step();
    });
  }

  /** Asks until there is an answer. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#step(), INTERVAL_MS).unref();
    this.#noteSign();
    this.#step();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #step(): void {
    const { status } = this.#client;
    if (status === 'wait' || status === 'end') {
      this.#client.connect().catch((error: unknown) => this.#listener.onRefusal(error));
    } else if (status === 'ready' && !this.#isAsking) {
      this.#noteSign();
      void this.#ask();
    } else if (status === 'ready' || status === 'connect') {
      this.#reconnectIfSilent();
    }
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    const askedMs = this.#clock.now();
    try {
      const facts = await checkHealth(this.#client);
      const isInTime = this.#clock.now() - askedMs <= MAX_ANSWER_MS;
      this.#isAsking = false;
      if (this.#timer === undefined) return;
      if (!isInTime) return this.#step();
      this.stop();
      this.#listener.onHealthy(facts);
    } catch (error) {
      this.#isAsking = false;
      if (this.#timer === undefined) return;
      // Only a fresh look, by a sentinel or a name, finds the server that is the master now.
      if (error instanceof ReadonlyServerError) this.#client.disconnect(true);
      this.#listener.onRefusal(error);
    }
  }

  #reconnectIfSilent(): void {
    if (this.#clock.now() - this.#lastSignMs < FRESH_CONNECTION_AFTER_MS) return;
    this.#noteSign();
    this.#client.disconnect(true);
  }

  #noteSign(): void {
    this.#lastSignMs = this.#clock.now();
  }
}
