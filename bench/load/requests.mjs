/** HTTP requests of the load generator, as text. */

const HOST = 'host: 127.0.0.1\r\n';
const ACCEPT = 'accept: application/json, text/event-stream\r\n';

export const LEGACY_VERSION = '2025-06-18';

/**
 * @param {string} path
 * @param {string} body ASCII
 * @param {string} headers rendered lines
 */
export function post(path, body, headers = '') {
  const length = `content-length: ${body.length}\r\n`;
  return `POST ${path} HTTP/1.1\r\n${HOST}content-type: application/json\r\n${ACCEPT}${headers}${length}\r\n${body}`;
}

/** @param {string} path */
export function getStream(path) {
  return `GET ${path} HTTP/1.1\r\n${HOST}accept: text/event-stream\r\n\r\n`;
}

/** @param {string} path @param {string} headers */
export function remove(path, headers) {
  return `DELETE ${path} HTTP/1.1\r\n${HOST}${headers}\r\n`;
}

/** @param {number} id @param {string} method @param {string} params JSON */
export function jsonRpcRequest(id, method, params) {
  return `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}`;
}

/** @param {number} id @param {string} version */
export function initializeRequest(id, version) {
  const client = '"clientInfo":{"name":"bench","version":"1.0.0"}';
  return jsonRpcRequest(id, 'initialize', `{"protocolVersion":"${version}","capabilities":{},${client}}`);
}

export const INITIALIZED = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
