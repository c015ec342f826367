export function findTool(name: string): { file: string; env: Record<string, string> } | undefined;
export function provideTools(): string;
