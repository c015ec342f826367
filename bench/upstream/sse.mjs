/** The HTTP+SSE transport of the synthetic server: GET opens a session, POST is answered on its stream. */
import { answer } from './messages.mjs';
import { readBody } from './read-body.mjs';
import { sendProgress } from './send-progress.mjs';

const STREAM_HEADERS = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' };

/** @param {string} messagesPath where clients of the sessions post to */
export function sseHandler(messagesPath) {
  /** @type {Map<string, import('node:http').ServerResponse>} */
  const streams = new Map();
  let opened = 0;

  const open = (response) => {
    opened += 1;
    const id = `s${opened}`;
    streams.set(id, response);
    response.on('close', () => streams.delete(id));
    response.writeHead(200, STREAM_HEADERS);
    response.write(`event: endpoint\ndata: ${messagesPath}?sessionId=${id}\n\n`);
  };

  const post = (request, response) => {
    const stream = streams.get(request.url.slice(request.url.indexOf('sessionId=') + 10));
    if (stream === undefined) {
      response.writeHead(404).end();
      return;
    }
    readBody(request, (message) => {
      response.writeHead(202, { 'content-length': 8 }).end('Accepted');
      if (message.id === undefined) return;
      const send = (text) => stream.write(`event: message\ndata: ${text}\n\n`);
      if (message.params?.name === 'progress') sendProgress(message, send);
      else send(answer(message));
    });
  };

  return (request, response) => (request.method === 'GET' ? open(response) : post(request, response));
}
