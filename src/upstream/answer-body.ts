/** The body of one HTTP answer of an upstream, as messages: JSON collected to its end, or an event stream as it comes. */
import { describeError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import type { Message } from '../protocol/message.js';
import { scanUpstream } from '../protocol/scan.js';
import { SseDecoder } from '../protocol/sse-decoder.js';
import { UpstreamFailedError } from './errors.js';

export type BodyKind = 'none' | 'json' | 'events' | 'error';

/** An error page is read this far for a JSON-RPC error, no further. */
const MAX_ERROR_BODY_BYTES = 64 * 1024;

export function bodyKind(status: number, contentType: string | undefined, isAnswerDue: boolean): BodyKind {
  if (status >= 300 || status < 200) return 'error';
  const type = (contentType ?? '').toLowerCase();
  if (type.startsWith('text/event-stream')) return 'events';
  return type.startsWith('application/json') && isAnswerDue ? 'json' : 'none';
}

/** Bytes kept until the end of the body. */
export class CollectedBody {
  readonly #limitBytes: number;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(kind: 'json' | 'error', maxMessageBytes: number) {
    this.#limitBytes = kind === 'error' ? MAX_ERROR_BODY_BYTES : maxMessageBytes;
  }

  /** @returns false when that was too much; what came before is kept */
  push(chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#limitBytes) return false;
    this.#chunks.push(chunk);
    return true;
  }

  take(): Buffer {
    const [first] = this.#chunks;
    const body = this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks);
    this.#chunks.length = 0;
    return body;
  }
}

/** Hands out the messages in `data`; what cannot be read is logged and dropped, and its request ends by its deadline. */
export function readMessages(data: Buffer, logger: Logger, deliver: (message: Message) => void): void {
  let messages: Message | readonly Message[];
  try {
    messages = scanUpstream(data);
  } catch (error) {
    logger.warn('upstream_garbage', 'dropped an unreadable message of the upstream', { reason: describeError(error) });
    return;
  }
  if (Array.isArray(messages)) for (const message of messages as readonly Message[]) deliver(message);
  else deliver(messages as Message);
}

/** The answer to the request `id` that an error page may carry. */
export function readErrorAnswer(body: Buffer, id: Message['id']): Message | undefined {
  try {
    const message = scanUpstream(body);
    if (Array.isArray(message)) return undefined;
    const single = message as Message;
    return single.kind === 'response' && id !== undefined && single.id === id ? single : undefined;
  } catch {
    // HTML, or nothing at all: the status alone speaks.
    return undefined;
  }
}

export interface EventBodyHandlers {
  onMessage(message: Message): void;
  /** Where to go on when the stream breaks. */
  onEventId(id: string | undefined): void;
  /** An event with an id and nothing else. */
  onPriming(): void;
  /** In milliseconds. */
  onRetry(ms: number): void;
}

/** @throws by `push`, {@link UpstreamFailedError}: the stream cannot be read any further */
export class EventBody {
  readonly #decoder: SseDecoder;

  constructor(handlers: EventBodyHandlers, logger: Logger, maxMessageBytes: number) {
    this.#decoder = new SseDecoder(
      {
        onEvent: (event) => {
          handlers.onEventId(usableId(event.lastEventId));
          if (event.event === 'message') readMessages(event.data, logger, (message) => handlers.onMessage(message));
        },
        onEmptyEvent: (id) => {
          handlers.onEventId(usableId(id));
          handlers.onPriming();
        },
        onRetry: (ms) => handlers.onRetry(ms),
      },
      maxMessageBytes,
    );
  }

  push(chunk: Buffer): void {
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      const text = `the upstream broke the event stream: ${describeError(error)}`;
      throw new UpstreamFailedError(text, 'unknown', { cause: error });
    }
  }
}

/** An id goes back in a header, which takes no other characters. */
function usableId(id: string | undefined): string | undefined {
  return id !== undefined && /^[\x20-\x7e]{1,1024}$/.test(id) ? id : undefined;
}
