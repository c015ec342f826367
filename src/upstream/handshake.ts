/** What a client told its server once and a fresh upstream session has to hear again. */
import { type Message, type RequestId } from '../protocol/message.js';
import { Method } from '../protocol/methods.js';
import { scanUpstream } from '../protocol/scan.js';

/** What a client told its server, as it is written down for whoever goes on with the session. */
export interface HandshakeRecord {
  readonly initialize: string;
  /** Log level and subscriptions: requests to repeat, in order. */
  readonly state: readonly string[];
}

const INITIALIZED = '{"jsonrpc":"2.0","method":"notifications/initialized"}';

/** A subscription list longer than this is a client gone wrong; the rest is not replayed. */
const MAX_SUBSCRIPTIONS = 1000;

export class Handshake {
  #initialize: Message | undefined;
  #initialized: Message | undefined;
  #setLevel: Message | undefined;
  #subscriptions: Map<string, Message> | undefined;

  /** Hearing `initialized` twice does a server no harm, never hearing it may. */
  static from({ initialize, state }: HandshakeRecord): Handshake {
    const handshake = new Handshake();
    for (const text of [initialize, INITIALIZED, ...state])
      handshake.observe(scanUpstream(Buffer.from(text)) as Message);
    return handshake;
  }

  /** Undefined before `initialize`. */
  get record(): HandshakeRecord | undefined {
    if (this.#initialize === undefined) return undefined;
    return {
      initialize: this.#initialize.raw.toString(),
      state: this.state.map(({ raw }) => raw.toString()),
    };
  }

  /**
   * Remembers what has to be said again. The bytes are copied: they are part of a larger socket buffer.
   *
   * @returns whether the record is another one now
   */
  observe(message: Message): boolean {
    switch (message.method) {
      case Method.initialize:
        this.#initialize = keep(message);
        return true;
      case Method.initialized:
        this.#initialized = keep(message);
        return false;
      case Method.setLevel:
        this.#setLevel = keep(message);
        return true;
      case Method.subscribe:
        this.#subscribe(message);
        return true;
      case Method.unsubscribe:
        return this.#subscriptions?.delete(message.uri ?? '') === true;
      default:
        return false;
    }
  }

  get initialize(): Message | undefined {
    return this.#initialize;
  }

  get initialized(): Message | undefined {
    return this.#initialized;
  }

  /** Requests to repeat after the handshake, in order. */
  get state(): readonly Message[] {
    const level = this.#setLevel === undefined ? [] : [this.#setLevel];
    return [...level, ...(this.#subscriptions?.values() ?? [])];
  }

  get initializeId(): RequestId | undefined {
    return this.#initialize?.id;
  }

  #subscribe(message: Message): void {
    if (message.uri === undefined) return;
    this.#subscriptions ??= new Map();
    if (this.#subscriptions.size < MAX_SUBSCRIPTIONS) this.#subscriptions.set(message.uri, keep(message));
  }
}

/** The same message on bytes of its own. */
function keep(message: Message): Message {
  return scanUpstream(Buffer.from(message.raw)) as Message;
}
