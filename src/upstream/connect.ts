/** The only place that knows which class speaks which transport. */
import type { Message } from '../protocol/message.js';
import type { Delivery, UpstreamError, UpstreamKind } from '../protocol/transport.js';
import type { Secrets } from './secrets.js';
import { SseTransport } from './sse-transport.js';
import { StreamableHttpTransport } from './streamable-http-transport.js';
import type { UpstreamListener, UpstreamTransport } from './transport.js';
import type { Upstream } from './upstream.js';

export function connectTransport(
  upstream: Upstream,
  kind: UpstreamKind,
  listener: UpstreamListener,
): UpstreamTransport {
  const options = {
    http: upstream.http,
    url: upstream.url,
    headers: upstream.headers,
    connectTimeoutMs: upstream.options.timeouts.connectMs,
    timers: upstream.dependencies.timers,
    logger: upstream.dependencies.logger,
    maxMessageBytes: upstream.dependencies.maxMessageBytes,
  };
  const hears = upstream.hasSecrets ? new Redactor(upstream.secrets, listener) : listener;
  switch (kind) {
    case 'sse':
      return new SseTransport(options, hears);
    case 'streamable-http':
      return new StreamableHttpTransport(options, hears);
  }
}

/** Stands between a transport and whoever listens to it, and takes our credentials out of what the upstream says. */
class Redactor implements UpstreamListener {
  readonly #secrets: Secrets;
  readonly #listener: UpstreamListener;

  constructor(secrets: Secrets, listener: UpstreamListener) {
    this.#secrets = secrets;
    this.#listener = listener;
  }

  onMessage(message: Message, related: Delivery | undefined): void {
    this.#listener.onMessage(this.#secrets.redact(message), related);
  }

  onHeard(sessionId: string, eventId: string | undefined): void {
    this.#listener.onHeard(sessionId, eventId);
  }

  onLost(error: UpstreamError): void {
    this.#listener.onLost(error);
  }
}
