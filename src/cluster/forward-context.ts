/**
 * What is the same in many requests that one replica passes on to another: all but the body and the time. A client says much the same
 * with each request of a session, so it is written once, and looked at again only as far as is needed to know that it still fits.
 */
import { hash } from 'node:crypto';
import { encodeEnvelope, type Envelope, type ForwardFacts } from './envelope.js';
import { type IncomingHeaders, passedHeaders } from './passed-headers.js';

export interface ForwardHead {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** As the client sent it, percent-encoding included. */
  readonly path: string;
  readonly query: string;
  /** The client's, by lower-case name. */
  readonly headers: IncomingHeaders;
  readonly facts: ForwardFacts;
}

export class ForwardContext {
  readonly #to: string;
  readonly #head: ForwardHead;
  readonly #headerCount: number;
  /** The envelope as it stands in a header. */
  readonly text: string;
  readonly digest: string;

  constructor(from: string, to: string, head: ForwardHead) {
    const { method, path, query, headers, facts } = head;
    const envelope: Envelope = { v: 2, to, from, method, path, query, headers: passedHeaders(headers), ...facts };
    this.#to = to;
    this.#head = head;
    this.#headerCount = Object.keys(headers).length;
    this.text = encodeEnvelope(envelope);
    this.digest = digestOf(this.text);
  }

  /** Whether it says what has to be said of this request to this replica. */
  fits(to: string, head: ForwardHead): boolean {
    const { method, path, query, headers } = this.#head;
    return (
      this.#to === to &&
      method === head.method &&
      path === head.path &&
      query === head.query &&
      isSameCaller(this.#head.facts, head.facts) &&
      (headers === head.headers || this.#hasHeaders(head.headers))
    );
  }

  #hasHeaders(headers: IncomingHeaders): boolean {
    const known = this.#head.headers;
    let count = 0;
    for (const name in headers) {
      count += 1;
      if (headers[name] !== known[name] && name !== LENGTH) return false;
    }
    return count === this.#headerCount;
  }
}

/** Does not travel, and is another one each time. */
const LENGTH = 'content-length';

export function digestOf(text: string): string {
  return hash('sha256', text, 'base64url');
}

/** Flags are about one request: whoever says one says it anew. */
function isSameCaller(one: ForwardFacts, other: ForwardFacts): boolean {
  return (
    one.principal === other.principal &&
    one.ip === other.ip &&
    one.publicPrefix === other.publicPrefix &&
    one.flags === undefined &&
    other.flags === undefined
  );
}
