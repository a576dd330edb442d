// Names, addresses and folders of the namespace cluster.
import { join } from 'node:path';
import { CACHE } from '../tools.ts';

/** One cluster of this name a machine; another name, another cluster beside it. */
export const PREFIX = process.env['CALICO_KIT_CLUSTER'] || 'ck';
export const RUN = join(CACHE, 'run', PREFIX);
export const PKI = join(RUN, 'pki');
export const FABRIC_ADDRESS = '10.200.0.1';
export const CONTROL_PLANE_ADDRESS = '10.200.0.10';
export const SERVICE_CIDR = '10.96.0.0/16';
export const DNS_ADDRESS = '10.96.0.10';
export const POD_CIDR = '192.168.0.0/16';
export const PAUSE_IMAGE = 'registry.k8s.io/pause:3.10.2';

export const netnsOf = (machine: string): string => `${PREFIX}-${machine}`;
export const nodeMachine = (number: number): string => `n${number}`;
export const nodeName = (number: number): string => netnsOf(nodeMachine(number));
export const NODE_NAME = new RegExp(`^${PREFIX}-n\\d+$`);
export const nodeAddress = (number: number): string => `10.200.0.${10 + number}`;
export const nodeFolder = (number: number): string => join(RUN, nodeMachine(number));

/** Prefix of a command that shall run in a machine's network namespace, mounts as they are. */
export const inNetns = (machine: string): readonly string[] => [
  'nsenter',
  `--net=/run/netns/${netnsOf(machine)}`,
];
