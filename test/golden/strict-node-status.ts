// The status of a CalicoNodeStatus, as Calico's API has it.
import { int, list, matching, net, orNull, seconds, string, struct, word } from './strict.ts';

const address = matching('an address', /^[0-9a-f.:]+$/);
const daemon = struct({
  state: word('Ready', 'NotReady'),
  version: string,
  routerID: address,
  lastBootTime: string,
  lastReconfigurationTime: string,
});
const SESSION = ['Idle', 'Connect', 'Active', 'OpenSent', 'OpenConfirm', 'Established', 'Close'];
const peers = list(
  struct({
    peerIP: address,
    type: word('NodeMesh', 'NodePeer', 'GlobalPeer'),
    state: word(...SESSION),
    since: string,
  }),
);
const nodeRoutes = list(
  struct({
    type: word('FIB', 'RIB'),
    destination: net,
    gateway: address,
    interface: string,
    learnedFrom: struct({
      sourceType: word('Kernel', 'Static', 'Direct', 'NodeMesh', 'BGPPeer'),
      peerIP: address,
    }),
  }),
);

export const nodeStatus = struct({
  'lastUpdated!': orNull(seconds),
  'agent!': struct({ 'birdV4!': daemon, 'birdV6!': daemon }),
  'bgp!': struct({
    'numberEstablishedV4!': int,
    'numberNotEstablishedV4!': int,
    'numberEstablishedV6!': int,
    'numberNotEstablishedV6!': int,
    peersV4: peers,
    peersV6: peers,
  }),
  'routes!': struct({ routesV4: nodeRoutes, routesV6: nodeRoutes }),
});
