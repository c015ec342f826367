/**
 * Collects a request body and parses it.
 *
 * @param {import('node:http').IncomingMessage} request
 * @param {(message: any) => void} use
 */
export function readBody(request, use) {
  let text = '';
  request.setEncoding('utf8');
  request.on('data', (chunk) => {
    text += chunk;
  });
  request.on('end', () => use(text === '' ? undefined : JSON.parse(text)));
}
