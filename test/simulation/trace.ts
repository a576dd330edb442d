// What happened, as lines: all of them in a hash, the last ones for a reader.

const KEPT = 400;

export class Trace {
  /** How often things happened, by name. */
  readonly counts: Record<string, number> = {};
  private readonly lines: string[] = [];
  private count = 0;
  private high = 0x811c9dc5;
  private low = 0x01000193;

  add(line: string): void {
    for (let i = 0; i < line.length; i++) {
      const code = line.charCodeAt(i);
      this.high = Math.imul(this.high ^ code, 0x01000193);
      this.low = Math.imul(this.low + code, 0x85ebca6b) ^ (this.low >>> 13);
    }
    this.lines[this.count++ % KEPT] = line;
  }

  counted(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }

  /** Equal hashes: the same lines in the same order. */
  get hash(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
    return `${hex(this.high)}${hex(this.low)}`;
  }

  /** The last lines, oldest first. */
  tail(): readonly string[] {
    const start = this.count % KEPT;
    return this.count <= KEPT
      ? this.lines.slice()
      : [...this.lines.slice(start), ...this.lines.slice(0, start)];
  }
}
