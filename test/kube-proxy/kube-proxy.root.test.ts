import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PendingChanges } from '../../src/agent/services/changes.ts';
import { ServiceMetrics } from '../../src/agent/services/metrics.io.ts';
import { RenderedModel } from '../../src/agent/services/model/rendered-model.ts';
import { serviceProxySettings } from '../../src/agent/services/settings.ts';
import { openRegistry } from '../../src/base/metrics.io.ts';
import { differential } from './differential.ts';

const WORLDS = 12;
/** The same worlds in every run; `make kube-proxy-differential SEED=` asks others. */
const SEED = 1;

test('random services: iptables-save and the names of figures are the same after kube-proxy and after us', async (t) => {
  const { worlds, rules, differences, figures } = await differential(SEED, WORLDS);
  t.diagnostic(`seed ${SEED}: ${worlds} worlds, ${rules} chains and rules`);
  assert.deepEqual(differences, []);
  assert.ok(rules > 0);
  const registry = openRegistry();
  new ServiceMetrics(registry).measure({
    engine: { sizes: () => [], changes: new PendingChanges(0) },
    model: new RenderedModel('n', settingsOf()),
    families: [4],
    dropped: async () => undefined,
  });
  const page = await registry.metrics();
  assert.deepEqual(
    figures.filter((figure) => !page.includes(`# TYPE ${figure}\n`)),
    [],
  );
  assert.ok(figures.length > 10, figures.join());
});

function settingsOf() {
  const settings = serviceProxySettings({ CALICO_SERVICE_PROXY: 'true' });
  assert.ok(settings.ok && settings.value);
  return settings.value;
}
