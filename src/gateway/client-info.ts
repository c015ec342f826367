import type { Message } from '../protocol/message.js';
import type { ClientInfo } from './policies/ruling.js';
import { paramsOf } from './policies/subject.js';

/** What a client says of itself in `initialize`. */
export function clientInfoOf(initialize: Message): ClientInfo {
  return read(paramsOf(initialize)['clientInfo']);
}

/** What it says of itself in a request of the stateless revision. */
export function statelessClientInfoOf(request: Message): ClientInfo {
  const meta = paramsOf(request)['_meta'];
  if (typeof meta !== 'object' || meta === null) return {};
  return read((meta as Record<string, unknown>)['io.modelcontextprotocol/clientInfo']);
}

function read(info: unknown): ClientInfo {
  if (typeof info !== 'object' || info === null) return {};
  const { name, version } = info as Record<string, unknown>;
  return { name: text(name), version: text(version) };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value.slice(0, 256) : undefined;
}
