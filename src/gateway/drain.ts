/** How a gateway stops without dropping what is under way: what others can go on with goes to them, everything else is waited for. */
import { setImmediate, setTimeout as delay } from 'node:timers/promises';
import type { HttpListener } from '../downstream/http-listener.js';
import { UpstreamFailedError } from '../upstream/errors.js';
import type { Admission } from './admission.js';
import type { Replication } from './replicas/replication.js';
import type { Route } from './route.js';

export interface DrainContext {
  readonly listener: HttpListener;
  readonly admission: Admission;
  readonly replication: Replication | undefined;
  readonly routes: () => readonly Route[];
}

/** How often it is looked whether everything has finished. */
const POLL_MS = 20;
/** How long the last sessions may take to be handed over once nothing is under way on them. */
const LAST_DEPARTURES_MS = 1000;
/** How long connections may take to end once nothing is under way on them, as far as is known. */
const CONNECTIONS_MS = 1000;
/** A turn of the event loop that is shorter than this had nothing to do, and found nobody at the door so long ago at most. */
const SHORT_TURN_MS = 0.03;
/** How long a short turn is waited for: a machine may have none to spare. */
const SHORT_TURN_WITHIN_MS = 1000;

/**
 * Resolves when nothing is under way any more, or the time is up.
 *
 * @returns how many requests were still under way
 */
export async function drain(context: DrainContext, timeoutMs: number): Promise<number> {
  const { listener, admission, replication, routes } = context;
  const deadlineMs = Date.now() + timeoutMs;
  listener.drain();
  for (const route of routes()) route.stateless.endSubscriptions();
  const isOver = replication === undefined ? () => admission.inFlight === 0 : () => haveLeft(routes());
  while (!isOver() && Date.now() < deadlineMs) await delay(POLL_MS);
  if (replication === undefined) return admission.inFlight;
  const cut = Date.now() < deadlineMs ? 0 : admission.inFlight;
  await handOverTheRest(context);
  await endConnections(context, replication, deadlineMs);
  return cut + admission.inFlight;
}

/** The time is up: what is under way is answered as it stands, so that its sessions need not end with it. */
async function handOverTheRest({ routes }: DrainContext): Promise<void> {
  const stopping = new UpstreamFailedError('the gateway is stopping', 'unknown');
  const departures = routes().flatMap((route) =>
    [...route.sessions.sessions].map((session) => session.departNow(stopping)),
  );
  await Promise.race([Promise.all(departures), delay(LAST_DEPARTURES_MS, undefined, { ref: false })]);
}

/** Asks all sessions to leave. @returns whether there is none left */
function haveLeft(routes: readonly Route[]): boolean {
  let staying = 0;
  for (const route of routes) {
    for (const session of [...route.sessions.sessions]) {
      void session.depart();
      staying += 1;
    }
  }
  return staying === 0;
}

/**
 * Nothing is here any more that others could not do as well, so nobody new is let in; what was accepted before is finished, however long it
 * takes. A request may be on its way over a connection that looks idle: nothing is cut before the load balancer has had its time.
 */
async function endConnections(context: DrainContext, replication: Replication, deadlineMs: number): Promise<void> {
  const { listener, admission } = context;
  const endIdle = () =>
    afterShortTurn(deadlineMs, () => {
      listener.stopAccepting();
      replication.endStreams();
    });
  await endIdle();
  let untilMs = Date.now() + CONNECTIONS_MS;
  while (Date.now() < Math.min(deadlineMs, untilMs) && (await listener.connectionCount()) > 0) {
    await delay(POLL_MS);
    if (admission.inFlight + replication.forwardedPosts > 0) untilMs = Date.now() + CONNECTIONS_MS;
    await endIdle();
  }
}

/**
 * A connection that the system has taken, and the process has not, is reset when the listener closes, with the request that may be in it;
 * so is one that looks idle and has a request in it that was not read. Right after a turn of the event loop that had nothing to do, there
 * is hardly one.
 */
async function afterShortTurn(deadlineMs: number, act: () => void): Promise<void> {
  const untilMs = performance.now() + Math.min(SHORT_TURN_WITHIN_MS, Math.max(0, deadlineMs - Date.now()));
  // From here to the next time, all sockets were looked at.
  await setImmediate();
  for (let fromMs = performance.now(); ; ) {
    await setImmediate();
    const nowMs = performance.now();
    if (nowMs - fromMs < SHORT_TURN_MS || nowMs > untilMs) break;
    fromMs = nowMs;
  }
  act();
}
