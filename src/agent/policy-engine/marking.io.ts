// DSCP on a kernel that may lack its target (xt_DSCP). It refuses the whole table then; a mark of quality is
// not worth that, so the rules go without.
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import type { Desired } from '../../policy/desired.ts';
import type { FamilyCalculator } from '../../policy/family-calculator.ts';
import type { PolicyWriter } from '../../policy/write/writer.io.ts';

/** The module may come later, and what was refused may have had another reason. */
const RETRY_MILLISECONDS = 600_000;

export class Marking {
  private readonly calculator: FamilyCalculator;
  private readonly log: Log;
  private retryAt = Number.POSITIVE_INFINITY;
  private isTold = false;

  constructor(calculator: FamilyCalculator, log: Log) {
    this.calculator = calculator;
    this.log = log;
  }

  /** Before a whole round is calculated. */
  begin(): void {
    if (performance.now() < this.retryAt) return;
    this.retryAt = Number.POSITIVE_INFINITY;
    this.calculator.marksAllowed = true;
  }

  /** Writes what was calculated; what is refused with marks is calculated anew without. */
  async write(desired: Desired, writer: Pick<PolicyWriter, 'apply'>): Promise<number> {
    const { calculator } = this;
    const marks = calculator.facts.marksDscp;
    try {
      const commits = await writer.apply(desired);
      if (marks) this.isTold = false;
      return commits;
    } catch (cause) {
      if (!marks) throw cause;
      calculator.marksAllowed = false;
      try {
        const commits = await writer.apply(calculator.desired());
        this.refused(cause);
        return commits;
      } catch (other) {
        calculator.marksAllowed = true;
        throw other;
      }
    }
  }

  private refused(cause: unknown): void {
    this.retryAt = performance.now() + RETRY_MILLISECONDS;
    if (this.isTold) return;
    this.isTold = true;
    this.log.warn(
      { cause: messageOf(cause) },
      'packets get no DSCP (qos.projectcalico.org/dscp): the kernel refuses its rules (xt_DSCP)',
    );
  }
}
