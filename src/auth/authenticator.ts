import type { PresentedCredential } from './credentials.js';
import type { AuthResult } from './refusals.js';

/**
 * One way for a caller to prove who it is. A new way is one file that implements this and one line in `create-authenticator`.
 * Implementations judge a credential that was already read from the request; they never look at the request itself.
 */
export interface Authenticator {
  /**
   * @param credential Undefined when the caller sent none.
   * @returns undefined when this way has nothing to say about the credential, so the next one is asked
   */
  authenticate(credential: PresentedCredential | undefined): AuthResult | Promise<AuthResult> | undefined;
}
