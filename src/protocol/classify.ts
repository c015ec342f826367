/**
 * Which era one POSTed message belongs to. The body decides; the headers, which mirror it for those who do not read bodies, must agree.
 * @see https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning
 */
import { GatewayError } from '../core/errors.js';
import { isModernVersion, MODERN_VERSIONS } from './eras.js';
import { ErrorCode } from './error-codes.js';
import { decodeHeaderValue } from './header-value.js';
import type { Message, RequestId } from './message.js';
import { Method } from './methods.js';

export type Era = 'legacy' | 'modern';

/** A message of the modern era that breaks its rules; answered with HTTP 400 and its own code. */
export class ModernRefusalError extends GatewayError {
  override readonly code = 'MODERN_REFUSAL';
  readonly rpcCode: number;
  readonly id: RequestId | undefined;
  readonly data: object | undefined;

  constructor(rpcCode: number, message: string, id: RequestId | undefined, data?: object) {
    super(message);
    this.rpcCode = rpcCode;
    this.id = id;
    this.data = data;
  }
}

/** The headers that repeat what the body says. */
export interface MirrorHeaders {
  readonly version: string | undefined;
  readonly method: string | undefined;
  readonly name: string | undefined;
}

/** @throws {ModernRefusalError} the message claims to be modern and is not well-formed as such */
export function classify(message: Message, headers: MirrorHeaders): Era {
  const { claimedVersion: claimed } = message;
  const headerIsModern = headers.version !== undefined && isModernVersion(headers.version);
  if (claimed === undefined) {
    if (!headerIsModern || message.kind === 'response') return 'legacy';
    if (message.method === Method.initialize) throw mismatch(message, 'initialize belongs to another revision');
    if (message.kind === 'notification') return 'modern';
    throw new ModernRefusalError(ErrorCode.invalidParams, 'params._meta names no protocol version', message.id);
  }
  requireEnvelope(message, claimed, headers.version);
  if (message.kind === 'request') requireMirrors(message, headers);
  return 'modern';
}

function requireEnvelope(message: Message, claimed: string, headerVersion: string | undefined): void {
  if (message.kind === 'request' && !message.hasClientCapabilities) {
    throw new ModernRefusalError(ErrorCode.invalidParams, 'params._meta names no client capabilities', message.id);
  }
  if (headerVersion !== undefined && headerVersion !== claimed) {
    throw mismatch(message, 'MCP-Protocol-Version names another revision than the body');
  }
  if (!MODERN_VERSIONS.includes(claimed)) throw unsupportedVersion(claimed, message.id);
  if (headerVersion === undefined && message.kind === 'request') {
    throw mismatch(message, 'MCP-Protocol-Version is missing');
  }
}

function requireMirrors(message: Message, headers: MirrorHeaders): void {
  if (headers.method === undefined) throw mismatch(message, 'Mcp-Method is missing');
  if (headers.method !== message.method) throw mismatch(message, 'Mcp-Method names another method than the body');
  const name = mirroredName(message);
  if (name === undefined) return;
  if (headers.name === undefined) throw mismatch(message, 'Mcp-Name is missing');
  if (decodeHeaderValue(headers.name) !== name) throw mismatch(message, 'Mcp-Name names something else than the body');
}

/** What `Mcp-Name` repeats; undefined for methods that have no such thing. */
function mirroredName(message: Message): string | undefined {
  switch (message.method) {
    case 'tools/call':
    case 'prompts/get':
      return message.name;
    case 'resources/read':
      return message.uri;
    case 'tasks/get':
    case 'tasks/update':
    case 'tasks/cancel':
      return taskIdOf(message);
    default:
      return undefined;
  }
}

function taskIdOf(message: Message): string | undefined {
  const { params } = JSON.parse(message.raw.toString()) as { params?: { taskId?: unknown } };
  return typeof params?.taskId === 'string' ? params.taskId : undefined;
}

export function unsupportedVersion(requested: string, id: RequestId | undefined): ModernRefusalError {
  const data = { supported: MODERN_VERSIONS, requested };
  return new ModernRefusalError(ErrorCode.unsupportedVersion, 'unsupported protocol version', id, data);
}

function mismatch(message: Message, text: string): ModernRefusalError {
  return new ModernRefusalError(ErrorCode.headerMismatch, text, message.id);
}
