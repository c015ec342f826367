/**
 * Walks JSON values of any nesting without recursion, and checks what holds for every value: depth, tokens, unique keys.
 * Breaking the grammar throws at once; a mere rule is only noted in `problem`, so that text which is no JSON is always called that.
 */
import { Byte, JsonCursor } from './json-cursor.js';
import { KeyScopes } from './json-keys.js';
import { skimContainer } from './json-skim.js';
import { escapedText, hasLoneSurrogate } from './json-text.js';

export interface WalkRules {
  /** Keys are unique and well-formed in every object and numbers are finite; otherwise only where `openObject` is used. */
  readonly strict: boolean;
  /** Containers inside one another, the message itself included. */
  readonly maxDepth: number;
  /** Keys, scalars and containers together. */
  readonly maxTokens: number;
}

/** A limit of the rules was reached; reading on would only cost more. */
export class JsonLimitError extends Error {}

const ARRAY = 0;
const OBJECT = 1;
const LAX: WalkRules = { strict: false, maxDepth: 0, maxTokens: 0 };

export class JsonWalker extends JsonCursor {
  /** The first rule that was broken. */
  problem: string | undefined;
  /** Where the key read last stands, without its quotes. */
  keyStart = 0;
  keyEnd = 0;
  /** The key read last, if it holds escapes; otherwise its bytes are the key. */
  keyText: string | undefined;
  /** The key read last is the first of its name in its object. */
  keyIsNew = true;
  #rules = LAX;
  #depth = 0;
  #tokens = 0;
  #kinds = new Uint8Array(64);
  readonly #scopes = new KeyScopes();

  begin(bytes: Buffer, rules: WalkRules): void {
    this.load(bytes);
    this.#rules = rules;
    this.#depth = 0;
    this.#tokens = 0;
    this.#scopes.reset();
    this.problem = undefined;
    this.keyText = undefined;
  }

  get strict(): boolean {
    return this.#rules.strict;
  }

  override release(): void {
    super.release();
    this.#scopes.reset();
    this.keyText = undefined;
  }

  /** Notes a broken rule; the first one counts. */
  note(problem: string): void {
    this.problem ??= problem;
  }

  /** Enters the object at `pos`; its keys will be checked. Call `nextKey` until it says false. */
  openObject(): void {
    this.#enter(OBJECT);
    this.#scopes.open();
  }

  /** Moves to the value of the next key, or out of the object. The value must be consumed before the next call. */
  nextKey(isFirst: boolean): boolean {
    const byte = this.peekToken();
    if (byte === Byte.closeObject) {
      this.pos += 1;
      this.#depth -= 1;
      this.#scopes.close();
      return false;
    }
    if (!isFirst) this.#passComma(byte);
    this.#readKey(true);
    return true;
  }

  /** Consumes the string at `pos` as one token. */
  takeString(): void {
    this.#countToken();
    this.readString();
  }

  /** Consumes the number at `pos` as one token. */
  takeNumber(): void {
    this.#countToken();
    const start = this.pos;
    this.readNumber();
    if (this.maybeHuge && this.#rules.strict) this.#checkFinite(start);
  }

  /** Consumes the value at `pos`, whatever it is. */
  skipValue(): void {
    const floor = this.#depth;
    for (;;) {
      const byte = this.peek();
      if (byte === Byte.quote) this.takeString();
      else if (byte !== Byte.openObject && byte !== Byte.openArray) this.#takeScalar(byte);
      else if (this.#descend(byte)) continue;
      if (this.#depth === floor || !this.#advance(floor)) return;
    }
  }

  /**
   * Consumes the value at `pos`; in a container only strings and brackets are read.
   * Enough to know where the value ends, not that it is valid JSON.
   */
  skimValue(): void {
    const byte = this.peek();
    if (byte !== Byte.openObject && byte !== Byte.openArray) return this.#takeScalar(byte);
    const room = this.#rules.maxDepth - this.#depth;
    const end = skimContainer(this.bytes, this.pos, this.end, room);
    if (end === -1) this.fail('unterminated value');
    if (end === -2) throw new JsonLimitError('nested too deep');
    this.pos = end;
  }

  /** Consumes an opening bracket, and the closing one if it follows. @returns true when `pos` is on the first value inside */
  #descend(byte: number): boolean {
    const isObject = byte === Byte.openObject;
    const { strict } = this.#rules;
    this.#enter(isObject ? OBJECT : ARRAY);
    if (isObject && strict) this.#scopes.open();
    if (this.peekToken() === (isObject ? Byte.closeObject : Byte.closeArray)) {
      this.#leave();
      return false;
    }
    if (isObject) this.#readKey(strict);
    return true;
  }

  /** After a value: closes what ends here. @returns true when `pos` is on the next value, false when depth is `floor` again */
  #advance(floor: number): boolean {
    while (this.#depth > floor) {
      const byte = this.peekToken();
      const isObject = this.#kinds[this.#depth] === OBJECT;
      if (byte === Byte.comma) {
        this.#passComma(byte);
        if (isObject) this.#readKey(this.#rules.strict);
        return true;
      }
      if (byte !== (isObject ? Byte.closeObject : Byte.closeArray)) this.#failHere();
      this.#leave();
    }
    return false;
  }

  #takeScalar(byte: number): void {
    if (byte === Byte.quote) this.takeString();
    else if (byte === Byte.minus || (byte >= Byte.zero && byte <= Byte.nine)) this.takeNumber();
    else {
      this.#countToken();
      this.readLiteral();
    }
  }

  #enter(kind: number): void {
    this.#countToken();
    this.#depth += 1;
    if (this.#depth > this.#rules.maxDepth) throw new JsonLimitError('nested too deep');
    if (this.#depth === this.#kinds.length) this.#growKinds();
    this.#kinds[this.#depth] = kind;
    this.pos += 1;
  }

  /** Leaves a container that `skipValue` entered. */
  #leave(): void {
    this.pos += 1;
    if (this.#kinds[this.#depth] === OBJECT && this.#rules.strict) this.#scopes.close();
    this.#depth -= 1;
  }

  #passComma(byte: number): void {
    if (byte !== Byte.comma) this.#failHere();
    this.pos += 1;
    this.peekToken();
  }

  #readKey(checked: boolean): void {
    if (this.peek() !== Byte.quote) this.#failHere();
    this.keyStart = this.pos + 1;
    this.takeString();
    this.keyEnd = this.pos - 1;
    if (checked) this.#checkKey();
    if (this.peekToken() !== Byte.colon) this.#failHere();
    this.pos += 1;
    this.peekToken();
  }

  #checkKey(): void {
    this.keyText = this.escaped ? escapedText(this.bytes, this.keyStart, this.keyEnd) : undefined;
    this.keyIsNew = this.#scopes.add(this.bytes, this.keyStart, this.keyEnd, this.keyText);
    if (!this.keyIsNew) this.note('a key comes twice in one object');
    if (this.keyText !== undefined && hasLoneSurrogate(this.keyText)) this.note('a key holds half a surrogate pair');
  }

  #checkFinite(start: number): void {
    if (!Number.isFinite(Number(this.bytes.toString('latin1', start, this.pos)))) this.note('a number is too large');
  }

  #countToken(): void {
    this.#tokens += 1;
    if (this.#tokens > this.#rules.maxTokens) throw new JsonLimitError('too many tokens');
  }

  #failHere(): never {
    this.fail(this.pos < this.end ? 'unexpected byte' : 'unexpected end');
  }

  #growKinds(): void {
    const larger = new Uint8Array(this.#kinds.length * 2);
    larger.set(this.#kinds);
    this.#kinds = larger;
  }
}
