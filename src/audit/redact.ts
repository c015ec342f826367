/**
 * Takes secrets out of text and of JSON values, by the name of the key and by the look of the value.
 * Every pattern runs in linear time on hostile text: bounded repeats, or a start that cannot follow its own characters.
 */

export const REDACTED = '[redacted]';

const MAX_DEPTH = 64;

/** Parts of a key's name, written without `-`, `_`, `.`, spaces or capitals, that make its value a secret. */
const SECRET_KEY_PARTS =
  /authorization|bearer|cookie|credential|passphrase|passw|privatekey|apikey|accesskey|secret|signature|token/;
const SECRET_KEYS: ReadonlySet<string> = new Set([
  'auth',
  'cvc',
  'cvv',
  'jwt',
  'otp',
  'pin',
  'pwd',
  'pass',
  'sessionid',
  'ssn',
]);

const SECRET_VALUES =
  // Private keys in PEM, an unfinished one too.
  '-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|$)' +
  // HTTP credentials.
  '|\\b(?:[Bb]earer|[Bb]asic|BEARER|BASIC)[ \\t]{1,8}[A-Za-z0-9+/=._~-]{8,}' +
  // JSON Web Tokens, signed or encrypted.
  '|(?<![\\w-])eyJ[\\w-]{5,}\\.[\\w-]{2,}(?:\\.[\\w-]*)*' +
  // Keys that providers mark: AWS, GitHub, GitLab, Slack, Google, Stripe, OpenAI and alike.
  '|\\b(?:AKIA|ASIA)[0-9A-Z]{16}\\b' +
  '|(?<![\\w-])(?:gh[opsur]_|github_pat_|glpat-|xox[abeprs]-|AIza|[rsp]k_(?:live|test)_|sk-)[\\w-]{16,}' +
  // User and password in a URL.
  '|(?<=:\\/\\/)[^\\s/@:]{0,128}:[^\\s/@]{1,128}(?=@)';

const EMAIL = '|(?<![\\w.+-])[\\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\\.[A-Za-z0-9-]{1,63}){1,8}';

const SECRETS = new RegExp(SECRET_VALUES, 'g');
const SECRETS_AND_EMAIL = new RegExp(SECRET_VALUES + EMAIL, 'g');

/** Replaces everything in `text` that looks like a secret. */
export function redactText(text: string): string {
  return text.replace(SECRETS, REDACTED);
}

/**
 * A copy of a JSON value without secrets and e-mail addresses. Values of keys that name a secret go whole, whatever
 * they are; so does what is nested deeper than 64.
 */
export function redactValue(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return value.replace(SECRETS_AND_EMAIL, REDACTED);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return REDACTED;
  if (Array.isArray(value)) return value.map((item) => redactValue(item, depth + 1));
  // No prototype, so that a key named `__proto__` is one like any other.
  const copy: Record<string, unknown> = Object.create(null);
  for (const [key, item] of Object.entries(value)) {
    copy[key.replace(SECRETS_AND_EMAIL, REDACTED)] = isSecretKey(key) ? REDACTED : redactValue(item, depth + 1);
  }
  return copy;
}

function isSecretKey(key: string): boolean {
  const name = key.replace(/[-_.\s]/g, '').toLowerCase();
  return SECRET_KEYS.has(name) || SECRET_KEY_PARTS.test(name);
}
