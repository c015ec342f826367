/** Sends the notifications of one `progress` call one by one, then its result. */
import { answer, progressNotification } from './messages.mjs';

/**
 * Each goes out in a turn of its own, as progress of real work does: a proxy that got many in one read would be paid too little
 * for each.
 *
 * @param {any} request a `tools/call` with `arguments.count` and a progress token
 * @param {(message: string) => void} send
 */
export function sendProgress(request, send) {
  const { count } = request.params.arguments;
  const token = request.params._meta?.progressToken;
  let sent = 0;
  const next = () => {
    if (sent === count || token === undefined) {
      send(answer(request));
      return;
    }
    sent += 1;
    send(progressNotification(token, sent, count));
    setImmediate(next);
  };
  next();
}
