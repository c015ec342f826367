/**
 * One session's life across replicas, as the replica sees it that has the session now: its copy in the shared memory is kept true
 * from the handshake on, another replica is let go on with it, and nothing is done in its name when another may have taken it.
 * Without other replicas nothing of this happens. What the session is on this side, and how that ends, is the bridge's business.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { background } from '../../core/background.js';
import type { LogFields, Logger } from '../../core/logger.js';
import type { Message, RequestId } from '../../protocol/message.js';
import { Method } from '../../protocol/methods.js';
import { scanUpstream } from '../../protocol/scan.js';
import type { HeardUpTo, OpenQuestion } from '../../protocol/stream-journal.js';
import type { UpstreamError } from '../../protocol/transport.js';
import { UpstreamFailedError } from '../../upstream/errors.js';
import { answerWhatWasLeft, type ContinuedSession } from './continued-session.js';
import type { ServerQuestions } from '../server-questions.js';
import type { CopiedSession, SessionCopies, SessionCopy } from './session-copies.js';

/** The session, as far as it can go on elsewhere. */
export interface MovingSession extends CopiedSession {
  /** Requests are under way, or wait for their verdict. */
  readonly isBusy: boolean;
  readonly questions: ServerQuestions;
  readonly logFields: LogFields;
  /** Nothing more is read from the server. */
  stopReading(): void;
  /** Everything on this side ends; the session does not. */
  letGo(): void;
  /** Whatever is still under way is answered with this. */
  endExchanges(error: UpstreamError): void;
}

/** For so long a memory that does not answer is asked again whether a session may leave. */
const STUMBLE_MS = 2000;
const RETRY_MS = 50;

export class SessionTenure {
  readonly #session: MovingSession;
  /** Undefined: nobody could go on with the session elsewhere. */
  readonly #copies: SessionCopies | undefined;
  readonly #logger: Logger;
  readonly #pause: (ms: number) => Promise<void>;
  #copy: SessionCopy | undefined;
  #departure: Departure | undefined;

  constructor(
    session: MovingSession,
    copies: SessionCopies | undefined,
    logger: Logger,
    pause: (ms: number) => Promise<void> = delay,
  ) {
    this.#session = session;
    this.#copies = copies;
    this.#logger = logger;
    this.#pause = pause;
  }

  /** The session can go on elsewhere from here on. */
  begin(): void {
    this.#copy ??= this.#copies?.begin(this.#session);
  }

  /** Goes on with what another replica left. */
  continue({ left }: ContinuedSession): void {
    const { streams } = this.#session;
    streams.restore(left.streams, left.nextSequence);
    answerWhatWasLeft(streams, left);
    this.begin();
    if (left.heard !== undefined) this.heard(left.heard);
  }

  /** Something changed that whoever goes on with the session has to know. */
  changed(): void {
    this.#copy?.save();
  }

  /** A request is on its way whose answer is due. Where the answer has a stream of its own, that stream says so. */
  asked(id: RequestId, method: string): void {
    if (this.#copy === undefined || this.#session.record.kind !== 'sse') return;
    this.#copy.journal.asked({ id, isToolCall: method === Method.toolsCall });
  }

  /** An answer is no longer due, and none will say so. */
  cancelled(id: RequestId): void {
    this.#copy?.journal.settled(id);
  }

  /** The client may be going to answer something; whoever goes on with the session has to know whether it is for anybody. */
  questionOpened(question: OpenQuestion): void {
    this.#copy?.journal.questionOpened(question);
  }

  questionClosed(clientId: RequestId): void {
    this.#copy?.journal.questionClosed(clientId);
  }

  /** What the server said unasked, up to here, is with the session, or waits for the fence before this. */
  heard(heard: HeardUpTo): void {
    this.#copies?.fence.pass(() => this.#copy?.journal.heard(heard));
  }

  /** The session is over, for everybody. */
  remove(): void {
    this.#copy?.remove();
  }

  /** Whether it is certain that nobody else has the session. */
  get isCertain(): boolean {
    return this.#copies === undefined || this.#copies.fence.isOpen;
  }

  /**
   * Does something with a message of the server as soon as that is certain, unless the session is gone by then.
   *
   * @param act Is given the message on bytes of its own: they were only valid during the call.
   */
  whenCertain(message: Message, act: (kept: Message) => void): void {
    const kept = scanUpstream(Buffer.from(message.raw)) as Message;
    this.#copies?.fence.pass(() => {
      if (!this.#session.record.isClosed) act(kept);
    });
  }

  /** Resolves when somebody else may take the session, or it is over; undefined while it is to stay. */
  get departed(): Promise<void> | undefined {
    return this.#departure?.left;
  }

  /** Lets another replica go on with the session as soon as nothing is under way. */
  depart(): Promise<void> {
    this.#departure ??= new Departure();
    if (this.#session.record.isClosed) this.#departure.done();
    else this.departIfQuiet();
    return this.#departure.left;
  }

  /** As `depart`, but waits for nobody: what is under way is answered with this. */
  departNow(error: UpstreamError): Promise<void> {
    this.#session.endExchanges(error);
    this.#session.questions.stopWaiting();
    this.#departure ??= new Departure();
    this.#departure.isUrgent = true;
    return this.depart();
  }

  departIfQuiet(): void {
    const departure = this.#departure;
    const { isBusy, questions, record } = this.#session;
    if (departure === undefined || departure.isUnderWay || record.isClosed) return;
    if (isBusy || questions.isWorthWaiting) return;
    departure.isUnderWay = true;
    background(this.#depart(departure), this.#logger, 'hand_over_failed');
  }

  /** Another replica has taken the session: what is here is void. */
  forsake(): void {
    this.#copy?.forget();
    this.#session.letGo();
    this.#session.endExchanges(new UpstreamFailedError('another replica went on with the session', 'unknown'));
    this.over();
  }

  /** Nobody has to wait for its departure any more. */
  over(): void {
    this.#departure?.done();
  }

  async #depart(departure: Departure): Promise<void> {
    const { questions } = this.#session;
    await questions.refuseAll();
    if (this.#session.record.isClosed) return;
    // What it says from here on is for whoever goes on with the session.
    this.#session.stopReading();
    await this.#release(departure);
    // What was asked meanwhile was refused, and the refusal is not to be cut.
    await questions.refuseAll();
    if (!this.#session.record.isClosed) this.#session.letGo();
    departure.done();
  }

  /** A memory that only stumbles is asked again: without its word nobody could go on with the session for seconds. */
  async #release(departure: Departure): Promise<void> {
    for (let leftMs = STUMBLE_MS; ; leftMs -= RETRY_MS) {
      try {
        await this.#copy?.release();
        return;
      } catch (error) {
        if (departure.isUrgent || leftMs <= 0 || this.#session.record.isClosed) {
          this.#logger.warn('hand_over_failed', 'a session could not be handed over', {
            ...this.#session.logFields,
            reason: String(error),
          });
          return;
        }
      }
      await this.#pause(RETRY_MS);
    }
  }
}

/** The way of a session to another replica. */
class Departure {
  readonly left: Promise<void>;
  isUnderWay = false;
  /** Nobody is waited for. */
  isUrgent = false;
  #resolve!: () => void;

  constructor() {
    this.left = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  done(): void {
    this.#resolve();
  }
}
