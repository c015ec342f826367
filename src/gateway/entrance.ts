/**
 * Where clients of one prefix come in, for as long as the gateway runs: new sessions go to the route that is in force,
 * and sessions of routes that are on their way out are still found.
 */
import type { Clock } from '../core/clock.js';
import type { TimerWheel } from '../core/timer-wheel.js';
import type { Caller, ClientSession, RouteDoor, StatelessStream } from '../downstream/client-session.js';
import { HttpRefusalError } from '../downstream/errors.js';
import type { Message } from '../protocol/message.js';
import { SessionUnknownError } from '../protocol/session-errors.js';
import type { DownstreamKind } from '../protocol/transport.js';
import type { Route } from './route.js';

export class Entrance implements RouteDoor {
  readonly prefix: string;
  readonly timers: TimerWheel;
  readonly clock: Clock;
  #route: Route | undefined;
  readonly #leaving = new Set<Route>();

  constructor(route: Route) {
    this.prefix = route.prefix;
    this.timers = route.timers;
    this.clock = route.clock;
    this.#route = route;
  }

  /** The route in force; undefined when the prefix is no longer configured. */
  get route(): Route | undefined {
    return this.#route;
  }

  /** Nobody can get in, and nobody is left inside. */
  get isDeserted(): boolean {
    return this.#route === undefined && this.#leaving.size === 0;
  }

  /** Puts another route in force. The one before stays reachable for its sessions until `left` is called. */
  lead(route: Route | undefined): void {
    if (this.#route !== undefined) this.#leaving.add(this.#route);
    this.#route = route;
  }

  left(route: Route): void {
    this.#leaving.delete(route);
  }

  /** @throws {HttpRefusalError} the prefix is no longer configured */
  open(kind: DownstreamKind, caller: Caller, returningVersion?: string): ClientSession {
    if (this.#route === undefined) throw notFound();
    return this.#route.open(kind, caller, returningVersion);
  }

  admitStream(caller: Caller): undefined | Promise<undefined> {
    return this.#route?.admitStream(caller);
  }

  holds(id: string): boolean {
    if (this.#route?.holds(id) === true) return true;
    for (const route of this.#leaving) if (route.holds(id)) return true;
    return false;
  }

  resolve(id: string, kind: DownstreamKind, caller: Caller): ClientSession {
    if (this.#leaving.size === 0 && this.#route !== undefined) return this.#route.resolve(id, kind, caller);
    for (const route of [this.#route, ...this.#leaving]) {
      const session = route === undefined ? undefined : find(route, id, kind, caller);
      if (session !== undefined) return session;
    }
    throw new SessionUnknownError();
  }

  receiveStateless(message: Message, stream: StatelessStream | undefined, caller: Caller): void {
    if (this.#route !== undefined) this.#route.receiveStateless(message, stream, caller);
    else stream?.refuse(message.id ?? '', notFound());
  }
}

function find(route: Route, id: string, kind: DownstreamKind, caller: Caller): ClientSession | undefined {
  try {
    return route.resolve(id, kind, caller);
  } catch (error) {
    if (error instanceof SessionUnknownError) return undefined;
    throw error;
  }
}

function notFound(): HttpRefusalError {
  return new HttpRefusalError(404, 'not found');
}
