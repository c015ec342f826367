/** Requests of the server to the client (sampling, elicitation, roots, ping) that wait for the client's answer. */
import type { Timer, TimerWheel } from '../core/timer-wheel.js';
import { encodeId, replaceSpan, scanUpstream } from '../protocol/scan.js';
import type { Message, RequestId } from '../protocol/message.js';
import type { OpenQuestion } from '../protocol/stream-journal.js';

/** Is told which questions are open, so that whoever goes on with the session knows. */
export interface QuestionWatcher {
  questionOpened(question: OpenQuestion): void;
  questionClosed(clientId: RequestId): void;
}

interface PendingServerRequest {
  readonly upstreamId: RequestId;
  readonly timer: Timer;
}

/** Past so many, the id of the oldest may be used again. */
const MAX_VOID = 64;

export class ServerRequests {
  readonly #timers: TimerWheel;
  readonly #timeoutMs: number;
  readonly #watcher: QuestionWatcher;
  readonly #pending = new Map<RequestId, PendingServerRequest>();
  /** What nobody waits for any more but the client may still answer: under its id nothing else is asked, or that would get the answer. */
  readonly #void = new Set<RequestId>();
  #replacements = 0;

  /** @param timeoutMs After this long an answer is no longer waited for; the server has a deadline of its own. */
  constructor(timers: TimerWheel, timeoutMs: number, watcher: QuestionWatcher) {
    this.#timers = timers;
    this.#timeoutMs = timeoutMs;
    this.#watcher = watcher;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Notes a request; returns it as the client is to see it. Its id changes only when it is in use already. */
  register(request: Message & { readonly id: RequestId }): Message {
    const clientId = this.#isInUse(request.id) ? this.#newId() : request.id;
    this.#expect(clientId, request.id);
    return clientId === request.id ? request : withId(request, clientId);
  }

  /** Notes one that the client was told by another replica. */
  restore({ clientId, upstreamId }: OpenQuestion): void {
    if (upstreamId === undefined) this.#keepVoid(clientId);
    else this.#expect(clientId, upstreamId);
  }

  /** @returns the client's answer as the server is to see it; undefined when nobody asked, waits any more, or it was answered before */
  take(response: Message): Message | undefined {
    if (response.id === undefined) return undefined;
    const pending = this.#pending.get(response.id);
    this.forget(response.id);
    if (pending === undefined) return undefined;
    return pending.upstreamId === response.id ? response : withId(response, pending.upstreamId);
  }

  /** The id by which the client knows the server's request. */
  clientIdOf(upstreamId: RequestId): RequestId | undefined {
    for (const [clientId, pending] of this.#pending) if (pending.upstreamId === upstreamId) return clientId;
    return undefined;
  }

  forget(clientId: RequestId): void {
    this.#pending.get(clientId)?.timer.cancel();
    const isKnown = this.#pending.delete(clientId) || this.#void.delete(clientId);
    if (isKnown) this.#watcher.questionClosed(clientId);
  }

  /** No answer will reach the server: who has to be told so, on either side. */
  voidAll(): { readonly clientId: RequestId; readonly upstreamId: RequestId }[] {
    const all = [...this.#pending].map(([clientId, { upstreamId }]) => ({ clientId, upstreamId }));
    for (const pending of this.#pending.values()) pending.timer.cancel();
    this.#pending.clear();
    for (const { clientId } of all) this.#keepVoid(clientId);
    return all;
  }

  /** The session is over here. */
  clear(): void {
    for (const pending of this.#pending.values()) pending.timer.cancel();
    this.#pending.clear();
    this.#void.clear();
  }

  #expect(clientId: RequestId, upstreamId: RequestId): void {
    const timer = this.#timers.schedule(this.#timeoutMs, () => this.forget(clientId));
    this.#pending.set(clientId, { upstreamId, timer });
    this.#watcher.questionOpened({ clientId, upstreamId });
  }

  #keepVoid(clientId: RequestId): void {
    this.#void.add(clientId);
    this.#watcher.questionOpened({ clientId, upstreamId: undefined });
    const [oldest] = this.#void;
    if (this.#void.size > MAX_VOID && oldest !== undefined) this.forget(oldest);
  }

  #isInUse(clientId: RequestId): boolean {
    return this.#pending.has(clientId) || this.#void.has(clientId);
  }

  #newId(): string {
    let id: string;
    do {
      this.#replacements += 1;
      id = `gw:${this.#replacements}`;
    } while (this.#isInUse(id));
    return id;
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
