import type { Clock } from '../core/clock.js';

export interface CircuitBreakerOptions {
  /** Failures within the window that open the circuit. */
  readonly failures: number;
  readonly windowMs: number;
  /** How long it stays open before one call may try again. */
  readonly cooldownMs: number;
}

export type BreakerState = 'closed' | 'open' | 'half-open';

/**
 * Stops calling an upstream that keeps failing, so that callers get an answer at once and the upstream gets rest.
 * After the cool-down exactly one call goes through; its outcome decides.
 * A class of its own and not a wrapper: an exchange reports its outcome through callbacks, long after the call went out.
 */
export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions;
  readonly #clock: Clock;
  readonly #failuresAtMs: number[] = [];
  #openedAtMs: number | undefined;
  #probeStartedAtMs: number | undefined;

  constructor(options: CircuitBreakerOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  get state(): BreakerState {
    if (this.#openedAtMs === undefined) return 'closed';
    return this.retryAfterMs > 0 ? 'open' : 'half-open';
  }

  /** Milliseconds until a call may try again; 0 when one may now. */
  get retryAfterMs(): number {
    if (this.#openedAtMs === undefined) return 0;
    return Math.max(0, this.#openedAtMs + this.#options.cooldownMs - this.#clock.now());
  }

  /** Asks to make a call. False: the circuit is open, or its one probe is under way. */
  tryPass(): boolean {
    if (this.#openedAtMs === undefined) return true;
    if (this.retryAfterMs > 0) return false;
    const now = this.#clock.now();
    // A probe whose outcome was never told (its caller went away) must not keep the circuit open for ever.
    const isProbing = this.#probeStartedAtMs !== undefined && now - this.#probeStartedAtMs < this.#options.cooldownMs;
    if (isProbing) return false;
    this.#probeStartedAtMs = now;
    return true;
  }

  succeeded(): void {
    if (this.#openedAtMs === undefined && this.#failuresAtMs.length === 0) return;
    this.#openedAtMs = undefined;
    this.#probeStartedAtMs = undefined;
    this.#failuresAtMs.length = 0;
  }

  failed(): void {
    const now = this.#clock.now();
    if (this.#openedAtMs !== undefined) {
      // Late failures of calls made before it opened must not prolong it; only the probe's own does.
      if (this.#probeStartedAtMs !== undefined) this.#openedAtMs = now;
      this.#probeStartedAtMs = undefined;
      return;
    }
    this.#failuresAtMs.push(now);
    while ((this.#failuresAtMs[0] ?? now) < now - this.#options.windowMs) this.#failuresAtMs.shift();
    if (this.#failuresAtMs.length < this.#options.failures) return;
    this.#openedAtMs = now;
    this.#failuresAtMs.length = 0;
  }
}
