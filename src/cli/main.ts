#!/usr/bin/env node
/** The entry point: connects the command line to this process. */
import { processIo } from './io.js';
import { run } from './run.js';

// A reader that stops early, such as `head`, is no error.
process.stdout.on('error', () => {});
const exitCode = await run(process.argv.slice(2), processIo);
process.stdout.write('', () => process.exit(exitCode));
