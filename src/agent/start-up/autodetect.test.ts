import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { InterfaceAddressOfLink, Link } from '../../kernel/kernel.ts';
import { parseInterfaceAddress } from '../../net/cidr.ts';
import { ip } from '../../net/ip.ts';
import { detectAddress, parseDetectionMethod, type Surroundings } from './autodetect.ts';

/** `name address...` per link, in order of index. */
function machine(...lines: readonly string[]): Surroundings {
  const links: Link[] = [];
  const addresses: InterfaceAddressOfLink[] = [];
  for (const [i, line] of lines.entries()) {
    const [name = '', ...rest] = line.split(' ');
    const up = !name.endsWith('(down)');
    links.push({ index: i + 1, name: name.replace('(down)', ''), mtu: 1500, up });
    for (const text of rest)
      addresses.push({ linkIndex: i + 1, ...parseInterfaceAddress(text)!, scope: 'global' });
  }
  return { links, addresses };
}

// The demonstration's machine: the second network is the one between the nodes.
const TWO_NICS = machine(
  'lo 127.0.0.1/8 ::1/128',
  'enp0s3 10.0.2.6/24 fe80::1/64',
  'enp0s8 192.168.81.101/24 fd00:81::101/64',
  'docker0 172.17.0.1/16',
  'calic440f455693',
  'tunl0 192.168.203.0/32',
);

function detect(method: string, around: Surroundings = TWO_NICS, family: 4 | 6 = 4): string {
  const parsed = parseDetectionMethod(method);
  if (!parsed.ok) return parsed.error;
  const found = detectAddress(parsed.value, family, around);
  return found.ok
    ? `${found.value.address.ip}/${found.value.address.prefixLength} ${found.value.linkName}`
    : found.error;
}

describe('methods', () => {
  const cases: [string, Surroundings, 4 | 6, string][] = [
    ['first-found', TWO_NICS, 4, '192.168.81.101/24 enp0s8'],
    ['', TWO_NICS, 4, '192.168.81.101/24 enp0s8'],
    ['first-found', TWO_NICS, 6, 'fd00:81::101/64 enp0s8'],
    ['interface=enp0s3', TWO_NICS, 4, '10.0.2.6/24 enp0s3'],
    ['interface=eth.*,enp.*', TWO_NICS, 4, '192.168.81.101/24 enp0s8'],
    ['interface=docker', TWO_NICS, 4, '172.17.0.1/16 docker0'],
    ['skip-interface=enp0s8', TWO_NICS, 4, '10.0.2.6/24 enp0s3'],
    ['cidr=10.0.0.0/8', TWO_NICS, 4, '10.0.2.6/24 enp0s3'],
    ['cidr=172.17.0.0/16,10.9.0.0/16', TWO_NICS, 4, '172.17.0.1/16 docker0'],
    ['first-found', machine('eth0 10.0.0.1/24', 'lower0 10.9.0.1/24'), 4, '10.0.0.1/24 eth0'],
    ['first-found', machine('eth0 10.0.0.1/24', 'eth1(down) 10.9.0.1/24'), 4, '10.0.0.1/24 eth0'],
    ['first-found', machine('eth0 169.254.3.3/16 10.0.0.1/24'), 4, '10.0.0.1/24 eth0'],
  ];
  for (const [method, around, family, wanted] of cases) {
    test(`${method || 'nothing'} -> ${wanted}`, () => {
      assert.equal(detect(method, around, family), wanted);
    });
  }

  test('can-reach takes the source address’s own interface and prefix', () => {
    const sourceAddress = { ok: true, value: ip('10.0.2.6') } as const;
    assert.equal(detect('can-reach=8.8.8.8', { ...TWO_NICS, sourceAddress }), '10.0.2.6/24 enp0s3');
    const unreachable = { ok: false, error: 'connect ENETUNREACH' } as const;
    assert.equal(
      detect('can-reach=8.8.8.8', { ...TWO_NICS, sourceAddress: unreachable }),
      'can-reach=8.8.8.8: connect ENETUNREACH',
    );
  });

  test('kubernetes-internal-ip takes the prefix from the interface', () => {
    const internalIps = [ip('fd00:81::101'), ip('10.0.2.6')];
    const around = { ...TWO_NICS, internalIps };
    assert.equal(detect('kubernetes-internal-ip', around), '10.0.2.6/24 enp0s3');
    assert.equal(detect('kubernetes-internal-ip', around, 6), 'fd00:81::101/64 enp0s8');
  });
});

test('the choice is explained', () => {
  const method = parseDetectionMethod('first-found');
  assert.ok(method.ok);
  const found = detectAddress(method.value, 4, TWO_NICS);
  assert.ok(found.ok);
  assert.equal(
    found.value.because,
    'first-found takes enp0s8 192.168.81.101/24, before enp0s3 10.0.2.6/24',
  );
});

test('nothing found: what there is and what to set', () => {
  assert.match(
    detect('interface=wlan0', machine('eth0 10.0.0.1/24')),
    /^interface=wlan0 finds no IPv4 address; .* have: eth0 10\.0\.0\.1\/24; set IP_AUTODETECTION/,
  );
  assert.match(detect('first-found', machine('lo 127.0.0.1/8')), /have: none/);
});

test('bad methods are named', () => {
  const cases: [string, RegExp][] = [
    ['random', /'random' is no known method; use one of first-found/],
    ['interface=', /names no interface/],
    ['interface=(', /no regular expression/],
    ['cidr=10.0.0.0/99', /no CIDR/],
    ['can-reach=', /needs one target/],
    ['first-found=x', /takes no argument/],
  ];
  for (const [text, message] of cases) {
    const method = parseDetectionMethod(text);
    assert.ok(!method.ok);
    assert.match(method.error, message);
  }
});

test('first-found is an address of a link that is up, whatever the order of the dump', () => {
  const link = fc.record({ up: fc.boolean(), octet: fc.integer({ min: 1, max: 250 }) });
  fc.assert(
    fc.property(fc.array(link, { maxLength: 6 }), fc.boolean(), (made, reversed) => {
      const lines = made.map(
        ({ up, octet }, i) => `eth${i}${up ? '' : '(down)'} 10.${octet}.0.1/24`,
      );
      const around = machine(...lines);
      const shuffled = { ...around, links: reversed ? [...around.links].reverse() : around.links };
      const last = made.findLastIndex(({ up }) => up);
      const found = detect('first-found', shuffled);
      if (last < 0) assert.match(found, /finds no IPv4/);
      else assert.equal(found, `10.${made[last]!.octet}.0.1/24 eth${last}`);
    }),
  );
});
