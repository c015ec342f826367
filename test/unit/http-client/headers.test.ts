import { expect, test } from 'vitest';
import { renderHeaders } from '../../../src/http-client/headers.js';

test('renders lines in the order given', () => {
  expect(
    renderHeaders([
      ['Authorization', 'Bearer x'],
      ['x-empty', ''],
      ['x-tab', 'a\tb \xe9'],
    ]),
  ).toBe('Authorization: Bearer x\r\nx-empty: \r\nx-tab: a\tb \xe9\r\n');
  expect(renderHeaders([])).toBe('');
});

test.each(['a\rb', 'a\nb', 'a\r\nx: y', 'a\0', 'a\x7f', 'a\x1b', 'a\u010ab', '\u20ac', 'a\r\n'])(
  'refuses the value %j, without repeating it',
  (value) => {
    const render = (): string => renderHeaders([['x-secret', value]]);
    expect(render).toThrow(TypeError);
    expect(render).toThrow('illegal character in the value of header "x-secret"');
  },
);

test.each(['', 'a b', 'a:', 'a\r\n', 'caf\xe9', '(x)', 'a\0'])('refuses the name %j', (name) => {
  expect(() => renderHeaders([[name, 'x']])).toThrow('illegal header name');
});

test.each(['Host', 'content-length', 'Transfer-Encoding', 'connection', 'accept-encoding', 'Expect', 'TE', 'Upgrade'])(
  'refuses %s, which is not the caller’s to set',
  (name) => {
    expect(() => renderHeaders([[name, 'x']])).toThrow('is set by the HTTP client itself');
  },
);
