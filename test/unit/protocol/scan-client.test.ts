import { describe, expect, test } from 'vitest';
import { InvalidMessageError, NotJsonError } from '../../../src/protocol/scan-errors.js';
import { scanClientBody, scanClientMessage } from '../../../src/protocol/scan.js';
import type { Message, Span } from '../../../src/protocol/message.js';

const LIMITS = { maxDepth: 64, maxTokens: 100_000 };

function scan(text: string | Buffer, limits = LIMITS): Message {
  return scanClientMessage(Buffer.from(text as string), limits);
}

function caught(run: () => unknown): unknown {
  try {
    return { returned: run() };
  } catch (error) {
    return error;
  }
}

function textAt(message: Message, span: Span | undefined): string | undefined {
  return span === undefined ? undefined : message.raw.toString('utf8', span.start, span.end);
}

function request(members: string): string {
  return `{"jsonrpc":"2.0","id":1,"method":"tools/call",${members}}`;
}

describe('facts of a message', () => {
  test('reads a request', () => {
    const message = scan(
      '{"method":"tools/call","params":{"name":"echo","arguments":{"a":[1,{}]},"_meta":{"progressToken":7}},"jsonrpc":"2.0","id":"x"}',
    );

    expect(message).toMatchObject({ kind: 'request', id: 'x', method: 'tools/call', name: 'echo', progressToken: 7 });
    expect(message).toMatchObject({ isError: false, uri: undefined, requestId: undefined, resultSpan: undefined });
    expect(textAt(message, message.idSpan)).toBe('"x"');
    expect(textAt(message, message.paramsSpan)).toBe(
      '{"name":"echo","arguments":{"a":[1,{}]},"_meta":{"progressToken":7}}',
    );
  });

  test('reads params that come before the method', () => {
    const progress = scan(
      '{"params":{"progressToken":"t","_meta":{"progressToken":9}},"jsonrpc":"2.0","method":"notifications/progress"}',
    );
    const cancel = scan('{"params":{"requestId": 12},"method":"notifications/cancelled","jsonrpc":"2.0"}');

    expect(progress).toMatchObject({ kind: 'notification', progressToken: 't', id: undefined, idSpan: undefined });
    expect(cancel).toMatchObject({ kind: 'notification', requestId: 12, progressToken: undefined });
    expect(textAt(cancel, cancel.requestIdSpan)).toBe('12');
  });

  test('keeps the request id of a cancellation and of nothing else', () => {
    const message = scan(request('"params":{"requestId":5,"progressToken":6}'));
    expect(message).toMatchObject({ requestId: undefined, requestIdSpan: undefined, progressToken: undefined });
  });

  test('reads responses', () => {
    const result = scan('{"jsonrpc":"2.0","id":3,"result":{"ok":true}}');
    const error = scan('{"jsonrpc":"2.0","id":-3,"error":{"code":-1,"message":"no"}}');

    expect(result).toMatchObject({ kind: 'response', id: 3, isError: false, method: undefined, paramsSpan: undefined });
    expect(textAt(result, result.resultSpan)).toBe('{"ok":true}');
    expect(error).toMatchObject({ kind: 'response', id: -3, isError: true });
    expect(textAt(error, error.resultSpan)).toBe('{"code":-1,"message":"no"}');
  });

  test('decodes escapes in keys and values', () => {
    const message = scan(
      '{"jsonrpc":"2.0","i\\u0064":"\\u00e9\\n","m\\u0065thod":"tools\\/call","params":{"n\\u0061me":"\\ud83d\\ude00"}}',
    );
    expect(message).toMatchObject({ id: 'é\n', method: 'tools/call', name: '😀', kind: 'request' });
  });

  test('reads names beyond ASCII as they are', () => {
    expect(scan(request('"params":{"name":"naïve ☃","uri":"docs://é"}'))).toMatchObject({
      name: 'naïve ☃',
      uri: 'docs://é',
    });
  });

  test.each(['5', 'null', '{}', '["echo"]', 'true'])('a name or uri of %s is no name', (value) => {
    expect(scan(request(`"params":{"name":${value},"uri":${value}}`))).toMatchObject({
      name: undefined,
      uri: undefined,
    });
  });

  test.each(['1.5', '1e3', '9007199254740993', '{}', 'null'])('a progress token of %s is no token', (value) => {
    expect(scan(request(`"params":{"_meta":{"progressToken":${value}}}`)).progressToken).toBeUndefined();
  });

  test('lets members pass that the protocol does not know, and numbers as they were written', () => {
    const text = request('"params":{"arguments":{"n":1.0e2,"big":12345678901234567890,"zero":-0}},"extra":[null]');
    expect(scan(text).raw.toString()).toBe(text);
  });

  test('treats keys of Object.prototype like any other', () => {
    const text = request('"params":{"__proto__":{"name":"x"},"constructor":1,"arguments":{"toString":1}}');
    expect(scan(text)).toMatchObject({ name: undefined, method: 'tools/call' });
    expect(({} as { name?: string }).name).toBeUndefined();
  });
});

describe('the bytes of a message', () => {
  test('are the ones that came, without a copy', () => {
    const bytes = Buffer.from(request('"params":{}'));
    expect(scanClientMessage(bytes, LIMITS).raw).toBe(bytes);
  });

  test('lose the white space around them, and spans count from their start', () => {
    const message = scan(' \r\n\t{"jsonrpc":"2.0","id":42,"method":"ping"}\n ');
    expect(message.raw.toString()).toBe('{"jsonrpc":"2.0","id":42,"method":"ping"}');
    expect(textAt(message, message.idSpan)).toBe('42');
  });

  test('stand on one line, with every byte in its place', () => {
    const pretty = '{\r\n"jsonrpc":"2.0",\n"id":\r"a\\n",\n"method":"ping","params":{\n}\n}';
    const bytes = Buffer.from(pretty);
    const message = scanClientMessage(bytes, LIMITS);

    expect(message.raw.toString()).toBe(pretty.replace(/[\r\n]/g, ' '));
    expect(textAt(message, message.idSpan)).toBe('"a\\n"');
    expect(bytes.toString()).toBe(pretty);
  });
});

describe('not JSON', () => {
  const valid = request('"params":{}');
  test.each([
    ['nothing', ''],
    ['white space', ' \n'],
    ['a byte order mark', `\ufeff${valid}`],
    ['trailing bytes', `${valid}x`],
    ['two objects', `${valid}${valid}`],
    ['two objects on two lines', `${valid}\n${valid}`],
    ['a truncated object', valid.slice(0, -1)],
    ['a comma before }', '{"jsonrpc":"2.0",}'],
    ['a comma before ]', request('"params":{"a":[1,]}')],
    ['a leading comma', '{,"jsonrpc":"2.0"}'],
    ['no comma', '{"jsonrpc":"2.0" "id":1}'],
    ['no colon', '{"jsonrpc" "2.0"}'],
    ['a key without quotes', '{jsonrpc:"2.0"}'],
    ['single quotes', "{'jsonrpc':'2.0'}"],
    ['a number as key', '{1:2}'],
    ['mismatched brackets', request('"params":{"a":[}]')],
    ['a comment', request('"params":{/**/}')],
    ['a leading zero', request('"params":{"a":01}')],
    ['a lone minus', request('"params":{"a":-}')],
    ['a plus', request('"params":{"a":+1}')],
    ['a dot without digits', request('"params":{"a":1.}')],
    ['a dot first', request('"params":{"a":.5}')],
    ['an exponent without digits', request('"params":{"a":1e+}')],
    ['a hex number', request('"params":{"a":0x1}')],
    ['NaN', request('"params":{"a":NaN}')],
    ['Infinity', request('"params":{"a":-Infinity}')],
    ['a wrong literal', request('"params":{"a":nul}')],
    ['a literal in upper case', request('"params":{"a":TRUE}')],
    ['a tab in a string', request('"params":{"a":"\t"}')],
    ['a line feed in a string', request('"params":{"a":"\n"}')],
    ['a NUL in a string', request('"params":{"a":"\0"}')],
    ['an unknown escape', request('"params":{"a":"\\x41"}')],
    ['an escaped apostrophe', request('"params":{"a":"\\\'"}')],
    ['a short \\u escape', request('"params":{"a":"\\u12"}')],
    ['a \\u escape without hex digits', request('"params":{"a":"\\u12g4"}')],
    ['an unterminated string', request('"params":{"a":"x')],
    ['a NUL between tokens', request('"params":{"a":\0 1}')],
    ['a form feed between tokens', request('\f"params":{}')],
    ['a no-break space between tokens', request('\u00a0"params":{}')],
    ['a truncated batch', `[${valid}`],
    ['a comma at the end of a batch', `[${valid},]`],
    ['a batch without commas', `[${valid} ${valid}]`],
  ])('%s', (_name, text) => {
    expect(() => scanClientBody(Buffer.from(text), LIMITS)).toThrow(NotJsonError);
    expect(() => scan(text)).toThrow(NotJsonError);
  });

  test.each([
    ['a stray continuation byte', [0x80]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
    ['a truncated sequence', [0xe2, 0x98]],
  ])('invalid UTF-8: %s', (_name, bytes) => {
    const [before, after] = request('"params":{"a":"|"}').split('|') as [string, string];
    const text = Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)]);
    expect(() => scan(text)).toThrow(NotJsonError);
  });

  test('is what text that breaks the grammar is called, whatever else it breaks before', () => {
    expect(() => scan('{"jsonrpc":"1.0","id":null,"id":1,"Method":3,"params":[')).toThrow(NotJsonError);
  });

  test('says where', () => {
    expect(caught(() => scan('{"jsonrpc":tru}'))).toMatchObject({ code: 'NOT_JSON', offsetBytes: 14 });
  });
});

describe('invalid messages', () => {
  test.each([
    ['a string', '"x"', undefined],
    ['null', 'null', undefined],
    ['an array of something else', '[1]', undefined],
    ['no version', '{"id":1,"method":"ping"}', 1],
    ['version 1.0', '{"jsonrpc":"1.0","id":1,"method":"ping"}', 1],
    ['a number as version', '{"jsonrpc":2.0,"id":1,"method":"ping"}', 1],
    ['no method and no result', '{"jsonrpc":"2.0","id":1}', 1],
    ['method and result', '{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}', 1],
    ['method and error', '{"jsonrpc":"2.0","id":1,"method":"ping","error":{}}', 1],
    ['result and error', '{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', 1],
    ['a response with params', '{"jsonrpc":"2.0","id":1,"result":{},"params":{}}', 1],
    ['a method that is no string', '{"jsonrpc":"2.0","id":1,"method":["ping"]}', 1],
    ['params that are an array', '{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', 1],
    ['params that are null', '{"jsonrpc":"2.0","id":1,"method":"ping","params":null}', 1],
    ['params that are a string', '{"jsonrpc":"2.0","id":"a","method":"ping","params":"{}"}', 'a'],
    ['a result that is an array', '{"jsonrpc":"2.0","id":1,"result":[]}', 1],
    ['a result that is null', '{"jsonrpc":"2.0","id":1,"result":null}', 1],
    ['an error that is a string', '{"jsonrpc":"2.0","id":1,"error":"x"}', 1],
    ['a result without id', '{"jsonrpc":"2.0","result":{}}', undefined],
    ['an error without id', '{"jsonrpc":"2.0","error":{}}', undefined],
    ['an error with id null', '{"jsonrpc":"2.0","id":null,"error":{}}', undefined],
    ['a number that is not finite', request('"params":{"a":1e400}'), 1],
    ['a negative one', request('"params":{"a":[-1e999]}'), 1],
    ['one of many digits', request(`"params":{"a":${'9'.repeat(400)}}`), 1],
    ['one outside of params', request('"extra":1e400'), 1],
  ])('%s', (_name, text, id) => {
    expect(caught(() => scan(text))).toMatchObject({ code: 'INVALID_MESSAGE', id });
  });

  test.each([
    'null',
    'true',
    '{}',
    '[1]',
    '1.5',
    '1.0',
    '1e2',
    '-0',
    '9007199254740992',
    '-9007199254740992',
    '9007199254740993',
    '123456789012345678901234567890',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    `"${'x'.repeat(513)}"`,
    `"${'é'.repeat(257)}"`,
  ])('an id of %s', (id) => {
    const text = `{"jsonrpc":"2.0","id":${id},"method":"ping"}`;
    expect(() => scan(text)).toThrow(InvalidMessageError);
  });

  test.each([
    ['0', 0],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['-9007199254740991', Number.MIN_SAFE_INTEGER],
    ['""', ''],
    ['"1"', '1'],
    [`"${'x'.repeat(512)}"`, 'x'.repeat(512)],
    [`"${'\\u0041'.repeat(512)}"`, 'A'.repeat(512)],
  ])('but not an id of %s', (text, id) => {
    expect(scan(`{"jsonrpc":"2.0","id":${text},"method":"ping"}`).id).toBe(id);
  });

  test.each([
    ['the method', '{"jsonrpc":"2.0","id":1,"method":"a\\ud800"}'],
    ['the name', request('"params":{"name":"\\udfff"}')],
    ['the uri', request('"params":{"uri":"x\\ud83dx"}')],
    ['a key of the envelope', request('"\\ud800":1')],
    ['a key deep inside', request('"params":{"arguments":{"a":[{"\\ud800":1}]}}')],
  ])('half a surrogate pair in %s', (_name, text) => {
    expect(caught(() => scan(text))).toMatchObject({ code: 'INVALID_MESSAGE', id: 1 });
  });

  test('but not half a surrogate pair in an argument', () => {
    expect(scan(request('"params":{"arguments":{"a":"\\ud800"}}')).method).toBe('tools/call');
  });
});

describe('keys that come twice', () => {
  const many = Array.from({ length: 40 }, (_, index) => `"k${index}":${index}`).join(',');
  test.each([
    ['method', request('"method":"ping"')],
    ['with an escape first', request('"params":{"n\\u0061me":"a","name":"b"}')],
    ['with an escape second', request('"params":{"name":"a","n\\u0061me":"b"}')],
    ['with two escapes', request('"params":{"n\\u0061me":"a","\\u006eame":"b"}')],
    ['in arguments', request('"params":{"arguments":{"a":1,"b":2,"a":3}}')],
    ['in _meta', request('"params":{"_meta":{"x":1,"x":2}}')],
    ['in an object of an array', request('"params":{"arguments":{"a":[[{"x":1},{"x":1,"x":2}]]}}')],
    ['after a nested object', request('"params":{"arguments":{"a":{"b":{"c":1}},"x":1,"a":2}}')],
    ['in a member nobody knows', request('"extra":{"x":1,"x":1}')],
    ['among many, the first', request(`"params":{"arguments":{${many},"k0":1}}`)],
    ['among many, the last', request(`"params":{"arguments":{${many},"k39":1}}`)],
    ['among many, with an escape', request(`"params":{"arguments":{${many},"\\u006b7":1}}`)],
    ['the empty key', request('"params":{"arguments":{"":1,"":2}}')],
    ['beyond ASCII', request('"params":{"arguments":{"é":1,"\\u00e9":2}}')],
    ['the fifth, after an escaped one', request('"params":{"arguments":{"\\u0061":1,"b":1,"c":1,"d":1,"b":2}}')],
    ['the sixth, escaped', request('"params":{"arguments":{"a":1,"b":1,"c":1,"d":1,"e":1,"\\u0063":2}}')],
    [
      'in the outer object, after an escape in the inner',
      request('"params":{"arguments":{"a":1,"b":1,"c":1,"d":1,"e":1,"f":{"\\u0061":1},"d":2}}'),
    ],
    ['the seventeenth', request(`"params":{"arguments":{${many.split(',').slice(0, 16).join(',')},"k3":1}}`)],
  ])('%s', (_name, text) => {
    expect(caught(() => scan(text))).toMatchObject({ code: 'INVALID_MESSAGE', id: 1 });
  });

  test('a doubled id is not to be trusted', () => {
    expect(caught(() => scan(request('"id":2')))).toMatchObject({ code: 'INVALID_MESSAGE', id: undefined });
    expect(caught(() => scan(request('"\\u0069d":1')))).toMatchObject({ code: 'INVALID_MESSAGE', id: undefined });
  });

  test.each([
    ['in different objects', request('"params":{"arguments":{"a":{"x":1},"b":{"x":1},"x":[{"x":1},{"x":1}]}}')],
    ['in parent and child', request('"params":{"name":"a","arguments":{"name":"b"}}')],
    ['with the same ends and length', request('"params":{"arguments":{"axb":1,"ayb":2}}')],
    ['many of them', request(`"params":{"arguments":{${many}}}`)],
    ['many of them, then others outside', request(`"params":{"arguments":{"a":{${many}},"k1":1},"k1":2}`)],
  ])('the same key is fine %s', (_name, text) => {
    expect(scan(text).id).toBe(1);
  });

  test('a hundred thousand keys are compared without going quadratic', () => {
    const keys = Array.from({ length: 100_000 }, (_, index) => `"key-${index}":0`).join(',');
    const limits = { maxDepth: 64, maxTokens: 1_000_000 };
    expect(scan(request(`"params":{"arguments":{${keys}}}`), limits).id).toBe(1);
    expect(() => scan(request(`"params":{"arguments":{${keys},"key-99999":1}}`), limits)).toThrow(InvalidMessageError);
  });
});

describe('keys that look like keys of the protocol', () => {
  test.each([
    ['Method', '{"jsonrpc":"2.0","id":1,"method":"a","Method":"b"}'],
    ['METHOD alone', '{"jsonrpc":"2.0","id":1,"METHOD":"b"}'],
    ['long s', request('"param\u017f":{}')],
    ['long s, escaped', request('"param\\u017f":{}')],
    ['fullwidth letters', request('"\uff50arams":{}')],
    ['a trailing NUL', request('"params\\u0000":{}')],
    ['a trailing space', request('"params ":{}')],
    ['a long tail of spaces and NULs', request(`"params${' \\u0000'.repeat(100)}":{}`)],
    ['a long tail of invisible characters', request(`"params${'\u200b\u2060'.repeat(100)}":{}`)],
    ['a leading space', request('" params":{}')],
    ['mathematical letters', request('"\u{1d5c9}\u{1d5ba}\u{1d5cb}\u{1d5ba}\u{1d5c6}\u{1d5cc}":{}')],
    ['a trailing no-break space', request('"params\u00a0":{}')],
    ['a zero-width space', request('"params\u200b":{}')],
    ['a zero-width joiner inside', request('"par\u200dams":{}')],
    ['a soft hyphen', request('"par\u00adams":{}')],
    ['a ligature', request('"params":{"no\ufb01":1,"noti\ufb01cations":1}')],
    ['Kelvin sign', request('"params":{"progressTo\u212aen":1}')],
    ['progresstoken', request('"params":{"progresstoken":1}')],
    ['Name', request('"params":{"Name":"b"}')],
    ['NAME beside name', request('"params":{"name":"a","NAME":"b"}')],
    ['Arguments', request('"params":{"Arguments":{}}')],
    ['dotless i', request('"params":{"ur\u0131":"x"}')],
    ['_Meta', request('"params":{"_Meta":{}}')],
    ['ProgressToken in _meta', request('"params":{"_meta":{"ProgressToken":1}}')],
    ['a reserved key of _meta', request('"params":{"_meta":{"io.modelcontextprotocol/protocolversion":1}}')],
    [
      'a reserved key of _meta, with a NUL',
      request('"params":{"_meta":{"io.modelcontextprotocol/logLevel\\u0000":1}}'),
    ],
  ])('%s', (_name, text) => {
    expect(caught(() => scan(text))).toBeInstanceOf(InvalidMessageError);
  });

  test.each(['jsonrpc', 'id', 'method', 'params', 'result', 'error'])('%s in upper case, in the envelope', (key) => {
    expect(() => scan(`{"jsonrpc":"2.0","method":"m","${key.toUpperCase()}":{}}`)).toThrow(InvalidMessageError);
  });

  test.each(
    [
      'name arguments uri cursor _meta requestId progressToken ref argument level protocolVersion',
      'capabilities clientInfo inputResponses requestState task reason progress total message notifications',
    ].flatMap((keys) => keys.split(' ')),
  )('%s in upper case, in params', (key) => {
    expect(() => scan(request(`"params":{"${key.toUpperCase()}":{}}`))).toThrow(InvalidMessageError);
    expect(scan(request(`"params":{"${key}":{}}`)).id).toBe(1);
  });

  test.each([
    'par ams',
    'paramsé',
    'parame\u0301',
    'рarams',
    'params2',
    'x'.repeat(500),
    'é'.repeat(500),
    ' ',
    '\u200b',
  ])('%j is a key of its own', (key) => {
    expect(scan(request(`"${key}":1`)).id).toBe(1);
  });

  test('an id beside a look-alike is not to be trusted', () => {
    expect(caught(() => scan(request('"ID":2')))).toMatchObject({ code: 'INVALID_MESSAGE', id: undefined });
  });

  test('are nobody’s business inside arguments', () => {
    const text = request(
      '"params":{"arguments":{"Name":1,"METHOD":2,"param\u017f":3},"x-other":1,"_meta":{"a.b/Name":1}}',
    );
    expect(scan(text).id).toBe(1);
  });
});

describe('limits', () => {
  function nested(depth: number): string {
    return request(`"params":{"a":${'['.repeat(depth - 2)}${']'.repeat(depth - 2)}}`);
  }

  test('depth counts the message itself', () => {
    expect(scan(nested(64)).id).toBe(1);
    expect(caught(() => scan(nested(65)))).toMatchObject({ code: 'INVALID_MESSAGE', id: 1 });
  });

  test('depth counts objects too', () => {
    const text = request(`"params":${'{"a":'.repeat(64)}1${'}'.repeat(64)}`);
    expect(caught(() => scan(text))).toMatchObject({ code: 'INVALID_MESSAGE', id: 1 });
  });

  test('tokens are keys, scalars and containers', () => {
    const text = '{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":[1,true,"x"]}}';
    expect(scan(text, { maxDepth: 64, maxTokens: 14 }).id).toBe(1);
    expect(caught(() => scan(text, { maxDepth: 64, maxTokens: 13 }))).toMatchObject({ code: 'INVALID_MESSAGE', id: 1 });
  });

  test('the id is found behind what was too much', () => {
    const text = `{"method":"m","params":{"a":${'['.repeat(100)}"]\\"]"${']'.repeat(100)}},"jsonrpc":"2.0","id":"late"}`;
    expect(caught(() => scan(text))).toMatchObject({ code: 'INVALID_MESSAGE', id: 'late' });
  });

  test.each([
    ['it comes twice', '"id":1,"id":1}'],
    ['the message is cut', '"id":1'],
    ['more follows', '"id":1}{}'],
    ['it is no id', '"id":{}}'],
  ])('but not when %s', (_name, rest) => {
    const text = `{"method":"m","params":{"a":${'['.repeat(100)}${']'.repeat(100)}},"jsonrpc":"2.0",${rest}`;
    expect(caught(() => scan(text))).toMatchObject({ code: 'INVALID_MESSAGE', id: undefined });
  });

  test('four megabytes of brackets end in an answer', () => {
    const half = 2 * 1024 * 1024;
    const text = request(`"params":{"a":${'['.repeat(half)}${']'.repeat(half)}}`);
    expect(caught(() => scan(text))).toMatchObject({ code: 'INVALID_MESSAGE', id: 1 });
    expect(scan(text, { maxDepth: half + 2, maxTokens: 2 * half }).id).toBe(1);
    expect(() => scan('['.repeat(half), { maxDepth: 2 * half, maxTokens: 2 * half })).toThrow(NotJsonError);
  });

  test('nothing of a refused message shows in the next one', () => {
    caught(() => scan(request('"params":{"name":"a","name":"b","uri":"u"}')));
    caught(() => scan(`{"a":${'{"b":'.repeat(80)}`));
    expect(scan('{"jsonrpc":"2.0","id":8,"method":"ping","params":{}}')).toMatchObject({
      kind: 'request',
      id: 8,
      name: undefined,
      uri: undefined,
    });
  });
});

describe('batches', () => {
  const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
  const note = '{"jsonrpc":"2.0","method":"notifications/initialized"}';

  function body(text: string): Message | readonly Message[] {
    return scanClientBody(Buffer.from(text), LIMITS);
  }

  test('one message is no batch', () => {
    expect(body(ping)).toMatchObject({ kind: 'request', id: 1 });
  });

  test('hold each message with its own bytes', () => {
    const messages = body(` [ ${ping} ,\n${note}\n, {"jsonrpc":"2.0",\n"id":2,"result":{}} ] `) as readonly Message[];

    expect(messages.map((message) => message.kind)).toEqual(['request', 'notification', 'response']);
    expect(messages.map((message) => message.raw.toString())).toEqual([
      ping,
      note,
      '{"jsonrpc":"2.0", "id":2,"result":{}}',
    ]);
    expect(messages.map((message) => textAt(message, message.idSpan))).toEqual(['1', undefined, '2']);
  });

  test.each([
    ['none', '[]'],
    ['none but space', '[ ]'],
    ['33', `[${Array.from({ length: 33 }, () => ping).join(',')}]`],
    ['something else', `[${ping},5]`],
    ['a batch', `[[${ping}]]`],
    ['a bad one last', `[${ping},{"jsonrpc":"2.0","id":2}]`],
    ['a bad one first', `[{"jsonrpc":"2.0","id":2},${ping}]`],
  ])('a batch of %s is refused whole', (_name, text) => {
    expect(caught(() => body(text))).toMatchObject({ code: 'INVALID_MESSAGE', id: undefined });
  });

  test('32 messages are a batch', () => {
    expect(body(`[${Array.from({ length: 32 }, () => ping).join(',')}]`)).toHaveLength(32);
  });

  test('are refused where one message is wanted', () => {
    expect(caught(() => scan(`[${ping}]`))).toMatchObject({ code: 'INVALID_MESSAGE', id: undefined });
  });

  test('the limit of tokens is for all of it', () => {
    const limits = { maxDepth: 64, maxTokens: 13 };
    expect(scanClientBody(Buffer.from(ping), limits)).toMatchObject({ id: 1 });
    expect(() => scanClientBody(Buffer.from(`[${ping},${ping}]`), limits)).toThrow(InvalidMessageError);
  });
});
