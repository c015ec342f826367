import { isIPv6 } from 'node:net';

import { LRUCache } from 'lru-cache';

import type { Clock } from '../core/clock.js';

interface Failures {
  count: number;
  windowEndsAtMs: number;
  blockedUntilMs: number;
}

const MAX_FAILURES = 20;
const WINDOW_MS = 60_000;
const MAX_ADDRESSES = 10_000;

/**
 * Counts failed attempts per address, so that guessing credentials is slow: 20 within 60 s block the address for 60 s.
 * An IPv6 caller owns a whole /64, so it counts as one. Memory is bounded: the address seen longest ago is forgotten first.
 */
export class FailureLimiter {
  readonly #clock: Clock;
  readonly #addresses = new LRUCache<string, Failures>({ max: MAX_ADDRESSES });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns milliseconds until the address may try again; 0 when it may now */
  retryAfterMs(ip: string | undefined): number {
    // The usual case, and the reason why a caller that never fails costs nothing.
    if (ip === undefined || this.#addresses.size === 0) return 0;
    const failures = this.#addresses.get(addressGroup(ip));
    return failures === undefined ? 0 : Math.max(0, failures.blockedUntilMs - this.#clock.now());
  }

  recordFailure(ip: string | undefined): void {
    if (ip === undefined) return;
    const now = this.#clock.now();
    const group = addressGroup(ip);
    let failures = this.#addresses.get(group);
    if (failures === undefined || failures.windowEndsAtMs <= now) {
      failures = { count: 0, windowEndsAtMs: now + WINDOW_MS, blockedUntilMs: failures?.blockedUntilMs ?? 0 };
      this.#addresses.set(group, failures);
    }
    failures.count += 1;
    if (failures.count === MAX_FAILURES) failures.blockedUntilMs = now + WINDOW_MS;
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.#addresses.size;
  }
}

/** The address itself, an IPv4 address written as IPv6 included; of other IPv6 addresses the first 64 bits. */
function addressGroup(ip: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(ip)) return ip;
  const [left = '', right = ''] = ip.toLowerCase().split('::');
  const head = left === '' ? [] : left.split(':');
  const tail = right === '' ? [] : right.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => '0');
  return [...head, ...zeros, ...tail]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':');
}
