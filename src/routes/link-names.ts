// Names of links by their index, listed when one is first asked for and followed from then on.
import type { Kernel, KernelEvent } from '../kernel/kernel.ts';

export class LinkNames {
  private readonly kernel: Pick<Kernel, 'links'>;
  private names: Map<number, string> | undefined;

  constructor(kernel: Pick<Kernel, 'links'>) {
    this.kernel = kernel;
  }

  heard(event: KernelEvent): void {
    if (event.kind === 'lost') this.names = undefined;
    if (event.kind === 'link') this.names?.set(event.link.index, event.link.name);
  }

  nameOf(index: number): string | undefined {
    this.names ??= new Map(this.kernel.links().map((link) => [link.index, link.name]));
    return this.names.get(index);
  }
}
