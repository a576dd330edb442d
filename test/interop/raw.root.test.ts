// Our speaker against a peer without manners.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { eventually, run, runAsync } from '../lab/command.ts';
import { OUR_BLOCK, TwoHosts } from './two-hosts.ts';

const [OURS, THEIRS, STRANGER] = ['10.77.3.1', '10.77.3.2', '10.77.3.3'];
const SCRIPT = join(import.meta.dirname, 'raw-peer.ts');

describe('a peer without manners', () => {
  let hosts: TwoHosts;
  const peer = async (mode: string, from = THEIRS): Promise<string> => {
    const node = [process.execPath, SCRIPT, mode, from, OURS];
    return (await runAsync(['ip', 'netns', 'exec', hosts.right, ...node])).trim();
  };
  before(async () => {
    hosts = new TwoHosts({ ours: OURS, theirs: THEIRS });
    run(['ip', '-n', hosts.right, 'addr', 'add', `${STRANGER}/24`, 'dev', 'eth0']);
    hosts.startSpeaker();
    await eventually('it listens', async () => {
      const { problems } = await hosts.state();
      return problems.join().endsWith(`BGP not established with ${THEIRS}`);
    });
    await eventually('its block is there', () => hosts.routes().length === 1);
  });
  after(() => hosts?.close());

  test('a stranger is not spoken to', async () => {
    assert.equal(await peer('wrongAs', STRANGER), 'closed');
  });
  test('what is not BGP: Connection Not Synchronized', async () => {
    assert.equal(await peer('garbage'), '1/1');
  });
  test('a wrong AS number: Bad Peer AS', async () => {
    assert.equal(await peer('wrongAs'), '2/2');
  });
  test('half a message and silence: Hold Timer Expired', async () => {
    assert.equal(await peer('silent'), '4/0');
  });
  test('5,000 damaged UPDATEs over 100 sessions: no crash, nothing learned remains', async () => {
    const { routeProblems } = await hosts.state();
    assert.deepEqual(routeProblems, []);
    assert.equal(await peer('mutants'), 'done');
    await hosts.routesAre([`blackhole ${OUR_BLOCK}`]);
    assert.equal((await hosts.state()).peers[0]?.state, 'active');
  });
});
