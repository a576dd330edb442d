// `make kube-proxy-differential`: random services of which kube-proxy and we must make the same rules.
//   WORLDS=102  how many under each way to set it up    SEED=1  the first one
import { ensurePackages } from '../cluster/packages.ts';
import { differential } from './differential.ts';

const [seed, worlds] = [Number(process.env['SEED'] || 1), Number(process.env['WORLDS'] || 102)];
ensurePackages(['iptables', 'iproute2']);
const started = performance.now();
const outcome = await differential(seed, worlds);
for (const difference of outcome.differences) console.error(difference);
console.log(
  `seed ${seed}: ${outcome.worlds} worlds in ${Math.round((performance.now() - started) / 1000)} s, ` +
    `${outcome.rules} chains and rules, ${outcome.differences.length} differences`,
);
process.exitCode = outcome.differences.length > 0 ? 1 : 0;
