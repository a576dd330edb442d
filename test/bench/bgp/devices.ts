// The speakers that are compared: how each is told to be the same device under test.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT_MEMORY, SPEAKER_FLAGS } from '../../../src/deploy/constructs/calico-node.ts';
import { WATCHED } from './delays.ts';
import type { FeederPlan } from './feeder.ts';

/** What every device is asked to be. */
export interface DevicePlan extends FeederPlan {
  /** All peers are clients of a route reflector in one AS; else each is of an AS of its own. */
  readonly reflector: boolean;
}

export interface Device {
  readonly name: 'ours' | 'bird' | 'frr' | 'gobgp';
  /** The command that starts it; its files go into the folder. `watched`: ours tells its delays. */
  readonly argv: (plan: DevicePlan, folder: string, watched: boolean) => readonly string[];
}

function file(folder: string, name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const ours: Device = {
  name: 'ours',
  argv: (plan, folder, watched) => {
    const script = join(import.meta.dirname, 'device.ts');
    const profile = process.env['PROFILE'];
    const options = profile ? ['--cpu-prof', `--cpu-prof-dir=${profile}`] : [];
    const words = [JSON.stringify(plan), folder, ...(watched ? [WATCHED] : [])];
    const memory = `${AGENT_MEMORY.name}=${AGENT_MEMORY.value}`;
    return ['env', memory, process.execPath, ...SPEAKER_FLAGS, ...options, script, ...words];
  },
};

const bird: Device = {
  name: 'bird',
  argv: (plan, folder) => {
    const { device, deviceAsn, holdTimeSeconds, reflector, peers } = plan;
    const sessions = peers.map(
      ({ address, asn }, i) => `protocol bgp p${i} {
  local ${device} as ${deviceAsn};
  neighbor ${address} as ${asn};
  passive on; hold time ${holdTimeSeconds}; error wait time 1, 2;
  ${reflector ? 'rr client; rr cluster id 1.0.0.1;' : ''}
  ipv4 { import all; export all; };
}`,
    );
    const text = `router id ${device};\nprotocol device { }\n${sessions.join('\n')}\n`;
    const config = file(folder, 'bird.conf', text);
    return ['bird', '-f', '-c', config, '-s', join(folder, 'bird.ctl')];
  },
};

const frr: Device = {
  name: 'frr',
  argv: (plan, folder) => {
    const { device, deviceAsn, holdTimeSeconds, reflector, peers } = plan;
    const sessions = peers.map(
      ({ address, asn }) => ` neighbor ${address} remote-as ${asn}
 neighbor ${address} passive
 neighbor ${address} advertisement-interval 0`,
    );
    const clients = peers.map(({ address }) => `  neighbor ${address} route-reflector-client`);
    const config = file(
      folder,
      'bgpd.conf',
      `router bgp ${deviceAsn}
 bgp router-id ${device}
 no bgp ebgp-requires-policy
 no bgp network import-check
 timers bgp ${Math.floor(holdTimeSeconds / 3)} ${holdTimeSeconds}
${sessions.join('\n')}
 address-family ipv4 unicast
${reflector ? clients.join('\n') : ''}
 exit-address-family
`,
    );
    const sockets = ['--vty_socket', folder, '-A', '127.0.0.1', '-i', join(folder, 'bgpd.pid')];
    return ['/usr/lib/frr/bgpd', '-n', '-Z', '-S', '-f', config, ...sockets];
  },
};

const gobgp: Device = {
  name: 'gobgp',
  argv: (plan, folder) => {
    const { device, deviceAsn, holdTimeSeconds, reflector, peers } = plan;
    const sessions = peers.map(
      ({ address, asn }) => `[[neighbors]]
[neighbors.config]
neighbor-address = "${address}"
peer-as = ${asn}
[neighbors.transport.config]
passive-mode = true
[neighbors.timers.config]
hold-time = ${holdTimeSeconds}
${reflector ? '[neighbors.route-reflector.config]\nroute-reflector-client = true\nroute-reflector-cluster-id = "1.0.0.1"' : ''}
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv4-unicast"
`,
    );
    const config = file(
      folder,
      'gobgpd.toml',
      `[global.config]\nas = ${deviceAsn}\nrouter-id = "${device}"\n${sessions.join('\n')}`,
    );
    return ['gobgpd', '-f', config, '--api-hosts', '127.0.0.1:50051', '--pprof-disable'];
  },
};

export const DEVICES: readonly Device[] = [ours, bird, frr, gobgp];
