/**
 * The one connection to Redis: knows whether it answers and keeps everybody from waiting while it does not.
 * What is stored, and what to do without it, is up to the callers.
 */
import type { Clock } from '../core/clock.js';
import { describeError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { createClient, inOneWrite, type RedisCommands } from './client.js';
import { isLinkFailure, StoreAwayError } from './errors.js';
import type { ServerFacts } from './health.js';
import { RedisKeys } from './keys.js';
import type { RedisOptions } from './options.js';
import { Recovery } from './recovery.js';
import { Turn } from './turn.js';
import { Unanswered } from './unanswered.js';
import { describeEndpoint } from './url.js';

export type { RedisCommands } from './client.js';

export interface RedisLinkListener {
  up?(): void;
  down?(): void;
}

interface Dependencies {
  readonly logger: Logger;
  readonly clock: Clock;
}

const MAX_POSTED_BYTES = 8 * 1024 * 1024;
const MAX_POSTED = 10_000;
/** Shorter than anything that others conclude from silence, in milliseconds. */
const SHORT_HANG_MS = 1000;
/** A server that runs longer than this was there before this process. */
const LONG_UPTIME_MS = 10_000;

export class RedisLink {
  readonly keys: RedisKeys;
  /** Where stores gather what many sessions have to say at once; whatever else is sent goes behind what was gathered. */
  readonly turn = new Turn((send) => inOneWrite(this.#client, send));
  readonly #client: RedisCommands;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #recovery: Recovery;
  readonly #unanswered: Unanswered;
  readonly #listeners = new Set<RedisLinkListener>();
  #state: 'new' | 'up' | 'away' | 'closed' = 'new';
  #upSinceMs: number | undefined;
  /** Since when it is away, and whether that was a mere hang so far. */
  #away: { readonly sinceMs: number; readonly upSinceMs: number | undefined; isHang: boolean } | undefined;
  #connecting: Promise<void> | undefined;
  readonly #createdAtMs: number;
  #endFirstAttempt = (): void => {};
  #postedBytes = 0;
  #posted = 0;

  constructor(options: RedisOptions, { logger, clock }: Dependencies) {
    this.keys = new RedisKeys(options.keyPrefix);
    this.#logger = logger.child({ server: describeEndpoint(options.endpoint) });
    this.#clock = clock;
    this.#createdAtMs = clock.now();
    this.#client = createClient(options.endpoint);
    this.#unanswered = new Unanswered(clock, () => this.#goAway('no answer within 100 ms'));
    this.#recovery = new Recovery(this.#client, clock, {
      onHealthy: (facts) => this.#comeUp(facts),
      onRefusal: (error) => this.#goAway(describeError(error)),
    });
    this.#client.on('error', (error: unknown) => this.#goAway(describeError(error)));
    this.#client.on('close', () => this.#lostConnection());
  }

  /** Resolves when Redis is ready or the first attempt has failed; goes on trying by itself. Never rejects. */
  connect(): Promise<void> {
    this.#connecting ??= new Promise((resolve) => {
      this.#endFirstAttempt = resolve;
      if (this.#state === 'closed') resolve();
      else this.#recovery.start();
    });
    return this.#connecting;
  }

  /** Keys of several slots need a command for each. */
  get isCluster(): boolean {
    return this.#client.isCluster;
  }

  /** It answers, as far as is known. */
  get isUp(): boolean {
    return this.#state === 'up';
  }

  /**
   * Since when it answers without a break, on `clock.now()`; undefined while it does not. A first connection without
   * a failed attempt before it, to a server that runs for more than 10 s, counts as up since -Infinity: nobody can
   * have missed it.
   */
  get upSinceMs(): number | undefined {
    return this.#upSinceMs;
  }

  /**
   * @param work sends commands at once, none that blocks, and gives the promise of their answer
   * @throws {StoreAwayError} at once while Redis is away, after 100 ms when it hangs
   * @throws {Error} whatever `work` throws, such as a `ReplyError` about one command
   */
  run<T>(work: (redis: RedisCommands) => Promise<T>): Promise<T> {
    if (this.#state !== 'up') return Promise.reject(new StoreAwayError());
    this.turn.send();
    return new Promise<T>((resolve, reject) => {
      const answer = work(this.#client);
      const command = this.#unanswered.add(reject);
      answer.then(
        (value) => {
          this.#unanswered.remove(command);
          return resolve(value);
        },
        (error: unknown) => {
          this.#unanswered.remove(command);
          reject(this.#judge(error));
        },
      );
    });
  }

  /**
   * Not waited for: written in this very tick, failures swallowed.
   *
   * @param bytes about how much `work` sends
   * @returns false when it was dropped, because Redis is away or 8 MiB or 10,000 commands are unanswered
   */
  post(bytes: number, work: (redis: RedisCommands) => Promise<unknown>): boolean {
    if (!this.reserve(bytes)) return false;
    this.turn.send();
    this.postReserved(1, bytes, work);
    return true;
  }

  /**
   * Makes room for something that is gathered, to be given to `postReserved` at the end of this turn.
   *
   * @returns false when there is none, as `post` does
   */
  reserve(bytes: number): boolean {
    if (this.#state !== 'up' || this.#posted >= MAX_POSTED || this.#postedBytes + bytes > MAX_POSTED_BYTES)
      return false;
    this.#posted += 1;
    this.#postedBytes += bytes;
    return true;
  }

  /** Posts what room was made for, `count` times and `bytes` in all, unless Redis has gone away since: then it is dropped. */
  postReserved(count: number, bytes: number, work: (redis: RedisCommands) => Promise<unknown>): void {
    if (this.#state !== 'up') return this.#giveBack(count, bytes);
    const answer = work(this.#client);
    const command = this.#unanswered.add();
    const settle = () => {
      this.#unanswered.remove(command);
      this.#giveBack(count, bytes);
    };
    answer.then(settle, (error: unknown) => {
      settle();
      this.#judge(error);
    });
  }

  /** How long it has not answered, in milliseconds; 0 while it does. */
  get awayMs(): number {
    if (this.#state === 'up') return 0;
    return Math.max(1, this.#clock.now() - (this.#away?.sinceMs ?? this.#createdAtMs));
  }

  /** @returns how to stop listening */
  listen(listener: RedisLinkListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Waits for what was sent, at most 100 ms, and lets go of the connection. */
  async close(): Promise<void> {
    if (this.#state === 'up') await this.run((redis) => redis.ping()).catch(() => undefined);
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#upSinceMs = undefined;
    this.turn.send();
    this.#recovery.stop();
    this.#unanswered.failAll(() => new StoreAwayError());
    this.#endFirstAttempt();
    this.#client.disconnect();
  }

  #giveBack(count: number, bytes: number): void {
    this.#posted -= count;
    this.#postedBytes -= bytes;
  }

  #judge(error: unknown): unknown {
    if (!isLinkFailure(error)) return error;
    this.#goAway(describeError(error));
    return new StoreAwayError({ cause: error });
  }

  #comeUp({ uptimeMs = 0 }: ServerFacts): void {
    const isFirst = this.#state === 'new';
    this.#state = 'up';
    this.#upSinceMs = isFirst && uptimeMs > LONG_UPTIME_MS ? Number.NEGATIVE_INFINITY : this.#backSinceMs();
    this.#away = undefined;
    if (isFirst) this.#logger.info('store_connected', 'connected to Redis');
    else this.#logger.info('store_back', 'Redis answers again');
    this.#endFirstAttempt();
    this.#tell('up');
  }

  #goAway(reason: string): void {
    if (this.#state === 'away' || this.#state === 'closed') return;
    const wasUp = this.#state === 'up';
    this.#state = 'away';
    this.#away = { sinceMs: this.#clock.now(), upSinceMs: this.#upSinceMs, isHang: true };
    this.#upSinceMs = undefined;
    this.#logger.warn('store_away', 'Redis does not answer; going on without it until it does', { reason });
    // Dropped: what is gathered now must not come behind what is written anew when Redis is back.
    this.turn.send();
    this.#unanswered.failAll(() => new StoreAwayError());
    this.#endFirstAttempt();
    this.#recovery.start();
    if (wasUp) this.#tell('down');
  }

  #lostConnection(): void {
    this.#goAway('connection lost');
    if (this.#away !== undefined) this.#away.isHang = false;
  }

  /** A short hang is no break: nobody has forgotten anything. */
  #backSinceMs(): number {
    const nowMs = this.#clock.now();
    const { sinceMs, upSinceMs, isHang } = this.#away ?? { sinceMs: 0, upSinceMs: undefined, isHang: false };
    return isHang && upSinceMs !== undefined && nowMs - sinceMs < SHORT_HANG_MS ? upSinceMs : nowMs;
  }

  #tell(event: 'up' | 'down'): void {
    for (const listener of this.#listeners) {
      try {
        listener[event]?.();
      } catch (error) {
        this.#logger.error('store_listener_failed', 'a listener to the connection of Redis failed', { error });
      }
    }
  }
}
