import { describePairs } from './pairs-contract.js';

describePairs('streamable-http');
