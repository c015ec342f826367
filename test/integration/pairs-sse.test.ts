import { describePairs } from './pairs-contract.js';

describePairs('sse');
