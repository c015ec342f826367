/**
 * The credentials that one upstream is given. One that comes back in what the upstream says - tools that echo their request do that -
 * is taken out before a client sees it.
 */
import type { Message } from '../protocol/message.js';
import { scanUpstream } from '../protocol/scan.js';
import { isCredentialHeader } from './header-options.js';

const REPLACEMENT = '[redacted]';
/** Anything shorter is found in innocent text too. */
const MIN_SECRET_CHARACTERS = 8;
/** Of the tokens that were given out one after the other: those that may still be echoed. */
const MAX_TOKENS = 4;

export class Secrets {
  readonly #fixed: readonly string[];
  #tokens: string[] = [];
  #all: readonly Buffer[];

  /** @param headers Sent with every request, by lower-case name. */
  constructor(headers: Readonly<Record<string, string>>) {
    this.#fixed = Object.entries(headers)
      .filter(([name]) => isCredentialHeader(name))
      // Whoever knows what stands behind the scheme knows all.
      .map(([, value]) => value.replace(/^[A-Za-z]+ +/, ''))
      .flatMap(jsonForms);
    this.#all = this.#fixed.map((secret) => Buffer.from(secret));
  }

  /** Remembers a token for as long as a few newer ones have not taken its place. */
  addToken(token: string): void {
    this.#tokens = [...this.#tokens, token].slice(-MAX_TOKENS);
    this.#all = [...this.#fixed, ...this.#tokens.flatMap(jsonForms)].map((secret) => Buffer.from(secret));
  }

  get isEmpty(): boolean {
    return this.#all.length === 0;
  }

  /** The message without our credentials: itself, in the usual case, else made anew and scanned anew. */
  redact(message: Message): Message {
    const found = this.#all.filter((secret) => message.raw.includes(secret));
    if (found.length === 0) return message;
    let text = message.raw.toString();
    for (const secret of found) text = text.replaceAll(secret.toString(), REPLACEMENT);
    return scanUpstream(Buffer.from(text)) as Message;
  }
}

/** How a text may stand inside a JSON string: as it is, or with slashes escaped as some encoders do. */
function jsonForms(secret: string): string[] {
  if (secret.length < MIN_SECRET_CHARACTERS) return [];
  const plain = JSON.stringify(secret).slice(1, -1);
  return [...new Set([plain, plain.replaceAll('/', String.raw`\/`)])];
}
