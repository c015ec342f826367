import { describe, expect, test } from 'vitest';
import type { Message, Span } from '../../../src/protocol/message.js';
import { encodeId, replaceSpan, scanClientMessage, scanUpstream } from '../../../src/protocol/scan.js';
import { InvalidMessageError, NotJsonError } from '../../../src/protocol/scan-errors.js';

function one(text: string | Buffer): Message {
  const scanned = scanUpstream(Buffer.from(text as string));
  if (Array.isArray(scanned)) throw new Error('a batch');
  return scanned as Message;
}

function textAt(message: Message, span: Span | undefined): string | undefined {
  return span === undefined ? undefined : message.raw.toString('utf8', span.start, span.end);
}

/** A response whose result is larger than what is read in full. */
function large(inside: string): string {
  return `{"jsonrpc":"2.0","id":7,"result":{"pad":"${'x'.repeat(70_000)}",${inside}}}`;
}

describe('what an upstream may send', () => {
  test('requests and notifications, with what the gateway acts on', () => {
    const request = one(
      '{"jsonrpc":"2.0","id":0,"method":"sampling/createMessage","params":{"_meta":{"progressToken":"p"}}}',
    );
    const progress = one(
      '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":4,"progress":1}}',
    );
    const cancel = one('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"r"}}');
    const updated = one('{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"docs://a"}}');

    expect(request).toMatchObject({ kind: 'request', id: 0, progressToken: 'p' });
    expect(progress).toMatchObject({ kind: 'notification', progressToken: 4 });
    expect(cancel).toMatchObject({ kind: 'notification', requestId: 'r' });
    expect(textAt(cancel, cancel.requestIdSpan)).toBe('"r"');
    expect(updated).toMatchObject({ kind: 'notification', uri: 'docs://a' });
  });

  test.each([
    ['an error with id null', '{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}'],
    ['an error without id', '{"jsonrpc":"2.0","error":{"code":1,"message":""}}'],
  ])('%s', (_name, text) => {
    expect(one(text)).toMatchObject({ kind: 'response', isError: true, id: undefined, idSpan: undefined });
  });

  test.each([
    ['members nobody knows', '{"jsonrpc":"2.0","id":1,"result":{},"x":1,"Method":2,"ID":3}'],
    ['keys twice inside a result', '{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2}}'],
    ['numbers beyond a double', '{"jsonrpc":"2.0","id":1,"result":{"a":1e400}}'],
    ['half a surrogate pair in a result', '{"jsonrpc":"2.0","id":1,"result":{"\\ud800":"\\ud800"}}'],
    ['a result nested 998 deep', `{"jsonrpc":"2.0","id":1,"result":{"a":${'['.repeat(998)}${']'.repeat(998)}}}`],
  ])('%s', (_name, text) => {
    expect(one(text)).toMatchObject({ kind: 'response', id: 1 });
    expect(one(text).raw.toString()).toBe(text);
  });

  test('a batch', () => {
    const messages = scanUpstream(Buffer.from('[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","method":"m"}]'));
    expect(messages).toMatchObject([
      { kind: 'response', id: 1 },
      { kind: 'notification', method: 'm' },
    ]);
  });
});

describe('what an upstream may not send', () => {
  test.each([
    ['nothing', ''],
    ['HTML', '<html></html>'],
    ['a truncated message', '{"jsonrpc":"2.0","id":1,"result":{'],
    ['bad grammar inside a result', '{"jsonrpc":"2.0","id":1,"result":{"a":[1 2]}}'],
    ['a line feed inside a string', '{"jsonrpc":"2.0","id":1,"result":{"a":"\n"}}'],
    ['invalid UTF-8', Buffer.from('{"jsonrpc":"2.0","id":1,"result":{"a":"\x80"}}', 'latin1')],
  ])('not JSON: %s', (_name, text) => {
    expect(() => one(text)).toThrow(NotJsonError);
  });

  test.each([
    ['a fractional id', '{"jsonrpc":"2.0","id":1.5,"result":{}}'],
    ['a huge id', '{"jsonrpc":"2.0","id":9007199254740992,"result":{}}'],
    ['a result with id null', '{"jsonrpc":"2.0","id":null,"result":{}}'],
    ['a result without id', '{"jsonrpc":"2.0","result":{}}'],
    ['a request with id null', '{"jsonrpc":"2.0","id":null,"method":"ping"}'],
    ['an error with an id of the wrong type', '{"jsonrpc":"2.0","id":{},"error":{}}'],
    ['a wrong version', '{"jsonrpc":"2","id":1,"result":{}}'],
    ['method and result', '{"jsonrpc":"2.0","id":1,"result":{},"method":"m"}'],
    ['an id twice', '{"jsonrpc":"2.0","id":1,"result":{},"id":2}'],
    ['an id twice, escaped', '{"jsonrpc":"2.0","id":1,"result":{},"\\u0069d":2}'],
    ['a key of params twice', '{"jsonrpc":"2.0","method":"m","params":{"requestId":1,"requestId":2}}'],
    ['a key of _meta twice', '{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"a":1,"a":2}}}'],
    ['an empty batch', '[]'],
    ['a number', '12'],
    ['a result nested too deep', `{"jsonrpc":"2.0","id":1,"result":{"a":${'['.repeat(999)}${']'.repeat(999)}}}`],
  ])('no message: %s', (_name, text) => {
    expect(() => one(text)).toThrow(InvalidMessageError);
  });

  test('says which request a refused answer was for', () => {
    expect(() => one('{"jsonrpc":"2.0","result":[],"id":"r1"}')).toThrow(expect.objectContaining({ id: 'r1' }));
  });
});

describe('large results', () => {
  test.each([
    ['brackets in strings', '"a":"]}\\"]}"'],
    ['a backslash before the closing quote', '"a":"\\\\","b":"\\\\\\""'],
    ['long strings full of escaped quotes', `"a":"${'\\"]}'.repeat(500)}","b":"${`${'y'.repeat(60)}\\"`.repeat(50)}"`],
    ['long runs of backslashes', `"a":"${'\\\\'.repeat(500)}","b":"${'z'.repeat(60)}${'\\\\'.repeat(31)}\\""`],
    ['fake envelopes in strings', '"a":"\\"},\\"id\\":8,\\"result\\":{"'],
    ['nested containers', '"a":[{"b":[[],{}]},[[]]],"id":9'],
    ['text beyond ASCII', '"a":"☃😀é"'],
  ])('end where they end: %s', (_name, inside) => {
    const message = one(large(inside));
    expect(message).toMatchObject({ kind: 'response', id: 7, isError: false });
    expect(JSON.parse(textAt(message, message.resultSpan) as string)).toEqual(
      JSON.parse(`{"pad":"${'x'.repeat(70_000)}",${inside}}`),
    );
  });

  test('end where they end, however many backslashes stand before a quote, and wherever', () => {
    for (let padding = 40; padding < 56; padding += 1) {
      for (let backslashes = 0; backslashes < 5; backslashes += 1) {
        const tail = '\\\\'.repeat(backslashes);
        const inside = `"a":"${'y'.repeat(padding)}${tail}","b":"}","c":"${'y'.repeat(padding)}${tail}\\"}"`;
        const message = one(large(inside));
        expect(textAt(message, message.resultSpan)?.endsWith(`${inside}}`)).toBe(true);
      }
    }
  });

  test('may come before the rest, and in a batch', () => {
    const result = `{"t":"${'x'.repeat(70_000)}"}`;
    expect(one(`{"result":${result},"id":5,"jsonrpc":"2.0"}`)).toMatchObject({ kind: 'response', id: 5 });
    expect(scanUpstream(Buffer.from(`[{"result":${result},"id":5,"jsonrpc":"2.0"}]`))).toMatchObject([{ id: 5 }]);
  });

  test('stand on one line even when they came on many', () => {
    const pretty = JSON.stringify(JSON.parse(large('"a":[1,"x\\ny"]')), null, 2);
    const message = one(`${pretty}\r\n`);
    expect(message.raw.includes('\n')).toBe(false);
    expect(message.raw).toHaveLength(pretty.length);
    expect(JSON.parse(message.raw.toString())).toEqual(JSON.parse(pretty));
  });

  test('are not copied for a line break at the end', () => {
    const bytes = Buffer.from(`${large('"a":1')}\n`);
    expect((scanUpstream(bytes) as Message).raw.buffer).toBe(bytes.buffer);
  });

  test.each([
    ['an unterminated string', large('"a":"x').slice(0, -2)],
    ['an unterminated object', large('"a":1').slice(0, -2)],
    ['a raw line feed in a string', large('"a":"x\ny"')],
    ['a raw carriage return in a string', large('"a":"x\ry"')],
    ['invalid UTF-8', Buffer.from(large('"a":"\xff"'), 'latin1')],
    ['bytes behind', `${large('"a":1')}x`],
    ['a backslash at the very end', `${large('"a":1').slice(0, -4)},"b":"\\`],
  ])('are no JSON with %s', (_name, text) => {
    expect(() => one(text)).toThrow(NotJsonError);
  });

  test('have a limit of depth', () => {
    expect(one(large(`"a":${'['.repeat(998)}${']'.repeat(998)}`)).id).toBe(7);
    expect(() => one(large(`"a":${'['.repeat(999)}${']'.repeat(999)}`))).toThrow(expect.objectContaining({ id: 7 }));
  });

  test('of megabytes of brackets end in an answer', () => {
    const deep = `{"jsonrpc":"2.0","id":1,"result":{"a":${'['.repeat(2_000_000)}${']'.repeat(2_000_000)}}}`;
    expect(() => one(deep)).toThrow(InvalidMessageError);
    expect(() => one(deep.slice(0, 3_000_000))).toThrow(InvalidMessageError);
  });
});

describe('edits', () => {
  const limits = { maxDepth: 64, maxTokens: 1000 };

  test('replace an id, and a new scan finds everything where it is now', () => {
    const message = scanClientMessage(
      Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"é"}}'),
      limits,
    );
    const edited = scanClientMessage(replaceSpan(message, message.idSpan as Span, encodeId('gw:1')), limits);

    expect(edited).toMatchObject({ id: 'gw:1', method: 'tools/call', name: 'é' });
    expect(edited.raw.toString()).toBe('{"jsonrpc":"2.0","id":"gw:1","method":"tools/call","params":{"name":"é"}}');
    expect(textAt(edited, edited.paramsSpan)).toBe('{"name":"é"}');
    expect(message.raw.toString()).toContain('"id":1,');
  });

  test('take bytes as well as text', () => {
    const message = one('{"jsonrpc":"2.0","id":1,"result":{"a":1}}');
    expect(replaceSpan(message, message.resultSpan as Span, Buffer.from('{}')).toString()).toBe(
      '{"jsonrpc":"2.0","id":1,"result":{}}',
    );
  });

  test.each([1, -5, 0, Number.MAX_SAFE_INTEGER, '', '1', '"', '\u2028\n\\', 'é😀'])('the id %j survives', (id) => {
    expect(one(`{"jsonrpc":"2.0","id":${encodeId(id)},"result":{}}`).id).toBe(id);
  });
});
