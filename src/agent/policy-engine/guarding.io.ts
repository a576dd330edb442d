// When the guard behind iptables' tables (kernel/iptables/guard.ts) stands: once the rules are in the kernel,
// and never beside rules that know another mark. What stands stays when the agent ends.
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import type { Guard } from '../../kernel/iptables/guard.io.ts';
import type { GuardRules } from '../../kernel/iptables/guard.ts';
import { acceptanceOf } from '../../policy/mark-bits.ts';
import type { RuleSettings } from '../../policy/read/rule-settings.ts';

export class Guarding {
  private readonly guard: Guard;
  private readonly enabled: boolean;
  private readonly log: Log;
  /** What it says, as text; empty: it is not there. Undefined: nobody has looked. */
  private said: string | undefined;
  private reported = '';

  constructor(guard: Guard, enabled: boolean, log: Log) {
    this.guard = guard;
    this.enabled = enabled;
    this.log = log;
  }

  /**
   * Around the writing of all rules, which accept packets as `settings` say. `doubted`: somebody else
   * may have removed it.
   */
  async around<T>(settings: RuleSettings, doubted: boolean, write: () => Promise<T>): Promise<T> {
    const wanted = this.enabled ? acceptanceOf(settings) : undefined;
    const text = wanted ? JSON.stringify(wanted) : '';
    const isOther = this.said !== undefined && this.said !== text;
    if (isOther || (this.said === undefined && !wanted)) await this.carryOut(undefined, '');
    const result = await write();
    if (wanted && (this.said !== text || (doubted && !this.guard.isThere())))
      await this.carryOut(wanted, text);
    return result;
  }

  private async carryOut(rules: GuardRules | undefined, text: string): Promise<void> {
    try {
      if (rules) await this.guard.set(rules);
      else await this.guard.remove();
      this.said = text;
      this.reported = '';
    } catch (cause) {
      const problem = messageOf(cause);
      // A kernel without nf_tables has no guard, and needs none to be removed.
      if (rules && problem !== this.reported)
        this.log.error({ cause: problem }, 'no guard behind the rules: it was refused');
      this.reported = problem;
    }
  }
}
