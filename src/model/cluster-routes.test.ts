import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clusterRoutes, ownerOfRoutes } from './cluster-routes.ts';

// BGPConfiguration, FelixConfiguration, and whose the routes of IP-in-IP pools and of bare ones are.
const TABLE = `
-                  -                  speaker speaker
Enabled            -                  speaker speaker
Disabled           -                  agent   agent
EnabledIPIPOnly    -                  speaker agent
EnabledNoEncapOnly -                  agent   speaker
-                  Enabled            agent   agent
-                  Disabled           speaker speaker
-                  EnabledIPIPOnly    agent   speaker
-                  EnabledNoEncapOnly speaker agent
EnabledNoEncapOnly EnabledIPIPOnly    agent   speaker
EnabledIPIPOnly    EnabledNoEncapOnly speaker agent
Disabled           Enabled            agent   agent
Enabled            Disabled           speaker speaker
Enabled            Enabled            speaker speaker
Disabled           Disabled           nobody  nobody
Disabled           EnabledIPIPOnly    agent   nobody
Sometimes          Disabled           speaker speaker
`;

test('the routes of a pool have one writer, whatever the two resources say', () => {
  const lines = TABLE.trim().split('\n');
  for (const line of lines) {
    const [bgp, felix, ipip, bare] = line.split(/ +/);
    const [speaker, agent] = [clusterRoutes(bgp), clusterRoutes(felix)];
    const owners = (['ipip', 'bare'] as const).map((pool) => ownerOfRoutes(pool, speaker, agent));
    assert.deepEqual(owners, [ipip, bare], line);
  }
});
