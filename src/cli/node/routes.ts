// `bgp routes`: what the speaker holds, and why one path won.
import type { PathReport, RouteReport } from '../../bgp/status.ts';
import { boxTable, type Output } from '../output.ts';

/** One line for each path that carries traffic. */
export function bgpRoutes(routes: readonly RouteReport[]): Output {
  const rows = routes.flatMap(({ prefix, paths }) =>
    paths
      .filter(({ rank }) => rank === 'best' || rank === 'equal')
      .map((path, i) => [
        i === 0 ? prefix : '',
        path.nextHop ?? '',
        path.peer ?? 'this node',
        path.asPath,
        String(path.localPref),
        path.communities.join(' '),
        path.stale ? 'stale' : '',
      ]),
  );
  const headings = ['PREFIX', 'NEXT HOP', 'FROM', 'AS PATH', 'LOCAL PREF', 'COMMUNITIES', 'STATE'];
  return { data: routes, lines: boxTable(headings, rows, ['LOCAL PREF']) };
}

/** Every path, with the step of the decision (RFC 4271 section 9.1.2.2) that it lost. */
export function whyRoute(prefix: string, route: RouteReport | undefined): Output {
  if (!route)
    return { data: null, lines: [`${prefix}: no peer tells it, and it is not ours`], failed: true };
  const count = route.paths.length;
  return {
    data: route,
    lines: [
      `${route.prefix}: ${count} ${count === 1 ? 'path' : 'paths'}`,
      ...route.paths.flatMap(pathLines),
    ],
  };
}

function pathLines(path: PathReport): readonly string[] {
  const source = path.peer ? `from ${path.peer}` : 'of this node';
  const facts = [
    path.asPath ? `AS path ${path.asPath}` : 'of this AS',
    `local preference ${path.localPref}`,
    ...(path.med === undefined ? [] : [`MED ${path.med}`]),
    `origin ${path.origin}`,
    ...(path.communities.length > 0 ? [`communities ${path.communities.join(' ')}`] : []),
    ...(path.stale ? ['stale'] : []),
  ];
  return [
    `${MARKS[path.rank]} ${path.nextHop ? `via ${path.nextHop} ` : ''}${source}`,
    `    ${facts.join(', ')}`,
    `    ${verdict(path)}`,
  ];
}

const MARKS: Readonly<Record<PathReport['rank'], string>> = {
  best: '*',
  equal: '=',
  worse: ' ',
  unusable: '!',
};

function verdict({ rank, why }: PathReport): string {
  switch (rank) {
    case 'best':
      return why ? `best: ${why}` : 'best';
    case 'equal':
      return `shares the traffic with the best; behind it only by ${why ?? 'a tie-break'}`;
    case 'worse':
      return `loses by ${why ?? 'the decision'}`;
    case 'unusable':
      return `not used: ${why ?? 'no reason given'}`;
  }
}
