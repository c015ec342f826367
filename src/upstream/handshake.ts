/** What a client told its server once and a fresh upstream session has to hear again. */
import { type Message, type RequestId } from '../protocol/message.js';
import { Method } from '../protocol/methods.js';
import { scanUpstream } from '../protocol/scan.js';

/** A subscription list longer than this is a client gone wrong; the rest is not replayed. */
const MAX_SUBSCRIPTIONS = 1000;

export class Handshake {
  #initialize: Message | undefined;
  #initialized: Message | undefined;
  #setLevel: Message | undefined;
  #subscriptions: Map<string, Message> | undefined;

  /** Remembers what has to be said again. The bytes are copied: they are part of a larger socket buffer. */
  observe(message: Message): void {
    switch (message.method) {
      case Method.initialize:
        this.#initialize = keep(message);
        break;
      case Method.initialized:
        this.#initialized = keep(message);
        break;
      case Method.setLevel:
        this.#setLevel = keep(message);
        break;
      case Method.subscribe:
        this.#subscribe(message);
        break;
      case Method.unsubscribe:
        this.#subscriptions?.delete(message.uri ?? '');
        break;
      default:
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
