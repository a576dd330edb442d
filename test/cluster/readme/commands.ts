// The commands that README.md, the chart's README and its runbooks show, and what is done with each: run on
// the cluster as it stands there, run with something added, or run elsewhere, which is named.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../../..');
const TEXTS = ['README.md', 'charts/calico/README.md', 'charts/calico/RUNBOOKS.md'];

/** What a shown line begins with when it is a command. */
const COMMAND = /^(make|helm|kubectl|node|calico-kit|export|[A-Z_]+=\S+ make) /;

/** Lines of code blocks that are commands: after a `$`, or all of a block without one. */
export function commandsIn(text: string): readonly string[] {
  // Text, language, code, nothing, and again.
  const parts = text.split(/^```(\w*)$/m);
  const fenced = parts.flatMap((part, i) =>
    i % 4 === 2 && parts[i - 1] === '' ? [part.split('\n')] : [],
  );
  const indented = text.split('\n').filter((line) => line.startsWith('    '));
  const blocks = [...fenced, indented.map((line) => line.slice(4))];
  return blocks.flatMap((lines) => {
    const prompts = lines.filter((line) => line.startsWith('$ ')).map((line) => line.slice(2));
    const shown = prompts.length > 0 ? prompts : lines.filter((line) => COMMAND.test(line));
    return shown.map((line) => line.replace(/\s+# .*$/, ''));
  });
}

/** All of them, once each. */
export const shownCommands = (): readonly string[] => [
  ...new Set(TEXTS.flatMap((file) => commandsIn(readFileSync(join(ROOT, file), 'utf8')))),
];

interface How {
  readonly add?: string;
  readonly until?: string;
  /** A name of the example, and what has its place on this cluster. */
  readonly swap?: readonly [from: string, to: string];
}

export type Treatment =
  /** Run by a shell on the first node, with `add` behind it, or as far as `until`, or with `swap`. */
  | ({ readonly kind: 'run' } & How)
  /** What else proves it, or why nothing can. */
  | { readonly kind: 'elsewhere'; readonly why: string };

const elsewhere = (why: string): Treatment => ({ kind: 'elsewhere', why });
const run = (how: How = {}): Treatment => ({ kind: 'run', ...how });

const BLOCK_OF_ANOTHER = "$(ip route show proto bird | awk '/via/ {print $1; exit}')";

/** The first that matches. */
export const TREATMENTS: readonly (readonly [RegExp, Treatment])[] = [
  [/^make bench /, elsewhere('test/bench: measures, which a quiet machine is for')],
  [
    /^make (simulate|storm|races|\S*differential|conformance|fuzz)/,
    elsewhere('slices of them run in test/'),
  ],
  [/^make (up|test)/, elsewhere('they are what runs this')],
  [/^(\S+=\S+ )?make (synth|charts)/, elsewhere('src/deploy/index.test.ts, test/golden')],
  [/^make (release|package)/, elsewhere('images/release and images/npm test them')],
  // What they do for good the other tests of this cluster do.
  [/^helm (install|upgrade) /, run({ add: '--dry-run=server' })],
  [/^helm uninstall /, run({ add: '--dry-run' })],
  [
    /^kubectl get ippools,/,
    elsewhere('it asks a cluster of Calico’s own: importing/calico.test.ts'),
  ],
  [/jq -c/, run({ until: ' | jq' })],
  [/^calico-kit etcd remove/, elsewhere('etcd.cluster.test.ts loses a member')],
  [/^calico-kit ipam split/, run({ add: '--dry-run' })],
  [/^calico-kit bgp routes --why/, run({ swap: ['192.168.238.64/26', BLOCK_OF_ANOTHER] })],
  [/^calico-kit policy counters web/, run({ swap: ['web', ''] })],
  [
    /^calico-kit policy denied/,
    elsewhere('it needs FELIX_LOGDENIEDFLOWS: src/cli/policy/seen.test.ts, test/lab'),
  ],
  [/^(node|kubectl|calico-kit|export) /, run()],
];

export const treatmentOf = (command: string): Treatment | undefined =>
  TREATMENTS.find(([pattern]) => pattern.test(command))?.[1];
