/**
 * Compiles the tool pattern of a limit; `*` stands for any run of characters, even none, everything else for itself.
 * A limit restricts, so `*` excludes no character: an odd name must not slip past it.
 */
export function compileGlob(pattern: string): (text: string) => boolean {
  const [head = '', ...rest] = pattern.split('*');
  const tail = rest.pop();
  if (tail === undefined) return (text) => text === pattern;
  return (text) => {
    if (text.length < head.length + tail.length || !text.startsWith(head) || !text.endsWith(tail)) return false;
    // The leftmost place of each middle part leaves the most room for the ones behind it, so one pass is enough.
    const end = text.length - tail.length;
    let position = head.length;
    for (const part of rest) {
      const found = text.indexOf(part, position);
      if (found === -1 || found + part.length > end) return false;
      position = found + part.length;
    }
    return true;
  };
}
