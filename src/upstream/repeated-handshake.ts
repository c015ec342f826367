/**
 * The handshake of a client's session once more, over a new connection: what the client said once is said again, under ids of ours.
 * When that is due, and what has to wait for it, is the upstream session's business.
 */
import type { TimerWheel } from '../core/timer-wheel.js';
import { ownRequest } from '../protocol/json-rpc.js';
import type { Message } from '../protocol/message.js';
import { type Delivery, NOBODY, type UpstreamError } from '../protocol/transport.js';
import { UpstreamFailedError } from './errors.js';
import { greet } from './greeting.js';
import type { Handshake } from './handshake.js';
import { readInitializeResult } from './initialize-result.js';
import { QueuedCall } from './queued-call.js';
import type { UpstreamCall, UpstreamTransport } from './transport.js';

export class RepeatedHandshake {
  readonly #timers: TimerWheel;
  /** What the server was asked last, while it has not answered. */
  #asked: OwnRequest | undefined;
  #ids = 0;

  constructor(timers: TimerWheel) {
    this.#timers = timers;
  }

  /**
   * @param onAgreed Is told the revision that both sides speak from now on.
   * @throws {UpstreamError} the server is out of reach, or does not take the client any more
   */
  async say(
    handshake: Handshake,
    transport: UpstreamTransport,
    onAgreed: (protocolVersion: string) => void,
  ): Promise<void> {
    onAgreed(await this.#initialize(handshake, transport));
    const { initialized } = handshake;
    if (initialized !== undefined) {
      await greet(new QueuedCall(initialized, NOBODY, undefined), transport, this.#timers);
    }
    // Log level and subscriptions: an error answer is the server's right, and no reason to give the session up.
    for (const message of handshake.state) await this.#request(transport, message);
  }

  /** @returns whether it is the answer to something that was asked here */
  takeAnswer(message: Message): boolean {
    const asked = this.#asked;
    if (asked === undefined || message.id !== asked.id) return false;
    asked.answered(message);
    this.#asked = undefined;
    return true;
  }

  /** The connection is lost, and no answer will come. */
  lost(error: UpstreamError): void {
    this.#asked?.failed(error);
    this.#asked = undefined;
  }

  /** Nobody waits any more; the upstream may never answer. */
  abort(): void {
    this.#asked?.call?.abort();
  }

  async #initialize({ initialize }: Handshake, transport: UpstreamTransport): Promise<string> {
    if (initialize === undefined) throw new UpstreamFailedError('the session is not initialized', 'no');
    const answer = await this.#request(transport, initialize);
    const version = answer.isError ? undefined : readInitializeResult(answer);
    if (version === undefined) throw new UpstreamFailedError('the upstream refused to initialize again', 'no');
    transport.setProtocolVersion(version);
    return version;
  }

  /** Sends the client's own request once more, under an id of ours. */
  #request(transport: UpstreamTransport, message: Message): Promise<Message> {
    this.#ids += 1;
    const request = new OwnRequest(`gw:${this.#ids}`);
    this.#asked = request;
    const params = JSON.parse(message.raw.toString()) as { params?: object };
    request.call = transport.send(
      ownRequest(request.id, message.method ?? '', params.params ?? {}),
      request,
      undefined,
    );
    return request.answer;
  }
}

/** A request the gateway itself makes of the upstream. */
class OwnRequest implements Delivery {
  readonly id: string;
  readonly answer: Promise<Message>;
  call: UpstreamCall | undefined;
  #resolve!: (message: Message) => void;
  #reject!: (error: UpstreamError) => void;

  constructor(id: string) {
    this.id = id;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever awaits it hears of a failure; a timed-out re-connection no longer does.
    this.answer.catch(() => {});
  }

  answered(message: Message): void {
    this.#resolve(message);
  }

  accepted(): void {}

  primed(): void {}

  failed(error: UpstreamError): void {
    this.#reject(error);
  }
}
