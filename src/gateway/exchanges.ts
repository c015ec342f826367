/**
 * The exchanges of one session that are under way, and everything by which one of them is found.
 * Ids pass unchanged; only one that is in flight already is replaced by ours. What becomes of an exchange is not decided here.
 */
import type { ProgressToken, RequestId } from '../protocol/message.js';
import type { UpstreamError } from '../protocol/transport.js';
import type { Exchange } from './exchange.js';

export class Exchanges {
  readonly #byUpstreamId = new Map<RequestId, Exchange>();
  readonly #byProgressToken = new Map<ProgressToken, Exchange>();
  #replacedIds = 0;

  get size(): number {
    return this.#byUpstreamId.size;
  }

  /** The id under which the upstream is to see a request: the client's own, unless that one is in flight already. */
  upstreamIdFor(clientId: RequestId): RequestId {
    return this.#byUpstreamId.has(clientId) ? this.#newId() : clientId;
  }

  add(exchange: Exchange): void {
    this.#byUpstreamId.set(exchange.upstreamId, exchange);
    if (exchange.progressToken !== undefined) this.#byProgressToken.set(exchange.progressToken, exchange);
  }

  remove(exchange: Exchange): void {
    this.#byUpstreamId.delete(exchange.upstreamId);
    // A later exchange may have come with the same token.
    if (exchange.progressToken !== undefined && this.#byProgressToken.get(exchange.progressToken) === exchange) {
      this.#byProgressToken.delete(exchange.progressToken);
    }
  }

  byUpstreamId(id: RequestId): Exchange | undefined {
    return this.#byUpstreamId.get(id);
  }

  byProgressToken(token: ProgressToken): Exchange | undefined {
    return this.#byProgressToken.get(token);
  }

  /** Of several to which the client gave the same id, the newest. */
  byClientId(id: RequestId): Exchange | undefined {
    let found: Exchange | undefined;
    for (const exchange of this.#byUpstreamId.values()) if (exchange.clientId === id) found = exchange;
    return found;
  }

  get newest(): Exchange | undefined {
    let newest: Exchange | undefined;
    for (const exchange of this.#byUpstreamId.values()) newest = exchange;
    return newest;
  }

  pause(): void {
    for (const exchange of this.#byUpstreamId.values()) exchange.call?.pause();
  }

  resume(): void {
    for (const exchange of this.#byUpstreamId.values()) exchange.call?.resume();
  }

  /** The upstream will answer none of them. */
  fail(error: UpstreamError): void {
    for (const exchange of [...this.#byUpstreamId.values()]) exchange.failed(error);
  }

  /** Their session ends. */
  end(error: UpstreamError): void {
    for (const exchange of [...this.#byUpstreamId.values()]) exchange.end(error);
  }

  #newId(): string {
    let id: string;
    do {
      this.#replacedIds += 1;
      id = `gw:r${this.#replacedIds}`;
    } while (this.#byUpstreamId.has(id));
    return id;
  }
}
