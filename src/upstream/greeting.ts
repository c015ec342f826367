/** What follows the server's answer to `initialize`. Whatever becomes of it shows in the calls that come after, so nothing here fails. */
import type { TimerWheel } from '../core/timer-wheel.js';
import type { QueuedCall } from './queued-call.js';
import type { UpstreamTransport } from './transport.js';

/** How long messages wait for the server to take `notifications/initialized`, and for its answer to the request for a general stream. */
const COURTESY_MS = 1000;

/** Says `initialized` and opens the general stream. */
export async function greet(initialized: QueuedCall, transport: UpstreamTransport, timers: TimerWheel): Promise<void> {
  await briefly(initialized.sendOver(transport), timers);
  await briefly(transport.openGeneralStream(), timers);
}

/** Waits until it is done, has failed, or has taken longer than anybody should wait for it. */
export function briefly(work: Promise<unknown>, timers: TimerWheel): Promise<void> {
  return new Promise((resolve) => {
    const timer = timers.schedule(COURTESY_MS, resolve);
    const settle = (): void => {
      timer.cancel();
      resolve();
    };
    work.then(settle, settle);
  });
}
