/** How a route goes that is no longer configured, or is configured differently: it takes nothing new, and lets what is under way finish. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Route } from './route.js';

/** How often it is looked whether everything has finished. */
const POLL_MS = 20;
const REASON = 'the configuration of the route changed';

/**
 * Resolves when the route is closed.
 *
 * @param timeoutMs After which what is still under way is cut.
 */
export async function retire(route: Route, timeoutMs: number): Promise<void> {
  const deadlineMs = route.clock.now() + timeoutMs;
  for (const session of route.sessions.sessions) session.retire();
  route.stateless.endSubscriptions();
  closeQuiet(route);
  while ((route.upstream.inFlight > 0 || route.sessions.size > 0) && route.clock.now() < deadlineMs) {
    await delay(POLL_MS, undefined, { ref: false });
    closeQuiet(route);
  }
  await route.close(REASON);
}

function closeQuiet(route: Route): void {
  for (const session of [...route.sessions.sessions]) if (session.isQuiet) route.sessions.close(session, REASON);
}
