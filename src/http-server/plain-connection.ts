/**
 * One client connection, read without Node's HTTP server for as long as what comes on it are plain requests, one after the other.
 * The first bytes that are anything else go to Node with the connection, which never comes back.
 */
import type { Socket } from 'node:net';
import { COPIED_BYTES, inOneBuffer } from '../core/one-buffer.js';
import { turnWrites } from '../core/turn-writes.js';
import type { PlainHead } from './plain-head.js';
import { PlainRequest } from './plain-request.js';
import { PlainResponse, type ResponseCarrier } from './plain-response.js';
import { RememberedHead } from './remembered-head.js';
import type { ServedRequest, ServedResponse } from './types.js';

/** As Node calls what became of a request that did not come to its end. */
export type BrokenRequest = 'ERR_HTTP_REQUEST_TIMEOUT' | 'HPE_INVALID_EOF_STATE';

/** Everything that the connections of one server have in common. */
export interface PlainService {
  /** Of the seconds that pass, in milliseconds: late by up to its tick, which is all a deadline needs. */
  readonly nowMs: number;
  readonly httpDate: string;
  /** No more requests are wanted on a connection than the one under way. */
  readonly isClosing: boolean;
  /** Whether requests of this target are served here; if not, they are Node's. */
  takes(url: string): boolean;
  serve(request: ServedRequest, response: ServedResponse): void;
  /** The rest of the connection is Node's. */
  handOver(connection: PlainConnection, socket: Socket): void;
  /** A body did not come in time, or not to its end. */
  answerBroken(socket: Socket, code: BrokenRequest): void;
  closed(connection: PlainConnection): void;
}

/** From a connection's start to its first request, and from a head to the end of its body. */
const FIRST_BYTES_TIMEOUT_MS = 10_000;
const BODY_TIMEOUT_MS = 30_000;
/** For a client to take the rest of a finished answer; whoever writes a large one watches more closely. */
const ANSWER_TIMEOUT_MS = 30_000;
/** For a client to take what was said last and to close its side of the connection, too. */
const LINGER_MS = 2000;
/** Longer than the idle time of common load balancers, so that it is they who close an idle connection and no request is lost to the race. */
export const KEEP_ALIVE_TIMEOUT_MS = 75_000;
/** What a client says before it was answered waits; from here on the client does, too. */
const MAX_HELD_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);

export class PlainConnection implements ResponseCarrier {
  readonly #service: PlainService;
  readonly #socket: Socket;
  readonly #heads = new RememberedHead();
  #request: PlainRequest | undefined;
  #response: PlainResponse | undefined;
  /** Of the body of the current request, still to come. */
  #bodyLeft = 0;
  /** The client, or at least its system, has all of the answer. */
  #isFlushed = false;
  /** What came behind the current request. */
  #held: Buffer | undefined;
  #isRunning = false;
  #hasServed = false;
  #isGone = false;
  #deadlineMs: number;

  constructor(service: PlainService, socket: Socket) {
    this.#service = service;
    this.#socket = socket;
    this.#deadlineMs = service.nowMs + FIRST_BYTES_TIMEOUT_MS;
    socket.on('data', this.#onData);
    socket.on('drain', this.#onDrain);
    socket.on('end', this.#onEnd);
    socket.on('error', ignore);
    socket.on('close', this.#onClose);
    socket.on('timeout', this.#onTimeout);
  }

  /** Between two requests. */
  get isIdle(): boolean {
    return this.#hasServed && this.#request === undefined;
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get httpDate(): string {
    return this.#service.httpDate;
  }

  get isClosing(): boolean {
    return this.#service.isClosing;
  }

  get isGone(): boolean {
    return this.#isGone || this.#socket.destroyed;
  }

  get writableNeedDrain(): boolean {
    return this.#socket.writableNeedDrain;
  }

  get writableLength(): number {
    return this.#socket.writableLength;
  }

  /** Called now and then: gives up what has been waited for too long. */
  checkDeadline(nowMs: number): void {
    if (nowMs < this.#deadlineMs) return;
    if (this.#isGone || this.#request === undefined) this.#socket.destroy();
    else this.#breakOff('ERR_HTTP_REQUEST_TIMEOUT');
  }

  writeText(text: string): boolean {
    this.#holdBack(text.length);
    return this.#socket.write(text, 'latin1');
  }

  write(before: string, bytes: Buffer, after = ''): boolean {
    const length = before.length + bytes.length + after.length;
    this.#holdBack(length);
    if (length === bytes.length) return this.#socket.write(bytes);
    if (length <= COPIED_BYTES) return this.#socket.write(inOneBuffer(before, bytes, after));
    this.#socket.cork();
    if (before !== '') this.#socket.write(before, 'latin1');
    let isRoomLeft = this.#socket.write(bytes);
    if (after !== '') isRoomLeft = this.#socket.write(after, 'latin1');
    this.#socket.uncork();
    return isRoomLeft;
  }

  /** Until the end of the turn, unless it is too much to wait, or that is waiting already. */
  #holdBack(bytes: number): void {
    if (this.#socket.writableLength + bytes <= COPIED_BYTES) turnWrites.hold(this.#socket);
    else turnWrites.release(this.#socket);
  }

  finish(): void {
    // Node too reads what is left of a body nobody wants, to find the next request behind it.
    this.#request?.resume();
    // Until the client has it all nothing else is begun: who does not read is not answered more.
    if (this.#socket.writableLength === 0) this.#onFlushed();
    else turnWrites.afterEnd(this.#awaitFlush);
  }

  readonly #awaitFlush = (): void => {
    if (this.#socket.writableLength === 0) {
      this.#onFlushed();
      return;
    }
    this.#deadlineMs = this.#service.nowMs + ANSWER_TIMEOUT_MS;
    this.#socket.write(NOTHING, this.#onFlushed);
  };

  /** What was written before still goes out. */
  cut(): void {
    turnWrites.release(this.#socket);
    this.#socket.destroy();
  }

  setWriteTimeout(ms: number): void {
    this.#socket.setTimeout(ms);
  }

  resumeReading(): void {
    if (this.#held === undefined && this.#socket.isPaused()) this.#socket.resume();
  }

  readonly #onData = (bytes: Buffer): void => {
    if (this.#held === undefined) this.#run(bytes);
    else this.#hold(Buffer.concat([this.#held, bytes]));
  };

  #run(bytes: Buffer): void {
    this.#isRunning = true;
    let rest = bytes;
    while (rest.length > 0 && !this.isGone) {
      if (this.#request === undefined) rest = this.#begin(rest);
      else if (this.#bodyLeft > 0) rest = this.#takeBody(this.#request, rest);
      else {
        this.#hold(rest);
        break;
      }
    }
    this.#isRunning = false;
  }

  /** @returns what came behind the request */
  #begin(bytes: Buffer): Buffer {
    const head = this.#heads.read(bytes, 0);
    if (head !== undefined && this.#service.takes(head.url)) return this.#serve(head, bytes);
    this.#handOver(bytes);
    return NOTHING;
  }

  #serve(head: PlainHead, bytes: Buffer): Buffer {
    const request = new PlainRequest(head, this);
    const response = new PlainResponse(request, this);
    this.#request = request;
    this.#response = response;
    this.#hasServed = true;
    this.#bodyLeft = head.bodyBytes;
    this.#deadlineMs = this.#service.nowMs + BODY_TIMEOUT_MS;
    const behind = this.#takeBody(request, bytes.subarray(head.headBytes));
    this.#service.serve(request, response);
    request.start();
    return behind;
  }

  #takeBody(request: PlainRequest, bytes: Buffer): Buffer {
    const { length } = bytes;
    const isWhole = length >= this.#bodyLeft;
    const taken = isWhole ? this.#bodyLeft : length;
    this.#bodyLeft -= taken;
    if (isWhole) this.#deadlineMs = Number.POSITIVE_INFINITY;
    request.push(taken === length ? bytes : bytes.subarray(0, taken), isWhole);
    if (isWhole) this.#settle();
    // Whoever asks for the rest has it read again; of a whole body nothing is left to ask for.
    else if (request.waitingBytes > MAX_HELD_BYTES) this.#socket.pause();
    return taken === length ? NOTHING : bytes.subarray(taken);
  }

  /** Nothing can follow the last answer: what comes is thrown away, and the answer goes on to its end, if there is one but the connection's. */
  #hold(bytes: Buffer): void {
    if (this.#response?.isLast === true) {
      if (this.#response.isUnbounded) this.#leave();
      return;
    }
    this.#held = bytes;
    if (bytes.length > MAX_HELD_BYTES) this.#socket.pause();
  }

  /** Nothing more is said; what was written still goes out. A client may not think of closing its own side. */
  #leave(): void {
    this.#deadlineMs = this.#service.nowMs + LINGER_MS;
    this.#isGone = true;
    this.#socket.end();
  }

  readonly #onFlushed = (): void => {
    const response = this.#response;
    if (response === undefined || this.isGone) return;
    if (this.#socket.timeout !== 0) this.#socket.setTimeout(0);
    this.#isFlushed = true;
    response.closed();
    this.#settle();
  };

  /** The next request may come when this one was read and answered. */
  #settle(): void {
    const response = this.#response;
    if (!this.#isFlushed || response === undefined) return;
    if (response.isLast || (this.#bodyLeft === 0 && this.#service.isClosing)) {
      this.#isGone = true;
      this.#socket.destroySoon();
      return;
    }
    if (this.#bodyLeft > 0) return;
    this.#isFlushed = false;
    this.#request = undefined;
    this.#response = undefined;
    this.#deadlineMs = this.#service.nowMs + KEEP_ALIVE_TIMEOUT_MS;
    const held = this.#held;
    if (held === undefined || this.#isRunning) return;
    this.#held = undefined;
    this.#socket.resume();
    this.#run(held);
  }

  #handOver(bytes: Buffer): void {
    const socket = this.#socket;
    this.#isGone = true;
    socket.off('data', this.#onData);
    socket.off('drain', this.#onDrain);
    socket.off('end', this.#onEnd);
    socket.off('error', ignore);
    socket.off('close', this.#onClose);
    socket.off('timeout', this.#onTimeout);
    // Before anybody else listens, so that the bytes come first and in one piece with what follows.
    socket.pause();
    socket.unshift(bytes);
    this.#service.handOver(this, socket);
    socket.resume();
  }

  #breakOff(code: BrokenRequest): void {
    if (this.#response?.headersSent !== true) this.#service.answerBroken(this.#socket, code);
    this.#leave();
  }

  readonly #onDrain = (): void => {
    this.#response?.drained();
  };

  /** A client that stops sending is taken to be gone, as Node does. */
  readonly #onEnd = (): void => {
    if (this.#bodyLeft > 0) this.#breakOff('HPE_INVALID_EOF_STATE');
    else this.#leave();
  };

  readonly #onTimeout = (): void => {
    this.#socket.destroy();
  };

  readonly #onClose = (): void => {
    this.#isGone = true;
    this.#service.closed(this);
    this.#response?.closed();
  };
}

/** What there is to do follows with `close`. */
function ignore(): void {}
