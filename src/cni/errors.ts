// CNI errors as values (CNI SPEC, section "Error"; codes 100 and above are ours).
import { printJson } from '../base/json.ts';

export const CNI_CODE = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  containerUnknown: 3,
  invalidEnvironment: 4,
  io: 5,
  decode: 6,
  invalidConfig: 7,
  tryAgain: 11,
  /** STATUS: an ADD could not work. */
  unavailable: 50,
  /** STATUS: and pods that exist may have limited connectivity. */
  limitedConnectivity: 51,
  poolExhausted: 101,
  addressInUse: 102,
  featureDisabled: 103,
  notReady: 104,
  internal: 999,
} as const;

export interface CniError {
  readonly code: number;
  /** One sentence: what is wrong, where, and what to do. Never stdin, tokens or keys. */
  readonly msg: string;
  readonly details?: string | undefined;
}

export const cniError = (kind: keyof typeof CNI_CODE, msg: string, details?: string): CniError => ({
  code: CNI_CODE[kind],
  msg,
  details,
});

/** The error JSON for stdout. */
export const printCniError = (cniVersion: string, error: CniError): string =>
  printJson({ cniVersion, code: error.code, msg: error.msg, details: error.details });
