// When the guard behind iptables' tables (kernel/nftables/guard.ts) stands: once the rules are in the kernel,
// and never beside rules that know another mark. What stands stays when the agent ends.
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import type { Guard } from '../../kernel/nftables/guard.io.ts';
import type { GuardRules } from '../../kernel/nftables/guard.ts';
import type { Family } from '../../net/ip.ts';
import type { GuardReport } from '../../policy/counters/guard-report.ts';
import { acceptanceOf } from '../../policy/mark-bits.ts';
import type { RuleSettings } from '../../policy/read/rule-settings.ts';

export class Guarding {
  private readonly family: Family;
  private readonly guard: Guard;
  private readonly enabled: boolean;
  private readonly log: Log;
  /** What it says, as text; empty: it is not there. Undefined: nobody has looked, or it was refused. */
  private said: string | undefined;
  private wanted = '';
  private problem: string | undefined;

  constructor(family: Family, guard: Guard, enabled: boolean, log: Log) {
    this.family = family;
    this.guard = guard;
    this.enabled = enabled;
    this.log = log;
  }

  /**
   * Around the writing of all rules, which accept packets as `settings` say. `doubted`: somebody else
   * may have removed it.
   */
  async around<T>(settings: RuleSettings, doubted: boolean, write: () => Promise<T>): Promise<T> {
    const rules = this.enabled ? acceptanceOf(settings) : undefined;
    const text = rules ? JSON.stringify(rules) : '';
    const isNew = text !== this.wanted;
    this.wanted = text;
    const isOther = this.said !== undefined && this.said !== text;
    if (isOther || (this.said === undefined && !rules)) await this.carryOut(undefined, '');
    const result = await write();
    // What was refused is not asked for again with each change.
    const isDue = this.said !== text && (isNew || doubted || this.problem === undefined);
    if (rules && (isDue || (doubted && !this.guard.look()?.isWhole)))
      await this.carryOut(rules, text);
    return result;
  }

  /** What there is to tell. */
  report(): GuardReport {
    const { family, enabled, problem } = this;
    const look = this.guard.look();
    const stands = look?.isWhole === true;
    const why = problem ?? (stands ? undefined : this.whyNone());
    return {
      family,
      enabled,
      stands,
      isKept: stands && look.isKept,
      dropped: look?.dropped ?? 0,
      ...(why === undefined ? {} : { why }),
    };
  }

  private whyNone(): string {
    if (!this.enabled) return 'it is switched off (FELIX_DEFAULTDENYGUARD)';
    if (this.said === undefined) return 'the rules are not written yet';
    if (this.wanted === '') return 'chainInsertMode is Append: others may accept packets before us';
    return 'somebody else has removed it; it comes back within a second';
  }

  /** Why there is none although there should be. */
  get warning(): string | undefined {
    const { family, problem } = this;
    return problem === undefined ? undefined : `no guard behind the IPv${family} rules: ${problem}`;
  }

  private async carryOut(rules: GuardRules | undefined, text: string): Promise<void> {
    const { family, log } = this;
    try {
      if (rules) await this.guard.set(rules);
      else await this.guard.remove();
      this.said = text;
      this.problem = undefined;
    } catch (cause) {
      const problem = messageOf(cause);
      const words = rules
        ? 'no guard behind the rules: while somebody else has flushed them everything passes'
        : 'a guard behind the rules could not be removed: it may stop what they accept';
      if (problem !== this.problem) log.warn({ family, cause: problem }, words);
      this.problem = problem;
    }
  }
}
