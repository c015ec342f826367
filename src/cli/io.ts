/** What a command may touch of the outside: tests hand in their own. */
export interface Io {
  /** Data. */
  out(text: string): void;
  /** Words. */
  err(text: string): void;
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  stdin: NodeJS.ReadableStream;
}

export const processIo: Io = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  env: process.env,
  cwd: process.cwd(),
  stdin: process.stdin,
};
