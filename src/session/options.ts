/** How long sessions live. Key by key for people in `docs/configuration.md`, which is made from this. */
import { z } from 'zod';
import { durationSchema } from '../core/option-schemas.js';

export interface SessionOptions {
  /** How long the upstream side is kept for a client that may come back with `Last-Event-ID`. */
  resumeGraceMs: number;
  /** Silence after which a session parks its upstream side. */
  idleTimeoutMs: number;
  /** Age after which a session is gone for good. */
  ttlMs: number;
}

export const sessionSchema = z
  .strictObject({
    resumeGrace: durationSchema({ min: '0s', max: '1h' })
      .prefault('2m')
      .describe('How long a client whose stream was cut may resume the same session.'),
    idleTimeout: durationSchema({ min: '10ms', max: '24h' })
      .prefault('15m')
      .describe('Silence after which a session parks: its upstream side is closed and reopened on the next request.'),
    ttl: durationSchema({ min: '10ms', max: '30d' })
      .prefault('24h')
      .describe('Age after which a session is gone; the client gets 404 and starts anew.'),
  })
  .transform(
    (keys): SessionOptions => ({
      resumeGraceMs: keys.resumeGrace,
      idleTimeoutMs: keys.idleTimeout,
      ttlMs: keys.ttl,
    }),
  )
  .prefault({})
  .describe('How long sessions live.');
