import type { Message } from '../protocol/message.js';

/** The revision a server settled on, from its answer to `initialize`; undefined when the answer names none. */
export function readInitializeResult(answer: Message): string | undefined {
  try {
    const body = JSON.parse(answer.raw.toString()) as { result?: { protocolVersion?: unknown } };
    const version = body.result?.protocolVersion;
    return typeof version === 'string' && /^[\w.-]{1,32}$/.test(version) ? version : undefined;
  } catch {
    return undefined;
  }
}
