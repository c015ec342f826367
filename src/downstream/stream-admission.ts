/**
 * Streams that a GET opens count as requests of their caller. Not those that go on behind an event: they were counted when they began,
 * and a client that was cut off by no fault of its own would lose its session.
 */
import type { RouteDoor } from './client-session.js';
import { type HttpExchange, refuseOrMove } from './http-exchange.js';

/** @throws {RateLimitedError} the caller has to wait; also whatever `begin` throws. Later, the client gets it as its answer. */
export function whenAdmitted(exchange: HttpExchange, door: RouteDoor, begin: () => void): void {
  // A client whose session was looked for has its answer already, so nothing can be refused any more.
  const waiting = exchange.isAnswerOpen === true ? undefined : door.admitStream(exchange.caller);
  if (waiting === undefined) {
    begin();
    return;
  }
  waiting
    // A client that left meanwhile must not open anything.
    .then(() => (exchange.response.destroyed ? undefined : begin()))
    .catch((error: unknown) => refuseOrMove(exchange, error, undefined));
}
