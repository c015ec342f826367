import { defineConfig } from 'vitest/config';

/** One project per kind of test, so that each can be run alone: `vitest run --project unit`. */
function project(name: string, testTimeout: number, isolate = true) {
  return {
    extends: true as const,
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      exclude: ['**/node_modules/**'],
      testTimeout,
      hookTimeout: testTimeout,
      isolate,
    },
  };
}

export default defineConfig({
  test: {
    // Tests mostly wait: for processes to start, and for time to pass.
    maxWorkers: 3,
    allowOnly: false,
    projects: [
      // Most of their time would go into loading the same modules again; none replaces a module (test/unit/architecture.test.ts).
      project('unit', 10_000, false),
      project('integration', 30_000, false),
      project('fuzz', 60_000, false),
      project('clients', 60_000),
      project('conformance', 60_000),
      // A whole run with its outages is one test.
      project('chaos', 900_000),
    ],
  },
});
