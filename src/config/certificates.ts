/** Says what is wrong with the content of certificates, keys and authorities, before anything is started with them. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';

export interface CertificateFiles {
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly caFile?: string | undefined;
}

export interface CertificateProblem {
  readonly key: keyof CertificateFiles;
  /** Goes on after the name of the file. */
  readonly problem: string;
}

/** @param files absolute paths, all of which can be read */
export function certificateProblems({ certFile, keyFile, caFile }: CertificateFiles): CertificateProblem[] {
  const problems: CertificateProblem[] = [];
  const certificate = certFile === undefined ? undefined : readCertificate(certFile);
  const key = keyFile === undefined ? undefined : readKey(keyFile);
  if (certFile !== undefined && certificate === undefined) {
    problems.push({ key: 'certFile', problem: 'holds no certificate in PEM' });
  }
  if (keyFile !== undefined && key === undefined) {
    problems.push({ key: 'keyFile', problem: 'holds no private key in PEM without a passphrase' });
  }
  // Of a file without a certificate Node makes authorities that nobody can satisfy, and says nothing.
  if (caFile !== undefined && readCertificate(caFile) === undefined) {
    problems.push({ key: 'caFile', problem: 'holds no certificate in PEM' });
  }
  if (certificate !== undefined && key !== undefined && !certificate.checkPrivateKey(key)) {
    return [...problems, { key: 'keyFile', problem: 'is not the key of the certificate' }];
  }
  if (problems.length > 0 || certFile === undefined || keyFile === undefined) return problems;
  const reason = whyUnusable(certFile, keyFile);
  return reason === undefined ? [] : [{ key: 'certFile', problem: `cannot be used: ${reason}` }];
}

function readCertificate(file: string): X509Certificate | undefined {
  try {
    const bytes = readFileSync(file);
    // Also DER would be read here, but not by Node's TLS.
    return /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/.test(bytes.toString('latin1'))
      ? new X509Certificate(bytes)
      : undefined;
  } catch {
    return undefined;
  }
}

function readKey(file: string): KeyObject | undefined {
  try {
    return createPrivateKey(readFileSync(file));
  } catch {
    return undefined;
  }
}

/** What TLS refuses besides, such as a key that is too short. */
function whyUnusable(certFile: string, keyFile: string): string | undefined {
  try {
    createSecureContext({ cert: readFileSync(certFile), key: readFileSync(keyFile) });
    return undefined;
  } catch (error) {
    return error instanceof Error && 'reason' in error ? String(error.reason) : 'TLS refuses it';
  }
}
