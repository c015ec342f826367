/**
 * One client session's side toward its upstream, over however many connections that takes: opens the first one with the client's own
 * `initialize`, and after a loss or a pause opens another and repeats the handshake, so that the client's session lives on.
 * Which request an answer belongs to is the bridge's business.
 */
import type { Timer, TimerWheel } from '../core/timer-wheel.js';
import type { Message } from '../protocol/message.js';
import { Method } from '../protocol/methods.js';
import type { Delivery, UpstreamError, UpstreamKind } from '../protocol/transport.js';
import { UpstreamFailedError, UpstreamTimeoutError, WrongTransportError } from './errors.js';
import { briefly, greet } from './greeting.js';
import { Handshake, type HandshakeRecord } from './handshake.js';
import { readInitializeResult } from './initialize-result.js';
import { QueuedCall } from './queued-call.js';
import { RepeatedHandshake } from './repeated-handshake.js';
import type { UpstreamCall, UpstreamListener, UpstreamTransport } from './transport.js';
import type { Upstream } from './upstream.js';

export interface UpstreamSessionListener extends UpstreamListener {
  /** The server accepted `initialize`; says the revision both sides speak from now on. */
  onInitialized(protocolVersion: string): void;
  /** A new upstream session took the place of the lost one; state the server kept for the old one is gone. */
  onReestablished(): void;
  /** Something changed that whoever goes on with the session has to know. */
  onRecordChanged(): void;
}

/** What it takes to go on with an upstream session elsewhere. */
export interface UpstreamSessionRecord {
  readonly handshake: HandshakeRecord;
  readonly protocolVersion: string;
  readonly kind: UpstreamKind;
  /** The server's own name for the session; undefined where it ends with its connection. */
  readonly sessionId: string | undefined;
  /** The last event that was heard of what the server says unasked; undefined where it numbers none. */
  readonly heardUpTo?: string | undefined;
  /** Which server that was; the name means nothing to any other. */
  readonly server: string;
}

/**
 * `new`: no `initialize` yet. `opening`: the client's `initialize` is under way. `ready`: messages go straight through.
 * `waiting`: they queue, because the general stream or a new connection is being opened. `away`: lost or parked; the next message reconnects.
 */
type State = 'new' | 'opening' | 'ready' | 'waiting' | 'away' | 'closed';

/** Unless something asks for it sooner, in milliseconds. */
const GENERAL_STREAM_DELAY_MS = 50;

export class UpstreamSession implements UpstreamListener {
  readonly #upstream: Upstream;
  readonly #listener: UpstreamSessionListener;
  #handshake: Handshake;
  /** Of the newest attempt: one that was overtaken asks and hears for itself alone. */
  #repeated: RepeatedHandshake | undefined;
  #protocolVersion: string | undefined;
  #transport: UpstreamTransport | undefined;
  #state: State = 'new';
  #queue: QueuedCall[] = [];
  #isPaused = false;
  #isListening = false;
  /** The server was greeted, and its general stream is opened with the first request, or soon. */
  #isGeneralStreamDue = false;
  /** Grows with every loss and every new start, so that an attempt that was overtaken changes nothing. */
  #epoch = 0;

  /** @param record Of a session that lived elsewhere and goes on here: by its name where it has one, else by the handshake once more. */
  constructor(upstream: Upstream, listener: UpstreamSessionListener, record?: UpstreamSessionRecord) {
    this.#upstream = upstream;
    this.#listener = listener;
    this.#handshake = record === undefined ? new Handshake() : Handshake.from(record.handshake);
    if (record === undefined) return;
    if (record.server === upstream.fingerprint) upstream.learnKind(record.kind);
    this.#goOn(record);
  }

  /** As if a session of this record had been lost: the next message opens a new one. Only before there was any. */
  continue(record: UpstreamSessionRecord): void {
    if (this.#state !== 'new') return;
    this.#handshake = Handshake.from(record.handshake);
    this.#goOn(record);
  }

  /** Undefined before the server has accepted `initialize`. */
  get record(): UpstreamSessionRecord | undefined {
    const handshake = this.#handshake.record;
    const kind = this.#transport?.kind ?? this.#upstream.kind;
    if (handshake === undefined || kind === undefined || this.#protocolVersion === undefined) return undefined;
    const server = this.#upstream.fingerprint;
    return { handshake, kind, protocolVersion: this.#protocolVersion, sessionId: this.#transport?.sessionId, server };
  }

  get isInitialized(): boolean {
    return this.#state !== 'new' && this.#state !== 'opening' && this.#state !== 'closed';
  }

  /** Whether a connection stands, or the next message will make one. */
  get isConnected(): boolean {
    return this.#transport !== undefined;
  }

  /** Never throws; what becomes of the message is told to `delivery`. */
  send(message: Message, delivery: Delivery, headers?: string): UpstreamCall {
    if (message.method !== undefined && this.#handshake.observe(message)) this.#listener.onRecordChanged();
    if (this.#isGeneralStreamDue && message.kind === 'request') this.#openDueStream();
    if (this.#state === 'ready' && this.#transport !== undefined && message.method !== Method.initialized) {
      return this.#transport.send(message, delivery, headers);
    }
    const call = new QueuedCall(message, delivery, headers);
    this.#sendLater(call);
    return call;
  }

  pause(): void {
    this.#isPaused = true;
    this.#transport?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#transport?.resume();
  }

  /** Ends the upstream session but not the client's: the next message opens a new one. */
  async park(): Promise<void> {
    if (this.#state !== 'ready') return;
    this.#state = 'away';
    const dropped = this.#dropTransport();
    this.#listener.onRecordChanged();
    await dropped;
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    if (this.#queue.length > 0) this.#failQueue(new UpstreamFailedError('the session was closed', 'no'));
    await this.#dropTransport();
  }

  /** Lets go of everything without ending the upstream session: somebody else goes on with it. */
  abandon(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#failQueue(new UpstreamFailedError('the session was continued elsewhere', 'no'));
    this.#releaseTransport()?.abandon();
  }

  /** At another server than the record's, where the configuration changed meanwhile, the session begins anew. */
  #goOn({ kind, protocolVersion, sessionId, heardUpTo, server }: UpstreamSessionRecord): void {
    this.#protocolVersion = protocolVersion;
    const isSameServer = server === this.#upstream.fingerprint;
    if (!isSameServer || sessionId === undefined || kind !== 'streamable-http') {
      this.#state = 'away';
      return;
    }
    const transport = this.#adopt(kind);
    transport.continueSession?.(sessionId, protocolVersion, heardUpTo);
    this.#state = 'ready';
    this.#openGeneralStreamSoon();
  }

  onMessage(message: Message, related: Delivery | undefined): void {
    const delivery = related instanceof QueuedCall ? related.delivery : related;
    if (message.kind === 'response') {
      if (this.#repeated?.takeAnswer(message) === true) return;
      if (this.#state === 'opening' && message.id === this.#handshake.initializeId) this.#onInitializeAnswer(message);
    }
    this.#listener.onMessage(message, delivery);
  }

  onHeard(sessionId: string, eventId: string | undefined): void {
    this.#listener.onHeard(sessionId, eventId);
  }

  onLost(error: UpstreamError): void {
    if (this.#state === 'closed') return;
    this.#releaseTransport();
    this.#epoch += 1;
    this.#repeated?.lost(error);
    this.#state = this.#state === 'opening' ? 'new' : 'away';
    // What still waited must not go out later: its callers are about to be told that it failed.
    const queued = this.#takeQueue();
    this.#listener.onRecordChanged();
    this.#listener.onLost(error);
    for (const call of queued) call.failed(error);
  }

  #sendLater(call: QueuedCall): void {
    switch (this.#state) {
      case 'new':
        if (call.message.method === Method.initialize) void this.#open(call);
        else call.failed(new UpstreamFailedError('the session is not initialized', 'no'));
        return;
      case 'opening':
        call.dispatch(this.#transport);
        return;
      case 'ready':
        this.#sendInitialized(call);
        return;
      case 'waiting':
        this.#queue.push(call);
        return;
      case 'away':
        this.#queue.push(call);
        void this.#reestablish();
        return;
      case 'closed':
        call.failed(new UpstreamFailedError('the session was closed', 'no'));
    }
  }

  /** Tries the transports the upstream may speak, one after the other, with the client's own `initialize`. */
  async #open(initialize: QueuedCall): Promise<void> {
    this.#state = 'opening';
    let failure: UpstreamError | undefined;
    for (const kind of this.#upstream.candidates) {
      failure = await this.#tryOpen(kind, initialize);
      if (failure === undefined || !(failure instanceof WrongTransportError) || this.#isClosed) break;
    }
    if (failure === undefined) return;
    if (!this.#isClosed) this.#state = 'new';
    initialize.failed(asFinalFailure(failure));
  }

  /** @returns why not; undefined when the server took the `initialize` */
  async #tryOpen(kind: UpstreamKind, initialize: QueuedCall): Promise<UpstreamError | undefined> {
    const transport = this.#adopt(kind);
    try {
      await transport.start();
      if (this.#isClosed) return new UpstreamFailedError('the session was closed', 'no');
      await initialize.sendOver(transport);
      if (initialize.isAborted) throw new UpstreamFailedError('nobody waits for the session any more', 'unknown');
      return undefined;
    } catch (error) {
      if (this.#transport === transport) await this.#dropTransport();
      return error as UpstreamError;
    }
  }

  #onInitializeAnswer(message: Message): void {
    const version = message.isError ? undefined : readInitializeResult(message);
    if (version === undefined) {
      this.#state = 'new';
      // The server refused, so the client may try again on a fresh connection.
      void this.#dropTransport();
      return;
    }
    // Only an answer that is one tells how the server speaks: a web page takes every POST too.
    if (this.#transport !== undefined) this.#upstream.learnKind(this.#transport.kind);
    this.#transport?.setProtocolVersion(version);
    this.#state = 'ready';
    this.#protocolVersion = version;
    this.#listener.onInitialized(version);
  }

  /** Nothing may overtake the general stream: what the server says at once after `initialized` would be lost. */
  #sendInitialized(call: QueuedCall): void {
    const transport = this.#transport;
    if (transport === undefined) {
      call.failed(new UpstreamFailedError('the upstream session is gone', 'no'));
      return;
    }
    if (transport.kind === 'sse') {
      call.dispatch(transport);
      return;
    }
    this.#state = 'waiting';
    void this.#greetThenGoOn(call, transport);
  }

  async #greetThenGoOn(initialized: QueuedCall, transport: UpstreamTransport): Promise<void> {
    if (this.#isListening) await greet(initialized, transport, this.#timers);
    else {
      await briefly(initialized.sendOver(transport), this.#timers);
      this.#openGeneralStreamSoon();
    }
    if (this.#state === 'waiting' && this.#transport === transport) this.#becomeReady(transport);
  }

  /** Many a session is over before anybody could hear what the server says unasked: such a one needs no stream for it. */
  #openGeneralStreamSoon(): void {
    this.#isGeneralStreamDue = true;
    this.#timers.schedule(GENERAL_STREAM_DELAY_MS, () => this.#openDueStream());
  }

  /** Somebody hears what the server says unasked. */
  listen(): void {
    this.#isListening = true;
    this.#openDueStream();
  }

  /** Until it stands, messages wait: a server that answers on it what it was asked would speak into the void. */
  #openDueStream(): void {
    const transport = this.#transport;
    if (!this.#isGeneralStreamDue || this.#state !== 'ready' || transport === undefined) return;
    this.#isGeneralStreamDue = false;
    this.#state = 'waiting';
    void this.#openThenGoOn(transport);
  }

  async #openThenGoOn(transport: UpstreamTransport): Promise<void> {
    await briefly(transport.openGeneralStream(), this.#timers);
    if (this.#state === 'waiting' && this.#transport === transport) this.#becomeReady(transport);
  }

  /** A fresh upstream session under the same client session. One at a time; everything that comes meanwhile waits for it. */
  async #reestablish(): Promise<void> {
    this.#state = 'waiting';
    this.#epoch += 1;
    const epoch = this.#epoch;
    let timer: Timer | undefined;
    try {
      const { connectMs } = this.#upstream.options.timeouts;
      const deadline = new Promise<never>((_, reject) => {
        timer = this.#timers.schedule(connectMs, () => {
          reject(new UpstreamTimeoutError('the upstream session could not be opened again in time', 'no'));
        });
      });
      const transport = await Promise.race([this.#connectAgain(), deadline]);
      if (this.#isClosed || this.#epoch !== epoch) return;
      this.#listener.onReestablished();
      this.#listener.onRecordChanged();
      this.#becomeReady(transport);
    } catch (error) {
      if (this.#isClosed || this.#epoch !== epoch) return;
      this.#state = 'away';
      const failure = asFinalFailure(error as UpstreamError);
      for (const call of this.#takeQueue()) call.failed(failure);
      this.#repeated?.abort();
      await this.#dropTransport();
    } finally {
      timer?.cancel();
    }
  }

  async #connectAgain(): Promise<UpstreamTransport> {
    const kind = this.#upstream.candidates[0] as UpstreamKind;
    const transport = this.#adopt(kind);
    const repeated = new RepeatedHandshake(this.#timers);
    this.#repeated = repeated;
    await transport.start();
    await repeated.say(this.#handshake, transport, (version) => {
      if (this.#transport === transport) this.#protocolVersion = version;
    });
    return transport;
  }

  #adopt(kind: UpstreamKind): UpstreamTransport {
    const transport = this.#upstream.connect(kind, this);
    this.#transport = transport;
    this.#upstream.openSessions += 1;
    if (this.#isPaused) transport.pause();
    return transport;
  }

  #becomeReady(transport: UpstreamTransport): void {
    this.#state = 'ready';
    for (const call of this.#takeQueue()) call.dispatch(transport);
  }

  get #timers(): TimerWheel {
    return this.#upstream.dependencies.timers;
  }

  get #isClosed(): boolean {
    return this.#state === 'closed';
  }

  #takeQueue(): QueuedCall[] {
    const queue = this.#queue;
    this.#queue = [];
    return queue;
  }

  #failQueue(error: UpstreamError): void {
    for (const call of this.#takeQueue()) call.failed(error);
  }

  #releaseTransport(): UpstreamTransport | undefined {
    this.#isGeneralStreamDue = false;
    const transport = this.#transport;
    if (transport !== undefined) this.#upstream.openSessions -= 1;
    this.#transport = undefined;
    return transport;
  }

  async #dropTransport(): Promise<void> {
    await this.#releaseTransport()?.close();
  }
}

/** To the one who waits, no transport that fits is simply an upstream that cannot be used. */
function asFinalFailure(error: UpstreamError): UpstreamError {
  return error instanceof WrongTransportError ? new UpstreamFailedError(error.message, 'no', { cause: error }) : error;
}
