/** The answers of the synthetic server, as JSON made by putting strings together. Transports are the business of others. */

export const MODERN_VERSION = '2026-07-28';
export const TOOL_COUNT = 204;
export const BIG_TEXT_BYTES = 1024 * 1024;

const SERVER_INFO = '{"name":"bench-upstream","version":"1.0.0"}';
const CAPABILITIES = '{"tools":{"listChanged":true},"logging":{}}';
const FILLER = 'The quick brown fox jumps over the lazy dog; 0123456789. ';

/** Follows the nonce in every `big` result, so that a reader can compare it byte by byte. */
export const BIG_FILLER = FILLER.repeat(Math.ceil(BIG_TEXT_BYTES / FILLER.length)).slice(0, BIG_TEXT_BYTES - 64);

export const TOOLS_JSON = JSON.stringify(Array.from({ length: TOOL_COUNT }, (_, index) => tool(index)));

function tool(index) {
  const field = (description) => ({ type: 'string', description });
  return {
    name: `post_sms_${index}_message`,
    description: `Sends message ${index} to one recipient. The text is split when it is longer than one part can hold.`,
    inputSchema: {
      type: 'object',
      properties: {
        to: field('Phone number in international form'),
        text: field('What to send'),
        from: field('Sender'),
      },
      required: ['to', 'text'],
    },
  };
}

/**
 * @param {{ id: number | string, method: string, params?: Record<string, any> }} request
 * @returns {string} the whole response
 */
export function answer(request) {
  const id = JSON.stringify(request.id);
  const result = resultOf(request);
  if (result === undefined) return `{"jsonrpc":"2.0","id":${id},"error":{"code":-32601,"message":"Method not found"}}`;
  return `{"jsonrpc":"2.0","id":${id},"result":${result}}`;
}

function resultOf({ method, params }) {
  if (method === 'tools/call') return callResult(params);
  if (method === 'tools/list') return `{"tools":${TOOLS_JSON}}`;
  if (method === 'ping') return '{}';
  if (method === 'initialize') return initializeResult(params);
  if (method === 'server/discover') return discoverResult();
  return undefined;
}

function callResult({ name, arguments: given, _meta: meta }) {
  const nonce = JSON.stringify(given.text);
  const text = name === 'big' ? `${nonce.slice(0, -1)}${BIG_FILLER}"` : nonce;
  const type = meta?.['io.modelcontextprotocol/protocolVersion'] === MODERN_VERSION ? '"resultType":"complete",' : '';
  return `{${type}"content":[{"type":"text","text":${text}}]}`;
}

function initializeResult(params) {
  const version = JSON.stringify(params.protocolVersion);
  return `{"protocolVersion":${version},"capabilities":${CAPABILITIES},"serverInfo":${SERVER_INFO}}`;
}

function discoverResult() {
  const cache = '"ttlMs":3600000,"cacheScope":"public"';
  return `{"resultType":"complete","supportedVersions":["${MODERN_VERSION}"],"capabilities":${CAPABILITIES},${cache}}`;
}

/**
 * @param {number | string} token
 * @param {number} progress counted from 1
 * @param {number} total
 */
export function progressNotification(token, progress, total) {
  const params = `{"progressToken":${JSON.stringify(token)},"progress":${progress},"total":${total}}`;
  return `{"jsonrpc":"2.0","method":"notifications/progress","params":${params}}`;
}
