// Rendered chains, kept as long as they are in use. Hashing is the dear part of rendering; an
// endpoint whose policies did not change must not be hashed again because its neighbour came.
import { type Chain, type RenderedChain, renderChain } from './rule.ts';

type Chains = readonly RenderedChain[];

export class RenderCache {
  private used = new Map<string, Chains>();
  private former = new Map<string, Chains>();
  private readonly objects = new WeakMap<object, Map<string, RenderedChain>>();

  /** The chains under a text that tells everything they depend on. */
  of(signature: string, make: () => readonly Chain[]): Chains {
    const known = this.used.get(signature) ?? this.former.get(signature);
    const chains = known ?? make().map(renderChain);
    this.used.set(signature, chains);
    return chains;
  }

  /** Keeps what is in use without being asked for. */
  keep(signature: string): void {
    const known = this.former.get(signature);
    if (known) this.used.set(signature, known);
  }

  /** The chain that depends on an immutable value and a word. */
  ofObject(value: object, word: string, make: () => Chain): RenderedChain {
    const byWord = this.objects.get(value) ?? new Map<string, RenderedChain>();
    this.objects.set(value, byWord);
    const chain = byWord.get(word) ?? renderChain(make());
    byWord.set(word, chain);
    return chain;
  }

  /** Forgets what was not asked for since the last sweep. */
  sweep(): void {
    this.former = this.used;
    this.used = new Map();
  }
}
