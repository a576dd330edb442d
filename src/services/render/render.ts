// The shapes that rules can have, and what writes each.
import type { WantedTables } from '../write/writer.io.ts';
import { render2018Fixed } from './fixed-2018.ts';
import { renderModern } from './modern.ts';
import { renderModernFixed } from './modern-fixed.ts';
import { render2018 } from './of-2018.ts';
import type { ServicePort } from './read.ts';
import type { Rendered, RenderOptions } from './rules.ts';

/** Chains as kube-proxy writes them today, or as it did in 2018. */
export type RenderMode = 'modern' | '2018';
export const RENDER_MODES: readonly RenderMode[] = ['modern', '2018'];

export interface Renderer {
  /** What there is without services, with an empty list for each kind of rule that they add. */
  readonly fixed: (options: RenderOptions) => WantedTables;
  /** What one port of a service adds. */
  readonly service: (service: ServicePort, options: RenderOptions) => Rendered;
}

export const RENDERERS: Readonly<Record<RenderMode, Renderer>> = {
  modern: { fixed: renderModernFixed, service: renderModern },
  '2018': { fixed: render2018Fixed, service: render2018 },
};
