/**
 * What is asked, and how its answer is known to be the right one: by an id that repeats in every session and a nonce that never does.
 *
 * @typedef {object} Call
 * @property {string} method
 * @property {string} name of the tool; empty when there is none
 * @property {string} params JSON
 * @property {(message: Buffer) => boolean} isRight
 */
import { BIG_FILLER, TOOL_COUNT, TOOLS_JSON } from '../upstream/messages.mjs';

const run = Math.random().toString(36).slice(2, 8);
const toolsBytes = Buffer.from(TOOLS_JSON);
const fillerBytes = Buffer.from(BIG_FILLER);
let made = 0;

function newNonce() {
  made += 1;
  return `n-${run}-${made}-`;
}

/** @returns {Call} */
export function echo(meta = '') {
  const nonce = newNonce();
  return {
    method: 'tools/call',
    name: 'echo',
    params: `{"name":"echo","arguments":{"text":"${nonce}"}${meta}}`,
    isRight: (message) => textOf(message) === nonce,
  };
}

/** One result of 1 MiB. @returns {Call} */
export function big() {
  const nonce = newNonce();
  return {
    method: 'tools/call',
    name: 'big',
    params: `{"name":"big","arguments":{"text":"${nonce}"}}`,
    isRight: (message) => {
      const start = message.indexOf(nonce) + nonce.length;
      return start >= nonce.length && message.subarray(start, start + fillerBytes.length).equals(fillerBytes);
    },
  };
}

/** @returns {Call} */
export function toolsList() {
  return {
    method: 'tools/list',
    name: '',
    params: '{}',
    // A proxy that parses and writes anew may change the order of keys, so other bytes are not yet a wrong answer.
    isRight: (message) =>
      message.includes(toolsBytes) || JSON.parse(message.toString()).result.tools.length === TOOL_COUNT,
  };
}

/** `count` notifications, then the result. @param {number} token @param {number} count @returns {Call} */
export function progress(token, count) {
  const nonce = newNonce();
  return {
    method: 'tools/call',
    name: 'progress',
    params: `{"name":"progress","arguments":{"text":"${nonce}","count":${count}},"_meta":{"progressToken":${token}}}`,
    isRight: (message) => textOf(message) === nonce,
  };
}

/** @param {Buffer} message */
function textOf(message) {
  return JSON.parse(message.toString()).result?.content?.[0]?.text;
}
