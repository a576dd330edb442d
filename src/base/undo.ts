// Multi-step work that must leave nothing behind when a later step fails: every step pushes its
// inverse, and a failure runs the list backwards.

/** A list of inverses. Each inverse runs at most once; its own failure does not stop the others. */
export class UndoList {
  private readonly steps: { what: string; inverse: () => void | Promise<void> }[] = [];

  push(what: string, inverse: () => void | Promise<void>): void {
    this.steps.push({ what, inverse });
  }

  /** Runs the inverses, last first; answers what could not be undone. */
  async rollBack(): Promise<readonly { what: string; cause: unknown }[]> {
    const failed: { what: string; cause: unknown }[] = [];
    for (let step = this.steps.pop(); step; step = this.steps.pop()) {
      try {
        await step.inverse();
      } catch (cause) {
        failed.push({ what: step.what, cause });
      }
    }
    return failed;
  }
}
