import type { Socket } from 'node:net';
import type { Timer, TimerWheel } from '../core/timer-wheel.js';
import { turnWrites } from '../core/turn-writes.js';
import type { Call, Carrier } from './call.js';
import type { Dialer } from './dialer.js';
import { FramingError, HttpClientError, type HttpFailureFacts } from './errors.js';
import type { RequestWriter } from './request-writer.js';
import { ResponseParser } from './response-parser.js';

const NOTHING = Buffer.alloc(0);
const TCP_KEEP_ALIVE_DELAY_MS = 60_000;
/** The server's clock for an idle connection started before ours. */
const KEEP_ALIVE_MARGIN_MS = 1000;

/** All that the connections of one client have in common. */
export interface ConnectionSettings {
  readonly dialer: Dialer;
  readonly writer: RequestWriter;
  readonly timers: TimerWheel;
  readonly connectTimeoutMs: number;
  readonly headersTimeoutMs: number;
  readonly maxHeaderBytes: number;
  readonly idleSocketTimeoutMs: number;
  /** Bytes have arrived; everything they lead to happens before this is called again. */
  readonly onRead: () => void;
}

/** The pool, told of what becomes of a connection. */
export interface ConnectionOwner {
  /** The response is complete and the connection may carry another request. */
  onIdle(connection: Connection): void;
  /** Will never be idle again. */
  onUnusable(connection: Connection): void;
  onClosed(connection: Connection): void;
  /** `call` went out on a connection that the server had given up: send it again on a fresh one. */
  onStale(call: Call): void;
}

/** A socket that went away while the call on it was paused, to be told when it resumes. */
interface Loss {
  readonly cause: Error | undefined;
}

/**
 * One socket that carries one call at a time. Strict on purpose: whatever is not a clean end of a well-formed response
 * costs the connection, so a byte of one response can never be taken for the start of another.
 */
export class Connection implements Carrier {
  readonly #settings: ConnectionSettings;
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  readonly #parser: ResponseParser;
  #call: Call | undefined;
  #phase: 'connecting' | 'securing' | 'ready' | 'dead' = 'connecting';
  #isReused = false;
  #isSocketClosed = false;
  /** Read but not yet delivered, because the call is paused. */
  #held: Buffer | undefined;
  #loss: Loss | undefined;
  #connectTimer: Timer | undefined;
  #headersTimer: Timer | undefined;
  #idleTimer: Timer | undefined;

  constructor(settings: ConnectionSettings, owner: ConnectionOwner) {
    this.#settings = settings;
    this.#owner = owner;
    this.#parser = new ResponseParser(settings.maxHeaderBytes);
    this.#connectTimer = settings.timers.schedule(settings.connectTimeoutMs, this.#onConnectTimeout);
    this.#socket = settings.dialer.open(this.#onBytes);
    this.#listen();
  }

  /** Carries `call`, which must be the only one. */
  start(call: Call): void {
    this.#call = call;
    call.carrier = this;
    if (this.#phase !== 'ready') return;
    this.#isReused = true;
    this.#socket.ref();
    this.#send(call);
    this.#idleTimer?.cancel();
    this.#idleTimer = undefined;
  }

  /** Whether an idle connection still looks alive. */
  get isUsable(): boolean {
    return this.#phase === 'ready' && this.#socket.writable && this.#socket.readable;
  }

  pauseReading(): void {
    if (this.#phase === 'ready') this.#socket.pause();
  }

  resumeReading(): void {
    // Not from inside the caller's `resume()`: a callback there would surprise it.
    process.nextTick(this.#goOn);
  }

  discard(call: Call): void {
    if (this.#call === call) this.destroy();
  }

  /** Ends the call on it, if any, as closed by us. */
  close(): void {
    turnWrites.release(this.#socket);
    this.#fail({ reason: 'closed' }, 'the HTTP client was closed');
  }

  /** Without a word to the call. */
  destroy(): void {
    if (this.#phase === 'dead') return;
    this.#phase = 'dead';
    this.#call = undefined;
    this.#held = undefined;
    this.#connectTimer?.cancel();
    this.#headersTimer?.cancel();
    this.#idleTimer?.cancel();
    this.#owner.onUnusable(this);
    if (this.#isSocketClosed) this.#owner.onClosed(this);
    else this.#socket.destroy();
  }

  #listen(): void {
    const socket = this.#socket;
    const { dialer } = this.#settings;
    if (dialer.isTls) {
      socket.once('connect', () => {
        if (this.#phase === 'connecting') this.#phase = 'securing';
      });
    }
    socket.once(dialer.readyEvent, this.#onReady);
    socket.on('end', this.#onGone);
    socket.on('error', this.#onGone);
    socket.once('close', () => {
      this.#isSocketClosed = true;
      // A paused call still has bytes to come: then it is over, and the owner told, after those.
      if (this.#phase === 'dead') this.#owner.onClosed(this);
      else this.#onGone();
    });
  }

  readonly #onReady = (): void => {
    const call = this.#call;
    if (this.#phase === 'dead' || call === undefined) return;
    this.#phase = 'ready';
    this.#connectTimer?.cancel();
    this.#connectTimer = undefined;
    this.#socket.setNoDelay(true);
    this.#socket.setKeepAlive(true, TCP_KEEP_ALIVE_DELAY_MS);
    this.#send(call);
  };

  #send(call: Call): void {
    const { request } = call;
    if (request === undefined) return;
    this.#parser.start();
    call.bytesSent = true;
    const isWritten = this.#settings.writer.write(this.#socket, request, () => this.#awaitHead(call));
    if (isWritten) this.#awaitHead(call);
  }

  #awaitHead(call: Call): void {
    // Without a request the response head is here already.
    if (this.#call !== call || call.request === undefined) return;
    const timeoutMs = call.request.headersTimeoutMs ?? this.#settings.headersTimeoutMs;
    if (timeoutMs > 0) this.#headersTimer = this.#settings.timers.schedule(timeoutMs, this.#onHeadersTimeout);
  }

  readonly #onBytes = (bytes: Buffer): void => {
    this.#settings.onRead();
    const call = this.#call;
    // Nobody asked: a server that speaks on an idle connection has lost count, or wants us to.
    if (call === undefined) this.destroy();
    else if (this.#held === undefined) this.#pump(call, bytes);
    else this.#held = Buffer.concat([this.#held, bytes]);
  };

  /** Delivers what is in `bytes`, until they are used up, the call pauses, or it is over. */
  #pump(call: Call, bytes: Buffer): void {
    let offset = 0;
    while (this.#call === call) {
      if (call.isPaused) {
        this.#hold(bytes.subarray(offset));
        return;
      }
      const event = this.#read(bytes, offset);
      offset = this.#parser.offset;
      switch (event) {
        case 'head': {
          this.#headersTimer?.cancel();
          const head = this.#parser.takeHead();
          call.deliverHeaders(head.status, head);
          break;
        }
        case 'data':
          call.deliverData(this.#parser.takeData());
          break;
        case 'end':
          this.#complete(call, offset === bytes.length);
          return;
        default:
          return;
      }
    }
  }

  #read(bytes: Buffer, offset: number): ReturnType<ResponseParser['next']> {
    try {
      return this.#parser.next(bytes, offset, bytes.length);
    } catch (error) {
      if (!(error instanceof FramingError)) throw error;
      this.#fail({ reason: 'protocol' }, `broke HTTP/1.1: ${error.message}`);
      return 'need-more';
    }
  }

  #hold(bytes: Buffer): void {
    this.#held = bytes;
    this.#socket.pause();
  }

  readonly #goOn = (): void => {
    const call = this.#call;
    if (call === undefined || call.isPaused) return;
    const held = this.#held ?? NOTHING;
    this.#held = undefined;
    this.#pump(call, held);
    // The pump may have ended this call, and the connection may carry another by now.
    if (this.#call !== call || call.isPaused) return;
    if (this.#loss !== undefined) this.#lose(call, this.#loss.cause);
    else this.#socket.resume();
  };

  #complete(call: Call, isExact: boolean): void {
    if (!isExact) {
      this.#fail({ reason: 'protocol' }, 'broke HTTP/1.1: bytes after the end of the response');
      return;
    }
    if (this.#canBeIdle()) this.#becomeIdle();
    else this.destroy();
    call.end();
  }

  #canBeIdle(): boolean {
    const isFlushed = this.#socket.writableLength === 0;
    return (
      this.#parser.isPersistent && isFlushed && this.#loss === undefined && this.isUsable && this.#idleLimitMs() > 0
    );
  }

  #idleLimitMs(): number {
    const hintMs = this.#parser.keepAliveHintMs;
    const { idleSocketTimeoutMs } = this.#settings;
    return hintMs === undefined ? idleSocketTimeoutMs : Math.min(idleSocketTimeoutMs, hintMs - KEEP_ALIVE_MARGIN_MS);
  }

  #becomeIdle(): void {
    this.#call = undefined;
    this.#idleTimer = this.#settings.timers.schedule(this.#idleLimitMs(), this.#onIdleTimeout);
    this.#socket.unref();
    // Paused inside its last callback and resumed at once, or an idle socket would not see the server close it.
    this.#socket.resume();
    this.#owner.onIdle(this);
  }

  readonly #onIdleTimeout = (): void => this.destroy();

  readonly #onConnectTimeout = (): void => {
    const timeoutMs = this.#settings.connectTimeoutMs;
    this.#fail({ reason: 'connect_timeout', timeoutMs }, `did not accept a connection within ${timeoutMs} ms`);
  };

  readonly #onHeadersTimeout = (): void => {
    const timeoutMs = this.#call?.request?.headersTimeoutMs ?? this.#settings.headersTimeoutMs;
    this.#fail({ reason: 'headers_timeout', timeoutMs }, `sent no response head within ${timeoutMs} ms`);
  };

  /** The socket ended (no cause) or broke. */
  readonly #onGone = (cause?: Error): void => {
    const call = this.#call;
    if (call === undefined) this.destroy();
    else if (this.#mayHoldBack(call)) this.#loss ??= { cause };
    else this.#lose(call, cause);
  };

  /** A paused call is told of the end after the bytes before it; without any, there is nothing to wait for. */
  #mayHoldBack(call: Call): boolean {
    return this.#held !== undefined || (call.isPaused && this.#parser.hasStarted);
  }

  #lose(call: Call, cause: Error | undefined): void {
    if (this.#phase === 'connecting') this.#fail({ reason: 'connect' }, 'cannot be reached', cause);
    else if (this.#phase === 'securing') this.#fail({ reason: 'tls' }, 'failed the TLS handshake', cause);
    else if (cause === undefined && this.#parser.endsWithConnection) this.#complete(call, true);
    else if (this.#isReused && !this.#parser.hasStarted && call.request?.retryStale === true) {
      this.destroy();
      this.#owner.onStale(call);
    } else this.#fail({ reason: 'reset' }, 'closed the connection before the response was complete', cause);
  }

  #fail(facts: Omit<HttpFailureFacts, 'sent'>, what: string, cause?: Error): void {
    const call = this.#call;
    this.destroy();
    if (call === undefined) return;
    const detail = cause === undefined ? '' : `: ${describeCause(cause)}`;
    const sent = call.bytesSent ? 'unknown' : 'no';
    const message = `${this.#settings.dialer.origin} ${what}${detail}`;
    call.fail(new HttpClientError({ ...facts, sent }, message, cause === undefined ? undefined : { cause }));
  }
}

/** Attempts on several addresses fail as one error without a text of its own. */
function describeCause(cause: Error): string {
  if (cause.message !== '') return cause.message;
  return 'code' in cause ? String(cause.code) : cause.name;
}
