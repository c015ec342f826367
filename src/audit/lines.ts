import { createReadStream } from 'node:fs';

const LINE_FEED = 0x0a;

export interface Line {
  readonly bytes: Buffer;
  /** False for what stands behind the last line feed, and for a line longer than the limit, of which only the start is given. */
  readonly isWhole: boolean;
}

/** Reads a file line by line, as bytes, in memory bounded by `maxBytes`. Ends after a line that is not whole. */
export async function* readLines(path: string, maxBytes: number): AsyncGenerator<Line, void, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 })) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError('a file is read as bytes');
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = data.indexOf(LINE_FEED); end !== -1; end = data.indexOf(LINE_FEED, start)) {
      yield { bytes: data.subarray(start, end), isWhole: true };
      start = end + 1;
    }
    rest = data.subarray(start);
    if (rest.length > maxBytes) break;
  }
  if (rest.length > 0) yield { bytes: rest, isWhole: false };
}
