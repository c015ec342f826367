/**
 * Reads one JSON-RPC message: its envelope, the parts of `params` the gateway acts on, and the rules both must keep.
 * Broken rules are noted in the walker; whoever calls decides what follows from them.
 */
import { Byte } from './json-cursor.js';
import { JsonWalker } from './json-walker.js';
import type { Message, RequestId, Span } from './message.js';
import { Facts, isShort, readId, readText } from './scan-facts.js';
import { ENVELOPE_KEYS, META_KEYS, PARAMS_KEYS, type ProtocolKeys } from './scan-keys.js';

export class EnvelopeReader {
  readonly json = new JsonWalker();
  /** Results are skimmed: see `skimContainer`. */
  skimResults = false;
  /** The key read last is none of the protocol's, but could be taken for one; only ever so in strict reading. */
  #isLookalike = false;

  /** Reads the object at `pos`. The message holds only if nothing was noted in `json.problem` by the end of the text. */
  read(facts: Facts): Message {
    const { json } = this;
    const start = json.pos;
    json.sawLineBreak = false;
    json.openObject();
    for (let isFirst = true; json.nextKey(isFirst); isFirst = false) this.#readMember(facts, start);
    this.#judge(facts);
    return toMessage(facts, this.#rawOf(start));
  }

  /** The id of the object at `pos`, whatever else is wrong with it. @throws {NotJsonError} */
  findId(): RequestId | undefined {
    const { json } = this;
    const facts = new Facts();
    json.openObject();
    for (let isFirst = true; json.nextKey(isFirst); isFirst = false) {
      const isId = this.#key(ENVELOPE_KEYS) === 'id';
      if (this.#isLookalike || (isId && !json.keyIsNew)) facts.idIsReliable = false;
      if (isId) this.#readId(facts, 0);
      else json.skimValue();
    }
    return facts.idIsReliable ? facts.id : undefined;
  }

  #readMember(facts: Facts, start: number): void {
    const { json } = this;
    const key = this.#key(ENVELOPE_KEYS);
    if (this.#isLookalike || (key === 'id' && !json.keyIsNew)) facts.idIsReliable = false;
    switch (key) {
      case 'jsonrpc':
        facts.isVersion2 = readText(json) === '2.0';
        break;
      case 'id':
        this.#readId(facts, start);
        break;
      case 'method':
        facts.hasMethod = true;
        facts.method = readText(json);
        break;
      case 'params':
        this.#readParams(facts, start);
        break;
      case 'result':
      case 'error':
        this.#readResult(facts, start, key === 'error');
        break;
      default:
        json.skipValue();
    }
  }

  #readId(facts: Facts, start: number): void {
    const { json } = this;
    const valueStart = json.pos;
    const id = readId(json);
    facts.hasId = true;
    facts.idIsNull = json.bytes[valueStart] === 0x6e;
    facts.id = id !== undefined && isShort(id) ? id : undefined;
    facts.idSpan = this.#spanFrom(valueStart, start);
  }

  #readResult(facts: Facts, start: number, isError: boolean): void {
    const { json } = this;
    const valueStart = json.pos;
    if (json.peek() !== Byte.openObject) json.note('`result` or `error` is not an object');
    if (this.skimResults) json.skimValue();
    else json.skipValue();
    if (isError) facts.hasError = true;
    else facts.hasResult = true;
    facts.resultSpan = this.#spanFrom(valueStart, start);
  }

  #readParams(facts: Facts, start: number): void {
    const { json } = this;
    const valueStart = json.pos;
    if (json.peek() !== Byte.openObject) {
      json.note('`params` is not an object');
      json.skipValue();
    } else {
      json.openObject();
      for (let isFirst = true; json.nextKey(isFirst); isFirst = false) this.#readParam(facts, start);
    }
    facts.paramsSpan = this.#spanFrom(valueStart, start);
  }

  #readParam(facts: Facts, start: number): void {
    const { json } = this;
    const valueStart = json.pos;
    switch (this.#key(PARAMS_KEYS)) {
      case 'name':
        facts.name = readText(json);
        break;
      case 'uri':
        facts.uri = readText(json);
        break;
      case 'arguments':
        json.skipValue();
        facts.argumentsSpan = this.#spanFrom(valueStart, start);
        break;
      case 'requestId':
        facts.requestId = readId(json);
        facts.requestIdSpan = this.#spanFrom(valueStart, start);
        break;
      case 'progressToken':
        facts.paramsToken = readId(json);
        break;
      case '_meta':
        this.#readMeta(facts);
        break;
      default:
        json.skipValue();
    }
  }

  #readMeta(facts: Facts): void {
    const { json } = this;
    if (json.peek() !== Byte.openObject) return json.skipValue();
    json.openObject();
    for (let isFirst = true; json.nextKey(isFirst); isFirst = false) {
      switch (this.#key(META_KEYS)) {
        case 'progressToken':
          facts.metaToken = readId(json);
          break;
        case 'io.modelcontextprotocol/protocolVersion':
          facts.claimedVersion = readText(json);
          break;
        case 'io.modelcontextprotocol/clientCapabilities':
          facts.hasClientCapabilities = json.peek() === Byte.openObject;
          json.skipValue();
          break;
        default:
          json.skipValue();
      }
    }
  }

  #key(keys: ProtocolKeys): string | undefined {
    const { json } = this;
    const key = keys.find(json.bytes, json.keyStart, json.keyEnd, json.keyText);
    this.#isLookalike =
      key === undefined && json.strict && keys.isLookalike(json.bytes, json.keyStart, json.keyEnd, json.keyText);
    if (this.#isLookalike) json.note('a key could be taken for a key of the protocol');
    return key;
  }

  #judge(facts: Facts): void {
    const { json } = this;
    const isResponse = facts.hasResult || facts.hasError;
    if (!facts.isVersion2) json.note('`jsonrpc` is not "2.0"');
    if (facts.hasMethod === isResponse) json.note('neither a request nor a response');
    if (facts.hasResult && facts.hasError) json.note('both `result` and `error`');
    if (facts.hasMethod && facts.method === undefined) json.note('`method` is not a string');
    if (json.strict && isResponse && facts.paramsSpan !== undefined) json.note('a response with `params`');
    const needsId = isResponse || facts.hasId;
    // Servers answer a request they could not read with an error that names none; a client has no reason to.
    const mayBeNameless = facts.hasError && !json.strict && (!facts.hasId || facts.idIsNull);
    if (needsId && facts.id === undefined && !mayBeNameless) {
      json.note('`id` is missing, or not a short string or a safe integer');
    }
  }

  #spanFrom(valueStart: number, messageStart: number): Span {
    return { start: valueStart - messageStart, end: this.json.pos - messageStart };
  }

  /** The bytes from `start` to `pos` on one line. */
  #rawOf(start: number): Buffer {
    const { json } = this;
    if (json.sawLineBreak) return onOneLine(json.bytes.subarray(start, json.pos));
    return start === 0 && json.pos === json.end ? json.bytes : json.bytes.subarray(start, json.pos);
  }
}

/** A copy with a space for each CR and LF; a JSON text has them only between tokens, and every span still holds. */
function onOneLine(bytes: Buffer): Buffer {
  const line = Buffer.from(bytes);
  for (let pos = 0; pos < line.length; pos += 1) {
    if (line[pos] === Byte.lineFeed || line[pos] === Byte.carriageReturn) line[pos] = Byte.space;
  }
  return line;
}

function toMessage(facts: Facts, raw: Buffer): Message {
  const isResponse = facts.hasResult || facts.hasError;
  const isRequest = !isResponse && facts.hasId;
  const isCancel = facts.method === 'notifications/cancelled' && facts.requestId !== undefined;
  const paramsToken = facts.method === 'notifications/progress' ? facts.paramsToken : undefined;
  return {
    kind: isResponse ? 'response' : isRequest ? 'request' : 'notification',
    raw,
    id: facts.id,
    idSpan: facts.id === undefined ? undefined : facts.idSpan,
    method: facts.method,
    paramsSpan: isResponse ? undefined : facts.paramsSpan,
    isError: facts.hasError,
    resultSpan: facts.resultSpan,
    name: isResponse ? undefined : facts.name,
    uri: isResponse ? undefined : facts.uri,
    argumentsSpan: isResponse ? undefined : facts.argumentsSpan,
    progressToken: isRequest ? facts.metaToken : isResponse ? undefined : paramsToken,
    claimedVersion: isResponse ? undefined : facts.claimedVersion,
    hasClientCapabilities: !isResponse && facts.hasClientCapabilities,
    requestId: isCancel && !isResponse ? facts.requestId : undefined,
    requestIdSpan: isCancel && !isResponse ? facts.requestIdSpan : undefined,
  };
}
