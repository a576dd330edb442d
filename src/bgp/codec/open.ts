// OPEN (RFC 4271 section 4.2) with capabilities (RFC 5492) in optional parameters of either length
// form (RFC 9072).
//
//   | version (1) | my AS (2) | hold time (2) | BGP identifier (4) | parameters length (1) | ... |

import { fail, ok, type Result } from '../../base/result.ts';
import { AS_TRANS, type Asn, parseAsn } from '../../net/asn.ts';
import { bytesOfIp, type Ip } from '../../net/ip.ts';
import { type Capability, decodeCapability, encodeCapability } from './capabilities.ts';
import { ERROR, type Notification, notification, OPEN_ERROR } from './notification.ts';
import { OutOfBounds, Reader, u16 } from './reader.ts';

export interface Open {
  readonly kind: 'open';
  readonly version: number;
  /** The AS number, from the 4-octet capability when there is one. */
  readonly asn: Asn;
  readonly holdTimeSeconds: number;
  /** The BGP identifier, written like an IPv4 address. */
  readonly routerId: Ip;
  readonly capabilities: readonly Capability[];
}

const BGP_VERSION = 4;
const PARAMETER_CAPABILITIES = 2;
const EXTENDED = 255;
const FOUR_OCTET_AS = 65;

export function encodeOpen(open: Open): Uint8Array {
  const { version, asn, holdTimeSeconds, routerId } = open;
  const capabilities = open.capabilities.flatMap(encodeCapability);
  const parameters =
    capabilities.length > 253
      ? extendedParameters(capabilities)
      : capabilities.length > 0
        ? [capabilities.length + 2, PARAMETER_CAPABILITIES, capabilities.length, ...capabilities]
        : [0];
  const shortAs = asn > 65535 ? AS_TRANS : asn;
  const fixed = [version, ...u16(shortAs), ...u16(holdTimeSeconds), ...bytesOfIp(routerId)];
  return Uint8Array.from([...fixed, ...parameters]);
}

// RFC 9072 section 2: 255, 255, then a 2-octet length, and 2-octet parameter lengths.
const extendedParameters = (capabilities: readonly number[]): number[] => [
  EXTENDED,
  EXTENDED,
  ...u16(capabilities.length + 3),
  PARAMETER_CAPABILITIES,
  ...u16(capabilities.length),
  ...capabilities,
];

/** Errors: the NOTIFICATION to answer with (RFC 4271 section 6.2). */
export function decodeOpen(body: Uint8Array): Result<Open, Notification> {
  const wrong = (subcode: number, data?: Uint8Array) =>
    fail(notification(ERROR.open, subcode, data));
  try {
    const reader = new Reader(body);
    const version = reader.u8();
    if (version !== BGP_VERSION)
      return wrong(OPEN_ERROR.unsupportedVersion, Uint8Array.from(u16(BGP_VERSION)));
    const shortAs = reader.u16();
    const holdTimeSeconds = reader.u16();
    const routerId = reader.address(4);
    const capabilities = decodeParameters(reader);
    if (!capabilities) return wrong(OPEN_ERROR.unsupportedParameter);
    const wide = capabilities.find((c) => c.kind === 'fourOctetAs');
    const asn = wide?.asn ?? parseAsn(shortAs);
    if (!asn || capabilities.some(isOfAsZero)) return wrong(OPEN_ERROR.badPeerAs);
    if (holdTimeSeconds === 1 || holdTimeSeconds === 2)
      return wrong(OPEN_ERROR.unacceptableHoldTime);
    if (routerId === '0.0.0.0') return wrong(OPEN_ERROR.badIdentifier);
    return ok({ kind: 'open', version, asn, holdTimeSeconds, routerId, capabilities });
  } catch (error) {
    if (error instanceof OutOfBounds) return wrong(OPEN_ERROR.unspecific);
    throw error;
  }
}

// No AS number, so that the decoder of capabilities did not know it (RFC 7607 section 2).
const isOfAsZero = (capability: Capability): boolean =>
  capability.kind === 'unknown' &&
  capability.code === FOUR_OCTET_AS &&
  capability.data.length === 4 &&
  capability.data.every((octet) => octet === 0);

/** Undefined: a parameter other than capabilities. */
function decodeParameters(reader: Reader): readonly Capability[] | undefined {
  const length = reader.u8();
  const bytes = reader.rest();
  // The extended form is told by its type octet; the length before it only must not be 0.
  if (length === 0 || bytes[0] !== EXTENDED)
    return parametersOf(exactly(new Reader(bytes), length), 1);
  const extended = new Reader(bytes.subarray(1));
  return parametersOf(exactly(extended, extended.u16()), 2);
}

function exactly(reader: Reader, length: number): Reader {
  if (reader.left !== length) throw new OutOfBounds('parameters length');
  return reader;
}

function parametersOf(reader: Reader, lengthOctets: number): readonly Capability[] | undefined {
  const capabilities: Capability[] = [];
  while (reader.left > 0) {
    const type = reader.u8();
    const value = reader.part(lengthOctets === 1 ? reader.u8() : reader.u16());
    if (type !== PARAMETER_CAPABILITIES) return undefined;
    while (value.left > 0) capabilities.push(decodeCapability(value.u8(), value.part(value.u8())));
  }
  return capabilities;
}
