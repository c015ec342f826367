/** What tests of sessions have in common. */
import { EventEmitter } from 'node:events';
import type { Principal } from '../../../src/auth/principal.js';
import type { ClientRequest } from '../../../src/gateway/policies/gate.js';
import type { RequestId } from '../../../src/protocol/message.js';
import { scanUpstream } from '../../../src/protocol/scan.js';

export const ALICE: Principal = {
  id: 'alice',
  kind: 'api-key',
  role: undefined,
  tenant: undefined,
  claims: {},
  expiresAtMs: undefined,
};

export function requestOf(
  method: string,
  more: { readonly id?: RequestId; readonly params?: object } = {},
): ClientRequest {
  return scanUpstream(Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, method, ...more }))) as ClientRequest;
}

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
