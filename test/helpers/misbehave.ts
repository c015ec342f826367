/** How each fault of an `EvilUpstream` is acted out on node:http responses. */
import type { ServerResponse } from 'node:http';
import type { Fault } from './faults.js';

/** Where the answer to one message would go. */
export interface Delivery {
  readonly response: ServerResponse;
  /** The stream of an HTTP+SSE session; undefined on Streamable HTTP. */
  readonly stream: ServerResponse | undefined;
}

/** Faults that need no message to answer. @returns false when this one does */
export function breakOpening(fault: Fault, response: ServerResponse): boolean {
  if (fault.kind === 'reset' && fault.at !== 'stream') response.socket?.resetAndDestroy();
  else if (fault.kind === 'reset') startStream(response).write(': about to die\n\n', () => resetSoon(response));
  else if (fault.kind === 'hang' && fault.at === 'stream') say(startStream(response), fault.said);
  else if (fault.kind === 'no-reply') startStream(response).end();
  else if (fault.kind === 'html') response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome</h1>');
  else if (fault.kind === 'session-gone') response.writeHead(404).end();
  else if (fault.kind === 'redirect') response.writeHead(307, { location: fault.location }).end();
  else if (fault.kind === 'status') response.writeHead(fault.status, fault.headers).end(fault.body);
  else return fault.kind === 'hang';
  return true;
}

/** @returns false when the fault is in the reply itself (`spoil`) */
export function breakAnswer(fault: Fault, { response, stream }: Delivery): boolean {
  if (stream === undefined) {
    if (fault.kind !== 'cut-stream') return breakOpening(fault, response);
    startStream(response).write(': about to be cut\n\n', () => response.socket?.destroy());
    return true;
  }
  const acceptAnd = (then: () => void) => response.writeHead(202).end('Accepted', then);
  if (fault.kind === 'cut-stream') acceptAnd(() => stream.end());
  else if (fault.kind === 'hang' && fault.at === 'stream') acceptAnd(() => say(stream, fault.said));
  else if (fault.kind === 'no-reply') acceptAnd(() => {});
  else if (fault.kind === 'reset' && fault.at === 'stream') acceptAnd(() => resetSoon(stream));
  else return breakOpening(fault, response);
  return true;
}

/** The JSON texts that go out instead of one proper reply. */
export function spoil(
  fault: Fault | undefined,
  reply: { jsonrpc: string; id: string | number; result: unknown },
): string[] {
  const text = JSON.stringify(reply);
  switch (fault?.kind) {
    case 'not-json':
      return ['{"jsonrpc":"2.0","id":'];
    case 'wrong-id':
      return [JSON.stringify({ ...reply, id: `not-${reply.id}` })];
    case 'null-id':
      return [JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32603, message: 'who was that?' } })];
    case 'duplicate-reply':
      return [text, text];
    case 'huge-line':
      return [JSON.stringify({ ...reply, result: { content: [{ type: 'text', text: 'x'.repeat(fault.bytes) }] } })];
    default:
      return [text];
  }
}

function say(stream: ServerResponse, message: object | undefined): void {
  stream.flushHeaders();
  if (message !== undefined) stream.write(event(JSON.stringify(message)));
}

/** A reset that arrives together with data looks like an end to Node, so the data gets a head start. */
function resetSoon(response: ServerResponse): void {
  setTimeout(() => response.socket?.resetAndDestroy(), 20);
}

export function startStream(response: ServerResponse): ServerResponse {
  return response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
}

export function event(data: string): string {
  return `event: message\ndata: ${data}\n\n`;
}
