/** Requests of the server to the client (sampling, elicitation, roots, ping) that wait for the client's answer. */
import type { Timer, TimerWheel } from '../core/timer-wheel.js';
import { encodeId, replaceSpan, scanUpstream } from '../protocol/scan.js';
import type { Message, RequestId } from '../protocol/message.js';

interface PendingServerRequest {
  readonly upstreamId: RequestId;
  readonly timer: Timer;
}

export class ServerRequests {
  readonly #timers: TimerWheel;
  readonly #timeoutMs: number;
  readonly #pending = new Map<RequestId, PendingServerRequest>();
  #replacements = 0;

  /** @param timeoutMs After this long an answer is no longer waited for; the server has a deadline of its own. */
  constructor(timers: TimerWheel, timeoutMs: number) {
    this.#timers = timers;
    this.#timeoutMs = timeoutMs;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Notes a request; returns it as the client is to see it. Its id changes only when it is in use already. */
  register(request: Message & { readonly id: RequestId }): Message {
    const clientId = this.#pending.has(request.id) ? this.#newId() : request.id;
    const timer = this.#timers.schedule(this.#timeoutMs, () => this.#pending.delete(clientId));
    this.#pending.set(clientId, { upstreamId: request.id, timer });
    return clientId === request.id ? request : withId(request, clientId);
  }

  /** @returns the client's answer as the server is to see it; undefined when nobody asked, or it was answered before */
  take(response: Message): Message | undefined {
    if (response.id === undefined) return undefined;
    const pending = this.#pending.get(response.id);
    if (pending === undefined) return undefined;
    this.#pending.delete(response.id);
    pending.timer.cancel();
    return pending.upstreamId === response.id ? response : withId(response, pending.upstreamId);
  }

  /** The id by which the client knows the server's request. */
  clientIdOf(upstreamId: RequestId): RequestId | undefined {
    for (const [clientId, pending] of this.#pending) if (pending.upstreamId === upstreamId) return clientId;
    return undefined;
  }

  forget(clientId: RequestId): void {
    this.#pending.get(clientId)?.timer.cancel();
    this.#pending.delete(clientId);
  }

  /** Nobody will answer them: who has to be told so, on either side. */
  takeAll(): { readonly clientId: RequestId; readonly upstreamId: RequestId }[] {
    const all = [...this.#pending].map(([clientId, { upstreamId }]) => ({ clientId, upstreamId }));
    this.clear();
    return all;
  }

  clear(): void {
    for (const pending of this.#pending.values()) pending.timer.cancel();
    this.#pending.clear();
  }

  #newId(): string {
    this.#replacements += 1;
    return `gw:${this.#replacements}`;
  }
}

/** The same message under another id: made anew and scanned anew. */
export function withId(message: Message, id: RequestId): Message {
  if (message.idSpan === undefined) throw new TypeError('a message without an id cannot be given one');
  return single(scanUpstream(replaceSpan(message, message.idSpan, encodeId(id))));
}

/** A cancellation that names another request. */
export function withRequestId(message: Message, id: RequestId): Message {
  if (message.requestIdSpan === undefined) throw new TypeError('a message that names no request cannot name another');
  return single(scanUpstream(replaceSpan(message, message.requestIdSpan, encodeId(id))));
}

function single(scanned: Message | readonly Message[]): Message {
  if (Array.isArray(scanned)) throw new TypeError('one message became several');
  return scanned as Message;
}
