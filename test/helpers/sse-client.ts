/** Reads one SSE stream event by event, for tests that need exact events, ids and `Last-Event-ID`; never reconnects. */
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { createParser } from 'eventsource-parser';
import { waitFor } from './wait.js';

export interface SseEvent {
  /** `message` when the stream names none. */
  readonly event: string;
  readonly id: string | undefined;
  readonly data: string;
}

export interface SseRequestOptions {
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly lastEventId?: string;
}

export class SseStream {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** All events so far, those taken by `next` too. */
  readonly events: SseEvent[] = [];
  readonly comments: string[] = [];
  /** The last `retry:` seen, in milliseconds. */
  retryMs: number | undefined;
  /** What came instead of events when the answer is not an event stream. */
  body = '';
  #taken = 0;
  #ended = false;
  readonly #response: IncomingMessage;

  private constructor(response: IncomingMessage) {
    this.status = response.statusCode ?? 0;
    this.headers = response.headers;
    this.#response = response;
    const isEventStream = response.headers['content-type']?.startsWith('text/event-stream') ?? false;
    const parser = createParser({
      onEvent: ({ event, id, data }) => this.events.push({ event: event ?? 'message', id, data }),
      onComment: (comment) => this.comments.push(comment),
      onRetry: (retryMs) => {
        this.retryMs = retryMs;
      },
    });
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      if (isEventStream) parser.feed(chunk);
      else this.body += chunk;
    });
    response.on('error', () => {});
    response.on('close', () => {
      this.#ended = true;
    });
  }

  /** Resolves when the response head is there, whatever its status. */
  static open(url: string, options: SseRequestOptions = {}): Promise<SseStream> {
    const { method = 'GET', body, lastEventId } = options;
    const headers = {
      accept: method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream',
      ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
      ...options.headers,
    };
    return new Promise((resolve, reject) => {
      const outgoing = request(url, { method, headers, agent: false }, (response) => resolve(new SseStream(response)));
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  /** The id of the newest event that has one. */
  get lastEventId(): string | undefined {
    return this.events.findLast((event) => event.id !== undefined)?.id;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The next event that `next` has not returned yet. */
  async next(timeoutMs = 5000): Promise<SseEvent> {
    const event = await waitFor(
      'an SSE event',
      () => {
        const candidate = this.events[this.#taken];
        if (candidate === undefined && this.#ended) throw new Error('the SSE stream ended');
        return candidate;
      },
      timeoutMs,
    );
    this.#taken += 1;
    return event;
  }

  /** The next event's data as JSON. */
  async nextMessage(timeoutMs?: number): Promise<Record<string, unknown>> {
    return JSON.parse((await this.next(timeoutMs)).data) as Record<string, unknown>;
  }

  /** Waits until the other side has closed. */
  async end(timeoutMs = 5000): Promise<void> {
    await waitFor('the SSE stream to end', () => this.#ended, timeoutMs);
  }

  pause(): void {
    this.#response.pause();
  }

  resume(): void {
    this.#response.resume();
  }

  /** Drops the connection. */
  close(): void {
    this.#response.destroy();
  }
}
