/** What tests of sessions that move between replicas have in common. */
import { EventEmitter } from 'node:events';
import type { Principal } from '../../../src/auth/principal.js';

export const ALICE: Principal = {
  id: 'alice',
  kind: 'api-key',
  role: undefined,
  tenant: undefined,
  claims: {},
  expiresAtMs: undefined,
};

/** An HTTP answer as far as it got. */
export class FakeResponse extends EventEmitter {
  destroyed = false;
  headersSent = false;
  status: number | undefined;
  body = '';
  isEnded = false;
  useChunkedEncodingByDefault = true;
  readonly req = { complete: true, headers: {} };

  writeHead(status: number): this {
    this.status = status;
    this.headersSent = true;
    return this;
  }

  write(bytes: Buffer | string): boolean {
    this.body += bytes.toString();
    return true;
  }

  end(bytes: Buffer | string = ''): void {
    this.body += bytes.toString();
    this.isEnded = true;
  }

  setTimeout(): void {}

  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}
