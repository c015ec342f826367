/**
 * What the server of one session asks its client (sampling, elicitation, roots, ping), from the question until the answer has reached
 * the server; and what becomes of questions when the session moves to another replica, or its server is lost.
 * On which stream a question goes is not decided here.
 */
import type { Timer, TimerWheel } from '../core/timer-wheel.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { errorResponse } from '../protocol/json-rpc.js';
import type { Message, RequestId } from '../protocol/message.js';
import type { OpenQuestion } from '../protocol/stream-journal.js';
import type { Delivery } from '../protocol/transport.js';
import { type QuestionWatcher, ServerRequests } from './server-requests.js';

/** The session, as far as questions of its server concern it. */
export interface QuestionedSession extends QuestionWatcher {
  /** The client has a stream open, so that it has heard what was asked, and may still answer. */
  readonly hasListener: boolean;
  tellServer(message: Message, delivery: Delivery): void;
  /** The client need not answer any more what it knows by this id. */
  questionDropped(clientId: RequestId): void;
  /** Something that was waited for is over. */
  questionsChanged(): void;
}

/** How long a session that is to leave waits for answers of its client, in milliseconds. */
const PATIENCE_MS = 2000;
/** How long it waits until the server has taken the last answers, in milliseconds. */
const DELIVERY_MS = 500;
const REFUSAL = {
  code: ErrorCode.unavailable,
  message: 'The client did not answer: its session is moving to another replica of the gateway. Ask again.',
};

export class ServerQuestions {
  readonly #requests: ServerRequests;
  readonly #session: QuestionedSession;
  readonly #timers: TimerWheel;
  /** Answers that the server has not taken yet. */
  readonly #underWay = new Set<AnswerDelivery>();
  #patience: Timer | undefined;
  #isRefusing = false;
  #onDelivered: (() => void) | undefined;

  /** @param timeoutMs After this long an answer of the client is no longer waited for. */
  constructor(session: QuestionedSession, timers: TimerWheel, timeoutMs: number) {
    this.#session = session;
    this.#timers = timers;
    this.#requests = new ServerRequests(timers, timeoutMs, session);
  }

  /**
   * Goes on with what another replica left.
   *
   * @param isSameSession The server's session goes on too, so that it waits for the answers; any other never asked.
   */
  restore(questions: readonly OpenQuestion[], isSameSession: boolean): void {
    for (const question of questions) this.#requests.restore(question);
    if (!isSameSession) this.voidAll();
  }

  /** How many the client has not answered. */
  get size(): number {
    return this.#requests.size;
  }

  /** @returns the question as the client is to see it; undefined when the server was told that it cannot be asked */
  ask(request: Message & { readonly id: RequestId }): Message | undefined {
    if (!this.#isRefusing) return this.#requests.register(request);
    this.#answer(errorResponse(request.id, REFUSAL));
    return undefined;
  }

  /** Passes the client's answer on. @returns false when nobody asked, or it was answered before */
  answered(response: Message): boolean {
    const answer = this.#requests.take(response);
    if (answer !== undefined) this.#answer(answer);
    return answer !== undefined;
  }

  /** The server no longer wants to know. @returns the id by which the client knows the question; undefined when there is none */
  withdrawn(upstreamId: RequestId): RequestId | undefined {
    const clientId = this.#requests.clientIdOf(upstreamId);
    if (clientId === undefined) return undefined;
    this.#requests.forget(clientId);
    this.#session.questionsChanged();
    return clientId;
  }

  /** The server's session is lost, and with it everybody who waits for an answer: the client is told. */
  voidAll(): void {
    const dropped = this.#requests.voidAll();
    for (const { clientId } of dropped) this.#session.questionDropped(clientId);
    if (dropped.length > 0) this.#session.questionsChanged();
  }

  /** Whether a session that is to leave should wait, since an answer may come or is on its way. Says so for a short time only. */
  get isWorthWaiting(): boolean {
    const isAwaited = this.#requests.size > 0 && this.#session.hasListener;
    if (this.#isRefusing || (!isAwaited && this.#underWay.size === 0)) return false;
    this.#patience ??= this.#timers.schedule(PATIENCE_MS, () => {
      this.stopWaiting();
      this.#session.questionsChanged();
    });
    return true;
  }

  /** No answer is worth waiting for any more. */
  stopWaiting(): void {
    this.#isRefusing = true;
  }

  /** Tells the server that what it asked, and asks from now on, is not answered. Resolves when it knows, or could not be told in time. */
  async refuseAll(): Promise<void> {
    this.stopWaiting();
    this.#patience?.cancel();
    for (const { clientId, upstreamId } of this.#requests.voidAll()) {
      this.#session.questionDropped(clientId);
      this.#answer(errorResponse(upstreamId, REFUSAL));
    }
    if (this.#underWay.size > 0) await this.#delivered();
  }

  /** Nobody waits for anything any more. */
  clear(): void {
    this.#patience?.cancel();
    this.#patience = undefined;
    this.#requests.clear();
  }

  #answer(answer: Message): void {
    const delivery = new AnswerDelivery((done) => this.#settled(done));
    this.#underWay.add(delivery);
    this.#session.tellServer(answer, delivery);
  }

  #settled(delivery: AnswerDelivery): void {
    this.#underWay.delete(delivery);
    if (this.#underWay.size > 0) return;
    this.#onDelivered?.();
    this.#session.questionsChanged();
  }

  #delivered(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#timers.schedule(DELIVERY_MS, resolve);
      this.#onDelivered = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

/** One answer on its way: it is over once the server has taken it, or never will. */
class AnswerDelivery implements Delivery {
  readonly #onSettled: (delivery: AnswerDelivery) => void;

  constructor(onSettled: (delivery: AnswerDelivery) => void) {
    this.#onSettled = onSettled;
  }

  accepted(): void {
    this.#onSettled(this);
  }

  primed(): void {}

  failed(): void {
    this.#onSettled(this);
  }
}
