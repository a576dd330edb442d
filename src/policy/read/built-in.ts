// Tiers and profiles that there are without being stored, and what stands for others.
import { DENY_ALL, parseRules } from './parsed-rule.ts';
import type { Profile, Tier } from './resources.ts';

/** The tiers that exist without being stored. */
export const BUILT_IN_TIERS: ReadonlyMap<string, Tier> = new Map([
  ['kube-admin', { order: 1000, defaultAction: 'Pass' }],
  ['default', { order: 1_000_000, defaultAction: 'Deny' }],
  ['kube-baseline', { order: 10_000_000, defaultAction: 'Pass' }],
]);
const ALLOW_ALL = parseRules([{ action: 'Allow' }], undefined).rules;
/** Calico gives it to hosts which shall be open where no policy says otherwise. */
const OPEN_PROFILE = 'projectcalico-default-allow';
export const BUILT_IN_PROFILES: ReadonlyMap<string, Profile> = new Map([
  [OPEN_PROFILE, { name: OPEN_PROFILE, ingress: ALLOW_ALL, egress: ALLOW_ALL, labels: {} }],
]);

// An endpoint that names a profile which does not exist is closed by it.
export const missingProfile = (name: string): Profile => ({
  name,
  ingress: [DENY_ALL],
  egress: [DENY_ALL],
  labels: {},
});

export const UNKNOWN_TIER: Tier = { order: Number.POSITIVE_INFINITY, defaultAction: 'Deny' };
