/**
 * Pipes a peer's answer to the client: head first or all at once, with back-pressure, cut when the client goes away.
 * What never became an answer is the caller's to deal with.
 */
import type { ServedResponse } from '../http-server/types.js';
import type { HttpCall, ResponseHeaders } from '../http-client/types.js';
import type { ForwardFailure, ForwardSink } from './forwarder.js';
import { ANSWERED_HEADERS } from './passed-headers.js';

export interface PipeOutcome {
  /** The client may be answered in another way. */
  onNotOwner(): void;
  /** What the client has seen by now: `response.headersSent` says whether anything; if so, its connection is cut. */
  onFailure(failure: ForwardFailure): void;
  /** The answer is over: all of it is written, or nobody reads it any more, or the stream was ended early. */
  onDone?(): void;
}

const LF = 0x0a;
/** Up to here, head and body go out in one write, as one text. */
const SMALL_BODY_BYTES = 64 * 1024;
/** A client that takes no byte for this long while bytes wait is given up. */
const WRITE_DEADLINE_MS = 10_000;

export class ClientPipe implements ForwardSink {
  readonly #response: ServedResponse;
  readonly #extraHeaders: readonly string[];
  readonly #outcome: PipeOutcome;
  #call: HttpCall | undefined;
  #status = 0;
  #headers: string[] = [];
  /** Of a whole body that came in one piece and is not written yet. */
  #whole: Buffer | undefined;
  #expectedBytes: number | undefined;
  #isEventStream = false;
  #hasWritten = false;
  /** The last two bytes of the stream were line feeds, or just the last. */
  #lineFeeds = 0;
  #lastWords: string | undefined;
  #isOver = false;
  /** The client's event stream has begun already; what comes is its continuation. */
  readonly #isGreeted: boolean;

  /** @param extraHeaders Flat name, value, name, value ...: what the edge itself has to say, such as CORS. */
  constructor(response: ServedResponse, extraHeaders: readonly string[], outcome: PipeOutcome) {
    this.#response = response;
    this.#extraHeaders = extraHeaders;
    this.#outcome = outcome;
    this.#isGreeted = response.headersSent;
  }

  /** Whether an event stream is being piped. */
  get isEventStream(): boolean {
    return this.#isEventStream && !this.#isOver;
  }

  /**
   * Ends the client's event stream at the next place between two events, and the call to the peer with it. Any other
   * answer goes on to its end.
   *
   * @param lastWords Written at its end, such as `retry: 100\n\n`.
   */
  endAtBoundary(lastWords: string): void {
    if (this.#isOver) return;
    this.#lastWords = lastWords;
    if (this.isEventStream && this.#isAtBoundary()) this.#endEarly(lastWords);
  }

  onStart(call: HttpCall): void {
    this.#call = call;
    this.#response.on('close', this.#onClose);
    this.#response.on('drain', this.#onDrain);
    if (this.#response.destroyed) this.#onClose();
  }

  onHead(status: number, headers: ResponseHeaders): void {
    this.#status = status;
    this.#headers = headers.pick(ANSWERED_HEADERS);
    if (this.#extraHeaders.length > 0) this.#headers.push(...this.#extraHeaders);
    this.#isEventStream = headers.get('content-type')?.startsWith('text/event-stream') === true;
    const length = headers.get('content-length');
    this.#expectedBytes = length === undefined ? undefined : Number(length);
    if (this.#isGreeted) {
      this.#goOn();
      return;
    }
    if (!this.#isEventStream) return;
    this.#response.writeHead(status, this.#headers);
    this.#response.flushHeaders();
    if (this.#lastWords !== undefined && this.#isAtBoundary()) this.#endEarly(this.#lastWords);
  }

  onData(chunk: Buffer): void {
    if (this.#isOver) return;
    if (this.#isEventStream) this.#writeEvents(chunk);
    else if (!this.#response.headersSent && chunk.length === this.#expectedBytes) this.#whole = chunk;
    else this.#write(chunk);
  }

  onEnd(): void {
    if (this.#isOver) return;
    this.#finish();
    const response = this.#response;
    if (!response.headersSent) response.writeHead(this.#status, this.#headers);
    const body = this.#whole;
    if (body === undefined) response.end();
    // Node sends head and text in one write, head and bytes in two.
    else if (body.length <= SMALL_BODY_BYTES) response.end(body.toString('latin1'), 'latin1');
    else response.end(body);
    if (response.writableLength > SMALL_BODY_BYTES) response.setTimeout(WRITE_DEADLINE_MS);
    this.#outcome.onDone?.();
  }

  onFailure(failure: ForwardFailure): void {
    if (this.#isOver) return;
    this.#finish();
    const isBegun = this.#response.headersSent && (!this.#isGreeted || failure.phase === 'answering');
    if (isBegun) this.#response.destroy();
    this.#outcome.onFailure(failure);
  }

  onNotOwner(): void {
    if (this.#isOver) return;
    this.#finish();
    this.#outcome.onNotOwner();
  }

  /** Whoever has begun an event stream cannot be told anything else any more: the client asks again and is told then. */
  #goOn(): void {
    this.#hasWritten = true;
    this.#lineFeeds = 2;
    if (this.#status !== 200 || !this.#isEventStream) this.#endEarly('');
    else if (this.#lastWords !== undefined) this.#endEarly(this.#lastWords);
  }

  #writeEvents(chunk: Buffer): void {
    const end = this.#lastWords === undefined ? -1 : endOfEvent(chunk, this.#lineFeeds);
    const piece = end === -1 ? chunk : chunk.subarray(0, end);
    this.#write(piece);
    this.#lineFeeds = lineFeedsAtEnd(piece, this.#lineFeeds);
    if (end !== -1 && this.#lastWords !== undefined) this.#endEarly(this.#lastWords);
  }

  #write(chunk: Buffer): void {
    const response = this.#response;
    if (!response.headersSent) response.writeHead(this.#status, this.#headers);
    this.#hasWritten = true;
    if (response.write(chunk)) return;
    this.#call?.pause();
    response.setTimeout(WRITE_DEADLINE_MS);
  }

  /** A reply that has not begun carries no id yet that its client could come back with. */
  #isAtBoundary(): boolean {
    return this.#hasWritten ? this.#lineFeeds === 2 : this.#response.req.method === 'GET';
  }

  #endEarly(lastWords: string): void {
    this.#finish();
    this.#call?.abort();
    this.#response.end(lastWords);
    this.#outcome.onDone?.();
  }

  readonly #onDrain = (): void => {
    this.#response.setTimeout(0);
    this.#call?.resume();
  };

  readonly #onClose = (): void => {
    this.#finish();
    this.#call?.abort();
    this.#outcome.onDone?.();
  };

  #finish(): void {
    this.#isOver = true;
    this.#response.off('close', this.#onClose);
    this.#response.off('drain', this.#onDrain);
  }
}

/** @param before How many line feeds came right before the chunk. @returns where the first event ends, or -1 */
function endOfEvent(chunk: Buffer, before: number): number {
  if (before === 1 && chunk[0] === LF) return 1;
  const at = chunk.indexOf('\n\n');
  return at === -1 ? -1 : at + 2;
}

function lineFeedsAtEnd(chunk: Buffer, before: number): number {
  const { length } = chunk;
  if (length === 0) return before;
  if (chunk[length - 1] !== LF) return 0;
  if (length === 1) return Math.min(2, before + 1);
  return chunk[length - 2] === LF ? 2 : 1;
}
